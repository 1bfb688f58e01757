//! What a cloud says, in our types.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use crate::model::PowerState;
use crate::model::{
    Flavor, Group, HostName, InstanceId, InstanceStatus, ProjectId, RequestId, Resources, Service, ZoneName,
};

/// A request that was accepted; not proof that anything happened.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Accepted {
    /// `x-openstack-request-id` of the answer.
    pub request: Option<RequestId>,
}

/// A nova-compute service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComputeService {
    /// Its host.
    pub host: HostName,
    /// Its availability zone as the service list shows it.
    pub zone: Option<ZoneName>,
    /// State, status, reason, id.
    pub service: Service,
    /// When it last reported; on the cloud's clock.
    pub updated_at: Option<Timestamp>,
    /// Its cell does not answer (2.69): state and status are unknown, shown as `Down` and `Disabled`.
    pub cell_is_down: bool,
}

/// A hypervisor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hypervisor {
    /// Its id: a UUID, the same as its resource provider's.
    pub id: String,
    /// Its own hostname, the name of its resource provider.
    pub hostname: String,
    /// The host of its service.
    pub host: HostName,
    /// Type, for example `QEMU`.
    pub kind: String,
}

/// A host aggregate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aggregate {
    /// Name.
    pub name: String,
    /// Zone, where it makes one.
    pub zone: Option<ZoneName>,
    /// Members.
    pub hosts: Vec<HostName>,
    /// Metadata.
    pub metadata: BTreeMap<String, String>,
}

/// Which servers to list; all of them by default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServersQuery {
    /// Only those that Nova places on this host.
    pub host: Option<HostName>,
    /// Only those changed since; deleted ones are shown too.
    pub changes_since: Option<Timestamp>,
    /// Only those of exactly this name.
    pub name: Option<String>,
}

/// A server, as Nova shows it to an admin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Id.
    pub id: InstanceId,
    /// Name.
    pub name: String,
    /// Project.
    pub project: ProjectId,
    /// `OS-EXT-SRV-ATTR:host`.
    pub host: Option<HostName>,
    /// `status`.
    pub status: InstanceStatus,
    /// `OS-EXT-STS:vm_state`.
    pub vm_state: String,
    /// `OS-EXT-STS:task_state`.
    pub task_state: Option<String>,
    /// `OS-EXT-STS:power_state`.
    pub power_state: PowerState,
    /// `locked`.
    pub locked: bool,
    /// Why it is locked, in the words of who locked it (2.73).
    pub locked_reason: Option<String>,
    /// `OS-EXT-AZ:availability_zone`.
    pub zone: Option<ZoneName>,
    /// `pinned_availability_zone` (2.96).
    pub pinned_zone: Option<ZoneName>,
    /// vCPUs, memory, disk (root + ephemeral + swap) of the embedded flavor.
    pub resources: Resources,
    /// The embedded flavor's name and extra specs, where the role may see them.
    pub flavor: Option<Flavor>,
    /// Properties of its image (2.98); none for one that boots from a volume.
    pub image: BTreeMap<String, String>,
    /// Server group ids; Nova shows them with one server (2.71), never in a list: see [`ServerGroup::members`].
    pub groups: Vec<String>,
    /// Required traits from the flavor's extra specs (`trait:X=required`).
    pub traits: Vec<String>,
    /// Metadata.
    pub metadata: BTreeMap<String, String>,
    /// Message of its fault.
    pub fault: Option<String>,
    /// `OS-SRV-USG:launched_at`.
    pub launched_at: Option<Timestamp>,
    /// `updated`.
    pub updated: Option<Timestamp>,
    /// 0 to 100 while migrating.
    pub progress: Option<u8>,
}

/// A server that is to be made on one host, without a volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewServer {
    /// Name.
    pub name: String,
    /// Id of its flavor.
    pub flavor: String,
    /// Id of its image.
    pub image: String,
    /// Id of a network; without one it has none.
    pub network: Option<String>,
    /// Where; the scheduler checks it (2.74).
    pub host: HostName,
    /// Metadata.
    pub metadata: BTreeMap<String, String>,
}

/// A server group with its members.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerGroup {
    /// Id, policy, rules.
    pub group: Group,
    /// Its servers that exist.
    pub members: Vec<InstanceId>,
}

/// Which migration records to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MigrationsQuery {
    /// Of this instance.
    pub instance: Option<InstanceId>,
    /// Into or out of this host.
    pub host: Option<HostName>,
    /// Only those not in a final status.
    pub in_progress: bool,
    /// Only those that changed since; one that was never updated is not shown.
    pub changed_since: Option<Timestamp>,
}

/// An instance whose migration is followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Followed {
    /// Its migration records, newest first.
    pub records: Vec<Migration>,
    /// The instance; `None` when it is gone.
    pub server: Option<Server>,
}

/// A migration record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Migration {
    /// Record id; grows with time.
    pub id: u64,
    /// The record's own UUID (2.59), under which Placement holds the source's allocation while it lasts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
    /// Instance.
    pub instance: InstanceId,
    /// Status.
    pub status: MigrationStatus,
    /// Kind.
    pub kind: MigrationKind,
    /// From.
    pub source: Option<HostName>,
    /// To; absent until a target was chosen.
    pub target: Option<HostName>,
    /// When it was asked for.
    pub created_at: Option<Timestamp>,
    /// When it last changed.
    pub updated_at: Option<Timestamp>,
}

/// Kind of a migration.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MigrationKind {
    /// Live.
    Live,
    /// Cold.
    Cold,
    /// Resize.
    Resize,
    /// Evacuation.
    Evacuation,
}

/// Status of a migration record; nova/objects/fields.py and NOVA facts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MigrationStatus {
    /// accepted, queued, preparing.
    Starting,
    /// running.
    Running,
    /// running (post-copy).
    PostCopy,
    /// completed, confirmed, done.
    Completed,
    /// finished, confirming, reverting: a cold migration's middle.
    Finished,
    /// cancelled.
    Cancelled,
    /// failed.
    Failed,
    /// error.
    Error,
    /// reverted.
    Reverted,
    /// A status that this version does not know: treated as in progress.
    Other(String),
}

impl MigrationStatus {
    /// Whether the record can still change by itself.
    pub fn is_in_progress(&self) -> bool {
        match self {
            Self::Starting | Self::Running | Self::PostCopy | Self::Finished | Self::Other(_) => true,
            Self::Completed | Self::Cancelled | Self::Failed | Self::Error | Self::Reverted => false,
        }
    }
}

/// How far a live migration is; zeros in its first seconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MigrationProgress {
    /// Bytes of memory in all.
    pub memory_total: u64,
    /// Bytes still to be copied.
    pub memory_remaining: u64,
    /// Bytes copied, repeats included.
    pub memory_processed: u64,
    /// Bytes of disk in all.
    pub disk_total: u64,
    /// Bytes of disk still to be copied.
    pub disk_remaining: u64,
}

/// One action on a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceAction {
    /// `stop`, `start`, `live-migration`, …
    pub action: String,
    /// The request that caused it.
    pub request: RequestId,
    /// When.
    pub started_at: Option<Timestamp>,
    /// `Error`, or nothing.
    pub message: Option<String>,
    /// Who, by user id.
    pub user: Option<String>,
    /// Its events.
    pub events: Vec<InstanceActionEvent>,
}

/// One event of an action.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstanceActionEvent {
    /// For example `conductor_live_migrate_instance`.
    pub event: String,
    /// `Success` or `Error`.
    pub result: Option<String>,
    /// The reason (2.84 and newer).
    pub details: Option<String>,
    /// Where it ran (admins only).
    pub host: Option<String>,
    /// When it began.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
}

/// A resource provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provider {
    /// UUID.
    pub id: String,
    /// Name: the hypervisor's hostname.
    pub name: String,
    /// What may be allocated: (total − reserved) × ratio, rounded down.
    pub capacity: Resources,
    /// What is allocated.
    pub used: Resources,
    /// Traits.
    pub traits: Vec<String>,
    /// Placement aggregates by UUID.
    pub aggregates: Vec<String>,
}

/// Resources that one consumer holds on a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allocation {
    /// A server's or a migration's UUID.
    pub consumer: String,
    /// How much.
    pub resources: Resources,
}

/// What the cloud says of whoever is logged in, and of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// Roles of the token, by name.
    pub roles: Vec<String>,
    /// What each service offers.
    pub offers: Vec<Offer>,
}

/// The newest microversion of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// `nova`, `placement`.
    pub service: String,
    /// For example `2.96`.
    pub newest: String,
}

/// A host that Masakari watches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HaHost {
    /// Its name.
    pub host: HostName,
    /// Its failover segment.
    pub segment: String,
    /// Kept for instances of a host that dies.
    pub reserved: bool,
    /// Left alone for now.
    pub on_maintenance: bool,
}
