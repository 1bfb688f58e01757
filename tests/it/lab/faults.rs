//! What goes wrong on the real region: each ends as the design says, and the rest of the region goes on.

#![expect(clippy::wildcard_enum_match_arm, reason = "a test picks the events that it is about")]
#![expect(clippy::print_stdout, reason = "what is left out is said")]

use fleetmend::model::{Host, HostName, Instance, InstanceStatus, Region, ServiceStatus};
use fleetmend::plan::Rollout;
use fleetmend::run::{Event, EventKind, Intent, StepOutput};
use reqwest::Method;
use serde_json::json;

use super::desk::{Desk, under_way};
use super::raw::{self, Raw};
use super::{lab, variable};

/// Nobody waits for long here: what hangs is given up within a minute.
const POLICY: &str = "
format: 1
kind: policy
limits: {hosts: 3, hosts_per_zone: 3, migrations: 8, migrations_per_source: 3, migrations_per_target: 3}
canary: {hosts: 1, soak: 2s}
settle: 12s
failure_budget: {hosts: 6, per_zone: 6}
nova_conf: add-flags
patience: {migration_per_gib: 3s, reboot: 60s, service: 90s, packages: 3m, transition: 90s}
";

/// The planned hosts in their order. These tests need six, each with a part of its own.
fn cast(rollout: &Rollout) -> Option<Vec<HostName>> {
    if rollout.hosts.len() < 6 {
        println!("left out: each of six hosts has a part here, there are {}", rollout.hosts.len());
        return None;
    }
    let mut hosts: Vec<_> = rollout.hosts.iter().collect();
    hosts.sort_by_key(|host| host.order);
    Some(hosts.into_iter().map(|host| host.host.clone()).collect())
}

/// `compute-3` is number 3 to the lab.
fn number(host: &HostName) -> &str {
    host.as_str().rsplit('-').next().unwrap()
}

fn host<'a>(region: &'a Region, name: &HostName) -> &'a Host {
    region.host(name).unwrap()
}

/// An empty lab with two instances a host, planned. None of them is in a group: with most hosts out of service, members
/// that keep apart would have nowhere to go, and rightly so.
async fn planned(raw: &Raw) -> (Desk, Region, Rollout) {
    lab(&["reset"]);
    let desk = Desk::new(POLICY);
    let hosts = desk.region("empty.json").hosts.len();
    lab(&["fill", &(hosts * 3).to_string()]);
    for one in desk.region("full.json").instances.iter().filter(|one| one.group.is_some()) {
        raw.call(Method::DELETE, "compute", &format!("/servers/{}", one.id), None).await;
    }
    let region = loop {
        let region = desk.region("region.json");
        if region.instances.iter().all(|one| one.group.is_none()) {
            break region;
        }
    };
    let rollout = desk.plan();
    (desk, region, rollout)
}

/// Whether the state of a host and the reason for it are these.
fn assert_told(desk: &Desk, host: &HostName, state: &str, words: &[&str]) {
    let (is, why) = desk.host(host);
    assert_eq!(is, state, "{host}: {why}");
    assert!(words.iter().all(|word| why.contains(word)), "{host}: {why:?} does not say {words:?}");
}

fn begun(events: &[Event], host: &HostName, step: &str) -> bool {
    let wanted = format!("{host}/{step}");
    events.iter().any(|event| matches!(&event.kind, EventKind::StepStarted { step, .. } if step.as_str() == wanted))
}

fn reboots(events: &[Event], host: &HostName) -> usize {
    let wanted = format!("{host}/reboot");
    let rebooted = |event: &&Event| match &event.kind {
        EventKind::StepSucceeded { step, output: StepOutput::Rebooted { .. } } => step.as_str() == wanted,
        _ => false,
    };
    events.iter().filter(rebooted).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_fails_stays_out_with_its_reason_and_is_finished_by_a_retry() {
    let raw = Raw::log_in(&raw::cloud("lab")).await;
    let (desk, before, rollout) = planned(&raw).await;
    let Some(hosts) = cast(&rollout) else { return };
    let [canary, lost, broken, elsewhere, theirs, sound] = hosts.as_slice() else { panic!("{hosts:?}") };
    lab(&["fault", number(lost), "no-return"]);
    lab(&["fault", number(broken), "fail-pre=microcode_ctl"]);

    let mut child = desk.start(&["run", "rollout.yaml", "--approve", rollout.digest.as_str()]);
    desk.wait_for(&mut child, "the canary under way", |events| begun(events, canary, "disable").then_some(())).await;
    // Somebody else is quicker, with a reason of their own.
    let service = format!("/os-services/{}", host(&before, theirs).service.id);
    let ticket = json!({"status": "disabled", "disabled_reason": "ticket 4711: a fan"});
    raw.call(Method::PUT, "compute", &service, Some(ticket)).await;
    // The name of one host leads to another from here on.
    lab(&["fault", number(elsewhere), &format!("readdress={}", number(sound))]);
    let code = Desk::finish(child);
    assert_eq!(code, Some(4), "{}", desk.log());

    assert_told(&desk, canary, "done", &[]);
    assert_told(&desk, sound, "done", &[]);
    assert_told(&desk, lost, "quarantined", &["did not come back"]);
    assert_told(&desk, broken, "quarantined", &["%prein(microcode_ctl"]);
    assert_told(&desk, elsewhere, "skipped", &["another machine answers", sound.as_str()]);
    let (state, why) = desk.host(theirs);
    assert!(["skipped", "quarantined"].contains(&state.as_str()), "{theirs} is {state}: {why}");
    assert!(why.contains("ticket 4711"), "{why}");
    assert_eq!(lab(&["lost"]).trim(), "", "guests that ran on a host when it went down");
    let events = desk.events().await;
    assert_eq!([sound, elsewhere, theirs, broken].map(|name| reboots(&events, name)), [1, 0, 0, 0]);

    lab(&["heal", number(lost)]);
    lab(&["heal", number(broken)]);
    lab(&["heal", number(elsewhere)]);
    let region = desk.region("between.json");
    for name in [lost, broken] {
        let service = &host(&region, name).service;
        let reason = service.disabled_reason.as_deref().unwrap_or_default();
        assert_eq!(service.status, ServiceStatus::Disabled, "{name}");
        assert!(reason.starts_with("fleetmend "), "{name}: {reason}");
    }
    assert_eq!(host(&region, elsewhere).service.status, ServiceStatus::Enabled, "nobody disabled it");
    assert_eq!(host(&region, theirs).service.disabled_reason.as_deref(), Some("ticket 4711: a fan"));

    raw.call(Method::PUT, "compute", &service, Some(json!({"status": "enabled"}))).await;
    let code = Desk::finish(desk.retry(&[lost, broken, elsewhere, theirs]));
    assert_eq!(code, Some(0), "{}", desk.log());
    desk.run(&["assess", "--remedy", "mds", "--check"], 0);
    let after = desk.region("after.json");
    assert!(after.hosts.iter().all(|host| host.service.status == ServiceStatus::Enabled), "{:?}", after.hosts);
    assert_eq!(lab(&["lost"]).trim(), "", "guests that ran on a host when it went down");
    desk.run(&["report", "-f", "markdown", "-o", "report.md"], 0);
}

/// The smallest instance on `host` in `status`: the one that is given up soonest.
fn instance<'a>(region: &'a Region, host: &HostName, status: &InstanceStatus) -> Option<&'a Instance> {
    let there = region.instances.iter().filter(|one| one.host.as_ref() == Some(host) && one.status == *status);
    there.min_by_key(|one| one.resources.memory_mb())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_resists_or_appears_or_starts_never_goes_down_with_its_host() {
    if variable("LAB_DRIVER") != "fake" {
        println!("left out: no migration can be made to fail or hang with this driver");
        return;
    }
    let raw = Raw::log_in(&raw::cloud("lab")).await;
    let (desk, before, rollout) = planned(&raw).await;
    let Some(hosts) = cast(&rollout) else { return };
    let stopping = |name: &&HostName| instance(&before, name, &InstanceStatus::Shutoff).is_some();
    // Owners start what is stopped there, at the worst of times.
    let Some(starting) = hosts.iter().find(stopping) else { panic!("nothing is stopped in {hosts:?}") };
    let mut others = hosts[1..].iter().filter(|name| *name != starting);
    let (Some(failing), Some(hanging), Some(growing)) = (others.next(), others.next(), others.next()) else {
        panic!("too few hosts: {hosts:?}")
    };
    for (name, fault) in [(failing, "fail"), (hanging, "hang")] {
        let Some(one) = instance(&before, name, &InstanceStatus::Active) else { panic!("nothing runs on {name}") };
        let metadata = json!({"metadata": {"lab:lm_fault": fault}});
        raw.call(Method::POST, "compute", &format!("/servers/{}/metadata", one.id), Some(metadata)).await;
    }

    let mut child = desk.start(&["run", "rollout.yaml", "--approve", rollout.digest.as_str()]);
    let started = instance(&before, starting, &InstanceStatus::Shutoff).unwrap().id;
    let mut appeared = None;
    let mut asked = false;
    while appeared.is_none() || !asked {
        let falls = |intent: &Intent, step: &str| {
            matches!(intent, Intent::Reboot { .. }) && step == format!("{starting}/reboot")
        };
        let drains = desk
            .wait_for(&mut child, "a drain and a reboot", |events| {
                let drains = begun(events, growing, "resolve") && !begun(events, growing, "fence");
                let falls = under_way(events, 0, falls).is_some();
                let news = (drains && appeared.is_none()) || (falls && !asked);
                news.then_some(drains && appeared.is_none())
            })
            .await;
        if drains {
            appeared = Some(create_on(&raw, growing).await);
            println!("{appeared:?} appears on {growing}");
        } else {
            let start = json!({"os-start": null});
            raw.call(Method::POST, "compute", &format!("/servers/{started}/action"), Some(start)).await;
            println!("{started} is started on {starting}");
            asked = true;
        }
    }
    let code = Desk::finish(child);
    let log = desk.log();
    assert_eq!(code, Some(4), "{log}");

    assert_eq!(lab(&["lost"]).trim(), "", "guests that ran on a host when it went down: {log}");
    for name in hosts.iter().filter(|name| ![failing, hanging].contains(name)) {
        assert_told(&desk, name, "done", &[]);
    }
    let after = desk.region("after.json");
    for name in [failing, hanging] {
        let stays = instance(&before, name, &InstanceStatus::Active).unwrap();
        assert_told(&desk, name, "quarantined", &[stays.name.as_str()]);
        let found = after.instances.iter().find(|one| one.id == stays.id).unwrap();
        assert_eq!((&found.status, found.host.as_ref()), (&InstanceStatus::Active, Some(name)), "{}", found.name);
        let boot = |region: &Region| host(region, name).facts.boot_id.clone();
        assert_eq!(boot(&after), boot(&before), "{name} was rebooted under its instance");
    }
    let status = |id: &str| after.instances.iter().find(|one| one.id.to_string() == id).map(|one| one.status.clone());
    assert_eq!(status(&appeared.unwrap()), Some(InstanceStatus::Active), "the one that appeared: {log}");
    assert_eq!(status(&started.to_string()), Some(InstanceStatus::Active), "the one that its owner started: {log}");
    let same = before.instances.iter().filter(|one| one.id != started);
    for one in same {
        assert_eq!(status(&one.id.to_string()).as_ref(), Some(&one.status), "{}: {log}", one.name);
    }
}

/// An instance that comes onto a host although that is being emptied; its id. Nova knows a disabled host by a trait in
/// Placement, which older ones do not have and any may lag behind: without it, an operator's word puts it there.
async fn create_on(raw: &Raw, host: &HostName) -> String {
    let found = raw.call(Method::GET, "placement", &format!("/resource_providers?name={host}"), None).await;
    let traits = format!("/resource_providers/{}/traits", found["resource_providers"][0]["uuid"].as_str().unwrap());
    let mut worn = raw.call(Method::GET, "placement", &traits, None).await;
    worn["traits"].as_array_mut().unwrap().retain(|name| name != "COMPUTE_STATUS_DISABLED");
    raw.call(Method::PUT, "placement", &traits, Some(worn)).await;
    let image = raw.find("image", "/v2/images", "images", &["tiny"]).await;
    let flavor = raw.find("compute", "/flavors", "flavors", &["m1.tiny"]).await;
    let server = json!({"server": {"name": "appeared", "imageRef": image, "flavorRef": flavor, "networks": "none",
        "availability_zone": format!("nova:{host}")}});
    let answer = raw.call(Method::POST, "compute", "/servers", Some(server)).await;
    answer["server"]["id"].as_str().unwrap().to_owned()
}
