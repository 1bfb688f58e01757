//! The journal: where a run's truth is. Port and stores.
//!
//! A store keeps runs (rollout and region as they were at the start), their events in order without gaps, requests
//! from other terminals, and who is the one writer of a region. [`sqlite`] is the default; [`postgres`] is shared by several
//! machines; [`memory`] serves dry runs and tests, where it can fail after a number of appends.

mod codec;
pub mod memory;
pub mod postgres;
pub mod sqlite;

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::{Digest, Limits, RunId};
use crate::run::event::{Event, Runner};

/// Result of a journal operation.
pub type JournalResult<T> = Result<T, JournalError>;

/// What can go wrong with a journal.
#[derive(Debug, thiserror::Error)]
pub enum JournalError {
    /// The store cannot be opened or written: a read-only folder, a full disk, a damaged file.
    #[error("cannot {operation} the journal {place}")]
    Store {
        /// `open`, `append to`, `read`.
        operation: &'static str,
        /// Path or address, without credentials.
        place: String,
        /// The store's own words.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A different version of fleetmend wrote it.
    #[error("the journal {place} has format {found}; this version of fleetmend reads up to format {known}")]
    Newer {
        /// Path or address.
        place: String,
        /// Its format.
        found: i64,
        /// The newest that is known.
        known: i64,
    },
    /// The file is a database of something else.
    #[error("{place} is a database, but not a fleetmend journal")]
    Foreign {
        /// Path.
        place: String,
    },
    /// A record is not what it should be.
    #[error("event {seq} of run {run} in the journal cannot be read")]
    Damaged {
        /// Run.
        run: RunId,
        /// Number of the event.
        seq: u64,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// Another runner holds the region.
    #[error("region {region} is held by {holder}")]
    Held {
        /// Region.
        region: String,
        /// Who.
        holder: String,
    },
    /// Another runner may hold the region by now: nothing more may be written or changed.
    #[error("region {region} is no longer ours: its lease ran out")]
    Lost {
        /// Region.
        region: String,
    },
    /// Somebody would write who holds no region.
    #[error("nothing may be written to the journal {place} by a process that holds no region of it")]
    NotHeld {
        /// Path or address, without credentials.
        place: String,
    },
    /// There is no such run.
    #[error("no run {0}")]
    NoRun(String),
    /// An append would leave a gap or overwrite.
    #[error("event {seq} of run {run} is out of order; the journal has another writer")]
    OutOfOrder {
        /// Run.
        run: RunId,
        /// Number that was to be written.
        seq: u64,
    },
}

/// A run as it was begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRecord {
    /// Its id.
    pub run: RunId,
    /// The region's name.
    pub region: String,
    /// Digest of its rollout.
    pub digest: Digest,
    /// When it was begun.
    pub created: Timestamp,
    /// The rollout, as JSON text.
    pub rollout: String,
    /// The region at the start, as JSON text.
    pub snapshot: String,
}

/// A line of the list of runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunListing {
    /// Its id.
    pub run: RunId,
    /// The region's name.
    pub region: String,
    /// Digest of its rollout.
    pub digest: Digest,
    /// When it was begun.
    pub created: Timestamp,
    /// How many events it has.
    pub events: u64,
    /// Whether its last event ended it for good (done, done-with-failures, abandoned).
    pub ended: bool,
}

/// Who runs a run and when they last said so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Heartbeat {
    /// Who.
    pub runner: Runner,
    /// When.
    pub at: Timestamp,
}

/// What another terminal asks of the one owner of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "kebab-case")]
pub enum Request {
    /// Begin nothing more until `continue`.
    Pause,
    /// After a pause.
    Continue,
    /// End when what is under way has ended.
    Stop,
    /// Open the gate that waits for approval.
    Approve,
    /// Leave a waiting host alone.
    Skip {
        /// Which.
        host: crate::model::HostName,
    },
    /// Try a quarantined or skipped host again.
    Retry {
        /// Which.
        host: crate::model::HostName,
    },
    /// Other limits from here on.
    Limits {
        /// All of them.
        limits: Limits,
    },
}

/// A request with who made it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlacedRequest {
    /// What.
    pub request: Request,
    /// `user@host`.
    pub by: String,
    /// When.
    pub at: Timestamp,
}

/// Holds a region for one runner until it is dropped or its process ends.
pub trait RegionHold: Send + Sync {
    /// `Err` when it may have been lost: then nothing more may be changed. Asks nobody, and costs nothing.
    fn check(&self) -> JournalResult<()> {
        Ok(())
    }

    /// How long it is surely held unless it is renewed meanwhile; `None` when it cannot be lost.
    fn left(&self) -> Option<Duration> {
        None
    }
}

/// A store of runs.
#[async_trait]
pub trait Journal: Send + Sync {
    /// Where it is, for people, without credentials.
    fn place(&self) -> String;
    /// Makes this process the one writer of a region; `Held` when another is.
    async fn hold(&self, region: &str, runner: &Runner) -> JournalResult<Box<dyn RegionHold>>;
    /// Writes down a run that begins; durable on return.
    async fn create(&self, record: &RunRecord) -> JournalResult<()>;
    /// Appends events whose numbers follow the last one; durable on return, all or nothing.
    async fn append(&self, run: RunId, events: &[Event]) -> JournalResult<()>;
    /// A run as it was begun.
    async fn record(&self, run: RunId) -> JournalResult<RunRecord>;
    /// Its events from number `from` on, in order.
    async fn events(&self, run: RunId, from: u64) -> JournalResult<Vec<Event>>;
    /// All runs, newest first.
    async fn runs(&self) -> JournalResult<Vec<RunListing>>;
    /// Says that a runner is alive.
    async fn beat(&self, run: RunId, heartbeat: &Heartbeat) -> JournalResult<()>;
    /// The last heartbeat.
    async fn heartbeat(&self, run: RunId) -> JournalResult<Option<Heartbeat>>;
    /// Places a request.
    async fn place_request(&self, run: RunId, request: &PlacedRequest) -> JournalResult<()>;
    /// Requests that no event answers yet, oldest first, with their numbers.
    async fn open_requests(&self, run: RunId) -> JournalResult<Vec<(i64, PlacedRequest)>>;
    /// Marks requests as taken.
    async fn close_requests(&self, run: RunId, numbers: &[i64]) -> JournalResult<()>;
}
