//! The ledger after a rollout in which owners did, by themselves, one of each action: right for each. Then the campaign
//! of cold boots, killed between a stop and a start, which brings it to zero for the consenting.
//!
//! The fake driver's hosts show no processors: here Nova's memory alone is judged.

use std::collections::BTreeMap;
use std::time::Duration;

use fleetmend::config;
use fleetmend::model::{InstanceId, InstanceStatus};
use fleetmend::run::{EventKind, Intent};
use reqwest::Method;
use serde_json::{Value, json};

use super::desk::Desk;
use super::raw::{self, Raw};
use super::{lab, variable};

const POLICY: &str = "
format: 1
kind: policy
limits: {hosts: 2, hosts_per_zone: 2, migrations: 8, migrations_per_source: 3, migrations_per_target: 3}
canary: {hosts: 0}
settle: 12s
failure_budget: {hosts: 0, per_zone: 0}
nova_conf: add-flags
cold_boots: {at_once: 2, shutdown: 2m, start: 2m}
";

struct Owner {
    raw: Raw,
}

impl Owner {
    async fn act(&self, id: InstanceId, body: Value) {
        self.raw.call(Method::POST, "compute", &format!("/servers/{id}/action"), Some(body)).await;
    }

    /// Waits until it is in one of these states, with nothing under way.
    async fn wait(&self, id: InstanceId, wanted: &[&str]) {
        for _ in 0..240 {
            let server = self.raw.call(Method::GET, "compute", &format!("/servers/{id}"), None).await;
            let server = &server["server"];
            let status = server["status"].as_str().unwrap();
            if wanted.contains(&status) && server["OS-EXT-STS:task_state"].is_null() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        panic!("{id} was never in {wanted:?}");
    }
}

/// The verdict on each instance as `instances -f json` tells, with what its boot began with.
fn verdicts(desk: &Desk) -> BTreeMap<InstanceId, (String, Option<String>, String)> {
    let told = desk.run(&["instances", "-f", "json"], 0);
    let told: Value = serde_json::from_slice(&told.stdout).unwrap();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let entries = told["instances"].as_array().unwrap().iter();
    let entry = |entry: &Value| {
        let id = entry["instance"].as_str().unwrap().parse().unwrap();
        (id, (text(&entry["verdict"]).unwrap(), text(&entry["by"]), text(&entry["why"]).unwrap()))
    };
    entries.map(entry).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_is_right_for_what_owners_did_and_a_campaign_brings_it_to_zero_for_the_consenting() {
    lab(&["reset"]);
    let desk = Desk::new(POLICY);
    let hosts = desk.region("empty.json").hosts.len();
    lab(&["fill", "24"]);
    desk.region("region.json");
    let rollout = desk.plan();
    assert_eq!(rollout.hosts.len(), hosts);
    let child = desk.start(&["run", "rollout.yaml", "--yes"]);
    assert_eq!(Desk::finish(child), Some(0), "{}", desk.log());

    let region = desk.region("after.json");
    let running: Vec<InstanceId> = region
        .instances
        .iter()
        .filter(|one| one.status == InstanceStatus::Active && one.group.is_none())
        .map(|one| one.id)
        .collect();
    assert!(running.len() >= 10, "{}", running.len());
    let before = verdicts(&desk);
    assert!(running.iter().all(|id| before[id].0 == "due"), "{before:?}");

    let owner = Owner { raw: Raw::log_in(&raw::cloud("lab")).await };
    let [stopped, hard, soft, cold, rebuilt, live, shelved, resized, suspended, nothing] =
        std::array::from_fn(|place| running[place]);
    let server = owner.raw.call(Method::GET, "compute", &format!("/servers/{rebuilt}"), None).await;
    let image = server["server"]["image"]["id"].clone();
    let flavors = owner.raw.call(Method::GET, "compute", "/flavors/detail", None).await;
    let server = owner.raw.call(Method::GET, "compute", &format!("/servers/{resized}"), None).await;
    let own = &server["server"]["flavor"]["original_name"];
    let other = flavors["flavors"].as_array().unwrap().iter().find(|flavor| flavor["name"] != *own).unwrap();
    owner.act(stopped, json!({"os-stop": null})).await;
    owner.act(hard, json!({"reboot": {"type": "HARD"}})).await;
    owner.act(soft, json!({"reboot": {"type": "SOFT"}})).await;
    owner.act(cold, json!({"migrate": null})).await;
    owner.act(rebuilt, json!({"rebuild": {"imageRef": image}})).await;
    owner.act(live, json!({"os-migrateLive": {"host": null, "block_migration": "auto"}})).await;
    owner.act(shelved, json!({"shelve": null})).await;
    owner.act(resized, json!({"resize": {"flavorRef": other["id"]}})).await;
    owner.act(suspended, json!({"suspend": null})).await;
    owner.wait(stopped, &["SHUTOFF"]).await;
    owner.act(stopped, json!({"os-start": null})).await;
    for id in [cold, resized] {
        owner.wait(id, &["VERIFY_RESIZE"]).await;
        owner.act(id, json!({"confirmResize": null})).await;
    }
    owner.wait(shelved, &["SHELVED_OFFLOADED", "SHELVED"]).await;
    owner.act(shelved, json!({"unshelve": null})).await;
    owner.wait(suspended, &["SUSPENDED"]).await;
    owner.act(suspended, json!({"resume": null})).await;
    for id in &running[..10] {
        owner.wait(*id, &["ACTIVE"]).await;
    }
    let told = verdicts(&desk);
    for (id, verdict, by) in [
        (stopped, "renewed", Some("start")),
        // Nova records both by one word.
        (hard, "unknown", None),
        (soft, "unknown", None),
        (cold, "renewed", Some("migrate")),
        (rebuilt, "renewed", Some("rebuild")),
        (live, "due", Some("create")),
        (shelved, "renewed", Some("unshelve")),
        (resized, "renewed", Some("resize")),
        (suspended, "due", Some("create")),
        (nothing, "due", Some("create")),
    ] {
        let (found, found_by, why) = &told[&id];
        assert_eq!((found.as_str(), found_by.as_deref()), (verdict, by), "{id}: {why}");
    }

    let consenting = [live, suspended, nothing, hard];
    for id in consenting {
        let body = json!({"metadata": {"fleetmend:cold-boot": "yes"}});
        owner.raw.call(Method::POST, "compute", &format!("/servers/{id}/metadata"), Some(body)).await;
    }
    desk.run(&["instances", "--plan", "--policy", "policy.yaml", "-o", "coldboot.yaml"], 0);
    let text = std::fs::read_to_string(desk.path("coldboot.yaml")).unwrap();
    let campaign = config::read_rollout("coldboot.yaml", &text).unwrap();
    assert_eq!(campaign.hosts.len(), consenting.len());
    desk.run(&["show", "coldboot.yaml"], 0);
    desk.run(&["run", "coldboot.yaml", "--dry-run"], 0);
    let mut child = desk.start(&["run", "coldboot.yaml", "--yes"]);
    desk.wait_for(&mut child, "a cold boot", |events| {
        let is_begun = |event: &fleetmend::run::Event| {
            matches!(&event.kind, EventKind::StepIntended { intent: Intent::ColdBoot { .. }, .. })
        };
        events.iter().any(is_begun).then_some(())
    })
    .await;
    tokio::time::sleep(Duration::from_secs(2)).await;
    child.kill().unwrap();
    child.wait().unwrap();
    // Others were left to themselves: what remains is told by the exit code.
    assert_eq!(Desk::finish(desk.start(&["resume"])), Some(8), "{}", desk.log());
    let told = verdicts(&desk);
    for id in consenting {
        assert_eq!(told[&id].0, "renewed", "{id}: {}", told[&id].2);
        owner.wait(id, &["ACTIVE"]).await;
        let actions = owner.raw.call(Method::GET, "compute", &format!("/servers/{id}/os-instance-actions"), None).await;
        let actions = actions["instanceActions"].as_array().unwrap();
        for word in ["stop", "start"] {
            let times = actions.iter().filter(|action| action["action"] == word).count();
            assert_eq!(times, 1, "{id}: {word}");
        }
    }
    assert_eq!(variable("LAB_DRIVER"), "fake");
    desk.run(&["report", "-f", "markdown", "-o", "report.md"], 0);
}
