//! What changed between two rollouts, or between a rollout and the region, and whether it matters.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::movability::Standing;
use super::processor;
use super::rollout::{PlannedHost, PlannedProcessor, PlannedStay, Rollout};
use crate::model::{
    Host, HostName, Instance, InstanceHandling, InstanceId, InstanceStatus, NewInstances, Region, ServiceState,
    ServiceStatus,
};

/// All differences: those of the whole first, then by host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Diff {
    /// Each of them.
    pub differences: Vec<Difference>,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The host concerned; absent when it concerns the whole.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<HostName>,
    /// What kind.
    pub kind: DifferenceKind,
    /// Whether it matters.
    pub weight: Weight,
    /// What changed, in words.
    pub detail: String,
}

/// Whether a difference matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weight {
    /// Nothing is done otherwise.
    Harmless,
    /// The run finds it out and does otherwise within the plan's rules.
    Adapts,
    /// One host is left alone when its turn comes.
    LosesHost,
    /// The rollout must not be run: beyond the policy's tolerance, or made for something else.
    Stale,
}

/// Kinds of differences.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum DifferenceKind {
    /// Another region.
    Region,
    /// Another remedy.
    Remedy,
    /// Another policy.
    Policy,
    /// Other commands or settings from the configuration file.
    Configuration,
    /// More hosts or instances changed than the policy tolerates.
    Tolerance,
    /// A host is there now and was not before.
    HostAppeared,
    /// A host is gone.
    HostGone,
    /// Another machine has the host's name.
    Identity,
    /// The service was enabled, disabled, declared down, or stopped reporting.
    Service,
    /// Zone, rack or order changed.
    Place,
    /// Its processor is told, or is, another: guests may go to other hosts than before.
    Processor,
    /// A target takes no instances now.
    TargetLost,
    /// Planned in one and left alone in the other.
    Selection,
    /// Instances that the plan does not know.
    InstancesAppeared,
    /// Instances that left.
    InstancesGone,
    /// An instance that is to stay changed its state.
    InstanceState,
    /// Instances go elsewhere.
    Targets,
}

impl Diff {
    /// Whether nothing differs.
    pub fn is_empty(&self) -> bool {
        self.differences.is_empty()
    }

    /// The gravest weight; `Harmless` when nothing differs.
    pub fn weight(&self) -> Weight {
        self.differences.iter().map(|difference| difference.weight).max().unwrap_or(Weight::Harmless)
    }

    fn say(&mut self, kind: DifferenceKind, weight: Weight, detail: impl Into<String>) {
        self.differences.push(Difference { host: None, kind, weight, detail: detail.into() });
    }

    fn of_host(&mut self, host: &HostName, kind: DifferenceKind, weight: Weight, detail: impl Into<String>) {
        self.differences.push(Difference { host: Some(host.clone()), kind, weight, detail: detail.into() });
    }

    fn sorted(mut self) -> Self {
        self.differences.sort_by(|a, b| (&a.host, a.kind, &a.detail).cmp(&(&b.host, b.kind, &b.detail)));
        self
    }
}

/// What `after` does otherwise than `before`. Ids, digests and times of making are not compared.
pub fn diff(before: &Rollout, after: &Rollout) -> Diff {
    let mut diff = Diff::default();
    if before.region != after.region {
        let detail = format!("made for {}, not for {}", after.region, before.region);
        diff.say(DifferenceKind::Region, Weight::Stale, detail);
    }
    if before.remedy != after.remedy {
        diff.say(DifferenceKind::Remedy, Weight::Adapts, "the remedy differs");
    }
    if before.policy != after.policy {
        diff.say(DifferenceKind::Policy, Weight::Adapts, "the policy differs");
    }
    if before.configuration != after.configuration {
        diff.say(DifferenceKind::Configuration, Weight::Adapts, "commands from the configuration file differ");
    }
    let (old, new) = (by_name(before), by_name(after));
    let names: BTreeSet<&HostName> = old.keys().chain(new.keys()).copied().collect();
    for name in names {
        match (old.get(name), new.get(name)) {
            (Some(old), Some(new)) => compare_planned(&mut diff, old, new),
            (Some(_), None) => {
                let detail = format!("left alone: {}", why_skipped(after, name));
                diff.of_host(name, DifferenceKind::Selection, Weight::LosesHost, detail);
            }
            (None, Some(_)) => {
                let detail = format!("planned; was left alone: {}", why_skipped(before, name));
                diff.of_host(name, DifferenceKind::Selection, Weight::Adapts, detail);
            }
            (None, None) => {}
        }
    }
    compare_processors(&mut diff, &before.processors, &after.processors, "is told to have another processor");
    diff.sorted()
}

/// Names hosts of which both tell a processor and not the same.
fn compare_processors(diff: &mut Diff, before: &[PlannedProcessor], after: &[PlannedProcessor], how: &str) {
    fn by_host(told: &[PlannedProcessor]) -> BTreeMap<&HostName, PlannedProcessor> {
        let of = |one| PlannedProcessor { hosts: Vec::new(), ..PlannedProcessor::clone(one) };
        told.iter().flat_map(|one| one.hosts.iter().map(move |host| (host, of(one)))).collect()
    }
    let (before, after) = (by_host(before), by_host(after));
    for (host, old) in before {
        if after.get(host).is_some_and(|new| *new != old) {
            diff.of_host(host, DifferenceKind::Processor, Weight::Adapts, how);
        }
    }
}

fn by_name(rollout: &Rollout) -> BTreeMap<&HostName, &PlannedHost> {
    rollout.hosts.iter().map(|planned| (&planned.host, planned)).collect()
}

fn why_skipped(rollout: &Rollout, name: &HostName) -> String {
    let skipped = rollout.skipped.iter().find(|skipped| skipped.host == *name);
    skipped.map_or_else(|| "not in the region".to_owned(), |skipped| skipped.detail.clone())
}

fn compare_planned(diff: &mut Diff, old: &PlannedHost, new: &PlannedHost) {
    if old.identity != new.identity {
        diff.of_host(&new.host, DifferenceKind::Identity, Weight::Stale, "another machine has this name");
    }
    if (&old.zone, &old.rack) != (&new.zone, &new.rack) {
        diff.of_host(&new.host, DifferenceKind::Place, Weight::Adapts, "its zone or rack changed");
    }
    if (old.order, old.canary) != (new.order, new.canary) {
        let canary = if new.canary { ", as a canary" } else { "" };
        let detail = format!("goes as number {}{canary}, not as {}", new.order, old.order);
        diff.of_host(&new.host, DifferenceKind::Place, Weight::Harmless, detail);
    }
    let (before, after) = (targets(old), targets(new));
    let appeared = after.keys().filter(|id| !before.contains_key(id)).count();
    let gone = before.keys().filter(|id| !after.contains_key(id)).count();
    let elsewhere = after.iter().filter(|(id, to)| before.get(id).is_some_and(|was| was != *to)).count();
    if appeared > 0 {
        let detail = format!("{} more to move", count(appeared, "instance"));
        diff.of_host(&new.host, DifferenceKind::InstancesAppeared, Weight::Adapts, detail);
    }
    if gone > 0 {
        let detail = format!("{} fewer to move", count(gone, "instance"));
        diff.of_host(&new.host, DifferenceKind::InstancesGone, Weight::Harmless, detail);
    }
    if elsewhere > 0 {
        let detail = format!("{} to another target", count(elsewhere, "instance"));
        diff.of_host(&new.host, DifferenceKind::Targets, Weight::Harmless, detail);
    }
}

fn targets(planned: &PlannedHost) -> BTreeMap<InstanceId, &HostName> {
    planned.moves.iter().map(|planned| (planned.instance, &planned.to)).collect()
}

/// How far the region has moved away from the rollout, held against the policy's tolerance.
pub fn diff_region(rollout: &Rollout, region: &Region) -> Diff {
    let mut diff = Diff::default();
    if rollout.region != region.region {
        let detail = format!("made for {}, and this is {}", rollout.region, region.region);
        diff.say(DifferenceKind::Region, Weight::Stale, detail);
        return diff;
    }
    let by_host = region.instances_by_host();
    let hosts: BTreeMap<&HostName, &Host> = region.hosts.iter().map(|host| (&host.host, host)).collect();
    let known = known_instances(rollout);
    let stays: BTreeMap<InstanceId, &PlannedStay> = rollout.stays.iter().map(|stay| (stay.instance, stay)).collect();
    let mut lost = 0;
    let mut unplanned = 0;
    for planned in &rollout.hosts {
        let usable = compare_host(&mut diff, planned, hosts.get(&planned.host).copied());
        if !usable {
            lost += 1;
            continue;
        }
        let here = by_host.get(&planned.host).map_or(&[][..], Vec::as_slice);
        unplanned += compare_instances(&mut diff, planned, here, &known);
        for (instance, stay) in here.iter().filter_map(|instance| Some((instance, stays.get(&instance.id)?))) {
            compare_stay(&mut diff, planned, instance, stay);
        }
    }
    compare_targets(&mut diff, rollout, &hosts);
    // Where none keeps guests apart, none was told, and a run asks no host.
    if !rollout.processors.is_empty() {
        compare_processors(&mut diff, &rollout.processors, &processor::seen(region), "has another processor");
    }
    compare_names(&mut diff, rollout, region);
    hold_to_tolerance(&mut diff, rollout, lost, unplanned);
    diff.sorted()
}

/// Instances that the rollout speaks of. Seeds' instances appear on two hosts.
fn known_instances(rollout: &Rollout) -> BTreeSet<InstanceId> {
    let moves = rollout.hosts.iter().flat_map(|planned| &planned.moves).map(|planned| planned.instance);
    moves.chain(rollout.stays.iter().map(|stay| stay.instance)).collect()
}

/// Compares a planned host itself; answers whether it can still be remedied.
fn compare_host(diff: &mut Diff, planned: &PlannedHost, host: Option<&Host>) -> bool {
    let Some(host) = host else {
        diff.of_host(&planned.host, DifferenceKind::HostGone, Weight::LosesHost, "is not in the region any more");
        return false;
    };
    // An inventory without the hosts sees no identity: the run looks at the machine itself before it changes it.
    if host.identity.is_known() && host.identity != planned.identity {
        diff.of_host(&planned.host, DifferenceKind::Identity, Weight::LosesHost, "another machine has this name");
        return false;
    }
    if (&host.zone, &host.rack) != (&planned.zone, &planned.rack) {
        diff.of_host(&planned.host, DifferenceKind::Place, Weight::Adapts, "its zone or rack changed");
    }
    let service = &host.service;
    let trouble = if service.status == ServiceStatus::Disabled {
        let reason = service.disabled_reason.as_deref().unwrap_or("no reason given");
        Some(format!("was disabled since: {reason}"))
    } else if service.forced_down {
        Some("was declared down since".to_owned())
    } else {
        (service.state == ServiceState::Down).then(|| "its service does not report any more".to_owned())
    };
    match trouble {
        Some(detail) => {
            diff.of_host(&planned.host, DifferenceKind::Service, Weight::LosesHost, detail);
            false
        }
        None => true,
    }
}

/// Compares what is on a planned host; answers how many instances the rollout does not know.
fn compare_instances(
    diff: &mut Diff,
    planned: &PlannedHost,
    here: &[&Instance],
    known: &BTreeSet<InstanceId>,
) -> usize {
    let present: BTreeSet<InstanceId> = here.iter().map(|instance| instance.id).collect();
    let appeared = here.iter().filter(|instance| !known.contains(&instance.id)).count();
    if appeared > 0 {
        let detail = format!("{} that the rollout does not know", count(appeared, "instance"));
        diff.of_host(&planned.host, DifferenceKind::InstancesAppeared, Weight::Adapts, detail);
    }
    let gone = planned.own_moves().filter(|planned| !present.contains(&planned.instance)).count();
    if gone > 0 {
        let detail = format!("{} that were to be moved are not on it", count(gone, "instance"));
        diff.of_host(&planned.host, DifferenceKind::InstancesGone, Weight::Harmless, detail);
    }
    appeared
}

/// An instance that is to stay through the reboot and runs now would be lost, if the run did not look again.
fn compare_stay(diff: &mut Diff, planned: &PlannedHost, instance: &Instance, stay: &PlannedStay) {
    let is_as_planned = if stay.handling == InstanceHandling::StopInPlace {
        instance.status == InstanceStatus::Active
    } else {
        Standing::of(instance).row().ways.rest
    };
    if !is_as_planned {
        let detail = format!("{} ({}) was to stay and is {}", instance.name, instance.id, instance.status);
        diff.of_host(&planned.host, DifferenceKind::InstanceState, Weight::Adapts, detail);
    }
}

fn compare_targets(diff: &mut Diff, rollout: &Rollout, hosts: &BTreeMap<&HostName, &Host>) {
    for target in &rollout.targets {
        if !hosts.get(target).is_some_and(|host| host.service.is_in_service()) {
            diff.of_host(target, DifferenceKind::TargetLost, Weight::Adapts, "takes no instances any more");
        }
    }
}

fn compare_names(diff: &mut Diff, rollout: &Rollout, region: &Region) {
    let planned = rollout.hosts.iter().map(|planned| &planned.host);
    let named: BTreeSet<&HostName> = planned.chain(rollout.skipped.iter().map(|skipped| &skipped.host)).collect();
    for host in region.hosts.iter().filter(|host| !named.contains(&host.host)) {
        let detail = "is in the region since; the rollout does not touch it";
        diff.of_host(&host.host, DifferenceKind::HostAppeared, Weight::Harmless, detail);
    }
}

fn hold_to_tolerance(diff: &mut Diff, rollout: &Rollout, lost: usize, unplanned: usize) {
    let drift = &rollout.policy.drift;
    let tolerated = drift.lost_hosts.of(rollout.hosts.len());
    if lost > tolerated {
        let detail = format!(
            "{} cannot be remedied any more; the policy tolerates {tolerated} (drift.lost_hosts: {})",
            count(lost, "planned host"),
            drift.lost_hosts
        );
        diff.say(DifferenceKind::Tolerance, Weight::Stale, detail);
    }
    if drift.new_instances == NewInstances::Pause && unplanned > 0 {
        let detail = format!("{} on planned hosts; the policy tolerates none", count(unplanned, "unknown instance"));
        diff.say(DifferenceKind::Tolerance, Weight::Stale, detail);
    }
}

fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}
