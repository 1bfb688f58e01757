//! The machine below a compute host: its identity, packages, kernel, microcode, boots and files.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::job::SimJob;
use crate::model::{HostIdentity, UnitName};

/// Operating system of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Os {
    /// Red Hat Enterprise Linux 7.6.
    El7,
    /// Ubuntu 18.04.
    Bionic,
}

/// What a package does for the mitigation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Processor microcode, loaded at boot.
    Microcode,
    /// The kernel, chosen at boot.
    Kernel,
    /// The emulator.
    Qemu,
    /// libvirt.
    Libvirt,
}

/// A package with the version that hosts begin with and the one that the repositories offer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Update {
    /// Name.
    pub package: &'static str,
    /// What it does.
    pub role: Role,
    /// Before, `epoch:version-release`.
    pub base: &'static str,
    /// After.
    pub updated: &'static str,
}

const fn update(package: &'static str, role: Role, base: &'static str, updated: &'static str) -> Update {
    Update { package, role, base, updated }
}

/// The MDS updates of RHEL 7.6 and RHOSP 13.
const EL7: [Update; 8] = [
    update("microcode_ctl", Role::Microcode, "2:2.1-47.el7", "2:2.1-47.2.el7_6"),
    update("kernel", Role::Kernel, "0:3.10.0-957.12.1.el7", "0:3.10.0-957.12.2.el7"),
    update("qemu-img-rhev", Role::Qemu, "10:2.12.0-18.el7_6.4", "10:2.12.0-18.el7_6.5"),
    update("qemu-kvm-common-rhev", Role::Qemu, "10:2.12.0-18.el7_6.4", "10:2.12.0-18.el7_6.5"),
    update("qemu-kvm-rhev", Role::Qemu, "10:2.12.0-18.el7_6.4", "10:2.12.0-18.el7_6.5"),
    update("libvirt", Role::Libvirt, "0:4.5.0-10.el7_6.7", "0:4.5.0-10.el7_6.9"),
    update("libvirt-client", Role::Libvirt, "0:4.5.0-10.el7_6.7", "0:4.5.0-10.el7_6.9"),
    update("libvirt-daemon-kvm", Role::Libvirt, "0:4.5.0-10.el7_6.7", "0:4.5.0-10.el7_6.9"),
];

/// The MDS updates of Ubuntu 18.04.
const BIONIC: [Update; 5] = [
    update("intel-microcode", Role::Microcode, "3.20180807a.0ubuntu0.18.04.1", "3.20190514.0ubuntu0.18.04.2"),
    update("linux-image-generic", Role::Kernel, "4.15.0.48.50", "4.15.0.50.52"),
    update("qemu-system-x86", Role::Qemu, "1:2.11+dfsg-1ubuntu7.12", "1:2.11+dfsg-1ubuntu7.13"),
    update("libvirt-clients", Role::Libvirt, "4.0.0-1ubuntu8.8", "4.0.0-1ubuntu8.10"),
    update("libvirt-daemon-system", Role::Libvirt, "4.0.0-1ubuntu8.8", "4.0.0-1ubuntu8.10"),
];

/// Microcode revisions of a Skylake server before and after the update.
const MICROCODE: (u32, u32) = (0x0200_0050, 0x0200_005e);

impl Os {
    /// What its repositories offer.
    pub fn updates(self) -> &'static [Update] {
        match self {
            Self::El7 => &EL7,
            Self::Bionic => &BIONIC,
        }
    }

    /// `uname -r` before and after the update.
    pub fn kernels(self) -> (&'static str, &'static str) {
        match self {
            Self::El7 => ("3.10.0-957.12.1.el7.x86_64", "3.10.0-957.12.2.el7.x86_64"),
            Self::Bionic => ("4.15.0-48-generic", "4.15.0-50-generic"),
        }
    }

    /// The unit that runs nova-compute.
    pub fn compute_unit(self) -> &'static str {
        match self {
            Self::El7 => "openstack-nova-compute.service",
            Self::Bionic => "nova-compute.service",
        }
    }
}

/// Processor of a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Processor {
    /// Has the flaw.
    Affected,
    /// Was made without it.
    NotAffected,
}

/// Whether a machine answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Runs.
    Up,
    /// Was told to reboot and still answers.
    GoingDown,
    /// Silent.
    Down,
}

/// The boot that a machine is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CurrentBoot {
    /// Boot id.
    pub id: String,
    /// When it began.
    pub at: Timestamp,
    /// `uname -r`.
    pub kernel: &'static str,
    /// Microcode revision.
    pub microcode: u32,
}

/// A machine.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Who it is.
    pub identity: HostIdentity,
    /// Operating system.
    pub os: Os,
    /// Processor.
    pub processor: Processor,
    /// Installed versions by package; more than one after an interrupted transaction, and of kernels.
    pub packages: BTreeMap<String, Vec<String>>,
    /// Packages whose scriptlet failed after they were installed: they have no effect.
    pub without_effect: BTreeSet<String>,
    /// nova.conf.
    pub nova_conf: String,
    /// Copies of nova.conf from before it was edited, oldest first.
    pub nova_conf_backups: Vec<String>,
    /// The boot it is in, or was in last.
    pub boot: CurrentBoot,
    /// The kernel that the next boot takes.
    pub default_kernel: &'static str,
    /// Whether one of its links did not come up.
    pub lost_a_link: bool,
    /// What its updates and reboots take of what they take elsewhere, in percent.
    pub pace_percent: u32,
    /// How often it was booted since the region began.
    pub reboots: u32,
    /// Transient units by name; a reboot forgets them.
    pub(super) jobs: BTreeMap<UnitName, SimJob>,
    pub(super) standing: Standing,
    /// Whether the unit of nova-compute failed to start.
    pub(super) compute_failed: bool,
    /// Until when another machine answers at its address.
    pub(super) impostor_until: Option<Timestamp>,
    /// Until when it cannot be reached.
    pub(super) unreachable_until: Option<Timestamp>,
}

impl Machine {
    /// A machine with the packages that hosts begin with, or with all updates installed and booted.
    pub fn new(identity: HostIdentity, os: Os, processor: Processor, boot_id: String, at: Timestamp) -> Self {
        let packages =
            os.updates().iter().map(|update| (update.package.to_owned(), vec![update.base.to_owned()])).collect();
        Self {
            identity,
            os,
            processor,
            packages,
            without_effect: BTreeSet::new(),
            nova_conf: String::new(),
            nova_conf_backups: Vec::new(),
            boot: CurrentBoot { id: boot_id, at, kernel: os.kernels().0, microcode: MICROCODE.0 },
            default_kernel: os.kernels().0,
            lost_a_link: false,
            pace_percent: 100,
            reboots: 0,
            jobs: BTreeMap::new(),
            standing: Standing::Up,
            compute_failed: false,
            impostor_until: None,
            unreachable_until: None,
        }
    }

    /// Installs every update and boots into it.
    pub fn mitigate(&mut self) {
        for update in self.os.updates() {
            self.install(update);
        }
        self.boot.kernel = self.default_kernel;
        self.boot.microcode = self.microcode_on_disk();
    }

    /// Installs one update; kernels stay beside the ones before.
    pub(super) fn install(&mut self, update: &Update) {
        let installed = self.packages.entry(update.package.to_owned()).or_default();
        if update.role == Role::Kernel {
            if !installed.iter().any(|version| version == update.updated) {
                installed.push(update.updated.to_owned());
            }
            if !self.without_effect.contains(update.package) {
                self.default_kernel = self.os.kernels().1;
            }
        } else {
            *installed = vec![update.updated.to_owned()];
        }
    }

    /// Whether every package of `role` is updated and took effect.
    fn is_updated(&self, role: Role) -> bool {
        self.os.updates().iter().filter(|update| update.role == role).all(|update| {
            let versions = self.packages.get(update.package);
            versions.is_none_or(|versions| versions.iter().any(|version| version == update.updated))
                && !self.without_effect.contains(update.package)
        })
    }

    /// The microcode that the next boot loads.
    pub(super) fn microcode_on_disk(&self) -> u32 {
        if self.is_updated(Role::Microcode) { MICROCODE.1 } else { MICROCODE.0 }
    }

    /// Whether the running kernel has the fix.
    pub fn kernel_has_fix(&self) -> bool {
        self.boot.kernel == self.os.kernels().1
    }

    /// Whether the processor offers `md_clear` to the running kernel.
    pub fn has_md_clear(&self) -> bool {
        self.boot.microcode == MICROCODE.1
    }

    /// Whether guests can get `md-clear`.
    pub fn offers_md_clear(&self) -> bool {
        self.has_md_clear() && self.kernel_has_fix() && self.is_updated(Role::Qemu) && self.is_updated(Role::Libvirt)
    }

    /// Whether a guest that begins gets `md-clear`: with a named model only where nova.conf asks for it.
    pub fn gives_md_clear(&self) -> bool {
        let asks = !self.nova_conf.contains("cpu_mode = custom") || self.nova_conf.contains("md-clear");
        self.offers_md_clear() && asks
    }

    /// A duration at its own pace.
    pub(super) fn at_its_pace(&self, usual: Duration) -> Duration {
        usual * self.pace_percent / 100
    }

    /// Whether it runs and answers, orders to reboot aside.
    pub(super) fn is_up(&self) -> bool {
        self.standing != Standing::Down
    }
}
