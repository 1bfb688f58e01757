//! Cold migration: RESIZE, `VERIFY_RESIZE` on the target, and the confirmation that ends it.

use std::collections::BTreeSet;
use std::time::Duration;

use super::agenda::{ColdStage, Happening};
use super::record::{Record, RecordKind, RecordStatus};
use super::{Caller, Power, Refusal, Task, VmState, World};
use crate::model::{DomainState, HostName, InstanceId, RequestId, Resources, ServiceState};

/// How long each of the last steps of a cold migration takes.
const STEP: Duration = Duration::from_millis(600);

impl World {
    /// `migrate`.
    pub fn cold_migrate(
        &mut self,
        id: InstanceId,
        target: Option<&HostName>,
        caller: Caller,
    ) -> Result<RequestId, Refusal> {
        let server = self.unlocked(id, caller)?;
        server.expect_state("migrate", &[VmState::Active, VmState::Stopped])?;
        server.expect_idle("migrate")?;
        let source = server.host.clone();
        let source_up = source
            .as_ref()
            .and_then(|name| self.hosts.get(name))
            .is_some_and(|host| self.service_state(host) == ServiceState::Up);
        if !source_up {
            return Err(Refusal::conflict("Service is unavailable at this time."));
        }
        if let Some(name) = target {
            if !self.hosts.contains_key(name) {
                return Err(Refusal::bad_request(format!("Compute host {name} could not be found.")));
            }
            if source.as_ref() == Some(name) {
                return Err(Refusal::bad_request("Cannot migrate to the host where the server exists."));
            }
        }
        let request = self.begin_activity(id, "migrate", caller);
        self.set_task(id, Some(Task::ResizePrep));
        self.plan_record(id, RecordKind::Cold, target, &request);
        Ok(request)
    }

    /// `resize` to a flavor with twice the memory, onto another host. What the source holds for it stays there until it is
    /// confirmed.
    pub fn resize(&mut self, id: InstanceId, caller: Caller) -> Result<RequestId, Refusal> {
        let server = self.unlocked(id, caller)?;
        server.expect_state("resize", &[VmState::Active, VmState::Stopped])?;
        server.expect_idle("resize")?;
        let source = server.host.as_ref().and_then(|name| self.hosts.get(name));
        if source.is_none_or(|host| self.service_state(host) != ServiceState::Up) {
            return Err(Refusal::conflict("Service is unavailable at this time."));
        }
        let request = self.begin_activity(id, "resize", caller);
        self.set_task(id, Some(Task::ResizePrep));
        self.plan_record(id, RecordKind::Resize, None, &request);
        Ok(request)
    }

    /// `confirmResize`.
    pub fn confirm_resize(&mut self, id: InstanceId, caller: Caller) -> Result<RequestId, Refusal> {
        let server = self.unlocked(id, caller)?;
        server.expect_state("confirmResize", &[VmState::Resized])?;
        server.expect_idle("confirmResize")?;
        let finished = self.records.of_instance(id).find(|record| record.status == RecordStatus::Finished);
        let migration = finished.map(|record| record.id);
        let request = self.begin_activity(id, "confirmResize", caller);
        match migration {
            Some(migration) => {
                self.records.set_status(migration, RecordStatus::Confirming, self.now);
                self.plan(Duration::from_secs(1), Happening::Cold { migration, stage: ColdStage::Confirm });
            }
            None => self.turn(id, VmState::Active, DomainState::Running),
        }
        Ok(request)
    }

    pub(super) fn cold_stage(&mut self, migration: u64, stage: ColdStage) {
        let Some(record) = self.records.get(migration).cloned() else { return };
        match stage {
            ColdStage::Schedule => self.schedule_cold(&record),
            ColdStage::Leave => self.leave_cold(&record),
            ColdStage::Arrive => self.arrive_cold(&record),
            ColdStage::Settle => self.settle_cold(&record),
            ColdStage::Confirm => self.confirm_cold(&record),
        }
    }

    fn schedule_cold(&mut self, record: &Record) {
        let Some(mut server) = self.servers.get(&record.instance).cloned() else { return };
        if record.kind == RecordKind::Resize {
            server.resources = larger(&server.resources);
        }
        self.hold_source(&record.source, record.instance, record.uuid);
        let excluded = BTreeSet::from([record.source.clone()]);
        match self.choose_target(&server, record.requested.as_ref(), &excluded) {
            Ok(target) => {
                self.allocate(&target, record.instance.uuid(), &server.resources);
                self.records.set_target(record.id, &target);
                self.records.set_status(record.id, RecordStatus::Migrating, self.now);
                self.set_task(record.instance, Some(Task::ResizeMigrating));
                let key = record.instance.to_string();
                let takes = self.timing.cold.draw(&mut self.dice("cold", &key, record.id));
                self.plan(takes, Happening::Cold { migration: record.id, stage: ColdStage::Leave });
            }
            Err(reason) => {
                self.return_source(&record.source, record.instance, record.uuid);
                self.set_task(record.instance, None);
                self.records.set_status(record.id, RecordStatus::Error, self.now);
                self.note_event(record.instance, &record.request, "cold_migrate", None, Err(reason));
                self.fail_activity(record.instance, &record.request);
            }
        }
    }

    fn leave_cold(&mut self, record: &Record) {
        let Some(server) = self.servers.get_mut(&record.instance) else { return };
        server.ran_before = server.vm_state == VmState::Active;
        if let Some(host) = self.hosts.get_mut(&record.source) {
            host.domains.remove(&record.instance);
        }
        self.records.set_status(record.id, RecordStatus::PostMigrating, self.now);
        self.plan(STEP, Happening::Cold { migration: record.id, stage: ColdStage::Arrive });
    }

    /// Nova names the target, and the record says `finished`, before the server waits to be confirmed.
    fn arrive_cold(&mut self, record: &Record) {
        let Some(target) = record.target.clone() else { return };
        self.set_task(record.instance, Some(Task::ResizeFinish));
        self.place(record.instance, &target);
        if record.kind == RecordKind::Resize
            && let Some(server) = self.servers.get_mut(&record.instance)
        {
            server.resources = larger(&server.resources);
        }
        self.records.set_status(record.id, RecordStatus::Finished, self.now);
        self.plan(STEP, Happening::Cold { migration: record.id, stage: ColdStage::Settle });
    }

    fn settle_cold(&mut self, record: &Record) {
        let Some(target) = record.target.clone() else { return };
        let Some(server) = self.servers.get(&record.instance) else { return };
        let ran = server.ran_before;
        self.boots(record.instance);
        let now = self.now;
        if let Some(server) = self.servers.get_mut(&record.instance) {
            server.launched = Some(now);
        }
        self.turn(record.instance, VmState::Resized, if ran { DomainState::Running } else { DomainState::ShutOff });
        if let Some(server) = self.servers.get_mut(&record.instance).filter(|_| !ran) {
            server.power = Power::Shutdown;
        }
        self.note_event(record.instance, &record.request, "compute_finish_resize", Some(&target), Ok(()));
    }

    fn confirm_cold(&mut self, record: &Record) {
        self.release(&record.source, record.uuid);
        self.records.set_status(record.id, RecordStatus::Confirmed, self.now);
        let ran = self.servers.get(&record.instance).is_some_and(|server| server.ran_before);
        if ran {
            self.turn(record.instance, VmState::Active, DomainState::Running);
        } else {
            self.turn(record.instance, VmState::Stopped, DomainState::ShutOff);
        }
    }
}

/// What a flavor with twice the memory asks for.
fn larger(resources: &Resources) -> Resources {
    resources
        .iter()
        .map(|(class, amount)| (class.to_owned(), if class == "MEMORY_MB" { 2 * amount } else { amount }))
        .collect()
}
