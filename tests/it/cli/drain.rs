//! One host emptied, kept out of service, and given back.

use fleetmend::model::ServiceStatus;

use super::Stand;

fn is_enabled(stand: &Stand, host: &str) -> bool {
    let services = stand.services();
    services.iter().find(|service| service.host.as_str() == host).unwrap().service.status == ServiceStatus::Enabled
}

fn instances_on(stand: &Stand, host: &str) -> Vec<String> {
    stand.run(&["inventory", "-o", "region.json"]).said(0, &[]);
    let region: serde_json::Value = serde_json::from_str(&stand.read("region.json")).unwrap();
    let instances = region["instances"].as_array().unwrap();
    let here = instances.iter().filter(|instance| instance["host"] == host && instance["status"] == "ACTIVE");
    here.map(|instance| instance["id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn a_host_is_drained_and_given_back_and_a_look_changes_nothing() {
    let stand = Stand::new();
    let host = "compute-2";
    assert!(!instances_on(&stand, host).is_empty(), "a drain of an empty host shows nothing");
    let drain = ["drain", host, "--policy", "policy.yaml", "--poll", "100ms"];
    stand.run(&[&drain[..], &["--dry-run"]].concat()).said(0, &["nothing was changed"]);
    assert_eq!(stand.log.changes(), [""; 0]);
    stand.run(&drain).said(2, &["nobody is at a terminal"]);
    assert_eq!(stand.log.changes(), [""; 0]);

    stand.run(&[&drain[..], &["--yes"]].concat()).said(0, &["compute-2 is drained and out of service", "--release"]);
    assert!(!is_enabled(&stand, host));
    assert_eq!(instances_on(&stand, host), [""; 0]);

    stand.run(&["drain", host, "--yes"]).said(3, &["compute-2 cannot be drained: disabled by run"]);
    stand.run(&["drain", "compute-1", "--release", "--yes"]).said(2, &["carries no mark"]);
    stand.run(&["drain", host, "--release", "--yes"]).said(0, &["as it was before its drain"]);
    assert!(is_enabled(&stand, host));
    stand.run(&["drain", host, "--release", "--yes"]).said(2, &["carries no mark"]);
}

#[test]
fn a_drain_goes_where_it_is_told_or_not_at_all() {
    let stand = Stand::new();
    let host = "compute-2";
    let before = instances_on(&stand, host);
    let drain = ["drain", host, "--policy", "policy.yaml", "--poll", "100ms", "--yes", "--to"];
    stand.run(&[&drain[..], &["compute-99"]].concat()).said(2, &["there is no host `compute-99`"]);
    stand.disable("compute-3", "broken fan");
    stand.run(&[&drain[..], &["compute-3"]].concat()).said(3, &["compute-2 cannot be drained", "nothing was changed"]);
    assert_eq!(stand.log.changes(), [""; 0]);
    stand.run(&[&drain[..], &["compute-4"]].concat()).said(0, &["is drained"]);
    let after = instances_on(&stand, "compute-4");
    assert!(before.iter().all(|instance| after.contains(instance)), "{before:?} {after:?}");
}
