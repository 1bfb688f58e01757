//! Every start and end in a rollout, in order of time.

use super::ground::{Ground, Time, time};
use super::parts::{in_parts, joined};
use crate::model::HostName;
use crate::plan::rollout::{PlannedHost, PlannedMove, Rollout};

/// What happens at one time; at the same time ends come before starts, and a host starts before its moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Instant {
    /// By place in [`Timeline::trips`].
    MoveEnds(u32),
    /// By place in the rollout.
    HostReturns(u32),
    /// By place in the rollout.
    HostLeaves(u32),
    /// By place in [`Timeline::trips`].
    MoveStarts(u32),
}

/// A planned move with what the region knows of it.
#[derive(Debug)]
pub(super) struct Trip<'a> {
    pub(super) planned: &'a PlannedMove,
    /// Place in the rollout of the host that it is planned with.
    pub(super) host: usize,
    /// By number, where the region has all three.
    pub(super) known: Option<Known>,
    /// Planned shorter than the policy estimates.
    pub(super) is_short: bool,
}

/// Instance, source and target by number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    pub(super) instance: usize,
    pub(super) from: usize,
    pub(super) to: usize,
}

/// All of it.
#[derive(Debug)]
pub(super) struct Timeline<'a> {
    pub(super) instants: Vec<(Time, Instant)>,
    pub(super) trips: Vec<Trip<'a>>,
}

impl<'a> Timeline<'a> {
    /// Reads a rollout.
    pub(super) fn of(rollout: &'a Rollout, ground: &Ground<'_>) -> Self {
        let mut moves_before = Vec::with_capacity(rollout.hosts.len());
        let mut moves = 0;
        for host in &rollout.hosts {
            moves_before.push(moves);
            moves += host.moves.len();
        }
        let parts = in_parts(&rollout.hosts, |place, hosts| {
            let moves = hosts.iter().map(|host| host.moves.len()).sum();
            let mut part =
                Self { instants: Vec::with_capacity(2 * (moves + hosts.len())), trips: Vec::with_capacity(moves) };
            for (place, host) in (place..).zip(hosts) {
                part.read(ground, place, host, moves_before[place]);
            }
            part.instants.sort_unstable();
            part
        });
        let (instants, trips): (Vec<_>, Vec<_>) = parts.into_iter().map(|part| (part.instants, part.trips)).unzip();
        let mut timeline = Self { instants: joined(instants), trips: joined(trips) };
        // A stable sort merges what is in order by parts.
        timeline.instants.sort();
        timeline
    }

    /// Reads one host; `number` is that of its first move.
    fn read(&mut self, ground: &Ground<'_>, place: usize, host: &'a PlannedHost, number: usize) {
        let here = u32::try_from(place).unwrap_or(u32::MAX);
        let from = ground.host(&host.host);
        self.instants.push((time(host.start_s), Instant::HostLeaves(here)));
        self.instants.push((time(host.finish_s), Instant::HostReturns(here)));
        // Most often all of a host's instances go to one.
        let mut last: Option<(&HostName, usize)> = None;
        let mut target = |name: &'a HostName| {
            if last.is_none_or(|(known, _)| known != name) {
                last = Some((name, ground.host(name)?));
            }
            last.map(|(_, number)| number)
        };
        for (number, planned) in (number..).zip(&host.moves) {
            let (start, finish) = (time(planned.start_s), time(planned.finish_s));
            let number = u32::try_from(number).unwrap_or(u32::MAX);
            self.instants.push((start, Instant::MoveStarts(number)));
            self.instants.push((finish, Instant::MoveEnds(number)));
            let from = if planned.from == host.host { from } else { ground.host(&planned.from) };
            let known = from.and_then(|from| {
                Some(Known { instance: ground.instance(planned.instance, from)?, from, to: target(&planned.to)? })
            });
            // A millisecond is what rounding may cost.
            let least = known.map_or(0, |known| ground.instances[known.instance].duration.max(1) - 1);
            self.trips.push(Trip { planned, host: place, known, is_short: finish < start + least });
        }
    }
}
