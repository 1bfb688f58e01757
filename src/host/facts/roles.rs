//! What else runs on a host, told from the names of its units, processes and containers, and from its gateways' settings.
//!
//! A process is the surest sign: those in containers are the host's as well.

use std::collections::BTreeMap;

use crate::model::Role;

/// Processes that are asked for, by the kernel's name for them: at most 15 bytes.
pub const PROCESSES: [&str; 18] = [
    "beam.smp",
    "ceph-mon",
    "ceph-osd",
    "cinder-volume",
    "etcd",
    "mariadbd",
    "masakari-hostmo",
    "masakari-instan",
    "masakari-intros",
    "masakari-proces",
    "mysqld",
    "neutron-l3-agen",
    "neutron-server",
    "nova-api",
    "nova-conductor",
    "nova-scheduler",
    "pacemaker-remot",
    "pacemakerd",
];

/// Which role each sign stands for, with the signs in words.
pub(super) type Roles = BTreeMap<Role, Vec<String>>;

/// What was read of a host, as far as it could be.
#[derive(Debug, Default)]
pub(super) struct Signs {
    /// Active service units.
    pub(super) units: Vec<String>,
    /// Names of processes.
    pub(super) processes: Vec<String>,
    /// Names of running containers.
    pub(super) containers: Vec<String>,
    /// What the agents that route say.
    pub(super) gateway: Gateway,
}

/// How a host routes between networks.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Gateway {
    /// `agent_mode` of the l3 agent.
    pub(super) agent_mode: Option<String>,
    /// Options of the OVN chassis.
    pub(super) chassis: Option<String>,
}

impl Gateway {
    /// Whether an l3 agent only serves the host's own instances. Its default mode, `legacy`, routes for everybody.
    fn is_distributed(&self) -> bool {
        matches!(self.agent_mode.as_deref(), Some("dvr" | "dvr_no_external"))
    }
}

/// Lines, one name each.
pub(super) fn names(text: &str) -> Result<Vec<String>, String> {
    let names = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let whole = |name: &str| {
        if name.contains(char::is_whitespace) {
            Err(format!("`{name}` is more than one name"))
        } else {
            Ok(name.to_owned())
        }
    };
    names.map(whole).collect()
}

/// Running containers by name, with their images: `NAME<TAB>IMAGE` a line.
pub(super) fn containers(text: &str) -> Result<BTreeMap<String, String>, String> {
    let line = |line: &str| match line.trim().split_once('\t') {
        Some((name, image)) if !name.is_empty() => Ok((name.to_owned(), image.trim().to_owned())),
        Some(_) | None => Err(format!("`{line}` is no container")),
    };
    text.lines().filter(|line| !line.trim().is_empty()).map(line).collect()
}

/// `l3 MODE` and `ovn OPTIONS`, either of them or both; an empty value is the default.
pub(super) fn gateway(text: &str) -> Result<Gateway, String> {
    let mut gateway = Gateway::default();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (what, value) = line.split_once(' ').unwrap_or((line, ""));
        let value = value.trim().trim_matches(['"', '\'']).to_owned();
        match what {
            "l3" => gateway.agent_mode = Some(value),
            "ovn" => gateway.chassis = Some(value),
            _ => return Err(format!("`{line}` is about no gateway")),
        }
    }
    Ok(gateway)
}

/// The roles that the signs stand for.
pub(super) fn roles(signs: &Signs) -> Roles {
    let mut roles = Roles::new();
    let mut add = |role: Role, sign: String| {
        if !(role == Role::NetworkGateway && signs.gateway.is_distributed()) {
            roles.entry(role).or_default().push(sign);
        }
    };
    for unit in &signs.units {
        if let Some(role) = of_unit(unit) {
            add(role, format!("unit {unit}"));
        }
    }
    for process in &signs.processes {
        if let Some(role) = of_process(process) {
            add(role, format!("process {process}"));
        }
    }
    for container in &signs.containers {
        if let Some(role) = of_container(container) {
            add(role, format!("container {container}"));
        }
    }
    // A chassis routes for others whatever an l3 agent beside it does.
    if signs.gateway.chassis.as_deref().is_some_and(|options| options.contains("enable-chassis-as-gw")) {
        roles.entry(Role::NetworkGateway).or_default().push("OVN: enable-chassis-as-gw".to_owned());
    }
    roles
}

fn of_unit(unit: &str) -> Option<Role> {
    let name = unit.trim_end_matches(".service");
    if let Some((daemon, instance)) = name.split_once('@') {
        // Packages: `ceph-osd@3`; cephadm: `ceph-FSID@osd.3`.
        let is = |kind: &str| {
            daemon == format!("ceph-{kind}")
                || daemon.starts_with("ceph-") && instance.strip_prefix(kind).is_some_and(|rest| rest.starts_with('.'))
        };
        return match (is("osd"), is("mon")) {
            (true, _) => Some(Role::CephOsd),
            (_, true) => Some(Role::CephMon),
            (false, false) => of_name(daemon),
        };
    }
    of_name(name)
}

fn of_process(process: &str) -> Option<Role> {
    Some(match process {
        "beam.smp" => Role::Rabbitmq,
        "ceph-mon" => Role::CephMon,
        "ceph-osd" => Role::CephOsd,
        "etcd" => Role::Etcd,
        "mariadbd" | "mysqld" => Role::Galera,
        "neutron-l3-agen" => Role::NetworkGateway,
        "cinder-volume" | "neutron-server" | "nova-api" | "nova-conductor" | "nova-scheduler" => Role::ControlPlane,
        "pacemaker-remot" | "pacemaker_remot" | "pacemakerd" => Role::Pacemaker,
        other if other.starts_with("masakari-") => Role::Masakari,
        _ => return None,
    })
}

fn of_container(container: &str) -> Option<Role> {
    if let Some(ceph) = container.strip_prefix("ceph-") {
        // cephadm: `ceph-FSID-osd-3`, older `ceph-FSID-osd.3`; ceph-ansible: `ceph-osd-3`, `ceph-mon-HOST`.
        let is = |kind: &str| ceph.split(['-', '.']).any(|part| part == kind);
        return match (is("osd"), is("mon")) {
            (true, _) => Some(Role::CephOsd),
            (_, true) => Some(Role::CephMon),
            (false, false) => None,
        };
    }
    of_name(container)
}

/// What a unit or container of that name is, however a deployment tool decorates it: `tripleo_rabbitmq`,
/// `kolla-etcd-container`, `galera-bundle-podman-0`, `openstack-nova-conductor`.
fn of_name(name: &str) -> Option<Role> {
    let name = name.replace('_', "-");
    let mut core = name.as_str();
    for before in ["tripleo-", "kolla-", "edpm-", "openstack-", "hacluster-"] {
        core = core.strip_prefix(before).unwrap_or(core);
    }
    core = core.strip_suffix("-container").unwrap_or(core);
    core = core.split_once("-bundle").map_or(core, |(core, _)| core);
    Some(match core {
        "mariadb" | "mysql" | "mysqld" | "galera" | "mariadb-server" => Role::Galera,
        "rabbitmq" | "rabbitmq-server" => Role::Rabbitmq,
        "etcd" | "etcd-server" => Role::Etcd,
        "neutron-l3-agent" => Role::NetworkGateway,
        "nova-api"
        | "nova-conductor"
        | "nova-super-conductor"
        | "nova-scheduler"
        | "neutron-server"
        | "neutron-api"
        | "placement-api"
        | "keystone"
        | "glance-api"
        | "cinder-api"
        | "cinder-scheduler"
        | "cinder-volume"
        | "haproxy" => Role::ControlPlane,
        "pacemaker" | "pacemaker-remote" | "pacemaker-remoted" => Role::Pacemaker,
        other if other.starts_with("masakari-") && other.ends_with("monitor") => Role::Masakari,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn units_of_packages_and_of_deployment_tools_are_known() {
        for (unit, role) in [
            ("ceph-osd@3.service", Some(Role::CephOsd)),
            ("ceph-1a2b3c4d-0000-4000-8000-000000000001@osd.12.service", Some(Role::CephOsd)),
            ("ceph-1a2b3c4d-0000-4000-8000-000000000001@mon.c1.service", Some(Role::CephMon)),
            ("ceph-1a2b3c4d-0000-4000-8000-000000000001@crash.c1.service", None),
            ("mariadb.service", Some(Role::Galera)),
            ("mariadb@bootstrap.service", Some(Role::Galera)),
            ("rabbitmq-server.service", Some(Role::Rabbitmq)),
            ("tripleo_etcd.service", Some(Role::Etcd)),
            ("kolla-rabbitmq-container.service", Some(Role::Rabbitmq)),
            ("neutron-l3-agent.service", Some(Role::NetworkGateway)),
            ("openstack-nova-conductor.service", Some(Role::ControlPlane)),
            ("openstack-nova-compute.service", None),
            ("tripleo_nova_compute.service", None),
            ("pacemaker_remote.service", Some(Role::Pacemaker)),
            ("masakari-instancemonitor.service", Some(Role::Masakari)),
            ("masakari-api.service", None),
            ("libvirtd.service", None),
        ] {
            assert_eq!(of_unit(unit), role, "{unit}");
        }
    }

    #[test]
    fn containers_are_known_by_their_names() {
        for (container, role) in [
            ("rabbitmq", Some(Role::Rabbitmq)),
            ("galera-bundle-podman-0", Some(Role::Galera)),
            ("ceph-1a2b3c4d-0000-4000-8000-000000000001-osd-3", Some(Role::CephOsd)),
            ("ceph-mon-controller0", Some(Role::CephMon)),
            ("ceph-1a2b3c4d-0000-4000-8000-000000000001-crash-c1", None),
            ("neutron_l3_agent", Some(Role::NetworkGateway)),
            ("hacluster_pacemaker_remote", Some(Role::Pacemaker)),
            ("nova_libvirt", None),
        ] {
            assert_eq!(of_container(container), role, "{container}");
        }
    }

    #[test]
    fn an_agent_that_serves_its_own_instances_only_is_no_gateway() {
        let mode = |mode: &str| {
            let gateway = gateway(mode).unwrap();
            roles(&Signs { processes: owned(&["neutron-l3-agen"]), gateway, ..Signs::default() })
        };
        assert!(mode("l3 dvr\n").is_empty() && mode("l3 dvr_no_external\n").is_empty());
        for central in ["", "l3 \n", "l3 dvr_snat\n", "l3 legacy\n"] {
            assert_eq!(mode(central)[&Role::NetworkGateway], ["process neutron-l3-agen"], "{central}");
        }
        let chassis = mode("l3 dvr\novn \"enable-chassis-as-gw,availability-zones=az1\"\n");
        assert_eq!(chassis[&Role::NetworkGateway], ["OVN: enable-chassis-as-gw"]);
        assert!(gateway("route me").is_err());
    }

    #[test]
    fn every_process_that_is_asked_for_has_a_role_and_a_name_that_the_kernel_can_hold() {
        for process in PROCESSES {
            assert!(of_process(process).is_some() && process.len() <= 15, "{process}");
        }
        assert!(PROCESSES.is_sorted());
    }
}
