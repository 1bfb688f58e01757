//! Every start and end in a rollout, in order of time.

use super::ground::{Ground, Time, time};
use crate::plan::rollout::{PlannedMove, Rollout};

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
        let moves: usize = rollout.hosts.iter().map(|planned| planned.moves.len()).sum();
        let mut instants = Vec::with_capacity(2 * (moves + rollout.hosts.len()));
        let mut trips = Vec::with_capacity(moves);
        let mut number = 0;
        for (place, host) in (0_u32..).zip(&rollout.hosts) {
            instants.push((time(host.start_s), Instant::HostLeaves(place)));
            instants.push((time(host.finish_s), Instant::HostReturns(place)));
            for planned in &host.moves {
                let (start, finish) = (time(planned.start_s), time(planned.finish_s));
                instants.push((start, Instant::MoveStarts(number)));
                instants.push((finish, Instant::MoveEnds(number)));
                let known = ground.instance(planned.instance).and_then(|instance| {
                    Some(Known { instance, from: ground.host(&planned.from)?, to: ground.host(&planned.to)? })
                });
                // A millisecond is what rounding may cost.
                let least = known.map_or(0, |known| ground.instances[known.instance].duration.max(1) - 1);
                trips.push(Trip { planned, host: place as usize, known, is_short: finish < start + least });
                number += 1;
            }
        }
        instants.sort_unstable();
        Self { instants, trips }
    }
}
