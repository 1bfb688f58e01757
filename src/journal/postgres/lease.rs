//! The lease on a region: who may write, and until when. Time is the database's; the token of each holder is higher than
//! those of all before it, and every write names it.
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

use super::{Failure, Server};
use crate::journal::{JournalError, JournalResult, RegionHold};

/// How long letting go may take when the process ends: after that the lease runs out by itself.
const FAREWELL: Duration = Duration::from_secs(2);

/// A region that is held.
#[derive(Debug, Clone)]
pub(super) struct Lease {
    pub(super) region: String,
    pub(super) token: i64,
    until: Arc<Mutex<Until>>,
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

    fn is_over(self) -> bool {
        Instant::now() >= self.steady || SystemTime::now() >= self.civil
    }
}

impl Lease {
    pub(super) fn until(region: &str, token: i64, until: Until) -> Self {
        Self { region: region.to_owned(), token, until: Arc::new(Mutex::new(until)) }
    }

    /// `Err` when the lease may have run out, without asking anybody.
    pub(super) fn check(&self) -> JournalResult<()> {
        let until = *self.until.lock().unwrap_or_else(PoisonError::into_inner);
        if until.is_over() { Err(JournalError::Lost { region: self.region.clone() }) } else { Ok(()) }
    }

    /// Nothing may rely on it any more.
    fn end(&self) {
        self.hold_until(Until::after(Duration::ZERO));
    }

    fn hold_until(&self, until: Until) {
        *self.until.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }
}

/// Takes a region that nobody holds. Values: region, holder, milliseconds. No row when somebody does.
pub(super) const TAKE: &str = "
    INSERT INTO fleetmend.leases AS lease (region, holder, token, until)
    VALUES ($1, $2, 1, clock_timestamp() + $3 * interval '1 millisecond')
    ON CONFLICT (region) DO UPDATE SET holder = excluded.holder, token = lease.token + 1, until = excluded.until
    WHERE lease.until <= clock_timestamp()
    RETURNING token";

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
        let renewed = timeout(span / 3, async {
            if client.as_ref().is_none_or(Client::is_closed) {
                client = Some(server.connect().await?);
            }
            let Some(client) = &client else { return Ok(0) };
            let renewal = "UPDATE fleetmend.leases SET until = clock_timestamp() + $3 * interval '1 millisecond'
                           WHERE region = $1 AND token = $2 AND until > clock_timestamp()";
            let found = client.execute(renewal, &[&lease.region, &lease.token, &milliseconds(span)]).await;
            found.map_err(Failure::from)
        })
        .await;
        pause = match renewed {
            Ok(Ok(0)) => {
                // It ran out, or somebody else has the region: nobody gets it back who did not notice.
                lease.end();
                return;
            }
            Ok(Ok(_)) => {
                lease.hold_until(until);
                span / 3
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
        let release = "UPDATE fleetmend.leases SET until = clock_timestamp() WHERE region = $1 AND token = $2
                       AND until > clock_timestamp()";
        client.execute(release, &[&lease.region, &lease.token]).await.map_err(Failure::from)
    };
    // What cannot be told now runs out by itself.
    let _ = timeout(FAREWELL, farewell).await;
}
