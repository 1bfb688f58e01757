//! One step under way: probe, record the intent, apply, verify. Spawned by `driver` alone.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::{mpsc, oneshot};

use super::change::Change;
use super::event::{CommandRun, FaultScope, Intent, LeavingInstance, ParkedInstance, StepOutput};
use super::trail;
use crate::actions::{self, HostMemory, Intents, Probe, Progress, ProgressSink, StepContext, StepError};
use crate::clock::Clock;
use crate::cloud::{Accepted, Cloud};
use crate::health::Answer;
use crate::host::HostShell;
use crate::model::{HostName, RunId, StepId};
use crate::outside::Outside;
use crate::plan::Rollout;
use crate::plan::placement::Held;
use crate::workflow::StepKind;

/// The ways to the world that steps use.
#[derive(Clone)]
pub struct Ports {
    /// The cloud.
    pub cloud: Arc<dyn Cloud>,
    /// The way to hosts.
    pub shell: Arc<dyn HostShell>,
    /// The way to executables of this machine.
    pub outside: Arc<dyn Outside>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Whether steps change the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mode {
    /// They do.
    Real,
    /// Probes only: what would be done is recorded, nothing is applied.
    Dry,
}

/// Everything a step's task owns.
pub(super) struct StepTask {
    pub mode: Mode,
    pub run: RunId,
    pub rollout: Arc<Rollout>,
    /// Place of its host in the rollout.
    pub host: usize,
    pub step: StepId,
    pub kind: StepKind,
    pub attempt: u32,
    pub memory: HostMemory,
    pub leaving: Option<(LeavingInstance, HostName)>,
    pub parked: Option<ParkedInstance>,
    pub intent: Option<Intent>,
    pub intended: Option<Timestamp>,
    pub poll: Duration,
}

/// What a step's task tells the owner.
pub(super) enum News {
    /// The probe found something to do; the task goes on when the owner has recorded it.
    Intended(StepId, Intent, oneshot::Sender<()>),
    /// Something was changed in the name of that step.
    Changed(StepId, Change),
    /// A target did not take a move: what holds room there.
    Seen(HostName, Vec<Held>),
    /// A health gate was answered.
    Health(String, Answer),
    /// It ended.
    Ended(StepId, Result<StepOutput, StepError>),
}

/// Sends progress without waiting: what finds no room is dropped. Without a channel nobody hears it.
pub(super) struct ProgressChannel(pub Option<mpsc::Sender<Progress>>);

impl ProgressSink for ProgressChannel {
    fn report(&self, progress: Progress) {
        if let Some(channel) = &self.0 {
            let _ = channel.try_send(progress);
        }
    }

    fn is_heard(&self) -> bool {
        self.0.is_some()
    }
}

/// Has intents of a step recorded by the owner.
struct Recorder<'a> {
    step: &'a StepId,
    news: &'a mpsc::Sender<News>,
    last: Mutex<Option<Intent>>,
    kept: Mutex<Vec<CommandRun>>,
}

impl Recorder<'_> {
    /// The last intent that was recorded in this attempt.
    fn last(&self) -> Option<Intent> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

#[async_trait]
impl Intents for Recorder<'_> {
    async fn record(&self, intent: &Intent) -> Result<(), StepError> {
        let gone = || StepError::transient(FaultScope::ControlPlane, "the run was let go of");
        let (recorded, is_recorded) = oneshot::channel();
        let news = News::Intended(self.step.clone(), intent.clone(), recorded);
        self.news.send(news).await.map_err(|_| gone())?;
        is_recorded.await.map_err(|_| gone())?;
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(intent.clone());
        Ok(())
    }

    fn keep(&self, run: CommandRun) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).push(run);
    }

    fn forget_last(&self) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).pop();
    }

    fn kept(&self) -> Vec<CommandRun> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl StepTask {
    /// Runs the step to its end and tells the owner.
    pub(super) async fn run(self, ports: Ports, news: mpsc::Sender<News>, progress: Option<mpsc::Sender<Progress>>) {
        let progress = ProgressChannel(progress);
        let work = self.carry_out(&ports, &news, &progress);
        let result = trail::of_step(&self.step, &news, work).await;
        // An owner that is gone has let go of the run; whoever resumes probes first.
        if let Some(result) = result {
            let _ = news.send(News::Ended(self.step, result)).await;
        }
    }

    /// `None` when the owner is gone.
    async fn carry_out(
        &self,
        ports: &Ports,
        news: &mpsc::Sender<News>,
        progress: &dyn ProgressSink,
    ) -> Option<Result<StepOutput, StepError>> {
        let host = self.rollout.hosts.get(self.host)?;
        let recorder = Recorder { step: &self.step, news, last: Mutex::default(), kept: Mutex::default() };
        let cx = StepContext {
            run: self.run,
            step: &self.step,
            attempt: self.attempt,
            rollout: &self.rollout,
            host,
            memory: &self.memory,
            leaving: self.leaving.as_ref().map(|(instance, target)| (instance, target)),
            parked: self.parked.as_ref(),
            intent: self.intent.as_ref(),
            intended: self.intended,
            cloud: ports.cloud.as_ref(),
            shell: ports.shell.as_ref(),
            outside: ports.outside.as_ref(),
            clock: ports.clock.as_ref(),
            intents: &recorder,
            progress,
            poll: self.poll,
        };
        if let Some(output) = self.known_in_a_dry_run() {
            return Some(Ok(output));
        }
        let result = actions::lenient(&cx, self.kind, self.attempt(&cx, &recorder).await?);
        if result.as_ref().is_err_and(|error| error.scope == FaultScope::Target) {
            self.look_at_target(&cx, news).await;
        }
        Some(result)
    }

    /// Probes, has the intent recorded, applies and verifies; `None` when the owner is gone.
    async fn attempt(&self, cx: &StepContext<'_>, recorder: &Recorder<'_>) -> Option<Result<StepOutput, StepError>> {
        let action = actions::for_step(self.kind);
        #[cfg(test)]
        if let (true, Some(intent)) = (crate::simulation::Mistake::ForgetsToProbe.is_made(), &self.intent) {
            return Some(match action.apply(cx, intent).await {
                Err(error) => Err(error),
                Ok(accepted) => action.verify(cx, intent, &accepted).await,
            });
        }
        let intent = match action.probe(cx).await {
            Err(error) => return Some(Err(error)),
            Ok(Probe::Done(output)) => return Some(Ok(output)),
            Ok(Probe::InFlight(intent)) => {
                if self.intent.as_ref() != Some(&intent) {
                    recorder.record(&intent).await.ok()?;
                }
                return Some(match self.mode {
                    Mode::Real => action.verify(cx, &intent, &Accepted::default()).await,
                    Mode::Dry => Ok(Self::assumed(&intent)),
                });
            }
            Ok(Probe::Needed(intent)) => intent,
        };
        let cx = &StepContext { intended: None, ..*cx };
        #[cfg(test)]
        if crate::simulation::Mistake::ActsBeforeTheIntent.is_made() {
            let accepted = action.apply(cx, &intent).await;
            recorder.record(&intent).await.ok()?;
            return Some(match accepted {
                Err(error) => Err(error),
                Ok(accepted) => action.verify(cx, &intent, &accepted).await,
            });
        }
        recorder.record(&intent).await.ok()?;
        if self.mode == Mode::Dry {
            // To resolve is to look: what it finds is what the dry run shows.
            return Some(if self.kind == StepKind::Resolve {
                action.verify(cx, &intent, &Accepted::default()).await
            } else {
                Ok(Self::assumed(&intent))
            });
        }
        let accepted = match action.apply(cx, &intent).await {
            Err(error) => return Some(Err(error)),
            Ok(accepted) => accepted,
        };
        #[cfg(test)]
        if crate::simulation::Mistake::RecordsBeforeVerifying.is_made() {
            return Some(Ok(Self::assumed(&intent)));
        }
        let intent = recorder.last().unwrap_or(intent);
        Some(action.verify(cx, &intent, &accepted).await)
    }

    /// Looks at a target that did not take the instance, and tells: others may have come there.
    async fn look_at_target(&self, cx: &StepContext<'_>, news: &mpsc::Sender<News>) {
        let Some((leaving, target)) = cx.leaving else { return };
        if let Some(held) = actions::held_on(cx, target, leaving).await {
            // An owner that is gone has let go of the run; whoever resumes looks when it must.
            let _ = news.send(News::Seen(target.clone(), held)).await;
        }
    }

    /// What a dry run takes for granted without a probe: a second look would find every instance where it was, and
    /// what follows an update or a reboot cannot be seen before it.
    fn known_in_a_dry_run(&self) -> Option<StepOutput> {
        if self.mode == Mode::Real {
            return None;
        }
        match self.kind {
            StepKind::Resolve if !self.memory.left.is_empty() || !self.memory.parked.is_empty() => {
                let parking = if self.memory.parked.is_empty() { self.memory.parking.clone() } else { Vec::new() };
                Some(StepOutput::Resolved {
                    leaving: Vec::new(),
                    staying: self.memory.staying.clone(),
                    differences: Vec::new(),
                    unplanned: Vec::new(),
                    parking,
                })
            }
            StepKind::VerifyConfig
            | StepKind::Return
            | StepKind::Evidence
            | StepKind::Start
            | StepKind::Enable
            | StepKind::Settle
            | StepKind::Probe
            | StepKind::Unhook
            | StepKind::Unfence
            | StepKind::Quarantine => {
                Some(StepOutput::Done { note: "to be seen after the steps before it".to_owned() })
            }
            StepKind::Identify
            | StepKind::Disable
            | StepKind::Stage
            | StepKind::Resolve
            | StepKind::Move
            | StepKind::Stop
            | StepKind::Fence
            | StepKind::Update
            | StepKind::Configure
            | StepKind::ColdBoot
            | StepKind::Command
            | StepKind::Hook
            | StepKind::Ansible
            | StepKind::Reboot => None,
        }
    }

    /// What a dry run takes for granted in place of applying.
    fn assumed(intent: &Intent) -> StepOutput {
        match intent {
            Intent::Migrate { target, .. } => StepOutput::Moved { to: target.clone(), migration: None, request: None },
            Intent::Disable { before } => StepOutput::Disabled { before: before.clone(), request: None },
            Intent::Reboot { boot, .. } => StepOutput::Rebooted {
                before: boot.clone(),
                after: "not rebooted: dry run".to_owned(),
                commands: Vec::new(),
            },
            Intent::Stop => StepOutput::Parked { request: None },
            Intent::Run { .. }
            | Intent::Enable
            | Intent::Job { .. }
            | Intent::Fence { .. }
            | Intent::Start
            | Intent::ColdBoot { .. }
            | Intent::ProbeInstance { .. }
            | Intent::Await { .. }
            | Intent::Mark { .. } => StepOutput::Done { note: "dry run".to_owned() },
        }
    }
}
