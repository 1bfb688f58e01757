use std::sync::Arc;
use std::time::Duration;

use super::{SimCloud, SimRegion, SimShell};
use crate::cloud::{Compute, MigrationStatus, MigrationsQuery, Placement, ServersQuery};
use crate::host::{
    FenceOrder, HostErrorKind, HostShell, Inquiry, Job, JobOrder, JobStatus, PackageTarget, Quiet, QuietFacts,
    RebootOrder, facts,
};
use crate::model::{HostIdentity, HostName, InstanceId, InstanceStatus, PackageManager, RunId, ServiceId, UnitName};
use crate::sim::Scenario;
use crate::sim::faults::{ApiFault, ApiRule, HostFault, HostRule, JobFault, JobRule};
use crate::sim::world::{Os, Timing};

const PACKAGES: [&str; 4] = ["microcode_ctl", "kernel", "qemu-kvm-rhev", "libvirt"];

fn scenario() -> Scenario {
    Scenario { timing: Timing::quick(), ..Scenario::sized(4, 12, 7) }
}

fn ports(scenario: &Scenario) -> (Arc<SimRegion>, SimCloud, SimShell) {
    let region = SimRegion::new(scenario.build(), 1.0);
    (region.clone(), SimCloud::new(region.clone()), SimShell::new(region))
}

fn host(number: u32) -> HostName {
    HostName::new(format!("compute-{number}"))
}

async fn service_id(cloud: &SimCloud, host: &HostName) -> ServiceId {
    let services = cloud.services().await.unwrap();
    services.into_iter().find(|service| service.host == *host).unwrap().service.id
}

async fn moved(cloud: &SimCloud, id: InstanceId, target: &HostName) -> MigrationStatus {
    cloud.live_migrate(id, Some(target)).await.unwrap();
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        let query = MigrationsQuery { instance: Some(id), ..MigrationsQuery::default() };
        // The record is written most of a second after the 202.
        let newest = cloud.migrations(&query).await.unwrap().into_iter().next();
        if let Some(ended) = newest.filter(|newest| !newest.status.is_in_progress()) {
            return ended.status;
        }
    }
}

/// Updates, fences and reboots an empty host, and waits until it answers in a new boot.
async fn remedy(region: &SimRegion, shell: &SimShell, host: &HostName) -> HostIdentity {
    let identity = shell.identity(host).await.unwrap();
    let unit = UnitName::new("fleetmend-update");
    let target = |name: &&str| PackageTarget { name: (*name).to_owned(), manager: PackageManager::Rpm };
    let job = Job::UpdatePackages(PACKAGES.iter().map(target).collect());
    let limit = Duration::from_secs(600);
    let order = JobOrder { host: host.clone(), identity: identity.clone(), unit: unit.clone(), job, limit };
    shell.start_job(&order).await.unwrap();
    while shell.job(host, &unit).await.unwrap() == JobStatus::Running {
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    shell.fence(&FenceOrder { host: host.clone(), identity: identity.clone(), up: true }).await.unwrap();
    let before = shell.boot(host).await.unwrap().id;
    shell.reboot(&reboot_order(host, &identity, &before)).await.unwrap();
    let give_up = region.clock();
    let until = crate::clock::Clock::now(&give_up).checked_add(Duration::from_secs(120)).unwrap();
    while shell.boot(host).await.is_ok_and(|boot| boot.id == before) || shell.boot(host).await.is_err() {
        tokio::time::sleep(Duration::from_secs(1)).await;
        if crate::clock::Clock::now(&give_up) > until {
            break;
        }
    }
    identity
}

fn reboot_order(host: &HostName, identity: &HostIdentity, boot: &str) -> RebootOrder {
    let nothing = QuietFacts {
        host,
        nova: &[],
        migrating: &[],
        allocations: &[],
        domains: &[],
        allowed: &std::collections::BTreeSet::new(),
        fenced: true,
    };
    let quiet = Quiet::prove(&nothing).unwrap();
    RebootOrder::new(quiet, identity.clone(), RunId::new(uuid::Uuid::nil()), boot.to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_host_goes_through_the_whole_remedy_and_shows_the_evidence() {
    let (region, cloud, shell) = ports(&scenario());
    let (source, target) = (host(1), host(4));
    let id = service_id(&cloud, &source).await;
    cloud.disable_service(&id, "fleetmend test").await.unwrap();
    let query = ServersQuery { host: Some(source.clone()), ..ServersQuery::default() };
    for server in cloud.servers(&query).await.unwrap() {
        if server.status != InstanceStatus::Shutoff {
            assert_eq!(moved(&cloud, server.id, &target).await, MigrationStatus::Completed);
            let after = cloud.server(server.id).await.unwrap();
            assert_eq!((after.host.as_ref(), &after.status), (Some(&target), &server.status));
        }
    }
    let inquiry = Inquiry { packages: PACKAGES.iter().map(|name| (*name).to_owned()).collect(), ..Inquiry::default() };
    let before = facts::parse(&shell.collect(&source, &inquiry).await.unwrap());
    assert!(!before.vulnerabilities.unwrap().contains_key("mds"), "the old kernel does not know of MDS");
    remedy(&region, &shell, &source).await;
    let after = facts::parse(&shell.collect(&source, &inquiry).await.unwrap());
    assert_eq!(after.unread, std::collections::BTreeMap::new());
    assert_eq!(after.kernel.as_deref(), Some(Os::El7.kernels().1));
    assert_eq!(after.vulnerabilities.unwrap()["mds"], "Mitigation: Clear CPU buffers; SMT vulnerable");
    assert_eq!(after.domain_capabilities.unwrap().host_model["md-clear"], "require");
    assert!(after.cpu.unwrap().flags.contains(&"md_clear".to_owned()));
    assert_eq!(after.packages.iter().filter(|package| package.name == "kernel").count(), 2);
    cloud.enable_service(&id).await.unwrap();
    assert_eq!(region.with(|world| world.lost().len()), 0);
}

#[tokio::test(start_paused = true)]
async fn the_shell_refuses_what_the_real_scripts_refuse() {
    let (_, cloud, shell) = ports(&scenario());
    let name = host(1);
    let identity = shell.identity(&name).await.unwrap();
    let boot = shell.boot(&name).await.unwrap().id;
    let refused = |order: RebootOrder| {
        let shell = shell.clone();
        async move { shell.reboot(&order).await.unwrap_err().kind }
    };
    let unfenced = refused(reboot_order(&name, &identity, &boot)).await;
    assert_eq!(unfenced, HostErrorKind::NotQuiet, "nova-compute runs");
    shell.fence(&FenceOrder { host: name.clone(), identity: identity.clone(), up: true }).await.unwrap();
    assert!(
        !cloud.servers(&ServersQuery { host: Some(name.clone()), ..ServersQuery::default() }).await.unwrap().is_empty()
    );
    let live = refused(reboot_order(&name, &identity, &boot)).await;
    assert_eq!(live, HostErrorKind::NotQuiet, "guests run");
    let empty = host(4);
    let other = refused(reboot_order(&empty, &identity, &boot)).await;
    assert_eq!(other, HostErrorKind::WrongMachine);
    let own = shell.identity(&empty).await.unwrap();
    shell.fence(&FenceOrder { host: empty.clone(), identity: own.clone(), up: true }).await.unwrap();
    let stale = refused(reboot_order(&empty, &own, &boot)).await;
    assert_eq!(stale, HostErrorKind::NotQuiet, "another boot");
    let nobody = shell.boot(&HostName::new("nohost")).await.unwrap_err();
    assert_eq!(nobody.kind, HostErrorKind::Unreachable);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_lost_after_its_effect_leaves_a_migration_behind() {
    let mut scenario = scenario();
    let rule = ApiRule {
        operation: Some("live_migrate".to_owned()),
        after: 0,
        times: Some(1),
        fault: ApiFault::ResetAfterEffect,
    };
    scenario.faults.api.push(rule);
    let (_, cloud, _) = ports(&scenario);
    let query = ServersQuery { host: Some(host(1)), ..ServersQuery::default() };
    let server = cloud.servers(&query).await.unwrap().remove(0);
    let error = cloud.live_migrate(server.id, Some(&host(4))).await.unwrap_err();
    assert!(error.is_transient());
    let records = MigrationsQuery { instance: Some(server.id), ..MigrationsQuery::default() };
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(cloud.migrations(&records).await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_scriptlet_that_fails_after_installation_is_seen_only_in_the_evidence() {
    let mut scenario = scenario();
    scenario.faults.jobs.push(JobRule {
        host: host(4),
        package: Some("microcode_ctl".to_owned()),
        times: None,
        fault: JobFault::PostScriptlet,
    });
    let (region, _, shell) = ports(&scenario);
    remedy(&region, &shell, &host(4)).await;
    let facts = facts::parse(&shell.collect(&host(4), &Inquiry::default()).await.unwrap());
    let mds = &facts.vulnerabilities.unwrap()["mds"];
    assert_eq!(mds, "Vulnerable: Clear CPU buffers attempted, no microcode; SMT vulnerable");
}

#[tokio::test(start_paused = true)]
async fn a_host_that_stays_away_is_unreachable_and_its_service_goes_down() {
    let mut scenario = scenario();
    scenario.faults.hosts.push(HostRule { host: host(4), times: None, fault: HostFault::NoReturn });
    let (region, cloud, shell) = ports(&scenario);
    remedy(&region, &shell, &host(4)).await;
    assert_eq!(shell.boot(&host(4)).await.unwrap_err().kind, HostErrorKind::Unreachable);
    let services = cloud.services().await.unwrap();
    let down = services.iter().find(|service| service.host == host(4)).unwrap();
    assert_eq!(down.service.state, crate::model::ServiceState::Down);
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_gives_the_same_bytes() {
    let mut seen = Vec::new();
    for _ in 0..2 {
        let (region, cloud, shell) = ports(&scenario());
        let query = ServersQuery { host: Some(host(2)), ..ServersQuery::default() };
        for server in cloud.servers(&query).await.unwrap() {
            drop(cloud.live_migrate(server.id, Some(&host(4))).await);
        }
        tokio::time::sleep(Duration::from_secs(60)).await;
        remedy(&region, &shell, &host(3)).await;
        let providers = cloud.providers().await.unwrap();
        seen.push(region.with(|world| format!("{:?}{:?}{providers:?}", world.changes(), world.now())));
    }
    assert_eq!(seen[0], seen[1]);
}
