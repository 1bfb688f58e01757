//! The state of one host within a run: its phase, its steps, what they left. Part of the fold; changed only by
//! [`super::RunState::apply`].

mod parked;

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use indexmap::IndexMap;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::event::{Intent, LeavingInstance, ParkedInstance, StepFailure, StepOutput};
use crate::actions::HostMemory;
use crate::model::{HostName, InstanceHandling, InstanceId, InstanceStatus, StepId};
use crate::plan::{PlannedHost, PlannedMove};
use crate::workflow::{Added, Step, StepKind, move_step, steps_of};

/// How often a host's instances are resolved before something is wrong with it: each round found more to move.
pub(super) const MAX_ROUNDS: u32 = 8;

/// Where a host stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum HostPhase {
    /// Not begun.
    Waiting,
    /// Begun and not ended: counts as out of service.
    Active,
    /// Back in service, proven.
    Done,
    /// Left alone.
    Skipped,
    /// Failed for good: stays disabled.
    Quarantined,
}

/// A host within a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HostState {
    /// Where it stands.
    pub phase: HostPhase,
    /// Since when.
    pub since: Timestamp,
    /// Why it is skipped or quarantined.
    pub why: Option<String>,
    /// The kind of step that it was quarantined for.
    pub(super) failed_in: Option<StepKind>,
    /// Its steps in order; empty until it is begun.
    pub(super) steps: IndexMap<StepId, StepState>,
    /// What its steps left for later ones.
    pub(super) memory: HostMemory,
    /// How often its instances were resolved.
    rounds: u32,
    /// How often it was found not quiet.
    disturbances: u32,
    /// Of an instance that is tried again: what is on record of its cold boot. It may have been stopped by us.
    owed: Option<(Intent, Option<Timestamp>)>,
}

/// A step within a run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StepState {
    /// What it is.
    pub step: Step,
    /// How it stands.
    pub status: StepStatus,
    /// For a move: which instance, as it was when it was resolved.
    pub leaving: Option<LeavingInstance>,
    /// For a stop or a start: which instance.
    pub parked: Option<ParkedInstance>,
    /// For a move: where the current attempt goes.
    pub target: Option<HostName>,
    /// For a move: targets that did not work.
    pub avoid: BTreeSet<HostName>,
    /// The last intent that was recorded, of any attempt.
    pub intent: Option<Intent>,
    /// When that intent was recorded; one that is adopted keeps its time.
    pub intended: Option<Timestamp>,
    /// Failures that were the control plane's, or that sent the host back to be resolved: neither counts as an attempt.
    pub excused: u32,
    /// For a move: attempts for which the target had no room after all, by others' doing. They count against nobody.
    pub crowded_out: u32,
}

/// How a step stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub enum StepStatus {
    /// Not started.
    Pending,
    /// Claimed by a runner.
    Running {
        /// From 1.
        attempt: u32,
        /// Since when.
        since: Timestamp,
    },
    /// Failed, and to be tried again.
    Retrying {
        /// The attempt that failed.
        attempt: u32,
        /// When.
        at: Timestamp,
        /// Why it failed.
        failure: StepFailure,
    },
    /// Verified.
    Succeeded(StepOutput),
    /// Failed for good.
    Failed(StepFailure),
}

impl StepStatus {
    /// The status in a word.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running { .. } => "running",
            Self::Retrying { .. } => "retrying",
            Self::Succeeded(_) => "succeeded",
            Self::Failed(_) => "failed",
        }
    }
}

impl StepState {
    fn new(step: Step, leaving: Option<LeavingInstance>) -> Self {
        Self {
            step,
            status: StepStatus::Pending,
            leaving,
            parked: None,
            target: None,
            avoid: BTreeSet::new(),
            intent: None,
            intended: None,
            excused: 0,
            crowded_out: 0,
        }
    }

    /// For a move: the host that its instance leaves.
    pub fn source(&self) -> &HostName {
        self.leaving.as_ref().and_then(|leaving| leaving.from.as_ref()).unwrap_or(&self.step.host)
    }

    /// Whether it moves an instance of another host, which makes way for those of its own.
    pub(super) fn makes_way(&self) -> bool {
        self.leaving.as_ref().is_some_and(|leaving| leaving.from.is_some())
    }

    /// Whether a runner has it.
    pub fn is_running(&self) -> bool {
        matches!(self.status, StepStatus::Running { .. })
    }

    /// The number of the attempt that comes next.
    pub fn next_attempt(&self) -> u32 {
        match &self.status {
            StepStatus::Running { attempt, .. } | StepStatus::Retrying { attempt, .. } => attempt + 1,
            StepStatus::Pending | StepStatus::Succeeded(_) | StepStatus::Failed(_) => 1,
        }
    }
}

/// An instance that makes way, as far as the plan knows it: its move looks at it itself.
fn making_way(way: &PlannedMove) -> LeavingInstance {
    LeavingInstance {
        id: way.instance,
        name: way.name.clone(),
        project: way.project.clone(),
        from: Some(way.from.clone()),
        status: InstanceStatus::Active,
        handling: InstanceHandling::LiveMigrate,
        resources: way.resources.clone(),
        group: way.group.clone(),
        pinned_zone: None,
        traits: Vec::new(),
        flavor: None,
        image: BTreeMap::new(),
    }
}

impl HostState {
    pub(super) fn waiting(since: Timestamp) -> Self {
        Self {
            phase: HostPhase::Waiting,
            since,
            why: None,
            failed_in: None,
            steps: IndexMap::new(),
            memory: HostMemory::default(),
            rounds: 0,
            disturbances: 0,
            owed: None,
        }
    }

    /// Its steps in order; empty until it is begun.
    pub fn steps(&self) -> impl Iterator<Item = &StepState> {
        self.steps.values()
    }

    /// Forgets everything but what the service and the machine were before, and what an instance is owed: an operator
    /// wants it tried again.
    pub(super) fn retry(&mut self, now: Timestamp) {
        let memory = std::mem::take(&mut self.memory);
        let booted = self.steps.values().find(|state| state.step.kind == StepKind::ColdBoot);
        let owed = booted.and_then(|state| Some((state.intent.clone()?, state.intended)));
        *self = Self::waiting(now);
        self.memory = memory.kept_by_a_retry();
        self.owed = owed;
    }

    /// What its steps left for later ones.
    pub fn memory(&self) -> &HostMemory {
        &self.memory
    }

    /// Whether it is under way and each of its steps has succeeded: a host that is only drained stays so.
    pub fn is_at_rest(&self) -> bool {
        self.phase == HostPhase::Active
            && self.steps.values().all(|state| matches!(state.status, StepStatus::Succeeded(_)))
    }

    /// Whether a step of that kind has succeeded.
    pub fn has_done(&self, kind: StepKind) -> bool {
        self.steps.values().any(|state| state.step.kind == kind && matches!(state.status, StepStatus::Succeeded(_)))
    }

    /// Whether a step of that kind was ever started.
    pub fn has_begun(&self, kind: StepKind) -> bool {
        self.steps.values().any(|state| state.step.kind == kind && state.status != StepStatus::Pending)
    }

    /// Whether anything that cannot be taken back may have been begun on it.
    pub(super) fn is_half_done(&self) -> bool {
        let added = [StepKind::Command, StepKind::Ansible].into_iter().any(|kind| self.has_begun(kind));
        self.has_begun(StepKind::Update) || (added && self.has_begun(StepKind::Fence))
    }

    /// Whether a runner has one of its steps.
    pub fn is_busy(&self) -> bool {
        self.steps.values().any(StepState::is_running)
    }

    /// Steps that nothing but limits and time keeps from starting.
    pub(super) fn ready(&self) -> impl Iterator<Item = &StepState> {
        self.steps.values().filter(|state| self.is_ready(state))
    }

    /// Whether nothing but limits and time keeps one of its steps from starting.
    pub(super) fn is_ready(&self, state: &StepState) -> bool {
        match state.status {
            StepStatus::Pending | StepStatus::Retrying { .. } => {
                state.step.needs.iter().all(|need| self.has_come_to_its_end(need))
            }
            StepStatus::Running { .. } | StepStatus::Succeeded(_) | StepStatus::Failed(_) => false,
        }
    }

    /// The step at a place in the list of its steps.
    pub(super) fn step_at(&self, place: usize) -> Option<&StepState> {
        self.steps.get_index(place).map(|(_, state)| state)
    }

    /// Whether its instances were resolved more often than a host can bear.
    pub(super) fn has_too_many_rounds(&self) -> bool {
        self.rounds > MAX_ROUNDS
    }

    /// Whether what waits for that step need not wait longer. An instance that does not start holds up nothing else, and
    /// what is owed to owners is tried even where the fence could not be lowered.
    fn has_come_to_its_end(&self, id: &StepId) -> bool {
        self.steps.get(id).is_some_and(|state| match state.status {
            StepStatus::Succeeded(_) => true,
            StepStatus::Failed(_) => {
                matches!(state.step.kind, StepKind::Start | StepKind::Stop) || !state.step.kind.is_ordinary()
            }
            StepStatus::Pending | StepStatus::Running { .. } | StepStatus::Retrying { .. } => false,
        })
    }

    /// Begins the host: its steps come into being. Moves are added when they are resolved.
    pub(super) fn begin(&mut self, planned: &PlannedHost, added: &Added<'_>, now: Timestamp) {
        self.phase = HostPhase::Active;
        self.since = now;
        self.why = None;
        self.rounds = 0;
        self.disturbances = 0;
        // What a retried host was before we disabled it is known only from the first time.
        self.memory = std::mem::take(&mut self.memory).kept_by_a_retry();
        let makes_way = |id: InstanceId| planned.ways().find(|way| way.instance == id).map(making_way);
        self.steps = steps_of(planned, &[], added)
            .into_iter()
            .map(|step| (step.id.clone(), StepState::new(step.clone(), step.instance.and_then(makes_way))))
            .collect();
        if let (Some((intent, at)), Some(first)) = (self.owed.take(), self.steps.values_mut().next()) {
            (first.intent, first.intended) = (Some(intent), at);
        }
    }

    /// Adds the moves that a `resolve` found, and a further look after them, for which the fence waits. Moves are ready
    /// in the order of the plan; what the plan does not know comes after it, the biggest first: what is copied longest
    /// ends the drain.
    pub(super) fn add_moves(&mut self, planned: &PlannedHost, resolved: &StepId, leaving: &[LeavingInstance]) {
        if leaving.is_empty() {
            return;
        }
        self.rounds += 1;
        let places: BTreeMap<InstanceId, usize> =
            planned.moves.iter().map(|planned| planned.instance).zip(0..).collect();
        let mut leaving: Vec<&LeavingInstance> = leaving.iter().collect();
        leaving.sort_by_key(|instance| {
            let place = places.get(&instance.id).copied().unwrap_or(usize::MAX);
            (place, Reverse(instance.resources.memory_mb()))
        });
        let mut moves = Vec::with_capacity(leaving.len());
        for instance in leaving {
            let step = self.unused(move_step(&planned.host, instance.id, resolved));
            moves.push(step.id.clone());
            self.steps.insert(step.id.clone(), StepState::new(step, Some(instance.clone())));
        }
        self.look_again(&planned.host, moves);
    }

    /// Adds a look at the host's instances after `needs`, for which the fence waits.
    fn look_again(&mut self, host: &HostName, needs: Vec<StepId>) {
        let again = self.add_step(host, StepKind::Resolve, needs);
        if let Some(fence) = self.steps.values_mut().rfind(|state| state.step.kind == StepKind::Fence) {
            fence.step.needs = vec![again];
        }
    }

    /// Sends the host back to be resolved, because a step that needs it quiet found that it is not: the fence comes down
    /// first, since nova-compute has to be at work for what leaves, and the step waits for a fence that went up again.
    pub(super) fn go_back(&mut self, host: &HostName, disturbed: &StepId) {
        self.disturbances += 1;
        let lowered = self.add_step(host, StepKind::Unfence, Vec::new());
        let resolved = self.add_step(host, StepKind::Resolve, vec![lowered]);
        let Some(kind) = self.steps.get(disturbed).map(|state| state.step.kind) else { return };
        let awaited =
            if kind == StepKind::Fence { resolved } else { self.add_step(host, StepKind::Fence, vec![resolved]) };
        if let Some(state) = self.steps.get_mut(disturbed) {
            state.step.needs = vec![awaited];
        }
    }

    /// How often the host was found not quiet.
    pub(super) fn disturbances(&self) -> u32 {
        self.disturbances
    }

    /// Adds the probe of a host that is back in service.
    pub(super) fn add_probe(&mut self, host: &HostName) {
        self.add_step(host, StepKind::Probe, Vec::new());
    }

    /// Adds a further step of that kind; the second is called `kind/2`.
    fn add_step(&mut self, host: &HostName, kind: StepKind, needs: Vec<StepId>) -> StepId {
        let count = self.steps.values().filter(|state| state.step.kind == kind).count();
        let name = if count == 0 { kind.name().to_owned() } else { format!("{kind}/{}", count + 1) };
        let id = StepId::of(host, &name);
        let step = Step { id: id.clone(), kind, host: host.clone(), instance: None, needs };
        self.steps.insert(id.clone(), StepState::new(step, None));
        id
    }

    /// An instance that came back and leaves once more gets a step of its own.
    fn unused(&self, mut step: Step) -> Step {
        let first = step.id.clone();
        let mut round = 1;
        while self.steps.contains_key(&step.id) {
            round += 1;
            step.id = StepId::new(format!("{first}/{round}"));
        }
        step
    }

    /// Adds the aftercare of a host that failed: the fence comes down where it may be up, and the reason is written
    /// where Nova shows it. Nothing is done to a host that was never disabled by us.
    pub(super) fn add_aftercare(&mut self, host: &HostName) {
        if !self.has_begun(StepKind::Disable) {
            return;
        }
        #[cfg(test)]
        if crate::simulation::Mistake::ForgetsAftercare.is_made() {
            return;
        }
        let lowered = self.lower_fence(host);
        self.add_step(host, StepKind::Quarantine, Vec::new());
        self.add_starts(host, &lowered);
        let told =
            self.steps.values().any(|state| state.step.kind == StepKind::Hook && state.status != StepStatus::Pending);
        for state in self.steps.values_mut().filter(|state| told && state.step.kind == StepKind::Unhook) {
            state.step.needs = Vec::new();
        }
    }

    /// Has nova-compute started where it may be stopped by us.
    fn lower_fence(&mut self, host: &HostName) -> Vec<StepId> {
        if self.may_be_fenced() { vec![self.add_step(host, StepKind::Unfence, Vec::new())] } else { Vec::new() }
    }

    /// Whether nova-compute may be stopped by us: a runner that dies may have raised the fence and recorded nothing, so
    /// that only a reboot that took place rules it out. For steps that probe.
    pub(super) fn may_be_fenced(&self) -> bool {
        self.has_begun(StepKind::Fence) && self.memory.boots.is_none()
    }

    /// Folds what a step left into what later ones know.
    pub(super) fn remember(&mut self, id: &StepId, output: &StepOutput) {
        let Some(state) = self.steps.get(id) else { return };
        match state.step.kind {
            StepKind::Fence => self.memory.fenced = true,
            StepKind::Unfence => self.memory.fenced = false,
            // What made way was never here.
            StepKind::Move if state.makes_way() => {}
            StepKind::Move => match (state.step.instance, output) {
                (Some(instance), StepOutput::GaveUp { handling, .. }) => {
                    self.memory.given_up.insert(instance, *handling);
                }
                (instance, _) => self.memory.left.extend(instance),
            },
            StepKind::Stop | StepKind::Start => self.remember_power(id, output),
            StepKind::Identify
            | StepKind::Disable
            | StepKind::Stage
            | StepKind::Resolve
            | StepKind::Update
            | StepKind::Configure
            | StepKind::VerifyConfig
            | StepKind::Command
            | StepKind::Hook
            | StepKind::Unhook
            | StepKind::Ansible
            | StepKind::Reboot
            | StepKind::Return
            | StepKind::Evidence
            | StepKind::Enable
            | StepKind::Settle
            | StepKind::Probe
            | StepKind::ColdBoot
            | StepKind::Quarantine => {}
        }
        match output {
            StepOutput::Disabled { before, .. } => self.memory.service_before = Some(before.clone()),
            StepOutput::Resolved { staying, parking, .. } => {
                self.memory.staying.clone_from(staying);
                self.memory.parking.clone_from(parking);
            }
            StepOutput::Rebooted { before, after, .. } => {
                self.memory.boots = Some((before.clone(), after.clone()));
                // nova-compute starts with the host.
                self.memory.fenced = false;
            }
            StepOutput::Identified { fingerprint, .. } => {
                self.memory.fingerprint.get_or_insert_with(|| fingerprint.clone());
            }
            StepOutput::Done { .. }
            | StepOutput::AlreadySo { .. }
            | StepOutput::Moved { .. }
            | StepOutput::Gone { .. }
            | StepOutput::Parked { .. }
            | StepOutput::GaveUp { .. }
            | StepOutput::Packages { .. }
            | StepOutput::ColdBooted { .. }
            | StepOutput::Ran { .. }
            | StepOutput::Proven { .. } => {}
        }
    }

    /// What the host is doing, in the words of the status file.
    pub fn activity(&self) -> &'static str {
        match self.phase {
            HostPhase::Waiting => "waiting",
            HostPhase::Done => "done",
            HostPhase::Skipped => "skipped",
            HostPhase::Quarantined => "quarantined",
            HostPhase::Active if self.has_begun(StepKind::ColdBoot) => "booting",
            HostPhase::Active => {
                let empties = |state: &StepState| {
                    matches!(state.step.kind, StepKind::Resolve | StepKind::Move | StepKind::Stop)
                        && !matches!(state.status, StepStatus::Succeeded(_))
                };
                if self.steps.values().any(empties) {
                    "draining"
                } else if self.has_begun(StepKind::Return) {
                    "verifying"
                } else if self.has_begun(StepKind::Reboot) {
                    "rebooting"
                } else if self.has_begun(StepKind::Fence) {
                    "updating"
                } else {
                    "draining"
                }
            }
        }
    }

    /// The instance of a move.
    pub(super) fn moving(&self, id: &StepId) -> Option<InstanceId> {
        self.steps.get(id).and_then(|state| state.step.instance)
    }
}
