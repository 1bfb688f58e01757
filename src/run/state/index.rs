//! What the decisions ask again and again, kept up to date by the fold: a decision costs what is ready, not what
//! exists. Everything here could be counted anew from the hosts at any time.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::super::event::FaultScope;
use super::super::host::{HostPhase, HostState, StepStatus};
use super::super::limits::InUse;
use crate::actions::ErrorClass;
use crate::model::{HostName, ZoneName};
use crate::plan::PlannedHost;
use crate::workflow::StepKind;

/// One host, as far as decisions look at it. Steps are named by their place in the host's list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::run) struct Pulse {
    /// Ready steps that are no moves.
    pub steps: Vec<usize>,
    /// Ready moves.
    pub moves: Vec<usize>,
    /// Targets of moves under way.
    pub moving: Vec<Option<HostName>>,
    /// Steps under way.
    running: usize,
    /// When failed steps are tried again.
    retries: Vec<Timestamp>,
    /// A step failed for good.
    has_failed: bool,
    /// The control plane refuses a step for good.
    is_refused: bool,
    /// A step under way asks whether the control plane is well.
    asks: bool,
}

impl Pulse {
    /// Whether it is on its way to its end: what it has left is not only moves that wait.
    pub fn comes_on(&self) -> bool {
        self.running > 0 || !self.steps.is_empty()
    }
}

impl Pulse {
    fn of(host: &HostState) -> Self {
        let mut pulse = Self::default();
        for (place, state) in host.steps().enumerate() {
            let is_move = state.step.kind == StepKind::Move;
            match &state.status {
                StepStatus::Pending | StepStatus::Succeeded(_) => {}
                StepStatus::Running { .. } => {
                    pulse.running += 1;
                    pulse.asks |= state.excused > 0;
                    // Every step of an instance's counts as its move, as it does for the limits.
                    if state.step.instance.is_some() {
                        pulse.moving.push(state.target.clone());
                    }
                }
                StepStatus::Retrying { at, failure, .. } => {
                    pulse.retries.push(*at);
                    pulse.is_refused |=
                        failure.scope == FaultScope::ControlPlane && failure.class == ErrorClass::NeedsOperator;
                }
                // An instance that does not start is named; its host is none the worse.
                StepStatus::Failed(_) => pulse.has_failed |= !state.step.kind.is_owed(),
            }
            if host.is_ready(state) {
                if is_move { &mut pulse.moves } else { &mut pulse.steps }.push(place);
            }
        }
        pulse
    }
}

/// The index. Hosts are named by their place in the rollout, so that sets are in its order.
#[derive(Debug, Clone, Default)]
pub(in crate::run) struct Index {
    pulses: Vec<(HostPhase, Pulse)>,
    phases: BTreeMap<HostPhase, BTreeSet<usize>>,
    /// Waiting hosts by zone.
    waiting: BTreeMap<Option<ZoneName>, BTreeSet<usize>>,
    in_use: InUse,
    running: usize,
    /// Hosts with ready steps that are no moves.
    with_steps: BTreeSet<usize>,
    /// Hosts with ready moves.
    with_moves: BTreeSet<usize>,
    retries: BTreeSet<(Timestamp, usize, usize)>,
    failed: BTreeSet<usize>,
    refused: BTreeSet<usize>,
    asking: usize,
    /// Canary hosts; they do not change.
    canaries: Vec<usize>,
}

impl Index {
    /// An index of `hosts`, all of them waiting.
    pub fn of(hosts: &[PlannedHost]) -> Self {
        let mut waiting: BTreeMap<Option<ZoneName>, BTreeSet<usize>> = BTreeMap::new();
        for (place, host) in hosts.iter().enumerate() {
            waiting.entry(host.zone.clone()).or_default().insert(place);
        }
        Self {
            pulses: vec![(HostPhase::Waiting, Pulse::default()); hosts.len()],
            phases: BTreeMap::from([(HostPhase::Waiting, (0..hosts.len()).collect())]),
            waiting,
            canaries: (0..hosts.len()).filter(|place| hosts[*place].canary).collect(),
            ..Self::default()
        }
    }

    /// Takes note of a host as it is.
    pub fn refresh(&mut self, place: usize, planned: &PlannedHost, host: &HostState, aggregates: &[String]) {
        let fresh = (host.phase, Pulse::of(host));
        let Some(known) = self.pulses.get_mut(place) else { return };
        if *known == fresh {
            return;
        }
        let (before, pulse) = std::mem::replace(known, fresh.clone());
        let (phase, fresh) = fresh;
        if before != phase {
            self.phases.entry(before).or_default().remove(&place);
            self.phases.entry(phase).or_default().insert(place);
            if let Some(waiting) = self.waiting.get_mut(&planned.zone) {
                note(waiting, place, phase == HostPhase::Waiting);
            }
            self.in_use.count_host(before, planned, aggregates, false);
            self.in_use.count_host(phase, planned, aggregates, true);
        }
        if pulse.moving != fresh.moving {
            pulse.moving.iter().for_each(|to| self.in_use.count_move(&planned.host, to.as_ref(), false));
            fresh.moving.iter().for_each(|to| self.in_use.count_move(&planned.host, to.as_ref(), true));
        }
        self.running = self.running + fresh.running - pulse.running;
        self.asking = self.asking + usize::from(fresh.asks) - usize::from(pulse.asks);
        for (nth, at) in pulse.retries.iter().enumerate() {
            self.retries.remove(&(*at, place, nth));
        }
        self.retries.extend(fresh.retries.iter().enumerate().map(|(nth, at)| (*at, place, nth)));
        let is_active = phase == HostPhase::Active;
        let is_open = is_active || phase == HostPhase::Quarantined;
        note(&mut self.with_steps, place, is_open && !fresh.steps.is_empty());
        note(&mut self.with_moves, place, is_open && !fresh.moves.is_empty());
        note(&mut self.failed, place, is_active && (fresh.has_failed || host.has_too_many_rounds()));
        note(&mut self.refused, place, is_open && fresh.is_refused);
    }

    /// Whether `other` says the same. A phase that no host is in any more may still be named.
    #[cfg(test)]
    pub fn agrees_with(&self, other: &Self) -> bool {
        let plain = |index: &Self| {
            let mut index = index.clone();
            index.phases.retain(|_, hosts| !hosts.is_empty());
            format!("{index:?}")
        };
        plain(self) == plain(other)
    }

    /// One host; `None` when there is no such place.
    pub fn pulse(&self, place: usize) -> Option<&Pulse> {
        self.pulses.get(place).map(|(_, pulse)| pulse)
    }

    /// Where the canary hosts stand.
    pub fn canaries(&self) -> impl Iterator<Item = HostPhase> {
        self.canaries.iter().filter_map(|place| self.pulses.get(*place)).map(|(phase, _)| *phase)
    }

    /// Hosts in a phase, in the rollout's order.
    pub fn in_phase(&self, phase: HostPhase) -> impl Iterator<Item = usize> {
        self.phases.get(&phase).into_iter().flatten().copied()
    }

    /// The first `most` waiting hosts of each zone, in the rollout's order.
    pub fn next_of_each_zone(&self, most: usize) -> BTreeSet<usize> {
        self.waiting.values().flat_map(|waiting| waiting.iter().copied().take(most)).collect()
    }

    /// How many hosts are in a phase.
    pub fn count(&self, phase: HostPhase) -> usize {
        self.phases.get(&phase).map_or(0, BTreeSet::len)
    }

    /// What is in use of each limit.
    pub fn in_use(&self) -> &InUse {
        &self.in_use
    }

    /// Whether a runner has any step.
    pub fn is_busy(&self) -> bool {
        self.running > 0
    }

    /// Whether a step under way asks whether the control plane is well.
    pub fn is_asking(&self) -> bool {
        self.asking > 0
    }

    /// Begun and failed hosts with ready steps that are no moves.
    pub fn with_steps(&self) -> impl Iterator<Item = usize> {
        self.with_steps.iter().copied()
    }

    /// Begun and failed hosts with ready moves.
    pub fn with_moves(&self) -> impl Iterator<Item = usize> {
        self.with_moves.iter().copied()
    }

    /// Begun hosts with a step that failed for good, or that cannot be emptied.
    pub fn failed(&self) -> impl Iterator<Item = usize> {
        self.failed.iter().copied()
    }

    /// Hosts with a step that the control plane refuses for good.
    pub fn refused(&self) -> impl Iterator<Item = usize> {
        self.refused.iter().copied()
    }

    /// When the first step after `now` is tried again.
    pub fn next_retry(&self, now: Timestamp) -> Option<Timestamp> {
        let after = std::ops::Bound::Excluded((now, usize::MAX, usize::MAX));
        self.retries.range((after, std::ops::Bound::Unbounded)).next().map(|(at, _, _)| *at)
    }
}

fn note(set: &mut BTreeSet<usize>, place: usize, belongs: bool) {
    if belongs {
        set.insert(place);
    } else {
        set.remove(&place);
    }
}
