//! Where an instance may go: the one rule that the planner and a running engine share.
//!
//! The engine keeps an [`Occupancy`] of the region, asks [`fits_all`] before it begins a host and [`choose_target`]
//! when a move starts, and books what it decides. Nothing here moves anything or knows the order of hosts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use super::census::Census;
use super::layout::Layout;
use super::space::{Barrier, Need, Space, Trial};
use crate::model::{GroupId, Headroom, HostName, Instance, InstanceId, Region, Resources, ZoneName};

/// An instance that has to leave its host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mover {
    /// Which.
    pub id: InstanceId,
    /// The host that it leaves; its domain is where it may go.
    pub from: HostName,
    /// What it has allocated.
    pub resources: Resources,
    /// Its server group.
    pub group: Option<GroupId>,
    /// The zone that it was asked to be in.
    pub pinned_zone: Option<ZoneName>,
    /// Traits that it requires.
    pub traits: Vec<String>,
    /// Where the rollout has it go: taken whenever that host admits it.
    pub preferred: Option<HostName>,
}

impl Mover {
    /// The instance as it stands; `None` when it is on no host.
    pub fn of(instance: &Instance) -> Option<Self> {
        Some(Self {
            id: instance.id,
            from: instance.host.clone()?,
            resources: instance.resources.clone(),
            group: instance.group.clone(),
            pinned_zone: instance.pinned_zone.clone(),
            traits: instance.traits.clone(),
            preferred: None,
        })
    }

    /// The same, preferring `host`.
    #[must_use]
    pub fn preferring(mut self, host: HostName) -> Self {
        self.preferred = Some(host);
        self
    }
}

/// What restricts a choice beyond what the hosts and groups themselves ask for.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    /// Targets that are not to be used for this one, for example because a move to them has just failed.
    pub avoid: &'a BTreeSet<HostName>,
    /// Room that moves may not use up.
    pub headroom: &'a Headroom,
}

/// Hosts to avoid when there are none.
static NOTHING: BTreeSet<HostName> = BTreeSet::new();

impl<'a> Rules<'a> {
    /// The policy's headroom, nothing to avoid.
    pub fn keeping(headroom: &'a Headroom) -> Self {
        Self { avoid: &NOTHING, headroom }
    }

    fn kept_empty(&self) -> u32 {
        u32::try_from(self.headroom.per_zone.hosts).unwrap_or(u32::MAX)
    }
}

/// A chosen target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Where to.
    pub host: HostName,
    /// Why it is not the preferred one; `None` when it is, or when none was preferred.
    pub instead: Option<Refusal>,
}

/// Why an instance cannot go anywhere, or not to one host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No host of the domain takes instances: none is mitigated and in service yet.
    #[error("no host in {domain} takes instances yet")]
    NoTarget {
        /// The domain, in words.
        domain: String,
    },
    /// That one host does not take instances, or is in another domain.
    #[error("{host} is not a target for it")]
    NotTarget {
        /// The host.
        host: HostName,
    },
    /// Too little room, at the best of all targets.
    #[error("no target in {domain} has room: {missing} of {class} missing at the best of them")]
    NoRoom {
        /// The domain, in words.
        domain: String,
        /// The resource class that is short.
        class: String,
        /// How much of it is missing at the target that comes nearest.
        missing: u64,
    },
    /// Its group's anti-affinity leaves no target.
    #[error("anti-affinity group {group} has a member on each target with room")]
    AntiAffinity {
        /// The group.
        group: GroupId,
    },
    /// Its group's affinity holds it where the other members are.
    #[error("affinity group {group} holds it where its other members are")]
    Affinity {
        /// The group.
        group: GroupId,
    },
    /// Another member of its anti-affinity group is on its way: Nova does not check a group again when a live
    /// migration arrives.
    #[error("another member of anti-affinity group {group} is being moved")]
    GroupInFlight {
        /// The group.
        group: GroupId,
    },
    /// No target is in the zone that it is pinned to.
    #[error("it is pinned to zone {zone}, where no target is")]
    Zone {
        /// The zone.
        zone: ZoneName,
    },
    /// No target has the traits that it requires.
    #[error("no target has the traits it requires: {}", .traits.join(", "))]
    Traits {
        /// What it requires.
        traits: Vec<String>,
    },
    /// Only targets that are to be avoided would do.
    #[error("only {} would take it, to be avoided for the moment", Names(.hosts))]
    Avoided {
        /// Those targets.
        hosts: Vec<HostName>,
    },
    /// Only empty hosts that the policy keeps would do.
    #[error("only the {hosts} empty hosts that the policy keeps in its zone would take it")]
    Headroom {
        /// How many are kept.
        hosts: usize,
    },
    /// The region has no such host.
    #[error("{host} is not in the region")]
    UnknownHost {
        /// The host.
        host: HostName,
    },
}

/// Host names for people, the first few.
struct Names<'a>(&'a [HostName]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 3;
        let names: Vec<&str> = self.0.iter().take(SHOWN).map(HostName::as_str).collect();
        f.write_str(&names.join(", "))?;
        match self.0.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}

/// What is where: all hosts of a region with their instances, and which of them take more.
///
/// No host takes instances until it is admitted: who is mitigated and in service is for the caller to know.
#[derive(Debug, Clone)]
pub struct Occupancy {
    layout: Arc<Layout>,
    space: Space,
    occupants: BTreeMap<InstanceId, Occupant>,
    /// By group, members on their way.
    in_flight: BTreeMap<u32, u32>,
    /// By domain, how often room appeared.
    appeared: Vec<u64>,
}

/// One instance in an [`Occupancy`].
#[derive(Debug, Clone)]
struct Occupant {
    amounts: Box<[i64]>,
    group: Option<u32>,
    on: u32,
    bound_for: Option<u32>,
}

impl Occupant {
    fn need(&self) -> Need<'_> {
        Need { amounts: &self.amounts, group: self.group, from: self.on, zone: None, traits: None }
    }
}

impl Occupancy {
    /// Each instance on the host that Nova names; no host is a target.
    pub fn of(region: &Region) -> Self {
        let census = Census::of(region);
        let layout = Arc::new(Layout::of(&census, &region.groups));
        let mut occupancy = Self {
            space: Space::empty(Arc::clone(&layout)),
            occupants: BTreeMap::new(),
            in_flight: BTreeMap::new(),
            appeared: vec![0; layout.domains().len()],
            layout,
        };
        for instance in &region.instances {
            if let Some(host) = &instance.host {
                // An instance on a host that the region does not list takes no room that anybody plans with.
                let _ = occupancy.place(instance.id, &instance.resources, instance.group.as_ref(), host);
            }
        }
        occupancy
    }

    /// From now on `host` takes instances: it is mitigated and in service.
    pub fn admit(&mut self, host: &HostName) -> Result<(), Refusal> {
        let number = self.host(host)?;
        if !self.space.is_target(number) {
            self.space.set_target(number, true);
            self.note_room(number);
        }
        Ok(())
    }

    /// From now on `host` takes none.
    pub fn retire(&mut self, host: &HostName) -> Result<(), Refusal> {
        let number = self.host(host)?;
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
        self.occupants.iter().filter(|(_, occupant)| occupant.on == number).map(|(id, _)| *id).collect()
    }

    /// The domain of `host` in words; `None` for a host that the region does not have.
    pub fn domain(&self, host: &HostName) -> Option<&str> {
        let number = self.layout.host(host)?;
        Some(&self.layout.domains()[self.layout.domain_of(number) as usize].label)
    }

    /// How often room appeared in the domain of `host`. While this stands still, what found no room finds none.
    pub fn room_appeared(&self, host: &HostName) -> u64 {
        self.layout.host(host).map_or(0, |number| self.appeared[self.layout.domain_of(number) as usize])
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
        self.remove(id);
        // A class that no host offers takes no room on any of them.
        let amounts = self.layout.amounts(resources).unwrap_or_else(|_| self.layout.known_amounts(resources));
        let group = group.and_then(|group| self.layout.group(group));
        let occupant = Occupant { amounts, group, on, bound_for: None };
        self.space.take(on, &occupant.need());
        self.occupants.insert(id, occupant);
        Ok(())
    }

    /// Forgets an instance: it was deleted or left the region. Its room appears.
    pub fn remove(&mut self, id: InstanceId) {
        self.release(id);
        if let Some(occupant) = self.occupants.remove(&id) {
            self.space.give(occupant.on, &occupant.need());
            self.note_room(occupant.on);
        }
    }

    /// Takes the room on `host` for a move that starts. Until [`Self::relocate`] or [`Self::release`] the instance
    /// takes room on both hosts, as Placement counts it. A former reservation is released.
    pub fn reserve(&mut self, id: InstanceId, host: &HostName) -> Result<(), Refusal> {
        let target = self.host(host)?;
        self.release(id);
        if let Some(occupant) = self.occupants.get_mut(&id) {
            occupant.bound_for = Some(target);
            let occupant = &*occupant;
            self.space.take(target, &occupant.need());
            if let Some(group) = occupant.group {
                *self.in_flight.entry(group).or_default() += 1;
            }
        }
        Ok(())
    }

    /// Gives back a reservation: the move failed or was called off.
    pub fn release(&mut self, id: InstanceId) {
        let Some(occupant) = self.occupants.get_mut(&id) else { return };
        let Some(target) = occupant.bound_for.take() else { return };
        let occupant = &*occupant;
        self.space.give(target, &occupant.need());
        if let Some(group) = occupant.group {
            self.in_flight.entry(group).and_modify(|count| *count -= 1);
        }
        self.note_room(target);
    }

    /// The instance is on `host`, by our move or by somebody else's.
    pub fn relocate(&mut self, id: InstanceId, host: &HostName) -> Result<(), Refusal> {
        let target = self.host(host)?;
        self.release(id);
        if let Some(occupant) = self.occupants.get_mut(&id) {
            let left = occupant.on;
            self.space.give(left, &occupant.need());
            occupant.on = target;
            self.space.take(target, &occupant.need());
            self.note_room(left);
        }
        Ok(())
    }

    fn host(&self, name: &HostName) -> Result<u32, Refusal> {
        self.layout.host(name).ok_or_else(|| Refusal::UnknownHost { host: name.clone() })
    }

    /// A group without members in flight may go on, and a host with room may take more: both are room that appeared.
    fn note_room(&mut self, host: u32) {
        if self.space.is_target(host) {
            self.appeared[self.layout.domain_of(host) as usize] += 1;
        }
    }

    fn group_in_flight(&self, asked: &Asked) -> Option<u32> {
        let group = asked.group?;
        (self.layout.is_hard_anti_affinity(group) && self.in_flight.get(&group).is_some_and(|count| *count > 0))
            .then_some(group)
    }
}

/// A [`Mover`] by number.
struct Asked {
    amounts: Box<[i64]>,
    group: Option<u32>,
    from: u32,
    zone: Option<u32>,
    traits: Option<Box<[bool]>>,
}

impl Asked {
    fn read(occupancy: &Occupancy, mover: &Mover) -> Result<Self, Refusal> {
        let layout = &occupancy.layout;
        let from = occupancy.host(&mover.from)?;
        let zone = match &mover.pinned_zone {
            Some(zone) => Some(layout.zone(zone).ok_or_else(|| Refusal::Zone { zone: zone.clone() })?),
            None => None,
        };
        let amounts = layout.amounts(&mover.resources).map_err(|class| Refusal::NoRoom {
            domain: layout.domain_label(from).to_owned(),
            missing: mover.resources.get(&class),
            class,
        })?;
        let group = mover.group.as_ref().and_then(|group| layout.group(group));
        Ok(Self { amounts, group, from, zone, traits: layout.trait_sets_with(&mover.traits) })
    }

    fn need(&self) -> Need<'_> {
        Need {
            amounts: &self.amounts,
            group: self.group,
            from: self.from,
            zone: self.zone,
            traits: self.traits.as_deref(),
        }
    }
}

/// Chooses where one instance goes as things stand: the preferred host if that admits it, otherwise the best fit of
/// its domain (hosts in use before empty ones, least room left over first).
pub fn choose_target(occupancy: &Occupancy, mover: &Mover, rules: &Rules<'_>) -> Result<Choice, Refusal> {
    let asked = Asked::read(occupancy, mover)?;
    if let Some(group) = occupancy.group_in_flight(&asked) {
        return Err(Refusal::GroupInFlight { group: occupancy.layout.group_rule(group).id.clone() });
    }
    let trial = Trial::over(&occupancy.space, rules.kept_empty());
    let instead = match &mover.preferred {
        Some(host) => match admits_named(occupancy, &trial, host, mover, &asked, rules) {
            Ok(()) => return Ok(Choice { host: host.clone(), instead: None }),
            Err(refusal) => Some(refusal),
        },
        None => None,
    };
    let host = best_fit(occupancy, &trial, mover, &asked, rules)?;
    Ok(Choice { host: occupancy.layout.host_name(host).clone(), instead })
}

/// Whether all of one host's instances have room at once, and where: all on their preferred hosts, else all on one
/// host, else each on its preferred host or, the biggest first, where it fits best.
///
/// Members of one group count against each other; that they cannot be in flight together is for
/// [`choose_target`] to see to.
pub fn fits_all(
    occupancy: &Occupancy,
    movers: &[Mover],
    rules: &Rules<'_>,
) -> Result<Vec<(InstanceId, HostName)>, Refusal> {
    let asked = movers.iter().map(|mover| Asked::read(occupancy, mover)).collect::<Result<Vec<_>, _>>()?;
    let named = |hosts: Vec<u32>| {
        let names = hosts.into_iter().map(|host| occupancy.layout.host_name(host).clone());
        movers.iter().map(|mover| mover.id).zip(names).collect()
    };
    if let Some(hosts) = all_preferred(occupancy, movers, &asked, rules) {
        return Ok(named(hosts));
    }
    if let Some(host) = one_for_all(occupancy, &asked, rules) {
        return Ok(named(vec![host; movers.len()]));
    }
    one_by_one(occupancy, movers, &asked, rules).map(named)
}

fn all_preferred(occupancy: &Occupancy, movers: &[Mover], asked: &[Asked], rules: &Rules<'_>) -> Option<Vec<u32>> {
    let mut trial = Trial::over(&occupancy.space, rules.kept_empty());
    let mut chosen = Vec::with_capacity(movers.len());
    for (mover, asked) in movers.iter().zip(asked) {
        let host = mover.preferred.as_ref()?;
        admits_named(occupancy, &trial, host, mover, asked, rules).ok()?;
        let number = occupancy.layout.host(host)?;
        trial.take(number, &asked.need());
        chosen.push(number);
    }
    Some(chosen)
}

/// The mirror: a single host that takes everything. Its layout carries over, and the transfer is one to one.
fn one_for_all(occupancy: &Occupancy, asked: &[Asked], rules: &Rules<'_>) -> Option<u32> {
    let first = asked.first()?;
    let domain = &occupancy.layout.domains()[occupancy.layout.domain_of(first.from) as usize];
    let mut best: Option<(i64, u32)> = None;
    for host in candidates(occupancy, domain.hosts.iter().copied(), rules) {
        let mut trial = Trial::over(&occupancy.space, rules.kept_empty());
        let all = asked.iter().all(|asked| {
            let admitted = trial.admits(host, &asked.need()).is_ok();
            if admitted {
                trial.take(host, &asked.need());
            }
            admitted
        });
        let room = occupancy.space.slot(host).free.get(domain.tight).copied().unwrap_or(0);
        if all && best.is_none_or(|known| (room, host) < known) {
            best = Some((room, host));
        }
    }
    best.map(|(_, host)| host)
}

fn one_by_one(
    occupancy: &Occupancy,
    movers: &[Mover],
    asked: &[Asked],
    rules: &Rules<'_>,
) -> Result<Vec<u32>, Refusal> {
    let mut trial = Trial::over(&occupancy.space, rules.kept_empty());
    let mut order: Vec<usize> = (0..movers.len()).collect();
    let tight = |index: usize| {
        let domain = occupancy.layout.domain_of(asked[index].from) as usize;
        asked[index].amounts.get(occupancy.layout.domains()[domain].tight).copied().unwrap_or(0)
    };
    order.sort_by_key(|index| (std::cmp::Reverse(tight(*index)), movers[*index].id));
    let mut chosen = vec![0; movers.len()];
    for index in order {
        let (mover, asked) = (&movers[index], &asked[index]);
        let preferred =
            mover.preferred.as_ref().filter(|host| admits_named(occupancy, &trial, host, mover, asked, rules).is_ok());
        let host = match preferred.and_then(|host| occupancy.layout.host(host)) {
            Some(host) => host,
            None => best_fit(occupancy, &trial, mover, asked, rules)?,
        };
        trial.take(host, &asked.need());
        chosen[index] = host;
    }
    Ok(chosen)
}

fn candidates<'a>(
    occupancy: &'a Occupancy,
    hosts: impl Iterator<Item = u32> + 'a,
    rules: &Rules<'a>,
) -> impl Iterator<Item = u32> + 'a {
    let avoid = rules.avoid;
    hosts.filter(move |host| {
        occupancy.space.is_target(*host) && (avoid.is_empty() || !avoid.contains(occupancy.layout.host_name(*host)))
    })
}

fn best_fit(
    occupancy: &Occupancy,
    trial: &Trial<'_>,
    mover: &Mover,
    asked: &Asked,
    rules: &Rules<'_>,
) -> Result<u32, Refusal> {
    let layout = &occupancy.layout;
    let need = asked.need();
    let domain = &layout.domains()[layout.domain_of(asked.from) as usize];
    trial.best_fit(candidates(occupancy, domain.hosts.iter().copied(), rules), &need).map_err(|barrier| {
        let would_do = |host: &&HostName| layout.host(host).is_some_and(|host| trial.admits(host, &need).is_ok());
        let avoided: Vec<HostName> = rules.avoid.iter().filter(would_do).cloned().collect();
        if avoided.is_empty() {
            let nowhere = || Refusal::NoTarget { domain: domain.label.clone() };
            refusal(layout, barrier, mover, rules, nowhere)
        } else {
            Refusal::Avoided { hosts: avoided }
        }
    })
}

fn admits_named(
    occupancy: &Occupancy,
    trial: &Trial<'_>,
    host: &HostName,
    mover: &Mover,
    asked: &Asked,
    rules: &Rules<'_>,
) -> Result<(), Refusal> {
    let number = occupancy.host(host)?;
    if rules.avoid.contains(host) {
        return Err(Refusal::Avoided { hosts: vec![host.clone()] });
    }
    let not_target = || Refusal::NotTarget { host: host.clone() };
    trial.admits(number, &asked.need()).map_err(|barrier| refusal(&occupancy.layout, barrier, mover, rules, not_target))
}

/// A barrier in the operator's words.
fn refusal(
    layout: &Layout,
    barrier: Barrier,
    mover: &Mover,
    rules: &Rules<'_>,
    not_target: impl Fn() -> Refusal,
) -> Refusal {
    match barrier {
        Barrier::NotTarget => not_target(),
        Barrier::Zone => mover.pinned_zone.clone().map_or_else(not_target, |zone| Refusal::Zone { zone }),
        Barrier::Traits => Refusal::Traits { traits: mover.traits.clone() },
        Barrier::Room { class, missing } => Refusal::NoRoom {
            domain: layout.host(&mover.from).map_or_else(String::new, |from| layout.domain_label(from).to_owned()),
            class: layout.classes()[class].clone(),
            missing: u64::try_from(missing).unwrap_or(0),
        },
        Barrier::Affinity(group) => Refusal::Affinity { group: layout.group_rule(group).id.clone() },
        Barrier::AntiAffinity(group) => Refusal::AntiAffinity { group: layout.group_rule(group).id.clone() },
        Barrier::Headroom => Refusal::Headroom { hosts: rules.headroom.per_zone.hosts },
    }
}

#[cfg(test)]
mod tests {
    use super::super::fixture::{Fixture, host, id};
    use super::*;
    use crate::model::{GroupPolicy, HeadroomZone};

    fn mover(region: &Region, number: u128) -> Mover {
        Mover::of(region.instances.iter().find(|instance| instance.id == id(number)).unwrap()).unwrap()
    }

    fn choose(occupancy: &Occupancy, mover: &Mover) -> Result<String, Refusal> {
        choose_target(occupancy, mover, &Rules::keeping(&Headroom::default())).map(|choice| choice.host.to_string())
    }

    fn admitting(region: &Region, hosts: &[&str]) -> Occupancy {
        let mut occupancy = Occupancy::of(region);
        for name in hosts {
            occupancy.admit(&host(name)).unwrap();
        }
        occupancy
    }

    #[test]
    fn nothing_is_a_target_until_it_is_admitted() {
        let region = Fixture::new().host("a", "z", 64).host("b", "z", 64).instance(1, "a", 8).0;
        let refusal = choose(&Occupancy::of(&region), &mover(&region, 1)).unwrap_err();
        assert_eq!(refusal.to_string(), "no host in zone z takes instances yet");
        assert_eq!(choose(&admitting(&region, &["b"]), &mover(&region, 1)).unwrap(), "b");
    }

    #[test]
    fn the_tightest_host_in_use_is_chosen_before_an_empty_one() {
        let region = Fixture::new()
            .host("a", "z", 64)
            .host("b", "z", 64)
            .host("c", "z", 64)
            .host("d", "z", 64)
            .instance(1, "a", 8)
            .instance(2, "b", 16)
            .instance(3, "c", 32)
            .0;
        assert_eq!(choose(&admitting(&region, &["b", "c", "d"]), &mover(&region, 1)).unwrap(), "c");
    }

    #[test]
    fn the_planned_host_is_a_preference_and_the_refusal_says_why_it_was_passed_over() {
        let region = Fixture::new().host("a", "z", 64).host("b", "z", 64).host("c", "z", 4).instance(1, "a", 8).0;
        let occupancy = admitting(&region, &["b", "c"]);
        let headroom = Headroom::default();
        let planned = mover(&region, 1).preferring(host("c"));
        let choice = choose_target(&occupancy, &planned, &Rules::keeping(&headroom)).unwrap();
        assert_eq!(choice.host, host("b"));
        assert_eq!(
            choice.instead.unwrap().to_string(),
            "no target in zone z has room: 4 of MEMORY_MB missing at the best of them"
        );
    }

    #[test]
    fn a_refusal_names_the_class_and_what_is_missing_at_the_nearest_miss() {
        let region = Fixture::new().host("a", "z", 64).host("b", "z", 10).host("c", "z", 12).instance(1, "a", 16).0;
        let refusal = choose(&admitting(&region, &["b", "c"]), &mover(&region, 1)).unwrap_err();
        assert_eq!(refusal, Refusal::NoRoom { domain: "zone z".to_owned(), class: "MEMORY_MB".to_owned(), missing: 4 });
    }

    #[test]
    fn instances_stay_in_their_zone_and_among_hosts_of_the_same_aggregates() {
        let region = Fixture::new()
            .host("a", "z", 64)
            .host("b", "y", 64)
            .host("c", "z", 64)
            .with_host(|host| host.aggregates = vec!["ssd".to_owned()])
            .instance(1, "a", 8)
            .0;
        assert!(matches!(choose(&admitting(&region, &["b", "c"]), &mover(&region, 1)), Err(Refusal::NoTarget { .. })));
    }

    #[test]
    fn an_aggregate_that_is_a_rack_or_a_zone_splits_nothing() {
        let rack = |name: &'static str| {
            move |host: &mut crate::model::Host| {
                host.rack = Some(name.to_owned());
                host.aggregates = vec![format!("rack-{name}"), "az".to_owned()];
            }
        };
        let region = Fixture::new()
            .host("a", "z", 64)
            .with_host(rack("r1"))
            .host("b", "z", 64)
            .with_host(rack("r2"))
            .instance(1, "a", 8)
            .0;
        assert_eq!(choose(&admitting(&region, &["b"]), &mover(&region, 1)).unwrap(), "b");
    }

    #[test]
    fn pinned_zones_and_required_traits_are_kept() {
        let region = Fixture::new()
            .host("a", "z", 64)
            .host("b", "z", 64)
            .instance(1, "a", 8)
            .with_instance(|instance| instance.pinned_zone = Some("y".into()))
            .instance(2, "a", 8)
            .with_instance(|instance| instance.traits = vec!["HW_CPU_X86_AVX2".to_owned()])
            .0;
        let occupancy = admitting(&region, &["b"]);
        assert_eq!(choose(&occupancy, &mover(&region, 1)), Err(Refusal::Zone { zone: "y".into() }));
        assert_eq!(
            choose(&occupancy, &mover(&region, 2)),
            Err(Refusal::Traits { traits: vec!["HW_CPU_X86_AVX2".to_owned()] })
        );
    }

    #[test]
    fn anti_affinity_counts_members_on_their_way_and_lets_one_move_at_a_time() {
        let region = Fixture::new()
            .host("a", "z", 64)
            .host("b", "z", 64)
            .host("c", "z", 64)
            .host("d", "z", 64)
            .instance(1, "a", 8)
            .instance(2, "b", 8)
            .group("g", GroupPolicy::AntiAffinity, &[1, 2])
            .0;
        let mut occupancy = admitting(&region, &["c"]);
        assert_eq!(choose(&occupancy, &mover(&region, 1)).unwrap(), "c");
        occupancy.reserve(id(1), &host("c")).unwrap();
        assert_eq!(choose(&occupancy, &mover(&region, 2)), Err(Refusal::GroupInFlight { group: "g".into() }));
        occupancy.relocate(id(1), &host("c")).unwrap();
        assert_eq!(choose(&occupancy, &mover(&region, 2)), Err(Refusal::AntiAffinity { group: "g".into() }));
        occupancy.admit(&host("d")).unwrap();
        assert_eq!(choose(&occupancy, &mover(&region, 2)).unwrap(), "d");
    }

    #[test]
    fn a_lone_member_of_an_affinity_group_moves_and_one_of_two_does_not() {
        let region = Fixture::new()
            .host("a", "z", 64)
            .host("b", "z", 64)
            .instance(1, "a", 8)
            .instance(2, "a", 8)
            .group("g", GroupPolicy::Affinity, &[1, 2])
            .0;
        let mut occupancy = admitting(&region, &["b"]);
        assert_eq!(choose(&occupancy, &mover(&region, 1)), Err(Refusal::Affinity { group: "g".into() }));
        occupancy.remove(id(2));
        assert_eq!(choose(&occupancy, &mover(&region, 1)).unwrap(), "b");
    }

    #[test]
    fn soft_policies_choose_but_do_not_refuse() {
        let region = Fixture::new()
            .host("a", "z", 64)
            .host("b", "z", 64)
            .host("c", "z", 64)
            .instance(1, "a", 8)
            .instance(2, "b", 8)
            .group("g", GroupPolicy::SoftAntiAffinity, &[1, 2])
            .0;
        assert_eq!(choose(&admitting(&region, &["b", "c"]), &mover(&region, 1)).unwrap(), "c");
        assert_eq!(choose(&admitting(&region, &["b"]), &mover(&region, 1)).unwrap(), "b");
    }

    #[test]
    fn a_reservation_takes_room_on_both_hosts_until_it_is_settled() {
        let region = Fixture::new().host("a", "z", 64).host("b", "z", 64).instance(1, "a", 40).0;
        let mut occupancy = admitting(&region, &["a", "b"]);
        let free = |occupancy: &Occupancy, name: &str| occupancy.room(&host(name)).unwrap().memory_mb();
        occupancy.reserve(id(1), &host("b")).unwrap();
        assert_eq!((free(&occupancy, "a"), free(&occupancy, "b")), (24, 24));
        assert_eq!(occupancy.bound_for(id(1)), Some(&host("b")));
        occupancy.release(id(1));
        assert_eq!((free(&occupancy, "a"), free(&occupancy, "b")), (24, 64));
        occupancy.reserve(id(1), &host("b")).unwrap();
        occupancy.relocate(id(1), &host("b")).unwrap();
        assert_eq!((free(&occupancy, "a"), free(&occupancy, "b")), (64, 24));
        assert_eq!(occupancy.instances_on(&host("b")), vec![id(1)]);
    }

    #[test]
    fn what_found_no_room_need_not_be_asked_again_until_room_appears() {
        let region = Fixture::new().host("a", "z", 64).host("b", "z", 64).host("c", "y", 64).instance(1, "b", 8).0;
        let mut occupancy = admitting(&region, &["b"]);
        let before = occupancy.room_appeared(&host("a"));
        occupancy.admit(&host("c")).unwrap();
        assert_eq!(occupancy.room_appeared(&host("a")), before);
        occupancy.remove(id(1));
        assert!(occupancy.room_appeared(&host("a")) > before);
    }

    #[test]
    fn a_whole_host_goes_onto_the_smallest_one_that_takes_all_of_it() {
        let region = Fixture::new()
            .host("a", "z", 64)
            .host("b", "z", 128)
            .host("c", "z", 64)
            .host("d", "z", 30)
            .instance(1, "a", 20)
            .instance(2, "a", 30)
            .0;
        let occupancy = admitting(&region, &["b", "c", "d"]);
        let movers = [mover(&region, 1), mover(&region, 2)];
        let placed = fits_all(&occupancy, &movers, &Rules::keeping(&Headroom::default())).unwrap();
        assert_eq!(placed, vec![(id(1), host("c")), (id(2), host("c"))]);
    }

    #[test]
    fn a_whole_host_is_spread_when_no_single_host_takes_it() {
        let region = Fixture::new()
            .host("a", "z", 64)
            .host("b", "z", 32)
            .host("c", "z", 20)
            .instance(1, "a", 20)
            .instance(2, "a", 30)
            .0;
        let movers = [mover(&region, 1), mover(&region, 2)];
        let headroom = Headroom::default();
        let placed = fits_all(&admitting(&region, &["b", "c"]), &movers, &Rules::keeping(&headroom)).unwrap();
        assert_eq!(placed, vec![(id(1), host("c")), (id(2), host("b"))]);
        assert!(matches!(
            fits_all(&admitting(&region, &["b"]), &movers, &Rules::keeping(&headroom)),
            Err(Refusal::NoRoom { missing: 18, .. })
        ));
    }

    #[test]
    fn planned_hosts_are_taken_for_the_whole_host_when_they_still_have_room() {
        let region = Fixture::new()
            .host("a", "z", 64)
            .host("b", "z", 64)
            .host("c", "z", 64)
            .instance(1, "a", 8)
            .instance(2, "a", 8)
            .0;
        let occupancy = admitting(&region, &["b", "c"]);
        let movers = [mover(&region, 1).preferring(host("c")), mover(&region, 2).preferring(host("b"))];
        let placed = fits_all(&occupancy, &movers, &Rules::keeping(&Headroom::default())).unwrap();
        assert_eq!(placed, vec![(id(1), host("c")), (id(2), host("b"))]);
    }

    #[test]
    fn empty_hosts_that_the_policy_keeps_are_not_filled() {
        let region = Fixture::new().host("a", "z", 64).host("b", "z", 64).host("c", "z", 64).instance(1, "a", 8).0;
        let headroom = Headroom { per_zone: HeadroomZone { hosts: 1 } };
        let rules = Rules::keeping(&headroom);
        let refusal = choose_target(&admitting(&region, &["b"]), &mover(&region, 1), &rules).unwrap_err();
        assert_eq!(refusal, Refusal::Headroom { hosts: 1 });
        assert!(choose_target(&admitting(&region, &["b", "c"]), &mover(&region, 1), &rules).is_ok());
    }

    #[test]
    fn hosts_to_avoid_are_named_when_only_they_would_do() {
        let region = Fixture::new().host("a", "z", 64).host("b", "z", 64).instance(1, "a", 8).0;
        let (avoid, headroom) = (BTreeSet::from([host("b")]), Headroom::default());
        let rules = Rules { avoid: &avoid, headroom: &headroom };
        let refusal = choose_target(&admitting(&region, &["b"]), &mover(&region, 1), &rules).unwrap_err();
        assert_eq!(refusal.to_string(), "only b would take it, to be avoided for the moment");
    }

    #[test]
    fn overcommitted_hosts_take_nothing_and_do_not_overflow() {
        let region = Fixture::new().host("a", "z", 64).host("b", "z", 8).instance(1, "a", 1).instance(2, "b", 20).0;
        let occupancy = admitting(&region, &["b"]);
        assert_eq!(occupancy.room(&host("b")).unwrap().memory_mb(), 0);
        assert!(matches!(choose(&occupancy, &mover(&region, 1)), Err(Refusal::NoRoom { missing: 13, .. })));
    }
}
