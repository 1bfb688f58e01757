//! What moves runs in and out of the database. Whatever it writes asks for the lease, as a runner does.

use async_trait::async_trait;
use tokio_postgres::types::ToSql;

use super::PostgresJournal;
use crate::journal::archive::Archive;
use crate::journal::{Journal as _, JournalError, JournalResult, RunRecord, Standing, StoredEvent};
use crate::model::{Digest, RunId};

#[async_trait]
impl Archive for PostgresJournal {
    async fn expect(&self, record: &RunRecord) -> JournalResult<()> {
        let lease = self.lease()?;
        let command = "INSERT INTO fleetmend.runs (run, region, digest, created, rollout, snapshot, arriving)
                       SELECT $1, $2, $3, $4, $5, $6, true FROM fleetmend.leases
                       WHERE region = $2 AND taking = $7 AND until > clock_timestamp()
                       ON CONFLICT (run) DO UPDATE SET arriving = true
                       RETURNING 1";
        let RunRecord { run, region, digest, created, rollout, snapshot } = record;
        let (run, digest, created) = (run.uuid(), digest.as_str(), created.to_string());
        let values: [&(dyn ToSql + Sync); 7] = [&run, region, &digest, &created, rollout, snapshot, &lease.taking];
        let expected = self.ask("begin a run in", command, &values).await?;
        if expected.is_empty() { Err(JournalError::Lost { region: region.clone() }) } else { Ok(()) }
    }

    async fn import(&self, run: RunId, events: &[StoredEvent]) -> JournalResult<()> {
        let Some(first) = events.first() else { return Ok(()) };
        let lease = self.lease()?;
        let numbers: Vec<i64> = events.iter().filter_map(|event| i64::try_from(event.seq).ok()).collect();
        let bodies: Vec<&str> = events.iter().map(|event| event.body.as_str()).collect();
        let digests: Vec<Option<&str>> = events.iter().map(|event| event.digest.as_ref().map(Digest::as_str)).collect();
        let command = "INSERT INTO fleetmend.events (run, seq, body, digest)
                       SELECT $1, new.seq, new.body, new.digest
                       FROM unnest($2::bigint[], $3::text[], $4::text[]) AS new (seq, body, digest), fleetmend.leases
                       WHERE region = $5 AND taking = $6 AND until > clock_timestamp()
                       ON CONFLICT (run, seq) DO NOTHING";
        let values: [&(dyn ToSql + Sync); 6] = [&run.uuid(), &numbers, &bodies, &digests, &lease.region, &lease.taking];
        self.ask("copy events into", command, &values).await?;
        let there = self.page(run, first.seq, events.len()).await?;
        let differs = events.iter().zip(&there).find(|(event, there)| event != there).map(|(event, _)| event.seq);
        match differs {
            Some(seq) => Err(JournalError::OutOfOrder { run, seq }),
            None if there.len() < events.len() => Err(JournalError::Lost { region: lease.region }),
            None => Ok(()),
        }
    }

    async fn set_standing(&self, run: RunId, standing: &Standing) -> JournalResult<()> {
        let lease = self.lease()?;
        let (arriving, moved_to) = standing.columns();
        let command = "UPDATE fleetmend.runs SET arriving = $2, moved_to = $3 FROM fleetmend.leases
                       WHERE run = $1 AND leases.region = runs.region AND taking = $4 AND until > clock_timestamp()
                       RETURNING 1";
        let set = self.ask("write to", command, &[&run.uuid(), &arriving, &moved_to, &lease.taking]).await?;
        if set.is_empty() { Err(JournalError::Lost { region: lease.region }) } else { Ok(()) }
    }

    async fn remove(&self, run: RunId) -> JournalResult<()> {
        let lease = self.lease()?;
        // In one statement foreign keys are looked at when it ends.
        let command = "WITH held AS (
                           SELECT run FROM fleetmend.runs JOIN fleetmend.leases USING (region)
                           WHERE run = $1 AND taking = $2 AND until > clock_timestamp()
                       ),
                       s AS (DELETE FROM fleetmend.snapshots WHERE run IN (SELECT run FROM held)),
                       q AS (DELETE FROM fleetmend.requests WHERE run IN (SELECT run FROM held)),
                       h AS (DELETE FROM fleetmend.heartbeats WHERE run IN (SELECT run FROM held)),
                       e AS (DELETE FROM fleetmend.events WHERE run IN (SELECT run FROM held))
                       DELETE FROM fleetmend.runs WHERE run IN (SELECT run FROM held) RETURNING 1";
        self.ask("remove a run from", command, &[&run.uuid(), &lease.taking]).await?;
        match self.standing(run).await {
            Err(JournalError::NoRun(_)) => Ok(()),
            Ok(_) => Err(JournalError::Lost { region: lease.region }),
            Err(error) => Err(error),
        }
    }

    /// The server sweeps by itself.
    async fn compact(&self) -> JournalResult<()> {
        Ok(())
    }
}
