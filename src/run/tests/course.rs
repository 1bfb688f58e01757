//! What a policy says of the course of a run: windows that close, and what hosts may fail in.

use super::*;
use crate::model::{FailureCause, WindowsEnd};

/// One host that is begun half an hour before the window closes; its instance has left no more than been resolved.
fn before_a_window_closes(end: WindowsEnd) -> Play {
    let mut play = Play::of(&["a"], |rollout| {
        let days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
        let noon = serde_json::json!([{"days": days, "from": "11:00", "to": "12:30", "zone": "UTC"}]);
        rollout.policy.windows = serde_json::from_value(noon).unwrap();
        rollout.policy.windows_end = end;
    });
    drain(&mut play, "a", &[1]);
    play.wait(1800);
    play
}

#[test]
fn what_is_under_way_when_a_window_closes_goes_on_to_its_end() {
    let mut play = before_a_window_closes(WindowsEnd::Finish);
    assert_eq!(play.run_to_the_end(), [Decision::End(Outcome::Done)]);
}

#[test]
fn a_host_that_is_being_emptied_when_a_window_closes_is_parked_until_the_next_one() {
    let mut play = before_a_window_closes(WindowsEnd::Park);
    play.done("a/stage");
    assert_eq!(play.settle(), [], "the run waits");
    assert_eq!(play.running(), Vec::<String>::new());
    let waits = waiting(&play.state, play.now, 9);
    assert!(matches!(&waits[..], [(step, Wait::Window)] if step.contains("/move/")), "{waits:?}");
    let opens = next_wake(&play.state, play.now).unwrap();
    assert_eq!(opens.to_string(), "2026-11-23T11:00:00Z");
    play.now = opens;
    assert_eq!(play.run_to_the_end(), [Decision::End(Outcome::Done)]);
}

#[test]
fn a_host_behind_its_fence_when_a_window_closes_is_not_parked() {
    let mut play = Play::of(&["a"], |rollout| {
        let noon = serde_json::json!([{"days": ["sun"], "from": "11:00", "to": "12:30", "zone": "UTC"}]);
        rollout.policy.windows = serde_json::from_value(noon).unwrap();
        rollout.policy.windows_end = WindowsEnd::Park;
    });
    drain(&mut play, "a", &[]);
    play.settle();
    assert!(play.running().contains(&"a/fence".to_owned()), "{:?}", play.running());
    play.wait(3600);
    assert_eq!(play.run_to_the_end(), [Decision::End(Outcome::Done)], "its owners are locked out until it is back");
}

#[test]
fn one_cause_pauses_the_run_where_the_budget_for_it_is_smaller_than_for_the_region() {
    let play = |failed: &str| {
        let mut play = Play::of(&["a", "b"], |rollout| {
            rollout.policy.failure_budget.per_cause = [(FailureCause::Update, 0), (FailureCause::Reboot, 1)].into();
        });
        drain(&mut play, "a", &[]);
        play.settle();
        let (host, step) = (HostName::new("a"), StepId::new(failed));
        fail(&mut play, "a/stage", ErrorClass::Permanent, FaultScope::Host);
        play.tell(EventKind::HostQuarantined { host, step, reason: "x".to_owned() });
        play.decisions()
    };
    let decisions = play("a/stage");
    assert!(matches!(&decisions[..], [Decision::Pause { reason, .. }] if reason.contains("1 hosts failed in update")));
    let decisions = play("a/reboot");
    assert!(!decisions.iter().any(|decision| matches!(decision, Decision::Pause { .. })), "{decisions:?}");
}

#[test]
fn no_host_is_begun_while_a_health_gate_is_not_well_and_each_end_asks_it_again() {
    let mut play = Play::of(&["a", "b"], |rollout| {
        rollout.policy.limits.hosts = Limit::at_most(1);
        let gates = serde_json::json!([{"name": "storage", "ask": {"command": ["/bin/is-well"]}}]);
        rollout.policy.gates = serde_json::from_value(gates).unwrap();
    });
    let says = |play: &mut Play, is_well: bool| {
        let (gate, said) = ("storage".to_owned(), "2 of 3 replicas".to_owned());
        play.tell(EventKind::HealthSeen { gate, is_well, said });
    };
    let waits = |play: &Play| waiting(&play.state, play.now, 1).remove(0).1.to_string();
    assert_eq!(play.settle(), [], "nobody has asked");
    assert_eq!(waits(&play), "for the answer of health gate storage");
    says(&mut play, false);
    assert_eq!(play.settle(), []);
    assert_eq!(waits(&play), "for health gate storage to be well: 2 of 3 replicas");
    says(&mut play, true);
    drain(&mut play, "a", &[]);
    // What is under way goes on whatever it says.
    says(&mut play, false);
    says(&mut play, true);
    assert_eq!(play.run_to_the_end(), [], "a host has ended: what was said before counts no more");
    assert_eq!((play.state.count(HostPhase::Done), play.state.count(HostPhase::Waiting)), (1, 1));
    says(&mut play, true);
    assert_eq!(play.run_to_the_end(), [Decision::End(Outcome::Done)]);
}
