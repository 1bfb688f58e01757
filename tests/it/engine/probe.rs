//! A tiny instance shows that a host can be used before it is, and is gone whatever happened.

#![expect(clippy::wildcard_enum_match_arm, reason = "a test picks the events that it is about")]

use std::sync::Arc;

use fleetmend::journal::memory::MemoryJournal;
use fleetmend::model::Policy;
use fleetmend::run::{DriveError, EventKind, Outcome, RunError};
use fleetmend::sim::faults::Faults;
use tokio::sync::mpsc;

use super::stage::{Notes, Stage, policy, scenario};

fn probing() -> Policy {
    let probe = serde_json::json!({"flavor": "tiny", "image": "tiny"});
    Policy { probe_instance: Some(serde_json::from_value(probe).unwrap()), ..policy() }
}

/// Probe instances that are there.
fn left(stage: &Stage) -> Vec<String> {
    stage.region.with(|world| {
        let there = world.all_servers().filter(|server| !server.is_deleted());
        there.map(|server| server.name.clone()).filter(|name| name.starts_with("fleetmend-probe")).collect()
    })
}

#[tokio::test(start_paused = true)]
async fn each_host_is_probed_and_nothing_is_left_though_the_runner_dies_at_any_of_its_events() {
    let stage = Stage::set(&scenario(Faults::default()), probing()).await;
    let mut notes = Notes::default();
    let end = stage.begin(&mut notes).await.unwrap();
    assert_eq!(end.outcome, Some(Outcome::Done));
    stage.assert_done(&[], "probed").await;
    assert_eq!(left(&stage), Vec::<String>::new());
    let is_of_a_probe = |kind: &EventKind| match kind {
        EventKind::StepStarted { step, .. }
        | EventKind::StepIntended { step, .. }
        | EventKind::StepSucceeded { step, .. } => step.as_str().ends_with("/probe"),
        _ => false,
    };
    let cuts: Vec<usize> = (1..=notes.0.len()).filter(|cut| is_of_a_probe(&notes.0[cut - 1].kind)).collect();
    assert_eq!(cuts.len(), 3 * stage.rollout.hosts.len(), "each host has one");
    for cut in cuts {
        let mut stage = Stage::set(&scenario(Faults::default()), probing()).await;
        stage.journal = Arc::new(MemoryJournal::failing_after(cut));
        match stage.begin(&mut Notes::default()).await {
            Err(RunError::Drive { source: DriveError::Journal(_), .. }) => {}
            Ok(_) => continue,
            Err(other) => panic!("cut after {cut}: {other:?}"),
        }
        stage.journal.heal();
        let end = stage.resume(&mut Notes::default()).await.unwrap();
        assert_eq!(end.outcome, Some(Outcome::Done), "cut after {cut}");
        assert_eq!(left(&stage), Vec::<String>::new(), "cut after {cut}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_makes_none() {
    let stage = Stage::set(&scenario(Faults::default()), probing()).await;
    let before = stage.region.with(|world| world.changes().len());
    let (_steer, steered) = mpsc::channel(1);
    let end =
        stage.engine().dry_run(stage.rollout.clone(), &stage.snapshot, steered, &mut Notes::default()).await.unwrap();
    assert_eq!(end.outcome, Some(Outcome::Done));
    assert_eq!(stage.region.with(|world| world.changes().len()), before);
}
