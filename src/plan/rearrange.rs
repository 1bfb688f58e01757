//! Moves between hosts in service by which one host of a full domain can be emptied, where the hosts' gaps are large
//! enough together and none of them by itself.
//!
//! [`super::way`] makes them part of a plan where a rollout may contain them; elsewhere they are offered as migrations
//! by hand, and the plan is tried behind them.

use std::collections::BTreeMap;

use super::fleet::Fleet;
use super::space::Space;

/// Hosts that are tried, those without large instances first.
const CANDIDATES: usize = 12;

/// Hosts into which an instance is tried to be squeezed, those that lack least first.
const SQUEEZED: usize = 32;

/// Instances that make way for one other.
const MOST_EJECTED: usize = 8;

/// One migration: instance, source, target.
pub(super) type Step = (u32, u32, u32);

/// How one host can be emptied.
#[derive(Debug, Clone)]
pub(super) struct Emptying {
    /// The host.
    pub(super) host: u32,
    /// What makes way, off other hosts, in an order in which each has room; all of it comes first.
    pub(super) ways: Vec<Step>,
    /// Where the host's own instances go.
    pub(super) own: Vec<(u32, u32)>,
}

/// The fewest migrations that were found to empty some host of a domain before any other.
pub(super) fn empty_a_host(fleet: &Fleet<'_>, domain: u32) -> Option<Emptying> {
    let members = fleet.layout.domains()[domain as usize].hosts.iter().copied();
    let takes = |host: &u32| {
        let is_planned = fleet.hosts.binary_search(host).is_ok() && !fleet.spare[*host as usize];
        is_planned || fleet.space.is_target(*host)
    };
    let on: BTreeMap<u32, Vec<u32>> =
        members.clone().filter(takes).map(|host| (host, fleet.leaving[host as usize].clone())).collect();
    let candidates: Vec<u32> = members.filter(|host| becomes_empty(fleet, *host)).collect();
    fewest(fleet, &fleet.space, &on, &fleet.leaving, candidates)
}

/// The fewest migrations by which one of `candidates` can be emptied as things stand in `space`. What `on` lists of a host
/// may make way; hosts that it does not list take nothing.
pub(super) fn fewest(
    fleet: &Fleet<'_>,
    space: &Space,
    on: &BTreeMap<u32, Vec<u32>>,
    leaving: &[Vec<u32>],
    mut candidates: Vec<u32>,
) -> Option<Emptying> {
    let amounts = |host: u32| leaving[host as usize].iter().map(move |one| fleet.amount(*one, fleet.tight(host)));
    candidates.sort_by_key(|host| (amounts(*host).max(), amounts(*host).sum::<i64>(), *host));
    let found = candidates.into_iter().take(CANDIDATES).filter_map(|host| {
        let rearrangement = Rearrangement { fleet, space: space.clone(), on: on.clone(), ways: Vec::new() };
        rearrangement.empty(host, &leaving[host as usize])
    });
    found.min_by_key(|found| found.ways.len() + found.own.len())
}

/// Whether everything on a host to be remedied can leave it.
fn becomes_empty(fleet: &Fleet<'_>, host: u32) -> bool {
    let leaving = fleet.leaving[host as usize].len();
    leaving > 0 && fleet.hosts.binary_search(&host).is_ok() && fleet.space.slot(host).occupants as usize == leaving
}

/// A domain while instances are moved about in it.
struct Rearrangement<'f, 'a> {
    fleet: &'f Fleet<'a>,
    space: Space,
    /// Instances that may move, by host that may take some. One that has made way stays where it went.
    on: BTreeMap<u32, Vec<u32>>,
    ways: Vec<Step>,
}

impl Rearrangement<'_, '_> {
    /// Empties `source`, the biggest instance first, and lets others make way where there is no gap.
    fn empty(mut self, source: u32, leaving: &[u32]) -> Option<Emptying> {
        self.on.remove(&source);
        let mut own = Vec::new();
        for instance in leaving.iter().copied() {
            let target = match self.gap(instance, source, None) {
                Some(target) => target,
                None => self.make_way(instance, source)?,
            };
            self.book(instance, source, target);
            own.push((instance, target));
        }
        // Those that make way go first: then there is only more room for each of them than when it was found.
        Some(Emptying { host: source, ways: self.ways, own })
    }

    /// The tightest gap for an instance, not on `but`.
    fn gap(&self, instance: u32, from: u32, but: Option<u32>) -> Option<u32> {
        let need = self.fleet.need(instance, from);
        let tight = self.fleet.tight(from);
        let hosts = self.on.keys().copied().filter(|host| Some(*host) != but && self.space.is_suitable(*host, &need));
        hosts.min_by_key(|host| (self.space.slot(*host).free.get(tight).copied(), *host))
    }

    /// Moves instances of some host elsewhere until `instance` fits there: as few as are found.
    fn make_way(&mut self, instance: u32, from: u32) -> Option<u32> {
        let wanted = self.fleet.amounts_of(instance);
        let lacks = |host: u32| {
            let free = &self.space.slot(host).free;
            self.share(host, wanted.iter().zip(free).map(|(wanted, free)| (wanted - free).max(0)))
        };
        let mut hosts: Vec<(i128, u32)> = self.on.keys().map(|host| (lacks(*host), *host)).collect();
        hosts.sort_unstable();
        let mut best: Option<(u32, Vec<Step>)> = None;
        for (_, host) in hosts.into_iter().take(SQUEEZED) {
            let most = best.as_ref().map_or(MOST_EJECTED, |(_, steps)| steps.len() - 1);
            if let Some(steps) = self.eject(host, instance, from, most) {
                let is_least = steps.len() <= 1;
                self.undo(&steps);
                best = Some((host, steps));
                if is_least {
                    break;
                }
            }
        }
        let (host, steps) = best?;
        for (ejected, source, target) in steps {
            self.relocate(ejected, source, target);
            if let Some(there) = self.on.get_mut(&target) {
                there.retain(|other| *other != ejected);
            }
            self.ways.push((ejected, source, target));
        }
        Some(host)
    }

    /// Moves at most `most` instances off `host` so that `instance` fits; undone where they are not enough. Each time one
    /// that is enough by itself with least to spare, else the one that gives most of what lacks.
    fn eject(&mut self, host: u32, instance: u32, from: u32, most: usize) -> Option<Vec<Step>> {
        let mut steps: Vec<Step> = Vec::new();
        loop {
            if self.space.is_suitable(host, &self.fleet.need(instance, from)) {
                return Some(steps);
            }
            let next = if steps.len() < most { self.next_to_eject(host, instance) } else { None };
            let Some((ejected, target)) = next else {
                self.undo(&steps);
                return None;
            };
            self.relocate(ejected, host, target);
            steps.push((ejected, host, target));
        }
    }

    /// An instance on `host` whose room `instance` lacks, and where it goes. What asks for as much as the one that comes
    /// would only trade places with it.
    fn next_to_eject(&self, host: u32, instance: u32) -> Option<(u32, u32)> {
        let wanted = self.fleet.amounts_of(instance);
        let free = &self.space.slot(host).free;
        let lacks: Vec<i64> = wanted.iter().zip(free).map(|(wanted, free)| (wanted - free).max(0)).collect();
        let rank = |other: u32| {
            let amounts = self.fleet.amounts_of(other);
            let is_enough = amounts.iter().zip(&lacks).all(|(amount, lack)| amount >= lack);
            let given = self.share(host, amounts.iter().zip(&lacks).map(|(amount, lack)| *amount.min(lack)));
            let to_spare = self.share(host, amounts.iter().zip(&lacks).map(|(amount, lack)| (amount - lack).max(0)));
            let gives = given > 0 && amounts.iter().zip(wanted).any(|(amount, wanted)| amount < wanted);
            gives.then_some((!is_enough, to_spare - if is_enough { 0 } else { given }, other))
        };
        let mut here: Vec<_> = self.on.get(&host)?.iter().filter_map(|other| rank(*other)).collect();
        here.sort_unstable();
        here.into_iter().find_map(|(_, _, other)| Some((other, self.gap(other, host, Some(host))?)))
    }

    /// Amounts by class as parts of a host's capacity, in millionths, added up.
    fn share(&self, host: u32, amounts: impl Iterator<Item = i64>) -> i128 {
        let capacity = self.fleet.layout.capacity(host).iter();
        amounts.zip(capacity).map(|(amount, all)| i128::from(amount) * 1_000_000 / i128::from((*all).max(1))).sum()
    }

    fn undo(&mut self, steps: &[Step]) {
        for (instance, source, target) in steps.iter().rev() {
            self.relocate(*instance, *target, *source);
        }
    }

    fn relocate(&mut self, instance: u32, from: u32, to: u32) {
        self.space.give(from, &self.fleet.need(instance, from));
        if let Some(here) = self.on.get_mut(&from) {
            here.retain(|other| *other != instance);
        }
        self.space.take(to, &self.fleet.need(instance, from));
        if let Some(there) = self.on.get_mut(&to) {
            there.push(instance);
        }
    }

    /// Books an instance of the host that is emptied: it makes way for nobody.
    fn book(&mut self, instance: u32, from: u32, target: u32) {
        self.space.take(target, &self.fleet.need(instance, from));
    }
}
