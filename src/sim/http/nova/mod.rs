//! Nova 2.1 over HTTP, microversions 2.53 to 2.96.

mod actions;
mod lists;
mod migrations;
mod servers;

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::access::Role;
use super::answer::{Answer, Answered, Ask};
use super::placement::Route;
use crate::model::HostName;
use crate::sim::world::{Refusal, RefusalKind, World};

/// The oldest microversion: services have UUIDs from here on.
pub(super) const OLDEST: (u16, u16) = (2, 53);

/// The newest microversion.
pub(super) const NEWEST: (u16, u16) = (2, 96);

/// Nova's `max_limit`: the items of one page of a list.
const PAGE: usize = 1000;

/// Finds the way to an answer.
pub(super) fn route(ask: &Ask) -> Option<Route> {
    let path: Vec<&str> = ask.path.iter().map(String::as_str).collect();
    let (operation, run): (_, fn(&mut World, &Ask) -> Answered) = match (ask.method.as_str(), &path[..]) {
        ("GET", ["os-services"]) => ("services", lists::services),
        ("PUT", ["os-services", _]) if ask.body["status"] == "enabled" => ("enable_service", lists::update_service),
        ("PUT", ["os-services", _]) => ("disable_service", lists::update_service),
        ("GET", ["os-hypervisors", "detail"]) => ("hypervisors", lists::hypervisors),
        ("GET", ["os-aggregates"]) => ("aggregates", lists::aggregates),
        ("GET", ["os-server-groups"]) => ("server_groups", lists::groups),
        ("GET", ["servers", "detail"]) => ("servers", servers::list),
        ("POST", ["servers"]) => ("create", servers::create),
        ("GET", ["servers", _]) => ("server", servers::show),
        ("DELETE", ["servers", _]) => ("delete", servers::delete),
        ("POST", ["servers", _, "action"]) => return act(ask),
        ("GET", ["servers", _, "os-instance-actions"]) => ("instance_actions", actions::list),
        ("GET", ["servers", _, "os-instance-actions", _]) => ("instance_actions", actions::show),
        ("GET", ["os-migrations"]) => ("migrations", migrations::list),
        ("GET", ["servers", _, "migrations"]) => ("migration_progress", migrations::in_progress),
        ("GET", ["servers", _, "migrations", _]) => ("migration_progress", migrations::show),
        ("DELETE", ["servers", _, "migrations", _]) => ("abort_migration", migrations::abort),
        ("POST", ["servers", _, "migrations", _, "action"]) => ("force_complete", migrations::force_complete),
        _ => return None,
    };
    Some(Route { operation, run })
}

/// Finds the way of an action on a server, by the only key of its body.
fn act(ask: &Ask) -> Option<Route> {
    let action = ask.body.as_object().and_then(|body| body.keys().next())?;
    let (operation, run): (_, fn(&mut World, &Ask) -> Answered) = match action.as_str() {
        "os-migrateLive" => ("live_migrate", migrations::live_migrate),
        "migrate" => ("cold_migrate", migrations::cold_migrate),
        "confirmResize" => ("confirm_resize", migrations::confirm_resize),
        "os-stop" => ("stop", servers::stop),
        "os-start" => ("start", servers::start),
        "os-resetState" => ("reset_state", servers::reset_state),
        "pause" => ("pause", servers::pause),
        "unpause" => ("unpause", servers::unpause),
        "lock" => ("lock", servers::lock),
        "unlock" => ("unlock", servers::unlock),
        _ => return None,
    };
    Some(Route { operation, run })
}

/// Refuses who is not an admin, as Nova's default policy does.
fn admin_only(ask: &Ask, policy: &str) -> Result<(), Refusal> {
    match ask.role {
        Role::Admin => Ok(()),
        Role::Member(_) => {
            let message = format!("Policy doesn't allow {policy} to be performed.");
            Err(Refusal { kind: RefusalKind::Forbidden, message })
        }
    }
}

/// A host name in an action's body: absent and null are the same.
fn host_in(body: &Value) -> Option<HostName> {
    body["host"].as_str().map(HostName::new)
}

/// The page of `items` that the request asks for, and a link to the next one.
fn one_page<'a, T>(
    ask: &Ask,
    address: &str,
    items: impl Iterator<Item = &'a T>,
    id: impl Fn(&T) -> String,
) -> Result<(Vec<&'a T>, Option<Value>), Refusal>
where
    T: 'a,
{
    let limit = ask.parameter("limit").and_then(|limit| limit.parse().ok()).unwrap_or(PAGE).min(PAGE);
    let mut items = items.peekable();
    if let Some(marker) = ask.parameter("marker")
        && items.by_ref().all(|item| id(item) != marker)
    {
        return Err(Refusal::bad_request(format!("marker [{marker}] not found")));
    }
    let shown: Vec<&T> = items.by_ref().take(limit).collect();
    // Nova gives a link whenever a page is full, also when nothing follows.
    let last = shown.last().filter(|_| shown.len() == limit).map(|item| id(item));
    let link = last.map(|last| {
        let mut query = form_urlencoded(ask.query.iter().filter(|(key, _)| key != "marker"));
        if !query.is_empty() {
            query.push('&');
        }
        json!([{"rel": "next", "href": format!("{}/{address}?{query}marker={last}", ask.root)}])
    });
    Ok((shown, link))
}

fn form_urlencoded<'a>(pairs: impl Iterator<Item = &'a (String, String)>) -> String {
    url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs.map(|(key, value)| (key, value))).finish()
}

/// 202 for what was accepted.
fn accepted(result: Result<crate::model::RequestId, Refusal>) -> Answered {
    result.map(|request| Answer::accepted(StatusCode::ACCEPTED, request))
}
