use jiff::Timestamp;
use rusqlite::Connection;

use super::*;
use crate::run::event::{EventKind, Outcome};

fn runner() -> Runner {
    Runner { host: "here".to_owned(), pid: 1, version: "0".to_owned() }
}

fn event(seq: u64) -> Event {
    Event { seq, at: Timestamp::UNIX_EPOCH, kind: EventKind::RunContinued { by: "test".to_owned() } }
}

async fn with_run(path: &Path) -> (SqliteJournal, RunId) {
    let journal = SqliteJournal::open(path).unwrap();
    let run = RunId::new(uuid::Uuid::now_v7());
    let record = RunRecord {
        run,
        region: "R".to_owned(),
        digest: Digest::new("sha256:0"),
        created: Timestamp::UNIX_EPOCH,
        rollout: "{}".to_owned(),
        snapshot: "{}".to_owned(),
    };
    journal.create(&record).await.unwrap();
    (journal, run)
}

#[tokio::test]
async fn events_survive_reopening_and_gaps_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/journal.db");
    let (journal, run) = with_run(&path).await;
    journal.append(run, &[event(1), event(2)]).await.unwrap();
    for wrong in [2, 4] {
        let refused = journal.append(run, &[event(wrong)]).await;
        assert!(matches!(refused, Err(JournalError::OutOfOrder { .. })), "{wrong}");
    }
    let half = journal.append(run, &[event(3), event(5)]).await;
    assert!(half.is_err());
    drop(journal);
    let journal = SqliteJournal::open_existing(&path).unwrap();
    assert_eq!(journal.events(run, 1).await.unwrap(), [event(1), event(2)]);
    assert_eq!(journal.events(run, 2).await.unwrap(), [event(2)]);
    let ended = EventKind::RunEnded { outcome: Outcome::Done, requests: 0, retries: 0 };
    journal.append(run, &[Event { kind: ended, ..event(3) }]).await.unwrap();
    assert!(journal.runs().await.unwrap()[0].ended);
}

#[tokio::test]
async fn a_region_has_one_writer_until_it_lets_go() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let (first, second) = (SqliteJournal::open(&path).unwrap(), SqliteJournal::open(&path).unwrap());
    let hold = first.hold("Region/One", &runner()).await.unwrap();
    let refused = second.hold("Region/One", &runner()).await;
    assert!(matches!(refused, Err(JournalError::Held { .. })));
    assert!(second.hold("RegionTwo", &runner()).await.is_ok());
    drop(hold);
    assert!(second.hold("Region/One", &runner()).await.is_ok());
}

#[tokio::test]
async fn what_is_no_journal_or_a_newer_one_is_refused_untouched() {
    let folder = tempfile::tempdir().unwrap();
    let foreign = folder.path().join("foreign.db");
    Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE t (x)").unwrap();
    assert!(matches!(SqliteJournal::open(&foreign), Err(JournalError::Foreign { .. })));
    let newer = folder.path().join("newer.db");
    drop(SqliteJournal::open(&newer).unwrap());
    Connection::open(&newer).unwrap().execute_batch("PRAGMA user_version = 99").unwrap();
    assert!(matches!(SqliteJournal::open(&newer), Err(JournalError::Newer { found: 99, .. })));
    let text = folder.path().join("text.db");
    std::fs::write(&text, "not a database, but long enough to be looked at".repeat(50)).unwrap();
    assert!(matches!(SqliteJournal::open(&text), Err(JournalError::Store { .. })));
    assert!(SqliteJournal::open_existing(&folder.path().join("none.db")).is_err());
}

#[tokio::test]
async fn requests_are_taken_once() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, run) = with_run(&folder.path().join("journal.db")).await;
    let request =
        PlacedRequest { request: super::super::Request::Pause, by: "a@b".to_owned(), at: Timestamp::UNIX_EPOCH };
    journal.place_request(run, &request).await.unwrap();
    let open = journal.open_requests(run).await.unwrap();
    assert_eq!(open.len(), 1);
    journal.close_requests(run, &[open[0].0]).await.unwrap();
    assert!(journal.open_requests(run).await.unwrap().is_empty());
}
