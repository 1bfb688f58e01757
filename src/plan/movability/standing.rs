//! How an instance stands: its status and task, as far as they decide whether it can leave.

use crate::model::{Instance, InstanceStatus, PowerState};

/// How an instance stands; each has one row in the matrix.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Standing {
    /// ACTIVE.
    Running,
    /// PAUSED.
    Paused,
    /// SHUTOFF.
    Off,
    /// SUSPENDED.
    Suspended,
    /// SHELVED, still on its host.
    Shelved,
    /// `SHELVED_OFFLOADED` or DELETED: on no host.
    Nowhere,
    /// `SOFT_DELETED`: off, and can be restored.
    SoftDeleted,
    /// RESCUE.
    Rescued,
    /// `VERIFY_RESIZE`.
    Resized,
    /// ERROR, with power.
    Broken,
    /// ERROR, without power.
    BrokenOff,
    /// A task is under way, or the status says so: BUILD, MIGRATING, RESIZE, REBUILD, a snapshot, a backup, a deletion.
    Changing,
    /// UNKNOWN, or a status that this version does not know.
    Unknown,
}

impl Standing {
    /// Each of them.
    pub const ALL: [Self; 13] = [
        Self::Running,
        Self::Paused,
        Self::Off,
        Self::Suspended,
        Self::Shelved,
        Self::Nowhere,
        Self::SoftDeleted,
        Self::Rescued,
        Self::Resized,
        Self::Broken,
        Self::BrokenOff,
        Self::Changing,
        Self::Unknown,
    ];

    /// How `instance` stands.
    pub fn of(instance: &Instance) -> Self {
        if instance.task_state.is_some() {
            return Self::Changing;
        }
        match instance.status {
            InstanceStatus::Active => Self::Running,
            InstanceStatus::Paused => Self::Paused,
            InstanceStatus::Shutoff => Self::Off,
            InstanceStatus::Suspended => Self::Suspended,
            InstanceStatus::Shelved => Self::Shelved,
            InstanceStatus::ShelvedOffloaded | InstanceStatus::Deleted => Self::Nowhere,
            InstanceStatus::SoftDeleted => Self::SoftDeleted,
            InstanceStatus::Rescue => Self::Rescued,
            InstanceStatus::VerifyResize => Self::Resized,
            InstanceStatus::Error => match instance.power {
                Some(PowerState::Shutdown | PowerState::Crashed) => Self::BrokenOff,
                Some(PowerState::NoState | PowerState::Running | PowerState::Paused | PowerState::Suspended) | None => {
                    Self::Broken
                }
            },
            InstanceStatus::Build
            | InstanceStatus::HardReboot
            | InstanceStatus::Migrating
            | InstanceStatus::Password
            | InstanceStatus::Reboot
            | InstanceStatus::Rebuild
            | InstanceStatus::Resize
            | InstanceStatus::RevertResize => Self::Changing,
            InstanceStatus::Unknown | InstanceStatus::Other(_) => Self::Unknown,
        }
    }
}
