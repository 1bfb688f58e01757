//! Whether instances with a NUMA topology have room in the cells of a host.
//!
//! Nobody tells which cells an instance is in. A host takes one more when all such instances on it can be dealt out to its
//! cells by one rule: the largest first, each into the cells with most room. Hosts whose cells are not known take any.

use std::collections::{BTreeMap, BTreeSet};

use super::census::Census;
use crate::model::{CellAmounts, Instance, Topology};

/// Cells of hosts, and the distinct topologies of instances.
#[derive(Debug, Default)]
pub(super) struct Numa {
    /// By host; empty where the cells are not known.
    cells: Vec<Vec<CellAmounts>>,
    /// The largest first.
    topologies: Vec<Topology>,
}

impl Numa {
    /// Reads what a census has; nothing when no host tells its cells.
    pub(super) fn of(census: &Census<'_>) -> Self {
        if census.hosts.iter().all(|host| host.facts.numa.is_empty()) {
            return Self::default();
        }
        let distinct: BTreeSet<Topology> = census.instances.iter().filter_map(Topology::of).collect();
        let mut topologies: Vec<Topology> = distinct.into_iter().collect();
        topologies.sort_by_key(|topology| std::cmp::Reverse(size(topology)));
        let cells = census.hosts.iter().map(|host| {
            let ratio = overcommit(host.capacity.memory_mb(), host.facts.numa.iter().map(|cell| cell.memory_mb).sum());
            host.facts.numa.iter().map(|cell| cell.amounts(ratio)).collect()
        });
        Self { cells: cells.collect(), topologies }
    }

    /// The number of an instance's topology; `None` for one without, or that the census did not have.
    pub(super) fn topology(&self, instance: &Instance) -> Option<u32> {
        if self.topologies.is_empty() {
            return None;
        }
        let topology = Topology::of(instance)?;
        self.topologies.iter().position(|known| *known == topology).and_then(|place| u32::try_from(place).ok())
    }

    /// Whether `host`, which has so many instances of each of some topologies, has room for one more of `topology`.
    pub(super) fn has_room(&self, host: u32, present: &[(u32, u32)], topology: u32) -> bool {
        let Some(cells) = self.cells.get(host as usize).filter(|cells| !cells.is_empty()) else { return true };
        let mut free = cells.clone();
        let mut counts: BTreeMap<u32, u32> = present.iter().copied().collect();
        *counts.entry(topology).or_default() += 1;
        // Numbers are in order of size.
        counts.iter().all(|(number, count)| {
            let topology = &self.topologies[*number as usize];
            (0..*count).all(|_| deal(&mut free, topology))
        })
    }
}

/// Puts one instance into the cells with most room of what it asks most of.
fn deal(free: &mut [CellAmounts], topology: &Topology) -> bool {
    let most = (0..4).max_by_key(|place| (topology.amounts[*place], 4 - place)).unwrap_or(0);
    let fits = |cell: &CellAmounts| cell.iter().zip(&topology.amounts).all(|(free, asked)| asked <= free);
    let mut order: Vec<usize> = (0..free.len()).filter(|cell| fits(&free[*cell])).collect();
    order.sort_by_key(|cell| (std::cmp::Reverse(free[*cell][most]), *cell));
    if order.len() < topology.cells {
        return false;
    }
    for cell in order.into_iter().take(topology.cells) {
        free[cell].iter_mut().zip(&topology.amounts).for_each(|(free, asked)| *free -= asked);
    }
    true
}

/// What makes one topology larger than another: cells, then amounts.
fn size(topology: &Topology) -> (usize, u64, CellAmounts) {
    (topology.cells, topology.amounts.iter().sum(), topology.amounts)
}

/// How often memory may be given out, from what Placement lets be allocated.
#[expect(clippy::cast_precision_loss, reason = "MiB of one machine stay far below 2^52")]
fn overcommit(capacity: u64, memory: u64) -> f64 {
    if memory == 0 { 1.0 } else { (capacity as f64 / memory as f64).max(1.0) }
}
