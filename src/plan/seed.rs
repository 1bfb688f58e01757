//! Seeds: hosts drained onto hosts that are not mitigated yet. Each costs the moves that are to be made again, and opens
//! an empty host where there is none, or one more where slots stand idle.

use std::ops::Bound;

use super::choose::TRIES;
use super::schedule::Loop;
use super::space::Space;

impl Loop<'_, '_> {
    /// Drains a host onto hosts that are not mitigated yet: where the domain has no target, or where the strategy
    /// allows it.
    pub(super) fn seed_where_allowed(&mut self, cell: usize) -> bool {
        let domain = self.index.cells[cell].domain;
        let room = &self.index.rooms[domain as usize];
        if room.no_seed_at == Some(room.version) {
            return false;
        }
        let has_target = room.targets > 0;
        if !has_target && self.is_starved(cell) {
            return self.seed(domain, u32::MAX, false).is_some();
        }
        if !has_target && self.seeds_left > 0 && self.seed(domain, u32::MAX, false).is_some() {
            self.seeds_left -= 1;
            return true;
        }
        if has_target && self.late_moves_left > 0 && !self.strategy.squeeze {
            match self.seed(domain, self.late_moves_left, false) {
                Some(moves) => {
                    self.late_moves_left -= moves;
                    return true;
                }
                None => self.index.rooms[domain as usize].no_seed_at = Some(self.index.rooms[domain as usize].version),
            }
        }
        false
    }

    /// Begins the host with the fewest instances that can be placed anew with at most `budget` moves onto hosts that
    /// are not mitigated; answers how many those were.
    pub(super) fn seed(&mut self, domain: u32, budget: u32, to_bystanders: bool) -> Option<u32> {
        if budget < u32::MAX {
            let by_count = &self.index.rooms[domain as usize].by_count;
            let candidates: Vec<u32> =
                by_count.iter().map(|(_, host)| *host).filter(|host| self.has_slot(*host)).take(TRIES).collect();
            return candidates.into_iter().find_map(|host| self.seed_host(host, budget, to_bystanders));
        }
        // The first one tried nearly always will do, so the others are not listed before they are needed. One that
        // fails leaves the order as it was.
        let mut tried = Bound::Unbounded;
        loop {
            let by_count = &self.index.rooms[domain as usize].by_count;
            let next = by_count.range((tried, Bound::Unbounded)).find(|(_, host)| self.has_slot(*host)).copied()?;
            if let Some(extra) = self.seed_host(next.1, budget, to_bystanders) {
                return Some(extra);
            }
            tried = Bound::Excluded(next);
        }
    }

    pub(super) fn seed_host(&mut self, host: u32, budget: u32, to_bystanders: bool) -> Option<u32> {
        let domain = self.fleet.layout.domain_of(host);
        let mut placement: Vec<(u32, u32)> = Vec::new();
        let mut extra = 0;
        for instance in self.leaving[host as usize].clone() {
            // Who may spend any number of moves is in need: vacant hosts are then not spared for whole ones.
            let vacant = || (budget == u32::MAX).then(|| self.vacant_gap(instance, host)).flatten();
            let target = match self.best_gap(instance, host).or_else(vacant) {
                Some(target) => Some(target),
                None if extra == budget => None,
                None => self.best_unmitigated(instance, host, domain, to_bystanders).inspect(|_| extra += 1),
            };
            let Some(target) = target else {
                for (instance, target) in placement {
                    self.undo_seed(instance, host, target);
                }
                return None;
            };
            self.book_seed(instance, host, target);
            placement.push((instance, target));
        }
        self.begin(host, &placement);
        Some(extra)
    }

    pub(super) fn best_unmitigated(&self, instance: u32, from: u32, domain: u32, to_bystanders: bool) -> Option<u32> {
        let need = self.fleet.need(instance, from);
        let amount = self.fleet.amount(instance, self.fleet.tight(from));
        let mut hosts = self.index.rooms[domain as usize].unmitigated(amount, to_bystanders);
        hosts.find(|host| !self.banned.contains(host) && self.space.is_suitable(*host, &need))
    }

    /// Books a seed's instance; a host that waits will have one more to drain.
    pub(super) fn book_seed(&mut self, instance: u32, from: u32, target: u32) {
        if self.space.is_target(target) {
            self.book(instance, from, target);
            return;
        }
        let need = self.fleet.need(instance, from);
        self.change_unmitigated(target, |space, leaving| {
            space.take(target, &need);
            leaving.push(instance);
        });
    }

    /// Takes an instance off a host that waits: it makes way.
    pub(super) fn take_away(&mut self, instance: u32, from: u32) {
        let need = self.fleet.need(instance, from);
        self.change_unmitigated(from, |space, leaving| {
            space.give(from, &need);
            leaving.retain(|other| *other != instance);
        });
    }

    pub(super) fn undo_seed(&mut self, instance: u32, from: u32, target: u32) {
        if self.space.is_target(target) {
            self.unbook(instance, from, target);
            return;
        }
        let need = self.fleet.need(instance, from);
        self.change_unmitigated(target, |space, leaving| {
            space.give(target, &need);
            leaving.retain(|other| *other != instance);
        });
    }

    /// Changes what is on a host that is not mitigated; what comes to one that waits leaves it again.
    fn change_unmitigated(&mut self, host: u32, change: impl FnOnce(&mut Space, &mut Vec<u32>)) {
        if !self.waits[host as usize] {
            self.index.stop_lending(self.fleet, &self.space, host);
            change(&mut self.space, &mut Vec::new());
            self.index.lend(self.fleet, &self.space, host);
            return;
        }
        let mut leaving = std::mem::take(&mut self.leaving[host as usize]);
        self.index.forget(self.fleet, &self.space, host, &leaving);
        change(&mut self.space, &mut leaving);
        let tight = self.fleet.tight(host);
        leaving.sort_by_key(|instance| (std::cmp::Reverse(self.fleet.amount(*instance, tight)), *instance));
        self.index.wait(self.fleet, &self.space, host, &leaving);
        self.leaving[host as usize] = leaving;
    }
}
