//! When a run will end, with its range: the plan's remaining time at the pace of the hosts that are done.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::history::{AttemptEnd, History};
use super::text::count;
use crate::run::{HostPhase, RunState, RunStatus};

/// Hosts from which on their own spread says how sure the end is; of fewer, a wide guess does.
const TELLING: usize = 5;
/// How much sooner, and later, than the plan says a run may end of which nothing is known yet. Experience of the
/// rehearsals: the usual faults cost a few percent, a planner's guess of bandwidth can be wrong by half.
const UNKNOWN: (f64, f64) = (0.75, 1.5);
/// A host that took so many times longer, or shorter, than planned says nothing about the others.
const OUTLIER: f64 = 5.0;

/// When a run is likely to end.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Eta {
    /// When everything goes as with the quickest tenth of the hosts.
    pub earliest: Timestamp,
    /// At the pace so far.
    pub likely: Timestamp,
    /// When everything goes as with the slowest tenth of the hosts.
    pub latest: Timestamp,
    /// What that rests on, in words.
    pub because: String,
}

/// When the run is likely to end, as of `now`; nothing for one that stands still or has ended.
pub fn eta(state: &RunState, history: &History, now: Timestamp) -> Option<Eta> {
    if !matches!(state.status(), RunStatus::Running) {
        return None;
    }
    let mut paces = paces(state, history);
    paces.sort_by(f64::total_cmp);
    let (quick, usual, slow) = spread(&paces);
    let left = planned_left(state, now);
    let at = |pace: f64| now.checked_add(SignedDuration::try_from_secs_f64(left * pace).ok()?).ok();
    let because = if paces.is_empty() {
        "as planned; no host is done yet in a usual time".to_owned()
    } else {
        format!("{} so far took {usual:.2} times as long as planned", count(paces.len(), "host"))
    };
    Some(Eta { earliest: at(quick)?, likely: at(usual)?, latest: at(slow)?, because })
}

/// Of each host that is done: time taken over time planned.
fn paces(state: &RunState, history: &History) -> Vec<f64> {
    let done = state.in_order().filter(|(_, host)| host.phase == HostPhase::Done);
    let pace = done.filter_map(|(planned, _)| {
        let attempts = &history.hosts.get(&planned.host)?.attempts;
        let is_smooth = attempts.iter().all(|one| !matches!(one.end, Some((_, AttemptEnd::Failed { .. }))));
        let from = attempts.iter().map(|one| one.from).min()?;
        let to = attempts.iter().filter_map(|one| one.end.as_ref()).map(|(at, _)| *at).max()?;
        let wanted = planned.finish_s - planned.start_s;
        let pace = to.duration_since(from).as_secs_f64() / wanted;
        (is_smooth && wanted > 0.0 && (1.0 / OUTLIER..=OUTLIER).contains(&pace)).then_some(pace)
    });
    pace.collect()
}

/// The tenth, the middle and the ninth tenth; of few hosts a wide guess around the middle.
fn spread(sorted: &[f64]) -> (f64, f64, f64) {
    let Some(usual) = sorted.get(sorted.len() / 2).copied() else { return (UNKNOWN.0, 1.0, UNKNOWN.1) };
    if sorted.len() < TELLING {
        return (usual * UNKNOWN.0, usual, usual * UNKNOWN.1);
    }
    let tenth = sorted.len() / 10;
    (sorted[tenth], usual, sorted[sorted.len() - 1 - tenth])
}

/// Seconds of the plan that are left: from where the plan has as many hosts behind it as the run, less what has passed
/// since the last of them ended, up to where the plan's next one ends.
fn planned_left(state: &RunState, now: Timestamp) -> f64 {
    let ended = |phase| matches!(phase, HostPhase::Done | HostPhase::Skipped | HostPhase::Quarantined);
    let behind = state.in_order().filter(|(_, host)| ended(host.phase)).map(|(_, host)| host.since);
    let (number, last) = behind.fold((0, state.started()), |(number, last), since| {
        (number + 1, Some(last.map_or(since, |last: Timestamp| last.max(since))))
    });
    let mut ends: Vec<f64> = state.rollout().hosts.iter().map(|planned| planned.finish_s).collect();
    ends.sort_by(f64::total_cmp);
    let reached = if number == 0 { 0.0 } else { ends.get(number - 1).copied().unwrap_or(0.0) };
    let next = ends.get(number).copied().unwrap_or(reached);
    let passed = last.map_or(0.0, |last| now.duration_since(last).as_secs_f64()).clamp(0.0, next - reached);
    (state.rollout().certificate.makespan_s.max(ends.last().copied().unwrap_or(0.0)) - reached - passed).max(0.0)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::report::fixture::{at, events, region, rollout, run_id};

    #[test]
    fn before_the_first_host_is_done_it_is_the_plans_with_a_wide_range() {
        let rollout = Arc::new(rollout());
        let mut state = RunState::new(run_id(), Arc::clone(&rollout), &region());
        let mut history = History::of(&rollout);
        assert_eq!(eta(&state, &history, at(100)), None, "it has not begun");
        let first = &events()[0];
        state.apply(first).unwrap();
        history.tell(first);
        let eta = eta(&state, &history, first.at).unwrap();
        assert!(eta.earliest < eta.likely && eta.likely < eta.latest);
        let planned = rollout.certificate.makespan_s.max(1340.0);
        assert!((eta.likely.duration_since(first.at).as_secs_f64() - planned).abs() < 1.0, "{eta:?}");
        assert!(eta.because.starts_with("as planned"), "{eta:?}");
    }

    #[test]
    fn the_spread_of_many_hosts_is_theirs() {
        let paces: Vec<f64> = (1..=21).map(|number| f64::from(number) / 10.0).collect();
        assert_eq!(spread(&paces), (0.3, 1.1, 1.9));
        assert_eq!(spread(&[2.0]), (1.5, 2.0, 3.0));
    }
}
