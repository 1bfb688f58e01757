//! A run from its beginning to its end, dry, and cut off anywhere in between.

use std::sync::Arc;
use std::time::Duration;

use fleetmend::clock::Clock;
use fleetmend::journal::Journal;
use fleetmend::journal::memory::MemoryJournal;
use fleetmend::model::HostName;
use fleetmend::plan::Scope;
use fleetmend::run::{DriveError, EventKind, Outcome, RunError};
use fleetmend::sim::Scenario;
use fleetmend::sim::faults::{Faults, MigrationFault, MigrationRule};
use tokio::sync::mpsc;

use super::stage::{Notes, Stage, moves, policy, quarantined, scenario, victim};

#[tokio::test(start_paused = true)]
async fn a_region_goes_from_vulnerable_to_proven_with_one_move_an_instance() {
    let stage = Stage::set(&scenario(Faults::default()), policy()).await;
    assert_eq!(stage.rollout.hosts.len(), 6);
    let mut notes = Notes::default();
    let end = stage.begin(&mut notes).await.unwrap();
    assert_eq!(end.outcome, Some(Outcome::Done), "{:?}", quarantined(&stage).await);
    stage.assert_done(&[], "plain").await;
    let moves = moves(&notes.0);
    assert_eq!(moves.len(), stage.rollout.certificate.moves);
    assert!(moves.values().all(|count| *count == 1));
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_goes_through_every_host_and_changes_nothing() {
    let stage = Stage::set(&scenario(Faults::default()), policy()).await;
    let before = stage.region.with(|world| world.changes().len());
    let mut notes = Notes::default();
    let (_steer, steered) = mpsc::channel(1);
    let end = stage.engine().dry_run(stage.rollout.clone(), &stage.snapshot, steered, &mut notes).await.unwrap();
    assert_eq!(end.outcome, Some(Outcome::Done));
    assert_eq!(stage.region.with(|world| world.changes().len()), before);
    assert!(stage.journal.runs().await.unwrap().is_empty());
    assert_eq!(moves(&notes.0).len(), stage.rollout.certificate.moves);
}

#[tokio::test(start_paused = true)]
async fn cut_off_after_every_seventeenth_append_and_resumed_it_comes_out_the_same() {
    let whole = Stage::set(&scenario(Faults::default()), policy()).await;
    let mut notes = Notes::default();
    whole.begin(&mut notes).await.unwrap();
    let appends = notes.0.len();
    // A stride that shares no factor with the events of a step, so that every kind of event is met at its end.
    for cut in (1..appends).step_by(17) {
        let mut stage = Stage::set(&scenario(Faults::default()), policy()).await;
        stage.journal = Arc::new(MemoryJournal::failing_after(cut));
        let mut notes = Notes::default();
        let context = format!("cut off after append {cut}");
        match stage.begin(&mut notes).await {
            Err(RunError::Drive { source: DriveError::Journal(_), .. }) => {}
            Ok(end) => {
                assert_eq!(end.outcome, Some(Outcome::Done), "{context}");
                continue;
            }
            Err(other) => panic!("{context}: {other:?}"),
        }
        stage.assert_harmless_so_far(&context);
        stage.journal.heal();
        let end = stage.resume(&mut notes).await.unwrap();
        assert_eq!(end.outcome, Some(Outcome::Done), "{context}: {:?}", quarantined(&stage).await);
        stage.assert_done(&[], &context).await;
        assert!(moves(&notes.0).values().all(|count| *count == 1), "{context}");
    }
}

#[tokio::test(start_paused = true)]
async fn one_host_of_a_vulnerable_region_is_remedied_with_room_that_another_lends() {
    let scope = Scope { hosts: [HostName::new("compute-1")].into(), ..Scope::default() };
    let full = Scenario { empty_hosts: 0, ..scenario(Faults::default()) };
    let stage = Stage::set_for(&full, policy(), scope).await;
    assert!(!stage.rollout.lenders.is_empty());
    let end = stage.begin(&mut Notes::default()).await.unwrap();
    assert_eq!(end.outcome, Some(Outcome::Done), "{:?}", quarantined(&stage).await);
    stage.assert_done(&[], "lent").await;
}

#[tokio::test(start_paused = true)]
async fn a_migration_that_hangs_has_no_more_patience_after_a_resume() {
    let calm = Stage::set(&scenario(Faults::default()), policy()).await;
    let source = HostName::new(victim(&calm));
    let hangs = Faults {
        migrations: vec![MigrationRule {
            instance: None,
            source: Some(source.clone()),
            target: None,
            times: Some(1),
            fault: MigrationFault::Hang,
        }],
        ..Faults::default()
    };
    let seen = Stage::set(&scenario(hangs.clone()), policy()).await;
    let (began, mut notes) = (seen.region.clock().now(), Notes::default());
    seen.begin(&mut notes).await.unwrap();
    let first = format!("{source}/move/");
    let asked = notes
        .0
        .iter()
        .find(|event| matches!(&event.kind, EventKind::StepIntended { step, .. } if step.as_str().starts_with(&first)));
    let asked = asked.expect("an instance of it was moved").at.duration_since(began);

    let stage = Stage::set(&scenario(hangs), policy()).await;
    let killed_after = Duration::try_from(asked).unwrap() + Duration::from_secs(30);
    let killed = tokio::time::timeout(killed_after, stage.begin(&mut Notes::default())).await;
    assert!(killed.is_err(), "it was under way");
    // Longer than any instance here may take.
    tokio::time::sleep(Duration::from_secs(6 * 3600)).await;
    let (resumed, mut notes) = (stage.region.clock().now(), Notes::default());
    let end = stage.resume(&mut notes).await.unwrap();
    assert_eq!(end.outcome, Some(Outcome::Done), "{:?}", quarantined(&stage).await);
    let aborted = notes.0.iter().find(|event| matches!(event.kind, EventKind::StepFailed { .. })).unwrap();
    assert!(aborted.at.duration_since(resumed).as_secs() < 60, "aborted at {}, resumed at {resumed}", aborted.at);
}
