//! The fold: what a run's events say, by one transition function, live and on replay.

mod fold;
mod index;
mod saved;

use std::collections::BTreeMap;
use std::sync::Arc;

use indexmap::IndexMap;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::event::{Outcome, ParkedInstance, PauseCause, Runner};
use super::host::{HostPhase, HostState, StepState};
use crate::model::{HostName, InstanceId, Limits, Region, RunId, StepId, ZoneName};
use crate::plan::most_out;
use crate::plan::placement::Occupancy;
use crate::plan::{PlannedHost, Rollout};
pub(super) use index::{Index, Pulse};
pub(super) use saved::MADE_BY;

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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Gate {
    /// Not reached.
    Closed,
    /// Reached; opens at that time, or by approval when absent.
    Reached(Option<Timestamp>),
    /// Open.
    Open,
}

/// What a health gate of the policy said last.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// Whether another host may be begun.
    pub is_well: bool,
    /// What was said, for people.
    pub said: String,
    /// When that was news.
    pub since: Timestamp,
}

/// Migrations of a run, counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    changes: u64,
    openings: u64,
    reliefs: u64,
    status: RunStatus,
    /// In the rollout's order.
    hosts: IndexMap<HostName, HostState>,
    occupancy: Occupancy,
    /// By place in the rollout, the domain in which a host's instances may move.
    domains: Vec<Option<u32>>,
    pub(super) index: Index,
    pub(super) zone_sizes: BTreeMap<ZoneName, usize>,
    pub(super) rack_sizes: BTreeMap<String, usize>,
    pub(super) aggregates: IndexMap<HostName, Vec<String>>,
    /// Hosts in service when the run began, by zone and by aggregate.
    pub(super) zones_up: BTreeMap<ZoneName, usize>,
    pub(super) aggregates_up: BTreeMap<String, usize>,
    pub(super) region_size: usize,
    /// By zone, how many hosts may be out so that the policy's headroom stays.
    pub(super) most_out: BTreeMap<ZoneName, usize>,
    limits: Limits,
    gate: Gate,
    /// By gate; what was said before a host ended counts no more.
    health: BTreeMap<String, Health>,
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
        let mut occupancy = Occupancy::told(region, &rollout.processors);
        for spare in &rollout.policy.hosts.spare {
            // One that is gone from the region takes nothing anyway.
            let _ = occupancy.keep_spare(spare);
        }
        for target in rollout.targets.iter().chain(&rollout.lenders) {
            // A target that is gone from the region takes nothing: there is no room to book.
            let _ = occupancy.admit(target);
        }
        let mut zone_sizes = BTreeMap::new();
        let mut rack_sizes = BTreeMap::new();
        let mut zones_up: BTreeMap<ZoneName, usize> = BTreeMap::new();
        let mut aggregates_up: BTreeMap<String, usize> = BTreeMap::new();
        let aggregates = region.hosts.iter().map(|host| (host.host.clone(), host.aggregates.clone())).collect();
        for host in &region.hosts {
            let up = usize::from(host.service.is_in_service());
            if let Some(zone) = &host.zone {
                *zone_sizes.entry(zone.clone()).or_default() += 1;
                *zones_up.entry(zone.clone()).or_default() += up;
            }
            for aggregate in &host.aggregates {
                *aggregates_up.entry(aggregate.clone()).or_default() += up;
            }
            if let Some(rack) = &host.rack {
                *rack_sizes.entry(rack.clone()).or_default() += 1;
            }
        }
        Self {
            run,
            seq: 0,
            changes: 0,
            openings: 0,
            reliefs: 0,
            status: RunStatus::Unbegun,
            hosts: rollout.hosts.iter().map(waiting).collect(),
            domains: rollout.hosts.iter().map(|planned| occupancy.domain_number(&planned.host)).collect(),
            occupancy,
            index: Index::of(&rollout.hosts),
            zone_sizes,
            rack_sizes,
            aggregates,
            zones_up,
            aggregates_up,
            region_size: region.hosts.len(),
            most_out: most_out(region, &rollout.policy.headroom),
            limits: rollout.policy.limits.clone(),
            gate: if rollout.hosts.iter().any(|host| host.canary) { Gate::Closed } else { Gate::Open },
            health: BTreeMap::new(),
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

    /// How many events there were after which something else may begin: all but intents.
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// How many events there were after which a move or a host may begin that had to wait.
    pub(super) fn openings(&self) -> u64 {
        self.openings
    }

    /// How often begun hosts came to need less of the room that there is than they had been taken to. While this and
    /// the room stand still, a waiting host that found none finds none.
    pub(super) fn reliefs(&self) -> u64 {
        self.reliefs
    }

    /// Whether the run goes on.
    pub fn status(&self) -> &RunStatus {
        &self.status
    }

    /// Whether a process ended it for good.
    pub fn is_over(&self) -> bool {
        matches!(self.status, RunStatus::Ended(Outcome::Done | Outcome::DoneWithFailures | Outcome::Abandoned))
    }

    /// Hosts by name, in the rollout's order.
    pub fn hosts(&self) -> &IndexMap<HostName, HostState> {
        &self.hosts
    }

    /// Planned hosts in order, each with its state.
    pub fn in_order(&self) -> impl Iterator<Item = (&PlannedHost, &HostState)> {
        (0..self.rollout.hosts.len()).filter_map(|place| self.at(place))
    }

    /// The host at a place in the rollout, with its state.
    pub(super) fn at(&self, place: usize) -> Option<(&PlannedHost, &HostState)> {
        let planned = self.rollout.hosts.get(place)?;
        let (name, host) = self.hosts.get_index(place)?;
        debug_assert_eq!(*name, planned.host, "a rollout names each host once");
        Some((planned, host))
    }

    /// The domain in which the instances of the host at a place may move; `None` for one that the region does not have.
    pub(super) fn domain_at(&self, place: usize) -> Option<u32> {
        self.domains.get(place).copied().flatten()
    }

    /// The same of a host by name.
    pub(super) fn domain_of(&self, host: &HostName) -> Option<u32> {
        self.place_in_order(host).and_then(|place| self.domain_at(place))
    }

    /// A planned host.
    pub fn planned(&self, host: &HostName) -> Option<&PlannedHost> {
        self.place_in_order(host).and_then(|place| self.rollout.hosts.get(place))
    }

    /// A planned host's place in the rollout, from 0.
    pub(super) fn place_in_order(&self, host: &HostName) -> Option<usize> {
        self.hosts.get_index_of(host)
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

    /// What a health gate said since the last host ended; `None` while it was not asked.
    pub fn health(&self, gate: &str) -> Option<&Health> {
        self.health.get(gate)
    }

    /// The first health gate of the policy that is not known to be well, with what it said.
    pub fn unwell(&self) -> Option<(&str, Option<&Health>)> {
        let gates = self.rollout.policy.gates.iter().map(|gate| (gate.name.as_str(), self.health(&gate.name)));
        gates.into_iter().find(|(_, health)| !health.is_some_and(|health| health.is_well))
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
        self.hosts.get(host_of(id))?.steps.get(id)
    }

    /// Hosts in a phase.
    pub fn count(&self, phase: HostPhase) -> usize {
        self.index.count(phase)
    }

    /// Instances that we stopped and that do not run again, with their host and, where it was tried to the end, why.
    pub fn stopped_by_us(&self) -> impl Iterator<Item = (&HostName, &ParkedInstance, Option<&str>)> {
        self.hosts.iter().flat_map(|(host, state)| {
            let memory = state.memory();
            memory.parked.iter().map(move |one| (host, one, memory.unstarted.get(&one.id).map(String::as_str)))
        })
    }

    /// Quarantined hosts that nobody has acknowledged by letting the run continue.
    pub fn unacknowledged_failures(&self) -> usize {
        self.count(HostPhase::Quarantined).saturating_sub(self.acknowledged_failures)
    }

    /// Whether a runner has any step.
    pub fn is_busy(&self) -> bool {
        self.index.is_busy()
    }

    /// Moves in flight: instance, from, to.
    pub fn moves_in_flight(&self) -> impl Iterator<Item = (InstanceId, &HostName, Option<&HostName>)> {
        self.hosts.values().flat_map(|host| host.steps.values()).filter(|step| step.is_running()).filter_map(|step| {
            let instance = step.step.instance?;
            Some((instance, step.source(), step.target.as_ref()))
        })
    }

    /// Whether the target of a move under way has no room for it after all.
    pub(super) fn is_crowded_out(&self, step: &StepId) -> bool {
        let leaving = self.step(step).and_then(|step| step.leaving.as_ref());
        leaving.is_some_and(|leaving| self.occupancy.is_crowded_out(leaving.id))
    }

    /// Holds what the fold keeps up to date against a count of everything.
    #[cfg(test)]
    pub(crate) fn assert_counted_right(&self) {
        let mut counted = Index::of(&self.rollout.hosts);
        for (place, planned) in self.rollout.hosts.iter().enumerate() {
            let aggregates = self.aggregates_of(&planned.host);
            counted.refresh(place, planned, &self.hosts[&planned.host], aggregates);
        }
        assert!(self.index.agrees_with(&counted), "event {}:\n{:?}\n{counted:?}", self.seq, self.index);
        self.occupancy.assert_counted_right();
    }

    /// Takes note of a host that an event has changed.
    fn refresh(&mut self, host: &str) {
        let Some((place, _, state)) = self.hosts.get_full(host) else { return };
        if let Some(planned) = self.rollout.hosts.get(place) {
            let aggregates = self.aggregates.get(host).map_or(&[][..], Vec::as_slice);
            self.index.refresh(place, planned, state, aggregates);
        }
    }
}

/// The host that a step belongs to; host names have no slash.
fn host_of(id: &StepId) -> &str {
    id.as_str().split('/').next().unwrap_or_default()
}
