//! How many hosts are out of service, and which limits of the policy that breaks.

use std::collections::BTreeMap;

use super::ground::{Ground, HostView};
use crate::model::{HeadroomZone, Limits, Policy, Role, RoleRules};

/// Hosts of one zone, rack, aggregate or role.
#[derive(Debug, Default)]
struct Count {
    all: usize,
    /// In service before the run.
    up: usize,
    out: usize,
    /// Of hosts in service before the run, by class.
    capacity: Vec<u64>,
    /// Of instances on them.
    used: Vec<u64>,
    /// Of hosts that are out.
    missing: Vec<u64>,
}

/// Counts of hosts out of service.
#[derive(Debug)]
pub(super) struct Outages<'a> {
    limits: &'a Limits,
    headroom: &'a HeadroomZone,
    rules: &'a RoleRules,
    classes: &'a [&'a str],
    hosts: usize,
    out: usize,
    zones: BTreeMap<&'a str, Count>,
    racks: BTreeMap<&'a str, Count>,
    aggregates: BTreeMap<&'a str, Count>,
    /// Of roles whose hosts go one at a time.
    roles: BTreeMap<Role, Count>,
    /// Most hosts out at one time.
    pub(super) peak: usize,
}

impl<'a> Outages<'a> {
    /// Nothing is out.
    pub(super) fn none(policy: &'a Policy, ground: &'a Ground<'a>) -> Self {
        let mut outages = Self {
            limits: &policy.limits,
            headroom: &policy.headroom.per_zone,
            rules: &policy.roles,
            classes: &ground.classes,
            hosts: ground.hosts.len(),
            out: 0,
            zones: BTreeMap::new(),
            racks: BTreeMap::new(),
            aggregates: BTreeMap::new(),
            roles: BTreeMap::new(),
            peak: 0,
        };
        for view in &ground.hosts {
            let up = usize::from(view.is_in_service());
            outages.each(view, |count| {
                count.all += 1;
                count.up += up;
            });
            if view.is_in_service() {
                outages.book_zone(view, ground);
            }
        }
        outages
    }

    /// Adds up what a zone has and what of it is in use, where the policy keeps some of it free.
    fn book_zone(&mut self, view: &HostView<'a>, ground: &Ground<'_>) {
        if self.headroom.percent.is_none() && self.headroom.resources.is_zero() {
            return;
        }
        let Some(zone) = &view.host.zone else { return };
        let count = self.zones.entry(zone.as_str()).or_default();
        add(&mut count.capacity, &view.capacity);
        for instance in view.instances.clone() {
            add(&mut count.used, ground.amounts(instance));
        }
    }

    /// The class of which too little stays free beside the hosts of a zone that are out; one host may always be out.
    fn lacking(&self, count: &Count) -> Option<&'a str> {
        if count.out < 2 {
            return None;
        }
        let kept = |class: &str, capacity: u64| {
            let share = self.headroom.percent.map_or(0, |percent| percent.at_least_of(capacity));
            share.max(self.headroom.resources.get(class))
        };
        let of = |amounts: &[u64], class: usize| amounts.get(class).copied().unwrap_or(0);
        let lacks = |(number, class): &(usize, &&'a str)| {
            let capacity = of(&count.capacity, *number);
            let kept = kept(class, capacity);
            kept > 0 && of(&count.missing, *number) + of(&count.used, *number) + kept > capacity
        };
        self.classes.iter().enumerate().find(lacks).map(|(_, class)| *class)
    }

    fn each(&mut self, view: &HostView<'a>, mut change: impl FnMut(&mut Count)) {
        if let Some(zone) = &view.host.zone {
            change(self.zones.entry(zone.as_str()).or_default());
        }
        if let Some(rack) = &view.host.rack {
            change(self.racks.entry(rack).or_default());
        }
        for aggregate in &view.host.aggregates {
            change(self.aggregates.entry(aggregate).or_default());
        }
        for role in view.host.roles_one_at_a_time(self.rules) {
            change(self.roles.entry(role).or_default());
        }
    }

    /// A host is back.
    pub(super) fn returns(&mut self, view: &HostView<'a>) {
        self.out -= 1;
        self.each(view, |count| {
            count.out -= 1;
            count.missing.iter_mut().zip(&view.capacity).for_each(|(sum, amount)| *sum -= amount);
        });
    }

    /// A host goes out; answers which limits that breaks.
    pub(super) fn leaves(&mut self, view: &HostView<'a>) -> Vec<String> {
        self.out += 1;
        self.peak = self.peak.max(self.out);
        let keeps_free = self.headroom.percent.is_some() || !self.headroom.resources.is_zero();
        self.each(view, |count| {
            count.out += 1;
            if keeps_free {
                add(&mut count.missing, &view.capacity);
            }
        });
        let limits = self.limits;
        let mut broken = Vec::new();
        let region = limits.hosts.of(self.hosts);
        if self.out > region {
            broken.push(format!("{} hosts are out and the limit is {region}", self.out));
        }
        let zone = view.host.zone.as_ref().and_then(|zone| self.zones.get_key_value(zone.as_str()));
        if let Some((name, class)) = zone.and_then(|(name, count)| Some((name, self.lacking(count)?))) {
            broken.push(format!("zone {name} keeps less {class} free than the policy's headroom"));
        }
        let mut say = |kind: &str, name: &str, out: usize, limit: usize| {
            if out > limit {
                broken.push(format!("{out} hosts of {kind} {name} are out and the limit is {limit}"));
            }
        };
        let at_most_out = |count: &Count, keep: usize| count.up.saturating_sub(keep).max(1);
        if let Some((name, count)) = view.host.zone.as_ref().and_then(|zone| self.zones.get_key_value(zone.as_str())) {
            let limit = limits.hosts_per_zone.of(count.all).min(at_most_out(count, limits.keep_up.per_zone));
            say("zone", name, count.out, limit);
        }
        if let (Some(rack), Some(limit)) = (&view.host.rack, limits.hosts_per_rack) {
            let count = &self.racks[rack.as_str()];
            say("rack", rack, count.out, limit.of(count.all));
        }
        for aggregate in &view.host.aggregates {
            let count = &self.aggregates[aggregate.as_str()];
            say("aggregate", aggregate, count.out, at_most_out(count, limits.keep_up.per_aggregate));
        }
        for role in view.host.roles_one_at_a_time(self.rules) {
            say("role", role.word(), self.roles[&role].out, 1);
        }
        broken
    }
}

fn add(sums: &mut Vec<u64>, amounts: &[u64]) {
    sums.resize(amounts.len().max(sums.len()), 0);
    sums.iter_mut().zip(amounts).for_each(|(sum, amount)| *sum += amount);
}
