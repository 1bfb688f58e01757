//! The service: what somebody else disabled is never touched, and only what this run disabled is enabled.

use uuid::Uuid;

use super::region::{Fault, HOST, service};
use super::rig::{Rig, failed};
use crate::actions::ErrorClass::{NeedsOperator, Permanent, Transient};
use crate::actions::Probe;
use crate::cloud::CloudErrorKind;
use crate::model::{Mark, RunId, ServiceState, ServiceStatus};
use crate::run::event::{FaultScope, Intent, StepOutput};
use crate::workflow::StepKind::{Disable, Enable, Quarantine, Return, Settle};

/// Reasons that are not this run's, and what is said of each.
fn foreign() -> [(String, &'static str); 3] {
    let other = Mark::of(RunId::new(Uuid::from_u128(7))).reason("remedy mds in progress");
    [
        ("disk trouble, ask anna".to_owned(), "disk trouble, ask anna"),
        (String::new(), "without a reason"),
        (other, "another run, 00000000-0000-0000-0000-000000000007"),
    ]
}

#[tokio::test(start_paused = true)]
async fn a_host_is_taken_out_with_our_mark_and_its_state_before_is_kept() {
    let rig = Rig::new();
    let StepOutput::Disabled { before, request } = rig.run(Disable).await.unwrap() else { panic!() };
    assert_eq!((before, request.unwrap().as_str()), (service(HOST).service, "req-disable"));
    let reason = rig.lab.state().service(HOST).disabled_reason.clone().unwrap();
    assert_eq!(Mark::read(&reason), Some(Mark::of(rig.run)));
    assert!(reason.contains("mds"), "people read why: {reason}");
}

#[tokio::test(start_paused = true)]
async fn disabling_again_after_a_crash_changes_nothing_and_remembers_the_state_before() {
    let rig = Rig::new();
    let intent = rig.intent(Disable).await;
    rig.apply(Disable, &intent).await.unwrap();
    rig.apply(Disable, &intent).await.unwrap();
    let StepOutput::Disabled { before, .. } = rig.attempt(Disable, Some(&intent)).await.unwrap() else { panic!() };
    assert_eq!(before, service(HOST).service);
    assert_eq!(rig.count("disable"), 1);

    let lost = Rig::new();
    lost.lab.state().fault("disable_service", Fault::Lost(CloudErrorKind::TimedOut));
    failed(lost.run(Disable).await, Transient, FaultScope::ControlPlane, &["could not disable compute-1"]);
    assert!(matches!(lost.run(Disable).await.unwrap(), StepOutput::Disabled { .. }));
    assert_eq!(lost.count("disable"), 1);
}

#[tokio::test(start_paused = true)]
async fn what_somebody_else_disabled_is_never_taken_over() {
    for (reason, told) in foreign() {
        let before = Rig::new();
        before.lab.state().disable(&reason);
        failed(before.run(Disable).await, NeedsOperator, FaultScope::Host, &[HOST, told]);

        let between = Rig::new();
        let intent = between.intent(Disable).await;
        between.lab.state().disable(&reason);
        failed(between.apply(Disable, &intent).await, NeedsOperator, FaultScope::Host, &[told]);
        failed(between.verify(Disable, &intent).await, NeedsOperator, FaultScope::Host, &[told]);
        for rig in [before, between] {
            assert_eq!(rig.count("disable"), 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn only_what_this_run_disabled_is_enabled() {
    let mut rig = Rig::new();
    rig.hold();
    let StepOutput::Done { note } = rig.run(Enable).await.unwrap() else { panic!() };
    assert!(note.contains("req-enable"), "{note}");
    assert_eq!(rig.lab.state().service(HOST).status, ServiceStatus::Enabled);
    assert!(matches!(rig.run(Enable).await.unwrap(), StepOutput::AlreadySo { .. }));
    assert_eq!(rig.count("enable"), 1);

    for (reason, told) in foreign() {
        let mut rig = Rig::new();
        rig.hold();
        let intent = rig.intent(Enable).await;
        rig.lab.state().disable(&reason);
        failed(rig.run(Enable).await, NeedsOperator, FaultScope::Host, &[HOST, told]);
        failed(rig.apply(Enable, &intent).await, NeedsOperator, FaultScope::Host, &[told]);
        assert_eq!(rig.count("enable"), 0, "{reason}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_that_was_not_known_to_be_enabled_before_is_not_enabled() {
    let mut out_before = Rig::new();
    out_before.hold();
    let before = out_before.memory.service_before.as_mut().unwrap();
    before.status = ServiceStatus::Disabled;
    assert!(matches!(out_before.run(Enable).await.unwrap(), StepOutput::AlreadySo { .. }));

    let mut unknown = Rig::new();
    unknown.hold();
    unknown.memory.service_before = None;
    failed(unknown.run(Enable).await, NeedsOperator, FaultScope::Host, &["not known"]);
    for rig in [out_before, unknown] {
        assert_eq!(rig.count("enable"), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_after_enabling_does_not_enable_again() {
    let mut rig = Rig::new();
    rig.hold();
    let intent = rig.intent(Enable).await;
    rig.apply(Enable, &intent).await.unwrap();
    rig.apply(Enable, &intent).await.unwrap();
    assert!(matches!(rig.attempt(Enable, Some(&intent)).await.unwrap(), StepOutput::AlreadySo { .. }));
    assert_eq!(rig.count("enable"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failed_host_says_why_where_nova_shows_it() {
    let mut rig = Rig::new();
    rig.hold();
    rig.memory.quarantined = Some("compute-1 did not come back".to_owned());
    rig.run(Quarantine).await.unwrap();
    let reason = rig.lab.state().service(HOST).disabled_reason.clone().unwrap();
    assert_eq!(Mark::read(&reason), Some(Mark::of(rig.run)), "it stays ours");
    assert!(reason.ends_with("quarantined: compute-1 did not come back"), "{reason}");
    rig.run(Quarantine).await.unwrap();
    assert_eq!(rig.count("disable"), 1);

    for (reason, _) in foreign() {
        let rig = Rig::new();
        rig.lab.state().disable(&reason);
        rig.run(Quarantine).await.unwrap();
        assert_eq!(rig.count("disable"), 0);
    }
    let in_service = Rig::new();
    in_service.run(Quarantine).await.unwrap();
    assert_eq!(in_service.count("disable"), 0, "a quarantine takes nothing out of service");
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_nova_is_the_control_planes_fault() {
    for kind in [Disable, Enable, Settle, Return] {
        let mut rig = Rig::new();
        if kind == Enable {
            rig.hold();
        }
        for _ in 0..1_000 {
            rig.lab.state().fault("services", Fault::Refused(CloudErrorKind::Server));
        }
        failed(rig.run(kind).await, Transient, FaultScope::ControlPlane, &["could not read the compute services"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_cell_that_does_not_answer_says_nothing_of_its_hosts() {
    let rig = Rig::new();
    rig.lab.state().services.get_mut(&super::region::host(HOST)).unwrap().cell_is_down = true;
    failed(rig.run(Disable).await, Transient, FaultScope::ControlPlane, &["the cell of compute-1"]);
}

#[tokio::test(start_paused = true)]
async fn a_service_that_nova_does_not_list_ends_the_step() {
    let rig = Rig::new();
    rig.lab.state().services.remove(&super::region::host(HOST));
    failed(rig.run(Disable).await, Permanent, FaultScope::Host, &["no compute service for compute-1"]);
}

#[tokio::test(start_paused = true)]
async fn settling_lasts_as_long_as_the_policy_says_over_a_crash_too() {
    let rig = Rig::new();
    let began = tokio::time::Instant::now();
    let intent = rig.intent(Settle).await;
    tokio::time::advance(std::time::Duration::from_secs(100)).await;
    let Probe::Needed(resumed) = rig.probe(Settle, Some(&intent)).await.unwrap() else { panic!() };
    assert_eq!(resumed, intent);
    rig.verify(Settle, &resumed).await.unwrap();
    assert_eq!(began.elapsed().as_secs(), 120);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_does_not_stay_in_service_has_not_settled() {
    let taken = Rig::new();
    taken.lab.state().later(60, |s| s.disable("maintenance"));
    failed(taken.run(Settle).await, NeedsOperator, FaultScope::Host, &["disabled by somebody else: maintenance"]);

    let down = Rig::new();
    down.lab.state().later(60, |s| s.service(HOST).state = ServiceState::Down);
    failed(down.run(Settle).await, Permanent, FaultScope::Host, &["went down after it was enabled"]);

    let back = Rig::new();
    back.lab.state().later(60, |s| s.service(HOST).state = ServiceState::Down);
    back.lab.state().later(300, |s| s.service(HOST).state = ServiceState::Up);
    back.run(Settle).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_service_is_back_when_it_reported_twice_and_runs() {
    let stale = Rig::new();
    failed(
        stale.run(Return).await,
        Permanent,
        FaultScope::Host,
        &["does not report 600 s", "it is up, its last report"],
    );

    let once = Rig::new();
    once.lab.state().later(5, |s| {
        let found = s.services.get_mut(&super::region::host(HOST)).unwrap();
        found.updated_at = Some(super::region::epoch() + std::time::Duration::from_secs(1));
    });
    failed(once.run(Return).await, Permanent, FaultScope::Host, &["does not report"]);

    let back = Rig::new();
    back.lab.state().later(5, super::region::State::report);
    back.run(Return).await.unwrap();

    let down = Rig::new();
    down.lab.state().later(5, super::region::State::report);
    down.lab.state().service(HOST).forced_down = true;
    failed(down.run(Return).await, NeedsOperator, FaultScope::Host, &["declared down by somebody else"]);

    let dead = Rig::new();
    dead.lab.state().later(5, super::region::State::report);
    dead.lab.state().unit = "failed";
    failed(dead.run(Return).await, Permanent, FaultScope::Host, &["its unit is failed"]);
}

#[tokio::test(start_paused = true)]
async fn an_intent_of_a_disabled_service_is_read_before_memory_and_plan() {
    let mut rig = Rig::new();
    rig.hold();
    let mut before = service(HOST).service;
    before.forced_down = true;
    let recorded = Intent::Disable { before: before.clone() };
    let StepOutput::Disabled { before: kept, .. } = rig.attempt(Disable, Some(&recorded)).await.unwrap() else {
        panic!()
    };
    assert_eq!(kept, before);
}
