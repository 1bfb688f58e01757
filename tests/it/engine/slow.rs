//! Live migrations that do not end: each rung of the ladder is reached, and nobody is harmed on it.

#![expect(clippy::wildcard_enum_match_arm, reason = "a test picks the events that it is about")]

use fleetmend::model::{HostName, InstanceHandling, InstanceId, LastResort, Policy};
use fleetmend::run::{Event, EventKind, Outcome, StepOutput};
use fleetmend::sim::faults::{Faults, MigrationFault, MigrationRule};

use super::stage::{Notes, Stage, policy, quarantined, scenario};

/// An instance that runs and is moved, and where it is.
async fn mover() -> (InstanceId, HostName) {
    let calm = Stage::set(&scenario(Faults::default()), policy()).await;
    let last = calm.rollout.hosts.iter().rev().find(|host| !host.canary && !host.moves.is_empty()).unwrap();
    let is_active = |id: &InstanceId| calm.alive.get(id) == Some(&fleetmend::model::InstanceStatus::Active);
    let moved = last.moves.iter().find(|planned| is_active(&planned.instance)).unwrap();
    (moved.instance, last.host.clone())
}

/// A region in which every live migration of one instance meets `fault`.
async fn with(
    fault: MigrationFault,
    times: Option<u32>,
    change: impl FnOnce(&mut Policy),
) -> (Stage, InstanceId, HostName) {
    let (instance, host) = mover().await;
    let rule = MigrationRule { instance: Some(instance.to_string()), source: None, target: None, times, fault };
    let mut policy = policy();
    change(&mut policy);
    let faults = Faults { migrations: vec![rule], ..Faults::default() };
    (Stage::set(&scenario(faults), policy).await, instance, host)
}

fn asked(stage: &Stage, what: &str, instance: InstanceId) -> usize {
    let change = format!("{what} {instance}");
    stage.region.with(|world| world.changes().iter().filter(|one| one.what == change).count())
}

fn gave_up(events: &[Event]) -> Vec<InstanceHandling> {
    let given_up = events.iter().filter_map(|event| match &event.kind {
        EventKind::StepSucceeded { output: StepOutput::GaveUp { handling, .. }, .. } => Some(*handling),
        _ => None,
    });
    given_up.collect()
}

#[tokio::test(start_paused = true)]
async fn one_that_hangs_is_forced_to_its_end_where_the_policy_says_so() {
    let (stage, instance, _) =
        with(MigrationFault::Hang, None, |policy| policy.instances.slow.force_complete = true).await;
    let end = stage.begin(&mut Notes::default()).await.unwrap();
    assert_eq!(end.outcome, Some(Outcome::Done), "{:?}", quarantined(&stage).await);
    stage.assert_done(&[], "forced").await;
    assert_eq!(asked(&stage, "live_migration_force_complete", instance), 1);
    assert_eq!(asked(&stage, "live_migration_cancel", instance), 0);
}

#[tokio::test(start_paused = true)]
async fn one_that_hangs_is_aborted_and_goes_at_a_later_attempt() {
    let (stage, instance, _) = with(MigrationFault::Hang, Some(2), |_| {}).await;
    let end = stage.begin(&mut Notes::default()).await.unwrap();
    assert_eq!(end.outcome, Some(Outcome::Done), "{:?}", quarantined(&stage).await);
    stage.assert_done(&[], "aborted").await;
    assert_eq!(asked(&stage, "live_migration_cancel", instance), 2);
    assert_eq!(asked(&stage, "live_migration_force_complete", instance), 0, "only where the policy says so");
}

#[tokio::test(start_paused = true)]
async fn one_that_never_ends_is_migrated_cold_with_consent() {
    let (stage, instance, _) = with(MigrationFault::Hang, None, |policy| {
        policy.instances.slow.attempts = 2;
        policy.instances.slow.then = LastResort::ColdMigrate;
    })
    .await;
    let mut notes = Notes::default();
    let end = stage.begin(&mut notes).await.unwrap();
    assert_eq!(end.outcome, Some(Outcome::Done), "{:?}", quarantined(&stage).await);
    stage.assert_done(&[], "cold").await;
    assert_eq!(gave_up(&notes.0), [InstanceHandling::ColdMigrate]);
    assert_eq!(asked(&stage, "live_migration_cancel", instance), 2);
    assert_eq!(asked(&stage, "migrate", instance), 1);
}

#[tokio::test(start_paused = true)]
async fn one_that_never_ends_is_stopped_in_place_with_consent() {
    let (stage, instance, host) = with(MigrationFault::Hang, None, |policy| {
        policy.instances.slow.attempts = 1;
        policy.instances.slow.then = LastResort::StopInPlace;
    })
    .await;
    let mut notes = Notes::default();
    let end = stage.begin(&mut notes).await.unwrap();
    assert_eq!(end.outcome, Some(Outcome::Done), "{:?}", quarantined(&stage).await);
    stage.assert_done(&[], "stopped in place").await;
    assert_eq!(gave_up(&notes.0), [InstanceHandling::StopInPlace]);
    assert_eq!((asked(&stage, "stop", instance), asked(&stage, "start", instance)), (1, 1));
    let here = stage.region.with(|world| world.server(instance).unwrap().host.clone());
    assert_eq!(here, Some(host), "it never left");
}

#[tokio::test(start_paused = true)]
async fn one_that_never_ends_costs_its_host_where_nobody_consented() {
    let (stage, instance, host) = with(MigrationFault::Hang, None, |policy| policy.failure_budget.per_zone = 5).await;
    let end = stage.begin(&mut Notes::default()).await.unwrap();
    assert_eq!(end.outcome, Some(Outcome::DoneWithFailures));
    let why = quarantined(&stage).await.remove(&host).unwrap();
    assert!(why.contains("did not end within"), "{why}");
    stage.assert_unharmed("given up");
    assert!(asked(&stage, "live_migration_cancel", instance) > 1);
}

#[tokio::test(start_paused = true)]
async fn one_that_nova_put_into_error_is_set_right_only_where_the_policy_says_so() {
    let (stage, instance, _) =
        with(MigrationFault::FalseError, Some(1), |policy| policy.instances.reset_error = true).await;
    let end = stage.begin(&mut Notes::default()).await.unwrap();
    assert_eq!(end.outcome, Some(Outcome::Done), "{:?}", quarantined(&stage).await);
    stage.assert_done(&[], "set right").await;
    assert_eq!(asked(&stage, "resetState", instance), 1);

    let (stage, instance, host) = with(MigrationFault::FalseError, Some(1), |_| {}).await;
    let end = stage.begin(&mut Notes::default()).await.unwrap();
    assert_eq!(end.outcome, Some(Outcome::DoneWithFailures));
    let why = quarantined(&stage).await.remove(&host).unwrap();
    assert!(why.contains("in ERROR") && why.contains("--state active"), "{why}");
    assert_eq!(asked(&stage, "resetState", instance), 0);
}

#[tokio::test(start_paused = true)]
async fn one_whose_domain_does_not_run_where_nova_says_is_not_set_right() {
    let (stage, instance, host) =
        with(MigrationFault::FalseError, Some(1), |policy| policy.instances.reset_error = true).await;
    let watch = async {
        // The domain dies with the migration: between its end and the look at the hosts.
        loop {
            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            let broke = stage.region.with(|world| {
                let broke = world
                    .server(instance)
                    .is_ok_and(|server| server.status() == fleetmend::model::InstanceStatus::Error);
                if broke && let Some(host) = world.host_mut(&host) {
                    host.domains.remove(&instance);
                }
                broke
            });
            if broke {
                return;
            }
        }
    };
    let mut notes = Notes::default();
    let (end, ()) = tokio::join!(stage.begin(&mut notes), watch);
    assert_eq!(end.unwrap().outcome, Some(Outcome::DoneWithFailures));
    let why = quarantined(&stage).await.remove(&host).unwrap();
    assert!(why.contains("has no domain of it"), "{why}");
    assert_eq!(asked(&stage, "resetState", instance), 0);
}
