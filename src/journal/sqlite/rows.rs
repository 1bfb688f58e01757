//! Rows of the tables, read and written.

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};

use super::thread::Failure;
use crate::journal::{JournalError, RunRecord, Snapshot, Standing, StoredEvent};
use crate::model::{Digest, RunId};

pub(super) fn record_of(connection: &Connection, run: RunId) -> Result<RunRecord, Failure> {
    let row = connection
        .query_row(
            "SELECT region, digest, created, rollout, snapshot FROM runs WHERE run = ?1",
            [run.to_string()],
            |row| Ok((row.get(0)?, row.get::<_, String>(1)?, time(row, 2)?, row.get(3)?, row.get(4)?)),
        )
        .optional()?;
    let (region, digest, created, rollout, snapshot) = row.ok_or_else(|| JournalError::NoRun(run.to_string()))?;
    Ok(RunRecord { run, region, digest: Digest::new(digest), created, rollout, snapshot })
}

pub(super) fn standing_of(connection: &Connection, run: RunId) -> Result<Standing, Failure> {
    let mut query = connection.prepare_cached("SELECT arriving, moved_to FROM runs WHERE run = ?1")?;
    let row =
        query.query_row([run.to_string()], |row| Ok(Standing::of_columns(row.get(0)?, row.get(1)?))).optional()?;
    Ok(row.ok_or_else(|| JournalError::NoRun(run.to_string()))?)
}

/// Number and digest of a run's last event; 0 and none before the first.
pub(super) fn last_of(connection: &Connection, run: RunId) -> rusqlite::Result<(u64, Option<Digest>)> {
    let mut query =
        connection.prepare_cached("SELECT seq, digest FROM events WHERE run = ?1 ORDER BY seq DESC LIMIT 1")?;
    let last = query.query_row([run.to_string()], |row| Ok((seq(row, 0)?, digest(row, 1)?))).optional()?;
    Ok(last.unwrap_or_default())
}

pub(super) fn insert(connection: &Connection, run: RunId, event: &StoredEvent) -> rusqlite::Result<()> {
    let number = i64::try_from(event.seq).unwrap_or(i64::MAX);
    connection
        .prepare_cached("INSERT INTO events (run, seq, body, digest) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![run.to_string(), number, event.body, event.digest.as_ref().map(Digest::as_str)])?;
    Ok(())
}

pub(super) fn page(connection: &Connection, run: RunId, from: u64, most: usize) -> Result<Vec<StoredEvent>, Failure> {
    let query = "SELECT seq, body, digest FROM events WHERE run = ?1 AND seq >= ?2 ORDER BY seq LIMIT ?3";
    let from = i64::try_from(from).unwrap_or(i64::MAX);
    let most = i64::try_from(most).unwrap_or(i64::MAX);
    let mut query = connection.prepare_cached(query)?;
    let rows = query.query_map(params![run.to_string(), from, most], |row| {
        Ok(StoredEvent { seq: seq(row, 0)?, body: row.get(1)?, digest: digest(row, 2)? })
    })?;
    Ok(rows.collect::<rusqlite::Result<_>>()?)
}

pub(super) fn snapshot(connection: &Connection, run: RunId) -> rusqlite::Result<Option<Snapshot>> {
    let query = "SELECT seq, digest, made_by, body FROM snapshots WHERE run = ?1";
    let read = |row: &Row<'_>| {
        let digest = Digest::new(row.get::<_, String>(1)?);
        Ok(Snapshot { seq: seq(row, 0)?, digest, made_by: row.get(2)?, body: row.get(3)? })
    };
    connection.query_row(query, [run.to_string()], read).optional()
}

pub(super) fn keep_snapshot(connection: &Connection, run: RunId, snapshot: &Snapshot) -> rusqlite::Result<()> {
    let Snapshot { seq, digest, made_by, body } = snapshot;
    let number = i64::try_from(*seq).unwrap_or(i64::MAX);
    connection.execute(
        "INSERT INTO snapshots (run, seq, digest, made_by, body) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (run) DO UPDATE
         SET seq = excluded.seq, digest = excluded.digest, made_by = excluded.made_by, body = excluded.body",
        params![run.to_string(), number, digest.as_str(), made_by, body],
    )?;
    Ok(())
}

fn seq(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    Ok(row.get::<_, i64>(column)?.unsigned_abs())
}

fn digest(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Digest>> {
    Ok(row.get::<_, Option<String>>(column)?.map(Digest::new))
}

pub(super) fn time(row: &Row<'_>, column: usize) -> rusqlite::Result<Timestamp> {
    let text: String = row.get(column)?;
    text.parse().map_err(|source: jiff::Error| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(source))
    })
}
