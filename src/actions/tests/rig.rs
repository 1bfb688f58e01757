//! One host of a rollout, its steps driven as the engine drives them.

use std::time::Duration;

use serde_json::json;
use uuid::Uuid;

use super::region::{HOST, Lab, TARGET, host, id, identity, service};
use crate::actions::{ErrorClass, HostMemory, Probe, StepContext, StepError, for_step};
use crate::cloud::Accepted;
use crate::model::{
    Digest, InstanceHandling, InstanceStatus, Mark, Policy, ProjectId, Resources, RolloutId, RunId, StepId,
};
use crate::plan::{Certificate, PlannedHost, Rollout, RolloutKind};
use crate::remedy::{Remedy, Verdict, VerdictKind};
use crate::run::event::{FaultScope, Intent, LeavingInstance, ParkedInstance, StepOutput};
use crate::workflow::StepKind;

/// Everything that a step is carried out with.
pub struct Rig {
    pub lab: Lab,
    pub rollout: Rollout,
    pub memory: HostMemory,
    pub run: RunId,
    pub leaving: LeavingInstance,
    pub parked: ParkedInstance,
    pub target: crate::model::HostName,
    pub attempt: u32,
}

/// A remedy of one package and one file of sysfs.
fn remedy() -> Remedy {
    let remedy = json!({
        "format": 1, "kind": "remedy", "name": "mds",
        "packages": [{"any_of": ["microcode_ctl"], "thresholds": [{"version": "2:2-1"}]}],
        "evidence": [{"sysfs": {"file": "mds", "pass": ["Mitigation: Clear CPU buffers"], "fail": ["Vulnerable"],
                                "not_affected": ["Not affected"]}}],
    });
    serde_json::from_value(remedy).expect("a remedy")
}

fn rollout() -> Rollout {
    let planned = PlannedHost {
        host: host(HOST),
        zone: None,
        rack: None,
        roles: Vec::new(),
        drain_only: false,
        order: 1,
        canary: false,
        start_s: 0.0,
        finish_s: 100.0,
        work: None,
        service: service(HOST).service,
        identity: identity(),
        verdict: Verdict { verdict: VerdictKind::Vulnerable, evidence: Vec::new() },
        moves: Vec::new(),
        cold_boot: None,
    };
    Rollout {
        format: 1,
        kind: RolloutKind::Rollout,
        work: crate::plan::Work::Hosts,
        id: RolloutId::new(Uuid::from_u128(1)),
        digest: Digest::new("sha256:00"),
        made_by: "test".to_owned(),
        region: "RegionOne".to_owned(),
        created: super::region::epoch(),
        region_taken_at: super::region::epoch(),
        seed: 1,
        remedy: remedy(),
        policy: Policy::default(),
        configuration: Digest::new("sha256:11"),
        hosts: vec![planned],
        targets: Vec::new(),
        lenders: Vec::new(),
        processors: Vec::new(),
        zones: Vec::new(),
        skipped: Vec::new(),
        stays: Vec::new(),
        blocked: Vec::new(),
        certificate: Certificate::default(),
        notes: Vec::new(),
    }
}

impl Rig {
    /// A host in service with nothing on it.
    pub fn new() -> Self {
        Self {
            lab: Lab::new(),
            rollout: rollout(),
            memory: HostMemory::default(),
            run: RunId::new(Uuid::from_u128(0xf1ee7)),
            leaving: LeavingInstance {
                id: id(1),
                name: "vm1".to_owned(),
                project: ProjectId::new("p1"),
                from: None,
                status: InstanceStatus::Active,
                handling: InstanceHandling::LiveMigrate,
                resources: Resources::basic(1, 1024, 0),
                group: None,
                pinned_zone: None,
                traits: Vec::new(),
                flavor: None,
                image: std::collections::BTreeMap::new(),
            },
            parked: ParkedInstance {
                id: id(1),
                name: "vm1".to_owned(),
                project: ProjectId::new("p1"),
                group: None,
                priority: 0,
            },
            target: host(TARGET),
            attempt: 1,
        }
    }

    /// A host with a running instance 1 on it.
    pub fn with_instance() -> Self {
        let rig = Self::new();
        rig.lab.state().boot_server(1, InstanceStatus::Active);
        rig
    }

    /// A host in service whose policy has a probe instance.
    pub fn to_be_probed() -> Self {
        let mut rig = Self::new();
        let probe = json!({"flavor": "f", "image": "i"});
        rig.rollout.policy.probe_instance = Some(serde_json::from_value(probe).expect("a probe instance"));
        rig
    }

    /// A running instance 1 in the place of a host, whose owner consents.
    pub fn to_be_booted() -> Self {
        let mut rig = Self::with_instance();
        let said = ("fleetmend:cold-boot".to_owned(), "yes".to_owned());
        rig.lab.state().vm(1).metadata.extend([said]);
        rig.rollout.targets = vec![host(HOST)];
        rig.rollout.hosts[0].cold_boot = Some(Box::new(crate::plan::PlannedColdBoot {
            instance: id(1),
            name: "vm1".to_owned(),
            project: ProjectId::new("p1"),
            on: host(HOST),
            group: None,
            why: "its boot is from before".to_owned(),
        }));
        rig
    }

    /// A host that this run took out of service and fenced.
    pub fn held() -> Self {
        let mut rig = Self::new();
        rig.hold();
        rig.memory.fenced = true;
        rig.lab.state().unit = "inactive";
        rig
    }

    /// The policy adds a step that does `work`.
    pub fn with_extra(work: &serde_json::Value) -> Self {
        let mut rig = Self::held();
        let extra = json!({"name": "extra", "when": "after-update", "do": work});
        rig.rollout.policy.steps = vec![serde_json::from_value(extra).expect("a step")];
        rig
    }

    /// The policy silences the host's alarms.
    pub fn with_hook() -> Self {
        let mut rig = Self::held();
        let matchers = json!([{"name": "instance", "value": "{host}"}]);
        let hook =
            json!({"name": "alarms", "do": {"alertmanager": {"url": "http://alerts:9093", "matchers": matchers}}});
        rig.rollout.policy.hooks = vec![serde_json::from_value(hook).expect("a hook")];
        rig
    }

    /// Takes the host out of service in this run's name.
    pub fn hold(&mut self) {
        self.lab.state().disable(&Mark::of(self.run).reason("remedy mds in progress"));
        self.memory.service_before = Some(service(HOST).service);
    }

    pub fn step(kind: StepKind) -> StepId {
        if matches!(kind, StepKind::Move | StepKind::Stop | StepKind::Start) {
            StepId::of_instance(&host(HOST), kind.name(), id(1))
        } else if matches!(kind, StepKind::Hook | StepKind::Unhook) {
            StepId::of(&host(HOST), &format!("{kind}/alarms"))
        } else if matches!(kind, StepKind::Command | StepKind::Ansible) {
            StepId::of(&host(HOST), &format!("{kind}/extra"))
        } else {
            StepId::of(&host(HOST), kind.name())
        }
    }

    pub fn cx<'a>(&'a self, step: &'a StepId, intent: Option<&'a Intent>) -> StepContext<'a> {
        StepContext {
            run: self.run,
            step,
            attempt: self.attempt,
            rollout: &self.rollout,
            host: &self.rollout.hosts[0],
            memory: &self.memory,
            leaving: Some((&self.leaving, &self.target)),
            parked: Some(&self.parked),
            intent,
            intended: None,
            cloud: &self.lab,
            shell: &self.lab,
            outside: &self.lab,
            clock: &self.lab,
            intents: &self.lab,
            progress: &self.lab,
            poll: Duration::from_secs(1),
        }
    }

    pub async fn probe(&self, kind: StepKind, recorded: Option<&Intent>) -> Result<Probe, StepError> {
        for_step(kind).probe(&self.cx(&Self::step(kind), recorded)).await
    }

    pub async fn apply(&self, kind: StepKind, intent: &Intent) -> Result<Accepted, StepError> {
        for_step(kind).apply(&self.cx(&Self::step(kind), Some(intent)), intent).await
    }

    pub async fn verify(&self, kind: StepKind, intent: &Intent) -> Result<StepOutput, StepError> {
        let step = Self::step(kind);
        for_step(kind).verify(&self.cx(&step, Some(intent)), intent, &Accepted::default()).await
    }

    /// One attempt of a step, after `recorded` was left by an earlier one.
    pub async fn attempt(&self, kind: StepKind, recorded: Option<&Intent>) -> Result<StepOutput, StepError> {
        let (step, action) = (Self::step(kind), for_step(kind));
        match action.probe(&self.cx(&step, recorded)).await? {
            Probe::Done(output) => Ok(output),
            Probe::InFlight(intent) => {
                action.verify(&self.cx(&step, Some(&intent)), &intent, &Accepted::default()).await
            }
            Probe::Needed(intent) => {
                let cx = self.cx(&step, Some(&intent));
                let accepted = action.apply(&cx, &intent).await?;
                let last = self.last_recorded();
                action.verify(&cx, last.as_ref().unwrap_or(&intent), &accepted).await
            }
        }
    }

    /// The last intent that a step recorded by itself.
    pub fn last_recorded(&self) -> Option<Intent> {
        self.lab.recorded.lock().expect("no test panics while it holds it").clone()
    }

    /// One attempt of a step from nothing.
    pub async fn run(&self, kind: StepKind) -> Result<StepOutput, StepError> {
        self.attempt(kind, None).await
    }

    /// The intent that a first probe records.
    pub async fn intent(&self, kind: StepKind) -> Intent {
        match self.probe(kind, None).await {
            Ok(Probe::Needed(intent)) => intent,
            other => panic!("nothing to do: {other:?}"),
        }
    }

    /// How often the region was changed in this way.
    pub fn count(&self, effect: &str) -> usize {
        self.lab.state().count(effect)
    }
}

/// That `result` failed in this class and scope, saying each of `words`.
pub fn failed<T: std::fmt::Debug>(
    result: Result<T, StepError>,
    class: ErrorClass,
    scope: FaultScope,
    words: &[&str],
) -> String {
    let record = result.expect_err("it should have failed").record();
    let told = record.causes.join(" | ");
    assert_eq!((record.class, record.scope), (class, scope), "{told}");
    for word in words {
        assert!(told.contains(word), "`{word}` is not said: {told}");
    }
    assert!(!told.contains('\n'), "causes are one line each: {told}");
    told
}
