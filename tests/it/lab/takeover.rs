//! Two runners with one PostgreSQL: one is frozen past its lease, the other takes over, and the first wakes up.

use std::time::{Duration, Instant};

use fleetmend::journal::postgres::LEASE;

use super::postgres::{Server, script};
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

/// Two real processes and one real PostgreSQL: the second waits, and takes over within the lease when the first is killed.
#[test]
fn one_that_stands_by_takes_over_within_the_lease() {
    let (stand, server) = (Stand::new(), Server::up());
    let begin = |more: &[&str]| {
        let run = ["--state", server.address(), "run", "rollout.yaml", "--yes", "--poll", "100ms"];
        stand.begin(&[&run[..], more].concat())
    };
    stand.plan();
    let first = begin(&[]);
    stand.until(|| stand.region().with(|world| world.open_records().next().is_some()));
    let second = begin(&["--standby"]);
    stand.until(|| second.has_said("standing by: region SimOne is held by process "));
    first.signal("KILL");
    let (killed, changes) = (Instant::now(), stand.log.changes().len());
    stand.until(|| stand.log.changes().len() > changes);
    let taken = killed.elapsed();
    // It asks every second, and then looks before it changes anything.
    assert!(taken < LEASE + Duration::from_secs(10), "{taken:?}");
    stand.end(second).said(0, &[]);
    stand.is_remedied();
    println!("taken over {:.1} s after the kill", taken.as_secs_f64());
}

/// The server crashes and comes back in the middle of a run: the run goes on to its end.
#[test]
fn a_run_outlives_a_crash_of_its_database() {
    let (stand, server) = (Stand::new(), Server::up());
    stand.plan();
    let state = ["--state", server.address()];
    let run = stand.begin(&[&state[..], &["run", "rollout.yaml", "--yes", "--poll", "100ms"]].concat());
    stand.until(|| stand.region().with(|world| world.open_records().next().is_some()));
    script("restart", &server.place());
    stand.end(run).said(0, &[]);
    stand.is_remedied();
    stand.run(&[&state[..], &["journal", "verify"]].concat()).said(0, &[]);
}
