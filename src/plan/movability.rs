//! What becomes of each instance when its host is emptied.

use std::collections::BTreeMap;

use super::rollout::StayReason;
use crate::model::{
    Group, GroupId, GroupPolicy, HostName, Instance, InstanceHandling, InstanceRules, InstanceStatus, Region,
};

/// What becomes of an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Movability {
    /// It leaves.
    Moves,
    /// It stays through the reboot.
    Stays {
        /// Why.
        reason: StayReason,
        /// What is done with it.
        handling: InstanceHandling,
    },
    /// Its host is not touched.
    Blocks {
        /// Why it can neither leave nor stay, in words.
        why: String,
    },
}

/// Placement classes of devices that a live migration does not carry along by itself.
const DEVICE_CLASSES: [&str; 4] = ["VGPU", "PGPU", "FPGA", "SRIOV_NET_VF"];

/// Prefix of the classes that Nova's PCI tracker reports. Source: `nova.compute.pci_placement_translator`.
const PCI_PREFIX: &str = "CUSTOM_PCI_";

/// Members of hard affinity groups that share a host; none by default.
#[derive(Debug, Clone, Default)]
pub struct Affinity(BTreeMap<(GroupId, HostName), usize>);

impl Affinity {
    /// Counts the members of each hard affinity group on each host.
    pub fn of(region: &Region) -> Self {
        Self::among(&region.instances, &region.groups)
    }

    /// The same for some instances: all of a host tell what holds there.
    pub fn among(instances: &[Instance], groups: &[Group]) -> Self {
        let mut counts = BTreeMap::new();
        let hard: std::collections::BTreeSet<&GroupId> =
            groups.iter().filter(|group| group.policy == GroupPolicy::Affinity).map(|group| &group.id).collect();
        if !hard.is_empty() {
            for instance in instances {
                if let (Some(group), Some(host)) = (&instance.group, &instance.host)
                    && hard.contains(group)
                {
                    *counts.entry((group.clone(), host.clone())).or_insert(0) += 1;
                }
            }
        }
        Self(counts)
    }

    /// Whether a mate of the instance is on its host: Nova then lets neither of them go first.
    pub fn is_held(&self, instance: &Instance) -> bool {
        !self.0.is_empty()
            && match (&instance.group, &instance.host) {
                (Some(group), Some(host)) => {
                    self.0.get(&(group.clone(), host.clone())).is_some_and(|members| *members > 1)
                }
                (None, _) | (_, None) => false,
            }
    }
}

/// What the policy makes of an instance as it stands. Planner and engine both ask this; the engine with fresh facts.
pub fn movability(instance: &Instance, affinity: &Affinity, rules: &InstanceRules) -> Movability {
    let status = &instance.status;
    if let Some(task) = &instance.task_state {
        return cannot_move(rules, status, &format!("task {task} is under way"));
    }
    match status {
        InstanceStatus::Active => running(instance, affinity, rules, InstanceHandling::LiveMigrate),
        InstanceStatus::Paused => running(instance, affinity, rules, rules.paused),
        InstanceStatus::Shutoff => at_rest(instance, affinity, rules, rules.stopped, StayReason::Stopped),
        InstanceStatus::Suspended => at_rest(instance, affinity, rules, rules.suspended, StayReason::Suspended),
        InstanceStatus::Build
        | InstanceStatus::Deleted
        | InstanceStatus::Error
        | InstanceStatus::HardReboot
        | InstanceStatus::Migrating
        | InstanceStatus::Password
        | InstanceStatus::Reboot
        | InstanceStatus::Rebuild
        | InstanceStatus::Rescue
        | InstanceStatus::Resize
        | InstanceStatus::RevertResize
        | InstanceStatus::Shelved
        | InstanceStatus::ShelvedOffloaded
        | InstanceStatus::SoftDeleted
        | InstanceStatus::Unknown
        | InstanceStatus::VerifyResize
        | InstanceStatus::Other(_) => cannot_move(rules, status, &format!("Nova does not migrate what is {status}")),
    }
}

/// An instance with memory to lose.
fn running(instance: &Instance, affinity: &Affinity, rules: &InstanceRules, handling: InstanceHandling) -> Movability {
    match handling {
        InstanceHandling::LiveMigrate | InstanceHandling::ColdMigrate => leaving(instance, affinity, rules),
        InstanceHandling::Leave => {
            Movability::Blocks { why: format!("it is {} and a reboot would end it", instance.status) }
        }
        InstanceHandling::SkipHost => {
            Movability::Blocks { why: format!("it is {} and the policy skips its host", instance.status) }
        }
    }
}

/// An instance that nothing runs of.
fn at_rest(
    instance: &Instance,
    affinity: &Affinity,
    rules: &InstanceRules,
    handling: InstanceHandling,
    reason: StayReason,
) -> Movability {
    match handling {
        InstanceHandling::Leave => Movability::Stays { reason, handling },
        InstanceHandling::ColdMigrate if reason == StayReason::Stopped => leaving(instance, affinity, rules),
        InstanceHandling::ColdMigrate | InstanceHandling::LiveMigrate => {
            Movability::Blocks { why: format!("Nova cannot {} what is {}", verb(handling), instance.status) }
        }
        InstanceHandling::SkipHost => {
            Movability::Blocks { why: format!("it is {} and the policy skips its host", instance.status) }
        }
    }
}

/// An instance that Nova would move: unless it is locked, held by its group, pinned elsewhere or bound to a device.
fn leaving(instance: &Instance, affinity: &Affinity, rules: &InstanceRules) -> Movability {
    if instance.locked {
        // Nova lets an admin migrate a locked instance, so respecting the lock is ours to do.
        return by_rule(rules.locked, StayReason::Locked, &instance.status, "it is locked");
    }
    if affinity.is_held(instance) {
        return cannot_move(rules, &instance.status, "its affinity group holds it beside a mate on this host");
    }
    let is_device = |class: &str| DEVICE_CLASSES.contains(&class) || class.starts_with(PCI_PREFIX);
    if let Some((class, _)) = instance.resources.iter().find(|(class, amount)| *amount > 0 && is_device(class)) {
        return cannot_move(rules, &instance.status, &format!("it holds a device ({class})"));
    }
    Movability::Moves
}

fn cannot_move(rules: &InstanceRules, status: &InstanceStatus, why: &str) -> Movability {
    by_rule(rules.cannot_move, StayReason::CannotMove, status, why)
}

/// What a rule for instances that do not leave makes of one.
fn by_rule(handling: InstanceHandling, reason: StayReason, status: &InstanceStatus, why: &str) -> Movability {
    match handling {
        InstanceHandling::Leave if nothing_runs(status) => Movability::Stays { reason, handling },
        InstanceHandling::LiveMigrate | InstanceHandling::ColdMigrate if reason == StayReason::Locked => {
            Movability::Moves
        }
        InstanceHandling::Leave => Movability::Blocks { why: format!("{why}, and a reboot would end it") },
        InstanceHandling::LiveMigrate | InstanceHandling::ColdMigrate => {
            Movability::Blocks { why: format!("{why}, so the policy's {} cannot be done", verb(handling)) }
        }
        InstanceHandling::SkipHost => Movability::Blocks { why: format!("{why} and the policy skips its host") },
    }
}

/// Whether a reboot of the host ends nothing.
fn nothing_runs(status: &InstanceStatus) -> bool {
    match status {
        InstanceStatus::Shutoff
        | InstanceStatus::Suspended
        | InstanceStatus::Shelved
        | InstanceStatus::ShelvedOffloaded
        | InstanceStatus::SoftDeleted
        | InstanceStatus::Deleted => true,
        InstanceStatus::Active
        | InstanceStatus::Paused
        | InstanceStatus::Build
        | InstanceStatus::Error
        | InstanceStatus::HardReboot
        | InstanceStatus::Migrating
        | InstanceStatus::Password
        | InstanceStatus::Reboot
        | InstanceStatus::Rebuild
        | InstanceStatus::Rescue
        | InstanceStatus::Resize
        | InstanceStatus::RevertResize
        | InstanceStatus::Unknown
        | InstanceStatus::VerifyResize
        | InstanceStatus::Other(_) => false,
    }
}

fn verb(handling: InstanceHandling) -> &'static str {
    match handling {
        InstanceHandling::Leave => "leave",
        InstanceHandling::LiveMigrate => "live-migrate",
        InstanceHandling::ColdMigrate => "cold-migrate",
        InstanceHandling::SkipHost => "skip-host",
    }
}
