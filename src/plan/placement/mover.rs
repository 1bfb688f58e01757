//! What is asked for, and what restricts the answer.

use std::collections::{BTreeMap, BTreeSet};

use super::Refusal;
use crate::model::{Flavor, GroupId, Headroom, HostName, Instance, InstanceId, ProjectId, Resources, ZoneName};
use crate::plan::kinds::Demand;

/// An instance that has to leave its host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mover {
    /// Which.
    pub id: InstanceId,
    /// The host that it leaves; its domain is where it may go.
    pub from: HostName,
    /// Its project.
    pub project: ProjectId,
    /// What it has allocated.
    pub resources: Resources,
    /// Its server group.
    pub group: Option<GroupId>,
    /// The zone that it was asked to be in.
    pub pinned_zone: Option<ZoneName>,
    /// Traits that it requires.
    pub traits: Vec<String>,
    /// Its flavor, where known.
    pub flavor: Option<Box<Flavor>>,
    /// Properties of its image, where known.
    pub image: BTreeMap<String, String>,
    /// Where the rollout has it go: taken whenever that host admits it.
    pub preferred: Option<HostName>,
}

impl Mover {
    /// The instance as it stands; `None` when it is on no host.
    pub fn of(instance: &Instance) -> Option<Self> {
        Some(Self {
            id: instance.id,
            from: instance.host.clone()?,
            project: instance.project.clone(),
            resources: instance.resources.clone(),
            group: instance.group.clone(),
            pinned_zone: instance.pinned_zone.clone(),
            traits: instance.traits.clone(),
            flavor: instance.flavor.clone(),
            image: instance.image.clone(),
            preferred: None,
        })
    }

    /// What it asks of a host beyond room.
    pub(super) fn demand(&self) -> Demand<'_> {
        Demand { project: &self.project, traits: &self.traits, flavor: self.flavor.as_deref(), image: &self.image }
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
    /// Targets that take no further migration for the moment.
    pub busy: Busy<'a>,
    /// Room that moves may not use up.
    pub headroom: &'a Headroom,
}

/// Targets that enough migrations go to.
#[derive(Debug, Clone, Copy)]
pub struct Busy<'a> {
    /// By target, migrations under way to it.
    pub moves: &'a BTreeMap<HostName, usize>,
    /// How many are enough.
    pub most: usize,
}

impl Default for Busy<'_> {
    fn default() -> Self {
        Self { moves: &NO_MOVES, most: usize::MAX }
    }
}

impl Busy<'_> {
    /// Whether no further migration goes to `host`.
    pub fn is_full(&self, host: &HostName) -> bool {
        !self.moves.is_empty() && self.moves.get(host).is_some_and(|moves| *moves >= self.most)
    }
}

/// Hosts to avoid when there are none.
static NOTHING: BTreeSet<HostName> = BTreeSet::new();

/// Moves under way when there are none.
static NO_MOVES: BTreeMap<HostName, usize> = BTreeMap::new();

impl<'a> Rules<'a> {
    /// The policy's headroom, nothing to avoid.
    pub fn keeping(headroom: &'a Headroom) -> Self {
        Self { avoid: &NOTHING, busy: Busy::default(), headroom }
    }

    /// Whether a target is not to be used for the moment.
    pub(super) fn bars(&self, host: &HostName) -> bool {
        (!self.avoid.is_empty() && self.avoid.contains(host)) || self.busy.is_full(host)
    }

    /// Empty targets that each zone keeps.
    pub(super) fn kept_empty(&self) -> u32 {
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
