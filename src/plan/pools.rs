//! The policy's limits on hosts out of service, as pools of hosts with a number each.

use std::collections::BTreeMap;

use super::fleet::{Fleet, Pool};
use super::headroom::most_out;
use crate::model::{Host, Policy, Region, Role};

/// Adds a pool for the region, each zone, each rack, each aggregate and each role that the limits speak of.
pub(super) fn add(fleet: &mut Fleet<'_>, region: &Region, policy: &Policy) {
    let limits = &policy.limits;
    let kept_free = most_out(region, &policy.headroom);
    let hosts: Vec<(u32, &Host)> =
        region.hosts.iter().filter_map(|host| Some((fleet.layout.host(&host.host)?, host))).collect();
    add_pool(fleet, limits.hosts.of(hosts.len()), hosts.iter().map(|(number, _)| *number));
    for members in by(&hosts, |host| host.zone.as_ref().map(|zone| zone.as_str().to_owned())).into_values() {
        let mut limit = limits.hosts_per_zone.of(members.len()).min(may_leave(&members, limits.keep_up.per_zone));
        if let Some((number, host)) = members.first() {
            let most = host.zone.as_ref().and_then(|zone| kept_free.get(zone)).copied();
            limit = limit.min(most.unwrap_or(usize::MAX));
            let zone = fleet.layout.zone_of(*number) as usize;
            fleet.zone_limits[zone] = u32::try_from(limit).unwrap_or(u32::MAX);
        }
        add_pool(fleet, limit, members.iter().map(|(number, _)| *number));
    }
    if let Some(limit) = limits.hosts_per_rack {
        for members in by(&hosts, |host| host.rack.clone()).into_values() {
            add_pool(fleet, limit.of(members.len()), members.iter().map(|(number, _)| *number));
        }
    }
    for role in Role::ALL {
        let of_role = hosts.iter().filter(|(_, host)| host.roles_one_at_a_time(&policy.roles).any(|own| own == role));
        let members: Vec<u32> = of_role.map(|(number, _)| *number).collect();
        if !members.is_empty() {
            add_pool(fleet, 1, members.into_iter());
        }
    }
    for members in by_each(&hosts, |host| &host.aggregates).into_values() {
        let limit = may_leave(&members, limits.keep_up.per_aggregate);
        add_pool(fleet, limit, members.iter().map(|(number, _)| *number));
    }
}

/// How many of `members` may be out so that `keep` stay in service; at least one, because a zone or an
/// aggregate of one host could never be remedied otherwise.
fn may_leave(members: &[(u32, &Host)], keep: usize) -> usize {
    members.iter().filter(|(_, host)| host.service.is_in_service()).count().saturating_sub(keep).max(1)
}

fn add_pool(fleet: &mut Fleet<'_>, limit: usize, members: impl Iterator<Item = u32>) {
    let members: Vec<u32> = members.collect();
    let number = u32::try_from(fleet.pools.len()).unwrap_or(u32::MAX);
    // A pool that can never fill limits nothing; the region's stays, the first of all.
    if number > 0 && limit >= members.len() {
        return;
    }
    fleet.pools.push(Pool { limit: u32::try_from(limit).unwrap_or(u32::MAX) });
    for member in members {
        fleet.pools_of[member as usize].push(number);
    }
}

type Members<'a> = Vec<(u32, &'a Host)>;

fn by<'a>(hosts: &[(u32, &'a Host)], key: impl Fn(&Host) -> Option<String>) -> BTreeMap<String, Members<'a>> {
    let mut pools: BTreeMap<String, Members<'a>> = BTreeMap::new();
    for (number, host) in hosts {
        if let Some(key) = key(host) {
            pools.entry(key).or_default().push((*number, host));
        }
    }
    pools
}

fn by_each<'a>(hosts: &[(u32, &'a Host)], keys: impl Fn(&Host) -> &[String]) -> BTreeMap<String, Members<'a>> {
    let mut pools: BTreeMap<String, Members<'a>> = BTreeMap::new();
    for (number, host) in hosts {
        for key in keys(host) {
            pools.entry(key.clone()).or_default().push((*number, host));
        }
    }
    pools
}
