//! What is worth a notice. Pure.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::HostName;
use crate::run::event::{Event, EventKind, Outcome};
use crate::run::{Gate, RunState};

/// Occasions.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Occasion {
    /// The canary hosts are through; the others follow.
    CanaryDone,
    /// Somebody has to approve.
    ApprovalNeeded,
    /// A host failed for good.
    Quarantined,
    /// The run paused, by itself or by somebody's word.
    Paused,
    /// A process ended the run, or its part of it.
    Ended,
}

/// One notice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Notice {
    /// The occasion.
    pub occasion: Occasion,
    /// When.
    pub at: Timestamp,
    /// The host concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<HostName>,
    /// In one line; may hold what strangers wrote.
    pub text: String,
}

impl Notice {
    /// What an event is worth, once `state` has it applied.
    pub fn of(state: &RunState, event: &Event) -> Option<Self> {
        let done = || {
            let hosts = state.count(crate::run::HostPhase::Done);
            format!("{hosts} of {} hosts done", state.rollout().hosts.len())
        };
        let (occasion, host, text) = match &event.kind {
            EventKind::GateReached { opens_at: None, .. } => {
                let text = "the canary hosts are done; the run waits for `fleetmend approve`";
                (Occasion::ApprovalNeeded, None, text.to_owned())
            }
            EventKind::GateReached { opens_at: Some(at), .. } => {
                (Occasion::CanaryDone, None, format!("the canary hosts are done and watched until {at:.0}"))
            }
            EventKind::GateOpened { by, .. } if state.gate() == Gate::Open => {
                (Occasion::CanaryDone, None, format!("the canary gate is open, by {by}"))
            }
            EventKind::HostQuarantined { host, reason, .. } => {
                (Occasion::Quarantined, Some(host.clone()), format!("quarantined: {reason}"))
            }
            EventKind::RunPaused { reason, .. } => (Occasion::Paused, None, format!("paused: {reason}; {}", done())),
            EventKind::RunEnded { outcome, .. } => {
                let how = match outcome {
                    Outcome::Done => "done",
                    Outcome::DoneWithFailures => "done; some hosts are quarantined, or instances did not start again",
                    Outcome::Paused => "paused with nothing under way: `fleetmend resume` goes on",
                    Outcome::Stopped => "stopped: `fleetmend resume` goes on",
                    Outcome::Abandoned => "abandoned",
                };
                (Occasion::Ended, None, format!("{how}; {}", done()))
            }
            EventKind::RunStarted { .. }
            | EventKind::RunResumed { .. }
            | EventKind::StepStarted { .. }
            | EventKind::StepIntended { .. }
            | EventKind::ChangeMade { .. }
            | EventKind::StepSucceeded { .. }
            | EventKind::StepFailed { .. }
            | EventKind::TargetSeen { .. }
            | EventKind::HostSkipped { .. }
            | EventKind::HostReleased { .. }
            | EventKind::HostRelieved { .. }
            | EventKind::HostRetried { .. }
            | EventKind::GateOpened { .. }
            | EventKind::HealthSeen { .. }
            | EventKind::RunContinued { .. }
            | EventKind::StopRequested { .. }
            | EventKind::LimitsChanged { .. } => return None,
        };
        Some(Self { occasion, at: event.at, host, text })
    }
}
