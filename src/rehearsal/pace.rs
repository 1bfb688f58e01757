//! How long things take in a rehearsal: what the rollout reckons with, spread over the stages that the engine goes
//! through, each drawn around its mean.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::{HostName, Percent, Policy, Span};
use crate::plan::{PlannedHost, Rollout};
use crate::sim::world::{PercentRange, Spread, Timing};

/// What the engine itself takes of a move, in seconds: half a poll until it sees that the guest has arrived, the two
/// seconds for which it watches an arrival, and a dozen answers of the API.
const ENGINE_PER_MOVE: f64 = 4.1;

/// What the engine itself takes of a host, in seconds: nova-compute's three reports after the reboot, looks over ssh
/// and the proofs of quiet.
const ENGINE_PER_HOST: f64 = 38.0;

/// Shares of the rest of a move: until its record shows, until a target is chosen, until the target is prepared, of
/// what the copy takes apart from the memory, and until the record is closed.
const MOVE: [f64; 5] = [0.1, 0.2, 0.3, 0.3, 0.1];

/// Shares of the rest of a host: its update, until it falls silent, until it answers again. Servers spend most of it in
/// their firmware's self-test.
const HOST: [f64; 3] = [0.2, 0.02, 0.78];

/// How much of the engine's patience a stage of a host takes at most.
const BEARABLE: f64 = 0.9;

/// No part is shorter, in seconds: a region where nothing takes time is none.
const SHORTEST: f64 = 0.02;

/// The longest download of packages, in seconds. It runs beside the moves, and a plan does not reckon with it.
const STAGE: f64 = 10.0;

/// How long things take in the region of a rollout.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pace {
    /// Durations of all hosts and migrations.
    pub timing: Timing,
    /// By host, what its update and its reboot take of those of `timing`, in percent; 100 where nothing is said.
    pub hosts: BTreeMap<HostName, u32>,
}

/// The pace at which `rollout` was planned, each duration within `noise` of what it says.
pub(super) fn pace_of(rollout: &Rollout, noise: Percent) -> Pace {
    let policy = &rollout.policy;
    // The rollout reckons a host back in service when it has settled.
    let aside = ENGINE_PER_HOST + policy.settle.as_seconds();
    let work: BTreeMap<&HostName, f64> =
        rollout.hosts.iter().map(|host| (&host.host, (work_of(host) - aside).max(SHORTEST))).collect();
    let mut sorted: Vec<f64> = work.values().copied().collect();
    sorted.sort_by(f64::total_cmp);
    let usual = sorted.get(sorted.len() / 2).copied().unwrap_or(SHORTEST);
    let share = |seconds: f64| whole(seconds / usual * 100.0).max(1);
    let hosts =
        work.into_iter().map(|(host, seconds)| (host.clone(), share(seconds))).filter(|(_, share)| *share != 100);
    Pace { timing: timing(policy, usual, slowness(rollout), noise), hosts: hosts.collect() }
}

/// Seconds for which a host is planned to be out of service after its last instance has left.
fn work_of(host: &PlannedHost) -> f64 {
    let emptied = host.moves.iter().map(|one| one.finish_s).fold(host.start_s, f64::max);
    host.finish_s - emptied
}

/// How many times as long as the policy estimates the rollout's migrations are planned to take: earlier runs may have
/// said so.
fn slowness(rollout: &Rollout) -> f64 {
    let moves = || rollout.hosts.iter().flat_map(|host| &host.moves);
    let planned: f64 = moves().map(|one| one.finish_s - one.start_s).sum();
    let estimated: f64 = moves().map(|one| rollout.policy.estimate.move_seconds(one.resources.memory_mb())).sum();
    if estimated > 0.0 && planned > 0.0 { planned / estimated } else { 1.0 }
}

/// The durations of a region that keeps to `policy`, where a host takes `of_host` seconds for its update and its reboot
/// and migrations are `slowness` times as long as estimated.
fn timing(policy: &Policy, of_host: f64, slowness: f64, noise: Percent) -> Timing {
    let estimate = &policy.estimate;
    let around = |seconds: f64| {
        let mean = seconds.max(SHORTEST);
        let at = |factor: f64| Duration::try_from_secs_f64(mean * factor).unwrap_or_default();
        Spread::between(at(1.0 - noise.fraction()), at(1.0 + noise.fraction()))
    };
    let of_move = (estimate.per_move.as_seconds() * slowness - ENGINE_PER_MOVE).max(0.0);
    let [record_opens, schedule, prepare, copy, record_lag] = MOVE.map(|share| around(share * of_move));
    // A stage that is longer than the engine's patience with it would be a failure of the rehearsal's own making.
    let within = |patience: Span| BEARABLE * patience.as_seconds() / (1.0 + noise.fraction());
    let [update, shut_down, boot] = HOST.map(|share| share * of_host);
    let (boot, rest) = (boot.min(within(policy.patience.reboot)), boot - boot.min(within(policy.patience.reboot)));
    let update = (update + rest).min(within(policy.patience.packages));
    let [update, shut_down, boot] = [update, shut_down, boot].map(around);
    let (noise, dirty) = (noise.fraction() * 100.0, whole((estimate.dirty_factor - 1.0) * 100.0));
    let copied = |percent: f64| whole(percent * slowness);
    Timing {
        compute_start: around(10.0),
        concurrent_migrations: policy.limits.migrations_per_source.max(1),
        record_opens,
        schedule,
        prepare,
        copy,
        record_lag,
        bandwidth: estimate.bandwidth,
        dirty_percent: PercentRange { from: dirty, to: dirty },
        copy_percent: PercentRange { from: copied(100.0 - noise), to: copied(100.0 + noise) },
        stage: around(STAGE.min(of_host / 10.0)),
        update,
        shut_down,
        boot,
        answer: Spread::fixed(Duration::from_millis(40)),
        shell: Spread::fixed(Duration::from_millis(200)),
        // What the lists of one host add is part of what the engine takes.
        answer_per_server: Span::millis(1),
        ..Timing::default()
    }
}

/// The nearest whole number of hundredths.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "percentages of durations are small")]
fn whole(percent: f64) -> u32 {
    percent.round().max(0.0) as u32
}
