//! What a policy wishes of hosts: which are treated differently, which go first, and what is kept free on them.

use std::collections::BTreeSet;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{Host, HostName, Percent, Resources, ZoneName};

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
