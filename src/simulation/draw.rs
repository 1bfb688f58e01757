//! What one seed makes: a small region, a policy, what goes wrong, and when the runner dies.

use std::time::Duration;

use crate::journal::Request;
use crate::model::{
    FailureCause, HealthGate, HostName, InstanceHandling, InstanceStatus, Limit, NovaConfHandling, Percent, Policy,
    Question, Span, WallTime, Window, WindowZone, WindowsEnd,
};
use crate::sim::faults::{
    ApiFault, ApiRule, Chances, Churn, Faults, HostFault, HostRule, Incident, JobFault, JobRule, MigrationFault,
    MigrationRule, What, When,
};
use crate::sim::world::{SimHost, Spread, Timing, World};
use crate::sim::{Placing, Scenario};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};

use super::clock::Jump;
use super::journal::{Cut, Weather};
use super::moods::Spell;

/// Everything that a seed decides.
#[derive(Debug, Clone)]
pub(super) struct Case {
    /// The region; nothing goes wrong until the rollout is made.
    pub scenario: Scenario,
    pub policy: Policy,
    pub faults: Faults,
    /// Deaths of the runner, one after the other.
    pub deaths: Vec<Death>,
    /// What is asked from another terminal, each so long after the one before.
    pub words: Vec<(Duration, Request)>,
    /// How the clock of the runners' machine is set, counted from the beginning of the region.
    pub jumps: Vec<Jump>,
    /// When the policy's health gate is not well.
    pub ill: Vec<Spell>,
}

impl Case {
    /// Whether every runner reads the true time.
    pub fn has_true_clocks(&self) -> bool {
        self.jumps.is_empty() && self.deaths.iter().all(|death| death.skew == 0)
    }
}

/// How a runner dies, and for how long there is none.
#[derive(Debug, Clone, Copy)]
pub(super) struct Death {
    pub how: How,
    pub gone_for: Duration,
    /// How many seconds the clock of the next runner is off.
    pub skew: i64,
}

/// How a runner dies.
#[derive(Debug, Clone, Copy)]
pub(super) enum How {
    /// Of its journal.
    Journal(Weather),
    /// This long after its start, whatever it is doing.
    After(Duration),
}

/// How large regions are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    /// At most 8 hosts and 40 instances.
    Small,
    /// At most 60 hosts and 600 instances.
    Large,
}

pub(super) fn case(seed: u64, size: Size) -> Case {
    let mut dice = StdRng::seed_from_u64(seed);
    let scenario = scenario(seed, size, &mut dice);
    let policy = policy(&mut dice);
    let faults = faults(&scenario, &mut dice);
    let deaths = (0..dice.random_range(0..=5)).map(|_| death(&mut dice)).collect();
    let words = words(&scenario, &policy, &mut dice);
    let jumps = (0..few(&mut dice)).map(|_| jump(&mut dice)).collect();
    let spell = |dice: &mut StdRng| {
        let seconds = |most, dice: &mut StdRng| Duration::from_secs(dice.random_range(0..=most));
        (seconds(4000, dice), seconds(1200, dice))
    };
    let ill = (0..few(&mut dice)).map(|_| spell(&mut dice)).collect();
    Case { scenario, policy, faults, deaths, words, jumps, ill }
}

/// A clock that was wrong and is put right, or the other way round.
fn jump(dice: &mut StdRng) -> Jump {
    let most = [5, 60, 600, 7200].choose(dice).copied().unwrap();
    let seconds = dice.random_range(-most..=most);
    Jump { after: Duration::from_secs(dice.random_range(0..=6000)), seconds }
}

fn share(dice: &mut StdRng, often: f64, most: f64) -> Percent {
    let percent = if dice.random_bool(often) { dice.random_range(0.0..most) } else { 0.0 };
    Percent::new(percent).unwrap()
}

fn scenario(seed: u64, size: Size, dice: &mut StdRng) -> Scenario {
    let (hosts, instances) = match size {
        Size::Small => {
            let hosts = dice.random_range(2..=8);
            (hosts, dice.random_range(0..=(5 * hosts).min(40)))
        }
        Size::Large => {
            let hosts = dice.random_range(9..=60);
            (hosts, dice.random_range(hosts..=10 * hosts))
        }
    };
    let seconds = Duration::from_secs;
    Scenario {
        empty_hosts: dice.random_range(0..=2.min(hosts - 1)),
        zones: dice.random_range(1..=2),
        rack_size: dice.random_range(1..=4),
        groups: dice.random_range(0..=2),
        mitigated: share(dice, 0.3, 40.0),
        not_affected: share(dice, 0.1, 30.0),
        ubuntu: share(dice, 0.2, 100.0),
        custom_cpu: share(dice, 0.2, 60.0),
        stopped: share(dice, 0.6, 40.0),
        paused: share(dice, 0.4, 20.0),
        locked: share(dice, 0.1, 10.0),
        pinned: share(dice, 0.3, 30.0),
        placing: if dice.random_bool(0.8) { Placing::Weighed } else { Placing::InTurn },
        timing: Timing {
            // Minutes of firmware self-tests would only be polled through.
            boot: Spread::between(seconds(40), seconds(90)),
            update: Spread::between(seconds(20), seconds(60)),
            stage: Spread::between(seconds(5), seconds(40)),
            scheduler_sync: Span::seconds(dice.random_range(5..=120)),
            ..Timing::default()
        },
        ..Scenario::sized(hosts, instances, seed)
    }
}

fn policy(dice: &mut StdRng) -> Policy {
    let mut policy = Policy { settle: Span::seconds(dice.random_range(0..=120)), ..Policy::default() };
    policy.limits.hosts = Limit::at_most(dice.random_range(1..=4));
    policy.limits.hosts_per_zone = Limit::at_most(dice.random_range(1..=3));
    policy.limits.migrations = dice.random_range(1..=4);
    policy.limits.migrations_per_source = dice.random_range(1..=2);
    policy.limits.migrations_per_target = dice.random_range(1..=2);
    policy.limits.keep_up.per_aggregate = dice.random_range(0..=1);
    policy.limits.keep_up.per_zone = dice.random_range(0..=2);
    policy.limits.hosts_per_rack = dice.random_bool(0.2).then(|| Limit::at_most(dice.random_range(1..=2)));
    policy.canary.approve = dice.random_bool(0.1);
    if dice.random_bool(0.08) {
        policy.windows = vec![window("11:00", "14:00"), window("14:30", "21:00")];
    }
    policy.canary.hosts = dice.random_range(0..=1);
    policy.canary.soak = Span::seconds(dice.random_range(0..=60));
    let generous = dice.random_bool(0.6);
    policy.failure_budget.hosts = if generous { 100 } else { dice.random_range(0..=2) };
    policy.failure_budget.per_zone = if generous { 100 } else { dice.random_range(0..=2) };
    if dice.random_bool(0.2) {
        policy.instances.stopped = InstanceHandling::ColdMigrate;
    }
    if dice.random_bool(0.3) {
        policy.instances.locked = InstanceHandling::LiveMigrate;
    }
    if dice.random_bool(0.5) {
        policy.nova_conf = NovaConfHandling::AddFlags;
    }
    if dice.random_bool(0.1) {
        policy.failure_budget.per_cause = [(FailureCause::Update, dice.random_range(0..=1))].into();
    }
    if dice.random_bool(0.2) {
        let ask = Question::Command(vec!["is-well".to_owned()]);
        let (every, patience) = (Span::seconds(dice.random_range(10..=120)), Span::seconds(30));
        policy.gates = vec![HealthGate { name: "moods".to_owned(), ask, every, patience }];
    }
    if dice.random_bool(0.5) {
        policy.windows_end = WindowsEnd::Park;
    }
    policy.patience.migration_per_gib = Span::seconds(10);
    policy.patience.packages = Span::seconds(900);
    policy.patience.reboot = Span::seconds(600);
    policy.patience.service = Span::seconds(300);
    policy.patience.transition = Span::seconds(300);
    policy
}

/// Open every day.
fn window(from: &str, to: &str) -> Window {
    use crate::model::Weekday::{Fri, Mon, Sat, Sun, Thu, Tue, Wed};
    let at = |text: &str| WallTime::try_from(text.to_owned()).unwrap();
    let zone = WindowZone::try_from("UTC".to_owned()).unwrap();
    Window { days: vec![Mon, Tue, Wed, Thu, Fri, Sat, Sun], from: at(from), to: at(to), zone }
}

fn faults(scenario: &Scenario, dice: &mut StdRng) -> Faults {
    let world = scenario.build();
    let hosts: Vec<HostName> = world.hosts().map(|host| host.name.clone()).collect();
    let instances: Vec<String> = world.all_servers().map(|server| server.name.clone()).collect();
    let host = |dice: &mut StdRng| hosts.choose(dice).unwrap().clone();
    let mut faults = Faults { chance: chances(dice), tenants: churn(dice), ..Faults::default() };
    for _ in 0..few(dice) {
        faults.api.push(api_rule(dice));
    }
    for _ in 0..few(dice) {
        faults.migrations.push(MigrationRule {
            instance: None,
            source: dice.random_bool(0.5).then(|| host(dice)),
            target: dice.random_bool(0.3).then(|| host(dice)),
            times: Some(dice.random_range(1..=3)),
            fault: migration_fault(dice),
        });
    }
    for _ in 0..few(dice) {
        let fault = match dice.random_range(0..5) {
            0 => HostFault::NoReturn,
            1 => HostFault::OldKernel,
            2 => HostFault::NoCompute,
            _ => HostFault::Late(Span::seconds(dice.random_range(10..=500))),
        };
        faults.hosts.push(HostRule { host: host(dice), times: Some(1), fault });
    }
    for _ in 0..few(dice) {
        let fault = match dice.random_range(0..4) {
            0 => JobFault::PreScriptlet,
            1 => JobFault::PostScriptlet,
            2 => JobFault::Repository,
            _ => JobFault::Hang,
        };
        faults.jobs.push(JobRule { host: host(dice), package: None, times: Some(dice.random_range(1..=2)), fault });
    }
    for _ in 0..2 * few(dice) {
        let when = match dice.random_range(0..5) {
            0 => When::Start,
            1 => When::Disabled(host(dice)),
            2 => When::Fenced(host(dice)),
            3 => When::RebootOrdered(host(dice)),
            _ => When::Migrating(host(dice)),
        };
        let most = if when == When::Start { 1500 } else { 90 };
        let after = Span::seconds(dice.random_range(0..=most));
        faults.incidents.push(Incident { when, after, what: what(&hosts, &instances, dice) });
    }
    for _ in 0..few(dice) {
        flapping(&host(dice), &mut faults, dice);
    }
    races(&world, &mut faults, dice);
    faults
}

/// A service that falls silent again and again, or whose process dies and is started again.
fn flapping(host: &HostName, faults: &mut Faults, dice: &mut StdRng) {
    let dies = dice.random_bool(0.3);
    let mut at = dice.random_range(0..=1500);
    for _ in 0..dice.random_range(2..=5) {
        let (out, up) = (dice.random_range(20..=150), dice.random_range(5..=200));
        let mut incident = |after, what| {
            faults.incidents.push(Incident { when: When::Start, after: Span::seconds(after), what });
        };
        if dies {
            incident(at, What::ComputeDies(host.clone()));
            incident(at + out, What::ComputeReturns(host.clone()));
        } else {
            incident(at, What::Silent(host.clone(), Span::seconds(out)));
        }
        at += out + up;
    }
}

/// Calls that fail in a row, or now and then.
fn api_rule(dice: &mut StdRng) -> ApiRule {
    let changes =
        ["live_migrate", "disable_service", "enable_service", "abort_migration", "cold_migrate", "confirm_resize"];
    let asks = ["services", "servers", "server", "migrations", "allocations"];
    let fault = match dice.random_range(0..8) {
        0 => ApiFault::TooManyRequests,
        1 => ApiFault::Conflict,
        2 => ApiFault::ServerError,
        3 => ApiFault::Unavailable,
        4 => ApiFault::Timeout,
        5 => ApiFault::TimeoutAfterEffect,
        6 => ApiFault::Reset,
        _ => ApiFault::ResetAfterEffect,
    };
    // Nova has no conflicts to tell of where it is only asked, or told of a service.
    let operation = if fault == ApiFault::Conflict {
        ["live_migrate", "abort_migration", "cold_migrate", "confirm_resize"].choose(dice).copied()
    } else if dice.random_bool(0.7) {
        changes.choose(dice).copied()
    } else {
        asks.choose(dice).copied()
    };
    ApiRule {
        operation: operation.map(str::to_owned),
        after: dice.random_range(0..=6),
        times: Some(dice.random_range(1..=4)),
        fault,
    }
}

/// Tenants of a small region come and go so often that some do while it is remedied.
fn churn(dice: &mut StdRng) -> Churn {
    if !dice.random_bool(0.3) {
        return Churn::default();
    }
    let mut per_day = || Percent::new(dice.random_range(0.0..=100.0)).unwrap();
    Churn { created_per_day: per_day(), deleted_per_day: per_day() }
}

/// What happens in the few moments in which it matters, and would hardly ever by chance.
fn races(world: &World, faults: &mut Faults, dice: &mut StdRng) {
    let mut incident = |when, after, what| faults.incidents.push(Incident { when, after, what });
    let off = |host: &SimHost| {
        let stopped = host.servers().filter_map(|id| world.server(id).ok());
        stopped.filter(|server| server.status() == InstanceStatus::Shutoff).map(|server| server.name.clone()).collect()
    };
    for host in world.hosts() {
        let name = &host.name;
        let off: Vec<String> = off(host);
        // A domain that is started by hand just before the fence goes up, and an owner's start behind it.
        if let Some(by_hand) = off.first().filter(|_| dice.random_bool(0.3)) {
            let looked = || When::Looked(name.clone());
            incident(looked(), Span::millis(0), What::DomainStarted(by_hand.clone()));
            incident(looked(), Span::seconds(dice.random_range(1..=30)), What::DomainStopped(by_hand.clone()));
            if let Some(started) = off.get(1) {
                incident(looked(), Span::millis(dice.random_range(0..=1500)), What::Started(started.clone()));
            }
        }
        if dice.random_bool(0.03) {
            incident(
                When::RebootOrdered(name.clone()),
                Span::seconds(dice.random_range(0..=40)),
                What::Disabled(name.clone()),
            );
        }
        if dice.random_bool(0.03) {
            incident(
                When::Enabled(name.clone()),
                Span::seconds(dice.random_range(0..=60)),
                What::Disabled(name.clone()),
            );
        }
    }
}

/// None in most regions.
fn few(dice: &mut StdRng) -> usize {
    [0, 0, 0, 1, 1, 2].choose(dice).copied().unwrap()
}

fn chances(dice: &mut StdRng) -> Chances {
    Chances { api: share(dice, 0.4, 4.0), shell: share(dice, 0.4, 4.0), ..Chances::default() }
}

fn migration_fault(dice: &mut StdRng) -> MigrationFault {
    match dice.random_range(0..12) {
        9 => MigrationFault::Vanish,
        10 | 11 => MigrationFault::StaleHost(Span::seconds(dice.random_range(1..=120))),
        0 => MigrationFault::PrecheckTarget,
        1 => MigrationFault::PrecheckSource,
        2 => MigrationFault::Prepare,
        3 => MigrationFault::Copy,
        4 => MigrationFault::Hang,
        5 => MigrationFault::HangDeaf,
        6 => MigrationFault::AfterSwitch,
        7 => MigrationFault::Slow(dice.random_range(2..=40)),
        _ => MigrationFault::FalseError,
    }
}

fn what(hosts: &[HostName], instances: &[String], dice: &mut StdRng) -> What {
    let host = hosts.choose(dice).unwrap().clone();
    let span = Span::seconds(dice.random_range(5..=300));
    let Some(instance) = instances.choose(dice).cloned() else { return What::Created(host) };
    match dice.random_range(0..18) {
        15 | 16 => What::Resized(instance, Span::seconds(dice.random_range(0..=400))),
        17 => What::ComputeReturns(host),
        0 | 1 => What::Created(host),
        2..=4 => What::Started(instance),
        5 => What::Stopped(instance),
        6 => What::Deleted(instance),
        7 => What::Locked(instance),
        8 => What::Disabled(host),
        9 => What::Enabled(host),
        10 => What::Silent(host, span),
        11 => What::ComputeDies(host),
        12 => What::Unreachable(host, span),
        13 => What::Impostor(host, span),
        _ => What::ControlPlaneDown(span),
    }
}

fn death(dice: &mut StdRng) -> Death {
    let how = match dice.random_range(0..9) {
        0..=2 => How::Journal(Weather { dies: Some((dice.random_range(1..=60), Cut::Before)), ..Weather::default() }),
        3 | 4 => How::Journal(Weather { dies: Some((dice.random_range(1..=60), Cut::After)), ..Weather::default() }),
        5 => How::Journal(Weather { forgets_request: Some(1), ..Weather::default() }),
        6 => How::Journal(Weather { misses_beat: Some(dice.random_range(1..=100)), ..Weather::default() }),
        _ => How::After(Duration::from_millis(dice.random_range(1..=400_000))),
    };
    let most = [1, 60, 60, 1200, 20_000].choose(dice).copied().unwrap();
    let skew = if dice.random_bool(0.2) { dice.random_range(-300..=300) } else { 0 };
    Death { how, gone_for: Duration::from_secs(dice.random_range(0..=most)), skew }
}

fn words(scenario: &Scenario, policy: &Policy, dice: &mut StdRng) -> Vec<(Duration, Request)> {
    let hosts: Vec<HostName> = scenario.build().hosts().map(|host| host.name.clone()).collect();
    let mut words = Vec::new();
    for _ in 0..2 * few(dice) {
        let host = hosts.choose(dice).unwrap().clone();
        let request = match dice.random_range(0..6) {
            0 => Request::Pause,
            1 => Request::Stop,
            2 => Request::Skip { host },
            3 | 4 => Request::Retry { host },
            _ => {
                let mut limits = policy.limits.clone();
                limits.migrations += 2;
                Request::Limits { limits }
            }
        };
        let pauses = request == Request::Pause;
        words.push((Duration::from_secs(dice.random_range(1..=600)), request));
        if pauses {
            words.push((Duration::from_secs(dice.random_range(1..=600)), Request::Continue));
        }
    }
    words
}
