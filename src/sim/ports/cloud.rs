//! [`Cloud`] of a simulated region, in-process.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;

use super::SimRegion;
use crate::cloud::{
    Accepted, Aggregate, Allocation, ApiCost, Cloud, CloudError, CloudErrorKind, CloudResult, Compute, ComputeService,
    Hypervisor, InstanceAction, InstanceActionEvent, Migration, MigrationKind, MigrationProgress, MigrationStatus,
    MigrationsQuery, NewServer, Placement, PowerState, Provider, Server, ServerGroup, ServersQuery,
};
use crate::model::{Flavor, GroupId, HostName, InstanceId, RequestId, Service, ServiceId, ServiceStatus};
use crate::sim::faults::ApiFault;
use crate::sim::world::{
    Activity, Caller, Power, Record, RecordKind, RecordStatus, Refusal, RefusalKind, ServiceChange, SimGroup, SimHost,
    SimServer, World,
};

/// How long a request waits for an answer that does not come.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// How often a read is repeated after a failure that may pass, as the real adapter repeats it.
const READ_REPEATS: u32 = 3;

/// Whether a request may be repeated after it may have arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Repeat {
    Safe,
    Unsafe,
}

/// The cloud of a simulated region.
#[derive(Debug)]
pub struct SimCloud {
    region: Arc<SimRegion>,
    name: String,
    requests: AtomicU64,
    retries: AtomicU64,
}

impl SimCloud {
    /// The cloud of `region`.
    pub fn new(region: Arc<SimRegion>) -> Self {
        let name = region.with(|world| world.region().to_owned());
        Self { region, name, requests: AtomicU64::new(0), retries: AtomicU64::new(0) }
    }

    /// One request: it takes time, may fail on the way, and is repeated where that is safe.
    async fn call<T>(
        &self,
        repeat: Repeat,
        operation: &'static str,
        subject: &(dyn Display + Sync),
        work: impl Fn(&mut World) -> Result<T, Refusal> + Send + Sync,
    ) -> CloudResult<T>
    where
        T: Send,
    {
        let mut tries = 0;
        loop {
            tries += 1;
            let result = self.once(operation, subject, &work).await;
            match result {
                Err(error) if repeat == Repeat::Safe && error.is_transient() && tries <= READ_REPEATS => {
                    self.retries.fetch_add(1, Ordering::Relaxed);
                    self.region.pass(Duration::from_secs(1 << tries)).await;
                }
                Ok(_) | Err(_) => return result,
            }
        }
    }

    async fn once<T>(
        &self,
        operation: &'static str,
        subject: &(dyn Display + Sync),
        work: &(impl Fn(&mut World) -> Result<T, Refusal> + Send + Sync),
    ) -> CloudResult<T>
    where
        T: Send,
    {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let (takes, fault) = self.region.with(|world| (world.answer_time(operation), world.api_fault(operation)));
        self.region.pass(takes).await;
        // Most calls go well, and a rehearsal makes millions of them.
        let what = || format!("{} {subject}", operation.replace('_', " "));
        let fail = |kind, status: Option<u16>, message: &str| {
            let request = status.map(|_| self.region.with(World::next_request));
            Err(CloudError { operation: what(), kind, status, message: message.to_owned(), request, source: None })
        };
        match fault {
            None => {}
            Some(ApiFault::TooManyRequests) => {
                return fail(CloudErrorKind::TooManyRequests, Some(429), "too many requests");
            }
            Some(ApiFault::Conflict) => {
                return fail(CloudErrorKind::Conflict, Some(409), "it is in the middle of something else");
            }
            Some(ApiFault::ServerError) => {
                return fail(CloudErrorKind::Server, Some(500), "Unexpected API Error.");
            }
            Some(ApiFault::Unavailable) => {
                return fail(CloudErrorKind::Server, Some(503), "service unavailable");
            }
            Some(ApiFault::Timeout) => {
                self.region.pass(ANSWER_TIMEOUT).await;
                return fail(CloudErrorKind::TimedOut, None, "no answer in time");
            }
            Some(ApiFault::Reset) => return fail(CloudErrorKind::Unreachable, None, "connection reset by peer"),
            Some(ApiFault::TimeoutAfterEffect) => {
                drop(self.region.with(work));
                self.region.pass(ANSWER_TIMEOUT).await;
                return fail(CloudErrorKind::TimedOut, None, "no answer in time");
            }
            Some(ApiFault::ResetAfterEffect) => {
                drop(self.region.with(work));
                return fail(CloudErrorKind::Unreachable, None, "connection reset by peer");
            }
        }
        let (result, request) = self.region.with(|world| {
            let result = work(world);
            let request = result.is_err().then(|| world.next_request());
            (result, request)
        });
        result.map_err(|refusal| CloudError {
            operation: what(),
            kind: error_kind(refusal.kind),
            status: Some(refusal.kind.status()),
            message: refusal.message,
            request,
            source: None,
        })
    }

    async fn read<T: Send>(&self, operation: &'static str, work: impl Fn(&World) -> T + Send + Sync) -> CloudResult<T> {
        self.call(Repeat::Safe, operation, &"", |world| Ok(work(world))).await
    }

    async fn ask(
        &self,
        repeat: Repeat,
        operation: &'static str,
        subject: &(dyn Display + Sync),
        work: impl Fn(&mut World) -> Result<RequestId, Refusal> + Send + Sync,
    ) -> CloudResult<Accepted> {
        let request = self.call(repeat, operation, subject, work).await?;
        Ok(Accepted { request: Some(request) })
    }
}

fn error_kind(kind: RefusalKind) -> CloudErrorKind {
    match kind {
        RefusalKind::BadRequest => CloudErrorKind::Refused,
        RefusalKind::Forbidden => CloudErrorKind::Forbidden,
        RefusalKind::NotFound => CloudErrorKind::NotFound,
        RefusalKind::Conflict => CloudErrorKind::Conflict,
    }
}

impl Cloud for SimCloud {
    fn region(&self) -> &str {
        &self.name
    }

    fn cost(&self) -> ApiCost {
        ApiCost { requests: self.requests.load(Ordering::Relaxed), retries: self.retries.load(Ordering::Relaxed) }
    }
}

#[async_trait]
impl Compute for SimCloud {
    async fn services(&self) -> CloudResult<Vec<ComputeService>> {
        self.read("services", |world| world.hosts().map(|host| service_of(world, host)).collect()).await
    }

    async fn service(&self, host: &HostName) -> CloudResult<Option<ComputeService>> {
        self.read("services", |world| world.host(host).map(|host| service_of(world, host))).await
    }

    async fn disable_service(&self, id: &ServiceId, reason: &str) -> CloudResult<Accepted> {
        let change = ServiceChange {
            status: Some(ServiceStatus::Disabled),
            disabled_reason: Some(reason.to_owned()),
            forced_down: None,
        };
        let disable = |world: &mut World| world.update_service(id.as_str(), &change).map(|(_, request)| request);
        self.ask(Repeat::Safe, "disable_service", id, disable).await
    }

    async fn enable_service(&self, id: &ServiceId) -> CloudResult<Accepted> {
        let change = ServiceChange { status: Some(ServiceStatus::Enabled), ..ServiceChange::default() };
        let enable = |world: &mut World| world.update_service(id.as_str(), &change).map(|(_, request)| request);
        self.ask(Repeat::Safe, "enable_service", id, enable).await
    }

    async fn hypervisors(&self) -> CloudResult<Vec<Hypervisor>> {
        let all = |world: &World| {
            let hypervisor = |host: &SimHost| Hypervisor {
                id: host.provider.to_string(),
                hostname: host.name.to_string(),
                host: host.name.clone(),
                kind: "QEMU".to_owned(),
            };
            world.hosts().map(hypervisor).collect()
        };
        self.read("hypervisors", all).await
    }

    async fn aggregates(&self) -> CloudResult<Vec<Aggregate>> {
        let all = |world: &World| {
            let aggregates = world.aggregates().iter();
            aggregates
                .map(|aggregate| Aggregate {
                    name: aggregate.name.clone(),
                    zone: aggregate.metadata.get("availability_zone").map(|zone| zone.as_str().into()),
                    hosts: aggregate.hosts.iter().cloned().collect(),
                    metadata: aggregate.metadata.clone(),
                })
                .collect()
        };
        self.read("aggregates", all).await
    }

    async fn server_groups(&self) -> CloudResult<Vec<ServerGroup>> {
        self.read("server_groups", |world| world.groups().map(group_of).collect()).await
    }

    async fn groups_of(&self, instances: &[InstanceId]) -> CloudResult<Vec<ServerGroup>> {
        let some = |world: &World| {
            let named = instances.iter().filter_map(|id| world.server(*id).ok()?.group.as_ref());
            let named: BTreeSet<&GroupId> = named.collect();
            named.into_iter().filter_map(|id| world.group(id)).map(group_of).collect()
        };
        self.read("server_groups", some).await
    }

    async fn servers(&self, query: &ServersQuery) -> CloudResult<Vec<Server>> {
        let list = |world: &World| -> Vec<Server> {
            let server = |server: &SimServer| server_of(world, server, View::List);
            match (&query.host, query.changes_since) {
                (Some(host), None) => world.servers_shown_on(host).map(server).collect(),
                (host, since) => world
                    .all_servers()
                    .filter(|server| since.map_or(!server.is_deleted(), |since| server.updated >= since))
                    .filter(|server| host.is_none() || world.shown_host(server) == host.as_ref())
                    .filter(|server| query.name.as_ref().is_none_or(|name| server.name == *name))
                    .map(server)
                    .collect(),
            }
        };
        let servers = self.read("servers", list).await?;
        let each = self.region.with(|world| world.timing().answer_per_server.get());
        self.region.pass(each.saturating_mul(u32::try_from(servers.len()).unwrap_or(u32::MAX))).await;
        Ok(servers)
    }

    async fn server(&self, id: InstanceId) -> CloudResult<Server> {
        let show = |world: &mut World| world.server(id).map(|server| server_of(world, server, View::Show));
        self.call(Repeat::Safe, "server", &id, show).await
    }

    async fn migrations(&self, query: &MigrationsQuery) -> CloudResult<Vec<Migration>> {
        let list = |world: &World| {
            let records = world.records(query.instance, query.host.as_ref());
            let open = |record: &&Record| !query.in_progress || record.status.is_open();
            let since = query.changed_since;
            let changed = |record: &&Record| since.is_none_or(|since| record.updated.is_some_and(|at| at >= since));
            records.filter(open).filter(changed).map(migration_of).collect()
        };
        self.read("migrations", list).await
    }

    async fn migration_progress(&self, server: InstanceId, migration: u64) -> CloudResult<Option<MigrationProgress>> {
        let progress = |world: &mut World| {
            world.server(server)?;
            let record = world.records(Some(server), None).find(|record| record.id == migration);
            Ok(record.filter(|record| record.is_listed_in_progress()).map(|record| {
                let (total, processed, remaining) = record.memory(world.now());
                MigrationProgress {
                    memory_total: total,
                    memory_processed: processed,
                    memory_remaining: remaining,
                    disk_total: 0,
                    disk_remaining: 0,
                }
            }))
        };
        self.call(Repeat::Safe, "migration_progress", &server, progress).await
    }

    async fn live_migrate(&self, server: InstanceId, target: Option<&HostName>) -> CloudResult<Accepted> {
        let migrate = |world: &mut World| world.live_migrate(server, target, Caller::Operator);
        self.ask(Repeat::Unsafe, "live_migrate", &server, migrate).await
    }

    async fn cold_migrate(&self, server: InstanceId, target: Option<&HostName>) -> CloudResult<Accepted> {
        let migrate = |world: &mut World| world.cold_migrate(server, target, Caller::Operator);
        self.ask(Repeat::Unsafe, "cold_migrate", &server, migrate).await
    }

    async fn confirm_resize(&self, server: InstanceId) -> CloudResult<Accepted> {
        let confirm = |world: &mut World| world.confirm_resize(server, Caller::Operator);
        self.ask(Repeat::Unsafe, "confirm_resize", &server, confirm).await
    }

    async fn abort_migration(&self, server: InstanceId, migration: u64) -> CloudResult<Accepted> {
        let abort = |world: &mut World| world.abort_migration(server, migration, Caller::Operator);
        self.ask(Repeat::Unsafe, "abort_migration", &server, abort).await
    }

    async fn force_complete(&self, server: InstanceId, migration: u64) -> CloudResult<Accepted> {
        let force = |world: &mut World| world.force_complete(server, migration, Caller::Operator);
        self.ask(Repeat::Unsafe, "force_complete", &server, force).await
    }

    async fn stop(&self, server: InstanceId) -> CloudResult<Accepted> {
        let stop = |world: &mut World| world.stop(server, Caller::Operator);
        self.ask(Repeat::Unsafe, "stop", &server, stop).await
    }

    async fn start(&self, server: InstanceId) -> CloudResult<Accepted> {
        let start = |world: &mut World| world.start(server, Caller::Operator);
        self.ask(Repeat::Unsafe, "start", &server, start).await
    }

    async fn create_server(&self, server: &NewServer) -> CloudResult<Accepted> {
        let create = |world: &mut World| world.create(&server.host, &server.name, &server.metadata);
        self.ask(Repeat::Unsafe, "create", &server.name, create).await
    }

    async fn delete_server(&self, server: InstanceId) -> CloudResult<Accepted> {
        let delete = |world: &mut World| world.delete(server, Caller::Operator);
        self.ask(Repeat::Safe, "delete", &server.to_string(), delete).await
    }

    async fn reset_to_active(&self, server: InstanceId) -> CloudResult<Accepted> {
        let reset = |world: &mut World| world.reset_to_active(server, Caller::Operator);
        self.ask(Repeat::Unsafe, "reset_state", &server.to_string(), reset).await
    }

    async fn instance_actions(&self, server: InstanceId) -> CloudResult<Vec<InstanceAction>> {
        let list = |world: &mut World| {
            world.server(server).map(|server| server.activities.iter().rev().map(action_of).collect())
        };
        self.call(Repeat::Safe, "instance_actions", &server, list).await
    }
}

#[async_trait]
impl Placement for SimCloud {
    async fn providers(&self) -> CloudResult<Vec<Provider>> {
        self.read("providers", |world| world.hosts().map(|host| provider_of(world, host)).collect()).await
    }

    async fn provider(&self, host: &HostName) -> CloudResult<Option<Provider>> {
        self.read("provider", |world| world.host(host).map(|host| provider_of(world, host))).await
    }

    async fn allocations(&self, provider: &str) -> CloudResult<Vec<Allocation>> {
        let list = |world: &mut World| {
            let host = provider.parse().ok().and_then(|id| world.provider_host(id));
            let host = host.ok_or_else(|| {
                Refusal::not_found(format!("Resource provider '{provider}' not found: No resource provider with uuid"))
            })?;
            let allocation = |(consumer, resources): (uuid::Uuid, &crate::model::Resources)| Allocation {
                consumer: consumer.to_string(),
                resources: resources.clone(),
            };
            Ok(host.allocations().map(allocation).collect())
        };
        self.call(Repeat::Safe, "allocations", &provider, list).await
    }
}

fn group_of(group: &SimGroup) -> ServerGroup {
    ServerGroup { group: group.group.clone(), members: group.members.iter().copied().collect() }
}

fn service_of(world: &World, host: &SimHost) -> ComputeService {
    ComputeService {
        host: host.name.clone(),
        zone: Some(host.zone.clone()),
        service: Service {
            id: host.service.id.clone(),
            state: world.service_state(host),
            status: host.service.status,
            disabled_reason: host.service.disabled_reason.clone(),
            forced_down: host.service.forced_down,
        },
        updated_at: Some(world.service_updated(host)),
        cell_is_down: false,
    }
}

/// Nova shows more of one server than of each in a list.
#[derive(Clone, Copy, PartialEq, Eq)]
enum View {
    List,
    Show,
}

fn flavor_of(server: &SimServer) -> Flavor {
    let extra_specs = server.traits.iter().map(|name| (format!("trait:{name}"), "required".to_owned())).collect();
    Flavor { name: "sim".to_owned(), extra_specs }
}

fn server_of(world: &World, server: &SimServer, view: View) -> Server {
    let host = world.shown_host(server);
    let zone = host.and_then(|name| world.host(name)).map(|host| host.zone.clone());
    let groups = match view {
        View::List => Vec::new(),
        View::Show => server.group.iter().map(ToString::to_string).collect(),
    };
    Server {
        id: server.id,
        name: server.name.clone(),
        project: server.project.clone(),
        host: host.cloned(),
        status: server.status(),
        vm_state: server.vm_state.word().to_owned(),
        task_state: server.task.map(|task| task.word().to_owned()),
        power_state: match server.power {
            Power::NoState => PowerState::NoState,
            Power::Running => PowerState::Running,
            Power::Paused => PowerState::Paused,
            Power::Shutdown => PowerState::Shutdown,
            Power::Suspended => PowerState::Suspended,
        },
        locked: server.locked,
        locked_reason: None,
        zone,
        pinned_zone: server.pinned_zone.clone(),
        resources: server.resources.clone(),
        flavor: Some(flavor_of(server)),
        image: BTreeMap::new(),
        groups,
        traits: server.traits.clone(),
        metadata: server.metadata.clone(),
        fault: server.fault.clone(),
        launched_at: server.launched,
        updated: Some(server.updated),
        progress: Some(0),
    }
}

fn migration_of(record: &Record) -> Migration {
    Migration {
        id: record.id,
        uuid: Some(record.uuid.to_string()),
        instance: record.instance,
        status: match record.status {
            RecordStatus::Accepted | RecordStatus::Queued | RecordStatus::Preparing | RecordStatus::PreMigrating => {
                MigrationStatus::Starting
            }
            RecordStatus::Running | RecordStatus::Migrating | RecordStatus::PostMigrating => MigrationStatus::Running,
            RecordStatus::Completed | RecordStatus::Confirmed => MigrationStatus::Completed,
            RecordStatus::Failed => MigrationStatus::Failed,
            RecordStatus::Error => MigrationStatus::Error,
            RecordStatus::Cancelled => MigrationStatus::Cancelled,
            RecordStatus::Finished | RecordStatus::Confirming => MigrationStatus::Finished,
        },
        kind: match record.kind {
            RecordKind::Live => MigrationKind::Live,
            RecordKind::Cold => MigrationKind::Cold,
            RecordKind::Resize => MigrationKind::Resize,
        },
        source: Some(record.source.clone()),
        target: record.target.clone(),
        created_at: Some(record.created),
        updated_at: record.updated,
    }
}

fn action_of(activity: &Activity) -> InstanceAction {
    let event = |event: &crate::sim::world::ActivityEvent| InstanceActionEvent {
        event: event.event.to_owned(),
        result: Some(if event.success { "Success" } else { "Error" }.to_owned()),
        details: event.details.clone(),
        host: Some(event.host.as_ref().map_or_else(|| "controller".to_owned(), ToString::to_string)),
        started_at: Some(event.started),
    };
    InstanceAction {
        action: activity.action.to_owned(),
        request: activity.request.clone(),
        started_at: Some(activity.started),
        message: activity.message.map(str::to_owned),
        user: Some(activity.user.clone()),
        events: activity.events.iter().map(event).collect(),
    }
}

fn provider_of(world: &World, host: &SimHost) -> Provider {
    Provider {
        id: host.provider.to_string(),
        name: host.name.to_string(),
        capacity: host.allocatable(),
        used: host.used(),
        traits: host.placement_traits(),
        aggregates: world.aggregates_of(&host.name).map(|aggregate| aggregate.uuid.clone()).collect(),
    }
}
