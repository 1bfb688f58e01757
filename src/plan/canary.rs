//! Which hosts go first and alone.

use std::collections::BTreeMap;

use super::fleet::Fleet;
use super::schedule::mix;

/// The canary hosts in order: one of each kind of host while there are enough, the largest kind first, and of each
/// kind the one with the fewest instances that has any. A canary's instances move once where an empty host of its
/// domain can be remedied before it: that one then goes with it.
pub(super) fn canaries(fleet: &Fleet<'_>) -> Vec<u32> {
    if fleet.canaries == 0 {
        return Vec::new();
    }
    let mut kinds: BTreeMap<(u32, &[i64]), Vec<u32>> = BTreeMap::new();
    for host in &fleet.hosts {
        kinds.entry((fleet.layout.domain_of(*host), fleet.layout.capacity(*host))).or_default().push(*host);
    }
    let count = |host: u32| fleet.leaving[host as usize].len();
    let mut kinds: Vec<Vec<u32>> = kinds.into_values().collect();
    for hosts in &mut kinds {
        hosts.sort_by_key(|host| (count(*host) == 0, count(*host), mix(0, u64::from(*host))));
    }
    kinds.sort_by_key(|hosts| (hosts.first().is_none_or(|first| count(*first) == 0), std::cmp::Reverse(hosts.len())));
    let deepest = kinds.iter().map(Vec::len).max().unwrap_or(0);
    let rounds = (0..deepest).flat_map(|round| kinds.iter().filter_map(move |hosts| hosts.get(round).copied()));
    let chosen: Vec<u32> = rounds.take(fleet.canaries).collect();
    let mut first: Vec<u32> = Vec::new();
    for host in &chosen {
        if let Some(empty) =
            empty_host_for(fleet, *host).filter(|empty| !chosen.contains(empty) && !first.contains(empty))
        {
            first.push(empty);
        }
    }
    first.extend(chosen);
    first
}

/// An empty host to remedy before `host`, where no target of its domain can take all of its instances.
fn empty_host_for(fleet: &Fleet<'_>, host: u32) -> Option<u32> {
    let leaving = &fleet.leaving[host as usize];
    let hosts = &fleet.layout.domains()[fleet.layout.domain_of(host) as usize].hosts;
    let load: Vec<i64> = (0..fleet.layout.classes().len())
        .map(|class| leaving.iter().map(|instance| fleet.amount(*instance, class)).sum())
        .collect();
    let takes_all = |other: &&u32| fleet.space.slot(**other).free.iter().zip(&load).all(|(free, load)| load <= free);
    let has_target = hosts.iter().filter(|other| fleet.space.is_target(**other)).any(|other| takes_all(&other));
    if leaving.is_empty() || has_target {
        return None;
    }
    let is_empty = |other: &&u32| {
        fleet.leaving[**other as usize].is_empty()
            && !fleet.spare[**other as usize]
            && fleet.hosts.binary_search(other).is_ok()
    };
    hosts.iter().filter(is_empty).find(takes_all).copied()
}
