//! Journals that released versions wrote, with every kind of event that these knew: readable for ever.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use fleetmend::journal::archive::verify;
use fleetmend::journal::sqlite::SqliteJournal;
use fleetmend::journal::{Journal, JournalError};
use fleetmend::report::{History, Observation, Report};
use fleetmend::run::{self, Event, EventKind, Runner};
use jiff::Timestamp;
use serde_json::Value;

/// Kinds of events of 0.1.0.
const KINDS_OF_0_1: [&str; 18] = [
    "gate-opened",
    "gate-reached",
    "host-quarantined",
    "host-released",
    "host-retried",
    "host-skipped",
    "limits-changed",
    "run-continued",
    "run-ended",
    "run-paused",
    "run-resumed",
    "run-started",
    "step-failed",
    "step-intended",
    "step-started",
    "step-succeeded",
    "stop-requested",
    "target-seen",
];

fn fixture(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/journals/v0.1.0").join(file)
}

/// A copy of the journal that may be written to.
fn journal(folder: &Path) -> SqliteJournal {
    let path = folder.join("journal.db");
    std::fs::copy(fixture("journal.db"), &path).unwrap();
    SqliteJournal::open_existing(&path).unwrap()
}

/// Fails unless everything that `before` says `after` says as well.
#[track_caller]
fn says_as_much(before: &Value, after: &Value, place: &str) {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            for (name, value) in before {
                let found = after.get(name).unwrap_or_else(|| panic!("{place}.{name} is gone"));
                says_as_much(value, found, &format!("{place}.{name}"));
            }
        }
        (Value::Array(before), Value::Array(after)) => {
            assert_eq!(before.len(), after.len(), "{place}");
            for (place_in, (before, after)) in before.iter().zip(after).enumerate() {
                says_as_much(before, after, &format!("{place}[{place_in}]"));
            }
        }
        _ => assert_eq!(before, after, "{place}"),
    }
}

#[tokio::test]
async fn a_journal_of_0_1_0_tells_what_it_told() {
    let folder = tempfile::tempdir().unwrap();
    let journal = journal(folder.path());
    let listing = journal.runs().await.unwrap().remove(0);
    let events = journal.events(listing.run, 1).await.unwrap();
    let kinds: BTreeSet<&str> = events.iter().map(|event| event.kind.label()).collect();
    assert_eq!(kinds.into_iter().collect::<Vec<_>>(), KINDS_OF_0_1);
    assert!(listing.ended && listing.standing.is_here());

    let state = run::load(&journal, listing.run).await.unwrap();
    let heartbeat = journal.heartbeat(listing.run).await.unwrap().map(|beat| beat.at);
    let observation = Observation { now: Timestamp::now(), heartbeat, alive: false };
    let report = Report::of(&state, &History::replay(state.rollout(), &events), &observation);
    let kept: Value = serde_json::from_str(&std::fs::read_to_string(fixture("report.json")).unwrap()).unwrap();
    says_as_much(&kept, &serde_json::to_value(&report).unwrap(), "report");
    let verified = verify(&journal, listing.run).await.unwrap();
    assert_eq!((verified.events, verified.head), (listing.events, None));
}

#[tokio::test]
async fn a_journal_of_0_1_0_goes_on_and_words_of_a_later_version_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let journal = journal(folder.path());
    let run = journal.runs().await.unwrap()[0].run;
    // As its runner left it when it was killed, before the run was abandoned.
    let database = rusqlite::Connection::open(folder.path().join("journal.db")).unwrap();
    let left: u64 = 102;
    database.execute("DELETE FROM events WHERE seq > ?1", [left]).unwrap();
    let before = run::load(&journal, run).await.unwrap();
    assert!(!before.is_over());
    let runner = Runner { host: "here".to_owned(), pid: 1, version: "0.2.0".to_owned() };
    let event = Event { seq: left + 1, at: Timestamp::now(), kind: EventKind::RunResumed { runner } };
    let _hold = journal.hold("SimOne", &super::runner()).await.unwrap();
    journal.append(run, &[event]).await.unwrap();
    assert_eq!(run::load(&journal, run).await.unwrap().resumed(), before.resumed() + 1);
    assert_eq!(verify(&journal, run).await.unwrap().head.unwrap().0, left + 1);

    database.execute("DELETE FROM events WHERE seq > ?1", [left]).unwrap();
    let later = "UPDATE events SET body = json_set(body, '$.event.type', 'host-painted') WHERE seq = 102";
    database.execute(later, []).unwrap();
    let told = run::load(&journal, run).await.unwrap_err();
    let run::RunError::Journal(JournalError::Later { seq: 102, what, .. }) = &told else { panic!("{told:?}") };
    assert_eq!(what, "host-painted");
}
