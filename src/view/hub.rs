//! Follows a journal and tells viewers what changed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{Notify, broadcast, mpsc};
use tokio::time::MissedTickBehavior;

use super::board::Board;
use crate::actions::Progress;
use crate::clock::Clock;
use crate::journal::{Heartbeat, Journal, JournalError};
use crate::model::RunId;
use crate::report::Observation;
use crate::run::{RunState, RunStatus};

/// Changes that a slow viewer may be behind; one that is further behind begins anew.
const BEHIND: usize = 64;

/// How often viewers are told at most: often enough to look alive, seldom enough for a thousand hosts at once.
const TELL_EVERY: Duration = Duration::from_millis(250);

/// Of these turns, each how many-th looks for events without having been told that there are some.
const LOOK_EVERY: u32 = 4;

/// Of these turns, each how many-th looks whether the runner lives, and how long all of it may still take.
const BEAT_EVERY: u32 = 20;

/// Whether the process that sent a heartbeat lives, as seen at a time.
pub type Liveness = Arc<dyn Fn(&Heartbeat, Timestamp) -> bool + Send + Sync>;

/// One run, and who watches it.
pub struct Hub {
    board: Mutex<Board>,
    changes: broadcast::Sender<Arc<str>>,
    bell: Arc<Notify>,
    run: RunId,
}

impl Hub {
    /// Of a run that stands at `state`, which no event has changed yet.
    pub fn new(state: RunState, now: Timestamp) -> Arc<Self> {
        let run = state.run();
        let board = Board::new(state, Observation { now, heartbeat: None, alive: true });
        Arc::new(Self {
            board: Mutex::new(board),
            changes: broadcast::channel(BEHIND).0,
            bell: Arc::new(Notify::new()),
            run,
        })
    }

    /// The run.
    pub fn run(&self) -> RunId {
        self.run
    }

    /// Rung when the journal has more.
    pub fn bell(&self) -> Arc<Notify> {
        Arc::clone(&self.bell)
    }

    /// What changes from here on.
    pub(super) fn watch(&self) -> broadcast::Receiver<Arc<str>> {
        self.changes.subscribe()
    }

    /// The run as it stands. Held for as long as it takes to read it.
    pub fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads what is new in `journal`; answers whether there was something.
    ///
    /// # Errors
    /// When the journal cannot be read.
    pub async fn read(
        &self,
        journal: &dyn Journal,
        lives: &Liveness,
        clock: &dyn Clock,
        with_life: bool,
    ) -> Result<bool, JournalError> {
        let from = self.board().state().seq() + 1;
        let events = journal.events(self.run, from).await?;
        let heartbeat = if with_life { Some(journal.heartbeat(self.run).await?) } else { None };
        let mut board = self.board();
        for event in &events {
            if let Err(contradiction) = board.tell(event) {
                board.trouble(Some(contradiction.to_string()));
                return Ok(true);
            }
        }
        if let Some(heartbeat) = heartbeat {
            let now = clock.now();
            let goes_on = !matches!(board.state().status(), RunStatus::Ended(_));
            let alive = goes_on && heartbeat.as_ref().is_some_and(|beat| lives(beat, now));
            board.observe(Observation { now, heartbeat: heartbeat.map(|beat| beat.at), alive });
        }
        board.trouble(None);
        Ok(!events.is_empty())
    }

    /// Tells viewers what changed since they were last told.
    pub fn tell(&self) {
        let change = self.board().change();
        if let Some(change) = change {
            // Nobody watching is no reason to stop.
            let _ = self.changes.send(change.into());
        }
    }

    /// Follows the journal for as long as this is polled.
    pub async fn follow(
        self: Arc<Self>,
        journal: Arc<dyn Journal>,
        mut progress: mpsc::Receiver<Progress>,
        lives: Liveness,
        clock: Arc<dyn Clock>,
    ) {
        let mut tick = tokio::time::interval(TELL_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut turn = 0_u32;
        let mut rung = true;
        loop {
            tokio::select! {
                biased;
                _ = tick.tick() => {
                    let with_life = turn.is_multiple_of(BEAT_EVERY);
                    if rung || with_life || turn.is_multiple_of(LOOK_EVERY) {
                        rung = false;
                        if let Err(error) = self.read(journal.as_ref(), &lives, clock.as_ref(), with_life).await {
                            self.board().trouble(Some(error.to_string()));
                        }
                    }
                    self.tell();
                    turn = turn.wrapping_add(1);
                }
                () = self.bell.notified() => rung = true,
                Some(heard) = progress.recv() => self.board().hear(&heard),
            }
        }
    }
}
