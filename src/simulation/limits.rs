//! Limits, counted anew from the state at each event: no code is shared with what decides by them.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{HostName, ZoneName};
use crate::plan::PlannedHost;
use crate::run::{HostPhase, RunState};
use crate::sim::world::{SimAggregate, World};

/// How many hosts there are of each kind.
pub(super) struct Sizes {
    zones: BTreeMap<ZoneName, usize>,
    racks: BTreeMap<String, usize>,
    aggregates: BTreeMap<String, BTreeSet<HostName>>,
}

impl Sizes {
    pub fn of(world: &World) -> Self {
        let mut sizes = Self { zones: BTreeMap::new(), racks: BTreeMap::new(), aggregates: BTreeMap::new() };
        for host in world.hosts() {
            *sizes.zones.entry(host.zone.clone()).or_default() += 1;
        }
        for aggregate in world.aggregates() {
            if let Some(rack) = aggregate.metadata.get("rack") {
                sizes.racks.insert(rack.clone(), aggregate.hosts.len());
            }
        }
        let members = |aggregate: &SimAggregate| (aggregate.name.clone(), aggregate.hosts.clone());
        sizes.aggregates.extend(world.aggregates().iter().map(members));
        sizes
    }

    /// What is exceeded.
    pub fn exceeded(&self, state: &RunState) -> Vec<String> {
        let mut found = Vec::new();
        // The policy as it was reviewed and, from there on, what somebody asked for.
        let limits = state.limits();
        let region: usize = self.zones.values().sum();
        let count = |phase: HostPhase, is_of: &dyn Fn(&PlannedHost) -> bool| {
            state.in_order().filter(|(planned, host)| host.phase == phase && is_of(planned)).count()
        };
        let out = count(HostPhase::Active, &|_| true);
        if out > limits.hosts.of(region) {
            found.push(format!("{out} hosts are out of service, {:?} may be", limits.hosts));
        }
        for (zone, size) in &self.zones {
            let here = |planned: &PlannedHost| planned.zone.as_ref() == Some(zone);
            let (out, lost) = (count(HostPhase::Active, &here), count(HostPhase::Quarantined, &here));
            if out > limits.hosts_per_zone.of(*size) {
                found.push(format!("{out} hosts of {zone} are out of service, {:?} may be", limits.hosts_per_zone));
            }
            if out > 0 && *size < out + lost + limits.keep_up.per_zone.min(size - 1) {
                found.push(format!("{out} hosts of {zone} are out of service and {lost} lost, of {size}"));
            }
        }
        if let Some(most) = limits.hosts_per_rack {
            for (rack, size) in &self.racks {
                let out = count(HostPhase::Active, &|planned| planned.rack.as_ref() == Some(rack));
                if out > most.of(*size) {
                    found.push(format!("{out} hosts of rack {rack} are out of service, {most:?} may be"));
                }
            }
        }
        for (name, members) in &self.aggregates {
            let here = |planned: &PlannedHost| members.contains(&planned.host);
            let (out, lost) = (count(HostPhase::Active, &here), count(HostPhase::Quarantined, &here));
            let keep = limits.keep_up.per_aggregate.min(members.len().saturating_sub(1));
            if out > 0 && members.len() < out + lost + keep {
                found.push(format!("{out} hosts of aggregate {name} are out of service and {lost} lost: {members:?}"));
            }
        }
        found.extend(too_many_moves(state));
        found
    }
}

fn too_many_moves(state: &RunState) -> Option<String> {
    let limits = state.limits();
    let (mut all, mut from, mut onto) = (0, BTreeMap::<&HostName, usize>::new(), BTreeMap::<&HostName, usize>::new());
    for (_, source, target) in state.moves_in_flight() {
        all += 1;
        *from.entry(source).or_default() += 1;
        if let Some(target) = target {
            *onto.entry(target).or_default() += 1;
        }
    }
    let exceeds = all > limits.migrations
        || from.values().any(|count| *count > limits.migrations_per_source)
        || onto.values().any(|count| *count > limits.migrations_per_target);
    exceeds.then(|| format!("{all} moves are under way: from {from:?} onto {onto:?}"))
}
