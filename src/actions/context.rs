//! What an action sees of the world.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::cloud::Cloud;
use crate::host::HostShell;
use crate::model::{HostName, InstanceId, Patience, RunId, Service, StepId, UnitName};
use crate::plan::{PlannedHost, Rollout};
use crate::run::event::{Intent, LeavingInstance};

/// Everything an action may use: ports, clock, progress, and what is known of its host and step.
pub struct StepContext<'a> {
    /// The run.
    pub run: RunId,
    /// The step.
    pub step: &'a StepId,
    /// From 1.
    pub attempt: u32,
    /// What is executed.
    pub rollout: &'a Rollout,
    /// The host that the step belongs to.
    pub host: &'a PlannedHost,
    /// What earlier steps of this host left.
    pub memory: &'a HostMemory,
    /// For a move: the instance and the chosen target.
    pub leaving: Option<(&'a LeavingInstance, &'a HostName)>,
    /// The intent recorded by an earlier process or attempt of this step.
    pub intent: Option<&'a Intent>,
    /// When that intent was recorded, while what it asked for is followed; nothing where another intent took its place.
    pub intended: Option<Timestamp>,
    /// The cloud.
    pub cloud: &'a dyn Cloud,
    /// The way to hosts.
    pub shell: &'a dyn HostShell,
    /// The time.
    pub clock: &'a dyn Clock,
    /// Where progress goes.
    pub progress: &'a dyn ProgressSink,
    /// How often things in flight are looked at, in the clock's time.
    pub poll: Duration,
}

impl StepContext<'_> {
    /// Limits on waiting, as the reviewed policy has them.
    pub fn patience(&self) -> &Patience {
        &self.rollout.policy.patience
    }
}

/// What earlier steps of a host left for later ones; a fold of their outputs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostMemory {
    /// The service before we disabled it.
    pub service_before: Option<Service>,
    /// Instances that stay through the reboot.
    pub staying: Vec<InstanceId>,
    /// Instances whose move has ended: moved, or gone by somebody else's doing.
    pub left: Vec<InstanceId>,
    /// Whether the fence is up.
    pub fenced: bool,
    /// The boot that ended and the boot that began.
    pub boots: Option<(String, String)>,
    /// Why the host was quarantined.
    pub quarantined: Option<String>,
}

impl HostMemory {
    /// The unit name of a job of `step` in `run`: unique, short and safe for systemd.
    pub fn unit(run: RunId, step: &StepId) -> UnitName {
        let clean: String =
            step.as_str().chars().map(|c| if c.is_ascii_alphanumeric() || c == '-' { c } else { '-' }).collect();
        UnitName::new(format!("fleetmend-{run}-{clean}"))
    }
}

/// Volatile news of a step; may be dropped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Which step.
    pub step: StepId,
    /// What.
    pub kind: ProgressKind,
}

/// News of a step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ProgressKind {
    /// Share of a migration's memory that is across, 0 to 100; may fall back when pages are sent again.
    Migration {
        /// 0 to 100.
        percent: u8,
    },
    /// What it is doing or waiting for.
    Doing(String),
}

/// Takes progress.
pub trait ProgressSink: Send + Sync {
    /// Reports, without waiting.
    fn report(&self, progress: Progress);
    /// Whether anybody hears it.
    fn is_heard(&self) -> bool {
        true
    }
}
