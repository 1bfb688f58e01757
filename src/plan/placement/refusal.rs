//! Why an instance cannot go somewhere, in the operator's words.

use std::fmt;

use super::{Mover, Rules};
use crate::model::{GroupId, HostName, ZoneName};
use crate::plan::kinds::Unfit;
use crate::plan::layout::Layout;
use crate::plan::space::Barrier;

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
    /// Too little room in the NUMA cells of each target.
    #[error("no target in {domain} has room in its NUMA cells")]
    Cells {
        /// The domain, in words.
        domain: String,
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
    /// No target suits it, whatever the room.
    #[error("no target suits it: {why}")]
    Unfit {
        /// What is wrong with the one that comes nearest.
        why: Unfit,
    },
    /// No mitigated host takes it, and no other host of its domain that is begun comes on.
    #[error("no mitigated host in {domain} takes it, and none will soon")]
    NoneSoon {
        /// The domain, in words.
        domain: String,
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

/// Why hosts of a kind do not suit it.
fn unfit(layout: &Layout, kind: usize, mover: &Mover) -> Option<Unfit> {
    layout.kinds().unfit(kind, &mover.demand(), layout.host(&mover.from)?)
}

/// A barrier in the operator's words.
pub(super) fn refusal(
    layout: &Layout,
    barrier: Barrier,
    mover: &Mover,
    rules: &Rules<'_>,
    not_target: impl Fn() -> Refusal,
) -> Refusal {
    match barrier {
        Barrier::NotTarget => not_target(),
        Barrier::Zone => mover.pinned_zone.clone().map_or_else(not_target, |zone| Refusal::Zone { zone }),
        Barrier::Kind(kind) => Refusal::Unfit { why: unfit(layout, kind, mover).unwrap_or(Unfit::Inventory) },
        Barrier::Room { class, missing } => Refusal::NoRoom {
            domain: layout.host(&mover.from).map_or_else(String::new, |from| layout.domain_label(from).to_owned()),
            class: layout.classes()[class].clone(),
            missing: u64::try_from(missing).unwrap_or(0),
        },
        Barrier::Cells => Refusal::Cells {
            domain: layout.host(&mover.from).map_or_else(String::new, |from| layout.domain_label(from).to_owned()),
        },
        Barrier::Affinity(group) => Refusal::Affinity { group: layout.group_rule(group).id.clone() },
        Barrier::AntiAffinity(group) => Refusal::AntiAffinity { group: layout.group_rule(group).id.clone() },
        Barrier::Headroom => Refusal::Headroom { hosts: rules.headroom.per_zone.hosts },
    }
}
