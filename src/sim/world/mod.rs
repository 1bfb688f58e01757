//! The simulated region: a pure state machine of Nova, Placement and the hosts below them.
//!
//! Time comes in as a value ([`World::advance`]); chance comes from a seed. Every method that stands for an API
//! operation answers as the real service does, refusals included; what was accepted happens later, when time is
//! advanced over it. `sim::ports` and `sim::http` show one world to the outside. Facts it is held to were seen on
//! real regions and are held by the conformance suite.

mod activity;
mod agenda;
mod cold;
mod compute;
mod host;
mod incident;
mod job;
mod live;
mod machine;
mod placement;
mod random;
mod reboot;
mod record;
mod refusal;
mod scheduler;
mod server;
mod server_tasks;
mod service;
mod tenants;
mod timing;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;
use rand::rngs::StdRng;

pub use activity::{Activity, ActivityEvent, Caller};
pub use host::{Capacity, SimDomain, SimHost};
pub use job::{JobState, SimJob, Work};
pub use machine::{CurrentBoot, Machine, Os, Processor, Role, Update};
pub use random::{Spread, dice, uuid};
pub use reboot::{RebootOrdered, ShellRefusal, boot_id};
pub use record::{Record, RecordKind, RecordStatus};
pub use refusal::{Refusal, RefusalKind};
pub(super) use scheduler::heaviest;
pub use server::{Power, SimServer, Task, VmState};
pub use server_tasks::NewServer;
pub use service::ServiceChange;
pub use tenants::TenantCounts;
pub use timing::{PercentRange, Timing};

use super::faults::Faults;
use crate::model::{Group, GroupId, HostName, InstanceId, RequestId, ServiceId};
use agenda::{Agenda, Happening};
use tenants::Tenants;

/// A host aggregate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimAggregate {
    /// Name.
    pub name: String,
    /// UUID, also in Placement.
    pub uuid: String,
    /// Members.
    pub hosts: BTreeSet<HostName>,
    /// Metadata; `availability_zone` makes it a zone.
    pub metadata: BTreeMap<String, String>,
}

/// A server group with its name and members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimGroup {
    /// Id, policy, rules.
    pub group: Group,
    /// Name.
    pub name: String,
    /// Members.
    pub members: BTreeSet<InstanceId>,
}

/// A guest that was running or paused when its host went down: there must be none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LostGuest {
    /// The host.
    pub host: HostName,
    /// The instance.
    pub instance: InstanceId,
    /// When.
    pub at: Timestamp,
}

/// Something that a request or a command changed; what a dry run must not leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// When.
    pub at: Timestamp,
    /// What.
    pub what: String,
}

/// A simulated region.
#[derive(Debug, Clone)]
pub struct World {
    pub(super) seed: u64,
    pub(super) now: Timestamp,
    region: String,
    timing: Timing,
    faults: Faults,
    hosts: BTreeMap<HostName, SimHost>,
    host_of_provider: BTreeMap<::uuid::Uuid, HostName>,
    host_of_service: BTreeMap<ServiceId, HostName>,
    servers: BTreeMap<InstanceId, SimServer>,
    aggregates: Vec<SimAggregate>,
    /// By host, places of its aggregates in the list.
    aggregates_of: BTreeMap<HostName, Vec<usize>>,
    groups: BTreeMap<GroupId, SimGroup>,
    records: record::Records,
    agenda: Agenda,
    lost: Vec<LostGuest>,
    executables: BTreeMap<String, u32>,
    silences: BTreeMap<String, serde_json::Value>,
    changes: Vec<Change>,
    reboots: Vec<RebootOrdered>,
    /// Instances for which Nova names a host that they have left, until then.
    stale: BTreeMap<InstanceId, (HostName, Timestamp)>,
    /// Nothing is kept of what is over.
    is_forgetful: bool,
    tenants: Tenants,
    requests: u64,
    commands: u64,
    calls: BTreeMap<&'static str, u64>,
    api_down_until: Option<Timestamp>,
    triggered: BTreeSet<usize>,
    rule_uses: BTreeMap<String, u32>,
}

impl World {
    /// An empty region that begins at `start`.
    pub fn new(region: impl Into<String>, seed: u64, start: Timestamp, timing: Timing) -> Self {
        Self {
            seed,
            now: start,
            region: region.into(),
            timing,
            faults: Faults::default(),
            hosts: BTreeMap::new(),
            host_of_provider: BTreeMap::new(),
            host_of_service: BTreeMap::new(),
            servers: BTreeMap::new(),
            aggregates: Vec::new(),
            aggregates_of: BTreeMap::new(),
            groups: BTreeMap::new(),
            records: record::Records::default(),
            agenda: Agenda::default(),
            lost: Vec::new(),
            executables: BTreeMap::new(),
            silences: BTreeMap::new(),
            changes: Vec::new(),
            reboots: Vec::new(),
            stale: BTreeMap::new(),
            is_forgetful: false,
            tenants: Tenants::default(),
            requests: 0,
            commands: 0,
            calls: BTreeMap::new(),
            api_down_until: None,
            triggered: BTreeSet::new(),
            rule_uses: BTreeMap::new(),
        }
    }

    /// Lets time pass until `to`; everything that is due until then happens, in order. Time never goes back.
    pub fn advance(&mut self, to: Timestamp) {
        while let Some((at, happening)) = self.agenda.next_due(to) {
            self.now = self.now.max(at);
            self.happen(happening);
        }
        self.now = self.now.max(to);
    }

    /// When something happens next by itself.
    pub fn next_happening(&self) -> Option<Timestamp> {
        self.agenda.next_at()
    }

    /// The region's time.
    pub fn now(&self) -> Timestamp {
        self.now
    }

    /// The seed of everything that is left to chance.
    pub fn seed(&self) -> u64 {
        self.seed
    }

    /// Its name in the catalog.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// Its durations.
    pub fn timing(&self) -> &Timing {
        &self.timing
    }

    /// All hosts by name.
    pub fn hosts(&self) -> impl Iterator<Item = &SimHost> {
        self.hosts.values()
    }

    /// One host.
    pub fn host(&self, name: &HostName) -> Option<&SimHost> {
        self.hosts.get(name)
    }

    /// The host whose resource provider has that id.
    pub fn provider_host(&self, provider: ::uuid::Uuid) -> Option<&SimHost> {
        self.host_of_provider.get(&provider).and_then(|name| self.hosts.get(name))
    }

    /// All aggregates.
    pub fn aggregates(&self) -> &[SimAggregate] {
        &self.aggregates
    }

    /// Those that a host is in.
    pub fn aggregates_of(&self, host: &HostName) -> impl Iterator<Item = &SimAggregate> {
        self.aggregates_of.get(host).into_iter().flatten().filter_map(|place| self.aggregates.get(*place))
    }

    /// All server groups by id.
    pub fn groups(&self) -> impl Iterator<Item = &SimGroup> {
        self.groups.values()
    }

    /// One server group.
    pub fn group(&self, id: &GroupId) -> Option<&SimGroup> {
        self.groups.get(id)
    }

    /// Guests that ended because their host went down.
    pub fn lost(&self) -> &[LostGuest] {
        &self.lost
    }

    /// What requests and commands changed, oldest first.
    pub fn changes(&self) -> &[Change] {
        &self.changes
    }

    /// Reboots that were ordered and accepted, oldest first, each with what was on the host.
    pub fn reboots_ordered(&self) -> &[RebootOrdered] {
        &self.reboots
    }

    /// A request id that no other request has.
    pub fn next_request(&mut self) -> RequestId {
        self.requests += 1;
        RequestId::new(format!("req-{}", uuid(&mut dice(self.seed, "request", "", self.requests))))
    }

    /// Adds an aggregate.
    pub fn add_aggregate(&mut self, aggregate: SimAggregate) {
        for host in &aggregate.hosts {
            self.aggregates_of.entry(host.clone()).or_default().push(self.aggregates.len());
        }
        self.aggregates.push(aggregate);
    }

    /// Adds a server group.
    pub fn add_group(&mut self, name: impl Into<String>, group: Group) {
        let members = BTreeSet::new();
        self.groups.insert(group.id.clone(), SimGroup { group, name: name.into(), members });
    }

    /// How long the next answer to `operation` takes.
    pub fn answer_time(&self, operation: &str) -> Duration {
        let nth = self.calls.get(operation).copied().unwrap_or(0);
        let answer = self.timing.answer;
        answer.always().unwrap_or_else(|| answer.draw(&mut self.dice("answer", operation, nth)))
    }

    /// How long the next command on `host` takes.
    pub fn shell_time(&mut self, host: &HostName) -> Duration {
        self.commands += 1;
        let shell = self.timing.shell;
        shell.always().unwrap_or_else(|| shell.draw(&mut self.dice("shell", host.as_str(), self.commands)))
    }

    fn dice(&self, what: &str, key: &str, nth: u64) -> StdRng {
        dice(self.seed, what, key, nth)
    }

    /// From now on nobody wants to know what was done: a rehearsal of a large region keeps its memory flat.
    pub fn forget_history(&mut self) {
        self.is_forgetful = true;
        self.changes.clear();
        self.servers.values_mut().for_each(|server| server.activities = Vec::new());
    }

    /// How often an executable beside the region did its work; each kind of work by a name of its own.
    pub fn commands_run(&self, work: &str) -> u32 {
        self.executables.get(work).copied().unwrap_or(0)
    }

    /// An executable beside the region does its work.
    pub fn run_command(&mut self, work: &str) {
        self.record_change(|| format!("command: {work}"));
        *self.executables.entry(work.to_owned()).or_default() += 1;
    }

    /// Silences of alarms, by id.
    pub fn alarm_silences(&self) -> impl Iterator<Item = (&String, &serde_json::Value)> {
        self.silences.iter()
    }

    /// A silence is put in place, or ended.
    pub fn silence_alarms(&mut self, id: &str, silence: Option<serde_json::Value>) {
        let what = if silence.is_some() { "silenced" } else { "not silenced" };
        self.record_change(|| format!("{what}: {id}"));
        match silence {
            Some(silence) => self.silences.insert(id.to_owned(), silence),
            None => self.silences.remove(id),
        };
    }

    fn record_change(&mut self, what: impl FnOnce() -> String) {
        if !self.is_forgetful {
            self.changes.push(Change { at: self.now, what: what() });
        }
    }

    fn plan(&mut self, after: Duration, happening: Happening) {
        self.agenda.plan(later(self.now, after), happening);
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::OpenRecord(opening) => self.open_record(&opening),
            Happening::Live { migration, epoch, stage } => self.live_stage(migration, epoch, stage),
            Happening::Cold { migration, stage } => self.cold_stage(migration, stage),
            Happening::ServerDone { server, end, request } => self.server_done(server, end, request.as_ref()),
            Happening::ComputeReady { host, epoch } => self.compute_ready(&host, epoch),
            Happening::PowerSync { host } => self.power_sync(&host),
            Happening::JobEnds { host, unit, boot } => self.job_ends(&host, &unit, &boot),
            Happening::HostDown { host } => self.host_down(&host),
            Happening::HostUp { host } => self.host_up(&host),
            Happening::Incident { index } => self.incident(index),
            Happening::OwnerConfirms { server, every } => self.owner_confirms(server, every),
            Happening::Tenant => self.tenant_acts(),
        }
    }
}

/// `at` plus `after`, stopping at the end of time.
fn later(at: Timestamp, after: Duration) -> Timestamp {
    at.checked_add(after).unwrap_or(Timestamp::MAX)
}
