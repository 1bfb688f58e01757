//! The rollout: a plan with no choices left in it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::cold_boots::PlannedColdBoot;
use crate::model::{
    Digest, ExtraStep, GroupId, HostIdentity, HostName, InstanceHandling, InstanceId, Policy, ProjectId, Resources,
    Role, RolloutId, Service, Span, ZoneName,
};
use crate::remedy::{Remedy, Verdict};
use crate::workflow::Added;

/// The file kind of a rollout.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RolloutKind {
    /// The only value.
    #[default]
    Rollout,
}

/// What a rollout is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Work {
    /// Hosts are remedied.
    #[default]
    Hosts,
    /// Instances are cold-booted: each stands in the place of a host, under its own id.
    ColdBoots,
}

impl Work {
    /// Whether hosts are remedied.
    pub fn is_of_hosts(&self) -> bool {
        *self == Self::Hosts
    }

    /// What one subject is called.
    pub fn subject(self) -> &'static str {
        match self {
            Self::Hosts => "host",
            Self::ColdBoots => "instance",
        }
    }
}

/// Hosts in order, moves, limits, certificate, digest. Steps are derived (`workflow`), never stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rollout {
    /// Version of the file format; 1.
    #[schemars(range(min = 1, max = 1))]
    pub format: u32,
    /// Always `rollout`.
    pub kind: RolloutKind,
    /// What it is about.
    #[serde(default, skip_serializing_if = "Work::is_of_hosts")]
    pub work: Work,
    /// Its id.
    pub id: RolloutId,
    /// Over the model of everything else in here.
    pub digest: Digest,
    /// The version of fleetmend that made it.
    pub made_by: String,
    /// The region that it is for.
    pub region: String,
    /// When it was made.
    pub created: Timestamp,
    /// When the region was looked at.
    pub region_taken_at: Timestamp,
    /// The planner's seed.
    pub seed: u64,
    /// The remedy, resolved.
    pub remedy: Remedy,
    /// The policy, resolved.
    pub policy: Policy,
    /// Digest over every command and setting that the configuration file adds.
    pub configuration: Digest,
    /// Hosts to remedy, in order.
    pub hosts: Vec<PlannedHost>,
    /// Hosts that can take instances from the start: mitigated or not affected, and in service.
    pub targets: Vec<HostName>,
    /// Hosts that stay vulnerable and yet take instances, because their domain has no other host to take them: a
    /// selection of hosts can leave no choice. Used until the first planned host of their domain is done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lenders: Vec<HostName>,
    /// Processors of hosts, where one keeps a guest from going to another: a run does not ask the hosts for them again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub processors: Vec<PlannedProcessor>,
    /// What zones hold, and how much of it was in use when the rollout was made: what reviewers see the load in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub zones: Vec<PlannedZone>,
    /// Hosts that are left alone, and why.
    pub skipped: Vec<SkippedHost>,
    /// Instances that stay on a host that is remedied, and why.
    pub stays: Vec<PlannedStay>,
    /// Instances for which a host is left alone: they can neither leave nor stay.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blocked: Vec<BlockedInstance>,
    /// What was proven about it.
    pub certificate: Certificate,
    /// What people should know.
    pub notes: Vec<Note>,
}

impl Rollout {
    /// Steps that remedy and policy add to what each host goes through, in their order.
    pub fn extra_steps(&self) -> impl Iterator<Item = &ExtraStep> {
        self.remedy.steps.iter().chain(&self.policy.steps)
    }

    /// What is added to each host's way.
    pub fn added(&self) -> Added<'_> {
        Added {
            steps: self.extra_steps().collect(),
            hooks: self.policy.hooks.iter().map(|hook| hook.name.as_str()).collect(),
        }
    }
}

/// A host to remedy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlannedHost {
    /// The host.
    pub host: HostName,
    /// Its zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<ZoneName>,
    /// Its rack.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rack: Option<String>,
    /// What runs on it beside nova-compute whose hosts go one at a time.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<Role>,
    /// Whether it is only emptied and kept out of service, until somebody gives it back.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub drain_only: bool,
    /// Place in the order, from 1.
    pub order: u32,
    /// Whether it is a canary.
    #[serde(default)]
    pub canary: bool,
    /// Seconds from the start of the run until it is disabled.
    pub start_s: f64,
    /// Seconds from the start of the run until it is back in service.
    pub finish_s: f64,
    /// How long it is out of service after its last instance has left, where earlier runs on the region tell; the
    /// policy's `estimate.host` otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work: Option<Span>,
    /// Its service as it was: what `abandon` gives back.
    pub service: Service,
    /// The machine that it must be.
    pub identity: HostIdentity,
    /// Why it is remedied.
    pub verdict: Verdict,
    /// Moves away from it, in order of start; before those, in a full domain without an empty host, moves off other hosts
    /// that still wait, which make way for its instances.
    pub moves: Vec<PlannedMove>,
    /// Where an instance stands in the place of a host: which, and why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cold_boot: Option<Box<PlannedColdBoot>>,
}

impl PlannedHost {
    /// Moves away from it.
    pub fn own_moves(&self) -> impl Iterator<Item = &PlannedMove> {
        self.moves.iter().filter(|planned| planned.from == self.host)
    }

    /// Moves that make way for its instances, in order: each leaves another host.
    pub fn ways(&self) -> impl Iterator<Item = &PlannedMove> {
        self.moves.iter().filter(|planned| planned.from != self.host)
    }
}

/// A planned migration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlannedMove {
    /// Which instance.
    pub instance: InstanceId,
    /// Its name.
    pub name: String,
    /// Its project.
    pub project: ProjectId,
    /// From: the host that it is planned with, or, where it makes way for that one's instances, another.
    pub from: HostName,
    /// To: a preference, not a dependency.
    pub to: HostName,
    /// What it has allocated.
    pub resources: Resources,
    /// Its server group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupId>,
    /// Seconds from the start of the run.
    pub start_s: f64,
    /// Seconds from the start of the run.
    pub finish_s: f64,
}

/// A processor, and the hosts that have it: what decides which other hosts can run guests that were started on one of
/// them. What is absent was not seen.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlannedProcessor {
    /// The hosts.
    pub hosts: Vec<HostName>,
    /// `uname -m`, for example `x86_64`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    /// Its maker, for example `GenuineIntel`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// Instructions that guests use, by the kernel's names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub instructions: Vec<String>,
    /// Whether guests get the host's own processor.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub host_model: bool,
    /// Named models, one of which guests get.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub given: Vec<String>,
    /// Of the named models that any host gives its guests, those that libvirt offers here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub models: Option<Vec<String>>,
}

/// A zone as it was when the rollout was made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlannedZone {
    /// Its name; absent for hosts without a zone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub zone: Option<ZoneName>,
    /// What instances had allocated on its hosts in service.
    pub used: Resources,
    /// Its hosts in service, by what each may give.
    pub sizes: Vec<PlannedSize>,
}

/// Hosts that may give the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlannedSize {
    /// What each may give.
    pub capacity: Resources,
    /// The hosts.
    pub hosts: Vec<HostName>,
}

/// A host that is left alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SkippedHost {
    /// The host.
    pub host: HostName,
    /// Why.
    pub reason: SkipReason,
    /// In words, for people.
    pub detail: String,
}

/// Why a host is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum SkipReason {
    /// Nothing to do.
    Mitigated,
    /// Its processor does not have the flaw.
    NotAffected,
    /// Its verdict is unknown.
    Unknown,
    /// The command line left it out.
    Excluded,
    /// Somebody else disabled it.
    Disabled,
    /// Its service is down.
    Down,
    /// An instance on it cannot move and the policy does not let it stay.
    CannotEmpty,
    /// Its instances fit nowhere.
    NoRoom,
    /// Its identity could not be proven.
    Identity,
    /// A reboot cannot mitigate it.
    CannotMitigate,
    /// The policy's limits never let it go out of service.
    Limits,
    /// Of an instance: its owner has not consented.
    NoConsent,
    /// Something else runs on it, and the policy does not let it go out of service for that.
    Role,
    /// Its instances run on something else than KVM or QEMU.
    Hypervisor,
}

impl SkipReason {
    /// Whether the host remains vulnerable, or may be.
    pub fn remains_vulnerable(self) -> bool {
        match self {
            Self::Mitigated | Self::NotAffected => false,
            Self::Unknown
            | Self::Excluded
            | Self::Disabled
            | Self::Down
            | Self::CannotEmpty
            | Self::NoRoom
            | Self::Identity
            | Self::CannotMitigate
            | Self::Limits
            | Self::NoConsent
            | Self::Role
            | Self::Hypervisor => true,
        }
    }
}

/// An instance that stays on a host that is remedied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlannedStay {
    /// Which instance.
    pub instance: InstanceId,
    /// Its name.
    pub name: String,
    /// Its project.
    pub project: ProjectId,
    /// Where.
    pub host: HostName,
    /// Why.
    pub reason: StayReason,
    /// What is done with it.
    pub handling: InstanceHandling,
    /// Its server group, where it is to be stopped: members are stopped and started one after the other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupId>,
    /// Where it is to be stopped: higher starts earlier and stops later.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub priority: i32,
}

/// An instance that can neither leave its host nor stay on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BlockedInstance {
    /// Which.
    pub instance: InstanceId,
    /// Its name.
    pub name: String,
    /// Its project.
    pub project: ProjectId,
    /// The host that is left alone.
    pub host: HostName,
    /// What kind of thing keeps it.
    pub reason: StayReason,
    /// In words, for people.
    pub why: String,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for a reference")]
fn is_zero(number: &i32) -> bool {
    *number == 0
}

/// Why an instance stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum StayReason {
    /// Shut off.
    Stopped,
    /// Suspended.
    Suspended,
    /// Cannot be moved.
    CannotMove,
    /// Locked by its owner.
    Locked,
    /// Shelved or soft-deleted: nothing of it runs.
    Resting,
    /// Its owner, its project or the policy by name has decided so.
    Decided,
}

/// What was proven about a rollout by code that shares nothing with the planner but the model.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Certificate {
    /// Instances that have to leave a host.
    pub instances: usize,
    /// Planned moves.
    pub moves: usize,
    /// Moves over instances.
    pub moves_per_instance: f64,
    /// At least this many moves are needed.
    pub moves_lower_bound: usize,
    /// Planned duration in seconds.
    pub makespan_s: f64,
    /// No plan can be faster, in seconds; the largest of `bounds`.
    pub makespan_lower_bound_s: f64,
    /// Makespan over its bound, less one.
    pub gap: f64,
    /// Each lower bound on the makespan, in seconds.
    pub bounds: Bounds,
    /// Most hosts out of service at one instant.
    pub peak_hosts_out: usize,
    /// What was found wrong at any instant; a plan with one cannot be written.
    pub violations: Vec<String>,
}

/// Lower bounds on the makespan by name, in seconds.
pub type Bounds = BTreeMap<String, f64>;

/// Something people should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Note {
    /// How grave.
    pub severity: Severity,
    /// Host, instance or file concerned.
    #[serde(rename = "where")]
    pub at: String,
    /// What.
    pub message: String,
}

/// How grave a note is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Severity {
    /// Good to know.
    Info,
    /// Look at it before approving.
    Warning,
    /// The rollout cannot be run.
    Fatal,
}
