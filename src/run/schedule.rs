//! Decisions, pure: what may be begun now, and why everything else waits.
//!
//! [`decide`] looks at steps that are ready and at the next few hosts that wait in each zone, never at all that exists:
//! the state keeps an index of them. It returns at most one start that books room at a time: the driver applies it and
//! asks again.

use std::collections::BTreeMap;
use std::fmt;

use jiff::{SignedDuration, Timestamp};

use super::event::{FaultScope, PauseCause, StepFailure};
use super::host::{HostPhase, HostState, MAX_ROUNDS, StepState, StepStatus};
use super::limits::Reached;
use super::room;
use super::state::{Gate, Pulse, RunState, RunStatus};
use super::windows;
use crate::actions::ErrorClass;
use crate::model::{HostName, StepId};
use crate::plan::PlannedHost;
use crate::plan::placement::Refusal;
use crate::run::event::Outcome;
use crate::workflow::StepKind;

/// How many waiting hosts of each zone are looked at for a free slot. Hosts behind them wait for the same limits and
/// room, those of other zones do not; and a region of 10,000 is not searched after each event.
const LOOKAHEAD: usize = 32;

/// How often a host is resolved again because it was found not quiet behind the last look. Owners start what stays now
/// and then; a domain that Nova does not know of, or a claim that nothing explains, is there again each time.
const MAX_DISTURBANCES: u32 = 4;

/// What is to happen next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// A step starts.
    Start {
        /// Which.
        step: StepId,
        /// From 1.
        attempt: u32,
        /// For a move: where to.
        target: Option<HostName>,
        /// For a move: why not to the planned host.
        because: Option<String>,
    },
    /// A host failed for good.
    Quarantine {
        /// Which.
        host: HostName,
        /// The step.
        step: StepId,
        /// Why.
        reason: String,
    },
    /// A host is left alone.
    Skip {
        /// Which.
        host: HostName,
        /// Why.
        reason: String,
    },
    /// Nothing more begins.
    Pause {
        /// Why.
        cause: PauseCause,
        /// Why, for people.
        reason: String,
    },
    /// The canary hosts are through.
    ReachGate {
        /// When it opens by itself.
        opens_at: Option<Timestamp>,
    },
    /// The gate's time has come.
    OpenGate,
    /// There is nothing left to do, or nothing that may be done.
    End(Outcome),
}

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
            Self::Retry(at) => write!(f, "to be tried again at {at}"),
            Self::ControlPlane => f.write_str("for the control plane to be well"),
            Self::Paused(reason) => write!(f, "because the run is paused: {reason}"),
            Self::Stopping => f.write_str("because the run is being stopped"),
        }
    }
}

/// Decides what happens next as of `now`. An empty answer means: wait for a step to end, or until [`next_wake`].
pub fn decide(state: &RunState, now: Timestamp) -> Vec<Decision> {
    search(state, now, false, &mut BTreeMap::new())
}

/// As [`decide`]. With `is_barren` moves and hosts are known to wait; `refused` keeps hosts for whose instances there was
/// no room, with how often room had appeared for them by then.
fn search(state: &RunState, now: Timestamp, is_barren: bool, refused: &mut BTreeMap<usize, u64>) -> Vec<Decision> {
    match state.status() {
        RunStatus::Unbegun | RunStatus::Ended(_) => return Vec::new(),
        RunStatus::Running | RunStatus::Paused(..) | RunStatus::Stopping => {}
    }
    let failed = failures(state);
    if !failed.is_empty() {
        return failed;
    }
    if let Some(pause) = out_of_hand(state, now).or_else(|| budget(state)) {
        return vec![pause];
    }
    let view = View { state, now };
    let starts = view.steps();
    if !starts.is_empty() {
        return starts;
    }
    if !is_barren && let Some(start) = view.next_move() {
        return vec![start];
    }
    if *state.status() == RunStatus::Running
        && let Some(next) = view.gate().or_else(|| if is_barren { None } else { view.host(refused) })
    {
        return vec![next];
    }
    view.end().into_iter().collect()
}

/// Remembers that there was nothing to decide, so that the search is made again only when something has changed. A run
/// hears a hundred times of progress and of intents for each event that lets something begin.
#[derive(Debug, Clone, Default)]
pub(super) struct Memory {
    nothing: Option<Nothing>,
    /// No move and no host could be begun, as of so many openings.
    barren: Option<Nothing>,
    /// Hosts for whose instances there was no room, with how often room had appeared for them by then.
    refused: BTreeMap<usize, u64>,
}

/// There was nothing to decide.
#[derive(Debug, Clone, Copy)]
struct Nothing {
    /// As of so many changes of the state, or openings in it.
    changes: u64,
    /// Until this time.
    until: Option<Timestamp>,
}

impl Memory {
    /// As [`decide`], without a search whose outcome is known.
    pub fn decide(&mut self, state: &RunState, now: Timestamp) -> Vec<Decision> {
        if let Some(Nothing { changes, until }) = self.nothing
            && changes == state.changes()
            && until.is_none_or(|until| now < until)
        {
            return Vec::new();
        }
        // With nothing under way nothing will be heard of: then all is looked at anew.
        let is_busy = state.is_busy();
        let holds = |known: Nothing| known.changes == state.openings() && known.until.is_none_or(|until| now < until);
        let is_barren = is_busy && self.barren.is_some_and(holds);
        if !is_busy {
            self.refused.clear();
        }
        let decisions = search(state, now, is_barren, &mut self.refused);
        self.nothing = None;
        if decisions.is_empty() {
            let until = next_wake(state, now);
            self.nothing = Some(Nothing { changes: state.changes(), until });
            if !is_barren {
                self.barren = Some(Nothing { changes: state.openings(), until });
            }
        }
        decisions
    }

    /// [`next_wake`] as of the last time that there was nothing to decide; `None` when there never was.
    pub fn next_wake(&self) -> Option<Timestamp> {
        self.nothing.and_then(|nothing| nothing.until)
    }
}

/// When [`decide`] may answer differently though nothing happened; `None` when only an event can change it.
pub fn next_wake(state: &RunState, now: Timestamp) -> Option<Timestamp> {
    let retry = state.index.next_retry(now);
    let gate = match state.gate() {
        Gate::Reached(at) => at,
        Gate::Closed | Gate::Open => None,
    };
    let window = windows::next_opening(&state.rollout().policy.windows, now);
    [retry, gate, window].into_iter().flatten().filter(|at| *at > now).min()
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

/// When a failed step is tried again; `None` when it is not.
///
/// What the control plane did counts against nobody and is tried again for ever, at most a minute apart; so is a move
/// whose target turned out to be full, which is looked for elsewhere or waits for room. A host that is not quiet is
/// resolved again, a few times, further and further apart. Everything else that is transient has three attempts; a move
/// that its instance failed five, and one that its target failed eight, spread over four minutes: targets differ, and
/// Nova's scheduler may believe for two minutes in instances that have left.
pub fn retry_at(state: &RunState, step: &StepId, failure: &StepFailure, now: Timestamp) -> Option<Timestamp> {
    let step = state.step(step)?;
    let attempt = step.next_attempt().saturating_sub(1);
    if (failure.scope, failure.class) == (FaultScope::Target, ErrorClass::Transient)
        && state.is_crowded_out(&step.step.id)
    {
        return Some(now + backoff(2, step.crowded_out, 60));
    }
    let counted = attempt.saturating_sub(step.excused + step.crowded_out);
    let (seconds, most) = match (failure.scope, failure.class) {
        (_, ErrorClass::Disquiet) => {
            let disturbances = state.hosts().get(&step.step.host).map_or(0, HostState::disturbances);
            return (disturbances < MAX_DISTURBANCES).then(|| now + backoff(10, disturbances, 120));
        }
        (FaultScope::ControlPlane, _) => return Some(now + backoff(5, step.excused, 60)),
        (_, ErrorClass::Permanent | ErrorClass::NeedsOperator) => return None,
        (FaultScope::Target, ErrorClass::Transient) => (2, 8),
        (FaultScope::Instance, ErrorClass::Transient) => (5, 5),
        (FaultScope::Host, ErrorClass::Transient) => (10, 3),
    };
    (counted < most).then(|| now + backoff(seconds, counted.saturating_sub(1), 300))
}

/// `first` seconds doubled `times` times, at most `most` seconds.
fn backoff(first: i64, times: u32, most: i64) -> SignedDuration {
    SignedDuration::from_secs(first.saturating_mul(1_i64 << times.min(16)).min(most))
}

/// Hosts that are begun, or need aftercare, with their plan.
fn active(state: &RunState) -> impl Iterator<Item = (&PlannedHost, &HostState)> {
    let mut places: Vec<usize> =
        state.index.in_phase(HostPhase::Active).chain(state.index.in_phase(HostPhase::Quarantined)).collect();
    places.sort_unstable();
    places.into_iter().filter_map(|place| state.at(place))
}

/// Hosts whose step failed for good. One that was not disabled by us was not touched: it is left alone.
fn failures(state: &RunState) -> Vec<Decision> {
    let mut decisions = Vec::new();
    for (planned, host) in state.index.failed().filter_map(|place| state.at(place)) {
        let failed = host.steps().find_map(|step| match &step.status {
            StepStatus::Failed(failure) => Some((step, failure)),
            StepStatus::Pending
            | StepStatus::Running { .. }
            | StepStatus::Retrying { .. }
            | StepStatus::Succeeded(_) => None,
        });
        if let Some((step, failure)) = failed {
            let reason = format!("{}: {}", step.step.id, failure.causes.join(": "));
            // A host that is tried again may be disabled by us and half updated: it is not just left alone.
            let untouched = host.memory().service_before.is_none();
            let host = planned.host.clone();
            decisions.push(if step.step.kind == StepKind::Identify && untouched {
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
fn out_of_hand(state: &RunState, now: Timestamp) -> Option<Decision> {
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
fn budget(state: &RunState) -> Option<Decision> {
    if *state.status() != RunStatus::Running || state.unacknowledged_failures() == 0 {
        return None;
    }
    let failed = state.index.in_phase(HostPhase::Quarantined).filter_map(|place| state.at(place));
    let failed: Vec<&PlannedHost> = failed.map(|(planned, _)| planned).collect();
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
    } else {
        return None;
    };
    Some(Decision::Pause { cause: PauseCause::FailureBudget, reason })
}

fn start(step: &StepState, target: Option<HostName>, because: Option<String>) -> Decision {
    Decision::Start { step: step.step.id.clone(), attempt: step.next_attempt(), target, because }
}

fn begin(planned: &PlannedHost) -> Decision {
    let step = StepId::of(&planned.host, StepKind::Identify.name());
    Decision::Start { step, attempt: 1, target: None, because: None }
}

/// The state at one time.
struct View<'a> {
    state: &'a RunState,
    now: Timestamp,
}

impl View<'_> {
    /// Steps that may start and book nothing.
    fn steps(&self) -> Vec<Decision> {
        let mut starts = Vec::new();
        for place in self.state.index.with_steps() {
            starts.extend(self.ready(place, |pulse| &pulse.steps).filter_map(|step| self.start(step).ok()));
        }
        if self.state.sick_since().is_some() {
            starts.truncate(1);
        }
        starts
    }

    /// The next move to start.
    fn next_move(&self) -> Option<Decision> {
        let limits = self.state.limits();
        if self.state.index.in_use().has_all_migrations(limits) {
            return None;
        }
        let may_leave = |pulse: &Pulse| pulse.moving.len() < limits.migrations_per_source;
        let hosts = self.state.index.with_moves().filter(|place| self.state.index.pulse(*place).is_some_and(may_leave));
        let mut moves = hosts.flat_map(|place| self.ready(place, |pulse| &pulse.moves));
        moves.find_map(|step| {
            self.may_start(step).ok()?;
            let (target, because) = room::target_of(self.state, step, self.state.index.in_use())?;
            Some(start(step, Some(target), because))
        })
    }

    /// Ready steps of one host.
    fn ready(&self, place: usize, which: fn(&Pulse) -> &Vec<usize>) -> impl Iterator<Item = &StepState> {
        let host = self.state.at(place).map(|(_, host)| host);
        let steps = self.state.index.pulse(place).map(which);
        steps.into_iter().flatten().filter_map(move |step| host?.step_at(*step))
    }

    /// The start of one ready step, or why it waits.
    fn start(&self, step: &StepState) -> Result<Decision, Wait> {
        self.may_start(step)?;
        if step.step.kind != StepKind::Move {
            return Ok(start(step, None, None));
        }
        let in_use = self.state.index.in_use();
        match room::target_of(self.state, step, in_use) {
            Some((target, because)) => Ok(start(step, Some(target), because)),
            None => Err(room::why_waiting(self.state, step, in_use)),
        }
    }

    /// Whether a ready step may start, but for a target.
    fn may_start(&self, step: &StepState) -> Result<(), Wait> {
        self.may_go_on(step)?;
        if let StepStatus::Retrying { at, .. } = step.status
            && at > self.now
        {
            return Err(Wait::Retry(at));
        }
        if step.step.kind == StepKind::Move {
            let in_use = self.state.index.in_use();
            in_use.admits_source(&step.step.host, self.state.limits()).map_err(Wait::Limit)?;
        }
        Ok(())
    }

    /// Whether the run's status lets the step start.
    fn may_go_on(&self, step: &StepState) -> Result<(), Wait> {
        let kind = step.step.kind;
        let quarantined = self.state.hosts().get(&step.step.host).is_some_and(|h| h.phase == HostPhase::Quarantined);
        if quarantined && kind.is_ordinary() {
            return Err(Wait::Paused("its host is quarantined".to_owned()));
        }
        let stops_compute =
            |host: &HostState| host.steps().any(|other| other.step.kind == StepKind::Fence && other.is_running());
        if kind == StepKind::Unfence && self.state.hosts().get(&step.step.host).is_some_and(stops_compute) {
            return Err(Wait::Paused("nova-compute is being stopped".to_owned()));
        }
        match self.state.status() {
            RunStatus::Paused(_, reason) => {
                // A host that was rebooted is brought back: that returns capacity and changes nothing else.
                let gives_back =
                    matches!(kind, StepKind::Return | StepKind::Evidence | StepKind::Enable | StepKind::Settle);
                if kind.is_ordinary() && !gives_back {
                    return Err(Wait::Paused(reason.clone()));
                }
            }
            RunStatus::Stopping if kind.is_ordinary() => return Err(Wait::Stopping),
            RunStatus::Running | RunStatus::Stopping | RunStatus::Unbegun | RunStatus::Ended(_) => {}
        }
        if self.state.sick_since().is_some() {
            // One step at a time finds out whether the control plane is well again.
            if self.state.index.is_asking() || !matches!(step.status, StepStatus::Retrying { .. }) {
                return Err(Wait::ControlPlane);
            }
        }
        Ok(())
    }

    /// Whether the canary hosts' gate is reached or opens.
    fn gate(&self) -> Option<Decision> {
        match self.state.gate() {
            Gate::Open | Gate::Reached(None) => None,
            Gate::Reached(Some(at)) => (at <= self.now).then_some(Decision::OpenGate),
            Gate::Closed => {
                let canaries =
                    || self.state.in_order().filter(|(planned, _)| planned.canary).map(|(_, host)| host.phase);
                let open = canaries().any(|phase| matches!(phase, HostPhase::Waiting | HostPhase::Active));
                // Canaries that were all left alone have shown nothing: then somebody must say so. One that failed has
                // paused the run already.
                let shown = |phase| matches!(phase, HostPhase::Done | HostPhase::Quarantined);
                let tried = canaries().next().is_none() || canaries().any(shown);
                let canary = &self.state.rollout().policy.canary;
                let soak = SignedDuration::try_from(canary.soak.get()).unwrap_or(SignedDuration::MAX);
                let opens_at = if canary.approve || !tried { None } else { self.now.checked_add(soak).ok() };
                (!open).then_some(Decision::ReachGate { opens_at })
            }
        }
    }

    /// The next host to begin.
    fn host(&self, refused: &mut BTreeMap<usize, u64>) -> Option<Decision> {
        let index = &self.state.index;
        let is_full = || index.in_use().region_is_full(self.state.limits(), self.state.region_size);
        if self.state.sick_since().is_some() || is_full() {
            return None;
        }
        let mut outlook = room::Outlook::of(self.state);
        for place in index.next_of_each_zone(LOOKAHEAD) {
            let Some((planned, _)) = self.state.at(place) else { continue };
            // While no room appears, what found none finds none.
            let appeared = self.state.occupancy().room_appeared(&planned.host);
            if refused.get(&place) == Some(&appeared) {
                continue;
            }
            if self.admits(planned).is_err() {
                continue;
            }
            if outlook.has_room(planned) {
                return Some(begin(planned));
            }
            refused.insert(place, appeared);
        }
        None
    }

    /// Whether a waiting host may be begun, or why it waits.
    fn admit(&self, planned: &PlannedHost) -> Result<(), Wait> {
        self.admits(planned)?;
        room::for_host(self.state, planned).map_err(Wait::Room)
    }

    /// Whether a waiting host may be begun, but for room.
    fn admits(&self, planned: &PlannedHost) -> Result<(), Wait> {
        match self.state.status() {
            RunStatus::Running => {}
            RunStatus::Paused(_, reason) => return Err(Wait::Paused(reason.clone())),
            RunStatus::Stopping | RunStatus::Unbegun | RunStatus::Ended(_) => return Err(Wait::Stopping),
        }
        if self.state.sick_since().is_some() {
            return Err(Wait::ControlPlane);
        }
        if !planned.canary {
            match self.state.gate() {
                Gate::Open => {}
                Gate::Closed => return Err(Wait::Canary),
                Gate::Reached(at) => return Err(Wait::Gate(at)),
            }
        }
        if !windows::admit(&self.state.rollout().policy.windows, self.now, planned.finish_s - planned.start_s) {
            return Err(Wait::Window);
        }
        self.state.index.in_use().admits_host(planned, self.state).map_err(Wait::Limit)
    }

    /// The end, when nothing is under way and nothing more can be begun.
    fn end(&self) -> Option<Decision> {
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
            let outcome =
                if self.state.count(HostPhase::Quarantined) > 0 { Outcome::DoneWithFailures } else { Outcome::Done };
            (!open).then_some(Decision::End(outcome))
        })
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
        let is_open =
            |step: &StepState| !step.step.kind.is_ordinary() && matches!(step.status, StepStatus::Retrying { .. });
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
                    let host = planned.host.clone();
                    return Some(Decision::Skip { host, reason: format!("no room for its instances: {refusal}") });
                }
                // A limit that nothing under way will free, such as a zone's last host that must stay in service.
                Err(Wait::Limit(reached)) => {
                    let host = planned.host.clone();
                    return Some(Decision::Skip { host, reason: format!("a limit keeps it in service: {reached}") });
                }
                Err(Wait::Window) if self.never_fits(planned) => {
                    let host = planned.host.clone();
                    let minutes = ((planned.finish_s - planned.start_s) / 60.0).ceil();
                    let reason = format!("no maintenance window is as long as the {minutes} min that it takes");
                    return Some(Decision::Skip { host, reason });
                }
                Ok(())
                | Err(
                    Wait::Canary
                    | Wait::Gate(_)
                    | Wait::Window
                    | Wait::Retry(_)
                    | Wait::ControlPlane
                    | Wait::Paused(_)
                    | Wait::Stopping,
                ) => {}
            }
        }
        None
    }

    /// Whether no maintenance window is long enough for the host.
    fn never_fits(&self, planned: &PlannedHost) -> bool {
        windows::never(&self.state.rollout().policy.windows, self.now, planned.finish_s - planned.start_s)
    }
}
