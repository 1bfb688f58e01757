//! Servers: their states as Nova keeps them, and the status that its API derives.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::activity::Activity;
use crate::model::{GroupId, HostName, InstanceId, InstanceStatus, ProjectId, Resources, ZoneName};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal),* $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl $name {
            /// Nova's own word.
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }
        }
    };
}
pub(super) use words;

words! {
    /// `vm_state`. Source: `nova/compute/vm_states.py`.
    VmState {
        /// Runs.
        Active = "active",
        /// Being created.
        Building = "building",
        /// Paused in memory.
        Paused = "paused",
        /// Suspended to disk.
        Suspended = "suspended",
        /// Powered off.
        Stopped = "stopped",
        /// Booted from a rescue image.
        Rescued = "rescued",
        /// A resize or cold migration waits to be confirmed.
        Resized = "resized",
        /// Gone.
        Deleted = "deleted",
        /// Needs an operator.
        Error = "error",
        /// On no host.
        ShelvedOffloaded = "shelved_offloaded",
    }
}

words! {
    /// `task_state`. Source: `nova/compute/task_states.py`.
    Task {
        /// Being created on its host.
        Spawning = "spawning",
        /// In a live migration.
        Migrating = "migrating",
        /// Being stopped.
        PoweringOff = "powering-off",
        /// Being started.
        PoweringOn = "powering-on",
        /// Being hard-rebooted.
        RebootingHard = "rebooting_hard",
        /// A cold migration is being prepared.
        ResizePrep = "resize_prep",
        /// A cold migration copies.
        ResizeMigrating = "resize_migrating",
        /// A cold migration arrives.
        ResizeFinish = "resize_finish",
        /// Being deleted.
        Deleting = "deleting",
    }
}

/// `power_state` with Nova's numbers. Source: `nova/compute/power_state.py`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Power {
    /// Nothing is known.
    NoState = 0,
    /// Runs.
    Running = 1,
    /// Paused.
    Paused = 3,
    /// Off.
    Shutdown = 4,
    /// Suspended to disk.
    Suspended = 7,
}

/// A server as the simulated Nova keeps it.
#[derive(Debug, Clone)]
pub struct SimServer {
    /// Id.
    pub id: InstanceId,
    /// Counts from 1; the domain's name derives from it.
    pub number: u32,
    /// Name.
    pub name: String,
    /// Project.
    pub project: ProjectId,
    /// The host that Nova names.
    pub host: Option<HostName>,
    /// `vm_state`.
    pub vm_state: VmState,
    /// `task_state`.
    pub task: Option<Task>,
    /// `power_state`.
    pub power: Power,
    /// Locked.
    pub locked: bool,
    /// Zone that it was asked to be in.
    pub pinned_zone: Option<ZoneName>,
    /// What its flavor asks for.
    pub resources: Resources,
    /// Its server group.
    pub group: Option<GroupId>,
    /// Required traits of its flavor.
    pub traits: Vec<String>,
    /// Metadata.
    pub metadata: BTreeMap<String, String>,
    /// Its fault's message.
    pub fault: Option<String>,
    /// `created`.
    pub created: Timestamp,
    /// `OS-SRV-USG:launched_at`.
    pub launched: Option<Timestamp>,
    /// `updated`.
    pub updated: Timestamp,
    /// What was done to it, oldest first.
    pub activities: Vec<Activity>,
    /// How many live migrations it was put through; keys the dice.
    pub(super) migrations: u64,
    /// Whether the guest that runs began with a processor that has `md-clear`. Live migrations leave it as it is.
    pub has_md_clear: bool,
    /// Whether it was running before a cold migration.
    pub(super) ran_before: bool,
}

impl SimServer {
    /// `status`. Source: `_STATE_MAP` of `nova/api/openstack/common.py`.
    pub fn status(&self) -> InstanceStatus {
        use InstanceStatus as Status;
        let resizing = |task| matches!(task, Task::ResizePrep | Task::ResizeMigrating | Task::ResizeFinish);
        match (self.vm_state, self.task) {
            (VmState::Active | VmState::Paused, Some(Task::Migrating)) => Status::Migrating,
            (VmState::Active, Some(Task::RebootingHard)) => Status::HardReboot,
            (VmState::Active | VmState::Stopped, Some(task)) if resizing(task) => Status::Resize,
            (VmState::Active, _) => Status::Active,
            (VmState::Building, _) => Status::Build,
            (VmState::Paused, _) => Status::Paused,
            (VmState::Suspended, _) => Status::Suspended,
            (VmState::Stopped, _) => Status::Shutoff,
            (VmState::Rescued, _) => Status::Rescue,
            (VmState::Resized, _) => Status::VerifyResize,
            (VmState::Deleted, _) => Status::Deleted,
            (VmState::Error, _) => Status::Error,
            (VmState::ShelvedOffloaded, _) => Status::ShelvedOffloaded,
        }
    }

    /// The name of its libvirt domain.
    pub fn domain_name(&self) -> String {
        format!("instance-{:08x}", self.number)
    }

    /// Whether it has been deleted; shown only to lists of changes.
    pub fn is_deleted(&self) -> bool {
        self.vm_state == VmState::Deleted
    }

    /// The power state that its domain has while nothing is wrong.
    pub(super) fn expected_power(&self) -> Power {
        match self.vm_state {
            VmState::Active | VmState::Rescued | VmState::Resized => Power::Running,
            VmState::Paused => Power::Paused,
            VmState::Suspended | VmState::Stopped => Power::Shutdown,
            VmState::Building | VmState::Deleted | VmState::Error | VmState::ShelvedOffloaded => Power::NoState,
        }
    }
}
