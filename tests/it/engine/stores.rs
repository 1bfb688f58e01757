//! One run, told by a file and by a real PostgreSQL.

use fleetmend::journal::sqlite::SqliteJournal;
use fleetmend::journal::{Journal, RunRecord};
use fleetmend::report::{History, Observation, Report};
use fleetmend::run::{self, Runner};
use fleetmend::sim::faults::{Faults, MigrationFault, MigrationRule};
use jiff::Timestamp;

use super::stage::{Notes, Stage, policy, scenario};
use crate::lab::postgres::Server;

/// A run with failures, in virtual time, as its journal in memory has it.
fn played() -> (RunRecord, Vec<run::Event>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let failing = MigrationRule {
            instance: None,
            source: None,
            target: None,
            times: Some(2),
            fault: MigrationFault::PrecheckTarget,
        };
        let faults = Faults { migrations: vec![failing], ..Faults::default() };
        let stage = Stage::set(&scenario(faults), policy()).await;
        stage.begin(&mut Notes::default()).await.unwrap();
        (stage.journal.record(stage.run).await.unwrap(), stage.journal.events(stage.run, 1).await.unwrap())
    })
}

async fn reported(journal: &dyn Journal, record: &RunRecord, events: &[run::Event]) -> (String, String) {
    let runner = Runner { host: "test".to_owned(), pid: 1, version: "test".to_owned() };
    let _hold = journal.hold(&record.region, &runner).await.unwrap();
    journal.create(record).await.unwrap();
    for events in events.chunks(7) {
        journal.append(record.run, events).await.unwrap();
    }
    let state = run::load(journal, record.run).await.unwrap();
    let observation = Observation { now: Timestamp::UNIX_EPOCH, heartbeat: None, alive: false };
    let told = journal.events(record.run, 1).await.unwrap();
    let report = Report::of(&state, &History::replay(state.rollout(), &told), &observation);
    let verified = fleetmend::journal::archive::verify(journal, record.run).await.unwrap();
    (serde_json::to_string_pretty(&report).unwrap(), format!("{:?}", verified.head))
}

#[test]
fn both_kinds_of_state_give_the_same_report() {
    let (record, events) = played();
    assert!(events.len() > 300, "{}", events.len());
    let folder = tempfile::tempdir().unwrap();
    let server = Server::up();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let file = SqliteJournal::open(&folder.path().join("journal.db")).unwrap();
        let told = reported(&file, &record, &events).await;
        assert_eq!(told, reported(&server.journal().await, &record, &events).await);
        assert!(told.0.contains("\"failures\": [\n"), "something went wrong in it");
    });
}
