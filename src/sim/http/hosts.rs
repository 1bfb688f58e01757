//! Hosts of a simulated region for another process: each operation of [`crate::host::HostShell`] as a POST to
//! `/fleetmend-sim/v1/hosts/{host}/{operation}`, in both directions.
//!
//! There is no ssh to a machine that does not exist; this takes its place, for the region that `fleetmend lab` serves
//! on the loopback interface only.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::host::{Boot, HostError, HostErrorKind, Inquiry, JobStatus, RawFacts, Section};
use crate::model::{HostIdentity, HostName, UnitName};
use crate::sim::ports::{domains_of, host_error, status_of};
use crate::sim::texts;
use crate::sim::world::{Work, World};

/// An operation with what it needs.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "operation", rename_all = "kebab-case")]
pub(in crate::sim) enum Operation {
    Collect { inquiry: Inquiry },
    Identity,
    Boot,
    Domains,
    StartJob { identity: HostIdentity, unit: UnitName, work: Work, limit_s: u64 },
    Job { unit: UnitName },
    ForgetJob { unit: UnitName },
    Fence { identity: HostIdentity, up: bool },
    Reboot { identity: HostIdentity, boot: String },
}

impl Operation {
    /// Its word in the URL.
    pub(in crate::sim) fn word(&self) -> &'static str {
        match self {
            Self::Collect { .. } => "collect",
            Self::Identity => "identity",
            Self::Boot => "boot",
            Self::Domains => "domains",
            Self::StartJob { .. } => "start-job",
            Self::Job { .. } => "job",
            Self::ForgetJob { .. } => "forget-job",
            Self::Fence { .. } => "fence",
            Self::Reboot { .. } => "reboot",
        }
    }

    /// What it does, in words for an error.
    pub(in crate::sim) fn name(&self) -> &'static str {
        match self {
            Self::Collect { .. } => "collect facts",
            Self::Identity => "read the identity",
            Self::Boot => "read the boot id",
            Self::Domains => "list domains",
            Self::StartJob { .. } => "start a job",
            Self::Job { .. } => "look at a job",
            Self::ForgetJob { .. } => "forget a job",
            Self::Fence { .. } => "stop or start nova-compute",
            Self::Reboot { .. } => "reboot",
        }
    }

    /// Does it to `host`.
    pub(super) fn run(&self, world: &mut World, host: &HostName) -> Result<Value, HostError> {
        let done = match self {
            Self::Collect { inquiry } => {
                world.reach(host).map(|found| facts_out(&texts::collect(world, found, inquiry)))
            }
            Self::Identity => world.identity(host).map(|identity| json!(identity)),
            Self::Boot => world.boot(host).map(|(boot, uptime_s)| json!({"id": boot.id, "uptime_s": uptime_s})),
            Self::Domains => domains_of(world, host).map(|domains| json!(domains)),
            Self::StartJob { identity, unit, work, limit_s } => {
                let limit = std::time::Duration::from_secs(*limit_s);
                world.start_job(host, identity, unit, work, limit).map(|()| Value::Null)
            }
            Self::Job { unit } => world.job(host, unit).map(|job| status_out(&status_of(job))),
            Self::ForgetJob { unit } => world.forget_job(host, unit).map(|()| Value::Null),
            Self::Fence { identity, up } => world.fence(host, identity, *up).map(|()| Value::Null),
            Self::Reboot { identity, boot } => world.reboot(host, identity, boot).map(|()| Value::Null),
        };
        done.map_err(|refusal| host_error(host, self.name(), refusal))
    }
}

fn facts_out(raw: &RawFacts) -> Value {
    raw.sections
        .iter()
        .map(|(name, section)| (name.clone(), json!({"status": section.status, "text": section.text})))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

fn status_out(status: &JobStatus) -> Value {
    match status {
        JobStatus::Absent => json!({"state": "absent"}),
        JobStatus::Running => json!({"state": "running"}),
        JobStatus::Ended { status, output } => json!({"state": "ended", "status": status, "output": output}),
    }
}

/// Reads a collection back.
pub(in crate::sim) fn facts_in(value: &Value) -> Option<RawFacts> {
    let mut raw = RawFacts::default();
    for (name, section) in value.as_object()? {
        let status = i32::try_from(section["status"].as_i64()?).ok()?;
        raw.sections.insert(name.clone(), Section { status, text: section["text"].as_str()?.to_owned() });
    }
    Some(raw)
}

/// Reads a job's status back.
pub(in crate::sim) fn status_in(value: &Value) -> Option<JobStatus> {
    match value["state"].as_str()? {
        "absent" => Some(JobStatus::Absent),
        "running" => Some(JobStatus::Running),
        "ended" => Some(JobStatus::Ended {
            status: i32::try_from(value["status"].as_i64()?).ok()?,
            output: value["output"].as_str()?.to_owned(),
        }),
        _ => None,
    }
}

/// Reads a boot back.
pub(in crate::sim) fn boot_in(value: &Value) -> Option<Boot> {
    Some(Boot { id: value["id"].as_str()?.to_owned(), uptime_s: value["uptime_s"].as_u64()? })
}

/// The word of a kind of failure.
pub(super) fn kind_word(kind: HostErrorKind) -> &'static str {
    match kind {
        HostErrorKind::Unreachable => "unreachable",
        HostErrorKind::AccessDenied => "access-denied",
        HostErrorKind::HostKey => "host-key",
        HostErrorKind::TimedOut => "timed-out",
        HostErrorKind::WrongMachine => "wrong-machine",
        HostErrorKind::NotQuiet => "not-quiet",
        HostErrorKind::BecomeDenied => "become-denied",
        HostErrorKind::Failed => "failed",
        HostErrorKind::Protocol => "protocol",
    }
}

/// Reads a failure back.
pub(in crate::sim) fn error_in(host: &HostName, operation: &str, value: &Value) -> HostError {
    let kinds = [
        HostErrorKind::Unreachable,
        HostErrorKind::AccessDenied,
        HostErrorKind::HostKey,
        HostErrorKind::TimedOut,
        HostErrorKind::WrongMachine,
        HostErrorKind::NotQuiet,
        HostErrorKind::BecomeDenied,
        HostErrorKind::Failed,
    ];
    let kind = kinds.into_iter().find(|kind| value["error"] == kind_word(*kind)).unwrap_or(HostErrorKind::Protocol);
    HostError::new(host, operation, kind, value["message"].as_str().unwrap_or("the simulator's answer is not one"))
}
