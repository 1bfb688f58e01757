//! Migration records: which one is ours, how far it is, and why it failed.

use super::{Progress, ProgressKind, StepContext, StepError};
use crate::cloud::{InstanceAction, Migration, MigrationKind, MigrationsQuery, Server};
use crate::model::{HostName, InstanceId, RequestId};

/// The action that Nova writes for a live migration. Source: `nova/compute/instance_actions.py`.
const LIVE_MIGRATION: &str = "live-migration";

/// Migration records of `instance`, newest first.
pub(super) async fn records_of(cx: &StepContext<'_>, instance: InstanceId) -> Result<Vec<Migration>, StepError> {
    let query = MigrationsQuery { instance: Some(instance), ..MigrationsQuery::default() };
    let records = cx.cloud.migrations(&query).await;
    records.map_err(|error| StepError::cloud(format!("could not read the migrations of instance {instance}"), error))
}

/// The newest live migration away from `source` that is newer than `after`: a 202 names none, and records are matched
/// by instance, source and age.
pub(super) fn ours<'a>(records: &'a [Migration], source: &HostName, after: u64) -> Option<&'a Migration> {
    let from_here = |record: &Migration| record.source.as_ref().is_none_or(|from| from == source);
    let candidates = records.iter().filter(|record| record.kind == MigrationKind::Live && record.id > after);
    candidates.filter(|record| from_here(record)).max_by_key(|record| record.id)
}

/// Tells how far `migration` is; a look that fails costs a figure and nothing else.
pub(super) async fn report_progress(cx: &StepContext<'_>, server: &Server, migration: u64) {
    let listed = cx.cloud.migration_progress(server.id, migration).await.ok().flatten();
    let measured = listed.filter(|progress| progress.memory_total > 0).map(|progress| {
        let copied = progress.memory_total.saturating_sub(progress.memory_remaining);
        u8::try_from(copied.saturating_mul(100) / progress.memory_total).unwrap_or(100).min(100)
    });
    let percent = measured.or(server.progress).unwrap_or(0);
    cx.progress.report(Progress { step: cx.step.clone(), kind: ProgressKind::Migration { percent } });
}

/// The newest live migration among the actions on `instance`; by request where that is known. Nova may refuse to show
/// actions: what they tell is lost then, and nothing else.
async fn action(cx: &StepContext<'_>, instance: InstanceId, request: Option<&RequestId>) -> Option<InstanceAction> {
    let actions = cx.cloud.instance_actions(instance).await.ok()?;
    actions.into_iter().find(|action| match request {
        Some(request) => action.request == *request,
        None => action.action == LIVE_MIGRATION,
    })
}

/// The request that asked for the newest live migration of `instance`.
pub(super) async fn request_of(cx: &StepContext<'_>, instance: InstanceId) -> Option<RequestId> {
    action(cx, instance, None).await.map(|action| action.request)
}

/// Why a live migration failed: the only place where Nova says so is the events of the instance's action (2.84).
pub(super) async fn failure_reason(cx: &StepContext<'_>, instance: InstanceId, request: Option<&RequestId>) -> String {
    let events = action(cx, instance, request).await.map(|action| action.events).unwrap_or_default();
    let failed = events.into_iter().filter(|event| event.result.as_deref() == Some("Error"));
    let said: Vec<String> = failed
        .filter_map(|event| {
            let place = event.host.map(|host| format!(" on {host}")).unwrap_or_default();
            event.details.map(|details| format!("{}{place}: {}", event.event, one_line(&details)))
        })
        .collect();
    if said.is_empty() {
        // A failure during the copy leaves no trace in the API.
        return format!("nova gives no reason; nova-compute's log on {} has it", cx.host.host);
    }
    said.join("; ")
}

/// `text` on one line: details may carry a traceback.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
