//! Which host begins next, and how its instances are placed: mirrored into one vacant host, packed into the room
//! between instances, or, as [`super::seed`] has it, drained onto hosts that are not mitigated yet.

use super::cells::Cell;
use super::fleet::Millis;
use super::schedule::Loop;
use super::space::Barrier;

/// Hosts that are tried for one slot before the next cell is asked; failures of neighbours are alike.
pub(super) const TRIES: usize = 16;

impl Loop<'_, '_> {
    /// Begins one host where that is possible. The policy's priority decides which cell is asked first, then how much
    /// work is left in it per host that is out.
    pub(super) fn begin_next(&mut self) -> bool {
        if self.free_slots() == 0 {
            return false;
        }
        let mut ranked: Vec<(u32, u64, usize)> = (self.index.cells.iter().enumerate())
            .filter(|(_, cell)| !cell.by_rank.is_empty())
            .map(|(number, cell)| (cell.turn, self.work_left(cell) / u64::from(cell.running + 1), number))
            .collect();
        ranked.sort_unstable_by_key(|(turn, work, number)| (*turn, std::cmp::Reverse(*work), *number));
        ranked.into_iter().any(|(_, _, cell)| self.begin_in(cell))
    }

    fn work_left(&self, cell: &Cell) -> Millis {
        cell.waiting + cell.returning.saturating_sub(u64::from(cell.running) * self.now)
    }

    fn begin_in(&mut self, cell: usize) -> bool {
        let idle = self.index.cells[cell].idle.iter().copied().find(|host| self.has_slot(*host));
        if let Some(host) = idle {
            self.begin(host, &[]);
            return true;
        }
        let ramping = self.strategy.pack && self.is_ramping(cell);
        (ramping && self.pack_one(cell))
            || self.mirror_fitting(cell)
            || (!ramping && self.pack_one(cell))
            || self.seed_where_allowed(cell)
            || (self.is_starved(cell) && self.begin_if_room_appeared(cell))
    }

    /// Whether the cell's domain has fewer hosts vacant or out than its share of the slots.
    fn is_ramping(&self, cell: usize) -> bool {
        let domain = self.index.cells[cell].domain;
        let (mut mine, mut all, mut out) = (0_u64, 0_u64, 0_u64);
        for other in &self.index.cells {
            let work = self.work_left(other);
            all += work;
            if other.domain == domain {
                mine += work;
                out += u64::from(other.running);
            }
        }
        let slots = u64::from(self.fleet.pools[0].limit);
        let share = (slots * mine).div_ceil(all.max(1));
        (self.index.rooms[domain as usize].vacant.len() as u64) + out < share + 1
    }

    /// Whether nothing of the cell's domain is out: what finds no room finds none until something else is done.
    pub(super) fn is_starved(&self, cell: usize) -> bool {
        let domain = self.index.cells[cell].domain;
        self.index.cells.iter().all(|other| other.domain != domain || other.running == 0)
    }

    /// How long a slot that is free stays so if all slots end together.
    fn time_left(&self, cell: usize) -> Millis {
        let zone_of =
            |cell: &Cell| self.fleet.layout.zone_of(self.fleet.layout.domains()[cell.domain as usize].hosts[0]);
        let zone = zone_of(&self.index.cells[cell]);
        let region: Millis = self.index.cells.iter().map(|cell| self.work_left(cell)).sum();
        let in_zone = self.index.cells.iter().filter(|cell| zone_of(cell) == zone);
        let zone_work: Millis = in_zone.map(|cell| self.work_left(cell)).sum();
        let share = |work: Millis, limit: u32| work / u64::from(limit.max(1));
        share(region, self.fleet.pools[0].limit).max(share(zone_work, self.fleet.zone_limits[zone as usize]))
    }

    /// Hosts whose time fills a slot well: far from the end in the strategy's order, then such that the remaining
    /// time divides evenly, at last the longest that still fits.
    fn fitting(&self, cell: usize) -> Vec<u32> {
        let left = self.time_left(cell);
        let cell = &self.index.cells[cell];
        let count = cell.by_time.len() as u64;
        if count == 0 {
            return Vec::new();
        }
        let mean = (cell.waiting / count).max(1);
        let rounds = (left + mean / 2) / mean;
        if rounds > self.strategy.fitted_rounds {
            return cell.by_rank.iter().map(|(_, host)| *host).take(TRIES).collect();
        }
        let wanted = match rounds {
            0 | 1 => left,
            2 => pair(cell, left),
            rounds => left / rounds,
        };
        let shorter = cell.by_time.range(..=(wanted, u32::MAX)).rev().take(TRIES);
        let longer = cell.by_time.range((wanted + 1, 0)..).take(TRIES);
        shorter.chain(longer).map(|(_, host)| *host).collect()
    }

    fn mirror_fitting(&mut self, cell: usize) -> bool {
        if self.index.rooms[self.index.cells[cell].domain as usize].vacant.is_empty() {
            return false;
        }
        let hosts = self.fitting(cell);
        hosts.into_iter().any(|host| self.has_slot(host) && self.mirror(host, false))
    }

    /// Puts all instances of `host` into the smallest vacant host that takes them, and begins it. Vacant hosts of a
    /// larger kind are left to hosts of that kind, except `in_need`.
    fn mirror(&mut self, host: u32, in_need: bool) -> bool {
        let load = self.load(host);
        let tight = load.get(self.fleet.tight(host)).copied().unwrap_or(0);
        let domain = self.fleet.layout.domain_of(host) as usize;
        let roomy = self.index.rooms[domain].vacant.range((tight, 0)..);
        let candidates: Vec<u32> =
            roomy.map(|(_, target)| *target).take(if in_need { usize::MAX } else { TRIES }).collect();
        candidates.into_iter().any(|target| {
            (in_need || self.may_spend(target, host))
                && self.fits_whole(target, &load)
                && self.mirror_into(host, target)
        })
    }

    /// Whether a vacant host may be used for one of another kind.
    pub(super) fn may_spend(&self, target: u32, host: u32) -> bool {
        let (kind, other) = (self.index.cell_of[target as usize], self.index.cell_of[host as usize]);
        let cell = &self.index.cells[kind as usize];
        let is_smaller = || {
            let capacities = self.fleet.layout.capacity(target).iter().zip(self.fleet.layout.capacity(host));
            capacities.into_iter().all(|(mine, theirs)| mine <= theirs)
        };
        kind == other || cell.by_rank.is_empty() || cell.vacant > 1 || is_smaller()
    }

    fn fits_whole(&self, target: u32, load: &[i64]) -> bool {
        load.iter().zip(&self.space.slot(target).free).all(|(amount, free)| *amount == 0 || amount <= free)
    }

    fn load(&self, host: u32) -> Vec<i64> {
        let mut load = vec![0; self.fleet.layout.classes().len()];
        for instance in &self.leaving[host as usize] {
            for (sum, amount) in load.iter_mut().zip(self.fleet.amounts_of(*instance)) {
                *sum += amount;
            }
        }
        load
    }

    fn mirror_into(&mut self, host: u32, target: u32) -> bool {
        let leaving = std::mem::take(&mut self.leaving[host as usize]);
        self.index.take_out(self.fleet, &self.space, target);
        let mut taken = 0;
        for instance in &leaving {
            let need = self.fleet.need(*instance, host);
            if !self.space.takes(target, &need, self.fleet.kept_empty) {
                break;
            }
            self.space.take(target, &need);
            taken += 1;
        }
        let all = taken == leaving.len();
        if !all {
            for instance in &leaving[..taken] {
                self.space.give(target, &self.fleet.need(*instance, host));
            }
        }
        self.index.add_room(self.fleet, &self.space, target);
        let placement: Vec<(u32, u32)> = leaving.iter().map(|instance| (*instance, target)).collect();
        self.leaving[host as usize] = leaving;
        if all {
            self.begin(host, &placement);
        }
        all
    }

    /// Begins a given host in whatever way there is.
    pub(super) fn begin_anyhow(&mut self, host: u32) -> bool {
        if !self.waits[host as usize] || !self.has_slot(host) {
            return false;
        }
        if self.leaving[host as usize].is_empty() {
            self.begin(host, &[]);
            return true;
        }
        self.mirror(host, true) || self.pack(host, true) || self.seed_host(host, u32::MAX, false).is_some()
    }

    /// As [`Self::begin_in_need_of`], once for each time that room appears.
    fn begin_if_room_appeared(&mut self, cell: usize) -> bool {
        let domain = self.index.cells[cell].domain as usize;
        let version = Some(self.index.rooms[domain].version);
        if self.index.rooms[domain].nothing_at == version {
            return false;
        }
        let begun = self.begin_in_need_of(cell);
        if !begun {
            self.index.rooms[domain].nothing_at = version;
        }
        begun
    }

    /// Tries every waiting host of the cell in every way that keeps the rules.
    fn begin_in_need_of(&mut self, cell: usize) -> bool {
        let domain = self.index.cells[cell].domain;
        let by_load = &self.index.cells[cell].by_load;
        let hosts: Vec<u32> = by_load.iter().map(|(_, host)| *host).filter(|host| self.has_slot(*host)).collect();
        hosts.iter().any(|host| self.mirror(*host, true))
            || hosts.iter().any(|host| self.pack(*host, true))
            || self.seed(domain, u32::MAX, false).is_some()
            || (self.index.rooms[domain as usize].targets == 0 && self.seed(domain, u32::MAX, true).is_some())
            || self.repair(domain)
            || self.make_way(domain)
    }

    /// The last resort when nothing is out anywhere.
    pub(super) fn begin_in_need(&mut self) -> bool {
        (0..self.index.cells.len())
            .any(|cell| !self.index.cells[cell].by_rank.is_empty() && self.begin_in_need_of(cell))
    }

    /// What keeps a stuck host's instances from leaving: the first that fits nowhere, and the nearest miss.
    pub(super) fn barrier(&self, host: u32) -> Option<(u32, Barrier)> {
        let domain = &self.fleet.layout.domains()[self.fleet.layout.domain_of(host) as usize];
        let nearest = |instance: u32| {
            let need = self.fleet.need(instance, host);
            let refusals = domain.hosts.iter().map(|target| self.space.admits(*target, &need, self.fleet.kept_empty));
            refusals.collect::<Vec<_>>().into_iter().try_fold(Barrier::NotTarget, |known, answer| match answer {
                Ok(()) => None,
                Err(barrier) => Some(super::space::nearer(known, barrier)),
            })
        };
        self.leaving[host as usize].iter().find_map(|instance| Some((*instance, nearest(*instance)?)))
    }

    /// Which of a stuck host's instances are left over when the others go wherever there is room. Changes nothing.
    pub(super) fn left_over(&mut self, host: u32) -> Vec<u32> {
        let domain = self.fleet.layout.domain_of(host);
        let (mut placement, mut left) = (Vec::new(), Vec::new());
        for instance in self.leaving[host as usize].clone() {
            let gap = self.best_gap(instance, host).or_else(|| self.vacant_gap(instance, host));
            match gap.or_else(|| self.best_unmitigated(instance, host, domain, false)) {
                Some(target) => {
                    self.book_seed(instance, host, target);
                    placement.push((instance, target));
                }
                None => left.push(instance),
            }
        }
        for (instance, target) in placement {
            self.undo_seed(instance, host, target);
        }
        left
    }

    /// The smallest vacant host that takes one instance.
    pub(super) fn vacant_gap(&self, instance: u32, from: u32) -> Option<u32> {
        let need = self.fleet.need(instance, from);
        let vacant = &self.index.rooms[self.fleet.layout.domain_of(from) as usize].vacant;
        let mut hosts = vacant.iter().map(|(_, host)| *host);
        hosts.find(|host| self.space.takes(*host, &need, self.fleet.kept_empty))
    }
}

/// The longer time of the two waiting hosts that together fill `left` best without exceeding it.
fn pair(cell: &Cell, left: Millis) -> Millis {
    let step = cell.by_time.len().div_ceil(TRIES * 4).max(1);
    let sums = cell.by_time.iter().rev().step_by(step).filter_map(|(longer, host)| {
        let rest = left.checked_sub(*longer)?;
        let mut partners = cell.by_time.range(..=(rest, u32::MAX)).rev();
        let (shorter, _) = partners.find(|(_, partner)| partner != host)?;
        Some((longer + shorter, *longer))
    });
    sums.max().map_or(left / 2, |(_, longer)| longer)
}
