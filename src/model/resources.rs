//! Amounts of Placement resource classes.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Amounts by Placement resource class (`VCPU`, `MEMORY_MB` in MiB, `DISK_GB` in GiB, `PCPU`, custom ones).
///
/// A class that is absent counts as zero.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Resources(BTreeMap<String, u64>);

impl Resources {
    /// The three classes that every compute host has: vCPUs, MiB of memory, GiB of disk.
    pub fn basic(vcpu: u64, memory_mb: u64, disk_gb: u64) -> Self {
        [("VCPU", vcpu), ("MEMORY_MB", memory_mb), ("DISK_GB", disk_gb)].into_iter().collect()
    }

    /// The amount of `class`; zero when absent.
    pub fn get(&self, class: &str) -> u64 {
        self.0.get(class).copied().unwrap_or(0)
    }

    /// Sets the amount of `class`.
    pub fn set(&mut self, class: impl Into<String>, amount: u64) {
        self.0.insert(class.into(), amount);
    }

    /// MiB of memory, what a live migration has to copy.
    pub fn memory_mb(&self) -> u64 {
        self.get("MEMORY_MB")
    }

    /// Classes and amounts, in order of class.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(class, amount)| (class.as_str(), *amount))
    }

    /// Whether nothing is asked for.
    pub fn is_zero(&self) -> bool {
        self.0.values().all(|amount| *amount == 0)
    }

    /// Adds `other`.
    pub fn add(&mut self, other: &Self) {
        for (class, amount) in &other.0 {
            let sum = self.get(class).saturating_add(*amount);
            self.0.insert(class.clone(), sum);
        }
    }

    /// Takes `other` away, stopping at zero: overcommitted hosts have no negative room.
    pub fn subtract(&mut self, other: &Self) {
        for (class, amount) in &other.0 {
            if let Some(mine) = self.0.get_mut(class) {
                *mine = mine.saturating_sub(*amount);
            }
        }
    }

    /// Whether each class of `self` is at most what `room` has.
    pub fn fits_in(&self, room: &Self) -> bool {
        self.0.iter().all(|(class, amount)| *amount <= room.get(class))
    }
}

impl<S: Into<String>> FromIterator<(S, u64)> for Resources {
    fn from_iter<T: IntoIterator<Item = (S, u64)>>(iter: T) -> Self {
        Self(iter.into_iter().map(|(class, amount)| (class.into(), amount)).collect())
    }
}
