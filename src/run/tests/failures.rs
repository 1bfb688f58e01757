//! What becomes of hosts that failed, and of the run around them.

use super::*;

/// Fails `step` for good and quarantines its host.
fn quarantine(play: &mut Play, step: &str) {
    fail(play, step, ErrorClass::Permanent, FaultScope::Host);
    let (host, _) = step.split_once('/').unwrap();
    let (host, step) = (HostName::new(host), StepId::new(step));
    play.tell(EventKind::HostQuarantined { host, step, reason: "x".to_owned() });
}

#[test]
fn a_failed_canary_pauses_the_run() {
    let mut play = Play::of(&["a", "b"], |rollout| rollout.hosts[0].canary = true);
    drain(&mut play, "a", &[]);
    play.settle();
    fail(&mut play, "a/stage", ErrorClass::Permanent, FaultScope::Host);
    let (host, step) = (HostName::new("a"), StepId::new("a/stage"));
    play.tell(EventKind::HostQuarantined { host, step, reason: "x".to_owned() });
    assert!(matches!(&play.decisions()[..], [Decision::Pause { reason, .. }] if reason.contains("canary a")));
}

#[test]
fn a_quarantined_host_counts_for_the_headroom_but_one_other_may_be_out() {
    let mut play = Play::of(&["a", "b", "c"], |rollout| rollout.policy.headroom.per_zone.percent = Percent::new(60.0));
    drain(&mut play, "a", &[]);
    play.settle();
    quarantine(&mut play, "a/stage");
    play.settle();
    assert!(play.running().contains(&"b/identify".to_owned()), "{:?}", play.running());
    let waits = waiting(&play.state, play.now, 9);
    let is_last = matches!(waits.last(), Some((host, Wait::Limit(Reached::Headroom(..)))) if host == "c");
    assert!(is_last, "{waits:?}");
}

#[test]
fn canaries_that_were_all_left_alone_open_no_gate_by_themselves() {
    let mut play = Play::of(&["a", "b"], |rollout| rollout.hosts[0].canary = true);
    play.settle();
    fail(&mut play, "a/identify", ErrorClass::NeedsOperator, FaultScope::Host);
    let [Decision::Skip { host, reason }] = &play.decisions()[..] else { panic!("{:?}", play.decisions()) };
    let (host, reason) = (host.clone(), reason.clone());
    play.tell(EventKind::HostSkipped { host, reason });
    assert_eq!(play.settle(), [Decision::ReachGate { opens_at: None }], "nothing was shown: somebody must say so");
}

#[test]
fn nova_compute_is_started_again_only_when_nobody_stops_it_any_more() {
    let mut play = Play::of(&["a"], |_| {});
    drain(&mut play, "a", &[]);
    play.settle();
    // No record of the fence: its runner died, or it is on its way.
    play.tell(EventKind::StepIntended { step: StepId::new("a/fence"), intent: Intent::Fence { up: true } });
    quarantine(&mut play, "a/stage");
    assert!(!play.state.hosts()[&HostName::new("a")].memory().fenced);
    play.settle();
    assert!(!play.running().contains(&"a/unfence".to_owned()), "{:?}", play.running());
    fail(&mut play, "a/fence", ErrorClass::Transient, FaultScope::Host);
    play.settle();
    assert!(play.running().contains(&"a/unfence".to_owned()), "{:?}", play.running());
}

#[test]
fn a_run_that_pauses_or_stops_waits_for_the_aftercare_of_its_hosts() {
    let mut play = Play::of(&["a", "b"], |_| {});
    drain(&mut play, "a", &[]);
    play.settle();
    play.done("a/fence");
    play.tell(EventKind::StopRequested { by: "somebody".to_owned() });
    quarantine(&mut play, "a/stage");
    play.settle();
    play.done("a/quarantine");
    fail(&mut play, "b/identify", ErrorClass::NeedsOperator, FaultScope::Host);
    play.tell(EventKind::HostSkipped { host: "b".into(), reason: "x".to_owned() });
    let again = fail(&mut play, "a/unfence", ErrorClass::Transient, FaultScope::Host);
    assert!(again.is_some());
    assert_eq!(play.settle(), [], "one connection that broke leaves no nova-compute stopped");
    play.wait(600);
    play.settle();
    play.done("a/unfence");
    assert_eq!(play.settle(), [Decision::End(Outcome::Stopped)]);
}

#[test]
fn a_retried_host_knows_what_its_service_was_before() {
    let mut play = Play::of(&["a"], |rollout| rollout.policy.limits.hosts = Limit::at_most(1));
    drain(&mut play, "a", &[]);
    play.settle();
    let host = HostName::new("a");
    quarantine(&mut play, "a/stage");
    play.tell(EventKind::HostRetried { host: host.clone(), by: None });
    assert_eq!(play.state.hosts()[&host].phase, HostPhase::Waiting);
    play.settle();
    assert!(play.state.hosts()[&host].memory().service_before.is_some());
    // Disabled by us and perhaps half updated: it is not just left alone when it cannot be begun again.
    fail(&mut play, "a/identify", ErrorClass::NeedsOperator, FaultScope::Host);
    assert!(matches!(&play.decisions()[..], [Decision::Quarantine { .. }]), "{:?}", play.decisions());
}

#[test]
fn a_host_that_fits_into_no_maintenance_window_is_named_and_the_run_ends() {
    let mut play = Play::of(&["a"], |rollout| {
        let nights = serde_json::json!([{"days": ["sat"], "from": "22:00", "to": "22:05", "zone": "UTC"}]);
        rollout.policy.windows = serde_json::from_value(nights).unwrap();
    });
    let decisions = play.settle();
    let [Decision::Skip { reason, .. }] = &decisions[..] else { panic!("{decisions:?}") };
    assert!(reason.contains("no maintenance window is as long as the 10 min"), "{reason}");
}
