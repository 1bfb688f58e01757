//! The scheduler: which host may take an instance, and what it wrongly believes.

use std::collections::BTreeSet;

use super::host::SimHost;
use super::{SimServer, World, later};
use crate::model::{GroupPolicy, HostName, InstanceId, ServiceState, ServiceStatus};

/// What Nova's weighers look at, each with a multiplier of 1: free memory, free vCPUs and free disk of each host.
/// Source: `nova/scheduler/weights/{ram,cpu,disk}.py`; the other weighers of a default Nova tell hosts apart by things that
/// this region does not have.
const WEIGHED: [&str; 3] = ["MEMORY_MB", "VCPU", "DISK_GB"];

/// The host with the greatest weight: each weigher's figures are stretched to 0 to 1 over the hosts that are offered, and
/// added up. Nova takes the first of equal ones; so does this, by name.
pub(in crate::sim) fn heaviest<'a>(offered: &[&'a SimHost]) -> Option<&'a SimHost> {
    let mut weights = vec![0.0; offered.len()];
    for class in WEIGHED {
        #[expect(clippy::cast_precision_loss, reason = "amounts on a host stay far below 2^52")]
        let free: Vec<f64> = offered.iter().map(|host| host.free(class) as f64).collect();
        let (least, most) =
            free.iter().fold((f64::MAX, f64::MIN), |(least, most), free| (least.min(*free), most.max(*free)));
        if most > least {
            for (weight, free) in weights.iter_mut().zip(&free) {
                *weight += (free - least) / (most - least);
            }
        }
    }
    let by_weight = |(a, one): &(f64, &SimHost), (b, other): &(f64, &SimHost)| {
        a.total_cmp(b).then_with(|| other.name.cmp(&one.name))
    };
    weights.into_iter().zip(offered.iter().copied()).max_by(by_weight).map(|(_, host)| host)
}

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
        let fit: Vec<&SimHost> = offered
            .into_iter()
            .filter(|host| !excluded.contains(&host.name))
            .filter(|host| host.service.status == ServiceStatus::Enabled)
            .filter(|host| self.service_state(host) == ServiceState::Up)
            .filter(|host| self.group_allows(server, host))
            .collect();
        heaviest(&fit)
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
