//! What is where, as a running engine keeps it.

mod saved;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::{Held, Refusal};
use crate::model::{GroupId, HostName, Instance, InstanceId, Region, Resources};
use crate::plan::PlannedProcessor;
use crate::plan::census::Census;
use crate::plan::kinds::Demand;
use crate::plan::layout::Layout;
use crate::plan::space::{Need, Slot, Space};
pub(crate) use saved::SavedOccupancy;

/// What is where: all hosts of a region with their instances, and which of them take more.
///
/// No host takes instances until it is admitted: who is mitigated and in service is for the caller to know.
#[derive(Debug, Clone)]
pub struct Occupancy {
    pub(super) layout: Arc<Layout>,
    pub(super) space: Space,
    /// Shared with a copy that only differs in its targets.
    occupants: Arc<BTreeMap<InstanceId, Occupant>>,
    /// By host, the instances on it; in no order.
    on: Arc<Vec<Vec<InstanceId>>>,
    /// By domain, its targets in the order in which they are preferred.
    targets: Vec<BTreeSet<Rank>>,
    /// By group, members on their way.
    in_flight: BTreeMap<u32, u32>,
    /// By domain, how often room appeared.
    appeared: Vec<u64>,
    /// Hosts that never take instances.
    spare: BTreeSet<u32>,
}

/// Where a target stands among those of its domain: hosts in use come before empty ones (which can mirror a whole host),
/// then those with least left of the domain's tight class, then the first by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    pub(super) is_empty: bool,
    /// Room of the tight class.
    pub(super) left: i64,
    pub(super) host: u32,
}

/// One instance in an [`Occupancy`].
#[derive(Debug, Clone)]
struct Occupant {
    amounts: Box<[i64]>,
    group: Option<u32>,
    on: u32,
    bound_for: Option<u32>,
    made: Made,
}

/// What the region tells of an instance and no move changes.
#[derive(Debug, Clone, Default)]
pub(super) struct Made {
    /// The host that it was first seen on: its guest has that one's processor.
    pub(super) origin: Option<u32>,
    /// The zone that it is pinned to.
    pub(super) zone: Option<u32>,
    /// The kinds of hosts that suit it; all of them when absent.
    pub(super) kinds: Option<Arc<[bool]>>,
    /// Its NUMA topology.
    pub(super) topology: Option<u32>,
}

impl Occupant {
    fn need(&self) -> Need<'_> {
        Need {
            amounts: &self.amounts,
            group: self.group,
            from: self.on,
            zone: None,
            kinds: None,
            topology: self.made.topology,
        }
    }
}

impl Occupancy {
    /// Each instance on the host that Nova names; no host is a target.
    pub fn of(region: &Region) -> Self {
        Self::told(region, &[])
    }

    /// The same, with processors that a rollout tells of hosts that the region has no facts of.
    pub fn told(region: &Region, processors: &[PlannedProcessor]) -> Self {
        let census = Census::of(region);
        let layout = Arc::new(Layout::of(&census, region, processors));
        let mut occupancy = Self {
            space: Space::empty(Arc::clone(&layout)),
            occupants: Arc::default(),
            on: Arc::new(vec![Vec::new(); layout.len()]),
            targets: vec![BTreeSet::new(); layout.domains().len()],
            in_flight: BTreeMap::new(),
            appeared: vec![0; layout.domains().len()],
            spare: BTreeSet::new(),
            layout,
        };
        for instance in &region.instances {
            if let Some(host) = &instance.host {
                // An instance on a host that the region does not list takes no room that anybody plans with.
                let _ = occupancy.place(instance.id, &instance.resources, instance.group.as_ref(), host);
                occupancy.remember(instance);
            }
        }
        occupancy
    }

    /// `host` never takes instances, also when it is admitted: the policy keeps it as a spare.
    pub fn keep_spare(&mut self, host: &HostName) -> Result<(), Refusal> {
        let number = self.host(host)?;
        self.spare.insert(number);
        self.retire(host)
    }

    /// From now on `host` takes instances: it is mitigated and in service. Not so for a spare one.
    pub fn admit(&mut self, host: &HostName) -> Result<(), Refusal> {
        let number = self.host(host)?;
        if !self.space.is_target(number) && !self.spare.contains(&number) {
            self.space.set_target(number, true);
            let rank = self.rank(number);
            self.targets[self.layout.domain_of(number) as usize].insert(rank);
            self.note_room(number);
        }
        Ok(())
    }

    /// From now on `host` takes none.
    pub fn retire(&mut self, host: &HostName) -> Result<(), Refusal> {
        let number = self.host(host)?;
        let rank = self.rank(number);
        self.targets[self.layout.domain_of(number) as usize].remove(&rank);
        self.space.set_target(number, false);
        Ok(())
    }

    /// Whether `host` takes instances.
    pub fn is_target(&self, host: &HostName) -> bool {
        self.layout.host(host).is_some_and(|number| self.space.is_target(number))
    }

    /// Room on `host`, less what is on its way to it; `None` for a host that the region does not have.
    pub fn room(&self, host: &HostName) -> Option<Resources> {
        let number = self.layout.host(host)?;
        Some(self.layout.resources(&self.space.slot(number).free))
    }

    /// Where an instance is; while it moves, where it comes from.
    pub fn host_of(&self, instance: InstanceId) -> Option<&HostName> {
        self.occupants.get(&instance).map(|occupant| self.layout.host_name(occupant.on))
    }

    /// Where an instance on its way is bound for.
    pub fn bound_for(&self, instance: InstanceId) -> Option<&HostName> {
        self.occupants.get(&instance)?.bound_for.map(|host| self.layout.host_name(host))
    }

    /// Instances on `host`, in order of id; those on their way to it not counted.
    pub fn instances_on(&self, host: &HostName) -> Vec<InstanceId> {
        let Some(number) = self.layout.host(host) else { return Vec::new() };
        let mut instances = self.on[number as usize].clone();
        instances.sort_unstable();
        instances
    }

    /// The domain of `host` in words; `None` for a host that the region does not have.
    pub fn domain(&self, host: &HostName) -> Option<&str> {
        let number = self.layout.host(host)?;
        Some(&self.layout.domains()[self.layout.domain_of(number) as usize].label)
    }

    /// The domain of `host` by number: hosts of two domains share no room.
    pub(crate) fn domain_number(&self, host: &HostName) -> Option<u32> {
        self.layout.host(host).map(|number| self.layout.domain_of(number))
    }

    /// How often room appeared in a domain. While this stands still, what found no room finds none.
    pub(crate) fn room_appeared(&self, domain: u32) -> u64 {
        self.appeared.get(domain as usize).copied().unwrap_or(0)
    }

    /// Puts an instance on `host`, whether or not there is room: that is how things are. One that was known is
    /// updated, and is no longer on its way anywhere.
    pub fn place(
        &mut self,
        id: InstanceId,
        resources: &Resources,
        group: Option<&GroupId>,
        host: &HostName,
    ) -> Result<(), Refusal> {
        let on = self.host(host)?;
        let made = self.made(id).cloned().unwrap_or_default();
        self.remove(id);
        // A class that no host offers takes no room on any of them.
        let amounts = self.layout.amounts(resources).unwrap_or_else(|_| self.layout.known_amounts(resources));
        let group = group.and_then(|group| self.layout.group(group));
        let occupant = Occupant { amounts, group, on, bound_for: None, made };
        self.change(on, |space| space.take(on, &occupant.need()));
        Arc::make_mut(&mut self.occupants).insert(id, occupant);
        Arc::make_mut(&mut self.on)[on as usize].push(id);
        Ok(())
    }

    /// Notes what the region tells of an instance that a rollout's moves do not repeat.
    fn remember(&mut self, instance: &Instance) {
        let zone = instance.pinned_zone.as_ref().map(|zone| self.layout.zone(zone).unwrap_or(u32::MAX));
        if let Some(occupant) = Arc::make_mut(&mut self.occupants).get_mut(&instance.id) {
            let kinds = self.layout.kinds().suited(&Demand::of(instance), occupant.on).map(Arc::from);
            let topology = self.layout.numa().topology(instance);
            self.space.give(occupant.on, &occupant.need());
            occupant.made = Made { origin: Some(occupant.on), zone, kinds, topology };
            self.space.take(occupant.on, &occupant.need());
        }
    }

    /// What the region told of an instance.
    pub(super) fn made(&self, id: InstanceId) -> Option<&Made> {
        self.occupants.get(&id).map(|occupant| &occupant.made)
    }

    /// Forgets an instance: it was deleted or left the region. Its room appears.
    pub fn remove(&mut self, id: InstanceId) {
        self.release(id);
        if let Some(occupant) = Arc::make_mut(&mut self.occupants).remove(&id) {
            self.leaves(id, occupant.on);
            self.change(occupant.on, |space| space.give(occupant.on, &occupant.need()));
            self.note_room(occupant.on);
        }
    }

    /// Takes the room on `host` for a move that starts. Until [`Self::relocate`] or [`Self::release`] the instance
    /// takes room on both hosts, as Placement counts it. A former reservation is released.
    pub fn reserve(&mut self, id: InstanceId, host: &HostName) -> Result<(), Refusal> {
        let target = self.host(host)?;
        self.release(id);
        if let Some(occupant) = Arc::make_mut(&mut self.occupants).get_mut(&id) {
            occupant.bound_for = Some(target);
            let occupant = occupant.clone();
            self.change(target, |space| space.take(target, &occupant.need()));
            if let Some(group) = occupant.group {
                *self.in_flight.entry(group).or_default() += 1;
            }
        }
        Ok(())
    }

    /// Gives back a reservation: the move failed or was called off.
    pub fn release(&mut self, id: InstanceId) {
        if let Some(target) = self.withdraw(id) {
            self.note_room(target);
        }
    }

    /// Takes back a reservation; the host that it was on.
    fn withdraw(&mut self, id: InstanceId) -> Option<u32> {
        let occupant = Arc::make_mut(&mut self.occupants).get_mut(&id)?;
        let target = occupant.bound_for.take()?;
        let occupant = occupant.clone();
        self.change(target, |space| space.give(target, &occupant.need()));
        if let Some(group) = occupant.group {
            self.in_flight.entry(group).and_modify(|count| *count -= 1);
        }
        Some(target)
    }

    /// The instance is on `host`, by our move or by somebody else's.
    pub fn relocate(&mut self, id: InstanceId, host: &HostName) -> Result<(), Refusal> {
        let target = self.host(host)?;
        // One that arrives where its room was booked leaves no room behind there.
        if let Some(booked) = self.withdraw(id)
            && booked != target
        {
            self.note_room(booked);
        }
        if let Some(occupant) = Arc::make_mut(&mut self.occupants).get_mut(&id) {
            let left = std::mem::replace(&mut occupant.on, target);
            let occupant = occupant.clone();
            self.change(left, |space| space.give(left, &occupant.need()));
            self.change(target, |space| space.take(target, &occupant.need()));
            self.leaves(id, left);
            Arc::make_mut(&mut self.on)[target as usize].push(id);
            self.note_room(left);
        }
        Ok(())
    }

    /// What a look at `host` shows that is not known here: what holds room there and does not by this account, and
    /// instances that do by this account alone. Moves under way are nobody's news.
    pub fn differences(&self, host: &HostName, held: Vec<Held>) -> (Vec<Held>, Vec<InstanceId>) {
        let Some(number) = self.layout.host(host) else { return (Vec::new(), Vec::new()) };
        let holding: BTreeSet<InstanceId> = held.iter().map(|held| held.id).collect();
        let is_news = |held: &Held| {
            let known = self.occupants.get(&held.id);
            known.is_none_or(|occupant| occupant.on != number && occupant.bound_for.is_none())
        };
        let is_gone = |id: &InstanceId| {
            let known = self.occupants.get(id);
            known.is_some_and(|occupant| occupant.bound_for.is_none()) && !holding.contains(id)
        };
        let gone = self.instances_on(host).into_iter().filter(is_gone).collect();
        (held.into_iter().filter(is_news).collect(), gone)
    }

    /// Takes note of what such a look has shown.
    pub fn see(&mut self, host: &HostName, came: &[Held], gone: &[InstanceId]) -> Result<(), Refusal> {
        self.host(host)?;
        for id in gone {
            self.remove(*id);
        }
        for held in came {
            if held.group.is_none() && self.occupants.contains_key(&held.id) {
                self.relocate(held.id, host)?;
            } else {
                self.place(held.id, &held.resources, held.group.as_ref(), host)?;
            }
        }
        Ok(())
    }

    /// Whether the host that an instance is bound for cannot take it: more room of a class is booked there than there
    /// is, or too many members of its group.
    pub fn is_crowded_out(&self, id: InstanceId) -> bool {
        let Some(occupant) = self.occupants.get(&id) else { return false };
        let Some(target) = occupant.bound_for else { return false };
        let slot = self.space.slot(target);
        let is_short = occupant.amounts.iter().zip(&slot.free).any(|(amount, free)| *amount > 0 && *free < 0);
        let too_many = |group| {
            self.layout.is_hard_anti_affinity(group) && slot.members_of(group) > self.layout.group_rule(group).per_host
        };
        is_short || occupant.group.is_some_and(too_many)
    }

    /// Targets of a domain, the one that is preferred first.
    pub(super) fn targets(&self, domain: u32) -> &BTreeSet<Rank> {
        &self.targets[domain as usize]
    }

    /// Whether `host` never takes instances.
    pub(super) fn is_spare(&self, host: u32) -> bool {
        self.spare.contains(&host)
    }

    /// Where `host` stands among the targets of its domain, as things are.
    pub(super) fn rank(&self, host: u32) -> Rank {
        self.rank_of(host, self.space.slot(host))
    }

    /// Where `host` stands with what is in `slot`.
    pub(super) fn rank_of(&self, host: u32, slot: &Slot) -> Rank {
        let domain = &self.layout.domains()[self.layout.domain_of(host) as usize];
        Rank { is_empty: slot.is_empty(), left: slot.free.get(domain.tight).copied().unwrap_or(0), host }
    }

    /// Changes what is on `host`, and where it stands among the targets.
    fn change(&mut self, host: u32, change: impl FnOnce(&mut Space)) {
        if !self.space.is_target(host) {
            return change(&mut self.space);
        }
        let domain = self.layout.domain_of(host) as usize;
        let before = self.rank(host);
        change(&mut self.space);
        let after = self.rank(host);
        self.targets[domain].remove(&before);
        self.targets[domain].insert(after);
    }

    /// Holds what is kept by host and by domain against a count of everything.
    #[cfg(test)]
    pub(crate) fn assert_counted_right(&self) {
        let hosts = || 0..u32::try_from(self.layout.len()).unwrap();
        let mut on = vec![Vec::new(); self.layout.len()];
        let mut bare = Space::empty(Arc::clone(&self.layout));
        for (id, occupant) in self.occupants.iter() {
            on[occupant.on as usize].push(*id);
            for host in [Some(occupant.on), occupant.bound_for].into_iter().flatten() {
                bare.take(host, &occupant.need());
            }
        }
        let mut targets = vec![BTreeSet::new(); self.targets.len()];
        for host in hosts() {
            let mut known = self.on[host as usize].clone();
            known.sort_unstable();
            assert_eq!(known, on[host as usize]);
            let (slot, counted) = (self.space.slot(host), bare.slot(host));
            assert_eq!((&slot.free, slot.occupants), (&counted.free, counted.occupants));
            if self.space.is_target(host) {
                targets[self.layout.domain_of(host) as usize].insert(self.rank(host));
            }
        }
        assert_eq!(self.targets, targets);
    }

    fn leaves(&mut self, id: InstanceId, host: u32) {
        let there = &mut Arc::make_mut(&mut self.on)[host as usize];
        if let Some(place) = there.iter().position(|other| *other == id) {
            there.swap_remove(place);
        }
    }

    /// The number of a host.
    pub(super) fn host(&self, name: &HostName) -> Result<u32, Refusal> {
        self.layout.host(name).ok_or_else(|| Refusal::UnknownHost { host: name.clone() })
    }

    /// A target with room may take more.
    fn note_room(&mut self, host: u32) {
        if self.space.is_target(host) {
            self.appeared[self.layout.domain_of(host) as usize] += 1;
        }
    }

    /// The group itself when it lets one member move at a time and one is on its way.
    pub(super) fn group_in_flight(&self, group: Option<u32>) -> Option<u32> {
        let group = group?;
        (self.layout.is_hard_anti_affinity(group) && self.in_flight.get(&group).is_some_and(|count| *count > 0))
            .then_some(group)
    }
}
