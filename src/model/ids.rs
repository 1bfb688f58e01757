//! Names and identifiers as newtypes, so that a host is never mistaken for a zone.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

use super::numbers::SharedName;
use super::shared;

/// A name that thousands of values repeat: copies share one text, and so do those that a file repeats.
macro_rules! shared_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema)]
        #[schemars(transparent)]
        pub struct $name(#[schemars(with = "String")] Arc<str>);

        impl $name {
            /// Wraps text that a parser has accepted as such a name.
            pub fn new(text: impl AsRef<str>) -> Self {
                Self(text.as_ref().into())
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                shared::text(deserializer).map(Self)
            }
        }

        /// Looked up by its text; it hashes and compares as that does.
        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl SharedName for $name {
            fn address(&self) -> usize {
                self.0.as_ptr().addr()
            }
        }
    };
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Wraps text that a parser has accepted as such a name.
            pub fn new(text: impl Into<String>) -> Self {
                Self(text.into())
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }
    };
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps a UUID.
            pub const fn new(id: Uuid) -> Self {
                Self(id)
            }

            /// The UUID.
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

shared_id!(
    /// A compute host as Nova names it.
    HostName
);
shared_id!(
    /// An availability zone.
    ZoneName
);
shared_id!(
    /// A Keystone project; opaque text, usually 32 hexadecimal digits.
    ProjectId
);
text_id!(
    /// A compute service's id: a UUID from microversion 2.53 on.
    ServiceId
);
shared_id!(
    /// A server group.
    GroupId
);
text_id!(
    /// A vertex of the workflow graph: `compute-17/reboot`, `compute-17/move/<uuid>`.
    StepId
);
text_id!(
    /// `x-openstack-request-id` of one call.
    RequestId
);
text_id!(
    /// The name of a transient systemd unit that carries a host job.
    UnitName
);
text_id!(
    /// `sha256:<hex>` over a rollout's model.
    Digest
);

uuid_id!(
    /// A Nova server.
    InstanceId
);
uuid_id!(
    /// One execution of a rollout; a UUID v7, so that ids sort by time.
    RunId
);
uuid_id!(
    /// A rollout file.
    RolloutId
);

impl StepId {
    /// The step `what` of `host`.
    pub fn of(host: &HostName, what: &str) -> Self {
        Self(format!("{host}/{what}"))
    }

    /// The move of `instance` away from `host`.
    pub fn of_move(host: &HostName, instance: InstanceId) -> Self {
        Self::of_instance(host, "move", instance)
    }

    /// `what` of `instance` on `host`.
    pub fn of_instance(host: &HostName, what: &str, instance: InstanceId) -> Self {
        Self(format!("{host}/{what}/{instance}"))
    }
}
