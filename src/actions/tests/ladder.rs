//! The ladder: a host that does not return gets its power switched, and never one that lives.

use std::time::Duration;

use super::region::{Fault, HOST, host, id};
use super::rig::{Rig, failed};
use crate::actions::ErrorClass::{NeedsOperator, Permanent};
use crate::actions::Probe;
use crate::cloud::{CloudErrorKind, MigrationStatus};
use crate::model::{InstanceStatus, ServiceState, Span};
use crate::outside::Rung;
use crate::run::event::{FaultScope, Intent, StepOutput};
use crate::workflow::StepKind::Reboot;

fn rung(program: &str) -> Rung {
    Rung { command: vec![program.to_owned(), "{host}".to_owned()], timeout: Span::seconds(300) }
}

/// A fenced host with instance 1 that may stay, shut off, and does not come back by itself.
fn lost(rungs: &[&str]) -> Rig {
    let mut rig = Rig::held();
    rig.memory.staying = vec![id(1)];
    rig.lab.state().boot_server(1, InstanceStatus::Shutoff);
    rig.lab.state().outage = None;
    rig.lab.state().service(HOST).state = ServiceState::Down;
    rig.lab.rungs = rungs.iter().map(|program| rung(program)).collect();
    rig
}

fn rungs_of(output: &StepOutput) -> Vec<String> {
    let StepOutput::Rebooted { commands, .. } = output else { panic!("{output:?}") };
    commands.iter().map(|run| format!("{} {}", run.command.join(" "), run.end)).collect()
}

#[tokio::test(start_paused = true)]
async fn commands_are_tried_in_turn_until_the_host_is_back_and_their_output_is_kept() {
    let rig = lost(&["/bin/false", "/bin/cycle", "/bin/never"]);
    let output = rig.run(Reboot).await.unwrap();
    let told = ["/bin/false compute-1 ended with status 1", "/bin/cycle compute-1 ended with status 0"];
    assert_eq!(rungs_of(&output), told);
    let StepOutput::Rebooted { before, after, commands } = output else { panic!("a reboot") };
    assert_eq!((before.as_str(), after.as_str()), ("boot-1", "boot-1-cycled"));
    assert_eq!(commands[1].output.tail, "Chassis Power Control: Cycle");
    assert_eq!(rig.count("reboot"), 1);
    assert_eq!(rig.count("power"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_comes_back_by_itself_is_left_alone() {
    let rig = lost(&["/bin/cycle"]);
    rig.lab.state().outage = Some(900);
    assert_eq!(rungs_of(&rig.run(Reboot).await.unwrap()), Vec::<String>::new());
    assert_eq!(rig.count("power"), 0);

    // It returns after the patience has run out, while nova-compute still counts as up.
    let slow = lost(&["/bin/cycle"]);
    slow.lab.state().service(HOST).state = ServiceState::Up;
    slow.lab.state().outage = Some(1900);
    slow.run(Reboot).await.unwrap();
    assert_eq!(slow.count("power"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_host_whose_nova_compute_reports_is_not_switched_off() {
    let rig = lost(&["/bin/cycle"]);
    rig.lab.state().service(HOST).state = ServiceState::Up;
    let words = ["its power is not switched", "the host lives, and ssh does not reach it"];
    failed(rig.run(Reboot).await, Permanent, FaultScope::Host, &words);
    assert_eq!(rig.count("power"), 0);
}

/// Something that comes between.
type Disturbance = fn(&mut super::region::State);

#[tokio::test(start_paused = true)]
async fn nothing_that_is_not_quiet_any_more_is_switched_off() {
    let disturbances: [(&str, Disturbance); 4] = [
        ("Nova places instance", |s| s.boot_server(2, InstanceStatus::Active)),
        ("not at rest", |s| s.vm(1).status = InstanceStatus::Active),
        ("has a migration in progress", |s| {
            s.record(id(7), &host("compute-2"), MigrationStatus::Running);
        }),
        ("has no allocation", |s| s.unallocated.push(id(1))),
    ];
    for (word, disturb) in disturbances {
        let rig = lost(&["/bin/cycle"]);
        rig.lab.state().later(600, disturb);
        failed(rig.run(Reboot).await, Permanent, FaultScope::Host, &["its power is not switched", word]);
        assert_eq!(rig.count("power"), 0, "{word}");
    }
    let taken = lost(&["/bin/cycle"]);
    taken.lab.state().later(600, |s| s.disable("disk trouble"));
    failed(taken.run(Reboot).await, NeedsOperator, FaultScope::Host, &["its power is not switched", "disk trouble"]);
    assert_eq!(taken.count("power"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_was_never_proven_quiet_is_not_switched_off() {
    // The order of a runner that died before the proof, or of one that had no ladder.
    let rig = lost(&["/bin/cycle"]);
    rig.lab.state().answers = false;
    let intent = Intent::Reboot { boot: "boot-1".to_owned(), proven: None, rung: None };
    failed(rig.attempt(Reboot, Some(&intent)).await, Permanent, FaultScope::Host, &["did not come back"]);
    assert_eq!(rig.count("power"), 0);

    let unseen = lost(&["/bin/cycle"]);
    unseen.lab.state().fault("servers", Fault::Refused(CloudErrorKind::Server));
    assert!(unseen.run(Reboot).await.is_err());
    assert_eq!(unseen.count("power"), 0);
}

#[tokio::test(start_paused = true)]
async fn when_no_command_helps_the_failure_tells_all_of_them() {
    let rig = lost(&["/bin/false", "/bin/false"]);
    let words = ["did not come back within 1800 s", "`/bin/false compute-1` ended with status 1: no session"];
    failed(rig.run(Reboot).await, Permanent, FaultScope::Host, &words);
    assert_eq!(rig.count("power"), 2);
    assert_eq!(rig.count("reboot"), 1);
}

#[tokio::test(start_paused = true)]
async fn killed_while_its_power_is_switched_it_is_adopted_and_not_switched_once_more() {
    let rig = lost(&["/bin/cycle"]);
    // Killed right after the command: the next process finds the host away, waits, and sees it come back.
    let _ = tokio::time::timeout(Duration::from_secs(1815), rig.run(Reboot)).await;
    assert_eq!(rig.count("power"), 1);
    let recorded = rig.last_recorded().unwrap();
    assert!(matches!(recorded, Intent::Reboot { rung: Some(0), proven: Some(_), .. }), "{recorded:?}");
    assert_eq!(rig.probe(Reboot, Some(&recorded)).await.unwrap(), Probe::InFlight(recorded.clone()));
    rig.attempt(Reboot, Some(&recorded)).await.unwrap();
    assert_eq!(rig.count("power"), 1);

    // Killed between the record and the command: it is run after the whole wait.
    let unsaid = lost(&["/bin/cycle"]);
    let _ = tokio::time::timeout(Duration::from_secs(60), unsaid.run(Reboot)).await;
    let Some(Intent::Reboot { boot, proven, .. }) = unsaid.last_recorded() else { panic!("the proof is on record") };
    let before_command = Intent::Reboot { boot, proven, rung: Some(0) };
    unsaid.attempt(Reboot, Some(&before_command)).await.unwrap();
    assert_eq!(unsaid.count("power"), 1);
}
