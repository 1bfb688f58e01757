//! The one async loop: carries out decisions, records what happens, and is the only place that starts work on the
//! region or a host.
//!
//! An event is applied to the state, made durable, shown to the observer, and only then acted upon. When the journal
//! refuses, nothing further is begun and the loop ends: what is under way is adopted by whoever resumes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc;
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;

use super::event::{Event, EventKind, FaultScope, GateName, Outcome, Runner, StepFailure};
use super::gates::Asked;
use super::schedule::{Decision, Memory, next_wake, retry_at};
use super::state::{Gate, IllegalTransition, RunState};
use super::step::{Mode, News, Ports, StepTask};
use super::{control, host::StepStatus};
use crate::actions::{ErrorClass, Progress};
use crate::health::{Answer, Vitals};
use crate::journal::{Heartbeat, Journal, JournalError};
use crate::model::StepId;

/// How often requests from other terminals are looked for.
const REQUESTS_EVERY: Duration = Duration::from_secs(1);

/// How often a runner says that it is alive, in looks for requests.
const BEAT_EVERY: u32 = 5;

/// After so many events the state is saved, so that nobody who reads the journal folds more than these.
const SNAPSHOT_EVERY: u64 = 25_000;

/// News and progress that may wait to be read.
const CHANNEL: usize = 1024;

/// Follows a run; shows, never decides.
pub trait Observer: Send {
    /// An event is durable; `state` has it applied.
    fn event(&mut self, state: &RunState, event: &Event);
    /// A step reports progress.
    fn progress(&mut self, state: &RunState, progress: &Progress);
    /// Whether progress is shown; where it is not, steps do not ask the cloud for it.
    fn wants_progress(&self) -> bool {
        true
    }
}

/// What the terminal that runs a run asks of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Steer {
    /// Begin nothing more, end when what is under way has ended.
    Stop,
    /// Let go at once; whoever resumes adopts what is under way.
    LetGo,
}

/// How a process came out of a run.
#[derive(Debug)]
pub struct RunEnd {
    /// The outcome; `None` when it let go.
    pub outcome: Option<Outcome>,
    /// The state at that time.
    pub state: RunState,
}

/// Why a process could not go on with a run.
#[derive(Debug, thiserror::Error)]
pub enum DriveError {
    /// The journal refused; what is under way is adopted by `resume`.
    #[error("the run stopped because its journal cannot be written")]
    Journal(#[from] JournalError),
    /// A bug, or a damaged journal.
    #[error("the run's journal contradicts itself")]
    Illegal(#[from] IllegalTransition),
}

/// How the loop goes about its work.
#[derive(Clone)]
pub struct DriveSettings {
    /// How often things in flight are looked at.
    pub poll: Duration,
    /// Who asks the policy's health gates; where nobody does, as in a rehearsal, they count as well.
    pub vitals: Option<Arc<dyn Vitals>>,
}

/// What a gate says that nobody asks.
fn not_asked() -> Answer {
    Answer { is_well: true, said: "it is not asked here".to_owned() }
}

impl Default for DriveSettings {
    fn default() -> Self {
        Self { poll: Duration::from_secs(2), vitals: None }
    }
}

/// The owner of a run.
pub(super) struct Driver<'a> {
    pub state: RunState,
    pub ports: Ports,
    pub journal: Arc<dyn Journal>,
    pub mode: Mode,
    /// How far a dry run is ahead of the clock: it waits for nothing.
    pub ahead: SignedDuration,
    pub runner: Runner,
    pub settings: DriveSettings,
    pub observer: &'a mut dyn Observer,
    pub memory: Memory,
    pub asked: Asked,
}

/// Channels and tasks of steps under way.
struct Works {
    tasks: JoinSet<()>,
    held: BTreeMap<Id, StepId>,
    news: mpsc::Sender<News>,
    progress: mpsc::Sender<Progress>,
}

impl Driver<'_> {
    /// Runs until there is nothing left to do or nothing that may be done, or until it is steered to let go.
    pub(super) async fn drive(mut self, mut steer: mpsc::Receiver<Steer>) -> Result<RunEnd, DriveError> {
        let (news, mut inbox) = mpsc::channel(CHANNEL);
        let (progress, mut progress_inbox) = mpsc::channel(CHANNEL);
        let mut works = Works { tasks: JoinSet::new(), held: BTreeMap::new(), news, progress };
        let mut tick = tokio::time::interval(REQUESTS_EVERY);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut beats = 0_u32;
        if self.mode == Mode::Real {
            self.take_requests().await?;
        }
        self.adopt(&mut works);
        loop {
            if let Some(outcome) = self.advance(&mut works).await? {
                return Ok(RunEnd { outcome: Some(outcome), state: self.state });
            }
            let wake = self.sleep_until_wake();
            tokio::select! {
                biased;
                Some(steer) = steer.recv() => match steer {
                    Steer::Stop => self.commit(vec![EventKind::StopRequested { by: "this terminal".to_owned() }]).await?,
                    Steer::LetGo => return Ok(RunEnd { outcome: None, state: self.state }),
                },
                Some(news) = inbox.recv() => self.take(news).await?,
                Some(joined) = works.tasks.join_next_with_id() => self.bury(joined, &mut works).await?,
                Some(progress) = progress_inbox.recv() => self.observer.progress(&self.state, &progress),
                _ = tick.tick(), if self.mode == Mode::Real => {
                    self.take_requests().await?;
                    if beats.is_multiple_of(BEAT_EVERY) {
                        let heartbeat = Heartbeat { runner: self.runner.clone(), at: self.ports.clock.now() };
                        self.journal.beat(self.state.run(), &heartbeat).await?;
                    }
                    beats = beats.wrapping_add(1);
                    self.ask_gates(&mut works);
                }
                () = wake => {}
            }
        }
    }

    /// Carries out decisions until there is none; the outcome when the run ended.
    async fn advance(&mut self, works: &mut Works) -> Result<Option<Outcome>, DriveError> {
        loop {
            let decisions = self.memory.decide(&self.state, self.now());
            if decisions.is_empty() {
                if !self.skip_ahead().await? {
                    return Ok(None);
                }
                continue;
            }
            let starts: Vec<StepId> = decisions
                .iter()
                .filter_map(|decision| match decision {
                    Decision::Start { step, .. } => Some(step.clone()),
                    Decision::Quarantine { .. }
                    | Decision::Skip { .. }
                    | Decision::Relieve { .. }
                    | Decision::Pause { .. }
                    | Decision::ReachGate { .. }
                    | Decision::OpenGate
                    | Decision::End(_) => None,
                })
                .collect();
            let ended = decisions.iter().find_map(|decision| match decision {
                Decision::End(outcome) => Some(*outcome),
                Decision::Start { .. }
                | Decision::Quarantine { .. }
                | Decision::Skip { .. }
                | Decision::Relieve { .. }
                | Decision::Pause { .. }
                | Decision::ReachGate { .. }
                | Decision::OpenGate => None,
            });
            let kinds = decisions.into_iter().map(|decision| self.event_of(decision)).collect();
            self.commit(kinds).await?;
            if ended.is_some() {
                return Ok(ended);
            }
            for step in starts {
                self.spawn(&step, works);
            }
        }
    }

    /// A dry run waits for no time and no approval: it goes ahead of the clock to whatever comes next.
    async fn skip_ahead(&mut self) -> Result<bool, DriveError> {
        if self.mode == Mode::Real || self.state.is_busy() {
            return Ok(false);
        }
        if self.state.gate() == Gate::Reached(None) {
            let by = "the dry run".to_owned();
            self.commit(vec![EventKind::GateOpened { gate: GateName::Canary, by }]).await?;
            return Ok(true);
        }
        let gates = self.asked.due(&self.state, &self.ports.clock);
        if !gates.is_empty() {
            for gate in gates {
                self.take(News::Health(gate.name, not_asked())).await?;
            }
            return Ok(true);
        }
        let Some(wake) = next_wake(&self.state, self.now()) else { return Ok(false) };
        self.ahead += wake.duration_since(self.now());
        Ok(true)
    }

    fn event_of(&self, decision: Decision) -> EventKind {
        match decision {
            Decision::Start { step, attempt, target, because } => {
                EventKind::StepStarted { step, attempt, target, because }
            }
            Decision::Quarantine { host, step, reason } => EventKind::HostQuarantined { host, step, reason },
            Decision::Skip { host, reason } => EventKind::HostSkipped { host, reason },
            Decision::Relieve { host } => EventKind::HostRelieved { host },
            Decision::Pause { cause, reason } => EventKind::RunPaused { cause, reason },
            Decision::ReachGate { opens_at } => EventKind::GateReached { gate: GateName::Canary, opens_at },
            Decision::OpenGate => {
                EventKind::GateOpened { gate: GateName::Canary, by: "the end of the soak time".to_owned() }
            }
            Decision::End(outcome) => {
                let cost = self.ports.cloud.cost();
                EventKind::RunEnded { outcome, requests: cost.requests, retries: cost.retries }
            }
        }
    }

    /// Applies, makes durable, shows.
    pub(super) async fn commit(&mut self, kinds: Vec<EventKind>) -> Result<(), DriveError> {
        if kinds.is_empty() {
            return Ok(());
        }
        let at = self.now();
        let mut events = Vec::with_capacity(kinds.len());
        for kind in kinds {
            let event = Event { seq: self.state.seq() + 1, at, kind };
            self.state.apply(&event)?;
            events.push(event);
        }
        let before = self.state.seq() - events.len() as u64;
        self.journal.append(self.state.run(), &events).await?;
        if self.state.seq() / SNAPSHOT_EVERY > before / SNAPSHOT_EVERY {
            super::snapshot::keep(self.journal.as_ref(), &self.state).await;
        }
        for event in &events {
            self.observer.event(&self.state, event);
        }
        Ok(())
    }

    /// Takes up the steps that an earlier process left running: their probes find out what became of them.
    fn adopt(&mut self, works: &mut Works) {
        let running: Vec<StepId> = self
            .state
            .hosts()
            .values()
            .flat_map(super::HostState::steps)
            .filter(|step| step.is_running())
            .map(|step| step.step.id.clone())
            .collect();
        for step in running {
            #[cfg(test)]
            if crate::simulation::Mistake::LosesMovesOnResume.is_made() && step.as_str().contains("/move/") {
                continue;
            }
            self.spawn(&step, works);
        }
    }

    fn spawn(&self, id: &StepId, works: &mut Works) {
        let Some(state) = self.state.step(id) else { return };
        let StepStatus::Running { attempt, .. } = state.status else { return };
        let host = &state.step.host;
        let Some(place) = self.state.place_in_order(host) else { return };
        let memory = self.state.hosts().get(host).map(|host| host.memory().clone()).unwrap_or_default();
        let task = StepTask {
            mode: self.mode,
            run: self.state.run(),
            rollout: Arc::clone(self.state.rollout()),
            host: place,
            step: id.clone(),
            kind: state.step.kind,
            attempt,
            memory,
            leaving: state.leaving.clone().zip(state.target.clone()),
            parked: state.parked.clone(),
            intent: state.intent.clone(),
            intended: state.intended,
            poll: self.settings.poll,
        };
        let progress = self.observer.wants_progress().then(|| works.progress.clone());
        let (ports, news) = (self.ports.clone(), works.news.clone());
        let handle = works.tasks.spawn(task.run(ports, news, progress));
        works.held.insert(handle.id(), id.clone());
    }

    /// Asks the policy's health gates whose answers are too old.
    fn ask_gates(&mut self, works: &mut Works) {
        for gate in self.asked.due(&self.state, &self.ports.clock) {
            let (vitals, news) = (self.settings.vitals.clone(), works.news.clone());
            works.tasks.spawn(async move {
                let answer = match vitals {
                    Some(vitals) => vitals.ask(&gate).await,
                    None => not_asked(),
                };
                // An owner that is gone has let go of the run.
                let _ = news.send(News::Health(gate.name, answer)).await;
            });
        }
    }

    async fn take(&mut self, news: News) -> Result<(), DriveError> {
        match news {
            News::Intended(step, intent, recorded) => {
                self.commit(vec![EventKind::StepIntended { step, intent }]).await?;
                // A task that is gone by now does nothing: that is what the intent allows for.
                let _ = recorded.send(());
                Ok(())
            }
            News::Changed(step, change) => self.commit(vec![EventKind::ChangeMade { step, change }]).await,
            News::Seen(host, held) => {
                let (came, gone) = self.state.occupancy().differences(&host, held);
                if came.is_empty() && gone.is_empty() {
                    return Ok(());
                }
                self.commit(vec![EventKind::TargetSeen { host, came, gone }]).await
            }
            News::Health(gate, answer) => {
                if !self.asked.answered(&self.state, &gate, &answer) {
                    return Ok(());
                }
                let Answer { is_well, said } = answer;
                self.commit(vec![EventKind::HealthSeen { gate, is_well, said }]).await
            }
            News::Ended(step, result) => {
                let event = match result {
                    Ok(output) => EventKind::StepSucceeded { step, output },
                    Err(error) => self.failed(step, error.record()),
                };
                self.commit(vec![event]).await
            }
        }
    }

    fn failed(&self, step: StepId, failure: StepFailure) -> EventKind {
        let retry_at = retry_at(&self.state, &step, &failure, self.now());
        EventKind::StepFailed { step, failure, retry_at }
    }

    /// A task has ended. One that panicked has said nothing: its host stops, the others go on.
    async fn bury(&mut self, joined: Result<(Id, ()), JoinError>, works: &mut Works) -> Result<(), DriveError> {
        let (id, panicked) = match &joined {
            Ok((id, ())) => (*id, false),
            Err(error) => (error.id(), true),
        };
        let Some(step) = works.held.remove(&id).filter(|_| panicked) else { return Ok(()) };
        let failure = StepFailure {
            class: ErrorClass::Permanent,
            scope: FaultScope::Host,
            causes: vec!["fleetmend itself failed in this step; its log has the details".to_owned()],
        };
        let event = self.failed(step, failure);
        self.commit(vec![event]).await
    }

    async fn take_requests(&mut self) -> Result<(), DriveError> {
        let open = self.journal.open_requests(self.state.run()).await?;
        for (number, placed) in open {
            let kinds = control::events_for(&self.state, &placed);
            self.commit(kinds).await?;
            self.journal.close_requests(self.state.run(), &[number]).await?;
        }
        Ok(())
    }

    fn now(&self) -> Timestamp {
        let now = self.ports.clock.now();
        now.checked_add(self.ahead).unwrap_or(now)
    }

    /// Sleeps until time alone changes what may be decided.
    fn sleep_until_wake(&self) -> impl Future<Output = ()> + use<> {
        let now = self.now();
        let wake = self.memory.next_wake().map(|at| Duration::try_from(at - now).unwrap_or_default());
        let wake = wake.map(|wait| self.ports.clock.real(wait));
        async move {
            match wake {
                Some(wait) => tokio::time::sleep_until(Instant::now() + wait).await,
                None => std::future::pending().await,
            }
        }
    }
}
