//! The main job on the real region: from vulnerable to proven, with the runner killed in a migration, in a package
//! update and in a reboot.

use std::collections::BTreeMap;

use fleetmend::model::ServiceStatus;
use fleetmend::run::{EventKind, Intent, StepOutput};

use super::consoles::Consoles;
use super::desk::{Desk, changes, moves, statuses, under_way};
use super::raw::{self, Raw};
use super::{lab, records, variable};

/// Long settle: nova's scheduler believes in a drained host's old instances until its next sync, 10 s here.
const POLICY: &str = "
format: 1
kind: policy
limits: {hosts: 2, hosts_per_zone: 2, migrations: 8, migrations_per_source: 3, migrations_per_target: 3}
canary: {hosts: 1, soak: 5s}
settle: 15s
failure_budget: {hosts: 2, per_zone: 2}
nova_conf: add-flags
";

fn is_migration(intent: &Intent, _step: &str) -> bool {
    matches!(intent, Intent::Migrate { .. })
}

fn is_update(intent: &Intent, step: &str) -> bool {
    matches!(intent, Intent::Job { .. }) && step.ends_with("/update")
}

fn is_reboot(intent: &Intent, _step: &str) -> bool {
    matches!(intent, Intent::Reboot { .. })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_is_remedied_though_the_runner_is_killed_in_a_migration_an_update_and_a_reboot() {
    lab(&["reset"]);
    let desk = Desk::new(POLICY);
    let hosts = desk.region("empty.json").hosts.len();
    let each = if variable("LAB_DRIVER") == "libvirt" { 3 } else { 5 };
    lab(&["fill", &(hosts * each).to_string()]);
    let before = desk.region("region.json");
    desk.run(&["assess", "--remedy", "mds", "--region", "region.json", "--check"], 8);
    let rollout = desk.plan();
    assert_eq!(rollout.hosts.len(), hosts);
    assert_eq!(rollout.certificate.violations, Vec::<String>::new());
    desk.run(&["show", "rollout.yaml"], 0);
    desk.run(&["run", "rollout.yaml", "--dry-run"], 0);
    assert_eq!(changes(), Vec::<String>::new(), "a dry run changes nothing");

    let consoles = Consoles::watch(&before);
    let digest = rollout.digest.as_str();
    desk.run(&["run", "rollout.yaml", "--approve", "sha256:of-something-else"], 3);
    let mut child = desk.start(&["run", "rollout.yaml", "--approve", digest]);
    let mut seen = 0;
    for wanted in [is_migration as fn(&Intent, &str) -> bool, is_update, is_reboot] {
        seen = desk.wait_for(&mut child, "something to be killed in", |events| under_way(events, seen, wanted)).await;
        child.kill().unwrap();
        child.wait().unwrap();
        child = desk.start(&["resume"]);
    }
    let code = Desk::finish(child);
    let log = desk.log();
    assert_eq!(code, Some(0), "{log}");
    consoles.assert_unbroken();

    desk.run(&["assess", "--remedy", "mds", "--check"], 0);
    assert_eq!(lab(&["lost"]).trim(), "", "guests that ran on a host when it went down");
    let after = desk.region("after.json");
    for host in &after.hosts {
        assert_eq!(host.service.status, ServiceStatus::Enabled, "{}", host.host);
        assert_eq!(host.service.disabled_reason, None, "{}", host.host);
    }
    assert_eq!(statuses(&after), statuses(&before), "every instance is as it was");

    let events = desk.events().await;
    for event in &events {
        if let EventKind::StepSucceeded { step, output: StepOutput::Rebooted { before: ended, after: began, .. } } =
            &event.kind
        {
            let host = step.as_str().split('/').next().unwrap().into();
            assert_eq!(before.host(&host).unwrap().facts.boot_id.as_ref(), Some(ended), "{step}");
            assert_eq!(after.host(&host).unwrap().facts.boot_id.as_ref(), Some(began), "{step}: rebooted once");
        }
    }
    let mut times = BTreeMap::<String, usize>::new();
    for step in moves(&events) {
        *times.entry(step).or_default() += 1;
    }
    assert_eq!(times.len(), rollout.certificate.moves, "{log}");
    assert!(times.values().all(|count| *count == 1), "{times:?}");
    let asked = changes().into_iter().filter(|change| change.contains("os-migrateLive")).count();
    assert_eq!(asked, times.len(), "Nova was asked for each move once");
    let records = records::since(&Raw::log_in(&raw::cloud("lab")).await, &rollout.created.to_string()).await;
    records::assert_moves_are_those_of(&rollout, &events, &records);
    records::assert_order_is_that_of(&rollout, &records);
    desk.run(&["report", "-f", "html", "-o", "report.html"], 0);
    desk.run(&["report", "-f", "json", "-o", "report.json"], 0);
    desk.assert_no_secret();
}
