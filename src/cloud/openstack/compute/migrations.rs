//! Migration records, and how far a live migration is.

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use jiff::Timestamp;
use serde::Deserialize;

use super::BASE;
use super::paging::{self, Page, PageLink, Paged};
use crate::cloud::openstack::OpenStack;
use crate::cloud::openstack::version::Microversion;
use crate::cloud::openstack::wire::{maybe_moment, maybe_text};
use crate::cloud::{
    CloudErrorKind, CloudResult, Migration, MigrationKind, MigrationProgress, MigrationStatus, MigrationsQuery,
};
use crate::model::{HostName, InstanceId};

/// 2.59: records have UUIDs, and the list has pages; below, it is whole.
const MIGRATIONS: &[Microversion] = &[Microversion(2, 59), BASE];

/// Nova's words for what has not ended. Sources: `nova/compute/manager.py`, `nova/virt/libvirt/migration.py`.
const IN_PROGRESS: [&str; 11] = [
    "accepted",
    "queued",
    "preparing",
    "running",
    "running (post-copy)",
    "pre-migrating",
    "migrating",
    "post-migrating",
    "finished",
    "confirming",
    "reverting",
];

/// Requests at a time when the list is asked for word by word.
const AT_ONCE: usize = 4;

#[derive(Deserialize)]
struct Migrations {
    migrations: Vec<WireMigration>,
    #[serde(default)]
    migrations_links: Vec<PageLink>,
}

#[derive(Deserialize)]
struct WireMigration {
    id: u64,
    #[serde(default)]
    uuid: Option<String>,
    instance_uuid: InstanceId,
    status: String,
    migration_type: String,
    #[serde(default, deserialize_with = "maybe_text")]
    source_compute: Option<String>,
    #[serde(default, deserialize_with = "maybe_text")]
    dest_compute: Option<String>,
    #[serde(default, deserialize_with = "maybe_moment")]
    created_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "maybe_moment")]
    updated_at: Option<Timestamp>,
}

impl Page for Migrations {
    type Item = WireMigration;

    fn marker(item: &WireMigration) -> String {
        item.uuid.clone().unwrap_or_else(|| item.id.to_string())
    }

    fn into_parts(self) -> (Vec<WireMigration>, Vec<PageLink>) {
        (self.migrations, self.migrations_links)
    }
}

/// Migration records, newest first.
///
/// Nova keeps a record for each migration that an instance ever had and filters by one status at a time: what is in
/// progress anywhere is therefore asked for status by status.
pub(super) async fn list(cloud: &OpenStack, query: &MigrationsQuery) -> CloudResult<Vec<Migration>> {
    let everywhere = query.instance.is_none() && query.host.is_none() && query.changed_since.is_none();
    let statuses: &[Option<&str>] = if query.in_progress && everywhere { &IN_PROGRESS.map(Some) } else { &[None] };
    let lists: Vec<_> = statuses.iter().map(|status| with_status(cloud, query, *status)).collect();
    let records: Vec<Vec<WireMigration>> = stream::iter(lists).buffered(AT_ONCE).try_collect().await?;
    // A record that changes while it is listed may show under two statuses: the later look counts.
    let by_id: BTreeMap<u64, Migration> =
        records.into_iter().flatten().map(|wire| (wire.id, migration(wire))).collect();
    let wanted = |migration: &Migration| !query.in_progress || migration.status.is_in_progress();
    Ok(by_id.into_values().rev().filter(wanted).collect())
}

async fn with_status(
    cloud: &OpenStack,
    query: &MigrationsQuery,
    status: Option<&str>,
) -> CloudResult<Vec<WireMigration>> {
    let instance = query.instance.map(|id| id.to_string());
    let since = query.changed_since.map(|since| since.to_string());
    let mut parameters = Vec::new();
    parameters.extend(since.as_deref().map(|since| ("changes-since", since)));
    parameters.extend(instance.as_deref().map(|id| ("instance_uuid", id)));
    parameters.extend(query.host.as_ref().map(|host| ("host", host.as_str())));
    parameters.extend(status.map(|status| ("status", status)));
    let operation = "list migrations";
    // What has changed can be asked for since 2.59 as well.
    let known = if since.is_some() { &MIGRATIONS[..1] } else { MIGRATIONS };
    let version = cloud.nova.version(operation, known)?;
    let list = Paged { operation, path: &["os-migrations"], query: &parameters, version };
    paging::collect::<Migrations>(cloud, &list).await
}

fn migration(wire: WireMigration) -> Migration {
    Migration {
        id: wire.id,
        uuid: wire.uuid,
        instance: wire.instance_uuid,
        status: status(&wire.status),
        kind: match wire.migration_type.as_str() {
            "live-migration" => MigrationKind::Live,
            "resize" => MigrationKind::Resize,
            "evacuation" => MigrationKind::Evacuation,
            // Nova's fourth and last word for it is `migration`.
            _ => MigrationKind::Cold,
        },
        source: wire.source_compute.map(HostName::new),
        target: wire.dest_compute.map(HostName::new),
        created_at: wire.created_at,
        updated_at: wire.updated_at,
    }
}

fn status(word: &str) -> MigrationStatus {
    match word {
        "accepted" | "queued" | "preparing" | "pre-migrating" => MigrationStatus::Starting,
        "running" | "migrating" | "post-migrating" => MigrationStatus::Running,
        "running (post-copy)" => MigrationStatus::PostCopy,
        "completed" | "confirmed" | "done" => MigrationStatus::Completed,
        "finished" | "confirming" | "reverting" => MigrationStatus::Finished,
        "cancelled" => MigrationStatus::Cancelled,
        "failed" => MigrationStatus::Failed,
        "error" => MigrationStatus::Error,
        "reverted" => MigrationStatus::Reverted,
        _ => MigrationStatus::Other(word.to_owned()),
    }
}

#[derive(Deserialize)]
struct OneProgress {
    migration: WireProgress,
}

/// Amounts in bytes; null in a migration's first seconds.
#[derive(Deserialize)]
struct WireProgress {
    #[serde(rename = "memory_total_bytes")]
    memory_total: Option<u64>,
    #[serde(rename = "memory_remaining_bytes")]
    memory_remaining: Option<u64>,
    #[serde(rename = "memory_processed_bytes")]
    memory_processed: Option<u64>,
    #[serde(rename = "disk_total_bytes")]
    disk_total: Option<u64>,
    #[serde(rename = "disk_remaining_bytes")]
    disk_remaining: Option<u64>,
}

/// Progress of a migration in flight; `None` when Nova does not show it as such.
pub(super) async fn progress(
    cloud: &OpenStack,
    server: InstanceId,
    migration: u64,
) -> CloudResult<Option<MigrationProgress>> {
    let path = ["servers", &server.to_string(), "migrations", &migration.to_string()];
    let call = cloud.nova.get(format!("show migration {migration} of instance {server}"), &path, &[], BASE);
    let answer = match cloud.session.send(call).await {
        Err(error) if error.kind == CloudErrorKind::NotFound => return Ok(None),
        answer => answer?,
    };
    let wire = answer.json::<OneProgress>()?.migration;
    Ok(Some(MigrationProgress {
        memory_total: wire.memory_total.unwrap_or(0),
        memory_remaining: wire.memory_remaining.unwrap_or(0),
        memory_processed: wire.memory_processed.unwrap_or(0),
        disk_total: wire.disk_total.unwrap_or(0),
        disk_remaining: wire.disk_remaining.unwrap_or(0),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_for_what_has_not_ended_is_in_progress() {
        for word in IN_PROGRESS {
            let status = status(word);
            assert!(status.is_in_progress() && !matches!(status, MigrationStatus::Other(_)), "{word}");
        }
        for word in ["completed", "confirmed", "done", "cancelled", "failed", "error", "reverted"] {
            assert!(!status(word).is_in_progress(), "{word}");
        }
        assert!(status("a word of tomorrow").is_in_progress());
    }
}
