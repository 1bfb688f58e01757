//! Nova: the calls of [`Compute`] with the microversion of each, and why that one.

mod actions;
mod lists;
mod migrations;
mod paging;
mod server;

use async_trait::async_trait;
use reqwest::Method;
use serde_json::{Value, json};

use super::OpenStack;
use super::retry::Repeat;
use super::session::Call;
use super::version::Microversion;
use crate::cloud::{
    Accepted, Aggregate, CloudResult, Compute, ComputeService, Hypervisor, InstanceAction, Migration,
    MigrationProgress, MigrationsQuery, NewServer, Server, ServerGroup, ServersQuery,
};
use crate::model::{HostName, InstanceId, RequestId, ServiceId};

/// What every call can use.
const BASE: Microversion = super::NOVA_NEEDED;

/// 2.34 and later check a live migration after the 202; below 2.68 `force` may be left out, which lets the scheduler
/// check the named host. 2.53 is in between and offered by all.
const LIVE_MIGRATE: &[Microversion] = &[BASE];

/// 2.56: a cold migration may name its host.
const COLD_MIGRATE_TO: &[Microversion] = &[Microversion(2, 56)];

/// 2.74: a server may be asked for on a host, which the scheduler checks.
const CREATE_ON: &[Microversion] = &[Microversion(2, 74)];

/// 2.65: also a live migration that is still queued can be aborted.
const ABORT: &[Microversion] = &[Microversion(2, 65), BASE];

impl OpenStack {
    /// Sends a change and says under which id it was accepted.
    async fn change(&self, call: Call) -> CloudResult<Accepted> {
        let answer = self.session.send(call).await?;
        Ok(Accepted { request: Some(answer.request) })
    }

    /// Asks for an action on a server.
    async fn act(
        &self,
        operation: &str,
        server: InstanceId,
        body: Value,
        known: &[Microversion],
    ) -> CloudResult<Accepted> {
        let operation = format!("{operation} instance {server}");
        let version = self.nova.version(&operation, known)?;
        let path = ["servers", &server.to_string(), "action"];
        self.change(self.nova.change(operation, Method::POST, &path, Some(body), version)).await
    }

    /// Sets a service's status; sets the same when it arrives twice.
    async fn set_service(&self, operation: String, id: &ServiceId, body: Value) -> CloudResult<Accepted> {
        let call = self.nova.change(operation, Method::PUT, &["os-services", id.as_str()], Some(body), BASE);
        self.change(Call { repeat: Repeat::Always, ..call }).await
    }
}

#[async_trait]
impl Compute for OpenStack {
    async fn services(&self) -> CloudResult<Vec<ComputeService>> {
        lists::services(self).await
    }

    async fn service(&self, host: &HostName) -> CloudResult<Option<ComputeService>> {
        lists::service_of(self, host).await
    }

    async fn disable_service(&self, id: &ServiceId, reason: &str) -> CloudResult<Accepted> {
        let body = json!({"status": "disabled", "disabled_reason": reason});
        self.set_service(format!("disable compute service {id}"), id, body).await
    }

    async fn enable_service(&self, id: &ServiceId) -> CloudResult<Accepted> {
        self.set_service(format!("enable compute service {id}"), id, json!({"status": "enabled"})).await
    }

    async fn hypervisors(&self) -> CloudResult<Vec<Hypervisor>> {
        lists::hypervisors(self).await
    }

    async fn aggregates(&self) -> CloudResult<Vec<Aggregate>> {
        lists::aggregates(self).await
    }

    async fn server_groups(&self) -> CloudResult<Vec<ServerGroup>> {
        lists::server_groups(self).await
    }

    async fn servers(&self, query: &ServersQuery) -> CloudResult<Vec<Server>> {
        server::list(self, query).await
    }

    async fn server(&self, id: InstanceId) -> CloudResult<Server> {
        server::show(self, id).await
    }

    async fn migrations(&self, query: &MigrationsQuery) -> CloudResult<Vec<Migration>> {
        migrations::list(self, query).await
    }

    async fn migration_progress(&self, server: InstanceId, migration: u64) -> CloudResult<Option<MigrationProgress>> {
        migrations::progress(self, server, migration).await
    }

    async fn live_migrate(&self, server: InstanceId, target: Option<&HostName>) -> CloudResult<Accepted> {
        let body = json!({"os-migrateLive": {"host": target.map(HostName::as_str), "block_migration": "auto"}});
        self.act("live-migrate", server, body, LIVE_MIGRATE).await
    }

    async fn cold_migrate(&self, server: InstanceId, target: Option<&HostName>) -> CloudResult<Accepted> {
        match target {
            Some(host) => {
                let body = json!({"migrate": {"host": host.as_str()}});
                self.act("cold-migrate", server, body, COLD_MIGRATE_TO).await
            }
            None => self.act("cold-migrate", server, json!({"migrate": null}), &[BASE]).await,
        }
    }

    async fn confirm_resize(&self, server: InstanceId) -> CloudResult<Accepted> {
        self.act("confirm the resize of", server, json!({"confirmResize": null}), &[BASE]).await
    }

    async fn abort_migration(&self, server: InstanceId, migration: u64) -> CloudResult<Accepted> {
        let operation = format!("abort migration {migration} of instance {server}");
        let version = self.nova.version(&operation, ABORT)?;
        let path = ["servers", &server.to_string(), "migrations", &migration.to_string()];
        self.change(self.nova.change(operation, Method::DELETE, &path, None, version)).await
    }

    async fn force_complete(&self, server: InstanceId, migration: u64) -> CloudResult<Accepted> {
        let operation = format!("force migration {migration} of instance {server} to complete");
        let path = ["servers", &server.to_string(), "migrations", &migration.to_string(), "action"];
        let body = json!({"force_complete": null});
        self.change(self.nova.change(operation, Method::POST, &path, Some(body), BASE)).await
    }

    async fn stop(&self, server: InstanceId) -> CloudResult<Accepted> {
        self.act("stop", server, json!({"os-stop": null}), &[BASE]).await
    }

    async fn start(&self, server: InstanceId) -> CloudResult<Accepted> {
        self.act("start", server, json!({"os-start": null}), &[BASE]).await
    }

    async fn create_server(&self, server: &NewServer) -> CloudResult<Accepted> {
        let operation = format!("make instance {}", server.name);
        let version = self.nova.version(&operation, CREATE_ON)?;
        let networks = server.network.as_ref().map_or(json!("none"), |network| json!([{"uuid": network}]));
        let body = json!({"server": {
            "name": server.name, "flavorRef": server.flavor, "imageRef": server.image, "networks": networks,
            "host": server.host.as_str(), "metadata": server.metadata,
        }});
        self.change(self.nova.change(operation, Method::POST, &["servers"], Some(body), version)).await
    }

    async fn delete_server(&self, server: InstanceId) -> CloudResult<Accepted> {
        let operation = format!("delete instance {server}");
        let path = ["servers", &server.to_string()];
        let call = self.nova.change(operation, Method::DELETE, &path, None, BASE);
        self.change(Call { repeat: Repeat::Always, ..call }).await
    }

    async fn reset_to_active(&self, server: InstanceId) -> CloudResult<Accepted> {
        let state = json!({"os-resetState": {"state": "active"}});
        self.act("set the state of", server, state, &[BASE]).await
    }

    async fn instance_actions(&self, server: InstanceId) -> CloudResult<Vec<InstanceAction>> {
        actions::list(self, server).await
    }

    async fn instance_action_list(&self, server: InstanceId) -> CloudResult<Vec<InstanceAction>> {
        actions::list_only(self, server).await
    }

    async fn instance_action(&self, server: InstanceId, request: &RequestId) -> CloudResult<Option<InstanceAction>> {
        actions::show(self, server, request).await
    }
}
