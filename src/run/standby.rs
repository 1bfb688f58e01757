//! Waiting for a region, and taking over what a runner that died left there.
//!
//! Who holds the region decides alone who may act: whatever is looked at before is looked at again behind the hold.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::driver::{Observer, RunEnd, Steer};
use super::execute::{Engine, RunError};
use super::snapshot::load;
use super::state::RunState;
use crate::journal::JournalError;
use crate::model::{Region, RunId};
use crate::plan::Rollout;

/// How often a region that somebody holds is asked for: a lease that ran out is taken within this.
const ASKED_EVERY: Duration = Duration::from_secs(1);

/// An engine that holds its region.
pub struct Held(Engine);

/// What taking up a run came to.
#[derive(Debug)]
pub enum Turn {
    /// It was taken over, and came to this.
    Ran(Box<RunEnd>),
    /// Its last runner had brought it to an end or to a stop by somebody's word: nothing is left to take over.
    Over(Box<RunState>),
}

impl Engine {
    /// Waits until the region is ours; `None` when `steer` says to wait no longer. `told` hears who holds it, or what keeps
    /// the journal from saying so, each time that this is another.
    pub async fn wait_for(
        &self,
        region: &str,
        steer: &mut mpsc::Receiver<Steer>,
        told: &mut (dyn FnMut(&str) + Send),
    ) -> Result<Option<Held>, RunError> {
        let mut last = String::new();
        loop {
            let holder = match self.hold(region).await {
                Ok(held) => return Ok(Some(Held(held))),
                Err(RunError::Journal(JournalError::Held { holder, .. })) => format!("held by {holder}"),
                // It was opened a moment ago: a server that restarts comes back.
                Err(RunError::Journal(JournalError::Store { source, .. })) => {
                    format!("not to be had: the journal does not answer ({source})")
                }
                Err(error) => return Err(error),
            };
            if holder != last {
                told(&holder);
                last = holder;
            }
            tokio::select! {
                steered = steer.recv() => if steered.is_some() { return Ok(None) },
                () = tokio::time::sleep(ASKED_EVERY) => {}
            }
        }
    }
}

impl Held {
    /// Begins a run of `rollout`, as [`Engine::begin`].
    pub async fn begin(
        &self,
        run: RunId,
        rollout: Rollout,
        region: &Region,
        steer: mpsc::Receiver<Steer>,
        observer: &mut dyn Observer,
    ) -> Result<RunEnd, RunError> {
        self.0.begin_held(run, rollout, region, steer, observer).await
    }

    /// Goes on with a run whose runner died.
    pub async fn take_up(
        &self,
        run: RunId,
        steer: mpsc::Receiver<Steer>,
        observer: &mut dyn Observer,
    ) -> Result<Turn, RunError> {
        let state = load(self.0.journal.as_ref(), run).await?;
        if state.ended().is_some() {
            return Ok(Turn::Over(Box::new(state)));
        }
        self.0.go_on(state, steer, observer).await.map(|end| Turn::Ran(Box::new(end)))
    }

    /// Where the region's runs are.
    pub fn journal(&self) -> &Arc<dyn crate::journal::Journal> {
        &self.0.journal
    }
}
