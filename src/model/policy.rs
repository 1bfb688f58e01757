//! The policy: limits, windows, canary, failure budget, what to do with instances that cannot move.
//!
//! Every field has a default that is safe; a policy file states only what differs.

use serde::{Deserialize, Serialize};

use super::{Percent, Rate, Span};

/// The file kind of a policy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PolicyKind {
    /// The only value.
    #[default]
    Policy,
}

/// How a rollout may go about its work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Policy {
    /// Version of the file format; 1.
    pub format: u32,
    /// Always `policy`.
    pub kind: PolicyKind,
    /// How much may happen at once.
    pub limits: Limits,
    /// What a plan prefers.
    pub objective: Objective,
    /// Room that moves may not use up.
    pub headroom: Headroom,
    /// The first hosts, watched before the rest goes on.
    pub canary: Canary,
    /// How many hosts may fail before the run pauses.
    pub failure_budget: FailureBudget,
    /// Wait after a host is enabled before it is a target.
    pub settle: Span,
    /// When hosts may be begun; always when empty.
    pub windows: Vec<Window>,
    /// How far the region may have moved away from the plan.
    pub drift: Drift,
    /// What becomes of instances that cannot simply be live-migrated.
    pub instances: InstanceRules,
    /// Whether nova.conf may be edited where the remedy finds a flag missing.
    pub nova_conf: NovaConfHandling,
    /// How long things take, until journals know better.
    pub estimate: Estimate,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            format: 1,
            kind: PolicyKind::Policy,
            limits: Limits::default(),
            objective: Objective::default(),
            headroom: Headroom::default(),
            canary: Canary::default(),
            failure_budget: FailureBudget::default(),
            // Nova's scheduler may believe in a drained host's old instances for up to 120 s.
            settle: Span::seconds(120),
            windows: Vec::new(),
            drift: Drift::default(),
            instances: InstanceRules::default(),
            nova_conf: NovaConfHandling::Leave,
            estimate: Estimate::default(),
        }
    }
}

/// How much may happen at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Hosts out of service at once in the region.
    pub hosts: Limit,
    /// Hosts out of service at once in one zone.
    pub hosts_per_zone: Limit,
    /// Hosts that must stay in service.
    pub keep_up: KeepUp,
    /// Hosts out of service at once in one rack; no limit when absent.
    pub hosts_per_rack: Option<Limit>,
    /// Migrations in flight in the region.
    pub migrations: usize,
    /// Migrations in flight away from one host.
    pub migrations_per_source: usize,
    /// Migrations in flight onto one host.
    pub migrations_per_target: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            hosts: Limit { max: Some(10), percent: Percent::new(5.0) },
            hosts_per_zone: Limit { max: Some(4), percent: Percent::new(20.0) },
            keep_up: KeepUp::default(),
            hosts_per_rack: None,
            migrations: 20,
            // Nova's own default for `max_concurrent_live_migrations`.
            migrations_per_source: 1,
            migrations_per_target: 1,
        }
    }
}

/// An absolute and a relative bound; the smaller wins, and at least 1 is always allowed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "LimitText")]
pub struct Limit {
    /// At most this many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<usize>,
    /// At most this share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent: Option<Percent>,
}

impl Limit {
    /// At most `max`, whatever the size.
    pub const fn at_most(max: usize) -> Self {
        Self { max: Some(max), percent: None }
    }

    /// How many of `count` this allows; at least 1.
    pub fn of(self, count: usize) -> usize {
        let absolute = self.max.unwrap_or(usize::MAX);
        let relative = self.percent.map_or(usize::MAX, |percent| percent.of(count));
        absolute.min(relative).max(1)
    }
}

/// How a limit may be written: `4`, or `{max: 4, percent: 20}`.
#[derive(Deserialize)]
#[serde(untagged)]
enum LimitText {
    Number(usize),
    Both(LimitFields),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitFields {
    #[serde(default)]
    max: Option<usize>,
    #[serde(default)]
    percent: Option<Percent>,
}

impl From<LimitText> for Limit {
    fn from(text: LimitText) -> Self {
        match text {
            LimitText::Number(max) => Self::at_most(max),
            LimitText::Both(LimitFields { max, percent }) => Self { max, percent },
        }
    }
}

/// Hosts that must stay in service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeepUp {
    /// In each zone.
    pub per_zone: usize,
    /// In each host aggregate.
    pub per_aggregate: usize,
}

impl Default for KeepUp {
    fn default() -> Self {
        Self { per_zone: 1, per_aggregate: 1 }
    }
}

/// What a plan prefers where moves and time pull apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Prefer {
    /// As few moves as possible, then as fast as possible.
    FewestMoves,
    /// As fast as possible, then as few moves as possible.
    Fastest,
}

/// Room that moves may not use up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Headroom {
    /// In each zone.
    pub per_zone: HeadroomZone,
}

/// Room kept free in one zone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HeadroomZone {
    /// Hosts kept empty.
    pub hosts: usize,
}

/// The first hosts of a rollout.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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

/// The run pauses when more than this many hosts failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FailureBudget {
    /// In the region.
    pub hosts: usize,
    /// In one zone.
    pub per_zone: usize,
}

impl Default for FailureBudget {
    fn default() -> Self {
        Self { hosts: 2, per_zone: 1 }
    }
}

/// A weekly time in which hosts may be begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// Days on which it opens: `mon` to `sun`.
    pub days: Vec<String>,
    /// When it opens, `HH:MM`.
    pub from: String,
    /// When it closes, `HH:MM`; the next day when not after `from`.
    pub to: String,
    /// IANA time zone, for example `Europe/Berlin`.
    pub zone: String,
}

/// How far the region may have moved away from the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NewInstances {
    /// Move them as well.
    Any,
    /// Pause the run.
    Pause,
}

/// What becomes of instances that cannot simply be live-migrated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InstanceRules {
    /// Shut off.
    pub stopped: InstanceHandling,
    /// Paused.
    pub paused: InstanceHandling,
    /// Suspended.
    pub suspended: InstanceHandling,
    /// Running but not movable (ERROR, mid-resize, pinned hardware).
    pub cannot_move: InstanceHandling,
    /// Locked by its owner.
    pub locked: InstanceHandling,
}

impl Default for InstanceRules {
    fn default() -> Self {
        Self {
            stopped: InstanceHandling::Leave,
            paused: InstanceHandling::LiveMigrate,
            suspended: InstanceHandling::Leave,
            cannot_move: InstanceHandling::SkipHost,
            locked: InstanceHandling::SkipHost,
        }
    }
}

/// How an instance leaves a host, or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InstanceHandling {
    /// Stays through the reboot; only where nothing runs.
    Leave,
    /// Live migration.
    LiveMigrate,
    /// Cold migration.
    ColdMigrate,
    /// Stopped before and started after its own host's reboot.
    StopInPlace,
    /// Its host is not touched.
    SkipHost,
}

/// What is done about a finding in nova.conf.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NovaConfHandling {
    /// Nothing: a host with a finding cannot be mitigated and is skipped.
    #[default]
    Leave,
    /// Missing CPU flags are added to `cpu_model_extra_flags`; the file is backed up first.
    AddFlags,
}

/// How long things take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Estimate {
    /// Of one migration stream.
    pub bandwidth: Rate,
    /// How much more than its memory an instance sends because it writes meanwhile.
    pub dirty_factor: f64,
    /// Overhead of one move.
    pub per_move: Span,
    /// Everything on a host that is not moving: update, reboot, evidence, enable, settle.
    pub host: Span,
}

impl Eq for Estimate {}

impl Default for Estimate {
    fn default() -> Self {
        Self {
            bandwidth: Rate::bytes_per_second(1_100_000_000),
            dirty_factor: 1.3,
            per_move: Span::seconds(5),
            host: Span::seconds(600),
        }
    }
}

impl Estimate {
    /// Seconds that moving `memory_mb` MiB takes: memory × dirty factor / bandwidth + overhead. Source: the model
    /// behind `docs/design` on planning, one stream per move.
    #[expect(clippy::cast_precision_loss, reason = "bytes of memory and bandwidth stay below 2^52")]
    pub fn move_seconds(&self, memory_mb: u64) -> f64 {
        let bytes = memory_mb as f64 * 1_048_576.0;
        bytes * self.dirty_factor / self.bandwidth.get() as f64 + self.per_move.as_seconds()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smaller_of_both_bounds_wins_and_one_is_always_allowed() {
        let limit = Limit { max: Some(10), percent: Percent::new(5.0) };
        assert_eq!(limit.of(6), 1);
        assert_eq!(limit.of(100), 5);
        assert_eq!(limit.of(1000), 10);
        assert_eq!(Limit::default().of(7), 7);
    }
}
