//! The default journal: one SQLite file on this machine, WAL, `synchronous=FULL`, its own thread.
//!
//! The region's one writer is a lock on a file beside it, which the kernel gives back when the process ends, however
//! it ends. It binds those who use the same journal on this machine; the marks in Nova warn of others.

mod archive;
mod hold;
mod rows;
mod schema;
#[cfg(test)]
mod tests;
mod thread;

use std::path::Path;

use async_trait::async_trait;
use rusqlite::{OptionalExtension, params};

use super::codec::{decode, encode};
use super::{
    Heartbeat, Journal, JournalError, JournalResult, PlacedRequest, RegionHold, RunListing, RunRecord, Snapshot,
    Standing, StoredEvent, chain,
};
use crate::model::{Digest, RunId};
use crate::run::event::{Event, Runner};

use rows::{insert, last_of, record_of, standing_of, time};
use thread::{Thread, store};

/// A journal in an SQLite file.
pub struct SqliteJournal {
    thread: Thread,
}

impl SqliteJournal {
    /// Opens the journal at `path`, or makes one there with its folder.
    pub fn open(path: &Path) -> JournalResult<Self> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|source| store("open", path, source))?;
        }
        Ok(Self { thread: Thread::start(path, true)? })
    }

    /// Opens the journal at `path`; an error when there is none.
    pub fn open_existing(path: &Path) -> JournalResult<Self> {
        Ok(Self { thread: Thread::start(path, false)? })
    }
}

#[async_trait]
impl Journal for SqliteJournal {
    fn place(&self) -> String {
        self.thread.path().display().to_string()
    }

    async fn hold(&self, region: &str, runner: &Runner) -> JournalResult<Box<dyn RegionHold>> {
        hold::take(self.thread.path(), region, runner)
    }

    async fn create(&self, record: &RunRecord) -> JournalResult<()> {
        let record = record.clone();
        self.thread
            .run("append to", move |connection| {
                connection.execute(
                "INSERT INTO runs (run, region, digest, created, rollout, snapshot) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![
                    record.run.to_string(),
                    record.region,
                    record.digest.as_str(),
                    record.created.to_string(),
                    record.rollout,
                    record.snapshot
                ],
            )?;
                Ok(())
            })
            .await
    }

    async fn append(&self, run: RunId, events: &[Event]) -> JournalResult<()> {
        let events: Vec<(u64, String)> = events.iter().map(|event| (event.seq, encode(event))).collect();
        self.thread
            .run("append to", move |connection| {
                let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
                let standing = standing_of(&transaction, run)?;
                if !standing.is_here() {
                    return Err(JournalError::Elsewhere { run, standing }.into());
                }
                let (last, digest) = last_of(&transaction, run)?;
                let mut before = match digest {
                    Some(digest) => digest,
                    None => chain::genesis(&record_of(&transaction, run)?),
                };
                for (next, (seq, body)) in (last + 1..).zip(events) {
                    if seq != next {
                        return Err(JournalError::OutOfOrder { run, seq }.into());
                    }
                    before = chain::link(&before, &body);
                    insert(&transaction, run, &StoredEvent { seq, body, digest: Some(before.clone()) })?;
                }
                transaction.commit()?;
                Ok(())
            })
            .await
    }

    async fn record(&self, run: RunId) -> JournalResult<RunRecord> {
        self.thread.run("read", move |connection| record_of(connection, run)).await
    }

    async fn page(&self, run: RunId, from: u64, most: usize) -> JournalResult<Vec<StoredEvent>> {
        self.thread.run("read", move |connection| rows::page(connection, run, from, most)).await
    }

    async fn standing(&self, run: RunId) -> JournalResult<Standing> {
        self.thread.run("read", move |connection| standing_of(connection, run)).await
    }

    async fn snapshot(&self, run: RunId) -> JournalResult<Option<Snapshot>> {
        self.thread.run("read", move |connection| Ok(rows::snapshot(connection, run)?)).await
    }

    async fn keep_snapshot(&self, run: RunId, snapshot: &Snapshot) -> JournalResult<()> {
        let snapshot = snapshot.clone();
        self.thread.run("append to", move |connection| Ok(rows::keep_snapshot(connection, run, &snapshot)?)).await
    }

    async fn runs(&self) -> JournalResult<Vec<RunListing>> {
        self.thread
            .run("read", move |connection| {
                let mut query = connection.prepare(
                    "SELECT run, region, digest, created, (SELECT max(seq) FROM events e WHERE e.run = r.run),
                        (SELECT body FROM events e WHERE e.run = r.run ORDER BY seq DESC LIMIT 1), arriving, moved_to
                 FROM runs r ORDER BY run DESC",
                )?;
                let mut rows = query.query([])?;
                let mut runs = Vec::new();
                while let Some(row) = rows.next()? {
                    let text: String = row.get(0)?;
                    let Ok(run) = text.parse::<RunId>() else { continue };
                    let events: Option<i64> = row.get(4)?;
                    let events = events.unwrap_or(0).unsigned_abs();
                    let last: Option<String> = row.get(5)?;
                    let last = last.map(|body| decode::<Event>(run, events, &body)).transpose()?;
                    runs.push(RunListing {
                        run,
                        region: row.get(1)?,
                        digest: Digest::new(row.get::<_, String>(2)?),
                        created: time(row, 3)?,
                        events,
                        ended: last.is_some_and(|event| event.ends_the_run()),
                        standing: Standing::of_columns(row.get(6)?, row.get(7)?),
                    });
                }
                Ok(runs)
            })
            .await
    }

    async fn beat(&self, run: RunId, heartbeat: &Heartbeat) -> JournalResult<()> {
        let body = encode(heartbeat);
        self.thread
            .run("append to", move |connection| {
                connection.execute(
                    "INSERT INTO heartbeats (run, body) VALUES (?1, ?2)
                 ON CONFLICT (run) DO UPDATE SET body = excluded.body",
                    params![run.to_string(), body],
                )?;
                Ok(())
            })
            .await
    }

    async fn heartbeat(&self, run: RunId) -> JournalResult<Option<Heartbeat>> {
        self.thread
            .run("read", move |connection| {
                let body: Option<String> = connection
                    .query_row("SELECT body FROM heartbeats WHERE run = ?1", [run.to_string()], |row| row.get(0))
                    .optional()?;
                Ok(body.map(|body| decode(run, 0, &body)).transpose()?)
            })
            .await
    }

    async fn place_request(&self, run: RunId, request: &PlacedRequest) -> JournalResult<()> {
        let body = encode(request);
        self.thread
            .run("append to", move |connection| {
                connection
                    .execute("INSERT INTO requests (run, body) VALUES (?1, ?2)", params![run.to_string(), body])?;
                Ok(())
            })
            .await
    }

    async fn open_requests(&self, run: RunId) -> JournalResult<Vec<(i64, PlacedRequest)>> {
        self.thread
            .run("read", move |connection| {
                let mut query = connection
                    .prepare_cached("SELECT number, body FROM requests WHERE run = ?1 AND taken = 0 ORDER BY number")?;
                let mut rows = query.query([run.to_string()])?;
                let mut open = Vec::new();
                while let Some(row) = rows.next()? {
                    open.push((row.get(0)?, decode(run, 0, &row.get::<_, String>(1)?)?));
                }
                Ok(open)
            })
            .await
    }

    async fn close_requests(&self, run: RunId, numbers: &[i64]) -> JournalResult<()> {
        let numbers = numbers.to_vec();
        self.thread
            .run("append to", move |connection| {
                for number in numbers {
                    connection.execute(
                        "UPDATE requests SET taken = 1 WHERE run = ?1 AND number = ?2",
                        params![run.to_string(), number],
                    )?;
                }
                Ok(())
            })
            .await
    }
}
