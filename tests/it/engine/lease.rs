//! A runner that lost its region and does not know it yet.

use std::sync::{Arc, Mutex};

use fleetmend::run::EventKind;
use fleetmend::sim::faults::Faults;

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
