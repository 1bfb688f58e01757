//! What Nova remembers of an instance, and what its host shows of its guest: from when, and where, its current boot is.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{HostName, RequestId};

/// What Nova remembers of one instance.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct InstanceHistory {
    /// `OS-SRV-USG:launched_at`: when it was last made, rebuilt, resized, brought to another host by anything but a live
    /// migration, or rescued. For people: a rescue renews nothing, so that it proves nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub launched_at: Option<Timestamp>,
    /// What was done to it, newest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub actions: Vec<PastAction>,
    /// Live migrations that arrived, newest first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub moves: Vec<PastMove>,
    /// Why its actions could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unread: Option<String>,
}

/// Something that was done to an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PastAction {
    /// Nova's word: `stop`, `start`, `reboot`, `live-migration`, …
    pub action: String,
    /// The request that caused it.
    pub request: RequestId,
    /// When it was asked for; of a boot, when the host began with it, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// The host that carried it out last, where that was asked for and is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostName>,
    /// Who asked, by user id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Whether Nova says that it failed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub failed: bool,
}

/// A live migration that arrived.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PastMove {
    /// From.
    pub from: HostName,
    /// To.
    pub to: HostName,
    /// When it was asked for.
    pub at: Timestamp,
}

/// The processor of a guest that runs, as its host's libvirt shows it, not as it is defined for the next start.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct GuestCpu {
    /// `mode`: `custom` also for what was started as `host-model`.
    pub mode: String,
    /// The named model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Policies of the features that were asked for, where the definition names them: `require`, `disable`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub features: BTreeMap<String, String>,
    /// For how many seconds its process runs. A live migration and a soft reboot begin a process with the old processor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runs_s: Option<u64>,
}
