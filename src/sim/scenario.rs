//! Scenarios: how a simulated region is made, from a seed and a few numbers.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use rand::Rng;
use serde::{Deserialize, Serialize};

use super::faults::Faults;
use super::texts::{NOVA_CONF_CUSTOM, NOVA_CONF_HOST_MODEL};
use super::world::{
    Capacity, Machine, NewServer, Os, Processor, SimAggregate, SimHost, Timing, World, boot_id, dice, heaviest, uuid,
};
use crate::model::{
    Group, GroupId, GroupPolicy, GroupRules, HostIdentity, HostName, InstanceStatus, Percent, ProjectId, Resources,
    ZoneName,
};

/// The file kind of a scenario.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ScenarioKind {
    /// The only value.
    #[default]
    Scenario,
}

/// How a simulated region is made. The same scenario makes the same region.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Scenario {
    /// Version of the file format; 1.
    pub format: u32,
    /// Always `scenario`.
    pub kind: ScenarioKind,
    /// Name of the region.
    pub region: String,
    /// Decides everything that is left to chance.
    pub seed: u64,
    /// The region's time when it begins.
    pub start: Timestamp,
    /// Compute hosts.
    pub hosts: usize,
    /// Hosts that begin without instances.
    pub empty_hosts: usize,
    /// Instances; fewer where there is no room.
    pub instances: usize,
    /// Availability zones.
    pub zones: usize,
    /// Hosts in one rack.
    pub rack_size: usize,
    /// Anti-affinity groups, of up to three members.
    pub groups: usize,
    /// Projects.
    pub projects: usize,
    /// What each host may give to instances.
    pub capacity: HostCapacity,
    /// Share of hosts that are mitigated from the start.
    pub mitigated: Percent,
    /// Share of hosts whose processor does not have the flaw.
    pub not_affected: Percent,
    /// Share of hosts that run Ubuntu instead of RHEL.
    pub ubuntu: Percent,
    /// Share of hosts whose guests get a named CPU model without `md-clear`.
    pub custom_cpu: Percent,
    /// Share of instances that are stopped.
    pub stopped: Percent,
    /// Share of instances that are paused.
    pub paused: Percent,
    /// Share of instances that are locked.
    pub locked: Percent,
    /// Share of instances that asked for the zone they are in.
    pub pinned: Percent,
    /// On which of the hosts that may have one an instance begins.
    #[serde(skip_serializing_if = "Placing::is_in_turn")]
    pub placing: Placing,
    /// How long things take.
    pub timing: Timing,
    /// What goes wrong.
    pub faults: Faults,
}

/// How instances come to their first host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Placing {
    /// One host after the other.
    #[default]
    InTurn,
    /// As Nova's scheduler weighs hosts; members of a group still take turns.
    Weighed,
}

impl Placing {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde asks for")]
    fn is_in_turn(&self) -> bool {
        *self == Self::InTurn
    }
}

/// What each host may give to instances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostCapacity {
    /// Processors, each given out four times.
    pub vcpu: u64,
    /// MiB of memory, 2 GiB of it kept back.
    pub memory_mb: u64,
    /// GiB of disk.
    pub disk_gb: u64,
}

/// Flavors and how often each is drawn: vCPUs, MiB, GiB, weight.
const FLAVORS: [(u64, u64, u64, u32); 4] = [(1, 2048, 20, 5), (2, 4096, 40, 5), (4, 8192, 80, 3), (8, 16384, 160, 1)];

/// The first moment of a region that does not say another; any will do, as long as it is always the same.
const START: &str = "2026-11-22T12:00:00Z";

fn share(percent: f64) -> Percent {
    Percent::new(percent).unwrap_or_default()
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            format: 1,
            kind: ScenarioKind::Scenario,
            region: "SimOne".to_owned(),
            seed: 1,
            start: START.parse().unwrap_or(Timestamp::UNIX_EPOCH),
            hosts: 24,
            empty_hosts: 2,
            instances: 200,
            zones: 2,
            rack_size: 4,
            groups: 8,
            projects: 6,
            capacity: HostCapacity { vcpu: 32, memory_mb: 131_072, disk_gb: 4000 },
            mitigated: Percent::default(),
            not_affected: Percent::default(),
            ubuntu: Percent::default(),
            custom_cpu: Percent::default(),
            stopped: share(6.0),
            paused: share(3.0),
            locked: Percent::default(),
            pinned: share(10.0),
            placing: Placing::default(),
            timing: Timing::default(),
            faults: Faults::default(),
        }
    }
}

impl Scenario {
    /// A region of that size, everything else by default.
    pub fn sized(hosts: usize, instances: usize, seed: u64) -> Self {
        let groups = (instances / 25).min(hosts);
        Self { seed, hosts, instances, groups, ..Self::default() }
    }

    /// Makes the region.
    pub fn build(&self) -> World {
        let mut world = World::new(self.region.clone(), self.seed, self.start, self.timing.clone());
        let hosts = self.add_hosts(&mut world);
        self.add_aggregates(&mut world, &hosts);
        self.add_instances(&mut world, &hosts);
        world.set_faults(self.faults.clone());
        world
    }

    fn add_hosts(&self, world: &mut World) -> Vec<(HostName, ZoneName)> {
        let zones = self.zones.max(1);
        let width = self.hosts.to_string().len();
        let mut hosts = Vec::with_capacity(self.hosts);
        for index in 0..self.hosts {
            // Numbers of one width, so that names sort as people count.
            let name = HostName::new(format!("compute-{:0width$}", index + 1));
            let zone = ZoneName::new(format!("az{}", index % zones + 1));
            world.add_host(&name, &zone, self.inventory(), self.machine(&name));
            hosts.push((name, zone));
        }
        hosts
    }

    fn inventory(&self) -> BTreeMap<String, Capacity> {
        let HostCapacity { vcpu, memory_mb, disk_gb } = self.capacity;
        [
            ("VCPU", Capacity { total: vcpu, reserved: 0, ratio_percent: 400 }),
            ("MEMORY_MB", Capacity { total: memory_mb, reserved: 2048.min(memory_mb / 8), ratio_percent: 100 }),
            ("DISK_GB", Capacity { total: disk_gb, reserved: 0, ratio_percent: 100 }),
        ]
        .into_iter()
        .map(|(class, capacity)| (class.to_owned(), capacity))
        .collect()
    }

    fn machine(&self, name: &HostName) -> Machine {
        let mut dice = dice(self.seed, "machine", name.as_str(), 0);
        let mut draw = |share: Percent| dice.random::<f64>() < share.fraction();
        let (ubuntu, not_affected) = (draw(self.ubuntu), draw(self.not_affected));
        let (mitigated, custom) = (draw(self.mitigated), draw(self.custom_cpu));
        let identity = HostIdentity {
            machine_id: Some(uuid(&mut dice).simple().to_string()),
            nova_host: Some(name.to_string()),
            hostname: Some(name.to_string()),
        };
        let os = if ubuntu { Os::Bionic } else { Os::El7 };
        let processor = if not_affected { Processor::NotAffected } else { Processor::Affected };
        // Hosts have been up for months when a rollout begins.
        let booted = self.start.checked_sub(std::time::Duration::from_secs(90 * 24 * 3600)).unwrap_or(self.start);
        let mut machine = Machine::new(identity, os, processor, boot_id(self.seed, name, 0), booted);
        let nova_conf = if custom { NOVA_CONF_CUSTOM } else { NOVA_CONF_HOST_MODEL };
        nova_conf.clone_into(&mut machine.nova_conf);
        if mitigated || not_affected {
            machine.mitigate();
        }
        machine
    }

    fn add_aggregates(&self, world: &mut World, hosts: &[(HostName, ZoneName)]) {
        let mut members: BTreeMap<(String, &str, String), BTreeSet<HostName>> = BTreeMap::new();
        for (index, (host, zone)) in hosts.iter().enumerate() {
            let rack = format!("r{}", index / self.rack_size.max(1) + 1);
            let zone_key = (format!("zone-{zone}"), "availability_zone", zone.to_string());
            members.entry(zone_key).or_default().insert(host.clone());
            members.entry((format!("rack-{rack}"), "rack", rack)).or_default().insert(host.clone());
        }
        for ((name, key, value), hosts) in members {
            let uuid = uuid(&mut dice(self.seed, "aggregate", &name, 0)).to_string();
            let metadata = BTreeMap::from([(key.to_owned(), value)]);
            world.add_aggregate(SimAggregate { name, uuid, hosts, metadata });
        }
    }

    fn add_instances(&self, world: &mut World, hosts: &[(HostName, ZoneName)]) {
        let homes = &hosts[..hosts.len().saturating_sub(self.empty_hosts)];
        if homes.is_empty() {
            return;
        }
        let groups: Vec<GroupId> = (1..=self.groups)
            .map(|number| {
                let id = GroupId::new(uuid(&mut dice(self.seed, "group", "", number as u64)).to_string());
                let rules = GroupRules::default();
                world.add_group(
                    format!("aa-{number}"),
                    Group { id: id.clone(), policy: GroupPolicy::AntiAffinity, rules },
                );
                id
            })
            .collect();
        // Members of a group stand on hosts next to each other, of which there must be enough.
        let group_size = 3.min(homes.len());
        let width = self.instances.to_string().len();
        for index in 0..self.instances {
            let group = groups.get(index / group_size).cloned();
            let name = match &group {
                Some(_) => format!("aa-{}-{}", index / group_size + 1, index % group_size + 1),
                None => format!("vm-{:0width$}", index + 1),
            };
            let draw = self.draw_instance(&name);
            // The first host from its turn on that has room; nothing where none has.
            let turn = (index..index + homes.len()).map(|at| &homes[at % homes.len()]);
            let fit =
                |(host, _): &&(HostName, ZoneName)| world.host(host).is_some_and(|host| fits(&draw.resources, host));
            let home = match self.placing {
                Placing::Weighed if group.is_none() => {
                    let offered: Vec<&SimHost> =
                        homes.iter().filter(fit).filter_map(|(host, _)| world.host(host)).collect();
                    heaviest(&offered).map(|host| (host.name.clone(), host.zone.clone()))
                }
                Placing::Weighed | Placing::InTurn => turn.into_iter().find(fit).cloned(),
            };
            let Some((host, zone)) = home else { continue };
            let pinned_zone = draw.pinned.then_some(zone);
            world.add_server(NewServer {
                id: None,
                name,
                project: draw.project,
                host,
                status: draw.status,
                resources: draw.resources,
                group,
                pinned_zone,
                traits: Vec::new(),
                metadata: BTreeMap::new(),
                locked: draw.locked,
            });
        }
    }

    fn draw_instance(&self, name: &str) -> Drawn {
        let mut dice = dice(self.seed, "instance", name, 0);
        let total: u32 = FLAVORS.iter().map(|flavor| flavor.3).sum();
        let mut ticket = dice.random_range(0..total);
        let flavor = FLAVORS.iter().find(|flavor| {
            let hit = ticket < flavor.3;
            ticket = ticket.saturating_sub(flavor.3);
            hit
        });
        let (vcpu, memory, disk, _) = *flavor.unwrap_or(&FLAVORS[0]);
        let lot = dice.random::<f64>();
        let status = if lot < self.stopped.fraction() {
            InstanceStatus::Shutoff
        } else if lot < self.stopped.fraction() + self.paused.fraction() {
            InstanceStatus::Paused
        } else {
            InstanceStatus::Active
        };
        let project = dice.random_range(0..self.projects.max(1)) as u64;
        Drawn {
            resources: Resources::basic(vcpu, memory, disk),
            status,
            locked: dice.random::<f64>() < self.locked.fraction(),
            pinned: dice.random::<f64>() < self.pinned.fraction(),
            project: ProjectId::new(
                uuid(&mut super::world::dice(self.seed, "project", "", project)).simple().to_string(),
            ),
        }
    }
}

/// What chance decides of an instance.
struct Drawn {
    resources: Resources,
    status: InstanceStatus,
    locked: bool,
    pinned: bool,
    project: ProjectId,
}

fn fits(resources: &Resources, host: &SimHost) -> bool {
    let mut wanted = host.used();
    wanted.add(resources);
    wanted.fits_in(&host.allocatable())
}
