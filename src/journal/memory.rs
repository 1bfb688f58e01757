//! A journal in memory: for dry runs, and for tests that want it to fail after a number of appends.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;

use super::{
    Heartbeat, Journal, JournalError, JournalResult, PlacedRequest, RegionHold, RunListing, RunRecord, Standing,
    StoredEvent, codec,
};
use crate::model::RunId;
use crate::run::event::{Event, Runner};

/// Keeps runs until it is dropped.
#[derive(Debug, Default)]
pub struct MemoryJournal {
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    runs: BTreeMap<RunId, Stored>,
    appends_left: Option<usize>,
}

#[derive(Debug)]
struct Stored {
    record: RunRecord,
    events: Vec<Event>,
    heartbeat: Option<Heartbeat>,
    requests: Vec<(i64, PlacedRequest, bool)>,
}

struct Unheld;

impl RegionHold for Unheld {}

impl MemoryJournal {
    /// A journal whose appends fail once `appends` of them succeeded, as on a disk that is full.
    pub fn failing_after(appends: usize) -> Self {
        let journal = Self::default();
        journal.lock().appends_left = Some(appends);
        journal
    }

    /// Lets appends succeed again.
    pub fn heal(&self) {
        self.lock().appends_left = None;
    }

    /// A panic while the lock was held leaves plain data behind, which stays readable.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, run: RunId, read: impl FnOnce(&mut Stored) -> T) -> JournalResult<T> {
        self.lock().runs.get_mut(&run).map(read).ok_or_else(|| JournalError::NoRun(run.to_string()))
    }
}

#[async_trait]
impl Journal for MemoryJournal {
    fn place(&self) -> String {
        "in memory".to_owned()
    }

    async fn hold(&self, _region: &str, _runner: &Runner) -> JournalResult<Box<dyn RegionHold>> {
        Ok(Box::new(Unheld))
    }

    async fn create(&self, record: &RunRecord) -> JournalResult<()> {
        let stored = Stored { record: record.clone(), events: Vec::new(), heartbeat: None, requests: Vec::new() };
        self.lock().runs.insert(record.run, stored);
        Ok(())
    }

    async fn append(&self, run: RunId, events: &[Event]) -> JournalResult<()> {
        let mut inner = self.lock();
        if let Some(left) = &mut inner.appends_left {
            if *left == 0 {
                return Err(JournalError::Store {
                    operation: "append to",
                    place: self.place(),
                    source: "no space left on device".into(),
                });
            }
            *left -= 1;
        }
        let stored = inner.runs.get_mut(&run).ok_or_else(|| JournalError::NoRun(run.to_string()))?;
        for event in events {
            if event.seq != stored.events.len() as u64 + 1 {
                return Err(JournalError::OutOfOrder { run, seq: event.seq });
            }
            stored.events.push(event.clone());
        }
        Ok(())
    }

    async fn record(&self, run: RunId) -> JournalResult<RunRecord> {
        self.with(run, |stored| stored.record.clone())
    }

    async fn page(&self, run: RunId, from: u64, most: usize) -> JournalResult<Vec<StoredEvent>> {
        let stored = |event: &Event| StoredEvent { seq: event.seq, body: codec::encode(event), digest: None };
        self.with(run, |run| run.events.iter().filter(|event| event.seq >= from).take(most).map(stored).collect())
    }

    async fn events(&self, run: RunId, from: u64) -> JournalResult<Vec<Event>> {
        self.with(run, |stored| stored.events.iter().filter(|event| event.seq >= from).cloned().collect())
    }

    async fn runs(&self) -> JournalResult<Vec<RunListing>> {
        let listing = |stored: &Stored| RunListing {
            run: stored.record.run,
            region: stored.record.region.clone(),
            digest: stored.record.digest.clone(),
            created: stored.record.created,
            events: stored.events.len() as u64,
            ended: stored.events.last().is_some_and(Event::ends_the_run),
            standing: Standing::Here,
        };
        Ok(self.lock().runs.values().rev().map(listing).collect())
    }

    async fn beat(&self, run: RunId, heartbeat: &Heartbeat) -> JournalResult<()> {
        self.with(run, |stored| stored.heartbeat = Some(heartbeat.clone()))
    }

    async fn heartbeat(&self, run: RunId) -> JournalResult<Option<Heartbeat>> {
        self.with(run, |stored| stored.heartbeat.clone())
    }

    async fn place_request(&self, run: RunId, request: &PlacedRequest) -> JournalResult<()> {
        self.with(run, |stored| {
            let number = i64::try_from(stored.requests.len()).unwrap_or(i64::MAX);
            stored.requests.push((number, request.clone(), false));
        })
    }

    async fn open_requests(&self, run: RunId) -> JournalResult<Vec<(i64, PlacedRequest)>> {
        self.with(run, |stored| {
            let open = stored.requests.iter().filter(|(_, _, taken)| !taken);
            open.map(|(number, request, _)| (*number, request.clone())).collect()
        })
    }

    async fn close_requests(&self, run: RunId, numbers: &[i64]) -> JournalResult<()> {
        self.with(run, |stored| {
            for (number, _, taken) in &mut stored.requests {
                *taken |= numbers.contains(number);
            }
        })
    }
}
