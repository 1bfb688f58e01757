//! A journal whose runner dies at a chosen event, or whose disk has bad days.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;

use crate::journal::memory::MemoryJournal;
use crate::journal::{
    Heartbeat, Journal, JournalError, JournalResult, PlacedRequest, RegionHold, RunListing, RunRecord, StoredEvent,
};
use crate::model::RunId;
use crate::run::{Event, Runner};

/// What becomes of the append that the runner dies of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// It is not durable.
    Before,
    /// It is durable, and the runner does not act on it.
    After,
}

/// What a runner's journal has in store for it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Weather {
    /// At the so-manieth event from the start on the journal takes no more.
    pub dies: Option<(u64, Cut)>,
    /// The so-manieth request that is answered by an event cannot be closed: it will be found open again.
    pub forgets_request: Option<u64>,
    /// The so-manieth heartbeat fails.
    pub misses_beat: Option<u64>,
}

/// Keeps everything in a [`MemoryJournal`]; refuses for good from the moment its weather turns.
pub(super) struct Mortal {
    journal: Arc<MemoryJournal>,
    weather: Weather,
    events: AtomicU64,
    closed: AtomicU64,
    beats: AtomicU64,
    is_dead: AtomicBool,
}

struct Held;

impl RegionHold for Held {}

impl Mortal {
    pub fn new(journal: Arc<MemoryJournal>, weather: Weather) -> Self {
        Self {
            journal,
            weather,
            events: AtomicU64::new(0),
            closed: AtomicU64::new(0),
            beats: AtomicU64::new(0),
            is_dead: AtomicBool::new(false),
        }
    }

    fn lives(&self) -> JournalResult<()> {
        if self.is_dead.load(Ordering::Relaxed) { Err(dead()) } else { Ok(()) }
    }

    fn die(&self) -> JournalError {
        self.is_dead.store(true, Ordering::Relaxed);
        dead()
    }

    /// Dies at the so-manieth of something.
    fn strikes(&self, counter: &AtomicU64, at: Option<u64>) -> JournalResult<()> {
        self.lives()?;
        let nth = counter.fetch_add(1, Ordering::Relaxed) + 1;
        if at == Some(nth) { Err(self.die()) } else { Ok(()) }
    }
}

fn dead() -> JournalError {
    JournalError::Store { operation: "write to", place: "a disk on its last day".to_owned(), source: "killed".into() }
}

#[async_trait]
impl Journal for Mortal {
    fn place(&self) -> String {
        self.journal.place()
    }

    async fn hold(&self, _region: &str, _runner: &Runner) -> JournalResult<Box<dyn RegionHold>> {
        Ok(Box::new(Held))
    }

    async fn create(&self, record: &RunRecord) -> JournalResult<()> {
        self.journal.create(record).await
    }

    async fn append(&self, run: RunId, events: &[Event]) -> JournalResult<()> {
        self.lives()?;
        let seen = self.events.fetch_add(events.len() as u64, Ordering::Relaxed);
        let until = seen + events.len() as u64;
        let cut = self.weather.dies.filter(|(nth, _)| (seen + 1..=until).contains(nth)).map(|(_, cut)| cut);
        if cut != Some(Cut::Before) {
            self.journal.append(run, events).await?;
        }
        if cut.is_some() { Err(self.die()) } else { Ok(()) }
    }

    async fn record(&self, run: RunId) -> JournalResult<RunRecord> {
        self.journal.record(run).await
    }

    async fn page(&self, run: RunId, from: u64, most: usize) -> JournalResult<Vec<StoredEvent>> {
        self.journal.page(run, from, most).await
    }

    async fn runs(&self) -> JournalResult<Vec<RunListing>> {
        self.journal.runs().await
    }

    async fn beat(&self, run: RunId, heartbeat: &Heartbeat) -> JournalResult<()> {
        self.strikes(&self.beats, self.weather.misses_beat)?;
        self.journal.beat(run, heartbeat).await
    }

    async fn heartbeat(&self, run: RunId) -> JournalResult<Option<Heartbeat>> {
        self.journal.heartbeat(run).await
    }

    async fn place_request(&self, run: RunId, request: &PlacedRequest) -> JournalResult<()> {
        self.journal.place_request(run, request).await
    }

    async fn open_requests(&self, run: RunId) -> JournalResult<Vec<(i64, PlacedRequest)>> {
        self.lives()?;
        self.journal.open_requests(run).await
    }

    async fn close_requests(&self, run: RunId, numbers: &[i64]) -> JournalResult<()> {
        self.strikes(&self.closed, self.weather.forgets_request)?;
        self.journal.close_requests(run, numbers).await
    }
}
