//! Compute hosts: what Nova and Placement keep of them, and the machine below.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::job::JobState;
use super::machine::Machine;
use super::random::Spread;
use super::service::{ComputeProcess, ServiceRow};
use super::{World, random};
use crate::model::{DomainState, HostName, InstanceId, RequestId, Resources, ServiceId, UnitName, ZoneName};

/// One resource class of a host, as Placement keeps it.
#[derive(Debug, Clone, PartialEq)]
pub struct Capacity {
    /// How much there is.
    pub total: u64,
    /// How much is kept back.
    pub reserved: u64,
    /// How often it may be given out, in hundredths.
    pub ratio_percent: u64,
}

impl Capacity {
    /// What may be allocated.
    pub fn allocatable(&self) -> u64 {
        self.total.saturating_sub(self.reserved) * self.ratio_percent / 100
    }
}

/// A libvirt domain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimDomain {
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: DomainState,
    /// Whether it only receives memory: it ends without loss when its host does.
    pub incoming: bool,
}

/// A message that waits for nova-compute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Message {
    Start(InstanceId, RequestId),
    Stop(InstanceId, RequestId),
    Delete(InstanceId),
    Build(InstanceId, RequestId),
}

/// A compute host.
#[derive(Debug, Clone)]
pub struct SimHost {
    /// Nova's name.
    pub name: HostName,
    /// Availability zone.
    pub zone: ZoneName,
    /// The row in Nova's table of services.
    pub service: ServiceRow,
    /// UUID of its hypervisor and resource provider.
    pub provider: Uuid,
    /// Inventories by resource class.
    pub inventory: BTreeMap<String, Capacity>,
    /// Traits, without the one that tells that the service is disabled.
    pub traits: Vec<String>,
    /// Whether Placement has the trait that tells that the service is disabled.
    pub disabled_trait: bool,
    /// Domains by instance.
    pub domains: BTreeMap<InstanceId, SimDomain>,
    /// The machine.
    pub machine: Machine,
    /// The nova-compute process.
    pub compute: ComputeProcess,
    /// Allocations by consumer: an instance's or a migration's UUID.
    pub(super) allocations: BTreeMap<Uuid, Resources>,
    /// Servers that Nova places here.
    pub(super) servers: BTreeSet<InstanceId>,
    /// Instances that left by live migration and in which the scheduler may still believe, with the time of leaving.
    pub(super) departed: BTreeMap<InstanceId, Timestamp>,
    /// Messages for nova-compute that it has not taken.
    pub(super) inbox: VecDeque<Message>,
}

impl SimHost {
    /// What may be allocated, by class.
    pub fn allocatable(&self) -> Resources {
        self.inventory.iter().map(|(class, capacity)| (class.clone(), capacity.allocatable())).collect()
    }

    /// What is allocated, by class.
    pub fn used(&self) -> Resources {
        let mut used = Resources::default();
        for resources in self.allocations.values() {
            used.add(resources);
        }
        used
    }

    /// Its traits in Placement.
    pub fn placement_traits(&self) -> Vec<String> {
        let mut traits = self.traits.clone();
        if self.disabled_trait {
            traits.push("COMPUTE_STATUS_DISABLED".to_owned());
        }
        traits.sort();
        traits
    }

    /// Allocations by consumer.
    pub fn allocations(&self) -> impl Iterator<Item = (Uuid, &Resources)> {
        self.allocations.iter().map(|(consumer, resources)| (*consumer, resources))
    }

    /// Servers that Nova places here.
    pub fn servers(&self) -> impl Iterator<Item = InstanceId> {
        self.servers.iter().copied()
    }

    /// Domains that would be lost if the host went down.
    pub fn live_domains(&self) -> impl Iterator<Item = (InstanceId, &SimDomain)> {
        self.domains.iter().filter(|(_, domain)| domain.state.would_be_lost()).map(|(id, domain)| (*id, domain))
    }

    /// Units of jobs that run.
    pub(super) fn jobs_running(&self) -> Vec<UnitName> {
        let running = self.machine.jobs.iter().filter(|(_, job)| job.state == JobState::Running);
        running.map(|(unit, _)| unit.clone()).collect()
    }

    /// What is free of a class.
    pub(in crate::sim) fn free(&self, class: &str) -> u64 {
        let used: u64 = self.allocations.values().map(|held| held.get(class)).sum();
        self.inventory.get(class).map_or(0, Capacity::allocatable).saturating_sub(used)
    }

    /// Whether `resources` fit beside what is allocated.
    pub(super) fn has_room(&self, resources: &Resources) -> bool {
        resources.iter().all(|(class, amount)| {
            let used: u64 = self.allocations.values().map(|held| held.get(class)).sum();
            used + amount <= self.inventory.get(class).map_or(0, Capacity::allocatable)
        })
    }
}

impl World {
    /// Adds a host; its service reports at once.
    pub fn add_host(
        &mut self,
        name: &HostName,
        zone: &ZoneName,
        inventory: BTreeMap<String, Capacity>,
        machine: Machine,
    ) {
        let mut dice = self.dice("host", name.as_str(), 0);
        let service = ServiceRow::new(ServiceId::new(random::uuid(&mut dice).to_string()), self.now);
        let phase = Spread::between(Duration::ZERO, self.timing.report_interval.get()).draw(&mut dice);
        let host = SimHost {
            name: name.clone(),
            zone: zone.clone(),
            service,
            provider: random::uuid(&mut dice),
            inventory,
            traits: vec!["COMPUTE_NODE".to_owned(), "HW_CPU_X86_VMX".to_owned()],
            disabled_trait: false,
            domains: BTreeMap::new(),
            machine,
            compute: ComputeProcess::running_since(self.now, phase),
            allocations: BTreeMap::new(),
            servers: BTreeSet::new(),
            departed: BTreeMap::new(),
            inbox: VecDeque::new(),
        };
        self.hosts.insert(name.clone(), host);
        self.index_host(name);
    }

    /// Finds a host by its provider and its service from here on; called again when a scenario has changed their ids.
    pub fn index_host(&mut self, name: &HostName) {
        if let Some(host) = self.hosts.get(name) {
            self.host_of_provider.insert(host.provider, name.clone());
            self.host_of_service.insert(host.service.id.clone(), name.clone());
        }
    }

    /// nova-compute of a host has not reported for long, and does not.
    pub fn silence(&mut self, name: &HostName) {
        let long_ago = self.now.checked_sub(self.timing.service_down.get() * 2).unwrap_or(Timestamp::UNIX_EPOCH);
        if let Some(host) = self.hosts.get_mut(name) {
            host.compute.die_at(long_ago);
        }
    }

    /// A host for changes that a scenario makes before time begins; rooms outside `sim` only read hosts.
    pub fn host_mut(&mut self, name: &HostName) -> Option<&mut SimHost> {
        self.hosts.get_mut(name)
    }
}
