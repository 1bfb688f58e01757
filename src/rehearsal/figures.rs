//! What came of a rehearsal: each run's figures, and what they say together.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::watch::Watch;
use crate::model::{HostName, ZoneName};
use crate::run::{HostPhase, HostState, Outcome, PauseCause, RunEnd, RunState};
use crate::sim::world::World;

/// How a rehearsed run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    /// Every host is done or was left alone.
    Done,
    /// Every host has ended, some of them quarantined.
    DoneWithFailures,
    /// More hosts failed than the failure budget allows, or a canary did: it waits for an operator.
    FailureBudget,
    /// It paused for another reason.
    Paused,
    /// It came to no end in ten times the planned time and a month.
    Endless,
}

/// A host that a run gave up on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct FailedHost {
    /// Which.
    pub host: HostName,
    /// Seconds after the run's beginning.
    pub at_s: f64,
    /// Why.
    pub why: String,
}

/// A host that a run left alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SkippedHost {
    /// Which.
    pub host: HostName,
    /// Why.
    pub why: String,
}

/// The highest load of a zone.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ZoneLoad {
    /// The zone.
    pub zone: Option<ZoneName>,
    /// The resource class that was fullest.
    pub class: String,
    /// What the zone's instances hold of it, over what its hosts in service have, when fewest of them were in service.
    pub peak: f64,
}

/// A pause that nobody ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pause {
    /// Seconds after the run's beginning.
    pub at_s: f64,
    /// Why.
    pub reason: String,
}

/// Hosts of a rehearsed run by where they ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct HostCounts {
    /// Back in service, proven.
    pub done: usize,
    /// Given up.
    pub failed: usize,
    /// Left alone.
    pub skipped: usize,
    /// Not reached.
    pub open: usize,
}

/// Migrations of a rehearsed run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct MoveCounts {
    /// Ended on another host.
    pub done: usize,
    /// Attempts that failed.
    pub failed: usize,
}

/// What tenants did in a rehearsed run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct TenantFigures {
    /// Instances created.
    pub created: u64,
    /// Instances deleted.
    pub deleted: u64,
}

/// One rehearsed run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Played {
    /// Its seed.
    pub seed: u64,
    /// How it ended.
    pub outcome: End,
    /// Seconds from its beginning until its last host had ended; absent when it did not come to its end.
    pub makespan_s: Option<f64>,
    /// Hosts.
    pub hosts: HostCounts,
    /// Migrations.
    pub moves: MoveCounts,
    /// Most hosts out of service at once, those that failed included.
    pub peak_hosts_out: usize,
    /// Most migrations in flight at once.
    pub peak_migrations: usize,
    /// The highest load of each zone.
    pub peak_load: Vec<ZoneLoad>,
    /// Why it waits for an operator.
    pub pause: Option<Pause>,
    /// Hosts that it gave up on.
    pub failed: Vec<FailedHost>,
    /// Hosts that it left alone.
    pub skipped: Vec<SkippedHost>,
    /// What tenants did meanwhile.
    pub tenants: TenantFigures,
    /// Guests that ended because their host went down under them; anything but 0 is a bug of the engine.
    pub lost_guests: usize,
    /// Requests to the simulated cloud.
    pub requests: u64,
}

impl Played {
    /// What came of the run that `watch` watched in `world`.
    pub(super) fn of(seed: u64, end: &RunEnd, watch: &Watch<'_>, world: &World) -> Self {
        let state = &end.state;
        let began = watch.began.unwrap_or(Timestamp::UNIX_EPOCH);
        let outcome = outcome_of(end, watch);
        let is_through = matches!(outcome, End::Done | End::DoneWithFailures);
        let after = |at: Timestamp| seconds(at.duration_since(began).as_millis());
        let tenants = world.tenant_counts();
        let in_phase = |phase| state.in_order().filter(move |(_, host)| host.phase == phase);
        let why = |host: &HostState| host.why.clone().unwrap_or_default();
        Self {
            seed,
            outcome,
            makespan_s: watch.last.filter(|_| is_through).map(after),
            hosts: counts(state),
            moves: MoveCounts { done: state.moves().done, failed: state.moves().failed },
            peak_hosts_out: watch.peak_hosts_out,
            peak_migrations: watch.peak_migrations,
            peak_load: watch.loads(),
            pause: watch.paused.as_ref().map(|(at, _, reason)| Pause { at_s: after(*at), reason: reason.clone() }),
            failed: in_phase(HostPhase::Quarantined)
                .map(|(planned, host)| FailedHost {
                    host: planned.host.clone(),
                    at_s: after(host.since),
                    why: why(host),
                })
                .collect(),
            skipped: in_phase(HostPhase::Skipped)
                .map(|(planned, host)| SkippedHost { host: planned.host.clone(), why: why(host) })
                .collect(),
            tenants: TenantFigures { created: tenants.created, deleted: tenants.deleted },
            lost_guests: world.lost().len(),
            requests: state.api_cost().0,
        }
    }

    /// Whether nothing of it needs an operator.
    pub fn went_well(&self) -> bool {
        self.outcome == End::Done && self.lost_guests == 0
    }
}

fn outcome_of(end: &RunEnd, watch: &Watch<'_>) -> End {
    match end.outcome {
        Some(Outcome::Done) => End::Done,
        Some(Outcome::DoneWithFailures) => End::DoneWithFailures,
        Some(Outcome::Paused) => match watch.paused {
            Some((_, PauseCause::FailureBudget, _)) => End::FailureBudget,
            Some((_, PauseCause::Operator | PauseCause::ControlPlane | PauseCause::Drift, _)) | None => End::Paused,
        },
        Some(Outcome::Stopped | Outcome::Abandoned) | None => End::Endless,
    }
}

fn counts(state: &RunState) -> HostCounts {
    HostCounts {
        done: state.count(HostPhase::Done),
        failed: state.count(HostPhase::Quarantined),
        skipped: state.count(HostPhase::Skipped),
        open: state.count(HostPhase::Waiting) + state.count(HostPhase::Active),
    }
}

/// Milliseconds as seconds with three decimals, which text keeps exactly.
#[expect(clippy::cast_precision_loss, reason = "times are far below 2^52 ms")]
fn seconds(millis: i128) -> f64 {
    millis as f64 / 1000.0
}

/// A figure over all runs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Quantiles {
    /// The smallest.
    pub min: f64,
    /// Half of the runs have no more.
    pub median: f64,
    /// 95 of 100 runs have no more.
    pub p95: f64,
    /// The largest.
    pub max: f64,
}

impl Quantiles {
    /// By nearest rank; `None` of nothing.
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "ranks are small and not negative"
    )]
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let rank = |share: f64| {
            let rank = (share * values.len() as f64).ceil() as usize;
            values.get(rank.saturating_sub(1)).copied()
        };
        Some(Self { min: *values.first()?, median: rank(0.5)?, p95: rank(0.95)?, max: *values.last()? })
    }
}

/// All runs of a rehearsal, and what they say together.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figures {
    /// Makespans of the runs that came to their end, in seconds.
    pub makespan_s: Option<Quantiles>,
    /// Migrations that ended on another host.
    pub moves: Option<Quantiles>,
    /// Runs that the failure budget paused.
    pub failure_budget_hit: usize,
    /// Runs by how they ended.
    pub outcomes: BTreeMap<End, usize>,
    /// Hosts that any run gave up on, with the number of such runs and the cause in the first of them; most often first.
    pub failed_hosts: Vec<Often>,
    /// Hosts that any run left alone, likewise.
    pub skipped_hosts: Vec<Often>,
    /// Each run, in order of seed.
    pub run: Vec<Played>,
}

/// What befell a host in some of the runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Often {
    /// The host.
    pub host: HostName,
    /// In how many runs.
    pub runs: usize,
    /// Why, in the first of them.
    pub why: String,
}

impl Figures {
    /// What `run` says together.
    #[expect(clippy::cast_precision_loss, reason = "counts of moves stay far below 2^52")]
    pub(super) fn of(run: Vec<Played>) -> Self {
        let mut outcomes = BTreeMap::new();
        for played in &run {
            *outcomes.entry(played.outcome).or_default() += 1;
        }
        let failed = run.iter().flat_map(|played| played.failed.iter().map(|one| (&one.host, &one.why)));
        let skipped = run.iter().flat_map(|played| played.skipped.iter().map(|one| (&one.host, &one.why)));
        Self {
            makespan_s: Quantiles::of(run.iter().filter_map(|played| played.makespan_s)),
            moves: Quantiles::of(run.iter().map(|played| played.moves.done as f64)),
            failure_budget_hit: outcomes.get(&End::FailureBudget).copied().unwrap_or(0),
            outcomes,
            failed_hosts: often(failed),
            skipped_hosts: often(skipped),
            run,
        }
    }
}

fn often<'a>(hosts: impl Iterator<Item = (&'a HostName, &'a String)>) -> Vec<Often> {
    let mut by_host: BTreeMap<&HostName, Often> = BTreeMap::new();
    for (host, why) in hosts {
        let first = || Often { host: host.clone(), runs: 0, why: why.clone() };
        by_host.entry(host).or_insert_with(first).runs += 1;
    }
    let mut all: Vec<Often> = by_host.into_values().collect();
    all.sort_by(|a, b| b.runs.cmp(&a.runs).then_with(|| a.host.cmp(&b.host)));
    all
}
