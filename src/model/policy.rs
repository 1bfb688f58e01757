//! The policy: limits, windows, canary, failure budget, what to do with instances that cannot move.
//!
//! Every field has a default that is safe; a policy file states only what differs.

mod cold_boots;
mod failures;
mod gates;
mod hosts;
mod instances;
mod limits;
mod owners;
mod probe;

pub use cold_boots::{ColdBootRules, Consent};
pub use failures::{FailureBudget, FailureCause};
pub use gates::{HealthGate, PrometheusQuery, Question};
pub use hosts::{Headroom, HeadroomZone, HostRules, Place};
pub use instances::{InstanceHandling, InstanceRules, LastResort, NovaConfHandling, Slow};
pub use limits::{KeepUp, Limit, Limits};
pub use owners::{OwnerRules, Word};
pub use probe::ProbeInstance;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Estimate, ExtraStep, FingerprintRules, Hook, Patience, Percent, RoleRules, Span, Window, WindowsEnd};

/// The file kind of a policy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PolicyKind {
    /// The only value.
    #[default]
    Policy,
}

/// How a rollout may go about its work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// Version of the file format; 1.
    #[schemars(range(min = 1, max = 1))]
    pub format: u32,
    /// Always `policy`.
    pub kind: PolicyKind,
    /// How much may happen at once.
    pub limits: Limits,
    /// Hosts that are treated differently from others.
    #[serde(skip_serializing_if = "HostRules::is_empty")]
    pub hosts: HostRules,
    /// What becomes of hosts on which something else runs, such as `ceph-osd: one-at-a-time`; a role that is not named
    /// is skipped.
    #[serde(skip_serializing_if = "RoleRules::is_empty")]
    pub roles: RoleRules,
    /// What goes first behind the canary hosts, in this order; other hosts come last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub priority: Vec<Place>,
    /// What a plan prefers.
    pub objective: Objective,
    /// Room that moves may not use up.
    pub headroom: Headroom,
    /// The first hosts, watched before the rest goes on.
    pub canary: Canary,
    /// What must be well before another host is begun.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<HealthGate>,
    /// How many hosts may fail before the run pauses.
    pub failure_budget: FailureBudget,
    /// Wait after a host is enabled before it is a target.
    pub settle: Span,
    /// When hosts may be begun, so that their expected end falls inside; always when empty.
    pub windows: Vec<Window>,
    /// What becomes of hosts that are under way when a window closes.
    #[serde(skip_serializing_if = "WindowsEnd::is_finish")]
    pub windows_end: WindowsEnd,
    /// How far the region may have moved away from the plan.
    pub drift: Drift,
    /// What becomes of instances that cannot simply be live-migrated.
    pub instances: InstanceRules,
    /// Whether nova.conf may be edited where the remedy finds a flag missing.
    pub nova_conf: NovaConfHandling,
    /// How instances are cold-booted once their hosts are done.
    #[serde(skip_serializing_if = "ColdBootRules::is_default")]
    pub cold_boots: ColdBootRules,
    /// A tiny instance that is booted onto each host before it is a target; none by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub probe_instance: Option<ProbeInstance>,
    /// Which packages are updated.
    #[serde(skip_serializing_if = "PackageRules::is_default")]
    pub packages: PackageRules,
    /// What becomes of a host from which the reboot took something.
    #[serde(skip_serializing_if = "FingerprintRules::is_default")]
    pub fingerprint: FingerprintRules,
    /// Steps that are added to what each host goes through.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<ExtraStep>,
    /// What is told to others while a host is worked on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<Hook>,
    /// How long things take, until journals know better.
    pub estimate: Estimate,
    /// How long things may take before they count as failed.
    pub patience: Patience,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            format: 1,
            kind: PolicyKind::Policy,
            limits: Limits::default(),
            hosts: HostRules::default(),
            roles: RoleRules::default(),
            priority: Vec::new(),
            objective: Objective::default(),
            headroom: Headroom::default(),
            canary: Canary::default(),
            gates: Vec::new(),
            failure_budget: FailureBudget::default(),
            // Nova's scheduler may believe in a drained host's old instances for up to 120 s.
            settle: Span::seconds(120),
            windows: Vec::new(),
            windows_end: WindowsEnd::default(),
            drift: Drift::default(),
            instances: InstanceRules::default(),
            nova_conf: NovaConfHandling::Leave,
            cold_boots: ColdBootRules::default(),
            probe_instance: None,
            packages: PackageRules::default(),
            fingerprint: FingerprintRules::default(),
            steps: Vec::new(),
            hooks: Vec::new(),
            estimate: Estimate::default(),
            patience: Patience::default(),
        }
    }
}

/// What a plan prefers where moves and time pull apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Objective {
    /// Which of the two comes first.
    pub prefer: Prefer,
    /// With `fewest-moves`: the makespan may be this much over its lower bound.
    pub within: Percent,
    /// With `fastest`: moves may be this much over their lower bound.
    pub extra_moves: Percent,
}

impl Default for Objective {
    fn default() -> Self {
        Self {
            prefer: Prefer::FewestMoves,
            within: Percent::new(5.0).unwrap_or_default(),
            extra_moves: Percent::new(1.0).unwrap_or_default(),
        }
    }
}

/// An objective.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Prefer {
    /// As few moves as possible, then as fast as possible.
    FewestMoves,
    /// As fast as possible, then as few moves as possible.
    Fastest,
}

/// Which packages are updated.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PackageRules {
    /// Every package that the system's package manager has an update for, not only those of the remedy.
    pub all_updates: bool,
}

impl PackageRules {
    /// Whether it is as by default.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// The first hosts of a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Canary {
    /// How many hosts go first, alone; 0 for none.
    pub hosts: usize,
    /// How long they are watched before the rest goes on.
    pub soak: Span,
    /// Whether somebody must approve before the rest goes on.
    pub approve: bool,
}

impl Default for Canary {
    fn default() -> Self {
        Self { hosts: 1, soak: Span::seconds(600), approve: false }
    }
}

/// How far the region may have moved away from the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Drift {
    /// Instances that the plan did not know.
    pub new_instances: NewInstances,
    /// Planned hosts that are gone.
    pub lost_hosts: Percent,
}

impl Default for Drift {
    fn default() -> Self {
        Self { new_instances: NewInstances::Any, lost_hosts: Percent::new(1.0).unwrap_or_default() }
    }
}

/// What to do about instances that the plan did not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NewInstances {
    /// Move them as well.
    Any,
    /// Pause the run.
    Pause,
}
