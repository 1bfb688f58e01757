//! The lease on a region: who may write, and until when. Time is the database's; each taking has an id of its own, which
//! every write names.
//!
//! A thread of its own renews the lease on a connection of its own, so that neither a long read nor a busy loop lets it
//! run out. What a holder may rely on without asking is counted from before the request that renewed it, on clocks that
//! go on while the process is frozen: a process that wakes up late knows at once.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::oneshot;
use tokio::time::timeout;
use tokio_postgres::Client;
use uuid::Uuid;

use super::{Failure, Server};
use crate::journal::{JournalError, JournalResult, RegionHold};
use crate::model::FencingToken;

/// How long letting go may take when the process ends: after that the lease runs out by itself.
const FAREWELL: Duration = Duration::from_secs(2);

/// A region that is held.
#[derive(Debug, Clone)]
pub(super) struct Lease {
    pub(super) region: String,
    /// This taking of it: no other one has the same, on whatever copy of the database.
    pub(super) taking: Uuid,
    /// Its number, for hosts.
    pub(super) token: FencingToken,
    /// Until when it holds for sure; `None` once that was over. What was lost once is not found again.
    until: Arc<Mutex<Option<Until>>>,
}

/// Until when the lease holds for sure, by both clocks of this machine.
#[derive(Debug, Clone, Copy)]
pub(super) struct Until {
    /// Does not jump, but may stand still while the machine sleeps.
    steady: Instant,
    /// Goes on while the machine sleeps, but may be set.
    civil: SystemTime,
}

impl Until {
    /// From this moment on for `span`.
    pub(super) fn after(span: Duration) -> Self {
        Self { steady: Instant::now() + span, civil: SystemTime::now() + span }
    }

    fn left(self) -> Option<Duration> {
        let steady = self.steady.checked_duration_since(Instant::now())?;
        let civil = self.civil.duration_since(SystemTime::now()).ok()?;
        Some(steady.min(civil)).filter(|left| !left.is_zero())
    }
}

impl Lease {
    pub(super) fn until(region: &str, taking: Uuid, token: FencingToken, until: Until) -> Self {
        Self { region: region.to_owned(), taking, token, until: Arc::new(Mutex::new(Some(until))) }
    }

    /// How long it holds for sure, without asking anybody; nothing once it may have run out.
    fn left(&self) -> Option<Duration> {
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        let left = until.and_then(Until::left);
        if left.is_none() {
            *until = None;
        }
        left
    }

    /// `Err` when the lease may have run out.
    pub(super) fn check(&self) -> JournalResult<()> {
        self.left().map(|_| ()).ok_or_else(|| JournalError::Lost { region: self.region.clone() })
    }

    /// Nothing may rely on it any more.
    fn end(&self) {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// `Err` when it was lost before it was renewed.
    fn prolong(&self, until: Until) -> JournalResult<()> {
        self.check()?;
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
        Ok(())
    }
}

/// Takes a region that nobody holds. Values: region, holder, taking, milliseconds. No row when somebody does; one that was
/// taken and whose answer was lost is taken once more.
pub(super) const TAKE: &str = "
    INSERT INTO fleetmend.leases AS lease (region, holder, taking, number, until)
    VALUES ($1, $2, $3, 1, clock_timestamp() + $4 * interval '1 millisecond')
    ON CONFLICT (region) DO UPDATE
    SET holder = excluded.holder, taking = excluded.taking, number = lease.number + 1, until = excluded.until
    WHERE lease.until <= clock_timestamp() OR lease.taking = excluded.taking
    RETURNING number, (SELECT id FROM fleetmend.space LIMIT 1)";

/// As PostgreSQL multiplies intervals.
pub(super) fn milliseconds(span: Duration) -> f64 {
    span.as_secs_f64() * 1000.0
}

/// Renews the lease until it is dropped, and lets go of it then.
pub(super) struct LeaseHold {
    lease: Lease,
    stop: Option<oneshot::Sender<()>>,
    renewal: Option<JoinHandle<()>>,
}

impl LeaseHold {
    /// Begins to renew `lease`.
    pub(super) fn renewing(lease: Lease, server: Server, span: Duration) -> std::io::Result<Self> {
        let (stop, stopped) = oneshot::channel();
        let renewed = lease.clone();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let renewal = std::thread::Builder::new()
            .name("lease".to_owned())
            .spawn(move || runtime.block_on(renew(&renewed, &server, span, stopped)))?;
        Ok(Self { lease, stop: Some(stop), renewal: Some(renewal) })
    }
}

impl RegionHold for LeaseHold {
    fn check(&self) -> JournalResult<()> {
        self.lease.check()
    }

    fn token(&self) -> Option<FencingToken> {
        Some(self.lease.token)
    }

    fn left(&self) -> Option<Duration> {
        Some(self.lease.left().unwrap_or_default())
    }
}

impl Drop for LeaseHold {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(renewal) = self.renewal.take() {
            // A thread that panicked has let go of nothing: the lease runs out by itself.
            drop(renewal.join());
        }
    }
}

/// Renews every third of the lease's time, until the hold is dropped.
async fn renew(lease: &Lease, server: &Server, span: Duration, mut stopped: oneshot::Receiver<()>) {
    let mut client: Option<Client> = None;
    let mut pause = span / 3;
    while timeout(pause, &mut stopped).await.is_err() {
        let until = Until::after(span);
        let renewal = timeout(span / 3, prolong(lease, server, &mut client, span));
        let renewed = tokio::select! {
            renewed = renewal => renewed,
            _ = &mut stopped => break,
        };
        pause = match renewed {
            Ok(Ok(true)) if lease.prolong(until).is_ok() => span / 3,
            // It ran out, or somebody else has the region.
            Ok(Ok(_)) => {
                lease.end();
                return;
            }
            Ok(Err(_)) | Err(_) => {
                client = None;
                span / 20
            }
        };
    }
    lease.end();
    let farewell = async {
        let client = match client.filter(|client| !client.is_closed()) {
            Some(client) => client,
            None => server.connect().await?,
        };
        let release = "UPDATE fleetmend.leases SET until = clock_timestamp() WHERE region = $1 AND taking = $2
                       AND until > clock_timestamp()";
        client.execute(release, &[&lease.region, &lease.taking]).await.map_err(Failure::from)
    };
    // What cannot be told now runs out by itself.
    let _ = timeout(FAREWELL, farewell).await;
}

/// Asks the database for more time; `false` when the lease is no longer ours.
async fn prolong(lease: &Lease, server: &Server, client: &mut Option<Client>, span: Duration) -> Result<bool, Failure> {
    if client.as_ref().is_none_or(Client::is_closed) {
        *client = Some(server.connect().await?);
    }
    let Some(client) = client else { return Ok(false) };
    let renewal = "UPDATE fleetmend.leases SET until = clock_timestamp() + $3 * interval '1 millisecond'
                   WHERE region = $1 AND taking = $2 AND until > clock_timestamp()";
    Ok(client.execute(renewal, &[&lease.region, &lease.taking, &milliseconds(span)]).await? > 0)
}
