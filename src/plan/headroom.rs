//! How many hosts of a zone may be out at once so that the policy's share of its room stays free.
//!
//! Moves do not change how much is in use in a zone, only where: what stays free beside the hosts that are out is
//! decided by which are out. Planner and engine both count with the zone's largest hosts; the checker adds up those that
//! are out.

use std::collections::BTreeMap;

use crate::model::{Headroom, Host, Region, ZoneName};

/// By zone, how many hosts may be out, at least one; nothing where the policy asks for neither a share nor an amount.
pub fn most_out(region: &Region, headroom: &Headroom) -> BTreeMap<ZoneName, usize> {
    let zone = &headroom.per_zone;
    if zone.percent.is_none() && zone.resources.is_zero() {
        return BTreeMap::new();
    }
    let mut hosts: BTreeMap<&ZoneName, Vec<&Host>> = BTreeMap::new();
    for host in region.hosts.iter().filter(|host| host.service.is_in_service()) {
        if let Some(zone) = &host.zone {
            hosts.entry(zone).or_default().push(host);
        }
    }
    let here = region.instances_by_host();
    let most = |hosts: &[&Host]| {
        let classes = hosts.iter().flat_map(|host| host.capacity.iter().map(|(class, _)| class));
        let mut least = usize::MAX;
        for class in classes.collect::<std::collections::BTreeSet<&str>>() {
            let mut capacities: Vec<u64> = hosts.iter().map(|host| host.capacity.get(class)).collect();
            let capacity: u64 = capacities.iter().sum();
            let kept = zone.resources.get(class).max(zone.percent.map_or(0, |percent| percent.at_least_of(capacity)));
            if kept == 0 {
                continue;
            }
            let instances = hosts.iter().filter_map(|host| here.get(&host.host)).flatten();
            let used: u64 = instances.map(|instance| instance.resources.get(class)).sum();
            let mut slack = capacity.saturating_sub(used).saturating_sub(kept);
            capacities.sort_unstable_by_key(|capacity| std::cmp::Reverse(*capacity));
            let fitting = capacities.iter().take_while(|capacity| {
                let fits = **capacity <= slack;
                slack = slack.saturating_sub(**capacity);
                fits
            });
            least = least.min(fitting.count());
        }
        least.max(1)
    };
    hosts.into_iter().map(|(zone, hosts)| (zone.clone(), most(&hosts))).collect()
}
