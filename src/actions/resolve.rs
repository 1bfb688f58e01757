//! Resolve: what leaves the host and what stays, from fresh facts under the plan's policy.
//!
//! Owners create, stop and delete instances while a rollout lasts. The plan's moves are a preference; what is done is
//! decided here, each difference is told, and the engine repeats the step until nothing is left to leave.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;

use super::look::{allocations_on, instances_on, migrations_at};
use super::movable::{Fitness, fitness};
use super::poll::{Wait, doing};
use super::{Action, Probe, StepContext, StepError};
use crate::cloud::{Accepted, Migration, MigrationStatus, Server};
use crate::model::{GroupId, InstanceHandling, InstanceId, Resources, StepId};
use crate::run::event::{FaultScope, Intent, LeavingInstance, StepOutput};
use crate::workflow::StepKind;

/// Decides what leaves and what stays.
pub(super) struct Resolve;

#[async_trait]
impl Action for Resolve {
    async fn probe(&self, cx: &StepContext<'_>) -> Result<Probe, StepError> {
        let found = look(cx).await?;
        if found.in_transition.is_empty() {
            return Ok(Probe::Done(resolved(cx, found).await?));
        }
        Ok(Probe::Needed(Intent::Await { what: found.waiting(), until: None }))
    }

    async fn apply(&self, _: &StepContext<'_>, _: &Intent) -> Result<Accepted, StepError> {
        Ok(Accepted::default())
    }

    async fn verify(&self, cx: &StepContext<'_>, _: &Intent, _: &Accepted) -> Result<StepOutput, StepError> {
        let mut wait = Wait::at_most(cx, cx.patience.transition);
        let mut last = String::new();
        loop {
            if let Some(found) = wait.through_outage(look(cx).await)? {
                if found.in_transition.is_empty() {
                    return resolved(cx, found).await;
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
    leaving: Vec<Server>,
    staying: Vec<Server>,
    /// Instances, in words, to which something is done that ends by itself.
    in_transition: Vec<String>,
}

impl Found {
    fn waiting(&self) -> String {
        format!("waits for instances in transition: {}", self.in_transition.join("; "))
    }
}

/// Looks at every instance and migration of the host; fails when one keeps the host from ever being empty.
async fn look(cx: &StepContext<'_>) -> Result<Found, StepError> {
    let mut servers = instances_on(cx).await?;
    servers.sort_by_key(|server| server.id);
    let migrations = migrations_at(cx).await?;
    let mut found = Found::default();
    let mut stuck = Vec::new();
    for server in servers {
        let named = format!("{} ({})", server.name.escape_debug(), server.id);
        match fitness(&server, &cx.rollout.policy.instances) {
            Fitness::Leaves => found.leaving.push(server),
            Fitness::Stays => found.staying.push(server),
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
async fn resolved(cx: &StepContext<'_>, found: Found) -> Result<StepOutput, StepError> {
    let held = if found.leaving.is_empty() { BTreeMap::new() } else { resources_on(cx).await? };
    let groups = if found.leaving.is_empty() { BTreeMap::new() } else { groups(cx).await? };
    let (differences, unplanned) = differences(cx, &found);
    let leaving = found.leaving.into_iter().map(|server| LeavingInstance {
        resources: held.get(&server.id).unwrap_or(&server.resources).clone(),
        group: groups.get(&server.id).cloned(),
        id: server.id,
        name: server.name,
        project: server.project,
        status: server.status,
        handling: InstanceHandling::LiveMigrate,
        pinned_zone: server.pinned_zone,
        traits: server.traits,
    });
    Ok(StepOutput::Resolved {
        leaving: leaving.collect(),
        staying: found.staying.iter().map(|server| server.id).collect(),
        differences,
        unplanned,
    })
}

/// What each instance has allocated on the host: what a target must have, where a flavor may count otherwise.
async fn resources_on(cx: &StepContext<'_>) -> Result<BTreeMap<InstanceId, Resources>, StepError> {
    let held = allocations_on(cx).await?.into_iter();
    Ok(held.filter_map(|held| Some((held.consumer.parse().ok()?, held.resources))).collect())
}

/// The server group of each instance that has one; Nova shows it nowhere else.
async fn groups(cx: &StepContext<'_>) -> Result<BTreeMap<InstanceId, GroupId>, StepError> {
    let groups = cx.cloud.server_groups().await;
    let groups = groups.map_err(|error| StepError::cloud("could not read the server groups", error).of_host())?;
    let members = groups.into_iter().flat_map(|group| {
        let id = group.group.id;
        group.members.into_iter().map(move |member| (member, id.clone()))
    });
    Ok(members.collect())
}

/// What differs from the plan, in words, and the instances that it did not know.
fn differences(cx: &StepContext<'_>, found: &Found) -> (Vec<String>, Vec<InstanceId>) {
    let host = &cx.host.host;
    let moves: BTreeMap<InstanceId, &str> =
        cx.host.moves.iter().map(|planned| (planned.instance, planned.name.as_str())).collect();
    let stays: BTreeMap<InstanceId, &str> = cx
        .rollout
        .stays
        .iter()
        .filter(|planned| planned.host == *host)
        .map(|planned| (planned.instance, planned.name.as_str()))
        .collect();
    let mut told = Vec::new();
    let mut unplanned = Vec::new();
    let leaving = found.leaving.iter().map(|server| (server, &moves, &stays, "leaves"));
    let staying = found.staying.iter().map(|server| (server, &stays, &moves, "stays"));
    for (server, same, other, does) in leaving.chain(staying) {
        let named = format!("{} ({})", server.name.escape_debug(), server.id);
        if other.contains_key(&server.id) {
            told.push(format!("{named} is {}: it {does}, against the plan", server.status));
        } else if !same.contains_key(&server.id) {
            told.push(format!("{named} was not in the plan: it {does}"));
            unplanned.push(server.id);
        }
    }
    // Later rounds find planned instances gone because they were moved, or told so before.
    if *cx.step == StepId::of(host, StepKind::Resolve.name()) {
        let here: BTreeSet<InstanceId> = found.leaving.iter().chain(&found.staying).map(|server| server.id).collect();
        let planned = moves.iter().chain(&stays);
        let gone = planned.filter(|(id, _)| !here.contains(id) && !cx.memory.left.contains(id));
        told.extend(gone.map(|(id, name)| format!("{} ({id}) is gone", name.escape_debug())));
    }
    (told, unplanned)
}
