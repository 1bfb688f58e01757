//! Placement: who holds what where.

use uuid::Uuid;

use super::World;
use crate::model::{HostName, InstanceId, Resources};

impl World {
    /// Gives `consumer` its resources on `host`.
    pub(super) fn allocate(&mut self, host: &HostName, consumer: Uuid, resources: &Resources) {
        if let Some(host) = self.hosts.get_mut(host) {
            host.allocations.insert(consumer, resources.clone());
        }
    }

    /// Takes what `consumer` holds on `host`.
    pub(super) fn release(&mut self, host: &HostName, consumer: Uuid) {
        if let Some(host) = self.hosts.get_mut(host) {
            host.allocations.remove(&consumer);
        }
    }

    /// `consumer`'s allocations by provider: `GET /allocations/{consumer}`.
    pub fn allocations_of(&self, consumer: Uuid) -> Vec<(&HostName, &Resources)> {
        let mut held: Vec<_> = self
            .hosts
            .values()
            .filter_map(|host| host.allocations.get(&consumer).map(|resources| (&host.name, resources)))
            .collect();
        held.sort_by_key(|(name, _)| (*name).clone());
        held
    }

    /// Hands the source of a migration over from the instance to the migration, as the conductor does.
    pub(super) fn hold_source(&mut self, source: &HostName, instance: InstanceId, migration: Uuid) {
        if let Some(host) = self.hosts.get_mut(source)
            && let Some(resources) = host.allocations.remove(&instance.uuid())
        {
            host.allocations.insert(migration, resources);
        }
    }

    /// Gives the source of a migration back to the instance.
    pub(super) fn return_source(&mut self, source: &HostName, instance: InstanceId, migration: Uuid) {
        if let Some(host) = self.hosts.get_mut(source)
            && let Some(resources) = host.allocations.remove(&migration)
        {
            host.allocations.insert(instance.uuid(), resources);
        }
    }
}
