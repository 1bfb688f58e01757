//! A host made of stubs: an `ssh` that runs the command here, with stub programs first in its path. What the scripts
//! read of the machine itself (`/etc/machine-id`, the boot id) is this machine's.

#![expect(clippy::unwrap_used, reason = "helpers of tests: what fails here fails the test")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use fleetmend::host::ssh::{SshSettings, SshShell};
use fleetmend::host::{HostShell as _, Quiet, QuietFacts, RebootOrder};
use fleetmend::model::{HostIdentity, HostName, InstanceId, RunId};
use tempfile::TempDir;
use uuid::Uuid;

/// Runs the remote command here, under the id that the file `pid` holds; fails with the words of the file `unreachable`
/// when that is there.
const SSH: &str = r#"
printf '%s\n' "$@" >>"$here/log.ssh"
while [ $# -gt 0 ]; do
  case $1 in
    -O) exit 255 ;;
    --) shift; break ;;
    *) shift ;;
  esac
done
echo $$ >"$here/pid"
[ ! -e "$here/unreachable" ] || { cat "$here/unreachable" >&2; exit 255; }
FLEETMEND_RUN=$here/run; export FLEETMEND_RUN
PATH=$here/bin:$PATH exec sh -c "$2"
"#;

/// nova-compute's unit is in the state that the file `compute` holds; a reboot runs the file `on-reboot`.
const SYSTEMCTL: &str = r#"
printf '%s\n' "$*" >>"$here/log.systemctl"
case "$*" in
  'show -p LoadState openstack-nova-compute.service') echo LoadState=loaded ;;
  show*LoadState*) printf 'LoadState=loaded\nActiveState=%s\n' "$(cat "$here/compute")" ;;
  show*) echo "ActiveState=$(cat "$here/compute")" ;;
  'stop openstack-nova-compute.service') [ -e "$here/stuck" ] || echo inactive >"$here/compute" ;;
  'start openstack-nova-compute.service') echo active >"$here/compute" ;;
  '--no-block reboot') . "$here/on-reboot" ;;
  *) exit 1 ;;
esac
"#;

/// Domains are the lines `UUID STATE` of the file `domains`.
const VIRSH: &str = r#"
[ ! -e "$here/no-libvirt" ] || { echo 'error: failed to connect to the hypervisor' >&2; exit 1; }
case "$*" in
  'list --uuid') sed -n '/shut off/!s/ .*//p' "$here/domains" ;;
  'list --uuid --all') sed 's/ .*//' "$here/domains" ;;
  domstate*) sed -n "s/^$2 //p" "$here/domains" ;;
  domname*) echo "instance-of-$2" ;;
  *) exit 1 ;;
esac
"#;

/// A fake host and the folder that it lives in.
pub struct FakeHost {
    folder: TempDir,
}

impl FakeHost {
    pub fn new() -> Self {
        let host = Self { folder: tempfile::Builder::new().prefix("fm").tempdir().unwrap() };
        fs::create_dir(host.path("bin")).unwrap();
        host.program("ssh", SSH);
        host.program("bin/systemctl", SYSTEMCTL);
        host.program("bin/virsh", VIRSH);
        host.write("domains", "");
        host.write("compute", "active\n");
        host.write("on-reboot", "");
        host.write("nova.conf", "[DEFAULT]\nhost = \"compute-1\"\ntransport_url = rabbit://nova:SECRET@mq\n");
        host
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// A file that a stub wrote; empty when none did.
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    /// Writes a stub; `$here` is the folder.
    pub fn program(&self, name: &str, body: &str) {
        let path = self.path(name);
        // A rename, because a program that is being written cannot be run by another test's child.
        let beside = self.path("stub");
        fs::write(&beside, format!("#!/bin/sh\nhere={}\n{body}", self.folder.path().display())).unwrap();
        fs::set_permissions(&beside, fs::Permissions::from_mode(0o755)).unwrap();
        fs::rename(beside, path).unwrap();
    }

    pub fn settings(&self) -> SshSettings {
        let mut settings = SshSettings { program: self.path("ssh"), ..SshSettings::default() };
        settings.exec.nova_conf = vec![self.path("nova.conf").display().to_string()];
        settings
    }

    pub fn shell(&self) -> SshShell {
        self.shell_with(self.settings())
    }

    pub fn shell_with(&self, settings: SshSettings) -> SshShell {
        // Sockets' paths are short; so is this folder's.
        SshShell::new(settings, self.folder.path()).unwrap()
    }

    /// The identity as the host tells it.
    pub async fn identity(&self) -> HostIdentity {
        self.shell().identity(&host()).await.unwrap()
    }

    /// An order to reboot it that was proven by views in which nothing but `staying` is there.
    pub async fn reboot_order(&self, staying: &[InstanceId]) -> RebootOrder {
        let boot = self.shell().boot(&host()).await.unwrap().id;
        RebootOrder::new(quiet(staying), self.identity().await, RunId::new(Uuid::now_v7()), boot)
    }

    /// Whether the host was told to reboot.
    pub fn was_rebooted(&self) -> bool {
        self.read("log.systemctl").contains("reboot")
    }
}

pub fn host() -> HostName {
    HostName::new("compute-1")
}

/// Proof from views in which nothing but `staying` may be there, and nothing is.
pub fn quiet(staying: &[InstanceId]) -> Quiet {
    Quiet::prove(&QuietFacts {
        host: &host(),
        nova: &[],
        migrating: &[],
        allocations: &[],
        domains: &[],
        allowed: &staying.iter().copied().collect(),
        fenced: true,
    })
    .unwrap()
}
