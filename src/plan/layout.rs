//! Hosts, zones, domains, classes and groups by number, so that placement compares integers and not text.
//!
//! Nothing here changes while a rollout runs; what moves change is in [`super::space`].

use std::collections::{BTreeMap, BTreeSet};

use indexmap::{IndexMap, IndexSet};

use super::census::{Census, dense};
use super::kinds::Kinds;
use super::numa::Numa;
use super::rollout::PlannedProcessor;
use crate::model::{Group, GroupId, GroupPolicy, Host, HostName, Numbers, Region, Resources, ZoneName};

/// What no move changes.
#[derive(Debug)]
pub(super) struct Layout {
    classes: Vec<String>,
    hosts: IndexSet<HostName>,
    zones: Vec<Option<ZoneName>>,
    zone_of: Vec<u32>,
    domains: Vec<Domain>,
    domain_of: Vec<u32>,
    capacity: Vec<i64>,
    kinds: Kinds,
    numa: Numa,
    groups: IndexMap<GroupId, GroupRule>,
}

/// Hosts between which instances may move.
#[derive(Debug)]
pub(super) struct Domain {
    /// For people: `zone az1, aggregate ssd`.
    pub(super) label: String,
    /// Its hosts, ascending.
    pub(super) hosts: Vec<u32>,
    /// The class of which the largest share is in use: fragments of it decide what fits.
    pub(super) tight: usize,
}

/// What a server group asks for.
#[derive(Debug, Clone)]
pub(super) struct GroupRule {
    pub(super) id: GroupId,
    pub(super) policy: GroupPolicy,
    /// Members that may share a host under anti-affinity.
    pub(super) per_host: u32,
}

/// What instances never cross: zone, cell, hypervisor type, and aggregates of which the region does not tell what they
/// mean, unless they are just a zone or a rack.
type DomainKey<'a> = (Option<&'a ZoneName>, Option<&'a str>, Option<&'a str>, Vec<&'a str>);

impl Layout {
    /// Numbers everything that the census of a region and its groups name; `told` has processors of hosts that do not
    /// tell theirs.
    pub(super) fn of(census: &Census<'_>, region: &Region, told: &[PlannedProcessor]) -> Self {
        let sorted = &census.hosts;
        let classes = census.classes.clone();
        let capacity = sorted.iter().flat_map(|host| dense(&classes, &host.capacity)).collect();
        let (zones, zone_of) = number(sorted.iter().map(|host| host.zone.clone()));
        let mut layout = Self {
            classes,
            hosts: sorted.iter().map(|host| host.host.clone()).collect(),
            zones,
            zone_of,
            domains: Vec::new(),
            domain_of: Vec::new(),
            capacity,
            kinds: Kinds::of(census, &region.aggregates, told),
            numa: Numa::of(census),
            groups: rules(&region.groups),
        };
        layout.split_into_domains(sorted, region);
        layout.find_tight_classes(census);
        layout
    }

    /// What a rollout tells of the hosts' processors.
    pub(super) fn tell_processors(&self) -> Vec<PlannedProcessor> {
        self.kinds.tell_processors(self.hosts.iter())
    }

    fn split_into_domains(&mut self, sorted: &[&Host], region: &Region) {
        let mut plain = aggregates_without_meaning(sorted);
        plain.extend(region.aggregates.iter().map(|aggregate| aggregate.name.as_str()));
        let keys = sorted.iter().map(|host| domain_key(host, &plain));
        let (keys, domain_of) = number(keys);
        self.domains =
            keys.iter().map(|key| Domain { label: domain_label(key), hosts: Vec::new(), tight: 0 }).collect();
        for (host, domain) in (0_u32..).zip(&domain_of) {
            self.domains[*domain as usize].hosts.push(host);
        }
        self.domain_of = domain_of;
    }

    /// Splits domains further where no instance that leaves may go from one part to another: seeds and room are looked
    /// for where they help. `moves` are the home and the kinds that suit each such instance.
    pub(super) fn split_into_parts<'s>(
        &mut self,
        census: &Census<'_>,
        moves: impl Iterator<Item = (u32, Option<&'s [bool]>)>,
    ) {
        if self.kinds.len() == 1 {
            return;
        }
        let part_of = self.kinds.parts(&self.domain_of, moves);
        let (keys, domain_of) = number(self.domain_of.iter().copied().zip(part_of));
        if keys.len() == self.domains.len() {
            return;
        }
        let parts_of = |domain| keys.iter().filter(|(other, _)| *other == domain).count();
        let mut domains: Vec<Domain> = keys
            .iter()
            .map(|(domain, _)| Domain { label: self.domains[*domain as usize].label.clone(), hosts: vec![], tight: 0 })
            .collect();
        for (host, domain) in (0_u32..).zip(&domain_of) {
            domains[*domain as usize].hosts.push(host);
        }
        for (domain, (whole, _)) in domains.iter_mut().zip(&keys).filter(|(_, (whole, _))| parts_of(*whole) > 1) {
            let kinds: BTreeSet<usize> = domain.hosts.iter().map(|host| self.kinds.kind_of(*host)).collect();
            let labels: BTreeSet<String> = kinds.into_iter().map(|kind| self.kinds.label(kind)).collect();
            let known: Vec<&str> = labels.iter().map(String::as_str).filter(|label| !label.is_empty()).collect();
            let label = if known.is_empty() { "unrestricted hosts".to_owned() } else { known.join(" or ") };
            domain.label = format!("{}, {label}", self.domains[*whole as usize].label);
        }
        self.domains = domains;
        self.domain_of = domain_of;
        self.find_tight_classes(census);
    }

    fn find_tight_classes(&mut self, census: &Census<'_>) {
        let width = self.classes.len();
        let mut used = vec![0_i64; self.domains.len() * width];
        for (instance, host) in census.housed() {
            let domain = self.domain_of[host as usize] as usize;
            for (class, amount) in census.amounts(instance).iter().enumerate() {
                used[domain * width + class] += amount;
            }
        }
        for (number, domain) in self.domains.iter_mut().enumerate() {
            let mut total = vec![0_i64; width];
            for host in &domain.hosts {
                for (class, sum) in total.iter_mut().enumerate() {
                    *sum += self.capacity[*host as usize * width + class];
                }
            }
            // used[a]/total[a] > used[b]/total[b], without division; the first class wins a draw.
            for class in 1..width {
                let best = domain.tight;
                let (mine, theirs) = (used[number * width + class], used[number * width + best]);
                if i128::from(mine) * i128::from(total[best]) > i128::from(theirs) * i128::from(total[class]) {
                    domain.tight = class;
                }
            }
        }
    }

    /// How many hosts there are.
    pub(super) fn len(&self) -> usize {
        self.hosts.len()
    }

    /// Resource classes in order of name; amounts are in this order.
    pub(super) fn classes(&self) -> &[String] {
        &self.classes
    }

    /// The number of a host.
    pub(super) fn host(&self, name: &HostName) -> Option<u32> {
        self.hosts.get_index_of(name).and_then(|index| u32::try_from(index).ok())
    }

    /// The name of a host.
    pub(super) fn host_name(&self, host: u32) -> &HostName {
        &self.hosts[host as usize]
    }

    /// The number of a zone; `None` when no host is in it.
    pub(super) fn zone(&self, name: &ZoneName) -> Option<u32> {
        self.zones.iter().position(|zone| zone.as_ref() == Some(name)).and_then(|index| u32::try_from(index).ok())
    }

    /// How many zones there are; hosts without a zone count as one.
    pub(super) fn zone_count(&self) -> usize {
        self.zones.len()
    }

    /// The zone of a host.
    pub(super) fn zone_of(&self, host: u32) -> u32 {
        self.zone_of[host as usize]
    }

    /// The domain of a host.
    pub(super) fn domain_of(&self, host: u32) -> u32 {
        self.domain_of[host as usize]
    }

    /// All domains.
    pub(super) fn domains(&self) -> &[Domain] {
        &self.domains
    }

    /// A host's capacity by class.
    pub(super) fn capacity(&self, host: u32) -> &[i64] {
        let width = self.classes.len();
        &self.capacity[host as usize * width..][..width]
    }

    /// The number of a group; `None` for one that the region does not list.
    pub(super) fn group(&self, id: &GroupId) -> Option<u32> {
        self.groups.get_index_of(id).and_then(|index| u32::try_from(index).ok())
    }

    /// The same of all groups, for many look-ups.
    pub(super) fn group_numbers(&self) -> Numbers<'_, GroupId> {
        self.groups.keys().collect()
    }

    /// What a group asks for.
    pub(super) fn group_rule(&self, group: u32) -> &GroupRule {
        &self.groups[group as usize]
    }

    /// How many groups there are.
    pub(super) fn group_count(&self) -> usize {
        self.groups.len()
    }

    /// Cells of hosts.
    pub(super) fn numa(&self) -> &Numa {
        &self.numa
    }

    /// What decides, beyond room and groups, which hosts an instance may be on.
    pub(super) fn kinds(&self) -> &Kinds {
        &self.kinds
    }

    /// Amounts by class; `Err` names a class that no host of the region has.
    pub(super) fn amounts(&self, resources: &Resources) -> Result<Box<[i64]>, String> {
        let foreign = resources.iter().find(|(class, amount)| {
            *amount > 0 && self.classes.binary_search_by(|known| known.as_str().cmp(class)).is_err()
        });
        match foreign {
            Some((class, _)) => Err(class.to_owned()),
            None => Ok(dense(&self.classes, resources).collect()),
        }
    }

    /// Amounts by class, leaving out classes that no host of the region has.
    pub(super) fn known_amounts(&self, resources: &Resources) -> Box<[i64]> {
        dense(&self.classes, resources).collect()
    }

    /// The domain of a host, in words.
    pub(super) fn domain_label(&self, host: u32) -> &str {
        &self.domains[self.domain_of(host) as usize].label
    }

    /// Whether at most so many members of the group may share a host.
    pub(super) fn is_hard_anti_affinity(&self, group: u32) -> bool {
        self.groups[group as usize].policy == GroupPolicy::AntiAffinity
    }

    /// Amounts with their names; negative ones count as zero.
    pub(super) fn resources(&self, amounts: &[i64]) -> Resources {
        let unsigned = amounts.iter().map(|amount| u64::try_from(*amount).unwrap_or(0));
        self.classes.iter().cloned().zip(unsigned).collect()
    }
}

/// Distinct values in order, and the number of each item's value.
pub(super) fn number<T: Ord + Clone>(items: impl Iterator<Item = T>) -> (Vec<T>, Vec<u32>) {
    let items: Vec<T> = items.collect();
    let distinct: BTreeSet<T> = items.iter().cloned().collect();
    let numbers: BTreeMap<T, u32> = distinct.iter().cloned().zip(0..).collect();
    let numbered = items.iter().map(|item| numbers[item]).collect();
    (distinct.into_iter().collect(), numbered)
}

fn rules(groups: &[Group]) -> IndexMap<GroupId, GroupRule> {
    let rule = |group: &Group| GroupRule {
        id: group.id.clone(),
        policy: group.policy,
        per_host: group.rules.max_server_per_host.unwrap_or(1).max(1),
    };
    let mut rules: IndexMap<GroupId, GroupRule> = IndexMap::with_capacity(groups.len());
    for group in groups {
        rules.entry(group.id.clone()).or_insert_with(|| rule(group));
    }
    rules.sort_unstable_keys();
    rules
}

/// Aggregates that say no more than a zone or a rack does: exactly the hosts of one zone, or of one rack. They must
/// not split a zone into domains between which nothing moves.
fn aggregates_without_meaning<'a>(hosts: &[&'a Host]) -> BTreeSet<&'a str> {
    let mut zones: BTreeMap<&ZoneName, BTreeSet<&HostName>> = BTreeMap::new();
    let mut racks: BTreeMap<&str, BTreeSet<&HostName>> = BTreeMap::new();
    let mut aggregates: BTreeMap<&str, BTreeSet<&HostName>> = BTreeMap::new();
    for host in hosts {
        if let Some(zone) = &host.zone {
            zones.entry(zone).or_default().insert(&host.host);
        }
        if let Some(rack) = &host.rack {
            racks.entry(rack).or_default().insert(&host.host);
        }
        for aggregate in &host.aggregates {
            aggregates.entry(aggregate).or_default().insert(&host.host);
        }
    }
    let known: BTreeSet<&BTreeSet<&HostName>> = zones.values().chain(racks.values()).collect();
    aggregates.iter().filter(|(_, members)| known.contains(members)).map(|(name, _)| *name).collect()
}

fn domain_key<'a>(host: &'a Host, plain: &BTreeSet<&str>) -> DomainKey<'a> {
    let mut aggregates: Vec<&str> =
        host.aggregates.iter().map(String::as_str).filter(|name| !plain.contains(name)).collect();
    aggregates.sort_unstable();
    aggregates.dedup();
    (host.zone.as_ref(), host.cell.as_deref(), host.hypervisor.as_deref(), aggregates)
}

fn domain_label((zone, cell, _, aggregates): &DomainKey<'_>) -> String {
    let mut label = zone.map_or_else(|| "no zone".to_owned(), |zone| format!("zone {zone}"));
    if let Some(cell) = cell {
        label.push_str(", cell ");
        label.push_str(cell);
    }
    if !aggregates.is_empty() {
        label.push_str(", aggregates ");
        label.push_str(&aggregates.join(" + "));
    }
    label
}
