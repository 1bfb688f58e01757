//! Bounds from how many hosts may be out at once.
//!
//! Where at most K hosts may be out, the time that hosts are out adds up to no more than K times the makespan. What makes
//! way leaves one host in the drain of another of the same zone, which takes as much longer: sums over zones stay what
//! they are. Sums over racks, aggregates or canary hosts do not, and count only what is [`Work::sure`].

use std::collections::BTreeMap;

use super::{Work, per};
use crate::model::ZoneName;
use crate::plan::check::ground::{Ground, HostView, Time, time};
use crate::plan::rollout::Rollout;

/// Hosts of one name: a zone, a rack, an aggregate.
#[derive(Debug, Default)]
struct Share {
    all: usize,
    /// In service before the run.
    up: usize,
    /// Time that its planned hosts are out.
    out: Time,
}

/// Adds up hosts by the names that `names` gives each.
fn shares<'a>(
    ground: &'a Ground<'_>,
    works: &[Work],
    time: fn(&Work) -> Time,
    names: impl Fn(&'a HostView<'_>) -> Vec<&'a str>,
) -> BTreeMap<&'a str, Share> {
    let mut shares: BTreeMap<&str, Share> = BTreeMap::new();
    for view in &ground.hosts {
        for name in names(view) {
            let share = shares.entry(name).or_default();
            share.all += 1;
            share.up += usize::from(view.is_in_service());
        }
    }
    for work in works {
        for name in names(&ground.hosts[work.host]) {
            shares.entry(name).or_default().out += time(work);
        }
    }
    shares.retain(|_, share| share.out > 0);
    shares
}

/// How many hosts may be out of so many in service of which `keep` stay so.
fn may_leave(up: usize, keep: usize) -> usize {
    up.saturating_sub(keep).max(1)
}

/// All hosts share the region's slots.
pub(super) fn region(rollout: &Rollout, ground: &Ground<'_>, works: &[Work]) -> Time {
    per(works.iter().map(|work| work.out).sum(), rollout.policy.limits.hosts.of(ground.hosts.len()))
}

/// Hosts of one zone share the zone's slots, and what must stay in service.
pub(super) fn zones<'a>(rollout: &Rollout, ground: &'a Ground<'_>, works: &[Work]) -> Vec<(&'a str, Time)> {
    let limits = &rollout.policy.limits;
    let zones = shares(ground, works, |work| work.out, |view| view.host.zone.iter().map(ZoneName::as_str).collect());
    let bound = |(zone, share): (&'a str, Share)| {
        let slots = limits.hosts_per_zone.of(share.all).min(may_leave(share.up, limits.keep_up.per_zone));
        (zone, per(share.out, slots))
    };
    zones.into_iter().map(bound).collect()
}

/// Hosts of one rack share the rack's slots.
pub(super) fn racks(rollout: &Rollout, ground: &Ground<'_>, works: &[Work]) -> Option<Time> {
    let limit = rollout.policy.limits.hosts_per_rack?;
    let racks = shares(ground, works, |work| work.sure, |view| view.host.rack.as_deref().into_iter().collect());
    racks.into_values().map(|share| per(share.out, limit.of(share.all))).max()
}

/// Of the hosts of an aggregate some must stay in service.
pub(super) fn aggregates(rollout: &Rollout, ground: &Ground<'_>, works: &[Work]) -> Option<Time> {
    let keep = rollout.policy.limits.keep_up.per_aggregate;
    let aggregates =
        shares(ground, works, |work| work.sure, |view| view.host.aggregates.iter().map(String::as_str).collect());
    aggregates.into_values().map(|share| per(share.out, may_leave(share.up, keep))).max()
}

/// Canary hosts go first, are watched, and only then do the others share the slots. Which hosts those are is the plan's
/// choice, and the checker lets it have from as many as the policy says to twice as many: whatever their longest is, they
/// are at best the longest that are no longer than it.
pub(super) fn canary(rollout: &Rollout, ground: &Ground<'_>, works: &[Work]) -> Option<Time> {
    let fewest = rollout.policy.canary.hosts;
    let most = most_canaries(fewest);
    let mut outs: Vec<Time> = works.iter().map(|work| work.sure).collect();
    outs.sort_unstable();
    let (longest, all) = (*outs.last()?, outs.iter().sum::<Time>());
    // With all hosts canaries nothing waits for the watch.
    let longest_left = *outs.get(outs.len().checked_sub(most + 1)?)?;
    if fewest == 0 {
        return None;
    }
    let slots = rollout.policy.limits.hosts.of(ground.hosts.len());
    let soak = time(rollout.policy.canary.soak.as_seconds());
    let through = |count: usize| {
        let canaries: Time = outs[count.saturating_sub(most)..count].iter().sum();
        let rest = if count < outs.len() { longest } else { longest_left };
        outs[count - 1] + soak + per(all - canaries, slots).max(rest)
    };
    (fewest..=outs.len()).map(through).min()
}

/// With each canary host that has instances an empty one may go, which takes them in.
pub(in crate::plan::check) fn most_canaries(fewest: usize) -> usize {
    fewest.saturating_mul(2)
}

/// What hosts of a zone that are out could hold is never more than what is free there beside the policy's headroom, or
/// one host is out alone. Each counts with what it could hold, for as long as it is out.
pub(super) fn headroom(rollout: &Rollout, ground: &Ground<'_>, works: &[Work]) -> Option<Time> {
    let kept = &rollout.policy.headroom.per_zone;
    if kept.percent.is_none() && kept.resources.is_zero() {
        return None;
    }
    let zone_of = |host: usize| ground.hosts[host].host.zone.as_ref();
    let mut zones: BTreeMap<&ZoneName, Vec<&Work>> = BTreeMap::new();
    for work in works {
        if let Some(zone) = zone_of(work.host) {
            zones.entry(zone).or_default().push(work);
        }
    }
    let of_zone = |(zone, works): (&ZoneName, Vec<&Work>)| {
        let up = (0..ground.hosts.len()).filter(|host| zone_of(*host) == Some(zone));
        let up: Vec<usize> = up.filter(|host| ground.hosts[*host].is_in_service()).collect();
        let of_class = |(class, name): (usize, &&str)| {
            let capacity: u64 = up.iter().map(|host| ground.hosts[*host].capacity[class]).sum();
            let instances = up.iter().flat_map(|host| ground.hosts[*host].instances.clone());
            let used: u64 = instances.map(|instance| ground.amounts(instance)[class]).sum();
            let share = kept.percent.map_or(0, |percent| percent.at_least_of(capacity));
            let kept = share.max(kept.resources.get(name));
            let holds = |work: &&Work| ground.hosts[work.host].capacity[class];
            let largest = works.iter().map(holds).max().unwrap_or(0);
            let spare = capacity.saturating_sub(used).saturating_sub(kept).max(largest);
            let sum: u128 = works.iter().map(|work| u128::from(holds(work)) * u128::from(work.sure)).sum();
            (kept > 0 && spare > 0).then(|| Time::try_from(sum / u128::from(spare)).unwrap_or(Time::MAX))
        };
        ground.classes.iter().enumerate().filter_map(of_class).max()
    };
    zones.into_iter().filter_map(of_zone).max()
}
