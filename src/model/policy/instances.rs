//! What becomes of instances that cannot simply be live-migrated, and of nova.conf.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::OwnerRules;
use crate::model::InstanceId;

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
    /// These instances by id, whatever the rules above say of them: what somebody has decided about each.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub named: BTreeMap<InstanceId, InstanceHandling>,
    /// What owners may decide about their own.
    #[serde(skip_serializing_if = "OwnerRules::is_default")]
    pub owners: OwnerRules,
    /// What becomes of a live migration that does not end in time.
    #[serde(skip_serializing_if = "Slow::is_default")]
    pub slow: Slow,
    /// Whether an instance that Nova put into ERROR behind an aborted or refused migration of ours is set to ACTIVE again,
    /// if its domain runs on the host that Nova names and nowhere else.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub reset_error: bool,
}

impl Default for InstanceRules {
    fn default() -> Self {
        Self {
            stopped: InstanceHandling::Leave,
            paused: InstanceHandling::LiveMigrate,
            suspended: InstanceHandling::Leave,
            cannot_move: InstanceHandling::SkipHost,
            locked: InstanceHandling::SkipHost,
            named: BTreeMap::new(),
            owners: OwnerRules::default(),
            slow: Slow::default(),
            reset_error: false,
        }
    }
}

/// How an instance leaves a host, or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum InstanceHandling {
    /// Stays through the reboot; only where nothing runs.
    Leave,
    /// Live migration.
    LiveMigrate,
    /// Cold migration.
    ColdMigrate,
    /// Stopped before its host's reboot and started after it; only what is ACTIVE.
    StopInPlace,
    /// Its host is not touched.
    SkipHost,
}

/// A live migration that does not end within `patience.migration_per_gib`. It is aborted and tried again, to another
/// target where there is one; what comes before and after that is said here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Slow {
    /// Before it is aborted, Nova is told once to force it to its end: the guest goes post-copy where Nova may do that, and
    /// stands still until the rest is copied where it may not. It has the same time once more.
    pub force_complete: bool,
    /// So many attempts that did not end are enough.
    #[schemars(range(min = 1, max = 8))]
    pub attempts: u32,
    /// What becomes of the instance then.
    pub then: LastResort,
}

impl Default for Slow {
    fn default() -> Self {
        Self { force_complete: false, attempts: 8, then: LastResort::SkipHost }
    }
}

impl Slow {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What becomes of an instance that does not get away live. Both ways that are left are an outage for its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LastResort {
    /// Its host is quarantined.
    SkipHost,
    /// It is migrated cold.
    ColdMigrate,
    /// It is stopped in place.
    StopInPlace,
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
