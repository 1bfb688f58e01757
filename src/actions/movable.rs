//! Whether and how an instance leaves a host, as it stands. Pure.
//!
//! What the policy makes of it is the planner's own rule; here is added what only matters once work is under way: that
//! some things end by themselves and are waited for, and that what we stopped rests by our doing.

use jiff::Timestamp;

use super::StepContext;
use crate::cloud::Server;
use crate::model::{GroupId, Instance, InstanceHandling, InstanceRules, InstanceStatus, Resources};
use crate::plan::{Affinity, Movability, movability};

/// What becomes of an instance on a host that is being emptied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fitness {
    /// It leaves in this way.
    Leaves(InstanceHandling),
    /// It rests, and stays through the reboot.
    Stays,
    /// It runs, and stays once it is stopped.
    Parks,
    /// It is on no host.
    Gone,
    /// Something is done to it that ends by itself.
    InTransition(String),
    /// It keeps its host from being emptied until a person does something about it.
    Stuck(String),
}

/// The instance that `server` shows, with what it has allocated and its group, which Nova tells elsewhere.
pub(super) fn instance(server: &Server, resources: Option<&Resources>, group: Option<&GroupId>) -> Instance {
    Instance {
        id: server.id,
        name: server.name.clone(),
        project: server.project.clone(),
        host: server.host.clone(),
        status: server.status.clone(),
        task_state: server.task_state.clone(),
        power: (server.status == InstanceStatus::Error).then_some(server.power_state),
        locked: server.locked,
        resources: resources.unwrap_or(&server.resources).clone(),
        group: group.cloned(),
        pinned_zone: server.pinned_zone.clone(),
        traits: server.traits.clone(),
        flavor: server.flavor.clone().map(Box::new),
        image: server.image.clone(),
        metadata: server.metadata.clone(),
    }
}

/// What speaks of something that ends by itself.
fn transition(server: &Server) -> Option<String> {
    match server.status {
        InstanceStatus::Build
        | InstanceStatus::HardReboot
        | InstanceStatus::Migrating
        | InstanceStatus::Password
        | InstanceStatus::Reboot
        | InstanceStatus::Rebuild
        | InstanceStatus::Resize
        | InstanceStatus::RevertResize => {
            let task = server.task_state.as_deref().map(|task| format!(" ({task})")).unwrap_or_default();
            Some(format!("it is in {}{task}", server.status))
        }
        InstanceStatus::Active
        | InstanceStatus::Paused
        | InstanceStatus::Shelved
        | InstanceStatus::Shutoff
        | InstanceStatus::SoftDeleted
        | InstanceStatus::Suspended => server.task_state.as_deref().map(|task| format!("it is in task_state {task}")),
        InstanceStatus::Deleted
        | InstanceStatus::Error
        | InstanceStatus::Rescue
        | InstanceStatus::ShelvedOffloaded
        | InstanceStatus::Unknown
        | InstanceStatus::VerifyResize
        | InstanceStatus::Other(_) => None,
    }
}

/// The policy's rules for the instances of a host, with what the run has decided about those that did not get away.
pub(super) fn rules(cx: &StepContext<'_>) -> InstanceRules {
    let mut rules = cx.rollout.policy.instances.clone();
    rules.named.extend(cx.memory.given_up.iter().map(|(instance, handling)| (*instance, *handling)));
    rules
}

/// Decides for `instance`, which `server` shows, under `rules`.
pub(super) fn fitness(
    server: &Server,
    instance: &Instance,
    affinity: &Affinity,
    rules: &InstanceRules,
    now: Timestamp,
) -> Fitness {
    if matches!(server.status, InstanceStatus::Deleted | InstanceStatus::ShelvedOffloaded) {
        return Fitness::Gone;
    }
    if let Some(why) = transition(server) {
        return Fitness::InTransition(why);
    }
    match movability(instance, affinity, rules, now) {
        Movability::Leaves(handling) => Fitness::Leaves(handling),
        Movability::Stays { handling: InstanceHandling::StopInPlace, .. } => Fitness::Parks,
        Movability::Stays { .. } => Fitness::Stays,
        Movability::Blocks { why, .. } => {
            let resize = (server.status == InstanceStatus::VerifyResize)
                .then_some("its resize waits to be confirmed or reverted");
            let words = server.locked_reason.as_deref().or(server.fault.as_deref()).or(resize);
            Fitness::Stuck(words.map_or(why.clone(), |words| format!("{why}: {words}")))
        }
    }
}
