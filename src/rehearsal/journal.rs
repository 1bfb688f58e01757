//! A journal that keeps nothing: what a rehearsal did is told by who watches it. It stands in for the operator as well,
//! who approves what waits for approval and ends what goes on for ever.

use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use jiff::Timestamp;

use crate::clock::Clock as _;
use crate::journal::{
    Heartbeat, Journal, JournalError, JournalResult, PlacedRequest, RegionHold, Request, RunListing, RunRecord,
    StoredEvent,
};
use crate::model::RunId;
use crate::run::{Event, EventKind, Runner};
use crate::sim::SimClock;

/// Who asks.
const OPERATOR: &str = "the rehearsal";

/// Keeps nothing, and asks what an operator would.
pub(super) struct Operator {
    clock: SimClock,
    /// When an operator loses patience.
    gives_up_at: Timestamp,
    wanted: Mutex<Wanted>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Nothing,
    /// The canary hosts' gate waits for somebody.
    Approval,
    /// The end was asked for.
    End,
}

struct Unheld;

impl RegionHold for Unheld {}

impl Operator {
    /// An operator who waits until `gives_up_at`.
    pub fn patient_until(gives_up_at: Timestamp, clock: SimClock) -> Self {
        Self { clock, gives_up_at, wanted: Mutex::new(Wanted::Nothing) }
    }

    /// A panic while the lock was held leaves a plain value behind.
    fn lock(&self) -> std::sync::MutexGuard<'_, Wanted> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn nothing_kept<T>(run: RunId) -> JournalResult<T> {
        Err(JournalError::NoRun(run.to_string()))
    }
}

#[async_trait]
impl Journal for Operator {
    fn place(&self) -> String {
        "nowhere".to_owned()
    }

    async fn hold(&self, _region: &str, _runner: &Runner) -> JournalResult<Box<dyn RegionHold>> {
        Ok(Box::new(Unheld))
    }

    async fn create(&self, _record: &RunRecord) -> JournalResult<()> {
        Ok(())
    }

    async fn append(&self, _run: RunId, events: &[Event]) -> JournalResult<()> {
        let waits = |event: &Event| matches!(event.kind, EventKind::GateReached { opens_at: None, .. });
        if events.iter().any(waits) {
            *self.lock() = Wanted::Approval;
        }
        Ok(())
    }

    async fn record(&self, run: RunId) -> JournalResult<RunRecord> {
        Self::nothing_kept(run)
    }

    async fn page(&self, run: RunId, _from: u64, _most: usize) -> JournalResult<Vec<StoredEvent>> {
        Self::nothing_kept(run)
    }

    async fn runs(&self) -> JournalResult<Vec<RunListing>> {
        Ok(Vec::new())
    }

    async fn beat(&self, _run: RunId, _heartbeat: &Heartbeat) -> JournalResult<()> {
        Ok(())
    }

    async fn heartbeat(&self, _run: RunId) -> JournalResult<Option<Heartbeat>> {
        Ok(None)
    }

    async fn place_request(&self, run: RunId, _request: &PlacedRequest) -> JournalResult<()> {
        Self::nothing_kept(run)
    }

    async fn open_requests(&self, _run: RunId) -> JournalResult<Vec<(i64, PlacedRequest)>> {
        let at = self.clock.now();
        let mut wanted = self.lock();
        let request = match *wanted {
            Wanted::End => return Ok(Vec::new()),
            _ if at >= self.gives_up_at => {
                *wanted = Wanted::End;
                Request::Stop
            }
            Wanted::Approval => {
                *wanted = Wanted::Nothing;
                Request::Approve
            }
            Wanted::Nothing => return Ok(Vec::new()),
        };
        Ok(vec![(0, PlacedRequest { request, by: OPERATOR.to_owned(), at })])
    }

    async fn close_requests(&self, _run: RunId, _numbers: &[i64]) -> JournalResult<()> {
        Ok(())
    }
}
