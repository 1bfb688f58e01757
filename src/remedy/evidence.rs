//! Kinds of evidence that a remedy can ask for: what must be seen on a host, and how its words are read.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::host::KernelFile;

/// One thing that must be seen on a host; written as `sysfs: {…}`, `kernel_log: {…}` and so on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EvidenceRequirement {
    /// A file of `/sys/devices/system/cpu/vulnerabilities`.
    Sysfs(SysfsEvidence),
    /// The last line of the kernel's log that has a tag.
    KernelLog(KernelLogEvidence),
    /// A CPU feature that `virsh domcapabilities` offers to guests.
    DomainCapability(DomainCapabilityEvidence),
    /// A flag of `/proc/cpuinfo`.
    CpuFlag(CpuFlagEvidence),
    /// Arguments of the kernel's command line.
    CommandLine(CommandLineEvidence),
    /// Any file by which the kernel tells of itself.
    KernelFile(KernelFileEvidence),
    /// The distribution says that no reboot is due.
    NoPendingReboot(NoPendingReboot),
}

/// A file of `/sys/devices/system/cpu/vulnerabilities`. Of `pass`, `fail` and `not_affected` the longest beginning
/// that fits decides; words that none fits are unknown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SysfsEvidence {
    /// The file's name, for example `mds`.
    pub file: String,
    /// Beginnings that are good.
    pub pass: Vec<String>,
    /// Beginnings that are bad.
    pub fail: Vec<String>,
    /// Beginnings that say that the processor does not have the flaw.
    #[serde(default)]
    pub not_affected: Vec<String>,
    /// Texts anywhere in a good line that people must see, for example `SMT vulnerable`.
    #[serde(default)]
    pub warn: Vec<String>,
    /// What it means when there is no such file.
    #[serde(default)]
    pub absent: AbsentFile,
}

/// What an absent file means.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum AbsentFile {
    /// The kernel does not have the fix.
    #[default]
    Fail,
    /// It says nothing: not every kernel with the fix has the file.
    Unknown,
    /// The host has no such thing, and nothing is asked of it: a module that is not loaded, a processor without threads.
    NotApplicable,
}

/// A file by which the kernel tells of itself, for example `/sys/module/kvm_intel/parameters/vmentry_l1d_flush`. Of
/// `pass` and `fail` the longest beginning that fits its first line decides; words that none fits are unknown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KernelFileEvidence {
    /// The file, under `/sys` or `/proc/sys`.
    pub path: KernelFile,
    /// Beginnings that are good.
    pub pass: Vec<String>,
    /// Beginnings that are bad.
    #[serde(default)]
    pub fail: Vec<String>,
    /// Texts anywhere in a good line that people must see.
    #[serde(default)]
    pub warn: Vec<String>,
    /// What it means when there is no such file.
    #[serde(default)]
    pub absent: AbsentFile,
}

/// The distribution says that no reboot is due: there is no `/run/reboot-required`, `needs-restarting -r` is content.
/// Where nothing on the host tells, nothing is asked of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoPendingReboot {}

/// The last line of the kernel's log that begins with a tag. An absent line is no failure: the ring buffer rolls
/// over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KernelLogEvidence {
    /// How the line begins, behind its time stamp, for example `MDS:`.
    pub tag: String,
    /// Beginnings of the rest that are good.
    pub pass: Vec<String>,
    /// Beginnings of the rest that are bad.
    pub fail: Vec<String>,
    /// Texts anywhere in a good line that people must see.
    #[serde(default)]
    pub warn: Vec<String>,
}

/// A CPU feature that libvirt offers to guests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct DomainCapabilityEvidence {
    /// Its name in libvirt's words, for example `md-clear`.
    pub feature: String,
    /// The policy that the host model must have for it.
    #[serde(default = "require")]
    pub policy: String,
}

fn require() -> String {
    "require".to_owned()
}

/// A flag of `/proc/cpuinfo`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CpuFlagEvidence {
    /// Its name in the kernel's words, for example `md_clear`.
    pub flag: String,
}

/// Arguments of the kernel's command line. Of arguments with the same key the last one counts, as in the kernel.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CommandLineEvidence {
    /// Must not be there, for example `mitigations=off`.
    pub must_not: Vec<String>,
    /// Must be there.
    pub must: Vec<String>,
}
