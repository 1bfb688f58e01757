//! What keeps an instance of a campaign of cold boots from being begun. Pure.

use jiff::Timestamp;

use super::host::HostPhase;
use super::limits::Reached;
use super::state::RunState;
use super::windows;
use crate::model::{ProjectId, Window};
use crate::plan::PlannedColdBoot;

/// Whether an instance may be begun beside those that are: the limits, and no two of a group that keeps apart.
pub(super) fn admits(state: &RunState, planned: &PlannedColdBoot) -> Result<(), Reached> {
    let rules = &state.rollout().policy.cold_boots;
    let (mut all, mut here) = (0, 0);
    for place in state.index.in_phase(HostPhase::Active) {
        let Some(other) = state.at(place).and_then(|(host, _)| host.cold_boot.as_deref()) else { continue };
        if planned.group.is_some() && planned.group == other.group {
            return Err(Reached::Mate(other.instance));
        }
        all += 1;
        here += usize::from(other.on == planned.on);
    }
    if all >= rules.at_once.max(1) {
        return Err(Reached::ColdBoots(rules.at_once.max(1)));
    }
    if here >= rules.per_host.max(1) {
        return Err(Reached::ColdBootsOn(planned.on.clone(), rules.per_host.max(1)));
    }
    Ok(())
}

/// When instances of a project may be stopped: its own windows, or the policy's.
pub(super) fn windows_of<'a>(state: &'a RunState, project: &ProjectId) -> &'a [Window] {
    let policy = &state.rollout().policy;
    policy.cold_boots.windows.get(project).map_or(policy.windows.as_slice(), Vec::as_slice)
}

/// When a project's window opens next.
pub(super) fn next_opening(state: &RunState, now: Timestamp) -> Option<Timestamp> {
    if state.rollout().work.is_of_hosts() {
        return None;
    }
    let own = state.rollout().policy.cold_boots.windows.values();
    own.filter_map(|windows| windows::next_opening(windows, now)).min()
}
