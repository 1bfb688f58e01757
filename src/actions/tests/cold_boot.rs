//! Cold boots: what is stopped, what is started, and what is left alone.

use super::region::{Fault, HOST, id, server};
use super::rig::{Rig, failed};
use crate::actions::{ErrorClass, Probe};
use crate::cloud::{CloudErrorKind, ServerGroup};
use crate::model::{Group, GroupId, GroupPolicy, GroupRules, InstanceStatus, ServiceState};
use crate::run::event::{FaultScope, Intent, StepOutput};
use crate::workflow::StepKind::ColdBoot;

fn recorded() -> Intent {
    Intent::ColdBoot { after: None }
}

fn status(rig: &Rig) -> InstanceStatus {
    rig.lab.state().vm(1).status.clone()
}

#[tokio::test(start_paused = true)]
async fn an_instance_is_stopped_once_and_started_once() {
    let rig = Rig::to_be_booted();
    let output = rig.run(ColdBoot).await.unwrap();
    assert!(matches!(output, StepOutput::ColdBooted { request: Some(_), .. }), "{output:?}");
    assert_eq!((rig.count("stop"), rig.count("start"), status(&rig)), (1, 1, InstanceStatus::Active));
}

#[tokio::test(start_paused = true)]
async fn what_a_dead_runner_left_stopped_is_started() {
    let rig = Rig::to_be_booted();
    rig.lab.state().vm(1).status = InstanceStatus::Shutoff;
    rig.attempt(ColdBoot, Some(&recorded())).await.unwrap();
    assert_eq!((rig.count("stop"), rig.count("start"), status(&rig)), (0, 1, InstanceStatus::Active));
    // What was off before anybody meant to stop it stays off.
    let off = Rig::to_be_booted();
    off.lab.state().vm(1).status = InstanceStatus::Shutoff;
    assert!(matches!(off.run(ColdBoot).await.unwrap(), StepOutput::AlreadySo { .. }));
    assert_eq!(off.count("start"), 0);
}

#[tokio::test(start_paused = true)]
async fn what_its_owner_stopped_after_it_was_started_stays_off() {
    let rig = Rig::to_be_booted();
    rig.attempt(ColdBoot, Some(&recorded())).await.unwrap();
    let stopped = rig.lab.state().power(id(1), false);
    stopped.unwrap();
    rig.lab.state().vm(1).task_state = None;
    rig.lab.state().vm(1).status = InstanceStatus::Shutoff;
    let output = rig.attempt(ColdBoot, Some(&recorded())).await.unwrap();
    assert!(matches!(output, StepOutput::AlreadySo { .. }), "{output:?}");
    assert_eq!((rig.count("stop"), rig.count("start")), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_start_that_fails_is_tried_again() {
    let rig = Rig::to_be_booted();
    rig.lab.state().starts_fail = 1;
    failed(rig.run(ColdBoot).await, ErrorClass::Transient, FaultScope::Instance, &["its start failed"]);
    assert_eq!(status(&rig), InstanceStatus::Shutoff);
    rig.attempt(ColdBoot, Some(&recorded())).await.unwrap();
    assert_eq!((rig.count("stop"), rig.count("start"), status(&rig)), (1, 2, InstanceStatus::Active));
}

#[tokio::test(start_paused = true)]
async fn answers_that_are_lost_stop_and_start_nothing_twice() {
    for operation in ["stop", "start"] {
        let rig = Rig::to_be_booted();
        rig.lab.state().fault(operation, Fault::Lost(CloudErrorKind::TimedOut));
        let first = rig.run(ColdBoot).await;
        if let Err(error) = first {
            assert_eq!(error.class, ErrorClass::Transient);
            rig.attempt(ColdBoot, Some(&recorded())).await.unwrap();
        }
        assert_eq!(
            (rig.count("stop"), rig.count("start"), status(&rig)),
            (1, 1, InstanceStatus::Active),
            "{operation}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn without_consent_lock_or_a_fit_host_nothing_is_touched() {
    type Change = fn(&mut Rig);
    let cases: [(&str, Change, ErrorClass); 6] = [
        ("consent", |rig| rig.lab.state().vm(1).metadata.clear(), ErrorClass::NeedsOperator),
        ("locked", |rig| rig.lab.state().vm(1).locked = true, ErrorClass::NeedsOperator),
        ("PAUSED", |rig| rig.lab.state().vm(1).status = InstanceStatus::Paused, ErrorClass::NeedsOperator),
        ("rebooting", |rig| rig.lab.state().vm(1).task_state = Some("rebooting".to_owned()), ErrorClass::Transient),
        ("not mitigated", |rig| rig.rollout.targets.clear(), ErrorClass::NeedsOperator),
        ("is down", |rig| rig.lab.state().service(HOST).state = ServiceState::Down, ErrorClass::Transient),
    ];
    for (word, change, class) in cases {
        let mut rig = Rig::to_be_booted();
        change(&mut rig);
        let error = rig.run(ColdBoot).await.unwrap_err();
        assert_eq!(error.class, class, "{word}");
        assert!(error.record().causes.join(" ").contains(word), "{word}: {:?}", error.record());
        assert_eq!(rig.lab.state().effects, Vec::<String>::new(), "{word}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_member_of_its_group_that_is_off_keeps_it_running() {
    let mut rig = Rig::to_be_booted();
    let group = GroupId::new("g");
    let boot = rig.rollout.hosts[0].cold_boot.as_mut().unwrap();
    boot.group = Some(group.clone());
    rig.lab.state().groups = vec![ServerGroup {
        group: Group { id: group, policy: GroupPolicy::AntiAffinity, rules: GroupRules::default() },
        members: vec![id(1), id(2)],
    }];
    rig.lab.state().servers.insert(id(2), server(2, InstanceStatus::Shutoff));
    failed(
        rig.run(ColdBoot).await,
        ErrorClass::Transient,
        FaultScope::Instance,
        &["waits for the others of its group"],
    );
    rig.lab.state().vm(2).status = InstanceStatus::Active;
    assert!(matches!(rig.probe(ColdBoot, None).await.unwrap(), Probe::Needed(Intent::ColdBoot { .. })));
}
