//! Small regions for the tests of this room.

use crate::model::{
    Aggregate, Cpu, Flavor, Group, GroupId, GroupPolicy, GroupRules, Host, HostFacts, HostIdentity, HostName, Instance,
    InstanceId, InstanceStatus, ProjectId, Region, RegionKind, Resources, Service, ServiceId, ServiceState,
    ServiceStatus,
};

/// A region under construction.
pub(super) struct Fixture(pub(super) Region);

impl Fixture {
    pub(super) fn new() -> Self {
        Self(Region {
            format: 1,
            kind: RegionKind::Region,
            taken_at: "2026-11-22T12:00:00Z".parse().unwrap(),
            region: "RegionOne".to_owned(),
            hosts: Vec::new(),
            instances: Vec::new(),
            aggregates: Vec::new(),
            groups: Vec::new(),
            histories: std::collections::BTreeMap::new(),
            gaps: Vec::new(),
        })
    }

    /// These hosts in zone `z`, with room for 64 MiB each.
    pub(super) fn of(names: &[&str]) -> Self {
        names.iter().fold(Self::new(), |fixture, name| fixture.host(name, "z", 64))
    }

    /// A healthy host with room for `memory_mb` MiB and plenty of everything else.
    pub(super) fn host(mut self, name: &str, zone: &str, memory_mb: u64) -> Self {
        self.0.hosts.push(Host {
            host: name.into(),
            zone: Some(zone.into()),
            rack: None,
            aggregates: vec![],
            traits: vec![],
            cell: None,
            hypervisor: Some("QEMU".to_owned()),
            identity: HostIdentity {
                machine_id: Some(format!("machine-{name}")),
                nova_host: Some(name.to_owned()),
                hostname: Some(name.to_owned()),
            },
            service: Service {
                id: ServiceId::new(format!("service-{name}")),
                state: ServiceState::Up,
                status: ServiceStatus::Enabled,
                disabled_reason: None,
                forced_down: false,
            },
            capacity: Resources::basic(1000, memory_mb, 10_000),
            facts: HostFacts::default(),
        });
        self
    }

    /// A running instance; its id is made of `number`.
    pub(super) fn instance(mut self, number: u128, host: &str, memory_mb: u64) -> Self {
        self.0.instances.push(Instance {
            id: id(number),
            name: format!("vm{number}"),
            project: ProjectId::from("p"),
            host: Some(host.into()),
            status: InstanceStatus::Active,
            task_state: None,
            power: None,
            locked: false,
            resources: Resources::basic(1, memory_mb, 10),
            group: None,
            pinned_zone: None,
            traits: vec![],
            flavor: None,
            image: std::collections::BTreeMap::new(),
            metadata: std::collections::BTreeMap::new(),
        });
        self
    }

    /// Puts instances into a group of its own.
    pub(super) fn group(mut self, name: &str, policy: GroupPolicy, members: &[u128]) -> Self {
        let group = GroupId::from(name);
        self.0.groups.push(Group { id: group.clone(), policy, rules: GroupRules::default() });
        for instance in &mut self.0.instances {
            if members.iter().any(|number| id(*number) == instance.id) {
                instance.group = Some(group.clone());
            }
        }
        self
    }

    /// An aggregate of these hosts, with one entry of metadata.
    pub(super) fn aggregate(mut self, name: &str, key: &str, value: &str, hosts: &[&str]) -> Self {
        let metadata = [(key.to_owned(), value.to_owned())].into();
        self.0.aggregates.push(Aggregate { name: name.to_owned(), metadata });
        for host in self.0.hosts.iter_mut().filter(|host| hosts.contains(&host.host.as_str())) {
            host.aggregates.push(name.to_owned());
        }
        self
    }

    /// Changes the host that was added last.
    pub(super) fn with_host(mut self, change: impl FnOnce(&mut Host)) -> Self {
        change(self.0.hosts.last_mut().unwrap());
        self
    }

    /// Changes the instance that was added last.
    pub(super) fn with_instance(mut self, change: impl FnOnce(&mut Instance)) -> Self {
        change(self.0.instances.last_mut().unwrap());
        self
    }
}

/// A flavor with one extra spec.
pub(super) fn flavor(key: &str, value: &str) -> impl FnOnce(&mut Instance) {
    let extra_specs = [(key.to_owned(), value.to_owned())].into();
    let flavor = Flavor { name: "m1".to_owned(), extra_specs };
    move |instance| instance.flavor = Some(Box::new(flavor))
}

/// A processor with these flags, which guests of the host get as it is.
pub(super) fn processor(flags: &[&str]) -> impl FnOnce(&mut Host) {
    let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
    let cpu = Cpu { vendor: "GenuineIntel".to_owned(), flags, ..Cpu::default() };
    move |host| {
        host.facts.cpu = Some(cpu);
        host.facts.nova_conf = Some(std::collections::BTreeMap::new());
    }
}

/// The instance id made of `number`.
pub(super) fn id(number: u128) -> InstanceId {
    InstanceId::new(uuid::Uuid::from_u128(number))
}

/// A host's name.
pub(super) fn host(name: &str) -> HostName {
    name.into()
}
