//! What one host went through: its evidence before and after, its steps, its moves, its failures.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::history::{Attempt, AttemptEnd, HostHistory};
use super::sentence::{InstanceNames, output_words};
use crate::model::{HostName, InstanceId, RequestId, StepId, ZoneName};
use crate::plan::PlannedHost;
use crate::remedy::Verdict;
use crate::run::event::{PackageChange, StepOutput};

/// What a host went through.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HostStory {
    /// Its zone.
    pub zone: Option<ZoneName>,
    /// Place in the order, from 1.
    pub order: u32,
    /// Whether it was a canary.
    pub canary: bool,
    /// When the plan wanted it out of service, in seconds from the start of the run.
    pub planned_start_s: f64,
    /// When the plan wanted it back, in seconds from the start of the run.
    pub planned_finish_s: f64,
    /// Seconds from the beginning of its first step to the end of its last one so far.
    pub took_s: Option<f64>,
    /// The verdict that it was planned for.
    pub before: Verdict,
    /// The verdict after its reboot.
    pub after: Option<Verdict>,
    /// Packages that changed.
    pub packages: Vec<PackageChange>,
    /// Boots that ended and began.
    pub boots: Vec<BootChange>,
    /// Each attempt of each step, in the order in which they began.
    pub steps: Vec<StepLine>,
    /// Each instance that left.
    pub moves: Vec<MoveLine>,
}

/// A boot that ended, and the one that began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BootChange {
    /// Boot id before.
    pub before: String,
    /// Boot id after.
    pub after: String,
}

/// One attempt of one step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StepLine {
    /// Which step.
    pub step: StepId,
    /// What it does, in words.
    pub what: String,
    /// From 1.
    pub attempt: u32,
    /// When it began.
    pub started: Timestamp,
    /// When it ended; absent while it runs, or when its process was killed.
    pub ended: Option<Timestamp>,
    /// `succeeded`, `failed`, `unfinished`.
    pub outcome: &'static str,
    /// What came of it, in words.
    pub result: String,
    /// Why it failed, outermost first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<String>,
    /// When it was to be tried again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_at: Option<Timestamp>,
}

/// One instance that left a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MoveLine {
    /// Which.
    pub instance: InstanceId,
    /// Its name.
    pub name: String,
    /// Where it is; absent when it did not get away, or is gone.
    pub to: Option<HostName>,
    /// Where the plan wanted it.
    pub planned_to: Option<HostName>,
    /// Attempts.
    pub attempts: usize,
    /// When the first one began.
    pub started: Timestamp,
    /// When the last one ended.
    pub ended: Option<Timestamp>,
    /// `moved`, `gone`, `failed`, `unfinished`.
    pub outcome: &'static str,
    /// The request that did it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestId>,
}

impl HostStory {
    /// The story of `planned`, which went through `history`.
    pub fn of(planned: &PlannedHost, history: &HostHistory, names: &InstanceNames) -> Self {
        Self {
            zone: planned.zone.clone(),
            order: planned.order,
            canary: planned.canary,
            planned_start_s: planned.start_s,
            planned_finish_s: planned.finish_s,
            took_s: took_seconds(&history.attempts),
            before: planned.verdict.clone(),
            after: history.proven.clone(),
            packages: history.packages.clone(),
            boots: history
                .boots
                .iter()
                .map(|(before, after)| BootChange { before: before.clone(), after: after.clone() })
                .collect(),
            steps: history.attempts.iter().map(step_line).collect(),
            moves: moves(planned, history, names),
        }
    }
}

fn took_seconds(attempts: &[Attempt]) -> Option<f64> {
    let from = attempts.iter().map(|attempt| attempt.from).min()?;
    let to = attempts.iter().filter_map(|attempt| attempt.end.as_ref()).map(|(at, _)| *at).max()?;
    Some(to.duration_since(from).as_secs_f64().max(0.0))
}

fn step_line(attempt: &Attempt) -> StepLine {
    let (outcome, result, causes, retry_at) = match &attempt.end {
        None => ("unfinished", String::new(), Vec::new(), None),
        Some((_, AttemptEnd::Succeeded(output))) => ("succeeded", output_words(output), Vec::new(), None),
        Some((_, AttemptEnd::Failed { failure, retry_at })) => {
            ("failed", failure.causes.first().cloned().unwrap_or_default(), failure.causes.clone(), *retry_at)
        }
    };
    StepLine {
        step: attempt.step.clone(),
        what: match &attempt.target {
            Some(target) => format!("{} to {target}", attempt.what),
            None => attempt.what.clone(),
        },
        attempt: attempt.number,
        started: attempt.from,
        ended: attempt.end.as_ref().map(|(at, _)| *at),
        outcome,
        result,
        causes,
        retry_at,
    }
}

fn moves(planned: &PlannedHost, history: &HostHistory, names: &InstanceNames) -> Vec<MoveLine> {
    let mut lines: BTreeMap<(Timestamp, InstanceId), MoveLine> = BTreeMap::new();
    let mut first: BTreeMap<InstanceId, Timestamp> = BTreeMap::new();
    for attempt in &history.attempts {
        let Some(instance) = attempt.instance else { continue };
        let started = *first.entry(instance).or_insert(attempt.from);
        let line = lines.entry((started, instance)).or_insert_with(|| MoveLine {
            instance,
            name: names.name(instance),
            to: None,
            planned_to: planned
                .moves
                .iter()
                .find(|planned| planned.instance == instance)
                .map(|planned| planned.to.clone()),
            attempts: 0,
            started,
            ended: None,
            outcome: "unfinished",
            request: None,
        });
        line.attempts += 1;
        line.ended = attempt.end.as_ref().map(|(at, _)| *at);
        line.outcome = match &attempt.end {
            None => "unfinished",
            Some((_, AttemptEnd::Failed { .. })) => "failed",
            Some((_, AttemptEnd::Succeeded(StepOutput::Moved { to, request, .. }))) => {
                line.to = Some(to.clone());
                line.request.clone_from(request);
                "moved"
            }
            Some((_, AttemptEnd::Succeeded(_))) => "gone",
        };
    }
    lines.into_values().collect()
}
