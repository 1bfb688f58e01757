//! The tables of the file.

use std::path::Path;

use rusqlite::Connection;

use super::thread::Failure;
use crate::journal::JournalError;

/// `PRAGMA application_id` of a journal: "flmd".
const APPLICATION_ID: i32 = 0x666c_6d64;

/// `PRAGMA user_version`: the format of the tables, which is how many of these steps were taken. Tables only go forward,
/// and a released step is never changed. A version that writes what earlier ones do not understand adds a step, be it an
/// empty one: that is what makes them refuse the journal.
const STEPS: [&str; 2] = [
    "
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
",
    "
    ALTER TABLE events ADD COLUMN digest TEXT;
    ALTER TABLE runs ADD COLUMN arriving INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE runs ADD COLUMN moved_to TEXT;
    CREATE TABLE snapshots (
        run TEXT PRIMARY KEY REFERENCES runs(run), seq INTEGER NOT NULL, digest TEXT NOT NULL, made_by TEXT NOT NULL,
        body TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
",
];

/// The newest format that is known.
#[expect(clippy::cast_possible_wrap, reason = "there will never be so many steps")]
const FORMAT: i64 = STEPS.len() as i64;

/// Makes the tables of an empty file and brings older ones forward; refuses what is not a journal or is a newer one.
pub(super) fn prepare(connection: &mut Connection, path: &Path) -> Result<(), Failure> {
    let place = || path.display().to_string();
    let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
    let application: i32 = transaction.query_row("PRAGMA application_id", [], |row| row.get(0))?;
    let format: i64 = transaction.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let tables: i64 = transaction.query_row("SELECT count(*) FROM sqlite_master", [], |row| row.get(0))?;
    let is_new = application == 0 && tables == 0;
    if !is_new && application != APPLICATION_ID {
        return Err(JournalError::Foreign { place: place() }.into());
    }
    if format > FORMAT {
        return Err(JournalError::Newer { place: place(), found: format, known: FORMAT }.into());
    }
    for (_, step) in (1..).zip(STEPS).skip_while(|(number, _)| *number <= format) {
        transaction.execute_batch(step)?;
    }
    if format < FORMAT {
        transaction
            .execute_batch(&format!("PRAGMA application_id = {APPLICATION_ID}; PRAGMA user_version = {FORMAT};"))?;
    }
    transaction.commit()?;
    // WAL lets `status` read while a run writes; FULL makes every commit survive a power cut.
    connection.execute_batch("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;")?;
    Ok(())
}
