//! How far a rollout keeps to the policy's priority, which is a wish and no limit.

use super::ground::{Ground, time};
use crate::plan::rollout::Rollout;

/// Hosts, canaries aside, that begin before one that the policy's priority puts first has begun. Those that come first may
/// find no room or no slot while others do.
pub(super) fn out_of_turn(rollout: &Rollout, ground: &Ground<'_>) -> usize {
    let places = &rollout.policy.priority;
    if places.is_empty() {
        return 0;
    }
    let planned = ground.planned(rollout).into_iter().filter(|(_, planned)| !planned.canary);
    let mut begun: Vec<(usize, u64)> = planned
        .map(|(host, planned)| {
            let place = places.iter().position(|place| place.has(ground.hosts[host].host));
            (place.unwrap_or(places.len()), time(planned.start_s))
        })
        .collect();
    begun.sort_unstable();
    // From the last host of the first place on: whoever of a later place begins before it does so out of turn.
    let mut latest = 0;
    let mut count = 0;
    for class in begun.chunk_by(|a, b| a.0 == b.0) {
        count += class.iter().filter(|(_, start)| *start < latest).count();
        latest = class.iter().map(|(_, start)| *start).fold(latest, u64::max);
    }
    count
}
