//! A simulated region that begins as a snapshot says: what a rehearsal runs on.
//!
//! Zones, racks, aggregates, capacities, services, identities, instances and groups are those of the snapshot. The
//! machines are the simulator's own kind, vulnerable where the rollout plans to remedy them and mitigated elsewhere.
//! Simulated instances have neither flavors nor image properties.

use std::collections::{BTreeMap, BTreeSet};

use super::pace::Pace;
use crate::config;
use crate::config::shipped::{REMEDIES, find};
use crate::model::{Host, HostIdentity, HostName, Instance, Region, ServiceState, ServiceStatus, ZoneName};
use crate::plan::{PlannedHost, Rollout};
use crate::remedy::Remedy;
use crate::sim::NOVA_CONF_HOST_MODEL;
use crate::sim::faults::Faults;
use crate::sim::world::{
    Capacity, Machine, NewServer, Os, Processor, ServiceChange, SimAggregate, World, boot_id, dice, uuid,
};

/// The zone of hosts whose zone is unknown: Nova's own default.
const DEFAULT_ZONE: &str = "nova";

/// The remedy that the simulator's machines know how to take.
const STAND_IN: &str = "mds";

/// The rollout as a rehearsal runs it: with a remedy that the simulated machines know how to take in place of its own.
pub(super) fn rollout_for(rollout: &Rollout) -> Rollout {
    let shipped = find(REMEDIES, STAND_IN).expect("the remedy is shipped, and a test reads all that are");
    let remedy: Remedy =
        config::read_remedy(shipped.path, shipped.text).expect("a test reads every remedy that is shipped");
    Rollout { remedy, ..rollout.clone() }
}

/// Makes a world of a snapshot, `seed` deciding what is left to chance.
pub(super) fn world_of(region: &Region, rollout: &Rollout, seed: u64, pace: &Pace, faults: &Faults) -> World {
    let mut world = World::new(region.region.clone(), seed, region.taken_at, pace.timing.clone());
    world.forget_history();
    for group in &region.groups {
        world.add_group(group.id.to_string(), group.clone());
    }
    let planned: BTreeMap<&HostName, &PlannedHost> =
        rollout.hosts.iter().map(|planned| (&planned.host, planned)).collect();
    for host in &region.hosts {
        add_host(&mut world, host, planned.get(&host.host).copied(), seed);
        if let (Some(percent), Some(made)) = (pace.hosts.get(&host.host), world.host_mut(&host.host)) {
            made.machine.pace_percent = *percent;
        }
    }
    add_aggregates(&mut world, region, seed);
    for instance in &region.instances {
        add_instance(&mut world, instance);
    }
    world.set_faults(faults.clone());
    world
}

fn add_host(world: &mut World, host: &Host, planned: Option<&PlannedHost>, seed: u64) {
    let zone = host.zone.clone().unwrap_or_else(|| ZoneName::new(DEFAULT_ZONE));
    let capacity = |total| Capacity { total, reserved: 0, ratio_percent: 100 };
    let inventory: BTreeMap<String, Capacity> =
        host.capacity.iter().map(|(class, amount)| (class.to_owned(), capacity(amount))).collect();
    world.add_host(&host.host, &zone, inventory, machine(host, planned, seed, world));
    if let Some(made) = world.host_mut(&host.host) {
        made.traits = host.traits.iter().filter(|name| *name != "COMPUTE_STATUS_DISABLED").cloned().collect();
        // A snapshot names services by their ids, and so does a rollout made from it.
        made.service.id = host.service.id.clone();
    }
    world.index_host(&host.host);
    if host.service.status == ServiceStatus::Disabled || host.service.forced_down {
        let change = ServiceChange {
            status: Some(host.service.status),
            disabled_reason: host.service.disabled_reason.clone(),
            forced_down: Some(host.service.forced_down),
        };
        // The host was added a moment ago: its service is there.
        drop(world.update_service(host.service.id.as_str(), &change));
    }
    if host.service.state == ServiceState::Down {
        world.silence(&host.host);
    }
}

/// The machine below a host. What the snapshot does not say of its identity is as the rollout has it: a snapshot without
/// hosts' own facts can be rehearsed, and one that contradicts the rollout shows what a run would say.
fn machine(host: &Host, planned: Option<&PlannedHost>, seed: u64, world: &World) -> Machine {
    let known = planned.map(|planned| planned.identity.clone()).unwrap_or_default();
    let name = || Some(host.host.to_string());
    let made_up = || Some(uuid(&mut dice(seed, "machine-id", host.host.as_str(), 0)).simple().to_string());
    let seen = &host.identity;
    let identity = HostIdentity {
        machine_id: seen.machine_id.clone().or(known.machine_id).or_else(made_up),
        nova_host: seen.nova_host.clone().or(known.nova_host).or_else(name),
        hostname: seen.hostname.clone().or(known.hostname).or_else(name),
    };
    let boot = boot_id(seed, &host.host, 0);
    let mut machine = Machine::new(identity, Os::El7, Processor::Affected, boot, world.now());
    if planned.is_none() {
        machine.mitigate();
    }
    NOVA_CONF_HOST_MODEL.clone_into(&mut machine.nova_conf);
    machine
}

fn add_aggregates(world: &mut World, region: &Region, seed: u64) {
    let mut aggregates: BTreeMap<String, (BTreeSet<HostName>, BTreeMap<String, String>)> = BTreeMap::new();
    for host in &region.hosts {
        let mut put = |name: String, metadata: Option<(&str, String)>| {
            let entry = aggregates.entry(name).or_default();
            entry.0.insert(host.host.clone());
            entry.1.extend(metadata.map(|(key, value)| (key.to_owned(), value)));
        };
        for name in &host.aggregates {
            put(name.clone(), None);
        }
        if let Some(zone) = &host.zone {
            put(format!("zone-{zone}"), Some(("availability_zone", zone.to_string())));
        }
        if let Some(rack) = &host.rack {
            put(format!("rack-{rack}"), Some(("rack", rack.clone())));
        }
    }
    for aggregate in &region.aggregates {
        if let Some((_, metadata)) = aggregates.get_mut(&aggregate.name) {
            metadata.extend(aggregate.metadata.clone());
        }
    }
    for (name, (hosts, metadata)) in aggregates {
        let uuid = uuid(&mut dice(seed, "aggregate", &name, 0)).to_string();
        world.add_aggregate(SimAggregate { name, uuid, hosts, metadata });
    }
}

/// An instance on a host that the snapshot does not list is nobody's business here.
fn add_instance(world: &mut World, instance: &Instance) {
    let Some(host) = instance.host.clone().filter(|host| world.host(host).is_some()) else { return };
    world.add_server(NewServer {
        id: Some(instance.id),
        name: instance.name.clone(),
        project: instance.project.clone(),
        host,
        status: instance.status.clone(),
        resources: instance.resources.clone(),
        group: instance.group.clone(),
        pinned_zone: instance.pinned_zone.clone(),
        traits: instance.traits.clone(),
        metadata: instance.metadata.clone(),
        locked: instance.locked,
    });
}
