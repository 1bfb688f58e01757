//! A what-if: instances that are to have room at once.

use std::collections::{BTreeMap, BTreeSet};
use std::iter::Peekable;

use super::choose::Asked;
use super::occupancy::Rank;
use super::refusal::refusal;
use super::{Choice, Mover, Occupancy, Refusal, Rules};
use crate::model::{HostName, InstanceId};
use crate::plan::space::{Barrier, Need, Trial, nearer};

/// Which of several instances has no host, and what was booked for the others by then: their places and hosts.
type Placeless = (usize, Vec<(usize, u32)>);

/// What-if over an [`Occupancy`]: instances booked one after the other, each beside those before it.
///
/// A look for room goes through the targets in the order in which they are preferred and begins where they have enough of
/// the class that is short: it costs the logarithm of the targets, and those that refuse for another reason.
#[derive(Debug)]
pub struct Draft<'a> {
    occupancy: &'a Occupancy,
    rules: Rules<'a>,
    trial: Trial<'a>,
    /// Targets that the draft has changed, as it has them.
    changed: BTreeMap<u32, Rank>,
    /// The same in order, by domain.
    order: BTreeSet<(u32, Rank)>,
}

impl<'a> Draft<'a> {
    /// Nothing booked yet.
    pub fn over(occupancy: &'a Occupancy, rules: Rules<'a>) -> Self {
        let trial = Trial::over(&occupancy.space, rules.kept_empty());
        Self { occupancy, rules, trial, changed: BTreeMap::new(), order: BTreeSet::new() }
    }

    /// Books all of `movers`, or none: all on their preferred hosts, else, when they leave the same host, all on one
    /// host, else each on its preferred host or, the biggest first, where it fits best.
    pub fn book(&mut self, movers: &[Mover]) -> Result<Vec<(InstanceId, HostName)>, Refusal> {
        let asked = movers.iter().map(|mover| Asked::read(self.occupancy, mover)).collect::<Result<Vec<_>, _>>()?;
        let hosts = self.place(movers, &asked).map_err(|(which, booked)| {
            let (mover, asked_of_it) = (&movers[which], &asked[which]);
            let refusal = self.why_nowhere(mover, asked_of_it);
            self.withdraw(&booked, &asked);
            refusal
        })?;
        let names = hosts.into_iter().map(|host| self.occupancy.layout.host_name(host).clone());
        Ok(movers.iter().map(|mover| mover.id).zip(names).collect())
    }

    /// Whether all of `movers` have room, without words for why not. Books nothing.
    pub(crate) fn has_room_for(&mut self, movers: &[Mover]) -> bool {
        let asked: Result<Vec<_>, _> = movers.iter().map(|mover| Asked::read(self.occupancy, mover)).collect();
        let Ok(asked) = asked else { return false };
        let (fits, booked) = match self.place(movers, &asked) {
            Ok(hosts) => (true, hosts.into_iter().enumerate().collect()),
            Err((_, booked)) => (false, booked),
        };
        self.withdraw(&booked, &asked);
        fits
    }

    /// Where one instance goes: its preferred host, else where it fits best.
    pub(super) fn choose(&self, mover: &Mover, asked: &Asked) -> Option<Choice> {
        let instead = match &mover.preferred {
            Some(host) => match self.admits(host, mover, asked) {
                Ok(()) => return Some(Choice { host: host.clone(), instead: None }),
                Err(refusal) => Some(refusal),
            },
            None => None,
        };
        let host = self.best_fit(asked)?;
        Some(Choice { host: self.occupancy.layout.host_name(host).clone(), instead })
    }

    /// Why no target takes it: the nearest miss.
    pub(super) fn why_nowhere(&self, mover: &Mover, asked: &Asked) -> Refusal {
        let (layout, need) = (&self.occupancy.layout, asked.need());
        let would_do = |host: &&HostName| layout.host(host).is_some_and(|host| self.trial.admits(host, &need).is_ok());
        let busy = self.rules.busy.moves.keys().filter(|host| self.rules.busy.is_full(host));
        let barred: BTreeSet<&HostName> = self.rules.avoid.iter().chain(busy).filter(would_do).collect();
        if !barred.is_empty() {
            return Refusal::Avoided { hosts: barred.into_iter().cloned().collect() };
        }
        let domain = &layout.domains()[layout.domain_of(asked.from) as usize];
        let targets = domain.hosts.iter().filter(|host| self.occupancy.space.is_target(**host));
        let barriers = targets
            .filter(|host| !self.rules.bars(layout.host_name(**host)))
            .filter_map(|host| self.trial.admits(*host, &need).err());
        let nearest = barriers.fold(Barrier::NotTarget, nearer);
        refusal(layout, nearest, mover, &self.rules, || Refusal::NoTarget { domain: domain.label.clone() })
    }

    /// A host for each of `movers`, booked; else which of them has none, and what was booked by then.
    fn place(&mut self, movers: &[Mover], asked: &[Asked]) -> Result<Vec<u32>, Placeless> {
        if let Some(hosts) = self.as_preferred(movers, asked) {
            return Ok(hosts);
        }
        // Hosts that are emptied together have no one mirror.
        let is_one_host = asked.windows(2).all(|pair| pair[0].from == pair[1].from);
        if is_one_host && let Some(host) = self.one_for_all(asked) {
            return Ok(vec![host; asked.len()]);
        }
        self.one_by_one(movers, asked)
    }

    fn as_preferred(&mut self, movers: &[Mover], asked: &[Asked]) -> Option<Vec<u32>> {
        let mut booked = Vec::with_capacity(movers.len());
        for (which, (mover, asked_of_it)) in movers.iter().zip(asked).enumerate() {
            let admitted = mover.preferred.as_ref().filter(|host| self.admits(host, mover, asked_of_it).is_ok());
            let Some(host) = admitted.and_then(|host| self.occupancy.layout.host(host)) else {
                self.withdraw(&booked, asked);
                return None;
            };
            self.take(host, &asked_of_it.need());
            booked.push((which, host));
        }
        Some(booked.into_iter().map(|(_, host)| host).collect())
    }

    /// The mirror: a single host that takes everything, the fullest that does. Its layout carries over, and the transfer is
    /// one to one.
    fn one_for_all(&mut self, asked: &[Asked]) -> Option<u32> {
        let first = asked.first()?;
        let (domain, tight) = self.domain_of(first);
        let least = asked.iter().map(|asked| asked.amounts.get(tight).copied().unwrap_or(0)).sum();
        let mut best: Option<Rank> = None;
        for is_empty in [false, true] {
            // The candidates are looked at one by one while the draft changes: few have room for a whole host.
            let ranks: Vec<Rank> = self.ranks(domain, is_empty, least).collect();
            let fits = ranks.into_iter().find(|rank| {
                let host = rank.host;
                !self.rules.bars(self.occupancy.layout.host_name(host)) && self.takes_all(host, asked)
            });
            best = match (best, fits) {
                (Some(known), Some(other)) if (other.left, other.host) >= (known.left, known.host) => Some(known),
                (known, other) => other.or(known),
            };
        }
        let host = best?.host;
        for asked in asked {
            self.take(host, &asked.need());
        }
        Some(host)
    }

    fn takes_all(&mut self, host: u32, asked: &[Asked]) -> bool {
        let mut booked = Vec::with_capacity(asked.len());
        for (which, asked_of_it) in asked.iter().enumerate() {
            if self.trial.admits(host, &asked_of_it.need()).is_err() {
                break;
            }
            self.take(host, &asked_of_it.need());
            booked.push((which, host));
        }
        self.withdraw(&booked, asked);
        booked.len() == asked.len()
    }

    fn one_by_one(&mut self, movers: &[Mover], asked: &[Asked]) -> Result<Vec<u32>, Placeless> {
        let tight = |which: usize| {
            let (_, tight) = self.domain_of(&asked[which]);
            asked[which].amounts.get(tight).copied().unwrap_or(0)
        };
        let mut order: Vec<usize> = (0..movers.len()).collect();
        order.sort_by_key(|which| (std::cmp::Reverse(tight(*which)), movers[*which].id));
        let mut booked = Vec::with_capacity(movers.len());
        for which in order {
            let (mover, asked) = (&movers[which], &asked[which]);
            let preferred = mover.preferred.as_ref().filter(|host| self.admits(host, mover, asked).is_ok());
            let preferred = preferred.and_then(|host| self.occupancy.layout.host(host));
            let Some(host) = preferred.or_else(|| self.best_fit(asked)) else { return Err((which, booked)) };
            self.take(host, &asked.need());
            booked.push((which, host));
        }
        booked.sort_unstable();
        Ok(booked.into_iter().map(|(_, host)| host).collect())
    }

    /// The best target: what a soft group policy likes, then the first in order.
    fn best_fit(&self, asked: &Asked) -> Option<u32> {
        let need = asked.need();
        let (domain, tight) = self.domain_of(asked);
        let least = asked.amounts.get(tight).copied().unwrap_or(0);
        let mut best: Option<(u32, u32)> = None;
        let ranks = [false, true].into_iter().flat_map(|is_empty| self.ranks(domain, is_empty, least));
        for Rank { host, .. } in ranks {
            if self.rules.bars(self.occupancy.layout.host_name(host)) || self.trial.admits(host, &need).is_err() {
                continue;
            }
            let dislike = self.trial.dislike(host, asked.group);
            if dislike == 0 {
                return Some(host);
            }
            if best.is_none_or(|(least, _)| dislike < least) {
                best = Some((dislike, host));
            }
        }
        best.map(|(_, host)| host)
    }

    /// Targets of a domain with at least so much room of its tight class, as the draft has them, in order: those in use,
    /// or those that are empty.
    fn ranks(&self, domain: u32, is_empty: bool, least: i64) -> impl Iterator<Item = Rank> {
        // A host that lacks what is not asked for is not in the way.
        let left = if least > 0 { least } else { i64::MIN };
        let range = Rank { is_empty, left, host: 0 }..=Rank { is_empty, left: i64::MAX, host: u32::MAX };
        let changed = (domain, *range.start())..=(domain, *range.end());
        let plain = self.occupancy.targets(domain).range(range).copied();
        let plain = plain.filter(|rank| !self.changed.contains_key(&rank.host));
        merged(plain.peekable(), self.order.range(changed).map(|(_, rank)| *rank).peekable())
    }

    fn take(&mut self, host: u32, need: &Need<'_>) {
        self.trial.take(host, need);
        self.note(host);
    }

    fn withdraw(&mut self, booked: &[(usize, u32)], asked: &[Asked]) {
        for (which, host) in booked {
            self.trial.give(*host, &asked[*which].need());
            self.note(*host);
        }
    }

    fn note(&mut self, host: u32) {
        let domain = self.occupancy.layout.domain_of(host);
        let rank = self.occupancy.rank_of(host, self.trial.slot(host));
        if let Some(before) = self.changed.insert(host, rank) {
            self.order.remove(&(domain, before));
        }
        self.order.insert((domain, rank));
    }

    /// The domain that an instance may move in, and its tight class.
    fn domain_of(&self, asked: &Asked) -> (u32, usize) {
        let domain = self.occupancy.layout.domain_of(asked.from);
        (domain, self.occupancy.layout.domains()[domain as usize].tight)
    }

    fn admits(&self, host: &HostName, mover: &Mover, asked: &Asked) -> Result<(), Refusal> {
        let number = self.occupancy.host(host)?;
        if self.rules.bars(host) {
            return Err(Refusal::Avoided { hosts: vec![host.clone()] });
        }
        let not_target = || Refusal::NotTarget { host: host.clone() };
        let admitted = self.trial.admits(number, &asked.need());
        admitted.map_err(|barrier| refusal(&self.occupancy.layout, barrier, mover, &self.rules, not_target))
    }
}

/// Two ordered iterators as one.
fn merged<T: Ord>(
    mut one: Peekable<impl Iterator<Item = T>>,
    mut other: Peekable<impl Iterator<Item = T>>,
) -> impl Iterator<Item = T> {
    std::iter::from_fn(move || match (one.peek(), other.peek()) {
        (Some(a), Some(b)) if b < a => other.next(),
        (Some(_), _) => one.next(),
        (None, _) => other.next(),
    })
}
