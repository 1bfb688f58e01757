//! Indexes over hosts: what waits to be begun, and where there is room.

use std::collections::BTreeSet;

use super::fleet::{Fleet, Millis};
use super::schedule::Lightness;
use super::space::Space;

/// Hosts of one domain that are exchangeable as mirrors: about the same capacity, of kinds that no instance tells apart,
/// and with the same place in the policy's priority.
#[derive(Debug, Default, Clone)]
pub(super) struct Cell {
    pub(super) domain: u32,
    /// Place of its hosts in the policy's priority.
    pub(super) turn: u32,
    /// Waiting hosts by how long they will be out.
    pub(super) by_time: BTreeSet<(Millis, u32)>,
    /// Waiting hosts in the strategy's order.
    pub(super) by_rank: BTreeSet<(u64, u32)>,
    /// Waiting hosts by load over capacity, in millionths; the lightest are packed first.
    pub(super) by_load: BTreeSet<(u64, u32)>,
    /// Waiting hosts that nothing leaves.
    pub(super) idle: BTreeSet<u32>,
    /// Sum of the times of waiting hosts.
    pub(super) waiting: Millis,
    /// Hosts out of service.
    pub(super) running: u32,
    /// Sum of the times at which they return.
    pub(super) returning: Millis,
    /// Vacant targets of this kind.
    pub(super) vacant: u32,
}

/// Room in one domain.
#[derive(Debug, Default, Clone)]
pub(super) struct Room {
    /// Targets in use, by room of the tight class.
    pub(super) gaps: BTreeSet<(i64, u32)>,
    /// Targets that nothing will leave, by room of the tight class.
    pub(super) vacant: BTreeSet<(i64, u32)>,
    /// Counts hosts that became targets: while it stands still, what found no room finds none.
    pub(super) version: u32,
    /// Targets, vacant or not.
    pub(super) targets: u32,
    /// Waiting hosts, by room of the tight class: seeds go there.
    pub(super) waiting: BTreeSet<(i64, u32)>,
    /// Waiting hosts by how many instances leave them: seeds come from there.
    pub(super) by_count: BTreeSet<(usize, u32)>,
    /// Hosts that are not remedied and may lend their room, by room of the tight class.
    pub(super) lending: BTreeSet<(i64, u32)>,
    /// The version at which no host could be a seed.
    pub(super) no_seed_at: Option<u32>,
    /// The version at which nothing helped.
    pub(super) nothing_at: Option<u32>,
}

/// All indexes.
#[derive(Debug, Clone)]
pub(super) struct Index {
    pub(super) cells: Vec<Cell>,
    pub(super) cell_of: Vec<u32>,
    pub(super) rooms: Vec<Room>,
    /// Occupants that never leave, by host.
    stays: Vec<u32>,
    rank: Vec<u64>,
    lightness: Lightness,
}

impl Index {
    /// Sorts hosts into cells; nothing waits yet, and the targets of `space` have their room.
    pub(super) fn of(fleet: &Fleet<'_>, space: &Space, rank: Vec<u64>, lightness: Lightness) -> Self {
        let layout = &fleet.layout;
        let count = u32::try_from(layout.len()).unwrap_or(u32::MAX);
        let turn = |host: u32| fleet.turn[host as usize];
        let key = |host| (turn(host), layout.domain_of(host), size_of(layout.capacity(host)), fleet.meets(host));
        let keys: BTreeSet<_> = (0..count).map(key).collect();
        let keys: Vec<_> = keys.into_iter().collect();
        let cell_of = (0..count)
            .map(|host| keys.binary_search(&key(host)).ok().and_then(|cell| u32::try_from(cell).ok()).unwrap_or(0))
            .collect();
        let leaving = |host: u32| u32::try_from(fleet.leaving[host as usize].len()).unwrap_or(u32::MAX);
        let planned: BTreeSet<u32> = fleet.hosts.iter().copied().collect();
        let stays = |host: u32| {
            if planned.contains(&host) { space.slot(host).occupants.saturating_sub(leaving(host)) } else { 0 }
        };
        let mut index = Self {
            cells: keys
                .iter()
                .map(|(turn, domain, _, _)| Cell { domain: *domain, turn: *turn, ..Cell::default() })
                .collect(),
            cell_of,
            rooms: vec![Room::default(); layout.domains().len()],
            stays: (0..count).map(stays).collect(),
            rank,
            lightness,
        };
        for host in (0..count).filter(|host| space.is_target(*host)) {
            index.admit(fleet, space, host);
        }
        for host in (0..count).filter(|host| fleet.bystander[*host as usize]) {
            index.lend(fleet, space, host);
        }
        index
    }

    /// The cell of a host.
    pub(super) fn cell(&mut self, host: u32) -> &mut Cell {
        &mut self.cells[self.cell_of[host as usize] as usize]
    }

    /// The room of a host's domain.
    pub(super) fn room(&mut self, host: u32) -> &mut Room {
        let cell = self.cell_of[host as usize] as usize;
        &mut self.rooms[self.cells[cell].domain as usize]
    }

    /// A target's room appears.
    pub(super) fn admit(&mut self, fleet: &Fleet<'_>, space: &Space, host: u32) {
        self.room(host).version += 1;
        self.room(host).targets += 1;
        self.add_room(fleet, space, host);
    }

    /// Takes a target's room out of the index while it changes.
    pub(super) fn take_out(&mut self, fleet: &Fleet<'_>, space: &Space, host: u32) {
        let free = free_of_tight(fleet, space, host);
        let room = self.room(host);
        if !room.gaps.remove(&(free, host)) && room.vacant.remove(&(free, host)) {
            self.cell(host).vacant -= 1;
        }
    }

    /// Puts a target's room back.
    pub(super) fn add_room(&mut self, fleet: &Fleet<'_>, space: &Space, host: u32) {
        let free = free_of_tight(fleet, space, host);
        let vacant = space.slot(host).occupants <= self.stays[host as usize];
        let room = self.room(host);
        if vacant {
            room.vacant.insert((free, host));
            self.cell(host).vacant += 1;
        } else {
            room.gaps.insert((free, host));
        }
    }

    /// A host that is not remedied may lend its room.
    pub(super) fn lend(&mut self, fleet: &Fleet<'_>, space: &Space, host: u32) {
        let free = free_of_tight(fleet, space, host);
        self.room(host).lending.insert((free, host));
    }

    /// It lends no more, while its room changes.
    pub(super) fn stop_lending(&mut self, fleet: &Fleet<'_>, space: &Space, host: u32) {
        let free = free_of_tight(fleet, space, host);
        self.room(host).lending.remove(&(free, host));
    }

    /// A host waits to be begun.
    pub(super) fn wait(&mut self, fleet: &Fleet<'_>, space: &Space, host: u32, leaving: &[u32]) {
        let (time, load) = (fleet.out_for(host, leaving), load_of(fleet, host, leaving, self.lightness));
        let rank = self.rank[host as usize];
        let room = self.room(host);
        if !fleet.spare[host as usize] {
            room.waiting.insert((free_of_tight(fleet, space, host), host));
        }
        room.by_count.insert((leaving.len(), host));
        let cell = self.cell(host);
        cell.by_time.insert((time, host));
        cell.by_rank.insert((rank, host));
        cell.by_load.insert((load, host));
        cell.waiting += time;
        if leaving.is_empty() {
            cell.idle.insert(host);
        }
    }

    /// A host no longer waits.
    pub(super) fn forget(&mut self, fleet: &Fleet<'_>, space: &Space, host: u32, leaving: &[u32]) {
        let (time, load) = (fleet.out_for(host, leaving), load_of(fleet, host, leaving, self.lightness));
        let rank = self.rank[host as usize];
        let room = self.room(host);
        room.waiting.remove(&(free_of_tight(fleet, space, host), host));
        room.by_count.remove(&(leaving.len(), host));
        let cell = self.cell(host);
        cell.by_time.remove(&(time, host));
        cell.by_rank.remove(&(rank, host));
        cell.by_load.remove(&(load, host));
        cell.idle.remove(&host);
        cell.waiting -= time;
    }
}

impl Room {
    /// Hosts that are not mitigated and have at least `amount` of the tight class, the tightest first.
    pub(super) fn unmitigated(&self, amount: i64, to_bystanders: bool) -> impl Iterator<Item = u32> {
        let hosts = if to_bystanders { &self.lending } else { &self.waiting };
        hosts.range((amount, 0)..).map(|(_, host)| *host)
    }
}

/// Capacities by size, to one part in sixteen: machines of one model differ by a few MiB.
fn size_of(capacity: &[i64]) -> Vec<u32> {
    let size = |amount: &i64| {
        let amount = amount.unsigned_abs();
        let exponent = (amount | 1).ilog2();
        let mantissa = (amount << (63 - exponent) >> 59) & 0xf;
        exponent << 4 | u32::try_from(mantissa).unwrap_or(0)
    };
    capacity.iter().map(size).collect()
}

fn free_of_tight(fleet: &Fleet<'_>, space: &Space, host: u32) -> i64 {
    space.slot(host).free.get(fleet.tight(host)).copied().unwrap_or(0)
}

/// Load over capacity in millionths, as `by` counts it.
fn load_of(fleet: &Fleet<'_>, host: u32, leaving: &[u32], by: Lightness) -> u64 {
    let share = |(class, capacity): (usize, &i64)| {
        let load: i64 = leaving.iter().map(|instance| fleet.amount(*instance, class)).sum();
        u64::try_from(i128::from(load) * 1_000_000 / i128::from((*capacity).max(1))).unwrap_or(0)
    };
    let capacity = fleet.layout.capacity(host);
    match by {
        Lightness::Tight => {
            let tight = fleet.tight(host);
            capacity.get(tight).map_or(0, |amount| share((tight, amount)))
        }
        Lightness::Fullest => capacity.iter().enumerate().map(share).max().unwrap_or(0),
        Lightness::Sum => capacity.iter().enumerate().map(share).sum(),
    }
}
