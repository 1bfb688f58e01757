//! The ledger after a rollout, and the campaign of cold boots that brings it to zero for the consenting.

#![expect(clippy::wildcard_enum_match_arm, reason = "a test picks the events that it is about")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fleetmend::clock::Clock;
use fleetmend::inventory;
use fleetmend::journal::memory::MemoryJournal;
use fleetmend::ledger::{HostTimes, Ledger, Renewal, RunTimes};
use fleetmend::model::{Digest, HostName, InstanceId, InstanceStatus, Policy, Region, RolloutId, RunId};
use fleetmend::plan::{ColdBootInput, SkipReason, Work, plan_cold_boots};
use fleetmend::run::{DriveError, EventKind, Outcome, RunError, StepOutput};
use fleetmend::sim::faults::Faults;
use fleetmend::sim::world::{Caller, World};
use fleetmend::sim::{SimCloud, SimRegion};
use uuid::Uuid;

use super::stage::{Notes, Stage, policy, scenario};

/// A region that a rollout has been through, and what its run tells.
async fn remedied() -> (Stage, RunTimes) {
    let stage = Stage::set(&scenario(Faults::default()), policy()).await;
    let mut notes = Notes::default();
    let end = stage.begin(&mut notes).await.unwrap();
    assert_eq!(end.outcome, Some(Outcome::Done));
    (stage, RunTimes::of(&notes.0))
}

/// The region as it stands, with what was done to its instances.
async fn seen(stage: &Stage) -> Region {
    let mut region = stage.snapshot_again().await.unwrap();
    inventory::remember(stage.cloud.as_ref(), &mut region, 4, &|_| {}).await.unwrap();
    region
}

/// The ledger by Nova's memory alone, or with what hosts show as well.
fn ledger(stage: &Stage, region: &Region, runs: &[RunTimes], hosts_are_asked: bool) -> (Ledger, HostTimes) {
    let mut region = region.clone();
    if !hosts_are_asked {
        region.hosts.iter_mut().for_each(|host| host.facts = fleetmend::model::HostFacts::default());
    }
    let hosts = HostTimes::of(&region, &stage.remedy, runs);
    (Ledger::of(&region, &stage.remedy, &hosts, &[]).unwrap(), hosts)
}

/// Everybody consents.
fn willing(region: &Region) -> Policy {
    let mut policy = policy();
    policy.cold_boots.consent.projects = region.instances.iter().map(|one| one.project.clone()).collect();
    policy
}

/// The same region some time later, with a campaign to run on it.
fn campaign(stage: &Stage, world: World, region: &Region, ledger: &(Ledger, HostTimes), policy: &Policy) -> Stage {
    let sim = SimRegion::new(world, 1.0);
    let rollout = plan_cold_boots(&ColdBootInput {
        region,
        ledger: &ledger.0,
        hosts: &ledger.1,
        remedy: &stage.remedy,
        policy,
        configuration: Digest::new("sha256:none"),
        now: sim.clock().now(),
        id: RolloutId::new(Uuid::from_u128(2)),
    });
    assert_eq!(rollout.work, Work::ColdBoots);
    Stage {
        rungs: Vec::new(),
        cloud: Arc::new(SimCloud::new(Arc::clone(&sim))),
        region: sim,
        remedy: stage.remedy.clone(),
        rollout,
        snapshot: region.clone(),
        journal: Arc::default(),
        run: RunId::new(Uuid::from_u128(2)),
        alive: stage.alive.clone(),
    }
}

/// How often instances were stopped and started since `since`, and what runs.
fn power(stage: &Stage, since: jiff::Timestamp) -> BTreeMap<InstanceId, (usize, usize, InstanceStatus)> {
    stage.region.with(|world| {
        let servers = world.all_servers().filter(|server| !server.is_deleted());
        servers
            .map(|server| {
                let done =
                    |word| server.activities.iter().filter(|one| one.action == word && one.started >= since).count();
                (server.id, (done("stop"), done("start"), server.status()))
            })
            .collect()
    })
}

#[tokio::test(start_paused = true)]
async fn after_a_rollout_all_that_runs_is_due_and_a_campaign_renews_it() {
    let (stage, run) = remedied().await;
    let region = seen(&stage).await;
    for hosts_are_asked in [false, true] {
        let (ledger, _) = ledger(&stage, &region, std::slice::from_ref(&run), hosts_are_asked);
        for entry in &ledger.instances {
            let runs = stage.alive.contains_key(&entry.instance) || entry.status == InstanceStatus::Suspended;
            let wanted = if runs { Renewal::Due } else { Renewal::NotRunning };
            assert_eq!(entry.verdict, wanted, "{}: {}", entry.name, entry.why);
        }
    }

    let told = ledger(&stage, &region, std::slice::from_ref(&run), true);
    let since = stage.region.clock().now();
    let mut policy = willing(&region);
    // One project's owners have not been heard of.
    let silent = region.instances[0].project.clone();
    policy.cold_boots.consent.projects.remove(&silent);
    let stage = campaign(&stage, stage.region.with(|world| world.clone()), &region, &told, &policy);
    let is_silent = |skipped: &&fleetmend::plan::SkippedHost| skipped.reason == SkipReason::NoConsent;
    assert!(stage.rollout.skipped.iter().any(|skipped| is_silent(&skipped)));
    let mut notes = Notes::default();
    let end = stage.begin(&mut notes).await.unwrap();
    assert_eq!(end.outcome, Some(Outcome::Done));

    let planned: BTreeSet<InstanceId> =
        stage.rollout.hosts.iter().filter_map(|host| Some(host.cold_boot.as_ref()?.instance)).collect();
    for (id, (stops, starts, status)) in power(&stage, since) {
        let once = usize::from(planned.contains(&id));
        assert_eq!((stops, starts), (once, once), "{id}");
        assert!(once == 0 || status == InstanceStatus::Active, "{id}: {status}");
    }
    let seen_flags = notes.0.iter().filter(|event| {
        matches!(&event.kind, EventKind::StepSucceeded { output: StepOutput::ColdBooted { flag: Some(flag), .. }, .. }
            if flag == "require")
    });
    assert_eq!(seen_flags.count(), planned.len());

    let region = seen(&stage).await;
    let runs = [run, RunTimes::of(&notes.0)];
    for hosts_are_asked in [false, true] {
        let (ledger, _) = ledger(&stage, &region, &runs, hosts_are_asked);
        for entry in &ledger.instances {
            let renewed = entry.verdict == Renewal::Renewed;
            assert_eq!(renewed, planned.contains(&entry.instance), "{}: {}", entry.name, entry.why);
            assert!(!renewed || matches!(entry.who, Some(fleetmend::ledger::Who::Run(_))), "{:?}", entry.who);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_two_of_a_group_and_no_more_than_the_limits_are_stopped_at_a_time() {
    let (stage, run) = remedied().await;
    let region = seen(&stage).await;
    let told = ledger(&stage, &region, &[run], true);
    let mut policy = willing(&region);
    policy.cold_boots.at_once = 3;
    let stage = campaign(&stage, stage.region.with(|world| world.clone()), &region, &told, &policy);
    let mut notes = Notes::default();
    assert_eq!(stage.begin(&mut notes).await.unwrap().outcome, Some(Outcome::Done));
    let boots: BTreeMap<&str, _> =
        stage.rollout.hosts.iter().filter_map(|host| Some((host.host.as_str(), host.cold_boot.as_deref()?))).collect();
    let (mut open, mut most, mut groups) = (BTreeSet::new(), 0, 0);
    for event in &notes.0 {
        match &event.kind {
            EventKind::StepStarted { step, .. } => {
                open.insert(step.as_str().split('/').next().unwrap().to_owned());
            }
            EventKind::StepSucceeded { step, .. } => {
                open.remove(step.as_str().split('/').next().unwrap());
            }
            _ => continue,
        }
        most = most.max(open.len());
        let of = |id: &String| boots[id.as_str()];
        let hosts: Vec<_> = open.iter().map(|id| &of(id).on).collect();
        assert_eq!(hosts.iter().collect::<BTreeSet<_>>().len(), hosts.len(), "one of a host: {hosts:?}");
        let mates: Vec<_> = open.iter().filter_map(|id| of(id).group.as_ref()).collect();
        assert_eq!(mates.iter().collect::<BTreeSet<_>>().len(), mates.len(), "one of a group: {mates:?}");
        groups += mates.len();
    }
    assert_eq!(most, 3);
    assert!(groups > 0, "there are groups whose members keep apart");
}

#[tokio::test(start_paused = true)]
async fn killed_after_any_append_and_resumed_nothing_that_ran_stays_stopped() {
    let (stage, run) = remedied().await;
    let region = seen(&stage).await;
    let told = ledger(&stage, &region, &[run], true);
    let policy = willing(&region);
    let (world, since) = (stage.region.with(|world| world.clone()), stage.region.clock().now());
    let whole = campaign(&stage, world.clone(), &region, &told, &policy);
    let mut notes = Notes::default();
    whole.begin(&mut notes).await.unwrap();
    for cut in 1..notes.0.len() {
        let mut stage = campaign(&whole, world.clone(), &region, &told, &policy);
        stage.journal = Arc::new(MemoryJournal::failing_after(cut));
        match stage.begin(&mut Notes::default()).await {
            Err(RunError::Drive { source: DriveError::Journal(_), .. }) => {}
            Ok(end) => {
                assert_eq!(end.outcome, Some(Outcome::Done), "cut after {cut}");
                continue;
            }
            Err(other) => panic!("cut after {cut}: {other:?}"),
        }
        stage.journal.heal();
        let end = stage.resume(&mut Notes::default()).await.unwrap();
        assert_eq!(end.outcome, Some(Outcome::Done), "cut after {cut}");
        for (id, (stops, starts, status)) in power(&stage, since) {
            let planned = stage.rollout.hosts.iter().any(|host| host.host.as_str() == id.to_string());
            let once = usize::from(planned);
            assert_eq!((stops, starts), (once, once), "cut after {cut}: {id}");
            if let Some(before) = stage.alive.get(&id) {
                assert_eq!(status, *before, "cut after {cut}: {id}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_owners_do_in_between_is_credited_and_left_alone() {
    let (stage, run) = remedied().await;
    let running: Vec<InstanceId> =
        stage.alive.iter().filter(|(_, status)| **status == InstanceStatus::Active).map(|(id, _)| *id).collect();
    let [stopped, migrated, moved] = [running[0], running[1], running[2]];
    let other = |id| {
        stage.region.with(|world| {
            let own = world.server(id).unwrap().host.clone();
            let other = world.hosts().map(|host| host.name.clone()).find(|name| Some(name) != own.as_ref());
            other.unwrap()
        })
    };
    let settle = || tokio::time::sleep(std::time::Duration::from_secs(300));
    stage.region.with(|world| world.stop(stopped, Caller::Owner).unwrap());
    let targets: [HostName; 2] = [other(migrated), other(moved)];
    stage.region.with(|world| world.cold_migrate(migrated, Some(&targets[0]), Caller::Operator).unwrap());
    stage.region.with(|world| world.live_migrate(moved, Some(&targets[1]), Caller::Operator).unwrap());
    settle().await;
    stage.region.with(|world| world.start(stopped, Caller::Owner).unwrap());
    stage.region.with(|world| world.confirm_resize(migrated, Caller::Owner).unwrap());
    settle().await;
    let region = seen(&stage).await;
    for hosts_are_asked in [false, true] {
        let (ledger, _) = ledger(&stage, &region, std::slice::from_ref(&run), hosts_are_asked);
        let of = |id| ledger.instances.iter().find(|entry| entry.instance == id).unwrap();
        assert_eq!((of(stopped).verdict, of(stopped).by.as_deref()), (Renewal::Renewed, Some("start")));
        assert_eq!((of(migrated).verdict, of(migrated).by.as_deref()), (Renewal::Renewed, Some("migrate")));
        assert_eq!(of(moved).verdict, Renewal::Due, "{}", of(moved).why);
        assert!(matches!(&of(stopped).who, Some(fleetmend::ledger::Who::User(_))));
    }
}
