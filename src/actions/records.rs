//! Migration records: which one is ours, how far it is, and why it failed.

use super::{Progress, ProgressKind, StepContext, StepError};
use crate::cloud::{InstanceAction, InstanceActionEvent, Migration, MigrationKind, MigrationsQuery, Server};
use crate::model::{HostName, InstanceId, RequestId};

/// The actions that Nova writes for a live and a cold migration. Source: `nova/compute/instance_actions.py`.
const MIGRATIONS: [&str; 2] = ["live-migration", "migrate"];

/// Migration records of `instance`, newest first.
pub(super) async fn records_of(cx: &StepContext<'_>, instance: InstanceId) -> Result<Vec<Migration>, StepError> {
    let query = MigrationsQuery { instance: Some(instance), ..MigrationsQuery::default() };
    let records = cx.cloud.migrations(&query).await;
    records.map_err(|error| StepError::cloud(format!("could not read the migrations of instance {instance}"), error))
}

/// What was asked for: enough to know its record, of which a 202 says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Asked<'a> {
    /// Which instance.
    pub instance: InstanceId,
    /// Away from here.
    pub source: &'a HostName,
    /// The newest record before.
    pub after: u64,
    /// Whether it is a cold migration.
    pub cold: bool,
}

impl Asked<'_> {
    /// Its record among those of its instance: the newest of its kind away from its source.
    pub fn record<'r>(&self, records: &'r [Migration]) -> Option<&'r Migration> {
        let kind = if self.cold { MigrationKind::Cold } else { MigrationKind::Live };
        let candidates = records.iter().filter(|record| record.kind == kind && record.id > self.after);
        let from_here = |record: &&Migration| record.source.as_ref().is_none_or(|from| from == self.source);
        candidates.filter(from_here).max_by_key(|record| record.id)
    }
}

/// Tells how far `migration` is; a look that fails costs a figure and nothing else.
pub(super) async fn report_progress(cx: &StepContext<'_>, server: &Server, migration: u64) {
    if !cx.progress.is_heard() {
        return;
    }
    let listed = cx.cloud.migration_progress(server.id, migration).await.ok().flatten();
    let measured = listed.filter(|progress| progress.memory_total > 0).map(|progress| {
        let copied = progress.memory_total.saturating_sub(progress.memory_remaining);
        u8::try_from(copied.saturating_mul(100) / progress.memory_total).unwrap_or(100).min(100)
    });
    // It is not each migration's turn each time.
    let Some(percent) = measured.or(server.progress) else { return };
    cx.progress.report(Progress { step: cx.step.clone(), kind: ProgressKind::Migration { percent } });
}

/// The newest migration among the actions on `instance`; by request where that is known. Nova may refuse to show
/// actions: what they tell is lost then, and nothing else.
async fn action(cx: &StepContext<'_>, instance: InstanceId, request: Option<&RequestId>) -> Option<InstanceAction> {
    let actions = cx.cloud.instance_actions(instance).await.ok()?;
    actions.into_iter().find(|action| match request {
        Some(request) => action.request == *request,
        None => MIGRATIONS.contains(&action.action.as_str()),
    })
}

/// The request that asked for the newest migration of `instance`.
pub(super) async fn request_of(cx: &StepContext<'_>, instance: InstanceId) -> Option<RequestId> {
    action(cx, instance, None).await.map(|action| action.request)
}

/// Why a migration failed: the only place where Nova says so is the events of the instance's action (2.84).
pub(super) async fn failure_reason(cx: &StepContext<'_>, instance: InstanceId, request: Option<&RequestId>) -> String {
    let events = action(cx, instance, request).await.map(|action| action.events).unwrap_or_default();
    let said = what_failed(events);
    if said.is_empty() {
        // A failure during the copy leaves no trace in the API.
        return format!(
            "nova gives no reason; nova-compute's log on {} has it (a guest whose processor has flags that the target lacks is \
             refused so)",
            cx.source()
        );
    }
    said.join("; ")
}

/// What the events of the newest action of that kind on `instance` say of its failure.
pub(super) async fn event_details(
    cx: &StepContext<'_>,
    instance: InstanceId,
    request: Option<&RequestId>,
    kind: &str,
) -> String {
    let actions = cx.cloud.instance_actions(instance).await.unwrap_or_default();
    let ours = actions.into_iter().find(|action| match request {
        Some(request) => action.request == *request,
        None => action.action == kind,
    });
    let said = what_failed(ours.map(|action| action.events).unwrap_or_default());
    if said.is_empty() { "nova gives no reason".to_owned() } else { said.join("; ") }
}

fn what_failed(events: Vec<InstanceActionEvent>) -> Vec<String> {
    let failed = events.into_iter().filter(|event| event.result.as_deref() == Some("Error"));
    failed
        .filter_map(|event| {
            let place = event.host.map(|host| format!(" on {host}")).unwrap_or_default();
            event.details.map(|details| format!("{}{place}: {}", event.event, one_line(&details)))
        })
        .collect()
}

/// `text` on one line: details may carry a traceback.
fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
