//! The journal: where a run's truth is. Port and stores.
//!
//! A store keeps runs (rollout and region as they were at the start), their events in order without gaps, requests
//! from other terminals, and who is the one writer of a region. [`sqlite`] is the default; [`postgres`] is shared by several
//! machines; [`memory`] serves dry runs and tests, where it can fail after a number of appends. Events are chained by
//! digests ([`chain`]); runs move between stores and are removed by [`archive`].

pub mod archive;
pub mod chain;
mod codec;
pub mod memory;
pub mod postgres;
pub mod sqlite;

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::model::{Digest, FencingToken, Limits, RunId};
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
    /// Events speak of what a later version knows.
    #[error("event {seq} of run {run} speaks of `{what}`, which fleetmend {} does not know", env!("CARGO_PKG_VERSION"))]
    Later {
        /// Run.
        run: RunId,
        /// Number of the event.
        seq: u64,
        /// The word that is not known.
        what: String,
    },
    /// An event is not what was written, or is gone.
    #[error("event {seq} of run {run} {what}: the journal was tampered with, or is damaged")]
    Tampered {
        /// Run.
        run: RunId,
        /// Number of the event.
        seq: u64,
        /// What is wrong with it.
        what: &'static str,
    },
    /// Two journals tell different things of one run.
    #[error("the journal {place} has other events of run {run}: it went on there")]
    Differs {
        /// Run.
        run: RunId,
        /// The journal that was to have a copy.
        place: String,
    },
    /// A run that goes on somewhere else, or is not here yet.
    #[error("run {run} {}", standing.words())]
    Elsewhere {
        /// Run.
        run: RunId,
        /// Where.
        standing: Standing,
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
    /// Whether it goes on here.
    #[serde(default, skip_serializing_if = "Standing::is_here")]
    pub standing: Standing,
}

/// Whether a run goes on in a journal: it does so in one alone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// It does.
    #[default]
    Here,
    /// It is being copied to this journal: not all of it may be there.
    Arriving,
    /// It was copied to that journal and goes on there.
    MovedTo(String),
}

impl Standing {
    /// Whether the run goes on in the journal.
    pub fn is_here(&self) -> bool {
        *self == Self::Here
    }

    /// As the stores keep it.
    fn of_columns(arriving: bool, moved_to: Option<String>) -> Self {
        match moved_to {
            _ if arriving => Self::Arriving,
            Some(place) => Self::MovedTo(place),
            None => Self::Here,
        }
    }

    fn columns(&self) -> (bool, Option<&str>) {
        match self {
            Self::Here => (false, None),
            Self::Arriving => (true, None),
            Self::MovedTo(place) => (false, Some(place)),
        }
    }

    fn words(&self) -> String {
        match self {
            Self::Here => "goes on here".to_owned(),
            Self::Arriving => "was not copied to its end".to_owned(),
            Self::MovedTo(place) => format!("was copied to {place} and goes on there"),
        }
    }
}

/// An event as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its number.
    pub seq: u64,
    /// JSON text.
    pub body: String,
    /// Of the chain; `None` where a version wrote it that had none.
    pub digest: Option<Digest>,
}

impl StoredEvent {
    /// The event as it is spoken of.
    pub fn read(&self, run: RunId) -> JournalResult<Event> {
        codec::event(run, self)
    }
}

/// What the events of a run say up to one of them: a shortcut, never the truth. It is made again from the events at any
/// time, and does not count where it does not fit them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Number of the last event in it.
    pub seq: u64,
    /// Digest of that event, which covers all events before it.
    pub digest: Digest,
    /// Which version made it, and how.
    pub made_by: String,
    /// JSON text.
    pub body: String,
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

    /// What this taking of the region is numbered, where takings are counted.
    fn token(&self) -> Option<FencingToken> {
        None
    }

    /// How long it is surely held unless it is renewed meanwhile; `None` when it cannot be lost.
    fn left(&self) -> Option<Duration> {
        None
    }
}

/// So many events are read at once: a few megabytes.
pub const PAGE: usize = 10_000;

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
    /// Its events from number `from` on as they are stored, at most `most` of them, unchecked.
    async fn page(&self, run: RunId, from: u64, most: usize) -> JournalResult<Vec<StoredEvent>>;
    /// Its events from number `from` on, in order; what is not as it was written is refused.
    async fn events(&self, run: RunId, from: u64) -> JournalResult<Vec<Event>> {
        let mut chain = chain::Chain::somewhere(run, from.max(1) - 1);
        let mut events = Vec::new();
        loop {
            let page = self.page(run, chain.seq() + 1, PAGE).await?;
            for stored in &page {
                chain.check(stored)?;
                events.push(codec::event(run, stored)?);
            }
            if page.len() < PAGE {
                return Ok(events);
            }
        }
    }
    /// Whether the run goes on here.
    async fn standing(&self, _run: RunId) -> JournalResult<Standing> {
        Ok(Standing::Here)
    }
    /// The newest snapshot of a run.
    async fn snapshot(&self, _run: RunId) -> JournalResult<Option<Snapshot>> {
        Ok(None)
    }
    /// Keeps a snapshot in place of the former one.
    async fn keep_snapshot(&self, _run: RunId, _snapshot: &Snapshot) -> JournalResult<()> {
        Ok(())
    }
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
