//! Journals: moving runs between them, removing old ones, and what tampering shows.

mod dying;
mod golden;

use std::path::Path;
use std::sync::atomic::AtomicUsize;

use fleetmend::journal::archive::{self, Archive, Copied, removable, verify};
use fleetmend::journal::sqlite::SqliteJournal;
use fleetmend::journal::{
    Heartbeat, Journal, JournalError, JournalResult, PlacedRequest, Request, RunRecord, Standing,
};
use fleetmend::model::{Digest, RunId};
use fleetmend::run::{Event, EventKind, Outcome, Runner};
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use dying::Dying;

pub const REGION: &str = "RegionOne";

pub fn runner() -> Runner {
    Runner { host: "here".to_owned(), pid: 1, version: "0".to_owned() }
}

pub fn event(seq: u64) -> Event {
    Event { seq, at: Timestamp::UNIX_EPOCH, kind: EventKind::RunContinued { by: format!("somebody {seq}") } }
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

/// A run of `events` events, with a request that nobody has answered.
pub async fn begun(journal: &dyn Journal, events: u64) -> RunId {
    let run = RunId::new(Uuid::now_v7());
    let _hold = journal.hold(REGION, &runner()).await.unwrap();
    journal.create(&record(run)).await.unwrap();
    for seq in 1..=events {
        journal.append(run, &[event(seq)]).await.unwrap();
    }
    let request = PlacedRequest { request: Request::Pause, by: "a@b".to_owned(), at: Timestamp::UNIX_EPOCH };
    journal.place_request(run, &request).await.unwrap();
    journal.beat(run, &Heartbeat { runner: runner(), at: Timestamp::UNIX_EPOCH }).await.unwrap();
    run
}

async fn append(journal: &dyn Journal, run: RunId, seq: u64) -> JournalResult<()> {
    let _hold = journal.hold(REGION, &runner()).await?;
    journal.append(run, &[event(seq)]).await
}

async fn copy(from: &dyn Archive, to: &dyn Archive, run: RunId) -> JournalResult<Copied> {
    archive::copy(from, to, run, &runner()).await
}

/// A copy that is killed after each of its writes, and again until it comes to its end: at no time can both be written to.
pub async fn a_killed_copy_goes_on(from: &dyn Archive, to: &dyn Archive) {
    const EVENTS: u64 = 7;
    let run = begun(from, EVENTS).await;
    let (mut kills, mut calls) = (0, 0);
    loop {
        let left = AtomicUsize::new(calls);
        let copied = copy(&Dying::after(from, &left), &Dying::after(to, &left), run).await;
        let source = append(from, run, 99).await;
        let target = append(to, run, 99).await;
        let open = |result: &JournalResult<()>| matches!(result, Err(JournalError::OutOfOrder { .. }));
        if copied.is_ok() {
            assert!(!open(&source) && open(&target), "{source:?} {target:?}");
            break;
        }
        assert!(!open(&target), "killed after {calls} writes: {source:?} {target:?}");
        kills += 1;
        calls += 1;
    }
    assert!(kills > EVENTS, "{kills}");
    assert_eq!(to.events(run, 1).await.unwrap(), from.events(run, 1).await.unwrap());
    assert_eq!(to.record(run).await.unwrap(), from.record(run).await.unwrap());
    assert_eq!(to.open_requests(run).await.unwrap().len(), 1);
    assert_eq!(to.heartbeat(run).await.unwrap(), from.heartbeat(run).await.unwrap());
    assert_eq!(verify(to, run).await.unwrap(), verify(from, run).await.unwrap());
    assert_eq!(from.standing(run).await.unwrap(), Standing::MovedTo(to.place()));

    // It goes on there, and another copy changes nothing; then it comes back with what happened meanwhile.
    append(to, run, EVENTS + 1).await.unwrap();
    assert_eq!(copy(from, to, run).await.unwrap().verified.events, EVENTS + 1);
    let back = copy(to, from, run).await.unwrap();
    assert_eq!((back.found, back.verified.events), (EVENTS, EVENTS + 1));
    append(from, run, EVENTS + 2).await.unwrap();
    assert!(matches!(append(to, run, EVENTS + 2).await, Err(JournalError::Elsewhere { .. })));
}

/// A run that somebody works on is not copied, in either direction.
pub async fn a_run_under_way_is_not_copied(from: &dyn Archive, to: &dyn Archive) {
    let run = begun(from, 2).await;
    for busy in [from, to] {
        let _hold = busy.hold(REGION, &runner()).await.unwrap();
        assert!(matches!(copy(from, to, run).await, Err(JournalError::Held { .. })));
    }
    assert!(to.runs().await.unwrap().iter().all(|listing| listing.run != run));
    append(from, run, 3).await.unwrap();
}

/// Another history of the same run is left as it is.
pub async fn a_copy_never_replaces_another_history(from: &dyn Archive, to: &dyn Archive) {
    let run = begun(from, 3).await;
    {
        let _hold = to.hold(REGION, &runner()).await.unwrap();
        to.create(&record(run)).await.unwrap();
        let other = Event { kind: EventKind::RunContinued { by: "another".to_owned() }, ..event(1) };
        to.append(run, &[other, event(2), event(3), event(4)]).await.unwrap();
    }
    assert!(matches!(copy(from, to, run).await, Err(JournalError::Differs { .. })));
    append(to, run, 5).await.unwrap();
    append(from, run, 4).await.unwrap();
}

pub async fn old_runs_are_removed(journal: &dyn Archive) {
    let (going_on, old) = (begun(journal, 2).await, begun(journal, 2).await);
    let at = Timestamp::now() - SignedDuration::from_hours(24 * 100);
    let ended = EventKind::RunEnded { outcome: Outcome::Done, requests: 0, retries: 0 };
    {
        let _hold = journal.hold(REGION, &runner()).await.unwrap();
        journal.append(old, &[Event { at, kind: ended, ..event(3) }]).await.unwrap();
    }
    let before = |days: i64| Timestamp::now() - SignedDuration::from_hours(24 * days);
    let found = removable(journal, before(90)).await.unwrap();
    assert_eq!(found.iter().map(|old| (old.listing.run, old.ended)).collect::<Vec<_>>(), [(old, at)]);
    assert_eq!(removable(journal, before(101)).await.unwrap(), []);
    {
        let _hold = journal.hold(REGION, &runner()).await.unwrap();
        assert!(matches!(archive::remove(journal, &found[0], &runner()).await, Err(JournalError::Held { .. })));
    }
    // Begun again after it was looked at.
    append(journal, old, 4).await.unwrap();
    assert!(!archive::remove(journal, &found[0], &runner()).await.unwrap());
    let ended = EventKind::RunEnded { outcome: Outcome::Done, requests: 0, retries: 0 };
    {
        let _hold = journal.hold(REGION, &runner()).await.unwrap();
        journal.append(old, &[Event { at, kind: ended, ..event(5) }]).await.unwrap();
    }
    let found = removable(journal, before(90)).await.unwrap();
    assert!(archive::remove(journal, &found[0], &runner()).await.unwrap());
    journal.compact().await.unwrap();
    assert!(matches!(journal.record(old).await, Err(JournalError::NoRun(_))));
    assert_eq!(journal.events(old, 1).await.unwrap(), []);
    append(journal, going_on, 3).await.unwrap();
}

fn open(folder: &Path, name: &str) -> SqliteJournal {
    SqliteJournal::open(&folder.join(name)).unwrap()
}

#[tokio::test]
async fn runs_move_between_files() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (open(folder.path(), "one.db"), open(folder.path(), "other.db"));
    a_killed_copy_goes_on(&one, &other).await;
    a_run_under_way_is_not_copied(&one, &other).await;
    a_copy_never_replaces_another_history(&one, &other).await;
    old_runs_are_removed(&one).await;
}

#[tokio::test]
async fn whatever_is_changed_behind_the_journal_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let journal = open(folder.path(), "journal.db");
    let run = begun(&journal, 6).await;
    let database = rusqlite::Connection::open(folder.path().join("journal.db")).unwrap();
    let tampered = async |sql: &str| {
        database.execute_batch(sql).unwrap();
        let found = verify(&journal, run).await;
        match found {
            Err(JournalError::Tampered { run: named, seq, .. }) if named == run => seq,
            other => panic!("{sql}: {other:?}"),
        }
    };
    assert_eq!(verify(&journal, run).await.unwrap().head.unwrap().0, 1);
    let changed = "UPDATE events SET body = replace(body, 'somebody 4', 'nobody')";
    assert_eq!(tampered(changed).await, 4);
    let read = journal.events(run, 1).await;
    assert!(matches!(read, Err(JournalError::Tampered { seq: 4, .. })), "{read:?}");
    assert_eq!(tampered("DELETE FROM events WHERE seq = 3").await, 3);
    assert_eq!(tampered("UPDATE runs SET snapshot = '{ }'").await, 1);
}

#[tokio::test]
async fn a_journal_of_the_first_format_goes_on_with_digests() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal.db");
    let run = begun(&SqliteJournal::open(&path).unwrap(), 3).await;
    let first_format = "ALTER TABLE events DROP COLUMN digest; ALTER TABLE runs DROP COLUMN arriving;
                        ALTER TABLE runs DROP COLUMN moved_to; DROP TABLE snapshots; PRAGMA user_version = 1;";
    rusqlite::Connection::open(&path).unwrap().execute_batch(first_format).unwrap();
    let journal = SqliteJournal::open_existing(&path).unwrap();
    assert_eq!(verify(&journal, run).await.unwrap().head, None);
    append(&journal, run, 4).await.unwrap();
    append(&journal, run, 5).await.unwrap();
    let verified = verify(&journal, run).await.unwrap();
    assert_eq!((verified.events, verified.head.unwrap().0), (5, 4));
}
