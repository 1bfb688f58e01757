//! The vocabulary of events: durable, numbered without gaps, never dropped. Bars, lines, JSON, status, reports and
//! metrics all fold these.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::change::Change;
use crate::host::QuietRecord;
use crate::model::{
    Digest, Fingerprint, GroupId, HostName, InstanceHandling, InstanceId, InstanceStatus, Limits, Package, ProjectId,
    RequestId, Resources, RunId, Service, StepId,
};
use crate::outside::Kept;
use crate::plan::placement::Held;
use crate::remedy::Verdict;

/// Something that happened in a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Number within the run, from 1, without gaps.
    pub seq: u64,
    /// When, on the runner's clock.
    pub at: Timestamp,
    /// What.
    #[serde(rename = "event")]
    pub kind: EventKind,
}

impl Event {
    /// Whether nothing of the run is left to do after this.
    pub fn ends_the_run(&self) -> bool {
        matches!(
            self.kind,
            EventKind::RunEnded { outcome: Outcome::Done | Outcome::DoneWithFailures | Outcome::Abandoned, .. }
        )
    }
}

impl EventKind {
    /// The kind in the words of the journal.
    pub fn label(&self) -> &'static str {
        match self {
            Self::RunStarted { .. } => "run-started",
            Self::RunResumed { .. } => "run-resumed",
            Self::StepStarted { .. } => "step-started",
            Self::StepIntended { .. } => "step-intended",
            Self::ChangeMade { .. } => "change-made",
            Self::StepSucceeded { .. } => "step-succeeded",
            Self::StepFailed { .. } => "step-failed",
            Self::TargetSeen { .. } => "target-seen",
            Self::HostQuarantined { .. } => "host-quarantined",
            Self::HostSkipped { .. } => "host-skipped",
            Self::HostReleased { .. } => "host-released",
            Self::HostRetried { .. } => "host-retried",
            Self::HostRelieved { .. } => "host-relieved",
            Self::GateReached { .. } => "gate-reached",
            Self::GateOpened { .. } => "gate-opened",
            Self::HealthSeen { .. } => "health-seen",
            Self::RunPaused { .. } => "run-paused",
            Self::RunContinued { .. } => "run-continued",
            Self::StopRequested { .. } => "stop-requested",
            Self::LimitsChanged { .. } => "limits-changed",
            Self::RunEnded { .. } => "run-ended",
        }
    }
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum EventKind {
    /// The run began.
    RunStarted {
        /// The run.
        run: RunId,
        /// What it executes.
        rollout: Digest,
        /// Who executes it.
        runner: Runner,
    },
    /// Another process took over after the last one ended.
    RunResumed {
        /// Who.
        runner: Runner,
    },
    /// A step was claimed: its probe runs next. `target` is where a move goes.
    StepStarted {
        /// Which.
        step: StepId,
        /// From 1.
        attempt: u32,
        /// For a move: the chosen host, whose room is taken from now on.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        target: Option<HostName>,
        /// For a move: why not to the planned host.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        because: Option<String>,
    },
    /// The probe found that something is to be done; durable before it is done.
    StepIntended {
        /// Which.
        step: StepId,
        /// What is about to be done, with what must be known after a crash.
        intent: Intent,
    },
    /// Something was asked of the region or of a host that changes it, or a job on a host has ended.
    ChangeMade {
        /// In the name of which step.
        step: StepId,
        /// What.
        change: Change,
    },
    /// Verified.
    StepSucceeded {
        /// Which.
        step: StepId,
        /// What came of it.
        output: StepOutput,
    },
    /// It did not come to its end.
    StepFailed {
        /// Which.
        step: StepId,
        /// Why and how grave.
        failure: StepFailure,
        /// When it is tried again; never when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_at: Option<Timestamp>,
    },
    /// A target that did not take a move was looked at, and is not as the run thought.
    TargetSeen {
        /// Which.
        host: HostName,
        /// What holds room there that the run did not know of.
        came: Vec<Held>,
        /// Instances that hold none there any more.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        gone: Vec<InstanceId>,
    },
    /// A host stops where it is.
    HostQuarantined {
        /// Which.
        host: HostName,
        /// The step that failed.
        step: StepId,
        /// Why, for people.
        reason: String,
    },
    /// A host is left alone: by an operator's word, or because it must not be touched.
    HostSkipped {
        /// Which.
        host: HostName,
        /// Why, for people.
        reason: String,
    },
    /// A host was given back as it was before the run: its service has its former state.
    HostReleased {
        /// Which.
        host: HostName,
    },
    /// An operator wants a quarantined or skipped host tried again.
    HostRetried {
        /// Which.
        host: HostName,
        /// Who.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<String>,
    },
    /// What was stopped in place on a host that does not go on for now is started again first.
    HostRelieved {
        /// Which.
        host: HostName,
    },
    /// A gate was reached: nothing behind it begins.
    GateReached {
        /// Which.
        gate: GateName,
        /// When it opens by itself; only by approval when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        opens_at: Option<Timestamp>,
    },
    /// A gate opened.
    GateOpened {
        /// Which.
        gate: GateName,
        /// Who or what opened it.
        by: String,
    },
    /// A health gate of the policy was answered, for the first time since a host ended or otherwise than before.
    HealthSeen {
        /// Its name.
        gate: String,
        /// Whether another host may be begun.
        is_well: bool,
        /// What was said, for people.
        said: String,
    },
    /// Nothing more is begun until `RunContinued`; what is under way goes on.
    RunPaused {
        /// Why.
        cause: PauseCause,
        /// Why, for people.
        reason: String,
    },
    /// After a pause.
    RunContinued {
        /// Who or what.
        by: String,
    },
    /// Nothing more is begun; the process ends when what is under way has ended.
    StopRequested {
        /// Who.
        by: String,
    },
    /// Limits were changed while running.
    LimitsChanged {
        /// From now on.
        limits: Limits,
        /// Who.
        by: String,
    },
    /// The process ended the run or let go of it.
    RunEnded {
        /// How.
        outcome: Outcome,
        /// Requests to the cloud since the process began.
        requests: u64,
        /// Repeats among them.
        retries: u64,
    },
}

/// Who executes a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Runner {
    /// The machine's name.
    pub host: String,
    /// Process id.
    pub pid: u32,
    /// Version of fleetmend.
    pub version: String,
}

/// What is about to be done to the world.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Intent {
    /// A service is disabled; its state before.
    Disable {
        /// As it was.
        before: Service,
    },
    /// A service is enabled.
    Enable,
    /// A migration is asked for.
    Migrate {
        /// Onto this host.
        target: HostName,
        /// The newest migration record there was before; ours is newer.
        after: u64,
        /// Whether it is a cold one.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        cold: bool,
    },
    /// A job is started on the host.
    Job {
        /// Unit name.
        unit: String,
        /// What it does, for people.
        summary: String,
        /// For an update: the packages as they were before, so that what changed is known after a crash.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        before: Vec<Package>,
    },
    /// nova-compute is stopped (`up`) or started on the host.
    Fence {
        /// Whether the fence goes up.
        up: bool,
    },
    /// An instance that runs is stopped in place: from here on it is owed a start.
    Stop,
    /// An instance that we stopped is started.
    Start,
    /// The host is rebooted.
    Reboot {
        /// The boot id that ends.
        boot: String,
        /// Where a ladder is configured: what the host showed when it was proven quiet, a moment before the order.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        proven: Option<QuietRecord>,
        /// The rung of the ladder that is about to be tried, from 0; the reboot over ssh when absent.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        rung: Option<usize>,
    },
    /// An executable of this machine is run.
    Run {
        /// The executable, and what says what it does.
        command: Vec<String>,
    },
    /// Nothing is changed: something is waited for.
    Await {
        /// What, for people.
        what: String,
        /// Until when, where a time is what is waited for; kept over a crash.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        until: Option<Timestamp>,
    },
    /// An instance is stopped and started.
    ColdBoot {
        /// The newest action on it before; what was done since is read from Nova.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        after: Option<RequestId>,
    },
    /// A tiny instance of this name is made and deleted.
    ProbeInstance {
        /// Its name, which only this step of this run has.
        name: String,
    },
    /// The `disabled_reason` of a quarantined host is written.
    Mark {
        /// What it says after the mark.
        why: String,
    },
}

impl Intent {
    /// Whether `other` only goes on with what this one asked for.
    pub(super) fn adopts(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Migrate { after, cold, .. }, Self::Migrate { after: other_after, cold: other_cold, .. }) => {
                (after, cold) == (other_after, other_cold)
            }
            (recorded, other) => recorded == other,
        }
    }
}

/// What came of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "output", rename_all = "kebab-case")]
pub enum StepOutput {
    /// Nothing that others need.
    Done {
        /// For people.
        note: String,
    },
    /// It is the planned machine, and this is what it is made of.
    Identified {
        /// For people.
        note: String,
        /// What a reboot can lose.
        fingerprint: Box<Fingerprint>,
    },
    /// It was so already.
    AlreadySo {
        /// For people.
        note: String,
    },
    /// A service was disabled.
    Disabled {
        /// As it was before.
        before: Service,
        /// The request that did it.
        request: Option<RequestId>,
    },
    /// What leaves the host and what stays, from fresh facts.
    Resolved {
        /// Have to leave.
        leaving: Vec<LeavingInstance>,
        /// Stay.
        staying: Vec<InstanceId>,
        /// Differences from the plan, for people.
        differences: Vec<String>,
        /// Instances on the host that the plan did not know.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        unplanned: Vec<InstanceId>,
        /// Stay, and have to be stopped once nothing is left to leave.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        parking: Vec<ParkedInstance>,
    },
    /// An instance was stopped in place, by us.
    Parked {
        /// The request that did it, where this process sent it.
        request: Option<RequestId>,
    },
    /// An instance was moved.
    Moved {
        /// Where it is.
        to: HostName,
        /// The migration record.
        migration: Option<u64>,
        /// The request that did it.
        request: Option<RequestId>,
    },
    /// Live migrations of an instance did not end: something else becomes of it, as the policy says.
    GaveUp {
        /// What became of the attempts, for people.
        note: String,
        /// What becomes of the instance.
        handling: InstanceHandling,
    },
    /// An instance is no longer on the host by somebody else's doing (deleted, moved by its owner or an operator).
    Gone {
        /// How, for people.
        note: String,
        /// Where it is, when it is on another host.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<HostName>,
    },
    /// Packages on the host.
    Packages {
        /// What changed.
        changed: Vec<PackageChange>,
        /// Digest of the job's output.
        digest: Digest,
    },
    /// The host was rebooted.
    Rebooted {
        /// Boot id before.
        before: String,
        /// Boot id after.
        after: String,
        /// Commands that were run to get the host back, in order.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        commands: Vec<CommandRun>,
    },
    /// An added step came to its end.
    Ran {
        /// For people.
        note: String,
        /// Executables that were run, in order.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        commands: Vec<CommandRun>,
        /// Why it failed, where its file says that the host goes on all the same.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        warning: Option<String>,
    },
    /// An instance was stopped and started, and runs again.
    ColdBooted {
        /// Where.
        on: HostName,
        /// The request that started it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        request: Option<RequestId>,
        /// What its host shows of the flag that guests need; nothing where it could not be asked.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        flag: Option<String>,
    },
    /// Evidence was collected after the reboot.
    Proven {
        /// The verdict.
        verdict: Verdict,
        /// What the reboot took from the host, where the policy lets it be enabled all the same.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        lost: Vec<String>,
    },
}

/// An executable of this machine that was run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommandRun {
    /// The executable and its arguments.
    pub command: Vec<String>,
    /// How it ended, for people.
    pub end: String,
    /// What is kept of its output.
    pub output: Kept,
}

/// An instance that has to leave a host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeavingInstance {
    /// Which.
    pub id: InstanceId,
    /// Its name.
    pub name: String,
    /// Its project.
    pub project: ProjectId,
    /// The host that it leaves, where that is not the one that the step belongs to: it makes way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<HostName>,
    /// Its status now.
    pub status: InstanceStatus,
    /// How it leaves.
    pub handling: InstanceHandling,
    /// What it has allocated.
    pub resources: Resources,
    /// Its server group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupId>,
    /// The zone that it was asked to be in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned_zone: Option<crate::model::ZoneName>,
    /// Traits it requires.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub traits: Vec<String>,
    /// Its flavor, where the cloud shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flavor: Option<Box<crate::model::Flavor>>,
    /// Properties of its image, where the cloud shows them.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub image: BTreeMap<String, String>,
}

/// An instance that is stopped in place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ParkedInstance {
    /// Which.
    pub id: InstanceId,
    /// Its name.
    pub name: String,
    /// Its project.
    pub project: ProjectId,
    /// Its server group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupId>,
    /// Higher starts earlier and stops later.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub priority: i32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(number: &i32) -> bool {
    *number == 0
}

/// A package before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PackageChange {
    /// Name.
    pub name: String,
    /// Versions before.
    pub before: Vec<String>,
    /// Versions after.
    pub after: Vec<String>,
}

/// Why a step failed and how grave it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepFailure {
    /// Decides retry, quarantine or pause.
    pub class: crate::actions::ErrorClass,
    /// Whose fault it is.
    pub scope: FaultScope,
    /// The chain of causes, outermost first; one line each.
    pub causes: Vec<String>,
}

/// Whose fault a failure is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultScope {
    /// One instance's; its host's other instances go on.
    Instance,
    /// One host's.
    Host,
    /// A move's target's: another target may do.
    Target,
    /// The control plane's: everything pauses.
    ControlPlane,
}

/// A gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GateName {
    /// Behind the canary hosts.
    Canary,
}

/// Why a run paused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PauseCause {
    /// An operator's word.
    Operator,
    /// More hosts failed than the budget allows.
    FailureBudget,
    /// The control plane is sick.
    ControlPlane,
    /// The region moved away from the plan beyond tolerance.
    Drift,
}

/// How a process ended its part of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Every host is done or skipped.
    Done,
    /// Ended; some hosts are quarantined.
    DoneWithFailures,
    /// Paused with nothing under way; resumable.
    Paused,
    /// Stopped by request; resumable.
    Stopped,
    /// Given back.
    Abandoned,
}
