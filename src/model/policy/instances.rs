//! What becomes of instances that cannot simply be live-migrated, and of nova.conf.

use schemars::JsonSchema;
use serde::de;
use serde::{Deserialize, Deserializer, Serialize};

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
