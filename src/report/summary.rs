//! Where a run stands: the shape that `status -f json` and `report -f json` print.

use jiff::Timestamp;
use serde::Serialize;

use super::story::HostStory;
use crate::model::{Digest, HostName, InstanceId, ProjectId, RunId};
use crate::run::{HostPhase, Outcome, RunState, RunStatus, waiting};

/// How many waiting steps a summary names; a region of 10,000 waits for the same few things.
const MOST_WAITING: usize = 50;

/// What a reader knows of a run's process that its events do not say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observation {
    /// The reader's time.
    pub now: Timestamp,
    /// The last sign of life.
    pub heartbeat: Option<Timestamp>,
    /// Whether the process lives.
    pub alive: bool,
}

/// Where a run stands. Fields may be added; none is renamed or taken away within format 1.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Summary {
    /// Version of this shape; 1.
    pub format: u32,
    /// The run.
    pub run: RunId,
    /// What it executes.
    pub rollout: Digest,
    /// The region.
    pub region: String,
    /// The remedy's name.
    pub remedy: String,
    /// What stands in the places of `hosts`, for people.
    #[serde(skip)]
    pub subject: &'static str,
    /// `running`, `stopped`, `interrupted`, `paused`, `done`, `done-with-failures`, `abandoned`.
    pub outcome: &'static str,
    /// Why it is paused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused_because: Option<String>,
    /// Who runs it, or ran it last.
    pub runner: Option<RunnerLine>,
    /// When it began.
    pub started: Option<Timestamp>,
    /// When it ended.
    pub ended: Option<Timestamp>,
    /// How often it was resumed.
    pub resumed: usize,
    /// Planned hosts, counted.
    pub hosts: HostCounts,
    /// Migrations, counted.
    pub migrations: MigrationCounts,
    /// Instances that were stopped in place and do not run again yet; those with a reason did not start.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stopped: Vec<StoppedLine>,
    /// Each planned host in order.
    pub host: Vec<HostLine>,
    /// Requests to the cloud of all processes that ended properly.
    pub api: ApiLine,
    /// What waits, and for what; the first 50.
    pub waiting_for: Vec<WaitLine>,
}

/// Who runs a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RunnerLine {
    /// The machine's name.
    pub host: String,
    /// Process id.
    pub pid: u32,
    /// The last sign of life.
    pub heartbeat: Option<Timestamp>,
    /// Whether it lives.
    pub alive: bool,
}

/// Planned hosts by phase.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct HostCounts {
    /// All.
    pub total: usize,
    /// Proven and back in service.
    pub done: usize,
    /// Begun.
    pub active: usize,
    /// Not begun.
    pub waiting: usize,
    /// Left alone while running.
    pub skipped: usize,
    /// Failed for good.
    pub quarantined: usize,
}

/// Migrations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct MigrationCounts {
    /// Ended on another host.
    pub done: usize,
    /// In flight.
    pub active: usize,
    /// Attempts that failed.
    pub failed: usize,
    /// Attempts after a failed one.
    pub retried: usize,
}

/// Requests to the cloud.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct ApiLine {
    /// All, repeats included.
    pub requests: u64,
    /// Repeats.
    pub retries: u64,
}

/// One planned host.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct HostLine {
    /// The host.
    pub host: HostName,
    /// `done`, `draining`, `updating`, `rebooting`, `verifying`, `waiting`, `skipped`, `quarantined`.
    pub state: &'static str,
    /// Since when.
    pub since: Timestamp,
    /// Why it is skipped or quarantined.
    pub why: Option<String>,
    /// What it went through; in reports only.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub story: Option<HostStory>,
}

/// An instance that we stopped and that does not run again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StoppedLine {
    /// Which.
    pub instance: InstanceId,
    /// Its name.
    pub name: String,
    /// Its project.
    pub project: ProjectId,
    /// The host that it is on.
    pub host: HostName,
    /// Why it did not start; absent while its turn is still to come.
    pub why: Option<String>,
}

/// Something that waits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct WaitLine {
    /// A step, or a host that is not begun.
    pub step: String,
    /// For what.
    pub reason: String,
}

impl Summary {
    /// Where `state` stands, seen by somebody who knows `observation`.
    pub fn of(state: &RunState, observation: &Observation) -> Self {
        let rollout = state.rollout();
        let (requests, retries) = state.api_cost();
        let moves = state.moves();
        let goes_on = matches!(state.status(), RunStatus::Running | RunStatus::Stopping | RunStatus::Paused(..));
        let waits = if goes_on { waiting(state, observation.now, MOST_WAITING) } else { Vec::new() };
        Self {
            format: 1,
            run: state.run(),
            rollout: rollout.digest.clone(),
            region: rollout.region.clone(),
            remedy: rollout.remedy.name.clone(),
            subject: rollout.work.subject(),
            outcome: outcome(state.status(), observation.alive),
            paused_because: match state.status() {
                RunStatus::Paused(_, reason) => Some(reason.clone()),
                RunStatus::Unbegun | RunStatus::Running | RunStatus::Stopping | RunStatus::Ended(_) => None,
            },
            runner: state.runner().map(|runner| RunnerLine {
                host: runner.host.clone(),
                pid: runner.pid,
                heartbeat: observation.heartbeat,
                alive: observation.alive,
            }),
            started: state.started(),
            ended: state.ended(),
            resumed: state.resumed(),
            hosts: HostCounts {
                total: rollout.hosts.len(),
                done: state.count(HostPhase::Done),
                active: state.count(HostPhase::Active),
                waiting: state.count(HostPhase::Waiting),
                skipped: state.count(HostPhase::Skipped),
                quarantined: state.count(HostPhase::Quarantined),
            },
            migrations: MigrationCounts {
                done: moves.done,
                active: state.moves_in_flight().count(),
                failed: moves.failed,
                retried: moves.retried,
            },
            stopped: state
                .stopped_by_us()
                .map(|(host, one, why)| StoppedLine {
                    instance: one.id,
                    name: one.name.clone(),
                    project: one.project.clone(),
                    host: host.clone(),
                    why: why.map(str::to_owned),
                })
                .collect(),
            host: state
                .in_order()
                .map(|(planned, host)| HostLine {
                    host: planned.host.clone(),
                    state: host.activity(),
                    since: host.since,
                    why: host.why.clone(),
                    story: None,
                })
                .collect(),
            api: ApiLine { requests, retries },
            waiting_for: waits.into_iter().map(|(step, wait)| WaitLine { step, reason: wait.to_string() }).collect(),
        }
    }
}

/// The outcome in the words of the status file. A run that goes on without a process was interrupted.
fn outcome(status: &RunStatus, alive: bool) -> &'static str {
    match status {
        RunStatus::Unbegun | RunStatus::Running | RunStatus::Stopping if alive => "running",
        RunStatus::Unbegun | RunStatus::Running | RunStatus::Stopping => "interrupted",
        RunStatus::Paused(..) | RunStatus::Ended(Outcome::Paused) => "paused",
        RunStatus::Ended(Outcome::Done) => "done",
        RunStatus::Ended(Outcome::DoneWithFailures) => "done-with-failures",
        RunStatus::Ended(Outcome::Stopped) => "stopped",
        RunStatus::Ended(Outcome::Abandoned) => "abandoned",
    }
}
