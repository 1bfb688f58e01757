//! A journal that several machines share: PostgreSQL, reached by any of them, with one writer per region by a lease.
//!
//! Whatever a runner writes is one statement that also asks whether it still has the region, so that nothing can come
//! between; runs and events lock the lease until they are durable. Requests come from any terminal and need none.
//! A connection that breaks is made again; a write whose answer was lost is found there, or made once more.

mod address;
mod archive;
mod lease;
mod schema;
mod server;
mod tls;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::timeout;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row};
use uuid::Uuid;

pub use address::PostgresUrl;
use lease::{Lease, LeaseHold};
use server::{Failure, Server, told};

use super::codec::{decode, encode};
use super::{
    Heartbeat, Journal, JournalError, JournalResult, PlacedRequest, RegionHold, RunListing, RunRecord, Snapshot,
    Standing, StoredEvent, chain,
};
use crate::model::{Digest, FencingToken, RunId};
use crate::run::event::{Event, Runner};

/// How long a lease lasts when nobody renews it: as long as another runner waits for one that died.
pub const LEASE: Duration = Duration::from_secs(30);

/// Waits between attempts to reach the database again.
const PAUSES: [Duration; 4] =
    [Duration::from_millis(200), Duration::from_millis(800), Duration::from_secs(2), Duration::from_secs(5)];

/// How long it may take for a statement; reading or beginning a large run takes longer than a line of it.
const ANSWER_LIMIT: Duration = Duration::from_secs(10);
const LARGE_LIMIT: Duration = Duration::from_secs(120);

/// What most operations do, in words.
const APPEND: &str = "append to";

/// A journal in PostgreSQL.
pub struct PostgresJournal {
    server: Server,
    span: Duration,
    client: tokio::sync::Mutex<Option<Client>>,
    /// The region that this journal's runner holds.
    lease: Mutex<Option<Lease>>,
    /// Number and digest of the last event that we appended to a run: nobody else appends while we hold its region.
    heads: Mutex<BTreeMap<RunId, (u64, Digest)>>,
}

impl PostgresJournal {
    /// Opens the journal at `url`, or makes its tables. `password` counts where the address has none.
    pub async fn open(url: PostgresUrl, password: Option<&str>, lease: Duration) -> JournalResult<Self> {
        Self::start(url, password, lease, true).await.map(|(journal, _)| journal)
    }

    /// Opens the journal at `url`; `None` when its tables were never made.
    pub async fn open_existing(
        url: PostgresUrl,
        password: Option<&str>,
        lease: Duration,
    ) -> JournalResult<Option<Self>> {
        let (journal, there) = Self::start(url, password, lease, false).await?;
        Ok(there.then_some(journal))
    }

    async fn start(
        url: PostgresUrl,
        password: Option<&str>,
        span: Duration,
        make: bool,
    ) -> JournalResult<(Self, bool)> {
        let server = Server { url, password: password.map(Arc::from) };
        let prepared = async {
            let mut client = server.connect().await?;
            let there = schema::prepare(&mut client, &server.place(), make).await?;
            Ok((client, there))
        };
        let (client, there) = prepared.await.map_err(|failure| told(&server, "open", failure))?;
        let client = tokio::sync::Mutex::new(Some(client));
        let journal = Self { server, span, client, lease: Mutex::default(), heads: Mutex::default() };
        Ok((journal, there))
    }

    /// The rows of `statement`, asked again on another connection when one breaks: it may be carried out twice.
    async fn ask(
        &self,
        operation: &'static str,
        statement: &str,
        values: &[&(dyn ToSql + Sync)],
    ) -> JournalResult<Vec<Row>> {
        let limit = if operation == APPEND { ANSWER_LIMIT } else { LARGE_LIMIT };
        let mut pauses = PAUSES.iter();
        loop {
            match self.ask_once(statement, values, limit).await {
                Ok(rows) => return Ok(rows),
                Err(failure) => match pauses.next().filter(|_| failure.is_passing()) {
                    Some(pause) => tokio::time::sleep(*pause).await,
                    None => return Err(told(&self.server, operation, failure)),
                },
            }
        }
    }

    async fn ask_once(
        &self,
        statement: &str,
        values: &[&(dyn ToSql + Sync)],
        limit: Duration,
    ) -> Result<Vec<Row>, Failure> {
        let mut kept = self.client.lock().await;
        // Taken out while it is used: of an answer that nobody waited for the connection goes with it.
        let client = match kept.take().filter(|client| !client.is_closed()) {
            Some(client) => client,
            None => self.server.connect().await?,
        };
        let rows = timeout(limit, client.query(statement, values)).await.map_err(|_| Failure::NoAnswer(limit))?;
        *kept = Some(client);
        match rows {
            // An earlier attempt whose answer was not waited for came before this one.
            Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => Ok(Vec::new()),
            rows => Ok(rows?),
        }
    }

    /// The lease of `region`, if we are its writer for sure.
    fn lease(&self) -> JournalResult<Lease> {
        let lease = self.lease.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let lease = lease.ok_or_else(|| JournalError::NotHeld { place: self.place() })?;
        lease.check().map(|()| lease)
    }
}

#[async_trait]
impl Journal for PostgresJournal {
    fn place(&self) -> String {
        self.server.place()
    }

    async fn hold(&self, region: &str, runner: &Runner) -> JournalResult<Box<dyn RegionHold>> {
        let lease = self.take(region, runner).await?;
        *self.lease.lock().unwrap_or_else(PoisonError::into_inner) = Some(lease.clone());
        let hold = LeaseHold::renewing(lease, self.server.clone(), self.span);
        Ok(Box::new(hold.map_err(|why| self.server.store("lock", why))?))
    }

    async fn create(&self, record: &RunRecord) -> JournalResult<()> {
        let lease = self.lease()?;
        let created = record.created.to_string();
        let command = "WITH held AS (
                           SELECT 1 FROM fleetmend.leases
                           WHERE region = $2 AND taking = $7 AND until > clock_timestamp() FOR SHARE
                       )
                       INSERT INTO fleetmend.runs (run, region, digest, created, rollout, snapshot)
                       SELECT $1, $2, $3, $4, $5, $6 FROM held
                       ON CONFLICT (run) DO UPDATE SET run = excluded.run WHERE runs.digest = excluded.digest
                       RETURNING 1";
        let RunRecord { region, rollout, snapshot, .. } = record;
        let (run, digest) = (record.run.uuid(), record.digest.as_str());
        let values: [&(dyn ToSql + Sync); 7] = [&run, region, &digest, &created, rollout, snapshot, &lease.taking];
        let begun = self.ask("begin a run in", command, &values).await?;
        if begun.is_empty() { Err(JournalError::Lost { region: record.region.clone() }) } else { Ok(()) }
    }

    async fn append(&self, run: RunId, events: &[Event]) -> JournalResult<()> {
        let Some(first) = events.first() else { return Ok(()) };
        let numbers: Vec<i64> = events.iter().filter_map(|event| i64::try_from(event.seq).ok()).collect();
        let gap = events.iter().zip(first.seq..).find(|(event, number)| event.seq != *number);
        if let Some((event, _)) = gap {
            return Err(JournalError::OutOfOrder { run, seq: event.seq });
        }
        let bodies: Vec<String> = events.iter().map(encode).collect();
        let lease = self.lease()?;
        let Some(mut head) = self.head(run, first.seq - 1).await? else {
            return Err(self.why_not(&lease, run, first.seq).await?);
        };
        let link = |body: &String| {
            head = chain::link(&head, body);
            head.as_str().to_owned()
        };
        let digests: Vec<String> = bodies.iter().map(link).collect();
        // The lease is locked until this is durable: whoever takes it over waits for that.
        let command = "WITH held AS (
                           SELECT 1 FROM fleetmend.leases JOIN fleetmend.runs USING (region)
                           WHERE run = $1 AND taking = $4 AND until > clock_timestamp()
                             AND NOT arriving AND moved_to IS NULL FOR SHARE OF leases
                       )
                       INSERT INTO fleetmend.events (run, seq, body, digest)
                       SELECT $1, seq, body, digest
                       FROM unnest($2::bigint[], $3::text[], $5::text[]) AS new (seq, body, digest)
                       WHERE EXISTS (SELECT 1 FROM held)
                         AND (SELECT coalesce(max(seq), 0) + 1 FROM fleetmend.events WHERE run = $1) = ($2::bigint[])[1]
                       RETURNING 1";
        let values: [&(dyn ToSql + Sync); 5] = [&run.uuid(), &numbers, &bodies, &lease.taking, &digests];
        let appended = self.ask(APPEND, command, &values).await?;
        if !appended.is_empty() || self.are_there(run, &numbers, &bodies).await? {
            let last = first.seq + events.len() as u64 - 1;
            self.heads().insert(run, (last, head));
            return Ok(());
        }
        Err(self.why_not(&lease, run, first.seq).await?)
    }

    async fn record(&self, run: RunId) -> JournalResult<RunRecord> {
        let query = "SELECT region, digest, created, rollout, snapshot FROM fleetmend.runs WHERE run = $1";
        let row = self.ask("read", query, &[&run.uuid()]).await?;
        let row = row.first().ok_or_else(|| JournalError::NoRun(run.to_string()))?;
        Ok(RunRecord {
            run,
            region: row.get(0),
            digest: Digest::new(row.get::<_, String>(1)),
            created: self.time(row, 2)?,
            rollout: row.get(3),
            snapshot: row.get(4),
        })
    }

    async fn page(&self, run: RunId, from: u64, most: usize) -> JournalResult<Vec<StoredEvent>> {
        let query = "SELECT seq, body, digest FROM fleetmend.events WHERE run = $1 AND seq >= $2 ORDER BY seq LIMIT $3";
        let from = i64::try_from(from).unwrap_or(i64::MAX);
        let most = i64::try_from(most).unwrap_or(i64::MAX);
        let rows = self.ask("read", query, &[&run.uuid(), &from, &most]).await?;
        let read = |row: &Row| StoredEvent {
            seq: row.get::<_, i64>(0).unsigned_abs(),
            body: row.get(1),
            digest: row.get::<_, Option<String>>(2).map(Digest::new),
        };
        Ok(rows.iter().map(read).collect())
    }

    async fn standing(&self, run: RunId) -> JournalResult<Standing> {
        let query = "SELECT arriving, moved_to FROM fleetmend.runs WHERE run = $1";
        let rows = self.ask("read", query, &[&run.uuid()]).await?;
        let row = rows.first().ok_or_else(|| JournalError::NoRun(run.to_string()))?;
        Ok(Standing::of_columns(row.get(0), row.get(1)))
    }

    async fn snapshot(&self, run: RunId) -> JournalResult<Option<Snapshot>> {
        let query = "SELECT seq, digest, made_by, body FROM fleetmend.snapshots WHERE run = $1";
        let rows = self.ask("read", query, &[&run.uuid()]).await?;
        let read = |row: &Row| Snapshot {
            seq: row.get::<_, i64>(0).unsigned_abs(),
            digest: Digest::new(row.get::<_, String>(1)),
            made_by: row.get(2),
            body: row.get(3),
        };
        Ok(rows.first().map(read))
    }

    async fn keep_snapshot(&self, run: RunId, snapshot: &Snapshot) -> JournalResult<()> {
        let lease = self.lease()?;
        let Snapshot { seq, digest, made_by, body } = snapshot;
        let command = "INSERT INTO fleetmend.snapshots (run, seq, digest, made_by, body)
                       SELECT $1, $2, $3, $4, $5 FROM fleetmend.leases
                       WHERE region = $6 AND taking = $7 AND until > clock_timestamp()
                       ON CONFLICT (run) DO UPDATE SET seq = excluded.seq, digest = excluded.digest,
                           made_by = excluded.made_by, body = excluded.body
                       RETURNING 1";
        let seq = i64::try_from(*seq).unwrap_or(i64::MAX);
        let values: [&(dyn ToSql + Sync); 7] =
            [&run.uuid(), &seq, &digest.as_str(), made_by, body, &lease.region, &lease.taking];
        let kept = self.ask("keep a snapshot in", command, &values).await?;
        if kept.is_empty() { Err(JournalError::Lost { region: lease.region }) } else { Ok(()) }
    }

    async fn runs(&self) -> JournalResult<Vec<RunListing>> {
        let query = "SELECT run, region, digest, created, coalesce(seq, 0), body, arriving, moved_to
                     FROM fleetmend.runs
                     LEFT JOIN LATERAL (
                         SELECT seq, body FROM fleetmend.events WHERE events.run = runs.run ORDER BY seq DESC LIMIT 1
                     ) AS last ON true
                     ORDER BY run DESC";
        let rows = self.ask("read", query, &[]).await?;
        let read = |row: &Row| {
            let run = RunId::new(row.get(0));
            let events = row.get::<_, i64>(4).unsigned_abs();
            let last: Option<&str> = row.get(5);
            let last = last.map(|body| decode::<Event>(run, events, body)).transpose()?;
            Ok(RunListing {
                run,
                region: row.get(1),
                digest: Digest::new(row.get::<_, String>(2)),
                created: self.time(row, 3)?,
                events,
                ended: last.is_some_and(|event| event.ends_the_run()),
                standing: Standing::of_columns(row.get(6), row.get(7)),
            })
        };
        rows.iter().map(read).collect()
    }

    async fn beat(&self, run: RunId, heartbeat: &Heartbeat) -> JournalResult<()> {
        let (body, lease) = (encode(heartbeat), self.lease()?);
        let command = "INSERT INTO fleetmend.heartbeats (run, body)
                       SELECT $1, $2 FROM fleetmend.leases
                       WHERE region = $3 AND taking = $4 AND until > clock_timestamp()
                       ON CONFLICT (run) DO UPDATE SET body = excluded.body
                       RETURNING 1";
        let beaten = self.ask(APPEND, command, &[&run.uuid(), &body, &lease.region, &lease.taking]).await?;
        if beaten.is_empty() { Err(JournalError::Lost { region: lease.region }) } else { Ok(()) }
    }

    async fn heartbeat(&self, run: RunId) -> JournalResult<Option<Heartbeat>> {
        let query = "SELECT body FROM fleetmend.heartbeats WHERE run = $1";
        let row = self.ask("read", query, &[&run.uuid()]).await?;
        row.first().map(|row| decode(run, 0, row.get(0))).transpose()
    }

    async fn place_request(&self, run: RunId, request: &PlacedRequest) -> JournalResult<()> {
        let body = encode(request);
        let command = "INSERT INTO fleetmend.requests (run, body)
                       SELECT $1, $2 WHERE NOT EXISTS (
                           SELECT 1 FROM fleetmend.requests WHERE run = $1 AND body = $2 AND NOT taken
                       )";
        self.ask(APPEND, command, &[&run.uuid(), &body]).await?;
        Ok(())
    }

    async fn open_requests(&self, run: RunId) -> JournalResult<Vec<(i64, PlacedRequest)>> {
        let query = "SELECT number, body FROM fleetmend.requests WHERE run = $1 AND NOT taken ORDER BY number";
        let rows = self.ask("read", query, &[&run.uuid()]).await?;
        rows.iter().map(|row| Ok((row.get(0), decode(run, 0, row.get(1))?))).collect()
    }

    async fn close_requests(&self, run: RunId, numbers: &[i64]) -> JournalResult<()> {
        let (numbers, lease) = (numbers.to_vec(), self.lease()?);
        let command = "UPDATE fleetmend.requests SET taken = true FROM fleetmend.leases
                       WHERE run = $1 AND requests.number = ANY($2)
                         AND region = $3 AND taking = $4 AND until > clock_timestamp()
                       RETURNING 1";
        let taken = self.ask(APPEND, command, &[&run.uuid(), &numbers, &lease.region, &lease.taking]).await?;
        if taken.len() < numbers.len() { Err(JournalError::Lost { region: lease.region }) } else { Ok(()) }
    }
}

impl PostgresJournal {
    /// Takes the region, or says who has it.
    async fn take(&self, region: &str, runner: &Runner) -> JournalResult<Lease> {
        let until = lease::Until::after(self.span);
        let holder = format!("process {} on {}", runner.pid, runner.host);
        let taking = Uuid::new_v4();
        let values: [&(dyn ToSql + Sync); 4] = [&region, &holder, &taking, &lease::milliseconds(self.span)];
        if let Some(row) = self.ask("lock", lease::TAKE, &values).await?.first() {
            let token = FencingToken { space: row.get(1), number: row.get::<_, i64>(0).unsigned_abs() };
            return Ok(Lease::until(region, taking, token, until));
        }
        let holder = self.ask("lock", "SELECT holder FROM fleetmend.leases WHERE region = $1", &[&region]).await?;
        let holder = holder.first().map_or_else(|| "somebody who has let go of it".to_owned(), |row| row.get(0));
        Err(JournalError::Held { region: region.to_owned(), holder })
    }

    /// The digest that covers a run up to event `seq`; `None` when there is no such event.
    async fn head(&self, run: RunId, seq: u64) -> JournalResult<Option<Digest>> {
        // Whatever comes of the append: what is known is used once.
        if let Some((_, digest)) = self.heads().remove(&run).filter(|(last, _)| *last == seq) {
            return Ok(Some(digest));
        }
        let last = if seq == 0 { None } else { self.page(run, seq, 1).await?.into_iter().next() };
        match last {
            None if seq > 0 => Ok(None),
            Some(StoredEvent { seq: found, .. }) if found != seq => Ok(None),
            Some(StoredEvent { digest: Some(digest), .. }) => Ok(Some(digest)),
            Some(_) | None => self.record(run).await.map(|record| Some(chain::genesis(&record))),
        }
    }

    fn heads(&self) -> std::sync::MutexGuard<'_, BTreeMap<RunId, (u64, Digest)>> {
        self.heads.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why nothing was appended.
    async fn why_not(&self, lease: &Lease, run: RunId, seq: u64) -> JournalResult<JournalError> {
        let ours = "SELECT 1 FROM fleetmend.leases WHERE region = $1 AND taking = $2 AND until > clock_timestamp()";
        if self.ask(APPEND, ours, &[&lease.region, &lease.taking]).await?.is_empty() {
            return Ok(JournalError::Lost { region: lease.region.clone() });
        }
        let standing = self.standing(run).await?;
        Ok(if standing.is_here() {
            JournalError::OutOfOrder { run, seq }
        } else {
            JournalError::Elsewhere { run, standing }
        })
    }

    /// Whether exactly these events are there: they were appended, and the answer was lost.
    async fn are_there(&self, run: RunId, numbers: &Vec<i64>, bodies: &Vec<String>) -> JournalResult<bool> {
        let query = "SELECT 1 FROM fleetmend.events JOIN unnest($2::bigint[], $3::text[]) AS new (seq, body)
                     USING (seq, body) WHERE run = $1";
        Ok(self.ask("read", query, &[&run.uuid(), numbers, bodies]).await?.len() == numbers.len())
    }

    fn time(&self, row: &Row, column: usize) -> JournalResult<jiff::Timestamp> {
        let text: &str = row.get(column);
        text.parse().map_err(|why: jiff::Error| self.server.store("read", why))
    }
}
