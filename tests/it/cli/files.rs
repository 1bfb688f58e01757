//! Files that are not what they should be: refused at their place, with what was probably meant, and nothing is done.

use super::Stand;
use super::stand::POLICY;

#[test]
fn a_slip_in_a_remedy_a_policy_or_the_configuration_is_told_with_its_place() {
    let stand = Stand::new();
    stand.plan();
    let assess = ["assess", "--region", "region.json", "--remedy"];
    stand.write("remedy.yaml", "format: 1\nkind: remedy\nname: x\nevidence:\n  - sysf: {}\n");
    stand
        .run(&[&assess[..], &["remedy.yaml"]].concat())
        .ended(2, "error: remedy.yaml:5:5: unknown value `sysf`\n\nhint: did you mean `sysfs`?");
    stand
        .run(&[&assess[..], &["mdss"]].concat())
        .ended(2, "error: there is no remedy `mdss`, and no file of that name\n\nhint: did you mean `mds`?");
    stand.write("slip.yaml", &POLICY.replace("settle:", "setle:"));
    let plan = ["plan", "--remedy", "mds", "--policy", "slip.yaml", "--region", "region.json", "-o", "other.yaml"];
    stand.run(&plan).ended(2, "error: slip.yaml:5:1: unknown field `setle`\n\nhint: did you mean `settle`?");
    assert!(!stand.path("other.yaml").exists());
    stand.edit("fleetmend.yaml", "hosts_via", "host_via");
    for command in [&["inventory", "-o", "x.json"][..], &["run", "rollout.yaml", "--yes"]] {
        let told = stand.run(command);
        told.ended(2, "error: fleetmend.yaml:4:1: unknown field `host_via`\n\nhint: did you mean `hosts_via`?");
    }
    stand.is_untouched();
}

#[test]
fn a_remedy_that_is_less_sure_than_it_looks_is_used_with_a_warning() {
    let stand = Stand::new();
    stand.plan();
    stand.write("remedy.yaml", "format: 1\nkind: remedy\nname: Spectre\n");
    stand.run(&["assess", "--region", "region.json", "--remedy", "remedy.yaml"]).ended(
        0,
        "warning: remedy.yaml: name: `Spectre` is no name: lower-case letters, digits and `-`\n\
         warning: remedy.yaml: evidence: nothing is required: every host would be unknown",
    );
}

#[test]
fn a_policy_that_does_not_say_what_it_is_is_refused() {
    let stand = Stand::new();
    stand.plan();
    let plan = ["plan", "--remedy", "mds", "--policy", "slip.yaml", "--region", "region.json"];
    let hint = "hint: begin it with `format: 1` and `kind: policy`";
    for (text, missing) in [
        ("limits: {hosts: 2}\n", "`format` and `kind` are missing"),
        ("format: 1\nlimits: {hosts: 2}\n", "`kind` is missing"),
        ("kind: policy\nlimits: {hosts: 2}\n", "`format` is missing"),
        ("{\"kind\": \"policy\"}\n", "`format` is missing"),
    ] {
        stand.write("slip.yaml", text);
        stand.run(&plan).ended(2, &format!("error: slip.yaml:1:1: {missing}\n\n{hint}"));
    }
}

#[test]
fn a_file_that_is_not_there_not_text_or_of_another_kind_is_refused() {
    let stand = Stand::new();
    stand.plan();
    stand
        .run(&["run", "gone.yaml", "--yes"])
        .ended(2, "error: cannot read `gone.yaml` as a rollout\n  caused by: No such file or directory (os error 2)");
    stand.run(&["run", "region.json", "--yes"]).said(2, &["region.json:1:1: this is a file of kind `region`"]);
    std::fs::write(stand.path("binary"), [0, 159, 146, 150]).unwrap();
    stand.run(&["assess", "--remedy", "mds", "--region", "binary"]).said(2, &["cannot read `binary` as a region"]);
    stand.write("half.json", &stand.read("region.json")[..2000]);
    stand.run(&["assess", "--remedy", "mds", "--region", "half.json"]).said(2, &["error: half.json:"]);
    stand.write("half.yaml", "format: 1\nkind: rollout\nhosts: [\n");
    stand.run(&["run", "half.yaml", "--yes"]).said(2, &["error: half.yaml:"]);
    stand.run(&["run", ".", "--yes"]).said(2, &["cannot read `.` as a rollout"]);
    stand.is_untouched();
}

#[test]
fn a_rollout_that_was_edited_by_hand_is_not_run() {
    let stand = Stand::new();
    stand.plan();
    stand.edit("rollout.yaml", "seed: 0", "seed: 1");
    let refusal = "error: `rollout.yaml` is not what its digest says: it was edited after it was planned\n\
                   nothing was changed\n\nhint: change the policy or the scope, and plan again";
    for how in ["--yes", "--dry-run"] {
        stand.run(&["run", "rollout.yaml", how]).ended(3, refusal);
    }
    stand.is_untouched();
    assert!(!stand.path("home").exists(), "no journal was made");
}

#[test]
fn a_rollout_for_another_region_is_not_run() {
    let stand = Stand::new();
    let scenario =
        fleetmend::sim::Scenario { region: "SimTwo".to_owned(), ..fleetmend::sim::Scenario::sized(4, 8, 11) };
    let other = Stand::of(&scenario);
    other.plan();
    stand.write("rollout.yaml", &other.read("rollout.yaml"));
    // The configuration that the rollout was planned with leads to its own hosts, and the cloud is another one.
    stand.write("fleetmend.yaml", &other.read("fleetmend.yaml"));
    stand.run(&["run", "rollout.yaml", "--yes"]).ended(
        3,
        "error: the rollout is for region `SimTwo`, but this is region `SimOne`\nnothing was changed\n\n\
         hint: `--os-cloud` and `--os-region-name` choose the region",
    );
    stand.is_untouched();
    other.is_untouched();
}

#[test]
fn a_rollout_for_other_hosts_access_or_another_approval_is_not_run() {
    let stand = Stand::new();
    stand.plan();
    stand.run(&["run", "rollout.yaml", "--approve", "sha256:0123456789abcdef"]).said(3, &["nothing was changed"]);
    stand.run(&["run", "rollout.yaml"]).said(2, &["nobody is at a terminal", "hint: `--yes`", "hint: `--approve"]);
    stand.write("fleetmend.yaml", &stand.configuration("ssh: {user: ops}\n"));
    stand.run(&["run", "rollout.yaml", "--yes"]).said(3, &["nothing was changed", "hint: plan again"]);
    stand.is_untouched();
}
