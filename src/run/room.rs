//! Room for moves, asked of the placement function that the planner uses as well. Pure.

use std::collections::BTreeMap;

use super::event::LeavingInstance;
use super::host::{HostPhase, HostState, StepState, StepStatus};
use super::limits::{InUse, Reached};
use super::schedule::Wait;
use super::state::{Pulse, RunState};
use crate::model::{HostName, InstanceId};
use crate::plan::placement::{Choice, Draft, Mover, Refusal, Rules, choose_target, target_among, target_for};
use crate::plan::{PlannedHost, PlannedMove};
use crate::workflow::StepKind;

/// Where a ready move goes, and why not to the planned host; `None` when it waits. Most that are asked wait, and nobody
/// reads why: that is for [`why_waiting`].
pub(super) fn target_of(state: &RunState, step: &StepState, in_use: &InUse) -> Option<(HostName, Option<String>)> {
    let leaving = step.leaving.as_ref()?;
    let busy = in_use.busy(state.limits());
    if step.makes_way() {
        return way_to(state, step, leaving, &Rules { busy, ..Rules::keeping(&state.rollout().policy.headroom) });
    }
    let preferred = preferred(state, step, leaving);
    if preferred.is_some_and(|target| busy.is_full(target) && state.occupancy().is_target(target)) {
        // Its turn comes; going elsewhere would take the room that is planned for others.
        return None;
    }
    let mover = Mover { preferred: preferred.cloned(), ..mover(leaving, &step.step.host) };
    let occupancy = state.occupancy();
    let room = Rules::keeping(&state.rollout().policy.headroom);
    // Targets that failed are tried again before the instance is given up: Nova's scheduler may have believed in a
    // drained host's old instances, for up to 120 s.
    let again = Rules { busy, ..room };
    let rules = Rules { avoid: &step.avoid, ..again };
    #[cfg(test)]
    if crate::simulation::Mistake::PrefersVulnerableTargets.is_made()
        && let Some(Choice { host, .. }) = target_among(occupancy, &mover, &rules, waiting_hosts(state, &mover.from))
    {
        return Some((host, None));
    }
    let chosen = target_for(occupancy, &mover, &rules).or_else(|| {
        if target_for(occupancy, &mover, &room).is_none() {
            return on_vulnerable_host(state, &mover, &rules).or_else(|| on_vulnerable_host(state, &mover, &again));
        }
        // There is room, on targets that failed, or that take no further migration at the moment: the turn of those comes.
        if step.avoid.is_empty() { None } else { target_for(occupancy, &mover, &again) }
    });
    chosen.map(|Choice { host, instead }| (host, instead.map(|refusal| refusal.to_string())))
}

/// Why a ready move has no target now.
pub(super) fn why_waiting(state: &RunState, step: &StepState, in_use: &InUse) -> Wait {
    let Some(leaving) = &step.leaving else {
        return Wait::Room(Refusal::UnknownHost { host: step.step.host.clone() });
    };
    let (busy, limits) = (in_use.busy(state.limits()), state.limits());
    let full = |host: HostName| Wait::Limit(Reached::Target(host, limits.migrations_per_target));
    let preferred = preferred(state, step, leaving);
    if let Some(target) = preferred.filter(|target| busy.is_full(target) && state.occupancy().is_target(target)) {
        return full(target.clone());
    }
    let mover = Mover { preferred: preferred.cloned(), ..mover(leaving, step.source()) };
    let rules = Rules::keeping(&state.rollout().policy.headroom);
    match choose_target(state.occupancy(), &mover, &rules) {
        // There is room, on hosts that take no further migration at the moment.
        Ok(Choice { host, .. }) => full(host),
        Err(refusal) => Wait::Room(refusal),
    }
}

/// Where an instance goes that makes way: as planned, else to another host that waits, else to a mitigated one.
fn way_to(
    state: &RunState,
    step: &StepState,
    leaving: &LeavingInstance,
    rules: &Rules<'_>,
) -> Option<(HostName, Option<String>)> {
    let source = step.source();
    let mover = Mover { preferred: preferred(state, step, leaving).cloned(), ..mover(leaving, source) };
    let rules = Rules { avoid: &step.avoid, ..*rules };
    let waiting = waiting_hosts(state, source).filter(|host| *host != source);
    let chosen = target_among(state.occupancy(), &mover, &rules, waiting);
    let Choice { host, instead } = chosen.or_else(|| target_for(state.occupancy(), &mover, &rules))?;
    Some((host, instead.map(|refusal| refusal.to_string())))
}

/// The planned target, unless a move there failed.
fn preferred<'a>(state: &'a RunState, step: &StepState, leaving: &LeavingInstance) -> Option<&'a HostName> {
    planned_target(state, &step.step.host, leaving.id).filter(|target| !step.avoid.contains(*target))
}

/// Room for hosts that are to be begun, beside what those that are begun have still to empty. Hosts of one domain are
/// asked about together: what is begun is booked once.
pub(super) struct Outlook<'a> {
    state: &'a RunState,
    /// By domain, what is left of its room; `None` where what is begun has none already.
    drafts: BTreeMap<Option<u32>, Option<Draft<'a>>>,
}

impl<'a> Outlook<'a> {
    pub(super) fn of(state: &'a RunState) -> Self {
        Self { state, drafts: BTreeMap::new() }
    }

    /// Whether a waiting host's instances have room.
    pub(super) fn has_room(&mut self, planned: &PlannedHost) -> bool {
        let state = self.state;
        let movers = movers_of(state, planned);
        if movers.is_empty() {
            return true;
        }
        let domain = shared_room(state, planned);
        let draft = self.drafts.entry(domain).or_insert_with(|| {
            let mut draft = Draft::over(state.occupancy(), Rules::keeping(&state.rollout().policy.headroom));
            draft.book(&begun_movers(state, domain)).ok().map(|_| draft)
        });
        draft.as_mut().is_some_and(|draft| draft.has_room_for(&movers))
    }
}

/// Why a waiting host's instances have no room, beside those of hosts that are begun and still to be emptied.
pub(super) fn for_host(state: &RunState, planned: &PlannedHost) -> Result<(), Refusal> {
    let movers = movers_of(state, planned);
    if movers.is_empty() {
        return Ok(());
    }
    let mut draft = Draft::over(state.occupancy(), Rules::keeping(&state.rollout().policy.headroom));
    draft.book(&begun_movers(state, shared_room(state, planned)))?;
    draft.book(&movers).map(|_| ())
}

/// Whether a host can be emptied onto hosts that wait themselves, for want of any other: the way in which the first host of
/// a domain is emptied where none is empty.
pub(super) fn has_room_on_waiting_hosts(state: &RunState, planned: &PlannedHost) -> bool {
    let mut occupancy = state.occupancy().clone();
    for host in waiting_hosts(state, &planned.host).filter(|host| **host != planned.host) {
        // A host outside the snapshot has no room that is known.
        let _ = occupancy.admit(host);
    }
    let rules = Rules::keeping(&state.rollout().policy.headroom);
    Draft::over(&occupancy, rules).has_room_for(&movers_of(state, planned))
}

/// Hosts of other domains share no room with it, but for the empty hosts that a zone keeps.
fn shared_room(state: &RunState, planned: &PlannedHost) -> Option<u32> {
    let keeps_empty = state.rollout().policy.headroom.per_zone.hosts > 0;
    if keeps_empty { None } else { state.domain_of(&planned.host) }
}

/// What a waiting host has to move to mitigated hosts.
fn movers_of(state: &RunState, planned: &PlannedHost) -> Vec<Mover> {
    planned.own_moves().filter(|planned| !is_exception(state, planned)).map(planned_mover).collect()
}

/// What begun hosts of a domain have still to move, or of all domains.
fn begun_movers(state: &RunState, domain: Option<u32>) -> Vec<Mover> {
    let mut movers = Vec::new();
    let shares = |place: &usize| domain.is_none() || state.domain_at(*place) == domain;
    for (planned, host) in state.index.in_phase(HostPhase::Active).filter(shares).filter_map(|place| state.at(place)) {
        movers.extend(still_to_leave(planned, host));
    }
    movers
}

/// The choice where no host that is mitigated has room, nor one that lends room while none of its domain is: where the
/// plan has the instance go to a vulnerable host, among those that the plan may use so. Where nothing else that is begun
/// in the domain will bring room, an instance goes to a host that waits, and is moved once more when that one's turn
/// comes: a host that is half empty would else stay so for good.
fn on_vulnerable_host(state: &RunState, mover: &Mover, rules: &Rules<'_>) -> Option<Choice> {
    let occupancy = state.occupancy();
    // A target that failed is no preference any more, and yet says that the plan has no other room.
    let planned = planned_target(state, &mover.from, mover.id);
    let waiting = waiting_hosts(state, &mover.from);
    if planned.is_some_and(|target| may_take_while_vulnerable(state, target)) {
        target_among(occupancy, mover, rules, waiting.chain(&state.rollout().lenders))
    } else if room_may_come(state, &mover.from) {
        None
    } else {
        target_among(occupancy, mover, rules, waiting)
    }
}

/// Whether another begun host of the same domain comes on: it is a target when it is done.
fn room_may_come(state: &RunState, from: &HostName) -> bool {
    let (here, domain) = (state.place_in_order(from), state.domain_of(from));
    let mut begun = state.index.in_phase(HostPhase::Active);
    begun.any(|place| {
        Some(place) != here && state.domain_at(place) == domain && state.index.pulse(place).is_some_and(Pulse::comes_on)
    })
}

/// Hosts of the same domain that are not begun.
fn waiting_hosts<'a>(state: &'a RunState, from: &HostName) -> impl Iterator<Item = &'a HostName> {
    let domain = state.domain_of(from);
    let waiting = state.index.in_phase(HostPhase::Waiting).filter(move |place| state.domain_at(*place) == domain);
    waiting.filter_map(|place| state.at(place)).map(|(planned, _)| &planned.host)
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
    let is_resolved =
        |step: &StepState| step.step.kind == StepKind::Resolve && matches!(step.status, StepStatus::Succeeded(_));
    if !host.steps().any(is_resolved) {
        return planned.own_moves().map(planned_mover).collect();
    }
    let resolved =
        host.steps().filter(|step| !step.makes_way()).filter_map(|step| Some((step, step.leaving.as_ref()?)));
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
        image: BTreeMap::new(),
        preferred: Some(planned.to.clone()),
    }
}
