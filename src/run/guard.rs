//! The one place through which a run changes anything: each change is preceded by a look at whether the region is still
//! held, goes on only as long as it is, and is told to the trail. A runner whose lease ran out, for example because it was frozen, sends nothing
//! more.

use std::sync::Arc;

use async_trait::async_trait;

use super::step::Ports;
use super::trail;
use crate::cloud::{
    Accepted, Aggregate, Allocation, ApiCost, Cloud, CloudError, CloudErrorKind, CloudResult, Compute, ComputeService,
    Followed, HaHost, Hypervisor, InstanceAction, Migration, MigrationProgress, MigrationsQuery, NewServer, Placement,
    Provider, Server, ServerGroup, ServersQuery, Standing,
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
    /// Makes a change of what `of` names, and tells of it.
    async fn change(
        &self,
        operation: &str,
        of: impl ToString,
        with: Option<String>,
        change: impl Future<Output = CloudResult<Accepted>>,
    ) -> CloudResult<Accepted> {
        let refused = |lost: JournalError| CloudError::new(CloudErrorKind::Refused, operation, lost.to_string());
        let made = while_held(self.hold.as_ref(), change).await.unwrap_or_else(|lost| Err(refused(lost)));
        trail::tell_cloud(operation, of.to_string(), with, &made).await;
        made
    }
}

#[async_trait]
impl Cloud for GuardedCloud {
    fn region(&self) -> &str {
        self.inner.region()
    }

    fn cost(&self) -> ApiCost {
        self.inner.cost()
    }

    async fn standing(&self) -> CloudResult<Standing> {
        self.inner.standing().await
    }

    async fn ha_hosts(&self) -> CloudResult<Option<Vec<HaHost>>> {
        self.inner.ha_hosts().await
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
        self.change("disable a service", id, Some(reason.to_owned()), self.inner.disable_service(id, reason)).await
    }

    async fn enable_service(&self, id: &ServiceId) -> CloudResult<Accepted> {
        self.change("enable a service", id, None, self.inner.enable_service(id)).await
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

    async fn look(&self, instance: InstanceId) -> CloudResult<Followed> {
        self.inner.look(instance).await
    }

    async fn follow(&self, instance: InstanceId) -> CloudResult<Followed> {
        self.inner.follow(instance).await
    }

    fn shares_looks(&self) -> bool {
        self.inner.shares_looks()
    }

    async fn lists_service(&self, host: &HostName) -> CloudResult<Option<ComputeService>> {
        self.inner.lists_service(host).await
    }

    async fn migration_progress(&self, server: InstanceId, migration: u64) -> CloudResult<Option<MigrationProgress>> {
        self.inner.migration_progress(server, migration).await
    }

    async fn live_migrate(&self, server: InstanceId, target: Option<&HostName>) -> CloudResult<Accepted> {
        self.change(
            "live-migrate an instance",
            server,
            target.map(|target| format!("to {target}")),
            self.inner.live_migrate(server, target),
        )
        .await
    }

    async fn cold_migrate(&self, server: InstanceId, target: Option<&HostName>) -> CloudResult<Accepted> {
        self.change(
            "cold-migrate an instance",
            server,
            target.map(|target| format!("to {target}")),
            self.inner.cold_migrate(server, target),
        )
        .await
    }

    async fn confirm_resize(&self, server: InstanceId) -> CloudResult<Accepted> {
        self.change("confirm a cold migration", server, None, self.inner.confirm_resize(server)).await
    }

    async fn abort_migration(&self, server: InstanceId, migration: u64) -> CloudResult<Accepted> {
        self.change(
            "abort a migration",
            server,
            Some(format!("migration {migration}")),
            self.inner.abort_migration(server, migration),
        )
        .await
    }

    async fn force_complete(&self, server: InstanceId, migration: u64) -> CloudResult<Accepted> {
        self.change(
            "force a migration to its end",
            server,
            Some(format!("migration {migration}")),
            self.inner.force_complete(server, migration),
        )
        .await
    }

    async fn stop(&self, server: InstanceId) -> CloudResult<Accepted> {
        self.change("stop an instance", server, None, self.inner.stop(server)).await
    }

    async fn start(&self, server: InstanceId) -> CloudResult<Accepted> {
        self.change("start an instance", server, None, self.inner.start(server)).await
    }

    async fn create_server(&self, server: &NewServer) -> CloudResult<Accepted> {
        self.change("make an instance", &server.name, None, self.inner.create_server(server)).await
    }

    async fn delete_server(&self, server: InstanceId) -> CloudResult<Accepted> {
        self.change("delete an instance", server, None, self.inner.delete_server(server)).await
    }

    async fn reset_to_active(&self, server: InstanceId) -> CloudResult<Accepted> {
        self.change("set the state of an instance", server, None, self.inner.reset_to_active(server)).await
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
    /// Makes a change on `host`, and tells of it.
    async fn change(
        &self,
        host: &HostName,
        operation: &str,
        with: Option<String>,
        change: impl Future<Output = HostResult<()>>,
    ) -> HostResult<()> {
        let refused = |lost: JournalError| HostError::new(host, operation, HostErrorKind::Failed, lost.to_string());
        let made = while_held(self.hold.as_ref(), change).await.unwrap_or_else(|lost| Err(refused(lost)));
        trail::tell_host(operation, host.to_string(), with, &made).await;
        made
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
        self.change(&order.host, "start a job", Some(order.unit.to_string()), self.inner.start_job(order)).await
    }

    async fn job(&self, host: &HostName, unit: &UnitName) -> HostResult<JobStatus> {
        let status = self.inner.job(host, unit).await?;
        if let JobStatus::Ended { status, output } = &status {
            trail::tell_end(unit, *status, output).await;
        }
        Ok(status)
    }

    async fn forget_job(&self, host: &HostName, unit: &UnitName) -> HostResult<()> {
        self.change(host, "forget a job", Some(unit.to_string()), self.inner.forget_job(host, unit)).await
    }

    async fn fence(&self, order: &FenceOrder) -> HostResult<()> {
        self.change(
            &order.host,
            if order.up { "raise the fence" } else { "lower the fence" },
            None,
            self.inner.fence(order),
        )
        .await
    }

    async fn reboot(&self, order: &RebootOrder) -> HostResult<()> {
        self.change(order.host(), "reboot", None, self.inner.reboot(order)).await
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
