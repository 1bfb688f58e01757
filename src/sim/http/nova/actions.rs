//! Instance actions.

use serde_json::{Value, json};

use crate::model::InstanceId;
use crate::sim::http::answer::{Answer, Answered, Ask, stamp};
use crate::sim::world::{Activity, ActivityEvent, Refusal, World};

fn action(ask: &Ask, id: InstanceId, activity: &Activity) -> Value {
    let mut shown = json!({
        "action": activity.action,
        "instance_uuid": id,
        "request_id": activity.request,
        "user_id": activity.user,
        "project_id": activity.project,
        "start_time": stamp(activity.started, ""),
        "message": activity.message,
    });
    if ask.version >= (2, 58) {
        shown["updated_at"] = json!(stamp(activity.updated, ""));
    }
    shown
}

fn event(ask: &Ask, event: &ActivityEvent) -> Value {
    let details = event.details.as_deref();
    let mut shown = json!({
        "event": event.event,
        "start_time": stamp(event.started, ""),
        "finish_time": stamp(event.finished, ""),
        "result": if event.success { "Success" } else { "Error" },
        "traceback": details.map(|details| format!("Traceback (most recent call last):\n{details}\n")),
    });
    if ask.version >= (2, 62) {
        shown["host"] = json!(event.host.as_ref().map_or("controller", |host| host.as_str()));
        shown["hostId"] = json!("");
    }
    if ask.version >= (2, 84) {
        shown["details"] = json!(details);
    }
    shown
}

pub(super) fn list(world: &mut World, ask: &Ask) -> Answered {
    let id = ask.instance()?;
    let server = world.server(id)?;
    let newest_first = server.activities.iter().rev();
    let (shown, next) = super::one_page(ask, &format!("servers/{id}/os-instance-actions"), newest_first, |activity| {
        activity.request.to_string()
    })?;
    let mut body = json!({"instanceActions": shown.into_iter().map(|one| action(ask, id, one)).collect::<Vec<_>>()});
    if let Some(next) = next {
        body["links"] = next;
    }
    Ok(Answer::ok(body))
}

pub(super) fn show(world: &mut World, ask: &Ask) -> Answered {
    let id = ask.instance()?;
    let request = ask.path.get(3).map_or("", String::as_str);
    let server = world.server(id)?;
    let activity = server.activities.iter().find(|activity| activity.request.as_str() == request);
    let activity = activity
        .ok_or_else(|| Refusal::not_found(format!("Action for request_id {request} on instance {id} not found")))?;
    let mut shown = action(ask, id, activity);
    shown["events"] = activity.events.iter().rev().map(|one| event(ask, one)).collect();
    Ok(Answer::ok(json!({"instanceAction": shown})))
}
