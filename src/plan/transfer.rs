//! When each migration runs: list scheduling under the limits per source, per target, per region and per group.

use super::fleet::{Fleet, Millis};

/// A migration with its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Transfer {
    pub(super) instance: u32,
    pub(super) to: u32,
    pub(super) start: Millis,
    pub(super) finish: Millis,
}

/// A migration without its time.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    instance: u32,
    to: u32,
    duration: Millis,
    /// The group within which one member moves at a time.
    group: Option<u32>,
}

impl Waiting {
    fn of(fleet: &Fleet<'_>, (instance, to): (u32, u32)) -> Self {
        Self { instance, to, duration: fleet.duration(instance), group: fleet.exclusive_group(instance) }
    }
}

/// Until when each stream is taken.
#[derive(Debug, Clone)]
pub(super) struct Timetable {
    per_target: usize,
    inbound: Vec<Millis>,
    groups: Vec<Millis>,
    /// One entry a stream of the region; empty where hosts out at once cannot use them all.
    region: Vec<Millis>,
}

impl Timetable {
    /// Nothing is moving.
    pub(super) fn of(fleet: &Fleet<'_>) -> Self {
        let most = fleet.pools[0].limit as usize * fleet.streams.source;
        let region = if fleet.streams.region < most { fleet.streams.region } else { 0 };
        Self {
            per_target: fleet.streams.target,
            inbound: vec![0; fleet.layout.len() * fleet.streams.target],
            groups: vec![0; fleet.layout.group_count()],
            region: vec![0; region],
        }
    }

    fn target(&self, host: u32) -> &[Millis] {
        &self.inbound[host as usize * self.per_target..][..self.per_target]
    }

    /// Whether a migration to `host` could start at `from`.
    pub(super) fn is_idle(&self, host: u32, from: Millis) -> bool {
        self.target(host).iter().any(|until| *until <= from)
    }

    /// When a migration of this group to `host` can start, at `from` or later.
    fn available(&self, host: u32, group: Option<u32>, from: Millis) -> Millis {
        let target = self.target(host).iter().copied().min().unwrap_or(0);
        let group = group.map_or(0, |group| self.groups[group as usize]);
        let wanted = from.max(target).max(group);
        self.region_stream(wanted).map_or(wanted, |stream| wanted.max(self.region[stream]))
    }

    /// The stream of the region that is idle for the shortest time before `wanted`, else the first to be free.
    fn region_stream(&self, wanted: Millis) -> Option<usize> {
        let free = self.region.iter().enumerate().filter(|(_, until)| **until <= wanted);
        let latest = free.max_by_key(|(index, until)| (**until, usize::MAX - index)).map(|(index, _)| index);
        latest.or_else(|| self.region.iter().enumerate().min_by_key(|(_, until)| **until).map(|(index, _)| index))
    }

    fn book(&mut self, host: u32, group: Option<u32>, start: Millis, finish: Millis) {
        if let Some(stream) = self.region_stream(start) {
            self.region[stream] = finish;
        }
        let streams = &mut self.inbound[host as usize * self.per_target..][..self.per_target];
        if let Some(stream) = streams.iter_mut().min() {
            *stream = finish;
        }
        if let Some(group) = group {
            self.groups[group as usize] = finish;
        }
    }

    /// Books all migrations away from one host, beginning at `from`: whenever a stream of the source is free, the
    /// longest that need not wait, else the one that waits least. Returns them in order of start.
    pub(super) fn drain(&mut self, fleet: &Fleet<'_>, placement: &[(u32, u32)], from: Millis) -> Vec<Transfer> {
        let mut waiting: Vec<Waiting> = placement.iter().map(|placed| Waiting::of(fleet, *placed)).collect();
        waiting.sort_unstable_by_key(|waiting| (std::cmp::Reverse(waiting.duration), waiting.instance));
        let mut outbound = vec![from; fleet.streams.source];
        let mut transfers = Vec::with_capacity(waiting.len());
        while !waiting.is_empty() {
            let Some(stream) = outbound.iter_mut().min() else { break };
            let mut best = (Millis::MAX, 0);
            for (index, waiting) in waiting.iter().enumerate() {
                let available = self.available(waiting.to, waiting.group, *stream);
                if available < best.0 {
                    best = (available, index);
                }
                if available <= *stream {
                    break;
                }
            }
            let (start, index) = best;
            let Waiting { instance, to, duration, group } = waiting.remove(index);
            let finish = start + duration;
            self.book(to, group, start, finish);
            *stream = finish;
            transfers.push(Transfer { instance, to, start, finish });
        }
        transfers.sort_by_key(|transfer| (transfer.start, transfer.instance));
        transfers
    }
}
