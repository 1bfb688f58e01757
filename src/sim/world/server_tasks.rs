//! What is done to servers besides migrations: created, stopped, started, locked, deleted.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::agenda::{Happening, ServerEnd};
use super::host::{Message, SimDomain};
use super::{Activity, ActivityEvent, Caller, Power, Refusal, SimServer, Task, VmState, World, random};
use crate::model::{
    DomainState, GroupId, HostName, InstanceId, InstanceStatus, ProjectId, RequestId, Resources, ServiceState,
    ServiceStatus, ZoneName,
};

/// A server to put into a region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewServer {
    /// Its id; drawn when absent.
    pub id: Option<InstanceId>,
    /// Name.
    pub name: String,
    /// Project.
    pub project: ProjectId,
    /// Host.
    pub host: HostName,
    /// Its state: ACTIVE, PAUSED, SHUTOFF, SUSPENDED, ERROR, RESCUE or `VERIFY_RESIZE`; others count as ACTIVE.
    pub status: InstanceStatus,
    /// What its flavor asks for.
    pub resources: Resources,
    /// Its server group.
    pub group: Option<GroupId>,
    /// Zone that it was asked to be in.
    pub pinned_zone: Option<ZoneName>,
    /// Required traits.
    pub traits: Vec<String>,
    /// Metadata.
    pub metadata: BTreeMap<String, String>,
    /// Locked.
    pub locked: bool,
}

impl SimServer {
    pub(super) fn expect_state(&self, action: &str, allowed: &[VmState]) -> Result<(), Refusal> {
        if allowed.contains(&self.vm_state) {
            return Ok(());
        }
        Err(self.wrong_state(action, "vm_state", self.vm_state.word()))
    }

    pub(super) fn expect_idle(&self, action: &str) -> Result<(), Refusal> {
        self.task.map_or(Ok(()), |task| Err(self.wrong_state(action, "task_state", task.word())))
    }

    pub(super) fn expect_task(&self, action: &str, wanted: Task) -> Result<(), Refusal> {
        match self.task {
            Some(task) if task == wanted => Ok(()),
            Some(task) => Err(self.wrong_state(action, "task_state", task.word())),
            None => Err(Refusal::conflict(format!("Instance {} is in an invalid state for '{action}'", self.id))),
        }
    }

    fn wrong_state(&self, action: &str, attribute: &str, state: &str) -> Refusal {
        Refusal::conflict(format!("Cannot '{action}' instance {} while it is in {attribute} {state}", self.id))
    }
}

impl World {
    /// All servers by id, deleted ones too.
    pub fn all_servers(&self) -> impl Iterator<Item = &SimServer> {
        self.servers.values()
    }

    /// A server that exists.
    pub fn server(&self, id: InstanceId) -> Result<&SimServer, Refusal> {
        self.servers
            .get(&id)
            .filter(|server| !server.is_deleted())
            .ok_or_else(|| Refusal::not_found(format!("Instance {id} could not be found.")))
    }

    /// Servers that Nova places on `host`, by id.
    pub fn servers_on(&self, host: &HostName) -> impl Iterator<Item = &SimServer> {
        let ids = self.hosts.get(host).map(|host| &host.servers);
        ids.into_iter().flatten().filter_map(|id| self.servers.get(id))
    }

    /// The host that Nova names for `server`: the one that it is on, unless that is not known yet.
    pub fn shown_host<'a>(&'a self, server: &'a SimServer) -> Option<&'a HostName> {
        match self.stale.get(&server.id) {
            Some((left, until)) if self.now < *until && server.host.is_some() => Some(left),
            Some(_) | None => server.host.as_ref(),
        }
    }

    /// Servers for which Nova names `host`, by id.
    pub fn servers_shown_on<'a>(&'a self, host: &'a HostName) -> Box<dyn Iterator<Item = &'a SimServer> + 'a> {
        if self.stale.is_empty() {
            return Box::new(self.servers_on(host));
        }
        Box::new(self.servers.values().filter(move |server| self.shown_host(server) == Some(host)))
    }

    /// A server by name or id, for scenarios and tests.
    pub fn find_server(&self, name_or_id: &str) -> Option<&SimServer> {
        let by_id = name_or_id.parse().ok().and_then(|id: InstanceId| self.servers.get(&id));
        by_id.or_else(|| self.servers.values().find(|server| server.name == name_or_id && !server.is_deleted()))
    }

    pub(super) fn unlocked(&self, id: InstanceId, caller: Caller) -> Result<&SimServer, Refusal> {
        let server = self.server(id)?;
        match caller {
            Caller::Owner if server.locked => Err(Refusal::conflict(format!("Instance {id} is locked"))),
            Caller::Owner | Caller::Operator => Ok(server),
        }
    }

    /// Puts a server into the region, as if it had always been there, and returns its id.
    pub fn add_server(&mut self, wanted: NewServer) -> InstanceId {
        let number = u32::try_from(self.servers.len() + 1).unwrap_or(u32::MAX);
        let id = wanted.id.unwrap_or_else(|| {
            InstanceId::new(random::uuid(&mut self.dice("server", &wanted.name, u64::from(number))))
        });
        let (vm_state, power, domain) = match wanted.status {
            InstanceStatus::Paused => (VmState::Paused, Power::Paused, DomainState::Paused),
            InstanceStatus::Shutoff => (VmState::Stopped, Power::Shutdown, DomainState::ShutOff),
            InstanceStatus::Suspended => (VmState::Suspended, Power::Suspended, DomainState::ShutOff),
            InstanceStatus::Error => (VmState::Error, Power::NoState, DomainState::ShutOff),
            InstanceStatus::Rescue => (VmState::Rescued, Power::Running, DomainState::Running),
            InstanceStatus::VerifyResize => (VmState::Resized, Power::Running, DomainState::Running),
            InstanceStatus::Active
            | InstanceStatus::Build
            | InstanceStatus::Deleted
            | InstanceStatus::HardReboot
            | InstanceStatus::Migrating
            | InstanceStatus::Password
            | InstanceStatus::Reboot
            | InstanceStatus::Rebuild
            | InstanceStatus::Resize
            | InstanceStatus::RevertResize
            | InstanceStatus::Shelved
            | InstanceStatus::ShelvedOffloaded
            | InstanceStatus::SoftDeleted
            | InstanceStatus::Unknown
            | InstanceStatus::Other(_) => (VmState::Active, Power::Running, DomainState::Running),
        };
        let server = SimServer {
            id,
            number,
            name: wanted.name,
            project: wanted.project,
            host: None,
            vm_state,
            task: None,
            power,
            locked: wanted.locked,
            pinned_zone: wanted.pinned_zone,
            resources: wanted.resources,
            group: wanted.group,
            traits: wanted.traits,
            metadata: wanted.metadata,
            fault: None,
            created: self.now,
            launched: Some(self.now),
            updated: self.now,
            activities: self.creation(id, &wanted.host),
            migrations: 0,
            has_md_clear: self.hosts.get(&wanted.host).is_some_and(|host| host.machine.gives_md_clear()),
            ran_before: false,
        };
        self.settle(server, &wanted.host, domain);
        id
    }

    /// What Nova remembers of a server that has always been there.
    fn creation(&self, id: InstanceId, host: &HostName) -> Vec<Activity> {
        if self.is_forgetful {
            return Vec::new();
        }
        let request = random::uuid(&mut self.dice("create", &id.to_string(), 0));
        vec![Activity {
            action: "create",
            request: RequestId::new(format!("req-{request}")),
            user: Caller::Owner.user().to_owned(),
            project: ProjectId::new("p"),
            started: self.now,
            updated: self.now,
            message: None,
            events: vec![ActivityEvent {
                event: "compute__do_build_and_run_instance",
                started: self.now,
                finished: self.now,
                success: true,
                details: None,
                host: Some(host.clone()),
            }],
        }]
    }

    /// Enters `server` everywhere: on its host, in its group, in Placement.
    fn settle(&mut self, server: SimServer, host: &HostName, state: DomainState) {
        let id = server.id;
        if let Some(group) = server.group.as_ref().and_then(|group| self.groups.get_mut(group)) {
            group.members.insert(id);
        }
        let domain = SimDomain { name: server.domain_name(), state, incoming: false };
        self.allocate(host, id.uuid(), &server.resources);
        self.servers.insert(id, server);
        self.place(id, host);
        if let Some(host) = self.hosts.get_mut(host) {
            host.domains.insert(id, domain);
        }
    }

    /// A server is being created on `host`, whatever speaks against it: its scheduler had not heard of that yet.
    pub(super) fn create_on(&mut self, host: &HostName, resources: Resources) -> InstanceId {
        let name = format!("late-{}", self.servers.len() + 1);
        let id = self.add_server(NewServer {
            id: None,
            name,
            project: ProjectId::new("7f7c1fb0d2f74e2a8f3e1a4c5b6d7e8f"),
            host: host.clone(),
            status: InstanceStatus::Active,
            resources,
            group: None,
            pinned_zone: None,
            traits: Vec::new(),
            metadata: BTreeMap::new(),
            locked: false,
        });
        if let Some(server) = self.servers.get_mut(&id) {
            server.activities.clear();
        }
        let request = self.begin_activity(id, "create", Caller::Owner);
        if let Some(server) = self.servers.get_mut(&id) {
            server.vm_state = VmState::Building;
            server.task = Some(Task::Spawning);
            server.power = Power::NoState;
            server.launched = None;
        }
        if let Some(host) = self.hosts.get_mut(host) {
            host.domains.remove(&id);
        }
        let takes = self.timing.build.draw(&mut self.dice("build", &id.to_string(), 0));
        self.plan(takes, Happening::ServerDone { server: id, end: ServerEnd::Built, request: Some(request) });
        id
    }

    /// `POST /servers` onto one host. One that is out of service is no valid host: that shows later, on the server.
    pub fn create(
        &mut self,
        host: &HostName,
        name: &str,
        metadata: &BTreeMap<String, String>,
    ) -> Result<RequestId, Refusal> {
        let Some(found) = self.hosts.get(host) else {
            return Err(Refusal::bad_request(format!("Compute host {host} could not be found.")));
        };
        let takes = found.service.status == ServiceStatus::Enabled && self.service_state(found) == ServiceState::Up;
        let id = self.create_on(host, Resources::basic(1, 64, 1));
        let Some(server) = self.servers.get_mut(&id) else { return Err(Refusal::not_found("gone")) };
        name.clone_into(&mut server.name);
        server.metadata.clone_from(metadata);
        let request = server.activities.last().map(|activity| activity.request.clone());
        if !takes {
            server.vm_state = VmState::Error;
            server.task = None;
            server.fault = Some("No valid host was found.".to_owned());
        }
        Ok(request.unwrap_or_else(|| self.next_request()))
    }

    /// `os-stop`.
    pub fn stop(&mut self, id: InstanceId, caller: Caller) -> Result<RequestId, Refusal> {
        let server = self.unlocked(id, caller)?;
        server.expect_state("stop", &[VmState::Active, VmState::Error])?;
        server.expect_idle("stop")?;
        let host = server.host.clone();
        let request = self.begin_activity(id, "stop", caller);
        self.set_task(id, Some(Task::PoweringOff));
        if let Some(host) = host {
            self.send(&host, Message::Stop(id, request.clone()));
        }
        Ok(request)
    }

    /// `os-start`.
    pub fn start(&mut self, id: InstanceId, caller: Caller) -> Result<RequestId, Refusal> {
        let server = self.unlocked(id, caller)?;
        server.expect_state("start", &[VmState::Stopped])?;
        server.expect_idle("start")?;
        let host = server.host.clone();
        let request = self.begin_activity(id, "start", caller);
        self.set_task(id, Some(Task::PoweringOn));
        if let Some(host) = host {
            self.send(&host, Message::Start(id, request.clone()));
        }
        Ok(request)
    }

    /// `os-resetState` to active: an admin's word about what Nova keeps; nothing happens to the guest.
    pub fn reset_to_active(&mut self, id: InstanceId, caller: Caller) -> Result<RequestId, Refusal> {
        self.server(id)?;
        let request = self.begin_activity(id, "resetState", caller);
        if let Some(server) = self.servers.get_mut(&id) {
            server.vm_state = VmState::Active;
            server.task = None;
        }
        Ok(request)
    }

    /// `lock` and `unlock`.
    pub fn set_lock(&mut self, id: InstanceId, locked: bool) -> Result<RequestId, Refusal> {
        self.server(id)?;
        if let Some(server) = self.servers.get_mut(&id) {
            server.locked = locked;
        }
        Ok(self.begin_activity(id, if locked { "lock" } else { "unlock" }, Caller::Owner))
    }

    /// `pause` and `unpause`.
    pub fn set_paused(&mut self, id: InstanceId, paused: bool) -> Result<RequestId, Refusal> {
        let (action, from, to) = if paused {
            ("pause", VmState::Active, VmState::Paused)
        } else {
            ("unpause", VmState::Paused, VmState::Active)
        };
        let server = self.server(id)?;
        server.expect_state(action, &[from])?;
        server.expect_idle(action)?;
        let request = self.begin_activity(id, action, Caller::Owner);
        let state = if paused { DomainState::Paused } else { DomainState::Running };
        self.turn(id, to, state);
        Ok(request)
    }

    /// `DELETE /servers/{id}`. While nova-compute is stopped but still counts as up, the order waits in its queue.
    pub fn delete(&mut self, id: InstanceId, caller: Caller) -> Result<RequestId, Refusal> {
        let host = self.unlocked(id, caller)?.host.clone();
        let request = self.begin_activity(id, "delete", caller);
        let Some(host) = host else {
            self.erase(id);
            return Ok(request);
        };
        let counts_as_up = self.hosts.get(&host).is_some_and(|host| self.service_state(host) == ServiceState::Up);
        if counts_as_up {
            self.set_task(id, Some(Task::Deleting));
            self.send(&host, Message::Delete(id));
        } else {
            // Nova deletes the record itself; the domain is removed when the host is back.
            self.erase(id);
            self.send(&host, Message::Delete(id));
        }
        Ok(request)
    }

    /// Removes a server from everything but its host's domains; its migration records vanish from the lists.
    fn erase(&mut self, id: InstanceId) {
        let now = self.now;
        let open: Vec<_> = self.records.of_instance(id).filter(|record| record.status.is_open()).cloned().collect();
        for record in open {
            self.withdraw_from_target(&record);
            self.release(&record.source, record.uuid);
        }
        self.records.forget(id);
        let Some(server) = self.servers.get_mut(&id) else { return };
        server.vm_state = VmState::Deleted;
        server.task = None;
        server.updated = now;
        let (host, group) = (server.host.take(), server.group.clone());
        if let Some(group) = group.and_then(|group| self.groups.get_mut(&group)) {
            group.members.remove(&id);
        }
        if let Some(host) = host.and_then(|host| self.hosts.get_mut(&host)) {
            host.servers.remove(&id);
            host.allocations.remove(&id.uuid());
        }
    }

    /// nova-compute on `host` removes a server and its domain.
    pub(super) fn remove_from(&mut self, host: &HostName, id: InstanceId) {
        self.erase(id);
        if let Some(host) = self.hosts.get_mut(host) {
            host.domains.remove(&id);
        }
    }

    pub(super) fn server_done(&mut self, id: InstanceId, end: ServerEnd, request: Option<&RequestId>) {
        let Some(server) = self.servers.get(&id).filter(|server| !server.is_deleted()) else { return };
        let Some(host) = server.host.clone() else { return };
        if !self.is_working(&host) {
            // The process died with the task in hand: it is taken up again when it is back.
            if let (Some(request), Some(host)) = (request, self.hosts.get_mut(&host)) {
                match end {
                    ServerEnd::Built => host.inbox.push_back(Message::Build(id, request.clone())),
                    ServerEnd::Stopped => host.inbox.push_back(Message::Stop(id, request.clone())),
                    ServerEnd::Started => host.inbox.push_back(Message::Start(id, request.clone())),
                }
            }
            return;
        }
        let event = match end {
            ServerEnd::Built => "compute__do_build_and_run_instance",
            ServerEnd::Stopped => "compute_stop_instance",
            ServerEnd::Started => "compute_start_instance",
        };
        if end == ServerEnd::Started && self.start_fails(id) {
            // What is wrong with a start leaves the server as it was. Source: `reverts_task_state` of start_instance in
            // `nova/compute/manager.py`.
            let why = "internal error: the guest did not start";
            self.set_task(id, None);
            if let Some(server) = self.servers.get_mut(&id) {
                server.fault = Some(why.to_owned());
            }
            if let Some(request) = request {
                self.note_event(id, request, event, Some(&host), Err(why.to_owned()));
                self.fail_activity(id, request);
            }
            return;
        }
        match end {
            ServerEnd::Built | ServerEnd::Started => {
                self.boots(id);
                self.turn(id, VmState::Active, DomainState::Running);
            }
            ServerEnd::Stopped => self.turn(id, VmState::Stopped, DomainState::ShutOff),
        }
        if let Some(request) = request {
            self.note_event(id, request, event, Some(&host), Ok(()));
        }
    }

    /// Its guest begins anew, with what its host offers by now.
    pub(super) fn boots(&mut self, id: InstanceId) {
        let host = self.servers.get(&id).and_then(|server| server.host.as_ref()).and_then(|host| self.hosts.get(host));
        let offered = host.is_some_and(|host| host.machine.gives_md_clear());
        if let Some(server) = self.servers.get_mut(&id) {
            server.has_md_clear = offered;
        }
    }

    /// Brings a server and its domain into a state.
    pub(super) fn turn(&mut self, id: InstanceId, state: VmState, domain: DomainState) {
        let now = self.now;
        let Some(server) = self.servers.get_mut(&id) else { return };
        server.vm_state = state;
        server.task = None;
        server.power = server.expected_power();
        server.updated = now;
        server.launched.get_or_insert(now);
        let name = server.domain_name();
        if let Some(host) = server.host.clone().and_then(|host| self.hosts.get_mut(&host)) {
            host.domains.insert(id, SimDomain { name, state: domain, incoming: false });
        }
    }

    /// How long copying an instance's memory takes.
    pub(super) fn copy_time(&self, resources: &Resources, key: &str, nth: u64) -> Duration {
        let mut dice = self.dice("copy", key, nth);
        let dirty = self.timing.dirty_percent.draw(&mut dice);
        let bytes = (resources.memory_mb() << 20).saturating_mul(u64::from(100 + dirty)) / 100;
        let millis = bytes.saturating_mul(1000) / self.timing.bandwidth.get();
        let millis = millis.saturating_mul(self.timing.copy_percent.draw(&mut dice).into()) / 100;
        self.timing.copy.draw(&mut dice) + Duration::from_millis(millis)
    }

    /// When `id` was created; for lists ordered as Nova orders them.
    pub fn created(&self, id: InstanceId) -> Option<Timestamp> {
        self.servers.get(&id).map(|server| server.created)
    }
}
