//! Instances that are stopped in place: what ran runs again, whatever happens on the way.

#![expect(clippy::wildcard_enum_match_arm, reason = "a test picks the events that it is about")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use fleetmend::journal::Request;
use fleetmend::model::{HostName, InstanceHandling, InstanceId, InstanceStatus, Percent, Policy};
use fleetmend::run::{Event, EventKind, HostPhase, Outcome, StepOutput};
use fleetmend::sim::Scenario;
use fleetmend::sim::faults::{Faults, HostFault, HostRule, JobFault, JobRule, StartRule};
use tokio::sync::mpsc;

use super::fuse::Cut;
use super::stage::{Notes, Stage, policy, quarantined};

/// Three hosts, one of them empty; a third of the instances is locked, some are off.
fn locked(faults: Faults) -> Scenario {
    let (locked, stopped) = (Percent::new(40.0).unwrap(), Percent::new(20.0).unwrap());
    Scenario { empty_hosts: 1, zones: 1, locked, stopped, faults, ..Scenario::sized(3, 12, 7) }
}

/// What is locked is stopped in place.
fn consenting() -> Policy {
    let mut policy = policy();
    policy.instances.locked = InstanceHandling::StopInPlace;
    policy.failure_budget.hosts = 5;
    policy.failure_budget.per_zone = 5;
    policy
}

async fn set(faults: Faults) -> Stage {
    Stage::set(&locked(faults), consenting()).await
}

/// Instances that the plan has stopped in place, by host.
fn parked(stage: &Stage) -> BTreeMap<HostName, BTreeSet<InstanceId>> {
    let mut parked: BTreeMap<HostName, BTreeSet<InstanceId>> = BTreeMap::new();
    for stay in stage.rollout.stays.iter().filter(|stay| stay.handling == InstanceHandling::StopInPlace) {
        parked.entry(stay.host.clone()).or_default().insert(stay.instance);
    }
    assert!(!parked.is_empty(), "some instance is stopped in place");
    parked
}

/// A host on which something is stopped in place, behind the canary where there is one.
fn victim(stage: &Stage) -> HostName {
    let parked = parked(stage);
    stage.rollout.hosts.iter().rev().map(|host| host.host.clone()).find(|host| parked.contains_key(host)).unwrap()
}

fn is_power(event: &Event) -> bool {
    let of = |step: &fleetmend::model::StepId| step.as_str().contains("/stop/") || step.as_str().contains("/start/");
    match &event.kind {
        EventKind::StepStarted { step, .. }
        | EventKind::StepIntended { step, .. }
        | EventKind::StepSucceeded { step, .. }
        | EventKind::StepFailed { step, .. } => of(step),
        _ => false,
    }
}

/// How often each server was stopped and started by us.
fn orders(stage: &Stage, what: &str) -> usize {
    stage.region.with(|world| world.changes().iter().filter(|change| change.what.starts_with(what)).count())
}

#[tokio::test(start_paused = true)]
async fn what_is_stopped_in_place_runs_again_behind_its_own_hosts_reboot_and_what_was_off_stays_off() {
    let stage = set(Faults::default()).await;
    let off: Vec<InstanceId> = (stage.snapshot.instances.iter())
        .filter(|instance| instance.status == InstanceStatus::Shutoff)
        .map(|instance| instance.id)
        .collect();
    assert!(!off.is_empty());
    let planned: usize = parked(&stage).values().map(BTreeSet::len).sum();
    let mut notes = Notes::default();
    let end = stage.begin(&mut notes).await.unwrap();
    assert_eq!(end.outcome, Some(Outcome::Done), "{:?}", quarantined(&stage).await);
    stage.assert_done(&[], "stopped in place").await;
    assert_eq!((orders(&stage, "stop "), orders(&stage, "start ")), (planned, planned));
    stage.region.with(|world| {
        for id in off {
            assert_eq!(world.server(id).unwrap().status(), InstanceStatus::Shutoff);
        }
    });
    // Off no longer than its own host takes from the end of the drain on.
    let at = |wanted: &dyn Fn(&Event) -> bool| notes.0.iter().find(|event| wanted(event)).unwrap().at;
    for (host, instances) in parked(&stage) {
        for instance in instances {
            let stop = format!("{host}/stop/{instance}");
            let start = format!("{host}/start/{instance}");
            let succeeded = |id: &str| {
                let id = id.to_owned();
                at(&move |event| matches!(&event.kind, EventKind::StepSucceeded { step, .. } if step.as_str() == id))
            };
            assert!(succeeded(&format!("{host}/stage")) <= succeeded(&stop), "nobody is off while it downloads");
            assert!(succeeded(&format!("{host}/evidence")) <= succeeded(&start));
            assert!(succeeded(&start) <= succeeded(&format!("{host}/settle")));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn killed_at_any_event_of_a_stop_or_a_start_and_resumed_nothing_that_ran_stays_off() {
    let calm = set(Faults::default()).await;
    let mut notes = Notes::default();
    calm.begin(&mut notes).await.unwrap();
    let first = notes.0.iter().position(is_power).unwrap();
    let last = notes.0.iter().rposition(is_power).unwrap();
    let planned: usize = parked(&calm).values().map(BTreeSet::len).sum();
    // Every event of a stop or a start, and every fifth of those between.
    let cuts = (first..=last).filter(|place| is_power(&notes.0[*place]) || place % 5 == 0);
    for at in cuts.map(|place| notes.0[place].seq) {
        for cut in [Cut::Before, Cut::After] {
            let context = format!("killed {cut:?} event {at}");
            let stage = set(Faults::default()).await;
            stage.begin_until(&mut Notes::default(), move |event| if event.seq == at { cut } else { Cut::No }).await;
            let end = stage.resume(&mut Notes::default()).await.unwrap();
            assert_eq!(end.outcome, Some(Outcome::Done), "{context}: {:?}", quarantined(&stage).await);
            stage.assert_done(&[], &context).await;
            assert_eq!((orders(&stage, "stop "), orders(&stage, "start ")), (planned, planned), "{context}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_does_not_start_is_named_and_its_host_is_back_in_service() {
    let calm = set(Faults::default()).await;
    let (host, instances) = parked(&calm).pop_first().unwrap();
    let lost = *instances.first().unwrap();
    let starts = vec![StartRule { instance: Some(lost.to_string()), times: None }];
    let stage = set(Faults { starts, ..Faults::default() }).await;
    let end = stage.begin(&mut Notes::default()).await.unwrap();
    assert_eq!(end.outcome, Some(Outcome::DoneWithFailures));
    assert_eq!(end.state.count(HostPhase::Done), stage.rollout.hosts.len(), "no host is any the worse");
    let named: Vec<_> =
        end.state.stopped_by_us().map(|(host, one, why)| (host.clone(), one.id, why.unwrap().to_owned())).collect();
    assert_eq!(named.len(), 1, "{named:?}");
    assert_eq!((&named[0].0, named[0].1), (&host, lost));
    assert!(named[0].2.contains("the guest did not start"), "{named:?}");
}

#[tokio::test(start_paused = true)]
async fn one_that_starts_at_the_third_attempt_is_no_failure() {
    let starts = vec![StartRule { instance: None, times: Some(2) }];
    let stage = set(Faults { starts, ..Faults::default() }).await;
    let end = stage.begin(&mut Notes::default()).await.unwrap();
    assert_eq!(end.outcome, Some(Outcome::Done), "{:?}", quarantined(&stage).await);
    stage.assert_done(&[], "third attempt").await;
}

#[tokio::test(start_paused = true)]
async fn a_host_that_fails_before_its_reboot_gives_back_what_was_stopped_on_it() {
    let calm = set(Faults::default()).await;
    let victim = victim(&calm);
    let jobs = vec![JobRule { host: victim.clone(), package: None, times: None, fault: JobFault::PostScriptlet }];
    let stage = set(Faults { jobs, ..Faults::default() }).await;
    let mut notes = Notes::default();
    let end = stage.begin(&mut notes).await.unwrap();
    assert_eq!(end.state.hosts()[&victim].phase, HostPhase::Quarantined, "{:?}", end.state.status());
    assert!(end.state.stopped_by_us().next().is_none());
    let parks = notes.0.iter().filter(|event| {
        matches!(&event.kind, EventKind::StepSucceeded { step, output: StepOutput::Parked { .. } }
            if step.as_str().starts_with(&format!("{victim}/")))
    });
    assert!(parks.count() > 0, "it failed behind the stops");
    stage.assert_unharmed("failed before its reboot");
}

#[tokio::test(start_paused = true)]
async fn what_was_stopped_on_a_host_that_does_not_come_back_is_named() {
    let calm = set(Faults::default()).await;
    let victim = victim(&calm);
    let hosts = vec![HostRule { host: victim.clone(), times: None, fault: HostFault::NoReturn }];
    let stage = set(Faults { hosts, ..Faults::default() }).await;
    let end = stage.begin(&mut Notes::default()).await.unwrap();
    assert_eq!(end.state.hosts()[&victim].phase, HostPhase::Quarantined);
    let named: BTreeSet<InstanceId> = end
        .state
        .stopped_by_us()
        .map(|(_, one, why)| {
            assert!(why.unwrap().contains("is down"), "{why:?}");
            one.id
        })
        .collect();
    assert_eq!(named, parked(&stage)[&victim]);
}

/// When the first instance of `stage` is off, as seconds from the run's beginning.
async fn first_off() -> Duration {
    let calm = set(Faults::default()).await;
    let mut notes = Notes::default();
    calm.begin(&mut notes).await.unwrap();
    let off =
        |event: &&Event| matches!(&event.kind, EventKind::StepSucceeded { output: StepOutput::Parked { .. }, .. });
    let at = notes.0.iter().find(off).unwrap().at;
    Duration::try_from(at.duration_since(notes.0[0].at)).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_stopped_leaves_nobody_off_and_resumes_to_its_end() {
    let off = first_off().await;
    for later in [0, 5, 20, 60, 120, 200, 300] {
        let stage = set(Faults::default()).await;
        let context = format!("stopped {later} s after the first was off");
        let control = async {
            tokio::time::sleep(off + Duration::from_secs(later)).await;
            stage.place(Request::Stop).await;
        };
        let mut notes = Notes::default();
        let (end, ()) = tokio::join!(stage.begin(&mut notes), control);
        assert_eq!(end.unwrap().outcome, Some(Outcome::Stopped), "{context}");
        stage.assert_unharmed(&context);
        let end = stage.resume(&mut notes).await.unwrap();
        assert_eq!(end.outcome, Some(Outcome::Done), "{context}: {:?}", quarantined(&stage).await);
        stage.assert_done(&[], &context).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_abandoned_gives_back_what_it_stopped() {
    let off = first_off().await;
    for later in [0, 5, 30, 90] {
        let stage = set(Faults::default()).await;
        let context = format!("killed {later} s after the first was off, and abandoned");
        let killed = tokio::time::timeout(off + Duration::from_secs(later), stage.begin(&mut Notes::default())).await;
        assert!(killed.is_err(), "{context}");
        let (_steer, steered) = mpsc::channel(1);
        let end = stage.engine().abandon(stage.run, "test", steered, &mut Notes::default()).await.unwrap();
        assert_eq!(end.outcome, Some(Outcome::Abandoned), "{context}");
        stage.assert_unharmed(&context);
    }
}
