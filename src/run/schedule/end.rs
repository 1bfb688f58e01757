//! The end: nothing is under way, and nothing more can be begun.

use super::begin::{View, begin, is_owed};
use super::{Decision, Wait, active};
use crate::model::StepId;
use crate::plan::PlannedHost;
use crate::run::event::{Outcome, PauseCause};
use crate::run::host::{HostPhase, StepState, StepStatus};
use crate::run::state::RunStatus;
use crate::run::{room, windows};
use crate::workflow::StepKind;

impl View<'_> {
    /// The end, when nothing is under way and nothing more can be begun.
    pub(super) fn end(&self) -> Option<Decision> {
        if self.state.is_busy() {
            return None;
        }
        match self.state.status() {
            // A host that failed is not left with its nova-compute stopped because of one connection that broke.
            RunStatus::Stopping | RunStatus::Paused(..) if self.has_aftercare() => return None,
            RunStatus::Stopping => return Some(Decision::End(Outcome::Stopped)),
            RunStatus::Paused(PauseCause::FailureBudget | PauseCause::Drift | PauseCause::ControlPlane, _) => {
                return Some(Decision::End(Outcome::Paused));
            }
            // An operator who paused will continue; whatever else paused needs one to come first.
            RunStatus::Paused(PauseCause::Operator, _) | RunStatus::Unbegun | RunStatus::Ended(_) => return None,
            RunStatus::Running if self.has_retries() => return None,
            RunStatus::Running => {}
        }
        self.stuck_host().or_else(|| {
            let open = self.state.count(HostPhase::Waiting) + self.state.count(HostPhase::Active) > 0;
            let failed = self.state.count(HostPhase::Quarantined) > 0 || self.state.stopped_by_us().next().is_some();
            let outcome = if failed { Outcome::DoneWithFailures } else { Outcome::Done };
            if open {
                self.is_drained().then_some(Decision::End(Outcome::Stopped))
            } else {
                Some(Decision::End(outcome))
            }
        })
    }

    /// Whether every host that is left is drained, and waits for somebody to give it back.
    fn is_drained(&self) -> bool {
        self.state.count(HostPhase::Waiting) == 0 && active(self.state).all(|(_, host)| host.is_at_rest())
    }

    /// Whether a step is tried again later. One whose time has come and that does not start waits for room.
    fn has_retries(&self) -> bool {
        active(self.state)
            .flat_map(|(_, host)| host.ready())
            .any(|step| matches!(step.status, StepStatus::Retrying { at, .. } if at > self.now))
    }

    /// Whether aftercare of a host that failed is tried again later; not while the control plane is sick, which may be for
    /// ever.
    fn has_aftercare(&self) -> bool {
        let is_open = |step: &StepState| is_owed(step) && matches!(step.status, StepStatus::Retrying { .. });
        self.state.sick_since().is_none() && active(self.state).flat_map(|(_, host)| host.steps()).any(is_open)
    }

    /// With nothing under way, a host that waits for room waits for ever: nothing of ours will make any.
    fn stuck_host(&self) -> Option<Decision> {
        for (planned, host) in active(self.state).filter(|(_, host)| host.phase == HostPhase::Active) {
            for step in host.ready() {
                if let Err(Wait::Room(refusal)) = self.start(step) {
                    let (host, step) = (planned.host.clone(), step.step.id.clone());
                    return Some(Decision::Quarantine { host, reason: format!("{step}: {refusal}"), step });
                }
            }
        }
        let waiting = self.state.index.in_phase(HostPhase::Waiting).filter_map(|place| self.state.at(place));
        for (planned, _) in waiting {
            match self.admit(planned) {
                Err(Wait::Room(_)) if room::has_room_on_waiting_hosts(self.state, planned) => {
                    return Some(begin(planned));
                }
                Err(Wait::Room(refusal)) => {
                    return Some(self.left_alone(planned, format!("no room for its instances: {refusal}")));
                }
                // A limit that nothing under way will free, such as a zone's last host that must stay in service.
                Err(Wait::Limit(reached)) => {
                    return Some(self.left_alone(planned, format!("a limit keeps it in service: {reached}")));
                }
                Err(Wait::Window) if self.never_fits(planned) => {
                    let minutes = ((planned.finish_s - planned.start_s) / 60.0).ceil();
                    let reason = format!("no maintenance window is as long as the {minutes} min that it takes");
                    return Some(self.left_alone(planned, reason));
                }
                Ok(())
                | Err(
                    Wait::Canary
                    | Wait::Gate(_)
                    | Wait::Window
                    | Wait::Health(..)
                    | Wait::Retry(_)
                    | Wait::ControlPlane
                    | Wait::Paused(_)
                    | Wait::Stopping,
                ) => {}
            }
        }
        None
    }

    /// A waiting host is left alone; one that was to be tried again stays quarantined, because it is disabled by us and
    /// perhaps half updated.
    fn left_alone(&self, planned: &PlannedHost, reason: String) -> Decision {
        let host = planned.host.clone();
        let touched = self.state.hosts().get(&host).is_some_and(|host| host.memory().service_before.is_some());
        if touched {
            let step = StepId::of(&host, StepKind::Identify.name());
            return Decision::Quarantine { host, step, reason };
        }
        Decision::Skip { host, reason }
    }

    /// Whether no maintenance window is long enough for the host.
    fn never_fits(&self, planned: &PlannedHost) -> bool {
        windows::never(self.windows_of(planned), self.now, planned.finish_s - planned.start_s)
    }
}
