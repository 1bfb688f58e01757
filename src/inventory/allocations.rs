//! Nova's list of each host against what Placement holds there.
//!
//! The lists are read one after the other while tenants create and delete: what disagrees is a doubt first, and a gap
//! only when a second, later look at the same host finds the same.

use std::collections::{BTreeMap, BTreeSet};

use super::compose::exists;
use super::seen::Seen;
use crate::cloud::{Allocation, Cloud, CloudResult, Migration, MigrationsQuery, Server, ServersQuery};
use crate::model::{Gap, GapKind, HostName};

/// Something about which Nova and Placement disagree.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Doubt {
    host: HostName,
    consumer: String,
    what: Disagreement,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Disagreement {
    /// Nova places it on the host, Placement holds nothing for it there.
    NotAllocated,
    /// Placement holds something for it on the host, Nova does not place it there.
    NotListed,
}

/// What both say of one host.
struct Views<'a> {
    host: &'a HostName,
    servers: Vec<&'a Server>,
    allocations: &'a [Allocation],
    /// Instances and records of migrations in progress: what is under way is held on both its hosts.
    moving: &'a BTreeSet<String>,
    /// Instances that Nova has placed nowhere yet.
    unplaced: &'a BTreeSet<String>,
}

impl Views<'_> {
    fn doubts(&self) -> Vec<Doubt> {
        let listed: BTreeSet<String> = self.servers.iter().map(|server| server.id.to_string()).collect();
        let held: BTreeSet<String> = self.allocations.iter().map(|allocation| allocation.consumer.clone()).collect();
        let doubt = |consumer: &String, what| Doubt { host: self.host.clone(), consumer: consumer.clone(), what };
        let explained = |consumer: &&String| !self.moving.contains(*consumer) && !self.unplaced.contains(*consumer);
        let missing = listed.difference(&held).filter(explained);
        let strange = held.difference(&listed).filter(explained);
        missing
            .map(|consumer| doubt(consumer, Disagreement::NotAllocated))
            .chain(strange.map(|consumer| doubt(consumer, Disagreement::NotListed)))
            .collect()
    }
}

/// What disagrees at first sight.
pub(super) fn doubts(seen: &Seen) -> Vec<Doubt> {
    let moving = moving(&seen.migrations);
    let unplaced = seen.servers.iter().filter(|one| one.host.is_none()).map(|one| one.id.to_string()).collect();
    let mut by_host: BTreeMap<&HostName, Vec<&Server>> = BTreeMap::new();
    for server in seen.servers.iter().filter(|server| exists(server)) {
        if let Some(host) = &server.host {
            by_host.entry(host).or_default().push(server);
        }
    }
    let views = seen.allocations.iter().map(|(host, allocations)| Views {
        host,
        servers: by_host.remove(host).unwrap_or_default(),
        allocations,
        moving: &moving,
        unplaced: &unplaced,
    });
    views.flat_map(|views| views.doubts()).collect()
}

fn moving(migrations: &[Migration]) -> BTreeSet<String> {
    migrations.iter().flat_map(|one| [Some(one.instance.to_string()), one.uuid.clone()]).flatten().collect()
}

/// Looks at the hosts in doubt again, and tells what still disagrees.
pub(super) async fn confirm(cloud: &dyn Cloud, seen: &Seen, first: Vec<Doubt>) -> CloudResult<Vec<Gap>> {
    let first: BTreeSet<Doubt> = first.into_iter().collect();
    let hosts: BTreeSet<&HostName> = first.iter().map(|doubt| &doubt.host).collect();
    let providers = seen.providers_by_host();
    let mut gaps = Vec::new();
    for host in hosts {
        let mut allocations = Vec::new();
        for provider in providers.get(host).into_iter().flatten() {
            allocations.extend(cloud.allocations(&provider.id).await?);
        }
        let here = ServersQuery { host: Some(host.clone()), ..ServersQuery::default() };
        let servers = cloud.servers(&here).await?;
        let under_way = MigrationsQuery { host: Some(host.clone()), in_progress: true, ..MigrationsQuery::default() };
        let moving = moving(&cloud.migrations(&under_way).await?);
        let views = Views {
            host,
            servers: servers.iter().filter(|server| exists(server)).collect(),
            allocations: &allocations,
            moving: &moving,
            unplaced: &BTreeSet::new(),
        };
        gaps.extend(views.doubts().into_iter().filter(|doubt| first.contains(doubt)).map(|doubt| doubt.gap(seen)));
    }
    Ok(gaps)
}

impl Doubt {
    fn gap(self, seen: &Seen) -> Gap {
        let Self { host, consumer, what } = self;
        let detail = match what {
            Disagreement::NotAllocated => {
                format!("Nova places the instance on {host}, but Placement holds no allocation for it there")
            }
            Disagreement::NotListed => {
                let known = seen.servers.iter().find(|server| server.id.to_string() == consumer);
                let elsewhere = match known.map(|server| &server.host) {
                    Some(Some(other)) => format!("Nova places it on {other}"),
                    Some(None) => "Nova places it on no host".to_owned(),
                    None => "Nova lists no such instance".to_owned(),
                };
                format!("Placement holds an allocation on {host}, but {elsewhere}")
            }
        };
        Gap { kind: GapKind::Allocation, at: consumer, detail, cause: None }
    }
}
