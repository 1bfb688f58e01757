//! Two processes and one run: the second waits, and takes over when the first dies; and the trail that they leave.

use std::collections::BTreeSet;

use serde_json::Value;

use super::Stand;

const RUN: [&str; 5] = ["run", "rollout.yaml", "--yes", "--poll", "100ms"];
const HELD: &str = "standing by: region SimOne is held by process ";

fn standing_by() -> Vec<&'static str> {
    [&RUN[..], &["--standby"]].concat()
}

#[test]
fn one_that_stands_by_takes_over_when_the_runner_is_killed() {
    let stand = Stand::new();
    stand.plan();
    let first = stand.begin(&standing_by());
    stand.until(|| stand.region().with(|world| world.open_records().next().is_some()));
    let second = stand.begin(&standing_by());
    let third = stand.begin(&["resume", "--standby", "--poll", "100ms"]);
    stand.until(|| second.has_said(HELD) && third.has_said(HELD));
    first.signal("KILL");
    let (second, third) = (stand.end(second), stand.end(third));
    stand.is_remedied();
    // One of them took over, and the other found nothing left to do.
    second.said(0, &[]);
    third.said(0, &[]);
    let idle = [&second, &third].into_iter().filter(|told| told.err.contains("nothing to take over")).count();
    assert_eq!(idle, 1, "{}\n{}", second.err, third.err);
    assert_eq!(stand.run(&["runs", "-f", "json"]).out.matches("\"run\"").count(), 1);
    assert_eq!(stand.log.requests().iter().filter(|request| request.ends_with("/reboot")).count(), 4);

    // Who stands by with a rollout that was run does not run it again.
    let changes = stand.log.changes().len();
    stand.run(&standing_by()).said(0, &["nothing to take over", "has ended it: done"]);
    assert_eq!(stand.log.changes().len(), changes);
}

#[test]
fn one_that_stands_by_leaves_a_run_alone_that_was_stopped() {
    let stand = Stand::new();
    stand.plan();
    let first = stand.begin(&RUN);
    stand.until(|| stand.region().with(|world| world.open_records().next().is_some()));
    let second = stand.begin(&["resume", "--standby"]);
    stand.until(|| second.has_said(HELD));
    stand.run(&["stop"]).said(0, &[]);
    stand.end(first).said(5, &[]);
    let changes = stand.log.changes().len();
    stand.end(second).said(5, &["nothing to take over", "has ended it: paused, stopped or interrupted"]);
    assert_eq!(stand.log.changes().len(), changes);
}

/// What the gateway saw is what the trail tells: no change goes past it.
#[test]
fn the_trail_has_every_change_with_its_request() {
    let stand = Stand::new();
    stand.plan();
    stand.run(&RUN).said(0, &[]);
    let report: Value = serde_json::from_str(&stand.run(&["report", "-f", "json"]).out).unwrap();
    let trail = report["trail"].as_array().unwrap();
    let is_change = |line: &&Value| {
        ["accepted", "refused", "unknown"].contains(&line["answer"].as_str().unwrap()) && line["status"].is_null()
    };
    let changes: Vec<&Value> = trail.iter().filter(is_change).collect();
    let seen = stand.log.changes();
    assert_eq!(changes.len(), seen.len(), "{seen:#?}\n{changes:#?}");
    let on_hosts = seen.iter().filter(|request| request.contains("/hosts/")).count();
    let ids: BTreeSet<&str> = changes.iter().filter_map(|line| line["request"].as_str()).collect();
    assert_eq!(ids.len(), seen.len() - on_hosts, "each change of the region has the id of its request: {changes:#?}");
    for line in &changes {
        assert!(line["who"].as_str().unwrap().contains("process "), "{line}");
        assert!(line["why"].as_str().unwrap().starts_with("remedy mds: "), "{line}");
        assert!(line["of"].is_string() && line["host"].is_string() && line["at"].is_string(), "{line}");
    }
    let ends: Vec<&Value> = trail.iter().filter(|line| !line["status"].is_null()).collect();
    assert!(ends.len() >= 4 && ends.iter().all(|line| line["digest"].as_str().unwrap().starts_with("sha256:")));
    stand.run(&["journal", "verify"]).said(0, &[]);
}
