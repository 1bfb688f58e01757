//! What may begin: steps, moves, hosts.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::{Decision, Wait};
use crate::model::{HostName, StepId, Window, WindowsEnd};
use crate::plan::PlannedHost;
use crate::run::host::{HostPhase, HostState, StepState, StepStatus};
use crate::run::state::{Gate, Pulse, RunState, RunStatus};
use crate::run::{cold_boots, room, windows};
use crate::workflow::StepKind;

/// How many waiting hosts of each zone are looked at for a free slot. Hosts behind them wait for the same limits and
/// room, those of other zones do not; and a region of 10,000 is not searched after each event.
const LOOKAHEAD: usize = 32;

fn start(step: &StepState, target: Option<HostName>, because: Option<String>) -> Decision {
    Decision::Start { step: step.step.id.clone(), attempt: step.next_attempt(), target, because }
}

/// Whether a step is owed to others whatever becomes of the run: the aftercare of a host that failed, and the start of an
/// instance that was stopped, or may have been.
pub(super) fn is_owed(step: &StepState) -> bool {
    !step.step.kind.is_ordinary()
        || step.step.kind.is_owed()
        || (step.step.kind == StepKind::ColdBoot && step.intent.is_some())
}

pub(super) fn begin(planned: &PlannedHost) -> Decision {
    let first = if planned.cold_boot.is_some() { StepKind::ColdBoot } else { StepKind::Identify };
    let step = StepId::of(&planned.host, first.name());
    Decision::Start { step, attempt: 1, target: None, because: None }
}

/// The state at one time.
pub(super) struct View<'a> {
    pub(super) state: &'a RunState,
    pub(super) now: Timestamp,
}

impl View<'_> {
    /// Steps that may start and book nothing.
    pub(super) fn steps(&self) -> Vec<Decision> {
        let mut starts = Vec::new();
        for place in self.state.index.with_steps() {
            starts.extend(self.ready(place, |pulse| &pulse.steps).filter_map(|step| self.start(step).ok()));
        }
        if self.state.sick_since().is_some() {
            starts.truncate(1);
        }
        starts
    }

    /// The next move to start.
    pub(super) fn next_move(&self) -> Option<Decision> {
        let limits = self.state.limits();
        if self.state.index.in_use().has_all_migrations(limits) {
            return None;
        }
        let may_leave = |pulse: &Pulse| pulse.moving.len() < limits.migrations_per_source;
        #[cfg(test)]
        let may_leave = |pulse: &Pulse| may_leave(pulse) || crate::simulation::Mistake::IgnoresLimitsOnMoves.is_made();
        let hosts = self.state.index.with_moves().filter(|place| self.state.index.pulse(*place).is_some_and(may_leave));
        let mut moves = hosts.flat_map(|place| self.ready(place, |pulse| &pulse.moves));
        moves.find_map(|step| {
            self.may_start(step).ok()?;
            let (target, because) = room::target_of(self.state, step, self.state.index.in_use())?;
            Some(start(step, Some(target), because))
        })
    }

    /// Ready steps of one host.
    fn ready(&self, place: usize, which: fn(&Pulse) -> &Vec<usize>) -> impl Iterator<Item = &StepState> {
        let host = self.state.at(place).map(|(_, host)| host);
        let steps = self.state.index.pulse(place).map(which);
        steps.into_iter().flatten().filter_map(move |step| host?.step_at(*step))
    }

    /// The start of one ready step, or why it waits.
    pub(super) fn start(&self, step: &StepState) -> Result<Decision, Wait> {
        self.may_start(step)?;
        if step.step.kind != StepKind::Move {
            return Ok(start(step, None, None));
        }
        let in_use = self.state.index.in_use();
        match room::target_of(self.state, step, in_use) {
            Some((target, because)) => Ok(start(step, Some(target), because)),
            None => Err(room::why_waiting(self.state, step, in_use)),
        }
    }

    /// Whether a ready step may start, but for a target.
    fn may_start(&self, step: &StepState) -> Result<(), Wait> {
        self.may_go_on(step)?;
        if let StepStatus::Retrying { at, .. } = step.status
            && at > self.now
        {
            return Err(Wait::Retry(at));
        }
        if step.step.kind == StepKind::Move {
            let in_use = self.state.index.in_use();
            in_use.admits_source(&step.step.host, self.state.limits()).map_err(Wait::Limit)?;
        }
        Ok(())
    }

    /// Whether the run's status lets the step start.
    fn may_go_on(&self, step: &StepState) -> Result<(), Wait> {
        let kind = step.step.kind;
        let is_owed = is_owed(step);
        let host = self.state.hosts().get(&step.step.host);
        let quarantined = host.is_some_and(|host| host.phase == HostPhase::Quarantined);
        if quarantined && !is_owed {
            return Err(Wait::Paused("its host is quarantined".to_owned()));
        }
        let stops_compute =
            |host: &HostState| host.steps().any(|other| other.step.kind == StepKind::Fence && other.is_running());
        if kind == StepKind::Unfence && host.is_some_and(stops_compute) {
            return Err(Wait::Paused("nova-compute is being stopped".to_owned()));
        }
        if self.is_parked(step) {
            return Err(Wait::Window);
        }
        match self.state.status() {
            #[cfg(test)]
            RunStatus::Paused(..) if crate::simulation::Mistake::IgnoresPauses.is_made() => {}
            RunStatus::Paused(_, reason) => {
                // A host that was rebooted is brought back: that returns capacity and changes nothing else.
                let gives_back = matches!(
                    kind,
                    StepKind::Return | StepKind::Evidence | StepKind::Enable | StepKind::Settle | StepKind::Probe
                );
                if !is_owed && !gives_back {
                    return Err(Wait::Paused(reason.clone()));
                }
            }
            RunStatus::Stopping if !is_owed => {
                // What we stopped on a host that was rebooted need not wait for somebody to resume.
                let owes = host.is_some_and(|host| !host.memory().parked.is_empty());
                if !(owes && matches!(kind, StepKind::Return | StepKind::Evidence)) {
                    return Err(Wait::Stopping);
                }
            }
            RunStatus::Running | RunStatus::Stopping | RunStatus::Unbegun | RunStatus::Ended(_) => {}
        }
        if self.state.sick_since().is_some() {
            // One step at a time finds out whether the control plane is well again.
            if self.state.index.is_asking() || !matches!(step.status, StepStatus::Retrying { .. }) {
                return Err(Wait::ControlPlane);
            }
        }
        Ok(())
    }

    /// Whether a begun host waits where it is for a window to open: one whose fence may be up goes on, since its owners are
    /// locked out until it is back.
    fn is_parked(&self, step: &StepState) -> bool {
        let policy = &self.state.rollout().policy;
        policy.windows_end == WindowsEnd::Park
            && step.step.kind.is_ordinary()
            && !self.state.hosts().get(&step.step.host).is_some_and(|host| host.has_begun(StepKind::Fence))
            && !windows::is_open(&policy.windows, self.now)
    }

    /// Whether the canary hosts' gate is reached or opens.
    pub(super) fn gate(&self) -> Option<Decision> {
        match self.state.gate() {
            Gate::Open | Gate::Reached(None) => None,
            Gate::Reached(Some(at)) => (at <= self.now).then_some(Decision::OpenGate),
            Gate::Closed => {
                let canaries = || self.state.index.canaries();
                let open = canaries().any(|phase| matches!(phase, HostPhase::Waiting | HostPhase::Active));
                // Canaries that were all left alone have shown nothing: then somebody must say so. One that failed has
                // paused the run already.
                let shown = |phase| matches!(phase, HostPhase::Done | HostPhase::Quarantined);
                let tried = canaries().next().is_none() || canaries().any(shown);
                let canary = &self.state.rollout().policy.canary;
                let soak = SignedDuration::try_from(canary.soak.get()).unwrap_or(SignedDuration::MAX);
                let opens_at = if canary.approve || !tried { None } else { self.now.checked_add(soak).ok() };
                (!open).then_some(Decision::ReachGate { opens_at })
            }
        }
    }

    /// The next host to begin.
    pub(super) fn host(&self, refused: &mut BTreeMap<usize, u64>) -> Option<Decision> {
        let index = &self.state.index;
        let is_full = || index.in_use().region_is_full(self.state.limits(), self.state.region_size);
        if self.state.sick_since().is_some() {
            return None;
        }
        if !self.state.rollout().work.is_of_hosts() {
            // Projects have windows of their own, so that what can begin may stand far behind what cannot.
            let waiting = index.in_phase(HostPhase::Waiting).filter_map(|place| self.state.at(place));
            return waiting.map(|(planned, _)| planned).find(|planned| self.admits(planned).is_ok()).map(begin);
        }
        if is_full() {
            return None;
        }
        let mut outlook = room::Outlook::of(self.state);
        for place in index.next_of_each_zone(LOOKAHEAD) {
            // While no room appears and nobody needs less of it, what found none finds none.
            let domain = self.state.domain_at(place);
            let appeared = domain.map_or(0, |domain| self.state.occupancy().room_appeared(domain));
            let appeared = appeared + self.state.reliefs();
            if refused.get(&place) == Some(&appeared) {
                continue;
            }
            let Some((planned, _)) = self.state.at(place) else { continue };
            if self.admits(planned).is_err() {
                continue;
            }
            if outlook.has_room(planned) {
                return Some(begin(planned));
            }
            refused.insert(place, appeared);
        }
        None
    }

    /// Whether a waiting host may be begun, or why it waits.
    pub(super) fn admit(&self, planned: &PlannedHost) -> Result<(), Wait> {
        self.admits(planned)?;
        if planned.cold_boot.is_some() {
            return Ok(());
        }
        room::for_host(self.state, planned).map_err(Wait::Room)
    }

    /// Whether a waiting host may be begun, but for room.
    fn admits(&self, planned: &PlannedHost) -> Result<(), Wait> {
        match self.state.status() {
            RunStatus::Running => {}
            RunStatus::Paused(_, reason) => return Err(Wait::Paused(reason.clone())),
            RunStatus::Stopping | RunStatus::Unbegun | RunStatus::Ended(_) => return Err(Wait::Stopping),
        }
        if self.state.sick_since().is_some() {
            return Err(Wait::ControlPlane);
        }
        let watched = !planned.canary;
        #[cfg(test)]
        let watched = watched && !crate::simulation::Mistake::IgnoresTheGate.is_made();
        if watched {
            match self.state.gate() {
                Gate::Open => {}
                Gate::Closed => return Err(Wait::Canary),
                Gate::Reached(at) => return Err(Wait::Gate(at)),
            }
        }
        if !windows::admit(self.windows_of(planned), self.now, planned.finish_s - planned.start_s) {
            return Err(Wait::Window);
        }
        let unwell = self.state.unwell();
        #[cfg(test)]
        let unwell = unwell.filter(|_| !crate::simulation::Mistake::IgnoresHealthGates.is_made());
        if let Some((gate, health)) = unwell {
            return Err(Wait::Health(gate.to_owned(), health.map(|health| health.said.clone())));
        }
        if let Some(boot) = &planned.cold_boot {
            return cold_boots::admits(self.state, boot).map_err(Wait::Limit);
        }
        self.state.index.in_use().admits_host(planned, self.state).map_err(Wait::Limit)
    }

    /// When a subject may be begun.
    pub(super) fn windows_of(&self, planned: &PlannedHost) -> &[Window] {
        match &planned.cold_boot {
            Some(boot) => cold_boots::windows_of(self.state, &boot.project),
            None => &self.state.rollout().policy.windows,
        }
    }
}
