//! Packing: the instances of a host go where they fit best between others, and what is left over together into one
//! vacant host. It opens vacant hosts where those are scarce.

use super::choose::TRIES;
use super::schedule::Loop;

/// Hosts among which those to pack are looked for: where so many light ones found no room, heavier ones find none.
const LIGHT: usize = 4 * TRIES;

/// Gaps that are looked at for one instance; those that fit in the tight class rarely fail in another.
const GAPS: usize = 64;

/// Moves that are to be made again which a whole vacant host is worth, where hosts are compared.
const WORTH: i64 = 64;

/// Hosts that are compared in one attempt, all told: in large regions the lightest of those that wait.
const COMPARISONS: usize = 400_000;

/// Instances of a host that were booked between others.
struct Packed {
    booked: Vec<(u32, u32)>,
    /// What found no gap, and how much of the tight class it needs.
    left: Vec<u32>,
    left_over: i64,
    /// What is left of the moves that may be made again.
    budget: u32,
}

impl Loop<'_, '_> {
    /// Packs one host of the cell where that is possible.
    pub(super) fn pack_one(&mut self, cell: usize) -> bool {
        if self.strategy.thorough { self.pack_neatest(cell) } else { self.pack_lightest(cell) }
    }

    /// Packs the lightest host that can be.
    fn pack_lightest(&mut self, cell: usize) -> bool {
        let hosts: Vec<u32> = self.fresh(cell, LIGHT).into_iter().take(TRIES).collect();
        hosts.into_iter().any(|host| self.pack(host, false))
    }

    /// Of the lightest hosts of the cell those that did not fail with the room as it is.
    fn fresh(&self, cell: usize, among: usize) -> Vec<u32> {
        let version = self.index.rooms[self.index.cells[cell].domain as usize].version;
        let fresh = |host: &u32| self.failed_at[*host as usize] != version && self.has_slot(*host);
        let by_load = &self.index.cells[cell].by_load;
        by_load.iter().map(|(_, host)| *host).take(among).filter(fresh).collect()
    }

    /// Packs the host of which least is left over, all that wait compared: in full fleets that is rarely the lightest,
    /// and each vacant host that stays vacant lets one more be out.
    fn pack_neatest(&mut self, cell: usize) -> bool {
        let domain = self.index.cells[cell].domain as usize;
        let vacant = self.index.rooms[domain].vacant.last().map_or(0, |(free, _)| *free);
        let mut ranked = Vec::new();
        let among = (COMPARISONS / self.fleet.hosts.len().max(1)).clamp(LIGHT, usize::MAX);
        for host in self.fresh(cell, among) {
            let before = self.budget(false);
            let packed = self.pack_between(host, before, vacant);
            let price = self.fleet.layout.capacity(host).get(self.fleet.tight(host)).map_or(0, |all| all / WORTH);
            if packed.left_over <= vacant {
                ranked.push((packed.left_over + price * i64::from(before - packed.budget), host));
            } else {
                self.failed_at[host as usize] = self.index.rooms[domain].version;
            }
            self.unpack(host, packed);
        }
        ranked.sort_unstable();
        ranked.into_iter().take(TRIES).any(|(_, host)| self.pack(host, false))
    }

    /// Moves that may be made again for the sake of packing.
    fn budget(&self, in_need: bool) -> u32 {
        if self.strategy.squeeze && !in_need { self.late_moves_left } else { 0 }
    }

    /// Packs one host and begins it.
    pub(super) fn pack(&mut self, host: u32, in_need: bool) -> bool {
        let domain = self.fleet.layout.domain_of(host) as usize;
        let vacant = self.index.rooms[domain].vacant.last().map_or(0, |(free, _)| *free);
        let mut packed = self.pack_between(host, self.budget(in_need), vacant);
        if !packed.left.is_empty() {
            let fits = packed.left_over <= vacant;
            let Some(target) = fits.then(|| self.vacant_for(&packed.left, host, in_need)).flatten() else {
                self.unpack(host, packed);
                self.failed_at[host as usize] = self.index.rooms[domain].version;
                return false;
            };
            packed.booked.extend(packed.left.iter().map(|instance| (*instance, target)));
        }
        if self.strategy.squeeze && !in_need {
            self.late_moves_left = packed.budget;
        }
        self.begin(host, &packed.booked);
        true
    }

    /// Books the instances of `host`, the biggest first, where they fit best between others, until more than `vacant`
    /// is left over: no vacant host will do then.
    fn pack_between(&mut self, host: u32, budget: u32, vacant: i64) -> Packed {
        let leaving = self.leaving[host as usize].clone();
        let mut packed = Packed { booked: Vec::with_capacity(leaving.len()), left: Vec::new(), left_over: 0, budget };
        for instance in leaving {
            if let Some(target) = self.gap_within(instance, host, &mut packed.budget) {
                self.book_seed(instance, host, target);
                packed.booked.push((instance, target));
                continue;
            }
            packed.left.push(instance);
            packed.left_over += self.fleet.amount(instance, self.fleet.tight(host));
            if packed.left_over > vacant {
                break;
            }
        }
        packed
    }

    fn unpack(&mut self, host: u32, packed: Packed) {
        for (instance, target) in packed.booked {
            self.undo_seed(instance, host, target);
        }
    }

    /// The best gap of a mitigated host, else one of a host that is not while the budget lasts.
    fn gap_within(&self, instance: u32, from: u32, budget: &mut u32) -> Option<u32> {
        self.best_gap(instance, from).or_else(|| {
            *budget = budget.checked_sub(1)?;
            let found = self.best_unmitigated(instance, from, self.fleet.layout.domain_of(from), false);
            *budget += u32::from(found.is_none());
            found
        })
    }

    /// Books all of `instances` onto the smallest vacant host that takes them together.
    fn vacant_for(&mut self, instances: &[u32], from: u32, in_need: bool) -> Option<u32> {
        let domain = self.fleet.layout.domain_of(from) as usize;
        let vacant: Vec<u32> = self.index.rooms[domain].vacant.iter().map(|(_, target)| *target).collect();
        vacant
            .into_iter()
            .find(|target| (in_need || self.may_spend(*target, from)) && self.take_together(instances, from, *target))
    }

    pub(super) fn best_gap(&self, instance: u32, from: u32) -> Option<u32> {
        let need = self.fleet.need(instance, from);
        let amount = self.fleet.amount(instance, self.fleet.tight(from));
        let room = &self.index.rooms[self.fleet.layout.domain_of(from) as usize];
        let gaps = room.gaps.range((amount, 0)..).take(GAPS).map(|(_, target)| *target);
        let mut fits = gaps.filter(|target| self.space.takes(*target, &need, self.fleet.kept_empty));
        let first = fits.next()?;
        if !self.strategy.idle_targets || self.timetable.is_idle(first, self.now) {
            return Some(first);
        }
        Some(fits.find(|target| self.timetable.is_idle(*target, self.now)).unwrap_or(first))
    }

    fn take_together(&mut self, instances: &[u32], from: u32, target: u32) -> bool {
        let mut taken = 0;
        for instance in instances {
            if !self.space.takes(target, &self.fleet.need(*instance, from), self.fleet.kept_empty) {
                break;
            }
            self.book(*instance, from, target);
            taken += 1;
        }
        if taken < instances.len() {
            for instance in &instances[..taken] {
                self.unbook(*instance, from, target);
            }
        }
        taken == instances.len()
    }
}
