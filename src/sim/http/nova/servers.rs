//! Servers.

use axum::http::StatusCode;
use jiff::Timestamp;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha224};

use super::{accepted, one_page};
use crate::model::{HostName, InstanceId, ServiceState};
use crate::sim::http::access::Role;
use crate::sim::http::answer::{Answer, Answered, Ask, short_stamp, stamp};
use crate::sim::world::{Refusal, SimServer, Task, World};

/// Nova shows more of one server than of each in a list.
#[derive(Clone, Copy, PartialEq, Eq)]
enum View {
    List,
    Show,
}

fn server(world: &World, ask: &Ask, server: &SimServer, view: View) -> Value {
    let id = server.id;
    let host = server.host.as_ref().and_then(|name| world.host(name));
    let mut shown = json!({
        "id": id,
        "name": server.name,
        "status": server.status().as_str(),
        "tenant_id": server.project,
        "user_id": "0d64f1b6e2a94a0f8d6c6c2f6f1f51e7",
        "metadata": server.metadata,
        "hostId": host_id(server),
        "image": "",
        "flavor": flavor(server),
        "created": short_stamp(server.created),
        "updated": short_stamp(server.updated),
        "addresses": {},
        "accessIPv4": "",
        "accessIPv6": "",
        "links": links(ask, id),
        "OS-DCF:diskConfig": "MANUAL",
        "OS-EXT-AZ:availability_zone": host.map_or("", |host| host.zone.as_str()),
        "config_drive": "",
        "key_name": null,
        "OS-SRV-USG:launched_at": server.launched.map(|at| stamp(at, "")),
        "OS-SRV-USG:terminated_at": null,
        "OS-EXT-SRV-ATTR:host": server.host,
        "OS-EXT-SRV-ATTR:instance_name": server.domain_name(),
        "OS-EXT-SRV-ATTR:hypervisor_hostname": server.host,
        "OS-EXT-STS:task_state": server.task.map(Task::word),
        "OS-EXT-STS:vm_state": server.vm_state.word(),
        "OS-EXT-STS:power_state": server.power as u8,
        "os-extended-volumes:volumes_attached": [],
        "host_status": host.map_or("", |host| match world.service_state(host) {
            ServiceState::Up => "UP",
            ServiceState::Down => "UNKNOWN",
        }),
        "description": null,
        "tags": [],
        "trusted_image_certificates": null,
        "locked": server.locked,
    });
    // Nova shows progress only in states in which something goes on or everything is well.
    if matches!(shown["status"].as_str(), Some("ACTIVE" | "BUILD" | "MIGRATING" | "RESIZE" | "VERIFY_RESIZE")) {
        shown["progress"] = json!(0);
    }
    if ask.version >= (2, 71) && view == View::Show {
        shown["server_groups"] = json!(server.group.iter().collect::<Vec<_>>());
    }
    if ask.version >= (2, 73) {
        shown["locked_reason"] = Value::Null;
    }
    if ask.version >= (2, 96) {
        shown["pinned_availability_zone"] = json!(server.pinned_zone);
    }
    if let Some(fault) = &server.fault {
        shown["fault"] = json!({"code": 500, "created": short_stamp(server.updated), "message": fault});
    }
    shown
}

/// The same for the servers of one project on one host, and different for all others.
fn host_id(server: &SimServer) -> String {
    let Some(host) = &server.host else { return String::new() };
    let digest = Sha224::digest(format!("{}{host}", server.project));
    digest.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()
}

fn flavor(server: &SimServer) -> Value {
    let specs: Map<String, Value> =
        server.traits.iter().map(|name| (format!("trait:{name}"), json!("required"))).collect();
    let resources = &server.resources;
    json!({"vcpus": resources.get("VCPU"), "ram": resources.memory_mb(), "disk": resources.get("DISK_GB"),
           "ephemeral": 0, "swap": 0, "original_name": "sim", "extra_specs": specs})
}

fn links(ask: &Ask, id: InstanceId) -> Value {
    json!([{"rel": "self", "href": format!("{}/servers/{id}", ask.root)}])
}

/// Whether the request may see a server: an admin all of them, an owner those of its project.
fn may_see(ask: &Ask, server: &SimServer) -> bool {
    match &ask.role {
        Role::Admin => true,
        Role::Member(project) => server.project == *project,
    }
}

/// The id of the server that the request is about, if it may see it.
fn visible(world: &World, ask: &Ask) -> Result<InstanceId, Refusal> {
    let id = ask.instance()?;
    if may_see(ask, world.server(id)?) {
        return Ok(id);
    }
    Err(Refusal::not_found(format!("Instance {id} could not be found.")))
}

pub(super) fn list(world: &mut World, ask: &Ask) -> Answered {
    let everywhere = matches!(ask.parameter("all_tenants"), Some("1" | "true" | "True" | ""));
    let since = match ask.parameter("changes-since") {
        None => None,
        Some(text) => Some(text.parse::<Timestamp>().map_err(|_| {
            Refusal::bad_request("Invalid input for query parameters changes-since. Value: is not a 'date-time'")
        })?),
    };
    let host = ask.parameter("host");
    // A regular expression; clients of ours anchor plain text.
    let name = ask.parameter("name").map(|name| name.trim_start_matches('^').trim_end_matches('$').to_owned());
    let mut servers: Vec<&SimServer> = world
        .all_servers()
        // Without `all_tenants` even an admin sees only its own project's servers, of which there are none.
        .filter(|server| may_see(ask, server) && (everywhere || ask.role != Role::Admin))
        .filter(|server| since.map_or(!server.is_deleted(), |since| server.updated >= since))
        .filter(|server| name.as_ref().is_none_or(|name| server.name == *name))
        .filter(|server| host.is_none_or(|host| server.host.as_ref().is_some_and(|name| name.as_str() == host)))
        .collect();
    servers.sort_by_key(|server| std::cmp::Reverse((server.created, server.number)));
    let (shown, next) = one_page(ask, "servers/detail", servers.into_iter(), |server| server.id.to_string())?;
    let mut body = json!({
        "servers": shown.into_iter().map(|one| server(world, ask, one, View::List)).collect::<Vec<_>>()
    });
    if let Some(next) = next {
        body["servers_links"] = next;
    }
    Ok(Answer::ok(body))
}

pub(super) fn show(world: &mut World, ask: &Ask) -> Answered {
    let id = visible(world, ask)?;
    Ok(Answer::ok(json!({"server": server(world, ask, world.server(id)?, View::Show)})))
}

/// Only onto a host that is named (2.74).
pub(super) fn create(world: &mut World, ask: &Ask) -> Answered {
    let wanted = &ask.body["server"];
    let (Some(name), Some(host)) = (wanted["name"].as_str(), wanted["host"].as_str()) else {
        return Err(Refusal::bad_request("Invalid input for field/attribute server."));
    };
    let metadata = wanted["metadata"].as_object().into_iter().flatten();
    let metadata = metadata.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect();
    let request = world.create(&HostName::new(host), name, &metadata)?;
    let made = world.find_server(name).map(|server| server.id);
    let body = json!({"server": {"id": made, "links": [], "OS-DCF:diskConfig": "MANUAL", "adminPass": ""}});
    Ok(Answer { body: Some(body), ..Answer::accepted(StatusCode::ACCEPTED, request) })
}

pub(super) fn delete(world: &mut World, ask: &Ask) -> Answered {
    let id = visible(world, ask)?;
    let request = world.delete(id, ask.caller())?;
    Ok(Answer::accepted(StatusCode::NO_CONTENT, request))
}

pub(super) fn stop(world: &mut World, ask: &Ask) -> Answered {
    let id = visible(world, ask)?;
    accepted(world.stop(id, ask.caller()))
}

pub(super) fn start(world: &mut World, ask: &Ask) -> Answered {
    let id = visible(world, ask)?;
    accepted(world.start(id, ask.caller()))
}

pub(super) fn reset_state(world: &mut World, ask: &Ask) -> Answered {
    let id = visible(world, ask)?;
    super::admin_only(ask, "os_compute_api:os-admin-actions:reset_state")?;
    if ask.body.pointer("/os-resetState/state").and_then(Value::as_str) != Some("active") {
        return Err(Refusal::bad_request("the simulated Nova only sets `active`".to_owned()));
    }
    accepted(world.reset_to_active(id, ask.caller()))
}

pub(super) fn pause(world: &mut World, ask: &Ask) -> Answered {
    let id = visible(world, ask)?;
    accepted(world.set_paused(id, true))
}

pub(super) fn unpause(world: &mut World, ask: &Ask) -> Answered {
    let id = visible(world, ask)?;
    accepted(world.set_paused(id, false))
}

pub(super) fn lock(world: &mut World, ask: &Ask) -> Answered {
    let id = visible(world, ask)?;
    accepted(world.set_lock(id, true))
}

pub(super) fn unlock(world: &mut World, ask: &Ask) -> Answered {
    let id = visible(world, ask)?;
    accepted(world.set_lock(id, false))
}
