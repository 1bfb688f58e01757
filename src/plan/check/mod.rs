//! The checker: replays every instant of a rollout against the region and says what is wrong with it.
//!
//! It shares nothing with the planner but the model: it reads the rollout as the engine would, keeps its own books,
//! and computes its own lower bounds. A plan that it finds a violation in can be neither written nor run.

mod bounds;
mod ground;
mod islands;
mod limits;
mod looks;
mod numa;
mod parts;
mod priority;
mod processors;
mod replay;
mod timeline;

use super::rollout::{Certificate, Rollout};
use crate::model::Region;

/// Replays `rollout` against the region that it was made for. Whether the region is still so is for `diff` to say.
#[must_use]
pub fn check(rollout: &Rollout, region: &Region) -> Certificate {
    certify(rollout, &ground::Ground::of(rollout, region))
}

/// As [`check`], and how many hosts begin out of turn: see [`priority::out_of_turn`].
pub(super) fn check_with_turns(rollout: &Rollout, region: &Region) -> (Certificate, usize) {
    let ground = ground::Ground::of(rollout, region);
    (certify(rollout, &ground), priority::out_of_turn(rollout, &ground))
}

fn certify(rollout: &Rollout, ground: &ground::Ground<'_>) -> Certificate {
    let findings = replay::replay(rollout, ground);
    let instances = ground.leaving_count();
    let moves: usize = rollout.hosts.iter().map(|host| host.moves.len()).sum();
    let makespan_s = rollout.hosts.iter().map(|host| host.finish_s).fold(0.0, f64::max);
    let islands = islands::Islands::of(ground);
    let bounds = bounds::bounds(rollout, ground, &islands);
    let bound = bounds.values().copied().fold(0.0, f64::max);
    Certificate {
        instances,
        moves,
        moves_per_instance: if instances == 0 { 0.0 } else { short(ratio(moves, instances)) },
        moves_lower_bound: bounds::fewest_moves(rollout, ground, &islands),
        makespan_s,
        makespan_lower_bound_s: bound,
        gap: if bound > 0.0 { short(makespan_s / bound - 1.0) } else { 0.0 },
        bounds,
        peak_hosts_out: findings.peak_hosts_out,
        violations: findings.violations,
    }
}

/// Six decimals, which every reader of JSON and YAML gives back exactly: the digest covers the certificate.
fn short(number: f64) -> f64 {
    (number * 1_000_000.0).round() / 1_000_000.0
}

#[expect(clippy::cast_precision_loss, reason = "counts of moves stay far below 2^52")]
fn ratio(part: usize, whole: usize) -> f64 {
    part as f64 / whole as f64
}
