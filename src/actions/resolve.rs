//! Resolve: what leaves the host and what stays, from fresh facts under the plan's policy.
//!
//! Owners create, stop and delete instances while a rollout lasts. The plan's moves are a preference; what is done is
//! decided here, each difference is told, and the engine repeats the step until nothing is left to leave.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;

use super::look::{allocations_on, instances_on, migrations_at};
use super::movable::{Fitness, fitness, instance};
use super::poll::{Wait, doing};
use super::{Action, Probe, StepContext, StepError};
use crate::cloud::{Accepted, Migration, MigrationStatus, Server, ServerGroup};
use crate::model::{Group, Instance, InstanceHandling, InstanceId, InstanceStatus, Resources, StepId};
use crate::plan::Affinity;
use crate::run::event::{FaultScope, Intent, LeavingInstance, ParkedInstance, StepOutput};
use crate::workflow::StepKind;

/// Decides what leaves and what stays.
pub(super) struct Resolve;

#[async_trait]
impl Action for Resolve {
    async fn probe(&self, cx: &StepContext<'_>) -> Result<Probe, StepError> {
        let found = look(cx).await?;
        if found.in_transition.is_empty() {
            return Ok(Probe::Done(resolved(cx, found)));
        }
        Ok(Probe::Needed(Intent::Await { what: found.waiting(), until: None }))
    }

    async fn apply(&self, _: &StepContext<'_>, _: &Intent) -> Result<Accepted, StepError> {
        Ok(Accepted::default())
    }

    async fn verify(&self, cx: &StepContext<'_>, _: &Intent, _: &Accepted) -> Result<StepOutput, StepError> {
        let mut wait = Wait::at_most(cx, cx.patience().transition.get());
        let mut last = String::new();
        loop {
            if let Some(found) = wait.through_outage(look(cx).await)? {
                if found.in_transition.is_empty() {
                    return Ok(resolved(cx, found));
                }
                last = found.in_transition.join("; ");
                doing(cx, found.waiting());
            }
            if !wait.again().await {
                let what = format!("instances on {} do not come to rest", cx.host.host);
                return Err(StepError::transient(FaultScope::Host, what).because(last));
            }
        }
    }
}

/// What one look found.
#[derive(Debug, Default)]
struct Found {
    leaving: Vec<(Instance, InstanceHandling)>,
    staying: Vec<Instance>,
    /// Run, and are to be stopped in place.
    parking: Vec<Instance>,
    /// Instances, in words, to which something is done that ends by itself.
    in_transition: Vec<String>,
}

impl Found {
    fn waiting(&self) -> String {
        format!("waits for instances in transition: {}", self.in_transition.join("; "))
    }
}

/// The instance as people find it; its name is any text of its owner's.
fn named(name: &str, id: InstanceId) -> String {
    format!("{} ({id})", name.escape_debug())
}

/// Looks at every instance and migration of the host; fails when one keeps the host from ever being empty.
async fn look(cx: &StepContext<'_>) -> Result<Found, StepError> {
    let mut servers = instances_on(cx).await?;
    servers.sort_by_key(|server| server.id);
    let migrations = migrations_at(cx).await?;
    let (held, groups) = if servers.is_empty() {
        (BTreeMap::new(), Vec::new())
    } else {
        (resources_on(cx).await?, groups(cx, &servers).await?)
    };
    let group_of = |id: InstanceId| groups.iter().find(|group| group.members.contains(&id)).map(|group| &group.group);
    let instances: Vec<Instance> = servers
        .iter()
        .map(|server| instance(server, held.get(&server.id), group_of(server.id).map(|group| &group.id)))
        .collect();
    let rules: Vec<Group> = groups.iter().map(|group| group.group.clone()).collect();
    let affinity = Affinity::among(&instances, &rules);
    let decisions = super::movable::rules(cx);
    let mut found = Found::default();
    let mut stuck = Vec::new();
    for (server, instance) in servers.iter().zip(instances) {
        let named = named(&instance.name, instance.id);
        if server.status == InstanceStatus::Shutoff && server.task_state.is_none() && cx.memory.has_parked(server.id) {
            // What the policy says of instances that their owners stopped is not meant for those that we stopped.
            found.staying.push(instance);
            continue;
        }
        match fitness(server, &instance, &affinity, &decisions, cx.clock.now()) {
            Fitness::Leaves(handling) => found.leaving.push((instance, handling)),
            Fitness::Stays => found.staying.push(instance),
            Fitness::Parks => found.parking.push(instance),
            Fitness::Gone => {}
            Fitness::InTransition(why) => found.in_transition.push(format!("{named}: {why}")),
            Fitness::Stuck(why) => stuck.push(format!("{named}: {why}")),
        }
    }
    for migration in &migrations {
        match standstill(cx, migration) {
            Some(why) => stuck.push(why),
            None => found.in_transition.push(format!("{}: migration {}", migration.instance, migration.id)),
        }
    }
    if stuck.is_empty() {
        return Ok(found);
    }
    let what = format!("{} cannot be emptied", cx.host.host);
    Err(StepError::needs_operator(FaultScope::Host, what).because(stuck.join("; ")))
}

/// Why a migration that is not final does not end by itself: a resize away from the host keeps room on it until its
/// owner confirms or reverts it.
fn standstill(cx: &StepContext<'_>, migration: &Migration) -> Option<String> {
    let waits = migration.status == MigrationStatus::Finished && migration.source.as_ref() == Some(&cx.host.host);
    waits.then(|| format!("{}: its resize away from here waits to be confirmed or reverted", migration.instance))
}

/// The output of the step.
fn resolved(cx: &StepContext<'_>, found: Found) -> StepOutput {
    let (differences, unplanned) = differences(cx, &found);
    let leaving = found.leaving.into_iter().map(|(instance, handling)| LeavingInstance {
        id: instance.id,
        name: instance.name,
        project: instance.project,
        from: None,
        status: instance.status,
        handling,
        resources: instance.resources,
        group: instance.group,
        pinned_zone: instance.pinned_zone,
        traits: instance.traits,
        flavor: instance.flavor,
        image: instance.image,
    });
    let parking = found.parking.iter().map(|instance| ParkedInstance {
        id: instance.id,
        name: instance.name.clone(),
        project: instance.project.clone(),
        group: instance.group.clone(),
        priority: cx.rollout.policy.instances.owners.priority_of(&instance.metadata),
    });
    StepOutput::Resolved {
        parking: parking.collect(),
        leaving: leaving.collect(),
        staying: found.staying.iter().map(|instance| instance.id).collect(),
        differences,
        unplanned,
    }
}

/// What each instance has allocated on the host: what a target must have, where a flavor may count otherwise.
async fn resources_on(cx: &StepContext<'_>) -> Result<BTreeMap<InstanceId, Resources>, StepError> {
    let held = allocations_on(cx, &cx.host.host).await?.into_iter();
    Ok(held.filter_map(|held| Some((held.consumer.parse().ok()?, held.resources))).collect())
}

/// The server groups of `servers` with their members: a list shows the group of an instance nowhere else.
async fn groups(cx: &StepContext<'_>, servers: &[Server]) -> Result<Vec<ServerGroup>, StepError> {
    let instances: Vec<InstanceId> = servers.iter().map(|server| server.id).collect();
    let groups = cx.cloud.groups_of(&instances).await;
    groups.map_err(|error| StepError::cloud("could not read the server groups", error).of_host())
}

/// What differs from the plan, in words, and the instances that it did not know.
fn differences(cx: &StepContext<'_>, found: &Found) -> (Vec<String>, Vec<InstanceId>) {
    let host = &cx.host.host;
    let moves: BTreeMap<InstanceId, &str> =
        cx.host.own_moves().map(|planned| (planned.instance, planned.name.as_str())).collect();
    let stays: BTreeMap<InstanceId, &str> = cx
        .rollout
        .stays
        .iter()
        .filter(|planned| planned.host == *host)
        .map(|planned| (planned.instance, planned.name.as_str()))
        .collect();
    let mut told = Vec::new();
    let mut unplanned = Vec::new();
    let leaving = found.leaving.iter().map(|(instance, _)| (instance, &moves, &stays, "leaves"));
    let staying = found.staying.iter().chain(&found.parking).map(|instance| (instance, &stays, &moves, "stays"));
    for (instance, same, other, does) in leaving.chain(staying) {
        let named = named(&instance.name, instance.id);
        if other.contains_key(&instance.id) {
            told.push(format!("{named} is {}: it {does}, against the plan", instance.status));
        } else if !same.contains_key(&instance.id) {
            told.push(format!("{named} was not in the plan: it {does}"));
            unplanned.push(instance.id);
        }
    }
    // Later rounds find planned instances gone because they were moved, or told so before.
    if *cx.step == StepId::of(host, StepKind::Resolve.name()) {
        let leaving = found.leaving.iter().map(|(instance, _)| instance.id);
        let staying = found.staying.iter().chain(&found.parking).map(|instance| instance.id);
        let here: BTreeSet<InstanceId> = leaving.chain(staying).collect();
        let planned = moves.iter().chain(&stays);
        let gone = planned.filter(|(id, _)| !here.contains(id) && !cx.memory.left.contains(id));
        told.extend(gone.map(|(id, name)| format!("{} is gone", named(name, *id))));
    }
    (told, unplanned)
}
