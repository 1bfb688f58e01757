//! The fold of a run's events into what reports tell: who ran it, what each host went through, what was tried again.
//!
//! Where a run stands is [`crate::run`]'s to say; this keeps what that state forgets: earlier attempts, times, causes.

use indexmap::IndexMap;
use jiff::Timestamp;

use super::sentence::{InstanceNames, Sentence, StepParts, sentence};
use super::trail::{self, TrailLine};
use crate::model::{HostName, InstanceId, StepId};
use crate::plan::Rollout;
use crate::remedy::Verdict;
use crate::run::event::{Event, EventKind, Outcome, PackageChange, Runner, StepFailure, StepOutput};
use crate::workflow::StepKind;

/// What happened in a run so far.
#[derive(Debug, Clone)]
pub struct History {
    /// Who ran it, from when; one entry a process.
    pub sittings: Vec<Sitting>,
    /// Hosts in the order in which they were begun.
    pub hosts: IndexMap<HostName, HostHistory>,
    /// Every event in words.
    pub trail: Vec<TrailEntry>,
    /// Every change out there and every word of an operator.
    pub changes: Vec<TrailLine>,
    /// Requests to the cloud, over all processes that came to an orderly end.
    pub requests: u64,
    /// Repeats among them.
    pub retries: u64,
    names: InstanceNames,
    remedy: String,
}

/// One process's part of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sitting {
    /// Who.
    pub runner: Runner,
    /// From.
    pub from: Timestamp,
    /// Its end and how; `None` while it goes on, or when it was killed.
    pub end: Option<(Timestamp, Outcome)>,
}

/// One event in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrailEntry {
    /// Number of the event.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// What.
    pub sentence: Sentence,
}

/// What a host went through.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HostHistory {
    /// Attempts of its steps in the order in which they began.
    pub attempts: Vec<Attempt>,
    /// Why it was skipped or quarantined, and when.
    pub stops: Vec<(Timestamp, String)>,
    /// The verdict after the reboot.
    pub proven: Option<Verdict>,
    /// Packages that changed.
    pub packages: Vec<PackageChange>,
    /// Boots that ended and began.
    pub boots: Vec<(String, String)>,
}

/// One attempt of one step.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// Which step.
    pub step: StepId,
    /// What it does, in words.
    pub what: String,
    /// For a move: which instance.
    pub instance: Option<InstanceId>,
    /// From 1.
    pub number: u32,
    /// For a move: where to.
    pub target: Option<HostName>,
    /// When it began.
    pub from: Timestamp,
    /// Its end; `None` while it runs, or when its process was killed.
    pub end: Option<(Timestamp, AttemptEnd)>,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq)]
pub enum AttemptEnd {
    /// Verified.
    Succeeded(StepOutput),
    /// It did not come to its end.
    Failed {
        /// Why.
        failure: StepFailure,
        /// When it is tried again; never when absent.
        retry_at: Option<Timestamp>,
    },
}

impl History {
    /// Nothing happened yet.
    pub fn of(rollout: &Rollout) -> Self {
        Self {
            sittings: Vec::new(),
            hosts: IndexMap::new(),
            trail: Vec::new(),
            changes: Vec::new(),
            remedy: rollout.remedy.name.clone(),
            requests: 0,
            retries: 0,
            names: InstanceNames::of(rollout),
        }
    }

    /// Everything in `events`, in order.
    pub fn replay<'a>(rollout: &Rollout, events: impl IntoIterator<Item = &'a Event>) -> Self {
        let mut history = Self::of(rollout);
        for event in events {
            history.tell(event);
        }
        history
    }

    /// What instances are called.
    pub fn names(&self) -> &InstanceNames {
        &self.names
    }

    /// When the run began.
    pub fn started(&self) -> Option<Timestamp> {
        self.sittings.first().map(|sitting| sitting.from)
    }

    /// How the last process ended, and when; `None` while it goes on or when it was killed.
    pub fn ended(&self) -> Option<(Timestamp, Outcome)> {
        self.sittings.last().and_then(|sitting| sitting.end)
    }

    /// Adds the next event.
    pub fn tell(&mut self, event: &Event) {
        self.names.learn(&event.kind);
        self.trail.push(TrailEntry { seq: event.seq, at: event.at, sentence: sentence(&event.kind, &self.names) });
        match &event.kind {
            EventKind::RunStarted { runner, .. } | EventKind::RunResumed { runner } => {
                self.sittings.push(Sitting { runner: runner.clone(), from: event.at, end: None });
            }
            EventKind::RunEnded { outcome, requests, retries } => {
                self.requests += requests;
                self.retries += retries;
                if let Some(sitting) = self.sittings.last_mut() {
                    sitting.end = Some((event.at, *outcome));
                }
            }
            EventKind::StepStarted { step, attempt, target, .. } => {
                let parts = StepParts::of(step);
                let begun = Attempt {
                    step: step.clone(),
                    what: parts.words(&self.names),
                    instance: parts.instance.filter(|_| parts.kind == Some(StepKind::Move)),
                    number: *attempt,
                    target: target.clone(),
                    from: event.at,
                    end: None,
                };
                self.host(&parts.host).attempts.push(begun);
            }
            EventKind::StepSucceeded { step, output } => {
                let host = self.host(&StepParts::of(step).host);
                host.note(output);
                host.end(step, event.at, AttemptEnd::Succeeded(output.clone()));
            }
            EventKind::StepFailed { step, failure, retry_at } => {
                let end = AttemptEnd::Failed { failure: failure.clone(), retry_at: *retry_at };
                self.host(&StepParts::of(step).host).end(step, event.at, end);
            }
            EventKind::HostQuarantined { host, reason, .. } | EventKind::HostSkipped { host, reason } => {
                self.host(host).stops.push((event.at, reason.clone()));
            }
            EventKind::StepIntended { .. }
            | EventKind::ChangeMade { .. }
            | EventKind::TargetSeen { .. }
            | EventKind::HostReleased { .. }
            | EventKind::HostRelieved { .. }
            | EventKind::HostRetried { .. }
            | EventKind::GateReached { .. }
            | EventKind::GateOpened { .. }
            | EventKind::RunPaused { .. }
            | EventKind::RunContinued { .. }
            | EventKind::StopRequested { .. }
            | EventKind::HealthSeen { .. }
            | EventKind::LimitsChanged { .. } => {}
        }
        let runner = self.sittings.last().map(|sitting| &sitting.runner);
        self.changes.extend(trail::line(event, runner, &self.remedy, &self.names));
    }

    fn host(&mut self, host: &HostName) -> &mut HostHistory {
        self.hosts.entry(host.clone()).or_default()
    }

    /// Attempts of moves, of all hosts.
    pub fn moves(&self) -> impl Iterator<Item = &Attempt> {
        self.hosts.values().flat_map(|host| &host.attempts).filter(|attempt| attempt.instance.is_some())
    }
}

impl HostHistory {
    /// An attempt whose process was killed has no end of its own; the next one's end is not its.
    fn end(&mut self, step: &StepId, at: Timestamp, end: AttemptEnd) {
        if let Some(attempt) = self.attempts.iter_mut().rev().find(|attempt| attempt.step == *step) {
            attempt.end = Some((at, end));
        }
    }

    fn note(&mut self, output: &StepOutput) {
        match output {
            StepOutput::Proven { verdict, .. } => self.proven = Some(verdict.clone()),
            StepOutput::Packages { changed, .. } => self.packages.extend(changed.iter().cloned()),
            StepOutput::Rebooted { before, after, .. } => self.boots.push((before.clone(), after.clone())),
            StepOutput::Done { .. }
            | StepOutput::Identified { .. }
            | StepOutput::Ran { .. }
            | StepOutput::AlreadySo { .. }
            | StepOutput::Disabled { .. }
            | StepOutput::Resolved { .. }
            | StepOutput::Moved { .. }
            | StepOutput::ColdBooted { .. }
            | StepOutput::Parked { .. }
            | StepOutput::GaveUp { .. }
            | StepOutput::Gone { .. } => {}
        }
    }
}
