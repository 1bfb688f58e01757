//! A whole run on a simulated region, in virtual time, written into a file.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use fleetmend::actions::Progress;
use fleetmend::clock::Clock;
use fleetmend::journal::sqlite::SqliteJournal;
use fleetmend::journal::{
    Heartbeat, Journal, JournalResult, PlacedRequest, RegionHold, RunListing, RunRecord, Snapshot, StoredEvent,
};
use fleetmend::model::{Digest, HostName, Limit, Policy, RolloutId, RunId, Span};
use fleetmend::plan::{Experience, PlanInput, Scope, plan};
use fleetmend::remedy::{Verdict, assess};
use fleetmend::run::{DriveSettings, Engine, Event, Observer, Ports, RunState, Runner};
use fleetmend::sim::{Scenario, SimCloud, SimOutside, SimRegion, SimShell};
use fleetmend::{config, inventory};
use tokio::sync::mpsc;
use uuid::Uuid;

/// So many events are made durable at once: what is measured is reading, not a million commits.
const AT_ONCE: usize = 5_000;

struct Nobody;

impl Observer for Nobody {
    fn event(&mut self, _state: &RunState, _event: &Event) {}

    fn progress(&mut self, _state: &RunState, _progress: &Progress) {}

    fn wants_progress(&self) -> bool {
        false
    }
}

/// Writes down the run of a region of `hosts`, twenty instances each.
pub fn into(path: &Path, hosts: usize) -> RunId {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let journal = Arc::new(Bundled { file: SqliteJournal::open(path).unwrap(), waiting: Mutex::default() });
    let run = RunId::new(Uuid::now_v7());
    runtime.block_on(async {
        let scenario = Scenario { empty_hosts: hosts / 50 + 1, groups: 0, ..Scenario::sized(hosts, hosts * 20, 7) };
        let region = SimRegion::new(scenario.build(), 1.0);
        let cloud = Arc::new(SimCloud::new(Arc::clone(&region)));
        let shell = Arc::new(SimShell::new(Arc::clone(&region)));
        let text = config::shipped::find(config::shipped::REMEDIES, "mds").unwrap().text;
        let remedy = config::read_remedy("mds.yaml", text).unwrap();
        let order = inventory::Order {
            cloud: cloud.as_ref(),
            shell: Some(shell.as_ref()),
            inquiry: &remedy.inquiry(),
            parallel: 8,
            rack_keys: &["rack".to_owned()],
            own: &inventory::OwnPlaces::default(),
            taken_at: region.clock().now(),
        };
        let snapshot = inventory::take(&order, &|_| {}).await.unwrap();
        let verdicts: BTreeMap<HostName, Verdict> =
            snapshot.hosts.iter().map(|host| (host.host.clone(), assess(&host.facts, &remedy))).collect();
        let mut policy = Policy { settle: Span::seconds(0), ..Policy::default() };
        policy.limits.hosts = Limit::at_most((hosts / 47).max(2));
        policy.limits.hosts_per_zone = policy.limits.hosts;
        policy.limits.migrations = hosts;
        let input = PlanInput {
            region: &snapshot,
            verdicts: &verdicts,
            remedy: &remedy,
            policy: &policy,
            scope: &Scope::default(),
            experience: &Experience::default(),
            configuration: Digest::new("sha256:none"),
            seed: 1,
            now: region.clock().now(),
            id: RolloutId::new(Uuid::nil()),
        };
        let (rollout, _report) = plan(&input).unwrap();
        let engine = Engine {
            ports: Ports {
                cloud,
                shell,
                outside: Arc::new(SimOutside::new(Arc::clone(&region), vec![])),
                clock: Arc::new(region.clock()),
            },
            journal: Arc::clone(&journal) as _,
            runner: Runner { host: "bench".to_owned(), pid: 1, version: env!("CARGO_PKG_VERSION").to_owned() },
            settings: DriveSettings::default(),
            take_over: false,
        };
        let (_steer, steered) = mpsc::channel(1);
        engine.begin(run, rollout, &snapshot, steered, &mut Nobody).await.unwrap();
        journal.write(run).await.unwrap();
    });
    run
}

/// Writes many appends as one.
struct Bundled {
    file: SqliteJournal,
    waiting: Mutex<Vec<Event>>,
}

impl Bundled {
    async fn write(&self, run: RunId) -> JournalResult<()> {
        let events = std::mem::take(&mut *self.waiting.lock().unwrap());
        self.file.append(run, &events).await
    }
}

#[async_trait]
impl Journal for Bundled {
    fn place(&self) -> String {
        self.file.place()
    }

    async fn hold(&self, region: &str, runner: &Runner) -> JournalResult<Box<dyn RegionHold>> {
        self.file.hold(region, runner).await
    }

    async fn create(&self, record: &RunRecord) -> JournalResult<()> {
        self.file.create(record).await
    }

    async fn append(&self, run: RunId, events: &[Event]) -> JournalResult<()> {
        let count = {
            let mut waiting = self.waiting.lock().unwrap();
            waiting.extend_from_slice(events);
            waiting.len()
        };
        if count < AT_ONCE { Ok(()) } else { self.write(run).await }
    }

    async fn record(&self, run: RunId) -> JournalResult<RunRecord> {
        self.file.record(run).await
    }

    async fn page(&self, run: RunId, from: u64, most: usize) -> JournalResult<Vec<StoredEvent>> {
        self.write(run).await?;
        self.file.page(run, from, most).await
    }

    async fn keep_snapshot(&self, run: RunId, snapshot: &Snapshot) -> JournalResult<()> {
        self.file.keep_snapshot(run, snapshot).await
    }

    async fn runs(&self) -> JournalResult<Vec<RunListing>> {
        self.file.runs().await
    }

    async fn beat(&self, _run: RunId, _heartbeat: &Heartbeat) -> JournalResult<()> {
        Ok(())
    }

    async fn heartbeat(&self, _run: RunId) -> JournalResult<Option<Heartbeat>> {
        Ok(None)
    }

    async fn place_request(&self, run: RunId, request: &PlacedRequest) -> JournalResult<()> {
        self.file.place_request(run, request).await
    }

    async fn open_requests(&self, _run: RunId) -> JournalResult<Vec<(i64, PlacedRequest)>> {
        Ok(Vec::new())
    }

    async fn close_requests(&self, _run: RunId, _numbers: &[i64]) -> JournalResult<()> {
        Ok(())
    }
}
