//! The fold: what a run's events say, by one transition function, live and on replay.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::event::{Event, EventKind, FaultScope, GateName, Outcome, PauseCause, Runner, StepFailure, StepOutput};
use super::host::{HostPhase, HostState, StepState, StepStatus};
use crate::model::{HostName, InstanceId, Limits, NewInstances, Region, RunId, StepId, ZoneName};
use crate::plan::placement::Occupancy;
use crate::plan::{PlannedHost, Rollout};
use crate::workflow::StepKind;

/// An event that cannot follow what came before it: a damaged journal, or a bug.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("event {seq} ({event}) cannot follow: {because}")]
pub struct IllegalTransition {
    /// Number of the event.
    pub seq: u64,
    /// What it says.
    pub event: String,
    /// Why it cannot follow.
    pub because: String,
}

/// Whether the run goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RunStatus {
    /// No event yet.
    Unbegun,
    /// Begins what may be begun.
    Running,
    /// Begins nothing; what is under way goes on.
    Paused(PauseCause, String),
    /// Begins nothing and ends when nothing is under way.
    Stopping,
    /// Its process has ended it or let go of it.
    Ended(Outcome),
}

/// The gate behind the canary hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// Not reached.
    Closed,
    /// Reached; opens at that time, or by approval when absent.
    Reached(Option<Timestamp>),
    /// Open.
    Open,
}

/// Migrations of a run, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MoveCounts {
    /// Ended on another host.
    pub done: usize,
    /// Attempts that failed.
    pub failed: usize,
    /// Attempts after a failed one.
    pub retried: usize,
}

/// What a run's events say, as of the last one applied. Changed by [`RunState::apply`] alone.
#[derive(Debug, Clone)]
pub struct RunState {
    rollout: Arc<Rollout>,
    run: RunId,
    seq: u64,
    status: RunStatus,
    hosts: BTreeMap<HostName, HostState>,
    planned: BTreeMap<HostName, usize>,
    occupancy: Occupancy,
    pub(super) zone_sizes: BTreeMap<ZoneName, usize>,
    pub(super) rack_sizes: BTreeMap<String, usize>,
    pub(super) aggregates: BTreeMap<HostName, Vec<String>>,
    pub(super) aggregate_sizes: BTreeMap<String, usize>,
    pub(super) region_size: usize,
    limits: Limits,
    gate: Gate,
    moves: MoveCounts,
    acknowledged_failures: usize,
    drift: Option<String>,
    sick: Option<Timestamp>,
    started: Option<Timestamp>,
    ended: Option<Timestamp>,
    resumed: usize,
    runner: Option<Runner>,
    requests: u64,
    retries: u64,
}

impl RunState {
    /// The state before the first event of `run`. `region` is the snapshot taken when the run began, as the journal
    /// keeps it.
    pub fn new(run: RunId, rollout: Arc<Rollout>, region: &Region) -> Self {
        let waiting = |host: &PlannedHost| (host.host.clone(), HostState::waiting(rollout.created));
        let mut occupancy = Occupancy::of(region);
        for target in &rollout.targets {
            // A target that is gone from the region takes nothing: there is no room to book.
            let _ = occupancy.admit(target);
        }
        let mut zone_sizes = BTreeMap::new();
        let mut rack_sizes = BTreeMap::new();
        let mut aggregate_sizes = BTreeMap::new();
        let aggregates = region.hosts.iter().map(|host| (host.host.clone(), host.aggregates.clone())).collect();
        for host in &region.hosts {
            if let Some(zone) = &host.zone {
                *zone_sizes.entry(zone.clone()).or_default() += 1;
            }
            for aggregate in &host.aggregates {
                *aggregate_sizes.entry(aggregate.clone()).or_default() += 1;
            }
            if let Some(rack) = &host.rack {
                *rack_sizes.entry(rack.clone()).or_default() += 1;
            }
        }
        Self {
            run,
            seq: 0,
            status: RunStatus::Unbegun,
            hosts: rollout.hosts.iter().map(waiting).collect(),
            planned: rollout.hosts.iter().enumerate().map(|(index, host)| (host.host.clone(), index)).collect(),
            occupancy,
            zone_sizes,
            rack_sizes,
            aggregates,
            aggregate_sizes,
            region_size: region.hosts.len(),
            limits: rollout.policy.limits.clone(),
            gate: if rollout.hosts.iter().any(|host| host.canary) { Gate::Closed } else { Gate::Open },
            moves: MoveCounts::default(),
            acknowledged_failures: 0,
            drift: None,
            sick: None,
            started: None,
            ended: None,
            resumed: 0,
            runner: None,
            requests: 0,
            retries: 0,
            rollout,
        }
    }

    /// What is executed.
    pub fn rollout(&self) -> &Arc<Rollout> {
        &self.rollout
    }

    /// The run.
    pub fn run(&self) -> RunId {
        self.run
    }

    /// Number of the last event.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Whether the run goes on.
    pub fn status(&self) -> &RunStatus {
        &self.status
    }

    /// Whether a process ended it for good.
    pub fn is_over(&self) -> bool {
        matches!(self.status, RunStatus::Ended(Outcome::Done | Outcome::DoneWithFailures | Outcome::Abandoned))
    }

    /// Hosts by name.
    pub fn hosts(&self) -> &BTreeMap<HostName, HostState> {
        &self.hosts
    }

    /// Planned hosts in order, each with its state.
    pub fn in_order(&self) -> impl Iterator<Item = (&PlannedHost, &HostState)> {
        self.rollout.hosts.iter().filter_map(|planned| Some((planned, self.hosts.get(&planned.host)?)))
    }

    /// A planned host.
    pub fn planned(&self, host: &HostName) -> Option<&PlannedHost> {
        self.planned.get(host).and_then(|index| self.rollout.hosts.get(*index))
    }

    /// A planned host's place in the rollout, from 0.
    pub(super) fn place_in_order(&self, host: &HostName) -> Option<usize> {
        self.planned.get(host).copied()
    }

    /// What is where, moves in flight counted on both sides.
    pub fn occupancy(&self) -> &Occupancy {
        &self.occupancy
    }

    /// Limits in force.
    pub fn limits(&self) -> &Limits {
        &self.limits
    }

    /// The gate behind the canary hosts.
    pub fn gate(&self) -> Gate {
        self.gate
    }

    /// Migrations so far.
    pub fn moves(&self) -> MoveCounts {
        self.moves
    }

    /// Since when the control plane fails; `None` when it is well.
    pub fn sick_since(&self) -> Option<Timestamp> {
        self.sick
    }

    /// How the region moved away from the plan beyond what the policy lets pass, until somebody continues.
    pub fn drift(&self) -> Option<&str> {
        self.drift.as_deref()
    }

    /// When the run began.
    pub fn started(&self) -> Option<Timestamp> {
        self.started
    }

    /// When a process last ended it.
    pub fn ended(&self) -> Option<Timestamp> {
        self.ended
    }

    /// How often it was resumed.
    pub fn resumed(&self) -> usize {
        self.resumed
    }

    /// Who runs it, or ran it last.
    pub fn runner(&self) -> Option<&Runner> {
        self.runner.as_ref()
    }

    /// Host aggregates of a host.
    pub(super) fn aggregates_of(&self, host: &HostName) -> &[String] {
        self.aggregates.get(host).map_or(&[], Vec::as_slice)
    }

    /// Requests to the cloud, and repeats among them, of all processes that ended properly.
    pub fn api_cost(&self) -> (u64, u64) {
        (self.requests, self.retries)
    }

    /// A step that was instantiated.
    pub fn step(&self, id: &StepId) -> Option<&StepState> {
        let host = id.as_str().split('/').next()?;
        self.hosts.get(&HostName::new(host))?.steps.get(id)
    }

    /// Hosts in a phase.
    pub fn count(&self, phase: HostPhase) -> usize {
        self.hosts.values().filter(|host| host.phase == phase).count()
    }

    /// Quarantined hosts that nobody has acknowledged by letting the run continue.
    pub fn unacknowledged_failures(&self) -> usize {
        self.count(HostPhase::Quarantined).saturating_sub(self.acknowledged_failures)
    }

    /// Whether a runner has any step.
    pub fn is_busy(&self) -> bool {
        self.hosts.values().any(HostState::is_busy)
    }

    /// Applies one event. On an error the state is as before.
    pub fn apply(&mut self, event: &Event) -> Result<(), IllegalTransition> {
        let illegal =
            |because: String| IllegalTransition { seq: event.seq, event: event.kind.label().to_owned(), because };
        if event.seq != self.seq + 1 {
            return Err(illegal(format!("event {} was expected", self.seq + 1)));
        }
        self.fold(event).map_err(illegal)?;
        self.seq = event.seq;
        Ok(())
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
                state.intent = Some(intent.clone());
            }
            EventKind::StepSucceeded { step, output } => self.succeed(step, output, event.at)?,
            EventKind::StepFailed { step, failure, retry_at } => self.fail(step, failure, *retry_at, event.at)?,
            EventKind::HostQuarantined { host, reason, .. } => {
                let state = self.host_mut(host)?;
                state.phase = HostPhase::Quarantined;
                state.since = event.at;
                state.why = Some(reason.clone());
                state.memory.quarantined = Some(reason.clone());
                state.add_aftercare(host);
                // A host that the region does not list is no target anyway.
                let _ = self.occupancy.retire(host);
            }
            EventKind::HostSkipped { host, reason } => {
                let state = self.host_mut(host)?;
                if state.has_begun(StepKind::Disable) {
                    return Err(format!("{host} was disabled already"));
                }
                state.phase = HostPhase::Skipped;
                state.since = event.at;
                state.why = Some(reason.clone());
            }
            EventKind::HostReleased { host } => {
                let state = self.host_mut(host)?;
                if state.phase != HostPhase::Active || state.is_busy() {
                    return Err(format!("{host} is {}", state.activity()));
                }
                state.phase = HostPhase::Skipped;
                state.since = event.at;
                state.why = Some("given back as it was".to_owned());
            }
            EventKind::HostRetried { host } => {
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
            EventKind::RunPaused { cause, reason } => self.status = RunStatus::Paused(*cause, reason.clone()),
            EventKind::RunContinued { .. } => {
                self.status = RunStatus::Running;
                self.acknowledged_failures = self.count(HostPhase::Quarantined);
                self.drift = None;
                // Somebody has looked: what waited for another attempt need not wait longer.
                for step in self.hosts.values_mut().flat_map(|host| host.steps.values_mut()) {
                    if let StepStatus::Retrying { at, .. } = &mut step.status {
                        *at = (*at).min(event.at);
                    }
                }
            }
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

    fn start(&mut self, id: &StepId, attempt: u32, target: Option<&HostName>, now: Timestamp) -> Result<(), String> {
        let host = host_of(id);
        if self.hosts.get(&host).is_some_and(|state| state.phase == HostPhase::Waiting) {
            let index = *self.planned.get(&host).ok_or_else(|| format!("{host} is not in the rollout"))?;
            let planned = self.rollout.hosts.get(index).ok_or_else(|| format!("{host} is not in the rollout"))?;
            let state = self.hosts.get_mut(&host).ok_or_else(|| format!("{host} is not in the rollout"))?;
            state.begin(planned, now);
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
            self.occupancy.reserve(instance, &target).map_err(|refusal| refusal.to_string())?;
        }
        Ok(())
    }

    fn succeed(&mut self, id: &StepId, output: &StepOutput, now: Timestamp) -> Result<(), String> {
        let host = host_of(id);
        self.running_mut(id)?.status = StepStatus::Succeeded(output.clone());
        self.sick = None;
        self.settle_move(id, &host, output);
        let state = self.host_mut(&host)?;
        state.remember(id, output);
        if let StepOutput::Resolved { leaving, .. } = output {
            state.add_moves(&host, id, leaving);
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
        if state.steps.get(id).is_some_and(|step| step.step.kind == StepKind::Settle) {
            state.phase = HostPhase::Done;
            state.since = now;
            // Nothing decides by the steps of a host that is done; a long run keeps its memory flat.
            state.steps.clear();
            // A host that the region did not list when the run began takes nothing: its room is not known.
            let _ = self.occupancy.admit(&host);
        }
        Ok(())
    }

    fn fail(
        &mut self,
        id: &StepId,
        failure: &StepFailure,
        retry_at: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<(), String> {
        let state = self.running_mut(id)?;
        let attempt = state.next_attempt() - 1;
        state.status = match retry_at {
            Some(at) => StepStatus::Retrying { attempt, at, failure: failure.clone() },
            None => StepStatus::Failed(failure.clone()),
        };
        let mut released = None;
        if state.step.kind == StepKind::Move {
            if failure.scope == FaultScope::Target
                && let Some(target) = state.target.clone()
            {
                state.avoid.insert(target);
            }
            released = state.step.instance;
            state.target = None;
        }
        match failure.scope {
            FaultScope::ControlPlane => {
                state.excused += 1;
                self.sick.get_or_insert(now);
            }
            FaultScope::Instance | FaultScope::Host | FaultScope::Target => self.sick = None,
        }
        if let Some(instance) = released {
            self.moves.failed += 1;
            self.occupancy.release(instance);
        }
        Ok(())
    }

    /// What a move's end means for who is where.
    fn settle_move(&mut self, id: &StepId, host: &HostName, output: &StepOutput) {
        let Some(instance) = self.hosts.get(host).and_then(|state| state.moving(id)) else { return };
        self.occupancy.release(instance);
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
            | StepOutput::AlreadySo { .. }
            | StepOutput::Disabled { .. }
            | StepOutput::Resolved { .. }
            | StepOutput::Packages { .. }
            | StepOutput::Rebooted { .. }
            | StepOutput::Proven { .. } => {}
        }
    }

    fn host_mut(&mut self, host: &HostName) -> Result<&mut HostState, String> {
        self.hosts.get_mut(host).ok_or_else(|| format!("{host} is not in the rollout"))
    }

    fn step_mut(&mut self, id: &StepId) -> Result<&mut StepState, String> {
        self.host_mut(&host_of(id))?.steps.get_mut(id).ok_or_else(|| format!("there is no step {id}"))
    }

    fn running_mut(&mut self, id: &StepId) -> Result<&mut StepState, String> {
        let state = self.step_mut(id)?;
        if state.is_running() { Ok(state) } else { Err(format!("{id} is {}", state.status.label())) }
    }

    /// Moves in flight: instance, from, to.
    pub fn moves_in_flight(&self) -> impl Iterator<Item = (InstanceId, &HostName, Option<&HostName>)> {
        self.hosts.values().flat_map(|host| host.steps.values()).filter(|step| step.is_running()).filter_map(|step| {
            let instance = step.step.instance?;
            Some((instance, &step.step.host, step.target.as_ref()))
        })
    }
}

/// The host that a step belongs to; host names have no slash.
fn host_of(id: &StepId) -> HostName {
    HostName::new(id.as_str().split('/').next().unwrap_or_default())
}
