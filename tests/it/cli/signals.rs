//! Ctrl-C: the first one ends a run when what is under way has ended, the second one leaves it at once.

use super::Stand;
use super::stand::Live;

const RUN: [&str; 5] = ["run", "rollout.yaml", "--yes", "--poll", "100ms"];
const RESUME: [&str; 3] = ["resume", "--poll", "100ms"];

fn moving(stand: &Stand) -> bool {
    stand.region().with(|world| world.open_records().next().is_some())
}

/// A run with a migration in flight.
fn under_way(stand: &Stand) -> Live {
    stand.plan();
    let live = stand.begin(&RUN);
    stand.until(|| moving(stand));
    live
}

#[test]
fn the_first_interrupt_ends_the_run_when_what_is_under_way_has_ended() {
    let stand = Stand::new();
    let live = under_way(&stand);
    live.signal("INT");
    stand.end(live).said(
        5,
        &[
            "stopping when what is under way has ended; once more leaves it to `fleetmend resume`",
            "hint: `fleetmend resume ",
        ],
    );
    assert!(!moving(&stand), "a migration was left in flight");
    stand.run(&RESUME).said(0, &[]);
    stand.is_remedied();
}

#[test]
fn the_second_interrupt_leaves_what_is_under_way_to_resume() {
    let stand = Stand::new();
    let live = under_way(&stand);
    live.signal("INT");
    stand.until(|| live.has_said("stopping when"));
    live.signal("INT");
    stand.end(live).said(5, &["leaving what is under way to `fleetmend resume`", "hint: `fleetmend resume "]);
    stand.run(&RESUME).said(0, &[]);
    stand.is_remedied();
}

#[test]
fn a_region_that_another_runner_holds_is_left_to_it() {
    let stand = Stand::new();
    let live = under_way(&stand);
    stand.run(&RUN).said(6, &["error: region SimOne is held by process ", "nothing was changed", "`fleetmend status`"]);
    let elsewhere = [&RUN[..], &["--state", "sqlite:elsewhere.db"]].concat();
    stand.run(&elsewhere).said(6, &["carries the mark of run", "nothing was changed", "hint: "]);
    stand.end(live).said(0, &[]);
    stand.is_remedied();
}

#[test]
fn without_a_terminal_a_run_is_told_in_lines_without_escapes() {
    let stand = Stand::new();
    stand.plan();
    let told = stand.run(&RUN);
    told.said(0, &["  compute-1  "]);
    assert!(!told.err.contains('\u{1b}'), "{}", told.err);
    let line = told.err.lines().find(|line| line.contains("compute-1  ")).unwrap();
    assert!(line.as_bytes()[2] == b':' && line.as_bytes()[5] == b':', "no time before it: {line}");
    stand.is_remedied();
}
