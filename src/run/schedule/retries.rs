//! When something is tried again.

use jiff::{SignedDuration, Timestamp};

use crate::actions::ErrorClass;
use crate::model::StepId;
use crate::run::event::{FaultScope, StepFailure};
use crate::run::host::HostState;
use crate::run::state::{Gate, RunState};
use crate::run::{cold_boots, windows};

/// How often a host is resolved again because it was found not quiet behind the last look. Owners start what stays now
/// and then; a domain that Nova does not know of, or a claim that nothing explains, is there again each time.
pub const MAX_DISTURBANCES: u32 = 4;

/// Attempts of a move that its instance fails.
pub const INSTANCE_ATTEMPTS: u32 = 5;

/// Attempts of a move that its target fails.
pub const TARGET_ATTEMPTS: u32 = 8;

/// Attempts of anything else that fails for a reason that may pass.
pub const HOST_ATTEMPTS: u32 = 3;

/// When [`super::decide`] may answer differently though nothing happened; `None` when only an event can change it.
pub fn next_wake(state: &RunState, now: Timestamp) -> Option<Timestamp> {
    let retry = state.index.next_retry(now);
    let gate = match state.gate() {
        Gate::Reached(at) => at,
        Gate::Closed | Gate::Open => None,
    };
    let window = windows::next_opening(&state.rollout().policy.windows, now);
    let own_window = cold_boots::next_opening(state, now);
    [retry, gate, window, own_window].into_iter().flatten().filter(|at| *at > now).min()
}

/// When a failed step is tried again; `None` when it is not.
///
/// What the control plane did counts against nobody and is tried again for ever, at most a minute apart; so is a move
/// whose target turned out to be full, which is looked for elsewhere or waits for room. A host that is not quiet is
/// resolved again, a few times, further and further apart. Everything else that is transient has three attempts; a move
/// that its instance failed five, and one that its target failed eight, spread over four minutes: targets differ, and
/// Nova's scheduler may believe for two minutes in instances that have left.
pub fn retry_at(state: &RunState, step: &StepId, failure: &StepFailure, now: Timestamp) -> Option<Timestamp> {
    let step = state.step(step)?;
    let attempt = step.next_attempt().saturating_sub(1);
    if (failure.scope, failure.class) == (FaultScope::Target, ErrorClass::Transient)
        && state.is_crowded_out(&step.step.id)
    {
        return Some(now + backoff(2, step.crowded_out, 60));
    }
    let counted = attempt.saturating_sub(step.excused + step.crowded_out);
    let (seconds, most) = match (failure.scope, failure.class) {
        (_, ErrorClass::Disquiet) => {
            let disturbances = state.hosts().get(&step.step.host).map_or(0, HostState::disturbances);
            return (disturbances < MAX_DISTURBANCES).then(|| now + backoff(10, disturbances, 120));
        }
        (FaultScope::ControlPlane, _) => return Some(now + backoff(5, step.excused, 60)),
        (_, ErrorClass::Permanent | ErrorClass::NeedsOperator) => return None,
        (FaultScope::Target, ErrorClass::Transient) => (2, TARGET_ATTEMPTS),
        (FaultScope::Instance, ErrorClass::Transient) => (5, INSTANCE_ATTEMPTS),
        (FaultScope::Host, ErrorClass::Transient) => (10, HOST_ATTEMPTS),
    };
    (counted < most).then(|| now + backoff(seconds, counted.saturating_sub(1), 300))
}

/// `first` seconds doubled `times` times, at most `most` seconds.
fn backoff(first: i64, times: u32, most: i64) -> SignedDuration {
    SignedDuration::from_secs(first.saturating_mul(1_i64 << times.min(16)).min(most))
}
