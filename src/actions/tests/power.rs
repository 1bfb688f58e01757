//! Stop and start: what ran runs again, what its owner stopped does not, and what fails is named.

use super::region::{Fault, TARGET, host, id};
use super::rig::{Rig, failed};
use crate::actions::ErrorClass::{Permanent, Transient};
use crate::actions::Probe;
use crate::cloud::CloudErrorKind;
use crate::model::{InstanceHandling, InstanceStatus, ServiceState};
use crate::run::event::{FaultScope, Intent, StepOutput};
use crate::workflow::StepKind::{Start, Stop};

fn to_stop() -> Rig {
    let mut rig = Rig::with_instance();
    rig.rollout.policy.instances.named = [(id(1), InstanceHandling::StopInPlace)].into();
    rig
}

fn stopped() -> Rig {
    let rig = Rig::new();
    rig.lab.state().boot_server(1, InstanceStatus::Shutoff);
    rig
}

#[tokio::test(start_paused = true)]
async fn what_ran_is_stopped_and_runs_again() {
    let rig = to_stop();
    assert!(matches!(rig.run(Stop).await.unwrap(), StepOutput::Parked { request: Some(_) }));
    assert_eq!(rig.lab.state().vm(1).status, InstanceStatus::Shutoff);
    assert!(matches!(rig.run(Start).await.unwrap(), StepOutput::Done { .. }));
    assert_eq!(rig.lab.state().vm(1).status, InstanceStatus::Active);
    assert_eq!((rig.count("stop"), rig.count("start")), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn what_its_owner_stopped_is_not_ours_unless_our_intent_is_on_record() {
    let rig = stopped();
    assert!(matches!(rig.run(Stop).await.unwrap(), StepOutput::AlreadySo { .. }));
    assert!(matches!(rig.attempt(Stop, Some(&Intent::Stop)).await.unwrap(), StepOutput::Parked { .. }));
    assert_eq!(rig.count("stop"), 0);
}

#[tokio::test(start_paused = true)]
async fn an_order_whose_answer_was_lost_is_sent_once() {
    let rig = to_stop();
    rig.lab.state().fault("stop", Fault::Lost(CloudErrorKind::TimedOut));
    assert!(matches!(rig.run(Stop).await.unwrap(), StepOutput::Parked { .. }));
    rig.lab.state().fault("start", Fault::Lost(CloudErrorKind::Unreachable));
    assert!(matches!(rig.run(Start).await.unwrap(), StepOutput::Done { .. }));
    assert_eq!((rig.count("stop"), rig.count("start")), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn an_order_that_never_arrived_is_found_out() {
    let rig = to_stop();
    rig.lab.state().fault("stop", Fault::Refused(CloudErrorKind::TimedOut));
    failed(rig.run(Stop).await, Transient, FaultScope::Instance, &["vm1", "runs on"]);
    assert!(rig.lab.began.elapsed().as_secs() < 30);
}

#[tokio::test(start_paused = true)]
async fn an_instance_that_does_not_start_is_named_with_novas_reason() {
    let rig = stopped();
    rig.lab.state().obeys = false;
    failed(rig.run(Start).await, Transient, FaultScope::Instance, &["vm1", "stays off", "the disk does not answer"]);
    let broken = stopped();
    broken.lab.state().vm(1).status = InstanceStatus::Error;
    failed(broken.run(Start).await, Permanent, FaultScope::Instance, &["vm1", "in ERROR"]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_ordered_of_a_host_that_is_down() {
    let rig = stopped();
    rig.lab.state().service("compute-1").state = ServiceState::Down;
    let words = ["vm1", "nova-compute on compute-1 is down", "openstack server start"];
    failed(rig.run(Start).await, Transient, FaultScope::Instance, &words);
    assert_eq!(rig.count("start"), 0);
}

#[tokio::test(start_paused = true)]
async fn what_owners_did_meanwhile_is_respected() {
    type Change = fn(&mut super::region::State);
    let changes: [(Change, bool); 4] = [
        (|s| s.vm(1).status = InstanceStatus::Active, false),
        (|s| s.vm(1).status = InstanceStatus::ShelvedOffloaded, true),
        (|s| s.servers.clear(), true),
        (|s| s.vm(1).status = InstanceStatus::Rescue, false),
    ];
    for (change, is_gone) in changes {
        let rig = stopped();
        change(&mut rig.lab.state());
        let output = rig.run(Start).await.unwrap();
        assert_eq!(matches!(output, StepOutput::Gone { .. }), is_gone, "{output:?}");
        assert_eq!(rig.count("start"), 0);
    }
    let moved = to_stop();
    moved.lab.state().vm(1).host = Some(host(TARGET));
    assert!(matches!(moved.probe(Stop, None).await.unwrap(), Probe::Done(StepOutput::Gone { .. })));
}
