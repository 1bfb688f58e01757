//! The default journal: one SQLite file on this machine, WAL, `synchronous=FULL`, its own thread.
//!
//! The region's one writer is a lock on a file beside it, which the kernel gives back when the process ends, however
//! it ends. It binds those who use the same journal on this machine; the marks in Nova warn of others.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, params};
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use super::{Heartbeat, Journal, JournalError, JournalResult, PlacedRequest, RegionHold, RunListing, RunRecord};
use crate::model::{Digest, RunId};
use crate::run::event::{Event, Runner};

/// `PRAGMA application_id` of a journal: "flmd".
const APPLICATION_ID: i32 = 0x666c_6d64;

/// `PRAGMA user_version`: the format of the tables.
const FORMAT: i64 = 1;

/// How long another process's transaction is waited for.
const BUSY: Duration = Duration::from_secs(10);

const SCHEMA: &str = "
    CREATE TABLE runs (
        run TEXT PRIMARY KEY, region TEXT NOT NULL, digest TEXT NOT NULL, created TEXT NOT NULL,
        rollout TEXT NOT NULL, snapshot TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE events (
        run TEXT NOT NULL REFERENCES runs(run), seq INTEGER NOT NULL, body TEXT NOT NULL, PRIMARY KEY (run, seq)
    ) STRICT, WITHOUT ROWID;
    CREATE TABLE heartbeats (run TEXT PRIMARY KEY REFERENCES runs(run), body TEXT NOT NULL) STRICT, WITHOUT ROWID;
    CREATE TABLE requests (
        number INTEGER PRIMARY KEY AUTOINCREMENT, run TEXT NOT NULL REFERENCES runs(run), body TEXT NOT NULL,
        taken INTEGER NOT NULL DEFAULT 0
    ) STRICT;
";

type Work = Box<dyn FnOnce(&mut Connection) + Send>;

/// A journal in an SQLite file.
pub struct SqliteJournal {
    path: PathBuf,
    work: mpsc::Sender<Work>,
}

/// The lock on a region's file; the kernel lets go of it with the process.
struct FileHold {
    _file: File,
}

impl RegionHold for FileHold {}

impl SqliteJournal {
    /// Opens the journal at `path`, or makes one there with its folder.
    pub fn open(path: &Path) -> JournalResult<Self> {
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            std::fs::create_dir_all(folder).map_err(|source| store("open", path, source))?;
        }
        Self::start(path, true)
    }

    /// Opens the journal at `path`; an error when there is none.
    pub fn open_existing(path: &Path) -> JournalResult<Self> {
        Self::start(path, false)
    }

    fn start(path: &Path, create: bool) -> JournalResult<Self> {
        let mut connection = connect(path, create)?;
        let (work, inbox) = mpsc::channel::<Work>();
        std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || {
                for work in inbox {
                    work(&mut connection);
                }
            })
            .map_err(|source| store("open", path, source))?;
        Ok(Self { path: path.to_owned(), work })
    }

    /// Runs `work` on the journal's thread.
    async fn on_thread<T, F>(&self, operation: &'static str, work: F) -> JournalResult<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> Result<T, Failure> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let path = self.path.clone();
        let task: Work = Box::new(move |connection| {
            let result = work(connection).map_err(|failure| match failure {
                Failure::Sqlite(source) => store(operation, &path, source),
                Failure::Journal(error) => error,
            });
            // Whoever asked may have been cancelled; the work is done all the same.
            let _ = answer.send(result);
        });
        let gone = || store(operation, &self.path, "the journal's thread has ended");
        self.work.send(task).map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

/// What a piece of work on the journal's thread can fail with.
enum Failure {
    Sqlite(rusqlite::Error),
    Journal(JournalError),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<JournalError> for Failure {
    fn from(error: JournalError) -> Self {
        Self::Journal(error)
    }
}

fn store(
    operation: &'static str,
    path: &Path,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> JournalError {
    JournalError::Store { operation, place: path.display().to_string(), source: source.into() }
}

fn connect(path: &Path, create: bool) -> JournalResult<Connection> {
    let flags = if create {
        rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE | rusqlite::OpenFlags::SQLITE_OPEN_CREATE
    } else {
        rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE
    };
    let open = || -> Result<Connection, rusqlite::Error> {
        let connection = Connection::open_with_flags(path, flags | rusqlite::OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        connection.busy_timeout(BUSY)?;
        Ok(connection)
    };
    let mut connection = open().map_err(|source| store("open", path, source))?;
    let prepared = prepare(&mut connection, path);
    prepared.map_err(|failure| match failure {
        Failure::Sqlite(source) => store("open", path, source),
        Failure::Journal(error) => error,
    })?;
    Ok(connection)
}

/// Makes the tables of an empty file; refuses what is not a journal or is a newer one.
fn prepare(connection: &mut Connection, path: &Path) -> Result<(), Failure> {
    let place = || path.display().to_string();
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let application: i32 = transaction.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let format: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let tables: i64 = transaction.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0))?;
    if application == 0 && tables == 0 {
        transaction.execute_batch(SCHEMA)?;
        transaction
            .execute_batch(&format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {FORMAT};"))?;
    } else if application != APPLICATION_ID {
        return Err(JournalError::Foreign { place: place() }.into());
    } else if format > FORMAT {
        return Err(JournalError::Newer { place: place(), found: format, known: FORMAT }.into());
    }
    transaction.commit()?;
    // WAL lets `status` read while a run writes; FULL makes every commit survive a power cut.
    connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;")?;
    Ok(())
}

#[async_trait]
impl Journal for SqliteJournal {
    fn place(&self) -> String {
        self.path.display().to_string()
    }

    async fn hold(&self, region: &str, runner: &Runner) -> JournalResult<Box<dyn RegionHold>> {
        let clean: String = region.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        let lock = PathBuf::from(format!("{}.{clean}.lock", self.path.display()));
        let file = File::options()
            .create(true)
            .truncate(false)
            .read(true)
            .write(true)
            .open(&lock)
            .map_err(|source| store("lock", &lock, source))?;
        match file.try_lock() {
            Ok(()) => {
                let who = format!("{} on {}", runner.pid, runner.host);
                std::fs::write(&lock, &who).map_err(|source| store("lock", &lock, source))?;
                Ok(Box::new(FileHold { _file: file }))
            }
            Err(std::fs::TryLockError::WouldBlock) => {
                let holder = std::fs::read_to_string(&lock).unwrap_or_default();
                Err(JournalError::Held { region: region.to_owned(), holder: format!("process {holder}") })
            }
            Err(std::fs::TryLockError::Error(source)) => Err(store("lock", &lock, source)),
        }
    }

    async fn create(&self, record: &RunRecord) -> JournalResult<()> {
        let record = record.clone();
        self.on_thread("append to", move |connection| {
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
        self.on_thread("append to", move |connection| {
            let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
            let last: Option<i64> =
                transaction
                    .query_row("SELECT max(seq) FROM events WHERE run = ?1", [run.to_string()], |row| row.get(0))?;
            for (next, (seq, body)) in (last.unwrap_or(0) + 1..).zip(events) {
                if i64::try_from(seq) != Ok(next) {
                    return Err(JournalError::OutOfOrder { run, seq }.into());
                }
                transaction
                    .prepare_cached("INSERT INTO events (run, seq, body) VALUES (?1, ?2, ?3)")?
                    .execute(params![run.to_string(), next, body])?;
            }
            transaction.commit()?;
            Ok(())
        })
        .await
    }

    async fn record(&self, run: RunId) -> JournalResult<RunRecord> {
        self.on_thread("read", move |connection| {
            let row = connection
                .query_row(
                    "SELECT region, digest, created, rollout, snapshot FROM runs WHERE run = ?1",
                    [run.to_string()],
                    |row| Ok((row.get(0)?, row.get::<_, String>(1)?, time(row, 2)?, row.get(3)?, row.get(4)?)),
                )
                .optional()?;
            let (region, digest, created, rollout, snapshot) =
                row.ok_or_else(|| JournalError::NoRun(run.to_string()))?;
            Ok(RunRecord { run, region, digest: Digest::new(digest), created, rollout, snapshot })
        })
        .await
    }

    async fn events(&self, run: RunId, from: u64) -> JournalResult<Vec<Event>> {
        self.on_thread("read", move |connection| {
            let mut query =
                connection.prepare_cached("SELECT seq, body FROM events WHERE run = ?1 AND seq >= ?2 ORDER BY seq")?;
            let from = i64::try_from(from).unwrap_or(i64::MAX);
            let mut rows = query.query(params![run.to_string(), from])?;
            let mut events = Vec::new();
            while let Some(row) = rows.next()? {
                let seq: i64 = row.get(0)?;
                events.push(decode(run, seq.unsigned_abs(), &row.get::<_, String>(1)?)?);
            }
            Ok(events)
        })
        .await
    }

    async fn runs(&self) -> JournalResult<Vec<RunListing>> {
        self.on_thread("read", move |connection| {
            let mut query = connection.prepare(
                "SELECT run, region, digest, created, (SELECT max(seq) FROM events e WHERE e.run = r.run),
                        (SELECT body FROM events e WHERE e.run = r.run ORDER BY seq DESC LIMIT 1)
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
                });
            }
            Ok(runs)
        })
        .await
    }

    async fn beat(&self, run: RunId, heartbeat: &Heartbeat) -> JournalResult<()> {
        let body = encode(heartbeat);
        self.on_thread("append to", move |connection| {
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
        self.on_thread("read", move |connection| {
            let body: Option<String> = connection
                .query_row("SELECT body FROM heartbeats WHERE run = ?1", [run.to_string()], |row| row.get(0))
                .optional()?;
            Ok(body.map(|body| decode(run, 0, &body)).transpose()?)
        })
        .await
    }

    async fn place_request(&self, run: RunId, request: &PlacedRequest) -> JournalResult<()> {
        let body = encode(request);
        self.on_thread("append to", move |connection| {
            connection.execute("INSERT INTO requests (run, body) VALUES (?1, ?2)", params![run.to_string(), body])?;
            Ok(())
        })
        .await
    }

    async fn open_requests(&self, run: RunId) -> JournalResult<Vec<(i64, PlacedRequest)>> {
        self.on_thread("read", move |connection| {
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
        self.on_thread("append to", move |connection| {
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

fn time(row: &rusqlite::Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    let text: String = row.get(column)?;
    text.parse().map_err(|source: jiff::Error| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(source))
    })
}

fn encode<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("events have text keys and no maps that could refuse to serialize")
}

fn decode<T: DeserializeOwned>(run: RunId, seq: u64, body: &str) -> JournalResult<T> {
    serde_json::from_str(body).map_err(|source| JournalError::Damaged { run, seq, source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::event::{EventKind, Outcome};

    fn runner() -> Runner {
        Runner { host: "here".to_owned(), pid: 1, version: "0".to_owned() }
    }

    fn event(seq: u64) -> Event {
        Event { seq, at: Timestamp::UNIX_EPOCH, kind: EventKind::RunContinued { by: "test".to_owned() } }
    }

    async fn with_run(path: &Path) -> (SqliteJournal, RunId) {
        let journal = SqliteJournal::open(path).unwrap();
        let run = RunId::new(uuid::Uuid::now_v7());
        let record = RunRecord {
            run,
            region: "R".to_owned(),
            digest: Digest::new("sha256:0"),
            created: Timestamp::UNIX_EPOCH,
            rollout: "{}".to_owned(),
            snapshot: "{}".to_owned(),
        };
        journal.create(&record).await.unwrap();
        (journal, run)
    }

    #[tokio::test]
    async fn events_survive_reopening_and_gaps_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/journal.db");
        let (journal, run) = with_run(&path).await;
        journal.append(run, &[event(1), event(2)]).await.unwrap();
        for wrong in [2, 4] {
            let refused = journal.append(run, &[event(wrong)]).await;
            assert!(matches!(refused, Err(JournalError::OutOfOrder { .. })), "{wrong}");
        }
        let half = journal.append(run, &[event(3), event(5)]).await;
        assert!(half.is_err());
        drop(journal);
        let journal = SqliteJournal::open_existing(&path).unwrap();
        assert_eq!(journal.events(run, 1).await.unwrap(), [event(1), event(2)]);
        assert_eq!(journal.events(run, 2).await.unwrap(), [event(2)]);
        let ended = EventKind::RunEnded { outcome: Outcome::Done, requests: 0, retries: 0 };
        journal.append(run, &[Event { kind: ended, ..event(3) }]).await.unwrap();
        assert!(journal.runs().await.unwrap()[0].ended);
    }

    #[tokio::test]
    async fn a_region_has_one_writer_until_it_lets_go() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        let (first, second) = (SqliteJournal::open(&path).unwrap(), SqliteJournal::open(&path).unwrap());
        let hold = first.hold("Region/One", &runner()).await.unwrap();
        let refused = second.hold("Region/One", &runner()).await;
        assert!(matches!(refused, Err(JournalError::Held { .. })));
        assert!(second.hold("RegionTwo", &runner()).await.is_ok());
        drop(hold);
        assert!(second.hold("Region/One", &runner()).await.is_ok());
    }

    #[tokio::test]
    async fn what_is_no_journal_or_a_newer_one_is_refused_untouched() {
        let folder = tempfile::tempdir().unwrap();
        let foreign = folder.path().join("foreign.db");
        Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
        assert!(matches!(SqliteJournal::open(&foreign), Err(JournalError::Foreign { .. })));
        let newer = folder.path().join("newer.db");
        drop(SqliteJournal::open(&newer).unwrap());
        Connection::open(&newer).unwrap().execute_batch("PRAGMA user_version = 99").unwrap();
        assert!(matches!(SqliteJournal::open(&newer), Err(JournalError::Newer { found: 99, .. })));
        let text = folder.path().join("text.db");
        std::fs::write(&text, "not a database, but long enough to be looked at".repeat(50)).unwrap();
        assert!(matches!(SqliteJournal::open(&text), Err(JournalError::Store { .. })));
        assert!(SqliteJournal::open_existing(&folder.path().join("none.db")).is_err());
    }

    #[tokio::test]
    async fn requests_are_taken_once() {
        let folder = tempfile::tempdir().unwrap();
        let (journal, run) = with_run(&folder.path().join("journal.db")).await;
        let request =
            PlacedRequest { request: super::super::Request::Pause, by: "a@b".to_owned(), at: Timestamp::UNIX_EPOCH };
        journal.place_request(run, &request).await.unwrap();
        let open = journal.open_requests(run).await.unwrap();
        assert_eq!(open.len(), 1);
        journal.close_requests(run, &[open[0].0]).await.unwrap();
        assert!(journal.open_requests(run).await.unwrap().is_empty());
    }
}
