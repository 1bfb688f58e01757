//! Instance status as Nova's API shows it.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

macro_rules! statuses {
    ($($(#[$doc:meta])* $variant:ident = $text:literal),* $(,)?) => {
        /// A server's `status`. Source: Nova API guide, "Server concepts".
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
        #[serde(from = "String", into = "String")]
        pub enum InstanceStatus {
            $($(#[$doc])* $variant,)*
            /// A status that this version does not know: never moved, never waited for.
            Other(String),
        }

        impl From<String> for InstanceStatus {
            fn from(text: String) -> Self {
                match text.as_str() {
                    $($text => Self::$variant,)*
                    _ => Self::Other(text),
                }
            }
        }

        impl InstanceStatus {
            /// Nova's own word.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)*
                    Self::Other(text) => text,
                }
            }
        }
    };
}

statuses! {
    /// Runs.
    Active = "ACTIVE",
    /// Being created.
    Build = "BUILD",
    /// Gone.
    Deleted = "DELETED",
    /// Needs an operator or a hard reboot.
    Error = "ERROR",
    /// In a hard reboot.
    HardReboot = "HARD_REBOOT",
    /// In a migration.
    Migrating = "MIGRATING",
    /// A password is being set.
    Password = "PASSWORD",
    /// Paused in memory.
    Paused = "PAUSED",
    /// In a soft reboot.
    Reboot = "REBOOT",
    /// Being rebuilt.
    Rebuild = "REBUILD",
    /// Booted from a rescue image.
    Rescue = "RESCUE",
    /// Being resized or cold-migrated.
    Resize = "RESIZE",
    /// A resize is being reverted.
    RevertResize = "REVERT_RESIZE",
    /// Shelved, still on its host.
    Shelved = "SHELVED",
    /// Shelved, on no host.
    ShelvedOffloaded = "SHELVED_OFFLOADED",
    /// Powered off.
    Shutoff = "SHUTOFF",
    /// Deleted but restorable.
    SoftDeleted = "SOFT_DELETED",
    /// Suspended to disk.
    Suspended = "SUSPENDED",
    /// Nova does not know.
    Unknown = "UNKNOWN",
    /// A resize or cold migration waits to be confirmed.
    VerifyResize = "VERIFY_RESIZE",
}

/// `OS-EXT-STS:power_state`. Source: `nova/compute/power_state.py`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PowerState {
    /// 0.
    NoState,
    /// 1.
    Running,
    /// 3.
    Paused,
    /// 4.
    Shutdown,
    /// 6.
    Crashed,
    /// 7.
    Suspended,
}

impl From<InstanceStatus> for String {
    fn from(status: InstanceStatus) -> Self {
        status.as_str().to_owned()
    }
}

impl fmt::Display for InstanceStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
