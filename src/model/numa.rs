//! NUMA cells of hosts, and what instances with a NUMA topology ask of them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Instance;

/// A NUMA cell of a host.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NumaCell {
    /// Processors as the kernel counts them, threads included.
    pub cpus: u64,
    /// MiB of memory, huge pages included.
    pub memory_mb: u64,
    /// Huge pages by size in KiB, used and free.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub huge_pages: BTreeMap<u64, u64>,
}

/// Amounts in one cell: dedicated processors, MiB of ordinary memory, MiB in pages of 2 MiB, MiB in pages of 1 GiB.
pub type CellAmounts = [u64; 4];

/// KiB of the huge pages that are counted, in the order of [`CellAmounts`].
const HUGE_KIB: [u64; 2] = [2 * 1024, 1024 * 1024];

impl NumaCell {
    /// What the cell has. Ordinary memory may be overcommitted by `ratio`, which huge pages never are.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "MiB of one machine stay far below 2^52 and a ratio is never negative"
    )]
    pub fn amounts(&self, ratio: f64) -> CellAmounts {
        let huge_mb = |kib: u64| self.huge_pages.get(&kib).copied().unwrap_or(0).saturating_mul(kib) / 1024;
        let all_huge: u64 = self.huge_pages.keys().map(|kib| huge_mb(*kib)).sum();
        let ordinary = self.memory_mb.saturating_sub(all_huge) as f64 * ratio;
        [self.cpus, ordinary as u64, huge_mb(HUGE_KIB[0]), huge_mb(HUGE_KIB[1])]
    }
}

/// What an instance with a NUMA topology asks for: so many cells of one host, each with the same amounts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Topology {
    /// Cells.
    pub cells: usize,
    /// Of each cell.
    pub amounts: CellAmounts,
}

impl Topology {
    /// What the flavor of an instance, or its image, asks for; `None` for an instance that may be spread over all cells,
    /// and for one whose cells are written out unequal. Source: `nova/virt/hardware.py`, `numa_get_constraints`.
    pub fn of(instance: &Instance) -> Option<Self> {
        let specs = instance.flavor.as_ref().map(|flavor| &flavor.extra_specs);
        let asked = |name: &str| {
            let of_flavor = specs.and_then(|specs| specs.get(&format!("hw:{name}")));
            of_flavor.or_else(|| instance.image.get(&format!("hw_{name}"))).map(|value| value.trim())
        };
        if specs.is_some_and(|specs| specs.keys().any(|key| key.starts_with("hw:numa_mem."))) {
            return None;
        }
        let (nodes, pages) = (asked("numa_nodes"), asked("mem_page_size"));
        let is_dedicated = asked("cpu_policy") == Some("dedicated");
        if nodes.is_none() && pages.is_none() && !is_dedicated {
            return None;
        }
        let cells: usize = nodes.map_or(Some(1), |nodes| nodes.parse().ok()).filter(|cells| *cells > 0)?;
        let parts = u64::try_from(cells).ok()?;
        let cpus = if is_dedicated { instance.resources.get("VCPU") + instance.resources.get("PCPU") } else { 0 };
        let memory = instance.resources.memory_mb().div_ceil(parts);
        let mut amounts = [cpus.div_ceil(parts), 0, 0, 0];
        match page_kib(pages) {
            Pages::Ordinary => amounts[1] = memory,
            Pages::Huge(kib) => match HUGE_KIB.iter().position(|known| *known == kib) {
                Some(place) => amounts[2 + place] = memory,
                None => return None,
            },
        }
        Some(Self { cells, amounts })
    }
}

enum Pages {
    Ordinary,
    Huge(u64),
}

/// The size of pages that `hw:mem_page_size` asks for. `large` leaves the choice to Nova; 2 MiB is what hosts have.
fn page_kib(asked: Option<&str>) -> Pages {
    let Some(text) = asked.map(str::to_ascii_lowercase) else { return Pages::Ordinary };
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let scale = match text[digits..].trim() {
        "" | "kb" => 1,
        "mb" => 1024,
        "gb" => 1024 * 1024,
        _ => 0,
    };
    match text[..digits].parse::<u64>() {
        Ok(number) if number.saturating_mul(scale) > 64 => Pages::Huge(number.saturating_mul(scale)),
        Err(_) if text == "large" => Pages::Huge(HUGE_KIB[0]),
        Ok(_) | Err(_) => Pages::Ordinary,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_has_what_huge_pages_leave_of_its_memory() {
        let huge_pages = [(2048, 1024), (1_048_576, 4)].into();
        let cell = NumaCell { cpus: 16, memory_mb: 16_384, huge_pages };
        assert_eq!(cell.amounts(1.5), [16, 15_360, 2048, 4096]);
    }

    #[test]
    fn page_sizes_are_read_as_nova_writes_them() {
        let cases =
            [("2048", 2048), ("2MB", 2048), ("1GB", 1_048_576), ("large", 2048), ("small", 0), ("any", 0), ("4", 0)];
        for (text, expected) in cases {
            let kib = match page_kib(Some(text)) {
                Pages::Ordinary => 0,
                Pages::Huge(kib) => kib,
            };
            assert_eq!(kib, expected, "{text}");
        }
    }
}
