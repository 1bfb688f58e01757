//! The report of a run: its summary, and all that led there.

use jiff::Timestamp;
use serde::Serialize;

use super::history::{AttemptEnd, History};
use super::sentence::Weight;
use super::story::HostStory;
use super::summary::{Observation, Summary};
use super::trail::TrailLine;
use crate::model::{HostName, StepId};
use crate::plan::{Certificate, PlannedStay, SkippedHost};
use crate::run::RunState;

/// The report of a run. Its JSON is a summary with more in it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Where it stands, with the story of each host.
    #[serde(flatten)]
    pub summary: Summary,
    /// What the plan had proven.
    pub certificate: Certificate,
    /// Hosts that the plan left alone.
    pub left_alone: Vec<SkippedHost>,
    /// Instances that the plan let stay.
    pub stays: Vec<PlannedStay>,
    /// Attempts that failed, in order of time.
    pub failures: Vec<FailureLine>,
    /// Every change out there and every word of an operator: who, when, why, request.
    pub trail: Vec<TrailLine>,
    /// Every event in words.
    pub audit: Vec<AuditLine>,
}

/// An attempt that failed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FailureLine {
    /// When.
    pub at: Timestamp,
    /// Where.
    pub host: HostName,
    /// Which step.
    pub step: StepId,
    /// What it was to do, in words.
    pub what: String,
    /// From 1.
    pub attempt: u32,
    /// Why, outermost first.
    pub causes: Vec<String>,
    /// When it was to be tried again.
    pub retry_at: Option<Timestamp>,
}

/// One event in words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditLine {
    /// Number of the event.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// The host concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<HostName>,
    /// What.
    pub text: String,
    /// Whether it is bad news.
    pub bad: bool,
}

impl Report {
    /// The report of a run that stands at `state` after `history`.
    pub fn of(state: &RunState, history: &History, observation: &Observation) -> Self {
        let mut summary = Summary::of(state, observation);
        let nothing = super::HostHistory::default();
        for (line, (planned, _)) in summary.host.iter_mut().zip(state.in_order()) {
            let lived = history.hosts.get(&planned.host).unwrap_or(&nothing);
            line.story = Some(HostStory::of(planned, lived, history.names()));
        }
        let rollout = state.rollout();
        Self {
            summary,
            certificate: rollout.certificate.clone(),
            left_alone: rollout.skipped.clone(),
            stays: rollout.stays.clone(),
            failures: failures(history),
            trail: history.changes.clone(),
            audit: history
                .trail
                .iter()
                .map(|entry| AuditLine {
                    seq: entry.seq,
                    at: entry.at,
                    host: entry.sentence.host.clone(),
                    text: entry.sentence.text.clone(),
                    bad: entry.sentence.weight == Weight::Bad,
                })
                .collect(),
        }
    }
}

fn failures(history: &History) -> Vec<FailureLine> {
    let mut lines = Vec::new();
    for (host, lived) in &history.hosts {
        for attempt in &lived.attempts {
            if let Some((at, AttemptEnd::Failed { failure, retry_at })) = &attempt.end {
                lines.push(FailureLine {
                    at: *at,
                    host: host.clone(),
                    step: attempt.step.clone(),
                    what: attempt.what.clone(),
                    attempt: attempt.number,
                    causes: failure.causes.clone(),
                    retry_at: *retry_at,
                });
            }
        }
    }
    lines.sort_by_key(|line| line.at);
    lines
}
