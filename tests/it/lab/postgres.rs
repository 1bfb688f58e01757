//! Shared state against a real PostgreSQL: the contract of a journal, leases, restarts of the server, TLS.

use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use fleetmend::journal::postgres::{PostgresJournal, PostgresUrl};
use fleetmend::journal::sqlite::SqliteJournal;
use fleetmend::journal::{Heartbeat, Journal, JournalError, PlacedRequest, RegionHold, Request, RunRecord};
use fleetmend::model::{Digest, RunId};
use fleetmend::run::{Event, EventKind, Outcome, Runner};
use jiff::Timestamp;
use tempfile::TempDir;
use tokio_postgres::NoTls;
use uuid::Uuid;

const REGION: &str = "RegionOne";

/// Long enough for a loaded machine to renew it, short enough to wait for.
const LEASE: Duration = Duration::from_secs(6);

/// A server of its own for one test; it goes with it.
pub(crate) struct Server {
    folder: TempDir,
    address: String,
}

impl Server {
    pub(crate) fn up() -> Self {
        let folder = TempDir::new_in("/var/tmp").unwrap();
        // The server is another user.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(folder.path(), open).unwrap();
        let address = script("up", &folder.path().join("server"));
        Self { folder, address: address.trim().to_owned() }
    }

    /// How a client reaches it, password included.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Stops it as a crash would, and starts it again.
    pub(super) fn crash_and_restart(&self) {
        script("restart", &self.place());
    }

    /// Events of the newest run.
    pub(super) async fn events(&self) -> Vec<Event> {
        let journal = self.journal().await;
        let Some(run) = journal.runs().await.unwrap().first().map(|run| run.run) else { return Vec::new() };
        journal.events(run, 1).await.unwrap()
    }

    pub(super) fn place(&self) -> PathBuf {
        self.folder.path().join("server")
    }

    pub(crate) fn url(&self) -> PostgresUrl {
        PostgresUrl::parse(&self.address).unwrap()
    }

    pub(crate) async fn journal(&self) -> PostgresJournal {
        PostgresJournal::open(self.url(), None, LEASE).await.unwrap()
    }

    /// Does something behind the journal's back.
    pub(crate) async fn sql(&self, command: &str) {
        let (client, connection) = tokio_postgres::connect(&self.address, NoTls).await.unwrap();
        tokio::spawn(connection);
        client.batch_execute(command).await.unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        script("down", &self.place());
    }
}

pub(super) fn script(verb: &str, folder: &std::path::Path) -> String {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/postgres.sh");
    let output = Command::new(path).arg(verb).arg(folder).output().unwrap();
    assert!(output.status.success(), "{verb}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn runner(pid: u32) -> Runner {
    Runner { host: "here".to_owned(), pid, version: "0".to_owned() }
}

fn event(seq: u64) -> Event {
    Event { seq, at: Timestamp::UNIX_EPOCH, kind: EventKind::RunContinued { by: "it's \"me\" $1 \\".to_owned() } }
}

fn record(run: RunId) -> RunRecord {
    RunRecord {
        run,
        region: REGION.to_owned(),
        digest: Digest::new("sha256:0"),
        created: Timestamp::UNIX_EPOCH,
        rollout: "{\"a\": 1}".to_owned(),
        snapshot: "{}".to_owned(),
    }
}

fn new_run() -> RunId {
    RunId::new(Uuid::now_v7())
}

async fn begun(journal: &dyn Journal) -> (RunId, Box<dyn RegionHold>) {
    let run = new_run();
    let hold = journal.hold(REGION, &runner(1)).await.unwrap();
    journal.create(&record(run)).await.unwrap();
    (run, hold)
}

/// What every store of runs promises.
async fn keeps_the_contract(journal: &dyn Journal) {
    assert!(matches!(journal.record(new_run()).await, Err(JournalError::NoRun(_))));
    let (run, hold) = begun(journal).await;
    hold.check().unwrap();
    assert_eq!(journal.record(run).await.unwrap(), record(run));
    journal.append(run, &[event(1), event(2)]).await.unwrap();
    for wrong in [vec![event(4)], vec![event(3), event(5)], vec![event(2), event(4)]] {
        let refused = journal.append(run, &wrong).await;
        assert!(matches!(refused, Err(JournalError::OutOfOrder { .. })), "{refused:?}");
    }
    let other = Event { kind: EventKind::RunContinued { by: "somebody else".to_owned() }, ..event(2) };
    assert!(matches!(journal.append(run, &[other]).await, Err(JournalError::OutOfOrder { seq: 2, .. })));
    journal.append(run, &[]).await.unwrap();
    assert_eq!(journal.events(run, 1).await.unwrap(), [event(1), event(2)]);
    assert_eq!(journal.events(run, 2).await.unwrap(), [event(2)]);
    assert_eq!(journal.events(run, 3).await.unwrap(), []);

    assert_eq!(journal.heartbeat(run).await.unwrap(), None);
    for pid in [1, 2] {
        let beat = Heartbeat { runner: runner(pid), at: Timestamp::UNIX_EPOCH };
        journal.beat(run, &beat).await.unwrap();
        assert_eq!(journal.heartbeat(run).await.unwrap(), Some(beat));
    }

    let request = |request| PlacedRequest { request, by: "a@b".to_owned(), at: Timestamp::UNIX_EPOCH };
    for one in [Request::Pause, Request::Continue] {
        journal.place_request(run, &request(one)).await.unwrap();
    }
    let open = journal.open_requests(run).await.unwrap();
    let asked: Vec<&Request> = open.iter().map(|(_, placed)| &placed.request).collect();
    assert_eq!(asked, [&Request::Pause, &Request::Continue]);
    journal.close_requests(run, &[open[0].0]).await.unwrap();
    assert_eq!(journal.open_requests(run).await.unwrap(), open[1..]);

    let listed = journal.runs().await.unwrap();
    assert_eq!((listed[0].run, listed[0].events, listed[0].ended), (run, 2, false));
    let ended = EventKind::RunEnded { outcome: Outcome::Done, requests: 0, retries: 0 };
    journal.append(run, &[Event { kind: ended, ..event(3) }]).await.unwrap();
    assert!(journal.runs().await.unwrap()[0].ended);
    drop(hold);
    let (newer, _hold) = begun(journal).await;
    let listed = journal.runs().await.unwrap();
    assert_eq!(listed.iter().map(|one| one.run).collect::<Vec<_>>(), [newer, run]);
}

#[tokio::test]
async fn both_stores_keep_one_contract() {
    let folder = TempDir::new().unwrap();
    keeps_the_contract(&SqliteJournal::open(&folder.path().join("journal.db")).unwrap()).await;
    let server = Server::up();
    let none = PostgresJournal::open_existing(server.url(), None, LEASE).await.unwrap();
    assert!(none.is_none(), "looking makes nothing");
    keeps_the_contract(&server.journal().await).await;

    // What another machine reads, and what this version must not touch.
    let other = PostgresJournal::open_existing(server.url(), None, LEASE).await.unwrap().unwrap();
    assert_eq!(other.runs().await.unwrap().len(), 2);
    server.sql("INSERT INTO fleetmend.format VALUES (99)").await;
    let newer = PostgresJournal::open(server.url(), None, LEASE).await.err().unwrap();
    assert!(matches!(newer, JournalError::Newer { found: 99, known: 2, .. }), "{newer:?}");
    server.sql("DROP TABLE fleetmend.format").await;
    let foreign = PostgresJournal::open(server.url(), None, LEASE).await.err().unwrap();
    assert!(matches!(foreign, JournalError::Foreign { .. }), "{foreign:?}");
}

#[tokio::test]
async fn a_region_has_one_writer_and_one_that_lost_it_writes_nothing_more() {
    let server = Server::up();
    let (first, second) = (server.journal().await, server.journal().await);
    assert!(matches!(first.append(new_run(), &[event(1)]).await, Err(JournalError::NotHeld { .. })));
    let (run, hold) = begun(&first).await;
    first.append(run, &[event(1)]).await.unwrap();
    let refused = second.hold(REGION, &runner(2)).await.err().unwrap();
    assert!(refused.to_string().contains("process 1 on here"), "{refused}");
    second.hold("RegionTwo", &runner(2)).await.unwrap();
    // Renewed for as long as its holder lives.
    tokio::time::sleep(LEASE + LEASE / 2).await;
    hold.check().unwrap();
    first.append(run, &[event(2)]).await.unwrap();
    assert!(second.hold(REGION, &runner(2)).await.is_err());

    // Its time runs out while it knows nothing of it, as of a process that is frozen.
    server.sql("UPDATE fleetmend.leases SET until = clock_timestamp() WHERE region = 'RegionOne'").await;
    let taken = second.hold(REGION, &runner(2)).await.unwrap();
    let lost = first.append(run, &[event(3)]).await;
    assert!(matches!(lost, Err(JournalError::Lost { .. })), "{lost:?}");
    assert!(matches!(first.create(&record(new_run())).await, Err(JournalError::Lost { .. })));
    second.append(run, &[event(3)]).await.unwrap();
    tokio::time::sleep(LEASE / 2).await;
    assert!(matches!(hold.check(), Err(JournalError::Lost { .. })), "its next renewal tells it");
    drop(hold);
    taken.check().unwrap();
    assert!(first.hold(REGION, &runner(1)).await.is_err(), "what the loser lets go of is not the winner's lease");

    // One that ends lets go at once.
    drop(taken);
    let again = first.hold(REGION, &runner(1)).await.unwrap();
    again.check().unwrap();
    first.append(run, &[event(4)]).await.unwrap();
    assert_eq!(first.events(run, 1).await.unwrap(), [event(1), event(2), event(3), event(4)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_crashes_and_returns_has_each_event_once() {
    let server = Arc::new(Server::up());
    let journal = server.journal().await;
    let (run, hold) = begun(&journal).await;
    let crashing = Arc::clone(&server);
    let crash = tokio::task::spawn_blocking(move || script("restart", &crashing.place()));
    let mut written = 0;
    while !crash.is_finished() || written < 200 {
        written += 1;
        journal.append(run, &[event(written)]).await.unwrap();
    }
    crash.await.unwrap();
    hold.check().unwrap();
    let seen: Vec<u64> = journal.events(run, 1).await.unwrap().iter().map(|event| event.seq).collect();
    assert_eq!(seen, (1..=written).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_server_has_to_prove_itself_and_no_word_shows_the_password() {
    let server = Server::up();
    let ca = server.place().join("ca.pem");
    let open = async |address: String| {
        PostgresJournal::open(PostgresUrl::parse(&address).unwrap(), None, LEASE).await.map(|journal| journal.place())
    };
    let encrypted = format!("{}?sslmode=verify-full&sslrootcert={}", server.address, ca.display());
    let place = open(encrypted.clone()).await.unwrap();
    assert!(!place.contains("correct-horse"), "{place}");
    let told = |error: JournalError| {
        let mut words = format!("{error}: {error:?}");
        let mut cause = std::error::Error::source(&error);
        while let Some(one) = cause {
            words = format!("{words}: {one}");
            cause = one.source();
        }
        assert!(!words.contains("correct-horse"), "{words}");
        words
    };
    let strange = told(open(format!("{}?sslmode=verify-full", server.address)).await.unwrap_err());
    assert!(strange.contains("UnknownIssuer") || strange.contains("no certificate of an authority"), "{strange}");
    let elsewhere = told(open(encrypted.replace("localhost", "127.0.0.1")).await.unwrap_err());
    assert!(elsewhere.contains("certificate"), "another name than the certificate's: {elsewhere}");
    let refused = told(open(server.address.replace("horse", "horsf")).await.unwrap_err());
    assert!(refused.contains("password authentication failed"), "{refused}");
    let nobody = told(open("postgres://fleet:correct-horse@localhost:1/postgres".to_owned()).await.unwrap_err());
    assert!(nobody.to_lowercase().contains("refused"), "{nobody}");
}
