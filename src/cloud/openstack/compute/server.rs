//! Servers.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Deserialize;

use super::BASE;
use super::paging::{self, Page, PageLink, Paged};
use crate::cloud::openstack::OpenStack;
use crate::cloud::openstack::version::Microversion;
use crate::cloud::openstack::wire::{maybe_moment, maybe_text};
use crate::cloud::{CloudResult, PowerState, Server, ServersQuery};
use crate::model::{Flavor, HostName, InstanceId, InstanceStatus, ProjectId, Resources, ZoneName};

/// 2.98: the properties of an instance's image. 2.96: the zone that an instance is pinned to. 2.73: why it is locked.
/// 2.71: the groups of one server. 2.69: instances of a cell that does not answer are listed, with status UNKNOWN. 2.53
/// embeds the flavor already (2.47).
const SERVERS: &[Microversion] =
    &[Microversion(2, 98), Microversion(2, 96), Microversion(2, 73), Microversion(2, 71), Microversion(2, 69), BASE];

#[derive(Deserialize)]
struct Servers {
    servers: Vec<WireServer>,
    #[serde(default)]
    servers_links: Vec<PageLink>,
}

#[derive(Deserialize)]
struct OneServer {
    server: WireServer,
}

#[derive(Deserialize)]
struct WireServer {
    id: InstanceId,
    #[serde(default)]
    name: String,
    tenant_id: String,
    status: String,
    #[serde(default, rename = "OS-EXT-SRV-ATTR:host", deserialize_with = "maybe_text")]
    host: Option<String>,
    #[serde(default, rename = "OS-EXT-STS:vm_state")]
    vm_state: Option<String>,
    #[serde(default, rename = "OS-EXT-STS:task_state")]
    task_state: Option<String>,
    #[serde(default, rename = "OS-EXT-STS:power_state")]
    power_state: u8,
    #[serde(default)]
    locked: bool,
    #[serde(default)]
    locked_reason: Option<String>,
    #[serde(default, rename = "OS-EXT-AZ:availability_zone", deserialize_with = "maybe_text")]
    zone: Option<String>,
    #[serde(default)]
    pinned_availability_zone: Option<String>,
    #[serde(default)]
    flavor: Option<WireFlavor>,
    #[serde(default)]
    image: Option<WireImage>,
    #[serde(default)]
    server_groups: Vec<String>,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
    #[serde(default)]
    fault: Option<WireFault>,
    #[serde(default, rename = "OS-SRV-USG:launched_at", deserialize_with = "maybe_moment")]
    launched_at: Option<Timestamp>,
    #[serde(default, deserialize_with = "maybe_moment")]
    updated: Option<Timestamp>,
    #[serde(default)]
    progress: Option<u8>,
}

#[derive(Deserialize)]
struct WireFlavor {
    vcpus: u64,
    /// MiB.
    ram: u64,
    /// GiB.
    disk: u64,
    /// GiB.
    ephemeral: u64,
    /// MiB; empty text for zero below 2.75.
    swap: Swap,
    #[serde(default)]
    original_name: String,
    /// Absent where the role may not see them.
    #[serde(default)]
    extra_specs: Option<BTreeMap<String, String>>,
}

/// Empty text for an instance that boots from a volume.
#[derive(Deserialize)]
#[serde(untagged)]
enum WireImage {
    Image {
        /// From 2.98 on.
        #[serde(default)]
        properties: BTreeMap<String, serde_json::Value>,
    },
    Text(#[expect(dead_code, reason = "always empty")] String),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Swap {
    Mib(u64),
    Text(String),
}

#[derive(Deserialize)]
struct WireFault {
    #[serde(default)]
    message: String,
}

impl Page for Servers {
    type Item = WireServer;

    fn marker(item: &WireServer) -> String {
        item.id.to_string()
    }

    fn into_parts(self) -> (Vec<WireServer>, Vec<PageLink>) {
        (self.servers, self.servers_links)
    }
}

/// Servers of all projects.
pub(super) async fn list(cloud: &OpenStack, query: &ServersQuery) -> CloudResult<Vec<Server>> {
    let operation = match &query.host {
        Some(host) => format!("list the instances of {host}"),
        None => "list all instances".to_owned(),
    };
    let since = query.changes_since.map(|since| since.to_string());
    let mut parameters = vec![("all_tenants", "1")];
    parameters.extend(query.host.as_ref().map(|host| ("host", host.as_str())));
    // Nova takes it for a regular expression; names of ours have no character that means something there.
    let name = query.name.as_ref().map(|name| format!("^{name}$"));
    parameters.extend(name.as_deref().map(|name| ("name", name)));
    parameters.extend(since.as_deref().map(|since| ("changes-since", since)));
    let list = Paged {
        operation: &operation,
        path: &["servers", "detail"],
        query: &parameters,
        version: cloud.nova.version(&operation, SERVERS)?,
    };
    Ok(paging::collect::<Servers>(cloud, &list).await?.into_iter().map(server).collect())
}

/// One server.
pub(super) async fn show(cloud: &OpenStack, id: InstanceId) -> CloudResult<Server> {
    let operation = format!("show instance {id}");
    let version = cloud.nova.version(&operation, SERVERS)?;
    let call = cloud.nova.get(operation, &["servers", &id.to_string()], &[], version);
    let answer: OneServer = cloud.session.send(call).await?.json()?;
    Ok(server(answer.server))
}

fn server(wire: WireServer) -> Server {
    let flavor = wire.flavor.as_ref();
    Server {
        id: wire.id,
        name: wire.name,
        project: ProjectId::new(wire.tenant_id),
        host: wire.host.map(HostName::new),
        status: InstanceStatus::from(wire.status),
        vm_state: wire.vm_state.unwrap_or_default(),
        task_state: wire.task_state,
        power_state: power_state(wire.power_state),
        locked: wire.locked,
        locked_reason: wire.locked_reason,
        zone: wire.zone.map(ZoneName::new),
        pinned_zone: wire.pinned_availability_zone.map(ZoneName::new),
        resources: flavor.map(resources).unwrap_or_default(),
        flavor: flavor.and_then(named),
        image: wire.image.map(properties).unwrap_or_default(),
        groups: wire.server_groups,
        traits: flavor.map(traits).unwrap_or_default(),
        metadata: wire.metadata,
        fault: wire.fault.map(|fault| fault.message),
        launched_at: wire.launched_at,
        updated: wire.updated,
        progress: wire.progress,
    }
}

/// The flavor, where its extra specs are shown: without them nothing is known of what it asks for.
fn named(flavor: &WireFlavor) -> Option<Flavor> {
    let extra_specs = flavor.extra_specs.clone()?;
    Some(Flavor { name: flavor.original_name.clone(), extra_specs })
}

/// An image's properties as text, which is how aggregates are compared with them.
fn properties(image: WireImage) -> BTreeMap<String, String> {
    let text = |value: serde_json::Value| match value.as_str() {
        Some(text) => text.to_owned(),
        None => value.to_string(),
    };
    match image {
        WireImage::Image { properties } => properties.into_iter().map(|(key, value)| (key, text(value))).collect(),
        WireImage::Text(_) => BTreeMap::new(),
    }
}

/// Source: `nova/compute/power_state.py`; 2, 5, 8 and 9 are no longer used.
fn power_state(number: u8) -> PowerState {
    match number {
        1 => PowerState::Running,
        3 => PowerState::Paused,
        4 => PowerState::Shutdown,
        6 => PowerState::Crashed,
        7 => PowerState::Suspended,
        _ => PowerState::NoState,
    }
}

/// What a flavor takes on its host, as Nova asks Placement for it: swap is rounded up to GiB.
fn resources(flavor: &WireFlavor) -> Resources {
    let swap = match &flavor.swap {
        Swap::Mib(mib) => *mib,
        Swap::Text(text) => text.parse().unwrap_or(0),
    };
    Resources::basic(flavor.vcpus, flavor.ram, flavor.disk + flavor.ephemeral + swap.div_ceil(1024))
}

/// Traits that a flavor requires: `trait:NAME=required`, also in a numbered group, `trait1:NAME`.
fn traits(flavor: &WireFlavor) -> Vec<String> {
    let required = flavor.extra_specs.iter().flatten().filter(|(_, value)| *value == "required");
    let names = required.filter_map(|(key, _)| {
        let (group, name) = key.strip_prefix("trait")?.split_once(':')?;
        group.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')).then_some(name)
    });
    names.collect::<BTreeSet<_>>().into_iter().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Server {
        server(serde_json::from_str(text).unwrap())
    }

    #[test]
    fn a_flavors_disks_add_up_and_required_traits_are_kept() {
        let server = parsed(
            r#"{"id": "00000000-0000-0000-0000-000000000001", "tenant_id": "p", "status": "ACTIVE",
                "OS-EXT-SRV-ATTR:host": "", "flavor": {"vcpus": 2, "ram": 512, "disk": 10, "ephemeral": 5, "swap": 1500,
                "extra_specs": {"trait:CUSTOM_A": "required", "trait:CUSTOM_B": "forbidden", "trait1:CUSTOM_C": "required",
                                "hw:numa_nodes": "1"}}}"#,
        );
        assert_eq!(server.resources, Resources::basic(2, 512, 17));
        assert_eq!(server.traits, ["CUSTOM_A", "CUSTOM_C"]);
        assert_eq!(server.host, None);
        assert_eq!(server.flavor.unwrap().extra_specs["hw:numa_nodes"], "1");
    }

    #[test]
    fn image_properties_are_those_of_the_image_and_a_volume_has_none() {
        let with = |image: &str| {
            let id = r#""id": "00000000-0000-0000-0000-000000000001", "tenant_id": "p", "status": "ACTIVE""#;
            parsed(&format!(r#"{{{id}, "image": {image}}}"#)).image
        };
        let read = with(r#"{"id": "x", "properties": {"os_distro": "windows", "hw_boot_menu": true}}"#);
        assert_eq!((read["os_distro"].as_str(), read["hw_boot_menu"].as_str()), ("windows", "true"));
        assert!(with(r#""""#).is_empty() && with(r#"{"id": "x"}"#).is_empty());
    }

    #[test]
    fn an_instance_of_a_cell_that_is_down_is_unknown() {
        let server = parsed(
            r#"{"created": "2026-11-22T10:00:00Z", "id": "00000000-0000-0000-0000-000000000001", "status": "UNKNOWN",
                "tenant_id": "p", "links": []}"#,
        );
        assert_eq!(server.status, InstanceStatus::Unknown);
        assert_eq!((server.host, server.resources.is_zero()), (None, true));
    }

    #[test]
    fn swap_is_empty_text_in_older_answers() {
        let flavor: WireFlavor =
            serde_json::from_str(r#"{"vcpus": 1, "ram": 64, "disk": 1, "ephemeral": 0, "swap": ""}"#).unwrap();
        assert_eq!(resources(&flavor), Resources::basic(1, 64, 1));
    }
}
