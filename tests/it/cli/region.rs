//! A region that is not as the rollout found it: moved on, or marked by another run.

use fleetmend::model::{Mark, RunId, ServiceStatus};

use super::Stand;

const RUN: [&str; 3] = ["run", "rollout.yaml", "--yes"];

#[test]
fn a_rollout_from_which_its_region_has_moved_away_is_not_run() {
    let stand = Stand::new();
    stand.plan();
    stand.disable("compute-2", "broken fan");
    let before = stand.region().with(|world| world.changes().len());
    let refusal = "error: the rollout is stale: the region has changed beyond what its policy tolerates\n  \
        1 planned host cannot be remedied any more; the policy tolerates 0 (drift.lost_hosts: 1%)\n  \
        compute-2: was disabled since: broken fan\n\
        nothing was changed\n\n\
        hint: plan again, review and approve that; `fleetmend diff` shows all of what changed";
    stand.run(&RUN).ended(3, refusal);
    stand.run(&["run", "rollout.yaml", "--dry-run"]).ended(3, refusal);
    assert_eq!(stand.log.changes(), [""; 0]);
    assert_eq!(stand.region().with(|world| world.changes().len()), before);
}

#[test]
fn what_the_policy_tolerates_is_told_and_does_not_stop_the_run() {
    let stand = Stand::new();
    stand.write("policy.yaml", &format!("{}drift: {{lost_hosts: 50%}}\n", super::stand::POLICY));
    stand.plan();
    stand.disable("compute-2", "broken fan");
    let told = stand.run(&["run", "rollout.yaml", "--dry-run"]);
    assert!(
        told.err.starts_with("changed since it was planned: compute-2: was disabled since: broken fan\n"),
        "{told:?}"
    );
    assert!(told.err.contains("nothing was changed"), "{told:?}");
}

#[test]
fn a_difference_is_told_with_its_host_and_whether_it_matters() {
    let stand = Stand::new();
    stand.plan();
    let told = stand.run(&["diff", "rollout.yaml", "--region", "region.json"]);
    assert!(told.said(0, &[]).out.ends_with(": no difference\n"), "{}", told.out);

    stand.disable("compute-2", "broken fan");
    let told = stand.run(&["diff", "rollout.yaml"]);
    for part in ["compute-2", "loses the host", "broken fan", "stale"] {
        assert!(told.said(3, &[]).out.contains(part), "{}", told.out);
    }
    let told = stand.run(&["diff", "rollout.yaml", "-f", "json"]);
    let json: serde_json::Value = serde_json::from_str(&told.out).unwrap();
    assert_eq!((told.code, &json["kind"], &json["weight"]), (Some(3), &"diff".into(), &"stale".into()));
    assert_eq!(json["differences"][1]["host"], "compute-2");
    assert_eq!(json["differences"][1]["weight"], "loses-host");

    let plan = ["plan", "--remedy", "mds", "--policy", "policy.yaml", "--region", "region.json", "-o", "other.yaml"];
    stand.run(&[&plan[..], &["--exclude", "compute-2"]].concat()).said(0, &[]);
    let told = stand.run(&["diff", "rollout.yaml", "other.yaml"]);
    assert!(told.said(0, &[]).out.contains("compute-2  loses the host  left alone: "), "{}", told.out);
}

#[test]
fn marks_of_runs_that_are_gone_are_given_back_and_no_others() {
    let stand = Stand::new();
    stand.run(&["marks"]).said(0, &[]);
    stand.plan();
    let gone = Mark::of(RunId::new(uuid::Uuid::now_v7()));
    stand.disable("compute-1", &gone.reason("remedy mds in progress"));
    stand.disable("compute-2", &gone.reason("quarantined: update packages failed"));
    stand.disable("compute-3", "broken fan");
    let held = stand.run(&RUN);
    held.said(6, &["compute-1, compute-2 carries the mark of run", "nothing was changed", "hint: `--take-over`"]);

    let listed = stand.run(&["marks"]);
    let run = gone.run().to_string();
    for part in [
        "compute-1",
        "compute-2",
        &run,
        "unknown",
        "quarantined: update packages failed",
        "`fleetmend marks --release`",
    ] {
        assert!(listed.said(0, &[]).out.contains(part), "{part}:\n{}", listed.out);
    }
    assert!(!listed.out.contains("compute-3"), "{}", listed.out);
    stand.run(&["marks", "--release"]).said(2, &["nobody is at a terminal", "nothing was changed"]);
    assert_eq!(stand.log.changes(), [""; 0]);

    stand.run(&["marks", "--release", "--yes"]).said(4, &["compute-1: back in service"]);
    let status = |host: usize| stand.services()[host].service.status;
    assert_eq!(
        (status(0), status(1), status(2)),
        (ServiceStatus::Enabled, ServiceStatus::Disabled, ServiceStatus::Disabled)
    );
    assert_eq!(stand.log.changes().len(), 1);
}
