//! The trail: every change of the region or of a host and every word of an operator, with who, when, why and the request.

use jiff::Timestamp;
use serde::Serialize;

use super::sentence::{InstanceNames, StepParts, intent_words, runner_words};
use crate::model::{Digest, HostName, RequestId, StepId};
use crate::run::event::{Event, EventKind, Intent, Runner};

/// A line of the trail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TrailLine {
    /// Number of the event.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// Who: a process, or an operator.
    pub who: String,
    /// The host concerned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<HostName>,
    /// The step in whose name it was done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<StepId>,
    /// What.
    pub what: String,
    /// Of which service, instance, host or unit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// What belongs to it: a target, a reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub with: Option<String>,
    /// Why.
    pub why: String,
    /// `intended`, `accepted`, `refused`, `unknown`, or `said` by an operator.
    pub answer: &'static str,
    /// Why it was not accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub because: Option<String>,
    /// The request's id, as the cloud keeps it in its logs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestId>,
    /// Exit status of a job that ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<i32>,
    /// Digest of what that job said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

/// What an event adds to the trail; `None` when it changes nothing out there and nobody asked for it.
pub(super) fn line(event: &Event, runner: Option<&Runner>, remedy: &str, names: &InstanceNames) -> Option<TrailLine> {
    let process = || runner.map_or_else(|| "unknown".to_owned(), runner_words);
    let bare = |who: String, what: String, answer| TrailLine {
        seq: event.seq,
        at: event.at,
        who,
        host: None,
        step: None,
        what,
        of: None,
        with: None,
        why: String::new(),
        answer,
        because: None,
        request: None,
        status: None,
        digest: None,
    };
    let of_step = |step: &StepId, what: String, answer| {
        let parts = StepParts::of(step);
        let why = format!("remedy {remedy}: {}", parts.words(names));
        TrailLine { host: Some(parts.host), step: Some(step.clone()), why, ..bare(process(), what, answer) }
    };
    let said = |by: &str, what: &str, host: Option<&HostName>| {
        Some(TrailLine {
            host: host.cloned(),
            why: "asked for".to_owned(),
            ..bare(by.to_owned(), what.to_owned(), "said")
        })
    };
    match &event.kind {
        EventKind::StepIntended { intent: Intent::Await { .. }, .. }
        | EventKind::StepStarted { .. }
        | EventKind::StepSucceeded { .. }
        | EventKind::StepFailed { .. }
        | EventKind::HealthSeen { .. }
        | EventKind::TargetSeen { .. }
        | EventKind::HostRelieved { .. }
        | EventKind::HostQuarantined { .. }
        | EventKind::GateReached { .. }
        | EventKind::RunEnded { .. } => None,
        EventKind::StepIntended { step, intent } => Some(of_step(step, intent_words(intent), "intended")),
        EventKind::ChangeMade { step, change } => Some(TrailLine {
            of: Some(change.of.clone()),
            with: change.with.clone(),
            because: change.answer.why().map(str::to_owned),
            request: change.request.clone(),
            status: change.status,
            digest: change.digest.clone(),
            ..of_step(step, change.what.clone(), change.answer.label())
        }),
        EventKind::HostReleased { host } => {
            let why = "the run was abandoned".to_owned();
            let what = "gave the host back as it was".to_owned();
            Some(TrailLine { host: Some(host.clone()), why, ..bare(process(), what, "accepted") })
        }
        EventKind::HostRetried { host, by } => said(by.as_deref().unwrap_or("unknown"), "retry", Some(host)),
        EventKind::GateOpened { by, .. } => said(by, "open the gate", None),
        EventKind::RunContinued { by } => said(by, "continue", None),
        EventKind::StopRequested { by } => said(by, "stop", None),
        EventKind::LimitsChanged { by, .. } => said(by, "change the limits", None),
        EventKind::HostSkipped { host, reason } => Some(TrailLine {
            host: Some(host.clone()),
            why: reason.clone(),
            ..bare(process(), "skip".to_owned(), "said")
        }),
        EventKind::RunPaused { reason, .. } => {
            Some(TrailLine { why: reason.clone(), ..bare(process(), "pause".to_owned(), "said") })
        }
        EventKind::RunStarted { .. } => Some(bare(process(), "begin the run".to_owned(), "said")),
        EventKind::RunResumed { .. } => Some(bare(process(), "resume the run".to_owned(), "said")),
    }
}
