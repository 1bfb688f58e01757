//! Every kind of instance on the real region: what the matrix says is what Nova accepts, and what is stopped in place
//! runs again though the runner is killed in a stop and in a start.

use std::collections::BTreeMap;
use std::time::Duration;

use fleetmend::model::{Instance, InstanceHandling, InstanceId, InstanceStatus, Region};
use fleetmend::plan::Standing;
use fleetmend::run::Intent;
use reqwest::Method;
use serde_json::{Value, json};

use super::desk::{Desk, changes, statuses, under_way};
use super::lab;
use super::raw::{self, Raw};

/// What is locked is stopped in place; hosts go one by one, so that there is time to be killed in.
const POLICY: &str = "
format: 1
kind: policy
limits: {hosts: 2, hosts_per_zone: 2, migrations: 8, migrations_per_source: 3, migrations_per_target: 3}
canary: {hosts: 1, soak: 5s}
settle: 15s
failure_budget: {hosts: 2, per_zone: 2}
nova_conf: add-flags
instances: {locked: stop-in-place}
";

fn active(region: &Region) -> Vec<&Instance> {
    region.instances.iter().filter(|one| one.status == InstanceStatus::Active && one.group.is_none()).collect()
}

async fn act(raw: &Raw, id: InstanceId, body: Value) -> u16 {
    raw.status(Method::POST, "compute", &format!("/servers/{id}/action"), Some(body)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_stopped_in_place_runs_again_though_the_runner_is_killed_in_a_stop_and_in_a_start() {
    lab(&["reset"]);
    let desk = Desk::new(POLICY);
    let hosts = desk.region("empty.json").hosts.len();
    lab(&["fill", &(hosts * 5).to_string()]);
    let raw = Raw::log_in(&raw::cloud("lab")).await;
    for one in active(&desk.region("full.json")).iter().step_by(4) {
        assert_eq!(act(&raw, one.id, json!({"lock": null})).await, 202);
    }
    let before = desk.region("region.json");
    let rollout = desk.plan();
    let parked: Vec<InstanceId> = (rollout.stays.iter())
        .filter(|stay| stay.handling == InstanceHandling::StopInPlace)
        .map(|stay| stay.instance)
        .collect();
    assert!(!parked.is_empty(), "{:?}", rollout.stays);

    let mut child = desk.start(&["run", "rollout.yaml", "--approve", rollout.digest.as_str()]);
    let mut seen = 0;
    for wanted in [Intent::Stop, Intent::Start] {
        let is_it = |intent: &Intent, _: &str| *intent == wanted;
        seen = desk.wait_for(&mut child, "something to be killed in", |events| under_way(events, seen, is_it)).await;
        child.kill().unwrap();
        child.wait().unwrap();
        child = desk.start(&["resume"]);
    }
    let code = Desk::finish(child);
    assert_eq!(code, Some(0), "{}", desk.log());
    desk.run(&["assess", "--remedy", "mds", "--check"], 0);
    assert_eq!(lab(&["lost"]).trim(), "", "guests that ran on a host when it went down");
    let after = desk.region("after.json");
    assert_eq!(statuses(&after), statuses(&before), "every instance is as it was");
    let homes = |region: &Region| -> BTreeMap<InstanceId, _> {
        let parked = region.instances.iter().filter(|one| parked.contains(&one.id));
        parked.map(|one| (one.id, one.host.clone())).collect()
    };
    assert_eq!(homes(&after), homes(&before), "what is stopped in place stays where it is");
    for order in ["os-stop", "os-start"] {
        let sent = changes().into_iter().filter(|change| change.contains(order)).count();
        assert_eq!(sent, parked.len(), "{order} once each");
    }
}

/// Ways to bring an instance to each standing that the lab can make.
fn makings() -> Vec<(Standing, Value)> {
    vec![
        (Standing::Running, Value::Null),
        (Standing::Paused, json!({"pause": null})),
        (Standing::Off, json!({"os-stop": null})),
        (Standing::Suspended, json!({"suspend": null})),
        (Standing::Rescued, json!({"rescue": {}})),
        (Standing::Resized, json!({"migrate": null})),
        (Standing::Broken, json!({"os-resetState": {"state": "error"}})),
        (Standing::Nowhere, json!({"shelve": null})),
    ]
}

/// The instance as the inventory sees it, once it stands so; nothing when it never does.
async fn stands(desk: &Desk, id: InstanceId, wanted: Standing) -> Option<Instance> {
    for _ in 0..15 {
        let region = desk.region("made.json");
        let found = region.instances.into_iter().find(|one| one.id == id);
        if let Some(one) = found.filter(|one| Standing::of(one) == wanted) {
            return Some(one);
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    None
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_matrix_says_is_what_nova_accepts() {
    lab(&["reset"]);
    let desk = Desk::new(POLICY);
    let hosts = desk.region("empty.json").hosts.len();
    lab(&["fill", &(hosts * 5).to_string()]);
    let raw = Raw::log_in(&raw::cloud("lab")).await;
    let full = desk.region("full.json");
    let mut ids = active(&full).into_iter().map(|one| one.id);
    let mut made = Vec::new();
    for (standing, body) in makings() {
        let id = ids.next().unwrap();
        if !body.is_null() {
            let status = act(&raw, id, body).await;
            assert!((200..300).contains(&status), "{standing:?}: {status}");
        }
        made.push((standing, id));
    }
    for (standing, id) in &made {
        let Some(instance) = stands(&desk, *id, *standing).await else {
            println!("left out: the lab's driver does not bring an instance to {standing:?}");
            continue;
        };
        let ways = standing.row().ways;
        // No host has that name: Nova says 400 where the state is right for it, 409 where it is not, and nothing moves.
        let live = act(&raw, *id, json!({"os-migrateLive": {"host": "nohost", "block_migration": "auto"}})).await;
        assert_eq!(live == 400, ways.live, "{standing:?} live: {live}");
        let cold = act(&raw, *id, json!({"migrate": {"host": "nohost"}})).await;
        assert_eq!(cold == 400, ways.cold, "{standing:?} cold: {cold}");
        if !ways.stop && *standing != Standing::Broken {
            assert_eq!(act(&raw, *id, json!({"os-stop": null})).await, 409, "{standing:?} {}", instance.status);
        }
    }
    // The plan lists up front what can neither leave nor stay.
    desk.region("region.json");
    let rollout = desk.plan();
    let listed = |id: &InstanceId| rollout.blocked.iter().any(|one| one.instance == *id);
    let stays =
        |id: &InstanceId| rollout.stays.iter().any(|one| one.instance == *id) || listed_host(&rollout, &full, *id);
    for (standing, id) in &made {
        match standing {
            Standing::Rescued | Standing::Resized | Standing::Broken => assert!(listed(id), "{standing:?} is listed"),
            Standing::Off | Standing::Suspended => assert!(stays(id) && !listed(id), "{standing:?} stays"),
            Standing::Running
            | Standing::Paused
            | Standing::Shelved
            | Standing::Nowhere
            | Standing::SoftDeleted
            | Standing::BrokenOff
            | Standing::Changing
            | Standing::Unknown => assert!(!listed(id), "{standing:?} keeps no host"),
        }
    }
    lab(&["reset"]);
}

/// Whether the host of an instance is left alone, so that nothing is said of what would stay there.
fn listed_host(rollout: &fleetmend::plan::Rollout, region: &Region, id: InstanceId) -> bool {
    let home = region.instances.iter().find(|one| one.id == id).and_then(|one| one.host.as_ref());
    rollout.skipped.iter().any(|skipped| Some(&skipped.host) == home)
}
