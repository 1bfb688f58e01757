//! The rules, one by one.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use super::*;
use crate::model::{
    GuestCpu, HostName, Instance, InstanceHistory, InstanceId, InstanceStatus, PastAction, PastMove, Region, RequestId,
    Resources, RunId,
};
use crate::remedy::{Remedy, Verdict, VerdictKind};
use crate::run::event::{Event, EventKind, Runner, StepOutput};

const FLAG: &str = "md-clear";

/// Minutes after the beginning; host `a` and `b` are proven mitigated at minute 100.
fn minute(minute: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_mins(minute)
}

const DONE: i64 = 100;

fn remedy() -> Remedy {
    let guests = serde_json::json!({"cpu_flag": FLAG, "cold_boot": true});
    let file = serde_json::json!({"file": "mds", "pass": ["Mitigation"], "fail": ["Vulnerable"], "not_affected": []});
    let evidence = serde_json::json!([{"sysfs": file}]);
    let remedy = serde_json::json!({"format": 1, "kind": "remedy", "name": "mds", "title": "a test", "guests": guests, "evidence": evidence});
    serde_json::from_value(remedy).unwrap()
}

fn region() -> Region {
    let mut region = crate::report::fixture::region();
    let mut host = region.hosts[0].clone();
    host.facts = crate::model::HostFacts::default();
    region.hosts =
        ["a", "b", "old"].map(|name| crate::model::Host { host: HostName::new(name), ..host.clone() }).to_vec();
    region.hosts[2].facts = crate::model::HostFacts {
        architecture: Some("x86_64".to_owned()),
        kernel: Some("3.10.0-957.12.1.el7.x86_64".to_owned()),
        cpu: Some(crate::model::Cpu { vendor: "GenuineIntel".to_owned(), ..crate::model::Cpu::default() }),
        vulnerabilities: Some([("mds".to_owned(), "Vulnerable".to_owned())].into()),
        ..crate::model::HostFacts::default()
    };
    region.taken_at = minute(1000);
    region
}

/// A run that rebooted and proved `a` and `b`, with a request of its own.
fn run() -> RunTimes {
    let id = RunId::new(Uuid::from_u128(7));
    let runner = Runner { host: "r".to_owned(), pid: 1, version: "0".to_owned() };
    let mut kinds = vec![EventKind::RunStarted { run: id, rollout: crate::model::Digest::new("d"), runner }];
    for host in ["a", "b"] {
        let rebooted = StepOutput::Rebooted { before: "1".to_owned(), after: "2".to_owned(), commands: Vec::new() };
        let proven = StepOutput::Proven {
            verdict: Verdict { verdict: VerdictKind::Mitigated, evidence: Vec::new() },
            lost: Vec::new(),
        };
        for (step, output) in [("reboot", rebooted), ("evidence", proven)] {
            let step = crate::model::StepId::of(&HostName::new(host), step);
            kinds.push(EventKind::StepSucceeded { step, output });
        }
    }
    let moved = StepOutput::Moved { to: "a".into(), migration: None, request: Some(RequestId::new("req-ours")) };
    kinds.push(EventKind::StepSucceeded { step: crate::model::StepId::new("old/move/x"), output: moved });
    let events: Vec<Event> =
        kinds.into_iter().zip(1..).map(|(kind, seq)| Event { seq, at: minute(DONE), kind }).collect();
    RunTimes::of(&events)
}

fn hosts() -> HostTimes {
    HostTimes::of(&region(), &remedy(), &[run()])
}

fn instance(host: &str, status: InstanceStatus) -> Instance {
    Instance {
        id: InstanceId::new(Uuid::from_u128(1)),
        name: "vm".to_owned(),
        project: "p".into(),
        host: Some(HostName::new(host)),
        status,
        resources: Resources::basic(1, 64, 1),
        ..crate::report::fixture::region().instances[0].clone()
    }
}

fn action(name: &str, at: i64, host: Option<&str>) -> PastAction {
    PastAction {
        action: name.to_owned(),
        request: RequestId::new(format!("req-{name}-{at}")),
        at: Some(minute(at)),
        host: host.map(HostName::new),
        user: Some("u".to_owned()),
        failed: false,
    }
}

/// Actions oldest first, as they are written down here.
fn history(actions: &[PastAction]) -> InstanceHistory {
    let actions = actions.iter().rev().cloned().collect();
    InstanceHistory { launched_at: Some(minute(0)), actions, ..InstanceHistory::default() }
}

fn cpu(policy: Option<&str>) -> GuestCpu {
    let features = policy.map(|policy| (FLAG.to_owned(), policy.to_owned())).into_iter().collect();
    GuestCpu { mode: "custom".to_owned(), model: Some("Nehalem".to_owned()), features, runs_s: None }
}

/// An instance that was made on `old` at minute 0 and brought to `a` at minute 110, when that was done, with what was done
/// to it beside.
fn evacuated(done: &[PastAction]) -> InstanceHistory {
    let before = [action("create", 0, Some("old")), action("live-migration", 110, None)];
    let mut all: Vec<PastAction> = before.iter().chain(done).cloned().collect();
    all.sort_by_key(|action| action.at);
    history(&all)
}

/// The verdict on such an instance.
fn after(done: &[PastAction]) -> Entry {
    judge(&instance("a", InstanceStatus::Active), Some(&evacuated(done)), None, FLAG, &hosts())
}

#[test]
fn what_owners_do_by_themselves_is_credited_as_it_was_seen() {
    for (name, done, verdict) in [
        ("nothing", vec![], Renewal::Due),
        ("stop and start", vec![action("stop", 199, Some("a")), action("start", 200, Some("a"))], Renewal::Renewed),
        ("start before the mitigation", vec![action("start", 50, Some("b"))], Renewal::Due),
        ("start where nothing is mitigated", vec![action("start", 200, Some("old"))], Renewal::Due),
        ("a reboot, hard or soft", vec![action("reboot", 200, Some("a"))], Renewal::Unknown),
        ("a reboot before", vec![action("reboot", 50, Some("b"))], Renewal::Due),
        (
            "cold migration",
            vec![action("migrate", 200, Some("a")), action("confirmResize", 201, None)],
            Renewal::Renewed,
        ),
        ("resize", vec![action("resize", 200, Some("b"))], Renewal::Renewed),
        ("rebuild", vec![action("rebuild", 200, Some("a"))], Renewal::Renewed),
        ("evacuate", vec![action("evacuate", 200, Some("a"))], Renewal::Renewed),
        (
            "shelve and unshelve",
            vec![action("shelve", 199, None), action("unshelve", 200, Some("a"))],
            Renewal::Renewed,
        ),
        ("live migration", vec![action("live-migration", 200, None)], Renewal::Due),
        ("suspend and resume", vec![action("suspend", 200, None), action("resume", 201, None)], Renewal::Due),
        ("pause and unpause", vec![action("pause", 200, None), action("unpause", 201, None)], Renewal::Due),
        (
            "rescue and unrescue",
            vec![action("rescue", 200, Some("a")), action("unrescue", 201, Some("a"))],
            Renewal::Due,
        ),
        ("something of tomorrow", vec![action("transmogrify", 200, None)], Renewal::Unknown),
        (
            "tomorrow's, and then a start",
            vec![action("transmogrify", 150, None), action("start", 200, Some("a"))],
            Renewal::Renewed,
        ),
    ] {
        let entry = after(&done);
        assert_eq!(entry.verdict, verdict, "{name}: {}", entry.why);
    }
}

#[test]
fn what_failed_renews_nothing() {
    let failed = PastAction { failed: true, ..action("start", 200, Some("a")) };
    assert_eq!(after(&[failed]).verdict, Renewal::Due);
}

#[test]
fn who_renewed_it_is_told_and_our_own_requests_are_known() {
    let ours = PastAction { request: RequestId::new("req-ours"), ..action("start", 200, Some("a")) };
    assert_eq!(after(&[ours]).who, Some(Who::Run(RunId::new(Uuid::from_u128(7)))));
    let entry = after(&[action("start", 200, Some("a"))]);
    assert_eq!(
        (entry.who, entry.by.as_deref(), entry.at),
        (Some(Who::User("u".to_owned())), Some("start"), Some(minute(200)))
    );
    assert_eq!(entry.on, Some(HostName::new("a")));
}

#[test]
fn a_soft_reboot_renews_only_a_guest_with_its_hosts_model_that_was_never_migrated() {
    let mut region = region();
    for host in &mut region.hosts {
        host.facts.nova_conf = Some(BTreeMap::new());
    }
    let hosts = HostTimes::of(&region, &remedy(), &[run()]);
    let mut told = history(&[action("create", 0, Some("a")), action("reboot", 200, Some("a"))]);
    let judged = |told: &InstanceHistory| judge(&instance("a", InstanceStatus::Active), Some(told), None, FLAG, &hosts);
    assert_eq!(judged(&told).verdict, Renewal::Renewed);
    told.moves = vec![PastMove { from: "b".into(), to: "a".into(), at: minute(150) }];
    assert_eq!(judged(&told).verdict, Renewal::Unknown);
}

#[test]
fn what_the_host_shows_decides_over_what_nova_says() {
    let judged = |done: &[PastAction], live: GuestCpu| {
        judge(&instance("a", InstanceStatus::Active), Some(&evacuated(done)), Some(&live), FLAG, &hosts()).verdict
    };
    let started = [action("start", 200, Some("a"))];
    assert_eq!(judged(&started, cpu(Some("require"))), Renewal::Renewed);
    assert_eq!(judged(&started, cpu(Some("disable"))), Renewal::Exposed, "exposed whatever Nova says");
    assert_eq!(judged(&started, cpu(None)), Renewal::Exposed, "its start should have brought it");
    assert_eq!(judged(&[], cpu(Some("disable"))), Renewal::Exposed);
    assert_eq!(judged(&[], cpu(None)), Renewal::Due);
    assert_eq!(judged(&[], cpu(Some("require"))), Renewal::Renewed, "a hard reboot that Nova forgot");
    assert_eq!(judged(&[action("reboot", 200, Some("a"))], cpu(Some("require"))), Renewal::Renewed);
    assert_eq!(judged(&[action("reboot", 200, Some("a"))], cpu(None)), Renewal::Due);
    let inferred = history(&[action("create", 0, Some("a"))]);
    let entry = judge(&instance("a", InstanceStatus::Active), Some(&inferred), Some(&cpu(None)), FLAG, &hosts());
    assert_eq!((entry.verdict, entry.by), (Renewal::Due, None), "a reboot of its host began nothing anew");
    let passthrough = GuestCpu { mode: "host-passthrough".to_owned(), ..GuestCpu::default() };
    assert_eq!(judged(&started, passthrough.clone()), Renewal::Renewed);
    assert_eq!(judged(&[], passthrough), Renewal::Due);
}

#[test]
fn without_a_host_in_the_action_the_way_of_migrations_tells_where_it_began() {
    let mut told =
        history(&[action("create", 0, None), action("start", 200, None), action("live-migration", 300, None)]);
    told.moves = vec![PastMove { from: "old".into(), to: "a".into(), at: minute(300) }];
    let judged =
        |told: &InstanceHistory| judge(&instance("a", InstanceStatus::Active), Some(told), None, FLAG, &hosts());
    assert_eq!(judged(&told).verdict, Renewal::Due, "it began on `old`");
    told.moves[0].from = "b".into();
    assert_eq!(judged(&told).verdict, Renewal::Renewed);
    told.moves.clear();
    assert_eq!(judged(&told).verdict, Renewal::Unknown, "the record of that migration is gone");
}

#[test]
fn what_begins_as_its_host_is_mitigated_counts_unless_it_has_left_since() {
    let judged = |done: &[PastAction]| {
        let all: Vec<PastAction> = [action("create", 0, Some("old"))].iter().chain(done).cloned().collect();
        judge(&instance("a", InstanceStatus::Active), Some(&history(&all)), None, FLAG, &hosts()).verdict
    };
    let near = [action("start", DONE - 1, Some("a"))];
    assert_eq!(judged(&near), Renewal::Renewed, "nothing ran there when it was rebooted");
    let left = |minute| [action("start", minute, Some("b")), action("live-migration", DONE + 1, None)];
    assert_eq!(judged(&left(DONE - 1)), Renewal::Unknown);
    assert_eq!(judged(&left(DONE - 3)), Renewal::Due);
}

#[test]
fn what_was_there_when_its_host_rebooted_and_runs_was_begun_behind_it() {
    let mut told = history(&[action("create", 0, Some("a"))]);
    let judged =
        |told: &InstanceHistory| judge(&instance("a", InstanceStatus::Active), Some(told), None, FLAG, &hosts());
    let entry = judged(&told);
    assert_eq!((entry.verdict, entry.by.as_deref()), (Renewal::Renewed, Some("host-reboot")));
    let mut ours = run();
    ours.moved.insert(instance("a", InstanceStatus::Active).id, minute(DONE + 1));
    let hosts_of_ours = HostTimes::of(&region(), &remedy(), &[ours]);
    let moved = judge(&instance("a", InstanceStatus::Active), Some(&told), None, FLAG, &hosts_of_ours);
    assert_eq!(moved.verdict, Renewal::Due, "our own clock says so, whatever Nova's says of the migration");
    told.moves = vec![PastMove { from: "b".into(), to: "a".into(), at: minute(200) }];
    assert_eq!(judged(&told).verdict, Renewal::Due, "it came there after the reboot");
    let asleep = [action("create", 0, Some("a")), action("suspend", 50, None), action("resume", 200, None)];
    assert_eq!(judged(&history(&asleep)).verdict, Renewal::Due, "it lay on disk when its host rebooted");
    let rescued =
        judge(&instance("a", InstanceStatus::Rescue), Some(&told), Some(&cpu(Some("require"))), FLAG, &hosts());
    assert_eq!(rescued.verdict, Renewal::Unknown, "what runs in a rescue is not what comes back");
}

#[test]
fn nothing_is_guessed() {
    let active = instance("a", InstanceStatus::Active);
    assert_eq!(judge(&active, None, None, FLAG, &hosts()).verdict, Renewal::Unknown);
    let unread = InstanceHistory { unread: Some("503".to_owned()), ..history(&[action("start", 200, Some("a"))]) };
    assert_eq!(judge(&active, Some(&unread), None, FLAG, &hosts()).verdict, Renewal::Unknown);
    assert_eq!(judge(&active, Some(&InstanceHistory::default()), None, FLAG, &hosts()).verdict, Renewal::Unknown);
    // A rescue launches as well, and renews nothing: a time of launch alone proves nothing.
    let launched = InstanceHistory { launched_at: Some(minute(200)), ..InstanceHistory::default() };
    assert_eq!(judge(&active, Some(&launched), None, FLAG, &hosts()).verdict, Renewal::Unknown);
    let forgotten = history(&[action("start", 50, Some("old")), action("live-migration", 110, None)]);
    assert_eq!(judge(&active, Some(&forgotten), None, FLAG, &hosts()).verdict, Renewal::Unknown, "no beginning");
    let elsewhere = history(&[action("start", 200, Some("gone"))]);
    assert_eq!(judge(&active, Some(&elsewhere), None, FLAG, &hosts()).verdict, Renewal::Unknown);
    for (status, verdict) in [
        (InstanceStatus::Shutoff, Renewal::NotRunning),
        (InstanceStatus::ShelvedOffloaded, Renewal::NotRunning),
        (InstanceStatus::Error, Renewal::Unknown),
        (InstanceStatus::Suspended, Renewal::Due),
        (InstanceStatus::Paused, Renewal::Due),
    ] {
        let told = history(&[action("create", 0, Some("old")), action("live-migration", 200, None)]);
        assert_eq!(
            judge(&instance("a", status.clone()), Some(&told), None, FLAG, &hosts()).verdict,
            verdict,
            "{status}"
        );
    }
}

#[test]
fn projects_are_counted_and_a_notice_holds_only_what_a_template_may_name() {
    let mut region = region();
    let mut due = instance("a", InstanceStatus::Active);
    due.name = "evil | name](http://x) {{project}}".to_owned();
    let done = Instance { id: InstanceId::new(Uuid::from_u128(2)), ..instance("a", InstanceStatus::Active) };
    region.histories.insert(due.id, evacuated(&[]));
    region.histories.insert(done.id, history(&[action("start", 200, Some("a"))]));
    region.instances = vec![due, done];
    let hosts = HostTimes::of(&region, &remedy(), &[run()]);
    let ledger = Ledger::of(&region, &remedy(), &hosts, &[]).unwrap();
    assert_eq!((ledger.counts.due, ledger.counts.renewed, ledger.counts.open()), (1, 1, 1));
    assert_eq!(ledger.projects.len(), 1);
    let notice = Notice::read("{{ project }}: {{due}} of {{instances}}\n{{to_do}}").unwrap();
    insta::assert_snapshot!(notice.fill(&ledger, &"p".into()), @r"
    p: 1 of 2
    | instance | id | state | why |
    |---|---|---|---|
    | evil \| name\]\(http://x\) {{project}} | 00000000-0000-0000-0000-000000000001 | due | its boot began 1970-01-01T00:00:00Z by \`create\` on old, which is vulnerable |
    ");
    assert_eq!(
        Notice::read("a\n{{password}}").unwrap_err(),
        NoticeError::NoSuchName { line: 2, name: "password".to_owned() }
    );
    assert_eq!(Notice::read("\n\n{{due").unwrap_err(), NoticeError::Unclosed { line: 3 });
    assert!(Notice::read(DEFAULT_NOTICE).is_ok());
}
