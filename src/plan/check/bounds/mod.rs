//! Lower bounds that no rollout of these hosts under these limits can beat, proven from the region, the policy and which
//! hosts are remedied: not from where this rollout moves instances, nor from which hosts it names as lenders. Each proof
//! stands with its bound; `docs/design/0020-bounds.md` has them side by side.

mod moves;
mod room;
mod slots;
mod streams;

pub(super) use moves::fewest_moves;
pub(super) use slots::most_canaries;

use std::collections::BTreeMap;

use super::ground::{Ground, Time, time};
use super::islands::Islands;
use crate::plan::rollout::{Bounds, PlannedHost, Rollout};

/// What one planned host takes at least.
struct Work {
    host: usize,
    /// Sum of its migrations.
    transfer: Time,
    /// From its last migration to its return.
    remedied: Time,
    /// Drain at full speed, then the remedy.
    out: Time,
    /// What of that nobody else can take over: where instances may make way, they can leave it in another host's drain.
    sure: Time,
}

/// Lower bounds on the makespan by name, in seconds.
pub(super) fn bounds(rollout: &Rollout, ground: &Ground<'_>, islands: &Islands) -> Bounds {
    let planned = ground.planned(rollout).into_iter();
    let works: Vec<Work> = planned.map(|(host, planned)| work(rollout, ground, host, planned)).collect();
    let mut bounds: BTreeMap<String, Time> = BTreeMap::new();
    let Some(longest) = works.iter().map(|work| work.out).max() else { return Bounds::new() };
    bounds.insert("longest-host".to_owned(), longest);
    bounds.insert("slots".to_owned(), slots::region(rollout, ground, &works));
    for (zone, bound) in slots::zones(rollout, ground, &works) {
        bounds.insert(format!("slots/{zone}"), bound);
    }
    let others = [
        ("slots-per-rack", slots::racks(rollout, ground, &works)),
        ("slots-per-aggregate", slots::aggregates(rollout, ground, &works)),
        ("canary", slots::canary(rollout, ground, &works)),
        ("headroom", slots::headroom(rollout, ground, &works)),
        ("migrations", streams::migrations(rollout, &works)),
        ("receive", streams::receive(rollout, ground, islands, &works)),
        ("anti-affinity-group", streams::groups(ground, &works)),
        ("room", room::room(rollout, ground, islands, &works)),
    ];
    bounds.extend(others.into_iter().filter_map(|(name, bound)| Some((name.to_owned(), bound?))));
    bounds.into_iter().map(|(name, time)| (name, seconds(time))).collect()
}

fn work(rollout: &Rollout, ground: &Ground<'_>, host: usize, planned: &PlannedHost) -> Work {
    let durations: Vec<Time> = ground.leaving(host).map(|instance| ground.instances[instance].duration).collect();
    let transfer: Time = durations.iter().sum();
    let longest = durations.iter().copied().max().unwrap_or(0);
    let drain = longest.max(per(transfer, rollout.policy.limits.migrations_per_source));
    let remedied = time(planned.work.unwrap_or(rollout.policy.estimate.host).as_seconds());
    let sure = if ground.may_make_way(host) { remedied } else { drain + remedied };
    Work { host, transfer, remedied, out: drain + remedied, sure }
}

fn per(sum: Time, slots: usize) -> Time {
    sum / (slots.max(1) as Time)
}

#[expect(clippy::cast_precision_loss, reason = "planned times are far below 2^52 ms")]
fn seconds(time: Time) -> f64 {
    time as f64 / 1000.0
}
