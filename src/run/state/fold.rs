//! The one transition function: what each event makes of the state.

use std::sync::Arc;

use jiff::Timestamp;

use super::super::event::{Event, EventKind, FaultScope, GateName, Intent, Outcome, StepFailure, StepOutput};
use super::super::host::{HostPhase, HostState, StepState, StepStatus};
use super::{Gate, Health, IllegalTransition, RunState, RunStatus, host_of};
use crate::actions::ErrorClass;
use crate::model::{HostName, NewInstances, StepId};
use crate::workflow::StepKind;

impl RunState {
    /// Applies one event. On an error the state is as before.
    pub fn apply(&mut self, event: &Event) -> Result<(), IllegalTransition> {
        let illegal =
            |because: String| IllegalTransition { seq: event.seq, event: event.kind.label().to_owned(), because };
        if event.seq != self.seq + 1 {
            return Err(illegal(format!("event {} was expected", self.seq + 1)));
        }
        let was_sick = self.sick.is_some();
        self.fold(event).map_err(illegal)?;
        self.note(&event.kind);
        self.openings += u64::from(was_sick || self.sick.is_some() || opens(&event.kind));
        let only_tells = matches!(event.kind, EventKind::StepIntended { .. } | EventKind::ChangeMade { .. });
        self.changes += u64::from(!only_tells);
        self.seq = event.seq;
        Ok(())
    }

    /// Brings the index up to what an event has changed.
    fn note(&mut self, kind: &EventKind) {
        match kind {
            EventKind::StepStarted { step, .. }
            | EventKind::StepSucceeded { step, .. }
            | EventKind::StepFailed { step, .. } => self.refresh(host_of(step)),
            EventKind::HostQuarantined { host, .. }
            | EventKind::HostSkipped { host, .. }
            | EventKind::HostReleased { host }
            | EventKind::HostRelieved { host }
            | EventKind::HostRetried { host, .. } => self.refresh(host.as_str()),
            // What waits for another attempt need not wait longer.
            EventKind::RunContinued { .. } => {
                let phases = [HostPhase::Active, HostPhase::Quarantined];
                let places = phases.into_iter().flat_map(|phase| self.index.in_phase(phase)).collect::<Vec<_>>();
                for place in places {
                    if let Some(host) = self.rollout.hosts.get(place).map(|planned| planned.host.clone()) {
                        self.refresh(host.as_str());
                    }
                }
            }
            EventKind::RunStarted { .. }
            | EventKind::RunResumed { .. }
            | EventKind::StepIntended { .. }
            | EventKind::ChangeMade { .. }
            | EventKind::TargetSeen { .. }
            | EventKind::GateReached { .. }
            | EventKind::GateOpened { .. }
            | EventKind::HealthSeen { .. }
            | EventKind::RunPaused { .. }
            | EventKind::StopRequested { .. }
            | EventKind::LimitsChanged { .. }
            | EventKind::RunEnded { .. } => {}
        }
    }

    fn fold(&mut self, event: &Event) -> Result<(), String> {
        match &event.kind {
            EventKind::RunStarted { runner, .. } => {
                if self.status != RunStatus::Unbegun {
                    return Err("the run has begun already".to_owned());
                }
                self.status = RunStatus::Running;
                self.started = Some(event.at);
                self.runner = Some(runner.clone());
            }
            EventKind::RunResumed { runner } => {
                self.resumed += 1;
                self.runner = Some(runner.clone());
                self.health.clear();
                self.ended = None;
                if !matches!(self.status, RunStatus::Paused(..)) {
                    self.status = RunStatus::Running;
                }
            }
            EventKind::StepStarted { step, attempt, target, .. } => {
                self.start(step, *attempt, target.as_ref(), event.at)?;
            }
            EventKind::StepIntended { step, intent } => {
                let state = self.running_mut(step)?;
                if !state.intent.as_ref().is_some_and(|recorded| recorded.adopts(intent)) {
                    state.intended = Some(event.at);
                }
                state.intent = Some(intent.clone());
                if *intent == Intent::Stop {
                    let host = HostName::new(host_of(step));
                    self.host_mut(&host)?.owe(&host, step);
                }
            }
            // What came of it the step's end tells.
            EventKind::ChangeMade { step, .. } => {
                if !self.hosts.contains_key(host_of(step)) {
                    return Err(format!("{} is not in the rollout", host_of(step)));
                }
            }
            EventKind::StepSucceeded { step, output } => self.succeed(step, output, event.at)?,
            EventKind::StepFailed { step, failure, retry_at } => self.fail(step, failure, *retry_at, event.at)?,
            EventKind::TargetSeen { host, came, gone } => {
                self.occupancy.see(host, came, gone).map_err(|refusal| refusal.to_string())?;
            }
            EventKind::HostQuarantined { host, step, reason } => self.quarantine(host, step, reason, event.at)?,
            EventKind::HostSkipped { host, reason } => {
                let state = self.host_mut(host)?;
                if state.has_begun(StepKind::Disable) {
                    return Err(format!("{host} was disabled already"));
                }
                state.phase = HostPhase::Skipped;
                state.since = event.at;
                state.why = Some(reason.clone());
                self.reliefs += 1;
            }
            EventKind::HostReleased { host } => self.give_back(host, event.at)?,
            EventKind::HostRelieved { host } => {
                let state = self.host_mut(host)?;
                if state.phase != HostPhase::Active || state.is_busy() {
                    return Err(format!("{host} is {}", state.activity()));
                }
                state.relieve(host);
            }
            EventKind::HostRetried { host, .. } => {
                let state = self.host_mut(host)?;
                match state.phase {
                    HostPhase::Skipped | HostPhase::Quarantined => state.retry(event.at),
                    HostPhase::Waiting | HostPhase::Active | HostPhase::Done => {
                        return Err(format!("{host} is {}", state.activity()));
                    }
                }
            }
            EventKind::GateReached { gate: GateName::Canary, opens_at } => self.gate = Gate::Reached(*opens_at),
            EventKind::GateOpened { gate: GateName::Canary, .. } => self.gate = Gate::Open,
            EventKind::HealthSeen { gate, is_well, said } => {
                let health = Health { is_well: *is_well, said: said.clone(), since: event.at };
                self.health.insert(gate.clone(), health);
            }
            EventKind::RunPaused { cause, reason } => self.status = RunStatus::Paused(*cause, reason.clone()),
            EventKind::RunContinued { .. } => self.go_on(event.at),
            EventKind::StopRequested { .. } => self.status = RunStatus::Stopping,
            EventKind::LimitsChanged { limits, .. } => self.limits = limits.clone(),
            EventKind::RunEnded { outcome, requests, retries } => {
                // A paused run that its process lets go of stays paused for the next one.
                if !matches!((&self.status, outcome), (RunStatus::Paused(..), Outcome::Paused)) {
                    self.status = RunStatus::Ended(*outcome);
                }
                self.ended = Some(event.at);
                self.requests += requests;
                self.retries += retries;
            }
        }
        Ok(())
    }

    fn quarantine(&mut self, host: &HostName, step: &StepId, reason: &str, now: Timestamp) -> Result<(), String> {
        let state = self.host_mut(host)?;
        state.phase = HostPhase::Quarantined;
        state.since = now;
        state.why = Some(reason.to_owned());
        state.failed_in = step.as_str().split('/').nth(1).and_then(StepKind::named);
        state.memory.quarantined = Some(reason.to_owned());
        state.add_aftercare(host);
        // A host that the region does not list is no target anyway.
        let _ = self.occupancy.retire(host);
        self.reliefs += 1;
        self.health.clear();
        self.forget_sickness_that_nobody_asks_about();
        Ok(())
    }

    fn give_back(&mut self, host: &HostName, now: Timestamp) -> Result<(), String> {
        let state = self.host_mut(host)?;
        if state.phase != HostPhase::Active || state.is_busy() {
            return Err(format!("{host} is {}", state.activity()));
        }
        state.phase = HostPhase::Skipped;
        state.since = now;
        state.why = Some("given back as it was".to_owned());
        self.reliefs += 1;
        Ok(())
    }

    fn go_on(&mut self, now: Timestamp) {
        self.status = RunStatus::Running;
        // What was said before a pause may be days old.
        self.health.clear();
        self.acknowledged_failures = self.count(HostPhase::Quarantined);
        self.drift = None;
        // Somebody has looked: what waited for another attempt need not wait longer.
        for step in self.hosts.values_mut().flat_map(|host| host.steps.values_mut()) {
            if let StepStatus::Retrying { at, .. } = &mut step.status {
                *at = (*at).min(now);
            }
        }
    }

    fn start(&mut self, id: &StepId, attempt: u32, target: Option<&HostName>, now: Timestamp) -> Result<(), String> {
        let host = host_of(id);
        if self.hosts.get(host).is_some_and(|state| state.phase == HostPhase::Waiting) {
            let unknown = || format!("{host} is not in the rollout");
            let (place, _, state) = self.hosts.get_full_mut(host).ok_or_else(unknown)?;
            state.begin(self.rollout.hosts.get(place).ok_or_else(unknown)?, &self.rollout.added(), now);
        }
        let mut retried = false;
        let mut reserve = None;
        {
            let state = self.step_mut(id)?;
            if attempt != state.next_attempt() {
                return Err(format!("attempt {attempt} of {id}, which is {}", state.status.label()));
            }
            match state.status {
                StepStatus::Pending => {}
                StepStatus::Retrying { .. } => retried = true,
                StepStatus::Running { .. } | StepStatus::Succeeded(_) | StepStatus::Failed(_) => {
                    return Err(format!("{id} is {}", state.status.label()));
                }
            }
            state.status = StepStatus::Running { attempt, since: now };
            if let (Some(target), Some(leaving)) = (target, &state.leaving) {
                state.target = Some(target.clone());
                reserve = Some((leaving.id, target.clone()));
            }
        }
        if let Some((instance, target)) = reserve {
            self.moves.retried += usize::from(retried);
            self.reliefs += u64::from(!self.occupancy.is_target(&target));
            self.occupancy.reserve(instance, &target).map_err(|refusal| refusal.to_string())?;
        }
        Ok(())
    }

    fn succeed(&mut self, id: &StepId, output: &StepOutput, now: Timestamp) -> Result<(), String> {
        self.running_mut(id)?.status = StepStatus::Succeeded(output.clone());
        self.sick = None;
        let host = self.hosts.get_key_value(host_of(id)).map(|(host, _)| host.clone());
        let host = host.ok_or_else(|| format!("there is no step {id}"))?;
        self.settle_move(id, &host, output);
        let rollout = Arc::clone(&self.rollout);
        let planned = self.place_in_order(&host).and_then(|place| rollout.hosts.get(place));
        let state = self.host_mut(&host)?;
        state.remember(id, output);
        let kind = state.steps.get(id).map(|step| step.step.kind);
        if kind == Some(StepKind::Evidence) {
            state.add_starts(&host, std::slice::from_ref(id));
        }
        if let (StepOutput::Resolved { leaving, parking, .. }, Some(planned)) = (output, planned) {
            state.add_moves(planned, id, leaving);
            if leaving.is_empty() {
                state.add_stops(planned, id, parking);
            }
            let stays = |instance| self.occupancy.host_of(instance) == Some(&host);
            let mut unmoved = planned.moves.iter().map(|planned| planned.instance).filter(|instance| stays(*instance));
            let is_fewer = unmoved.any(|instance| leaving.iter().all(|leaving| leaving.id != instance));
            self.reliefs += u64::from(is_fewer);
            for instance in leaving {
                self.occupancy
                    .place(instance.id, &instance.resources, instance.group.as_ref(), &host)
                    .map_err(|refusal| refusal.to_string())?;
            }
        }
        if let StepOutput::Resolved { unplanned, .. } = output
            && !unplanned.is_empty()
            && self.rollout.policy.drift.new_instances == NewInstances::Pause
        {
            let count = unplanned.len();
            self.drift =
                Some(format!("{host} has {count} instances that the plan does not know (drift.new_instances)"));
        }
        let state = self.host_mut(&host)?;
        let kind = state.steps.get(id).map(|step| step.step.kind);
        if kind == Some(StepKind::Settle) && rollout.policy.probe_instance.is_some() {
            state.add_probe(&host);
        } else if matches!(kind, Some(StepKind::Settle | StepKind::Probe | StepKind::ColdBoot)) {
            state.phase = HostPhase::Done;
            self.health.clear();
            let state = self.host_mut(&host)?;
            state.since = now;
            // Nothing decides by the steps of a host that is done; a long run keeps its memory flat.
            state.steps.clear();
            // A host that the region did not list when the run began takes nothing: its room is not known.
            let _ = self.occupancy.admit(&host);
            self.retire_lenders(&host);
        }
        Ok(())
    }

    /// With a host of its domain done, a host that stays vulnerable takes no more than what is planned onto it.
    fn retire_lenders(&mut self, done: &HostName) {
        let rollout = Arc::clone(&self.rollout);
        for lender in &rollout.lenders {
            if self.occupancy.domain(lender) == self.occupancy.domain(done) {
                // One that is gone from the region was never admitted.
                let _ = self.occupancy.retire(lender);
            }
        }
    }

    fn fail(
        &mut self,
        id: &StepId,
        failure: &StepFailure,
        retry_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), String> {
        let is_crowded_out = failure.scope == FaultScope::Target && self.is_crowded_out(id);
        let state = self.running_mut(id)?;
        let attempt = state.next_attempt() - 1;
        state.status = match retry_at {
            Some(at) => StepStatus::Retrying { attempt, at, failure: failure.clone() },
            None => StepStatus::Failed(failure.clone()),
        };
        let mut released = None;
        if state.step.kind == StepKind::Move {
            if is_crowded_out {
                // The occupancy knows that there is no room, and will know when there is.
                state.crowded_out += 1;
            } else if failure.scope == FaultScope::Target
                && let Some(target) = state.target.clone()
            {
                state.avoid.insert(target);
            }
            released = state.step.instance;
            state.target = None;
        }
        let goes_back = failure.class == ErrorClass::Disquiet && retry_at.is_some();
        if goes_back {
            // What was intended is void: the next attempt finds the host as the rounds in between leave it.
            (state.intent, state.intended) = (None, None);
            state.excused += 1;
        }
        match failure.scope {
            FaultScope::ControlPlane => {
                state.excused += 1;
                self.sick.get_or_insert(now);
            }
            FaultScope::Instance | FaultScope::Host | FaultScope::Target => self.sick = None,
        }
        if goes_back {
            let unknown = || format!("there is no step {id}");
            let (_, host, state) = self.hosts.get_full_mut(host_of(id)).ok_or_else(unknown)?;
            state.go_back(host, id);
        }
        if retry_at.is_none() {
            self.host_mut(&HostName::new(host_of(id)))?.give_up_start(id, failure);
        }
        if let Some(instance) = released {
            self.moves.failed += 1;
            self.occupancy.release(instance);
        }
        Ok(())
    }

    /// The control plane counts as sick until a step that it failed has tried again: with none left, another one has to
    /// find out.
    fn forget_sickness_that_nobody_asks_about(&mut self) {
        // The index does not know of this event yet; the host that it is about is quarantined by now.
        let active = self.index.in_phase(HostPhase::Active).filter_map(|place| self.at(place));
        let active = active.map(|(_, host)| host).filter(|host| host.phase == HostPhase::Active);
        let asks = |step: &StepState| match &step.status {
            StepStatus::Running { .. } => step.excused > 0,
            StepStatus::Retrying { failure, .. } => failure.scope == FaultScope::ControlPlane,
            StepStatus::Pending | StepStatus::Succeeded(_) | StepStatus::Failed(_) => false,
        };
        if !active.flat_map(|host| host.steps.values()).any(asks) {
            self.sick = None;
        }
    }

    /// What a move's end means for who is where.
    fn settle_move(&mut self, id: &StepId, host: &HostName, output: &StepOutput) {
        let Some(instance) = self.hosts.get(host).and_then(|state| state.moving(id)) else { return };
        match output {
            StepOutput::Moved { to, .. } => {
                self.moves.done += 1;
                // A host outside the snapshot (added since) is nobody's target: its room is not known.
                if self.occupancy.relocate(instance, to).is_err() {
                    self.occupancy.remove(instance);
                }
            }
            StepOutput::Gone { to, .. } => {
                let known = to.as_ref().is_some_and(|to| self.occupancy.relocate(instance, to).is_ok());
                if !known {
                    self.occupancy.remove(instance);
                }
            }
            StepOutput::Done { .. }
            | StepOutput::Identified { .. }
            | StepOutput::AlreadySo { .. }
            | StepOutput::Disabled { .. }
            | StepOutput::Resolved { .. }
            | StepOutput::Parked { .. }
            | StepOutput::GaveUp { .. }
            | StepOutput::Packages { .. }
            | StepOutput::Rebooted { .. }
            | StepOutput::ColdBooted { .. }
            | StepOutput::Ran { .. }
            | StepOutput::Proven { .. } => self.occupancy.release(instance),
        }
    }

    fn host_mut(&mut self, host: &HostName) -> Result<&mut HostState, String> {
        self.hosts.get_mut(host).ok_or_else(|| format!("{host} is not in the rollout"))
    }

    fn step_mut(&mut self, id: &StepId) -> Result<&mut StepState, String> {
        let unknown = || format!("{} is not in the rollout", host_of(id));
        let host = self.hosts.get_mut(host_of(id)).ok_or_else(unknown)?;
        host.steps.get_mut(id).ok_or_else(|| format!("there is no step {id}"))
    }

    fn running_mut(&mut self, id: &StepId) -> Result<&mut StepState, String> {
        let state = self.step_mut(id)?;
        if state.is_running() { Ok(state) } else { Err(format!("{id} is {}", state.status.label())) }
    }
}

/// Whether a move or a host may begin after this that had to wait before it: all but what only takes room and slots, and
/// the steps in between, which give none back.
fn opens(kind: &EventKind) -> bool {
    match kind {
        EventKind::StepIntended { .. } | EventKind::ChangeMade { .. } | EventKind::StepStarted { .. } => false,
        EventKind::StepSucceeded { step, .. } | EventKind::StepFailed { step, .. } => {
            let name = step.as_str().split('/').nth(1).unwrap_or_default();
            [StepKind::Move, StepKind::Resolve, StepKind::Settle, StepKind::ColdBoot]
                .iter()
                .any(|kind| kind.name() == name)
        }
        EventKind::RunStarted { .. }
        | EventKind::RunResumed { .. }
        | EventKind::TargetSeen { .. }
        | EventKind::HostQuarantined { .. }
        | EventKind::HostSkipped { .. }
        | EventKind::HostReleased { .. }
        | EventKind::HostRelieved { .. }
        | EventKind::HostRetried { .. }
        | EventKind::GateReached { .. }
        | EventKind::GateOpened { .. }
        | EventKind::HealthSeen { .. }
        | EventKind::RunPaused { .. }
        | EventKind::RunContinued { .. }
        | EventKind::StopRequested { .. }
        | EventKind::LimitsChanged { .. }
        | EventKind::RunEnded { .. } => true,
    }
}
