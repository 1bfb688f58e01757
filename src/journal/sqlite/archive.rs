//! What moves runs in and out of the file.

use async_trait::async_trait;
use rusqlite::{TransactionBehavior, params};

use super::SqliteJournal;
use super::rows::{insert, last_of, page};
use crate::journal::archive::Archive;
use crate::journal::{JournalError, JournalResult, RunRecord, Standing, StoredEvent};
use crate::model::RunId;

#[async_trait]
impl Archive for SqliteJournal {
    async fn expect(&self, record: &RunRecord) -> JournalResult<()> {
        let record = record.clone();
        let expected = self.thread.run("append to", move |connection| {
            let RunRecord { run, region, digest, created, rollout, snapshot } = record;
            connection.execute(
                "INSERT INTO runs (run, region, digest, created, rollout, snapshot, arriving)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, 1)
                 ON CONFLICT (run) DO UPDATE SET arriving = 1",
                params![run.to_string(), region, digest.as_str(), created.to_string(), rollout, snapshot],
            )?;
            Ok(())
        });
        expected.await
    }

    async fn import(&self, run: RunId, events: &[StoredEvent]) -> JournalResult<()> {
        let events = events.to_vec();
        let imported = self.thread.run("append to", move |connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            let (last, _) = last_of(&transaction, run)?;
            for event in &events {
                if event.seq > last {
                    insert(&transaction, run, event)?;
                } else if page(&transaction, run, event.seq, 1)?.first() != Some(event) {
                    return Err(JournalError::OutOfOrder { run, seq: event.seq }.into());
                }
            }
            transaction.commit()?;
            Ok(())
        });
        imported.await
    }

    async fn set_standing(&self, run: RunId, standing: &Standing) -> JournalResult<()> {
        let standing = standing.clone();
        let set = self.thread.run("write to", move |connection| {
            let (arriving, moved_to) = standing.columns();
            connection.execute(
                "UPDATE runs SET arriving = ?2, moved_to = ?3 WHERE run = ?1",
                params![run.to_string(), arriving, moved_to],
            )?;
            Ok(())
        });
        set.await
    }

    async fn remove(&self, run: RunId) -> JournalResult<()> {
        let removed = self.thread.run("remove a run from", move |connection| {
            let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
            for table in ["snapshots", "requests", "heartbeats", "events", "runs"] {
                transaction.execute(&format!("DELETE FROM {table} WHERE run = ?1"), [run.to_string()])?;
            }
            transaction.commit()?;
            Ok(())
        });
        removed.await
    }

    async fn compact(&self) -> JournalResult<()> {
        let compacted = self.thread.run("compact", |connection| {
            connection.execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE);")?;
            Ok(())
        });
        compacted.await
    }
}
