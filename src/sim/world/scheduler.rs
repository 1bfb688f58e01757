//! The scheduler: which host may take an instance, and what it wrongly believes.

use std::collections::BTreeSet;

use super::host::SimHost;
use super::{SimServer, World, later};
use crate::model::{GroupPolicy, HostName, InstanceId, ServiceState, ServiceStatus};

impl World {
    /// Chooses a target, or says why there is none in the words of Nova's exception.
    pub(super) fn choose_target(
        &self,
        server: &SimServer,
        requested: Option<&HostName>,
        excluded: &BTreeSet<HostName>,
    ) -> Result<HostName, String> {
        // Placement offers no candidate for a host that is disabled or full; the scheduler's own filters say more.
        let asked: Vec<&SimHost> = match requested {
            Some(name) => self.hosts.get(name).into_iter().collect(),
            None => self.hosts.values().collect(),
        };
        let offered: Vec<&SimHost> = asked
            .into_iter()
            .filter(|host| !host.disabled_trait && host.has_room(&server.resources))
            .filter(|host| server.traits.iter().all(|wanted| host.traits.contains(wanted)))
            .filter(|host| server.pinned_zone.as_ref().is_none_or(|zone| *zone == host.zone))
            .collect();
        if offered.is_empty() {
            return Err("No valid host was found. ".to_owned());
        }
        let free = |host: &SimHost| host.allocatable().memory_mb().saturating_sub(host.used().memory_mb());
        offered
            .into_iter()
            .filter(|host| !excluded.contains(&host.name))
            .filter(|host| host.service.status == ServiceStatus::Enabled)
            .filter(|host| self.service_state(host) == ServiceState::Up)
            .filter(|host| self.group_allows(server, host))
            .max_by(|a, b| free(a).cmp(&free(b)).then_with(|| b.name.cmp(&a.name)))
            .map(|host| host.name.clone())
            .ok_or_else(|| "No valid host was found. There are not enough hosts available.".to_owned())
    }

    /// Whether the hard rules of the server's group allow `host`, as the scheduler sees it.
    fn group_allows(&self, server: &SimServer, host: &SimHost) -> bool {
        let Some(group) = server.group.as_ref().and_then(|id| self.groups.get(id)) else { return true };
        let others = || group.members.iter().copied().filter(|id| *id != server.id);
        let on_host = others().filter(|id| self.scheduler_sees(*id, host)).count();
        match group.group.policy {
            GroupPolicy::AntiAffinity => {
                let most = group.group.rules.max_server_per_host.unwrap_or(1);
                on_host < usize::try_from(most).unwrap_or(usize::MAX)
            }
            GroupPolicy::Affinity => on_host > 0 || others().all(|id| self.host_of(id).is_none()),
            GroupPolicy::SoftAffinity | GroupPolicy::SoftAntiAffinity => true,
        }
    }

    fn host_of(&self, id: InstanceId) -> Option<&HostName> {
        self.servers.get(&id).and_then(|server| server.host.as_ref())
    }

    /// Whether the scheduler believes `id` on `host`: because it is, or because it left by live migration and the
    /// host's nova-compute has not sent its list since.
    fn scheduler_sees(&self, id: InstanceId, host: &SimHost) -> bool {
        if host.servers.contains(&id) {
            return true;
        }
        let Some(left) = host.departed.get(&id) else { return false };
        let next_list = match host.compute.state {
            super::service::ComputeState::Working(since) => {
                let interval = self.timing.scheduler_sync.get();
                let mut list = later(since, interval);
                while list < *left && !interval.is_zero() {
                    list = later(list, interval);
                }
                list
            }
            super::service::ComputeState::Starting | super::service::ComputeState::Stopped => return true,
        };
        self.now < next_list
    }
}
