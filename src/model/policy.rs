//! The policy: limits, windows, canary, failure budget, what to do with instances that cannot move.
//!
//! Every field has a default that is safe; a policy file states only what differs.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::{Estimate, Host, HostName, Patience, Percent, Resources, Span, Window, ZoneName};

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
    /// What goes first behind the canary hosts, in this order; other hosts come last.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub priority: Vec<Place>,
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
            priority: Vec::new(),
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
            patience: Patience::default(),
        }
    }
}

/// How much may happen at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    #[serde(deserialize_with = "at_least_one")]
    #[schemars(range(min = 1))]
    pub migrations: usize,
    /// Migrations in flight away from one host.
    #[serde(deserialize_with = "at_least_one")]
    #[schemars(range(min = 1))]
    pub migrations_per_source: usize,
    /// Migrations in flight onto one host.
    #[serde(deserialize_with = "at_least_one")]
    #[schemars(range(min = 1))]
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
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
        absolute.min(relative).min(count).max(1)
    }
}

/// Reads `4` and `{max: 4, percent: 20}`. Not `untagged`, which would forget where a mistake stands.
impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Fields {
            #[serde(default, deserialize_with = "some_at_least_one")]
            max: Option<usize>,
            #[serde(default)]
            percent: Option<Percent>,
        }

        struct LimitVisitor;

        impl<'de> Visitor<'de> for LimitVisitor {
            type Value = Limit;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of 1 or more, or `{max: 4, percent: 20%}`")
            }

            fn visit_u64<E: de::Error>(self, max: u64) -> Result<Limit, E> {
                match usize::try_from(max) {
                    Ok(0) | Err(_) => Err(E::custom(not_a_limit(&max))),
                    Ok(max) => Ok(Limit::at_most(max)),
                }
            }

            fn visit_i64<E: de::Error>(self, max: i64) -> Result<Limit, E> {
                u64::try_from(max).map_err(|_| E::custom(not_a_limit(&max))).and_then(|max| self.visit_u64(max))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Limit, A::Error> {
                let Fields { max, percent } = Fields::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Limit { max, percent })
            }
        }

        deserializer.deserialize_any(LimitVisitor)
    }
}

impl JsonSchema for Limit {
    fn schema_name() -> Cow<'static, str> {
        "Limit".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let percent = generator.subschema_for::<Option<Percent>>();
        json_schema!({
            "description": "A number, or an absolute and a relative bound of which the smaller wins; at least 1.",
            "anyOf": [
                {"type": "integer", "minimum": 1},
                {
                    "type": "object",
                    "properties": {"max": {"type": ["integer", "null"], "minimum": 1}, "percent": percent},
                    "additionalProperties": false
                }
            ]
        })
    }
}

/// A limit of zero would let a run wait for ever without a word.
fn not_a_limit(written: &impl fmt::Display) -> String {
    format!("`{written}` is not a limit: the smallest one is 1")
}

fn at_least_one<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    match usize::deserialize(deserializer)? {
        0 => Err(de::Error::custom(not_a_limit(&0))),
        number => Ok(number),
    }
}

fn some_at_least_one<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    match Option::<usize>::deserialize(deserializer)? {
        Some(0) => Err(de::Error::custom(not_a_limit(&0))),
        number => Ok(number),
    }
}

/// Hosts that are treated differently from others.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HostRules {
    /// Off limits: neither remedied nor given instances.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub exclude: BTreeSet<HostName>,
    /// Never remedied; they take instances like other hosts that are left alone.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub targets_only: BTreeSet<HostName>,
    /// Remedied, and never given instances: what they have free is kept for something else.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub spare: BTreeSet<HostName>,
}

impl HostRules {
    /// Whether no host is named.
    pub fn is_empty(&self) -> bool {
        self.exclude.is_empty() && self.targets_only.is_empty() && self.spare.is_empty()
    }
}

/// Some hosts: one of them, or those of a zone, a rack or a host aggregate.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// This host.
    Host(HostName),
    /// Hosts of this zone.
    Zone(ZoneName),
    /// Hosts of this rack.
    Rack(String),
    /// Hosts of this aggregate.
    Aggregate(String),
}

impl Place {
    /// Whether a host is one of them.
    pub fn has(&self, host: &Host) -> bool {
        match self {
            Self::Host(name) => host.host == *name,
            Self::Zone(zone) => host.zone.as_ref() == Some(zone),
            Self::Rack(rack) => host.rack.as_ref() == Some(rack),
            Self::Aggregate(name) => host.aggregates.contains(name),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Host(name) => write!(f, "host {name}"),
            Self::Zone(zone) => write!(f, "zone {zone}"),
            Self::Rack(rack) => write!(f, "rack {rack}"),
            Self::Aggregate(name) => write!(f, "aggregate {name}"),
        }
    }
}

/// Hosts that must stay in service, of those in service when the run begins. One host may be out all the same where
/// so few are in service: it could never be remedied otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct KeepUp {
    /// In each zone.
    pub per_zone: usize,
    /// In each host aggregate; a host counts in every aggregate that it is of.
    pub per_aggregate: usize,
}

impl Default for KeepUp {
    fn default() -> Self {
        Self { per_zone: 1, per_aggregate: 1 }
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

/// Room that moves may not use up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Headroom {
    /// In each zone.
    pub per_zone: HeadroomZone,
}

/// Room kept free in one zone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HeadroomZone {
    /// Hosts kept empty.
    pub hosts: usize,
    /// This share of each resource class of the zone's hosts in service stays free beside hosts that are out; one host
    /// may always be out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent: Option<Percent>,
    /// So much stays free likewise.
    #[serde(skip_serializing_if = "Resources::is_zero")]
    pub resources: Resources,
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

/// The run pauses when more than this many hosts failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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

/// What becomes of instances that cannot simply be live-migrated.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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

/// How an instance leaves a host, or not. What is not carried out cannot be said: a rollout never names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum InstanceHandling {
    /// Stays through the reboot; only where nothing runs.
    Leave,
    /// Live migration.
    LiveMigrate,
    /// Cold migration.
    ColdMigrate,
    /// Its host is not touched.
    SkipHost,
}

impl<'de> Deserialize<'de> for InstanceHandling {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// What people may write, which is more than what is carried out.
        #[derive(Deserialize)]
        #[serde(rename_all = "kebab-case")]
        enum Written {
            Leave,
            LiveMigrate,
            ColdMigrate,
            StopInPlace,
            SkipHost,
        }
        match Written::deserialize(deserializer)? {
            Written::Leave => Ok(Self::Leave),
            Written::LiveMigrate => Ok(Self::LiveMigrate),
            Written::ColdMigrate => Ok(Self::ColdMigrate),
            Written::SkipHost => Ok(Self::SkipHost),
            Written::StopInPlace => Err(de::Error::custom(
                "`stop-in-place` is not carried out by this version: nothing would stop the instance before its host's \
                 reboot and start it afterwards; use `skip-host`, or have its owner stop it",
            )),
        }
    }
}

/// What is done about a finding in nova.conf.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NovaConfHandling {
    /// Nothing: a host with a finding cannot be mitigated and is skipped.
    #[default]
    Leave,
    /// Missing CPU flags are added to `cpu_model_extra_flags`; the file is backed up first.
    AddFlags,
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
