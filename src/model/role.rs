//! What runs on a compute host beside nova-compute, and what a policy says about such hosts.

use std::collections::BTreeMap;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Something beside nova-compute whose outage others notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// A Ceph object store daemon.
    CephOsd,
    /// A Ceph monitor.
    CephMon,
    /// MariaDB or MySQL, usually of a Galera cluster.
    Galera,
    /// RabbitMQ.
    Rabbitmq,
    /// etcd.
    Etcd,
    /// Routes between tenants' networks and the outside: a central neutron-l3-agent, or an OVN gateway chassis.
    NetworkGateway,
    /// API or scheduling services of the cloud itself.
    ControlPlane,
    /// The database that keeps fleetmend's journal.
    StateDatabase,
    /// The machine on which fleetmend runs.
    Runner,
    /// Masakari's monitors: they have instances evacuated when the host goes away.
    Masakari,
    /// Pacemaker or `pacemaker_remote`: a host that goes away is fenced.
    Pacemaker,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 11] = [
        Self::CephOsd,
        Self::CephMon,
        Self::Galera,
        Self::Rabbitmq,
        Self::Etcd,
        Self::NetworkGateway,
        Self::ControlPlane,
        Self::StateDatabase,
        Self::Runner,
        Self::Masakari,
        Self::Pacemaker,
    ];

    /// The word for it in files.
    pub fn word(self) -> &'static str {
        match self {
            Self::CephOsd => "ceph-osd",
            Self::CephMon => "ceph-mon",
            Self::Galera => "galera",
            Self::Rabbitmq => "rabbitmq",
            Self::Etcd => "etcd",
            Self::NetworkGateway => "network-gateway",
            Self::ControlPlane => "control-plane",
            Self::StateDatabase => "state-database",
            Self::Runner => "runner",
            Self::Masakari => "masakari",
            Self::Pacemaker => "pacemaker",
        }
    }

    /// Whether it acts on a host that goes away: high availability, not a service.
    pub fn is_high_availability(self) -> bool {
        match self {
            Self::Masakari | Self::Pacemaker => true,
            Self::CephOsd
            | Self::CephMon
            | Self::Galera
            | Self::Rabbitmq
            | Self::Etcd
            | Self::NetworkGateway
            | Self::ControlPlane
            | Self::StateDatabase
            | Self::Runner => false,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

/// What becomes of hosts with a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RoleHandling {
    /// Not remedied; they take instances like other hosts that are left alone.
    Skip,
    /// Remedied, one of them at a time in the whole region; one that failed counts until somebody has looked at it.
    OneAtATime,
    /// Remedied like any other host.
    Allow,
}

/// What a policy says about hosts by what else runs on them. A role that is not named is skipped: none of these is
/// taken down without somebody's word.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct RoleRules(BTreeMap<Role, RoleHandling>);

impl RoleRules {
    /// Rules that say this.
    pub fn new(rules: impl IntoIterator<Item = (Role, RoleHandling)>) -> Self {
        Self(rules.into_iter().collect())
    }

    /// Whether no role is named.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What becomes of hosts with `role`.
    pub fn of(&self, role: Role) -> RoleHandling {
        self.0.get(&role).copied().unwrap_or(RoleHandling::Skip)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_is_written_by_its_word_and_is_skipped_unless_it_is_named() {
        for role in Role::ALL {
            assert_eq!(serde_json::to_string(&role).unwrap(), format!("\"{role}\""));
            assert_eq!(RoleRules::default().of(role), RoleHandling::Skip);
        }
        let rules: RoleRules = serde_json::from_str(r#"{"ceph-osd": "one-at-a-time"}"#).unwrap();
        assert_eq!(rules.of(Role::CephOsd), RoleHandling::OneAtATime);
        assert_eq!(rules.of(Role::CephMon), RoleHandling::Skip);
    }
}
