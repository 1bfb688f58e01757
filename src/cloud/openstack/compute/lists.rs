//! Services, hypervisors, aggregates, server groups.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;

use super::BASE;
use super::paging::{self, Page, PageLink, Paged};
use crate::cloud::openstack::OpenStack;
use crate::cloud::openstack::version::Microversion;
use crate::cloud::openstack::wire::{maybe_moment, maybe_text};
use crate::cloud::{Aggregate, CloudResult, ComputeService, Hypervisor, ServerGroup};
use crate::model::{
    Group, GroupId, GroupPolicy, GroupRules, HostName, InstanceId, Service, ServiceId, ServiceState, ServiceStatus,
    ZoneName,
};

/// 2.69: services of a cell that does not answer are listed, and marked.
const SERVICES: &[Microversion] = &[Microversion(2, 69), BASE];

/// 2.88: without the CPU's description, which nobody reads here and which makes most of the answer.
const HYPERVISORS: &[Microversion] = &[Microversion(2, 88), BASE];

/// 2.64: a group has one policy, with rules.
const GROUPS: &[Microversion] = &[Microversion(2, 64), BASE];

#[derive(Deserialize)]
struct Services {
    services: Vec<WireService>,
}

#[derive(Deserialize)]
struct WireService {
    /// Absent for a cell that does not answer.
    #[serde(default)]
    id: Option<String>,
    host: String,
    #[serde(default, deserialize_with = "maybe_text")]
    zone: Option<String>,
    /// `enabled`, `disabled`, or `UNKNOWN` for a cell that does not answer.
    status: String,
    #[serde(default)]
    state: Option<String>,
    #[serde(default, deserialize_with = "maybe_text")]
    disabled_reason: Option<String>,
    #[serde(default)]
    forced_down: bool,
    #[serde(default, deserialize_with = "maybe_moment")]
    updated_at: Option<Timestamp>,
}

/// All nova-compute services.
pub(super) async fn services(cloud: &OpenStack) -> CloudResult<Vec<ComputeService>> {
    let operation = "list compute services";
    let version = cloud.nova.version(operation, SERVICES)?;
    let call = cloud.nova.get(operation, &["os-services"], &[("binary", "nova-compute")], version);
    let answer: Services = cloud.session.send(call).await?.json()?;
    Ok(answer.services.into_iter().map(service).collect())
}

/// The nova-compute service of one host. A cell that does not answer is listed by its hosts' names as well.
pub(super) async fn service_of(cloud: &OpenStack, host: &HostName) -> CloudResult<Option<ComputeService>> {
    let operation = "show a compute service";
    let version = cloud.nova.version(operation, SERVICES)?;
    let query = [("binary", "nova-compute"), ("host", host.as_str())];
    let call = cloud.nova.get(operation, &["os-services"], &query, version);
    let answer: Services = cloud.session.send(call).await?.json()?;
    // An old Nova that knows no filter, or a gateway that drops it, answers with all of them.
    Ok(answer.services.into_iter().map(service).find(|service| service.host == *host))
}

fn service(wire: WireService) -> ComputeService {
    let cell_is_down = wire.status == "UNKNOWN";
    ComputeService {
        host: HostName::new(wire.host),
        zone: wire.zone.map(ZoneName::new),
        service: Service {
            id: ServiceId::new(wire.id.unwrap_or_default()),
            state: if wire.state.as_deref() == Some("up") { ServiceState::Up } else { ServiceState::Down },
            status: if wire.status == "enabled" { ServiceStatus::Enabled } else { ServiceStatus::Disabled },
            disabled_reason: wire.disabled_reason,
            forced_down: wire.forced_down,
        },
        updated_at: wire.updated_at,
        cell_is_down,
    }
}

#[derive(Deserialize)]
struct Hypervisors {
    hypervisors: Vec<WireHypervisor>,
    #[serde(default)]
    hypervisors_links: Vec<PageLink>,
}

#[derive(Deserialize)]
struct WireHypervisor {
    id: String,
    hypervisor_hostname: String,
    #[serde(default)]
    hypervisor_type: String,
    service: WireHypervisorService,
}

#[derive(Deserialize)]
struct WireHypervisorService {
    host: String,
}

impl Page for Hypervisors {
    type Item = WireHypervisor;

    fn marker(item: &WireHypervisor) -> String {
        item.id.clone()
    }

    fn into_parts(self) -> (Vec<WireHypervisor>, Vec<PageLink>) {
        (self.hypervisors, self.hypervisors_links)
    }
}

/// All hypervisors with their details.
pub(super) async fn hypervisors(cloud: &OpenStack) -> CloudResult<Vec<Hypervisor>> {
    let operation = "list hypervisors";
    let version = cloud.nova.version(operation, HYPERVISORS)?;
    let list = Paged { operation, path: &["os-hypervisors", "detail"], query: &[], version };
    let hypervisors = paging::collect::<Hypervisors>(cloud, &list).await?;
    Ok(hypervisors
        .into_iter()
        .map(|wire| Hypervisor {
            id: wire.id,
            hostname: wire.hypervisor_hostname,
            host: HostName::new(wire.service.host),
            kind: wire.hypervisor_type,
        })
        .collect())
}

#[derive(Deserialize)]
struct Aggregates {
    aggregates: Vec<WireAggregate>,
}

#[derive(Deserialize)]
struct WireAggregate {
    name: String,
    #[serde(default, deserialize_with = "maybe_text")]
    availability_zone: Option<String>,
    #[serde(default)]
    hosts: Vec<String>,
    #[serde(default)]
    metadata: BTreeMap<String, String>,
}

/// All host aggregates.
pub(super) async fn aggregates(cloud: &OpenStack) -> CloudResult<Vec<Aggregate>> {
    let call = cloud.nova.get("list host aggregates", &["os-aggregates"], &[], BASE);
    let answer: Aggregates = cloud.session.send(call).await?.json()?;
    Ok(answer
        .aggregates
        .into_iter()
        .map(|wire| Aggregate {
            name: wire.name,
            zone: wire.availability_zone.map(ZoneName::new),
            hosts: wire.hosts.into_iter().map(HostName::new).collect(),
            metadata: wire.metadata,
        })
        .collect())
}

#[derive(Deserialize)]
struct Groups {
    server_groups: Vec<WireGroup>,
}

#[derive(Deserialize)]
struct WireGroup {
    id: String,
    /// From 2.64 on.
    #[serde(default)]
    policy: Option<GroupPolicy>,
    #[serde(default)]
    rules: Option<WireRules>,
    /// Below 2.64: at most one.
    #[serde(default)]
    policies: Vec<GroupPolicy>,
    #[serde(default)]
    members: Vec<InstanceId>,
}

#[derive(Deserialize)]
struct WireRules {
    #[serde(default)]
    max_server_per_host: Option<u32>,
}

/// All server groups of all projects. This list has no links: pages are counted off until one is empty.
pub(super) async fn server_groups(cloud: &OpenStack) -> CloudResult<Vec<ServerGroup>> {
    let operation = "list server groups";
    let version = cloud.nova.version(operation, GROUPS)?;
    let mut groups = Vec::new();
    loop {
        let offset = groups.len().to_string();
        let query = [("all_projects", "True"), ("offset", offset.as_str())];
        let call = cloud.nova.get(operation, &["os-server-groups"], &query, version);
        let answer: Groups = cloud.session.send(call).await?.json()?;
        if answer.server_groups.is_empty() {
            break;
        }
        groups.extend(answer.server_groups);
    }
    Ok(groups.into_iter().filter_map(group).collect())
}

/// A group without any policy says nothing about its members' hosts.
fn group(wire: WireGroup) -> Option<ServerGroup> {
    let policy = wire.policy.or_else(|| wire.policies.first().copied())?;
    let max_server_per_host = wire.rules.and_then(|rules| rules.max_server_per_host);
    let rules = GroupRules { max_server_per_host };
    Some(ServerGroup { group: Group { id: GroupId::new(wire.id), policy, rules }, members: wire.members })
}
