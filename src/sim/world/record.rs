//! Migration records, as `/os-migrations` shows them, with the indexes that keep looking cheap in large regions.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use uuid::Uuid;

use super::World;
use super::server::words;
use crate::model::{HostName, InstanceId, ProjectId, RequestId, Resources};
use crate::sim::faults::MigrationFault;

words! {
    /// Status of a record, in Nova's words. Source: `nova/objects/fields.py` and what was seen.
    RecordStatus {
        /// Accepted by the conductor.
        Accepted = "accepted",
        /// Waits on its source.
        Queued = "queued",
        /// The target prepares.
        Preparing = "preparing",
        /// Memory is copied.
        Running = "running",
        /// Done.
        Completed = "completed",
        /// Broke after a target was chosen.
        Failed = "failed",
        /// Refused before a target was chosen, or a service died.
        Error = "error",
        /// Aborted.
        Cancelled = "cancelled",
        /// Cold: accepted and being prepared.
        PreMigrating = "pre-migrating",
        /// Cold: copies.
        Migrating = "migrating",
        /// Cold: has left its source.
        PostMigrating = "post-migrating",
        /// Cold: waits to be confirmed.
        Finished = "finished",
        /// Cold: being confirmed.
        Confirming = "confirming",
        /// Cold: confirmed.
        Confirmed = "confirmed",
    }
}

words! {
    /// `migration_type`.
    RecordKind {
        /// Live.
        Live = "live-migration",
        /// Cold.
        Cold = "migration",
        /// An owner's resize.
        Resize = "resize",
    }
}

impl RecordStatus {
    /// Whether the record can still change.
    pub fn is_open(self) -> bool {
        match self {
            Self::Accepted
            | Self::Queued
            | Self::Preparing
            | Self::Running
            | Self::PreMigrating
            | Self::Migrating
            | Self::PostMigrating
            | Self::Finished
            | Self::Confirming => true,
            Self::Completed | Self::Failed | Self::Error | Self::Cancelled | Self::Confirmed => false,
        }
    }
}

/// A migration record.
#[derive(Debug, Clone)]
#[expect(clippy::struct_excessive_bools, reason = "each happens to a migration whatever else happens to it")]
pub struct Record {
    /// Grows with time.
    pub id: u64,
    /// Its UUID, a consumer of allocations.
    pub uuid: Uuid,
    /// Instance.
    pub instance: InstanceId,
    /// Project of the instance.
    pub project: ProjectId,
    /// Live or cold.
    pub kind: RecordKind,
    /// Status.
    pub status: RecordStatus,
    /// From.
    pub source: HostName,
    /// To, once chosen.
    pub target: Option<HostName>,
    /// When it was asked for.
    pub created: Timestamp,
    /// When it last changed.
    pub updated: Option<Timestamp>,
    /// Host that was asked for.
    pub(super) requested: Option<HostName>,
    /// The request that caused it.
    pub(super) request: RequestId,
    /// What the instance holds.
    pub(super) resources: Resources,
    /// Changes when the record takes another course; planned stages of an older course are void.
    pub(super) epoch: u32,
    /// When the copy began and when it ends; never when absent.
    pub(super) copy: Option<(Timestamp, Option<Timestamp>)>,
    /// The server runs on its target and only the record is open.
    pub(super) switched: bool,
    /// The process that drove it has died.
    pub(super) orphaned: bool,
    /// An abort has been ordered.
    pub(super) aborting: bool,
    /// nova-compute on its target died while it copied.
    pub(super) target_died: bool,
    /// No list shows it any more.
    pub(super) vanished: bool,
    /// How this attempt goes wrong.
    pub(super) fault: Option<MigrationFault>,
}

impl Record {
    /// Whether `/servers/{id}/migrations` lists it.
    pub fn is_listed_in_progress(&self) -> bool {
        let moving = matches!(self.status, RecordStatus::Queued | RecordStatus::Preparing | RecordStatus::Running);
        self.kind == RecordKind::Live && moving
    }

    /// Bytes of memory in all, copied, and still to be copied, as of `now`.
    pub fn memory(&self, now: Timestamp) -> (u64, u64, u64) {
        let Some((began, ends)) = self.copy else { return (0, 0, 0) };
        let passed = now.duration_since(began);
        // Nova saves the figures for the first time some seconds into the copy.
        if passed.as_secs() < 5 {
            return (0, 0, 0);
        }
        let total = self.resources.memory_mb() << 20;
        let passed = passed.as_millis().max(0).unsigned_abs();
        let all = match ends {
            Some(ends) => ends.duration_since(began).as_millis().max(1).unsigned_abs(),
            // One that never ends stays at nine tenths.
            None => (passed * 10 / 9).max(1),
        };
        let done = u64::try_from(u128::from(total) * passed.min(all) / all).unwrap_or(total).min(total);
        (total, done, total - done)
    }
}

impl World {
    /// Migration records, newest first: all, of one instance, or into and out of one host.
    pub fn records<'a>(
        &'a self,
        instance: Option<InstanceId>,
        host: Option<&'a HostName>,
    ) -> Box<dyn Iterator<Item = &'a Record> + 'a> {
        let listed = |record: &&Record| !record.vanished;
        match (instance, host) {
            (None, None) => Box::new(self.records.newest_first().filter(listed)),
            (None, Some(host)) => Box::new(self.records.at_host(host).filter(listed)),
            (Some(instance), None) => Box::new(self.records.of_instance(instance).filter(listed)),
            (Some(instance), Some(host)) => {
                let here = move |record: &&Record| record.source == *host || record.target.as_ref() == Some(host);
                Box::new(self.records.of_instance(instance).filter(listed).filter(here))
            }
        }
    }

    /// Whether a migration of `instance` went wrong in a way that may leave it in ERROR, without a guest or on its way
    /// for good, whatever its client does.
    pub fn was_wronged(&self, instance: InstanceId) -> bool {
        self.records.of_instance(instance).any(|record| {
            let by_rule = matches!(
                record.fault,
                Some(MigrationFault::AfterSwitch | MigrationFault::FalseError | MigrationFault::HangDeaf)
            );
            by_rule || record.orphaned || record.target_died
        })
    }

    /// Migration records that can still change, oldest first.
    pub fn open_records(&self) -> impl Iterator<Item = &Record> {
        self.records.open()
    }
}

/// All records.
#[derive(Debug, Clone, Default)]
pub(super) struct Records {
    numbered: u64,
    all: BTreeMap<u64, Record>,
    of_instance: BTreeMap<InstanceId, Vec<u64>>,
    at_host: BTreeMap<HostName, BTreeSet<u64>>,
    open: BTreeSet<u64>,
}

impl Records {
    /// A number greater than that of any record there ever was.
    pub(super) fn next_id(&mut self) -> u64 {
        self.numbered += 1;
        self.numbered
    }

    pub(super) fn add(&mut self, record: Record) {
        self.of_instance.entry(record.instance).or_default().push(record.id);
        self.at_host.entry(record.source.clone()).or_default().insert(record.id);
        self.open.insert(record.id);
        self.all.insert(record.id, record);
    }

    pub(super) fn get(&self, id: u64) -> Option<&Record> {
        self.all.get(&id)
    }

    /// A record for changes that leave its status and target alone.
    pub(super) fn get_mut(&mut self, id: u64) -> Option<&mut Record> {
        self.all.get_mut(&id)
    }

    pub(super) fn set_status(&mut self, id: u64, status: RecordStatus, now: Timestamp) {
        if let Some(record) = self.all.get_mut(&id) {
            record.status = status;
            record.updated = Some(now);
            if status.is_open() {
                self.open.insert(id);
            } else {
                self.open.remove(&id);
            }
        }
    }

    pub(super) fn set_target(&mut self, id: u64, target: &HostName) {
        if let Some(record) = self.all.get_mut(&id) {
            record.target = Some(target.clone());
            self.at_host.entry(target.clone()).or_default().insert(id);
        }
    }

    /// Forgets the records of a deleted instance.
    pub(super) fn forget(&mut self, instance: InstanceId) {
        for id in self.of_instance.remove(&instance).unwrap_or_default() {
            self.open.remove(&id);
            if let Some(record) = self.all.remove(&id) {
                for host in [Some(&record.source), record.target.as_ref()].into_iter().flatten() {
                    if let Some(ids) = self.at_host.get_mut(host) {
                        ids.remove(&id);
                    }
                }
            }
        }
    }

    /// Records, newest first.
    pub(super) fn newest_first(&self) -> impl Iterator<Item = &Record> {
        self.all.values().rev()
    }

    pub(super) fn of_instance(&self, id: InstanceId) -> impl Iterator<Item = &Record> {
        self.of_instance.get(&id).into_iter().flatten().rev().filter_map(|id| self.all.get(id))
    }

    pub(super) fn at_host(&self, host: &HostName) -> impl Iterator<Item = &Record> {
        self.at_host.get(host).into_iter().flatten().rev().filter_map(|id| self.all.get(id))
    }

    /// Open records, oldest first.
    pub(super) fn open(&self) -> impl Iterator<Item = &Record> {
        self.open.iter().filter_map(|id| self.all.get(id))
    }

    /// Open records from or to `host`, oldest first.
    pub(super) fn open_at(&self, host: &HostName) -> impl Iterator<Item = &Record> {
        let at_host = self.at_host.get(host);
        at_host.into_iter().flat_map(|ids| ids.intersection(&self.open)).filter_map(|id| self.all.get(id))
    }
}
