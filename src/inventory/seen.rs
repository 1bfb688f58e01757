//! All that the cloud says, list by list.

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::{List, Progress};
use crate::cloud::{
    Aggregate, Allocation, Cloud, CloudResult, ComputeService, Hypervisor, Migration, MigrationsQuery, Provider,
    Server, ServerGroup, ServersQuery,
};
use crate::model::HostName;

/// Providers whose allocations are asked for at a time.
const AT_ONCE: usize = 8;

/// What the cloud said.
pub(super) struct Seen {
    pub(super) services: Vec<ComputeService>,
    pub(super) hypervisors: Vec<Hypervisor>,
    pub(super) aggregates: Vec<Aggregate>,
    pub(super) groups: Vec<ServerGroup>,
    pub(super) servers: Vec<Server>,
    pub(super) migrations: Vec<Migration>,
    pub(super) providers: Vec<Provider>,
    /// Allocations by host, of the host's own providers; absent for a host without one.
    pub(super) allocations: BTreeMap<HostName, Vec<Allocation>>,
}

/// Asks for every list.
pub(super) async fn collect(cloud: &dyn Cloud, progress: &(dyn Fn(Progress) + Sync)) -> CloudResult<Seen> {
    let everything = ServersQuery::default();
    let in_progress = MigrationsQuery { in_progress: true, ..MigrationsQuery::default() };
    let (services, hypervisors, aggregates, groups, servers, migrations, providers) = tokio::try_join!(
        listed(List::Services, cloud.services(), progress),
        listed(List::Hypervisors, cloud.hypervisors(), progress),
        listed(List::Aggregates, cloud.aggregates(), progress),
        listed(List::Groups, cloud.server_groups(), progress),
        listed(List::Instances, cloud.servers(&everything), progress),
        listed(List::Migrations, cloud.migrations(&in_progress), progress),
        listed(List::Providers, cloud.providers(), progress),
    )?;
    let mut seen = Seen {
        services,
        hypervisors,
        aggregates,
        groups,
        servers,
        migrations,
        providers,
        allocations: BTreeMap::new(),
    };
    seen.allocations = allocations(cloud, &seen, progress).await?;
    Ok(seen)
}

async fn listed<T>(
    list: List,
    items: impl Future<Output = CloudResult<Vec<T>>>,
    progress: &(dyn Fn(Progress) + Sync),
) -> CloudResult<Vec<T>> {
    let items = items.await?;
    progress(Progress::Listed(list, items.len()));
    Ok(items)
}

async fn allocations(
    cloud: &dyn Cloud,
    seen: &Seen,
    progress: &(dyn Fn(Progress) + Sync),
) -> CloudResult<BTreeMap<HostName, Vec<Allocation>>> {
    let wanted = seen.providers_by_host();
    let asked: Vec<_> = wanted
        .into_iter()
        .flat_map(|(host, providers)| providers.into_iter().map(move |provider| (host, provider)))
        .map(|(host, provider)| async move { Ok((host.clone(), cloud.allocations(&provider.id).await?)) })
        .collect();
    let total = asked.len();
    let mut answers = stream::iter(asked).buffered(AT_ONCE);
    let mut by_host: BTreeMap<HostName, Vec<Allocation>> = BTreeMap::new();
    let mut done = 0;
    while let Some((host, allocations)) = answers.try_next().await? {
        by_host.entry(host).or_default().extend(allocations);
        done += 1;
        progress(Progress::Allocations(done, total));
    }
    Ok(by_host)
}

impl Seen {
    /// The providers that hosts themselves are, by host; a host may have several hypervisors.
    pub(super) fn providers_by_host(&self) -> BTreeMap<&HostName, Vec<&Provider>> {
        let by_id: BTreeMap<&str, &Provider> = self.providers.iter().map(|one| (one.id.as_str(), one)).collect();
        let by_name: BTreeMap<&str, &Provider> = self.providers.iter().map(|one| (one.name.as_str(), one)).collect();
        let mut by_host: BTreeMap<&HostName, Vec<&Provider>> = BTreeMap::new();
        for hypervisor in &self.hypervisors {
            let found = by_id.get(hypervisor.id.as_str()).or_else(|| by_name.get(hypervisor.hostname.as_str()));
            by_host.entry(&hypervisor.host).or_default().extend(found);
        }
        by_host
    }
}
