//! What Nova remembers of instances: what was done to them, and who was live-migrated when.

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, stream};
use jiff::Timestamp;

use super::Progress;
use crate::cloud::{
    Cloud, CloudErrorKind, CloudResult, InstanceAction, Migration, MigrationKind, MigrationStatus, MigrationsQuery,
    ServersQuery,
};
use crate::ledger::{Effect, effect};
use crate::model::{HostName, InstanceHistory, InstanceId, InstanceStatus, PastAction, PastMove, Region};

/// Boots of one instance whose events are asked for: with so many that failed in a row, what the last good one was does
/// not matter any more.
const BOOTS_LOOKED_AT: usize = 4;

/// Asks Nova what was done to the instances of `region` that run, `parallel` at a time: two or three requests each. What
/// cannot be read of one is kept as such.
///
/// # Errors
/// When the cloud does not answer a list.
pub async fn remember(
    cloud: &dyn Cloud,
    region: &mut Region,
    parallel: usize,
    progress: &(dyn Fn(Progress) + Sync),
) -> CloudResult<()> {
    let (everybody, everything) = (ServersQuery::default(), MigrationsQuery::default());
    let (servers, migrations) = tokio::try_join!(cloud.servers(&everybody), cloud.migrations(&everything))?;
    let launched: BTreeMap<InstanceId, Timestamp> =
        servers.iter().filter_map(|server| Some((server.id, server.launched_at?))).collect();
    let mut moves = moves(&migrations);
    let asked: Vec<InstanceId> =
        region.instances.iter().filter(|instance| may_run(&instance.status)).map(|instance| instance.id).collect();
    let total = asked.len();
    let histories: Vec<_> = asked.iter().map(|id| async move { (*id, history(cloud, *id).await) }).collect();
    let mut histories = stream::iter(histories).buffered(parallel.max(1));
    let mut done = 0;
    region.histories.clear();
    while let Some((id, mut history)) = histories.next().await {
        history.launched_at = launched.get(&id).copied();
        history.moves = moves.remove(&id).unwrap_or_default();
        region.histories.insert(id, history);
        done += 1;
        progress(Progress::Histories(done, total));
    }
    Ok(())
}

/// Whether something of it may run, or waits in memory: of others nothing has to be known.
fn may_run(status: &InstanceStatus) -> bool {
    !matches!(
        status,
        InstanceStatus::Shutoff
            | InstanceStatus::Shelved
            | InstanceStatus::ShelvedOffloaded
            | InstanceStatus::SoftDeleted
            | InstanceStatus::Deleted
            | InstanceStatus::Build
    )
}

/// Live migrations that arrived, by instance, newest first as Nova lists them.
fn moves(migrations: &[Migration]) -> BTreeMap<InstanceId, Vec<PastMove>> {
    let mut moves: BTreeMap<InstanceId, Vec<PastMove>> = BTreeMap::new();
    let arrived = |one: &&Migration| one.kind == MigrationKind::Live && one.status == MigrationStatus::Completed;
    for migration in migrations.iter().filter(arrived) {
        if let (Some(from), Some(to), Some(at)) = (&migration.source, &migration.target, migration.created_at) {
            let moved = PastMove { from: from.clone(), to: to.clone(), at };
            moves.entry(migration.instance).or_default().push(moved);
        }
    }
    moves
}

async fn history(cloud: &dyn Cloud, id: InstanceId) -> InstanceHistory {
    match actions(cloud, id).await {
        Ok(actions) => InstanceHistory { actions, ..InstanceHistory::default() },
        Err(error) => {
            let unread =
                if error.kind == CloudErrorKind::NotFound { "it is gone".to_owned() } else { error.to_string() };
            InstanceHistory { unread: Some(unread), ..InstanceHistory::default() }
        }
    }
}

/// Its actions, with host and time of the last boot and of the last reboot behind it.
async fn actions(cloud: &dyn Cloud, id: InstanceId) -> CloudResult<Vec<PastAction>> {
    let mut actions: Vec<PastAction> = cloud.instance_action_list(id).await?.into_iter().map(past).collect();
    let (mut looked_at, mut rebooted) = (0, false);
    for action in actions.iter_mut().filter(|action| !action.failed) {
        let boots = match effect(&action.action) {
            Effect::Boots => true,
            Effect::MayBoot if !rebooted => false,
            Effect::MayBoot | Effect::Moves | Effect::Keeps | Effect::Unknown => continue,
        };
        if looked_at == BOOTS_LOOKED_AT {
            break;
        }
        looked_at += 1;
        if let Some(told) = cloud.instance_action(id, &action.request).await? {
            place(action, &told);
        }
        if boots && !action.failed {
            break;
        }
        rebooted |= !boots;
    }
    Ok(actions)
}

fn past(action: InstanceAction) -> PastAction {
    PastAction {
        failed: action.message.is_some(),
        action: action.action,
        request: action.request,
        at: action.started_at,
        host: None,
        user: action.user,
    }
}

/// Where and when a boot began: with the last thing that a host did for it.
fn place(action: &mut PastAction, told: &InstanceAction) {
    action.failed |= told.events.iter().any(|event| event.result.as_deref() == Some("Error"));
    let on_hosts = told.events.iter().filter(|event| event.event.starts_with("compute_") && event.host.is_some());
    if let Some(last) = on_hosts.max_by_key(|event| event.started_at) {
        action.host = last.host.as_deref().map(HostName::new);
        action.at = last.started_at.or(action.at);
    }
}
