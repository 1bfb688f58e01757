//! Why something waits.

use std::fmt;

use jiff::Timestamp;

use super::active;
use super::begin::View;
use crate::model::HostName;
use crate::plan::placement::Refusal;
use crate::run::host::{HostPhase, StepState};
use crate::run::limits::Reached;
use crate::run::state::RunState;

/// Why something waits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wait {
    /// For a slot.
    Limit(Reached),
    /// For room.
    Room(Refusal),
    /// For the canary hosts.
    Canary,
    /// For the gate behind them.
    Gate(Option<Timestamp>),
    /// For a window.
    Window,
    /// For a health gate to be well; what it says.
    Health(String, Option<String>),
    /// For the next attempt.
    Retry(Timestamp),
    /// For the control plane to be well.
    ControlPlane,
    /// For `continue`.
    Paused(String),
    /// The run is being stopped.
    Stopping,
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Limit(reached) => write!(f, "for a slot: {reached}"),
            Self::Room(refusal) => write!(f, "for room: {refusal}"),
            Self::Canary => f.write_str("for the canary hosts"),
            Self::Gate(Some(at)) => write!(f, "for the canary hosts' soak time, until {at}"),
            Self::Gate(None) => f.write_str("for approval after the canary hosts"),
            Self::Window => f.write_str("for a maintenance window"),
            Self::Health(gate, Some(said)) => write!(f, "for health gate {gate} to be well: {said}"),
            Self::Health(gate, None) => write!(f, "for the answer of health gate {gate}"),
            Self::Retry(at) => write!(f, "to be tried again at {at}"),
            Self::ControlPlane => f.write_str("for the control plane to be well"),
            Self::Paused(reason) => write!(f, "because the run is paused: {reason}"),
            Self::Stopping => f.write_str("because the run is being stopped"),
        }
    }
}

/// Why what could be begun is not, by host or step, the first `most` of them.
pub fn waiting(state: &RunState, now: Timestamp, most: usize) -> Vec<(String, Wait)> {
    let view = View { state, now };
    let steps = active(state).flat_map(|(_, host)| host.ready()).filter_map(|step| {
        let wait = view.start(step).err()?;
        Some((step.step.id.to_string(), wait))
    });
    let hosts = state.in_order().filter(|(_, host)| host.phase == HostPhase::Waiting).filter_map(|(planned, _)| {
        let wait = view.admit(planned).err()?;
        Some((planned.host.to_string(), wait))
    });
    steps.chain(hosts).take(most).collect()
}

/// Why what could be begun of one host is not, by host or step.
pub fn waits_of(state: &RunState, host: &HostName, now: Timestamp) -> Vec<(String, Wait)> {
    let view = View { state, now };
    let (Some(planned), Some(found)) = (state.planned(host), state.hosts().get(host)) else { return Vec::new() };
    if found.phase == HostPhase::Waiting {
        return view.admit(planned).err().map(|wait| (host.to_string(), wait)).into_iter().collect();
    }
    let of_step = |step: &StepState| view.start(step).err().map(|wait| (step.step.id.to_string(), wait));
    found.ready().filter_map(of_step).collect()
}
