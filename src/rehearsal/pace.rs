//! How long things take in a rehearsal: what the rollout's policy reckons with, spread over the stages that the engine
//! goes through, each drawn around its mean.

use std::time::Duration;

use crate::model::{Percent, Policy, Span};
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

/// The durations of a region that keeps to `policy`, each within `noise` of what it says.
pub(super) fn timing(policy: &Policy, noise: Percent) -> Timing {
    let estimate = &policy.estimate;
    let around = |seconds: f64| {
        let mean = seconds.max(SHORTEST);
        let at = |factor: f64| Duration::try_from_secs_f64(mean * factor).unwrap_or_default();
        Spread::between(at(1.0 - noise.fraction()), at(1.0 + noise.fraction()))
    };
    let of_move = (estimate.per_move.as_seconds() - ENGINE_PER_MOVE).max(0.0);
    let of_host = (estimate.host.as_seconds() - ENGINE_PER_HOST).max(0.0);
    let [record_opens, schedule, prepare, copy, record_lag] = MOVE.map(|share| around(share * of_move));
    // A stage that is longer than the engine's patience with it would be a failure of the rehearsal's own making.
    let within = |patience: Span| BEARABLE * patience.as_seconds() / (1.0 + noise.fraction());
    let [update, shut_down, boot] = HOST.map(|share| share * of_host);
    let (boot, rest) = (boot.min(within(policy.patience.reboot)), boot - boot.min(within(policy.patience.reboot)));
    let update = (update + rest).min(within(policy.patience.packages));
    let [update, shut_down, boot] = [update, shut_down, boot].map(around);
    let (noise, dirty) = (whole(noise.fraction() * 100.0), whole((estimate.dirty_factor - 1.0) * 100.0));
    Timing {
        // The engine counts reports; a first one that comes soon makes hosts alike.
        compute_start: around(10.0),
        concurrent_migrations: policy.limits.migrations_per_source.max(1),
        record_opens,
        schedule,
        prepare,
        copy,
        record_lag,
        bandwidth: estimate.bandwidth,
        dirty_percent: PercentRange { from: dirty, to: dirty },
        copy_percent: PercentRange { from: 100_u32.saturating_sub(noise), to: 100 + noise },
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
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a factor is between 1 and 100")]
fn whole(percent: f64) -> u32 {
    percent.round().max(0.0) as u32
}
