//! A simulated region with a rollout for it, and what must hold of it whatever happened.

use std::collections::BTreeMap;
use std::sync::Arc;

use fleetmend::actions::Progress;
use fleetmend::clock::Clock;
use fleetmend::journal::memory::MemoryJournal;
use fleetmend::journal::{Journal, PlacedRequest, Request};
use fleetmend::model::{
    Digest, HostName, InstanceId, InstanceStatus, Limit, Mark, Policy, Region, RolloutId, RunId, ServiceStatus, Span,
};
use fleetmend::outside::Rung;
use fleetmend::plan::{Experience, PlanError, PlanInput, Rollout, Scope, plan};
use fleetmend::remedy::{Remedy, Verdict, VerdictKind, assess};
use fleetmend::run::{
    DriveError, DriveSettings, Engine, Event, EventKind, HostPhase, Observer, Outcome, Ports, RunEnd, RunError,
    RunState, Runner, StepOutput,
};
use fleetmend::sim::faults::Faults;
use fleetmend::sim::{Scenario, SimCloud, SimOutside, SimRegion, SimShell};
use fleetmend::{config, inventory};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::fuse::{Cut, Fuse};

/// Keeps what happened.
#[derive(Default)]
pub(super) struct Notes(pub Vec<Event>);

impl Observer for Notes {
    fn event(&mut self, _state: &RunState, event: &Event) {
        self.0.push(event.clone());
    }

    fn progress(&mut self, _state: &RunState, _progress: &Progress) {}
}

/// A simulated region with a rollout for it, and a journal.
pub(super) struct Stage {
    pub region: Arc<SimRegion>,
    pub cloud: Arc<SimCloud>,
    pub remedy: Remedy,
    pub rollout: Rollout,
    pub snapshot: Region,
    pub journal: Arc<MemoryJournal>,
    pub run: RunId,
    /// Commands for hosts that do not come back.
    pub rungs: Vec<Rung>,
    /// Instances that ran or were paused at the start.
    pub alive: BTreeMap<InstanceId, InstanceStatus>,
}

/// Six hosts, one of them empty, 30 instances.
pub(super) fn scenario(faults: Faults) -> Scenario {
    Scenario { empty_hosts: 1, zones: 1, faults, ..Scenario::sized(6, 30, 7) }
}

pub(super) fn policy() -> Policy {
    let mut policy = Policy { settle: Span::seconds(120), ..Policy::default() };
    // Nova's own patience would be hours of virtual time for a migration that hangs.
    policy.patience.migration_per_gib = Span::seconds(60);
    policy.limits.hosts = Limit::at_most(2);
    policy.limits.hosts_per_zone = Limit::at_most(2);
    policy.canary.soak = Span::seconds(60);
    policy.failure_budget.per_zone = 2;
    policy
}

impl Stage {
    /// A region and the rollout that remedies all of it.
    pub async fn set(scenario: &Scenario, policy: Policy) -> Self {
        Self::set_for(scenario, policy, Scope::default()).await
    }

    /// A region and the rollout that remedies a selection of its hosts.
    pub async fn set_for(scenario: &Scenario, policy: Policy, scope: Scope) -> Self {
        Self::try_set(scenario, policy, scope).await.unwrap()
    }

    /// The same, unless there is no plan.
    pub async fn try_set(scenario: &Scenario, policy: Policy, scope: Scope) -> Result<Self, PlanError> {
        let region = SimRegion::new(scenario.build(), 1.0);
        let cloud = Arc::new(SimCloud::new(Arc::clone(&region)));
        let shell = SimShell::new(Arc::clone(&region));
        let text = config::shipped::find(config::shipped::REMEDIES, "mds").unwrap().text;
        let remedy = config::read_remedy("mds.yaml", text).unwrap();
        let order = inventory::Order {
            cloud: cloud.as_ref(),
            shell: Some(&shell),
            inquiry: &remedy.inquiry(),
            parallel: 8,
            rack_keys: &["rack".to_owned()],
            own: &inventory::OwnPlaces::default(),
            taken_at: region.clock().now(),
        };
        let snapshot = inventory::take(&order, &|_| {}).await.unwrap();
        let verdicts: BTreeMap<HostName, Verdict> =
            snapshot.hosts.iter().map(|host| (host.host.clone(), assess(&host.facts, &remedy))).collect();
        let input = PlanInput {
            region: &snapshot,
            verdicts: &verdicts,
            remedy: &remedy,
            policy: &policy,
            scope: &scope,
            experience: &Experience::default(),
            configuration: Digest::new("sha256:none"),
            seed: 1,
            now: region.clock().now(),
            id: RolloutId::new(Uuid::nil()),
        };
        let (rollout, _report) = plan(&input)?;
        let runs = |status: &InstanceStatus| matches!(status, InstanceStatus::Active | InstanceStatus::Paused);
        let alive = snapshot.instances.iter().filter(|instance| runs(&instance.status));
        let alive = alive.map(|instance| (instance.id, instance.status.clone())).collect();
        let run = RunId::new(Uuid::from_u128(1));
        Ok(Self { region, cloud, remedy, rollout, snapshot, journal: Arc::default(), run, rungs: Vec::new(), alive })
    }

    pub fn engine(&self) -> Engine {
        Engine {
            ports: Ports {
                cloud: Arc::clone(&self.cloud) as _,
                shell: Arc::new(SimShell::new(Arc::clone(&self.region))),
                outside: Arc::new(SimOutside::new(Arc::clone(&self.region), self.rungs.clone())),
                clock: Arc::new(self.region.clock()),
            },
            journal: Arc::clone(&self.journal) as _,
            runner: Runner { host: "test".to_owned(), pid: 1, version: "test".to_owned() },
            settings: DriveSettings::default(),
            take_over: false,
        }
    }

    pub async fn begin(&self, notes: &mut Notes) -> Result<RunEnd, RunError> {
        let (_steer, steered) = mpsc::channel(1);
        self.engine().begin(self.run, self.rollout.clone(), &self.snapshot, steered, notes).await
    }

    /// Begins the run and kills it where `burns` says so; gives its end when it came to one.
    pub async fn begin_until(
        &self,
        notes: &mut Notes,
        burns: impl FnMut(&Event) -> Cut + Send + 'static,
    ) -> Option<RunEnd> {
        let (_steer, steered) = mpsc::channel(1);
        let engine = Engine { journal: Fuse::new(Arc::clone(&self.journal), Box::new(burns)), ..self.engine() };
        match engine.begin(self.run, self.rollout.clone(), &self.snapshot, steered, notes).await {
            Ok(end) => Some(end),
            Err(RunError::Drive { source: DriveError::Journal(_), .. }) => None,
            Err(other) => panic!("{other:?}"),
        }
    }

    pub async fn resume(&self, notes: &mut Notes) -> Result<RunEnd, RunError> {
        let (_steer, steered) = mpsc::channel(1);
        self.engine().resume(self.run, steered, notes).await
    }

    pub async fn place(&self, request: Request) {
        let placed = PlacedRequest { request, by: "test".to_owned(), at: self.region.clock().now() };
        self.journal.place_request(self.run, &placed).await.unwrap();
    }

    /// The region as it stands; nothing where the cloud does not answer.
    pub async fn snapshot_again(&self) -> Option<Region> {
        let shell = SimShell::new(Arc::clone(&self.region));
        let order = inventory::Order {
            cloud: self.cloud.as_ref(),
            shell: Some(&shell),
            inquiry: &self.remedy.inquiry(),
            parallel: 8,
            rack_keys: &["rack".to_owned()],
            own: &inventory::OwnPlaces::default(),
            taken_at: self.region.clock().now(),
        };
        inventory::take(&order, &|_| {}).await.ok()
    }

    /// Nobody was harmed, whatever happened: no guest ended by a reboot, no host rebooted twice, everything that ran
    /// runs, nothing is left on its way.
    pub fn assert_unharmed(&self, context: &str) {
        self.region.with(|world| {
            assert!(world.lost().is_empty(), "{context}: lost {:?}", world.lost());
            for host in world.hosts() {
                assert!(
                    host.machine.reboots <= 1,
                    "{context}: {} was rebooted {} times",
                    host.name,
                    host.machine.reboots
                );
            }
            for (id, status) in &self.alive {
                if let Ok(server) = world.server(*id)
                    && !server.is_deleted()
                {
                    assert_eq!(server.status(), *status, "{context}: {id}");
                }
            }
        });
    }

    /// Every planned host but `except` is mitigated, enabled and rebooted once; no mark is left on it.
    pub async fn assert_done(&self, except: &[&str], context: &str) {
        self.assert_unharmed(context);
        let region = self.snapshot_again().await.unwrap();
        for planned in &self.rollout.hosts {
            let name = &planned.host;
            if except.contains(&name.as_str()) {
                continue;
            }
            let verdict = assess(&region.host(name).unwrap().facts, &self.remedy).verdict;
            assert_eq!(verdict, VerdictKind::Mitigated, "{context}: {name}");
            self.region.with(|world| {
                let host = world.host(name).unwrap();
                assert_eq!(host.service.status, ServiceStatus::Enabled, "{context}: {name}");
                assert_eq!(host.service.disabled_reason, None, "{context}: {name}");
                assert_eq!(host.machine.reboots, 1, "{context}: {name}");
            });
        }
    }
}

/// Moves that were made, by instance.
pub(super) fn moves(events: &[Event]) -> BTreeMap<String, usize> {
    let mut moves = BTreeMap::new();
    for event in events {
        if let EventKind::StepSucceeded { step, output: StepOutput::Moved { .. } } = &event.kind {
            *moves.entry(step.to_string()).or_default() += 1;
        }
    }
    moves
}

pub(super) async fn quarantined(stage: &Stage) -> BTreeMap<HostName, String> {
    let state = fleetmend::run::load(stage.journal.as_ref(), stage.run).await.unwrap();
    let quarantined = state.hosts().iter().filter(|(_, host)| host.phase == HostPhase::Quarantined);
    quarantined.map(|(name, host)| (name.clone(), host.why.clone().unwrap_or_default())).collect()
}

impl Stage {
    /// In the middle of a run instances may be on their way, but nobody is harmed.
    pub fn assert_harmless_so_far(&self, context: &str) {
        self.region.with(|world| {
            assert!(world.lost().is_empty(), "{context}: lost {:?}", world.lost());
            assert!(world.hosts().all(|host| host.machine.reboots <= 1), "{context}");
        });
    }
}

/// The first planned host that has instances to move and is no canary.
pub(super) fn victim(stage: &Stage) -> String {
    let victim = stage.rollout.hosts.iter().find(|host| !host.canary && !host.moves.is_empty());
    victim.unwrap().host.to_string()
}

/// Runs with faults made for the victim of the same plan without faults.
pub(super) async fn with_faults(faults: impl FnOnce(&Stage, &str) -> Faults) -> (Stage, String) {
    let calm = Stage::set(&scenario(Faults::default()), policy()).await;
    let victim = victim(&calm);
    let faults = faults(&calm, &victim);
    (Stage::set(&scenario(faults), policy()).await, victim)
}

pub(super) async fn assert_only_the_victim_is_quarantined(stage: &Stage, victim: &str, words: &str) {
    let end = stage.begin(&mut Notes::default()).await.unwrap();
    assert_eq!(end.outcome, Some(Outcome::DoneWithFailures), "{:?}", end.state.status());
    let quarantined = quarantined(stage).await;
    assert_eq!(quarantined.keys().map(HostName::as_str).collect::<Vec<_>>(), [victim], "{quarantined:?}");
    let reason = &quarantined[&HostName::new(victim)];
    assert!(reason.contains(words), "{reason}");
    stage.assert_done(&[victim], words).await;
    stage.region.with(|world| {
        let service = &world.host(&victim.into()).unwrap().service;
        assert_eq!(service.status, ServiceStatus::Disabled);
        let written = service.disabled_reason.as_deref().unwrap();
        assert_eq!(Mark::read(written), Some(Mark::of(stage.run)), "{written}");
    });
}
