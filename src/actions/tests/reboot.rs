//! The reboot and its fence: never on a host that is not quiet, never twice, proven by the boot id.

use std::time::Duration;

use uuid::Uuid;

use super::region::{Fault, HOST, OTHER, State, TARGET, host, id, server};
use super::rig::{Rig, failed};
use crate::actions::ErrorClass::{Disquiet, NeedsOperator, Permanent, Transient};
use crate::actions::Probe;
use crate::cloud::{Allocation, CloudErrorKind, MigrationStatus};
use crate::host::HostErrorKind;
use crate::model::{Domain, DomainState, InstanceStatus, Mark, Resources, RunId};
use crate::run::event::{FaultScope, Intent, StepOutput};
use crate::workflow::StepKind::{Fence, Reboot, Unfence};

/// A fenced host with instance 1 that may stay, shut off.
fn with_stay() -> Rig {
    let mut rig = Rig::held();
    rig.memory.staying = vec![id(1)];
    rig.lab.state().boot_server(1, InstanceStatus::Shutoff);
    rig
}

fn rebooted() -> StepOutput {
    StepOutput::Rebooted { before: "boot-1".to_owned(), after: "boot-2".to_owned(), commands: Vec::new() }
}

fn domain(number: u128, state: DomainState) -> Domain {
    Domain { id: id(number).to_string(), name: format!("stray-{number}"), state }
}

/// Makes a quiet host another one.
type Disturb = fn(&mut State);

/// Everything that can speak against a reboot, and the word for it.
fn disquiets() -> Vec<(&'static str, Disturb)> {
    vec![
        ("domain instance-of-vm1 is running", |s| {
            s.domain_states.insert(id(1), DomainState::Running);
        }),
        ("domain instance-of-vm1 is running or paused", |s| {
            s.domain_states.insert(id(1), DomainState::Paused);
        }),
        ("domain stray-9 is on the host", |s| s.stray_domains.push(domain(9, DomainState::ShutOff))),
        ("domain stray-9 is running", |s| s.stray_domains.push(domain(9, DomainState::Running))),
        ("has a migration in progress", |s| {
            s.record(id(7), &host(TARGET), MigrationStatus::Running);
        }),
        ("Nova places instance 00000000-0000-0000-0000-000000000002", |s| s.boot_server(2, InstanceStatus::Active)),
        ("Nova places instance 00000000-0000-0000-0000-000000000002", |s| s.boot_server(2, InstanceStatus::Shutoff)),
        ("is ACTIVE, not at rest", |s| s.vm(1).status = InstanceStatus::Active),
        ("is SHUTOFF (rebuilding), not at rest", |s| s.vm(1).task_state = Some("rebuilding".to_owned())),
        ("Placement holds an allocation", |s| {
            let consumer = Uuid::from_u128(77).to_string();
            s.stray_allocations.push(Allocation { consumer, resources: Resources::basic(1, 1, 1) });
        }),
        ("has no allocation on the host", |s| s.unallocated.push(id(1))),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_quiet_host_is_rebooted_once_and_proven_by_its_boot_id() {
    let rig = with_stay();
    let output = rig.run(Reboot).await.unwrap();
    assert_eq!(output, rebooted());
    assert_eq!(rig.count("reboot"), 1);
}

#[tokio::test(start_paused = true)]
async fn nothing_that_is_not_quiet_is_ever_rebooted() {
    for (word, disturb) in disquiets() {
        let rig = with_stay();
        disturb(&mut rig.lab.state());
        failed(rig.run(Reboot).await, Disquiet, FaultScope::Host, &["compute-1 is not quiet", word]);
        let intent = Intent::Reboot { boot: "boot-1".to_owned(), proven: None, rung: None };
        failed(rig.attempt(Reboot, Some(&intent)).await, Disquiet, FaultScope::Host, &[word]);
        failed(rig.apply(Reboot, &intent).await, Disquiet, FaultScope::Host, &[word]);
        assert_eq!(rig.count("reboot"), 0, "{word}");
    }
}

#[tokio::test(start_paused = true)]
async fn all_that_speaks_against_a_reboot_is_named_at_once() {
    let rig = with_stay();
    rig.lab.state().boot_server(2, InstanceStatus::Active);
    rig.lab.state().record(id(7), &host(OTHER), MigrationStatus::Running);
    let words = ["instance-of-vm2 is running", "Nova places instance", "migration in progress"];
    failed(rig.run(Reboot).await, Disquiet, FaultScope::Host, &words);
}

#[tokio::test(start_paused = true)]
async fn a_view_that_cannot_be_had_is_no_quiet_view() {
    for operation in ["servers", "migrations", "provider", "allocations"] {
        let rig = with_stay();
        rig.lab.state().fault(operation, Fault::Refused(CloudErrorKind::Server));
        failed(rig.run(Reboot).await, Transient, FaultScope::ControlPlane, &["could not read"]);
        assert_eq!(rig.count("reboot"), 0, "{operation}");
    }
    let rig = with_stay();
    rig.lab.state().fault("domains", Fault::Host(HostErrorKind::Protocol));
    failed(rig.run(Reboot).await, Transient, FaultScope::Host, &["could not list the domains"]);
    assert_eq!(rig.count("reboot"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_is_not_ours_or_not_the_planned_machine_is_never_rebooted() {
    for reason in ["disk trouble".to_owned(), Mark::of(RunId::new(Uuid::from_u128(7))).reason("x")] {
        let rig = with_stay();
        rig.lab.state().disable(&reason);
        failed(rig.run(Reboot).await, NeedsOperator, FaultScope::Host, &[HOST]);
        assert_eq!(rig.count("reboot"), 0);
    }
    let enabled = with_stay();
    *enabled.lab.state().service(HOST) = super::region::service(HOST).service;
    failed(enabled.run(Reboot).await, NeedsOperator, FaultScope::Host, &["is in service"]);

    let another = with_stay();
    another.lab.state().identity.machine_id = Some("ffff".to_owned());
    let words = ["another machine answers for compute-1", "its machine-id is ffff"];
    failed(another.run(Reboot).await, NeedsOperator, FaultScope::Host, &words);
    for rig in [enabled, another] {
        assert_eq!(rig.count("reboot"), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_that_already_rebooted_is_not_rebooted_again() {
    let rig = with_stay();
    let intent = rig.intent(Reboot).await;
    rig.apply(Reboot, &intent).await.unwrap();
    // Killed while it goes down: the next process finds it silent.
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(rig.probe(Reboot, Some(&intent)).await.unwrap(), Probe::InFlight(intent.clone()));
    let output = rig.attempt(Reboot, Some(&intent)).await.unwrap();
    assert_eq!(output, rebooted());
    // Killed after it came back.
    assert_eq!(rig.probe(Reboot, Some(&intent)).await.unwrap(), Probe::Done(output));
    rig.apply(Reboot, &intent).await.unwrap();
    assert_eq!(rig.count("reboot"), 1);
}

#[tokio::test(start_paused = true)]
async fn an_order_that_never_arrived_is_given_again_and_one_that_did_is_not() {
    let lost = with_stay();
    lost.lab.state().fault("reboot", Fault::HostLost(HostErrorKind::Unreachable));
    lost.run(Reboot).await.unwrap();
    assert_eq!(lost.count("reboot"), 1);

    let rig = with_stay();
    rig.lab.state().fault("reboot", Fault::Host(HostErrorKind::Unreachable));
    let intent = rig.intent(Reboot).await;
    failed(rig.run(Reboot).await, Transient, FaultScope::Host, &["goes on in the boot that it was ordered to leave"]);
    assert_eq!(rig.probe(Reboot, Some(&intent)).await.unwrap(), Probe::Needed(intent.clone()));
    rig.attempt(Reboot, Some(&intent)).await.unwrap();
    assert_eq!(rig.count("reboot"), 1);

    let flaky = with_stay();
    flaky.lab.state().fault("reboot", Fault::Host(HostErrorKind::Unreachable));
    for second in (20..1800).step_by(40) {
        flaky.lab.state().later(second, |s| s.fault("boot", Fault::Host(HostErrorKind::TimedOut)));
    }
    failed(flaky.run(Reboot).await, Transient, FaultScope::Host, &["goes on in the boot that it was ordered to leave"]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_order_has_its_class() {
    for (kind, class) in [
        (HostErrorKind::NotQuiet, Disquiet),
        (HostErrorKind::WrongMachine, NeedsOperator),
        (HostErrorKind::BecomeDenied, NeedsOperator),
        (HostErrorKind::Failed, Permanent),
    ] {
        let rig = with_stay();
        rig.lab.state().fault("reboot", Fault::Host(kind));
        failed(rig.run(Reboot).await, class, FaultScope::Host, &["compute-1 refused to reboot"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_that_does_not_come_back_fails_with_its_last_words() {
    let rig = with_stay();
    rig.lab.state().outage = None;
    failed(
        rig.run(Reboot).await,
        Permanent,
        FaultScope::Host,
        &["did not come back within 1800 s", "no route to host"],
    );
    assert_eq!(rig.count("reboot"), 1);
}

#[tokio::test(start_paused = true)]
async fn another_machine_at_the_address_after_the_reboot_is_not_the_host() {
    let rig = with_stay();
    rig.lab.state().later(20, |s| s.identity.machine_id = Some("ffff".to_owned()));
    failed(rig.run(Reboot).await, NeedsOperator, FaultScope::Host, &["another machine answers"]);
}

#[tokio::test(start_paused = true)]
async fn an_owner_who_starts_what_stays_behind_the_fence_does_not_hold_the_reboot() {
    let rig = with_stay();
    rig.lab.state().vm(1).task_state = Some("powering-on".to_owned());
    rig.run(Reboot).await.unwrap();

    let mut unfenced = with_stay();
    unfenced.memory.fenced = false;
    unfenced.lab.state().vm(1).task_state = Some("powering-on".to_owned());
    failed(unfenced.run(Reboot).await, Disquiet, FaultScope::Host, &["powering-on"]);
    assert_eq!(unfenced.count("reboot"), 0);
}

#[tokio::test(start_paused = true)]
async fn the_fence_goes_up_on_a_quiet_host_of_ours_only() {
    let mut rig = Rig::new();
    rig.hold();
    rig.run(Fence).await.unwrap();
    assert_eq!(rig.lab.state().unit, "inactive");
    assert_eq!(rig.count("fence up"), 1);

    for (word, disturb) in disquiets() {
        let rig = with_stay();
        rig.lab.state().unit = "active";
        disturb(&mut rig.lab.state());
        failed(rig.run(Fence).await, Disquiet, FaultScope::Host, &[word]);
        assert_eq!(rig.count("fence"), 0, "{word}");
    }
    let foreign = Rig::new();
    foreign.lab.state().disable("maintenance");
    failed(foreign.run(Fence).await, NeedsOperator, FaultScope::Host, &["maintenance"]);
    assert_eq!(foreign.count("fence"), 0);
}

#[tokio::test(start_paused = true)]
async fn what_began_while_the_fence_went_up_is_for_the_engine_and_other_failures_bring_it_down() {
    let fenced = || async {
        let mut rig = Rig::new();
        rig.hold();
        let intent = rig.intent(Fence).await;
        rig.apply(Fence, &intent).await.unwrap();
        (rig, intent)
    };
    let (rig, intent) = fenced().await;
    let arrived = server(2, InstanceStatus::Active);
    rig.lab.state().servers.insert(arrived.id, arrived);
    failed(rig.verify(Fence, &intent).await, Disquiet, FaultScope::Host, &["Nova places instance"]);
    assert_eq!(rig.lab.state().unit, "inactive");

    let (rig, intent) = fenced().await;
    rig.lab.state().fault("servers", Fault::Refused(CloudErrorKind::Server));
    failed(rig.verify(Fence, &intent).await, Transient, FaultScope::ControlPlane, &["could not read"]);
    assert_eq!(rig.lab.state().unit, "active", "its owners must not be locked out until the control plane is well");
}

#[tokio::test(start_paused = true)]
async fn a_fence_that_is_up_is_adopted_after_a_crash() {
    let mut rig = Rig::new();
    rig.hold();
    let intent = rig.intent(Fence).await;
    rig.apply(Fence, &intent).await.unwrap();
    rig.attempt(Fence, Some(&intent)).await.unwrap();
    assert_eq!(rig.count("fence up"), 1);
}

#[tokio::test(start_paused = true)]
async fn the_fence_comes_down_once() {
    let rig = Rig::held();
    rig.lab.state().later(5, State::report);
    rig.run(Unfence).await.unwrap();
    assert!(matches!(rig.run(Unfence).await.unwrap(), StepOutput::AlreadySo { .. }));
    assert_eq!(rig.lab.state().unit, "active");
    assert_eq!(rig.count("fence down"), 1);

    let silent = Rig::held();
    failed(silent.run(Unfence).await, Permanent, FaultScope::Host, &["does not report 600 s after it was started"]);
}
