//! Steps that remedy and policy add: carried out once a host, where their file says, whenever the runner dies.

#![expect(clippy::wildcard_enum_match_arm, reason = "a test picks the events that it is about")]

use std::collections::BTreeMap;
use std::sync::Arc;

use fleetmend::journal::memory::MemoryJournal;
use fleetmend::model::Policy;
use fleetmend::run::{DriveError, EventKind, Outcome, RunError, StepOutput};
use fleetmend::sim::faults::{Faults, HostFault, HostRule};

use super::stage::{Notes, Stage, assert_only_the_victim_is_quarantined, policy, quarantined, scenario, with_faults};

fn added() -> Policy {
    let steps = serde_json::json!([
        {"name": "announce", "when": "before-drain", "do": {"command": {"run": ["/usr/local/bin/announce", "{host}"]}}},
        {"name": "settings", "when": "after-update", "do": {"ansible": {"playbook": "/etc/mend/settings.yml"}}},
        {"name": "hopeless", "when": "before-reboot", "on_failure": "warn", "do": {"command": {"run": ["/bin/false"]}}},
        {"name": "burn-in", "when": "after-reboot", "do": {"command": {"run": ["/usr/local/bin/burn-in"]}}},
    ]);
    Policy { steps: serde_json::from_value(steps).unwrap(), ..policy() }
}

/// How often each executable did its work.
fn work(stage: &Stage) -> BTreeMap<String, usize> {
    let mut work = BTreeMap::new();
    stage.region.with(|world| {
        for change in world.changes() {
            if let Some(done) = change.what.strip_prefix("command: ") {
                *work.entry(done.to_owned()).or_default() += 1;
            }
        }
    });
    work
}

fn assert_each_once(stage: &Stage, context: &str) {
    let work = work(stage);
    for host in &stage.rollout.hosts {
        let host = &host.host;
        for done in [
            format!("{host}/command/announce"),
            format!("{host}//etc/mend/settings.yml"),
            format!("{host}/command/burn-in"),
        ] {
            assert_eq!(work.get(&done), Some(&1), "{context}: {done}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn each_host_goes_through_the_added_steps_in_their_places() {
    let stage = Stage::set(&scenario(Faults::default()), added()).await;
    let mut notes = Notes::default();
    let end = stage.begin(&mut notes).await.unwrap();
    assert_eq!(end.outcome, Some(Outcome::Done), "{:?}", quarantined(&stage).await);
    stage.assert_done(&[], "added").await;
    assert_each_once(&stage, "whole");
    let host = stage.rollout.hosts[0].host.to_string();
    let ended = |what: &str| {
        let step = format!("{host}/{what}");
        let at = notes.0.iter().position(
            |event| matches!(&event.kind, EventKind::StepSucceeded { step: ended, .. } if ended.as_str() == step),
        );
        at.unwrap_or_else(|| panic!("{step} did not succeed"))
    };
    let way = ["disable", "command/announce", "resolve", "update", "ansible/settings", "configure", "verify-config"];
    let way = way.into_iter().chain(["command/hopeless", "reboot", "return", "command/burn-in", "evidence"]);
    let places: Vec<usize> = way.map(ended).collect();
    assert!(places.is_sorted(), "{places:?}");
    let warnings = notes.0.iter().filter(|event| {
        matches!(&event.kind, EventKind::StepSucceeded { output: StepOutput::Ran { warning: Some(_), .. }, .. })
    });
    assert_eq!(warnings.count(), stage.rollout.hosts.len());
}

#[tokio::test(start_paused = true)]
async fn cut_off_after_every_append_of_an_added_step_its_work_is_done_once() {
    let whole = Stage::set(&scenario(Faults::default()), added()).await;
    let mut notes = Notes::default();
    whole.begin(&mut notes).await.unwrap();
    let host = whole.rollout.hosts[0].host.to_string();
    let added_step = |kind: &EventKind| match kind {
        EventKind::StepStarted { step, .. }
        | EventKind::StepIntended { step, .. }
        | EventKind::StepSucceeded { step, .. } => {
            [format!("{host}/command/"), format!("{host}/ansible/")].iter().any(|own| step.as_str().starts_with(own))
        }
        _ => false,
    };
    let cuts: Vec<usize> = (1..=notes.0.len()).filter(|cut| added_step(&notes.0[cut - 1].kind)).collect();
    // Three that do something are started, intended and ended, one only starts and ends.
    assert_eq!(cuts.len(), 11);
    for cut in cuts {
        let mut stage = Stage::set(&scenario(Faults::default()), added()).await;
        stage.journal = Arc::new(MemoryJournal::failing_after(cut));
        let context = format!("cut off after append {cut}");
        let cut_off = stage.begin(&mut Notes::default()).await;
        assert!(matches!(cut_off, Err(RunError::Drive { source: DriveError::Journal(_), .. })), "{context}");
        stage.journal.heal();
        let end = stage.resume(&mut Notes::default()).await.unwrap();
        assert_eq!(end.outcome, Some(Outcome::Done), "{context}: {:?}", quarantined(&stage).await);
        stage.assert_done(&[], &context).await;
        assert_each_once(&stage, &context);
    }
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_asks_and_does_nothing() {
    let stage = Stage::set(&scenario(Faults::default()), added()).await;
    let (_steer, steered) = tokio::sync::mpsc::channel(1);
    let mut notes = Notes::default();
    stage.engine().dry_run(stage.rollout.clone(), &stage.snapshot, steered, &mut notes).await.unwrap();
    assert_eq!(work(&stage), BTreeMap::new());
    let asked = notes.0.iter().filter(|event| {
        matches!(&event.kind, EventKind::StepIntended { step, .. } if step.as_str().ends_with("/command/announce"))
    });
    assert_eq!(asked.count(), stage.rollout.hosts.len());
}

#[tokio::test(start_paused = true)]
async fn where_a_deployment_tool_updates_no_package_is_touched_by_us() {
    let steps = serde_json::json!([
        {"name": "containers", "when": "instead-of-update", "do": {"ansible": {"playbook": "/etc/kolla/upgrade.yml"}}},
    ]);
    let policy = Policy { steps: serde_json::from_value(steps).unwrap(), ..policy() };
    let stage = Stage::set(&scenario(Faults::default()), policy).await;
    let mut notes = Notes::default();
    let end = stage.begin(&mut notes).await.unwrap();
    // The playbook of the simulation brings no package: nothing is rebooted for nothing.
    assert_ne!(end.outcome, Some(Outcome::Done));
    let failed = quarantined(&stage).await;
    assert!(!failed.is_empty());
    for (host, reason) in failed {
        assert!(reason.contains("would not mitigate"), "{reason}");
        assert_eq!(work(&stage).get(&format!("{host}//etc/kolla/upgrade.yml")), Some(&1));
    }
    stage.region.with(|world| assert!(world.changes().iter().all(|change| !change.what.contains(": job "))));
    stage.assert_unharmed("in place of the update");
}

fn hooked(url: &str) -> Policy {
    let hooks = serde_json::json!([{"name": "alarms", "on_failure": "warn", "do": {"alertmanager": {
        "url": url, "matchers": [{"name": "instance", "value": "{host}"}]}}}]);
    Policy { hooks: serde_json::from_value(hooks).unwrap(), ..policy() }
}

#[tokio::test(start_paused = true)]
async fn alarms_are_silent_while_a_host_is_worked_on_and_sound_again_also_after_a_failure() {
    let calm = Stage::set(&scenario(Faults::default()), policy()).await;
    let victim = super::stage::victim(&calm);
    let gone = HostRule { host: victim.as_str().into(), times: None, fault: HostFault::NoReturn };
    let faults = Faults { hosts: vec![gone], ..Faults::default() };
    let stage = Stage::set(&scenario(faults), hooked("http://alerts:9093")).await;
    let end = stage.begin(&mut Notes::default()).await.unwrap();
    assert_eq!(end.outcome, Some(Outcome::DoneWithFailures));
    stage.region.with(|world| {
        assert_eq!(world.alarm_silences().count(), 0, "a host that failed is nobody's secret");
        let silenced = world.changes().iter().filter(|change| change.what.starts_with("silenced"));
        assert!(silenced.count() >= stage.rollout.hosts.len());
    });
    stage.assert_unharmed("silenced");
}

#[tokio::test(start_paused = true)]
async fn an_alertmanager_that_cannot_be_reached_holds_nobody_up_where_the_policy_says_so() {
    let stage = Stage::set(&scenario(Faults::default()), hooked("http://nowhere:9093")).await;
    let end = stage.begin(&mut Notes::default()).await.unwrap();
    assert_eq!(end.outcome, Some(Outcome::Done), "{:?}", quarantined(&stage).await);
    stage.assert_done(&[], "without silences").await;
}

#[tokio::test(start_paused = true)]
async fn a_host_whose_link_does_not_come_up_is_not_enabled() {
    let (stage, victim) = with_faults(|_, victim| Faults {
        hosts: vec![HostRule { host: victim.into(), times: None, fault: HostFault::LosesLink }],
        ..Faults::default()
    })
    .await;
    assert_only_the_victim_is_quarantined(&stage, &victim, "link ens2 is gone or down").await;
}
