//! What a host is made of, as far as a reboot can lose it: compared before and after.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::OnFailure;

/// Memory may differ by this much between two boots: a newer kernel or firmware reserves a little more or less. A module
/// that is gone is more.
const MEMORY_TOLERANCE_PERCENT: u64 = 2;

/// Things by kind and name, with their amount or state: `mount /var/lib/nova` or `vfs ens1f0` and `8`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Fingerprint(BTreeMap<String, String>);

/// What a policy makes of things that a reboot loses.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct FingerprintRules {
    /// What becomes of a host that lost something: it is not enabled, or it is and the loss is told.
    pub on_loss: OnFailure,
    /// Things that may be lost, as messages name them: `link ens3`, `failed-unit kdump.service`.
    pub ignore: Vec<String>,
}

impl FingerprintRules {
    /// Whether it is as by default.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Fingerprint {
    /// Of things with their amounts.
    pub fn new(things: BTreeMap<String, String>) -> Self {
        Self(things)
    }

    /// What `after` lacks of this, each in words; nothing when it has everything. What was failed before is no loss.
    pub fn lost(&self, after: &Self, ignored: &[String]) -> Vec<String> {
        let mut lost = Vec::new();
        for (thing, before) in self.0.iter().filter(|(thing, _)| !ignored.contains(thing)) {
            let (kind, name) = thing.split_once(' ').unwrap_or((thing, ""));
            let now = after.0.get(thing).map(String::as_str);
            lost.extend(loss(kind, name, before, now));
        }
        let fresh = after.0.keys().filter(|thing| !self.0.contains_key(*thing) && !ignored.contains(thing));
        lost.extend(fresh.filter_map(|thing| Some(format!("unit {} has failed", thing.strip_prefix("failed-unit ")?))));
        lost
    }
}

/// What is lost of one thing.
fn loss(kind: &str, name: &str, before: &str, now: Option<&str>) -> Option<String> {
    let fewer = |unit: &str| {
        let (had, has) = (before.parse::<u64>().ok()?, now.unwrap_or("0").parse::<u64>().ok()?);
        (has < had).then(|| format!("{has} {unit}, before the reboot {had}"))
    };
    match kind {
        "mount" if now.is_none() => Some(format!("{name} is not mounted")),
        "multipath" if now.is_none() => Some(format!("multipath device {name} is gone")),
        "multipath" => fewer("paths").map(|few| format!("multipath device {name} has {few}")),
        "link" if now.is_none() => Some(format!("link {name} is gone or down")),
        "bond-port" if now.is_none() => Some(format!("bond port {name} is gone or down")),
        "vfs" => fewer("virtual functions").map(|few| format!("link {name} has {few}")),
        "hugepages" => fewer(&format!("huge pages of {name} KiB")),
        "cpus" => fewer("processors are online"),
        "memory" => {
            let (had, has) = (before.parse::<u64>().ok()?, now?.parse::<u64>().ok()?);
            let missing = had.saturating_sub(has);
            (missing * 100 > had * MEMORY_TOLERANCE_PERCENT)
                .then(|| format!("{has} KiB of memory, before the reboot {had}"))
        }
        "agent" if now.is_none() => Some(format!("agent {name} is not active")),
        "time" if before == "yes" && now != Some("yes") => Some("its clock is not synchronised any more".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(things: &[(&str, &str)]) -> Fingerprint {
        Fingerprint::new(things.iter().map(|(thing, amount)| ((*thing).to_owned(), (*amount).to_owned())).collect())
    }

    #[test]
    fn each_thing_that_is_lost_is_named_and_what_is_gained_is_no_loss() {
        let before = of(&[
            ("agent neutron-openvswitch-agent", "active"),
            ("bond-port bond0 ens2", "up"),
            ("cpus", "64"),
            ("failed-unit kdump.service", ""),
            ("hugepages 1048576", "200"),
            ("link ens1", "up"),
            ("memory", "1000000"),
            ("mount /var/lib/nova/instances", ""),
            ("multipath mpatha", "4"),
            ("multipath mpathb", "4"),
            ("time", "yes"),
            ("vfs ens1f0", "8"),
        ]);
        assert_eq!(before.lost(&before, &[]), Vec::<String>::new());
        let after = of(&[
            ("cpus", "32"),
            ("failed-unit kdump.service", ""),
            ("failed-unit multipathd.service", ""),
            ("hugepages 1048576", "0"),
            ("memory", "900000"),
            ("multipath mpatha", "2"),
            ("time", "no"),
        ]);
        assert_eq!(
            before.lost(&after, &[]),
            [
                "agent neutron-openvswitch-agent is not active",
                "bond port bond0 ens2 is gone or down",
                "32 processors are online, before the reboot 64",
                "0 huge pages of 1048576 KiB, before the reboot 200",
                "link ens1 is gone or down",
                "900000 KiB of memory, before the reboot 1000000",
                "/var/lib/nova/instances is not mounted",
                "multipath device mpatha has 2 paths, before the reboot 4",
                "multipath device mpathb is gone",
                "its clock is not synchronised any more",
                "link ens1f0 has 0 virtual functions, before the reboot 8",
                "unit multipathd.service has failed",
            ]
        );
        let better = of(&[("cpus", "64"), ("memory", "995000"), ("link ens9", "up")]);
        let had = of(&[("cpus", "32"), ("memory", "1000000"), ("time", "no")]);
        assert_eq!(had.lost(&better, &[]), Vec::<String>::new());
        assert_eq!(of(&[("link ens3", "up")]).lost(&of(&[]), &["link ens3".to_owned()]), Vec::<String>::new());
    }
}
