//! Steps that files add: executables and playbooks, whatever they answer.

use serde_json::json;

use super::region::{HOST, State, host};
use super::rig::{Rig, failed};
use crate::actions::ErrorClass::{Permanent, Transient};
use crate::actions::{Probe, lenient};
use crate::model::OnFailure;
use crate::outside::Call;
use crate::run::event::{FaultScope, StepOutput};
use crate::workflow::StepKind::{Ansible, Command, Hook, Unhook};

fn command() -> Rig {
    Rig::with_extra(&json!({"command": {"run": ["/bin/mend", "--host={host}"]}}))
}

fn playbook() -> Rig {
    Rig::with_extra(&json!({"ansible": {"playbook": "/etc/mend.yml", "inventory": ["/etc/hosts.ini"]}}))
}

fn commands(output: &StepOutput) -> Vec<String> {
    let StepOutput::Ran { commands, .. } = output else { panic!("{output:?}") };
    commands.iter().map(|run| run.command.join(" ")).collect()
}

#[tokio::test(start_paused = true)]
async fn a_command_is_asked_told_and_asked_again_and_one_that_is_done_is_left_alone() {
    let rig = command();
    let output = rig.run(Command).await.unwrap();
    assert_eq!(commands(&output), ["/bin/mend --host=compute-1"; 3]);
    assert_eq!(rig.count("executable"), 1);
    assert!(matches!(rig.probe(Command, None).await.unwrap(), Probe::Done(_)));
    rig.run(Command).await.unwrap();
    assert_eq!(rig.count("executable"), 1);
}

#[tokio::test(start_paused = true)]
async fn what_a_command_reads_is_json_with_all_that_it_needs() {
    let rig = command();
    rig.lab.state().executable = |state: &mut State, call: &Call| {
        state.effects.push(call.input.clone());
        (0, r#"{"done": true}"#.to_owned())
    };
    rig.run(Command).await.unwrap();
    let asked: serde_json::Value = serde_json::from_str(&rig.lab.state().effects[0]).unwrap();
    assert_eq!(asked["phase"], "probe");
    assert_eq!(asked["host"], HOST);
    assert_eq!(asked["step"], "compute-1/command/extra");
    assert_eq!(asked["identity"]["machine_id"], "0123456789abcdef0123456789abcdef");
    assert_eq!(asked["begun"], false);
}

#[tokio::test(start_paused = true)]
async fn each_bad_answer_of_a_command_has_its_class_and_words() {
    type Script = fn(&mut State, &Call) -> (i32, String);
    let cases: [(Script, crate::actions::ErrorClass, &str); 4] = [
        (|_, _| (75, "queue full".to_owned()), Transient, "ended with status 75: queue full"),
        (|_, _| (3, "no such image".to_owned()), Permanent, "ended with status 3: no such image"),
        (|_, _| (0, "ok".to_owned()), Permanent, "no JSON object"),
        (|_, _| (0, r#"{"done": false, "note": "2 of 3"}"#.to_owned()), Permanent, "not done | 2 of 3"),
    ];
    for (script, class, words) in cases {
        let rig = command();
        rig.lab.state().executable = script;
        failed(rig.run(Command).await, class, FaultScope::Host, &[words]);
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_command_began_is_waited_for_and_adopted_after_a_crash() {
    let rig = command();
    rig.lab.state().executable = |state: &mut State, call: &Call| {
        let acts = call.input.contains("\"apply\"");
        if acts {
            state.effects.push("launch".to_owned());
            state.later(600, |s| s.effects.push("finished".to_owned()));
        }
        let (done, in_flight) = (state.count("finished") > 0, state.count("launch") > 0);
        (0, json!({"done": done, "in_flight": in_flight}).to_string())
    };
    let intent = rig.intent(Command).await;
    rig.apply(Command, &intent).await.unwrap();
    assert_eq!(rig.probe(Command, Some(&intent)).await.unwrap(), Probe::InFlight(intent.clone()));
    let output = rig.attempt(Command, Some(&intent)).await.unwrap();
    assert_eq!(rig.count("launch"), 1);
    assert!(commands(&output).len() < 10, "looks that say nothing new are not kept");
}

#[tokio::test(start_paused = true)]
async fn a_host_whose_name_is_no_plain_name_is_given_to_no_command() {
    for name in ["all,other", "-rf", "$(reboot)", "a b", "a\nb", "*", "~.*"] {
        for (mut rig, kind) in [(command(), Command), (playbook(), Ansible)] {
            rig.rollout.hosts[0].host = host(name);
            failed(rig.run(kind).await, Permanent, FaultScope::Host, &["no name that a command may be given"]);
            assert_eq!(rig.lab.state().kept, []);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_playbook_runs_on_this_host_alone_and_is_checked_before_and_after() {
    let rig = playbook();
    let output = rig.run(Ansible).await.unwrap();
    let call = "/usr/bin/ansible-playbook --inventory /etc/hosts.ini --limit compute-1";
    let expected = ["--list-hosts /etc/mend.yml", "--check /etc/mend.yml", "/etc/mend.yml", "--check /etc/mend.yml"];
    assert_eq!(commands(&output), expected.map(|rest| format!("{call} {rest}")));
    assert!(matches!(rig.probe(Ansible, None).await.unwrap(), Probe::Done(_)));
}

#[tokio::test(start_paused = true)]
async fn a_playbook_that_would_run_on_more_or_on_nothing_is_not_run() {
    type Script = fn(&mut State, &Call) -> (i32, String);
    let cases: [(Script, &str); 2] = [
        (
            |_, _| (0, "    hosts (2):\n      compute-1\n      compute-2\n".to_owned()),
            "would run on more than compute-1",
        ),
        (|_, _| (0, "    hosts (0):\n".to_owned()), "runs on no host called compute-1"),
    ];
    for (script, words) in cases {
        let rig = playbook();
        rig.lab.state().executable = script;
        failed(rig.run(Ansible).await, Permanent, FaultScope::Host, &[words]);
        assert_eq!(rig.lab.state().kept.len(), 1, "{words}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_playbook_that_fails_or_does_not_reach_its_host_says_so() {
    let rig = playbook();
    rig.lab.state().executable = |state, call| {
        let listing = call.words.iter().any(|word| word == "--list-hosts");
        if listing { super::region::obedient(state, call) } else { (4, "UNREACHABLE!".to_owned()) }
    };
    failed(rig.run(Ansible).await, Transient, FaultScope::Host, &["ansible does not reach compute-1", "UNREACHABLE!"]);
    let silent = playbook();
    silent.lab.state().executable = |state, call| {
        let listing = call.words.iter().any(|word| word == "--list-hosts");
        if listing { super::region::obedient(state, call) } else { (0, "nothing was played".to_owned()) }
    };
    failed(silent.run(Ansible).await, Permanent, FaultScope::Host, &["no good recap of compute-1"]);
}

#[tokio::test(start_paused = true)]
async fn a_step_that_may_fail_leaves_a_warning_and_one_that_may_not_stops_the_host() {
    let mut rig = command();
    rig.lab.state().executable = |_, _| (3, "no".to_owned());
    let step = Rig::step(Command);
    let result = rig.run(Command).await;
    assert!(lenient(&rig.cx(&step, None), Command, result).is_err());
    rig.rollout.policy.steps[0].on_failure = OnFailure::Warn;
    let result = rig.run(Command).await;
    let output = lenient(&rig.cx(&step, None), Command, result).unwrap();
    let StepOutput::Ran { warning: Some(warning), .. } = output else { panic!("{output:?}") };
    assert!(warning.contains("ended with status 3: no"), "{warning}");

    // What may pass is tried a few times first.
    rig.lab.state().executable = |_, _| (75, "later".to_owned());
    let result = rig.run(Command).await;
    assert!(lenient(&rig.cx(&step, None), Command, result).is_err());
    rig.attempt = 3;
    let result = rig.run(Command).await;
    assert!(lenient(&rig.cx(&step, None), Command, result).is_ok());
}

#[tokio::test(start_paused = true)]
async fn alarms_are_silenced_once_renewed_in_time_and_sound_again() {
    let rig = Rig::with_hook();
    rig.run(Hook).await.unwrap();
    assert!(matches!(rig.run(Hook).await.unwrap(), StepOutput::AlreadySo { .. }));
    assert_eq!(rig.count("silenced"), 1);
    assert_eq!(rig.lab.state().silences[0]["matchers"][0]["value"], HOST);

    // A drain that takes longer than half an hour: the next phase may end after the silence.
    tokio::time::sleep(std::time::Duration::from_secs(3600)).await;
    rig.run(Hook).await.unwrap();
    assert_eq!(rig.count("silenced"), 2);
    assert_eq!(rig.lab.state().silences.len(), 1, "the one that was there lasts longer");

    rig.run(Unhook).await.unwrap();
    assert_eq!(rig.count("not silenced"), 1);
    assert!(matches!(rig.run(Unhook).await.unwrap(), StepOutput::AlreadySo { .. }));
}

#[tokio::test(start_paused = true)]
async fn a_silence_of_somebody_else_is_left_alone() {
    let rig = Rig::with_hook();
    let foreign = json!({"comment": "disk of compute-1 is replaced", "endsAt": "2030-01-01T00:00:00Z"});
    rig.lab.state().silence(&foreign);
    rig.run(Hook).await.unwrap();
    rig.run(Unhook).await.unwrap();
    assert_eq!(rig.lab.state().silences[0]["status"]["state"], "active");
}

#[tokio::test(start_paused = true)]
async fn an_alertmanager_that_fails_has_its_class_and_a_lost_answer_silences_once() {
    for (status, words, class) in [
        (0, "connection refused", Transient),
        (503, "overloaded", Transient),
        (400, "bad matcher", Permanent),
        (200, "not a list", Permanent),
    ] {
        let rig = Rig::with_hook();
        rig.lab.state().answers_of_services.push_back((status, words.to_owned()));
        let told = if status == 200 { "cannot be read" } else { words };
        failed(rig.run(Hook).await, class, FaultScope::Host, &["hook alarms", told]);
        assert_eq!(rig.count("silenced"), 0);
        // The step is tried again.
        rig.run(Hook).await.unwrap();
        assert_eq!(rig.count("silenced"), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_does_not_open_is_the_control_planes() {
    let mut rig = command();
    rig.rollout.policy.steps[0].on_failure = OnFailure::Pause;
    rig.lab.state().executable = |_, _| (1, "3 of 200 network agents are down".to_owned());
    let step = Rig::step(Command);
    let result = rig.run(Command).await;
    let result = lenient(&rig.cx(&step, None), Command, result);
    failed(result, Transient, FaultScope::ControlPlane, &["3 of 200 network agents are down"]);
}
