//! What zones hold and how much of it is in use, for the load that a rollout shows.

use std::collections::BTreeMap;

use super::rollout::{PlannedSize, PlannedZone};
use crate::model::{Host, HostName, Region, Resources, ZoneName};

/// Each zone's hosts in service by what they may give, and what is allocated there.
pub(super) fn zones(region: &Region) -> Vec<PlannedZone> {
    let here = region.instances_by_host();
    let mut zones: BTreeMap<Option<&ZoneName>, Vec<&Host>> = BTreeMap::new();
    for host in region.hosts.iter().filter(|host| host.service.is_in_service()) {
        zones.entry(host.zone.as_ref()).or_default().push(host);
    }
    // The same region gives the same bytes in whatever order it is listed.
    for hosts in zones.values_mut() {
        hosts.sort_by(|a, b| a.host.cmp(&b.host));
    }
    let zone = |(zone, hosts): (Option<&ZoneName>, Vec<&Host>)| {
        let mut used = Resources::default();
        for instance in hosts.iter().filter_map(|host| here.get(&host.host)).flatten() {
            used.add(&instance.resources);
        }
        PlannedZone { zone: zone.cloned(), used, sizes: sizes(&hosts) }
    };
    zones.into_iter().map(zone).collect()
}

/// Hosts by capacity, in the order in which capacities come up among them.
fn sizes(hosts: &[&Host]) -> Vec<PlannedSize> {
    let mut sizes: Vec<PlannedSize> = Vec::new();
    let mut add = |capacity: &Resources, host: &HostName| match sizes.iter_mut().find(|size| size.capacity == *capacity)
    {
        Some(size) => size.hosts.push(host.clone()),
        None => sizes.push(PlannedSize { capacity: capacity.clone(), hosts: vec![host.clone()] }),
    };
    for host in hosts {
        add(&host.capacity, &host.host);
    }
    sizes
}
