//! A store whose process dies after so many calls that change it.

use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use fleetmend::journal::archive::Archive;
use fleetmend::journal::{
    Heartbeat, Journal, JournalError, JournalResult, PlacedRequest, RegionHold, RunListing, RunRecord, Standing,
    StoredEvent,
};
use fleetmend::model::RunId;
use fleetmend::run::{Event, Runner};

/// Passes everything on until its time has come.
pub struct Dying<'a> {
    store: &'a dyn Archive,
    left: &'a AtomicUsize,
}

impl<'a> Dying<'a> {
    /// Dies when `left`, which it may share with another store, has come to nothing.
    pub fn after(store: &'a dyn Archive, left: &'a AtomicUsize) -> Self {
        Self { store, left }
    }

    fn lives(&self) -> JournalResult<()> {
        let counted = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1));
        counted.map(|_| ()).map_err(|_| JournalError::Store {
            operation: "write to",
            place: self.store.place(),
            source: "killed".into(),
        })
    }
}

#[async_trait]
impl Journal for Dying<'_> {
    fn place(&self) -> String {
        self.store.place()
    }

    async fn hold(&self, region: &str, runner: &Runner) -> JournalResult<Box<dyn RegionHold>> {
        self.store.hold(region, runner).await
    }

    async fn create(&self, record: &RunRecord) -> JournalResult<()> {
        self.store.create(record).await
    }

    async fn append(&self, run: RunId, events: &[Event]) -> JournalResult<()> {
        self.store.append(run, events).await
    }

    async fn record(&self, run: RunId) -> JournalResult<RunRecord> {
        self.store.record(run).await
    }

    async fn page(&self, run: RunId, from: u64, most: usize) -> JournalResult<Vec<StoredEvent>> {
        self.store.page(run, from, most).await
    }

    async fn standing(&self, run: RunId) -> JournalResult<Standing> {
        self.store.standing(run).await
    }

    async fn runs(&self) -> JournalResult<Vec<RunListing>> {
        self.store.runs().await
    }

    async fn beat(&self, run: RunId, heartbeat: &Heartbeat) -> JournalResult<()> {
        self.lives()?;
        self.store.beat(run, heartbeat).await
    }

    async fn heartbeat(&self, run: RunId) -> JournalResult<Option<Heartbeat>> {
        self.store.heartbeat(run).await
    }

    async fn place_request(&self, run: RunId, request: &PlacedRequest) -> JournalResult<()> {
        self.lives()?;
        self.store.place_request(run, request).await
    }

    async fn open_requests(&self, run: RunId) -> JournalResult<Vec<(i64, PlacedRequest)>> {
        self.store.open_requests(run).await
    }

    async fn close_requests(&self, run: RunId, numbers: &[i64]) -> JournalResult<()> {
        self.store.close_requests(run, numbers).await
    }
}

#[async_trait]
impl Archive for Dying<'_> {
    async fn expect(&self, record: &RunRecord) -> JournalResult<()> {
        self.lives()?;
        self.store.expect(record).await
    }

    /// One event after the other, so that it can die between any two.
    async fn import(&self, run: RunId, events: &[StoredEvent]) -> JournalResult<()> {
        for event in events {
            self.lives()?;
            self.store.import(run, std::slice::from_ref(event)).await?;
        }
        Ok(())
    }

    async fn set_standing(&self, run: RunId, standing: &Standing) -> JournalResult<()> {
        self.lives()?;
        self.store.set_standing(run, standing).await
    }

    async fn remove(&self, run: RunId) -> JournalResult<()> {
        self.lives()?;
        self.store.remove(run).await
    }

    async fn compact(&self) -> JournalResult<()> {
        self.store.compact().await
    }
}
