//! The whole way through the simulated region's ports, and what disagrees, made by hand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{LazyLock, Mutex};

use async_trait::async_trait;
use uuid::Uuid;

use super::*;
use crate::cloud::{
    Accepted, Aggregate, Allocation, ApiCost, CloudError, CloudErrorKind, Compute, ComputeService, Hypervisor,
    InstanceAction, Migration, MigrationKind, MigrationProgress, MigrationStatus, MigrationsQuery, Placement,
    PowerState, Provider, Server, ServerGroup, ServersQuery,
};
use crate::host::{
    Boot, FenceOrder, HostError, HostErrorKind, HostResult, Inquiry, JobOrder, JobStatus, RawFacts, RebootOrder,
    Section, facts::section,
};
use crate::model::{
    Domain, Gap, GapCause, GapKind, Group, GroupId, GroupPolicy, GroupRules, HostIdentity, InstanceId, InstanceStatus,
    ProjectId, Resources, Service, ServiceId, ServiceState, ServiceStatus, UnitName,
};
use crate::sim::{Scenario, SimCloud, SimRegion, SimShell};

fn silent(_: Progress) {}

/// Nothing beside what every host tells.
static NOWHERE: OwnPlaces = OwnPlaces { runner: None, journal: BTreeSet::new() };
static NOTHING: Inquiry = Inquiry {
    packages: BTreeSet::new(),
    kernel_files: BTreeSet::new(),
    guest_flags: BTreeSet::new(),
    repositories: false,
};

/// The configuration's default.
static RACKS: LazyLock<[String; 1]> = LazyLock::new(|| ["rack".to_owned()]);

fn order<'a>(cloud: &'a dyn Cloud, shell: Option<&'a dyn HostShell>) -> Order<'a> {
    Order {
        cloud,
        shell,
        inquiry: &NOTHING,
        parallel: 3,
        rack_keys: &*RACKS,
        taken_at: Timestamp::UNIX_EPOCH,
        own: &NOWHERE,
    }
}

#[tokio::test(start_paused = true)]
async fn a_healthy_region_is_seen_whole_and_without_gaps() {
    let sim = SimRegion::new(Scenario::sized(6, 30, 3).build(), 1.0);
    let (cloud, shell) = (SimCloud::new(sim.clone()), SimShell::new(sim.clone()));
    let told = Mutex::new(Vec::new());
    let inquiry = Inquiry { packages: ["kernel".to_owned()].into(), ..Inquiry::default() };
    let order = Order { inquiry: &inquiry, ..order(&cloud, Some(&shell)) };
    let region = take(&order, &|progress| told.lock().unwrap().push(progress)).await.unwrap();

    assert_eq!(region.gaps, []);
    let names: Vec<String> = region.hosts.iter().map(|host| host.host.to_string()).collect();
    assert_eq!(names, ["compute-1", "compute-2", "compute-3", "compute-4", "compute-5", "compute-6"]);
    for host in &region.hosts {
        assert!(host.identity.is_known() && host.facts.kernel.is_some() && host.zone.is_some(), "{host:?}");
        assert_eq!(host.facts.packages.iter().map(|package| package.name.as_str()).collect::<Vec<_>>(), ["kernel"]);
        assert!(host.rack.is_some() && host.capacity.get("VCPU") > 0 && !host.traits.is_empty(), "{host:?}");
    }
    assert_eq!(region.instances.len(), 30);
    assert!(region.instances.is_sorted_by_key(|instance| instance.id));
    assert!(region.instances.iter().any(|instance| instance.group.is_some()));
    let told = told.into_inner().unwrap();
    assert!(told.contains(&Progress::Listed(List::Instances, 30)), "{told:?}");
    assert_eq!(told.last(), Some(&Progress::Hosts(6, 6)));
}

#[tokio::test(start_paused = true)]
async fn hosts_that_are_not_asked_are_one_gap() {
    let sim = SimRegion::new(Scenario::sized(3, 4, 3).build(), 1.0);
    let cloud = SimCloud::new(sim);
    let region = take(&order(&cloud, None), &silent).await.unwrap();
    assert_eq!(kinds(&region), [(GapKind::HostFacts, "SimOne")]);
}

/// A cloud that says what it was made to say; `later` is what it says of allocations from the second time on.
#[derive(Default)]
struct Said {
    services: Vec<ComputeService>,
    hypervisors: Vec<Hypervisor>,
    aggregates: Vec<Aggregate>,
    groups: Vec<ServerGroup>,
    servers: Vec<Server>,
    migrations: Vec<Migration>,
    providers: Vec<Provider>,
    allocations: BTreeMap<String, Vec<Allocation>>,
    later: Option<BTreeMap<String, Vec<Allocation>>>,
    asked: Mutex<BTreeMap<String, u32>>,
}

fn instance(number: u128) -> InstanceId {
    InstanceId::new(Uuid::from_u128(number))
}

fn held(consumer: &str) -> Allocation {
    Allocation { consumer: consumer.to_owned(), resources: Resources::basic(1, 64, 0) }
}

fn server(number: u128, host: Option<&str>) -> Server {
    Server {
        id: instance(number),
        name: format!("vm{number}"),
        project: ProjectId::new("p"),
        host: host.map(HostName::new),
        status: InstanceStatus::Active,
        vm_state: "active".to_owned(),
        task_state: None,
        power_state: PowerState::Running,
        locked: false,
        locked_reason: None,
        zone: None,
        pinned_zone: None,
        resources: Resources::basic(1, 64, 10),
        flavor: None,
        image: BTreeMap::new(),
        groups: Vec::new(),
        traits: Vec::new(),
        metadata: BTreeMap::new(),
        fault: None,
        launched_at: None,
        updated: None,
        progress: None,
    }
}

fn migration(number: u128, uuid: &str) -> Migration {
    Migration {
        id: 1,
        uuid: Some(uuid.to_owned()),
        instance: instance(number),
        status: MigrationStatus::Running,
        kind: MigrationKind::Live,
        source: None,
        target: None,
        created_at: None,
        updated_at: None,
    }
}

impl Said {
    /// Hosts `c1` and `c2`, each its own provider, with nothing on them.
    fn two_hosts() -> Self {
        let mut said = Self::default();
        for name in ["c1", "c2"] {
            said.services.push(ComputeService {
                host: HostName::new(name),
                zone: Some("az1".into()),
                service: Service {
                    id: ServiceId::new(format!("s-{name}")),
                    state: ServiceState::Up,
                    status: ServiceStatus::Enabled,
                    disabled_reason: None,
                    forced_down: false,
                },
                updated_at: None,
                cell_is_down: false,
            });
            let id = format!("rp-{name}");
            said.hypervisors.push(Hypervisor {
                id: id.clone(),
                hostname: format!("{name}.example"),
                host: HostName::new(name),
                kind: "QEMU".to_owned(),
            });
            said.providers.push(Provider {
                id,
                name: format!("{name}.example"),
                capacity: Resources::basic(8, 1024, 0),
                used: Resources::default(),
                traits: vec!["B".to_owned(), "A".to_owned()],
                aggregates: Vec::new(),
            });
        }
        said
    }

    fn hold(mut self, host: &str, consumers: &[String]) -> Self {
        self.allocations.insert(format!("rp-{host}"), consumers.iter().map(|consumer| held(consumer)).collect());
        self
    }

    async fn gaps(&self) -> Vec<Gap> {
        let region = take(&order(self, None), &silent).await.unwrap();
        region.gaps.into_iter().filter(|gap| gap.kind != GapKind::HostFacts).collect()
    }
}

fn kinds(region: &Region) -> Vec<(GapKind, &str)> {
    region.gaps.iter().map(|gap| (gap.kind, gap.at.as_str())).collect()
}

#[tokio::test]
async fn what_placement_holds_on_the_own_host_wins_over_the_flavor() {
    let mut said = Said::two_hosts().hold("c1", &[instance(1).to_string()]);
    said.servers = vec![server(1, Some("c1")), server(2, None)];
    said.groups = vec![ServerGroup {
        group: Group { id: GroupId::new("g"), policy: GroupPolicy::AntiAffinity, rules: GroupRules::default() },
        members: vec![instance(1)],
    }];
    said.aggregates = vec![Aggregate {
        name: "racks".to_owned(),
        zone: None,
        hosts: vec![HostName::new("c1")],
        metadata: BTreeMap::from([("rack".to_owned(), "r7".to_owned())]),
    }];
    let region = take(&order(&said, None), &silent).await.unwrap();
    let resources: Vec<u64> = region.instances.iter().map(|instance| instance.resources.get("DISK_GB")).collect();
    assert_eq!(resources, [0, 10]);
    assert_eq!(region.instances[0].group, Some(GroupId::new("g")));
    assert_eq!((region.hosts[0].rack.as_deref(), region.hosts[1].rack.as_deref()), (Some("r7"), None));
    assert_eq!(region.hosts[0].traits, ["A", "B"]);
    assert_eq!(region.hosts[0].capacity.get("VCPU"), 8);
}

#[tokio::test(start_paused = true)]
async fn aggregates_keep_their_metadata_and_configured_keys_of_it_name_racks() {
    let mut said = Said::two_hosts();
    let aggregate = |name: &str, host: &str, metadata: &[(&str, &str)]| Aggregate {
        name: name.to_owned(),
        zone: None,
        hosts: vec![HostName::new(host)],
        metadata: metadata.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect(),
    };
    said.aggregates = vec![
        aggregate("b", "c2", &[("row", "w2"), ("filter_tenant_id", "p")]),
        aggregate("a", "c1", &[("row", "w1"), ("cabinet", "k1")]),
    ];
    let keys = ["cabinet", "row"].map(str::to_owned);
    let region = take(&Order { rack_keys: &keys, ..order(&said, None) }, &silent).await.unwrap();
    let racks: Vec<Option<&str>> = region.hosts.iter().map(|host| host.rack.as_deref()).collect();
    assert_eq!(racks, [Some("k1"), Some("w2")]);
    assert_eq!(region.aggregates.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(region.aggregates[1].metadata["filter_tenant_id"], "p");
}

#[tokio::test]
async fn allocations_that_nova_does_not_explain_are_gaps() {
    let strange = Uuid::from_u128(9).to_string();
    let mut said = Said::two_hosts().hold("c1", &[strange.clone(), instance(2).to_string()]);
    said.servers = vec![server(1, Some("c1")), server(2, Some("c2"))];
    let gaps: Vec<String> = said.gaps().await.iter().map(|gap| format!("{} {}", gap.at, gap.detail)).collect();
    let [one, two, nine] = [1, 2, 9].map(|number| Uuid::from_u128(number).to_string());
    assert_eq!(
        gaps,
        [
            format!("{one} Nova places the instance on c1, but Placement holds no allocation for it there"),
            format!("{two} Nova places the instance on c2, but Placement holds no allocation for it there"),
            format!("{two} Placement holds an allocation on c1, but Nova places it on c2"),
            format!("{nine} Placement holds an allocation on c1, but Nova lists no such instance"),
        ]
    );
}

#[tokio::test]
async fn what_is_under_way_or_over_by_the_second_look_is_no_gap() {
    // A live migration holds its source under the record's UUID and its target under the instance's.
    let mut said = Said::two_hosts()
        .hold("c1", &["m1".to_owned()])
        .hold("c2", &[instance(1).to_string(), instance(3).to_string()]);
    said.servers = vec![server(1, Some("c1")), server(3, None)];
    said.migrations = vec![migration(1, "m1")];
    assert_eq!(said.gaps().await, []);

    // An instance that was deleted after the lists were read.
    let mut said = Said::two_hosts().hold("c1", &[instance(4).to_string()]);
    said.later = Some(BTreeMap::new());
    assert_eq!(said.gaps().await, []);
}

#[tokio::test]
async fn a_cell_that_is_down_and_a_host_without_provider_are_gaps() {
    let mut said = Said::two_hosts();
    said.services[0].cell_is_down = true;
    said.hypervisors.clear();
    said.servers = vec![Server { status: InstanceStatus::Unknown, ..server(1, None) }];
    let gaps: Vec<(GapKind, String)> = said.gaps().await.into_iter().map(|gap| (gap.kind, gap.at)).collect();
    let expected = [
        (GapKind::Provider, "c2".to_owned()),
        (GapKind::Cell, instance(1).to_string()),
        (GapKind::Cell, "c1".to_owned()),
    ];
    assert_eq!(gaps, expected);
}

#[tokio::test]
async fn a_host_that_is_silent_nameless_or_another_machine_is_a_gap_and_brings_no_facts() {
    for (answer, kind, detail) in [
        (Machine::Silent, GapKind::HostFacts, "collect facts: connection timed out"),
        (Machine::Called("c9"), GapKind::HostIdentity, "the machine that answers is `c9` to Nova, not this host"),
        (Machine::Nameless, GapKind::HostIdentity, "its machine-id or Nova's name for it could not be read"),
    ] {
        let mut said = Said::two_hosts();
        said.services.truncate(1);
        let nameless = answer == Machine::Nameless;
        let cause = (answer == Machine::Silent).then_some(GapCause::Unreachable);
        let region = take(&order(&said, Some(&answer)), &silent).await.unwrap();
        assert_eq!(region.gaps, [Gap { kind, at: "c1".to_owned(), detail: detail.to_owned(), cause }]);
        assert_eq!(region.hosts[0].facts.kernel.is_some(), nameless, "facts only of a machine that is not another");
    }
}

/// A machine at the end of an ssh address.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Machine {
    Silent,
    Called(&'static str),
    Nameless,
}

#[async_trait]
impl HostShell for Machine {
    async fn collect(&self, host: &HostName, _: &Inquiry) -> HostResult<RawFacts> {
        let mut sections = BTreeMap::from([(section::KERNEL.to_owned(), "3.10.0".to_owned())]);
        match self {
            Self::Silent => {
                let kind = HostErrorKind::Unreachable;
                return Err(HostError::new(host, "collect facts", kind, "connection timed out"));
            }
            Self::Called(name) => {
                sections.insert(section::NOVA_HOST.to_owned(), (*name).to_owned());
            }
            Self::Nameless => {}
        }
        let sections = sections.into_iter().map(|(name, text)| (name, Section { status: 0, text }));
        Ok(RawFacts { sections: sections.collect() })
    }
    async fn identity(&self, _: &HostName) -> HostResult<HostIdentity> {
        unreachable!("an inventory collects")
    }
    async fn boot(&self, _: &HostName) -> HostResult<Boot> {
        unreachable!("an inventory collects")
    }
    async fn domains(&self, _: &HostName) -> HostResult<Vec<Domain>> {
        unreachable!("an inventory collects")
    }
    async fn start_job(&self, _: &JobOrder) -> HostResult<()> {
        unreachable!("an inventory changes nothing")
    }
    async fn job(&self, _: &HostName, _: &UnitName) -> HostResult<JobStatus> {
        unreachable!("an inventory collects")
    }
    async fn forget_job(&self, _: &HostName, _: &UnitName) -> HostResult<()> {
        unreachable!("an inventory changes nothing")
    }
    async fn fence(&self, _: &FenceOrder) -> HostResult<()> {
        unreachable!("an inventory changes nothing")
    }
    async fn reboot(&self, _: &RebootOrder) -> HostResult<()> {
        unreachable!("an inventory changes nothing")
    }
}

fn change<T>() -> CloudResult<T> {
    Err(CloudError::new(CloudErrorKind::Unsupported, "change", "an inventory changes nothing"))
}

#[async_trait]
impl Compute for Said {
    async fn services(&self) -> CloudResult<Vec<ComputeService>> {
        Ok(self.services.clone())
    }
    async fn disable_service(&self, _: &ServiceId, _: &str) -> CloudResult<Accepted> {
        change()
    }
    async fn enable_service(&self, _: &ServiceId) -> CloudResult<Accepted> {
        change()
    }
    async fn hypervisors(&self) -> CloudResult<Vec<Hypervisor>> {
        Ok(self.hypervisors.clone())
    }
    async fn aggregates(&self) -> CloudResult<Vec<Aggregate>> {
        Ok(self.aggregates.clone())
    }
    async fn server_groups(&self) -> CloudResult<Vec<ServerGroup>> {
        Ok(self.groups.clone())
    }
    async fn servers(&self, query: &ServersQuery) -> CloudResult<Vec<Server>> {
        let wanted = |server: &&Server| query.host.is_none() || server.host == query.host;
        Ok(self.servers.iter().filter(wanted).cloned().collect())
    }
    async fn server(&self, _: InstanceId) -> CloudResult<Server> {
        change()
    }
    async fn migrations(&self, _: &MigrationsQuery) -> CloudResult<Vec<Migration>> {
        Ok(self.migrations.clone())
    }
    async fn migration_progress(&self, _: InstanceId, _: u64) -> CloudResult<Option<MigrationProgress>> {
        change()
    }
    async fn live_migrate(&self, _: InstanceId, _: Option<&HostName>) -> CloudResult<Accepted> {
        change()
    }
    async fn cold_migrate(&self, _: InstanceId, _: Option<&HostName>) -> CloudResult<Accepted> {
        change()
    }
    async fn confirm_resize(&self, _: InstanceId) -> CloudResult<Accepted> {
        change()
    }
    async fn abort_migration(&self, _: InstanceId, _: u64) -> CloudResult<Accepted> {
        change()
    }
    async fn force_complete(&self, _: InstanceId, _: u64) -> CloudResult<Accepted> {
        change()
    }
    async fn stop(&self, _: InstanceId) -> CloudResult<Accepted> {
        change()
    }
    async fn start(&self, _: InstanceId) -> CloudResult<Accepted> {
        change()
    }
    async fn instance_actions(&self, _: InstanceId) -> CloudResult<Vec<InstanceAction>> {
        change()
    }
}

#[async_trait]
impl Placement for Said {
    async fn providers(&self) -> CloudResult<Vec<Provider>> {
        Ok(self.providers.clone())
    }
    async fn provider(&self, _: &HostName) -> CloudResult<Option<Provider>> {
        change()
    }
    async fn allocations(&self, provider: &str) -> CloudResult<Vec<Allocation>> {
        let mut asked = self.asked.lock().unwrap();
        let times = asked.entry(provider.to_owned()).or_default();
        *times += 1;
        let later = self.later.as_ref().filter(|_| *times > 1);
        Ok(later.unwrap_or(&self.allocations).get(provider).cloned().unwrap_or_default())
    }
}

impl Cloud for Said {
    fn region(&self) -> &'static str {
        "R1"
    }
    fn cost(&self) -> ApiCost {
        ApiCost::default()
    }
}
