//! A small rollout for tests, with names that strangers would choose.

use jiff::Timestamp;
use uuid::Uuid;

use crate::actions::ErrorClass;
use crate::model::{
    Digest, Host, HostFacts, HostIdentity, HostName, Instance, InstanceHandling, InstanceId, InstanceStatus, Policy,
    ProjectId, Region, RegionKind, RequestId, Resources, RolloutId, RunId, Service, ServiceId, ServiceState,
    ServiceStatus, StepId, ZoneName,
};
use crate::plan::{
    Certificate, Note, PlannedHost, PlannedMove, PlannedStay, Rollout, RolloutKind, Severity, SkipReason, SkippedHost,
    StayReason,
};
use crate::remedy::{Applies, Evidence, Outcome, Remedy, RemedyKind, Verdict, VerdictKind};
use crate::run::event::{
    Event, EventKind, FaultScope, GateName, Intent, LeavingInstance, Outcome as RunOutcome, PackageChange, Runner,
    StepFailure, StepOutput,
};

/// A name that tries to take over a terminal, a page and a table at once.
pub const HOSTILE: &str = "\u{1b}[2J<script>alert(1)</script>|\u{202e}x";

pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).expect("a time in this century")
}

pub fn instance(number: u128) -> InstanceId {
    InstanceId::new(Uuid::from_u128(number))
}

pub fn verdict(kind: VerdictKind, outcome: Outcome) -> Verdict {
    let found = if outcome == Outcome::Pass { "Mitigation: Clear CPU buffers; SMT disabled" } else { "Vulnerable" };
    let evidence = Evidence {
        requirement: "mds starts with `Mitigation: Clear CPU buffers`".to_owned(),
        source: "/sys/devices/system/cpu/vulnerabilities/mds".to_owned(),
        found: Some(found.to_owned()),
        outcome,
    };
    Verdict { verdict: kind, evidence: vec![evidence] }
}

fn host(order: u32, moves: Vec<PlannedMove>) -> PlannedHost {
    let name = format!("compute-{order}");
    let identity = HostIdentity {
        machine_id: Some(format!("{order:032x}")),
        nova_host: Some(name.clone()),
        hostname: Some(format!("{name}.example")),
    };
    let service = Service {
        id: ServiceId::new(format!("service-{order}")),
        state: ServiceState::Up,
        status: ServiceStatus::Enabled,
        disabled_reason: None,
        forced_down: false,
    };
    let start_s = f64::from(order - 1) * 700.0;
    PlannedHost {
        host: HostName::new(name),
        zone: Some(ZoneName::new("az1")),
        rack: None,
        roles: Vec::new(),
        drain_only: false,
        order,
        canary: order == 1,
        start_s,
        finish_s: start_s + 640.0,
        work: None,
        service,
        identity,
        verdict: verdict(VerdictKind::Vulnerable, Outcome::Fail),
        moves,
        cold_boot: None,
    }
}

/// Two hosts to remedy, one move, one left alone, one instance that stays.
pub fn rollout() -> Rollout {
    let planned = PlannedMove {
        instance: instance(1),
        name: HOSTILE.to_owned(),
        project: ProjectId::new("p1"),
        from: HostName::new("compute-2"),
        to: HostName::new("compute-1"),
        resources: Resources::basic(2, 4096, 20),
        group: None,
        start_s: 702.0,
        finish_s: 712.0,
    };
    let remedy = Remedy {
        steps: Vec::new(),
        format: 1,
        kind: RemedyKind::Remedy,
        name: "mds".to_owned(),
        title: "Microarchitectural Data Sampling".to_owned(),
        cves: vec!["CVE-2018-12130".to_owned()],
        references: Vec::new(),
        applies: Applies::default(),
        packages: Vec::new(),
        kernel: None,
        evidence: Vec::new(),
        guests: None,
        reboot: true,
    };
    Rollout {
        format: 1,
        kind: RolloutKind::Rollout,
        work: crate::plan::Work::Hosts,
        id: RolloutId::new(Uuid::from_u128(0x1111)),
        digest: Digest::new("sha256:0000"),
        made_by: "fleetmend 0.1.0".to_owned(),
        region: "RegionOne".to_owned(),
        created: at(60),
        region_taken_at: at(0),
        seed: 1,
        remedy,
        policy: Policy::default(),
        configuration: Digest::new("sha256:1111"),
        hosts: vec![host(1, Vec::new()), host(2, vec![planned])],
        targets: Vec::new(),
        lenders: Vec::new(),
        processors: Vec::new(),
        zones: Vec::new(),
        skipped: vec![SkippedHost {
            host: HostName::new("compute-3"),
            reason: SkipReason::Disabled,
            detail: "disabled before us: \"disk trouble\"".to_owned(),
        }],
        blocked: Vec::new(),
        stays: vec![PlannedStay {
            instance: instance(2),
            name: "db".to_owned(),
            project: ProjectId::new("p2"),
            host: HostName::new("compute-2"),
            reason: StayReason::Stopped,
            handling: InstanceHandling::Leave,
            group: None,
            priority: 0,
        }],
        certificate: Certificate {
            instances: 1,
            moves: 1,
            moves_per_instance: 1.0,
            moves_lower_bound: 1,
            makespan_s: 1340.0,
            makespan_lower_bound_s: 1300.0,
            gap: 0.0308,
            bounds: [("slots".to_owned(), 1300.0), ("longest_host".to_owned(), 640.0)].into(),
            peak_hosts_out: 1,
            violations: Vec::new(),
        },
        notes: vec![
            Note { severity: Severity::Info, at: "az1".to_owned(), message: "one empty host is the seed".to_owned() },
            Note {
                severity: Severity::Warning,
                at: "compute-2".to_owned(),
                message: format!("an instance is called {HOSTILE}"),
            },
        ],
    }
}

/// The region that the rollout is for.
pub fn region() -> Region {
    let rollout = rollout();
    let host = |planned: &PlannedHost| Host {
        host: planned.host.clone(),
        zone: planned.zone.clone(),
        rack: None,
        aggregates: Vec::new(),
        traits: Vec::new(),
        cell: None,
        hypervisor: Some("QEMU".to_owned()),
        identity: planned.identity.clone(),
        service: planned.service.clone(),
        capacity: Resources::basic(64, 262_144, 2000),
        facts: HostFacts::default(),
    };
    let instance = Instance {
        id: instance(1),
        name: HOSTILE.to_owned(),
        project: ProjectId::new("p1"),
        host: Some(HostName::new("compute-2")),
        status: InstanceStatus::Active,
        task_state: None,
        power: None,
        locked: false,
        resources: Resources::basic(2, 4096, 20),
        group: None,
        pinned_zone: None,
        traits: Vec::new(),
        flavor: None,
        image: std::collections::BTreeMap::new(),
        metadata: std::collections::BTreeMap::new(),
    };
    Region {
        format: 1,
        kind: RegionKind::Region,
        taken_at: at(0),
        region: "RegionOne".to_owned(),
        hosts: rollout.hosts.iter().map(host).collect(),
        instances: vec![instance],
        aggregates: Vec::new(),
        groups: Vec::new(),
        histories: std::collections::BTreeMap::new(),
        gaps: Vec::new(),
    }
}

pub fn run_id() -> RunId {
    RunId::new(Uuid::from_u128(0x0192_f3aa))
}

fn runner(pid: u32) -> Runner {
    Runner { host: "runner-1".to_owned(), pid, version: "0.1.0".to_owned() }
}

/// A run in the making.
struct Tape {
    events: Vec<Event>,
    second: i64,
}

impl Tape {
    fn then(&mut self, after: i64, kind: EventKind) {
        self.second += after;
        let seq = self.events.len() as u64 + 1;
        self.events.push(Event { seq, at: at(self.second), kind });
    }

    fn start(&mut self, step: &str, attempt: u32, target: Option<&str>) {
        let kind = EventKind::StepStarted {
            step: StepId::new(step),
            attempt,
            target: target.map(HostName::new),
            because: None,
        };
        self.then(1, kind);
    }

    fn succeed(&mut self, step: &str, after: i64, output: StepOutput) {
        self.start(step, 1, None);
        self.then(after, EventKind::StepSucceeded { step: StepId::new(step), output });
    }

    fn simple(&mut self, step: &str, after: i64) {
        self.succeed(step, after, StepOutput::Done { note: String::new() });
    }

    fn until_resolved(&mut self, host: &str, leaving: Vec<LeavingInstance>) {
        self.simple(&format!("{host}/identify"), 1);
        let before = rollout().hosts[0].service.clone();
        let request = Some(RequestId::new("req-1"));
        self.succeed(&format!("{host}/disable"), 1, StepOutput::Disabled { before, request });
        let resolved =
            StepOutput::Resolved { leaving, staying: vec![], differences: vec![], unplanned: vec![], parking: vec![] };
        self.succeed(&format!("{host}/resolve"), 2, resolved);
    }
}

fn leaving() -> LeavingInstance {
    LeavingInstance {
        id: instance(1),
        name: HOSTILE.to_owned(),
        project: ProjectId::new("p1"),
        from: None,
        status: InstanceStatus::Active,
        handling: InstanceHandling::LiveMigrate,
        resources: Resources::basic(2, 4096, 20),
        group: None,
        pinned_zone: None,
        traits: Vec::new(),
        flavor: None,
        image: std::collections::BTreeMap::new(),
    }
}

/// A run of it: the first host comes through, the run is killed and resumed, a move is tried twice, the second host
/// does not come back from its reboot and is quarantined.
pub fn events() -> Vec<Event> {
    let mut tape = Tape { events: Vec::new(), second: 100 };
    tape.then(0, EventKind::RunStarted { run: run_id(), rollout: rollout().digest, runner: runner(11) });
    tape.until_resolved("compute-1", Vec::new());
    tape.simple("compute-1/stage", 9);
    tape.simple("compute-1/fence", 1);
    let changed = vec![PackageChange {
        name: "kernel".to_owned(),
        before: vec!["4.18.0-80.el8".to_owned()],
        after: vec!["4.18.0-80.el8".to_owned(), "4.18.0-80.1.2.el8_0".to_owned()],
    }];
    tape.succeed("compute-1/update", 40, StepOutput::Packages { changed, digest: Digest::new("sha256:22") });
    tape.simple("compute-1/configure", 1);
    tape.simple("compute-1/verify-config", 1);
    let reboot = StepOutput::Rebooted { before: "boot-a".to_owned(), after: "boot-b".to_owned(), commands: Vec::new() };
    tape.start("compute-1/reboot", 1, None);
    let intent = Intent::Reboot { boot: "boot-a".to_owned(), proven: None, rung: None };
    tape.then(1, EventKind::StepIntended { step: StepId::new("compute-1/reboot"), intent });
    tape.then(20, EventKind::RunResumed { runner: runner(12) });
    tape.then(60, EventKind::StepSucceeded { step: StepId::new("compute-1/reboot"), output: reboot });
    tape.simple("compute-1/return", 10);
    let proven = verdict(VerdictKind::Mitigated, Outcome::Pass);
    tape.succeed("compute-1/evidence", 2, StepOutput::Proven { verdict: proven, lost: Vec::new() });
    tape.simple("compute-1/enable", 1);
    tape.simple("compute-1/settle", 120);
    tape.then(0, EventKind::GateReached { gate: GateName::Canary, opens_at: Some(at(1000)) });
    tape.then(600, EventKind::GateOpened { gate: GateName::Canary, by: "its time".to_owned() });
    tape.until_resolved("compute-2", vec![leaving()]);
    let step = format!("compute-2/move/{}", instance(1));
    tape.start(&step, 1, Some("compute-1"));
    let causes = vec!["migration 7 ended as `error`".to_owned(), format!("No valid host was found for {HOSTILE}")];
    let failure = StepFailure { class: ErrorClass::Transient, scope: FaultScope::Instance, causes };
    tape.then(5, EventKind::StepFailed { step: StepId::new(&*step), failure, retry_at: Some(at(2000)) });
    tape.start(&step, 2, Some("compute-1"));
    let moved = StepOutput::Moved { to: HostName::new("compute-1"), migration: Some(8), request: None };
    tape.then(12, EventKind::StepSucceeded { step: StepId::new(&*step), output: moved });
    let nothing = StepOutput::Resolved {
        leaving: vec![],
        staying: vec![],
        differences: vec![],
        unplanned: vec![],
        parking: vec![],
    };
    tape.succeed("compute-2/resolve/2", 1, nothing);
    tape.simple("compute-2/stage", 1);
    for step in ["fence", "update", "configure", "verify-config"] {
        tape.simple(&format!("compute-2/{step}"), 1);
    }
    tape.start("compute-2/reboot", 1, None);
    let causes = vec!["compute-2 did not come back within 30m".to_owned(), "Connection timed out".to_owned()];
    let failure = StepFailure { class: ErrorClass::NeedsOperator, scope: FaultScope::Host, causes };
    tape.then(1800, EventKind::StepFailed { step: StepId::new("compute-2/reboot"), failure, retry_at: None });
    let quarantined = EventKind::HostQuarantined {
        host: HostName::new("compute-2"),
        step: StepId::new("compute-2/reboot"),
        reason: "compute-2/reboot: compute-2 did not come back within 30m".to_owned(),
    };
    tape.then(0, quarantined);
    tape.then(1, EventKind::RunEnded { outcome: RunOutcome::DoneWithFailures, requests: 123, retries: 4 });
    tape.events
}
