//! What the cloud said, put together; pure.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::allocations::{self, Doubt};
use super::seen::Seen;
use crate::cloud::{Aggregate, ComputeService, Provider, Server};
use crate::model::{
    self, Gap, GapKind, GroupId, Host, HostFacts, HostIdentity, HostName, Instance, InstanceId, InstanceStatus, Region,
    RegionKind, Resources,
};

/// Makes a region of what was seen, without the hosts' own facts; and what needs a second look.
pub(super) fn region(name: &str, taken_at: Timestamp, rack_keys: &[String], seen: &Seen) -> (Region, Vec<Doubt>) {
    let mut gaps = Vec::new();
    let around = Around::of(rack_keys, seen);
    let mut hosts: Vec<Host> = seen.services.iter().map(|service| host(service, &around, &mut gaps)).collect();
    hosts.sort_by(|a, b| a.host.cmp(&b.host));

    let groups: BTreeMap<InstanceId, &GroupId> = seen
        .groups
        .iter()
        .flat_map(|group| group.members.iter().map(move |member| (*member, &group.group.id)))
        .collect();
    let mut instances: Vec<Instance> =
        seen.servers.iter().filter(|server| exists(server)).map(|server| instance(server, seen, &groups)).collect();
    instances.sort_by_key(|instance| instance.id);
    gaps.extend(instances.iter().filter(|one| one.status == InstanceStatus::Unknown).map(|instance| Gap {
        kind: GapKind::Cell,
        at: instance.id.to_string(),
        detail: "the cell of this instance does not answer: its host and state are unknown".to_owned(),
        cause: None,
    }));

    let region = Region {
        format: 1,
        kind: RegionKind::Region,
        taken_at,
        region: name.to_owned(),
        hosts,
        instances,
        aggregates: aggregates(seen),
        groups: seen.groups.iter().map(|group| group.group.clone()).collect(),
        histories: BTreeMap::new(),
        gaps,
    };
    (region, allocations::doubts(seen))
}

fn aggregates(seen: &Seen) -> Vec<model::Aggregate> {
    let of = |one: &Aggregate| model::Aggregate { name: one.name.clone(), metadata: one.metadata.clone() };
    let mut aggregates: Vec<model::Aggregate> = seen.aggregates.iter().map(of).collect();
    aggregates.sort_by(|a, b| a.name.cmp(&b.name));
    aggregates
}

/// Whether a server is there at all.
pub(super) fn exists(server: &Server) -> bool {
    server.status != InstanceStatus::Deleted
}

/// What the lists say around a host, by host.
struct Around<'a> {
    providers: BTreeMap<&'a HostName, Vec<&'a Provider>>,
    /// In order of name.
    aggregates: BTreeMap<&'a HostName, Vec<&'a Aggregate>>,
    hypervisors: BTreeMap<&'a HostName, &'a str>,
    rack_keys: &'a [String],
}

impl<'a> Around<'a> {
    fn of(rack_keys: &'a [String], seen: &'a Seen) -> Self {
        let mut sorted: Vec<&Aggregate> = seen.aggregates.iter().collect();
        sorted.sort_by(|a, b| a.name.cmp(&b.name));
        let mut aggregates: BTreeMap<&HostName, Vec<&Aggregate>> = BTreeMap::new();
        for aggregate in sorted {
            for host in &aggregate.hosts {
                aggregates.entry(host).or_default().push(aggregate);
            }
        }
        let hypervisors = seen.hypervisors.iter().map(|one| (&one.host, one.kind.as_str())).collect();
        Self { providers: seen.providers_by_host(), aggregates, hypervisors, rack_keys }
    }
}

fn host(service: &ComputeService, around: &Around<'_>, gaps: &mut Vec<Gap>) -> Host {
    let name = &service.host;
    let providers = around.providers.get(name).map(Vec::as_slice).unwrap_or_default();
    let aggregates = around.aggregates.get(name).map(Vec::as_slice).unwrap_or_default();
    if service.cell_is_down {
        gaps.push(gap(GapKind::Cell, name, "the cell of this host does not answer: its service is unknown"));
    } else if providers.is_empty() {
        gaps.push(gap(GapKind::Provider, name, "Placement has no resource provider for this host"));
    }
    let mut traits: Vec<String> = providers.iter().flat_map(|provider| provider.traits.iter().cloned()).collect();
    traits.sort();
    traits.dedup();
    let mut capacity = Resources::default();
    for provider in providers {
        capacity.add(&provider.capacity);
    }
    Host {
        host: name.clone(),
        zone: service.zone.clone().or_else(|| aggregates.iter().find_map(|aggregate| aggregate.zone.clone())),
        rack: around.rack_keys.iter().find_map(|key| aggregates.iter().find_map(|one| one.metadata.get(key).cloned())),
        aggregates: aggregates.iter().map(|aggregate| aggregate.name.clone()).collect(),
        traits,
        cell: None,
        hypervisor: around.hypervisors.get(name).map(|kind| (*kind).to_owned()),
        identity: HostIdentity::default(),
        service: service.service.clone(),
        capacity,
        facts: HostFacts::default(),
    }
}

fn gap(kind: GapKind, host: &HostName, detail: &str) -> Gap {
    Gap { kind, at: host.to_string(), detail: detail.to_owned(), cause: None }
}

fn instance(server: &Server, seen: &Seen, groups: &BTreeMap<InstanceId, &GroupId>) -> Instance {
    Instance {
        id: server.id,
        name: server.name.clone(),
        project: server.project.clone(),
        host: server.host.clone(),
        status: server.status.clone(),
        task_state: server.task_state.clone(),
        power: (server.status == InstanceStatus::Error).then_some(server.power_state),
        locked: server.locked,
        resources: allocated(server, seen).unwrap_or_else(|| server.resources.clone()),
        group: groups.get(&server.id).map(|group| (*group).clone()),
        pinned_zone: server.pinned_zone.clone(),
        traits: server.traits.clone(),
        flavor: server.flavor.clone().map(Box::new),
        image: server.image.clone(),
        metadata: server.metadata.clone(),
    }
}

/// What Placement holds for a server on its own host: an instance that boots from a volume takes no disk there, which
/// its flavor does not tell.
fn allocated(server: &Server, seen: &Seen) -> Option<Resources> {
    let consumer = server.id.to_string();
    let held = seen.allocations.get(server.host.as_ref()?)?;
    held.iter().find(|allocation| allocation.consumer == consumer).map(|allocation| allocation.resources.clone())
}
