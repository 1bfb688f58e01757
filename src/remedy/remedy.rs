//! The remedy file's model.
//!
//! Enums that people write are externally tagged (`sysfs: {…}`) and nothing is flattened, because buffering a value
//! to find its shape loses the line and column of a mistake inside it.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::evidence::EvidenceRequirement;
use super::system::SystemSelector;
use crate::host::Inquiry;
use crate::model::ExtraStep;

/// The file kind of a remedy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RemedyKind {
    /// The only value.
    #[default]
    Remedy,
}

/// What must be true of a host (evidence), and how to get there (packages, config, reboot).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Remedy {
    /// Version of the file format; 1.
    #[schemars(range(min = 1, max = 1))]
    pub format: u32,
    /// Always `remedy`.
    pub kind: RemedyKind,
    /// Short name, as `--remedy` takes it.
    pub name: String,
    /// One line for people.
    #[serde(default)]
    pub title: String,
    /// CVE ids.
    #[serde(default)]
    pub cves: Vec<String>,
    /// Where to read more.
    #[serde(default)]
    pub references: Vec<String>,
    /// Hosts that it concerns; all when empty.
    #[serde(default)]
    pub applies: Applies,
    /// Packages, each with the version it must have.
    #[serde(default)]
    pub packages: Vec<PackageRequirement>,
    /// The kernel that must run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kernel: Option<KernelRequirement>,
    /// What must be seen on the host.
    #[serde(default)]
    pub evidence: Vec<EvidenceRequirement>,
    /// What guests must get.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guests: Option<GuestRequirement>,
    /// Steps that are added to what each host goes through.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<ExtraStep>,
    /// Whether the host has to be rebooted before the remedy is in force.
    #[serde(default = "yes")]
    pub reboot: bool,
}

const fn yes() -> bool {
    true
}

/// Hosts that a remedy concerns. An empty list is no restriction.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Applies {
    /// `vendor_id` of `/proc/cpuinfo`, for example `GenuineIntel`. Any other vendor is not affected.
    pub vendors: Vec<String>,
    /// `uname -m`, for example `x86_64`. Any other architecture is not affected.
    pub architectures: Vec<String>,
    /// Operating systems that the thresholds speak of. Any other one is unknown, never "not affected".
    pub systems: Vec<SystemSelector>,
}

/// A package that must have a version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PackageRequirement {
    /// Names under which systems and roles carry it. Each one that is installed is held to its threshold.
    pub any_of: Vec<String>,
    /// What it means when none is installed.
    #[serde(default)]
    pub absent: Absent,
    /// Whether the update step brings it to the newest version.
    #[serde(default)]
    pub update: Update,
    /// Whether several versions may be installed side by side, as kernels are; the newest one counts. Otherwise a
    /// second version is what an interrupted transaction left behind.
    #[serde(default)]
    pub side_by_side: bool,
    /// Versions by operating system; the first that fits decides.
    pub thresholds: Vec<Threshold>,
}

/// What an absent package means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Absent {
    /// The requirement does not hold.
    #[default]
    Fail,
    /// The host does without it, for example because it comes in a container image.
    NotApplicable,
}

/// When a package is updated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Update {
    /// When its threshold is not met.
    #[default]
    Needed,
    /// On every host that is remedied.
    Always,
    /// Never: something else brings it.
    Never,
}

/// The version that a package must have on one operating system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Threshold {
    /// Operating systems; all when empty.
    #[serde(default)]
    pub os: SystemSelector,
    /// Names out of `any_of` that it speaks of; all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<String>,
    /// The version.
    pub version: Minimum,
}

/// A lower bound on a version: `any`, or `[epoch:]version[-release]`. Without an epoch only version and release are
/// compared, and the evidence says so.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(from = "String", into = "String")]
pub enum Minimum {
    /// Every version of this system has the fix.
    Any,
    /// At least this one.
    AtLeast(String),
}

impl From<String> for Minimum {
    fn from(text: String) -> Self {
        if text.trim() == "any" { Self::Any } else { Self::AtLeast(text.trim().to_owned()) }
    }
}

impl From<Minimum> for String {
    fn from(minimum: Minimum) -> Self {
        minimum.to_string()
    }
}

impl fmt::Display for Minimum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Any => f.pad("any"),
            Self::AtLeast(version) => f.pad(version),
        }
    }
}

/// The kernel that must run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct KernelRequirement {
    /// `uname -r`, less architecture and flavour, by operating system; the first that fits decides.
    pub thresholds: Vec<KernelThreshold>,
    /// Kernel packages whose newest installed version should be the one that runs.
    pub packages: Vec<String>,
    /// What it means when a newer kernel is installed, or would be booted, than the one that runs.
    pub newest_not_booted: NotBooted,
}

/// The kernel that must run on one operating system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KernelThreshold {
    /// Operating systems; all when empty.
    #[serde(default)]
    pub os: SystemSelector,
    /// The version.
    pub version: Minimum,
}

/// What an installed kernel that does not run means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum NotBooted {
    /// The requirement does not hold.
    Fail,
    /// People should see it.
    #[default]
    Warn,
    /// Nothing.
    Ignore,
}

/// What guests must get. Holding nova.conf to it is a requirement of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GuestRequirement {
    /// A CPU flag in libvirt's words, for example `md-clear`.
    pub cpu_flag: String,
    /// Flags that a custom model needs beside it because earlier remedies asked for them; a missing one is a warning.
    #[serde(default)]
    pub together_with: Vec<CompanionFlag>,
    /// Whether each guest needs a power-off and a start by its owner to get the flag.
    #[serde(default)]
    pub cold_boot: bool,
}

/// A flag that goes with another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CompanionFlag {
    /// The flag in libvirt's words.
    pub flag: String,
    /// Endings of CPU models that contain it already, for example `-IBRS`.
    #[serde(default)]
    pub contained_in: Vec<String>,
}

impl Remedy {
    /// What the facts of a host must speak of beside what every host tells.
    pub fn inquiry(&self) -> Inquiry {
        let required = self.packages.iter().flat_map(|requirement| &requirement.any_of);
        let kernels = self.kernel.iter().flat_map(|kernel| &kernel.packages);
        let kernel_files = self.evidence.iter().filter_map(|evidence| match evidence {
            EvidenceRequirement::KernelFile(file) => Some(file.path.clone()),
            EvidenceRequirement::Sysfs(_)
            | EvidenceRequirement::KernelLog(_)
            | EvidenceRequirement::DomainCapability(_)
            | EvidenceRequirement::CpuFlag(_)
            | EvidenceRequirement::CommandLine(_)
            | EvidenceRequirement::NoPendingReboot(_) => None,
        });
        let guest_flags = self.guests.iter().map(|guests| guests.cpu_flag.clone());
        Inquiry {
            packages: required.chain(kernels).cloned().collect(),
            kernel_files: kernel_files.collect(),
            guest_flags: guest_flags.collect(),
            ..Inquiry::default()
        }
    }

    /// Whether each guest needs a cold boot once its host is done.
    pub fn needs_cold_boot(&self) -> bool {
        self.guests.as_ref().is_some_and(|guests| guests.cold_boot)
    }
}
