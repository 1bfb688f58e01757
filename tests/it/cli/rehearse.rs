//! `rehearse`: what it tells, what it refuses, and that it touches nothing.

use serde_json::Value;

use super::Stand;

const REHEARSE: [&str; 6] = ["rehearse", "rollout.yaml", "--region", "region.json", "--runs", "2"];

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&REHEARSE[..], more].concat()
}

#[test]
fn a_rehearsal_tells_how_a_run_would_go_and_touches_nothing() {
    let stand = Stand::new();
    stand.plan();
    let asked = stand.log.requests().len();
    let told = stand.run(&with(&[]));
    for part in ["rehearsed 2 times: faults usual, seed 0", "nothing was touched", "makespan", "2 runs would end well"]
    {
        assert!(told.said(0, &[]).out.contains(part), "`{part}`:\n{}", told.out);
    }
    let json = stand.run(&with(&["-f", "json", "--seed", "7", "--threads", "1"]));
    assert_eq!(json.said(0, &[]).out, stand.run(&with(&["-f", "json", "--seed", "7", "--threads", "2"])).out);
    let read: Value = serde_json::from_str(&json.out).unwrap();
    assert_eq!((&read["kind"], &read["seed"], &read["faults"]), (&"rehearsal".into(), &7.into(), &"usual".into()));
    let planned = read["plan"]["hosts"].as_u64().unwrap();
    for (run, seed) in read["run"].as_array().unwrap().iter().zip([7, 8]) {
        assert_eq!(
            (&run["seed"], &run["outcome"], &run["hosts"]["done"]),
            (&seed.into(), &"done".into(), &planned.into())
        );
        assert_eq!(run["lost_guests"], 0);
        assert!(run["makespan_s"].as_f64().unwrap() > 0.0);
    }
    assert!(read["makespan_s"]["median"].as_f64().unwrap() <= read["makespan_s"]["p95"].as_f64().unwrap());
    assert_eq!(stand.log.requests().len(), asked, "a region file is all it asks for");
    assert!(!stand.path("home").exists(), "no journal is made");
    stand.is_untouched();
}

#[test]
fn without_a_region_file_the_cloud_is_asked_and_only_read() {
    let stand = Stand::new();
    stand.plan();
    let asked = stand.log.requests().len();
    stand.run(&["rehearse", "rollout.yaml", "--runs", "1", "--faults", "none"]).said(0, &[]);
    assert!(stand.log.requests().len() > asked);
    stand.is_untouched();
}

#[test]
fn failures_end_with_their_own_exit_code_and_name_hosts_and_causes() {
    let stand = Stand::new();
    stand.plan();
    let conditions = "format: 1\nkind: conditions\nnoise: 0%\nfaults: {chance: {old_kernel: 100%}}\n";
    stand.write("bad.yaml", conditions);
    let told = stand.run(&with(&["--faults", "bad.yaml"]));
    for part in ["2 runs would pause at the failure budget", "pauses after", "gave up on:", "kernel"] {
        assert!(told.said(4, &[]).out.contains(part), "`{part}`:\n{}", told.out);
    }
}

#[test]
fn what_cannot_be_read_is_told_with_its_place() {
    let stand = Stand::new();
    stand.plan();
    let level = "error: there is no level of faults `usul`, and no file of that name\n\nhint: did you mean `usual`?";
    stand.run(&with(&["--faults", "usul"])).ended(2, level);
    let level = "error: there is no level of faults `zzz`, and no file of that name\n\n\
        hint: levels: none, usual, harsh; or give a path";
    stand.run(&with(&["--faults", "zzz"])).ended(2, level);
    stand.write("bad.yaml", "format: 1\nkind: conditions\nnoise: 50%\nfaults: {chance: {migration_fail: 2%}}\n");
    stand.run(&with(&["--faults", "bad.yaml"])).said(2, &["bad.yaml:4:19: unknown field `migration_fail`"]);
    stand.write("bad.yaml", "format: 1\nkind: policy\n");
    stand.run(&with(&["--faults", "bad.yaml"])).said(2, &["bad.yaml:2:7"]);
    stand.run(&["rehearse", "none.yaml", "--region", "region.json"]).said(2, &["cannot read `none.yaml` as a rollout"]);
    stand.run(&["rehearse", "rollout.yaml", "--region", "rollout.yaml"]).said(2, &["rollout.yaml:2:7"]);
    stand.run(&["rehearse", "rollout.yaml", "--runs", "0"]).said(2, &["--runs"]);
}

#[test]
fn a_rollout_that_must_not_be_run_in_a_region_is_not_rehearsed_there() {
    let stand = Stand::new();
    stand.plan();
    let region = stand.read("region.json");
    stand.edit("region.json", "\"region\": \"SimOne\"", "\"region\": \"Other\"");
    stand.run(&with(&[])).said(3, &["the rollout is for region `SimOne`, but this is region `Other`"]);
    stand.write("region.json", &region);
    stand.edit("region.json", "\"status\": \"enabled\"", "\"status\": \"disabled\"");
    stand.run(&with(&[])).said(3, &["the rollout is stale", "nothing was changed"]);
    stand.write("region.json", &region);
    stand.edit("rollout.yaml", "settle: 0s", "settle: 1s");
    stand.run(&with(&[])).said(3, &["is not what its digest says"]);
    stand.is_untouched();
}
