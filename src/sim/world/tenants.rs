//! Tenants who create and delete instances while something else goes on: at random times, of the sizes that the
//! region has, onto hosts that the scheduler would choose.

use std::time::Duration;

use rand::Rng;

use super::agenda::Happening;
use super::host::SimHost;
use super::scheduler::heaviest;
use super::{Caller, World};
use crate::model::{HostName, InstanceId, ServiceState, ServiceStatus};

const DAY: f64 = 86_400.0;

/// How many hosts are weighed against each other for an instance that is created, as Nova weighs them: all of a small
/// region, and some of a large one, where that comes close to what a scheduler does that looks at all of them.
const CANDIDATES: usize = 8;

/// What tenants have done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TenantCounts {
    /// Instances that they created.
    pub created: u64,
    /// Instances that they deleted.
    pub deleted: u64,
}

/// Tenants at work.
#[derive(Debug, Clone, Default)]
pub(super) struct Tenants {
    counts: TenantCounts,
    acts: u64,
    /// Instances created and deleted in a day.
    per_day: (f64, f64),
    hosts: Vec<HostName>,
    /// Instances that may be deleted; in no order.
    instances: Vec<InstanceId>,
}

impl World {
    /// What tenants have done so far.
    pub fn tenant_counts(&self) -> TenantCounts {
        self.tenants.counts
    }

    /// Tenants begin with what there is at this moment.
    #[expect(clippy::cast_precision_loss, reason = "counts of instances stay far below 2^52")]
    pub(super) fn tenants_begin(&mut self) {
        let churn = &self.faults.tenants;
        let instances: Vec<InstanceId> =
            self.servers.values().filter(|server| server.host.is_some()).map(|server| server.id).collect();
        let all = instances.len() as f64;
        let per_day = (churn.created_per_day.fraction() * all, churn.deleted_per_day.fraction() * all);
        if per_day.0 + per_day.1 <= 0.0 {
            return;
        }
        let hosts = self.hosts.keys().cloned().collect();
        self.tenants = Tenants { counts: TenantCounts::default(), acts: 0, per_day, hosts, instances };
        self.plan_next_act();
    }

    /// Times between what independent tenants do are exponential.
    fn plan_next_act(&mut self) {
        let per_second = (self.tenants.per_day.0 + self.tenants.per_day.1) / DAY;
        let left: f64 = 1.0 - self.dice("tenant-waits", "", self.tenants.acts).random::<f64>();
        let after = Duration::try_from_secs_f64(-left.ln() / per_second).unwrap_or(Duration::MAX);
        self.plan(after, Happening::Tenant);
    }

    pub(super) fn tenant_acts(&mut self) {
        let mut dice = self.dice("tenant", "", self.tenants.acts);
        self.tenants.acts += 1;
        let (created, deleted) = self.tenants.per_day;
        let place = dice.random_range(0..self.tenants.instances.len().max(1));
        if let Some(picked) = self.tenants.instances.get(place).copied() {
            if dice.random::<f64>() * (created + deleted) < created {
                self.create_like(picked, &mut dice);
            } else {
                self.tenants.instances.swap_remove(place);
                // A refusal (it is locked, or gone) is the tenant's business.
                let is_accepted = self.delete(picked, Caller::Owner).is_ok();
                self.tenants.counts.deleted += u64::from(is_accepted);
            }
        }
        self.plan_next_act();
    }

    /// Creates an instance of the size of `model`, where one of a few hosts has room.
    fn create_like(&mut self, model: InstanceId, dice: &mut rand::rngs::StdRng) {
        let Some(resources) = self.servers.get(&model).map(|server| server.resources.clone()) else { return };
        let few = self.tenants.hosts.len() <= CANDIDATES;
        let asked: Vec<&HostName> = if few {
            self.tenants.hosts.iter().collect()
        } else {
            let draw = |_| &self.tenants.hosts[dice.random_range(0..self.tenants.hosts.len())];
            (0..CANDIDATES).map(draw).collect()
        };
        let takes = |host: &&SimHost| {
            host.service.status == ServiceStatus::Enabled
                && !host.disabled_trait
                && self.service_state(host) == ServiceState::Up
                && host.has_room(&resources)
        };
        let offered: Vec<&SimHost> = asked.into_iter().filter_map(|name| self.hosts.get(name)).filter(takes).collect();
        if let Some(host) = heaviest(&offered).map(|host| host.name.clone()) {
            let id = self.create_on(&host, resources);
            self.tenants.instances.push(id);
            self.tenants.counts.created += 1;
        }
    }
}
