//! Pure parsers of what hosts print: raw sections in, [`HostFacts`] out. Runs nothing and reads no file.
//!
//! [`parse`] is called by `inventory` on what [`super::HostShell::collect`] brought; adapters and the simulated region
//! write the sections in the formats below. A section that is absent or whose status is not 0 becomes absent facts and
//! an entry of [`HostFacts::unread`] under the section's name, with the host's words; nothing is ever guessed.
//!
//! # Sections
//!
//! | section | status 0 and exactly this text |
//! |---|---|
//! | [`section::CLOCK`] | seconds since 1970, as `date +%s` prints them |
//! | [`section::MACHINE_ID`] | `/etc/machine-id` |
//! | [`section::HOSTNAME`] | the kernel's host name |
//! | [`section::NOVA_HOST`] | `[DEFAULT] host` of nova.conf, or the host name when it is not set |
//! | [`section::OS_RELEASE`] | `/etc/os-release` |
//! | [`section::ARCHITECTURE`] | `uname -m` |
//! | [`section::CPUINFO`] | the first processor's paragraph of `/proc/cpuinfo` (more do no harm) |
//! | [`section::NUMA`] | for each cell lines `NODE cpus LIST`, `NODE memory KIB` and, per size of huge pages, `NODE pages SIZE_KIB COUNT`; status 127 where the kernel knows no cells |
//! | [`section::KERNEL`] | `uname -r` |
//! | [`section::DEFAULT_KERNEL`] | path or version of the kernel that boots next: `/boot/vmlinuz-3.10.0-957.12.2.el7.x86_64`; status 127 where nothing tells |
//! | [`section::COMMAND_LINE`] | `/proc/cmdline` |
//! | [`section::DEFAULT_COMMAND_LINE`] | the arguments that the kernel gets at the next boot, one line; status 127 where nothing tells |
//! | [`section::BOOT_ID`] | `/proc/sys/kernel/random/boot_id` |
//! | [`section::UPTIME`] | `/proc/uptime` |
//! | [`section::RPM`] | a line `NAME EPOCH:VERSION-RELEASE ARCH` per installed version of each package asked for, from `rpm -qa --qf '%{NAME} %{EPOCHNUM}:%{VERSION}-%{RELEASE} %{ARCH}\n'`; status 127 where there is no rpm |
//! | [`section::DPKG`] | a line `NAME VERSION ARCH STATUS` per package asked for, from `dpkg-query -W -f '${Package} ${Version} ${Architecture} ${db:Status-Status}\n'`; status 127 where there is no dpkg |
//! | [`section::VULNERABILITIES`] | a line `NAME: CONTENT` per file of `/sys/devices/system/cpu/vulnerabilities`; a failure where the folder is missing |
//! | [`section::KERNEL_FILES`] | a line per file that was asked for: `= PATH CONTENT` with the first line of it, `- PATH` where there is none, `! PATH` where it could not be read |
//! | [`section::PENDING_REBOOT`] | `yes` or `no`, then what for, a name a line: `/run/reboot-required`, or `needs-restarting -r`; status 127 where nothing tells |
//! | [`section::KERNEL_LOG`] | `dmesg`, whole or only the lines with `mitigation`, `vulnerable` or `not affected` in any case |
//! | [`section::DOMAIN_CAPABILITIES`] | `virsh domcapabilities kvm`, or without `kvm` where that fails |
//! | [`section::DOMAINS`] | a line `UUID<TAB>STATE<TAB>NAME` per domain, running or not, STATE as `virsh domstate` words it |
//! | [`section::GUESTS`] | for each domain that runs a line `= UUID SECONDS` with how long its process runs, `-` where that is not known, and then the `cpu` element of its live definition; or a line `! UUID` for one that could not be read; status 127 where nobody asked |
//! | [`section::NOVA_CONF`]`/000//etc/nova/nova.conf` | one section per configuration file in the order in which they are read, numbered with three digits, then `/` and the path; only options that match [`NOVA_OPTIONS`] need be there |
//! | [`section::UNITS`] | names of active service units, one a line; status 127 where there is no systemd |
//! | [`section::PROCESSES`] | those of [`PROCESSES`] that run, one a line |
//! | [`section::CONTAINERS`] | a line `NAME<TAB>IMAGE` per running container; status 127 where there is neither podman nor docker |
//! | [`section::GATEWAY`] | `l3 MODE` with the l3 agent's `agent_mode`, `ovn OPTIONS` with the chassis' `ovn-cms-options`; status 127 where there is neither |
//! | [`section::FREE`] | a line `PATH BLOCKS SIZE` per path where packages go, from `stat -f -c '%a %S'` |
//! | [`section::USER_ID`] | `id -u` of whoever collects |
//! | [`section::ADDRESSES`] | the host's addresses, one a line; status 127 where nothing tells |
//! | [`section::REPOSITORIES`] | a line `+ NAME` or `- NAME WORDS` per repository; status 127 where the package manager is not known. Only when asked for |
//! | [`section::COMPUTE_UNIT`] | `systemctl show -p LoadState -p ActiveState UNIT` of the nova-compute unit |
//! | [`section::FINGERPRINT`] | lines `KIND NAME<TAB>AMOUNT` of what a reboot can lose; may be absent |
//! | [`section::HOLDS`] | lines `WHAT<TAB>LINE`: what tells the package manager to leave packages as they are, and how; may be absent |

mod boot;
mod cpuinfo;
mod domain_capabilities;
mod domains;
mod fingerprint;
mod guests;
mod holds;
mod kernel_files;
mod kernel_log;
mod nova_conf;
mod numa;
mod os_release;
mod packages;
mod pending_reboot;
mod roles;
mod room;
mod unit;
mod vulnerabilities;

use std::collections::BTreeMap;

pub use nova_conf::NOVA_OPTIONS;
pub use roles::PROCESSES;

use super::text::{excerpt, plain};
use super::{RawFacts, Section};
use crate::model::{
    DomainCapabilities, GuestCpu, HostFacts, HostIdentity, InstanceId, OsRelease, Package, PackageManager, Repository,
};

/// Names of the sections of [`RawFacts`]; the module's head says what each holds.
pub mod section {
    /// The host's clock.
    pub const CLOCK: &str = "clock";
    /// Which machine it is.
    pub const MACHINE_ID: &str = "machine-id";
    /// The kernel's host name.
    pub const HOSTNAME: &str = "hostname";
    /// Nova's own host name on it.
    pub const NOVA_HOST: &str = "nova-host";
    /// Distribution.
    pub const OS_RELEASE: &str = "os-release";
    /// Machine type.
    pub const ARCHITECTURE: &str = "architecture";
    /// Processor.
    pub const CPUINFO: &str = "cpuinfo";
    /// NUMA cells.
    pub const NUMA: &str = "numa";
    /// Booted kernel.
    pub const KERNEL: &str = "kernel";
    /// Kernel of the next boot.
    pub const DEFAULT_KERNEL: &str = "default-kernel";
    /// Booted kernel's command line.
    pub const COMMAND_LINE: &str = "command-line";
    /// Command line of the next boot.
    pub const DEFAULT_COMMAND_LINE: &str = "default-command-line";
    /// This boot.
    pub const BOOT_ID: &str = "boot-id";
    /// How long this boot lasts.
    pub const UPTIME: &str = "uptime";
    /// Packages of rpm.
    pub const RPM: &str = "rpm";
    /// Packages of dpkg.
    pub const DPKG: &str = "dpkg";
    /// The kernel's own word on each vulnerability.
    pub const VULNERABILITIES: &str = "vulnerabilities";
    /// Files of the kernel that were asked for.
    pub const KERNEL_FILES: &str = "kernel-files";
    /// Whether the distribution says that a reboot is due.
    pub const PENDING_REBOOT: &str = "pending-reboot";
    /// What the kernel said of vulnerabilities as it booted.
    pub const KERNEL_LOG: &str = "kernel-log";
    /// What libvirt offers to guests.
    pub const DOMAIN_CAPABILITIES: &str = "domain-capabilities";
    /// Domains, running or not.
    pub const DOMAINS: &str = "domains";
    /// Processors of the guests that run.
    pub const GUESTS: &str = "guests";
    /// First part of the names of the sections that hold nova.conf and its further files.
    pub const NOVA_CONF: &str = "nova-conf";
    /// Active service units.
    pub const UNITS: &str = "units";
    /// Processes by name.
    pub const PROCESSES: &str = "processes";
    /// Running containers.
    pub const CONTAINERS: &str = "containers";
    /// How it routes between networks.
    pub const GATEWAY: &str = "gateway";
    /// Free space.
    pub const FREE: &str = "free";
    /// Whose rights commands have.
    pub const USER_ID: &str = "user-id";
    /// Addresses.
    pub const ADDRESSES: &str = "addresses";
    /// Whether repositories answer.
    pub const REPOSITORIES: &str = "repositories";
    /// The nova-compute unit.
    pub const COMPUTE_UNIT: &str = "compute-unit";

    /// What a reboot can lose.
    pub const FINGERPRINT: &str = "fingerprint";
    /// Packages that are to be left as they are.
    pub const HOLDS: &str = "holds";

    /// The section of the configuration file `path`, the `order`-th (from 0) that nova-compute reads.
    pub fn nova_conf(order: usize, path: &str) -> String {
        format!("{NOVA_CONF}/{order:03}/{path}")
    }
}

/// Exit status of a part that does not apply to the host: the shell's own for a command that is not there.
pub const STATUS_NOT_THERE: i32 = 127;

/// Exit status of a part that took longer than its limit, as `timeout` gives it.
pub const STATUS_TIMED_OUT: i32 = 124;

/// Makes facts of sections. Total: text of any kind is either understood or named in [`HostFacts::unread`].
pub fn parse(raw: &RawFacts) -> HostFacts {
    let mut reader = Reader { raw, unread: BTreeMap::new() };
    let os = reader.read(section::OS_RELEASE, os_release::parse);
    let own_manager = os.as_ref().and_then(OsRelease::package_manager);
    let mut facts = HostFacts {
        read_at: reader.read(section::CLOCK, boot::clock),
        os,
        architecture: reader.read(section::ARCHITECTURE, boot::word),
        cpu: reader.read(section::CPUINFO, cpuinfo::parse),
        numa: reader.read_where_there(section::NUMA, numa::parse).unwrap_or_default(),
        kernel: reader.read(section::KERNEL, boot::word),
        default_kernel: reader.read_where_there(section::DEFAULT_KERNEL, boot::default_kernel),
        command_line: reader.read(section::COMMAND_LINE, boot::line),
        default_command_line: reader.read_where_there(section::DEFAULT_COMMAND_LINE, boot::line),
        boot_id: reader.read(section::BOOT_ID, boot::word),
        uptime_s: reader.read(section::UPTIME, boot::uptime),
        packages: reader.packages(own_manager),
        vulnerabilities: reader.read(section::VULNERABILITIES, vulnerabilities::parse),
        kernel_files: reader.kernel_files(),
        pending_reboot: reader.read_where_there(section::PENDING_REBOOT, pending_reboot::parse),
        kernel_log: reader.read(section::KERNEL_LOG, kernel_log::parse),
        domain_capabilities: None,
        domains: reader.read(section::DOMAINS, domains::parse),
        guests: reader.guests(),
        nova_conf: reader.nova_conf(),
        roles: None,
        containers: BTreeMap::new(),
        free_kib: reader.read(section::FREE, room::free).unwrap_or_default(),
        user_id: reader.read(section::USER_ID, boot::number),
        addresses: reader.read_where_there(section::ADDRESSES, room::addresses).unwrap_or_default(),
        repositories: reader.repositories(),
        compute_unit: reader.read(section::COMPUTE_UNIT, unit::parse),
        fingerprint: reader.read_if_collected(section::FINGERPRINT, fingerprint::parse),
        holds: BTreeMap::new(),
        unread: BTreeMap::new(),
    };
    let holds = reader.read_if_collected(section::HOLDS, holds::parse).unwrap_or_default();
    for package in &facts.packages {
        if let Some((by, line)) = holds.iter().find(|(_, line)| holds::holds(line, &package.name)) {
            facts.holds.insert(package.name.clone(), format!("{by}: {line}"));
        }
    }
    facts.domain_capabilities = reader.domain_capabilities(facts.nova_conf.as_ref());
    (facts.roles, facts.containers) = reader.roles();
    facts.unread = reader.unread;
    facts
}

/// State of the nova-compute unit in `raw`; `None` where it could not be read.
pub fn compute_unit(raw: &RawFacts) -> Option<String> {
    Reader { raw, unread: BTreeMap::new() }.read(section::COMPUTE_UNIT, unit::parse)
}

/// The identity in `raw`; what could not be read is `None`.
pub fn identity(raw: &RawFacts) -> HostIdentity {
    let mut reader = Reader { raw, unread: BTreeMap::new() };
    HostIdentity {
        machine_id: reader.read(section::MACHINE_ID, boot::word),
        nova_host: reader.read(section::NOVA_HOST, boot::word),
        hostname: reader.read(section::HOSTNAME, boot::word),
    }
}

/// Reads sections and remembers which could not be read.
struct Reader<'a> {
    raw: &'a RawFacts,
    unread: BTreeMap<String, String>,
}

impl Reader<'_> {
    /// What `parse` makes of the section `name`.
    fn read<T>(&mut self, name: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let result = match self.raw.sections.get(name) {
            Some(section) => text(section).and_then(|text| parse(&text)),
            None => Err("not collected".to_owned()),
        };
        result.map_err(|why| self.unread.insert(name.to_owned(), why)).ok()
    }

    /// As [`Self::read`], but a host that has no such thing is no host that could not be read.
    fn read_where_there<T>(&mut self, name: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        let not_there = self.raw.sections.get(name).is_some_and(|section| section.status == STATUS_NOT_THERE);
        if not_there { None } else { self.read(name, parse) }
    }

    /// As [`Self::read`], of a section that not every collection has.
    fn read_if_collected<T>(&mut self, name: &str, parse: impl FnOnce(&str) -> Result<T, String>) -> Option<T> {
        self.raw.sections.contains_key(name).then(|| self.read(name, parse)).flatten()
    }

    /// Packages of the system's own database; where that is not known, of every one that the host has. A host without
    /// any could not be read.
    fn packages(&mut self, own: Option<PackageManager>) -> Vec<Package> {
        let databases = [(section::RPM, PackageManager::Rpm), (section::DPKG, PackageManager::Dpkg)];
        let is_there = |name| self.raw.sections.get(name).is_some_and(|found| found.status != STATUS_NOT_THERE);
        let mut there: Vec<_> = databases.into_iter().filter(|(name, _)| is_there(*name)).collect();
        if there.iter().any(|(_, manager)| Some(*manager) == own) {
            there.retain(|(_, manager)| Some(*manager) == own);
        }
        let mut found = Vec::new();
        for (name, manager) in &there {
            let (name, manager) = (*name, *manager);
            if let Some(read) = self.read(name, |text| packages::parse(text, manager)) {
                found.extend(read.packages);
                if !read.unfinished.is_empty() {
                    self.unread.insert(name.to_owned(), read.unfinished.join("; "));
                }
            }
        }
        if there.is_empty() {
            self.unread.insert(section::RPM.to_owned(), "neither rpm nor dpkg answered".to_owned());
            self.unread.insert(section::DPKG.to_owned(), "neither rpm nor dpkg answered".to_owned());
        }
        found.sort();
        found
    }

    /// Files of the kernel; those that could not be read are told of in one line.
    fn kernel_files(&mut self) -> BTreeMap<String, Option<String>> {
        let Some(read) = self.read(section::KERNEL_FILES, kernel_files::parse) else { return BTreeMap::new() };
        if !read.refused.is_empty() {
            self.unread.insert(section::KERNEL_FILES.to_owned(), format!("not {}", read.refused.join(", not ")));
        }
        read.files
    }

    /// Processors of guests; those that could not be read are told of in one line. A region of an earlier version, or an
    /// adapter that knows of no guests, has no such section.
    fn guests(&mut self) -> BTreeMap<InstanceId, GuestCpu> {
        if !self.raw.sections.contains_key(section::GUESTS) {
            return BTreeMap::new();
        }
        let Some(read) = self.read_where_there(section::GUESTS, guests::parse) else { return BTreeMap::new() };
        if !read.refused.is_empty() {
            self.unread.insert(section::GUESTS.to_owned(), format!("not {}", read.refused.join(", not ")));
        }
        read.guests
    }

    /// All configuration files as oslo.config resolves them together; one that cannot be read spoils the whole,
    /// because it may hold the value that counts.
    fn nova_conf(&mut self) -> Option<nova_conf::Resolved> {
        let prefix = format!("{}/", section::NOVA_CONF);
        let mut files = Vec::new();
        for (name, section) in self.raw.sections.range(prefix.clone()..) {
            let Some(path) = name.strip_prefix(&prefix) else { break };
            match text(section) {
                Ok(text) => files.push((path.split_once('/').map_or(path, |(_, path)| path).to_owned(), text)),
                Err(why) => {
                    self.unread.insert(section::NOVA_CONF.to_owned(), format!("{path}: {why}"));
                    return None;
                }
            }
        }
        if files.is_empty() {
            self.unread.insert(section::NOVA_CONF.to_owned(), "not collected".to_owned());
            return None;
        }
        nova_conf::resolve(&files).map_err(|why| self.unread.insert(section::NOVA_CONF.to_owned(), why)).ok()
    }

    /// What else runs there, and the containers of Nova and libvirt. Processes tell whether or not containers do; without
    /// them nothing is known.
    fn roles(&mut self) -> (Option<roles::Roles>, BTreeMap<String, String>) {
        let units = self.read_where_there(section::UNITS, roles::names);
        let processes = self.read(section::PROCESSES, roles::names);
        let mut containers = self.read_where_there(section::CONTAINERS, roles::containers).unwrap_or_default();
        let gateway = self.read_where_there(section::GATEWAY, roles::gateway).unwrap_or_default();
        let signs = |processes| roles::Signs {
            units: units.unwrap_or_default(),
            processes,
            containers: containers.keys().cloned().collect(),
            gateway,
        };
        let roles = processes.map(|processes| roles::roles(&signs(processes)));
        containers.retain(|name, _| name.contains("nova") || name.contains("libvirt"));
        (roles, containers)
    }

    /// Repositories, when they were asked about.
    fn repositories(&mut self) -> Option<Vec<Repository>> {
        let asked = self.raw.sections.contains_key(section::REPOSITORIES);
        if asked { self.read_where_there(section::REPOSITORIES, room::repositories) } else { None }
    }

    /// What libvirt offers, unless it speaks of another kind of domain than Nova starts: an emulated CPU says nothing
    /// about what KVM guests get.
    fn domain_capabilities(&mut self, nova_conf: Option<&nova_conf::Resolved>) -> Option<DomainCapabilities> {
        self.read(section::DOMAIN_CAPABILITIES, |text| {
            let (kind, capabilities) = domain_capabilities::parse(text)?;
            let started = nova_conf
                .and_then(|conf| conf.get("libvirt")?.get("virt_type")?.last())
                .map_or(nova_conf::DEFAULT_VIRT_TYPE, String::as_str);
            if nova_conf.is_none() || kind == started {
                Ok(capabilities)
            } else {
                Err(format!("libvirt answers for {kind} domains, but Nova starts {started} ones"))
            }
        })
    }
}

/// A section's text made plain, or why there is none.
fn text(section: &Section) -> Result<String, String> {
    let words = || excerpt(&section.text);
    match section.status {
        0 => Ok(plain(&section.text)),
        STATUS_TIMED_OUT => Err("took too long".to_owned()),
        status if words().is_empty() => Err(format!("failed with status {status}")),
        status => Err(format!("failed with status {status}: {}", words())),
    }
}

#[cfg(test)]
mod tests;
