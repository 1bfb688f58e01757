//! How long things take, and how long they may take: parts of a policy.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

use super::{Rate, Resources, Span};

/// How long things take.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Estimate {
    /// Of one migration stream.
    pub bandwidth: Rate,
    /// How much more than its memory an instance sends because it writes meanwhile.
    #[serde(deserialize_with = "factor")]
    #[schemars(range(min = 1, max = 100))]
    pub dirty_factor: f64,
    /// Overhead of one move.
    pub per_move: Span,
    /// Everything on a host that is not moving: update, reboot, evidence, enable, settle.
    pub host: Span,
}

/// Nothing sends less than its memory, and more than a hundred times as much never ends.
fn factor<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let factor = f64::deserialize(deserializer)?;
    if (1.0..=100.0).contains(&factor) {
        Ok(factor)
    } else {
        Err(de::Error::custom(format!("`{factor}` is not a factor between 1 and 100")))
    }
}

impl Eq for Estimate {}

impl Default for Estimate {
    fn default() -> Self {
        Self {
            bandwidth: Rate::bytes_per_second(1_100_000_000),
            dirty_factor: 1.3,
            per_move: Span::seconds(5),
            host: Span::seconds(600),
        }
    }
}

impl Estimate {
    /// Seconds that moving `memory_mb` MiB takes: memory × dirty factor / bandwidth + overhead. Source: the model
    /// behind `docs/design` on planning, one stream per move.
    #[expect(clippy::cast_precision_loss, reason = "bytes of memory and bandwidth stay below 2^52")]
    pub fn move_seconds(&self, memory_mb: u64) -> f64 {
        let bytes = memory_mb as f64 * 1_048_576.0;
        bytes * self.dirty_factor / self.bandwidth.get() as f64 + self.per_move.as_seconds()
    }
}

/// How long things may take before they count as failed. Every wait has a limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Patience {
    /// A live migration, for each GiB of memory and disk, with at least 2 GiB counted; longer ones are aborted. Nova's
    /// own default for `live_migration_completion_timeout` is 800 s per GiB; shorter aborts what Nova considers healthy.
    pub migration_per_gib: Span,
    /// A download or an update of packages.
    pub packages: Span,
    /// From the order to reboot until the new boot answers.
    pub reboot: Span,
    /// From the new boot until nova-compute reports.
    pub service: Span,
    /// What others do to instances on a host that is being emptied (a build, a resize, a reboot).
    pub transition: Span,
    /// From the order to stop an instance until it is off. Nova asks the guest and, when it does not obey, ends it after
    /// `shutdown_timeout` (60 s) or what its image says (`os_shutdown_timeout`).
    #[serde(skip_serializing_if = "is_usual_power")]
    pub stop: Span,
    /// From the order to start an instance until it runs.
    #[serde(skip_serializing_if = "is_usual_power")]
    pub start: Span,
}

/// How long stopping and starting may take where nothing is said.
const POWER: Span = Span::seconds(600);

/// Absent from policies of versions that did not know it: their digests stay what they are.
fn is_usual_power(span: &Span) -> bool {
    *span == POWER
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            migration_per_gib: Span::seconds(800),
            packages: Span::seconds(45 * 60),
            // Servers with much memory take 15 minutes in POST; 30 is what peers use as well.
            reboot: Span::seconds(30 * 60),
            service: Span::seconds(10 * 60),
            // A resize copies a disk; longer ones are for their owners to end.
            transition: Span::seconds(30 * 60),
            stop: POWER,
            start: POWER,
        }
    }
}

impl Patience {
    /// How long the migration of an instance with `resources` may take.
    pub fn of_migration(&self, resources: &Resources) -> Duration {
        let memory_gib = resources.memory_mb().div_ceil(1024).max(2);
        let gib = memory_gib.saturating_add(resources.get("DISK_GB"));
        self.migration_per_gib.get().saturating_mul(u32::try_from(gib).unwrap_or(u32::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_migration_may_take_longer_the_more_there_is_to_copy_and_never_less_than_two_gibibytes() {
        let patience = Patience { migration_per_gib: Span::seconds(10), ..Patience::default() };
        let of = |memory_mb, disk_gb| patience.of_migration(&Resources::basic(1, memory_mb, disk_gb)).as_secs();
        assert_eq!([of(512, 0), of(2049, 0), of(4096, 20)], [20, 30, 240]);
    }
}
