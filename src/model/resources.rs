//! Amounts of Placement resource classes.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::shared;

/// Amounts by Placement resource class (`VCPU`, `MEMORY_MB` in MiB, `DISK_GB` in GiB, `PCPU`, custom ones).
///
/// A class that is absent counts as zero. A region has one of these for each of hundreds of thousands of instances, and
/// few flavors: copies share the amounts, and so do those that a file repeats.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, JsonSchema)]
#[schemars(with = "BTreeMap<String, u64>")]
pub struct Resources(
    /// In order of class, each once.
    Arc<[(Class, u64)]>,
);

/// The name of a resource class.
pub(super) type Class = Cow<'static, str>;

/// Names that need no text of their own. Source: `os_resource_classes.STANDARDS`.
const STANDARD: [&str; 19] = [
    "VCPU",
    "MEMORY_MB",
    "DISK_GB",
    "PCPU",
    "PCI_DEVICE",
    "SRIOV_NET_VF",
    "NUMA_SOCKET",
    "NUMA_CORE",
    "NUMA_THREAD",
    "NUMA_MEMORY_MB",
    "IPV4_ADDRESS",
    "VGPU",
    "VGPU_DISPLAY_HEAD",
    "NET_BW_EGR_KILOBIT_PER_SEC",
    "NET_BW_IGR_KILOBIT_PER_SEC",
    "NET_PACKET_RATE_KILOPACKET_PER_SEC",
    "MEM_ENCRYPTION_CONTEXT",
    "FPGA",
    "PGPU",
];

fn standard(name: &str) -> Option<Class> {
    STANDARD.iter().find(|known| **known == name).map(|known| Cow::Borrowed(*known))
}

impl Resources {
    /// The three classes that every compute host has: vCPUs, MiB of memory, GiB of disk.
    pub fn basic(vcpu: u64, memory_mb: u64, disk_gb: u64) -> Self {
        let borrowed = |(class, amount)| (Cow::Borrowed(class), amount);
        Self::shared(&[("DISK_GB", disk_gb), ("MEMORY_MB", memory_mb), ("VCPU", vcpu)].map(borrowed))
    }

    /// What was made on this thread not long ago is shared.
    fn shared(amounts: &[(Class, u64)]) -> Self {
        Self(shared::amounts(amounts))
    }

    /// The amount of `class`; zero when absent.
    pub fn get(&self, class: &str) -> u64 {
        self.0.iter().find(|(known, _)| known == class).map_or(0, |(_, amount)| *amount)
    }

    /// Sets the amount of `class`.
    pub fn set(&mut self, class: impl Into<String>, amount: u64) {
        let class = class.into();
        self.put(standard(&class).unwrap_or(Cow::Owned(class)), amount);
    }

    fn put(&mut self, class: Class, amount: u64) {
        if let Ok(place) = self.0.binary_search_by(|(known, _)| known.cmp(&class)) {
            Arc::make_mut(&mut self.0)[place].1 = amount;
            return;
        }
        let mut amounts = self.0.to_vec();
        put(&mut amounts, class, amount);
        self.0 = amounts.into();
    }

    /// MiB of memory, what a live migration has to copy.
    pub fn memory_mb(&self) -> u64 {
        self.get("MEMORY_MB")
    }

    /// Classes and amounts, in order of class.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(class, amount)| (&**class, *amount))
    }

    /// Whether nothing is asked for.
    pub fn is_zero(&self) -> bool {
        self.0.iter().all(|(_, amount)| *amount == 0)
    }

    /// Adds `other`.
    pub fn add(&mut self, other: &Self) {
        for (class, amount) in &*other.0 {
            let sum = self.get(class).saturating_add(*amount);
            self.put(class.clone(), sum);
        }
    }

    /// Takes `other` away, stopping at zero: overcommitted hosts have no negative room.
    pub fn subtract(&mut self, other: &Self) {
        for (class, mine) in Arc::make_mut(&mut self.0) {
            *mine = mine.saturating_sub(other.get(class));
        }
    }

    /// Whether each class of `self` is at most what `room` has.
    pub fn fits_in(&self, room: &Self) -> bool {
        self.0.iter().all(|(class, amount)| *amount <= room.get(class))
    }
}

impl<S: Into<String>> FromIterator<(S, u64)> for Resources {
    fn from_iter<T: IntoIterator<Item = (S, u64)>>(iter: T) -> Self {
        let mut amounts = Vec::new();
        for (class, amount) in iter {
            let class = class.into();
            put(&mut amounts, standard(&class).unwrap_or(Cow::Owned(class)), amount);
        }
        Self::shared(&amounts)
    }
}

/// Puts an amount in its place; of two of one class the later one counts.
fn put(amounts: &mut Vec<(Class, u64)>, class: Class, amount: u64) {
    match amounts.binary_search_by(|(known, _)| known.cmp(&class)) {
        Ok(place) => amounts[place].1 = amount,
        Err(place) => amounts.insert(place, (class, amount)),
    }
}

impl Serialize for Resources {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

impl<'de> Deserialize<'de> for Resources {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Amounts)
    }
}

/// Reads amounts by class.
struct Amounts;

impl<'de> Visitor<'de> for Amounts {
    type Value = Resources;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Resources, M::Error> {
        let mut amounts = Vec::with_capacity(map.size_hint().unwrap_or(3).min(STANDARD.len()));
        while let Some(Name(class)) = map.next_key()? {
            put(&mut amounts, class, map.next_value()?);
        }
        Ok(Resources::shared(&amounts))
    }
}

/// A class as a file names it: text only where it is not one of the standard ones.
struct Name(Class);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;

        impl Visitor<'_> for Text {
            type Value = Name;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_str<E>(self, text: &str) -> Result<Name, E> {
                Ok(Name(standard(text).unwrap_or_else(|| Cow::Owned(text.to_owned()))))
            }
        }

        deserializer.deserialize_str(Text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_in_order_of_class_however_they_are_written() {
        let text = r#"{"VCPU":2,"CUSTOM_LICENCE":1,"MEMORY_MB":4096,"VCPU":3}"#;
        let read: Resources = serde_json::from_str(text).unwrap();
        let made: Resources = [("MEMORY_MB", 4096), ("VCPU", 3), ("CUSTOM_LICENCE", 1)].into_iter().collect();
        assert_eq!(read, made);
        let classes: Vec<&str> = read.iter().map(|(class, _)| class).collect();
        assert_eq!(classes, ["CUSTOM_LICENCE", "MEMORY_MB", "VCPU"]);
        assert_eq!(serde_json::to_string(&read).unwrap(), r#"{"CUSTOM_LICENCE":1,"MEMORY_MB":4096,"VCPU":3}"#);
        assert!(Arc::ptr_eq(&read.0, &serde_json::from_str::<Resources>(text).unwrap().0));
        assert!(serde_json::from_str::<Resources>("[1]").unwrap_err().to_string().contains("expected a map"));
    }

    #[test]
    fn what_is_taken_away_stops_at_zero_and_adds_no_class() {
        let mut room = Resources::basic(8, 1024, 10);
        room.add(&Resources::basic(1, 0, 0));
        room.subtract(&[("VCPU", 20), ("PCPU", 4)].into_iter().collect());
        assert_eq!(room, Resources::basic(0, 1024, 10));
    }
}
