//! Kinds of hosts: what decides, beyond room and groups, whether a host may take an instance at all. These are traits,
//! the metadata of its aggregates as Nova's scheduler filters read them, and the processor that its guests see.
//!
//! What is unknown restricts nothing here; `docs/design/0015-where-an-instance-may-go.md` has the rules.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::census::Census;
use super::layout::number;
use super::processor::{self, Processor};
use super::rollout::PlannedProcessor;
use crate::model::{Aggregate, Flavor, Host, HostName, Instance, ProjectId, extra_spec_matches};

/// Keys that begin so name projects: a host with one takes instances of these only.
/// Source: `nova/scheduler/filters/aggregate_multitenancy_isolation.py`.
const PROJECTS: &str = "filter_tenant_id";

/// Scope of an extra spec that is compared with metadata; one without any scope is compared as well.
/// Source: `nova/scheduler/filters/aggregate_instance_extra_specs.py`.
const SCOPE: &str = "aggregate_instance_extra_specs";

/// Keys that begin so, with the value `required`, keep out instances that do not require the trait.
/// Source: `nova/scheduler/request_filter.py`, `isolate_aggregates`.
const ISOLATED: &str = "trait:";

/// What an instance asks of a host beyond room.
#[derive(Debug, Clone, Copy)]
pub(super) struct Demand<'a> {
    pub(super) project: &'a ProjectId,
    pub(super) traits: &'a [String],
    pub(super) flavor: Option<&'a Flavor>,
    pub(super) image: &'a BTreeMap<String, String>,
}

impl<'a> Demand<'a> {
    /// What an instance asks.
    pub(super) fn of(instance: &'a Instance) -> Self {
        Self {
            project: &instance.project,
            traits: &instance.traits,
            flavor: instance.flavor.as_deref(),
            image: &instance.image,
        }
    }

    /// Metadata keys that its flavor names, with what is asked of their values.
    fn specs(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let specs = self.flavor.into_iter().flat_map(|flavor| &flavor.extra_specs);
        specs.filter_map(|(key, asked)| match key.split_once(':') {
            None => Some((key.as_str(), asked.as_str())),
            Some((SCOPE, key)) => Some((key, asked.as_str())),
            Some(_) => None,
        })
    }
}

/// Why a host does not suit an instance, whatever its room.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unfit {
    /// It lacks a required trait; all that are required.
    Traits(Vec<String>),
    /// An aggregate keeps it for other projects.
    Project(ProjectId),
    /// No aggregate has what the flavor asks for: key and what is asked.
    ExtraSpec(String, String),
    /// An aggregate is for images with another property: key and value of the instance's.
    Image(String, String),
    /// An aggregate takes only instances that require this trait.
    Isolated(String),
    /// Its processor cannot run the guest.
    Processor(String),
    /// The inventory had it so; what the instance asks for was not repeated since.
    Inventory,
}

impl Unfit {
    /// The metadata key that it comes from, if it does.
    fn into_key(self) -> Option<String> {
        match self {
            Self::Project(_) => Some(PROJECTS.to_owned()),
            Self::ExtraSpec(key, _) | Self::Image(key, _) => Some(key),
            Self::Isolated(name) => Some(format!("{ISOLATED}{name}")),
            Self::Traits(_) | Self::Processor(_) | Self::Inventory => None,
        }
    }
}

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Traits(traits) => write!(f, "the traits it requires are missing: {}", traits.join(", ")),
            Self::Project(project) => write!(f, "an aggregate keeps it for other projects than {project}"),
            Self::ExtraSpec(key, asked) => write!(f, "no aggregate of it has `{key}` as its flavor asks (`{asked}`)"),
            Self::Image(key, value) => write!(f, "an aggregate of it is not for images with `{key}={value}`"),
            Self::Isolated(name) => write!(f, "an aggregate of it takes only instances that require {name}"),
            Self::Processor(why) => f.write_str(why),
            Self::Inventory => f.write_str("the inventory says that it may not be there"),
        }
    }
}

/// Metadata of a host's aggregates taken together, reduced to the keys that can restrict anything.
type Metadata<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

/// Hosts sorted by kind.
#[derive(Debug)]
pub(super) struct Kinds {
    distinct: Vec<Kind>,
    kind_of: Vec<u32>,
    traits: Vec<BTreeSet<String>>,
    rules: Vec<Rules>,
    processors: Vec<Processor>,
    /// Keys that some aggregate sets and some instance names: what no aggregate has, no filter asks for.
    keys: BTreeSet<String>,
}

/// Places in the tables of [`Kinds`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    traits: u32,
    rules: u32,
    processor: u32,
}

/// Which kinds suit the instances that leave.
#[derive(Debug, Default)]
pub(super) struct Suits {
    /// By kind, whether it suits; distinct ones.
    pub(super) distinct: Vec<Box<[bool]>>,
    /// Home and place in `distinct` of each instance, in the order in which they were given.
    pub(super) of: Vec<(u32, Option<u32>)>,
}

impl Suits {
    /// Looks at each instance of `leaving`, which has them by host.
    pub(super) fn of(kinds: &Kinds, census: &Census<'_>, leaving: &[(u32, Vec<u32>)]) -> Self {
        let mut numbers: BTreeMap<Box<[bool]>, u32> = BTreeMap::new();
        let mut suits = Self::default();
        let mut of_modest: Vec<Option<Option<u32>>> = vec![None; kinds.len()];
        for (home, instances) in leaving {
            for place in instances {
                let demand = Demand::of(&census.instances[*place as usize]);
                let mut number = || {
                    let suited = kinds.suited(&demand, *home)?;
                    let next = u32::try_from(suits.distinct.len()).unwrap_or(u32::MAX);
                    Some(*numbers.entry(suited).or_insert_with_key(|suited| {
                        suits.distinct.push(suited.clone());
                        next
                    }))
                };
                let number = if kinds.is_modest(&demand) {
                    *of_modest[kinds.kind_of(*home)].get_or_insert_with(number)
                } else {
                    number()
                };
                suits.of.push((*home, number));
            }
        }
        suits
    }

    /// Home and kinds of each instance.
    pub(super) fn moves(&self) -> impl Iterator<Item = (u32, Option<&[bool]>)> {
        let suited = |number: u32| &*self.distinct[number as usize];
        self.of.iter().map(move |(home, number)| (*home, number.map(suited)))
    }
}

/// What a host's aggregates restrict.
#[derive(Debug, Default)]
struct Rules {
    /// Names of the aggregates, for people.
    names: BTreeSet<String>,
    projects: BTreeSet<String>,
    isolated: BTreeSet<String>,
    values: BTreeMap<String, BTreeSet<String>>,
}

impl Kinds {
    /// Sorts the hosts of a census; `told` has processors of hosts that do not tell theirs.
    pub(super) fn of(census: &Census<'_>, aggregates: &[Aggregate], told: &[PlannedProcessor]) -> Self {
        let keys = asked(census.instances, aggregates);
        let (traits, traits_of) =
            number(census.hosts.iter().map(|host| host.traits.iter().cloned().collect::<BTreeSet<_>>()));
        let (rules, rules_of) = rules(&census.hosts, aggregates, &keys);
        let (processors, processor_of) = processor::sort(&census.hosts, told);
        let places = traits_of.into_iter().zip(rules_of).zip(processor_of);
        let (distinct, kind_of) = number(places.map(|((traits, rules), processor)| Kind { traits, rules, processor }));
        Self { distinct, kind_of, traits, rules, processors, keys }
    }

    /// What a rollout tells of the processors of `hosts`, which are all of them in their order.
    pub(super) fn tell_processors<'a>(&self, hosts: impl Iterator<Item = &'a HostName>) -> Vec<PlannedProcessor> {
        let processor_of = self.kind_of.iter().map(|kind| self.distinct[*kind as usize].processor);
        processor::tell(&self.processors, hosts.zip(processor_of))
    }

    /// How many kinds there are.
    pub(super) fn len(&self) -> usize {
        self.distinct.len()
    }

    /// The kind of a host.
    pub(super) fn kind_of(&self, host: u32) -> usize {
        self.kind_of[host as usize] as usize
    }

    /// Whether nothing but the processor of its origin can keep an instance off a host: all such instances of one kind of
    /// hosts are alike.
    fn is_modest(&self, demand: &Demand<'_>) -> bool {
        demand.traits.is_empty() && self.rules.len() == 1 && self.rules[0].is_void()
    }

    /// By kind, whether it suits an instance that was made on `origin`; `None` when every kind does.
    pub(super) fn suited(&self, demand: &Demand<'_>, origin: u32) -> Option<Box<[bool]>> {
        if self.is_modest(demand) && self.processors.len() == 1 {
            return None;
        }
        let suited: Box<[bool]> = (0..self.len()).map(|kind| self.unfit(kind, demand, origin).is_none()).collect();
        suited.iter().any(|suits| !suits).then_some(suited)
    }

    /// Why hosts of a kind do not suit an instance that was made on `origin`.
    pub(super) fn unfit(&self, kind: usize, demand: &Demand<'_>, origin: u32) -> Option<Unfit> {
        let (kind, origin) = (self.distinct[kind], self.distinct[self.kind_of(origin)]);
        let traits = &self.traits[kind.traits as usize];
        if !demand.traits.iter().all(|name| traits.contains(name)) {
            return Some(Unfit::Traits(demand.traits.to_vec()));
        }
        let home = &self.rules[origin.rules as usize];
        if let Some(unfit) = self.rules[kind.rules as usize].unfit(demand, &self.keys, home) {
            return Some(unfit);
        }
        let source = &self.processors[origin.processor as usize];
        self.processors[kind.processor as usize].obstacle_to(source).map(Unfit::Processor)
    }

    /// Whether metadata restricts any instance.
    pub(super) fn has_rules(&self) -> bool {
        !self.keys.is_empty() || self.rules.iter().any(|rules| !rules.is_void())
    }

    /// Metadata keys that keep the host of an instance for others: no filter reads them.
    pub(super) fn not_in_force(&self, demand: &Demand<'_>, home: u32) -> BTreeSet<String> {
        let rules = &self.rules[self.distinct[self.kind_of(home)].rules as usize];
        rules.broken(demand, &self.keys).into_iter().filter_map(Unfit::into_key).collect()
    }

    /// Joins kinds between which an instance of a domain may move, and tells each host's part of its domain: the least
    /// kind of it. `moves` are the home and the kinds that suit each instance that leaves.
    pub(super) fn parts<'s>(
        &self,
        domain_of: &[u32],
        moves: impl Iterator<Item = (u32, Option<&'s [bool]>)>,
    ) -> Vec<usize> {
        let mut present: BTreeMap<u32, BTreeSet<usize>> = BTreeMap::new();
        for (domain, kind) in domain_of.iter().zip(&self.kind_of) {
            present.entry(*domain).or_default().insert(*kind as usize);
        }
        let mut least: BTreeMap<(u32, usize), usize> =
            present.iter().flat_map(|(domain, kinds)| kinds.iter().map(|kind| ((*domain, *kind), *kind))).collect();
        let mut seen: BTreeSet<(u32, usize, Option<&[bool]>)> = BTreeSet::new();
        for (home, suited) in moves {
            let (domain, kind) = (domain_of[home as usize], self.kind_of(home));
            if !seen.insert((domain, kind, suited)) {
                continue;
            }
            let reached = present[&domain].iter().filter(|kind| suited.is_none_or(|suited| suited[**kind]));
            let joined: BTreeSet<usize> =
                reached.chain(std::iter::once(&kind)).map(|kind| least[&(domain, *kind)]).collect();
            let first = joined.first().copied().unwrap_or(kind);
            for kind in &present[&domain] {
                if let Some(part) = least.get_mut(&(domain, *kind)).filter(|part| joined.contains(part)) {
                    *part = first;
                }
            }
        }
        domain_of.iter().zip(&self.kind_of).map(|(domain, kind)| least[&(*domain, *kind as usize)]).collect()
    }

    /// What sets a kind apart, for people; empty when nothing does.
    pub(super) fn label(&self, kind: usize) -> String {
        let kind = self.distinct[kind];
        let names = self.rules[kind.rules as usize].names.iter().map(String::as_str);
        let processor = if self.processors.len() > 1 { self.processors[kind.processor as usize].label() } else { None };
        names.chain(processor).collect::<Vec<_>>().join(" + ")
    }
}

impl Rules {
    fn of(metadata: &Metadata<'_>) -> Self {
        let mut rules = Self::default();
        for (key, values) in metadata {
            if key.starts_with(PROJECTS) {
                rules.projects.extend(values.iter().map(|value| (*value).to_owned()));
            } else if let Some(name) = key.strip_prefix(ISOLATED) {
                rules.isolated.insert(name.to_owned());
            } else {
                rules.values.insert((*key).to_owned(), values.iter().map(|value| (*value).to_owned()).collect());
            }
        }
        rules
    }

    fn is_void(&self) -> bool {
        self.projects.is_empty() && self.isolated.is_empty() && self.values.is_empty()
    }

    /// What speaks against an instance on a host of these rules, save what speaks against it on its `home` as well: it is
    /// there, so no filter asks for that.
    fn unfit(&self, demand: &Demand<'_>, keys: &BTreeSet<String>, home: &Self) -> Option<Unfit> {
        let broken = self.broken(demand, keys);
        if broken.is_empty() {
            return None;
        }
        let at_home = home.broken(demand, keys);
        broken.into_iter().find(|unfit| !at_home.contains(unfit))
    }

    /// All rules that an instance breaks where these hold.
    fn broken(&self, demand: &Demand<'_>, keys: &BTreeSet<String>) -> Vec<Unfit> {
        let mut broken = Vec::new();
        if !self.projects.is_empty() && !self.projects.contains(demand.project.as_str()) {
            broken.push(Unfit::Project(demand.project.clone()));
        }
        let isolated = self.isolated.iter().filter(|name| !demand.traits.contains(name));
        broken.extend(isolated.map(|name| Unfit::Isolated(name.clone())));
        let lacks = |(key, asked): &(&str, &str)| {
            keys.contains(*key)
                && !self.values.get(*key).is_some_and(|has| has.iter().any(|has| extra_spec_matches(asked, has)))
        };
        let specs = demand.specs().filter(lacks);
        broken.extend(specs.map(|(key, asked)| Unfit::ExtraSpec(key.to_owned(), asked.to_owned())));
        let other = |(key, value): &(&String, &String)| self.values.get(*key).is_some_and(|has| !has.contains(*value));
        let images = demand.image.iter().filter(other);
        broken.extend(images.map(|(key, value)| Unfit::Image(key.clone(), value.clone())));
        broken
    }
}

/// Keys that aggregates set and flavors or images name.
fn asked(instances: &[Instance], aggregates: &[Aggregate]) -> BTreeSet<String> {
    let set: BTreeSet<&str> =
        aggregates.iter().flat_map(|aggregate| aggregate.metadata.keys()).map(String::as_str).collect();
    let mut asked = BTreeSet::new();
    if set.is_empty() {
        return asked;
    }
    for instance in instances {
        let specs = Demand::of(instance).specs().map(|(key, _)| key);
        for key in specs.chain(instance.image.keys().map(String::as_str)).filter(|key| set.contains(key)) {
            if !asked.contains(key) {
                asked.insert(key.to_owned());
            }
        }
    }
    asked
}

/// The rules of each host's aggregates, by number.
fn rules(hosts: &[&Host], aggregates: &[Aggregate], keys: &BTreeSet<String>) -> (Vec<Rules>, Vec<u32>) {
    if aggregates.is_empty() {
        return (vec![Rules::default()], vec![0; hosts.len()]);
    }
    let by_name: BTreeMap<&str, &Aggregate> = aggregates.iter().map(|one| (one.name.as_str(), one)).collect();
    let restricts = |aggregate: &Aggregate, key: &str| {
        key.starts_with(PROJECTS)
            || keys.contains(key)
            || key.starts_with(ISOLATED) && aggregate.values(key).any(|value| value == "required")
    };
    let of = |host: &Host| {
        let mut metadata = Metadata::new();
        for aggregate in host.aggregates.iter().filter_map(|name| by_name.get(name.as_str()).copied()) {
            for key in aggregate.metadata.keys().filter(|key| restricts(aggregate, key)) {
                metadata.entry(key).or_default().extend(aggregate.values(key));
            }
        }
        metadata
    };
    let (distinct, numbers) = number(hosts.iter().map(|host| of(host)));
    let mut rules: Vec<Rules> = distinct.iter().map(Rules::of).collect();
    for (host, number) in hosts.iter().zip(&numbers) {
        let named = host.aggregates.iter().filter(|name| {
            by_name.get(name.as_str()).is_some_and(|one| one.metadata.keys().any(|key| restricts(one, key)))
        });
        rules[*number as usize].names.extend(named.cloned());
    }
    (rules, numbers)
}
