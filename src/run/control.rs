//! What other terminals ask of a run, turned into events by its one owner. Pure.

use super::event::{EventKind, GateName, PauseCause};
use super::host::HostPhase;
use super::state::{Gate, RunState, RunStatus};
use crate::journal::{PlacedRequest, Request};
use crate::model::StepId;
use crate::workflow::StepKind;

/// The events that a request means as things stand; empty when it changes nothing, or cannot be granted.
pub(super) fn events_for(state: &RunState, placed: &PlacedRequest) -> Vec<EventKind> {
    let by = placed.by.clone();
    match &placed.request {
        Request::Pause if *state.status() == RunStatus::Running => {
            vec![EventKind::RunPaused { cause: PauseCause::Operator, reason: format!("paused by {by}") }]
        }
        Request::Continue if matches!(state.status(), RunStatus::Paused(..)) => vec![EventKind::RunContinued { by }],
        Request::Stop if matches!(state.status(), RunStatus::Running | RunStatus::Paused(..)) => {
            vec![EventKind::StopRequested { by }]
        }
        Request::Approve if matches!(state.gate(), Gate::Reached(_)) => {
            vec![EventKind::GateOpened { gate: GateName::Canary, by }]
        }
        Request::Skip { host } if phase(state, host) == Some(HostPhase::Waiting) => {
            let (host, reason) = (host.clone(), format!("skipped by {by}"));
            // One that was to be tried again is disabled by us and perhaps half updated: it is not just left alone.
            let touched = state.hosts().get(&host).is_some_and(|host| host.memory().service_before.is_some());
            vec![if touched {
                let step = StepId::of(&host, StepKind::Identify.name());
                EventKind::HostQuarantined { host, step, reason }
            } else {
                EventKind::HostSkipped { host, reason }
            }]
        }
        Request::Retry { host } => match phase(state, host) {
            // What a host's steps have under way ends before it is begun anew.
            Some(HostPhase::Skipped | HostPhase::Quarantined)
                if state.hosts().get(host).is_some_and(|host| !host.is_busy()) =>
            {
                vec![EventKind::HostRetried { host: host.clone(), by: Some(by) }]
            }
            Some(
                HostPhase::Waiting | HostPhase::Active | HostPhase::Done | HostPhase::Skipped | HostPhase::Quarantined,
            )
            | None => Vec::new(),
        },
        Request::Limits { limits } => vec![EventKind::LimitsChanged { limits: limits.clone(), by }],
        Request::Pause | Request::Continue | Request::Stop | Request::Approve | Request::Skip { .. } => Vec::new(),
    }
}

fn phase(state: &RunState, host: &crate::model::HostName) -> Option<HostPhase> {
    state.hosts().get(host).map(|host| host.phase)
}
