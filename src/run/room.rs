//! Room for moves, asked of the placement function that the planner uses as well. Pure.

use std::collections::BTreeSet;

use super::event::LeavingInstance;
use super::host::{HostPhase, HostState, StepState, StepStatus};
use super::limits::{InUse, Reached};
use super::schedule::Wait;
use super::state::RunState;
use crate::model::{HostName, InstanceId};
use crate::plan::placement::{Choice, Mover, Occupancy, Refusal, Rules, choose_target, fits_all};
use crate::plan::{PlannedHost, PlannedMove};

/// Where a ready move goes, and why not to the planned host.
pub(super) fn target_of(
    state: &RunState,
    step: &StepState,
    in_use: &InUse,
) -> Result<(HostName, Option<String>), Wait> {
    let from = &step.step.host;
    let Some(leaving) = &step.leaving else {
        return Err(Wait::Room(Refusal::UnknownHost { host: from.clone() }));
    };
    let limits = state.limits();
    let preferred = planned_target(state, from, leaving.id).filter(|target| !step.avoid.contains(*target));
    let is_full = |target: &HostName| in_use.is_full_target(target, limits);
    if let Some(target) = preferred.filter(|target| is_full(target) && state.occupancy().is_target(target)) {
        // Its turn comes; going elsewhere would take the room that is planned for others.
        return Err(Wait::Limit(Reached::Target(target.clone(), limits.migrations_per_target)));
    }
    let full: BTreeSet<HostName> = in_use.full_targets(limits).cloned().collect();
    let mover = Mover { preferred: preferred.cloned(), ..mover(leaving, from) };
    let avoid: BTreeSet<HostName> = full.union(&step.avoid).cloned().collect();
    let chosen = choose(state, &mover, &avoid).or_else(|refusal| {
        // Targets that failed are tried again before the instance is given up: Nova's scheduler may have believed
        // in a drained host's old instances, for up to 120 s.
        if step.avoid.is_empty() { Err(refusal) } else { choose(state, &mover, &full) }
    });
    match chosen {
        Ok(Choice { host, instead }) => Ok((host, instead.map(|refusal| refusal.to_string()))),
        Err(refusal) => match choose(state, &mover, &BTreeSet::new()) {
            // There is room, on hosts that take no further migration at the moment.
            Ok(Choice { host, .. }) if full.contains(&host) => {
                Err(Wait::Limit(Reached::Target(host, limits.migrations_per_target)))
            }
            Ok(_) | Err(_) => Err(Wait::Room(refusal)),
        },
    }
}

/// Whether a waiting host's instances have room, beside those of hosts that are begun and still to be emptied.
pub(super) fn for_host(state: &RunState, planned: &PlannedHost) -> Result<(), Refusal> {
    let mut movers: Vec<Mover> = Vec::new();
    let headroom = &state.rollout().policy.headroom;
    let domain = state.occupancy().domain_number(&planned.host);
    // Hosts of other domains share no room with it, but for the empty hosts that a zone keeps.
    let counts =
        |other: &PlannedHost| headroom.per_zone.hosts > 0 || state.occupancy().domain_number(&other.host) == domain;
    for (other, host) in state.index.in_phase(HostPhase::Active).filter_map(|place| state.at(place)) {
        if counts(other) {
            movers.extend(still_to_leave(other, host));
        }
    }
    for planned_move in planned.moves.iter().filter(|planned_move| !is_exception(state, planned_move)) {
        movers.push(planned_mover(planned_move));
    }
    if movers.is_empty() {
        return Ok(());
    }
    let rules = Rules::keeping(headroom);
    fits_all(state.occupancy(), &movers, &rules).map(|_| ())
}

/// The choice among hosts that are mitigated, and hosts that lend room while none of their domain is; where the plan
/// has the instance go to a vulnerable host, because there is no other room, also among those that the plan may use so.
fn choose(state: &RunState, mover: &Mover, avoid: &BTreeSet<HostName>) -> Result<Choice, Refusal> {
    let rules = Rules { avoid, headroom: &state.rollout().policy.headroom };
    let occupancy = state.occupancy();
    // A target that failed is no preference any more, and yet says that the plan has no other room.
    let planned = planned_target(state, &mover.from, mover.id);
    let to_vulnerable = planned.is_some_and(|target| may_take_while_vulnerable(state, target));
    match choose_target(occupancy, mover, &rules) {
        Err(refusal) if to_vulnerable && !matches!(refusal, Refusal::GroupInFlight { .. }) => {
            choose_target(&with_vulnerable(state), mover, &rules)
        }
        chosen => chosen,
    }
}

/// The occupancy with hosts that wait and hosts that lend room as further targets. Only a seed's few moves ask for it.
fn with_vulnerable(state: &RunState) -> Occupancy {
    let mut occupancy = state.occupancy().clone();
    let waiting =
        state.in_order().filter(|(_, host)| host.phase == HostPhase::Waiting).map(|(planned, _)| &planned.host);
    for host in waiting.chain(&state.rollout().lenders) {
        // A host outside the snapshot has no room that is known.
        let _ = occupancy.admit(host);
    }
    occupancy
}

/// Whether the plan may use a host that is not mitigated: it is not begun, or lends room.
fn may_take_while_vulnerable(state: &RunState, host: &HostName) -> bool {
    state.rollout().lenders.contains(host)
        || state.hosts().get(host).is_some_and(|host| host.phase == HostPhase::Waiting)
}

/// Whether a planned move goes to a host that is vulnerable then: one that is remedied later, or that only lends room.
fn is_exception(state: &RunState, planned: &PlannedMove) -> bool {
    !state.occupancy().is_target(&planned.to) && may_take_while_vulnerable(state, &planned.to) && {
        let order = |host: &HostName| state.planned(host).map(|planned| planned.order);
        order(&planned.to).is_none_or(|target| Some(target) > order(&planned.from))
    }
}

fn planned_target<'a>(state: &'a RunState, from: &HostName, instance: InstanceId) -> Option<&'a HostName> {
    let planned = state.planned(from)?;
    planned.moves.iter().find(|planned| planned.instance == instance).map(|planned| &planned.to)
}

/// Instances of a begun host that have no target yet.
fn still_to_leave(planned: &PlannedHost, host: &HostState) -> Vec<Mover> {
    let mut resolved = host.steps().filter_map(|step| Some((step, step.leaving.as_ref()?))).peekable();
    if resolved.peek().is_none() {
        return planned.moves.iter().map(planned_mover).collect();
    }
    let unplaced = resolved.filter(|(step, _)| match step.status {
        StepStatus::Pending | StepStatus::Retrying { .. } => true,
        StepStatus::Running { .. } | StepStatus::Succeeded(_) | StepStatus::Failed(_) => false,
    });
    unplaced.map(|(_, leaving)| mover(leaving, &planned.host)).collect()
}

fn mover(leaving: &LeavingInstance, from: &HostName) -> Mover {
    Mover {
        id: leaving.id,
        from: from.clone(),
        project: leaving.project.clone(),
        resources: leaving.resources.clone(),
        group: leaving.group.clone(),
        pinned_zone: leaving.pinned_zone.clone(),
        traits: leaving.traits.clone(),
        flavor: leaving.flavor.clone(),
        image: leaving.image.clone(),
        preferred: None,
    }
}

fn planned_mover(planned: &PlannedMove) -> Mover {
    Mover {
        id: planned.instance,
        from: planned.from.clone(),
        project: planned.project.clone(),
        resources: planned.resources.clone(),
        group: planned.group.clone(),
        // What is not planned anew is what the region told, which the occupancy knows.
        pinned_zone: None,
        traits: Vec::new(),
        flavor: None,
        image: std::collections::BTreeMap::new(),
        preferred: Some(planned.to.clone()),
    }
}
