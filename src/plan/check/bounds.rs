//! Lower bounds that no rollout of these hosts under these limits can beat, proven from the region alone.

use std::collections::{BTreeMap, BTreeSet};

use super::ground::{Ground, Time, time};
use crate::plan::rollout::{Bounds, PlannedHost, Rollout};

/// At least so many moves: one for each instance that leaves, and one more for each instance of the host that is
/// drained first in a domain where no host is mitigated or empty: those must go somewhere that is drained later.
/// Hosts with the fewest instances count, because any host may be the first.
pub(super) fn fewest_moves(ground: &Ground<'_>) -> usize {
    let mut least: BTreeMap<usize, usize> = BTreeMap::new();
    let mut open: BTreeSet<usize> = BTreeSet::new();
    for (number, view) in ground.hosts.iter().enumerate() {
        if view.is_target || view.is_lender {
            open.insert(view.domain);
        }
        if view.planned.is_some() {
            let leaving = ground.leaving(number).count();
            let known = least.entry(view.domain).or_insert(usize::MAX);
            *known = leaving.min(*known);
        }
    }
    let extra: usize = least.iter().filter(|(domain, _)| !open.contains(domain)).map(|(_, leaving)| leaving).sum();
    ground.leaving_count() + extra
}

/// What one planned host takes at least.
struct Work {
    host: usize,
    canary: bool,
    /// Drain at full speed, then the remedy.
    out: Time,
    /// Sum of its migrations.
    transfer: Time,
}

/// Lower bounds on the makespan by name, in seconds.
pub(super) fn bounds(rollout: &Rollout, ground: &Ground<'_>) -> Bounds {
    let limits = &rollout.policy.limits;
    let works: Vec<Work> =
        ground.planned(rollout).into_iter().map(|(host, planned)| work(rollout, ground, host, planned)).collect();
    let mut bounds: BTreeMap<String, Time> = BTreeMap::new();
    if works.is_empty() {
        return Bounds::new();
    }
    let slots = limits.hosts.of(ground.hosts.len());
    let total: Time = works.iter().map(|work| work.out).sum();
    bounds.insert("slots".to_owned(), per(total, slots));
    bounds.insert("longest-host".to_owned(), works.iter().map(|work| work.out).max().unwrap_or(0));
    let transfers: Time = works.iter().map(|work| work.transfer).sum();
    bounds.insert("migrations".to_owned(), per(transfers, limits.migrations));
    let receivers = ground.hosts.iter().filter(|view| view.is_in_service()).count();
    bounds.insert("receive".to_owned(), per(transfers, receivers * limits.migrations_per_target.max(1)));
    add_zones(&mut bounds, rollout, ground, &works);
    add_racks(&mut bounds, rollout, ground, &works);
    if let Some(longest) = longest_group(ground, &works) {
        bounds.insert("anti-affinity-group".to_owned(), longest);
    }
    if let Some(gate) = canary(rollout, &works, slots) {
        bounds.insert("canary".to_owned(), gate);
    }
    bounds.into_iter().map(|(name, time)| (name, seconds(time))).collect()
}

fn work(rollout: &Rollout, ground: &Ground<'_>, host: usize, planned: &PlannedHost) -> Work {
    let durations: Vec<Time> = ground.leaving(host).map(|instance| ground.instances[instance].duration).collect();
    let transfer: Time = durations.iter().sum();
    let longest = durations.iter().copied().max().unwrap_or(0);
    let drain = longest.max(per(transfer, rollout.policy.limits.migrations_per_source));
    let remedied = time(planned.work.unwrap_or(rollout.policy.estimate.host).as_seconds());
    Work { host, canary: planned.canary, out: drain + remedied, transfer }
}

/// Hosts of one zone share the zone's slots, and what must stay in service.
fn add_zones(bounds: &mut BTreeMap<String, Time>, rollout: &Rollout, ground: &Ground<'_>, works: &[Work]) {
    let limits = &rollout.policy.limits;
    let mut sums: BTreeMap<&str, Time> = BTreeMap::new();
    for work in works {
        if let Some(zone) = &ground.hosts[work.host].host.zone {
            *sums.entry(zone.as_str()).or_default() += work.out;
        }
    }
    for (zone, sum) in sums {
        let members =
            ground.hosts.iter().filter(|view| view.host.zone.as_ref().is_some_and(|name| name.as_str() == zone));
        let (all, up) = members.fold((0, 0), |(all, up), view| (all + 1, up + usize::from(view.is_in_service())));
        let slots = limits.hosts_per_zone.of(all).min(up.saturating_sub(limits.keep_up.per_zone).max(1));
        bounds.insert(format!("slots/{zone}"), per(sum, slots));
    }
}

fn add_racks(bounds: &mut BTreeMap<String, Time>, rollout: &Rollout, ground: &Ground<'_>, works: &[Work]) {
    let Some(limit) = rollout.policy.limits.hosts_per_rack else { return };
    let mut sums: BTreeMap<&str, Time> = BTreeMap::new();
    for work in works {
        if let Some(rack) = &ground.hosts[work.host].host.rack {
            *sums.entry(rack).or_default() += work.out;
        }
    }
    let per_rack = sums.into_iter().map(|(rack, sum)| {
        let size = ground.hosts.iter().filter(|view| view.host.rack.as_deref() == Some(rack)).count();
        per(sum, limit.of(size))
    });
    bounds.insert("slots-per-rack".to_owned(), per_rack.max().unwrap_or(0));
}

/// Members of an anti-affinity group move one after the other.
fn longest_group(ground: &Ground<'_>, works: &[Work]) -> Option<Time> {
    let mut sums: BTreeMap<usize, Time> = BTreeMap::new();
    for instance in works.iter().flat_map(|work| ground.leaving(work.host)) {
        if let Some(group) = ground.instances[instance].group.filter(|group| ground.most_per_host(*group).is_some()) {
            *sums.entry(group).or_default() += ground.instances[instance].duration;
        }
    }
    sums.into_values().max()
}

/// The canary hosts go first, are watched, and only then do the others share the slots.
fn canary(rollout: &Rollout, works: &[Work], slots: usize) -> Option<Time> {
    let first = works.iter().filter(|work| work.canary).map(|work| work.out).max()?;
    let rest: Time = works.iter().filter(|work| !work.canary).map(|work| work.out).sum();
    let longest = works.iter().filter(|work| !work.canary).map(|work| work.out).max()?;
    Some(first + time(rollout.policy.canary.soak.as_seconds()) + per(rest, slots).max(longest))
}

fn per(sum: Time, slots: usize) -> Time {
    sum / (slots.max(1) as Time)
}

#[expect(clippy::cast_precision_loss, reason = "planned times are far below 2^52 ms")]
fn seconds(time: Time) -> f64 {
    time as f64 / 1000.0
}
