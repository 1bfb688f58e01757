//! What must hold at each event of a run, whatever goes wrong and however often its runner dies.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::FutureExt;

use super::begins::Begins;
use super::draw::Case;
use super::effects::Effects;
use super::limits::Sizes;
use super::stage::Stage;
use crate::actions::Progress;
use crate::journal::Journal;
use crate::journal::memory::MemoryJournal;
use crate::model::{HostName, RunId, StepId};
use crate::plan::placement::{Mover, Rules, choose_target};
use crate::run::{Event, EventKind, HostPhase, Observer, RunState};
use crate::sim::SimRegion;
use crate::sim::world::World;

/// More events than any run of a small region has: one that goes on for ever comes to it.
const EVENTS: usize = 20_000;

/// Looks on.
pub(super) struct Watch {
    region: Arc<SimRegion>,
    journal: Arc<MemoryJournal>,
    run: RunId,
    sizes: Sizes,
    begins: Begins,
    effects: Effects,
    /// What did not hold.
    pub violations: Vec<String>,
    /// Every event of the run.
    pub events: Vec<Event>,
    /// How many guests were seen lost so far.
    lost: usize,
    /// How often each host was to be tried again: it may be rebooted once more for each.
    retried: BTreeMap<HostName, usize>,
}

impl Watch {
    pub fn new(stage: &Stage, case: &Case) -> Self {
        Self {
            region: Arc::clone(&stage.region),
            journal: Arc::clone(&stage.journal),
            run: stage.run,
            sizes: stage.region.with(|world| Sizes::of(world)),
            begins: Begins::of(case, stage),
            effects: Effects::default(),
            violations: Vec::new(),
            events: Vec::new(),
            lost: 0,
            retried: BTreeMap::new(),
        }
    }

    pub fn say(&mut self, what: String) {
        if !self.violations.contains(&what) {
            self.violations.push(what);
        }
    }

    /// Takes up what a runner made durable and died of before it showed it.
    fn catch_up(&mut self) {
        let events = self.journal.events(self.run, self.events.len() as u64 + 1).now_or_never();
        for event in events.and_then(Result::ok).unwrap_or_default() {
            self.note(event);
        }
    }

    fn note(&mut self, event: Event) {
        if event.seq != self.events.len() as u64 + 1 {
            return;
        }
        if let EventKind::HostRetried { host, .. } = &event.kind {
            *self.retried.entry(host.clone()).or_default() += 1;
        }
        self.effects.note(&event);
        self.begins.note(&event);
        self.events.push(event);
    }

    /// Looks at the region once more when nothing runs any longer.
    pub fn look(&mut self, state: &RunState) {
        self.catch_up();
        let found = Arc::clone(&self.region).with(|world| {
            let mut found = self.harm(world);
            found.extend(self.effects.look(world, state));
            found
        });
        for what in found {
            self.say(what);
        }
    }

    /// Harm that was done to the region: guests ended by a reboot of ours, hosts rebooted twice.
    fn harm(&mut self, world: &World) -> Vec<String> {
        let mut found = Vec::new();
        for lost in &world.lost()[self.lost..] {
            let cut = format!("{}: power cut", lost.host);
            if !world.changes().iter().any(|change| change.at == lost.at && change.what == cut) {
                found.push(format!("instance {} was lost on {}", lost.instance, lost.host));
            }
        }
        self.lost = world.lost().len();
        for host in world.hosts() {
            let orders = world.reboots_ordered().iter().filter(|order| order.host == host.name).count();
            if orders > 1 + self.retried.get(&host.name).copied().unwrap_or(0) {
                found.push(format!("{} was rebooted {orders} times", host.name));
            }
        }
        found
    }

    /// An instance goes where the remedy holds, to a host that lends room, or to one that waits: as the plan has it, or where
    /// no other begun host of its zone comes on; never to a vulnerable one while a mitigated one has room.
    fn target(&mut self, state: &RunState, event: &Event) {
        let EventKind::StepStarted { step, target: Some(target), because, .. } = &event.kind else { return };
        if !state.occupancy().is_target(target)
            && let Some(other) = mitigated_room(state, step)
        {
            self.say(format!("{step} goes to {target}, which is vulnerable, and {other} has room"));
        }
        let rollout = state.rollout();
        let is_done = state.hosts().get(target).is_some_and(|host| host.phase == HostPhase::Done);
        let may = is_done || rollout.targets.contains(target) || rollout.lenders.contains(target);
        let waits = state.hosts().get(target).is_some_and(|host| host.phase == HostPhase::Waiting);
        if !may && !waits {
            self.say(format!("{step} goes to {target}, which is out of service"));
        }
        if may {
            return;
        }
        let from = state.step(step).map(|step| &step.step.host);
        let zone = from.and_then(|from| state.planned(from)).and_then(|planned| planned.zone.as_ref());
        let mut others = state.in_order().filter(|(planned, host)| {
            planned.zone.as_ref() == zone && Some(&planned.host) != from && host.phase == HostPhase::Active
        });
        let is_last_resort = because.as_ref().is_some_and(|because| because.ends_with("and none will soon"));
        if is_last_resort && !others.any(|(_, host)| host.is_busy()) {
            return;
        }
        let planned = rollout.hosts.iter().flat_map(|host| &host.moves);
        let to_a_waiting_one = |to: &HostName| state.hosts().get(to).is_some_and(|host| host.phase != HostPhase::Done);
        if !planned
            .into_iter()
            .any(|planned| step.as_str().contains(&planned.instance.to_string()) && to_a_waiting_one(&planned.to))
        {
            self.say(format!("{step} goes to {target}, which is vulnerable, against the plan"));
        }
    }
}

impl Observer for Watch {
    fn event(&mut self, state: &RunState, event: &Event) {
        // Effects up to now need an intent that was durable before this event.
        let region = Arc::clone(&self.region);
        if matches!(event.kind, EventKind::RunResumed { .. }) {
            self.catch_up();
        }
        let found = region.with(|world| {
            let mut found = self.harm(world);
            found.extend(self.effects.look(world, state));
            found.extend(self.begins.look(world, state, event));
            found
        });
        self.note(event.clone());
        if self.events.len() > EVENTS {
            self.say(format!("the run goes on after {EVENTS} events"));
        }
        found.into_iter().chain(self.sizes.exceeded(state)).for_each(|what| self.say(what));
        self.target(state, event);
    }

    fn progress(&mut self, _state: &RunState, _progress: &Progress) {}

    fn wants_progress(&self) -> bool {
        // Odd runs are watched by somebody: what is asked for a figure's sake must harm nobody either.
        self.begins.is_watched()
    }
}

/// A target that had room for an instance before this move of it was booked elsewhere, however busy it is.
fn mitigated_room(state: &RunState, step: &StepId) -> Option<HostName> {
    let step = state.step(step)?;
    let leaving = step.leaving.clone()?;
    let mut before = state.occupancy().clone();
    before.release(leaving.id);
    let mover = Mover {
        id: leaving.id,
        from: step.step.host.clone(),
        project: leaving.project,
        resources: leaving.resources,
        group: leaving.group,
        pinned_zone: leaving.pinned_zone,
        traits: leaving.traits,
        flavor: leaving.flavor,
        image: leaving.image,
        preferred: None,
    };
    let rules = Rules::keeping(&state.rollout().policy.headroom);
    choose_target(&before, &mover, &rules).ok().map(|choice| choice.host)
}
