//! What an action sees of the world.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::StepError;
use crate::clock::Clock;
use crate::cloud::Cloud;
use crate::host::HostShell;
use crate::model::{Fingerprint, HostName, InstanceHandling, InstanceId, Patience, RunId, Service, StepId, UnitName};
use crate::outside::Outside;
use crate::plan::{PlannedHost, Rollout};
use crate::run::event::{CommandRun, Intent, LeavingInstance, ParkedInstance};

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
    /// For a stop or a start: the instance.
    pub parked: Option<&'a ParkedInstance>,
    /// The intent recorded by an earlier process or attempt of this step.
    pub intent: Option<&'a Intent>,
    /// When that intent was recorded, while what it asked for is followed; nothing where another intent took its place.
    pub intended: Option<Timestamp>,
    /// The cloud.
    pub cloud: &'a dyn Cloud,
    /// The way to hosts.
    pub shell: &'a dyn HostShell,
    /// The way to executables of this machine.
    pub outside: &'a dyn Outside,
    /// The time.
    pub clock: &'a dyn Clock,
    /// Where an effect beyond the one that the probe announced is announced.
    pub intents: &'a dyn Intents,
    /// Where progress goes.
    pub progress: &'a dyn ProgressSink,
    /// How often things in flight are looked at, in the clock's time.
    pub poll: Duration,
}

impl<'a> StepContext<'a> {
    /// For a move: the host that the instance leaves. It is the step's own, unless the instance makes way.
    pub fn source(&self) -> &'a HostName {
        self.leaving.and_then(|(leaving, _)| leaving.from.as_ref()).unwrap_or(&self.host.host)
    }

    /// Limits on waiting, as the reviewed policy has them.
    pub fn patience(&self) -> &Patience {
        &self.rollout.policy.patience
    }
}

/// What earlier steps of a host left for later ones; a fold of their outputs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostMemory {
    /// The service before we disabled it.
    pub service_before: Option<Service>,
    /// Instances that stay through the reboot.
    pub staying: Vec<InstanceId>,
    /// Instances whose move has ended: moved, or gone by somebody else's doing.
    pub left: Vec<InstanceId>,
    /// Instances that are to be stopped in place, as the last look found them.
    pub parking: Vec<ParkedInstance>,
    /// Instances that we stopped, or may have: each is owed a start.
    pub parked: Vec<ParkedInstance>,
    /// Of those, the ones that do not start, with the reason.
    pub unstarted: BTreeMap<InstanceId, String>,
    /// Instances that did not get away live, and what becomes of them instead.
    pub given_up: BTreeMap<InstanceId, InstanceHandling>,
    /// Whether the fence is up.
    pub fenced: bool,
    /// The boot that ended and the boot that began.
    pub boots: Option<(String, String)>,
    /// What the host was made of before anything was done to it.
    pub fingerprint: Option<Box<Fingerprint>>,
    /// Why the host was quarantined.
    pub quarantined: Option<String>,
}

impl HostMemory {
    /// What counts for another try of the host: its state from before the first one, and who is owed a start.
    #[must_use]
    pub fn kept_by_a_retry(self) -> Self {
        let Self { service_before, fingerprint, parked, .. } = self;
        Self { service_before, parked, fingerprint, ..Self::default() }
    }

    /// Whether we stopped the instance, or may have.
    pub fn has_parked(&self, instance: InstanceId) -> bool {
        self.parked.iter().any(|parked| parked.id == instance)
    }

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

/// Takes what is to be known of a step beyond its own answers: intents while it is applied or verified, of which
/// `verify` sees the last one, and executables that it ran.
#[async_trait]
pub trait Intents: Send + Sync {
    /// Returns when `intent` is durable; an error when nobody records any more, so that nothing may be done.
    async fn record(&self, intent: &Intent) -> Result<(), StepError>;
    /// Keeps how an executable ended, for the step's output.
    fn keep(&self, run: CommandRun);
    /// Forgets the last one: it was a look that said nothing new.
    fn forget_last(&self);
    /// What this attempt kept, in order.
    fn kept(&self) -> Vec<CommandRun>;
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
