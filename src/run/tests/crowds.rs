//! Targets that others fill while a run lasts.

use super::*;
use crate::model::{Host, Resources};
use crate::plan::placement::Held;

/// Somebody's instances fill `host`.
fn fill(play: &mut Play, host: &str) {
    let held = Held { id: id(900), resources: Resources::basic(64, 65_536, 1_000), group: None };
    play.tell(EventKind::TargetSeen { host: host.into(), came: vec![held], gone: vec![] });
}

/// They leave again.
fn empty(play: &mut Play, host: &str) {
    play.tell(EventKind::TargetSeen { host: host.into(), came: vec![], gone: vec![id(900)] });
}

fn move_of(host: &str, number: u128) -> String {
    StepId::of_move(&host.into(), id(number)).to_string()
}

fn target_of(play: &Play, step: &str) -> Option<HostName> {
    play.state.step(&StepId::new(step)).unwrap().target.clone()
}

/// `a` drains, its move to the spare is refused because others have filled it.
fn refused(hosts: &[&str]) -> (Play, String) {
    let mut play = Play::of(hosts, |_| {});
    drain(&mut play, "a", &[1]);
    play.settle();
    let step = move_of("a", 1);
    fill(&mut play, "spare");
    fail(&mut play, &step, ErrorClass::Transient, FaultScope::Target);
    play.wait(2);
    (play, step)
}

#[test]
fn a_move_to_a_target_that_others_filled_waits_for_room_and_goes_on_when_there_is_some() {
    let (mut play, step) = refused(&["a"]);
    for _ in 0..20 {
        play.wait(3_600);
        play.settle();
        assert!(!play.running().contains(&step));
    }
    let waits = waiting(&play.state, play.now, 9);
    let is_named = |(name, wait): &(String, Wait)| {
        *name == step && wait.to_string().starts_with("for room: no target in zone az1 has room")
    };
    assert!(waits.iter().any(is_named), "{waits:?}");
    empty(&mut play, "spare");
    play.settle();
    assert_eq!(target_of(&play, &step), Some("spare".into()), "it was no failure of the target's either");
    assert!(play.state.step(&StepId::new(step)).unwrap().avoid.is_empty());
}

#[test]
fn a_full_target_counts_against_nobody_however_often_it_happens() {
    let (mut play, step) = refused(&["a"]);
    for _ in 0..20 {
        empty(&mut play, "spare");
        play.wait(60);
        play.settle();
        fill(&mut play, "spare");
        let again = fail(&mut play, &step, ErrorClass::Transient, FaultScope::Target);
        assert!(again.is_some_and(|at| at <= play.now + jiff::SignedDuration::from_secs(60)), "{again:?}");
    }
    assert_eq!(play.state.count(HostPhase::Quarantined), 0);
}

#[test]
fn where_no_other_host_comes_on_an_instance_goes_to_one_that_waits_and_moves_again_with_it() {
    let mut play = Play::of(&["a", "b"], |rollout| rollout.policy.limits.hosts = Limit::at_most(1));
    fill(&mut play, "spare");
    drain(&mut play, "a", &[1]);
    play.settle();
    assert_eq!(target_of(&play, &move_of("a", 1)), Some("b".into()));
    let steps = play.events.iter().filter_map(|event| {
        if let EventKind::StepStarted { because, target: Some(_), .. } = &event.kind { because.clone() } else { None }
    });
    assert_eq!(steps.collect::<Vec<_>>(), ["no mitigated host in zone az1 takes it, and none will soon"]);
    assert_eq!(play.run_to_the_end(), [Decision::End(Outcome::Done)]);
    assert_eq!(play.state.count(HostPhase::Done), 2);
}

#[test]
fn while_another_host_of_its_domain_comes_on_an_instance_waits_for_it() {
    let mut play = Play::of(&["a", "b", "c"], |_| {});
    drain(&mut play, "a", &[1]);
    fill(&mut play, "spare");
    play.settle();
    assert!(play.running().iter().any(|step| step.starts_with("b/")), "{:?}", play.running());
    assert!(!play.running().contains(&move_of("a", 1)), "{:?}", play.running());
}

#[test]
fn a_host_is_begun_onto_hosts_that_wait_when_none_other_has_room() {
    let mut play = Play::of(&["a", "b"], |rollout| rollout.targets.clear());
    assert_eq!(play.run_to_the_end(), [Decision::End(Outcome::Done)]);
    assert_eq!(play.state.count(HostPhase::Done), 2);
}

#[test]
fn a_target_that_failed_is_tried_again_before_a_host_that_waits_takes_the_instance_and_no_more_than_eight_times() {
    let mut play = Play::of(&["a", "b"], |rollout| rollout.policy.limits.hosts = Limit::at_most(1));
    drain(&mut play, "a", &[1]);
    let step = move_of("a", 1);
    let mut attempts = 0;
    loop {
        play.settle();
        assert_eq!(target_of(&play, &step), Some("spare".into()), "after {attempts} attempts");
        attempts += 1;
        let Some(again) = fail(&mut play, &step, ErrorClass::Transient, FaultScope::Target) else { break };
        play.now = again;
    }
    assert_eq!(attempts, 8);
    assert!(matches!(&play.decisions()[..], [Decision::Quarantine { .. }]), "{:?}", play.decisions());
}

#[test]
fn a_target_that_failed_and_is_seen_to_be_full_gives_way_to_a_host_that_waits() {
    let mut play = Play::of(&["a", "b"], |rollout| rollout.policy.limits.hosts = Limit::at_most(1));
    drain(&mut play, "a", &[1]);
    play.settle();
    let step = move_of("a", 1);
    fail(&mut play, &step, ErrorClass::Transient, FaultScope::Target);
    fill(&mut play, "spare");
    play.wait(60);
    play.settle();
    assert_eq!(target_of(&play, &step), Some("b".into()));
}

/// The spare is full; `other` has room for two, is the target of a move of the quarantined `b` and takes one at a time;
/// `c` waits.
fn busy_with_a_quarantined_hosts_move() -> Play {
    let other = |region: &mut Region| {
        let spare = region.hosts.iter().find(|host| host.host == HostName::new("spare")).unwrap();
        let capacity = Resources::basic(2, 2_048, 20);
        region.hosts.push(Host { host: "other".into(), capacity, ..spare.clone() });
    };
    let mut play = Play::within(&["a", "b", "c"], other, |rollout| {
        rollout.targets.push("other".into());
        rollout.policy.limits.migrations_per_target = 1;
    });
    play.settle();
    fill(&mut play, "spare");
    drain(&mut play, "b", &[2]);
    play.settle();
    assert_eq!(target_of(&play, &move_of("b", 2)), Some("other".into()));
    play.tell(EventKind::HostQuarantined { host: "b".into(), step: StepId::new("b/stage"), reason: "x".to_owned() });
    drain(&mut play, "a", &[1]);
    assert_eq!(play.state.hosts()[&HostName::new("c")].phase, HostPhase::Waiting);
    play.settle();
    play
}

#[test]
fn while_a_target_with_room_takes_no_further_migration_no_instance_goes_to_a_host_that_waits() {
    let mut play = busy_with_a_quarantined_hosts_move();
    let step = move_of("a", 1);
    assert_eq!(target_of(&play, &step), None);
    let full = Wait::Limit(Reached::Target("other".into(), 1));
    let waits = waiting(&play.state, play.now, 9);
    assert!(waits.contains(&(step.clone(), full)), "{waits:?}");
    play.succeed(&move_of("b", 2), StepOutput::Moved { to: "other".into(), migration: None, request: None });
    play.settle();
    assert_eq!(target_of(&play, &step), Some("other".into()), "its turn comes");
}

#[test]
fn a_host_that_had_no_room_is_looked_at_again_when_a_begun_one_needs_less() {
    let quarantine = |play: &mut Play| {
        let step = StepId::new("a/stage");
        play.tell(EventKind::HostQuarantined { host: "a".into(), step, reason: "x".to_owned() });
    };
    let is_without_instances = |play: &mut Play| {
        let resolved = StepOutput::Resolved {
            leaving: vec![],
            staying: vec![],
            differences: vec![],
            unplanned: vec![],
            parking: vec![],
        };
        play.succeed("a/resolve", resolved);
    };
    let happenings: [fn(&mut Play); 2] = [quarantine, is_without_instances];
    for (what, happens) in ["it is quarantined", "its instance was deleted"].into_iter().zip(happenings) {
        let room_for_two = |region: &mut Region| {
            let spare = region.hosts.iter_mut().find(|host| host.host == HostName::new("spare")).unwrap();
            spare.capacity = Resources::basic(2, 2_048, 20);
        };
        let mut play = Play::within(&["a", "b", "c"], room_for_two, |rollout| {
            rollout.policy.limits.hosts = Limit::at_most(3);
            rollout.policy.limits.hosts_per_zone = Limit::at_most(3);
        });
        play.settle();
        play.done("a/identify");
        play.settle();
        play.succeed("a/disable", StepOutput::Disabled { before: fixture::service("a"), request: None });
        play.settle();
        let mut memory = Memory::default();
        assert_eq!(memory.decide(&play.state, play.now), [], "c has no room before {what}");
        happens(&mut play);
        loop {
            let decisions = play.decisions();
            assert_eq!(memory.decide(&play.state, play.now), decisions, "{what}");
            if decisions.is_empty() {
                break;
            }
            for decision in decisions {
                let Decision::Start { step, attempt, target, because } = decision else { panic!("{decision:?}") };
                play.tell(EventKind::StepStarted { step, attempt, target, because });
            }
        }
        assert_eq!(play.state.hosts()[&HostName::new("c")].phase, HostPhase::Active, "{what}");
    }
}
