//! What stands in the way, told before anything is planned.

use serde_json::{Value, json};

use super::Stand;

fn notes(text: &str) -> Vec<(String, String, String)> {
    let told: Value = serde_json::from_str(text).unwrap();
    assert_eq!((&told["format"], &told["kind"]), (&json!(1), &json!("preflight")));
    let word = |note: &Value, field: &str| note[field].as_str().unwrap_or_default().to_owned();
    let notes = told["notes"].as_array().unwrap();
    notes.iter().map(|note| (word(note, "severity"), word(note, "topic"), word(note, "host"))).collect()
}

#[test]
fn a_region_that_is_well_is_told_as_such_and_nothing_is_changed() {
    let stand = Stand::new();
    let told = stand.run(&["preflight"]);
    assert!(told.said(0, &[]).out.ends_with(" info\n") && told.out.contains("\n0 fatal, "), "{}", told.out);
    assert_eq!(stand.log.changes(), [""; 0]);
    stand.disable("compute-2", "broken fan \u{1b}[2J");
    let told = stand.run(&["preflight"]);
    assert!(told.said(0, &[]).out.contains("disabled by somebody else: broken fan"), "{}", told.out);
    assert!(!told.out.contains('\u{1b}'), "{:?}", told.out);
    let told = stand.run(&["preflight", "-f", "json", "--host", "compute-2"]);
    let here = notes(&told.said(0, &[]).out);
    assert!(here.iter().all(|(_, _, host)| host.is_empty() || host == "compute-2"), "{here:?}");
    assert!(here.contains(&("warning".to_owned(), "maintenance".to_owned(), "compute-2".to_owned())), "{here:?}");
}

#[test]
fn what_is_fatal_ends_with_3_and_roles_of_a_snapshot_keep_a_plan_from_their_host() {
    let stand = Stand::new();
    stand.plan();
    let mut region: Value = serde_json::from_str(&stand.read("region.json")).unwrap();
    region["hosts"][0]["facts"]["roles"] =
        json!({"pacemaker": ["unit pacemaker_remote.service"], "ceph-osd": ["process ceph-osd"]});
    region["hosts"][1]["hypervisor"] = json!("ironic");
    stand.write("roles.json", &region.to_string());
    let told = stand.run(&["preflight", "--region", "roles.json", "-f", "json"]);
    let found = notes(&told.said(3, &[]).out);
    for note in [
        ("fatal", "high-availability", "compute-1"),
        ("warning", "roles", "compute-1"),
        ("warning", "hypervisor", "compute-2"),
    ] {
        let note = (note.0.to_owned(), note.1.to_owned(), note.2.to_owned());
        assert!(found.contains(&note), "{note:?} is not among {found:?}");
    }
    let plan = ["plan", "--remedy", "mds", "--policy", "policy.yaml", "--region", "roles.json", "-o", "other.yaml"];
    stand.run(&plan).said(0, &[]);
    let shown = stand.run(&["show", "other.yaml", "-f", "json"]);
    let shown: Value = serde_json::from_str(&shown.said(0, &[]).out).unwrap();
    let skipped: Vec<(&str, &str)> = (shown["skipped"].as_array().unwrap().iter())
        .map(|one| (one["host"].as_str().unwrap(), one["reason"].as_str().unwrap()))
        .collect();
    assert!(skipped.contains(&("compute-1", "role")) && skipped.contains(&("compute-2", "hypervisor")), "{skipped:?}");
    let words = |reason: &str| {
        let skipped = shown["skipped"].as_array().unwrap();
        skipped.iter().find(|one| one["reason"] == reason).unwrap()["detail"].as_str().unwrap().to_owned()
    };
    assert!(words("role").contains("pacemaker (unit pacemaker_remote.service)"), "{}", words("role"));
}
