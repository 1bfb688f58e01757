//! A small region and its rollout, and a hand that plays events, for the tests of this room.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::model::{
    Digest, Host, HostFacts, HostIdentity, HostName, Instance, InstanceHandling, InstanceId, InstanceStatus, Policy,
    ProjectId, Region, RegionKind, Resources, RolloutId, RunId, Service, ServiceId, ServiceState, ServiceStatus,
    StepId, ZoneName,
};
use crate::plan::{Certificate, PlannedHost, PlannedMove, Rollout, RolloutKind};
use crate::remedy::{Verdict, VerdictKind};
use crate::run::event::{Event, EventKind, LeavingInstance, Runner, StepOutput};
use crate::run::schedule::{Decision, decide};
use crate::run::state::RunState;
use crate::workflow::StepKind;

/// Plays a run by hand.
pub(super) struct Play {
    pub state: RunState,
    pub now: Timestamp,
    /// Every event, to be replayed.
    pub events: Vec<Event>,
    pub region: Region,
}

pub(super) fn service(host: &str) -> Service {
    Service {
        id: ServiceId::new(format!("service-{host}")),
        state: ServiceState::Up,
        status: ServiceStatus::Enabled,
        disabled_reason: None,
        forced_down: false,
    }
}

fn host(name: &str) -> Host {
    Host {
        host: name.into(),
        zone: Some(ZoneName::new("az1")),
        rack: None,
        aggregates: vec![],
        traits: vec![],
        cell: None,
        hypervisor: None,
        identity: HostIdentity::default(),
        service: service(name),
        capacity: Resources::basic(64, 65_536, 1_000),
        facts: HostFacts::default(),
    }
}

/// The instance `number`.
pub(super) fn id(number: u128) -> InstanceId {
    InstanceId::new(Uuid::from_u128(number))
}

fn instance(number: u128, host: &str) -> Instance {
    Instance {
        id: id(number),
        name: format!("vm{number}"),
        project: ProjectId::new("p"),
        host: Some(host.into()),
        status: InstanceStatus::Active,
        task_state: None,
        power: None,
        locked: false,
        resources: Resources::basic(1, 1024, 10),
        group: None,
        pinned_zone: None,
        traits: vec![],
        flavor: None,
        image: std::collections::BTreeMap::new(),
        metadata: std::collections::BTreeMap::new(),
    }
}

/// What `resolve` finds of instance `number`.
pub(super) fn leaving(number: u128) -> LeavingInstance {
    let instance = instance(number, "anywhere");
    LeavingInstance {
        id: instance.id,
        name: instance.name,
        project: instance.project,
        from: None,
        status: instance.status,
        handling: InstanceHandling::LiveMigrate,
        resources: instance.resources,
        group: None,
        pinned_zone: None,
        traits: vec![],
        flavor: None,
        image: std::collections::BTreeMap::new(),
    }
}

fn remedy() -> crate::remedy::Remedy {
    serde_json::from_value(serde_json::json!({"format": 1, "kind": "remedy", "name": "test", "title": "a test"}))
        .unwrap()
}

impl Play {
    /// `spare` is mitigated and empty; `hosts` are to be remedied, with one instance each, numbered from 1, that goes
    /// to `spare`.
    pub(super) fn of(hosts: &[&str], adapt: impl FnOnce(&mut Rollout)) -> Self {
        Self::within(hosts, |_| {}, adapt)
    }

    /// The same in a region with something else to it.
    pub(super) fn within(hosts: &[&str], change: impl FnOnce(&mut Region), adapt: impl FnOnce(&mut Rollout)) -> Self {
        let now: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let moves = |number: usize, name: &str| PlannedMove {
            instance: id(number as u128 + 1),
            name: format!("vm{}", number + 1),
            project: ProjectId::new("p"),
            from: name.into(),
            to: "spare".into(),
            resources: Resources::basic(1, 1024, 10),
            group: None,
            start_s: 0.0,
            finish_s: 1.0,
        };
        let planned = |(number, name): (usize, &&str)| PlannedHost {
            host: (*name).into(),
            zone: Some(ZoneName::new("az1")),
            rack: None,
            roles: Vec::new(),
            drain_only: false,
            order: u32::try_from(number).unwrap() + 1,
            canary: false,
            start_s: 0.0,
            finish_s: 600.0,
            work: None,
            service: service(name),
            identity: HostIdentity::default(),
            verdict: Verdict { verdict: VerdictKind::Vulnerable, evidence: vec![] },
            moves: vec![moves(number, name)],
            cold_boot: None,
        };
        let mut policy = Policy::default();
        policy.limits.hosts = crate::model::Limit::at_most(2);
        policy.limits.hosts_per_zone = crate::model::Limit::at_most(2);
        let mut rollout = Rollout {
            format: 1,
            kind: RolloutKind::Rollout,
            work: crate::plan::Work::Hosts,
            id: RolloutId::new(Uuid::nil()),
            digest: Digest::new("sha256:0"),
            made_by: "test".to_owned(),
            region: "R".to_owned(),
            created: now,
            region_taken_at: now,
            seed: 0,
            remedy: remedy(),
            policy,
            configuration: Digest::new("sha256:0"),
            hosts: hosts.iter().enumerate().map(planned).collect(),
            targets: vec!["spare".into()],
            lenders: vec![],
            processors: vec![],
            zones: vec![],
            skipped: vec![],
            stays: vec![],
            blocked: vec![],
            certificate: Certificate::default(),
            notes: vec![],
        };
        adapt(&mut rollout);
        let mut region = Region {
            format: 1,
            kind: RegionKind::Region,
            taken_at: now,
            region: "R".to_owned(),
            hosts: hosts.iter().chain(&["spare"]).map(|name| host(name)).collect(),
            instances: hosts.iter().enumerate().map(|(n, name)| instance(n as u128 + 1, name)).collect(),
            aggregates: vec![],
            groups: vec![],
            histories: std::collections::BTreeMap::new(),
            gaps: vec![],
        };
        change(&mut region);
        let run = RunId::new(Uuid::nil());
        let state = RunState::new(run, Arc::new(rollout), &region);
        let mut play = Self { state, now, events: vec![], region };
        let runner = Runner { host: "here".to_owned(), pid: 1, version: "0".to_owned() };
        play.tell(EventKind::RunStarted { run, rollout: Digest::new("sha256:0"), runner });
        play
    }

    pub(super) fn tell(&mut self, kind: EventKind) {
        let event = Event { seq: self.state.seq() + 1, at: self.now, kind };
        self.state.apply(&event).unwrap();
        self.state.assert_counted_right();
        self.state.assert_survives_a_snapshot(&self.region);
        self.events.push(event);
    }

    pub(super) fn wait(&mut self, seconds: i64) {
        self.now += SignedDuration::from_secs(seconds);
    }

    /// What is decided as things stand.
    pub(super) fn decisions(&self) -> Vec<Decision> {
        decide(&self.state, self.now)
    }

    /// Carries out starts until there is none; gives the other decisions that end it.
    pub(super) fn settle(&mut self) -> Vec<Decision> {
        loop {
            let decisions = self.decisions();
            if decisions.is_empty() || !matches!(decisions[0], Decision::Start { .. }) {
                return decisions;
            }
            for decision in decisions {
                let Decision::Start { step, attempt, target, because } = decision else { panic!("{decision:?}") };
                self.tell(EventKind::StepStarted { step, attempt, target, because });
            }
        }
    }

    pub(super) fn running(&self) -> Vec<String> {
        let steps = self.state.hosts().values().flat_map(crate::run::HostState::steps);
        steps.filter(|step| step.is_running()).map(|step| step.step.id.to_string()).collect()
    }

    pub(super) fn succeed(&mut self, step: &str, output: StepOutput) {
        self.tell(EventKind::StepSucceeded { step: StepId::new(step), output });
    }

    pub(super) fn done(&mut self, step: &str) {
        self.succeed(step, StepOutput::Done { note: String::new() });
    }

    /// Everything that runs succeeds in its most ordinary way, until nothing does.
    pub(super) fn run_to_the_end(&mut self) -> Vec<Decision> {
        loop {
            let decisions = self.settle();
            let running = self.running();
            if running.is_empty() {
                return decisions;
            }
            for step in running {
                let state = self.state.step(&StepId::new(step.as_str())).unwrap();
                let (kind, target) = (state.step.kind, state.target.clone());
                let host = state.step.host.clone();
                let output = self.ordinary(kind, &host, &step, target);
                self.succeed(&step, output);
            }
        }
    }

    fn ordinary(&self, kind: StepKind, host: &HostName, step: &str, target: Option<HostName>) -> StepOutput {
        match (kind, target) {
            (StepKind::Disable, _) => StepOutput::Disabled { before: service(host.as_str()), request: None },
            (StepKind::Resolve, _) => {
                let planned = self.state.planned(host).unwrap();
                let first = step.ends_with("/resolve");
                let leaving = planned.own_moves().filter(|_| first).map(|m| leaving(m.instance.uuid().as_u128()));
                StepOutput::Resolved {
                    leaving: leaving.collect(),
                    staying: vec![],
                    differences: vec![],
                    unplanned: vec![],
                    parking: vec![],
                }
            }
            (StepKind::Move, Some(to)) => StepOutput::Moved { to, migration: Some(1), request: None },
            (StepKind::Reboot, _) => {
                StepOutput::Rebooted { before: "a".to_owned(), after: "b".to_owned(), commands: Vec::new() }
            }
            _ => StepOutput::Done { note: String::new() },
        }
    }
}
