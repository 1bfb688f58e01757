//! Beginning, resuming and dry-running a run: what comes before and after the loop.

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::SignedDuration;
use tokio::sync::mpsc;
use uuid::Uuid;

use super::driver::{DriveError, DriveSettings, Driver, Observer, RunEnd, Steer};
use super::event::{EventKind, Outcome, Runner};
use super::gates::Asked;
use super::guard::guarded;
use super::host::{HostPhase, HostState};
use super::schedule::Memory;
use super::snapshot::load;
use super::state::{RunState, RunStatus};
use super::step::{Mode, Ports};
use super::trail;
use crate::cloud::{CloudError, Shared};
use crate::host::FenceOrder;
use crate::journal::memory::MemoryJournal;
use crate::journal::{Journal, JournalError, RunRecord};
use crate::model::{Digest, HostName, Mark, Region, RunId, ServiceStatus, StepId};
use crate::plan::{PlannedHost, Rollout};
use crate::workflow::StepKind;

/// Why a run could not be begun, resumed or gone on with.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A host carries the mark of another run: somebody else works on this region, or did and died.
    #[error("{} carries the mark of run {run}, which is not this one", names(.hosts))]
    ForeignMark {
        /// Hosts with the mark.
        hosts: Vec<HostName>,
        /// Whose it is.
        run: RunId,
    },
    /// The cloud could not be asked about marks.
    #[error("cannot look for marks of other runs")]
    Cloud(#[source] CloudError),
    /// The journal refused before the run was begun.
    #[error("cannot begin: the journal refused")]
    Journal(#[source] JournalError),
    /// What the journal keeps is no rollout or region.
    #[error("the journal's record of run {run} cannot be read")]
    Record {
        /// The run.
        run: RunId,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// The run has ended for good.
    #[error("run {run} has ended: nothing is left to resume")]
    Ended {
        /// The run.
        run: RunId,
    },
    /// A newer version ran it last: what that wrote may mean more than this one knows.
    #[error("run {run} was last run by fleetmend {theirs}, and this is {ours}")]
    Newer {
        /// The run.
        run: RunId,
        /// The version that ran it.
        theirs: String,
        /// Ours.
        ours: String,
    },
    /// The loop ended early.
    #[error("run {run} is interrupted")]
    Drive {
        /// The run.
        run: RunId,
        /// Why.
        #[source]
        source: DriveError,
    },
}

fn names(hosts: &[HostName]) -> String {
    hosts.iter().map(HostName::as_str).collect::<Vec<_>>().join(", ")
}

/// What a process brings to a run.
#[derive(Clone)]
pub struct Engine {
    /// The ways to the world.
    pub ports: Ports,
    /// Where the run's truth is.
    pub journal: Arc<dyn Journal>,
    /// Who we are.
    pub runner: Runner,
    /// How the loop goes about its work.
    pub settings: DriveSettings,
    /// Marks of other runs are taken over instead of stopping us.
    pub take_over: bool,
}

impl Engine {
    /// Begins a run of `rollout`; `region` is a snapshot taken a moment ago. Holds the region while it runs.
    pub async fn begin(
        &self,
        run: RunId,
        rollout: Rollout,
        region: &Region,
        steer: mpsc::Receiver<Steer>,
        observer: &mut dyn Observer,
    ) -> Result<RunEnd, RunError> {
        self.hold(&rollout.region).await?.begin_held(run, rollout, region, steer, observer).await
    }

    /// The same with the region in hand.
    pub(super) async fn begin_held(
        &self,
        run: RunId,
        rollout: Rollout,
        region: &Region,
        steer: mpsc::Receiver<Steer>,
        observer: &mut dyn Observer,
    ) -> Result<RunEnd, RunError> {
        self.refuse_foreign_marks(run).await?;
        let record = record_of(run, &rollout, region, self.ports.clock.now());
        self.journal.create(&record).await.map_err(RunError::Journal)?;
        let state = RunState::new(run, Arc::new(rollout), region);
        let begun = EventKind::RunStarted { run, rollout: record.digest, runner: self.runner.clone() };
        self.drive(state, Mode::Real, &self.journal, vec![begun], steer, observer).await
    }

    /// Holds the region for as long as the engine that it gives, which changes nothing once the hold is lost.
    pub(super) async fn hold(&self, region: &str) -> Result<Self, RunError> {
        let hold = self.journal.hold(region, &self.runner).await.map_err(RunError::Journal)?;
        if let Some(token) = hold.token() {
            self.ports.shell.carry(token);
        }
        // Those who follow migrations share their looks: a run of a hundred moves polls as often as a run of one.
        let interval = self.ports.clock.real(self.settings.poll);
        let shared =
            Ports { cloud: Arc::new(Shared::new(Arc::clone(&self.ports.cloud), interval)), ..self.ports.clone() };
        Ok(Self { ports: guarded(&shared, &Arc::from(hold)), ..self.clone() })
    }

    /// Goes on with a run where its last process left it.
    pub async fn resume(
        &self,
        run: RunId,
        steer: mpsc::Receiver<Steer>,
        observer: &mut dyn Observer,
    ) -> Result<RunEnd, RunError> {
        let region = self.journal.record(run).await.map_err(RunError::Journal)?.region;
        let held = self.hold(&region).await?;
        // Read after the hold: until then its last owner may have gone on writing.
        let state = load(self.journal.as_ref(), run).await?;
        held.go_on(state, steer, observer).await
    }

    /// Goes on from `state`, with the region in hand.
    pub(super) async fn go_on(
        &self,
        state: RunState,
        steer: mpsc::Receiver<Steer>,
        observer: &mut dyn Observer,
    ) -> Result<RunEnd, RunError> {
        let run = state.run();
        self.refuse_elsewhere(&state).await?;
        let open = self.journal.open_requests(run).await.map_err(RunError::Journal)?;
        // What was abandoned was given back: nothing of it is begun without a plan and an approval of its own.
        let abandoned = *state.status() == RunStatus::Ended(Outcome::Abandoned);
        if state.is_over() && (open.is_empty() || abandoned) {
            return Err(RunError::Ended { run });
        }
        self.refuse_foreign_marks(run).await?;
        let mut first = Vec::new();
        if *state.status() == RunStatus::Unbegun {
            // Its process died between the record and the first event.
            let rollout = Digest::new(state.rollout().digest.as_str());
            first.push(EventKind::RunStarted { run, rollout, runner: self.runner.clone() });
        } else {
            first.push(EventKind::RunResumed { runner: self.runner.clone() });
            if matches!(state.status(), RunStatus::Paused(..)) {
                first.push(EventKind::RunContinued { by: "resume".to_owned() });
            }
        }
        self.drive(state, Mode::Real, &self.journal, first, steer, observer).await
    }

    /// A run goes on in one journal alone, and under no older version than the one that ran it last.
    async fn refuse_elsewhere(&self, state: &RunState) -> Result<(), RunError> {
        let run = state.run();
        let standing = self.journal.standing(run).await.map_err(RunError::Journal)?;
        if !standing.is_here() {
            return Err(RunError::Journal(JournalError::Elsewhere { run, standing }));
        }
        let newer = state.runner().filter(|last| is_newer(&last.version, &self.runner.version));
        match newer {
            Some(last) => Err(RunError::Newer { run, theirs: last.version.clone(), ours: self.runner.version.clone() }),
            None => Ok(()),
        }
    }

    /// Gives back what a run holds. What is under way ends first; hosts on which nothing was changed get their exact
    /// prior state, the others are quarantined.
    pub async fn abandon(
        &self,
        run: RunId,
        by: &str,
        steer: mpsc::Receiver<Steer>,
        observer: &mut dyn Observer,
    ) -> Result<RunEnd, RunError> {
        let state = load(self.journal.as_ref(), run).await?;
        let held = self.hold(&state.rollout().region).await?;
        let state = load(self.journal.as_ref(), run).await?;
        if state.is_over() {
            return Err(RunError::Ended { run });
        }
        self.refuse_elsewhere(&state).await?;
        let first = vec![
            EventKind::RunResumed { runner: self.runner.clone() },
            EventKind::StopRequested { by: format!("{by}, to abandon the run") },
        ];
        let end = held.drive(state, Mode::Real, &self.journal, first, steer, observer).await?;
        if end.outcome != Some(Outcome::Stopped) {
            return Ok(end);
        }
        let end = held.give_up_half_done(end.state, by, observer).await?;
        if end.outcome != Some(Outcome::Stopped) {
            return Ok(end);
        }
        held.give_back(end.state, observer).await
    }

    /// Quarantines the hosts whose update has begun, and carries out their aftercare.
    async fn give_up_half_done(
        &self,
        state: RunState,
        by: &str,
        observer: &mut dyn Observer,
    ) -> Result<RunEnd, RunError> {
        let begun = |host: &HostState| host.phase == HostPhase::Active && host.is_half_done();
        let half_done: Vec<HostName> =
            state.in_order().filter(|(_, host)| begun(host)).map(|(planned, _)| planned.host.clone()).collect();
        let mut events = vec![
            EventKind::RunResumed { runner: self.runner.clone() },
            EventKind::StopRequested { by: format!("{by}, to abandon the run") },
        ];
        events.extend(half_done.into_iter().map(|host| EventKind::HostQuarantined {
            step: StepId::of(&host, StepKind::Update.name()),
            host,
            reason: "the run was abandoned after its update had begun".to_owned(),
        }));
        let (_steer, steered) = mpsc::channel(1);
        self.drive(state, Mode::Real, &self.journal, events, steered, observer).await
    }

    async fn give_back(&self, state: RunState, observer: &mut dyn Observer) -> Result<RunEnd, RunError> {
        let run = state.run();
        let mut driver = self.driver(state, Mode::Real, &self.journal, observer);
        let interrupted = |source| RunError::Drive { run, source };
        driver.commit(vec![EventKind::RunResumed { runner: self.runner.clone() }]).await.map_err(interrupted)?;
        let begun = driver.state.in_order().filter(|(_, host)| host.phase == HostPhase::Active);
        let begun: Vec<(PlannedHost, bool)> =
            begun.map(|(planned, host)| (planned.clone(), host.may_be_fenced())).collect();
        for (planned, fenced) in begun {
            let host = planned.host.clone();
            let step = StepId::of(&host, StepKind::Enable.name());
            let (released, changes) = trail::collected(&step, self.release(run, &planned, fenced)).await;
            let made = changes.into_iter().map(|change| EventKind::ChangeMade { step: step.clone(), change });
            driver.commit(made.collect()).await.map_err(interrupted)?;
            let event = match released {
                Ok(()) => EventKind::HostReleased { host },
                Err(reason) => {
                    let step = StepId::of(&host, StepKind::Disable.name());
                    EventKind::HostQuarantined { host, step, reason }
                }
            };
            driver.commit(vec![event]).await.map_err(interrupted)?;
        }
        let cost = self.ports.cloud.cost();
        let outcome = Outcome::Abandoned;
        let ended = EventKind::RunEnded { outcome, requests: cost.requests, retries: cost.retries };
        driver.commit(vec![ended]).await.map_err(interrupted)?;
        Ok(RunEnd { outcome: Some(outcome), state: driver.state })
    }

    /// Gives one host back as it was. May be repeated: only what carries our mark is touched.
    async fn release(&self, run: RunId, planned: &PlannedHost, fenced: bool) -> Result<(), String> {
        if fenced {
            let order = FenceOrder { host: planned.host.clone(), identity: planned.identity.clone(), up: false };
            self.ports.shell.fence(&order).await.map_err(|error| error.to_string())?;
        }
        let services = self.ports.cloud.services().await.map_err(|error| error.to_string())?;
        let service = services.iter().find(|service| service.host == planned.host);
        let reason = service.and_then(|service| service.service.disabled_reason.as_deref());
        if reason.and_then(Mark::read) != Some(Mark::of(run)) {
            return Ok(());
        }
        let before = &planned.service;
        let accepted = match before.status {
            ServiceStatus::Enabled => self.ports.cloud.enable_service(&before.id).await,
            ServiceStatus::Disabled => {
                let reason = before.disabled_reason.as_deref().unwrap_or_default();
                self.ports.cloud.disable_service(&before.id, reason).await
            }
        };
        accepted.map(|_| ()).map_err(|error| error.to_string())
    }

    /// Goes through a rollout with probes only; nothing is changed and nothing is kept.
    pub async fn dry_run(
        &self,
        rollout: Rollout,
        region: &Region,
        steer: mpsc::Receiver<Steer>,
        observer: &mut dyn Observer,
    ) -> Result<RunEnd, RunError> {
        let run = RunId::new(Uuid::now_v7());
        self.refuse_foreign_marks(run).await?;
        let record = record_of(run, &rollout, region, self.ports.clock.now());
        let journal: Arc<dyn Journal> = Arc::new(MemoryJournal::default());
        journal.create(&record).await.map_err(RunError::Journal)?;
        let state = RunState::new(run, Arc::new(rollout), region);
        let begun = EventKind::RunStarted { run, rollout: record.digest, runner: self.runner.clone() };
        self.drive(state, Mode::Dry, &journal, vec![begun], steer, observer).await
    }

    /// Runs a rollout in a region that is only simulated: as [`Self::begin`], and nothing is written down of its
    /// beginning, which for a large region takes longer than the run. The journal hears of its events all the same.
    pub async fn rehearse(
        &self,
        run: RunId,
        rollout: Arc<Rollout>,
        region: &Region,
        steer: mpsc::Receiver<Steer>,
        observer: &mut dyn Observer,
    ) -> Result<RunEnd, RunError> {
        self.refuse_foreign_marks(run).await?;
        let digest = Digest::new(rollout.digest.as_str());
        let state = RunState::new(run, rollout, region);
        let begun = EventKind::RunStarted { run, rollout: digest, runner: self.runner.clone() };
        self.drive(state, Mode::Real, &self.journal, vec![begun], steer, observer).await
    }

    async fn drive(
        &self,
        state: RunState,
        mode: Mode,
        journal: &Arc<dyn Journal>,
        first: Vec<EventKind>,
        steer: mpsc::Receiver<Steer>,
        observer: &mut dyn Observer,
    ) -> Result<RunEnd, RunError> {
        let run = state.run();
        let mut driver = self.driver(state, mode, journal, observer);
        let interrupted = |source| RunError::Drive { run, source };
        driver.commit(first).await.map_err(interrupted)?;
        // The largest future there is: on the heap, whoever asks holds a pointer.
        Box::pin(driver.drive(steer)).await.map_err(interrupted)
    }

    fn driver<'a>(
        &self,
        state: RunState,
        mode: Mode,
        journal: &Arc<dyn Journal>,
        observer: &'a mut dyn Observer,
    ) -> Driver<'a> {
        Driver {
            state,
            ports: self.ports.clone(),
            journal: Arc::clone(journal),
            mode,
            ahead: SignedDuration::ZERO,
            runner: self.runner.clone(),
            settings: self.settings.clone(),
            observer,
            memory: Memory::default(),
            asked: Asked::default(),
        }
    }

    /// Another run's mark anywhere in the region stops us: the region lock of a local journal binds those who use that
    /// journal.
    async fn refuse_foreign_marks(&self, run: RunId) -> Result<(), RunError> {
        if self.take_over {
            return Ok(());
        }
        let services = self.ports.cloud.services().await.map_err(RunError::Cloud)?;
        let marks = services.iter().filter(|service| service.service.status == ServiceStatus::Disabled);
        let marks: Vec<(RunId, HostName)> = marks
            .filter_map(|service| {
                let mark = Mark::read(service.service.disabled_reason.as_deref()?)?;
                Some((mark.run(), service.host.clone()))
            })
            .filter(|(owner, _)| *owner != run)
            .collect();
        let owners: BTreeSet<RunId> = marks.iter().map(|(owner, _)| *owner).collect();
        match owners.into_iter().next() {
            None => Ok(()),
            Some(owner) => {
                let hosts = marks.into_iter().filter(|(other, _)| *other == owner).map(|(_, host)| host).collect();
                Err(RunError::ForeignMark { hosts, run: owner })
            }
        }
    }
}

/// Whether `theirs` is of a later minor version than `ours`: patches change nothing that is kept. What is no version is
/// taken for an old one.
fn is_newer(theirs: &str, ours: &str) -> bool {
    let minor = |version: &str| -> Option<(u64, u64)> {
        let mut parts = version.split('.');
        Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
    };
    minor(theirs).unwrap_or_default() > minor(ours).unwrap_or_default()
}

/// The state before a run's first event: for who folds the events itself.
pub async fn unbegun(journal: &dyn Journal, run: RunId) -> Result<RunState, RunError> {
    let record = journal.record(run).await.map_err(RunError::Journal)?;
    let unreadable = |source| RunError::Record { run, source };
    let rollout: Rollout = serde_json::from_str(&record.rollout).map_err(unreadable)?;
    let region: Region = serde_json::from_str(&record.snapshot).map_err(unreadable)?;
    Ok(RunState::new(run, Arc::new(rollout), &region))
}

/// What the journal keeps of a run's beginning.
fn record_of(run: RunId, rollout: &Rollout, region: &Region, created: jiff::Timestamp) -> RunRecord {
    let text = |value: Result<String, serde_json::Error>| value.expect("rollouts and regions have text keys only");
    RunRecord {
        run,
        region: rollout.region.clone(),
        digest: Digest::new(rollout.digest.as_str()),
        created,
        rollout: text(serde_json::to_string(rollout)),
        snapshot: text(serde_json::to_string(region)),
    }
}
