//! What a journal costs: durable events a second, and reading a long run back with its snapshot and without.
//! `cargo bench --bench journal -- [HOSTS]`; with `FLEETMEND_BENCH_STATE=postgres://…` on that database as well.

#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a table is what this prints, and what fails ends it")]

mod play;

use std::sync::Arc;
use std::time::{Duration, Instant};

use fleetmend::journal::postgres::{LEASE, PostgresJournal, PostgresUrl};
use fleetmend::journal::sqlite::SqliteJournal;
use fleetmend::journal::{Journal, RunRecord, Snapshot};
use fleetmend::model::{Digest, RunId};
use fleetmend::run::{self, Event, EventKind, Runner};
use jiff::Timestamp;
use uuid::Uuid;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long appends are counted.
const COUNTED: Duration = Duration::from_secs(5);

fn main() {
    let hosts = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(300);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let runtime = tokio::runtime::Runtime::new().unwrap();
    println!("| store | durable appends/s, one event each | events/s, ten at once |\n|---|---|---|");
    runtime.block_on(async {
        let file = SqliteJournal::open(&folder.path().join("appends.db")).unwrap();
        appends("SQLite", &file).await;
        if let Ok(url) = std::env::var("FLEETMEND_BENCH_STATE") {
            let url = PostgresUrl::parse(&url).unwrap();
            let password = std::env::var("PGPASSWORD").ok();
            appends("PostgreSQL", &PostgresJournal::open(url, password.as_deref(), LEASE).await.unwrap()).await;
        }
    });
    let begun = Instant::now();
    let run = play::into(&path, hosts);
    println!("\n{hosts} hosts played in {:.0} s", begun.elapsed().as_secs_f64());
    runtime.block_on(async {
        let journal: Arc<dyn Journal> = Arc::new(SqliteJournal::open(&path).unwrap());
        let events = journal.runs().await.unwrap()[0].events;
        let with = read(&journal, run).await;
        let snapshot = journal.snapshot(run).await.unwrap();
        let (at, size) = snapshot.as_ref().map_or((0, 0), |snapshot| (snapshot.seq, snapshot.body.len()));
        if let Some(snapshot) = snapshot {
            let unfit = Snapshot { made_by: "another version".to_owned(), ..snapshot };
            journal.keep_snapshot(run, &unfit).await.unwrap();
        }
        let without = read(&journal, run).await;
        println!(
            "| events | snapshot at | its size, MB | read with it, s | from the first event, s |\n|---|---|---|---|---|"
        );
        #[expect(clippy::cast_precision_loss, reason = "bytes of a snapshot stay far below 2^52")]
        let megabytes = size as f64 / 1e6;
        println!("| {events} | {at} | {megabytes:.1} | {with:.2} | {without:.2} |");
    });
}

async fn read(journal: &Arc<dyn Journal>, run: RunId) -> f64 {
    let begun = Instant::now();
    let state = run::load(journal.as_ref(), run).await.unwrap();
    assert!(state.seq() > 0);
    begun.elapsed().as_secs_f64()
}

async fn appends(name: &str, journal: &dyn Journal) {
    let runner = Runner { host: "bench".to_owned(), pid: 1, version: "0".to_owned() };
    let run = RunId::new(Uuid::now_v7());
    let record = RunRecord {
        run,
        region: format!("bench-{run}"),
        digest: Digest::new("sha256:0"),
        created: Timestamp::UNIX_EPOCH,
        rollout: "{}".to_owned(),
        snapshot: "{}".to_owned(),
    };
    let _hold = journal.hold(&record.region, &runner).await.unwrap();
    journal.create(&record).await.unwrap();
    let mut seq = 0;
    let mut rates = Vec::new();
    for at_once in [1, 10] {
        let (begun, before) = (Instant::now(), seq);
        while begun.elapsed() < COUNTED {
            let mut event = || {
                seq += 1;
                let by = "an event of about the usual length, which is some two hundred bytes of text".to_owned();
                Event { seq, at: Timestamp::UNIX_EPOCH, kind: EventKind::RunContinued { by } }
            };
            let events: Vec<Event> = (0..at_once).map(|_| event()).collect();
            journal.append(run, &events).await.unwrap();
        }
        #[expect(clippy::cast_precision_loss, reason = "events of a few seconds")]
        let events = (seq - before) as f64;
        rates.push(events / begun.elapsed().as_secs_f64());
    }
    println!("| {name} | {:.0} | {:.0} |", rates[0], rates[1]);
}
