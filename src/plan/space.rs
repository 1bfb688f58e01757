//! Room and group members per host, and whether one more instance may come.
//!
//! The planner and [`super::placement`] both stand on this, so that the engine decides by the planner's own rule.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::layout::Layout;
use crate::model::GroupPolicy;

/// What moves change about one host.
#[derive(Debug, Clone)]
pub(super) struct Slot {
    /// Room by class; negative where a host is overcommitted.
    pub(super) free: Box<[i64]>,
    /// Instances on it or on their way to it.
    pub(super) occupants: u32,
    /// Members of groups on it or on their way to it.
    pub(super) members: Vec<(u32, u32)>,
    /// Instances by NUMA topology, on it or on their way to it.
    topologies: Vec<(u32, u32)>,
}

impl Slot {
    /// Members of `group` here.
    pub(super) fn members_of(&self, group: u32) -> u32 {
        self.members.iter().find(|(id, _)| *id == group).map_or(0, |(_, count)| *count)
    }

    /// Whether nothing is here or on its way here.
    pub(super) fn is_empty(&self) -> bool {
        self.occupants == 0
    }

    fn fits(&self, amounts: &[i64]) -> bool {
        fits(&self.free, amounts)
    }

    /// Adds one instance.
    pub(super) fn take(&mut self, need: &Need<'_>) {
        for (free, amount) in self.free.iter_mut().zip(need.amounts) {
            *free -= amount;
        }
        self.occupants += 1;
        if let Some(group) = need.group {
            count_up(&mut self.members, group);
        }
        if let Some(topology) = need.topology {
            count_up(&mut self.topologies, topology);
        }
    }

    /// Takes one instance away.
    pub(super) fn give(&mut self, need: &Need<'_>) {
        for (free, amount) in self.free.iter_mut().zip(need.amounts) {
            *free += amount;
        }
        self.occupants = self.occupants.saturating_sub(1);
        if let Some(group) = need.group {
            count_down(&mut self.members, group);
        }
        if let Some(topology) = need.topology {
            count_down(&mut self.topologies, topology);
        }
    }
}

/// An overcommitted class bars only what asks for it.
fn fits(free: &[i64], amounts: &[i64]) -> bool {
    amounts.iter().zip(free).all(|(amount, free)| *amount == 0 || amount <= free)
}

fn count_up(counts: &mut Vec<(u32, u32)>, of: u32) {
    match counts.iter_mut().find(|(id, _)| *id == of) {
        Some((_, count)) => *count += 1,
        None => counts.push((of, 1)),
    }
}

fn count_down(counts: &mut Vec<(u32, u32)>, of: u32) {
    if let Some((_, count)) = counts.iter_mut().find(|(id, _)| *id == of) {
        *count -= 1;
    }
    counts.retain(|(_, count)| *count > 0);
}

/// What an instance asks of a host, by number.
#[derive(Debug, Clone, Copy)]
pub(super) struct Need<'a> {
    pub(super) amounts: &'a [i64],
    pub(super) group: Option<u32>,
    /// The host that it leaves: its domain is where it may go.
    pub(super) from: u32,
    /// Must be the target's zone when given.
    pub(super) zone: Option<u32>,
    /// By kind of host, whether it suits the instance; every kind does when absent.
    pub(super) kinds: Option<&'a [bool]>,
    /// Its NUMA topology.
    pub(super) topology: Option<u32>,
}

/// Why one host does not take one instance, in the order in which it is looked at: a later one is a nearer miss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Barrier {
    /// It is the host that the instance leaves, or not a target, or in another domain.
    NotTarget,
    /// Another zone than the instance is pinned to.
    Zone,
    /// A host of this kind does not suit it.
    Kind(usize),
    /// `missing` too little of `class`.
    Room { class: usize, missing: i64 },
    /// The cells of the host have no room for its NUMA topology.
    Cells,
    /// Its group's other members are on other hosts.
    Affinity(u32),
    /// Enough members of its group are here.
    AntiAffinity(u32),
    /// One of the empty hosts that its zone keeps.
    Headroom,
}

/// Room and group members of all hosts.
#[derive(Debug, Clone)]
pub(super) struct Space {
    layout: Arc<Layout>,
    slots: Vec<Slot>,
    /// The room of all slots once more, host by host: whether there is some is asked a hundred million times in a large
    /// region, and this lies in a cache.
    free: Vec<i64>,
    targets: Vec<bool>,
    empty_targets: Vec<u32>,
}

impl Space {
    /// All hosts of `layout`, empty; none is a target.
    pub(super) fn empty(layout: Arc<Layout>) -> Self {
        let hosts = u32::try_from(layout.len()).unwrap_or(u32::MAX);
        let slot = |host| Slot {
            free: layout.capacity(host).into(),
            occupants: 0,
            members: Vec::new(),
            topologies: Vec::new(),
        };
        let slots = (0..hosts).map(slot).collect();
        let free = (0..hosts).flat_map(|host| layout.capacity(host)).copied().collect();
        let targets = vec![false; layout.len()];
        let empty_targets = vec![0; layout.zone_count()];
        Self { layout, slots, free, targets, empty_targets }
    }

    /// One host.
    pub(super) fn slot(&self, host: u32) -> &Slot {
        &self.slots[host as usize]
    }

    /// Whether instances may go there.
    pub(super) fn is_target(&self, host: u32) -> bool {
        self.targets[host as usize]
    }

    /// Targets in `zone` with nothing on them.
    pub(super) fn empty_targets(&self, zone: u32) -> u32 {
        self.empty_targets[zone as usize]
    }

    /// Says whether instances may go to `host`.
    pub(super) fn set_target(&mut self, host: u32, target: bool) {
        self.count_empty(host, false);
        self.targets[host as usize] = target;
        self.count_empty(host, true);
    }

    /// Puts one instance on `host`, whether or not it may.
    pub(super) fn take(&mut self, host: u32, need: &Need<'_>) {
        self.count_empty(host, false);
        self.slots[host as usize].take(need);
        self.note_room(host);
        self.count_empty(host, true);
    }

    /// Takes one instance from `host`.
    pub(super) fn give(&mut self, host: u32, need: &Need<'_>) {
        self.count_empty(host, false);
        self.slots[host as usize].give(need);
        self.note_room(host);
        self.count_empty(host, true);
    }

    fn note_room(&mut self, host: u32) {
        let free = &self.slots[host as usize].free;
        self.free[host as usize * free.len()..][..free.len()].copy_from_slice(free);
    }

    fn has_room(&self, host: u32, amounts: &[i64]) -> bool {
        fits(&self.free[host as usize * amounts.len()..][..amounts.len()], amounts)
    }

    fn count_empty(&mut self, host: u32, add: bool) {
        if self.targets[host as usize] && self.slots[host as usize].is_empty() {
            let count = &mut self.empty_targets[self.layout.zone_of(host) as usize];
            *count = if add { *count + 1 } else { count.saturating_sub(1) };
        }
    }

    /// Whether `host` may take an instance with this need, as things stand.
    pub(super) fn admits(&self, host: u32, need: &Need<'_>, kept_empty: u32) -> Result<(), Barrier> {
        self.admits_into(host, self.slot(host), need, self.empty_targets(self.layout.zone_of(host)), kept_empty)
    }

    /// Whether `host` may take an instance with this need, with its slot and the count of empty targets in its zone
    /// as a trial has them.
    fn admits_into(
        &self,
        host: u32,
        slot: &Slot,
        need: &Need<'_>,
        empty_targets: u32,
        kept_empty: u32,
    ) -> Result<(), Barrier> {
        if !self.is_target(host) {
            return Err(Barrier::NotTarget);
        }
        self.suits_slot(host, slot, need)?;
        if slot.is_empty() && empty_targets <= kept_empty {
            return Err(Barrier::Headroom);
        }
        Ok(())
    }

    /// Whether an instance with this need could be on `host`, target or not.
    pub(super) fn suits(&self, host: u32, need: &Need<'_>) -> Result<(), Barrier> {
        self.suits_slot(host, self.slot(host), need)
    }

    /// Whether [`Self::admits`] holds, without the reason why not: most hosts that are asked refuse.
    pub(super) fn takes(&self, host: u32, need: &Need<'_>, kept_empty: u32) -> bool {
        self.is_target(host) && self.has_room(host, need.amounts) && self.admits(host, need, kept_empty).is_ok()
    }

    /// Whether [`Self::suits`] holds, without the reason why not.
    pub(super) fn is_suitable(&self, host: u32, need: &Need<'_>) -> bool {
        self.has_room(host, need.amounts) && self.suits(host, need).is_ok()
    }

    fn suits_slot(&self, host: u32, slot: &Slot, need: &Need<'_>) -> Result<(), Barrier> {
        let layout = &*self.layout;
        if host == need.from || layout.domain_of(host) != layout.domain_of(need.from) {
            return Err(Barrier::NotTarget);
        }
        if need.zone.is_some_and(|zone| zone != layout.zone_of(host)) {
            return Err(Barrier::Zone);
        }
        if let Some(suited) = need.kinds {
            let kind = layout.kinds().kind_of(host);
            if !suited[kind] {
                return Err(Barrier::Kind(kind));
            }
        }
        if !slot.fits(need.amounts) {
            return Err(tightest(slot, need.amounts));
        }
        if let Some(topology) = need.topology
            && !layout.numa().has_room(host, &slot.topologies, topology)
        {
            return Err(Barrier::Cells);
        }
        match need.group {
            Some(group) => self.admits_member(slot, group, need.from),
            None => Ok(()),
        }
    }

    fn admits_member(&self, slot: &Slot, group: u32, from: u32) -> Result<(), Barrier> {
        let rule = self.layout.group_rule(group);
        match rule.policy {
            GroupPolicy::AntiAffinity if slot.members_of(group) >= rule.per_host => Err(Barrier::AntiAffinity(group)),
            // Nova's filter admits only hosts that are in the group already; a lone member is free.
            GroupPolicy::Affinity if self.slot(from).members_of(group) > 1 && slot.members_of(group) == 0 => {
                Err(Barrier::Affinity(group))
            }
            GroupPolicy::AntiAffinity
            | GroupPolicy::Affinity
            | GroupPolicy::SoftAffinity
            | GroupPolicy::SoftAntiAffinity => Ok(()),
        }
    }

    /// How much a soft group policy dislikes `slot`; 0 is best.
    fn dislike(&self, slot: &Slot, group: Option<u32>) -> u32 {
        let Some(group) = group else { return 0 };
        match self.layout.group_rule(group).policy {
            GroupPolicy::SoftAntiAffinity => slot.members_of(group),
            GroupPolicy::SoftAffinity => u32::from(slot.members_of(group) == 0),
            GroupPolicy::Affinity | GroupPolicy::AntiAffinity => 0,
        }
    }
}

/// The class of which `slot` has least compared with what is asked.
fn tightest(slot: &Slot, amounts: &[i64]) -> Barrier {
    let missing = amounts.iter().zip(&slot.free).map(|(amount, free)| if *amount == 0 { 0 } else { amount - free });
    let (class, missing) =
        missing.enumerate().max_by_key(|(class, missing)| (*missing, usize::MAX - class)).unwrap_or((0, 0));
    Barrier::Room { class, missing }
}

/// A what-if over a [`Space`]: changed hosts are copied, the rest is looked at in place.
#[derive(Debug)]
pub(super) struct Trial<'a> {
    space: &'a Space,
    changed: BTreeMap<u32, Slot>,
    filled: BTreeMap<u32, u32>,
    kept_empty: u32,
}

impl<'a> Trial<'a> {
    /// Nothing changed yet. Each zone keeps `kept_empty` empty targets.
    pub(super) fn over(space: &'a Space, kept_empty: u32) -> Self {
        Self { space, changed: BTreeMap::new(), filled: BTreeMap::new(), kept_empty }
    }

    /// One host as the trial has it.
    pub(super) fn slot(&self, host: u32) -> &Slot {
        self.changed.get(&host).unwrap_or_else(|| self.space.slot(host))
    }

    /// Whether `host` may take one more.
    pub(super) fn admits(&self, host: u32, need: &Need<'_>) -> Result<(), Barrier> {
        let zone = self.space.layout.zone_of(host);
        let filled = self.filled.get(&zone).copied().unwrap_or(0);
        let empty = self.space.empty_targets(zone).saturating_sub(filled);
        self.space.admits_into(host, self.slot(host), need, empty, self.kept_empty)
    }

    /// Puts one instance on `host`.
    pub(super) fn take(&mut self, host: u32, need: &Need<'_>) {
        let slot = self.changed.entry(host).or_insert_with(|| self.space.slot(host).clone());
        if slot.is_empty() {
            *self.filled.entry(self.space.layout.zone_of(host)).or_default() += 1;
        }
        slot.take(need);
    }

    /// Takes back what [`Self::take`] put there.
    pub(super) fn give(&mut self, host: u32, need: &Need<'_>) {
        let Some(slot) = self.changed.get_mut(&host) else { return };
        slot.give(need);
        if slot.is_empty()
            && let Some(filled) = self.filled.get_mut(&self.space.layout.zone_of(host))
        {
            *filled = filled.saturating_sub(1);
        }
    }

    /// How much the policy of its soft group dislikes one more on `host`; 0 is best.
    pub(super) fn dislike(&self, host: u32, group: Option<u32>) -> u32 {
        self.space.dislike(self.slot(host), group)
    }
}

/// Which of two barriers is the nearer miss: the later one, and of two hosts without room the one that lacks less.
pub(super) fn nearer(a: Barrier, b: Barrier) -> Barrier {
    match (a, b) {
        (Barrier::Room { missing: least, .. }, Barrier::Room { missing, .. }) => {
            if missing < least {
                b
            } else {
                a
            }
        }
        (
            Barrier::NotTarget
            | Barrier::Zone
            | Barrier::Kind(_)
            | Barrier::Room { .. }
            | Barrier::Cells
            | Barrier::Affinity(_)
            | Barrier::AntiAffinity(_)
            | Barrier::Headroom,
            _,
        ) => a.max(b),
    }
}
