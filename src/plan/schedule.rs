//! The planner's loop in planned time: which host begins when, and where its instances go.
//!
//! A host begins whenever the limits let one more out and its instances have room; there are no waves. While vacant
//! hosts are scarce, hosts are packed into the room between instances, which makes more of them; as soon as there is
//! one for each slot, each host is mirrored into one.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap};

use super::cells::Index;
use super::fleet::{Fleet, Millis};
use super::space::{Barrier, Space};
use super::transfer::{Timetable, Transfer};
use super::way::{SEARCHES, zones_without_a_start};

/// How one attempt goes about it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own, tried with and without the others")]
pub(super) struct Strategy {
    /// Order in which hosts are taken while time is plenty.
    pub(super) order: Order,
    /// Hosts drained onto hosts that are not mitigated yet, before the first of their domain is.
    pub(super) seeds: u32,
    /// Moves onto hosts that are not mitigated yet which may be spent to fill slots later on.
    pub(super) late_moves: u32,
    /// Whether hosts are packed while vacant hosts are scarce.
    pub(super) pack: bool,
    /// Whether those moves are spent on small instances, into the gaps of hosts that are not mitigated, so that what is
    /// left of two hosts fits into one.
    pub(super) squeeze: bool,
    /// Whether of all hosts that wait the one is packed of which least is left over, not the lightest.
    pub(super) thorough: bool,
    /// Which hosts are packed first.
    pub(super) lightness: Lightness,
    /// From this many rounds before the end on, hosts are chosen by how well their time fills what is left.
    pub(super) fitted_rounds: u64,
    /// Whether instances are packed onto hosts that nothing is on its way to, where there is a choice.
    pub(super) idle_targets: bool,
    /// Seed of the order.
    pub(super) seed: u64,
}

/// An order of hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// By a seeded hash of the number.
    Mixed,
    /// Those that take longest first.
    Longest,
}

/// What makes a host light.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lightness {
    /// Its share in use of its domain's tight class.
    Tight,
    /// That of the class of which most is in use. Where two classes are scarce, a host that is light in one is full in
    /// the other.
    Fullest,
    /// The sum of the shares of all classes.
    Sum,
}

/// A schedule.
#[derive(Debug, Clone, Default)]
pub(super) struct Schedule {
    /// Hosts in order of start.
    pub(super) hosts: Vec<Planned>,
    /// Hosts that could not be emptied.
    pub(super) stuck: Vec<u32>,
    /// All moves.
    pub(super) moves: usize,
    /// When the last host is back.
    pub(super) makespan: Millis,
}

/// A host with its time.
#[derive(Debug, Clone)]
pub(super) struct Planned {
    pub(super) host: u32,
    pub(super) start: Millis,
    pub(super) finish: Millis,
    pub(super) canary: bool,
    pub(super) transfers: Vec<Transfer>,
    /// What makes way for its instances before they leave, each with the host that it leaves.
    pub(super) ways: Vec<(u32, Transfer)>,
}

/// How often each domain may be searched for instances that could make way.
fn searches(fleet: &Fleet<'_>) -> Vec<u32> {
    let may = zones_without_a_start(fleet);
    let of = |zone: u32| if may[zone as usize] { SEARCHES } else { 0 };
    fleet
        .layout
        .domains()
        .iter()
        .map(|domain| domain.hosts.first().map_or(0, |host| of(fleet.layout.zone_of(*host))))
        .collect()
}

/// Makes a schedule.
pub(super) fn schedule(fleet: &Fleet<'_>, strategy: &Strategy, canaries: &[u32], banned: &BTreeSet<u32>) -> Schedule {
    let mut loop_ = Loop::of(fleet, strategy, banned);
    loop_.run_canaries(canaries);
    loop_.run();
    loop_.finish()
}

/// A host that could not be emptied.
#[derive(Debug)]
pub(super) struct Stuck {
    pub(super) host: u32,
    /// The first instance that fits nowhere and the nearest miss; `None` when each fits somewhere.
    pub(super) barrier: Option<(u32, Barrier)>,
    /// Instances that are left over when the others are placed.
    pub(super) left_over: Vec<u32>,
}

/// Makes the same schedule once more, to say of each stuck host what is missing.
pub(super) fn explain_stuck(
    fleet: &Fleet<'_>,
    strategy: &Strategy,
    canaries: &[u32],
    banned: &BTreeSet<u32>,
) -> Vec<Stuck> {
    let mut loop_ = Loop::of(fleet, strategy, banned);
    loop_.run_canaries(canaries);
    loop_.run();
    let stuck = loop_.stuck().into_iter();
    stuck.map(|host| Stuck { host, barrier: loop_.barrier(host), left_over: loop_.left_over(host) }).collect()
}

/// The loop's state.
pub(super) struct Loop<'f, 'a> {
    pub(super) fleet: &'f Fleet<'a>,
    pub(super) strategy: &'f Strategy,
    /// Hosts that no seed may use.
    pub(super) banned: &'f BTreeSet<u32>,
    pub(super) space: Space,
    pub(super) index: Index,
    pub(super) timetable: Timetable,
    pub(super) now: Millis,
    /// Instances that leave each host, the biggest first; seeds add to it.
    pub(super) leaving: Vec<Vec<u32>>,
    /// Waits to be begun.
    pub(super) waits: Vec<bool>,
    /// A host that takes a seed's instances is not begun before they have arrived.
    pub(super) not_before: Vec<Millis>,
    /// When packing a host failed last, as the version of its domain's room.
    pub(super) failed_at: Vec<u32>,
    pub(super) seeds_left: u32,
    pub(super) late_moves_left: u32,
    /// Bookings that may still be tried and taken back, by domain.
    pub(super) trials_left: Vec<u32>,
    /// Searches for instances that could make way, by domain.
    pub(super) searches_left: Vec<u32>,
    used: Vec<u32>,
    out: BinaryHeap<Reverse<(Millis, u32)>>,
    planned: Vec<Planned>,
    canary_phase: bool,
}

impl<'f, 'a> Loop<'f, 'a> {
    fn of(fleet: &'f Fleet<'a>, strategy: &'f Strategy, banned: &'f BTreeSet<u32>) -> Self {
        let count = fleet.layout.len();
        let rank = (0_u32..).take(count).map(|host| match strategy.order {
            Order::Mixed => mix(strategy.seed, u64::from(host)),
            Order::Longest => u64::MAX - fleet.out_for(host, &fleet.leaving[host as usize]),
        });
        let mut index = Index::of(fleet, &fleet.space, rank.collect(), strategy.lightness);
        let mut waits = vec![false; count];
        for host in &fleet.hosts {
            index.wait(fleet, &fleet.space, *host, &fleet.leaving[*host as usize]);
            waits[*host as usize] = true;
        }
        Self {
            fleet,
            strategy,
            banned,
            space: fleet.space.clone(),
            index,
            timetable: Timetable::of(fleet),
            now: 0,
            leaving: fleet.leaving.clone(),
            waits,
            not_before: vec![0; count],
            failed_at: vec![u32::MAX; count],
            seeds_left: strategy.seeds,
            late_moves_left: strategy.late_moves,
            trials_left: vec![super::repair::TRIALS; fleet.layout.domains().len()],
            searches_left: searches(fleet),
            used: vec![0; fleet.pools.len()],
            out: BinaryHeap::new(),
            planned: Vec::with_capacity(fleet.hosts.len()),
            canary_phase: false,
        }
    }

    /// The canary hosts go first, alone, and are watched.
    fn run_canaries(&mut self, canaries: &[u32]) {
        self.canary_phase = true;
        for host in canaries {
            // Each begins when those before it are done: the first of a domain makes room for the next.
            while self.advance() {}
            self.begin_anyhow(*host);
        }
        while self.advance() {}
        // Where those found no room, others show as much.
        let wanted = self.fleet.canaries.min(self.fleet.hosts.len());
        while self.planned.len() < wanted && (self.begin_next() || self.begin_in_need()) {
            while self.advance() {}
        }
        self.canary_phase = false;
        if !self.planned.is_empty() {
            self.now += self.fleet.soak;
        }
    }

    fn run(&mut self) {
        loop {
            while self.begin_next() {}
            if !self.advance() && !self.wait_for_arrival() && !self.begin_in_need() {
                return;
            }
        }
    }

    fn stuck(&self) -> Vec<u32> {
        self.fleet.hosts.iter().copied().filter(|host| self.waits[*host as usize]).collect()
    }

    fn finish(mut self) -> Schedule {
        let stuck = self.stuck();
        self.planned.sort_by_key(|planned| (!planned.canary, planned.start, planned.host));
        Schedule {
            stuck,
            moves: self.planned.iter().map(|planned| planned.transfers.len() + planned.ways.len()).sum(),
            makespan: self.planned.iter().map(|planned| planned.finish).max().unwrap_or(0),
            hosts: self.planned,
        }
    }

    /// Goes on to the next time at which hosts return; `false` when none is out.
    fn advance(&mut self) -> bool {
        let Some(Reverse((time, _))) = self.out.peek().copied() else { return false };
        self.now = self.now.max(time);
        while let Some(Reverse((time, host))) = self.out.peek().copied()
            && time <= self.now
        {
            self.out.pop();
            for pool in &self.fleet.pools_of[host as usize] {
                self.used[*pool as usize] -= 1;
            }
            let cell = self.index.cell(host);
            cell.running -= 1;
            cell.returning -= time;
            if !self.fleet.spare[host as usize] {
                self.space.set_target(host, true);
                self.index.admit(self.fleet, &self.space, host);
            }
        }
        true
    }

    /// Nothing is out, but a waiting host's new instances are still arriving.
    fn wait_for_arrival(&mut self) -> bool {
        let later = self.fleet.hosts.iter().filter(|host| self.waits[**host as usize]);
        let next = later.map(|host| self.not_before[*host as usize]).filter(|time| *time > self.now).min();
        if let Some(time) = next {
            self.now = time;
        }
        next.is_some()
    }

    /// Whether the limits let this host out.
    pub(super) fn has_slot(&self, host: u32) -> bool {
        let free = |pool: &u32| self.used[*pool as usize] < self.fleet.pools[*pool as usize].limit;
        self.not_before[host as usize] <= self.now && self.fleet.pools_of[host as usize].iter().all(free)
    }

    /// Slots of the region that are free.
    pub(super) fn free_slots(&self) -> u32 {
        self.fleet.pools[0].limit.saturating_sub(self.used[0])
    }

    /// Begins a host: its instances are already where they go in `space`.
    pub(super) fn begin(&mut self, host: u32, placement: &[(u32, u32)]) {
        self.begin_behind(host, placement, Vec::new());
    }

    /// The same, behind what makes way for its instances.
    pub(super) fn begin_behind(&mut self, host: u32, placement: &[(u32, u32)], ways: Vec<(u32, Transfer)>) {
        let leaving = std::mem::take(&mut self.leaving[host as usize]);
        self.index.forget(self.fleet, &self.space, host, &leaving);
        self.waits[host as usize] = false;
        for instance in &leaving {
            self.space.give(host, &self.fleet.need(*instance, host));
        }
        let way_made = ways.last().map_or(self.now, |(_, last)| last.finish);
        let transfers = self.timetable.drain(self.fleet, placement, way_made);
        let quiet = transfers.iter().map(|transfer| transfer.finish).max().unwrap_or(way_made);
        let finish = quiet + self.fleet.work[host as usize];
        for pool in &self.fleet.pools_of[host as usize] {
            self.used[*pool as usize] += 1;
        }
        let cell = self.index.cell(host);
        cell.running += 1;
        cell.returning += finish;
        self.out.push(Reverse((finish, host)));
        let made = ways.iter().map(|(_, transfer)| transfer);
        for transfer in transfers.iter().chain(made).filter(|transfer| self.waits[transfer.to as usize]) {
            let until = &mut self.not_before[transfer.to as usize];
            *until = (*until).max(transfer.finish);
        }
        self.planned.push(Planned { host, start: self.now, finish, canary: self.canary_phase, transfers, ways });
    }

    /// Books an instance onto a target.
    pub(super) fn book(&mut self, instance: u32, from: u32, target: u32) {
        self.index.take_out(self.fleet, &self.space, target);
        self.space.take(target, &self.fleet.need(instance, from));
        self.index.add_room(self.fleet, &self.space, target);
    }

    /// Takes a booking back.
    pub(super) fn unbook(&mut self, instance: u32, from: u32, target: u32) {
        self.index.take_out(self.fleet, &self.space, target);
        self.space.give(target, &self.fleet.need(instance, from));
        self.index.add_room(self.fleet, &self.space, target);
    }
}

/// A number that looks random and depends on nothing but its input. Source: the finaliser of `SplitMix64`.
pub(super) fn mix(seed: u64, number: u64) -> u64 {
    let mut z = seed.wrapping_add(number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
