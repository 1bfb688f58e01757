//! Whether and how an instance leaves a host, by its status, its lock and the policy. Pure.
//!
//! The planner decides the same for a whole region beforehand; this is asked again right before anything is done,
//! because owners go on using their instances meanwhile.

use crate::cloud::Server;
use crate::model::{InstanceHandling, InstanceRules, InstanceStatus};

/// What becomes of an instance on a host that is being emptied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fitness {
    /// It leaves by live migration.
    Leaves,
    /// It rests, and stays through the reboot.
    Stays,
    /// It is on no host.
    Gone,
    /// Something is done to it that ends by itself.
    InTransition(String),
    /// It keeps its host from being emptied until a person does something about it.
    Stuck(String),
}

/// Decides for `server` under `rules`.
pub(super) fn fitness(server: &Server, rules: &InstanceRules) -> Fitness {
    let status = &server.status;
    let task = server.task_state.as_deref();
    let (handling, named, rests) = match status {
        InstanceStatus::Active => (InstanceHandling::LiveMigrate, "running", false),
        InstanceStatus::Paused => (rules.paused, "paused", false),
        InstanceStatus::Suspended => (rules.suspended, "suspended", true),
        InstanceStatus::Shutoff | InstanceStatus::Shelved | InstanceStatus::SoftDeleted => {
            (rules.stopped, "stopped", true)
        }
        InstanceStatus::Deleted | InstanceStatus::ShelvedOffloaded => return Fitness::Gone,
        InstanceStatus::Build
        | InstanceStatus::HardReboot
        | InstanceStatus::Migrating
        | InstanceStatus::Password
        | InstanceStatus::Reboot
        | InstanceStatus::Rebuild
        | InstanceStatus::Resize
        | InstanceStatus::RevertResize => {
            let task = task.map(|task| format!(" ({task})")).unwrap_or_default();
            return Fitness::InTransition(format!("it is in {status}{task}"));
        }
        InstanceStatus::Error => {
            let fault = server.fault.as_deref().map(|fault| format!(": {fault}")).unwrap_or_default();
            return Fitness::Stuck(format!("it is in ERROR{fault}"));
        }
        InstanceStatus::VerifyResize => {
            return Fitness::Stuck("its resize waits to be confirmed or reverted".to_owned());
        }
        InstanceStatus::Rescue | InstanceStatus::Unknown | InstanceStatus::Other(_) => {
            return Fitness::Stuck(format!("nova does not migrate it while it is in {status}"));
        }
    };
    if let Some(task) = task {
        return Fitness::InTransition(format!("it is in task_state {task}"));
    }
    if rests && handling == InstanceHandling::Leave {
        return Fitness::Stays;
    }
    // A lock stops owners and no admin: to respect it is ours.
    let (handling, named) = if server.locked { (rules.locked, "locked") } else { (handling, named) };
    match handling {
        InstanceHandling::LiveMigrate if !rests => Fitness::Leaves,
        InstanceHandling::LiveMigrate => {
            Fitness::Stuck(format!("nova does not live-migrate it while it is in {status}"))
        }
        InstanceHandling::Leave => {
            Fitness::Stuck(format!("it is {named} and would be lost, though the policy leaves it"))
        }
        InstanceHandling::SkipHost => {
            let why = server.locked_reason.as_deref().map(|why| format!(" ({why})")).unwrap_or_default();
            Fitness::Stuck(format!("it is {named}{why}, for which the policy skips its host"))
        }
        InstanceHandling::ColdMigrate | InstanceHandling::StopInPlace => {
            Fitness::Stuck(format!("it is {named}, and moves are live migrations only"))
        }
    }
}
