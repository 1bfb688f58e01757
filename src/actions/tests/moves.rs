//! Moves: never asked for twice, followed to the end, and every end told apart.

use std::time::Duration;

use super::region::{Fault, HOST, OTHER, Script, TARGET, host, id};
use super::rig::{Rig, failed};
use crate::actions::ErrorClass::{NeedsOperator, Permanent, Transient};
use crate::actions::{Probe, ProgressKind};
use crate::cloud::{CloudErrorKind, MigrationStatus};
use crate::model::{InstanceHandling, InstanceStatus, ServiceState, ServiceStatus};
use crate::run::event::{FaultScope, Intent, StepOutput};
use crate::workflow::StepKind::Move;

fn scripted(script: Script) -> Rig {
    let rig = Rig::with_instance();
    rig.lab.state().script = script;
    rig
}

fn moved_to(output: &StepOutput) -> (&str, Option<u64>) {
    let StepOutput::Moved { to, migration, .. } = output else { panic!("not moved: {output:?}") };
    (to.as_str(), *migration)
}

#[tokio::test(start_paused = true)]
async fn an_instance_has_moved_when_record_and_host_agree() {
    let rig = scripted(Script::Arrives(30));
    let output = rig.run(Move).await.unwrap();
    assert_eq!(moved_to(&output), (TARGET, Some(101)));
    let StepOutput::Moved { request, .. } = output else { unreachable!() };
    assert_eq!(request.unwrap().as_str(), "req-migrate");
    let state = rig.lab.state();
    assert!(rig.lab.began.elapsed() >= Duration::from_secs(31), "the record ends a second after the server arrives");
    assert!(state.progress.iter().any(|told| told.kind == ProgressKind::Migration { percent: 42 }));
}

#[tokio::test(start_paused = true)]
async fn a_move_is_never_asked_for_twice() {
    let rig = scripted(Script::Arrives(30));
    let intent = rig.intent(Move).await;
    rig.apply(Move, &intent).await.unwrap();
    rig.apply(Move, &intent).await.unwrap();
    // Killed here: the next process finds the intent and no more.
    assert_eq!(rig.probe(Move, Some(&intent)).await.unwrap(), Probe::InFlight(intent.clone()));
    assert_eq!(moved_to(&rig.attempt(Move, Some(&intent)).await.unwrap()), (TARGET, Some(101)));
    assert_eq!(moved_to(&rig.attempt(Move, Some(&intent)).await.unwrap()), (TARGET, Some(101)));
    rig.apply(Move, &intent).await.unwrap();
    assert_eq!(rig.count("migrate"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_answer_was_lost_is_found_by_its_record() {
    for kind in [CloudErrorKind::TimedOut, CloudErrorKind::Unreachable, CloudErrorKind::Server] {
        let rig = scripted(Script::Arrives(10));
        rig.lab.state().fault("live_migrate", Fault::Lost(kind));
        assert_eq!(moved_to(&rig.run(Move).await.unwrap()), (TARGET, Some(101)), "{kind:?}");
        assert_eq!(rig.count("migrate"), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_conflict_with_our_own_earlier_request_is_no_failure() {
    let rig = scripted(Script::Arrives(10));
    let intent = rig.intent(Move).await;
    // The record of the earlier request shows late.
    rig.lab.state().fault("live_migrate", Fault::Refused(CloudErrorKind::Conflict));
    rig.lab.state().vm(1).status = InstanceStatus::Migrating;
    rig.lab.state().later(5, |s| {
        s.vm(1).status = InstanceStatus::Active;
        s.migrate(id(1), &host(TARGET), crate::model::RequestId::new("req-earlier"));
    });
    rig.apply(Move, &intent).await.unwrap();
    assert_eq!(moved_to(&rig.verify(Move, &intent).await.unwrap()), (TARGET, Some(101)));
}

#[tokio::test(start_paused = true)]
async fn a_request_that_never_arrived_may_be_repeated() {
    let rig = scripted(Script::Arrives(10));
    rig.lab.state().fault("live_migrate", Fault::Refused(CloudErrorKind::TimedOut));
    failed(rig.run(Move).await, Transient, FaultScope::ControlPlane, &["vm1", TARGET, "TimedOut"]);
    assert_eq!(rig.count("migrate"), 0);
    let recorded = Intent::Migrate { target: host(TARGET), after: 0, cold: false };
    assert_eq!(moved_to(&rig.attempt(Move, Some(&recorded)).await.unwrap()), (TARGET, Some(101)));
    assert_eq!(rig.count("migrate"), 1);
}

#[tokio::test(start_paused = true)]
async fn refusals_at_once_have_their_class() {
    for (kind, class, scope) in [
        (CloudErrorKind::Conflict, Transient, FaultScope::Instance),
        (CloudErrorKind::Refused, Transient, FaultScope::Target),
        (CloudErrorKind::Forbidden, NeedsOperator, FaultScope::ControlPlane),
        (CloudErrorKind::TooManyRequests, Transient, FaultScope::ControlPlane),
    ] {
        let rig = scripted(Script::Arrives(10));
        rig.lab.state().fault("live_migrate", Fault::Refused(kind));
        failed(rig.run(Move).await, class, scope, &["vm1", "req-refused"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_migration_is_the_targets_and_says_why() {
    let why = "No valid host was found. There are not enough hosts available.";
    for status in [MigrationStatus::Error, MigrationStatus::Failed] {
        let rig = scripted(Script::Fails(3, status, Some(why)));
        failed(rig.run(Move).await, Transient, FaultScope::Target, &["vm1", HOST, TARGET, why]);
    }
    let silent = scripted(Script::Fails(3, MigrationStatus::Failed, None));
    failed(silent.run(Move).await, Transient, FaultScope::Target, &["nova gives no reason", "log on compute-1"]);
    let cancelled = scripted(Script::Fails(3, MigrationStatus::Cancelled, None));
    failed(cancelled.run(Move).await, Transient, FaultScope::Target, &["cancelled by somebody else"]);
}

#[tokio::test(start_paused = true)]
async fn what_failed_is_tried_again_elsewhere_behind_the_failed_record() {
    let mut rig = scripted(Script::Fails(3, MigrationStatus::Error, Some("no")));
    let first = rig.intent(Move).await;
    rig.attempt(Move, None).await.unwrap_err();
    rig.lab.state().script = Script::Arrives(3);
    rig.target = host(OTHER);
    let again = rig.probe(Move, Some(&first)).await.unwrap();
    assert_eq!(again, Probe::Needed(Intent::Migrate { target: host(OTHER), after: 101, cold: false }));
    assert_eq!(moved_to(&rig.attempt(Move, Some(&first)).await.unwrap()), (OTHER, Some(102)));
    assert_eq!(rig.count("migrate"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_migration_that_hangs_is_aborted_after_its_patience() {
    let rig = scripted(Script::Hangs);
    failed(rig.run(Move).await, Transient, FaultScope::Target, &["did not end within 1600 s", "aborted"]);
    assert_eq!(rig.count("abort"), 1);
    assert_eq!(rig.lab.state().vm(1).status, InstanceStatus::Active);
    assert!(rig.lab.began.elapsed() >= Duration::from_secs(1600), "2 GiB count at least, 800 s each");

    let stuck = scripted(Script::HangsForGood);
    failed(stuck.run(Move).await, NeedsOperator, FaultScope::Instance, &["neither ends nor lets itself be aborted"]);
    assert_eq!(stuck.count("abort"), 1);
}

#[tokio::test(start_paused = true)]
async fn an_abort_that_meets_a_sick_control_plane_is_sent_again() {
    let rig = scripted(Script::Hangs);
    rig.lab.state().fault("abort_migration", Fault::Refused(CloudErrorKind::Server));
    failed(rig.run(Move).await, Transient, FaultScope::Target, &["aborted"]);
    assert_eq!(rig.count("abort"), 1);
}

#[tokio::test(start_paused = true)]
async fn an_error_that_comes_after_the_end_is_seen_and_its_cure_told() {
    let rig = scripted(Script::FailsIntoError(3));
    failed(
        rig.run(Move).await,
        Permanent,
        FaultScope::Instance,
        &["in ERROR on compute-1", "server set --state active"],
    );
    // Nothing more is asked of an instance in ERROR.
    let recorded = Intent::Migrate { target: host(TARGET), after: 0, cold: false };
    failed(rig.attempt(Move, Some(&recorded)).await, NeedsOperator, FaultScope::Instance, &["vm1", "ERROR"]);
    assert_eq!(rig.count("migrate"), 1);
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_broke_on_its_target_is_told_whatever_the_record_says() {
    for status in [MigrationStatus::Error, MigrationStatus::Completed] {
        let rig = scripted(Script::BreaksOnTarget(3, status));
        let words = ["in ERROR on compute-2", "post migration failed"];
        failed(rig.run(Move).await, Permanent, FaultScope::Instance, &words);
    }
}

#[tokio::test(start_paused = true)]
async fn a_target_that_dies_on_the_way_needs_an_operator() {
    let rig = scripted(Script::DiesOnTarget(3));
    let first = rig.intent(Move).await;
    failed(rig.run(Move).await, NeedsOperator, FaultScope::Instance, &["compute-2 may have died"]);
    failed(rig.attempt(Move, Some(&first)).await, NeedsOperator, FaultScope::Instance, &["compute-2 may have died"]);
    let torn = scripted(Script::Torn(3));
    failed(torn.run(Move).await, NeedsOperator, FaultScope::Instance, &["has ended, but nova shows it MIGRATING"]);
    assert_eq!(torn.count("migrate"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_completed_record_does_not_move_an_instance_that_nova_still_shows_on_its_source() {
    let late = scripted(Script::Stale(100));
    assert_eq!(moved_to(&late.run(Move).await.unwrap()), (TARGET, Some(101)));
    assert!(late.lab.began.elapsed() >= Duration::from_secs(103));
    let never = scripted(Script::Stale(100_000));
    let words = ["migration 101 has ended, but nova shows it ACTIVE on compute-1"];
    failed(never.run(Move).await, NeedsOperator, FaultScope::Instance, &words);
}

#[tokio::test(start_paused = true)]
async fn a_request_without_a_record_is_given_up() {
    let rig = scripted(Script::Unrecorded);
    failed(rig.run(Move).await, Transient, FaultScope::Instance, &["shows no migration"]);
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_the_control_plane_while_it_moves_is_waited_out() {
    let rig = scripted(Script::Arrives(60));
    let intent = rig.intent(Move).await;
    rig.apply(Move, &intent).await.unwrap();
    for _ in 0..20 {
        rig.lab.state().fault("migrations", Fault::Refused(CloudErrorKind::Server));
    }
    assert_eq!(moved_to(&rig.verify(Move, &intent).await.unwrap()), (TARGET, Some(101)));
    for _ in 0..1_000 {
        rig.lab.state().fault("migrations", Fault::Refused(CloudErrorKind::Server));
    }
    failed(rig.verify(Move, &intent).await, Transient, FaultScope::ControlPlane, &["migrations of instance"]);
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_is_gone_is_no_failure() {
    let deleted = Rig::new();
    assert!(matches!(deleted.run(Move).await.unwrap(), StepOutput::Gone { to: None, .. }));

    let elsewhere = Rig::with_instance();
    elsewhere.lab.state().vm(1).host = Some(host(OTHER));
    assert!(matches!(elsewhere.run(Move).await.unwrap(), StepOutput::Gone { to: Some(to), .. } if to == host(OTHER)));

    let meanwhile = scripted(Script::Arrives(30));
    meanwhile.lab.state().later(10, |s| s.servers.clear());
    assert!(matches!(meanwhile.run(Move).await.unwrap(), StepOutput::Gone { to: None, .. }));

    let at_once = Rig::with_instance();
    let intent = at_once.intent(Move).await;
    at_once.lab.state().servers.clear();
    at_once.apply(Move, &intent).await.unwrap();
    assert!(matches!(at_once.verify(Move, &intent).await.unwrap(), StepOutput::Gone { to: None, .. }));
    for rig in [deleted, elsewhere, at_once] {
        assert_eq!(rig.count("migrate"), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn what_speaks_against_a_move_is_seen_before_it_is_asked_for() {
    type Change = fn(&mut Rig);
    let cases: [(Change, crate::actions::ErrorClass, FaultScope, &str); 9] = [
        (|r| r.lab.state().vm(1).task_state = Some("rebooting".into()), Transient, FaultScope::Instance, "rebooting"),
        (|r| r.lab.state().vm(1).status = InstanceStatus::Rebuild, Transient, FaultScope::Instance, "REBUILD"),
        (|r| r.lab.state().vm(1).locked = true, NeedsOperator, FaultScope::Instance, "locked"),
        (|r| r.lab.state().vm(1).status = InstanceStatus::Error, NeedsOperator, FaultScope::Instance, "ERROR"),
        (
            |r| r.lab.state().vm(1).status = InstanceStatus::VerifyResize,
            NeedsOperator,
            FaultScope::Instance,
            "confirmed",
        ),
        (
            |r| {
                let mut state = r.lab.state();
                state.record(id(1), &host(OTHER), MigrationStatus::Starting);
            },
            Transient,
            FaultScope::Instance,
            "somebody else's migration",
        ),
        (
            |r| r.lab.state().service(TARGET).status = ServiceStatus::Disabled,
            Transient,
            FaultScope::Target,
            "it is disabled",
        ),
        (|r| r.lab.state().service(TARGET).state = ServiceState::Down, Transient, FaultScope::Target, "is down"),
        (|r| r.lab.state().service(HOST).state = ServiceState::Down, Transient, FaultScope::Host, "is down"),
    ];
    for (change, class, scope, word) in cases {
        let mut rig = Rig::with_instance();
        change(&mut rig);
        failed(rig.run(Move).await, class, scope, &[word]);
        assert_eq!(rig.count("migrate"), 0, "{word}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_policy_decides_about_paused_locked_and_stopped_instances() {
    let mut paused = Rig::with_instance();
    paused.lab.state().vm(1).status = InstanceStatus::Paused;
    assert_eq!(moved_to(&paused.run(Move).await.unwrap()), (TARGET, Some(101)));
    assert_eq!(paused.lab.state().vm(1).status, InstanceStatus::Paused);
    paused.rollout.policy.instances.paused = InstanceHandling::SkipHost;
    paused.lab.state().vm(1).host = Some(host(HOST));
    failed(paused.run(Move).await, NeedsOperator, FaultScope::Instance, &["PAUSED"]);

    let mut locked = Rig::with_instance();
    locked.lab.state().vm(1).locked = true;
    locked.rollout.policy.instances.locked = InstanceHandling::LiveMigrate;
    assert_eq!(moved_to(&locked.run(Move).await.unwrap()), (TARGET, Some(101)));

    let stopped = Rig::with_instance();
    stopped.lab.state().vm(1).status = InstanceStatus::Shutoff;
    assert!(matches!(stopped.run(Move).await.unwrap(), StepOutput::AlreadySo { .. }));
    assert_eq!(stopped.count("migrate"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_stopped_instance_is_moved_cold_where_the_policy_says_so() {
    let cold = || {
        let mut rig = Rig::with_instance();
        rig.lab.state().vm(1).status = InstanceStatus::Shutoff;
        rig.rollout.policy.instances.stopped = InstanceHandling::ColdMigrate;
        rig
    };
    let rig = cold();
    assert_eq!(moved_to(&rig.run(Move).await.unwrap()), (TARGET, Some(101)));
    assert_eq!(rig.lab.state().effects.len(), 2, "asked for once, confirmed once");

    let killed = cold();
    let intent = killed.intent(Move).await;
    killed.apply(Move, &intent).await.unwrap();
    killed.apply(Move, &intent).await.unwrap();
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(killed.lab.state().vm(1).status, InstanceStatus::VerifyResize);
    killed.lab.state().fault("confirm_resize", Fault::Refused(CloudErrorKind::Server));
    killed.lab.state().fault("confirm_resize", Fault::Refused(CloudErrorKind::Conflict));
    assert_eq!(moved_to(&killed.attempt(Move, Some(&intent)).await.unwrap()), (TARGET, Some(101)));
    assert_eq!(killed.count("cold-migrate"), 1);
    assert_eq!(killed.lab.state().vm(1).status, InstanceStatus::Shutoff);

    let fails = cold();
    fails.lab.state().script = Script::Fails(0, MigrationStatus::Error, None);
    failed(fails.run(Move).await, Transient, FaultScope::Target, &["vm1", "failed"]);
}
