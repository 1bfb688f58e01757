//! How many hosts are out of service, and which limits of the policy that breaks.

use std::collections::BTreeMap;

use super::ground::{Ground, HostView};
use crate::model::Limits;

/// Hosts of one zone, rack or aggregate.
#[derive(Debug, Default)]
struct Count {
    all: usize,
    /// In service before the run.
    up: usize,
    out: usize,
}

/// Counts of hosts out of service.
#[derive(Debug)]
pub(super) struct Outages<'a> {
    limits: &'a Limits,
    hosts: usize,
    out: usize,
    zones: BTreeMap<&'a str, Count>,
    racks: BTreeMap<&'a str, Count>,
    aggregates: BTreeMap<&'a str, Count>,
    /// Most hosts out at one time.
    pub(super) peak: usize,
}

impl<'a> Outages<'a> {
    /// Nothing is out.
    pub(super) fn none(limits: &'a Limits, ground: &'a Ground<'a>) -> Self {
        let mut outages = Self {
            limits,
            hosts: ground.hosts.len(),
            out: 0,
            zones: BTreeMap::new(),
            racks: BTreeMap::new(),
            aggregates: BTreeMap::new(),
            peak: 0,
        };
        for view in &ground.hosts {
            let up = usize::from(view.is_in_service());
            outages.each(view, |count| {
                count.all += 1;
                count.up += up;
            });
        }
        outages
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
    }

    /// A host is back.
    pub(super) fn returns(&mut self, view: &HostView<'a>) {
        self.out -= 1;
        self.each(view, |count| count.out -= 1);
    }

    /// A host goes out; answers which limits that breaks.
    pub(super) fn leaves(&mut self, view: &HostView<'a>) -> Vec<String> {
        self.out += 1;
        self.peak = self.peak.max(self.out);
        self.each(view, |count| count.out += 1);
        let limits = self.limits;
        let mut broken = Vec::new();
        let region = limits.hosts.of(self.hosts);
        if self.out > region {
            broken.push(format!("{} hosts are out and the limit is {region}", self.out));
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
        broken
    }
}
