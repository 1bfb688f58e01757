//! A region of three hosts that does what it is told at the second it is told, and counts what is done to it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use uuid::Uuid;

use crate::actions::Progress;
use crate::cloud::{
    Accepted, Allocation, CloudError, CloudErrorKind, CloudResult, ComputeService, InstanceAction, InstanceActionEvent,
    Migration, MigrationKind, MigrationStatus, NewServer, PowerState, Server, ServerGroup,
};
use crate::host::{HostErrorKind, JobStatus};
use crate::model::{
    Domain, DomainState, HostIdentity, HostName, InstanceId, InstanceStatus, ProjectId, RequestId, Resources, Service,
    ServiceId, ServiceState, ServiceStatus, UnitName,
};
use crate::outside::{Call, Rung};
use crate::run::event::{CommandRun, Intent};

/// The host that is remedied.
pub const HOST: &str = "compute-1";
/// A host that takes instances.
pub const TARGET: &str = "compute-2";
/// Another one.
pub const OTHER: &str = "compute-3";

/// What a port is told to answer next, once.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// A call to the cloud fails, and did nothing.
    Refused(CloudErrorKind),
    /// A call to the cloud does its work, and its answer is lost.
    Lost(CloudErrorKind),
    /// An operation on a host fails, and did nothing.
    Host(HostErrorKind),
    /// An operation on a host does its work, and the connection breaks.
    HostLost(HostErrorKind),
}

/// How the next live migration goes.
#[derive(Debug, Clone)]
pub enum Script {
    /// Arrives after so many seconds; the record follows the server a second later, as Nova's does.
    Arrives(u64),
    /// Ends after so many seconds in this status, back on its source, with a reason in the action's events.
    Fails(u64, MigrationStatus, Option<&'static str>),
    /// The same, and two seconds later the server goes to ERROR on its source.
    FailsIntoError(u64),
    /// The server goes to ERROR on its target, under this status of the record.
    BreaksOnTarget(u64, MigrationStatus),
    /// The record fails, and Nova shows the server ACTIVE on the target, which died.
    DiesOnTarget(u64),
    /// The record says completed and the server is MIGRATING for ever.
    Torn(u64),
    /// The record says completed and Nova names the source for so many more seconds.
    Stale(u64),
    /// Never ends by itself; an abort works.
    Hangs,
    /// Never ends, and no abort has an effect.
    HangsForGood,
    /// Accepted, and no record ever shows.
    Unrecorded,
}

type Incident = Box<dyn FnOnce(&mut State) + Send>;

/// The state of the region.
#[expect(clippy::struct_excessive_bools, reason = "each test sets those that it is about")]
pub struct State {
    pub services: BTreeMap<HostName, ComputeService>,
    pub servers: BTreeMap<InstanceId, Server>,
    pub groups: Vec<ServerGroup>,
    pub migrations: Vec<Migration>,
    pub actions: BTreeMap<InstanceId, Vec<InstanceAction>>,
    pub script: Script,
    /// So many servers that are made fail.
    pub creations_fail: u32,
    /// So many starts fail.
    pub starts_fail: u32,
    /// Domains on the host beside those of its servers.
    pub stray_domains: Vec<Domain>,
    /// State of a server's domain where it is not what Nova says.
    pub domain_states: BTreeMap<InstanceId, DomainState>,
    /// Allocations on the host beside those of its servers.
    pub stray_allocations: Vec<Allocation>,
    /// Servers without allocation.
    pub unallocated: Vec<InstanceId>,
    pub identity: HostIdentity,
    pub boot: String,
    pub answers: bool,
    /// Seconds from an order until the host is back, or never.
    pub outage: Option<u64>,
    /// Whether orders to stop and to start come to anything.
    pub obeys: bool,
    /// Whether an order to reboot has any effect.
    pub reboots: bool,
    pub unit: &'static str,
    pub nova_conf: String,
    /// Version of the package.
    pub installed: u32,
    /// Version that an update brings.
    pub available: u32,
    pub sysfs: &'static str,
    pub vulnerabilities_readable: bool,
    pub jobs: BTreeMap<UnitName, JobStatus>,
    /// Seconds that a job takes, its exit status, its output.
    pub job: (u64, i32, &'static str),
    /// Every change that was made, in order.
    pub effects: Vec<String>,
    pub progress: Vec<Progress>,
    /// What Alertmanager has.
    pub silences: Vec<serde_json::Value>,
    /// What services answer next: a status and words, or 0 and why there is no answer.
    pub answers_of_services: VecDeque<(u16, String)>,
    /// What the host is made of.
    pub fingerprint: &'static str,
    /// What an executable does: its exit status and what it prints.
    pub executable: fn(&mut State, &Call) -> (i32, String),
    /// Executables that steps ran.
    pub kept: Vec<CommandRun>,
    faults: BTreeMap<&'static str, VecDeque<Fault>>,
    agenda: Vec<(Instant, Incident)>,
    next_record: u64,
}

/// The region behind its ports.
pub struct Lab {
    state: Mutex<State>,
    pub began: Instant,
    /// The operator's ladder. A command whose program is `/bin/false` fails, any other gets the host back.
    pub rungs: Vec<Rung>,
    /// The last intent that a step recorded by itself.
    pub recorded: Mutex<Option<Intent>>,
}

pub fn id(number: u128) -> InstanceId {
    InstanceId::new(Uuid::from_u128(number))
}

pub fn host(name: &str) -> HostName {
    HostName::new(name)
}

pub fn epoch() -> Timestamp {
    Timestamp::from_second(1_800_000_000).expect("a time in this century")
}

pub fn identity() -> HostIdentity {
    HostIdentity {
        machine_id: Some("0123456789abcdef0123456789abcdef".to_owned()),
        nova_host: Some(HOST.to_owned()),
        hostname: Some(format!("{HOST}.example")),
    }
}

pub fn service(name: &str) -> ComputeService {
    ComputeService {
        host: host(name),
        zone: None,
        service: Service {
            id: ServiceId::new(format!("service-of-{name}")),
            state: ServiceState::Up,
            status: ServiceStatus::Enabled,
            disabled_reason: None,
            forced_down: false,
        },
        updated_at: Some(epoch()),
        cell_is_down: false,
    }
}

pub fn server(number: u128, status: InstanceStatus) -> Server {
    Server {
        id: id(number),
        name: format!("vm{number}"),
        project: ProjectId::new("p1"),
        host: Some(host(HOST)),
        vm_state: status.as_str().to_lowercase(),
        status,
        task_state: None,
        power_state: PowerState::Running,
        locked: false,
        locked_reason: None,
        zone: None,
        pinned_zone: None,
        resources: Resources::basic(1, 1024, 0),
        flavor: None,
        image: BTreeMap::new(),
        groups: Vec::new(),
        traits: Vec::new(),
        metadata: BTreeMap::new(),
        fault: None,
        launched_at: None,
        updated: None,
        progress: None,
    }
}

impl State {
    fn new() -> Self {
        Self {
            services: [HOST, TARGET, OTHER].into_iter().map(|name| (host(name), service(name))).collect(),
            servers: BTreeMap::new(),
            groups: Vec::new(),
            migrations: Vec::new(),
            actions: BTreeMap::new(),
            script: Script::Arrives(4),
            creations_fail: 0,
            starts_fail: 0,
            stray_domains: Vec::new(),
            domain_states: BTreeMap::new(),
            stray_allocations: Vec::new(),
            unallocated: Vec::new(),
            identity: identity(),
            boot: "boot-1".to_owned(),
            answers: true,
            outage: Some(60),
            obeys: true,
            reboots: true,
            unit: "active",
            nova_conf: "[libvirt]\ncpu_mode = host-model\n".to_owned(),
            installed: 1,
            available: 2,
            sysfs: "Vulnerable",
            vulnerabilities_readable: true,
            jobs: BTreeMap::new(),
            job: (30, 0, "Complete!"),
            effects: Vec::new(),
            progress: Vec::new(),
            silences: Vec::new(),
            answers_of_services: VecDeque::new(),
            fingerprint: "cpus\t64\nlink ens1\tup\nmount /srv\t\n",
            executable: obedient,
            kept: Vec::new(),
            faults: BTreeMap::new(),
            agenda: Vec::new(),
            next_record: 100,
        }
    }

    /// Puts a server on the host.
    pub fn boot_server(&mut self, number: u128, status: InstanceStatus) {
        let server = server(number, status);
        self.servers.insert(server.id, server);
    }

    /// The server of that number.
    pub fn vm(&mut self, number: u128) -> &mut Server {
        self.servers.get_mut(&id(number)).expect("the test put it there")
    }

    /// The service of a host.
    pub fn service(&mut self, name: &str) -> &mut Service {
        &mut self.services.get_mut(&host(name)).expect("one of three").service
    }

    /// Disables the service of the host for `reason`.
    pub fn disable(&mut self, reason: &str) {
        let service = self.service(HOST);
        service.status = ServiceStatus::Disabled;
        service.disabled_reason = Some(reason.to_owned());
    }

    /// Has something happen in `seconds`.
    pub fn later(&mut self, seconds: u64, incident: impl FnOnce(&mut Self) + Send + 'static) {
        self.agenda.push((Instant::now() + Duration::from_secs(seconds), Box::new(incident)));
    }

    /// Has the next call of `operation` fail.
    pub fn fault(&mut self, operation: &'static str, fault: Fault) {
        self.faults.entry(operation).or_default().push_back(fault);
    }

    /// The fault of this call.
    pub fn next_fault(&mut self, operation: &str) -> Option<Fault> {
        self.faults.get_mut(operation)?.pop_front()
    }

    /// How many of the changes begin so.
    pub fn count(&self, effect: &str) -> usize {
        self.effects.iter().filter(|done| done.starts_with(effect)).count()
    }

    fn unfold(&mut self) {
        let now = Instant::now();
        while let Some(index) = self.agenda.iter().position(|(due, _)| *due <= now) {
            let (_, incident) = self.agenda.remove(index);
            incident(self);
        }
    }

    /// A record of a live migration away from the host.
    pub fn record(&mut self, instance: InstanceId, target: &HostName, status: MigrationStatus) -> u64 {
        self.next_record += 1;
        self.migrations.push(Migration {
            id: self.next_record,
            uuid: None,
            instance,
            status,
            kind: MigrationKind::Live,
            source: Some(host(HOST)),
            target: Some(target.clone()),
            created_at: None,
            updated_at: None,
        });
        self.next_record
    }

    pub fn end_record(&mut self, record: u64, status: MigrationStatus) {
        let found = self.migrations.iter_mut().find(|migration| migration.id == record);
        found.expect("a record of this test").status = status;
    }

    fn rest(&mut self, instance: InstanceId, at: Option<HostName>, status: InstanceStatus) {
        let Some(server) = self.servers.get_mut(&instance) else { return };
        server.status = status;
        server.task_state = None;
        if at.is_some() {
            server.host = at;
        }
    }

    /// Begins to make a server: it runs after three seconds, or fails where the script says so.
    pub fn create(&mut self, wanted: &NewServer) {
        let number = 900 + self.servers.len() as u128;
        let mut made = server(number, InstanceStatus::Build);
        made.name.clone_from(&wanted.name);
        made.host = None;
        self.servers.insert(made.id, made);
        let (host, fails) = (wanted.host.clone(), self.creations_fail > 0);
        self.creations_fail -= u32::from(fails);
        self.later(3, move |s| {
            let Some(made) = s.servers.get_mut(&id(number)) else { return };
            made.status = if fails { InstanceStatus::Error } else { InstanceStatus::Active };
            made.host = (!fails).then_some(host);
            made.fault = fails.then(|| "No valid host was found.".to_owned());
        });
    }

    /// Begins to stop or start a server as Nova does: the task shows at once, the rest seconds later.
    pub fn power(&mut self, instance: InstanceId, on: bool) -> CloudResult<Accepted> {
        let operation = if on { "start" } else { "stop" };
        let (from, to) = (InstanceStatus::Active, InstanceStatus::Shutoff);
        let (from, to) = if on { (to, from) } else { (from, to) };
        let server = self.servers.get_mut(&instance).filter(|one| one.task_state.is_none() && one.status == from);
        let Some(server) = server else { return Err(cloud_error(CloudErrorKind::Conflict, operation)) };
        server.task_state = Some(format!("powering-{}", if on { "on" } else { "off" }));
        let fails = on && self.starts_fail > 0;
        self.starts_fail -= u32::from(fails);
        let actions = self.actions.entry(instance).or_default();
        let request = RequestId::new(format!("req-{operation}-{}", actions.len()));
        let action = InstanceAction {
            action: operation.to_owned(),
            request: request.clone(),
            started_at: None,
            message: None,
            user: None,
            events: Vec::new(),
        };
        actions.insert(0, action);
        let obeys = self.obeys;
        self.later(3, move |s| {
            let ends = if fails { InstanceStatus::Shutoff } else { to };
            s.rest(instance, None, if obeys { ends } else { from });
            let Some(server) = s.servers.get_mut(&instance) else { return };
            let is_on = server.status == InstanceStatus::Active;
            server.power_state = if is_on { PowerState::Running } else { PowerState::Shutdown };
            if !obeys {
                server.fault = Some("the disk does not answer".to_owned());
            }
        });
        Ok(Accepted { request: Some(request) })
    }

    /// Begins a live migration as the script says.
    pub fn migrate(&mut self, instance: InstanceId, target: &HostName, request: RequestId) {
        let before = self.servers[&instance].status.clone();
        let script = self.script.clone();
        if matches!(script, Script::Unrecorded) {
            return;
        }
        self.rest(instance, None, InstanceStatus::Migrating);
        self.servers.get_mut(&instance).expect("just found").task_state = Some("migrating".to_owned());
        let record = self.record(instance, target, MigrationStatus::Running);
        let reason = if let Script::Fails(_, _, reason) = script { reason } else { None };
        self.act(instance, request, reason);
        let target = target.clone();
        match script {
            Script::Arrives(seconds) => {
                self.later(seconds, move |s| s.rest(instance, Some(target), before));
                self.later(seconds + 1, move |s| s.end_record(record, MigrationStatus::Completed));
            }
            Script::Fails(seconds, status, _) => self.later(seconds, move |s| {
                s.end_record(record, status);
                s.rest(instance, None, before);
            }),
            Script::FailsIntoError(seconds) => {
                self.later(seconds, move |s| {
                    s.end_record(record, MigrationStatus::Error);
                    s.rest(instance, None, before);
                });
                self.later(seconds + 2, move |s| s.rest(instance, None, InstanceStatus::Error));
            }
            Script::BreaksOnTarget(seconds, status) => self.later(seconds, move |s| {
                s.end_record(record, status);
                s.rest(instance, Some(target), InstanceStatus::Error);
                s.vm(instance.uuid().as_u128()).fault = Some("post migration failed".to_owned());
            }),
            Script::DiesOnTarget(seconds) => self.later(seconds, move |s| {
                s.end_record(record, MigrationStatus::Error);
                s.rest(instance, Some(target), before);
            }),
            Script::Torn(seconds) => {
                self.later(seconds, move |s| s.end_record(record, MigrationStatus::Completed));
            }
            Script::Stale(seconds) => {
                self.later(3, move |s| {
                    s.end_record(record, MigrationStatus::Completed);
                    s.rest(instance, None, before);
                });
                self.later(3 + seconds, move |s| s.servers.get_mut(&instance).expect("there").host = Some(target));
            }
            Script::Hangs | Script::HangsForGood | Script::Unrecorded => {}
        }
    }

    /// Begins a cold migration: it waits on its target to be confirmed.
    pub fn migrate_cold(&mut self, instance: InstanceId, target: &HostName) {
        self.rest(instance, None, InstanceStatus::Resize);
        self.servers.get_mut(&instance).expect("just found").task_state = Some("resize_prep".to_owned());
        let record = self.record(instance, target, MigrationStatus::Running);
        self.migrations.last_mut().expect("just written").kind = MigrationKind::Cold;
        let (target, fails) = (target.clone(), matches!(self.script, Script::Fails(..)));
        self.later(10, move |s| {
            if fails {
                s.end_record(record, MigrationStatus::Error);
                s.rest(instance, None, InstanceStatus::Shutoff);
            } else {
                s.end_record(record, MigrationStatus::Finished);
                s.rest(instance, Some(target), InstanceStatus::VerifyResize);
            }
        });
    }

    /// Confirms a cold migration.
    pub fn confirm(&mut self, instance: InstanceId) {
        self.servers.get_mut(&instance).expect("the test put it there").task_state = Some("confirming".to_owned());
        self.later(3, move |s| {
            let record = s.migrations.last().expect("a record").id;
            s.end_record(record, MigrationStatus::Completed);
            s.rest(instance, None, InstanceStatus::Shutoff);
        });
    }

    /// Writes the action of a live migration, with the reason of its failure.
    fn act(&mut self, instance: InstanceId, request: RequestId, reason: Option<&str>) {
        let event = InstanceActionEvent {
            event: "conductor_live_migrate_instance".to_owned(),
            result: Some(if reason.is_some() { "Error" } else { "Success" }.to_owned()),
            details: reason.map(str::to_owned),
            host: None,
            started_at: None,
        };
        let action = InstanceAction {
            action: "live-migration".to_owned(),
            request,
            started_at: None,
            message: None,
            user: None,
            events: vec![event],
        };
        self.actions.entry(instance).or_default().insert(0, action);
    }

    /// Aborts a migration, unless the script has it hang for good.
    pub fn abort(&mut self, instance: InstanceId, record: u64) {
        if matches!(self.script, Script::HangsForGood) {
            return;
        }
        self.later(1, move |s| {
            s.end_record(record, MigrationStatus::Cancelled);
            s.rest(instance, None, InstanceStatus::Active);
        });
    }

    /// The host goes down, and comes back in another boot after its outage.
    pub fn reboot(&mut self) {
        if !self.reboots {
            return;
        }
        self.later(2, |s| s.answers = false);
        let Some(outage) = self.outage else { return };
        self.later(outage, |s| {
            s.answers = true;
            s.boot = "boot-2".to_owned();
            s.unit = "active";
            if s.installed >= 2 {
                s.sysfs = "Mitigation: Clear CPU buffers; SMT vulnerable";
            }
        });
    }

    /// The host's power is switched off and on: it boots, whatever it did before.
    pub fn power_cycle(&mut self, seconds: u64) {
        self.answers = false;
        let boot = format!("{}-cycled", self.boot);
        self.later(seconds, move |s| {
            s.answers = true;
            s.boot = boot;
            s.unit = "active";
        });
    }

    /// Alertmanager takes a silence, or another end of one that it has; gives its id.
    pub fn silence(&mut self, silence: &serde_json::Value) -> String {
        let mut silence = silence.clone();
        self.effects.push(format!("silenced until {}", silence["endsAt"].as_str().unwrap_or_default()));
        let id = silence["id"].as_str().map_or_else(|| format!("id-{}", self.silences.len()), str::to_owned);
        self.silences.retain(|one| one["id"] != id.as_str());
        silence["id"] = id.as_str().into();
        silence["status"] = serde_json::json!({"state": "active"});
        self.silences.push(silence);
        id
    }

    /// nova-compute reports every ten seconds from now on.
    pub fn report(&mut self) {
        let found = self.services.get_mut(&host(HOST)).expect("one of three");
        found.updated_at = found.updated_at.and_then(|at| at.checked_add(Duration::from_secs(10)).ok());
        self.later(10, Self::report);
    }
}

/// Does what it is told, whether it is called as a command or as `ansible-playbook`.
pub fn obedient(state: &mut State, call: &Call) -> (i32, String) {
    let says = |word: &str| call.words.iter().any(|one| one == word);
    if says("--list-hosts") {
        return (0, format!("  play #1 (all): all\n    hosts (1):\n      {HOST}\n"));
    }
    let acts = call.input.contains("\"phase\":\"apply\"") || (call.input.is_empty() && !says("--check"));
    let was_done = state.count("executable") > 0;
    if acts && !was_done {
        state.effects.push(format!("executable {}", call.words.join(" ")));
    }
    let done = was_done || acts;
    if call.input.is_empty() {
        let changed = u32::from(!was_done);
        return (0, format!("PLAY RECAP ***\n{HOST} : ok=1 changed={changed} unreachable=0 failed=0\n"));
    }
    (0, serde_json::json!({"done": done, "note": "as told"}).to_string())
}

impl Lab {
    pub fn new() -> Self {
        Self { state: Mutex::new(State::new()), began: Instant::now(), rungs: Vec::new(), recorded: Mutex::default() }
    }

    /// The state, with all that is due having happened.
    pub fn state(&self) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().expect("no test panics while it holds the state");
        state.unfold();
        state
    }
}

/// An error of `kind` as an adapter would word it.
pub fn cloud_error(kind: CloudErrorKind, operation: &str) -> CloudError {
    let mut error = CloudError::new(kind, operation, format!("{kind:?}"));
    error.request = Some(RequestId::new("req-refused"));
    error
}
