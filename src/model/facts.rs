//! Facts of a host, as `host::facts` parsed them. Absent means not seen.

use core::net::IpAddr;
use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Fingerprint, GuestCpu, InstanceId, NumaCell, Role};

/// What was read on a host in one round trip.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HostFacts {
    /// The host's clock when it was read; never compared with another machine's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub read_at: Option<Timestamp>,
    /// `/etc/os-release`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os: Option<OsRelease>,
    /// `uname -m`, for example `x86_64`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub architecture: Option<String>,
    /// Processor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<Cpu>,
    /// NUMA cells in order of number; empty when they are not known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub numa: Vec<NumaCell>,
    /// `uname -r`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel: Option<String>,
    /// The kernel that the next boot takes, where the boot loader tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_kernel: Option<String>,
    /// `/proc/cmdline`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command_line: Option<String>,
    /// The command line that the next boot takes, where the boot loader tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub default_command_line: Option<String>,
    /// `/proc/sys/kernel/random/boot_id`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boot_id: Option<String>,
    /// Seconds since boot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uptime_s: Option<u64>,
    /// Installed packages that were asked for; one entry per installed version.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<Package>,
    /// `/sys/devices/system/cpu/vulnerabilities/*`, first line of each; `None` when the folder could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub vulnerabilities: Option<BTreeMap<String, String>>,
    /// Files of the kernel that were asked for, first line of each; `null` where there is no such file.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub kernel_files: BTreeMap<String, Option<String>>,
    /// Whether the distribution says that a reboot is due; `None` where nothing on the host tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending_reboot: Option<PendingReboot>,
    /// Lines of `dmesg` that speak of a vulnerability, oldest first; `None` when dmesg could not be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel_log: Option<Vec<String>>,
    /// What libvirt says that guests can get.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain_capabilities: Option<DomainCapabilities>,
    /// Domains on the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domains: Option<Vec<Domain>>,
    /// Processors of the guests that run, where a remedy speaks of them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub guests: BTreeMap<InstanceId, GuestCpu>,
    /// nova.conf as oslo.config resolves it, by section and option; only the options that remedies ask about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nova_conf: Option<BTreeMap<String, BTreeMap<String, Vec<String>>>>,
    /// What runs on the host beside nova-compute, with the signs of it; `None` when that could not be seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub roles: Option<BTreeMap<Role, Vec<String>>>,
    /// Running containers of Nova and libvirt by name, with their images: what packages say of the host is then not
    /// what guests get.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub containers: BTreeMap<String, String>,
    /// Free space in KiB where packages go, by path.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub free_kib: BTreeMap<String, u64>,
    /// Whose rights commands have on the host: 0 is root.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user_id: Option<u32>,
    /// Its addresses.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<IpAddr>,
    /// Repositories of the package manager; only when they were asked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repositories: Option<Vec<Repository>>,
    /// State of the nova-compute unit as systemd says it, for example `active`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compute_unit: Option<String>,
    /// What a reboot can lose. Only looked at right before and after one: no snapshot of a region keeps it.
    #[serde(skip)]
    pub fingerprint: Option<Fingerprint>,
    /// Packages out of those asked for that the package manager is told to leave as they are, and what tells it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub holds: BTreeMap<String, String>,
    /// Parts of the collection that failed, by part, with the host's words.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub unread: BTreeMap<String, String>,
}

impl HostFacts {
    /// An option of nova.conf's `[libvirt]`: of its values the last one counts. `None` when it is not set, or not known.
    pub fn libvirt_option(&self, name: &str) -> Option<&str> {
        let value = self.nova_conf.as_ref()?.get("libvirt")?.get(name)?.last()?.trim();
        (!value.is_empty()).then_some(value)
    }
}

/// `/etc/os-release`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OsRelease {
    /// `ID`, for example `rhel`.
    pub id: String,
    /// `VERSION_ID`, for example `8.4`.
    #[serde(default)]
    pub version_id: String,
    /// `ID_LIKE`, split.
    #[serde(default)]
    pub id_like: Vec<String>,
    /// `PRETTY_NAME`.
    #[serde(default)]
    pub pretty_name: String,
}

impl OsRelease {
    /// The package manager that the system is made of; `None` for a family that is not known. A host may have the tools
    /// of another as well, whose packages say nothing of the system.
    pub fn package_manager(&self) -> Option<PackageManager> {
        let is = |families: &[&str]| {
            let mut names = self.id_like.iter().chain(std::iter::once(&self.id));
            names.any(|name| families.contains(&name.as_str()))
        };
        if is(&["debian", "ubuntu"]) {
            Some(PackageManager::Dpkg)
        } else if is(&["rhel", "fedora", "centos", "suse", "opensuse", "sles"]) {
            Some(PackageManager::Rpm)
        } else {
            None
        }
    }
}

/// Processor.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Cpu {
    /// `vendor_id`, for example `GenuineIntel`.
    pub vendor: String,
    /// `model name`.
    #[serde(default)]
    pub model: String,
    /// `microcode` revision, for example `0xb000036`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub microcode: Option<String>,
    /// `flags`.
    #[serde(default)]
    pub flags: Vec<String>,
}

/// Instructions that guests find and use, by the kernel's names, in order. Other flags of a host come and go with its
/// kernel's version, or are never shown to guests. Updates of microcode take `hle` and `rtm` away, and a guest that was
/// started with them can then not come.
const INSTRUCTIONS: [&str; 57] = [
    "abm",
    "adx",
    "aes",
    "amx_bf16",
    "amx_int8",
    "amx_tile",
    "avx",
    "avx2",
    "avx512_bf16",
    "avx512_bitalg",
    "avx512_fp16",
    "avx512_vbmi2",
    "avx512_vnni",
    "avx512_vpopcntdq",
    "avx512bw",
    "avx512cd",
    "avx512dq",
    "avx512er",
    "avx512f",
    "avx512ifma",
    "avx512pf",
    "avx512vbmi",
    "avx512vl",
    "avx_vnni",
    "bmi1",
    "bmi2",
    "clflushopt",
    "clwb",
    "cx16",
    "erms",
    "f16c",
    "fma",
    "fma4",
    "fsgsbase",
    "gfni",
    "hle",
    "invpcid",
    "lahf_lm",
    "movbe",
    "pcid",
    "pclmulqdq",
    "pku",
    "popcnt",
    "rdrand",
    "rdseed",
    "rdtscp",
    "rtm",
    "sha_ni",
    "sse4_1",
    "sse4_2",
    "sse4a",
    "ssse3",
    "vaes",
    "vpclmulqdq",
    "xop",
    "xsave",
    "xsaves",
];

impl Cpu {
    /// Instructions that a guest with the host's own processor finds; what live migration cannot take away from it.
    pub fn instructions(&self) -> BTreeSet<&'static str> {
        let known = self.flags.iter().filter_map(|flag| INSTRUCTIONS.binary_search(&flag.as_str()).ok());
        known.map(|place| INSTRUCTIONS[place]).collect()
    }
}

/// One installed version of a package.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Package {
    /// Name.
    pub name: String,
    /// `[epoch:]version[-release]`, in the words of its manager.
    pub version: String,
    /// Architecture.
    #[serde(default)]
    pub arch: String,
    /// Whose rule orders its versions.
    pub manager: PackageManager,
}

/// A package database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PackageManager {
    /// rpm, through dnf or yum.
    Rpm,
    /// dpkg, through apt.
    Dpkg,
}

/// The distribution's word on whether a reboot is due.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PendingReboot {
    /// Whether one is.
    pub due: bool,
    /// What for: names of packages, where it tells.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub because: Vec<String>,
}

/// A repository of the package manager.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Repository {
    /// Its name.
    pub name: String,
    /// Why it does not answer, in the host's words; absent when it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// What `virsh domcapabilities` says of CPU models.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DomainCapabilities {
    /// Features of the host-model CPU with their policy (`require`, `disable`).
    #[serde(default)]
    pub host_model: BTreeMap<String, String>,
    /// Named models that are usable.
    #[serde(default)]
    pub models: Vec<String>,
}

/// A libvirt domain.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct Domain {
    /// UUID, the instance's id under Nova.
    pub id: String,
    /// Name, for example `instance-0000002a`.
    pub name: String,
    /// State.
    pub state: DomainState,
}

/// State of a domain, as `virsh domstate` words it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DomainState {
    /// Runs, is blocked or shuts down.
    Running,
    /// Paused, or suspended in memory: it would be lost.
    Paused,
    /// Shut off.
    ShutOff,
    /// Crashed.
    Crashed,
    /// Any other word: counts as running wherever that is the careful reading.
    Other,
}

impl DomainState {
    /// Whether a reboot of the host would end something.
    pub fn would_be_lost(self) -> bool {
        match self {
            Self::Running | Self::Paused | Self::Other => true,
            Self::ShutOff | Self::Crashed => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_processors_flags_guests_find_the_instructions() {
        assert!(INSTRUCTIONS.is_sorted());
        let flags = ["avx2", "md_clear", "vnmi", "rtm"].map(str::to_owned).to_vec();
        let cpu = Cpu { flags, ..Cpu::default() };
        assert_eq!(cpu.instructions().into_iter().collect::<Vec<_>>(), ["avx2", "rtm"]);
    }
}
