//! What must hold at each event of a run, whatever goes wrong and however often its runner dies.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use fleetmend::actions::Progress;
use fleetmend::model::{HostName, ServiceStatus, StepId, ZoneName};
use fleetmend::plan::placement::{Mover, Rules, choose_target};
use fleetmend::run::{Event, EventKind, HostPhase, Observer, RunState};
use fleetmend::sim::SimRegion;
use fleetmend::sim::world::{SimAggregate, World};

/// More events than any run of a small region has: one that goes on for ever comes to it.
const EVENTS: usize = 20_000;

/// Looks on.
pub(super) struct Watch {
    region: Arc<SimRegion>,
    sizes: BTreeMap<ZoneName, usize>,
    /// Members of aggregates.
    aggregates: BTreeMap<String, BTreeSet<HostName>>,
    /// What did not hold.
    pub violations: Vec<String>,
    /// Every event that was shown.
    pub events: Vec<Event>,
    /// How often each host was to be tried again: it may be rebooted once more for each.
    retried: BTreeMap<HostName, usize>,
}

impl Watch {
    pub fn new(region: Arc<SimRegion>) -> Self {
        let mut sizes: BTreeMap<ZoneName, usize> = BTreeMap::new();
        let mut aggregates = BTreeMap::new();
        region.with(|world| {
            for host in world.hosts() {
                *sizes.entry(host.zone.clone()).or_default() += 1;
            }
            let members = |aggregate: &SimAggregate| (aggregate.name.clone(), aggregate.hosts.clone());
            aggregates.extend(world.aggregates().iter().map(members));
        });
        Self { region, sizes, aggregates, violations: Vec::new(), events: Vec::new(), retried: BTreeMap::new() }
    }

    pub fn say(&mut self, what: String) {
        if !self.violations.contains(&what) {
            self.violations.push(what);
        }
    }

    fn limits(&mut self, state: &RunState) {
        let limits = state.limits().clone();
        let region: usize = self.sizes.values().sum();
        let out = state.count(HostPhase::Active);
        if out > limits.hosts.of(region) {
            self.say(format!("{out} hosts are out of service, {:?} may be", limits.hosts));
        }
        for (zone, size) in self.sizes.clone() {
            let in_phase = |phase| {
                let hosts = state.in_order().filter(|(planned, _)| planned.zone.as_ref() == Some(&zone));
                hosts.filter(|(_, host)| host.phase == phase).count()
            };
            let (out, lost) = (in_phase(HostPhase::Active), in_phase(HostPhase::Quarantined));
            if out > limits.hosts_per_zone.of(size) {
                self.say(format!("{out} hosts of {zone} are out of service, {:?} may be", limits.hosts_per_zone));
            }
            if out > 0 && size < out + lost + limits.keep_up.per_zone.min(size - 1) {
                self.say(format!("{out} hosts of {zone} are out of service and {lost} lost, of {size}"));
            }
        }
        for (name, members) in self.aggregates.clone() {
            let in_phase = |phase| {
                let hosts = state.in_order().filter(|(planned, _)| members.contains(&planned.host));
                hosts.filter(|(_, host)| host.phase == phase).count()
            };
            let (out, lost) = (in_phase(HostPhase::Active), in_phase(HostPhase::Quarantined));
            let keep = limits.keep_up.per_aggregate.min(members.len().saturating_sub(1));
            if out > 0 && members.len() < out + lost + keep {
                self.say(format!("{out} hosts of aggregate {name} are out of service and {lost} lost: {members:?}"));
            }
        }
        let (mut all, mut from, mut onto) = (0, BTreeMap::<HostName, usize>::new(), BTreeMap::<HostName, usize>::new());
        for (_, source, target) in state.moves_in_flight() {
            all += 1;
            *from.entry(source.clone()).or_default() += 1;
            if let Some(target) = target {
                *onto.entry(target.clone()).or_default() += 1;
            }
        }
        if all > limits.migrations
            || from.values().any(|count| *count > limits.migrations_per_source)
            || onto.values().any(|count| *count > limits.migrations_per_target)
        {
            self.say(format!("{all} moves are under way: from {from:?} onto {onto:?}"));
        }
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

    fn world(&mut self) {
        let found = Arc::clone(&self.region).with(|world| harm(world, &self.retried));
        for what in found {
            self.say(what);
        }
    }

    /// A host that is done is in service at that moment.
    fn done(&mut self, event: &Event) {
        let EventKind::StepSucceeded { step, .. } = &event.kind else { return };
        let Some(host) = step.as_str().strip_suffix("/settle").map(HostName::new) else { return };
        let status = self.region.with(|world| world.host(&host).map(|host| host.service.status));
        if status != Some(ServiceStatus::Enabled) {
            self.say(format!("{host} is done and {status:?}"));
        }
    }
}

impl Observer for Watch {
    fn event(&mut self, state: &RunState, event: &Event) {
        self.events.push(event.clone());
        if let EventKind::HostRetried { host, .. } = &event.kind {
            *self.retried.entry(host.clone()).or_default() += 1;
        }
        if self.events.len() > EVENTS {
            self.say(format!("the run goes on after {EVENTS} events"));
        }
        self.limits(state);
        self.target(state, event);
        self.done(event);
        self.world();
    }

    fn progress(&mut self, _state: &RunState, _progress: &Progress) {}
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

/// Harm that was done to the region: guests ended by a reboot of ours, hosts rebooted twice, services enabled that
/// this run had not disabled.
fn harm(world: &World, retried: &BTreeMap<HostName, usize>) -> Vec<String> {
    let mut found = Vec::new();
    let cuts: Vec<_> = world.changes().iter().filter(|change| change.what.ends_with(": power cut")).collect();
    for lost in world.lost() {
        let by_power = |change: &&&fleetmend::sim::world::Change| {
            change.at == lost.at && change.what.starts_with(&format!("{}:", lost.host))
        };
        if !cuts.iter().any(|change| by_power(&change)) {
            found.push(format!("instance {} was lost on {}", lost.instance, lost.host));
        }
    }
    for host in world.hosts() {
        let order = format!("{}: reboot", host.name);
        let orders = world.changes().iter().filter(|change| change.what == order).count();
        if orders > 1 + retried.get(&host.name).copied().unwrap_or(0) {
            found.push(format!("{} was rebooted {orders} times", host.name));
        }
    }
    found
}
