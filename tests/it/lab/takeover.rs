//! Two runners with one PostgreSQL: one is frozen past its lease, the other takes over, and the first wakes up.

use std::time::Duration;

use super::postgres::Server;
use crate::cli::stand::Stand;

const RESUME: [&str; 3] = ["resume", "--poll", "100ms"];

#[test]
fn a_runner_that_was_frozen_past_its_lease_starts_nothing_when_it_wakes() {
    let (stand, server) = (Stand::new(), Server::up());
    let with_state = |arguments: &[&str]| -> Vec<String> {
        let all = ["--state", server.address()].into_iter().chain(arguments.iter().copied());
        all.map(str::to_owned).collect()
    };
    let run = |arguments: &[&str]| {
        let arguments = with_state(arguments);
        stand.run(&arguments.iter().map(String::as_str).collect::<Vec<_>>())
    };
    stand.plan();
    let first = with_state(&["run", "rollout.yaml", "--yes", "--poll", "100ms"]);
    let first = stand.begin(&first.iter().map(String::as_str).collect::<Vec<_>>());
    stand.until(|| stand.region().with(|world| world.open_records().next().is_some()));
    first.signal("STOP");

    run(&RESUME).said(6, &["region SimOne is held by process "]);
    let mut second = run(&RESUME);
    while second.code == Some(6) {
        stand.block_on(async { tokio::time::sleep(Duration::from_secs(1)).await });
        second = run(&RESUME);
    }
    second.said(0, &[]);
    stand.is_remedied();

    let changes = stand.log.changes().len();
    first.signal("CONT");
    stand.end(first).said(6, &["is no longer ours: its lease ran out", "nothing more was begun"]);
    assert_eq!(stand.log.changes()[changes..], [""; 0]);
    let status = run(&["status"]);
    assert!(status.out.contains("4 of 4 hosts done"), "{}", status.out);
}
