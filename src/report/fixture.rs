//! A small rollout for tests, with names that strangers would choose.

use jiff::Timestamp;
use uuid::Uuid;

use crate::model::{
    Digest, HostIdentity, HostName, InstanceHandling, InstanceId, Policy, ProjectId, Resources, RolloutId, Service,
    ServiceId, ServiceState, ServiceStatus, ZoneName,
};
use crate::plan::{
    Certificate, Note, PlannedHost, PlannedMove, PlannedStay, Rollout, RolloutKind, Severity, SkipReason, SkippedHost,
    StayReason,
};
use crate::remedy::{Applies, Evidence, Outcome, Remedy, RemedyKind, Verdict, VerdictKind};

/// A name that tries to take over a terminal, a page and a table at once.
pub const HOSTILE: &str = "\u{1b}[2J<script>alert(1)</script>|\u{202e}x";

pub fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + second).expect("a time in this century")
}

pub fn instance(number: u128) -> InstanceId {
    InstanceId::new(Uuid::from_u128(number))
}

pub fn verdict(kind: VerdictKind, outcome: Outcome) -> Verdict {
    let evidence = Evidence {
        requirement: "mds starts with `Mitigation: Clear CPU buffers`".to_owned(),
        source: "/sys/devices/system/cpu/vulnerabilities/mds".to_owned(),
        found: Some("Vulnerable".to_owned()),
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
        order,
        canary: order == 1,
        start_s,
        finish_s: start_s + 640.0,
        service,
        identity,
        verdict: verdict(VerdictKind::Vulnerable, Outcome::Fail),
        moves,
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
        id: RolloutId::new(Uuid::from_u128(0x1111)),
        digest: Digest::new("sha256:0000"),
        made_by: "0.1.0".to_owned(),
        region: "RegionOne".to_owned(),
        created: at(60),
        region_taken_at: at(0),
        seed: 1,
        remedy,
        policy: Policy::default(),
        configuration: Digest::new("sha256:1111"),
        hosts: vec![host(1, Vec::new()), host(2, vec![planned])],
        targets: Vec::new(),
        skipped: vec![SkippedHost {
            host: HostName::new("compute-3"),
            reason: SkipReason::Disabled,
            detail: "disabled before us: \"disk trouble\"".to_owned(),
        }],
        stays: vec![PlannedStay {
            instance: instance(2),
            name: "db".to_owned(),
            project: ProjectId::new("p2"),
            host: HostName::new("compute-2"),
            reason: StayReason::Stopped,
            handling: InstanceHandling::Leave,
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
