//! Whether the cells of a host can hold the instances with a NUMA topology that are on it.

use crate::model::{CellAmounts, Host, Topology};

/// Whether all of `wanted` can be dealt out to the cells of `host`: those of most cells and largest amounts first, each
/// into the cells with most left of what it asks most of. True where the cells are not known.
#[expect(clippy::cast_precision_loss, reason = "MiB of one machine stay far below 2^52")]
pub(super) fn holds(host: &Host, mut wanted: Vec<&Topology>) -> bool {
    let cells = &host.facts.numa;
    if cells.is_empty() {
        return true;
    }
    let memory: u64 = cells.iter().map(|cell| cell.memory_mb).sum();
    let overcommitted = if memory > 0 { host.capacity.memory_mb() as f64 / memory as f64 } else { 1.0 };
    let mut left: Vec<CellAmounts> = cells.iter().map(|cell| cell.amounts(overcommitted.max(1.0))).collect();
    wanted.sort_by(|a, b| {
        let rank = |one: &Topology| (one.cells, one.amounts.iter().sum::<u64>(), one.amounts);
        rank(b).cmp(&rank(a))
    });
    wanted.into_iter().all(|topology| {
        let asked = topology.amounts;
        let largest = asked.iter().max().copied().unwrap_or(0);
        let weighed = asked.iter().position(|amount| *amount == largest).unwrap_or(0);
        let mut roomy: Vec<usize> =
            (0..left.len()).filter(|cell| (0..4).all(|at| left[*cell][at] >= asked[at])).collect();
        roomy.sort_by(|a, b| left[*b][weighed].cmp(&left[*a][weighed]).then(a.cmp(b)));
        roomy.truncate(topology.cells);
        for cell in &roomy {
            for at in 0..4 {
                left[*cell][at] -= asked[at];
            }
        }
        roomy.len() == topology.cells
    })
}
