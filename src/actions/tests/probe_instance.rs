//! Probe instances: seen, and gone whatever happened.

use super::region::Fault;
use super::rig::{Rig, failed};
use crate::actions::ErrorClass;
use crate::cloud::CloudErrorKind;
use crate::run::event::FaultScope;
use crate::workflow::StepKind::Probe;

fn left(rig: &Rig) -> usize {
    rig.lab.state().servers.len()
}

#[tokio::test(start_paused = true)]
async fn a_probe_instance_is_made_seen_and_deleted() {
    let rig = Rig::to_be_probed();
    rig.run(Probe).await.unwrap();
    assert_eq!((rig.count("create"), rig.count("delete"), left(&rig)), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn one_that_does_not_boot_is_deleted_as_well() {
    let rig = Rig::to_be_probed();
    rig.lab.state().creations_fail = 1;
    failed(rig.run(Probe).await, ErrorClass::Transient, FaultScope::Host, &["does not boot", "No valid host"]);
    assert_eq!((rig.count("create"), rig.count("delete"), left(&rig)), (1, 1, 0));
    rig.run(Probe).await.unwrap();
    assert_eq!(left(&rig), 0);
}

#[tokio::test(start_paused = true)]
async fn one_whose_making_got_no_answer_is_found_and_deleted() {
    let rig = Rig::to_be_probed();
    rig.lab.state().fault("create_server", Fault::Lost(CloudErrorKind::TimedOut));
    rig.run(Probe).await.unwrap();
    assert_eq!((rig.count("create"), rig.count("delete"), left(&rig)), (1, 1, 0));
}
