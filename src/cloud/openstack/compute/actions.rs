//! What was done to a server: its actions and their events.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use serde::Deserialize;

use super::BASE;
use super::paging::{self, Page, PageLink, Paged};
use crate::cloud::openstack::OpenStack;
use crate::cloud::openstack::failure::printable;
use crate::cloud::openstack::version::Microversion;
use crate::cloud::openstack::wire::{maybe_moment, maybe_text};
use crate::cloud::{CloudErrorKind, CloudResult, InstanceAction, InstanceActionEvent};
use crate::model::{InstanceId, RequestId};

/// 2.84: an event's details, which hold the reason of a failure. 2.62: its host. 2.58: the list has pages.
const ACTIONS: &[Microversion] = &[Microversion(2, 84), Microversion(2, 62), Microversion(2, 58), BASE];

/// Actions whose events are asked for at a time: Nova shows events only one action at a time.
const AT_ONCE: usize = 4;

#[derive(Deserialize)]
struct Actions {
    #[serde(rename = "instanceActions")]
    actions: Vec<WireAction>,
    #[serde(default)]
    links: Vec<PageLink>,
}

#[derive(Deserialize)]
struct OneAction {
    #[serde(rename = "instanceAction")]
    action: WireAction,
}

#[derive(Deserialize)]
struct WireAction {
    action: String,
    request_id: String,
    #[serde(default, deserialize_with = "maybe_moment")]
    start_time: Option<Timestamp>,
    #[serde(default, deserialize_with = "maybe_text")]
    message: Option<String>,
    #[serde(default, deserialize_with = "maybe_text")]
    user_id: Option<String>,
    #[serde(default)]
    events: Vec<WireEvent>,
}

#[derive(Deserialize)]
struct WireEvent {
    event: String,
    #[serde(default, deserialize_with = "maybe_moment")]
    start_time: Option<Timestamp>,
    #[serde(default)]
    result: Option<String>,
    #[serde(default, deserialize_with = "maybe_text")]
    details: Option<String>,
    /// For admins; its last line is the reason where there are no details.
    #[serde(default, deserialize_with = "maybe_text")]
    traceback: Option<String>,
    #[serde(default, deserialize_with = "maybe_text")]
    host: Option<String>,
}

impl Page for Actions {
    type Item = WireAction;

    fn marker(item: &WireAction) -> String {
        item.request_id.clone()
    }

    fn into_parts(self) -> (Vec<WireAction>, Vec<PageLink>) {
        (self.actions, self.links)
    }
}

/// A server's actions without their events, newest first.
pub(super) async fn list_only(cloud: &OpenStack, server: InstanceId) -> CloudResult<Vec<InstanceAction>> {
    let operation = format!("list the actions on instance {server}");
    let version = cloud.nova.version(&operation, ACTIONS)?;
    let id = server.to_string();
    let path = ["servers", id.as_str(), "os-instance-actions"];
    let list = Paged { operation: &operation, path: &path, query: &[], version };
    Ok(paging::collect::<Actions>(cloud, &list).await?.into_iter().map(action).collect())
}

/// One action with its events.
pub(super) async fn show(
    cloud: &OpenStack,
    server: InstanceId,
    request: &RequestId,
) -> CloudResult<Option<InstanceAction>> {
    let operation = format!("show action {request} on instance {server}");
    let version = cloud.nova.version(&operation, ACTIONS)?;
    let path = ["servers", &server.to_string(), "os-instance-actions", request.as_str()];
    let call = cloud.nova.get(operation.as_str(), &path, &[], version);
    match cloud.session.send(call).await {
        Err(error) if error.kind == CloudErrorKind::NotFound => Ok(None),
        answer => Ok(Some(action(answer?.json::<OneAction>()?.action))),
    }
}

/// A server's actions with their events, newest first.
pub(super) async fn list(cloud: &OpenStack, server: InstanceId) -> CloudResult<Vec<InstanceAction>> {
    let operation = format!("list the actions on instance {server}");
    let version = cloud.nova.version(&operation, ACTIONS)?;
    let id = server.to_string();
    let path = ["servers", id.as_str(), "os-instance-actions"];
    let list = Paged { operation: &operation, path: &path, query: &[], version };
    let actions = paging::collect::<Actions>(cloud, &list).await?;
    let shown = actions.iter().map(|action| {
        let path = [path[0], path[1], path[2], action.request_id.as_str()];
        cloud.nova.get(operation.as_str(), &path, &[], version)
    });
    stream::iter(shown.collect::<Vec<_>>())
        .map(|call| async { Ok(action(cloud.session.send(call).await?.json::<OneAction>()?.action)) })
        .buffered(AT_ONCE)
        .try_collect()
        .await
}

fn action(mut wire: WireAction) -> InstanceAction {
    wire.events.sort_by_key(|event| event.start_time);
    InstanceAction {
        action: wire.action,
        request: RequestId::new(wire.request_id),
        started_at: wire.start_time,
        message: wire.message,
        user: wire.user_id,
        events: wire.events.into_iter().map(event).collect(),
    }
}

fn event(wire: WireEvent) -> InstanceActionEvent {
    let last_line = || wire.traceback.as_deref().and_then(|text| text.trim_end().lines().last()).map(printable);
    InstanceActionEvent {
        details: wire.details.clone().or_else(last_line),
        event: wire.event,
        result: wire.result,
        host: wire.host,
        started_at: wire.start_time,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_details_the_tracebacks_last_line_is_the_reason() {
        let wire = r#"{"event": "conductor_live_migrate_instance", "result": "Error",
            "traceback": "  File \"x.py\", line 1\nnova.exception.NoValidHost: No valid host was found.\n"}"#;
        let event = event(serde_json::from_str(wire).unwrap());
        assert_eq!(event.details.as_deref(), Some("nova.exception.NoValidHost: No valid host was found."));
    }
}
