//! Migrations: asked for, listed, aborted, forced.

use axum::http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::{accepted, admin_only, host_in, one_page};
use crate::model::{HostName, InstanceId};
use crate::sim::http::answer::{Answer, Answered, Ask, stamp};
use crate::sim::world::{Record, Refusal, World};

/// A record as `/os-migrations` shows it.
fn record(ask: &Ask, record: &Record) -> Value {
    let mut shown = json!({
        "id": record.id,
        "source_compute": record.source,
        "dest_compute": record.target,
        "source_node": record.source,
        "dest_node": record.target,
        "dest_host": null,
        "old_instance_type_id": 1,
        "new_instance_type_id": 1,
        "instance_uuid": record.instance,
        "status": record.status.word(),
        "migration_type": record.kind.word(),
        "created_at": stamp(record.created, ""),
        "updated_at": record.updated.map(|at| stamp(at, "")),
    });
    if ask.version >= (2, 59) {
        shown["uuid"] = json!(record.uuid);
    }
    if ask.version >= (2, 80) {
        shown["user_id"] = json!("c3f5ad1be52d4c3fa4b7dcd0ac90b3a1");
        shown["project_id"] = json!(record.project);
    }
    if record.is_listed_in_progress() {
        let href = format!("{}/servers/{}/migrations/{}", ask.root, record.instance, record.id);
        shown["links"] = json!([{"rel": "self", "href": href}]);
    }
    shown
}

pub(super) fn list(world: &mut World, ask: &Ask) -> Answered {
    admin_only(ask, "os_compute_api:os-migrations:index")?;
    let instance: Option<InstanceId> = ask.parameter("instance_uuid").and_then(|id| id.parse().ok());
    if instance.is_none() && ask.parameter("instance_uuid").is_some() {
        return Ok(Answer::ok(json!({"migrations": []})));
    }
    let host = ask.parameter("host").map(HostName::new);
    let since: Option<Timestamp> = match ask.parameter("changes-since").filter(|_| ask.version >= (2, 59)) {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| {
            Refusal::bad_request("Invalid input for query parameters changes-since. Value: is not a 'date-time'")
        })?),
    };
    let fits = |value: &str, key: &str| ask.parameter(key).is_none_or(|wanted| wanted == value);
    let records = world
        .records(instance, host.as_ref())
        .filter(|record| fits(record.status.word(), "status") && fits(record.kind.word(), "migration_type"))
        .filter(|record| fits(record.source.as_str(), "source_compute"))
        .filter(|record| since.is_none_or(|since| record.updated.is_some_and(|at| at >= since)));
    // Before 2.59 the list had no pages.
    let (shown, next) = if ask.version >= (2, 59) {
        one_page(ask, "os-migrations", records, |record| record.uuid.to_string())?
    } else {
        (records.collect(), None)
    };
    let mut body = json!({"migrations": shown.into_iter().map(|one| record(ask, one)).collect::<Vec<_>>()});
    if let Some(next) = next {
        body["migrations_links"] = next;
    }
    Ok(Answer::ok(body))
}

/// A migration in progress as `/servers/{id}/migrations` shows it.
fn progress(world: &World, ask: &Ask, record: &Record) -> Value {
    let (total, processed, remaining) = record.memory(world.now());
    let mut shown = json!({
        "id": record.id,
        "server_uuid": record.instance,
        "status": record.status.word(),
        "source_compute": record.source,
        "source_node": record.source,
        "dest_compute": record.target,
        "dest_node": record.target,
        "dest_host": null,
        "memory_total_bytes": total,
        "memory_processed_bytes": processed,
        "memory_remaining_bytes": remaining,
        "disk_total_bytes": 0,
        "disk_processed_bytes": 0,
        "disk_remaining_bytes": 0,
        "created_at": stamp(record.created, ""),
        "updated_at": record.updated.map(|at| stamp(at, "")),
    });
    if ask.version >= (2, 59) {
        shown["uuid"] = json!(record.uuid);
    }
    shown
}

pub(super) fn in_progress(world: &mut World, ask: &Ask) -> Answered {
    admin_only(ask, "os_compute_api:servers:migrations:index")?;
    let id = ask.instance()?;
    world.server(id)?;
    let moving = world.records(Some(id), None).filter(|record| record.is_listed_in_progress());
    let migrations: Vec<Value> = moving.map(|record| progress(world, ask, record)).collect();
    Ok(Answer::ok(json!({"migrations": migrations})))
}

pub(super) fn show(world: &mut World, ask: &Ask) -> Answered {
    admin_only(ask, "os_compute_api:servers:migrations:show")?;
    let (id, migration) = (ask.instance()?, ask.migration()?);
    world.server(id)?;
    let record = world.records(Some(id), None).find(|record| record.id == migration).ok_or_else(|| {
        Refusal::not_found(format!("In-progress live migration {migration} is not found for server {id}."))
    })?;
    if !record.is_listed_in_progress() {
        let message = format!("Live migration {migration} for server {id} is not in progress.");
        return Err(Refusal::not_found(message));
    }
    Ok(Answer::ok(json!({"migration": progress(world, ask, record)})))
}

pub(super) fn abort(world: &mut World, ask: &Ask) -> Answered {
    admin_only(ask, "os_compute_api:servers:migrations:delete")?;
    accepted(world.abort_migration(ask.instance()?, ask.migration()?, ask.caller()))
}

pub(super) fn force_complete(world: &mut World, ask: &Ask) -> Answered {
    admin_only(ask, "os_compute_api:servers:migrations:force_complete")?;
    accepted(world.force_complete(ask.instance()?, ask.migration()?, ask.caller()))
}

/// What a live migration's body may hold, by microversion.
fn check_body(ask: &Ask, body: &Value) -> Result<(), Refusal> {
    let bad = |why: String| Refusal::bad_request(format!("Invalid input for field/attribute os-migrateLive. {why}"));
    for required in ["host", "block_migration"] {
        if body.get(required).is_none() {
            return Err(bad(format!("'{required}' is a required property")));
        }
    }
    let allowed = |key: &str| matches!(key, "host" | "block_migration") || (key == "force" && ask.version < (2, 68));
    let extra = body.as_object().and_then(|body| body.keys().find(|key| !allowed(key)));
    extra.map_or(Ok(()), |key| Err(bad(format!("Additional properties are not allowed ('{key}' was unexpected)"))))
}

pub(super) fn live_migrate(world: &mut World, ask: &Ask) -> Answered {
    let body = &ask.body["os-migrateLive"];
    check_body(ask, body)?;
    let id = ask.instance()?;
    world.server(id)?;
    admin_only(ask, "os_compute_api:os-migrate-server:migrate_live")?;
    accepted(world.live_migrate(id, host_in(body).as_ref(), ask.caller()))
}

pub(super) fn cold_migrate(world: &mut World, ask: &Ask) -> Answered {
    let target = host_in(&ask.body["migrate"]);
    if target.is_some() && ask.version < (2, 56) {
        return Err(Refusal::bad_request("Invalid input for field/attribute migrate."));
    }
    admin_only(ask, "os_compute_api:os-migrate-server:migrate")?;
    accepted(world.cold_migrate(ask.instance()?, target.as_ref(), ask.caller()))
}

pub(super) fn confirm_resize(world: &mut World, ask: &Ask) -> Answered {
    let request = world.confirm_resize(ask.instance()?, ask.caller())?;
    Ok(Answer::accepted(StatusCode::NO_CONTENT, request))
}
