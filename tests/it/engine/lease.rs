//! A runner that lost its region and does not know it yet.

use std::sync::{Arc, Mutex};

use fleetmend::journal::memory::MemoryJournal;
use fleetmend::run::{Engine, EventKind, Outcome, RunError, Runner};
use fleetmend::sim::faults::Faults;

use tokio::sync::mpsc;

use super::fuse::Cut;
use super::stage::{Notes, Stage, policy, scenario};

/// The journal takes every event: nothing but the hold keeps the runner from the region.
#[tokio::test(start_paused = true)]
async fn a_runner_that_lost_its_region_changes_nothing_more() {
    for nth in [1, 5, 9, 14, 22, 40] {
        let stage = Stage::set(&scenario(Faults::default()), policy()).await;
        let region = Arc::clone(&stage.region);
        let changes_then = Arc::new(Mutex::new(None));
        let (then, mut seen) = (Arc::clone(&changes_then), 0);
        let mut notes = Notes::default();
        let end = stage.begin_until(&mut notes, move |event| {
            // Between an intent that is durable and its effect.
            seen += usize::from(matches!(event.kind, EventKind::StepIntended { .. }));
            if seen < nth || then.lock().unwrap().is_some() {
                return Cut::No;
            }
            *then.lock().unwrap() = Some(region.with(|world| world.changes().len()));
            Cut::Hold
        });
        end.await.expect("its journal was never cut");
        let then = changes_then.lock().unwrap().expect("it was lost in the middle");
        let after: Vec<String> =
            stage.region.with(|world| world.changes()[then..].iter().map(|change| change.what.clone()).collect());
        assert_eq!(after, Vec::<String>::new(), "after step {nth}");
        stage.assert_harmless_so_far(&format!("step {nth}"));
    }
}

/// What a newer version wrote may mean more than an older one knows.
#[tokio::test(start_paused = true)]
async fn a_run_is_not_resumed_by_an_older_version_than_the_one_that_ran_it_last() {
    let mut stage = Stage::set(&scenario(Faults::default()), policy()).await;
    let with = |stage: &Stage, version: &str| {
        let engine = stage.engine();
        Engine { runner: Runner { version: version.to_owned(), ..engine.runner.clone() }, ..engine }
    };
    stage.journal = Arc::new(MemoryJournal::failing_after(40));
    let (_steer, steered) = mpsc::channel(1);
    let begun = with(&stage, "0.3.1");
    begun.begin(stage.run, stage.rollout.clone(), &stage.snapshot, steered, &mut Notes::default()).await.unwrap_err();
    stage.journal.heal();
    let resumed = async |version: &str| {
        let (_steer, steered) = mpsc::channel(1);
        with(&stage, version).resume(stage.run, steered, &mut Notes::default()).await
    };
    let refused = resumed("0.2.9").await.unwrap_err();
    assert!(matches!(&refused, RunError::Newer { theirs, .. } if theirs == "0.3.1"), "{refused:?}");
    let end = resumed("0.3.0").await.unwrap();
    assert_eq!(end.outcome, Some(Outcome::Done));
}
