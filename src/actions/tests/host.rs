//! What is done on the host itself: identity, packages, nova.conf, evidence.

use super::region::{Fault, HOST, TARGET};
use super::rig::{Rig, failed};
use crate::actions::ErrorClass::{NeedsOperator, Permanent, Transient};
use crate::actions::{HostMemory, Probe};
use crate::host::{HostErrorKind, JobStatus};
use crate::model::{Fingerprint, Mark, NovaConfHandling, OnFailure, RunId, ServiceState};
use crate::remedy::VerdictKind;
use crate::run::event::{FaultScope, Intent, PackageChange, StepOutput};
use crate::workflow::StepKind::{Configure, Evidence, Identify, Stage, Update, VerifyConfig};

/// A host whose guests get a CPU model that lacks the flag, and a policy that lets nova.conf be edited.
fn without_flag() -> Rig {
    let mut rig = Rig::new();
    rig.rollout.remedy.guests =
        Some(serde_json::from_value(serde_json::json!({"cpu_flag": "md-clear"})).expect("a requirement"));
    rig.rollout.policy.nova_conf = NovaConfHandling::AddFlags;
    rig.lab.state().nova_conf = "[libvirt]\ncpu_mode = custom\ncpu_model = IvyBridge\n".to_owned();
    rig
}

#[tokio::test(start_paused = true)]
async fn the_planned_machine_in_nobodys_hands_is_identified() {
    let rig = Rig::new();
    let StepOutput::Identified { fingerprint, .. } = rig.run(Identify).await.unwrap() else { panic!() };
    assert_eq!(fingerprint.lost(&Fingerprint::default(), &[]).len(), 3);
    let done = Rig::new();
    done.lab.state().installed = 2;
    done.lab.state().sysfs = "Mitigation: Clear CPU buffers";
    let StepOutput::AlreadySo { note } = done.run(Identify).await.unwrap() else { panic!() };
    assert!(note.contains("mitigated"), "{note}");
    assert_eq!(rig.lab.state().effects, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn whatever_makes_the_host_another_one_stops_it_before_anything_is_done() {
    let machine = Rig::new();
    machine.lab.state().identity.machine_id = Some("ffff".to_owned());
    failed(machine.run(Identify).await, NeedsOperator, FaultScope::Host, &["another machine answers for compute-1"]);

    let renamed = Rig::new();
    renamed.lab.state().identity.nova_host = Some(TARGET.to_owned());
    failed(renamed.run(Identify).await, NeedsOperator, FaultScope::Host, &["nova's host name is compute-2"]);

    let unplanned = Rig::new();
    let mut unplanned = unplanned;
    unplanned.rollout.hosts[0].identity.machine_id = None;
    failed(unplanned.run(Identify).await, NeedsOperator, FaultScope::Host, &["does not say which machine"]);

    let wrong = Rig::new();
    wrong.lab.state().fault("identity", Fault::Host(HostErrorKind::WrongMachine));
    failed(wrong.run(Identify).await, NeedsOperator, FaultScope::Host, &["which machine compute-1 is"]);

    let disabled = Rig::new();
    disabled.lab.state().disable("disk trouble");
    failed(disabled.run(Identify).await, NeedsOperator, FaultScope::Host, &["disk trouble"]);

    let held = Rig::new();
    held.lab.state().disable(&Mark::of(RunId::new(uuid::Uuid::from_u128(7))).reason("x"));
    failed(held.run(Identify).await, NeedsOperator, FaultScope::Host, &["another run"]);

    let forced = Rig::new();
    forced.lab.state().service(HOST).forced_down = true;
    failed(forced.run(Identify).await, NeedsOperator, FaultScope::Host, &["declared down"]);

    let down = Rig::new();
    down.lab.state().service(HOST).state = ServiceState::Down;
    failed(down.run(Identify).await, Transient, FaultScope::Host, &["is down"]);
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_not_spent_on_a_host_that_it_cannot_mend() {
    let mut rig = without_flag();
    rig.rollout.policy.nova_conf = NovaConfHandling::Leave;
    let words = ["update and reboot cannot mitigate compute-1", "nova.conf"];
    failed(rig.run(Identify).await, Permanent, FaultScope::Host, &words);
    assert!(without_flag().run(Identify).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn updates_are_downloaded_once_and_a_failure_may_pass() {
    let rig = Rig::new();
    let intent = rig.intent(Stage).await;
    rig.apply(Stage, &intent).await.unwrap();
    rig.apply(Stage, &intent).await.unwrap();
    assert!(matches!(rig.attempt(Stage, Some(&intent)).await.unwrap(), StepOutput::Done { .. }));
    assert!(matches!(rig.attempt(Stage, Some(&intent)).await.unwrap(), StepOutput::AlreadySo { .. }));
    assert_eq!(rig.count("stage"), 1);

    let failing = Rig::new();
    failing.lab.state().job = (5, 1, "Cannot download repomd.xml\nAll mirrors were tried");
    let words = ["could not download", "Cannot download repomd.xml; All mirrors were tried"];
    failed(failing.run(Stage).await, Transient, FaultScope::Host, &words);
    failing.lab.state().job = (5, 0, "");
    failing.run(Stage).await.unwrap();
    assert_eq!(failing.count("stage"), 2, "a job that ended is run again under its own name");
}

#[tokio::test(start_paused = true)]
async fn an_update_is_what_is_installed_afterwards() {
    let rig = Rig::new();
    let StepOutput::Packages { changed, digest } = rig.run(Update).await.unwrap() else { panic!() };
    let change = PackageChange {
        name: "microcode_ctl".to_owned(),
        before: vec!["2:1-1".to_owned()],
        after: vec!["2:2-1".to_owned()],
    };
    assert_eq!(changed, [change]);
    // sha256sum of `Complete!`.
    assert_eq!(digest.as_str(), "sha256:d09574256ea7ace25545cd1fc577ddfe8c7de0eff4f7a338a649598e837a0bd7");
}

#[tokio::test(start_paused = true)]
async fn an_update_that_is_under_way_is_adopted_and_one_that_ended_is_read_back() {
    let rig = Rig::new();
    let intent = rig.intent(Update).await;
    rig.apply(Update, &intent).await.unwrap();
    rig.apply(Update, &intent).await.unwrap();
    assert!(matches!(rig.probe(Update, Some(&intent)).await.unwrap(), Probe::InFlight(_)));
    tokio::time::sleep(std::time::Duration::from_secs(60)).await;
    let StepOutput::Packages { changed, .. } = rig.attempt(Update, Some(&intent)).await.unwrap() else { panic!() };
    assert_eq!(changed.len(), 1, "what changed is known although the process that saw it before is gone");
    assert_eq!(rig.count("update"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_breaks_kills_no_update() {
    let rig = Rig::new();
    rig.lab.state().later(3, |s| s.answers = false);
    rig.lab.state().later(1_000, |s| s.answers = true);
    assert!(matches!(rig.run(Update).await.unwrap(), StepOutput::Packages { .. }));
    assert_eq!(rig.count("update"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_scriptlet_that_fails_is_told_in_its_own_words() {
    let pre = Rig::new();
    pre.lab.state().job = (5, 1, "Error in PREIN scriptlet in rpm package microcode_ctl\nError: Transaction failed\n");
    let words = ["failed with status 1", "Error in PREIN scriptlet in rpm package microcode_ctl; Error: Transaction"];
    failed(pre.run(Update).await, Permanent, FaultScope::Host, &words);

    let post = Rig::new();
    post.lab.state().available = 1;
    let words = ["ended well, and left below the remedy's thresholds: microcode_ctl", "Complete!"];
    failed(post.run(Update).await, Permanent, FaultScope::Host, &words);
}

#[tokio::test(start_paused = true)]
async fn an_update_that_its_limit_ended_or_that_vanished_may_be_tried_again() {
    let slow = Rig::new();
    slow.lab.state().job = (5, 124, "");
    failed(slow.run(Update).await, Transient, FaultScope::Host, &["took longer than 2700 s"]);

    let vanished = Rig::new();
    vanished.lab.state().later(3, |s| s.jobs.clear());
    failed(vanished.run(Update).await, Transient, FaultScope::Host, &["the job on compute-1 is gone"]);

    let endless = Rig::new();
    endless.lab.state().job = (1_000_000, 0, "");
    failed(endless.run(Update).await, Transient, FaultScope::Host, &["does not end within its limit"]);
}

#[tokio::test(start_paused = true)]
async fn nothing_to_update_is_nothing_to_do() {
    let rig = Rig::new();
    rig.lab.state().installed = 2;
    for kind in [Stage, Update] {
        assert!(matches!(rig.run(kind).await.unwrap(), StepOutput::AlreadySo { .. }));
    }
    assert_eq!(rig.lab.state().effects, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn nova_conf_is_edited_where_remedy_and_policy_say_so_and_once() {
    let rig = without_flag();
    let intent = rig.intent(Configure).await;
    rig.apply(Configure, &intent).await.unwrap();
    rig.apply(Configure, &intent).await.unwrap();
    rig.attempt(Configure, Some(&intent)).await.unwrap();
    assert!(rig.lab.state().nova_conf.contains("md-clear"));
    assert!(matches!(rig.run(Configure).await.unwrap(), StepOutput::AlreadySo { .. }));
    assert_eq!(rig.count("edit"), 1);

    let mut left = without_flag();
    left.rollout.policy.nova_conf = NovaConfHandling::Leave;
    let StepOutput::AlreadySo { note } = left.run(Configure).await.unwrap() else { panic!() };
    assert!(note.contains("the policy leaves it"), "{note}");
    assert_eq!(left.count("edit"), 0);

    let failing = without_flag();
    failing.lab.state().job = (1, 1, "cannot write nova.conf");
    failed(failing.run(Configure).await, Permanent, FaultScope::Host, &["cannot write nova.conf"]);
}

#[tokio::test(start_paused = true)]
async fn a_reboot_is_not_spent_on_a_host_that_is_not_ready() {
    let rig = Rig::new();
    let words = ["a reboot of compute-1 would not mitigate it", "microcode_ctl"];
    failed(rig.run(VerifyConfig).await, Permanent, FaultScope::Host, &words);
    rig.lab.state().installed = 2;
    assert!(rig.run(VerifyConfig).await.is_ok(), "what only the reboot brings is not asked for");
}

#[tokio::test(start_paused = true)]
async fn a_host_is_mitigated_by_evidence_alone() {
    let rig = Rig::new();
    let words = ["compute-1 is vulnerable after its reboot", "mds", "Vulnerable"];
    failed(rig.run(Evidence).await, Permanent, FaultScope::Host, &words);

    rig.lab.state().installed = 2;
    rig.lab.state().sysfs = "Mitigation: Clear CPU buffers; SMT vulnerable";
    let StepOutput::Proven { verdict, .. } = rig.run(Evidence).await.unwrap() else { panic!() };
    assert_eq!(verdict.verdict, VerdictKind::Mitigated);
}

#[tokio::test(start_paused = true)]
async fn evidence_that_cannot_be_seen_yet_is_waited_for() {
    let ready = || {
        let rig = Rig::new();
        rig.lab.state().installed = 2;
        rig.lab.state().sysfs = "Mitigation: Clear CPU buffers";
        rig.lab.state().vulnerabilities_readable = false;
        rig
    };
    let rig = ready();
    rig.lab.state().later(100, |s| s.vulnerabilities_readable = true);
    assert!(matches!(rig.run(Evidence).await.unwrap(), StepOutput::Proven { .. }));
    let words = ["does not show whether it is mitigated", "vulnerabilities: took too long"];
    failed(ready().run(Evidence).await, Permanent, FaultScope::Host, &words);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_cannot_be_reached_has_a_class_for_each_cause() {
    for (kind, class) in [
        (HostErrorKind::Unreachable, Transient),
        (HostErrorKind::AccessDenied, NeedsOperator),
        (HostErrorKind::HostKey, NeedsOperator),
        (HostErrorKind::BecomeDenied, NeedsOperator),
        (HostErrorKind::Protocol, Permanent),
    ] {
        for step in [Stage, Update, Configure, VerifyConfig, Evidence] {
            let rig = Rig::new();
            rig.lab.state().fault("collect", Fault::Host(kind));
            failed(rig.run(step).await, class, FaultScope::Host, &["could not read the facts of compute-1"]);
        }
    }
}

#[test]
fn the_job_of_a_step_is_a_unit_of_its_own() {
    let rig = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    rig.block_on(async {
        let rig = Rig::new();
        let intent = rig.intent(Update).await;
        let unit = HostMemory::unit(rig.run, &Rig::step(Update));
        assert!(matches!(&intent, Intent::Job { unit: named, .. } if *named == unit.to_string()));
        rig.apply(Update, &intent).await.unwrap();
        assert_eq!(rig.lab.state().jobs.get(&unit), Some(&JobStatus::Running));
    });
}

#[tokio::test(start_paused = true)]
async fn what_a_reboot_takes_from_a_host_keeps_it_out_of_service_unless_the_policy_lets_it_pass() {
    let rebooted = |fingerprint: &'static str| {
        let mut rig = Rig::new();
        rig.lab.state().installed = 2;
        rig.lab.state().sysfs = "Mitigation: Clear CPU buffers";
        let before = "cpus\t64\nlink ens1\tup\nmount /srv\t\n";
        let things = before.lines().filter_map(|line| line.split_once('\t'));
        let things = things.map(|(thing, amount)| (thing.to_owned(), amount.to_owned())).collect();
        rig.memory.fingerprint = Some(Box::new(Fingerprint::new(things)));
        rig.lab.state().fingerprint = fingerprint;
        rig
    };
    let words = ["is mitigated, and is not what it was before its reboot", "/srv is not mounted", "link ens1 is gone"];
    let lost = rebooted("cpus\t64\n");
    failed(lost.run(Evidence).await, Permanent, FaultScope::Host, &words);
    assert!(lost.lab.began.elapsed().as_secs() >= 600, "it was given its time");

    let late = rebooted("cpus\t64\n");
    late.lab.state().later(200, |s| s.fingerprint = "cpus\t64\nlink ens1\tup\nmount /srv\t\n");
    assert!(matches!(late.run(Evidence).await.unwrap(), StepOutput::Proven { lost, .. } if lost.is_empty()));

    let mut told = rebooted("cpus\t64\nmount /srv\t\n");
    told.rollout.policy.fingerprint.on_loss = OnFailure::Warn;
    let StepOutput::Proven { lost, .. } = told.run(Evidence).await.unwrap() else { panic!() };
    assert_eq!(lost, ["link ens1 is gone or down"]);

    let mut ignored = rebooted("cpus\t64\nmount /srv\t\n");
    ignored.rollout.policy.fingerprint.ignore = vec!["link ens1".to_owned()];
    assert!(matches!(ignored.run(Evidence).await.unwrap(), StepOutput::Proven { lost, .. } if lost.is_empty()));
}

#[tokio::test(start_paused = true)]
async fn all_updates_are_installed_where_the_policy_says_so_and_only_there() {
    let mut rig = Rig::held();
    rig.rollout.policy.packages.all_updates = true;
    let StepOutput::Packages { changed, .. } = rig.run(Update).await.unwrap() else { panic!() };
    assert_eq!(changed.len(), 1);
    let intent = rig.intent(Stage).await;
    assert!(matches!(&intent, Intent::Job { summary, .. } if summary == "download everything"), "{intent:?}");
    // Nothing tells whether there is more: only the job's own end says that it was done.
    assert!(matches!(rig.probe(Update, None).await.unwrap(), Probe::Done(_)));
}
