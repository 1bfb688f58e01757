//! The bound from free room: in a full fleet it is not the limits but the room for what is away from its host that
//! decides how many hosts can be out.

use std::collections::BTreeMap;

use super::Work;
use crate::plan::check::ground::{Ground, Time};
use crate::plan::check::islands::Islands;
use crate::plan::rollout::Rollout;

/// In each island and class: what hosts that are out lack, over time, is no more than what is free.
///
/// Let `holds` of a host be the most that can ever be on it: its capacity, or what is on it now where that is more,
/// because whatever comes has to fit. Of a spare it is what is on it now. All instances of the island are on its hosts at
/// every instant, a migration counted at its target: those on hosts in service take no more than these hold, so what
/// hosts that are out hold, less what has not begun to leave them, is never more than `free`, the sum of `holds` less
/// all that is in use. A host that is out lacks what has begun to leave it, each instance for its own migration at
/// least; from its last migration on it lacks all that it holds but what stays. Summed over time and hosts this is at
/// most `free` times the makespan.
///
/// Where instances may make way they can leave a host before it is out: then only the remedy counts.
///
/// Growth by doubling, where only mitigated hosts take instances, is no bound on the makespan: extra moves onto hosts
/// that wait replace the growth, up to just this room.
pub(super) fn room(rollout: &Rollout, ground: &Ground<'_>, islands: &Islands, works: &[Work]) -> Option<Time> {
    let of_host: BTreeMap<usize, &Work> = works.iter().map(|work| (work.host, work)).collect();
    let bounds = islands.hosts.iter().flat_map(|hosts| {
        let mut sums = vec![Sums::default(); ground.classes.len()];
        for host in hosts {
            add(rollout, ground, *host, of_host.get(host).copied(), &mut sums);
        }
        sums
    });
    bounds.filter(|sums| sums.free > 0).map(|sums| Time::try_from(sums.lacked / sums.free).unwrap_or(Time::MAX)).max()
}

/// Of one class.
#[derive(Debug, Clone, Default)]
struct Sums {
    free: u128,
    /// Amounts times milliseconds.
    lacked: u128,
}

fn add(rollout: &Rollout, ground: &Ground<'_>, host: usize, work: Option<&Work>, sums: &mut [Sums]) {
    let view = &ground.hosts[host];
    let is_spare = rollout.policy.hosts.spare.contains(&view.host.host);
    let (mut used, mut stays) = (vec![0_u64; sums.len()], vec![0_u64; sums.len()]);
    for number in view.instances.clone() {
        let instance = &ground.instances[number];
        for (class, amount) in ground.amounts(number).iter().enumerate() {
            used[class] += amount;
            if instance.stays || work.is_none() {
                stays[class] += amount;
            } else if !ground.may_make_way(host) {
                sums[class].lacked += u128::from(*amount) * u128::from(instance.duration);
            }
        }
    }
    for (class, sums) in sums.iter_mut().enumerate() {
        let holds = if is_spare { used[class] } else { used[class].max(view.capacity[class]) };
        sums.free += u128::from(holds - used[class]);
        let remedied = work.map_or(0, |work| work.remedied);
        sums.lacked += u128::from(holds - stays[class]) * u128::from(remedied);
    }
}
