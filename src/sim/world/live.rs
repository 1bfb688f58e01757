//! Live migration, as a client of Nova sees it: accepted at once, decided later, and the record lags behind.

use std::collections::BTreeSet;
use std::time::Duration;

use super::agenda::{ColdStage, Happening, LiveStage, Opening};
use super::host::SimDomain;
use super::record::{Record, RecordKind, RecordStatus};
use super::{Caller, Refusal, SimServer, Task, VmState, World, later, random};
use crate::model::{DomainState, HostName, InstanceId, RequestId, ServiceState};
use crate::sim::faults::{MigrationFault, When};

/// The event that carries the reason of a refusal.
const CONDUCTOR_EVENT: &str = "conductor_live_migrate_instance";

/// Events of a live migration on its two hosts, in their order.
const CHECK_TARGET_EVENT: &str = "compute_check_can_live_migrate_destination";
const CHECK_SOURCE_EVENT: &str = "compute_check_can_live_migrate_source";
const SOURCE_EVENT: &str = "compute_live_migration";
const PREPARE_EVENT: &str = "compute_pre_live_migration";
/// What is said of a target that fails after the guest has switched over.
const AFTER_SWITCH: &str = "post_live_migration_at_destination fails";
const ARRIVAL_EVENT: &str = "compute_post_live_migration_at_destination";

impl World {
    /// `os-migrateLive`. Nothing is decided yet when this is accepted.
    pub fn live_migrate(
        &mut self,
        id: InstanceId,
        target: Option<&HostName>,
        caller: Caller,
    ) -> Result<RequestId, Refusal> {
        let server = self.unlocked(id, caller)?;
        server.expect_state("os-migrateLive", &[VmState::Active, VmState::Paused])?;
        server.expect_idle("os-migrateLive")?;
        if let Some(name) = target
            && !self.hosts.contains_key(name)
        {
            return Err(Refusal::bad_request(format!("Compute host {name} could not be found.")));
        }
        let request = self.begin_activity(id, "live-migration", caller);
        self.set_task(id, Some(Task::Migrating));
        self.plan_record(id, RecordKind::Live, target, &request);
        Ok(request)
    }

    /// `DELETE /servers/{id}/migrations/{migration}`.
    pub fn abort_migration(&mut self, id: InstanceId, migration: u64, caller: Caller) -> Result<RequestId, Refusal> {
        let server = self.unlocked(id, caller)?;
        server.expect_task("abort live migration", Task::Migrating)?;
        let status = self.record_of(id, migration)?.status;
        if !matches!(status, RecordStatus::Queued | RecordStatus::Preparing | RecordStatus::Running) {
            return Err(wrong_record_state(id, migration, status, "abort live migration"));
        }
        let source = self.record_of(id, migration)?.source.clone();
        let request = self.begin_activity(id, "live_migration_cancel", caller);
        self.note_event(id, &request, "compute_live_migration_abort", Some(&source), Ok(()));
        let deaf = self.records.get(migration).is_some_and(|record| record.fault == Some(MigrationFault::HangDeaf));
        if let Some(record) = self.records.get_mut(migration)
            && !deaf
            && !record.switched
            && !record.orphaned
            && !record.aborting
        {
            record.aborting = true;
            let after = self.timing.roll_back.draw(&mut self.dice("abort", &id.to_string(), migration));
            self.plan_live(migration, after, LiveStage::Cancel);
        }
        Ok(request)
    }

    /// `force_complete` of a live migration: the guest is stopped or goes post-copy until the rest is across.
    pub fn force_complete(&mut self, id: InstanceId, migration: u64, caller: Caller) -> Result<RequestId, Refusal> {
        let server = self.unlocked(id, caller)?;
        server.expect_state("force_complete", &[VmState::Active])?;
        server.expect_task("force_complete", Task::Migrating)?;
        let status = self.record_of(id, migration).map_err(|refusal| Refusal::bad_request(refusal.message))?.status;
        if status != RecordStatus::Running {
            return Err(wrong_record_state(id, migration, status, "force complete"));
        }
        let source = self.record_of(id, migration)?.source.clone();
        let request = self.begin_activity(id, "live_migration_force_complete", caller);
        self.note_event(id, &request, "compute_live_migration_force_complete", Some(&source), Ok(()));
        let ends = later(self.now, Duration::from_secs(1));
        if let Some(record) = self.records.get_mut(migration)
            && !record.switched
            && !record.orphaned
            && !record.aborting
            && let Some((_, end)) = &mut record.copy
            && end.is_none_or(|end| end > ends)
        {
            *end = Some(ends);
            record.epoch += 1;
            record.fault = None;
            self.plan_live(migration, Duration::from_secs(1), LiveStage::Switch);
        }
        Ok(request)
    }

    /// Opens the record of a migration that was accepted, and goes on to choose its target.
    pub(super) fn open_record(&mut self, opening: &Opening) {
        let number = self.records.next_id();
        let uuid = random::uuid(&mut self.dice("migration", "", number));
        let Some(server) = self.servers.get_mut(&opening.instance).filter(|server| !server.is_deleted()) else {
            return;
        };
        let Some(source) = server.host.clone() else { return };
        server.migrations += 1;
        self.records.add(Record {
            id: number,
            uuid,
            instance: opening.instance,
            project: server.project.clone(),
            kind: opening.kind,
            status: match opening.kind {
                RecordKind::Live => RecordStatus::Accepted,
                RecordKind::Cold | RecordKind::Resize => RecordStatus::PreMigrating,
            },
            source,
            target: None,
            created: self.now,
            updated: None,
            requested: opening.requested.clone(),
            request: opening.request.clone(),
            resources: server.resources.clone(),
            epoch: 0,
            copy: None,
            switched: false,
            orphaned: false,
            aborting: false,
            target_died: false,
            vanished: false,
            fault: None,
        });
        let after = self.timing.schedule.draw(&mut self.dice("schedule", &opening.instance.to_string(), number));
        match opening.kind {
            RecordKind::Live => self.plan_live(number, after, LiveStage::Schedule),
            RecordKind::Cold | RecordKind::Resize => {
                self.plan(after, Happening::Cold { migration: number, stage: ColdStage::Schedule });
            }
        }
    }

    /// Plans the opening of the record of an accepted migration.
    pub(super) fn plan_record(
        &mut self,
        instance: InstanceId,
        kind: RecordKind,
        requested: Option<&HostName>,
        request: &RequestId,
    ) {
        let nth = self.servers.get(&instance).map_or(0, |server| server.activities.len() as u64);
        let after = self.timing.record_opens.draw(&mut self.dice("record", &instance.to_string(), nth));
        let opening = Opening { instance, kind, requested: requested.cloned(), request: request.clone() };
        self.plan(after, Happening::OpenRecord(opening));
    }

    fn record_of(&self, id: InstanceId, migration: u64) -> Result<&Record, Refusal> {
        self.records
            .get(migration)
            .filter(|record| record.instance == id)
            .ok_or_else(|| Refusal::not_found(format!("Migration {migration} not found for instance {id}")))
    }

    pub(super) fn plan_live(&mut self, migration: u64, after: Duration, stage: LiveStage) {
        let epoch = self.records.get(migration).map_or(0, |record| record.epoch);
        self.plan(after, Happening::Live { migration, epoch, stage });
    }

    pub(super) fn live_stage(&mut self, migration: u64, epoch: u32, stage: LiveStage) {
        let Some(record) = self.records.get(migration).filter(|record| record.epoch == epoch).cloned() else { return };
        match stage {
            LiveStage::Schedule => self.schedule_live(&record),
            LiveStage::Queue => self.queue_live(&record),
            LiveStage::Prepare => self.prepare_live(&record),
            LiveStage::Copy => self.copy_live(&record),
            LiveStage::PrepareFailed => self.prepare_failed(&record),
            LiveStage::Break => self.roll_back(&record, RecordStatus::Failed),
            LiveStage::Switch => self.switch_live(&record),
            LiveStage::Close => self.close_live(&record),
            LiveStage::Cancel => self.roll_back(&record, RecordStatus::Cancelled),
            LiveStage::TargetLost => self.target_lost(&record),
            LiveStage::FalseError => self.false_error(&record),
        }
    }

    /// The conductor: is the source up, which host can take it, do both sides agree?
    fn schedule_live(&mut self, record: &Record) {
        let Some(server) = self.servers.get(&record.instance).cloned() else { return };
        let source_up = self.hosts.get(&record.source).is_some_and(|host| self.service_state(host) == ServiceState::Up);
        if !source_up {
            let reason = format!("Compute service of {} is unavailable at this time.", record.source);
            return self.refuse_live(record, reason);
        }
        self.hold_source(&record.source, record.instance, record.uuid);
        match self.find_target(record, &server) {
            Ok((target, fault)) => {
                self.allocate(&target, record.instance.uuid(), &server.resources);
                self.records.set_target(record.id, &target);
                if let Some(open) = self.records.get_mut(record.id) {
                    open.fault = fault;
                    open.updated = Some(self.now);
                }
                self.note_event(record.instance, &record.request, CONDUCTOR_EVENT, None, Ok(()));
                self.note_event(record.instance, &record.request, CHECK_TARGET_EVENT, Some(&target), Ok(()));
                self.note_event(record.instance, &record.request, CHECK_SOURCE_EVENT, Some(&record.source), Ok(()));
                self.plan_live(record.id, Duration::from_millis(80), LiveStage::Queue);
            }
            Err(reason) => {
                self.return_source(&record.source, record.instance, record.uuid);
                self.refuse_live(record, reason);
            }
        }
    }

    /// Tries hosts until one passes both checks, as the conductor does.
    fn find_target(
        &mut self,
        record: &Record,
        server: &SimServer,
    ) -> Result<(HostName, Option<MigrationFault>), String> {
        let mut excluded = BTreeSet::from([record.source.clone()]);
        loop {
            let target = self.choose_target(server, record.requested.as_ref(), &excluded)?;
            let fault = self.migration_fault(server, &record.source, &target);
            let (event, side) = match fault {
                Some(MigrationFault::PrecheckTarget) => (CHECK_TARGET_EVENT, &target),
                Some(MigrationFault::PrecheckSource) => (CHECK_SOURCE_EVENT, &record.source),
                Some(_) | None => return Ok((target, fault)),
            };
            let details = format!("Migration pre-check error: {side} refuses");
            self.note_event(record.instance, &record.request, event, Some(side), Err(details));
            excluded.insert(target);
        }
    }

    /// An accepted migration that is refused after all: ACTIVE, on its old host, without a fault on the server.
    fn refuse_live(&mut self, record: &Record, reason: String) {
        self.set_task(record.instance, None);
        self.records.set_status(record.id, RecordStatus::Error, self.now);
        self.note_event(record.instance, &record.request, CONDUCTOR_EVENT, None, Err(reason));
        self.fail_activity(record.instance, &record.request);
    }

    fn queue_live(&mut self, record: &Record) {
        // A message for a nova-compute that has died waits; the record stays as it is.
        if !self.is_working(&record.source) {
            if let Some(open) = self.records.get_mut(record.id) {
                open.orphaned = true;
            }
            return;
        }
        self.records.set_status(record.id, RecordStatus::Queued, self.now);
        // The source takes it into a queue of its own and says success at once, whatever comes of it.
        self.note_event(record.instance, &record.request, SOURCE_EVENT, Some(&record.source), Ok(()));
        self.start_next(&record.source);
    }

    /// Takes queued migrations of `source` up to Nova's limit.
    fn start_next(&mut self, source: &HostName) {
        let under_way = |record: &&Record| {
            record.kind == RecordKind::Live
                && record.source == *source
                && !record.orphaned
                && matches!(record.status, RecordStatus::Preparing | RecordStatus::Running)
        };
        let busy = self.records.open_at(source).filter(under_way).count();
        let free = self.timing.concurrent_migrations.max(1).saturating_sub(busy);
        let next: Vec<u64> = self
            .records
            .open_at(source)
            .filter(|record| record.source == *source && record.status == RecordStatus::Queued && !record.orphaned)
            .map(|record| record.id)
            .take(free)
            .collect();
        for migration in next {
            self.records.set_status(migration, RecordStatus::Preparing, self.now);
            self.plan_live(migration, Duration::ZERO, LiveStage::Prepare);
        }
    }

    fn prepare_live(&mut self, record: &Record) {
        let takes = self.timing.prepare.draw(&mut self.dice("prepare", &record.instance.to_string(), record.id));
        let target_works = record.target.as_ref().is_some_and(|target| self.is_working(target));
        if !target_works {
            return self.plan_live(record.id, self.timing.rpc_timeout.get(), LiveStage::PrepareFailed);
        }
        match record.fault {
            Some(MigrationFault::Prepare) => self.plan_live(record.id, takes, LiveStage::PrepareFailed),
            Some(_) | None => self.plan_live(record.id, takes, LiveStage::Copy),
        }
    }

    /// The record says `error` while everything is still being put back, and `failed` after that.
    fn prepare_failed(&mut self, record: &Record) {
        let why = Err("Migration error: pre_live_migration fails".to_owned());
        self.note_event(record.instance, &record.request, PREPARE_EVENT, record.target.as_ref(), why);
        self.fail_activity(record.instance, &record.request);
        self.records.set_status(record.id, RecordStatus::Error, self.now);
        let takes = self.timing.roll_back.draw(&mut self.dice("roll-back", &record.instance.to_string(), record.id));
        self.plan_live(record.id, takes, LiveStage::Break);
    }

    fn copy_live(&mut self, record: &Record) {
        let Some(server) = self.servers.get(&record.instance) else { return };
        let Some(target) = &record.target else { return };
        let domain = SimDomain { name: server.domain_name(), state: DomainState::Paused, incoming: true };
        let key = record.instance.to_string();
        let mut takes = self.copy_time(&record.resources, &key, record.id);
        if let Some(MigrationFault::Slow(factor)) = record.fault {
            takes = takes.saturating_mul(factor.max(1));
        }
        let stage = match record.fault {
            Some(MigrationFault::Hang | MigrationFault::HangDeaf) => None,
            Some(MigrationFault::Copy | MigrationFault::FalseError) => Some((takes / 2, LiveStage::Break)),
            Some(_) | None => Some((takes, LiveStage::Switch)),
        };
        let target = target.clone();
        if let Some(host) = self.hosts.get_mut(&target) {
            host.domains.insert(record.instance, domain);
        }
        self.note_event(record.instance, &record.request, PREPARE_EVENT, Some(&target), Ok(()));
        let now = self.now;
        self.records.set_status(record.id, RecordStatus::Running, now);
        if let Some(open) = self.records.get_mut(record.id) {
            open.copy = Some((now, stage.map(|_| later(now, takes))));
            open.vanished = record.fault == Some(MigrationFault::Vanish);
        }
        if let Some((after, stage)) = stage {
            self.plan_live(record.id, after, stage);
        }
        self.trigger(&When::Migrating(record.source.clone()));
    }

    /// The guest runs on its target and the server says so; the record does not yet.
    fn switch_live(&mut self, record: &Record) {
        let Some(target) = record.target.clone() else { return };
        if record.aborting {
            return;
        }
        let state = self
            .hosts
            .get_mut(&record.source)
            .and_then(|host| host.domains.remove(&record.instance))
            .map_or(DomainState::ShutOff, |domain| domain.state);
        if let Some(domain) = self.hosts.get_mut(&target).and_then(|host| host.domains.get_mut(&record.instance)) {
            domain.state = state;
            domain.incoming = false;
        }
        self.place(record.instance, &target);
        self.set_task(record.instance, None);
        if let Some(host) = self.hosts.get_mut(&record.source) {
            host.departed.insert(record.instance, self.now);
        }
        match record.fault {
            Some(MigrationFault::AfterSwitch) => self.set_error(record.instance, AFTER_SWITCH),
            Some(MigrationFault::StaleHost(span)) => {
                self.stale.insert(record.instance, (record.source.clone(), later(self.now, span.get())));
            }
            Some(_) | None => {}
        }
        if let Some(open) = self.records.get_mut(record.id) {
            open.switched = true;
        }
        let lag = self.timing.record_lag.draw(&mut self.dice("lag", &record.instance.to_string(), record.id));
        self.plan_live(record.id, lag, LiveStage::Close);
    }

    fn close_live(&mut self, record: &Record) {
        let (status, outcome) = if record.fault == Some(MigrationFault::AfterSwitch) {
            // What the migration holds on the source stays there: nobody clears it away.
            self.fail_activity(record.instance, &record.request);
            (RecordStatus::Error, Err(AFTER_SWITCH.to_owned()))
        } else {
            self.release(&record.source, record.uuid);
            (RecordStatus::Completed, Ok(()))
        };
        self.records.set_status(record.id, status, self.now);
        self.note_event(record.instance, &record.request, ARRIVAL_EVENT, record.target.as_ref(), outcome);
        if self.is_forgetful
            && status == RecordStatus::Completed
            && let Some(server) = self.servers.get_mut(&record.instance)
        {
            server.activities = Vec::new();
        }
        self.start_next(&record.source);
    }

    /// Everything as it was: the server ACTIVE on its source, the target's claim gone.
    fn roll_back(&mut self, record: &Record, status: RecordStatus) {
        if record.switched || record.orphaned || (record.aborting && status != RecordStatus::Cancelled) {
            return;
        }
        if let Some(open) = self.records.get_mut(record.id) {
            open.epoch += 1;
        }
        self.withdraw_from_target(record);
        self.return_source(&record.source, record.instance, record.uuid);
        self.set_task(record.instance, None);
        // After a failure during the copy every event says success: only the record tells.
        if record.fault == Some(MigrationFault::FalseError) {
            self.records.set_status(record.id, RecordStatus::Error, self.now);
            self.plan_live(record.id, Duration::from_millis(900), LiveStage::FalseError);
        } else {
            self.records.set_status(record.id, status, self.now);
        }
        self.start_next(&record.source);
    }

    /// Ends what the target holds of a migration that will not arrive.
    pub(super) fn withdraw_from_target(&mut self, record: &Record) {
        let Some(target) = &record.target else { return };
        self.release(target, record.instance.uuid());
        if let Some(host) = self.hosts.get_mut(target)
            && host.domains.get(&record.instance).is_some_and(|domain| domain.incoming)
        {
            host.domains.remove(&record.instance);
        }
    }

    fn false_error(&mut self, record: &Record) {
        let idle = self.servers.get(&record.instance).is_some_and(|server| server.task.is_none());
        if idle && let Some(server) = self.servers.get_mut(&record.instance) {
            // The guest runs on and no fault is recorded.
            server.vm_state = VmState::Error;
            server.updated = self.now;
        }
    }
}

fn wrong_record_state(id: InstanceId, migration: u64, status: RecordStatus, method: &str) -> Refusal {
    Refusal::bad_request(format!(
        "Migration {migration} state of instance {id} is {}. Cannot {method} while the migration is in this state.",
        status.word()
    ))
}
