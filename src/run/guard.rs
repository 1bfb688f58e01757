//! The one place through which a run changes anything: each change is preceded by a look at whether the region is still
//! held, and goes on only as long as it is. A runner whose lease ran out, for example because it was frozen, sends nothing
//! more.

use std::sync::Arc;

use async_trait::async_trait;

use super::step::Ports;
use crate::cloud::{
    Accepted, Aggregate, Allocation, ApiCost, Cloud, CloudError, CloudErrorKind, CloudResult, Compute, ComputeService,
    Hypervisor, InstanceAction, Migration, MigrationProgress, MigrationsQuery, NewServer, Placement, Provider, Server,
    ServerGroup, ServersQuery,
};
use crate::host::{
    Boot, FenceOrder, HostError, HostErrorKind, HostResult, HostShell, Inquiry, JobOrder, JobStatus, PowerOrder,
    RawFacts, RebootOrder,
};
use crate::http::JsonAnswer;
use crate::journal::{JournalError, RegionHold};
use crate::model::{Domain, HostIdentity, HostName, InstanceId, RequestId, ServiceId, UnitName};
use crate::outside::{Call, Ended, HttpCall, Outside, Rung};

/// The same ports, that change nothing once `hold` is lost.
pub(super) fn guarded(ports: &Ports, hold: &Arc<dyn RegionHold>) -> Ports {
    Ports {
        cloud: Arc::new(GuardedCloud { inner: Arc::clone(&ports.cloud), hold: Arc::clone(hold) }),
        shell: Arc::new(GuardedShell { inner: Arc::clone(&ports.shell), hold: Arc::clone(hold) }),
        outside: Arc::new(GuardedOutside { inner: Arc::clone(&ports.outside), hold: Arc::clone(hold) }),
        clock: Arc::clone(&ports.clock),
    }
}

/// Carries out a change while the region is held: one that waits for its turn or for another attempt when the hold is lost is
/// given up there. `Err` then; what was on the wire may still arrive.
async fn while_held<T>(hold: &dyn RegionHold, change: impl Future<Output = T>) -> Result<T, JournalError> {
    let mut change = std::pin::pin!(change);
    loop {
        hold.check()?;
        let Some(left) = hold.left() else { return Ok(change.await) };
        if let Ok(done) = tokio::time::timeout(left, &mut change).await {
            return Ok(done);
        }
    }
}

struct GuardedCloud {
    inner: Arc<dyn Cloud>,
    hold: Arc<dyn RegionHold>,
}

impl GuardedCloud {
    async fn change<T>(&self, operation: &str, change: impl Future<Output = CloudResult<T>>) -> CloudResult<T> {
        let refused = |lost: JournalError| CloudError::new(CloudErrorKind::Refused, operation, lost.to_string());
        while_held(self.hold.as_ref(), change).await.unwrap_or_else(|lost| Err(refused(lost)))
    }
}

impl Cloud for GuardedCloud {
    fn region(&self) -> &str {
        self.inner.region()
    }

    fn cost(&self) -> ApiCost {
        self.inner.cost()
    }
}

#[async_trait]
impl Compute for GuardedCloud {
    async fn services(&self) -> CloudResult<Vec<ComputeService>> {
        self.inner.services().await
    }

    async fn service(&self, host: &HostName) -> CloudResult<Option<ComputeService>> {
        self.inner.service(host).await
    }

    async fn disable_service(&self, id: &ServiceId, reason: &str) -> CloudResult<Accepted> {
        self.change("disable a service", self.inner.disable_service(id, reason)).await
    }

    async fn enable_service(&self, id: &ServiceId) -> CloudResult<Accepted> {
        self.change("enable a service", self.inner.enable_service(id)).await
    }

    async fn hypervisors(&self) -> CloudResult<Vec<Hypervisor>> {
        self.inner.hypervisors().await
    }

    async fn aggregates(&self) -> CloudResult<Vec<Aggregate>> {
        self.inner.aggregates().await
    }

    async fn server_groups(&self) -> CloudResult<Vec<ServerGroup>> {
        self.inner.server_groups().await
    }

    async fn groups_of(&self, instances: &[InstanceId]) -> CloudResult<Vec<ServerGroup>> {
        self.inner.groups_of(instances).await
    }

    async fn servers(&self, query: &ServersQuery) -> CloudResult<Vec<Server>> {
        self.inner.servers(query).await
    }

    async fn server(&self, id: InstanceId) -> CloudResult<Server> {
        self.inner.server(id).await
    }

    async fn migrations(&self, query: &MigrationsQuery) -> CloudResult<Vec<Migration>> {
        self.inner.migrations(query).await
    }

    async fn migration_progress(&self, server: InstanceId, migration: u64) -> CloudResult<Option<MigrationProgress>> {
        self.inner.migration_progress(server, migration).await
    }

    async fn live_migrate(&self, server: InstanceId, target: Option<&HostName>) -> CloudResult<Accepted> {
        self.change("live-migrate an instance", self.inner.live_migrate(server, target)).await
    }

    async fn cold_migrate(&self, server: InstanceId, target: Option<&HostName>) -> CloudResult<Accepted> {
        self.change("cold-migrate an instance", self.inner.cold_migrate(server, target)).await
    }

    async fn confirm_resize(&self, server: InstanceId) -> CloudResult<Accepted> {
        self.change("confirm a cold migration", self.inner.confirm_resize(server)).await
    }

    async fn abort_migration(&self, server: InstanceId, migration: u64) -> CloudResult<Accepted> {
        self.change("abort a migration", self.inner.abort_migration(server, migration)).await
    }

    async fn force_complete(&self, server: InstanceId, migration: u64) -> CloudResult<Accepted> {
        self.change("force a migration to its end", self.inner.force_complete(server, migration)).await
    }

    async fn stop(&self, server: InstanceId) -> CloudResult<Accepted> {
        self.change("stop an instance", self.inner.stop(server)).await
    }

    async fn start(&self, server: InstanceId) -> CloudResult<Accepted> {
        self.change("start an instance", self.inner.start(server)).await
    }

    async fn create_server(&self, server: &NewServer) -> CloudResult<Accepted> {
        self.change("make an instance", self.inner.create_server(server)).await
    }

    async fn delete_server(&self, server: InstanceId) -> CloudResult<Accepted> {
        self.change("delete an instance", self.inner.delete_server(server)).await
    }

    async fn instance_actions(&self, server: InstanceId) -> CloudResult<Vec<InstanceAction>> {
        self.inner.instance_actions(server).await
    }

    async fn instance_action_list(&self, server: InstanceId) -> CloudResult<Vec<InstanceAction>> {
        self.inner.instance_action_list(server).await
    }

    async fn instance_action(&self, server: InstanceId, request: &RequestId) -> CloudResult<Option<InstanceAction>> {
        self.inner.instance_action(server, request).await
    }
}

#[async_trait]
impl Placement for GuardedCloud {
    async fn providers(&self) -> CloudResult<Vec<Provider>> {
        self.inner.providers().await
    }

    async fn provider(&self, host: &HostName) -> CloudResult<Option<Provider>> {
        self.inner.provider(host).await
    }

    async fn allocations(&self, provider: &str) -> CloudResult<Vec<Allocation>> {
        self.inner.allocations(provider).await
    }
}

struct GuardedShell {
    inner: Arc<dyn HostShell>,
    hold: Arc<dyn RegionHold>,
}

impl GuardedShell {
    async fn change<T>(
        &self,
        host: &HostName,
        operation: &str,
        change: impl Future<Output = HostResult<T>>,
    ) -> HostResult<T> {
        let refused = |lost: JournalError| HostError::new(host, operation, HostErrorKind::Failed, lost.to_string());
        while_held(self.hold.as_ref(), change).await.unwrap_or_else(|lost| Err(refused(lost)))
    }
}

#[async_trait]
impl HostShell for GuardedShell {
    async fn collect(&self, host: &HostName, inquiry: &Inquiry) -> HostResult<RawFacts> {
        self.inner.collect(host, inquiry).await
    }

    async fn identity(&self, host: &HostName) -> HostResult<HostIdentity> {
        self.inner.identity(host).await
    }

    async fn boot(&self, host: &HostName) -> HostResult<Boot> {
        self.inner.boot(host).await
    }

    async fn domains(&self, host: &HostName) -> HostResult<Vec<Domain>> {
        self.inner.domains(host).await
    }

    async fn start_job(&self, order: &JobOrder) -> HostResult<()> {
        self.change(&order.host, "start a job", self.inner.start_job(order)).await
    }

    async fn job(&self, host: &HostName, unit: &UnitName) -> HostResult<JobStatus> {
        self.inner.job(host, unit).await
    }

    async fn forget_job(&self, host: &HostName, unit: &UnitName) -> HostResult<()> {
        self.change(host, "forget a job", self.inner.forget_job(host, unit)).await
    }

    async fn fence(&self, order: &FenceOrder) -> HostResult<()> {
        self.change(&order.host, "raise or lower the fence", self.inner.fence(order)).await
    }

    async fn reboot(&self, order: &RebootOrder) -> HostResult<()> {
        self.change(order.host(), "reboot", self.inner.reboot(order)).await
    }
}

struct GuardedOutside {
    inner: Arc<dyn Outside>,
    hold: Arc<dyn RegionHold>,
}

#[async_trait]
impl Outside for GuardedOutside {
    fn rungs(&self) -> &[Rung] {
        self.inner.rungs()
    }

    async fn climb(&self, order: &PowerOrder, rung: &Rung) -> Ended {
        let climbed = while_held(self.hold.as_ref(), self.inner.climb(order, rung)).await;
        climbed.unwrap_or_else(|lost| Ended::not_started(lost.to_string()))
    }

    async fn run(&self, call: &Call) -> Ended {
        let run = while_held(self.hold.as_ref(), self.inner.run(call)).await;
        run.unwrap_or_else(|lost| Ended::not_started(lost.to_string()))
    }

    async fn http(&self, call: &HttpCall) -> Result<JsonAnswer, String> {
        while_held(self.hold.as_ref(), self.inner.http(call)).await.unwrap_or_else(|lost| Err(lost.to_string()))
    }
}
