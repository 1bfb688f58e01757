//! What stops a host, or the whole run.

use jiff::Timestamp;

use super::Decision;
use crate::actions::ErrorClass;
use crate::model::StepId;
use crate::plan::PlannedHost;
use crate::run::event::{FaultScope, PauseCause};
use crate::run::host::{HostPhase, MAX_ROUNDS, StepStatus};
use crate::run::state::{Gate, RunState, RunStatus};
use crate::workflow::StepKind;

/// Hosts whose step failed for good. One that was not disabled by us was not touched: it is left alone.
pub(super) fn failures(state: &RunState) -> Vec<Decision> {
    let mut decisions = Vec::new();
    for (planned, host) in state.index.failed().filter_map(|place| state.at(place)) {
        let failed = host.steps().find_map(|step| match &step.status {
            StepStatus::Failed(failure) if !step.step.kind.is_owed() => Some((step, failure)),
            StepStatus::Failed(_)
            | StepStatus::Pending
            | StepStatus::Running { .. }
            | StepStatus::Retrying { .. }
            | StepStatus::Succeeded(_) => None,
        });
        if let Some((step, failure)) = failed {
            let reason = format!("{}: {}", step.step.id, failure.causes.join(": "));
            // A host that is tried again may be disabled by us and half updated: it is not just left alone.
            let untouched = host.memory().service_before.is_none();
            let host = planned.host.clone();
            let kind = step.step.kind;
            let is_untouched =
                (kind == StepKind::Identify && untouched) || (kind == StepKind::ColdBoot && step.intent.is_none());
            decisions.push(if is_untouched {
                Decision::Skip { host, reason }
            } else {
                Decision::Quarantine { host, step: step.step.id.clone(), reason }
            });
        } else if host.has_too_many_rounds() {
            decisions.push(Decision::Quarantine {
                host: planned.host.clone(),
                step: StepId::of(&planned.host, StepKind::Resolve.name()),
                reason: format!("instances kept appearing on it: {MAX_ROUNDS} rounds of moves did not empty it"),
            });
        }
    }
    decisions
}

/// A pause when the region is not the plan's any more, or the cloud refuses us for good: no host is to blame, and asking
/// again does not help.
pub(super) fn out_of_hand(state: &RunState, now: Timestamp) -> Option<Decision> {
    if *state.status() != RunStatus::Running {
        return None;
    }
    if let Some(drift) = state.drift() {
        return Some(Decision::Pause { cause: PauseCause::Drift, reason: drift.to_owned() });
    }
    let refused = state.index.refused().filter_map(|place| state.at(place));
    refused.flat_map(|(_, host)| host.steps()).find_map(|step| match &step.status {
        StepStatus::Retrying { at, failure, .. }
            if *at > now && failure.scope == FaultScope::ControlPlane && failure.class == ErrorClass::NeedsOperator =>
        {
            let reason = format!("{}: {}", step.step.id, failure.causes.join(": "));
            Some(Decision::Pause { cause: PauseCause::ControlPlane, reason })
        }
        StepStatus::Pending
        | StepStatus::Running { .. }
        | StepStatus::Retrying { .. }
        | StepStatus::Succeeded(_)
        | StepStatus::Failed(_) => None,
    })
}

/// A pause when more hosts failed than the budget allows, or a canary did, and nobody has acknowledged it.
pub(super) fn budget(state: &RunState) -> Option<Decision> {
    #[cfg(test)]
    if crate::simulation::Mistake::IgnoresTheBudget.is_made() {
        return None;
    }
    if *state.status() != RunStatus::Running || state.unacknowledged_failures() == 0 {
        return None;
    }
    let failed = state.index.in_phase(HostPhase::Quarantined).filter_map(|place| state.at(place));
    let failed: Vec<_> = failed.collect();
    let in_cause = |cause| failed.iter().filter(|(_, host)| host.failed_in.map(StepKind::cause) == Some(cause)).count();
    let causes = state.rollout().policy.failure_budget.per_cause.iter();
    let cause = causes.map(|(cause, most)| (cause, in_cause(*cause), most)).find(|(_, count, most)| count > most);
    let failed: Vec<&PlannedHost> = failed.iter().map(|(planned, _)| *planned).collect();
    let budget = &state.rollout().policy.failure_budget;
    let zone = failed.iter().find_map(|host| {
        let zone = host.zone.as_ref()?;
        let count = failed.iter().filter(|other| other.zone.as_ref() == Some(zone)).count();
        (count > budget.per_zone).then_some((zone, count))
    });
    let reason = if let (Some(canary), Gate::Closed) = (failed.iter().find(|host| host.canary), state.gate()) {
        format!("canary {} failed", canary.host)
    } else if failed.len() > budget.hosts {
        format!("{} hosts failed; the budget is {} (failure_budget.hosts)", failed.len(), budget.hosts)
    } else if let Some((zone, count)) = zone {
        format!("{count} hosts of {zone} failed; the budget is {} (failure_budget.per_zone)", budget.per_zone)
    } else if let Some((cause, count, most)) = cause {
        format!("{count} hosts failed in {cause}; the budget is {most} (failure_budget.per_cause)")
    } else {
        return None;
    };
    Some(Decision::Pause { cause: PauseCause::FailureBudget, reason })
}

/// Hosts that do not go on while the run is paused or being stopped, and on which owners wait for what we stopped.
pub(super) fn relieved(state: &RunState) -> Vec<Decision> {
    match state.status() {
        RunStatus::Paused(..) | RunStatus::Stopping => {}
        RunStatus::Unbegun | RunStatus::Running | RunStatus::Ended(_) => return Vec::new(),
    }
    let active = state.index.in_phase(HostPhase::Active).filter_map(|place| state.at(place));
    let waits = active.filter(|(_, host)| !host.is_busy() && host.keeps_owners_waiting());
    waits.map(|(planned, _)| Decision::Relieve { host: planned.host.clone() }).collect()
}
