//! What holds for every kind of step: killed at any second and resumed, it comes to the same end by the same changes.

use std::time::Duration;

use tokio::time::timeout;

use super::region::{State, id};
use super::rig::Rig;
use crate::actions::{Probe, for_step};
use crate::cloud::Accepted;
use crate::model::{InstanceHandling, InstanceStatus, NovaConfHandling};
use crate::run::event::{Intent, StepOutput};
use crate::workflow::StepKind;

/// A host on which a step of that kind has work to do.
fn ready(kind: StepKind) -> Rig {
    match kind {
        StepKind::Identify | StepKind::Disable | StepKind::Stage | StepKind::Settle => Rig::new(),
        StepKind::Resolve => {
            let rig = Rig::with_instance();
            rig.lab.state().vm(1).task_state = Some("rebooting".to_owned());
            rig.lab.state().later(30, |s| s.vm(1).task_state = None);
            rig
        }
        StepKind::Move => Rig::with_instance(),
        StepKind::Stop => {
            let mut rig = Rig::with_instance();
            rig.rollout.policy.instances.named = [(id(1), InstanceHandling::StopInPlace)].into();
            rig
        }
        StepKind::Start => {
            let rig = Rig::new();
            rig.lab.state().boot_server(1, InstanceStatus::Shutoff);
            rig
        }
        StepKind::Fence | StepKind::Enable => {
            let mut rig = Rig::new();
            rig.hold();
            rig
        }
        StepKind::Update | StepKind::Reboot => Rig::held(),
        StepKind::Unfence => {
            let rig = Rig::held();
            rig.lab.state().later(5, State::report);
            rig
        }
        StepKind::Configure => {
            let mut rig = Rig::held();
            let flag = serde_json::json!({"cpu_flag": "md-clear"});
            rig.rollout.remedy.guests = Some(serde_json::from_value(flag).expect("a requirement"));
            rig.rollout.policy.nova_conf = NovaConfHandling::AddFlags;
            rig.lab.state().nova_conf = "[libvirt]\ncpu_mode = custom\ncpu_model = IvyBridge\n".to_owned();
            rig
        }
        StepKind::Command => Rig::with_extra(&serde_json::json!({"command": {"run": ["/bin/mend", "{host}"]}})),
        StepKind::Ansible => Rig::with_extra(&serde_json::json!({"ansible": {"playbook": "/etc/mend.yml"}})),
        StepKind::Hook => Rig::with_hook(),
        StepKind::Unhook => {
            let rig = Rig::with_hook();
            let mark = crate::hooks::alertmanager::mark(rig.run, &super::region::host(super::region::HOST));
            rig.lab.state().silence(&serde_json::json!({"comment": mark, "endsAt": "2030-01-01T00:00:00Z"}));
            rig.lab.state().effects.clear();
            rig
        }
        StepKind::VerifyConfig => {
            let rig = Rig::held();
            rig.lab.state().installed = 2;
            rig
        }
        StepKind::Return => {
            let rig = Rig::new();
            rig.lab.state().later(5, State::report);
            rig
        }
        StepKind::Evidence => {
            let rig = Rig::new();
            rig.lab.state().installed = 2;
            rig.lab.state().sysfs = "Mitigation: Clear CPU buffers";
            rig.lab.state().vulnerabilities_readable = false;
            rig.lab.state().later(40, |s| s.vulnerabilities_readable = true);
            rig
        }
        StepKind::Probe => Rig::to_be_probed(),
        StepKind::ColdBoot => Rig::to_be_booted(),
        StepKind::Quarantine => {
            let mut rig = Rig::new();
            rig.hold();
            rig.memory.quarantined = Some("it did not come back".to_owned());
            rig
        }
    }
}

/// One attempt; `recorded` holds the intent from before `apply`, as a journal does.
async fn attempt(rig: &Rig, kind: StepKind, recorded: &mut Option<Intent>) -> StepOutput {
    let (step, action) = (Rig::step(kind), for_step(kind));
    let before = recorded.clone();
    let found = action.probe(&rig.cx(&step, before.as_ref())).await.expect("a probe that sees");
    let (intent, needed) = match found {
        Probe::Done(output) => return output,
        Probe::Needed(intent) => (intent, true),
        Probe::InFlight(intent) => (intent, false),
    };
    *recorded = Some(intent.clone());
    let cx = rig.cx(&step, Some(&intent));
    let accepted = if needed { action.apply(&cx, &intent).await.expect("applied") } else { Accepted::default() };
    action.verify(&cx, &intent, &accepted).await.expect("verified")
}

#[tokio::test(start_paused = true)]
async fn killed_at_any_second_and_resumed_it_changes_nothing_twice() {
    for kind in StepKind::ALL.iter().copied() {
        let clean = ready(kind);
        attempt(&clean, kind, &mut None).await;
        let lasted = clean.lab.began.elapsed().as_secs();
        let effects = clean.lab.state().effects.clone();
        for second in 0..=lasted {
            let rig = ready(kind);
            let mut recorded = None;
            // What the process was doing is dropped where it stands.
            let _ = timeout(Duration::from_secs(second), attempt(&rig, kind, &mut recorded)).await;
            attempt(&rig, kind, &mut recorded).await;
            let done = rig.lab.state().effects.clone();
            if kind == StepKind::Probe {
                // One that was deleted is made once more, one that was told to go is told so again: what counts is that
                // none is left.
                assert!(rig.count("create") > 0, "{kind} killed after {second} s: {done:?}");
                assert!(rig.lab.state().servers.is_empty(), "{kind} killed after {second} s: {done:?}");
                continue;
            }
            assert_eq!(done, effects, "{kind} killed after {second} s");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn applied_twice_and_killed_before_the_record_it_changes_nothing_twice() {
    for kind in StepKind::ALL.iter().copied() {
        let clean = ready(kind);
        attempt(&clean, kind, &mut None).await;
        let effects = clean.lab.state().effects.clone();
        let rig = ready(kind);
        let Probe::Needed(intent) = rig.probe(kind, None).await.expect("a probe that sees") else { continue };
        rig.apply(kind, &intent).await.expect("applied");
        // An executable is asked before it is told; a playbook says nothing but that it finds nothing to change.
        if matches!(kind, StepKind::Command | StepKind::Ansible) {
            continue;
        }
        // Fence and reboot are orders to systemd, where the same order again is none; the one to reboot names its boot.
        if !matches!(kind, StepKind::Fence | StepKind::Unfence | StepKind::Reboot) {
            rig.apply(kind, &intent).await.expect("applied again");
        }
        let mut recorded = Some(intent);
        attempt(&rig, kind, &mut recorded).await;
        if kind != StepKind::Probe {
            attempt(&rig, kind, &mut recorded).await;
        }
        assert_eq!(rig.lab.state().effects, effects, "{kind}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_changes_nothing() {
    for kind in StepKind::ALL.iter().copied() {
        let rig = ready(kind);
        let _ = rig.probe(kind, None).await;
        assert_eq!(rig.lab.state().effects, Vec::<String>::new(), "{kind}");
        // Nor on a host that is another's, or full.
        let busy = ready(kind);
        busy.lab.state().boot_server(5, InstanceStatus::Active);
        busy.lab.state().disable("somebody else's");
        let _ = busy.probe(kind, None).await;
        assert_eq!(busy.lab.state().effects, Vec::<String>::new(), "{kind}");
    }
}
