//! Port: what fleetmend asks of a cloud, in its own types.
//!
//! [`Compute`] is Nova, [`Placement`] is Placement. Adapters: `openstack` (the real thing), `sim::ports` (in-process).
//! A 202 answer means nothing here: methods that change something return when the request was *accepted*; whether
//! it happened is for the caller to observe.

mod error;
pub mod openstack;
mod shared;
mod types;

use async_trait::async_trait;

pub use error::{CloudError, CloudErrorKind};
pub use shared::Shared;
pub use types::{
    Accepted, Aggregate, Allocation, ComputeService, Followed, HaHost, Hypervisor, InstanceAction, InstanceActionEvent,
    Migration, MigrationKind, MigrationProgress, MigrationStatus, MigrationsQuery, NewServer, Offer, PowerState,
    Provider, Server, ServerGroup, ServersQuery, Standing,
};

use crate::model::{HostName, InstanceId, InstanceStatus, RequestId, ServiceId};

/// Result of a call to the cloud.
pub type CloudResult<T> = Result<T, CloudError>;

/// Both services of one region, and what the cloud says of us.
#[async_trait]
pub trait Cloud: Compute + Placement {
    /// The region's name in the catalog.
    fn region(&self) -> &str;

    /// What was asked so far, for the cost line of a report.
    fn cost(&self) -> ApiCost;

    /// What we may do here, and what the services offer; empty where a cloud does not tell.
    async fn standing(&self) -> CloudResult<Standing> {
        Ok(Standing::default())
    }

    /// Hosts that Masakari watches; `None` where there is no Masakari.
    async fn ha_hosts(&self) -> CloudResult<Option<Vec<HaHost>>> {
        Ok(None)
    }
}

/// Requests sent since the session began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct ApiCost {
    /// All requests, repeats included.
    pub requests: u64,
    /// Repeats after a failure.
    pub retries: u64,
}

/// Nova.
#[async_trait]
pub trait Compute: Send + Sync {
    /// All nova-compute services.
    async fn services(&self) -> CloudResult<Vec<ComputeService>>;
    /// The nova-compute service of one host; `None` when there is none. Costs the same in a region of any size.
    async fn service(&self, host: &HostName) -> CloudResult<Option<ComputeService>> {
        Ok(self.services().await?.into_iter().find(|service| service.host == *host))
    }
    /// Takes a service out of service; idempotent. `reason` replaces any former one.
    async fn disable_service(&self, id: &ServiceId, reason: &str) -> CloudResult<Accepted>;
    /// Puts a service into service; idempotent, clears the reason.
    async fn enable_service(&self, id: &ServiceId) -> CloudResult<Accepted>;
    /// All hypervisors with their details.
    async fn hypervisors(&self) -> CloudResult<Vec<Hypervisor>>;
    /// All host aggregates.
    async fn aggregates(&self) -> CloudResult<Vec<Aggregate>>;
    /// All server groups of all projects.
    async fn server_groups(&self) -> CloudResult<Vec<ServerGroup>>;
    /// The server groups that have one of `instances` as a member. Nova has no such question: an adapter that talks to
    /// it asks for all of them.
    async fn groups_of(&self, instances: &[InstanceId]) -> CloudResult<Vec<ServerGroup>> {
        let mut groups = self.server_groups().await?;
        groups.retain(|group| group.members.iter().any(|member| instances.contains(member)));
        Ok(groups)
    }
    /// Servers of all projects, every page.
    async fn servers(&self, query: &ServersQuery) -> CloudResult<Vec<Server>>;
    /// One server; `NotFound` when it is gone.
    async fn server(&self, id: InstanceId) -> CloudResult<Server>;
    /// Migration records, every page, newest first.
    async fn migrations(&self, query: &MigrationsQuery) -> CloudResult<Vec<Migration>>;
    /// An instance and its migration records as they are, the records first: an instance that is read after a record ended
    /// shows where it ended.
    async fn look(&self, instance: InstanceId) -> CloudResult<Followed> {
        let query = MigrationsQuery { instance: Some(instance), ..MigrationsQuery::default() };
        let records = self.migrations(&query).await?;
        match self.server(instance).await {
            Ok(server) => {
                let server = Some(server).filter(|server| server.status != InstanceStatus::Deleted);
                Ok(Followed { records, server })
            }
            Err(error) if error.kind == CloudErrorKind::NotFound => Ok(Followed { records, server: None }),
            Err(error) => Err(error),
        }
    }
    /// The same for one who looks again and again: as of a moment after the question, in a look that others may share.
    async fn follow(&self, instance: InstanceId) -> CloudResult<Followed> {
        self.look(instance).await
    }
    /// Whether looks by [`Self::follow`] are shared; where they are not, who follows asks for no more than it needs.
    fn shares_looks(&self) -> bool {
        false
    }
    /// The service of a host, as a list showed it that may be some seconds old.
    async fn lists_service(&self, host: &HostName) -> CloudResult<Option<ComputeService>> {
        self.service(host).await
    }
    /// Progress of a migration in flight; `None` when it is not (or not yet, or no longer) listed.
    async fn migration_progress(&self, server: InstanceId, migration: u64) -> CloudResult<Option<MigrationProgress>>;
    /// Asks for a live migration, with `block_migration: auto`. Not repeated by the adapter after it may have arrived.
    async fn live_migrate(&self, server: InstanceId, target: Option<&HostName>) -> CloudResult<Accepted>;
    /// Asks for a cold migration. Not repeated by the adapter after it may have arrived.
    async fn cold_migrate(&self, server: InstanceId, target: Option<&HostName>) -> CloudResult<Accepted>;
    /// Confirms a cold migration or resize in `VERIFY_RESIZE`.
    async fn confirm_resize(&self, server: InstanceId) -> CloudResult<Accepted>;
    /// Aborts a live migration that is queued or in flight.
    async fn abort_migration(&self, server: InstanceId, migration: u64) -> CloudResult<Accepted>;
    /// Lets a live migration pause the guest, or go post-copy, to finish.
    async fn force_complete(&self, server: InstanceId, migration: u64) -> CloudResult<Accepted>;
    /// Stops a server.
    async fn stop(&self, server: InstanceId) -> CloudResult<Accepted>;
    /// Starts a server.
    async fn start(&self, server: InstanceId) -> CloudResult<Accepted>;
    /// Makes a server. Not repeated by the adapter after it may have arrived.
    async fn create_server(&self, server: &NewServer) -> CloudResult<Accepted> {
        let what = format!("make instance {}", server.name);
        Err(CloudError::new(CloudErrorKind::Unsupported, what, "instances cannot be made here"))
    }
    /// Deletes a server; idempotent.
    async fn delete_server(&self, server: InstanceId) -> CloudResult<Accepted> {
        let what = format!("delete instance {server}");
        Err(CloudError::new(CloudErrorKind::Unsupported, what, "instances cannot be deleted here"))
    }

    /// Sets a server's state to ACTIVE in Nova's records; nothing is done to its guest.
    async fn reset_to_active(&self, server: InstanceId) -> CloudResult<Accepted> {
        let message = format!("this cloud cannot set the state of {server}");
        Err(CloudError::new(CloudErrorKind::Unsupported, "reset the state of a server", message))
    }
    /// A server's actions with their events, newest first.
    async fn instance_actions(&self, server: InstanceId) -> CloudResult<Vec<InstanceAction>>;
    /// A server's actions without their events, newest first: one request, whatever was done to it.
    async fn instance_action_list(&self, server: InstanceId) -> CloudResult<Vec<InstanceAction>> {
        self.instance_actions(server).await
    }
    /// One action with its events; `None` when Nova does not know it.
    async fn instance_action(&self, server: InstanceId, request: &RequestId) -> CloudResult<Option<InstanceAction>> {
        Ok(self.instance_actions(server).await?.into_iter().find(|action| action.request == *request))
    }
}

/// Placement.
#[async_trait]
pub trait Placement: Send + Sync {
    /// All resource providers with inventory, usage, traits and aggregates.
    async fn providers(&self) -> CloudResult<Vec<Provider>>;
    /// The provider of one compute host, by name.
    async fn provider(&self, host: &HostName) -> CloudResult<Option<Provider>>;
    /// Allocations against one provider: consumer and resources.
    async fn allocations(&self, provider: &str) -> CloudResult<Vec<Allocation>>;
}
