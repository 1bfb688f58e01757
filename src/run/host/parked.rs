//! Instances that are stopped in place: which steps they bring, and who is owed a start.

use super::{HostPhase, HostState, StepState, StepStatus};
use crate::model::{HostName, StepId};
use crate::plan::PlannedHost;
use crate::run::event::{ParkedInstance, StepFailure, StepOutput};
use crate::workflow::{Ranked, Step, StepKind, start_steps, stop_steps};

/// Steps that come behind the fence; those of the same kinds before it have ended when anything is stopped.
const BEHIND_THE_FENCE: [StepKind; 7] = [
    StepKind::Hook,
    StepKind::Command,
    StepKind::Ansible,
    StepKind::Update,
    StepKind::Configure,
    StepKind::VerifyConfig,
    StepKind::Reboot,
];

fn ranked(parked: &ParkedInstance) -> Ranked {
    Ranked { id: parked.id, priority: parked.priority, group: parked.group.clone() }
}

impl HostState {
    /// Adds the stops that a `resolve` found when nothing was left to leave, and a further look after them, for which
    /// the fence waits. They wait for the download: nobody is off while it lasts.
    pub(in crate::run) fn add_stops(&mut self, planned: &PlannedHost, resolved: &StepId, parking: &[ParkedInstance]) {
        if parking.is_empty() {
            return;
        }
        self.rounds += 1;
        // A remedy may bring its own way to update, with nothing to download before.
        let staged = StepId::of(&planned.host, StepKind::Stage.name());
        let staged = Some(staged).filter(|stage| self.steps.contains_key(stage));
        let after: Vec<StepId> = std::iter::once(resolved.clone()).chain(staged).collect();
        let ranks: Vec<Ranked> = parking.iter().map(ranked).collect();
        let stops = self.add_of(stop_steps(&planned.host, &ranks, &after), parking);
        self.look_again(&planned.host, stops);
    }

    /// Adds a start for each instance that is owed one and has none to come, once `after` has been done; what lets the
    /// host go waits for them.
    pub(in crate::run) fn add_starts(&mut self, host: &HostName, after: &[StepId]) -> Vec<StepId> {
        let owed: Vec<ParkedInstance> =
            self.memory.parked.iter().filter(|parked| !self.will_start(parked)).cloned().collect();
        let ranks: Vec<Ranked> = owed.iter().map(ranked).collect();
        // What is still being stopped is off before it is started.
        let stopping = self.steps.values().filter(|state| state.step.kind == StepKind::Stop && state.is_running());
        let after: Vec<StepId> = after.iter().cloned().chain(stopping.map(|state| state.step.id.clone())).collect();
        let starts = self.add_of(start_steps(host, &ranks, &after), &owed);
        if let Some(settle) = self.steps.values_mut().find(|state| state.step.kind == StepKind::Settle) {
            settle.step.needs.extend(starts.iter().cloned());
        }
        starts
    }

    /// Whether a start of the instance is still to come, or under way.
    fn will_start(&self, parked: &ParkedInstance) -> bool {
        self.steps.values().any(|state| {
            state.step.kind == StepKind::Start
                && state.parked.as_ref().is_some_and(|other| other.id == parked.id)
                && !matches!(state.status, StepStatus::Succeeded(_) | StepStatus::Failed(_))
        })
    }

    /// Adds `steps` under ids that no other has; the needs among them follow.
    fn add_of(&mut self, steps: Vec<Step>, instances: &[ParkedInstance]) -> Vec<StepId> {
        let mut renamed = Vec::with_capacity(steps.len());
        for step in steps {
            let first = step.id.clone();
            let mut step = self.unused(step);
            for need in &mut step.needs {
                if let Some((_, now)) = renamed.iter().find(|(before, _): &&(StepId, StepId)| before == need) {
                    need.clone_from(now);
                }
            }
            let id = step.id.clone();
            let parked =
                instances.iter().find(|one| first == StepId::of_instance(&step.host, step.kind.name(), one.id));
            let parked = parked.cloned();
            self.steps.insert(id.clone(), StepState { parked, ..StepState::new(step, None) });
            renamed.push((first, id));
        }
        renamed.into_iter().map(|(_, id)| id).collect()
    }

    /// Notes that an instance is about to be stopped by us: whatever becomes of that, it is owed a start. A host that has
    /// failed meanwhile gives it back at once.
    pub(in crate::run) fn owe(&mut self, host: &HostName, stop: &StepId) {
        let Some(parked) = self.steps.get(stop).and_then(|state| state.parked.clone()) else { return };
        if !self.memory.has_parked(parked.id) {
            self.memory.parked.push(parked);
        }
        if self.phase == HostPhase::Quarantined {
            self.add_starts(host, &[]);
        }
    }

    /// What came of a stop or a start.
    pub(super) fn remember_power(&mut self, id: &StepId, output: &StepOutput) {
        let Some(state) = self.steps.get(id) else { return };
        let (kind, Some(parked)) = (state.step.kind, state.parked.as_ref().map(|parked| parked.id)) else { return };
        // A stop that found it off by its owner's doing, or gone, leaves nothing owed; a start that came to its good end
        // has paid.
        let paid = kind == StepKind::Start || !matches!(output, StepOutput::Parked { .. });
        if paid {
            self.memory.parked.retain(|one| one.id != parked);
            self.memory.unstarted.remove(&parked);
        }
    }

    /// Notes that a start has failed for good.
    pub(in crate::run) fn give_up_start(&mut self, id: &StepId, failure: &StepFailure) {
        let Some(state) = self.steps.get(id).filter(|state| state.step.kind == StepKind::Start) else { return };
        if let Some(parked) = &state.parked {
            self.memory.unstarted.insert(parked.id, failure.causes.join(": "));
        }
    }

    /// Whether instances are off by our doing, nothing brings them back yet, and the host's reboot is still to come.
    pub(in crate::run) fn keeps_owners_waiting(&self) -> bool {
        let unpaid = |one: &ParkedInstance| !self.will_start(one) && !self.memory.unstarted.contains_key(&one.id);
        self.memory.boots.is_none()
            && self.memory.parked.iter().any(unpaid)
            && !self.steps.values().any(|state| state.step.kind == StepKind::Reboot && state.intent.is_some())
    }

    /// Sends the host back because it does not go on for now: what was stopped is started again, with nova-compute at
    /// work, and when the host goes on its instances are looked at anew.
    pub(in crate::run) fn relieve(&mut self, host: &HostName) {
        let lowered = self.lower_fence(host);
        let starts = self.add_starts(host, &lowered);
        let is_open = |state: &StepState| matches!(state.status, StepStatus::Pending | StepStatus::Retrying { .. });
        let mut is_looked_at = false;
        for look in self.steps.values_mut().filter(|state| state.step.kind == StepKind::Resolve && is_open(state)) {
            look.step.needs.extend(starts.iter().cloned());
            is_looked_at = true;
        }
        if is_looked_at {
            // The fence waits for that look already.
            return;
        }
        let looked = self.add_step(host, StepKind::Resolve, starts);
        let fence = self.steps.values_mut().rfind(|state| state.step.kind == StepKind::Fence && is_open(state));
        if let Some(fence) = fence {
            fence.step.needs = vec![looked];
            return;
        }
        let fence = self.add_step(host, StepKind::Fence, vec![looked]);
        let next = |state: &&mut StepState| BEHIND_THE_FENCE.contains(&state.step.kind) && is_open(state);
        if let Some(next) = self.steps.values_mut().find(next) {
            next.step.needs.retain(|need| need.as_str().ends_with("/stage"));
            next.step.needs.push(fence);
        }
    }
}
