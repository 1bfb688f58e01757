//! The OpenStack adapter and the inventory on a real region, held to what openstacksdk says of it.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;
use std::time::Duration;

use fleetmend::clock::{Clock as _, SystemClock};
use fleetmend::cloud::openstack::{OpenStack, Pace};
use fleetmend::cloud::{
    Cloud as _, CloudErrorKind, CloudResult, Compute as _, Migration, MigrationKind, MigrationStatus, MigrationsQuery,
    Placement as _, Server, ServersQuery,
};
use fleetmend::config::clouds::{self, CloudConfig, Environment, Wanted};
use fleetmend::host::Inquiry;
use fleetmend::host::ssh::{SshSettings, SshShell};
use fleetmend::inventory::{self, Order};
use fleetmend::model::{HostName, InstanceStatus, Region};
use serde::Deserialize;
use tokio::time::{Instant, sleep};

use super::{lab, variable};

/// What openstacksdk says of the region, in its own words.
const SDK: &str = r"
import json, openstack
c = openstack.connect(cloud='operator')
n, p = c.compute, c.placement
def allocations(rp):
    return p.get(f'/resource_providers/{rp.id}/allocations', microversion='1.14').json()['allocations']
print(json.dumps({
    'region': c.config.get_region_name(),
    'services': {s.host: [s.id, s.state, s.status, s.availability_zone] for s in n.services(binary='nova-compute')},
    'servers': {s.id: [s.name, s.project_id, s.status, s.compute_host, len(s.metadata)]
                for s in n.servers(all_projects=True)},
    'groups': {g.id: sorted(g.member_ids) for g in n.server_groups(all_projects=True)},
    'allocations': {rp.name: {k: v['resources'] for k, v in allocations(rp).items()} for rp in p.resource_providers()},
}))
";

#[derive(Deserialize)]
struct Told {
    region: String,
    services: BTreeMap<String, (String, String, String, String)>,
    servers: BTreeMap<String, (String, String, String, Option<String>, usize)>,
    groups: BTreeMap<String, Vec<String>>,
    allocations: BTreeMap<String, BTreeMap<String, BTreeMap<String, u64>>>,
}

fn told_by_the_sdk() -> Told {
    let output = Command::new(variable("LAB_PYTHON")).args(["-c", SDK]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The configuration of one of the lab's clouds, with variables changed.
fn config(cloud: &str, changed: &[(&str, &str)]) -> CloudConfig {
    let mut variables: BTreeMap<String, String> = std::env::vars().collect();
    variables.extend(changed.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    let environment = Environment { variables, working_directory: std::env::current_dir().unwrap() };
    clouds::load(&environment, &Wanted { cloud: Some(cloud.to_owned()), ..Wanted::default() }).unwrap()
}

async fn connect(cloud: &str) -> OpenStack {
    OpenStack::connect(&config(cloud, &[]), Pace::default()).await.unwrap()
}

/// Fills a lab without instances of each kind, afresh; those of one that has them are left as they are.
async fn filled() -> OpenStack {
    let cloud = connect("operator").await;
    let there = cloud.servers(&ServersQuery::default()).await.unwrap();
    let has = |status: InstanceStatus| there.iter().any(|server| server.status == status);
    if !has(InstanceStatus::Active) || !has(InstanceStatus::Shutoff) {
        lab(&["reset"]);
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/region/fill.py");
        let hosts = cloud.services().await.unwrap().into_iter().map(|service| service.host.to_string());
        let mut fill = Command::new(variable("LAB_PYTHON"));
        let status = fill.args([script, "12"]).args(hosts).status().unwrap();
        assert!(status.success(), "fill.py: {status}");
    }
    cloud
}

#[tokio::test]
async fn every_list_is_what_openstacksdk_lists() {
    let cloud = filled().await;
    let told = told_by_the_sdk();
    assert_eq!(cloud.region(), told.region);

    let services = cloud.services().await.unwrap().into_iter().map(|service| {
        let word = |debug: String| debug.to_lowercase();
        let (state, status) =
            (word(format!("{:?}", service.service.state)), word(format!("{:?}", service.service.status)));
        let zone = service.zone.map(|zone| zone.to_string()).unwrap_or_default();
        (service.host.to_string(), (service.service.id.as_str().to_owned(), state, status, zone))
    });
    assert_eq!(services.collect::<BTreeMap<_, _>>(), told.services);

    let servers = cloud.servers(&ServersQuery::default()).await.unwrap();
    let as_told = servers.iter().map(|server| {
        let host = server.host.as_ref().map(ToString::to_string);
        let (project, status) = (server.project.as_str().to_owned(), server.status.to_string());
        (server.id.to_string(), (server.name.clone(), project, status, host, server.metadata.len()))
    });
    assert_eq!(as_told.collect::<BTreeMap<_, _>>(), told.servers);

    let groups = cloud.server_groups().await.unwrap().into_iter().map(|group| {
        let mut members: Vec<String> = group.members.iter().map(ToString::to_string).collect();
        members.sort();
        (group.group.id.as_str().to_owned(), members)
    });
    assert_eq!(groups.collect::<BTreeMap<_, _>>(), told.groups);

    let providers = cloud.providers().await.unwrap();
    for provider in &providers {
        let held = cloud.allocations(&provider.id).await.unwrap().into_iter().map(|allocation| {
            let resources = allocation.resources.iter().map(|(class, amount)| (class.to_owned(), amount)).collect();
            (allocation.consumer, resources)
        });
        assert_eq!(held.collect::<BTreeMap<_, BTreeMap<_, _>>>(), told.allocations[&provider.name]);
    }
    assert_eq!(providers.len(), told.allocations.len());
    for hypervisor in cloud.hypervisors().await.unwrap() {
        let provider = cloud.provider(&hypervisor.host).await.unwrap().unwrap();
        assert_eq!((provider.id, provider.name), (hypervisor.id, hypervisor.hostname));
    }
}

#[tokio::test]
async fn an_inventory_is_the_region_and_its_gaps_are_what_placement_holds_of_nobody() {
    let cloud = filled().await;
    let folder = tempfile::tempdir().unwrap();
    let settings = SshSettings { config: Some(variable("LAB_SSH_CONFIG").into()), ..SshSettings::default() };
    let shell = SshShell::new(settings, folder.path()).unwrap();
    let inquiry = Inquiry { packages: ["kernel".to_owned()].into(), ..Inquiry::default() };
    let order = Order {
        cloud: &cloud,
        shell: Some(&shell),
        inquiry: &inquiry,
        parallel: 8,
        rack_keys: &["rack".to_owned()],
        own: &inventory::OwnPlaces::default(),
        taken_at: SystemClock.now(),
    };
    let region = inventory::take(&order, &|_| {}).await.unwrap();
    let told = told_by_the_sdk();

    // A host that died while a server left it keeps an allocation that nobody takes away.
    let held = told.allocations.values().flat_map(BTreeMap::keys);
    let orphans: BTreeSet<&str> = held.filter(|id| !told.servers.contains_key(*id)).map(String::as_str).collect();
    let gaps: BTreeSet<&str> = region.gaps.iter().map(|gap| gap.at.as_str()).collect();
    assert_eq!(gaps, orphans, "{:?}", region.gaps);
    let hosts: Vec<&str> = region.hosts.iter().map(|host| host.host.as_str()).collect();
    assert_eq!(hosts, told.services.keys().map(String::as_str).collect::<Vec<_>>());
    for host in &region.hosts {
        assert_eq!(host.identity.nova_host.as_deref(), Some(host.host.as_str()));
        assert!(host.facts.kernel.is_some() && host.facts.unread.is_empty(), "{:?}", host.facts.unread);
        let capacity = [host.capacity.get("VCPU"), host.capacity.get("MEMORY_MB")];
        assert!(capacity.iter().all(|amount| *amount > 0), "{capacity:?}");
    }
    held_to(&region, &told);
}

/// Instances as the SDK tells them, with what Placement holds for each on its host.
fn held_to(region: &Region, told: &Told) {
    assert_eq!(region.instances.len(), told.servers.len());
    for instance in &region.instances {
        let (name, _, status, host, _) = &told.servers[&instance.id.to_string()];
        assert_eq!((&instance.name, instance.status.as_str()), (name, status.as_str()));
        assert_eq!(instance.host.as_ref().map(HostName::as_str), host.as_deref());
        let held = host.as_ref().and_then(|host| told.allocations[host].get(&instance.id.to_string()));
        if let Some(held) = held {
            assert_eq!(instance.resources.iter().map(|(c, n)| (c.to_owned(), n)).collect::<BTreeMap<_, _>>(), *held);
        }
        let group = instance.group.as_ref().map(|group| told.groups[group.as_str()].contains(&instance.id.to_string()));
        assert_ne!(group, Some(false));
    }
}

/// An instance that may be moved without asking its group.
async fn quiet_active(cloud: &OpenStack) -> Server {
    let servers = cloud.servers(&ServersQuery::default()).await.unwrap();
    let free = |server: &&Server| {
        server.status == InstanceStatus::Active
            && server.task_state.is_none()
            && !server.metadata.contains_key("lab:group")
    };
    servers.iter().find(free).expect("the lab has active instances").clone()
}

async fn newest(cloud: &OpenStack, server: &Server) -> Option<Migration> {
    let query = MigrationsQuery { instance: Some(server.id), ..MigrationsQuery::default() };
    cloud.migrations(&query).await.unwrap().into_iter().next()
}

/// The record newer than `before`, when it has ended; `look` sees it at each step. The conductor writes it after the 202.
async fn followed(cloud: &OpenStack, server: &Server, before: u64, mut look: impl AsyncFnMut(&Migration)) -> Migration {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        if let Some(record) = newest(cloud, server).await.filter(|record| record.id > before) {
            if !record.status.is_in_progress() {
                return record;
            }
            look(&record).await;
        }
        assert!(Instant::now() < deadline, "no end after 120 s: {:?}", newest(cloud, server).await);
        sleep(Duration::from_millis(200)).await;
    }
}

#[tokio::test]
async fn a_live_migration_is_asked_for_followed_and_undone() {
    let cloud = filled().await;
    let server = quiet_active(&cloud).await;
    let before = newest(&cloud, &server).await.map_or(0, |record| record.id);
    let source = server.host.clone().unwrap();
    let services = cloud.services().await.unwrap();
    let target = services.iter().map(|service| &service.host).find(|host| **host != source).unwrap();

    let accepted = cloud.live_migrate(server.id, Some(target)).await.unwrap();
    let everywhere = MigrationsQuery { in_progress: true, ..MigrationsQuery::default() };
    let (mut listed, mut shown) = (false, false);
    let record = followed(&cloud, &server, before, async |record| {
        listed |= cloud.migrations(&everywhere).await.unwrap().iter().any(|one| one.id == record.id);
        shown |= cloud.migration_progress(server.id, record.id).await.unwrap().is_some();
    })
    .await;
    assert!(listed && shown, "it was listed among all in progress: {listed}, its progress was shown: {shown}");
    assert_eq!((&record.kind, record.source.as_ref()), (&MigrationKind::Live, Some(&source)));
    assert_eq!((&record.status, record.target.as_ref()), (&MigrationStatus::Completed, Some(target)));
    assert_eq!(cloud.server(server.id).await.unwrap().host.as_ref(), Some(target));

    let actions = cloud.instance_actions(server.id).await.unwrap();
    assert_eq!(actions[0].action, "live-migration");
    assert_eq!(Some(&actions[0].request), accepted.request.as_ref());
    assert!(actions[0].events.iter().any(|event| event.event == "conductor_live_migrate_instance"));

    cloud.live_migrate(server.id, Some(&source)).await.unwrap();
    let back = followed(&cloud, &server, record.id, async |_| {}).await;
    assert_eq!((&back.status, back.target.as_ref()), (&MigrationStatus::Completed, Some(&source)));
}

#[tokio::test]
async fn what_nova_refuses_at_once_is_told_in_its_words_with_the_request() {
    let cloud = filled().await;
    let servers = cloud.servers(&ServersQuery::default()).await.unwrap();
    let stopped = servers.iter().find(|server| server.status == InstanceStatus::Shutoff).unwrap();
    let error = cloud.live_migrate(stopped.id, None).await.unwrap_err();
    assert_eq!((error.kind, error.status), (CloudErrorKind::Conflict, Some(409)));
    assert!(error.message.contains("while it is in vm_state stopped"), "{error}");
    assert!(error.request.unwrap().as_str().starts_with("req-"));

    let active = quiet_active(&cloud).await;
    let error = cloud.live_migrate(active.id, Some(&HostName::new("nowhere"))).await.unwrap_err();
    assert_eq!((error.kind, error.status), (CloudErrorKind::Refused, Some(400)));
    let error = cloud.abort_migration(active.id, 4_000_000).await.unwrap_err();
    assert!(matches!(error.kind, CloudErrorKind::NotFound | CloudErrorKind::Conflict), "{error}");
    assert_eq!(cloud.migration_progress(active.id, 4_000_000).await.unwrap(), None);
}

async fn refused(config: &CloudConfig) -> CloudErrorKind {
    let pace = Pace { attempts: 1, connect_timeout: Duration::from_secs(2), ..Pace::default() };
    OpenStack::connect(config, pace).await.err().expect("it must not work").kind
}

#[tokio::test]
async fn a_wrong_password_is_unauthorized_and_a_dead_endpoint_unreachable() {
    let variables = [("OS_PASSWORD", "wrong"), ("OS_CLIENT_CONFIG_FILE", "/dev/null"), ("OS_CLOUD", "envvars")];
    assert_eq!(refused(&config("envvars", &variables)).await, CloudErrorKind::Unauthorized);
    let dead = [("OS_AUTH_URL", "http://controller:9/v3"), variables[1], variables[2]];
    assert_eq!(refused(&config("envvars", &dead)).await, CloudErrorKind::Unreachable);
    let unknown = [("OS_AUTH_URL", "http://nobody.invalid:5000/v3"), variables[1], variables[2]];
    assert_eq!(refused(&config("envvars", &unknown)).await, CloudErrorKind::Unreachable);
}

#[tokio::test]
async fn an_ordinary_member_is_forbidden_what_operators_may() {
    let cloud = connect("demo").await;
    let forbidden = |result: CloudResult<()>| assert_eq!(result.unwrap_err().kind, CloudErrorKind::Forbidden);
    forbidden(cloud.services().await.map(drop));
    forbidden(cloud.hypervisors().await.map(drop));
    forbidden(cloud.servers(&ServersQuery::default()).await.map(drop));
    forbidden(cloud.migrations(&MigrationsQuery::default()).await.map(drop));
    forbidden(cloud.providers().await.map(drop));
}
