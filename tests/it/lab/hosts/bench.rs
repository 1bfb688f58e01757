//! The lab's hosts on the bench: a shell to them, what is wrong with them and what puts them right.

use std::process::Command;
use std::time::Duration;

use fleetmend::host::ssh::{SshSettings, SshShell};
use fleetmend::host::{
    FenceOrder, HostShell as _, Inquiry, Job, JobOrder, JobStatus, KernelFile, PackageTarget, Quiet, QuietFacts,
    RebootOrder, facts,
};
use fleetmend::model::{HostFacts, HostName, PackageManager, RunId, UnitName};
use tempfile::TempDir;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};
use uuid::Uuid;

use super::super::{lab, state, variable};

/// The packages of the MDS remedy by either manager's names, and one that is nowhere.
pub const PACKAGES: [&str; 8] = [
    "microcode_ctl",
    "kernel",
    "qemu-kvm-rhev",
    "libvirt",
    "intel-microcode",
    "linux-image-generic",
    "qemu-system-x86",
    "nowhere-to-be-found",
];

/// A file that every kernel has, and one that none has.
pub const KERNEL_FILES: [&str; 2] = ["/proc/sys/kernel/ostype", "/sys/kernel/nowhere-to-be-found"];

fn inquiry() -> Inquiry {
    let file = |path: &str| KernelFile::try_from(path.to_owned()).unwrap();
    Inquiry {
        packages: PACKAGES.map(str::to_owned).into(),
        kernel_files: KERNEL_FILES.map(file).into(),
        ..Inquiry::default()
    }
}

/// How long a host may take for a reboot or a job before a test gives up on it.
pub const PATIENCE: Duration = Duration::from_secs(150);

/// One test at a time changes hosts.
pub static TURN: Mutex<()> = Mutex::const_new(());

/// A shell with its folder for sockets.
pub struct Lab {
    _folder: TempDir,
    pub shell: SshShell,
}

impl Lab {
    pub fn new() -> Self {
        Self::with(settings())
    }

    pub fn with(settings: SshSettings) -> Self {
        let folder = TempDir::new().unwrap();
        let shell = SshShell::new(settings, folder.path()).unwrap();
        Self { _folder: folder, shell }
    }

    pub async fn facts(&self, host: &HostName) -> HostFacts {
        facts::parse(&self.shell.collect(host, &inquiry()).await.unwrap())
    }

    pub async fn fence(&self, host: &HostName, up: bool) {
        let identity = self.shell.identity(host).await.unwrap();
        self.shell.fence(&FenceOrder { host: host.clone(), identity, up }).await.unwrap();
    }

    /// An order for the boot that the host is in, as if the cloud had nothing on it.
    pub async fn reboot_order(&self, host: &HostName) -> RebootOrder {
        let identity = self.shell.identity(host).await.unwrap();
        let boot = self.shell.boot(host).await.unwrap().id;
        RebootOrder::new(quiet(host), identity, RunId::new(Uuid::now_v7()), boot)
    }

    pub async fn job_order(&self, host: &HostName, job: Job) -> JobOrder {
        let identity = self.shell.identity(host).await.unwrap();
        let unit = UnitName::new(format!("fleetmend-{}-test", Uuid::now_v7()));
        JobOrder { host: host.clone(), identity, unit, job, limit: PATIENCE }
    }

    /// Waits for a boot other than `before`; whatever fails on the way means "not back yet".
    pub async fn new_boot(&self, host: &HostName, before: &str) -> String {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.shell.boot(host).await {
                Ok(boot) if boot.id != before => return boot.id,
                Ok(_) | Err(_) => assert!(Instant::now() < end, "{host} did not come back"),
            }
            sleep(Duration::from_millis(300)).await;
        }
    }

    /// Waits for the end of a job; connections that break on the way do not matter.
    pub async fn ended(&self, order: &JobOrder) -> (i32, String) {
        let end = Instant::now() + PATIENCE;
        loop {
            match self.shell.job(&order.host, &order.unit).await {
                Ok(JobStatus::Ended { status, output }) => return (status, output),
                Ok(JobStatus::Running) => {}
                Ok(JobStatus::Absent) => panic!("{} is not known", order.unit),
                Err(error) => assert!(error.is_transient(), "{error}"),
            }
            assert!(Instant::now() < end, "{} did not end", order.unit);
            sleep(Duration::from_millis(300)).await;
        }
    }

    /// Runs a job that must succeed; gives its order and what it said.
    pub async fn done(&self, host: &HostName, job: Job) -> (JobOrder, String) {
        let order = self.job_order(host, job).await;
        let (status, output) = self.run(&order).await;
        assert_eq!(status, 0, "{output}");
        (order, output)
    }

    pub async fn run(&self, order: &JobOrder) -> (i32, String) {
        self.shell.start_job(order).await.unwrap();
        self.ended(order).await
    }
}

pub fn settings() -> SshSettings {
    SshSettings { config: Some(variable("LAB_SSH_CONFIG").into()), ..SshSettings::default() }
}

pub fn quiet(host: &HostName) -> Quiet {
    Quiet::prove(&QuietFacts {
        host,
        nova: &[],
        migrating: &[],
        allocations: &[],
        domains: &[],
        allowed: &[].into(),
        fenced: true,
    })
    .unwrap()
}

/// Hosts by number, with the kind of their packages.
pub fn kinds() -> Vec<(u32, PackageManager)> {
    let folder = state().join("hosts/hosts");
    let mut kinds: Vec<_> = std::fs::read_dir(&folder)
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok())
        .map(|number: u32| {
            let kind = std::fs::read_to_string(folder.join(number.to_string()).join("kind")).unwrap();
            (number, if kind.trim() == "deb" { PackageManager::Dpkg } else { PackageManager::Rpm })
        })
        .collect();
    kinds.sort_unstable();
    kinds
}

pub fn hosts() -> Vec<HostName> {
    kinds().into_iter().map(|(number, _)| name(number)).collect()
}

pub fn name(number: u32) -> HostName {
    HostName::new(format!("compute-{number}"))
}

/// The last host of each kind: those that tests change.
pub fn subjects() -> Vec<(u32, HostName, PackageManager)> {
    let last = |kind| kinds().into_iter().rev().find(|(_, found)| *found == kind);
    [PackageManager::Rpm, PackageManager::Dpkg]
        .into_iter()
        .filter_map(last)
        .map(|(number, kind)| (number, name(number), kind))
        .collect()
}

/// Runs a command on a host, past the adapter.
pub fn on(host: &HostName, command: &str) -> String {
    let output =
        Command::new("ssh").args(["-F", &variable("LAB_SSH_CONFIG"), host.as_str(), command]).output().unwrap();
    assert!(output.status.success(), "{host}: {command}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub fn fault(number: u32, kind: &str) {
    lab(&["fault", &number.to_string(), kind]);
}

/// Undoes a host's faults, however the test ends.
pub struct Healed(pub u32);

impl Drop for Healed {
    fn drop(&mut self) {
        lab(&["heal", &self.0.to_string()]);
    }
}

pub fn targets(manager: PackageManager) -> Vec<PackageTarget> {
    let names: &[&str] = match manager {
        PackageManager::Rpm => &["microcode_ctl", "kernel", "qemu-kvm-rhev", "libvirt"],
        PackageManager::Dpkg => &["intel-microcode", "linux-image-generic", "qemu-system-x86", "libvirt-daemon-system"],
    };
    let name = |name: &&str| PackageTarget { name: (*name).to_owned(), manager };
    names.iter().chain(&["nowhere-to-be-found"]).map(name).collect()
}

/// Puts the old packages back, so that there is something to update; the host's faults are undone in the end.
pub fn downgraded(number: u32, host: &HostName, manager: PackageManager) -> Healed {
    downgrade(host, manager);
    Healed(number)
}

fn downgrade(host: &HostName, manager: PackageManager) {
    let command = match manager {
        PackageManager::Rpm => {
            "dnf -q -y remove --duplicates >/dev/null 2>&1; \
             dnf -q -y downgrade microcode_ctl 'qemu*' 'libvirt*' >/dev/null; \
             rpm -q kernel | grep -v 957.12.1 | xargs -r rpm -e --nodeps"
        }
        PackageManager::Dpkg => {
            "apt-get -q -y --allow-downgrades install linux-image-generic=4.15.0.48.50 \
             intel-microcode=3.20180807a.0ubuntu0.18.04.1 qemu-system-x86=1:2.11+dfsg-1ubuntu7.12 \
             libvirt-clients=4.0.0-1ubuntu8.8 libvirt-daemon-system=4.0.0-1ubuntu8.8 >/dev/null; \
             dpkg --purge linux-image-4.15.0-50-generic >/dev/null"
        }
    };
    on(host, command);
}

pub fn version(facts: &HostFacts, package: &str) -> Vec<String> {
    facts.packages.iter().filter(|found| found.name == package).map(|found| found.version.clone()).collect()
}

/// Whether the microcode that fixes MDS is there, by either manager.
pub fn holds_fixed_microcode(facts: &HostFacts) -> bool {
    version(facts, "microcode_ctl").iter().any(|version| version == "2:2.1-47.2.el7_6")
        || version(facts, "intel-microcode").iter().any(|version| version == "3.20190514.0ubuntu0.18.04.2")
}

/// Whether it is there alone: an update that was cut off leaves two.
pub fn has_fixed_microcode(facts: &HostFacts) -> bool {
    holds_fixed_microcode(facts)
        && facts.packages.iter().filter(|package| package.name.contains("microcode")).count() == 1
}

/// Starts a domain that Nova does not know, as its owner might have had it started a moment ago; its UUID.
pub fn start_guest(host: &HostName) -> String {
    let guest = Uuid::new_v4().to_string();
    if variable("LAB_DRIVER") == "libvirt" {
        let xml = format!(
            "<domain type='qemu'><name>{guest}</name><uuid>{guest}</uuid><memory unit='MiB'>32</memory>\
             <os><type>hvm</type></os></domain>"
        );
        on(host, &format!("echo \"{xml}\" >/run/guest.xml && virsh create /run/guest.xml"));
    } else {
        // The domains of the fake driver; nova-compute, which owns the file, is stopped.
        let add = format!(
            "import json, os; p = '/var/lib/nova/guests.json'; g = json.load(open(p)) if os.path.exists(p) else {{}}; \
             g['{guest}'] = {{'name': 'instance-test', 'state': 1}}; json.dump(g, open(p, 'w'))"
        );
        on(host, &format!("python3 -c \"{add}\""));
    }
    guest
}

pub fn end_guest(host: &HostName, guest: &str) {
    if variable("LAB_DRIVER") == "libvirt" {
        on(host, &format!("virsh destroy {guest}"));
    } else {
        let remove = format!(
            "import json; p = '/var/lib/nova/guests.json'; g = json.load(open(p)); del g['{guest}']; json.dump(g, open(p, 'w'))"
        );
        on(host, &format!("python3 -c \"{remove}\""));
    }
}
