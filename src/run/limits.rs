//! What is in use of each limit, counted by the fold. Pure; `schedule` asks before it begins anything.

use std::collections::BTreeMap;

use super::host::HostPhase;
use super::state::RunState;
use crate::model::{HostName, InstanceId, Limits, Role, ZoneName};
use crate::plan::PlannedHost;
use crate::plan::placement::Busy;

/// Hosts out of service and migrations in flight.
#[derive(Debug, Clone, Default)]
pub(super) struct InUse {
    hosts: usize,
    zones: BTreeMap<ZoneName, usize>,
    racks: BTreeMap<String, usize>,
    /// Quarantined hosts by zone: out of service, but nobody's slot, so that one failure does not stop a small region.
    lost: BTreeMap<ZoneName, usize>,
    /// Hosts by aggregate that are out of service, quarantined ones included.
    aggregates: BTreeMap<String, usize>,
    /// Hosts that are out of service, quarantined ones included, by role whose hosts go one at a time.
    roles: BTreeMap<Role, usize>,
    migrations: usize,
    sources: BTreeMap<HostName, usize>,
    targets: BTreeMap<HostName, usize>,
}

/// The limit that keeps something from being begun.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reached {
    /// Hosts out of service in the region.
    Hosts(usize),
    /// Hosts out of service in a zone.
    Zone(ZoneName, usize),
    /// Hosts out of service in a rack.
    Rack(String, usize),
    /// Hosts that must stay in service in a zone.
    KeepUp(ZoneName, usize),
    /// Hosts of a zone that may be out so that the policy's headroom stays free.
    Headroom(ZoneName, usize),
    /// Hosts that must stay in service in a host aggregate.
    KeepUpAggregate(String, usize),
    /// Hosts with a role go one at a time.
    Role(Role),
    /// Migrations in the region.
    Migrations(usize),
    /// Migrations away from a host.
    Source(HostName, usize),
    /// Migrations onto a host.
    Target(HostName, usize),
    /// Cold boots in the region.
    ColdBoots(usize),
    /// Cold boots on a host.
    ColdBootsOn(HostName, usize),
    /// A member of the same group is stopped.
    Mate(InstanceId),
}

impl std::fmt::Display for Reached {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Hosts(limit) => write!(f, "{limit} hosts are out of service at once (limits.hosts)"),
            Self::Zone(zone, limit) => {
                write!(f, "{limit} hosts of {zone} are out of service at once (limits.hosts_per_zone)")
            }
            Self::Rack(rack, limit) => {
                write!(f, "{limit} hosts of rack {rack} are out of service at once (limits.hosts_per_rack)")
            }
            Self::KeepUp(zone, limit) => write!(f, "{limit} hosts of {zone} must stay in service (limits.keep_up)"),
            Self::Headroom(zone, limit) => {
                write!(
                    f,
                    "{limit} hosts of {zone} are out of service, and more would use up its headroom (headroom.per_zone)"
                )
            }
            Self::KeepUpAggregate(aggregate, limit) => {
                write!(f, "{limit} hosts of aggregate {aggregate} must stay in service (limits.keep_up)")
            }
            Self::Role(role) => {
                write!(f, "a host that runs {role} is out of service or has failed (roles: one-at-a-time)")
            }
            Self::Migrations(limit) => write!(f, "{limit} migrations are in flight (limits.migrations)"),
            Self::Source(host, limit) => {
                write!(f, "{limit} migrations leave {host} already (limits.migrations_per_source)")
            }
            Self::Target(host, limit) => {
                write!(f, "{limit} migrations go to {host} already (limits.migrations_per_target)")
            }
            Self::ColdBoots(limit) => write!(f, "{limit} instances are stopped or starting (cold_boots.at_once)"),
            Self::ColdBootsOn(host, limit) => {
                write!(f, "{limit} instances of {host} are stopped or starting (cold_boots.per_host)")
            }
            Self::Mate(mate) => write!(f, "{mate} of its server group is stopped or starting"),
        }
    }
}

impl InUse {
    /// Counts a host that comes to be in a phase, or that leaves it.
    pub(super) fn count_host(&mut self, phase: HostPhase, host: &PlannedHost, aggregates: &[String], comes: bool) {
        match phase {
            HostPhase::Active => {
                change(&mut self.hosts, comes);
                if let Some(zone) = &host.zone {
                    change_of(&mut self.zones, zone, comes);
                }
                if let Some(rack) = &host.rack {
                    change_of(&mut self.racks, rack, comes);
                }
            }
            HostPhase::Quarantined => {
                if let Some(zone) = &host.zone {
                    change_of(&mut self.lost, zone, comes);
                }
            }
            HostPhase::Waiting | HostPhase::Done | HostPhase::Skipped => return,
        }
        for aggregate in aggregates {
            change_of(&mut self.aggregates, aggregate, comes);
        }
        for role in &host.roles {
            change_of(&mut self.roles, role, comes);
        }
    }

    /// Counts a migration that begins, or that has ended.
    pub(super) fn count_move(&mut self, from: &HostName, to: Option<&HostName>, begins: bool) {
        change(&mut self.migrations, begins);
        change_of(&mut self.sources, from, begins);
        if let Some(to) = to {
            change_of(&mut self.targets, to, begins);
        }
    }

    /// Whether no further migration may begin anywhere.
    pub(super) fn has_all_migrations(&self, limits: &Limits) -> bool {
        #[cfg(test)]
        if crate::simulation::Mistake::IgnoresLimitsOnMoves.is_made() {
            return false;
        }
        self.migrations >= limits.migrations
    }

    /// Whether no further host may be begun anywhere.
    pub(super) fn region_is_full(&self, limits: &Limits, region_size: usize) -> bool {
        #[cfg(test)]
        if crate::simulation::Mistake::IgnoresLimitsOnHosts.is_made() {
            return false;
        }
        self.hosts >= limits.hosts.of(region_size)
    }

    /// Whether `host` may be begun.
    pub(super) fn admits_host(&self, host: &PlannedHost, state: &RunState) -> Result<(), Reached> {
        #[cfg(test)]
        if crate::simulation::Mistake::IgnoresLimitsOnHosts.is_made() {
            return Ok(());
        }
        let limits = state.limits();
        let region = limits.hosts.of(state.region_size);
        if self.hosts >= region {
            return Err(Reached::Hosts(region));
        }
        if let Some(zone) = &host.zone {
            let size = state.zone_sizes.get(zone).copied().unwrap_or(1);
            let (out, lost) = (count(&self.zones, zone), count(&self.lost, zone));
            let allowed = limits.hosts_per_zone.of(size);
            if out >= allowed {
                return Err(Reached::Zone(zone.clone(), allowed));
            }
            let up = state.zones_up.get(zone).copied().unwrap_or(1);
            let keep = kept_up(limits.keep_up.per_zone, up);
            if up < out + lost + 1 + keep {
                return Err(Reached::KeepUp(zone.clone(), keep));
            }
            // One host may always be out: a quarantined one would keep a full zone as it is for good.
            if let Some(allowed) = state.most_out.get(zone).copied()
                && out > 0
                && out + lost >= allowed
            {
                return Err(Reached::Headroom(zone.clone(), allowed));
            }
        }
        for aggregate in state.aggregates_of(&host.host) {
            let up = state.aggregates_up.get(aggregate).copied().unwrap_or(1);
            let keep = kept_up(limits.keep_up.per_aggregate, up);
            if up < count(&self.aggregates, aggregate) + 1 + keep {
                return Err(Reached::KeepUpAggregate(aggregate.clone(), keep));
            }
        }
        if let Some(role) = host.roles.iter().find(|role| count(&self.roles, *role) > 0) {
            return Err(Reached::Role(*role));
        }
        if let (Some(rack), Some(limit)) = (&host.rack, limits.hosts_per_rack) {
            let allowed = limit.of(state.rack_sizes.get(rack).copied().unwrap_or(1));
            if count(&self.racks, rack) >= allowed {
                return Err(Reached::Rack(rack.clone(), allowed));
            }
        }
        Ok(())
    }

    /// Whether a migration may leave `from`.
    pub(super) fn admits_source(&self, from: &HostName, limits: &Limits) -> Result<(), Reached> {
        #[cfg(test)]
        if crate::simulation::Mistake::IgnoresLimitsOnMoves.is_made() {
            return Ok(());
        }
        if self.migrations >= limits.migrations {
            return Err(Reached::Migrations(limits.migrations));
        }
        if count(&self.sources, from) >= limits.migrations_per_source {
            return Err(Reached::Source(from.clone(), limits.migrations_per_source));
        }
        Ok(())
    }

    /// Targets by the migrations that go to them, and how many are enough.
    pub(super) fn busy(&self, limits: &Limits) -> Busy<'_> {
        Busy { moves: &self.targets, most: limits.migrations_per_target }
    }
}

/// How many of `up` hosts in service stay so: one fewer than there are at most, because a zone or an aggregate of one
/// host could never be remedied otherwise.
fn kept_up(keep: usize, up: usize) -> usize {
    keep.min(up.saturating_sub(1))
}

fn change(number: &mut usize, more: bool) {
    *number = if more { *number + 1 } else { number.saturating_sub(1) };
}

/// Counts one more or one less; what is not in use has no entry.
fn change_of<K: Ord + Clone>(counts: &mut BTreeMap<K, usize>, key: &K, more: bool) {
    let number = counts.entry(key.clone()).or_default();
    change(number, more);
    if *number == 0 {
        counts.remove(key);
    }
}

fn count<K: Ord>(counts: &BTreeMap<K, usize>, key: &K) -> usize {
    counts.get(key).copied().unwrap_or(0)
}
