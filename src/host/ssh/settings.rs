//! How hosts are reached and what is where on them: what the configuration file says under `ssh`, `exec` and `hosts`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::model::HostName;

/// Access to hosts. Pure data; `config` fills it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SshSettings {
    /// The ssh program.
    pub program: PathBuf,
    /// Whom to log in as; ssh's own configuration decides when absent.
    pub user: Option<String>,
    /// Handed to `ssh -F`; that switches the system-wide file off.
    pub config: Option<PathBuf>,
    /// Handed to `ssh -o`, each as `Name=value`; they win over fleetmend's own.
    pub options: Vec<String>,
    /// How commands get root's rights.
    pub privilege: Become,
    /// Sessions at once; 0 counts as 1.
    pub parallel: usize,
    /// What is where on hosts.
    pub exec: ExecSettings,
    /// What differs for single hosts.
    pub hosts: BTreeMap<HostName, HostAddress>,
}

/// How commands get root's rights.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Become {
    /// The user has them.
    #[default]
    None,
    /// `sudo -n`.
    Sudo,
}

/// What is where on hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecSettings {
    /// The command that runs virsh, with what stands in front of it: `[podman, exec, nova_libvirt, virsh]`.
    pub virsh: Vec<String>,
    /// nova-compute's configuration in the order in which it reads it: files, and folders whose `*.conf` count.
    pub nova_conf: Vec<String>,
    /// The nova-compute unit; when absent, whichever of `openstack-nova-compute` and `nova-compute` systemd knows.
    pub compute_unit: Option<String>,
}

/// Where a host is, when its own name does not lead to it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostAddress {
    /// Name or address for ssh.
    pub address: Option<String>,
    /// Port.
    pub port: Option<u16>,
    /// Whom to log in as.
    pub user: Option<String>,
}

impl Default for SshSettings {
    fn default() -> Self {
        Self {
            program: PathBuf::from("ssh"),
            user: None,
            config: None,
            options: Vec::new(),
            privilege: Become::None,
            parallel: 50,
            exec: ExecSettings::default(),
            hosts: BTreeMap::new(),
        }
    }
}

impl Default for ExecSettings {
    fn default() -> Self {
        Self { virsh: vec!["virsh".to_owned()], nova_conf: vec!["/etc/nova/nova.conf".to_owned()], compute_unit: None }
    }
}
