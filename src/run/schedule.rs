//! Decisions, pure: what may be begun now, and why everything else waits.
//!
//! [`decide`] looks at steps that are ready and at the next few hosts that wait in each zone, never at all that exists:
//! the state keeps an index of them. It returns at most one start that books room at a time: the driver applies it and
//! asks again.

mod begin;
mod end;
mod memory;
mod pauses;
mod retries;
mod wait;

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::event::{Outcome, PauseCause};
use super::host::{HostPhase, HostState};
use super::state::{RunState, RunStatus};
use crate::model::{HostName, StepId};
use crate::plan::PlannedHost;
use begin::View;
pub(super) use memory::Memory;
pub use retries::{HOST_ATTEMPTS, INSTANCE_ATTEMPTS, MAX_DISTURBANCES, TARGET_ATTEMPTS, next_wake, retry_at};
pub use wait::{Wait, waiting, waits_of};

/// What is to happen next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// A step starts.
    Start {
        /// Which.
        step: StepId,
        /// From 1.
        attempt: u32,
        /// For a move: where to.
        target: Option<HostName>,
        /// For a move: why not to the planned host.
        because: Option<String>,
    },
    /// A host failed for good.
    Quarantine {
        /// Which.
        host: HostName,
        /// The step.
        step: StepId,
        /// Why.
        reason: String,
    },
    /// A host is left alone.
    Skip {
        /// Which.
        host: HostName,
        /// Why.
        reason: String,
    },
    /// A host that does not go on for now has what was stopped on it started again.
    Relieve {
        /// Which.
        host: HostName,
    },
    /// Nothing more begins.
    Pause {
        /// Why.
        cause: PauseCause,
        /// Why, for people.
        reason: String,
    },
    /// The canary hosts are through.
    ReachGate {
        /// When it opens by itself.
        opens_at: Option<Timestamp>,
    },
    /// The gate's time has come.
    OpenGate,
    /// There is nothing left to do, or nothing that may be done.
    End(Outcome),
}

/// Decides what happens next as of `now`. An empty answer means: wait for a step to end, or until [`next_wake`].
pub fn decide(state: &RunState, now: Timestamp) -> Vec<Decision> {
    search(state, now, false, &mut BTreeMap::new())
}

/// As [`decide`]. With `is_barren` moves and hosts are known to wait; `refused` keeps hosts for whose instances there was
/// no room, with how often room had appeared for them by then.
fn search(state: &RunState, now: Timestamp, is_barren: bool, refused: &mut BTreeMap<usize, u64>) -> Vec<Decision> {
    match state.status() {
        RunStatus::Unbegun | RunStatus::Ended(_) => return Vec::new(),
        RunStatus::Running | RunStatus::Paused(..) | RunStatus::Stopping => {}
    }
    let failed = pauses::failures(state);
    if !failed.is_empty() {
        return failed;
    }
    if let Some(pause) = pauses::out_of_hand(state, now).or_else(|| pauses::budget(state)) {
        return vec![pause];
    }
    let relieved = pauses::relieved(state);
    if !relieved.is_empty() {
        return relieved;
    }
    let view = View { state, now };
    let starts = view.steps();
    if !starts.is_empty() {
        return starts;
    }
    if !is_barren && let Some(start) = view.next_move() {
        return vec![start];
    }
    if *state.status() == RunStatus::Running
        && let Some(next) = view.gate().or_else(|| if is_barren { None } else { view.host(refused) })
    {
        return vec![next];
    }
    view.end().into_iter().collect()
}

/// Hosts that are begun, or need aftercare, with their plan.
fn active(state: &RunState) -> impl Iterator<Item = (&PlannedHost, &HostState)> {
    let mut places: Vec<usize> =
        state.index.in_phase(HostPhase::Active).chain(state.index.in_phase(HostPhase::Quarantined)).collect();
    places.sort_unstable();
    places.into_iter().filter_map(|place| state.at(place))
}
