//! The region: what Nova, Placement and the hosts said at one time.
//!
//! The serialized form is `region.json`; what is unknown is absent, never guessed.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Aggregate, Flavor, GroupId, HostFacts, HostName, InstanceHistory, InstanceId, InstanceStatus, PowerState,
    ProjectId, Resources, Role, RoleHandling, RoleRules, ServiceId, ZoneName,
};

/// The file kind of a region snapshot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RegionKind {
    /// The only value.
    #[default]
    Region,
}

/// A snapshot of one region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Region {
    /// Version of the file format; 1.
    #[schemars(range(min = 1, max = 1))]
    pub format: u32,
    /// Always `region`.
    pub kind: RegionKind,
    /// When the snapshot was begun.
    pub taken_at: Timestamp,
    /// The region's name in Keystone's catalog.
    pub region: String,
    /// Compute hosts in order of name.
    pub hosts: Vec<Host>,
    /// Instances of all projects in order of id.
    pub instances: Vec<Instance>,
    /// Host aggregates in order of name. What one means that hosts name and this does not list is unknown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub aggregates: Vec<Aggregate>,
    /// Server groups.
    #[serde(default)]
    pub groups: Vec<Group>,
    /// What Nova remembers of instances, where it was asked: it takes two requests an instance.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub histories: BTreeMap<InstanceId, InstanceHistory>,
    /// What could not be seen.
    #[serde(default)]
    pub gaps: Vec<Gap>,
}

/// A compute host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Host {
    /// Nova's name for it.
    pub host: HostName,
    /// Availability zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<ZoneName>,
    /// Rack, where an aggregate's metadata names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rack: Option<String>,
    /// Host aggregates by name.
    #[serde(default)]
    pub aggregates: Vec<String>,
    /// Placement traits of its resource provider.
    #[serde(default)]
    pub traits: Vec<String>,
    /// Nova cell, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cell: Option<String>,
    /// Hypervisor type as Nova says it, for example `QEMU`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hypervisor: Option<String>,
    /// Which machine this is.
    #[serde(default)]
    pub identity: HostIdentity,
    /// Its nova-compute service.
    pub service: Service,
    /// What may be allocated: (total − reserved) × ratio.
    #[serde(default)]
    pub capacity: Resources,
    /// What was read on the host itself.
    #[serde(default)]
    pub facts: HostFacts,
}

impl Host {
    /// Whether its instances run on KVM or QEMU, as far as Nova tells: others have no domains to look at, and their
    /// compute service speaks for machines that it does not run on. `fake` is the driver of Nova's own tests.
    pub fn is_ours(&self) -> bool {
        let kind = self.hypervisor.as_deref().map(str::to_ascii_lowercase);
        kind.is_none_or(|kind| kind.contains("qemu") || kind.contains("kvm") || kind == "fake")
    }

    /// Roles on it that the policy lets go one at a time.
    pub fn roles_one_at_a_time<'a>(&'a self, rules: &'a RoleRules) -> impl Iterator<Item = Role> + 'a {
        let roles = self.facts.roles.iter().flatten().map(|(role, _)| *role);
        roles.filter(|role| rules.of(*role) == RoleHandling::OneAtATime)
    }
}

/// Which machine a host is: checked inside every command that changes it.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HostIdentity {
    /// `/etc/machine-id`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine_id: Option<String>,
    /// Nova's own host name on it: `[DEFAULT] host` of nova.conf, or the host's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nova_host: Option<String>,
    /// `hostname`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
}

impl HostIdentity {
    /// Whether enough is known to tell this machine from another.
    pub fn is_known(&self) -> bool {
        self.machine_id.is_some() && self.nova_host.is_some()
    }
}

/// A nova-compute service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Its id.
    pub id: ServiceId,
    /// Whether it reports.
    pub state: ServiceState,
    /// Whether the scheduler may use it.
    pub status: ServiceStatus,
    /// Why it is disabled; at most 255 characters.
    #[serde(default)]
    pub disabled_reason: Option<String>,
    /// Whether an operator declared it down.
    #[serde(default)]
    pub forced_down: bool,
}

impl Service {
    /// Whether it reports and may be given instances: what counts as a host in service.
    pub fn is_in_service(&self) -> bool {
        self.state == ServiceState::Up && self.status == ServiceStatus::Enabled && !self.forced_down
    }
}

/// Whether a service reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ServiceState {
    /// Reports.
    Up,
    /// Silent for longer than `service_down_time`, or forced down.
    Down,
}

/// Whether the scheduler may place instances on a service's host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ServiceStatus {
    /// In service.
    Enabled,
    /// Out of service.
    Disabled,
}

/// An instance (a Nova server).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Instance {
    /// Its id.
    pub id: InstanceId,
    /// Its owner's name for it; any text.
    pub name: String,
    /// Its project.
    pub project: ProjectId,
    /// The host that Nova names; absent for shelved-offloaded and never scheduled ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostName>,
    /// Status, as the API shows it.
    pub status: InstanceStatus,
    /// Task under way.
    #[serde(default)]
    pub task_state: Option<String>,
    /// Whether it has power, where its status leaves that open (ERROR).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power: Option<PowerState>,
    /// Locked by its owner or an operator.
    #[serde(default)]
    pub locked: bool,
    /// What it has allocated.
    #[serde(default)]
    pub resources: Resources,
    /// Its server group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupId>,
    /// The availability zone it was asked to be in (visible from microversion 2.96).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned_zone: Option<ZoneName>,
    /// Traits it requires.
    #[serde(default)]
    pub traits: Vec<String>,
    /// Its flavor, where the cloud shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flavor: Option<Box<Flavor>>,
    /// Properties of its image, where the cloud shows them (visible from microversion 2.98).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub image: BTreeMap<String, String>,
    /// Server metadata.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
}

/// A server group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// Its id.
    pub id: GroupId,
    /// Its policy.
    pub policy: GroupPolicy,
    /// Its rules.
    #[serde(default)]
    pub rules: GroupRules,
}

/// How members of a group relate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum GroupPolicy {
    /// All on one host.
    Affinity,
    /// At most `max_server_per_host` (1) on one host.
    AntiAffinity,
    /// Together where that is possible.
    SoftAffinity,
    /// Apart where that is possible.
    SoftAntiAffinity,
}

/// Rules of a group.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GroupRules {
    /// For anti-affinity: members that may share a host; 1 when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_server_per_host: Option<u32>,
}

/// Something that could not be seen, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Gap {
    /// What was looked at.
    pub kind: GapKind,
    /// The host, instance or cell concerned.
    #[serde(rename = "where")]
    pub at: String,
    /// Why it could not be seen.
    pub detail: String,
    /// What kind of failure it was, for a host that did not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<GapCause>,
}

/// Why a host did not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum GapCause {
    /// No connection, or it broke.
    Unreachable,
    /// The login was refused.
    AccessDenied,
    /// The host key is unknown or changed.
    HostKey,
    /// It took longer than its limit.
    TimedOut,
    /// sudo was refused.
    BecomeDenied,
    /// Anything else.
    Other,
}

/// Kinds of gaps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum GapKind {
    /// Facts of a host were not collected.
    HostFacts,
    /// A host's identity could not be proven.
    HostIdentity,
    /// No resource provider was found in Placement for a host.
    Provider,
    /// A cell did not answer.
    Cell,
    /// Nova and Placement disagree about an instance.
    Allocation,
}

impl Region {
    /// The host of that name.
    pub fn host(&self, name: &HostName) -> Option<&Host> {
        self.hosts.iter().find(|host| host.host == *name)
    }

    /// Instances by host, in order of id.
    pub fn instances_by_host(&self) -> BTreeMap<&HostName, Vec<&Instance>> {
        let mut by_host: BTreeMap<&HostName, Vec<&Instance>> = BTreeMap::new();
        for instance in &self.instances {
            if let Some(host) = &instance.host {
                by_host.entry(host).or_default().push(instance);
            }
        }
        by_host
    }
}
