//! What may begin, and when something counts as done: pauses, gates, windows, budgets, settle times.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::draw::Case;
use super::moods::Moods;
use super::stage::Stage;
use crate::model::{HostName, Policy, ServiceStatus, Window};
use crate::run::{Event, EventKind, Gate, GateName, HostPhase, RunState, RunStatus};
use crate::sim::world::World;

/// Steps by which a paused run gives back what it holds.
const GIVES_BACK: [&str; 8] = ["return", "evidence", "enable", "settle", "probe", "unhook", "unfence", "quarantine"];

/// Watches beginnings and ends.
pub(super) struct Begins {
    policy: Policy,
    has_true_clocks: bool,
    is_watched: bool,
    gate_reached: Option<Timestamp>,
    /// When hosts were enabled, by the region's time.
    enabled: BTreeMap<HostName, Timestamp>,
    moods: Arc<Moods>,
    /// When a host last ended, by the region's time.
    host_ended: Option<Timestamp>,
    changes: usize,
    /// Whether the next change is somebody else's.
    theirs: bool,
}

impl Begins {
    pub fn of(case: &Case, stage: &Stage) -> Self {
        Self {
            policy: case.policy.clone(),
            has_true_clocks: case.has_true_clocks(),
            is_watched: case.scenario.seed % 2 == 1,
            gate_reached: None,
            enabled: BTreeMap::new(),
            moods: Arc::clone(&stage.moods),
            host_ended: None,
            changes: 0,
            theirs: false,
        }
    }

    /// Takes up an event that was durable, and that its runner died of before it showed it.
    pub fn note(&mut self, event: &Event) {
        if let EventKind::GateReached { gate: GateName::Canary, .. } = &event.kind {
            self.gate_reached.get_or_insert(event.at);
        }
    }

    pub fn is_watched(&self) -> bool {
        self.is_watched
    }

    pub fn look(&mut self, world: &World, state: &RunState, event: &Event) -> Vec<String> {
        for change in &world.changes()[self.changes..] {
            let theirs = std::mem::replace(&mut self.theirs, change.what.ends_with(": somebody else sets its service"));
            if let Some((host, what)) = change.what.strip_prefix("service ").and_then(|rest| rest.split_once(' '))
                && what.contains("status: Some(Enabled)")
                && !theirs
            {
                self.enabled.insert(HostName::new(host), change.at);
            }
        }
        self.changes = world.changes().len();
        match &event.kind {
            EventKind::StepStarted { step, attempt, .. } => {
                let (host, name) = step.as_str().split_once('/').unwrap_or_default();
                let begins = name == "identify" && *attempt == 1;
                if begins {
                    self.host(world, state, &HostName::new(host), event.at)
                } else {
                    step_begins(state, name, step)
                }
            }
            EventKind::StepSucceeded { step, .. } => {
                let host = step.as_str().strip_suffix("/settle").map(HostName::new);
                self.host_ended = host.as_ref().map(|_| world.now()).or(self.host_ended);
                host.and_then(|host| self.done(world, &host)).into_iter().collect()
            }
            EventKind::HostQuarantined { .. } => {
                self.host_ended = Some(world.now());
                Vec::new()
            }
            EventKind::GateReached { gate: GateName::Canary, .. } => {
                self.gate_reached = Some(world.now());
                Vec::new()
            }
            EventKind::GateOpened { gate: GateName::Canary, by } => self.gate_opens(world, state, by),
            EventKind::RunStarted { .. }
            | EventKind::RunResumed { .. }
            | EventKind::StepIntended { .. }
            | EventKind::StepFailed { .. }
            | EventKind::ChangeMade { .. }
            | EventKind::TargetSeen { .. }
            | EventKind::HostSkipped { .. }
            | EventKind::HostReleased { .. }
            | EventKind::HostRelieved { .. }
            | EventKind::HostRetried { .. }
            | EventKind::RunPaused { .. }
            | EventKind::RunContinued { .. }
            | EventKind::StopRequested { .. }
            | EventKind::HealthSeen { .. }
            | EventKind::LimitsChanged { .. }
            | EventKind::RunEnded { .. } => Vec::new(),
        }
    }

    /// A host that waited begins.
    fn host(&self, world: &World, state: &RunState, host: &HostName, at: Timestamp) -> Vec<String> {
        let Some(planned) = state.planned(host) else { return vec![format!("{host} is begun, and in no plan")] };
        let mut found = Vec::new();
        if *state.status() != RunStatus::Running {
            found.push(format!("{host} is begun while the run is {:?}", state.status()));
        }
        if state.sick_since().is_some() {
            found.push(format!("{host} is begun while the control plane is sick"));
        }
        if !planned.canary && state.gate() != Gate::Open {
            found.push(format!("{host} is begun before the canary hosts' gate is open"));
        }
        if self.is_over_budget(state) {
            found.push(format!("{host} is begun when more hosts have failed than the budget allows"));
        }
        found.extend(self.gates(world, host));
        let takes = SignedDuration::from_secs_f64(planned.finish_s - planned.start_s);
        let windows = &self.policy.windows;
        if !windows.is_empty() && !windows.iter().any(|window| holds(window, at, at + takes)) {
            found.push(format!("{host} is begun at {at} for {takes}, outside of every window"));
        }
        found
    }

    /// The policy's health gate was asked since the last host ended, not long ago, and was well.
    fn gates(&self, world: &World, host: &HostName) -> Option<String> {
        let gate = self.policy.gates.first()?;
        let said = self.moods.last_said();
        let every = SignedDuration::try_from(gate.every.get()).unwrap_or_default() + SignedDuration::from_secs(10);
        let fresh =
            |at: Timestamp| world.now().duration_since(at) <= every && self.host_ended.is_none_or(|ended| ended <= at);
        let may = said.is_some_and(|(at, is_well)| is_well && fresh(at));
        (!may).then(|| format!("{host} is begun at {}, and its health gate said {said:?}", world.now()))
    }

    fn is_over_budget(&self, state: &RunState) -> bool {
        let failed: Vec<_> = state.in_order().filter(|(_, host)| host.phase == HostPhase::Quarantined).collect();
        let in_zone = |zone| failed.iter().filter(|(planned, _)| planned.zone == zone).count();
        let budget = &self.policy.failure_budget;
        state.unacknowledged_failures() > 0
            && (failed.len() > budget.hosts
                || failed.iter().any(|(planned, _)| in_zone(planned.zone.clone()) > budget.per_zone)
                || (state.gate() == Gate::Closed && failed.iter().any(|(planned, _)| planned.canary)))
    }

    fn gate_opens(&self, world: &World, state: &RunState, by: &str) -> Vec<String> {
        let mut found = Vec::new();
        let open = |phase| matches!(phase, HostPhase::Waiting | HostPhase::Active);
        for (planned, host) in state.in_order().filter(|(planned, host)| planned.canary && open(host.phase)) {
            // A canary that is tried again after the gate was reached is watched by whoever asked for that.
            if self.gate_reached.is_none() {
                found.push(format!("the gate opens while canary {} is {}", planned.host, host.activity()));
            }
        }
        let somebody = by.contains("somebody");
        let soaked = self.gate_reached.map(|reached| world.now().duration_since(reached));
        let soak = SignedDuration::try_from(self.policy.canary.soak.get()).unwrap_or_default();
        if !somebody && self.policy.canary.approve {
            found.push("the gate opens by itself, and somebody had to approve".to_owned());
        }
        if !somebody && self.has_true_clocks && soaked.is_none_or(|soaked| soaked < soak) {
            found.push(format!("the gate opens after {soaked:?}, and canary hosts are watched for {soak}"));
        }
        found
    }

    /// A host that is done is in service at that moment, and was for as long as the policy says.
    fn done(&self, world: &World, host: &HostName) -> Option<String> {
        let service = &world.host(host)?.service;
        if service.status != ServiceStatus::Enabled {
            return Some(format!("{host} is done and {:?}", service.status));
        }
        let settled = self.enabled.get(host).map(|at| world.now().duration_since(*at));
        let settle = SignedDuration::try_from(self.policy.settle.get()).unwrap_or_default();
        // One that was never disabled by us, or that somebody else enabled meanwhile, has its own story.
        let short =
            self.has_true_clocks && settled.is_some_and(|settled| settled + SignedDuration::from_secs(5) < settle);
        short.then(|| format!("{host} is done {settled:?} after it was enabled, and is to settle for {settle}"))
    }
}

/// A step begins that belongs to a begun host.
fn step_begins(state: &RunState, name: &str, step: &crate::model::StepId) -> Vec<String> {
    let kind = name.split('/').next().unwrap_or(name);
    let may = match state.status() {
        RunStatus::Running => true,
        RunStatus::Paused(..) => GIVES_BACK.contains(&kind),
        RunStatus::Stopping => ["unhook", "unfence", "quarantine"].contains(&kind),
        RunStatus::Unbegun | RunStatus::Ended(_) => false,
    };
    if may { Vec::new() } else { vec![format!("{step} begins while the run is {:?}", state.status())] }
}

/// Whether a time lies in one opening of a window. Windows of simulated policies open every day, in UTC, and close on the
/// same day.
fn holds(window: &Window, from: Timestamp, to: Timestamp) -> bool {
    let (from, to) = (from.to_zoned(TimeZone::UTC), to.to_zoned(TimeZone::UTC));
    from.date() == to.date() && window.from.civil() <= from.time() && to.time() <= window.to.civil()
}
