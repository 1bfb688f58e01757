//! Placement: resource providers with what they have, what is used, and by whom.

use std::collections::BTreeMap;

use async_trait::async_trait;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::OpenStack;
use super::version::Microversion;
use crate::cloud::{Allocation, CloudErrorKind, CloudResult, Compute as _, Placement, Provider};
use crate::model::{HostName, Resources};

/// What every call uses: nothing newer changes what is read here.
const BASE: Microversion = super::PLACEMENT_NEEDED;

/// Providers that are looked at at a time; Placement answers each of the four questions in about 10 ms.
const AT_ONCE: usize = 8;

#[derive(Deserialize)]
struct Providers {
    resource_providers: Vec<WireProvider>,
}

#[derive(Deserialize)]
struct WireProvider {
    uuid: String,
    name: String,
}

#[derive(Deserialize)]
struct Inventories {
    inventories: BTreeMap<String, Inventory>,
}

#[derive(Deserialize)]
struct Inventory {
    total: u64,
    reserved: u64,
    allocation_ratio: f64,
}

#[derive(Deserialize)]
struct Usages {
    usages: Resources,
}

#[derive(Deserialize)]
struct Traits {
    traits: Vec<String>,
}

#[derive(Deserialize)]
struct Aggregates {
    aggregates: Vec<String>,
}

#[derive(Deserialize)]
struct Allocations {
    allocations: BTreeMap<String, WireAllocation>,
}

#[derive(Deserialize)]
struct WireAllocation {
    resources: Resources,
}

impl Inventory {
    /// What may be allocated. Source: `placement.objects.resource_provider`, which cuts off the fraction.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "amounts are below 2^31 in Placement's database and never negative here"
    )]
    fn capacity(&self) -> u64 {
        let usable = self.total.saturating_sub(self.reserved);
        (usable as f64 * self.allocation_ratio).max(0.0) as u64
    }
}

impl OpenStack {
    /// One of a provider's sub-resources.
    async fn of_provider<T: DeserializeOwned>(&self, provider: &str, what: &str) -> CloudResult<T> {
        let operation = format!("read {what} of resource provider {provider}");
        let call = self.placement.get(operation, &["resource_providers", provider, what], &[], BASE);
        self.session.send(call).await?.json()
    }

    /// Providers that `query` finds. This list has no pages.
    async fn find_providers(&self, query: &[(&str, &str)]) -> CloudResult<Vec<WireProvider>> {
        let call = self.placement.get("list resource providers", &["resource_providers"], query, BASE);
        Ok(self.session.send(call).await?.json::<Providers>()?.resource_providers)
    }

    /// A provider with all that belongs to it; `None` when it was deleted meanwhile.
    async fn complete(&self, wire: WireProvider) -> CloudResult<Option<Provider>> {
        let id = wire.uuid.as_str();
        let all = tokio::try_join!(
            self.of_provider::<Inventories>(id, "inventories"),
            self.of_provider::<Usages>(id, "usages"),
            self.of_provider::<Traits>(id, "traits"),
            self.of_provider::<Aggregates>(id, "aggregates"),
        );
        let (inventories, usages, traits, aggregates) = match all {
            Err(error) if error.kind == CloudErrorKind::NotFound => return Ok(None),
            all => all?,
        };
        let capacity = inventories.inventories.iter().map(|(class, inventory)| (class.clone(), inventory.capacity()));
        Ok(Some(Provider {
            capacity: capacity.collect(),
            used: usages.usages,
            traits: traits.traits,
            aggregates: aggregates.aggregates,
            id: wire.uuid,
            name: wire.name,
        }))
    }
}

#[async_trait]
impl Placement for OpenStack {
    async fn providers(&self) -> CloudResult<Vec<Provider>> {
        let found = self.find_providers(&[]).await?;
        let complete = stream::iter(found).map(|wire| self.complete(wire)).buffered(AT_ONCE);
        complete.try_filter_map(|provider| async move { Ok(provider) }).try_collect().await
    }

    async fn provider(&self, host: &HostName) -> CloudResult<Option<Provider>> {
        let mut found = self.find_providers(&[("name", host.as_str())]).await?;
        if found.is_empty() {
            // A provider is named as the hypervisor names itself, which need not be the service's host name.
            let hypervisors = self.hypervisors().await?;
            if let Some(hypervisor) = hypervisors.iter().find(|hypervisor| hypervisor.host == *host) {
                found = self.find_providers(&[("uuid", &hypervisor.id)]).await?;
            }
        }
        match found.into_iter().next() {
            Some(wire) => self.complete(wire).await,
            None => Ok(None),
        }
    }

    async fn allocations(&self, provider: &str) -> CloudResult<Vec<Allocation>> {
        let answer: Allocations = self.of_provider(provider, "allocations").await?;
        let allocations = answer.allocations.into_iter();
        Ok(allocations.map(|(consumer, wire)| Allocation { consumer, resources: wire.resources }).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capacity_is_what_is_not_reserved_times_the_ratio_rounded_down() {
        for (total, reserved, allocation_ratio, capacity) in
            [(2, 0, 4.0, 8), (8192, 512, 1.5, 11520), (10, 0, 0.99, 9), (4, 8, 1.0, 0)]
        {
            assert_eq!(Inventory { total, reserved, allocation_ratio }.capacity(), capacity);
        }
    }
}
