//! A journal that dies with its runner at a chosen event.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use fleetmend::journal::memory::MemoryJournal;
use fleetmend::journal::{
    Heartbeat, Journal, JournalError, JournalResult, PlacedRequest, RegionHold, RunListing, RunRecord, StoredEvent,
};
use fleetmend::model::RunId;
use fleetmend::run::{Event, Runner};

/// When the fuse burns out.
pub(super) type Burns = Box<dyn FnMut(&Event) -> Cut + Send>;

/// What becomes of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// It is made.
    No,
    /// The runner dies before it is durable.
    Before,
    /// It is durable, and the runner dies before it acts on it.
    After,
    /// It is durable, and the runner goes on without noticing that its hold on the region is lost.
    Hold,
}

/// Keeps everything in a [`MemoryJournal`] until its fuse burns out; from then on it refuses.
pub(super) struct Fuse {
    journal: Arc<MemoryJournal>,
    burns: Mutex<Burns>,
    is_out: Mutex<bool>,
    lost: Arc<AtomicBool>,
}

/// A hold that is lost when the fuse says so.
struct FuseHold(Arc<AtomicBool>);

impl RegionHold for FuseHold {
    fn check(&self) -> JournalResult<()> {
        let lost = self.0.load(Ordering::Relaxed);
        if lost { Err(JournalError::Lost { region: "SimOne".to_owned() }) } else { Ok(()) }
    }
}

impl Fuse {
    pub fn new(journal: Arc<MemoryJournal>, burns: Burns) -> Arc<Self> {
        Arc::new(Self { journal, burns: Mutex::new(burns), is_out: Mutex::new(false), lost: Arc::default() })
    }
}

fn dead() -> JournalError {
    JournalError::Store { operation: "append to", place: "a runner that died".to_owned(), source: "killed".into() }
}

#[async_trait]
impl Journal for Fuse {
    fn place(&self) -> String {
        self.journal.place()
    }

    async fn hold(&self, region: &str, runner: &Runner) -> JournalResult<Box<dyn RegionHold>> {
        let _ours = self.journal.hold(region, runner).await?;
        Ok(Box::new(FuseHold(Arc::clone(&self.lost))))
    }

    async fn create(&self, record: &RunRecord) -> JournalResult<()> {
        self.journal.create(record).await
    }

    async fn append(&self, run: RunId, events: &[Event]) -> JournalResult<()> {
        if *self.is_out.lock().unwrap() {
            return Err(dead());
        }
        let cuts: Vec<Cut> = events.iter().map(|event| (self.burns.lock().unwrap())(event)).collect();
        let cut = cuts.into_iter().find(|cut| *cut != Cut::No).unwrap_or(Cut::No);
        let dies = matches!(cut, Cut::Before | Cut::After);
        *self.is_out.lock().unwrap() = dies;
        if cut == Cut::Hold {
            self.lost.store(true, Ordering::Relaxed);
        }
        if cut != Cut::Before {
            self.journal.append(run, events).await?;
        }
        if dies { Err(dead()) } else { Ok(()) }
    }

    async fn record(&self, run: RunId) -> JournalResult<RunRecord> {
        self.journal.record(run).await
    }

    async fn page(&self, run: RunId, from: u64, most: usize) -> JournalResult<Vec<StoredEvent>> {
        self.journal.page(run, from, most).await
    }

    async fn events(&self, run: RunId, from: u64) -> JournalResult<Vec<Event>> {
        self.journal.events(run, from).await
    }

    async fn runs(&self) -> JournalResult<Vec<RunListing>> {
        self.journal.runs().await
    }

    async fn beat(&self, run: RunId, heartbeat: &Heartbeat) -> JournalResult<()> {
        self.journal.beat(run, heartbeat).await
    }

    async fn heartbeat(&self, run: RunId) -> JournalResult<Option<Heartbeat>> {
        self.journal.heartbeat(run).await
    }

    async fn place_request(&self, run: RunId, request: &PlacedRequest) -> JournalResult<()> {
        self.journal.place_request(run, request).await
    }

    async fn open_requests(&self, run: RunId) -> JournalResult<Vec<(i64, PlacedRequest)>> {
        self.journal.open_requests(run).await
    }

    async fn close_requests(&self, run: RunId, numbers: &[i64]) -> JournalResult<()> {
        self.journal.close_requests(run, numbers).await
    }
}
