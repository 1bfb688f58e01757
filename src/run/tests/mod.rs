//! Tests of the pure core: the fold and the decisions.

mod cold_boots;
mod course;
mod crowds;
mod failures;
mod fixture;

use super::event::{EventKind, FaultScope, Intent, Outcome, PauseCause, StepFailure, StepOutput};
use super::host::HostPhase;
use super::limits::Reached;
use super::schedule::{Decision, Memory, Wait, next_wake, retry_at, waiting};
use super::state::{RunState, RunStatus};
use crate::actions::ErrorClass;
use crate::model::{Aggregate, HostName, KeepUp, Limit, Percent, Region, Role, Span, StepId};
use crate::plan::{PlannedMove, PlannedProcessor, Rollout};
use fixture::{Play, id, leaving};

fn failure(class: ErrorClass, scope: FaultScope) -> StepFailure {
    StepFailure { class, scope, causes: vec!["it broke".to_owned()] }
}

/// Fails a running step as the driver would, and gives when it is tried again.
fn fail(play: &mut Play, step: &str, class: ErrorClass, scope: FaultScope) -> Option<jiff::Timestamp> {
    let step = StepId::new(step);
    let failure = failure(class, scope);
    let retry_at = retry_at(&play.state, &step, &failure, play.now);
    play.tell(EventKind::StepFailed { step, failure, retry_at });
    retry_at
}

/// Carries a host up to its resolved moves.
fn drain(play: &mut Play, host: &str, numbers: &[u128]) {
    play.settle();
    play.done(&format!("{host}/identify"));
    play.settle();
    let before = fixture::service(host);
    play.succeed(&format!("{host}/disable"), StepOutput::Disabled { before, request: None });
    play.settle();
    let leaving = numbers.iter().map(|number| leaving(*number)).collect();
    let output =
        StepOutput::Resolved { leaving, staying: vec![], differences: vec![], unplanned: vec![], parking: vec![] };
    play.succeed(&format!("{host}/resolve"), output);
}

#[test]
fn an_ordinary_run_ends_with_every_host_done_and_each_instance_on_the_spare() {
    let mut play = Play::of(&["a", "b", "c"], |_| {});
    assert_eq!(play.run_to_the_end(), [Decision::End(Outcome::Done)]);
    assert_eq!(play.state.count(HostPhase::Done), 3);
    assert_eq!(play.state.moves().done, 3);
    for number in 1..=3 {
        assert_eq!(play.state.occupancy().host_of(id(number)), Some(&HostName::new("spare")));
    }
}

#[test]
fn replaying_the_events_gives_the_same_decisions_at_every_point() {
    let mut play = Play::of(&["a", "b"], |_| {});
    play.run_to_the_end();
    let mut live = RunState::new(play.state.run(), std::sync::Arc::clone(play.state.rollout()), &play.region);
    for (at, event) in play.events.iter().enumerate() {
        live.apply(event).unwrap();
        let mut again = RunState::new(play.state.run(), std::sync::Arc::clone(play.state.rollout()), &play.region);
        for event in &play.events[..=at] {
            let text = serde_json::to_string(event).unwrap();
            again.apply(&serde_json::from_str(&text).unwrap()).unwrap();
        }
        assert_eq!(super::decide(&live, event.at), super::decide(&again, event.at), "after event {}", at + 1);
    }
}

#[test]
fn what_is_remembered_of_a_search_is_what_it_would_find() {
    let mut play = Play::of(&["a", "b", "c"], |_| {});
    play.run_to_the_end();
    let mut live = RunState::new(play.state.run(), std::sync::Arc::clone(play.state.rollout()), &play.region);
    let mut memory = Memory::default();
    for event in &play.events {
        live.apply(event).unwrap();
        for _ in 0..2 {
            assert_eq!(memory.decide(&live, event.at), super::decide(&live, event.at), "after event {}", event.seq);
        }
    }
}

#[test]
fn limits_hold_hosts_back_and_say_so() {
    let mut play = Play::of(&["a", "b", "c"], |_| {});
    play.settle();
    assert_eq!(play.running(), ["a/identify", "b/identify"]);
    let waits = waiting(&play.state, play.now, 9);
    assert!(matches!(&waits[..], [(host, Wait::Limit(_))] if host == "c"), "{waits:?}");
}

#[test]
fn guests_stay_off_processors_that_the_rollout_tells_to_be_others() {
    let of = |hosts: &[&str], vendor: &str| PlannedProcessor {
        hosts: hosts.iter().map(|name| HostName::new(*name)).collect(),
        vendor: Some(vendor.to_owned()),
        ..PlannedProcessor::default()
    };
    let play = Play::of(&["a", "b"], |rollout| rollout.processors = vec![of(&["a"], "Intel"), of(&["spare"], "AMD")]);
    let waits: Vec<String> =
        waiting(&play.state, play.now, 9).iter().map(|(host, wait)| format!("{host} {wait}")).collect();
    assert_eq!(
        waits,
        ["a for room: no target suits it: its processor is of AMD and the guest's is of Intel"],
        "b, of which nothing is told, may go"
    );
}

#[test]
fn hosts_wait_while_more_of_them_would_use_up_their_zones_headroom() {
    let mut play = Play::of(&["a", "b", "c"], |rollout| rollout.policy.headroom.per_zone.percent = Percent::new(60.0));
    play.settle();
    assert_eq!(play.running(), ["a/identify"]);
    let waits = waiting(&play.state, play.now, 9);
    let is_headroom = |wait: &Wait| matches!(wait, Wait::Limit(Reached::Headroom(zone, 1)) if zone.as_str() == "az1");
    assert!(waits.len() == 2 && waits.iter().all(|(_, wait)| is_headroom(wait)), "{waits:?}");
}

/// Aggregate `ssd` of these hosts, of which `per_aggregate` are to stay in service.
fn with_ssd<'a>(ssd: &'a [&str], per_aggregate: usize) -> (impl FnOnce(&mut Region) + 'a, impl FnOnce(&mut Rollout)) {
    let aggregate = |region: &mut Region| {
        region.aggregates.push(Aggregate { name: "ssd".to_owned(), metadata: [].into() });
        for host in region.hosts.iter_mut().filter(|host| ssd.contains(&host.host.as_str())) {
            host.aggregates.push("ssd".to_owned());
        }
    };
    let policy = move |rollout: &mut Rollout| rollout.policy.limits.keep_up = KeepUp { per_zone: 0, per_aggregate };
    (aggregate, policy)
}

#[test]
fn hosts_of_an_aggregate_wait_for_those_that_must_stay_in_service() {
    let (aggregate, policy) = with_ssd(&["a", "b"], 1);
    let mut play = Play::within(&["a", "b", "c"], aggregate, policy);
    play.settle();
    assert_eq!(play.running(), ["a/identify", "c/identify"]);
    let (aggregate, policy) = with_ssd(&["a", "b"], 1);
    let mut play = Play::within(&["a", "b"], aggregate, policy);
    play.settle();
    let waits = waiting(&play.state, play.now, 9);
    assert!(
        matches!(&waits[..], [(host, Wait::Limit(Reached::KeepUpAggregate(name, 1)))] if host == "b" && name == "ssd"),
        "{waits:?}"
    );
}

#[test]
fn hosts_of_a_role_go_one_at_a_time_and_one_that_failed_keeps_its_fellows_in_service() {
    let both = |rollout: &mut Rollout| {
        for planned in rollout.hosts.iter_mut().filter(|planned| planned.host.as_str() != "c") {
            planned.roles = vec![Role::CephOsd];
        }
        // Nothing else is to hold them back.
        (rollout.policy.limits.hosts, rollout.policy.limits.hosts_per_zone) = (Limit::at_most(4), Limit::at_most(4));
        rollout.policy.limits.keep_up = KeepUp { per_zone: 0, per_aggregate: 0 };
    };
    let mut play = Play::within(&["a", "b", "c"], |_| {}, both);
    play.settle();
    assert_eq!(play.running(), ["a/identify", "c/identify"]);
    let waits = waiting(&play.state, play.now, 9);
    let is_role = |wait: &Wait| matches!(wait, Wait::Limit(Reached::Role(Role::CephOsd)));
    assert!(waits.iter().any(|(host, wait)| host == "b" && is_role(wait)), "{waits:?}");
    let step = StepId::of(&"a".into(), "reboot");
    play.tell(EventKind::HostQuarantined { host: "a".into(), step, reason: "did not come back".to_owned() });
    let waits = waiting(&play.state, play.now, 9);
    assert!(waits.iter().any(|(host, wait)| host == "b" && is_role(wait)), "{waits:?}");
}

#[test]
fn an_aggregate_of_fewer_hosts_than_must_stay_in_service_lets_one_out_at_a_time() {
    let (aggregate, policy) = with_ssd(&["a", "b"], 5);
    let mut play = Play::within(&["a", "b"], aggregate, policy);
    play.settle();
    assert_eq!(play.running(), ["a/identify"]);
    assert_eq!(play.run_to_the_end(), [Decision::End(Outcome::Done)]);
}

#[test]
fn hosts_that_were_not_in_service_are_none_that_stay_so() {
    let (aggregate, policy) = with_ssd(&["a", "b", "spare"], 1);
    let silent = |region: &mut Region| {
        aggregate(region);
        region.hosts.last_mut().unwrap().service.state = crate::model::ServiceState::Down;
    };
    let mut play = Play::within(&["a", "b"], silent, policy);
    play.settle();
    assert_eq!(play.running(), ["a/identify"], "b alone is left of the aggregate");
    let mut play =
        Play::within(&["a", "b"], |region| region.hosts.last_mut().unwrap().service.forced_down = true, |_| {});
    play.settle();
    assert_eq!(play.running(), ["a/identify"], "b alone is left of the zone");
}

#[test]
fn hosts_of_a_zone_at_its_limit_do_not_hold_back_those_of_another_however_many_they_are() {
    let names: Vec<String> = (10..50).map(|number| format!("h{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut play = Play::of(&names, |rollout| {
        rollout.policy.limits.hosts_per_zone = Limit::at_most(1);
        rollout.hosts[39].zone = Some("az2".into());
    });
    play.settle();
    assert_eq!(play.running(), ["h10/identify", "h49/identify"]);
}

#[test]
fn a_spare_is_remedied_and_takes_nothing_afterwards() {
    let mut play = Play::of(&["a", "b"], |rollout| rollout.policy.hosts.spare = ["a".into()].into());
    assert_eq!(play.run_to_the_end(), [Decision::End(Outcome::Done)]);
    let is_target = |name: &str| play.state.occupancy().is_target(&name.into());
    assert!(!is_target("a") && is_target("b"));
}

#[test]
fn one_migration_a_source_and_a_target_at_a_time() {
    let mut play = Play::of(&["a", "b"], |_| {});
    drain(&mut play, "a", &[1, 7]);
    play.settle();
    let moving = |play: &Play| play.running().into_iter().filter(|step| step.contains("/move/")).count();
    assert_eq!(moving(&play), 1);
    let first = StepId::of_move(&"a".into(), id(1)).to_string();
    play.succeed(&first, StepOutput::Moved { to: "spare".into(), migration: None, request: None });
    play.settle();
    assert_eq!(moving(&play), 1);
    assert!(!play.running().iter().any(|step| step == "a/fence"), "fenced with a move under way");
}

#[test]
fn moves_begin_in_the_order_of_the_plan_and_what_it_does_not_know_comes_last() {
    let mut play = Play::of(&["a"], |rollout| {
        let planned = rollout.hosts[0].moves[0].clone();
        let another = |number| PlannedMove { instance: id(number), ..planned.clone() };
        rollout.hosts[0].moves = vec![another(4), another(1), another(7)];
    });
    drain(&mut play, "a", &[1, 2, 4, 7]);
    let mut order = Vec::new();
    for _ in 0..4 {
        play.settle();
        let under_way = play.running().into_iter().find(|step| step.contains("/move/")).unwrap();
        play.succeed(&under_way, StepOutput::Moved { to: "spare".into(), migration: None, request: None });
        order.push(under_way);
    }
    assert_eq!(order, [4, 1, 7, 2].map(|number| StepId::of_move(&"a".into(), id(number)).to_string()));
}

#[test]
fn an_instance_that_appears_while_a_host_drains_moves_as_well_before_the_fence() {
    let mut play = Play::of(&["a"], |_| {});
    drain(&mut play, "a", &[1]);
    play.settle();
    let first = StepId::of_move(&"a".into(), id(1)).to_string();
    play.succeed(&first, StepOutput::Moved { to: "spare".into(), migration: None, request: None });
    play.settle();
    let output = StepOutput::Resolved {
        leaving: vec![leaving(99)],
        staying: vec![],
        differences: vec![],
        unplanned: vec![],
        parking: vec![],
    };
    play.succeed("a/resolve/2", output);
    play.settle();
    assert!(play.running().contains(&StepId::of_move(&"a".into(), id(99)).to_string()));
    assert!(!play.running().contains(&"a/fence".to_owned()));
    let last = StepId::of_move(&"a".into(), id(99)).to_string();
    play.succeed(&last, StepOutput::Moved { to: "spare".into(), migration: None, request: None });
    play.settle();
    assert!(play.running().contains(&"a/resolve/3".to_owned()));
    let nothing = StepOutput::Resolved {
        leaving: vec![],
        staying: vec![],
        differences: vec![],
        unplanned: vec![],
        parking: vec![],
    };
    play.succeed("a/resolve/3", nothing);
    play.settle();
    assert!(play.running().contains(&"a/fence".to_owned()));
}

#[test]
fn a_failed_host_is_quarantined_with_aftercare_and_the_others_go_on() {
    let mut play = Play::of(&["a", "b"], |_| {});
    drain(&mut play, "a", &[]);
    play.settle();
    play.done("a/fence");
    play.settle();
    play.done("a/stage");
    play.settle();
    assert!(fail(&mut play, "a/update", ErrorClass::Permanent, FaultScope::Host).is_none());
    let decisions = play.settle();
    let [Decision::Quarantine { host, step, reason }] = &decisions[..] else { panic!("{decisions:?}") };
    assert_eq!((host.as_str(), step.as_str()), ("a", "a/update"));
    let (host, step, reason) = (host.clone(), step.clone(), reason.clone());
    play.tell(EventKind::HostQuarantined { host, step, reason });
    play.settle();
    let running = play.running();
    assert!(running.contains(&"a/unfence".to_owned()) && running.contains(&"a/quarantine".to_owned()), "{running:?}");
    assert_eq!(play.run_to_the_end(), [Decision::End(Outcome::DoneWithFailures)]);
    assert_eq!(play.state.count(HostPhase::Done), 1);
}

#[test]
fn a_host_that_is_not_what_the_plan_says_is_left_alone() {
    let mut play = Play::of(&["a", "b"], |_| {});
    play.settle();
    fail(&mut play, "a/identify", ErrorClass::NeedsOperator, FaultScope::Host);
    assert!(matches!(&play.decisions()[..], [Decision::Skip { host, .. }] if host.as_str() == "a"));
}

#[test]
fn failures_over_the_budget_pause_until_somebody_continues() {
    let mut play = Play::of(&["a", "b", "c"], |rollout| {
        rollout.policy.failure_budget.hosts = 0;
    });
    drain(&mut play, "a", &[]);
    play.settle();
    fail(&mut play, "a/stage", ErrorClass::Permanent, FaultScope::Host);
    let (host, step) = (HostName::new("a"), StepId::new("a/stage"));
    play.tell(EventKind::HostQuarantined { host, step, reason: "x".to_owned() });
    let decisions = play.decisions();
    let [Decision::Pause { cause: PauseCause::FailureBudget, reason }] = &decisions[..] else {
        panic!("{decisions:?}")
    };
    play.tell(EventKind::RunPaused { cause: PauseCause::FailureBudget, reason: reason.clone() });
    assert_eq!(play.run_to_the_end(), [Decision::End(Outcome::Paused)]);
    assert_eq!(play.state.count(HostPhase::Done), 0);
    play.tell(EventKind::RunContinued { by: "somebody".to_owned() });
    assert_eq!(play.run_to_the_end(), [Decision::End(Outcome::DoneWithFailures)]);
    assert_eq!(play.state.count(HostPhase::Done), 2);
}

#[test]
fn canaries_go_first_and_the_rest_waits_for_the_soak_time() {
    let mut play = Play::of(&["a", "b", "c"], |rollout| {
        rollout.hosts[0].canary = true;
        rollout.policy.canary.soak = Span::seconds(600);
    });
    let decisions = play.run_to_the_end();
    assert_eq!(play.state.count(HostPhase::Done), 1);
    let [Decision::ReachGate { opens_at: Some(opens_at) }] = decisions[..] else { panic!("{decisions:?}") };
    play.tell(EventKind::GateReached { gate: super::GateName::Canary, opens_at: Some(opens_at) });
    assert_eq!(play.settle(), []);
    assert_eq!(next_wake(&play.state, play.now), Some(opens_at));
    play.wait(601);
    assert_eq!(play.settle(), [Decision::OpenGate]);
    play.tell(EventKind::GateOpened { gate: super::GateName::Canary, by: "time".to_owned() });
    assert_eq!(play.run_to_the_end(), [Decision::End(Outcome::Done)]);
}

#[test]
fn a_move_that_its_target_refused_goes_elsewhere_and_gives_the_room_back() {
    let mut play = Play::of(&["a"], |rollout| rollout.targets.push("b".into()));
    let room = play.state.occupancy().room(&"spare".into());
    drain(&mut play, "a", &[1]);
    play.settle();
    let step = StepId::of_move(&"a".into(), id(1));
    assert!(play.state.occupancy().room(&"spare".into()) < room);
    assert!(fail(&mut play, step.as_str(), ErrorClass::Transient, FaultScope::Target).is_some());
    assert_eq!(play.state.occupancy().room(&"spare".into()), room);
    assert!(play.state.step(&step).unwrap().avoid.contains(&HostName::new("spare")));
    play.wait(60);
    play.settle();
    // There is no other target: the one that refused is tried again.
    assert_eq!(play.state.step(&step).unwrap().target, Some("spare".into()));
}

#[test]
fn attempts_end_but_the_control_planes_failures_count_against_nobody() {
    let mut play = Play::of(&["a"], |_| {});
    drain(&mut play, "a", &[]);
    for _ in 0..20 {
        play.settle();
        assert!(fail(&mut play, "a/stage", ErrorClass::Transient, FaultScope::ControlPlane).is_some());
        play.wait(61);
    }
    for expected in [true, true, false] {
        play.settle();
        assert_eq!(fail(&mut play, "a/stage", ErrorClass::Transient, FaultScope::Host).is_some(), expected);
        play.wait(301);
    }
}

#[test]
fn while_the_control_plane_is_sick_one_step_asks_and_nothing_begins() {
    let mut play = Play::of(&["a", "b", "c"], |_| {});
    play.settle();
    for step in ["a/identify", "b/identify"] {
        fail(&mut play, step, ErrorClass::Transient, FaultScope::ControlPlane);
    }
    play.wait(10);
    play.settle();
    assert_eq!(play.running(), ["a/identify"]);
    play.done("a/identify");
    play.settle();
    assert_eq!(play.running(), ["a/disable", "b/identify"]);
}

#[test]
fn refused_credentials_pause_and_continue_tries_at_once() {
    let mut play = Play::of(&["a"], |_| {});
    play.settle();
    fail(&mut play, "a/identify", ErrorClass::NeedsOperator, FaultScope::ControlPlane);
    let decisions = play.decisions();
    assert!(matches!(&decisions[..], [Decision::Pause { cause: PauseCause::ControlPlane, .. }]), "{decisions:?}");
    play.tell(EventKind::RunPaused { cause: PauseCause::ControlPlane, reason: "x".to_owned() });
    assert_eq!(play.decisions(), [Decision::End(Outcome::Paused)]);
    play.tell(EventKind::RunContinued { by: "resume".to_owned() });
    play.settle();
    assert_eq!(play.running(), ["a/identify"]);
}

#[test]
fn a_stop_ends_the_run_when_nothing_is_under_way() {
    let mut play = Play::of(&["a", "b", "c"], |_| {});
    play.settle();
    play.tell(EventKind::StopRequested { by: "test".to_owned() });
    assert_eq!(play.settle(), []);
    play.done("a/identify");
    play.done("b/identify");
    assert_eq!(play.settle(), [Decision::End(Outcome::Stopped)]);
    assert_eq!(*play.state.status(), RunStatus::Stopping);
}

#[test]
fn a_host_without_room_is_named_and_the_run_ends() {
    let mut play = Play::of(&["a"], |rollout| rollout.targets.clear());
    let decisions = play.settle();
    assert!(matches!(&decisions[..], [Decision::Skip { reason, .. }] if reason.contains("no room")), "{decisions:?}");
}

#[test]
fn a_host_that_is_not_quiet_goes_back_to_be_resolved_with_its_fence_down_a_few_times() {
    let mut play = Play::of(&["a"], |_| {});
    drain(&mut play, "a", &[]);
    play.settle();
    play.done("a/stage");
    let steps = ["a/fence", "a/update", "a/configure", "a/verify-config"];
    for step in steps {
        play.done(step);
        play.settle();
    }
    let nothing = StepOutput::Resolved {
        leaving: vec![],
        staying: vec![],
        differences: vec![],
        unplanned: vec![],
        parking: vec![],
    };
    let started = StepOutput::Resolved {
        leaving: vec![leaving(1)],
        staying: vec![],
        differences: vec![],
        unplanned: vec![],
        parking: vec![],
    };
    let boot = Intent::Reboot { boot: "a".to_owned(), proven: None, rung: None };
    play.tell(EventKind::StepIntended { step: StepId::new("a/reboot"), intent: boot });
    let again = fail(&mut play, "a/reboot", ErrorClass::Disquiet, FaultScope::Host);
    assert_eq!(again, Some(play.now + jiff::SignedDuration::from_secs(10)), "what disturbs it may pass");
    play.settle();
    assert_eq!(play.running(), ["a/unfence"]);
    assert_eq!(play.state.hosts()[&HostName::new("a")].activity(), "draining");
    assert_eq!(play.state.step(&StepId::new("a/reboot")).unwrap().intent, None, "nothing was ordered");
    play.done("a/unfence");
    play.settle();
    assert_eq!(play.running(), ["a/resolve/2"]);
    play.succeed("a/resolve/2", started);
    play.settle();
    let step = StepId::of_move(&"a".into(), id(1)).to_string();
    assert_eq!(play.running(), [step.as_str()], "the fence waits for the move");
    play.succeed(&step, StepOutput::Moved { to: "spare".into(), migration: None, request: None });
    play.wait(120);
    for (step, next) in [("a/resolve/3", "a/fence/2"), ("a/fence/2", "a/reboot")] {
        play.settle();
        play.succeed(
            step,
            if step.contains("resolve") { nothing.clone() } else { StepOutput::Done { note: String::new() } },
        );
        play.settle();
        assert_eq!(play.running(), [next]);
    }
    for round in 2..=5 {
        let again = fail(&mut play, "a/reboot", ErrorClass::Disquiet, FaultScope::Host);
        assert_eq!(again.is_some(), round < 5, "round {round}");
        if again.is_some() {
            play.wait(120);
            play.settle();
            play.done(&format!("a/unfence/{round}"));
            play.settle();
            play.succeed(&format!("a/resolve/{}", round + 2), nothing.clone());
            play.settle();
            play.done(&format!("a/fence/{}", round + 1));
            play.settle();
        }
    }
    assert!(matches!(&play.decisions()[..], [Decision::Quarantine { .. }]));
}

#[test]
fn a_host_that_lends_room_takes_instances_until_a_host_of_its_domain_is_done() {
    let mut play = Play::of(&["a", "b"], |rollout| {
        rollout.targets.clear();
        rollout.lenders = vec!["spare".into()];
        rollout.policy.limits.hosts = Limit::at_most(1);
    });
    drain(&mut play, "a", &[1]);
    play.settle();
    assert_eq!(play.state.step(&StepId::of_move(&"a".into(), id(1))).unwrap().target, Some("spare".into()));
    assert_eq!(play.run_to_the_end(), [Decision::End(Outcome::Done)]);
    assert!(!play.state.occupancy().is_target(&"spare".into()));
    assert_eq!(play.state.occupancy().host_of(id(2)), Some(&HostName::new("a")), "mitigated room comes first");
}

#[test]
fn events_that_cannot_follow_are_refused_and_change_nothing() {
    let mut play = Play::of(&["a"], |_| {});
    play.settle();
    let before = format!("{:?}", play.state);
    let refused = [
        EventKind::StepSucceeded { step: StepId::new("a/reboot"), output: StepOutput::Done { note: String::new() } },
        EventKind::StepStarted { step: StepId::new("a/identify"), attempt: 1, target: None, because: None },
        EventKind::StepStarted { step: StepId::new("nobody/identify"), attempt: 1, target: None, because: None },
        EventKind::StepIntended { step: StepId::new("a/disable"), intent: Intent::Enable },
        EventKind::HostRetried { host: "a".into(), by: None },
    ];
    for kind in refused {
        let event = super::Event { seq: play.state.seq() + 1, at: play.now, kind };
        assert!(play.state.apply(&event).is_err(), "{event:?}");
        assert_eq!(format!("{:?}", play.state), before, "{event:?}");
    }
    let gap = super::Event { seq: 99, at: play.now, kind: EventKind::RunContinued { by: String::new() } };
    assert!(play.state.apply(&gap).is_err());
}

#[test]
fn what_makes_way_leaves_its_host_before_the_drained_one_is_looked_at() {
    let mut play = Play::of(&["a", "b", "c"], |rollout| {
        let mut way = rollout.hosts[1].moves.remove(0);
        way.to = "c".into();
        let again = PlannedMove { from: "c".into(), to: "spare".into(), ..way.clone() };
        rollout.hosts[0].moves.insert(0, way);
        rollout.hosts[2].moves.push(again);
    });
    play.settle();
    play.done("a/identify");
    play.settle();
    play.succeed("a/disable", StepOutput::Disabled { before: fixture::service("a"), request: None });
    play.settle();
    let way = StepId::of_move(&"a".into(), id(2));
    assert!(play.running().contains(&way.to_string()) && !play.running().contains(&"a/resolve".to_owned()));
    assert_eq!(play.state.step(&way).unwrap().target, Some("c".into()), "it goes where the plan has it");
    assert!(play.state.moves_in_flight().any(|(instance, from, _)| instance == id(2) && from.as_str() == "b"));
    play.succeed(way.as_str(), StepOutput::Moved { to: "c".into(), migration: Some(1), request: None });
    assert_eq!(play.state.occupancy().host_of(id(2)), Some(&"c".into()));
    play.settle();
    assert!(play.running().contains(&"a/resolve".to_owned()));
    assert_eq!(play.run_to_the_end(), [Decision::End(Outcome::Done)]);
    assert_eq!(play.state.occupancy().host_of(id(2)), Some(&"spare".into()), "and moves once more");
    assert_eq!(play.state.moves().done, 4);
}
