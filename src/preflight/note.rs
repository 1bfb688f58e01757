//! One finding: how grave, of which host, what it means, what to do.

use schemars::JsonSchema;
use serde::Serialize;

use crate::model::HostName;
use crate::plan::Severity;

/// One finding.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Note {
    /// How grave.
    pub severity: Severity,
    /// What it is about.
    pub topic: Topic,
    /// The host concerned; absent when it is the region.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<HostName>,
    /// What was found.
    pub found: String,
    /// What that means for a campaign.
    pub means: String,
    /// What to do about it.
    pub advice: String,
}

/// What a finding is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Topic {
    /// What we may do in the cloud, and what its services offer.
    Cloud,
    /// Cells that do not answer.
    Cells,
    /// The way to a host.
    Ssh,
    /// root's rights on it.
    Sudo,
    /// Which machine it is.
    Identity,
    /// What a host did not tell.
    Facts,
    /// libvirt on it.
    Libvirt,
    /// nova-compute's unit on it.
    ComputeUnit,
    /// Repositories of its package manager.
    Repositories,
    /// Free space on it.
    Space,
    /// What acts on a host that goes away.
    HighAvailability,
    /// What else runs on it.
    Roles,
    /// Who else keeps it out of service.
    Maintenance,
    /// Another hypervisor than KVM or QEMU.
    Hypervisor,
    /// nova and libvirt in containers.
    Containers,
    /// Hosts with room, and hosts that keep it for something else.
    Spare,
}

impl Topic {
    /// The word for it.
    pub fn word(self) -> &'static str {
        match self {
            Self::Cloud => "cloud",
            Self::Cells => "cells",
            Self::Ssh => "ssh",
            Self::Sudo => "sudo",
            Self::Identity => "identity",
            Self::Facts => "facts",
            Self::Libvirt => "libvirt",
            Self::ComputeUnit => "compute-unit",
            Self::Repositories => "repositories",
            Self::Space => "space",
            Self::HighAvailability => "high-availability",
            Self::Roles => "roles",
            Self::Maintenance => "maintenance",
            Self::Hypervisor => "hypervisor",
            Self::Containers => "containers",
            Self::Spare => "spare",
        }
    }
}

/// A note in the making: what is the same for whatever host it is about.
pub(super) fn note(severity: Severity, topic: Topic, found: impl Into<String>, means: &str, advice: &str) -> Note {
    let (found, means, advice) = (found.into(), means.to_owned(), advice.to_owned());
    Note { severity, topic, host: None, found, means, advice }
}

impl Note {
    /// The same about `host`.
    pub(super) fn of(mut self, host: &HostName) -> Self {
        self.host = Some(host.clone());
        self
    }
}

/// Notes that differ in their host alone, together with all of their hosts; in the order of the first of each.
pub fn gather(notes: &[Note]) -> Vec<(&Note, Vec<&HostName>)> {
    let mut gathered: Vec<(&Note, Vec<&HostName>)> = Vec::new();
    let mut places = std::collections::BTreeMap::new();
    for note in notes {
        let key = (note.severity, note.topic, &note.found, &note.means, &note.advice);
        let place = *places.entry(key).or_insert_with(|| {
            gathered.push((note, Vec::new()));
            gathered.len() - 1
        });
        gathered[place].1.extend(&note.host);
    }
    gathered
}
