use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::*;
use crate::actions::Progress;
use crate::cloud::{Compute as _, Placement as _, ServersQuery};
use crate::host::HostShell as _;
use crate::model::{
    Aggregate, HostName, InstanceStatus, Limit, Mark, Percent, Policy, Region, RunId, ServiceStatus, Span, StepId,
};
use crate::plan::Rollout;
use crate::plan::synthetic::{self, Recipe};
use crate::run::event::FaultScope;
use crate::run::{DriveSettings, Engine, Event, EventKind, Observer, Ports, RunError, RunState, Runner};
use crate::sim::faults::{Chances, Churn, Faults, HostFault, HostRule};
use crate::sim::{SimCloud, SimOutside, SimRegion, SimShell};

fn policy() -> Policy {
    let mut policy = Policy { settle: Span::seconds(0), ..Policy::default() };
    policy.limits.hosts = Limit::at_most(2);
    policy.limits.hosts_per_zone = Limit::at_most(2);
    policy.canary.soak = Span::seconds(60);
    policy
}

/// Hosts with machines of their own in one zone, a quarter of them empty.
fn region(hosts: usize) -> Region {
    let recipe = Recipe { hosts, zones: 1, utilisation: 0.3, empty: 0.25, ..Recipe::default() };
    synthetic::with_machines(synthetic::region(&recipe, 5))
}

fn planned(region: &Region, policy: &Policy) -> Rollout {
    synthetic::planned(region, policy, 1).unwrap()
}

fn order<'a>(rollout: &'a Rollout, region: &'a Region, conditions: &'a Conditions) -> Order<'a> {
    Order { rollout, region, conditions, seed: 3, runs: 1, threads: 1, poll: Duration::from_secs(2) }
}

fn with(faults: Faults) -> Conditions {
    Conditions { faults, ..Level::None.conditions() }
}

fn percent(share: f64) -> Percent {
    Percent::new(share).unwrap()
}

#[test]
fn without_noise_and_faults_a_rehearsal_lands_on_the_planned_makespan() {
    let region = region(8);
    let rollout = planned(&region, &policy());
    let figures = rehearse(&order(&rollout, &region, &Level::None.conditions()), &|| {}).unwrap();
    let run = &figures.run[0];
    assert_eq!((run.outcome, run.hosts.done, run.lost_guests), (End::Done, 8, 0), "{run:?}");
    assert_eq!(run.moves.done, rollout.certificate.moves);
    let ratio = run.makespan_s.unwrap() / rollout.certificate.makespan_s;
    assert!((0.96..1.04).contains(&ratio), "{ratio}");
    assert!(run.peak_hosts_out <= 2 && run.peak_hosts_out >= 1, "{run:?}");
    assert_eq!(run.peak_load.len(), 1);
}

#[test]
fn the_same_seed_gives_the_same_bytes_whatever_the_threads() {
    let region = region(6);
    let rollout = planned(&region, &policy());
    let conditions = Level::Harsh.conditions();
    let play = |threads, seed| {
        let order = Order { runs: 3, threads, seed, ..order(&rollout, &region, &conditions) };
        serde_json::to_string(&rehearse(&order, &|| {}).unwrap()).unwrap()
    };
    let one = play(1, 3);
    assert_eq!(one, play(1, 3));
    assert_eq!(one, play(3, 3));
    assert_ne!(one, play(1, 4));
}

#[test]
fn each_run_of_a_rehearsal_is_the_one_that_its_seed_gives_alone() {
    let region = region(6);
    let rollout = planned(&region, &policy());
    let conditions = Level::Usual.conditions();
    let ended = AtomicUsize::new(0);
    let three = Order { runs: 3, ..order(&rollout, &region, &conditions) };
    let three = rehearse(&three, &|| {
        ended.fetch_add(1, Ordering::Relaxed);
    });
    let last = Order { seed: 5, ..order(&rollout, &region, &conditions) };
    assert_eq!(three.unwrap().run[2], rehearse(&last, &|| {}).unwrap().run[0]);
    assert_eq!(ended.into_inner(), 18);
}

#[test]
fn a_host_that_stays_away_is_named_with_its_cause_and_the_rest_goes_on() {
    let region = region(6);
    let rollout = planned(&region, &policy());
    let victim = rollout.hosts.iter().find(|host| !host.canary).unwrap().host.clone();
    let rule = HostRule { host: victim.clone(), times: None, fault: HostFault::NoReturn };
    let conditions = with(Faults { hosts: vec![rule], ..Faults::default() });
    let figures = rehearse(&order(&rollout, &region, &conditions), &|| {}).unwrap();
    let run = &figures.run[0];
    assert_eq!((run.outcome, run.hosts.done), (End::DoneWithFailures, 5), "{run:?}");
    assert_eq!(run.failed.len(), 1);
    assert_eq!(run.failed[0].host, victim);
    assert!(run.failed[0].why.contains("did not come back"), "{:?}", run.failed[0]);
    assert!(run.failed[0].at_s > 1_800.0);
    assert_eq!((&figures.failed_hosts[0].host, figures.failed_hosts[0].runs), (&victim, 1));
    assert!(!run.went_well());
}

#[test]
fn a_failure_budget_that_is_used_up_pauses_the_run_and_says_so() {
    let region = region(8);
    let rollout =
        planned(&region, &Policy { canary: crate::model::Canary { hosts: 0, ..policy().canary }, ..policy() });
    let conditions =
        with(Faults { chance: Chances { old_kernel: percent(100.0), ..Chances::default() }, ..Faults::default() });
    let figures = rehearse(&order(&rollout, &region, &conditions), &|| {}).unwrap();
    let run = &figures.run[0];
    assert_eq!((run.outcome, run.makespan_s), (End::FailureBudget, None), "{run:?}");
    assert_eq!((figures.failure_budget_hit, figures.makespan_s), (1, None));
    let pause = run.pause.as_ref().unwrap();
    assert!(pause.reason.contains("failure_budget"), "{pause:?}");
    assert!(pause.at_s > 500.0 && pause.at_s < rollout.certificate.makespan_s, "{pause:?}");
    assert!(run.hosts.open > 0 && run.hosts.failed >= 2, "{:?}", run.hosts);
}

#[test]
fn instances_that_tenants_create_meanwhile_are_moved_and_those_they_delete_are_not() {
    let region = region(6);
    // Half a day in all: with all of them replaced in a day, thirty instances come and go.
    let rollout = planned(&region, &Policy { settle: Span::seconds(4 * 3600), ..policy() });
    let share = percent(100.0);
    let calm = rehearse(&order(&rollout, &region, &with(Faults::default())), &|| {}).unwrap();
    let busy = |created_per_day, deleted_per_day| {
        let conditions = with(Faults { tenants: Churn { created_per_day, deleted_per_day }, ..Faults::default() });
        let order = Order { poll: Duration::from_secs(30), ..order(&rollout, &region, &conditions) };
        rehearse(&order, &|| {}).unwrap().run.remove(0)
    };
    let (created, deleted) = (busy(share, Percent::default()), busy(Percent::default(), share));
    let moved = |run: &Played| run.moves.done;
    assert!(created.tenants.created > 0 && created.tenants.deleted == 0, "{:?}", created.tenants);
    assert!(deleted.tenants.deleted > 0 && deleted.tenants.created == 0, "{:?}", deleted.tenants);
    assert!(moved(&created) > moved(&calm.run[0]), "{} of {:?}", moved(&created), created.tenants);
    assert!(moved(&deleted) < moved(&calm.run[0]), "{} of {:?}", moved(&deleted), deleted.tenants);
    assert_eq!((created.lost_guests, deleted.lost_guests), (0, 0));
}

/// Four hosts of which none can be first unless an instance of another makes way.
fn full_region() -> Region {
    let mut region = synthetic::region(&Recipe { hosts: 4, zones: 1, grouped: 0.0, ..Recipe::default() }, 5);
    let mould = region.instances[0].clone();
    region.instances.clear();
    for (host, place) in region.hosts.iter_mut().zip(1..) {
        host.capacity = crate::model::Resources::basic(64, 65_536, 10_000);
        for (memory_mb, number) in [(30_720, 10 * place), (15_360, 10 * place + 1)] {
            let mut instance = mould.clone();
            instance.id = crate::model::InstanceId::new(uuid::Uuid::from_u128(number));
            instance.host = Some(host.host.clone());
            instance.resources = crate::model::Resources::basic(1, memory_mb, 10);
            region.instances.push(instance);
        }
    }
    synthetic::with_machines(region)
}

#[test]
fn in_a_full_region_instances_make_way_and_all_hosts_are_done() {
    let region = full_region();
    let mut policy = policy();
    policy.canary.hosts = 0;
    let rollout = planned(&region, &policy);
    assert_eq!(rollout.hosts[0].ways().count(), 1);
    let figures = rehearse(&order(&rollout, &region, &Level::None.conditions()), &|| {}).unwrap();
    let run = &figures.run[0];
    assert_eq!((run.outcome, run.hosts.done, run.lost_guests), (End::Done, 4, 0), "{run:?}");
    assert_eq!((run.moves.done, run.moves.failed), (rollout.certificate.moves, 0));
}

#[test]
fn migrations_that_fail_are_made_again_and_cost_no_host() {
    let region = region(8);
    let rollout = planned(&region, &policy());
    let chance = Chances { migration_fails: percent(20.0), ..Chances::default() };
    let figures = rehearse(&order(&rollout, &region, &with(Faults { chance, ..Faults::default() })), &|| {}).unwrap();
    let run = &figures.run[0];
    assert_eq!((run.outcome, run.hosts.done, run.moves.done), (End::Done, 8, rollout.certificate.moves), "{run:?}");
    assert!(run.moves.failed > 0);
}

#[test]
fn a_migration_that_hangs_is_aborted_after_the_policys_patience() {
    let region = region(8);
    let rollout = planned(&region, &policy());
    let chance = Chances { migration_hangs: percent(10.0), ..Chances::default() };
    let calm = rehearse(&order(&rollout, &region, &Level::None.conditions()), &|| {}).unwrap();
    let hung = rehearse(&order(&rollout, &region, &with(Faults { chance, ..Faults::default() })), &|| {}).unwrap();
    let (calm, hung) = (&calm.run[0], &hung.run[0]);
    assert_eq!((hung.outcome, hung.hosts.done), (End::Done, 8), "{hung:?}");
    assert!(hung.moves.failed > 0);
    let patience = rollout.policy.patience.migration_per_gib.as_seconds();
    assert!(hung.makespan_s.unwrap() > calm.makespan_s.unwrap() + patience, "{calm:?} {hung:?}");
}

#[test]
fn a_gate_that_waits_for_an_operator_is_approved() {
    let region = region(4);
    let mut policy = policy();
    policy.canary.approve = true;
    let rollout = planned(&region, &policy);
    let figures = rehearse(&order(&rollout, &region, &Level::None.conditions()), &|| {}).unwrap();
    assert_eq!((figures.run[0].outcome, figures.run[0].hosts.done), (End::Done, 4), "{:?}", figures.run[0]);
}

#[test]
fn what_the_engine_refuses_in_earnest_it_refuses_in_a_rehearsal() {
    let mut region = region(4);
    let rollout = planned(&region, &policy());
    let other = RunId::new(uuid::Uuid::from_u128(77));
    region.hosts[0].service.status = ServiceStatus::Disabled;
    region.hosts[0].service.disabled_reason = Some(Mark::of(other).reason("remedy mds in progress"));
    let refused = rehearse(&order(&rollout, &region, &Level::None.conditions()), &|| {}).unwrap_err();
    let RehearsalError::Run { source: RunError::ForeignMark { run, .. }, .. } = refused else { panic!("{refused:?}") };
    assert_eq!(run, other);
}

/// Holds the state against a count of everything after each event.
struct Auditor<'a>(usize, &'a Region);

impl Observer for Auditor<'_> {
    fn event(&mut self, state: &RunState, _event: &Event) {
        // Events that are committed together are shown together, each with all of them applied.
        state.assert_counted_right();
        if self.0.is_multiple_of(50) {
            state.assert_survives_a_snapshot(self.1);
        }
        self.0 += 1;
    }

    fn progress(&mut self, _state: &RunState, _progress: &Progress) {}
}

/// Plays a rollout in the region of a snapshot, every event shown to `observer`.
async fn play(
    snapshot: &Region,
    rollout: &Rollout,
    seed: u64,
    noise: f64,
    faults: &Faults,
    observer: &mut dyn Observer,
) {
    let pace = pace::pace_of(rollout, percent(noise));
    let simulated = SimRegion::new(stage::world_of(snapshot, rollout, seed, &pace, faults), 1.0);
    let engine = Engine {
        ports: Ports {
            cloud: Arc::new(SimCloud::new(Arc::clone(&simulated))),
            shell: Arc::new(SimShell::new(Arc::clone(&simulated))),
            outside: Arc::new(SimOutside::new(Arc::clone(&simulated), Vec::new())),
            clock: Arc::new(simulated.clock()),
        },
        journal: Arc::new(journal::Operator::patient_until(jiff::Timestamp::MAX, simulated.clock())),
        runner: Runner { host: "test".to_owned(), pid: 0, version: "0".to_owned() },
        settings: DriveSettings::default(),
        take_over: false,
    };
    let (_steer, steered) = tokio::sync::mpsc::channel(1);
    let rollout = Arc::new(stage::rollout_for(rollout));
    let run = RunId::new(uuid::Uuid::from_u128(1));
    engine.rehearse(run, rollout, snapshot, steered, observer).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn after_each_event_of_a_run_the_index_is_what_a_count_of_everything_finds() {
    let snapshot = region(12);
    let rollout = planned(&snapshot, &policy());
    let share = percent(100.0);
    let tenants = Churn { created_per_day: share, deleted_per_day: share };
    let faults = Faults { tenants, ..Level::Harsh.conditions().faults };
    let mut auditor = Auditor(0, &snapshot);
    play(&snapshot, &rollout, 9, 50.0, &faults, &mut auditor).await;
    assert!(auditor.0 > 500, "{}", auditor.0);
}

/// Holds that whoever is refused by a target learns what fills it, and pays nothing.
#[derive(Default)]
struct Crowds {
    targets: BTreeMap<StepId, HostName>,
    seen: BTreeSet<HostName>,
    refused: BTreeMap<StepId, u32>,
}

impl Observer for Crowds {
    fn event(&mut self, state: &RunState, event: &Event) {
        if let EventKind::StepStarted { step, target: Some(target), .. } = &event.kind {
            self.targets.insert(step.clone(), target.clone());
        }
        if let EventKind::TargetSeen { host, came, .. } = &event.kind
            && !came.is_empty()
        {
            self.seen.insert(host.clone());
        }
        if let EventKind::StepFailed { step, failure, .. } = &event.kind
            && failure.scope == FaultScope::Target
        {
            let times = self.refused.entry(step.clone()).or_default();
            *times += 1;
            assert!(self.seen.contains(&self.targets[step]), "nobody looked at {}: {failure:?}", self.targets[step]);
            let moving = state.step(step).unwrap();
            assert_eq!((moving.crowded_out, moving.avoid.len()), (*times, 0), "{step}: {failure:?}");
        }
    }

    fn progress(&mut self, _state: &RunState, _progress: &Progress) {}
}

#[tokio::test(start_paused = true)]
async fn whoever_finds_a_target_filled_by_tenants_learns_of_it_and_pays_nothing() {
    let recipe = Recipe { hosts: 30, zones: 1, utilisation: 0.8, grouped: 0.0, ..Recipe::default() };
    let snapshot = synthetic::with_machines(synthetic::region(&recipe, 5));
    let rollout = planned(&snapshot, &Policy { settle: Span::seconds(0), ..Policy::default() });
    let tenants = Churn { created_per_day: percent(30.0), deleted_per_day: percent(30.0) };
    let faults = Faults { tenants, ..Faults::default() };
    let mut crowds = Crowds::default();
    play(&snapshot, &rollout, 3, 0.0, &faults, &mut crowds).await;
    assert!(crowds.refused.len() > 1, "hardly anybody was in the way: {:?}", crowds.refused);
}

#[test]
fn tenants_who_fill_fresh_hosts_cost_time_and_no_host() {
    let recipe = Recipe { hosts: 30, zones: 1, utilisation: 0.8, ..Recipe::default() };
    let region = synthetic::with_machines(synthetic::region(&recipe, 5));
    let rollout = planned(&region, &Policy { settle: Span::seconds(0), ..Policy::default() });
    let share = percent(20.0);
    let tenants = Churn { created_per_day: share, deleted_per_day: share };
    let conditions = with(Faults { tenants, ..Faults::default() });
    let order = Order { runs: 4, threads: 2, ..order(&rollout, &region, &conditions) };
    for run in rehearse(&order, &|| {}).unwrap().run {
        assert_eq!((run.outcome, run.hosts.done, run.lost_guests), (End::Done, 30, 0), "{run:?}");
        assert!(run.moves.failed > 0, "nobody was in the way: {run:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rehearsal_begins_with_what_the_snapshot_says() {
    let mut snapshot = region(4);
    let rollout = planned(&snapshot, &policy());
    snapshot.hosts[1].service.status = ServiceStatus::Disabled;
    snapshot.hosts[1].service.disabled_reason = Some("broken fan".to_owned());
    snapshot.hosts[2].service.state = crate::model::ServiceState::Down;
    let own = BTreeMap::from([("filter_tenant_id".to_owned(), "p1".to_owned())]);
    snapshot.hosts[3].aggregates = vec!["theirs".to_owned()];
    snapshot.aggregates = vec![Aggregate { name: "theirs".to_owned(), metadata: own.clone() }];
    snapshot.instances[0].status = InstanceStatus::Paused;
    snapshot.instances[0].locked = true;
    let pace = pace::pace_of(&rollout, Percent::default());
    let world = stage::world_of(&snapshot, &rollout, 5, &pace, &Faults::default());
    assert!(world.changes().is_empty());
    let shared = SimRegion::new(world, 1.0);
    let (cloud, shell) = (SimCloud::new(shared.clone()), SimShell::new(shared));
    let services = cloud.services().await.unwrap();
    assert_eq!(services.len(), snapshot.hosts.len());
    for (service, host) in services.iter().zip(&snapshot.hosts) {
        let (seen, said) = (&service.service, &host.service);
        assert_eq!((&service.host, seen.state, seen.status), (&host.host, said.state, said.status));
        assert_eq!(seen.disabled_reason, said.disabled_reason);
        assert_eq!(cloud.service(&host.host).await.unwrap().as_ref(), Some(service));
        assert_eq!(shell.identity(&host.host).await.unwrap().machine_id, host.identity.machine_id);
        assert_eq!(cloud.provider(&host.host).await.unwrap().unwrap().capacity, host.capacity);
    }
    let aggregates = cloud.aggregates().await.unwrap();
    let theirs = aggregates.iter().find(|aggregate| aggregate.name == "theirs").unwrap();
    assert_eq!((&theirs.hosts, &theirs.metadata), (&vec![snapshot.hosts[3].host.clone()], &own));
    let servers = cloud.servers(&ServersQuery::default()).await.unwrap();
    let ids: BTreeSet<_> = servers.iter().map(|server| server.id).collect();
    assert_eq!(ids, snapshot.instances.iter().map(|instance| instance.id).collect());
    let first = servers.iter().find(|server| server.id == snapshot.instances[0].id).unwrap();
    assert_eq!((&first.status, first.locked), (&InstanceStatus::Paused, true));
    assert_eq!(first.resources, snapshot.instances[0].resources);
}

#[test]
fn quantiles_are_by_nearest_rank() {
    let of = |values: &[f64]| Quantiles::of(values.iter().copied()).map(|all| [all.min, all.median, all.p95, all.max]);
    assert_eq!(of(&[]), None);
    assert_eq!(of(&[7.0]), Some([7.0; 4]));
    assert_eq!(of(&[3.0, 1.0, 2.0]), Some([1.0, 2.0, 3.0, 3.0]));
    let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
    assert_eq!(of(&hundred), Some([1.0, 50.0, 95.0, 100.0]));
}
