//! Moving runs between a file and a real PostgreSQL, in both directions.

use fleetmend::journal::JournalError;
use fleetmend::journal::archive::verify;
use fleetmend::journal::sqlite::SqliteJournal;

use super::postgres::Server;
use crate::journal::{
    a_copy_never_replaces_another_history, a_killed_copy_goes_on, a_run_under_way_is_not_copied, begun,
    old_runs_are_removed,
};

#[tokio::test]
async fn runs_move_between_a_file_and_a_database() {
    let folder = tempfile::tempdir().unwrap();
    let file = SqliteJournal::open(&folder.path().join("journal.db")).unwrap();
    let server = Server::up();
    let database = server.journal().await;
    a_killed_copy_goes_on(&file, &database).await;
    a_killed_copy_goes_on(&database, &file).await;
    a_run_under_way_is_not_copied(&file, &database).await;
    a_run_under_way_is_not_copied(&database, &file).await;
    a_copy_never_replaces_another_history(&file, &database).await;
    a_copy_never_replaces_another_history(&database, &file).await;
    old_runs_are_removed(&database).await;

    let run = begun(&database, 5).await;
    server.sql("UPDATE fleetmend.events SET body = replace(body, 'somebody 4', 'nobody')").await;
    let found = verify(&database, run).await;
    assert!(matches!(found, Err(JournalError::Tampered { seq: 4, .. })), "{found:?}");
}
