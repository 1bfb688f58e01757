//! The last resort in a full domain: where the quick ways found no room for any host, placements of a host's instances
//! are tried one after the other, with steps back, as long as a number of trials lasts.
//!
//! Nobody comes here while anything else works, so that ordinary regions pay nothing.

use std::collections::BTreeSet;

use super::schedule::Loop;

/// Bookings that are tried for one host each time that none of its domain is out, and in one domain all told.
const TRIALS_OF_HOST: u32 = 400;
pub(super) const TRIALS: u32 = 4_000;

impl Loop<'_, '_> {
    /// Begins a host of the domain whose instances fit beside others in some way: those with the least instances first.
    pub(super) fn repair(&mut self, domain: u32) -> bool {
        let waiting = self.index.rooms[domain as usize].by_count.iter().map(|(_, host)| *host);
        let hosts: Vec<u32> = waiting.filter(|host| self.has_slot(*host)).collect();
        for host in hosts {
            if self.trials_left[domain as usize] == 0 {
                break;
            }
            let leaving = self.leaving[host as usize].clone();
            let fit_alone = leaving.iter().all(|instance| !self.gaps_for(*instance, host).is_empty());
            if !fit_alone {
                continue;
            }
            let mut trials = self.trials_left[domain as usize].min(TRIALS_OF_HOST);
            self.trials_left[domain as usize] -= trials;
            let mut placement = Vec::with_capacity(leaving.len());
            let is_placed = self.place_all(host, &leaving, &mut placement, &mut trials);
            self.trials_left[domain as usize] += trials;
            if is_placed {
                self.begin(host, &placement);
                return true;
            }
        }
        false
    }

    /// Books `instances` of `host`, with steps back where a later one finds no room; answers whether all are booked.
    fn place_all(&mut self, host: u32, instances: &[u32], placement: &mut Vec<(u32, u32)>, trials: &mut u32) -> bool {
        let Some((first, rest)) = instances.split_first() else { return true };
        for target in self.gaps_for(*first, host) {
            let Some(fewer) = trials.checked_sub(1) else { return false };
            *trials = fewer;
            self.book_seed(*first, host, target);
            placement.push((*first, target));
            if self.place_all(host, rest, placement, trials) {
                return true;
            }
            placement.pop();
            self.undo_seed(*first, host, target);
        }
        false
    }

    /// Hosts that take the instance as things stand: mitigated ones first, of each sort the tightest first. Of hosts with
    /// the same room the first stands for all, unless the instance asks for more than room.
    fn gaps_for(&self, instance: u32, from: u32) -> Vec<u32> {
        let need = self.fleet.need(instance, from);
        let amount = self.fleet.amount(instance, self.fleet.tight(from));
        let room = &self.index.rooms[self.fleet.layout.domain_of(from) as usize];
        let mitigated = room.gaps.range((amount, 0)..).chain(room.vacant.range((amount, 0)..)).map(|(_, host)| *host);
        let takes = |host: &u32| self.space.takes(*host, &need, self.fleet.kept_empty);
        let suits = |host: &u32| !self.banned.contains(host) && self.space.is_suitable(*host, &need);
        let all = mitigated.filter(takes).chain(room.unmitigated(amount, false).filter(suits));
        let asks_for_more = need.group.is_some() || need.kinds.is_some() || need.topology.is_some();
        let mut seen: BTreeSet<(bool, &[i64])> = BTreeSet::new();
        all.filter(|host| asks_for_more || seen.insert((self.space.is_target(*host), &self.space.slot(*host).free)))
            .collect()
    }
}
