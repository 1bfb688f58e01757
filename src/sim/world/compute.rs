//! The nova-compute process of a host: what its death leaves behind and what its return puts right, or wrong.

use std::time::Duration;

use super::agenda::{Happening, LiveStage, ServerEnd};
use super::host::Message;
use super::record::{Record, RecordKind, RecordStatus};
use super::service::ComputeState;
use super::{Power, Task, VmState, World};
use crate::model::{DomainState, HostName, InstanceId, RequestId, ServiceStatus};
use crate::sim::faults::When;

impl World {
    /// Whether nova-compute on `host` takes messages.
    pub(super) fn is_working(&self, host: &HostName) -> bool {
        self.hosts.get(host).is_some_and(|host| host.compute.is_working())
    }

    /// nova-compute ends: what it was driving stands still.
    pub(super) fn compute_stops(&mut self, name: &HostName) {
        let (now, interval) = (self.now, self.timing.report_interval.get());
        let Some(host) = self.hosts.get_mut(name).filter(|host| host.compute.is_started()) else { return };
        host.compute.stop(now, interval);
        let live: Vec<Record> =
            self.records.open_at(name).filter(|record| record.kind == RecordKind::Live).cloned().collect();
        for record in live {
            if record.source == *name {
                self.orphan(&record);
            } else if !record.switched && matches!(record.status, RecordStatus::Running) && !record.orphaned {
                if let Some(open) = self.records.get_mut(record.id) {
                    open.epoch += 1;
                    open.copy = open.copy.map(|(began, _)| (began, None));
                    open.target_died = true;
                }
                self.plan_live(record.id, self.timing.rpc_timeout.get(), LiveStage::TargetLost);
            }
        }
        self.trigger(&When::Fenced(name.clone()));
    }

    /// A migration whose source's nova-compute died stays as it is until that returns.
    fn orphan(&mut self, record: &Record) {
        // One that has switched over and one that the conductor still holds do not need the source's process.
        if record.switched || record.status == RecordStatus::Accepted {
            return;
        }
        if let Some(open) = self.records.get_mut(record.id) {
            open.epoch += 1;
            open.orphaned = true;
        }
    }

    /// nova-compute is started; it works from its first report on.
    pub(super) fn compute_starts(&mut self, name: &HostName) {
        let nth = self.hosts.get(name).map_or(0, |host| u64::from(host.compute.epoch));
        let takes = self.timing.compute_start.draw(&mut self.dice("compute", name.as_str(), nth));
        let Some(host) = self.hosts.get_mut(name) else { return };
        if host.compute.is_started() || !host.machine.is_up() {
            return;
        }
        host.compute.state = ComputeState::Starting;
        let epoch = host.compute.epoch;
        self.plan(takes, Happening::ComputeReady { host: name.clone(), epoch });
    }

    pub(super) fn compute_ready(&mut self, name: &HostName, epoch: u32) {
        let now = self.now;
        let Some(host) = self.hosts.get_mut(name) else { return };
        if host.compute.state != ComputeState::Starting || host.compute.epoch != epoch {
            return;
        }
        host.compute.state = ComputeState::Working(now);
        host.disabled_trait = host.service.status == ServiceStatus::Disabled;
        let inbox = std::mem::take(&mut host.inbox);
        let live: Vec<Record> =
            self.records.open_at(name).filter(|record| record.kind == RecordKind::Live).cloned().collect();
        for record in live.iter().filter(|record| record.source == *name && record.orphaned) {
            match record.status {
                RecordStatus::Accepted => self.take_up(record.id),
                RecordStatus::Queued
                | RecordStatus::Preparing
                | RecordStatus::Running
                | RecordStatus::Completed
                | RecordStatus::Failed
                | RecordStatus::Error
                | RecordStatus::Cancelled
                | RecordStatus::PreMigrating
                | RecordStatus::Migrating
                | RecordStatus::PostMigrating
                | RecordStatus::Finished
                | RecordStatus::Confirming
                | RecordStatus::Confirmed => self.adopt_wrongly(record),
            }
        }
        for message in inbox {
            self.deliver(name, message);
        }
        self.plan(self.timing.power_sync.get(), Happening::PowerSync { host: name.clone() });
        self.error_after_target_returned(name);
    }

    /// A migration whose order waited in the queue of nova-compute begins.
    fn take_up(&mut self, migration: u64) {
        if let Some(open) = self.records.get_mut(migration) {
            open.orphaned = false;
        }
        self.plan_live(migration, Duration::ZERO, LiveStage::Queue);
    }

    /// What nova-compute makes of a migration that it finds half done: the server is ACTIVE on the source, the
    /// record says error, and Placement keeps the claim on the target. Nova does not mend that by itself.
    fn adopt_wrongly(&mut self, record: &Record) {
        self.records.set_status(record.id, RecordStatus::Error, self.now);
        if let Some(target) = &record.target
            && let Some(host) = self.hosts.get_mut(target)
            && host.domains.get(&record.instance).is_some_and(|domain| domain.incoming)
        {
            host.domains.remove(&record.instance);
        }
        self.release(&record.source, record.uuid);
        self.set_task(record.instance, None);
    }

    /// Nova gives up on a target that died in flight: it places the server there all the same.
    pub(super) fn target_lost(&mut self, record: &Record) {
        let Some(target) = record.target.clone() else { return };
        self.place(record.instance, &target);
        self.set_task(record.instance, None);
        self.release(&record.source, record.uuid);
        self.records.set_status(record.id, RecordStatus::Error, self.now);
        if let Some(host) = self.hosts.get_mut(&target) {
            host.domains.remove(&record.instance);
        }
        if self.is_working(&target) {
            self.error_after_target_returned(&target);
        }
    }

    /// Servers that Nova placed on a dead target turn to ERROR when it returns and has no guest of theirs.
    fn error_after_target_returned(&mut self, name: &HostName) {
        let Some(host) = self.hosts.get(name) else { return };
        let missing: Vec<InstanceId> = host.servers().filter(|id| !host.domains.contains_key(id)).collect();
        for id in missing {
            let misplaced = self.records.of_instance(id).next().is_some_and(|record| {
                record.kind == RecordKind::Live
                    && record.status == RecordStatus::Error
                    && record.target.as_ref() == Some(name)
            });
            if misplaced {
                self.set_error(id, "Instance not found on the host after a migration");
            }
        }
    }

    /// Hands a message to nova-compute, or keeps it until that is back.
    pub(super) fn send(&mut self, name: &HostName, message: Message) {
        if self.is_working(name) {
            self.deliver(name, message);
        } else if let Some(host) = self.hosts.get_mut(name) {
            host.inbox.push_back(message);
        }
    }

    fn deliver(&mut self, host: &HostName, message: Message) {
        match message {
            Message::Delete(id) => self.remove_from(host, id),
            Message::Build(id, request) => self.carry_out(id, ServerEnd::Built, &request),
            Message::Start(id, request) => self.carry_out(id, ServerEnd::Started, &request),
            Message::Stop(id, request) => self.carry_out(id, ServerEnd::Stopped, &request),
        }
    }

    fn carry_out(&mut self, id: InstanceId, end: ServerEnd, request: &RequestId) {
        let (spread, what) = match end {
            ServerEnd::Started => (self.timing.start, "start"),
            ServerEnd::Stopped => (self.timing.stop, "stop"),
            ServerEnd::Built => (self.timing.build, "build"),
        };
        let nth = self.servers.get(&id).map_or(0, |server| server.activities.len() as u64);
        let takes = spread.draw(&mut self.dice(what, &id.to_string(), nth));
        self.plan(takes, Happening::ServerDone { server: id, end, request: Some(request.clone()) });
    }

    /// Nova compares what it believes with what runs: a guest found shut off makes its server SHUTOFF.
    pub(super) fn power_sync(&mut self, name: &HostName) {
        let Some(host) = self.hosts.get(name).filter(|host| host.compute.is_working()) else { return };
        let off: Vec<InstanceId> = host
            .servers()
            .filter(|id| host.domains.get(id).is_some_and(|domain| domain.state == DomainState::ShutOff))
            .collect();
        for id in off {
            if let Some(server) = self.servers.get_mut(&id)
                && server.task.is_none()
                && matches!(server.vm_state, VmState::Active | VmState::Paused)
            {
                server.vm_state = VmState::Stopped;
                server.power = Power::Shutdown;
                server.updated = self.now;
            }
        }
    }

    pub(super) fn set_task(&mut self, id: InstanceId, task: Option<Task>) {
        let now = self.now;
        if let Some(server) = self.servers.get_mut(&id) {
            server.task = task;
            server.updated = now;
        }
    }

    pub(super) fn set_error(&mut self, id: InstanceId, fault: &str) {
        let now = self.now;
        if let Some(server) = self.servers.get_mut(&id) {
            server.vm_state = VmState::Error;
            server.task = None;
            server.fault = Some(fault.to_owned());
            server.updated = now;
        }
    }

    /// Makes `target` the host that Nova names for `id`.
    pub(super) fn place(&mut self, id: InstanceId, target: &HostName) {
        let now = self.now;
        let Some(server) = self.servers.get_mut(&id) else { return };
        let former = server.host.replace(target.clone());
        server.updated = now;
        if let Some(host) = former.and_then(|name| self.hosts.get_mut(&name)) {
            host.servers.remove(&id);
        }
        if let Some(host) = self.hosts.get_mut(target) {
            host.servers.insert(id);
            host.departed.remove(&id);
        }
    }
}
