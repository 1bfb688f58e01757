//! A host that does not come back gets its power switched by the operator's commands, whenever the runner dies.

#![expect(clippy::wildcard_enum_match_arm, reason = "a test picks the events that it is about")]

use std::sync::Arc;

use fleetmend::journal::memory::MemoryJournal;
use fleetmend::model::{HostName, Span};
use fleetmend::outside::Rung;
use fleetmend::run::{DriveError, Event, EventKind, Outcome, RunError, StepOutput};
use fleetmend::sim::faults::{Faults, HostFault, HostRule};

use super::stage::{Notes, Stage, policy, quarantined, scenario, victim};

fn rung(program: &str) -> Rung {
    Rung { command: vec![program.to_owned(), "{host}".to_owned()], timeout: Span::seconds(300) }
}

/// A region in which one host stays away after its reboot.
async fn stage() -> (Stage, String) {
    let calm = Stage::set(&scenario(Faults::default()), policy()).await;
    let victim = victim(&calm);
    let gone = HostRule { host: victim.as_str().into(), times: None, fault: HostFault::NoReturn };
    let mut stage = Stage::set(&scenario(Faults { hosts: vec![gone], ..Faults::default() }), policy()).await;
    stage.rungs = vec![rung("/bin/false"), rung("/usr/local/bin/power-cycle")];
    (stage, victim)
}

fn power_cycles(stage: &Stage) -> usize {
    stage.region.with(|world| world.changes().iter().filter(|change| change.what.ends_with("power cycle")).count())
}

#[tokio::test(start_paused = true)]
async fn the_region_is_done_and_the_report_has_every_command() {
    let (stage, victim) = stage().await;
    let mut notes = Notes::default();
    let end = stage.begin(&mut notes).await.unwrap();
    assert_eq!(end.outcome, Some(Outcome::Done), "{:?}", quarantined(&stage).await);
    stage.assert_done(&[], "ladder").await;
    assert_eq!(power_cycles(&stage), 1);
    let reboots = notes.0.iter().filter_map(|event| match &event.kind {
        EventKind::StepSucceeded { step, output: StepOutput::Rebooted { commands, .. } } => {
            Some((step.to_string(), commands.iter().map(|run| run.end.clone()).collect::<Vec<_>>()))
        }
        _ => None,
    });
    for (step, ends) in reboots {
        let expected: &[&str] =
            if step == format!("{victim}/reboot") { &["ended with status 1", "ended with status 0"] } else { &[] };
        assert_eq!(ends, expected, "{step}");
    }
}

#[tokio::test(start_paused = true)]
async fn cut_off_after_every_append_of_the_reboot_its_power_is_switched_once() {
    let (whole, victim) = stage().await;
    let mut notes = Notes::default();
    whole.begin(&mut notes).await.unwrap();
    let of_reboot = |event: &Event| match &event.kind {
        EventKind::StepStarted { step, .. }
        | EventKind::StepIntended { step, .. }
        | EventKind::StepSucceeded { step, .. } => step.as_str() == format!("{victim}/reboot"),
        _ => false,
    };
    let cuts: Vec<usize> =
        notes.0.iter().enumerate().filter(|(_, event)| of_reboot(event)).map(|(place, _)| place + 1).collect();
    // Started, intended, proven, two commands, ended.
    assert_eq!(cuts.len(), 6);
    for cut in cuts {
        let (mut stage, _) = stage().await;
        stage.journal = Arc::new(MemoryJournal::failing_after(cut));
        let cut_off = stage.begin(&mut Notes::default()).await;
        assert!(matches!(cut_off, Err(RunError::Drive { source: DriveError::Journal(_), .. })), "{cut}");
        stage.assert_harmless_so_far(&format!("cut off after append {cut}"));
        stage.journal.heal();
        let end = stage.resume(&mut Notes::default()).await.unwrap();
        let context = format!("cut off after append {cut}");
        assert_eq!(end.outcome, Some(Outcome::Done), "{context}: {:?}", quarantined(&stage).await);
        stage.assert_done(&[], &context).await;
        assert_eq!(power_cycles(&stage), 1, "{context}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_command_that_helps_it_is_quarantined_with_what_they_said() {
    let (mut stage, victim) = stage().await;
    stage.rungs = vec![rung("/bin/false")];
    let end = stage.begin(&mut Notes::default()).await.unwrap();
    assert_eq!(end.outcome, Some(Outcome::DoneWithFailures));
    let reasons = quarantined(&stage).await;
    let reason = &reasons[&HostName::new(victim)];
    assert!(reason.contains("Unable to establish IPMI v2 / RMCP+ session"), "{reason}");
    assert_eq!(power_cycles(&stage), 0);
}
