//! Making way: in a full domain without any empty host some instances of hosts that wait go to other hosts that wait, so
//! that what is left of the gaps comes together and one host can be emptied.
//!
//! It is part of that host's drain: it is out of service, what makes way moves first, one after the other, and then its
//! own instances leave. Everything that made way moves once more when its new host's turn comes.

use std::collections::BTreeMap;

use super::fleet::Fleet;
use super::rearrange::fewest;
use super::schedule::Loop;

/// How often a domain is searched in one attempt: where that is not enough the domain has room nowhere.
pub(super) const SEARCHES: u32 = 8;

impl Loop<'_, '_> {
    /// Begins a host of the domain behind instances that make way, where a rollout may have them.
    pub(super) fn make_way(&mut self, domain: u32) -> bool {
        let searches = &mut self.searches_left[domain as usize];
        if *searches == 0 {
            return false;
        }
        *searches -= 1;
        let members = &self.fleet.layout.domains()[domain as usize].hosts;
        let is_free = |host: &u32| self.waits[*host as usize] && self.not_before[*host as usize] <= self.now;
        // Targets that are to stay empty are not told from others here.
        let is_target = |host: &u32| self.space.is_target(*host) && self.fleet.kept_empty == 0;
        let waits = |host: &u32| is_free(host) && !self.fleet.spare[*host as usize];
        let takes = |host: &u32| (is_target(host) || waits(host)) && !self.banned.contains(host);
        let on: BTreeMap<u32, Vec<u32>> = (members.iter().copied().filter(takes))
            .map(|host| (host, if is_free(&host) { self.leaving[host as usize].clone() } else { Vec::new() }))
            .collect();
        let candidates: Vec<u32> =
            members.iter().copied().filter(|host| is_free(host) && self.has_slot(*host)).collect();
        let Some(found) = fewest(self.fleet, &self.space, &on, &self.leaving, candidates) else { return false };
        // One that helps is no failure of the search.
        self.searches_left[domain as usize] += 1;
        let mut ways = Vec::with_capacity(found.ways.len());
        let mut at = self.now;
        for (instance, source, target) in found.ways {
            self.take_away(instance, source);
            self.book_seed(instance, source, target);
            for transfer in self.timetable.drain(self.fleet, &[(instance, target)], at) {
                at = transfer.finish;
                self.not_before[source as usize] = self.not_before[source as usize].max(at);
                ways.push((source, transfer));
            }
        }
        for (instance, target) in &found.own {
            self.book_seed(*instance, found.host, *target);
        }
        self.begin_behind(found.host, &found.own, ways);
        true
    }
}

/// Whether a rollout may have instances make way in each domain: in a zone where some host has nothing that leaves, or is
/// not remedied and may take instances, it may not. There other ways are nearly always open, and the bounds of a
/// certificate count on each instance leaving the host that it was found on.
pub(super) fn zones_without_a_start(fleet: &Fleet<'_>) -> Vec<bool> {
    let layout = &fleet.layout;
    let mut may = vec![true; layout.zone_count()];
    for host in (0_u32..).take(layout.len()) {
        let has_nothing = fleet.hosts.binary_search(&host).is_err() || fleet.leaving[host as usize].is_empty();
        if has_nothing && fleet.may_take[host as usize] {
            may[layout.zone_of(host) as usize] = false;
        }
    }
    may
}
