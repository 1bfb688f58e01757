//! How many hosts may fail before a run pauses.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The run pauses when more than this many hosts failed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FailureBudget {
    /// In the region.
    pub hosts: usize,
    /// In one zone.
    pub per_zone: usize,
    /// By what they failed in, where that is to be bound more closely: two hosts that do not come back from their reboot
    /// may say more than five that could not be emptied.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub per_cause: BTreeMap<FailureCause, usize>,
}

impl Default for FailureBudget {
    fn default() -> Self {
        Self { hosts: 2, per_zone: 1, per_cause: BTreeMap::new() }
    }
}

/// What a host failed in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FailureCause {
    /// It could not be taken out of service or emptied.
    Drain,
    /// Packages or configuration.
    Update,
    /// The fence, the reboot, or its way back from it.
    Reboot,
    /// It came back and is not mitigated by evidence.
    Evidence,
    /// It could not be put back into service.
    Enable,
}

impl fmt::Display for FailureCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Drain => "drain",
            Self::Update => "update",
            Self::Reboot => "reboot",
            Self::Evidence => "evidence",
            Self::Enable => "enable",
        })
    }
}
