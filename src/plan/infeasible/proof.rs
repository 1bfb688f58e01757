//! Proofs that a host cannot be emptied, whatever is moved in whatever order.
//!
//! Each is a relaxation: it forgets rules (limits, headroom, most of the groups), never adds one, so what it rules out
//! is out. What it cannot rule out may still be impossible. All of them stand on what is on a host that takes another
//! instance fitting into its capacity afterwards.

use std::collections::{BTreeMap, BTreeSet};

use super::place::{Place, places, withheld};
use crate::plan::fleet::Fleet;
use crate::plan::space::Need;
use crate::plan::way::zones_without_a_start;

/// Why a host cannot be emptied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Proof {
    /// Its domain has no other host that could take instances.
    Alone,
    /// The instance fits no other host, were that empty.
    Instance(u32),
    /// Members of an anti-affinity group, and the places that the other hosts have for them.
    Group { group: u32, members: u64, places: u64 },
    /// What all hosts of the domain hold of a class, counted in pieces of `piece`, and what the others could.
    Load { class: usize, piece: i64, held: i64, room: i64 },
    /// No host of its domain can be emptied before another one was.
    NoFirst,
}

/// Sizes of instances that are tried as pieces, per class: the largest ones tell most.
const PIECES: usize = 64;

/// Placements that are looked at in a domain before a host counts as one that might be emptied first.
const PLACEMENTS: usize = 50_000;

/// Hosts of a domain that proofs leave aside, and how many of them are named.
const NOT_COUNTED: &str = "not counted, since the policy or their state keeps them from taking any";
const NAMED: usize = 3;

/// Proofs about some hosts of a fleet.
pub(super) struct Proofs<'f, 'a> {
    fleet: &'f Fleet<'a>,
    known: BTreeMap<u32, Proof>,
    /// By zone, whether instances of hosts that wait may make way for those of another.
    without_a_start: Vec<bool>,
}

impl<'f, 'a> Proofs<'f, 'a> {
    /// Looks for a proof for each of `hosts`.
    pub(super) fn about(fleet: &'f Fleet<'a>, hosts: &[u32]) -> Self {
        let mut proofs = Self { fleet, known: BTreeMap::new(), without_a_start: zones_without_a_start(fleet) };
        let mut domains: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for host in hosts.iter().filter(|host| !fleet.leaving[**host as usize].is_empty()) {
            domains.entry(fleet.layout.domain_of(*host)).or_default().push(*host);
        }
        for (domain, hosts) in domains {
            proofs.prove_in(domain, &hosts);
        }
        proofs
    }

    /// The proof about one host.
    pub(super) fn of(&self, host: u32) -> Option<&Proof> {
        self.known.get(&host)
    }

    fn prove_in(&mut self, domain: u32, hosts: &[u32]) {
        let places = places(self.fleet, domain);
        let counts = Counts::of(self.fleet, &places);
        let no_first = self.has_no_first(hosts, &places);
        for host in hosts {
            let proof = alone(*host, &places).or_else(|| self.too_large(*host, &places));
            let proof = proof.or_else(|| self.crowded(*host, &places)).or_else(|| counts.overfull(*host));
            if let Some(proof) = proof.or(no_first.then_some(Proof::NoFirst)) {
                self.known.insert(*host, proof);
            }
        }
    }

    fn leaving(&self, host: u32) -> &'f [u32] {
        &self.fleet.leaving[host as usize]
    }

    fn too_large(&self, host: u32, places: &[Place]) -> Option<Proof> {
        let fits = |need: &Need<'_>| {
            let others = places.iter().filter(|place| place.host != host);
            others.into_iter().any(|place| self.may_be_on(place, need) && has_room(&place.capacity, need.amounts))
        };
        let number = self.leaving(host).iter().find(|number| !fits(&self.fleet.need(**number, host)))?;
        Some(Proof::Instance(*number))
    }

    /// Whether zone and kind of a place suit; both never change.
    fn may_be_on(&self, place: &Place, need: &Need<'_>) -> bool {
        let layout = &self.fleet.layout;
        need.zone.is_none_or(|zone| zone == layout.zone_of(place.host))
            && need.kinds.is_none_or(|suited| suited[layout.kinds().kind_of(place.host)])
    }

    /// An anti-affinity group that has a member on the host and no place for all of them beside it. A host that holds
    /// more members than its group allows may keep them.
    fn crowded(&self, host: u32, places: &[Place]) -> Option<Proof> {
        let groups: BTreeSet<u32> =
            self.leaving(host).iter().filter_map(|instance| self.fleet.exclusive_group(*instance)).collect();
        groups.into_iter().find_map(|group| {
            let here = |place: &Place| u64::from(self.fleet.space.slot(place.host).members_of(group));
            let most = u64::from(self.fleet.layout.group_rule(group).per_host);
            let leaving = self.leaving(host).iter();
            let leaving = leaving.filter(|instance| self.fleet.exclusive_group(**instance) == Some(group)).count();
            let others = || places.iter().filter(|place| place.host != host);
            let members = others().map(here).sum::<u64>() + leaving as u64;
            let places = others().map(|place| here(place).max(most)).sum();
            (members > places).then_some(Proof::Group { group, members, places })
        })
    }

    /// Whether of all hosts that instances leave not one fits beside what is on the others as things stand. While no
    /// host was emptied, that is all the room there is.
    fn has_no_first(&self, stuck: &[u32], places: &[Place]) -> bool {
        let mut placements = PLACEMENTS;
        let mut occupied = places.iter().map(|place| place.host).filter(|host| !self.leaving(*host).is_empty());
        let is_stuck = |host: &u32| stuck.contains(host);
        // Where instances of hosts that wait may make way, only a domain in which not one can move is as it is for good.
        if self.something_may_make_way(places) {
            return false;
        }
        occupied.clone().all(|host| is_stuck(&host))
            && !occupied.any(|host| self.may_be_first(host, places, &mut placements))
    }

    fn something_may_make_way(&self, places: &[Place]) -> bool {
        let Some(first) = places.first() else { return false };
        let may = self.without_a_start[self.fleet.layout.zone_of(first.host) as usize];
        let mut movable = places.iter().flat_map(|place| self.leaving(place.host).iter().map(|one| (place.host, *one)));
        may && movable.any(|(home, instance)| {
            let need = self.fleet.need(instance, home);
            let mut others = places.iter().filter(|place| place.host != home);
            others.any(|place| self.may_be_on(place, &need) && has_room(&place.free, need.amounts))
        })
    }

    fn may_be_first(&self, host: u32, places: &[Place], placements: &mut usize) -> bool {
        let others: Vec<&Place> = places.iter().filter(|place| place.host != host).collect();
        let mut gaps: Vec<Vec<i64>> = others.iter().map(|place| place.free.clone()).collect();
        self.fits_into(host, self.leaving(host), &others, &mut gaps, placements)
    }

    /// Tries every placement of `instances`; gives up with `true`.
    fn fits_into(
        &self,
        host: u32,
        instances: &[u32],
        others: &[&Place],
        gaps: &mut [Vec<i64>],
        placements: &mut usize,
    ) -> bool {
        let Some((first, rest)) = instances.split_first() else { return true };
        let need = self.fleet.need(*first, host);
        // Of hosts with the same room one is as good as the other, unless kinds or zones tell them apart.
        let mut tried: BTreeSet<Vec<i64>> = BTreeSet::new();
        for (number, place) in others.iter().enumerate() {
            if !has_room(&gaps[number], need.amounts) || !self.may_be_on(place, &need) {
                continue;
            }
            if !self.has_requirements(host) && !tried.insert(gaps[number].clone()) {
                continue;
            }
            let Some(left) = placements.checked_sub(1) else { return true };
            *placements = left;
            change(&mut gaps[number], need.amounts, -1);
            let fits = self.fits_into(host, rest, others, gaps, placements);
            change(&mut gaps[number], need.amounts, 1);
            if fits {
                return true;
            }
        }
        false
    }

    fn has_requirements(&self, host: u32) -> bool {
        let needs = self.leaving(host).iter().map(|instance| self.fleet.need(*instance, host));
        needs.into_iter().any(|need| need.zone.is_some() || need.kinds.is_some())
    }
}

fn alone(host: u32, places: &[Place]) -> Option<Proof> {
    places.iter().all(|place| place.host == host).then_some(Proof::Alone)
}

fn change(gap: &mut [i64], amounts: &[i64], sign: i64) {
    for (free, amount) in gap.iter_mut().zip(amounts) {
        *free += sign * amount;
    }
}

fn has_room(room: &[i64], amounts: &[i64]) -> bool {
    amounts.iter().zip(room).all(|(amount, room)| *amount == 0 || amount <= room)
}

/// For each class and size of piece, how many pieces are held in a domain, and how many each host could hold.
///
/// Rounding each instance down to whole pieces and each host's room as well keeps what fits: a sum of rounded parts is
/// never more than the rounded sum. With pieces of one unit this compares loads, with larger ones it counts the
/// instances that are too large to share a host. Source: dual feasible functions (Fekete and Schepers, 2001).
struct Counts {
    of: Vec<Count>,
}

struct Count {
    class: usize,
    piece: i64,
    held: i64,
    room: BTreeMap<u32, i64>,
    all: i64,
}

impl Counts {
    fn of(fleet: &Fleet<'_>, places: &[Place]) -> Self {
        let mut of = Vec::new();
        for class in 0..fleet.layout.classes().len() {
            let leaving = || places.iter().flat_map(|place| &fleet.leaving[place.host as usize]);
            let sizes: BTreeSet<i64> = leaving().map(|instance| fleet.amount(*instance, class)).collect();
            let large = sizes.into_iter().rev().filter(|size| *size > 1).take(PIECES);
            for piece in [1].into_iter().chain(large) {
                let pieces = |host: u32| -> i64 {
                    fleet.leaving[host as usize].iter().map(|instance| fleet.amount(*instance, class) / piece).sum()
                };
                let room: BTreeMap<u32, i64> = places
                    .iter()
                    .map(|place| (place.host, (place.capacity[class].max(0) / piece).max(pieces(place.host))))
                    .collect();
                let held = places.iter().map(|place| pieces(place.host)).sum();
                let all = room.values().sum();
                of.push(Count { class, piece, held, room, all });
            }
        }
        Self { of }
    }

    /// A count by which the other hosts cannot hold everything.
    fn overfull(&self, host: u32) -> Option<Proof> {
        self.of.iter().find_map(|count| {
            let Count { class, piece, held, all, .. } = *count;
            let room = all - count.room.get(&host).copied().unwrap_or(0);
            (held > room).then_some(Proof::Load { class, piece, held, room })
        })
    }
}

impl Proof {
    /// In the operator's words, with the hosts that would have changed it, could they take instances.
    pub(super) fn describe(&self, fleet: &Fleet<'_>, host: u32) -> String {
        let said = self.words(fleet, host);
        let withheld = withheld(fleet, fleet.layout.domain_of(host));
        if withheld.is_empty() {
            return said;
        }
        let names: Vec<&str> = withheld.iter().take(NAMED).map(|host| fleet.name(*host).as_str()).collect();
        let more = withheld.len() - names.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        format!("{said} ({NOT_COUNTED}: {}{more})", names.join(", "))
    }

    fn words(&self, fleet: &Fleet<'_>, host: u32) -> String {
        let domain = fleet.layout.domain_label(host);
        match *self {
            Self::Alone => format!("no other host in {domain} can take instances"),
            Self::Instance(number) => {
                let instance = fleet.instance(number);
                format!(
                    "instance {} ({}) fits no other host in {domain}, even an empty one",
                    instance.name, instance.id
                )
            }
            Self::Group { group, members, places } => {
                let id = &fleet.layout.group_rule(group).id;
                format!(
                    "anti-affinity group {id} has {members} members and the other hosts in {domain} places for {places}"
                )
            }
            Self::Load { class, piece: 1, held, room } => {
                let class = &fleet.layout.classes()[class];
                format!(
                    "the instances in {domain} hold {held} {class}, and without {} there are {room}",
                    fleet.name(host)
                )
            }
            Self::Load { class, piece, held, room } => {
                let class = &fleet.layout.classes()[class];
                let name = fleet.name(host);
                format!(
                    "the instances in {domain} hold {held} times {piece} {class}, and without {name} there is room for {room}"
                )
            }
            Self::NoFirst => format!("no host in {domain} can be emptied into the room that the others have"),
        }
    }
}
