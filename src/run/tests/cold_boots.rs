//! Decisions of a campaign of cold boots.

use super::fixture::{Play, id};
use crate::actions::ErrorClass;
use crate::model::{GroupId, ProjectId, StepId, Window};
use crate::plan::{PlannedColdBoot, Rollout, Work};
use crate::run::event::{EventKind, FaultScope, Intent, PauseCause, StepFailure};
use crate::run::limits::Reached;
use crate::run::schedule::{Decision, Wait, next_wake, waiting};

/// Makes instances of what would be hosts: each on a host of its own, of project `p`.
fn campaign(rollout: &mut Rollout) {
    rollout.work = Work::ColdBoots;
    for (number, host) in (1..).zip(&mut rollout.hosts) {
        host.moves.clear();
        host.cold_boot = Some(Box::new(PlannedColdBoot {
            instance: id(number),
            name: format!("vm{number}"),
            project: ProjectId::from("p"),
            on: format!("compute-{number}").as_str().into(),
            group: None,
            why: "its boot is from before".to_owned(),
        }));
    }
}

fn boot(rollout: &mut Rollout, place: usize) -> &mut PlannedColdBoot {
    rollout.hosts[place].cold_boot.as_mut().unwrap()
}

fn intended(play: &mut Play, step: &str) {
    play.tell(EventKind::StepIntended { step: StepId::new(step), intent: Intent::ColdBoot { after: None } });
}

fn failed(play: &mut Play, step: &str, class: ErrorClass, again: bool) {
    let retry_at = again.then_some(play.now);
    let causes = vec!["its start failed".to_owned()];
    let failure = StepFailure { class, scope: FaultScope::Instance, causes };
    play.tell(EventKind::StepFailed { step: StepId::new(step), failure, retry_at });
}

#[test]
fn the_limits_hold_and_members_of_a_group_take_turns() {
    let mut play = Play::of(&["a", "b", "c", "d"], |rollout| {
        campaign(rollout);
        rollout.policy.cold_boots.at_once = 2;
        boot(rollout, 0).group = Some(GroupId::new("g"));
        boot(rollout, 1).group = Some(GroupId::new("g"));
        boot(rollout, 2).on = "compute-1".into();
    });
    play.settle();
    assert_eq!(play.running(), ["a/cold-boot", "d/cold-boot"]);
    let waits = waiting(&play.state, play.now, 9);
    assert_eq!(waits[0], ("b".to_owned(), Wait::Limit(Reached::Mate(id(1)))));
    assert_eq!(waits[1], ("c".to_owned(), Wait::Limit(Reached::ColdBoots(2))));
    play.done("d/cold-boot");
    assert_eq!(play.settle(), []);
    let waits = waiting(&play.state, play.now, 9);
    assert_eq!(waits[1], ("c".to_owned(), Wait::Limit(Reached::ColdBootsOn("compute-1".into(), 1))));
    play.done("a/cold-boot");
    play.settle();
    assert_eq!(play.running(), ["b/cold-boot", "c/cold-boot"]);
}

#[test]
fn what_may_have_been_stopped_is_tried_again_though_the_run_is_paused_or_ends() {
    for stops in [false, true] {
        let mut play = Play::of(&["a", "b"], |rollout| {
            campaign(rollout);
            rollout.policy.cold_boots.at_once = 1;
        });
        play.settle();
        intended(&mut play, "a/cold-boot");
        play.tell(if stops {
            EventKind::StopRequested { by: "x".to_owned() }
        } else {
            EventKind::RunPaused { cause: PauseCause::Operator, reason: "x".to_owned() }
        });
        failed(&mut play, "a/cold-boot", ErrorClass::Transient, true);
        play.settle();
        assert_eq!(play.running(), ["a/cold-boot"], "stops: {stops}");
        play.done("a/cold-boot");
        let end = play.settle();
        assert_eq!(play.running(), Vec::<String>::new(), "b is not begun");
        assert_eq!(end.iter().any(|one| matches!(one, Decision::End(_))), stops);
    }
}

#[test]
fn one_that_was_not_touched_is_skipped_and_one_that_was_is_named_as_failed() {
    for touched in [false, true] {
        let mut play = Play::of(&["a"], campaign);
        play.settle();
        if touched {
            intended(&mut play, "a/cold-boot");
        }
        failed(&mut play, "a/cold-boot", ErrorClass::NeedsOperator, false);
        let decisions = play.decisions();
        assert_eq!(matches!(decisions[0], Decision::Quarantine { .. }), touched, "{decisions:?}");
        assert_eq!(matches!(decisions[0], Decision::Skip { .. }), !touched, "{decisions:?}");
    }
}

#[test]
fn one_that_is_tried_again_after_it_failed_is_still_owed_its_start() {
    let mut play = Play::of(&["a"], campaign);
    play.settle();
    intended(&mut play, "a/cold-boot");
    failed(&mut play, "a/cold-boot", ErrorClass::Transient, false);
    let step = StepId::new("a/cold-boot");
    play.tell(EventKind::HostQuarantined { host: "a".into(), step: step.clone(), reason: "x".to_owned() });
    play.tell(EventKind::HostRetried { host: "a".into(), by: None });
    play.tell(EventKind::RunContinued { by: "x".to_owned() });
    play.settle();
    assert_eq!(play.running(), ["a/cold-boot"]);
    assert_eq!(play.state.step(&step).unwrap().intent, Some(Intent::ColdBoot { after: None }));
}

#[test]
fn projects_have_windows_of_their_own() {
    // It is a Sunday, 12:00.
    let window = |from: &str, to: &str| -> Vec<Window> {
        let window = serde_json::json!({"days": ["sun"], "from": from, "to": to, "zone": "UTC"});
        vec![serde_json::from_value(window).unwrap()]
    };
    let mut play = Play::of(&["a", "b", "c"], |rollout| {
        campaign(rollout);
        boot(rollout, 0).project = "later".into();
        boot(rollout, 1).project = "open".into();
        rollout.policy.windows = window("20:00", "23:00");
        rollout.policy.cold_boots.windows =
            [("later".into(), window("13:00", "15:00")), ("open".into(), window("11:00", "15:00"))].into();
    });
    play.settle();
    assert_eq!(play.running(), ["b/cold-boot"]);
    assert_eq!(waiting(&play.state, play.now, 9).iter().filter(|(_, wait)| *wait == Wait::Window).count(), 2);
    assert_eq!(next_wake(&play.state, play.now), Some("2026-11-22T13:00:00Z".parse().unwrap()));
}
