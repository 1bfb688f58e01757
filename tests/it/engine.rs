//! The whole engine on virtual time: planner, driver, actions and journal against the simulated region.
//!
//! A run is cut off after each of its durable appends, as by a kill between two of them, and resumed by a new process;
//! each time the region must come out as it should, and nobody harmed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use fleetmend::actions::Progress;
use fleetmend::clock::Clock;
use fleetmend::config;
use fleetmend::inventory;
use fleetmend::journal::memory::MemoryJournal;
use fleetmend::journal::{Journal, PlacedRequest, Request};
use fleetmend::model::{
    Digest, HostName, InstanceId, InstanceStatus, Limit, Mark, Policy, Region, RolloutId, RunId, ServiceStatus, Span,
};
use fleetmend::plan::{PlanInput, Rollout, Scope, plan};
use fleetmend::remedy::{Remedy, Verdict, VerdictKind, assess};
use fleetmend::run::{
    DriveError, DriveSettings, Engine, Event, EventKind, HostPhase, Observer, Outcome, Ports, RunEnd, RunError,
    RunState, Runner, StepOutput,
};
use fleetmend::sim::faults::{
    ApiFault, ApiRule, Faults, HostFault, HostRule, Incident, JobFault, JobRule, MigrationFault, MigrationRule, What,
    When,
};
use fleetmend::sim::{Scenario, SimCloud, SimRegion, SimShell};
use tokio::sync::mpsc;
use uuid::Uuid;

/// Keeps what happened.
#[derive(Default)]
struct Notes(Vec<Event>);

impl Observer for Notes {
    fn event(&mut self, _state: &RunState, event: &Event) {
        self.0.push(event.clone());
    }

    fn progress(&mut self, _state: &RunState, _progress: &Progress) {}
}

/// A simulated region with a rollout for it, and a journal.
struct Stage {
    region: Arc<SimRegion>,
    cloud: Arc<SimCloud>,
    remedy: Remedy,
    rollout: Rollout,
    snapshot: Region,
    journal: Arc<MemoryJournal>,
    run: RunId,
    /// Instances that ran or were paused at the start.
    alive: BTreeMap<InstanceId, InstanceStatus>,
}

/// Six hosts, one of them empty, 30 instances.
fn scenario(faults: Faults) -> Scenario {
    Scenario { empty_hosts: 1, zones: 1, faults, ..Scenario::sized(6, 30, 7) }
}

fn policy() -> Policy {
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
    async fn set(scenario: &Scenario, policy: Policy) -> Self {
        let region = SimRegion::new(scenario.build(), 1.0);
        let cloud = Arc::new(SimCloud::new(Arc::clone(&region)));
        let shell = SimShell::new(Arc::clone(&region));
        let text = config::shipped::find(config::shipped::REMEDIES, "mds").unwrap().text;
        let remedy = config::read_remedy("mds.yaml", text).unwrap();
        let order = inventory::Order {
            cloud: cloud.as_ref(),
            shell: Some(&shell),
            packages: &remedy.package_names(),
            parallel: 8,
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
            scope: &Scope::default(),
            configuration: Digest::new("sha256:none"),
            seed: 1,
            now: region.clock().now(),
            id: RolloutId::new(Uuid::nil()),
        };
        let (rollout, _report) = plan(&input).unwrap();
        let runs = |status: &InstanceStatus| matches!(status, InstanceStatus::Active | InstanceStatus::Paused);
        let alive = snapshot.instances.iter().filter(|instance| runs(&instance.status));
        let alive = alive.map(|instance| (instance.id, instance.status.clone())).collect();
        let run = RunId::new(Uuid::from_u128(1));
        Self { region, cloud, remedy, rollout, snapshot, journal: Arc::default(), run, alive }
    }

    fn engine(&self) -> Engine {
        Engine {
            ports: Ports {
                cloud: Arc::clone(&self.cloud) as _,
                shell: Arc::new(SimShell::new(Arc::clone(&self.region))),
                clock: Arc::new(self.region.clock()),
            },
            journal: Arc::clone(&self.journal) as _,
            runner: Runner { host: "test".to_owned(), pid: 1, version: "test".to_owned() },
            settings: DriveSettings::default(),
            take_over: false,
        }
    }

    async fn begin(&self, notes: &mut Notes) -> Result<RunEnd, RunError> {
        let (_steer, steered) = mpsc::channel(1);
        self.engine().begin(self.run, self.rollout.clone(), &self.snapshot, steered, notes).await
    }

    async fn resume(&self, notes: &mut Notes) -> Result<RunEnd, RunError> {
        let (_steer, steered) = mpsc::channel(1);
        self.engine().resume(self.run, steered, notes).await
    }

    async fn place(&self, request: Request) {
        let placed = PlacedRequest { request, by: "test".to_owned(), at: self.region.clock().now() };
        self.journal.place_request(self.run, &placed).await.unwrap();
    }

    async fn verdict(&self, host: &str) -> VerdictKind {
        let shell = SimShell::new(Arc::clone(&self.region));
        let order = inventory::Order {
            cloud: self.cloud.as_ref(),
            shell: Some(&shell),
            packages: &self.remedy.package_names(),
            parallel: 8,
            taken_at: self.region.clock().now(),
        };
        let region = inventory::take(&order, &|_| {}).await.unwrap();
        assess(&region.host(&host.into()).unwrap().facts, &self.remedy).verdict
    }

    /// Nobody was harmed, whatever happened: no guest ended by a reboot, no host rebooted twice, everything that ran
    /// runs, nothing is left on its way.
    fn assert_unharmed(&self, context: &str) {
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
    async fn assert_done(&self, except: &[&str], context: &str) {
        self.assert_unharmed(context);
        for planned in &self.rollout.hosts {
            let name = &planned.host;
            if except.contains(&name.as_str()) {
                continue;
            }
            assert_eq!(self.verdict(name.as_str()).await, VerdictKind::Mitigated, "{context}: {name}");
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
fn moves(events: &[Event]) -> BTreeMap<String, usize> {
    let mut moves = BTreeMap::new();
    for event in events {
        if let EventKind::StepSucceeded { step, output: StepOutput::Moved { .. } } = &event.kind {
            *moves.entry(step.to_string()).or_default() += 1;
        }
    }
    moves
}

async fn quarantined(stage: &Stage) -> BTreeMap<HostName, String> {
    let state = fleetmend::run::load(stage.journal.as_ref(), stage.run).await.unwrap();
    let quarantined = state.hosts().iter().filter(|(_, host)| host.phase == HostPhase::Quarantined);
    quarantined.map(|(name, host)| (name.clone(), host.why.clone().unwrap_or_default())).collect()
}

#[tokio::test(start_paused = true)]
async fn a_region_goes_from_vulnerable_to_proven_with_one_move_an_instance() {
    let stage = Stage::set(&scenario(Faults::default()), policy()).await;
    assert_eq!(stage.rollout.hosts.len(), 6);
    let mut notes = Notes::default();
    let end = stage.begin(&mut notes).await.unwrap();
    assert_eq!(end.outcome, Some(Outcome::Done), "{:?}", quarantined(&stage).await);
    stage.assert_done(&[], "plain").await;
    let moves = moves(&notes.0);
    assert_eq!(moves.len(), stage.rollout.certificate.moves);
    assert!(moves.values().all(|count| *count == 1));
}

#[tokio::test(start_paused = true)]
async fn a_dry_run_goes_through_every_host_and_changes_nothing() {
    let stage = Stage::set(&scenario(Faults::default()), policy()).await;
    let before = stage.region.with(|world| world.changes().len());
    let mut notes = Notes::default();
    let (_steer, steered) = mpsc::channel(1);
    let end = stage.engine().dry_run(stage.rollout.clone(), &stage.snapshot, steered, &mut notes).await.unwrap();
    assert_eq!(end.outcome, Some(Outcome::Done));
    assert_eq!(stage.region.with(|world| world.changes().len()), before);
    assert!(stage.journal.runs().await.unwrap().is_empty());
    assert_eq!(moves(&notes.0).len(), stage.rollout.certificate.moves);
}

#[tokio::test(start_paused = true)]
async fn cut_off_after_any_append_and_resumed_it_comes_out_the_same() {
    let whole = Stage::set(&scenario(Faults::default()), policy()).await;
    let mut notes = Notes::default();
    whole.begin(&mut notes).await.unwrap();
    let appends = notes.0.len();
    // A stride that shares no factor with the events of a step, so that every kind of event is met at its end.
    for cut in (1..appends).step_by(17) {
        let mut stage = Stage::set(&scenario(Faults::default()), policy()).await;
        stage.journal = Arc::new(MemoryJournal::failing_after(cut));
        let mut notes = Notes::default();
        let context = format!("cut off after append {cut}");
        match stage.begin(&mut notes).await {
            Err(RunError::Drive { source: DriveError::Journal(_), .. }) => {}
            Ok(end) => {
                assert_eq!(end.outcome, Some(Outcome::Done), "{context}");
                continue;
            }
            Err(other) => panic!("{context}: {other:?}"),
        }
        stage.assert_harmless_so_far(&context);
        stage.journal.heal();
        let end = stage.resume(&mut notes).await.unwrap();
        assert_eq!(end.outcome, Some(Outcome::Done), "{context}: {:?}", quarantined(&stage).await);
        stage.assert_done(&[], &context).await;
        assert!(moves(&notes.0).values().all(|count| *count == 1), "{context}");
    }
}

impl Stage {
    /// In the middle of a run instances may be on their way, but nobody is harmed.
    fn assert_harmless_so_far(&self, context: &str) {
        self.region.with(|world| {
            assert!(world.lost().is_empty(), "{context}: lost {:?}", world.lost());
            assert!(world.hosts().all(|host| host.machine.reboots <= 1), "{context}");
        });
    }
}

/// The first planned host that has instances to move and is no canary.
fn victim(stage: &Stage) -> String {
    let victim = stage.rollout.hosts.iter().find(|host| !host.canary && !host.moves.is_empty());
    victim.unwrap().host.to_string()
}

/// Runs with faults made for the victim of the same plan without faults.
async fn with_faults(faults: impl FnOnce(&Stage, &str) -> Faults) -> (Stage, String) {
    let calm = Stage::set(&scenario(Faults::default()), policy()).await;
    let victim = victim(&calm);
    let faults = faults(&calm, &victim);
    (Stage::set(&scenario(faults), policy()).await, victim)
}

async fn assert_only_the_victim_is_quarantined(stage: &Stage, victim: &str, words: &str) {
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

#[tokio::test(start_paused = true)]
async fn a_host_that_does_not_come_back_is_quarantined_and_the_rest_goes_on() {
    let (stage, victim) = with_faults(|_, victim| Faults {
        hosts: vec![HostRule { host: victim.into(), times: None, fault: HostFault::NoReturn }],
        ..Faults::default()
    })
    .await;
    assert_only_the_victim_is_quarantined(&stage, &victim, "reboot").await;
}

#[tokio::test(start_paused = true)]
async fn a_host_that_comes_back_with_the_old_kernel_is_not_enabled() {
    let (stage, victim) = with_faults(|_, victim| Faults {
        hosts: vec![HostRule { host: victim.into(), times: None, fault: HostFault::OldKernel }],
        ..Faults::default()
    })
    .await;
    assert_only_the_victim_is_quarantined(&stage, &victim, "kernel").await;
}

#[tokio::test(start_paused = true)]
async fn a_failing_scriptlet_is_found_whatever_the_exit_code_says() {
    for fault in [JobFault::PreScriptlet, JobFault::PostScriptlet] {
        let (stage, victim) = with_faults(|_, victim| Faults {
            jobs: vec![JobRule { host: victim.into(), package: None, times: None, fault }],
            ..Faults::default()
        })
        .await;
        assert_only_the_victim_is_quarantined(&stage, &victim, "").await;
        let rebooted = stage.region.with(|world| world.host(&victim.as_str().into()).unwrap().machine.reboots);
        // A %post failure leaves no trace in the package database: the evidence after the reboot finds it.
        assert_eq!(rebooted, u32::from(fault == JobFault::PostScriptlet), "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_migration_that_fails_once_is_made_again_and_the_host_is_done() {
    for fault in [MigrationFault::Copy, MigrationFault::PrecheckTarget, MigrationFault::Prepare] {
        let (stage, _) = with_faults(|_, victim| Faults {
            migrations: vec![MigrationRule {
                instance: None,
                source: Some(victim.into()),
                target: None,
                times: Some(1),
                fault,
            }],
            ..Faults::default()
        })
        .await;
        let end = stage.begin(&mut Notes::default()).await.unwrap();
        assert_eq!(end.outcome, Some(Outcome::Done), "{fault:?}: {:?}", quarantined(&stage).await);
        assert_eq!(end.state.moves().failed, 1, "{fault:?}");
        stage.assert_done(&[], &format!("{fault:?}")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_migration_that_hangs_is_aborted_and_made_again() {
    let (stage, _) = with_faults(|_, victim| Faults {
        migrations: vec![MigrationRule {
            instance: None,
            source: Some(victim.into()),
            target: None,
            times: Some(1),
            fault: MigrationFault::Hang,
        }],
        ..Faults::default()
    })
    .await;
    let end = stage.begin(&mut Notes::default()).await.unwrap();
    assert_eq!(end.outcome, Some(Outcome::Done), "{:?}", quarantined(&stage).await);
    stage.assert_done(&[], "hang").await;
}

#[tokio::test(start_paused = true)]
async fn an_instance_created_on_a_draining_host_is_moved_as_well() {
    let (stage, _) = with_faults(|_, victim| Faults {
        incidents: vec![Incident {
            when: When::Disabled(victim.into()),
            after: Span::seconds(5),
            what: What::Created(victim.into()),
        }],
        ..Faults::default()
    })
    .await;
    let mut notes = Notes::default();
    let end = stage.begin(&mut notes).await.unwrap();
    assert_eq!(end.outcome, Some(Outcome::Done), "{:?}", quarantined(&stage).await);
    stage.assert_done(&[], "created").await;
    assert!(moves(&notes.0).len() > stage.rollout.certificate.moves);
}

#[tokio::test(start_paused = true)]
async fn an_owner_who_starts_a_stopped_instance_behind_the_fence_gets_it_after_the_reboot() {
    let mut stopped = scenario(Faults::default());
    stopped.stopped = fleetmend::model::Percent::new(30.0).unwrap();
    let calm = Stage::set(&stopped, policy()).await;
    let stay = calm.rollout.stays.first().expect("some instance is stopped on a planned host").clone();
    stopped.faults.incidents = vec![Incident {
        when: When::Fenced(stay.host.clone()),
        after: Span::seconds(1),
        what: What::Started(stay.name.clone()),
    }];
    let stage = Stage::set(&stopped, policy()).await;
    let end = stage.begin(&mut Notes::default()).await.unwrap();
    assert_eq!(end.outcome, Some(Outcome::Done), "{:?}", quarantined(&stage).await);
    stage.assert_done(&[], "started").await;
    let status = stage.region.with(|world| world.server(stay.instance).unwrap().status());
    assert_eq!(status, InstanceStatus::Active, "the owner's start was carried out once the host was back");
}

#[tokio::test(start_paused = true)]
async fn a_service_that_somebody_else_disabled_is_left_as_it_is() {
    let stage = Stage::set(&scenario(Faults::default()), policy()).await;
    let victim = victim(&stage);
    let id = stage.snapshot.host(&victim.as_str().into()).unwrap().service.id.clone();
    fleetmend::cloud::Compute::disable_service(stage.cloud.as_ref(), &id, "ticket 4711").await.unwrap();
    let end = stage.begin(&mut Notes::default()).await.unwrap();
    assert_eq!(end.state.count(HostPhase::Skipped), 1);
    stage.assert_done(&[&victim], "foreign").await;
    stage.region.with(|world| {
        let host = world.host(&victim.as_str().into()).unwrap();
        assert_eq!(host.service.disabled_reason.as_deref(), Some("ticket 4711"));
        assert_eq!(host.machine.reboots, 0);
    });
}

#[tokio::test(start_paused = true)]
async fn an_address_that_leads_to_another_machine_reboots_nobody() {
    let (stage, victim) = with_faults(|_, victim| Faults {
        incidents: vec![Incident {
            when: When::Disabled(victim.into()),
            after: Span::seconds(1),
            what: What::Impostor(victim.into(), Span::seconds(1_000_000)),
        }],
        ..Faults::default()
    })
    .await;
    let end = stage.begin(&mut Notes::default()).await.unwrap();
    assert_eq!(end.outcome, Some(Outcome::DoneWithFailures));
    assert_eq!(quarantined(&stage).await.into_keys().collect::<Vec<_>>(), [HostName::new(victim.as_str())]);
    assert_eq!(stage.region.with(|world| world.host(&victim.as_str().into()).unwrap().machine.reboots), 0);
    stage.assert_unharmed("impostor");
}

#[tokio::test(start_paused = true)]
async fn a_sick_control_plane_pauses_everything_and_nobody_is_blamed() {
    let (stage, _) = with_faults(|_, victim| Faults {
        incidents: vec![Incident {
            when: When::Migrating(victim.into()),
            after: Span::seconds(0),
            what: What::ControlPlaneDown(Span::seconds(900)),
        }],
        ..Faults::default()
    })
    .await;
    let end = stage.begin(&mut Notes::default()).await.unwrap();
    assert_eq!(end.outcome, Some(Outcome::Done), "{:?}", quarantined(&stage).await);
    stage.assert_done(&[], "sick").await;
}

#[tokio::test(start_paused = true)]
async fn answers_lost_after_the_effect_move_and_reboot_nothing_twice() {
    for fault in [ApiFault::TimeoutAfterEffect, ApiFault::ResetAfterEffect, ApiFault::TooManyRequests] {
        let (stage, _) = with_faults(|_, _| Faults {
            api: vec![
                ApiRule { operation: Some("live_migrate".to_owned()), after: 2, times: Some(2), fault },
                ApiRule { operation: Some("disable_service".to_owned()), after: 1, times: Some(1), fault },
                ApiRule { operation: Some("enable_service".to_owned()), after: 1, times: Some(1), fault },
            ],
            ..Faults::default()
        })
        .await;
        let mut notes = Notes::default();
        let end = stage.begin(&mut notes).await.unwrap();
        assert_eq!(end.outcome, Some(Outcome::Done), "{fault:?}: {:?}", quarantined(&stage).await);
        stage.assert_done(&[], &format!("{fault:?}")).await;
        assert!(moves(&notes.0).values().all(|count| *count == 1), "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn marks_of_another_run_stop_us_unless_told_to_take_over() {
    let stage = Stage::set(&scenario(Faults::default()), policy()).await;
    let victim = victim(&stage);
    let id = stage.snapshot.host(&victim.as_str().into()).unwrap().service.id.clone();
    let foreign = RunId::new(Uuid::from_u128(99));
    let reason = Mark::of(foreign).reason("draining");
    fleetmend::cloud::Compute::disable_service(stage.cloud.as_ref(), &id, &reason).await.unwrap();
    let refused = stage.begin(&mut Notes::default()).await;
    assert!(matches!(refused, Err(RunError::ForeignMark { run, .. }) if run == foreign), "{refused:?}");
    assert!(stage.journal.runs().await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn stop_skip_and_resume_from_another_terminal() {
    let stage = Stage::set(&scenario(Faults::default()), policy()).await;
    let last = stage.rollout.hosts.last().unwrap().host.clone();
    let control = async {
        tokio::time::sleep(Duration::from_secs(30)).await;
        stage.place(Request::Skip { host: last.clone() }).await;
        stage.place(Request::Stop).await;
    };
    let mut notes = Notes::default();
    let (end, ()) = tokio::join!(stage.begin(&mut notes), control);
    assert_eq!(end.unwrap().outcome, Some(Outcome::Stopped));
    let end = stage.resume(&mut notes).await.unwrap();
    assert_eq!(end.outcome, Some(Outcome::Done));
    assert_eq!(end.state.hosts()[&last].phase, HostPhase::Skipped);
    stage.assert_done(&[last.as_str()], "stopped").await;
    let again = stage.resume(&mut notes).await;
    assert!(matches!(again, Err(RunError::Ended { .. })), "{again:?}");
}

#[tokio::test(start_paused = true)]
async fn a_quarantined_host_that_was_healed_is_retried_after_the_end() {
    let (stage, victim) = with_faults(|_, victim| Faults {
        jobs: vec![JobRule { host: victim.into(), package: None, times: None, fault: JobFault::PreScriptlet }],
        ..Faults::default()
    })
    .await;
    let end = stage.begin(&mut Notes::default()).await.unwrap();
    assert_eq!(end.outcome, Some(Outcome::DoneWithFailures));
    stage.region.with(|world| world.set_faults(Faults::default()));
    stage.place(Request::Retry { host: victim.as_str().into() }).await;
    let end = stage.resume(&mut Notes::default()).await.unwrap();
    assert_eq!(end.outcome, Some(Outcome::Done), "{:?}", quarantined(&stage).await);
    stage.assert_done(&[], "retried").await;
}

#[tokio::test(start_paused = true)]
async fn an_abandoned_run_gives_untouched_hosts_back_as_they_were() {
    let stage = Stage::set(&scenario(Faults::default()), policy()).await;
    let control = async {
        tokio::time::sleep(Duration::from_secs(20)).await;
        stage.place(Request::Stop).await;
    };
    let mut notes = Notes::default();
    let (end, ()) = tokio::join!(stage.begin(&mut notes), control);
    assert_eq!(end.unwrap().outcome, Some(Outcome::Stopped));
    let (_steer, steered) = mpsc::channel(1);
    let end = stage.engine().abandon(stage.run, "test", steered, &mut Notes::default()).await.unwrap();
    assert_eq!(end.outcome, Some(Outcome::Abandoned));
    stage.assert_unharmed("abandoned");
    let quarantined: BTreeSet<HostName> = quarantined(&stage).await.into_keys().collect();
    stage.region.with(|world| {
        for host in world.hosts() {
            let expected =
                if quarantined.contains(&host.name) { ServiceStatus::Disabled } else { ServiceStatus::Enabled };
            assert_eq!(host.service.status, expected, "{}", host.name);
        }
    });
}
