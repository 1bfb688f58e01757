//! One walk over the region: who is where with how much of what. Everything after it compares numbers; names and
//! amounts of hundreds of thousands of instances lie scattered in memory, and each further walk costs as much again.

use std::collections::BTreeSet;

use super::parts::{in_parts, joined};
use crate::model::{Host, HostName, Instance, Numbers, Region, Resources};

/// Hosts and instances of a region by number.
#[derive(Debug)]
pub(super) struct Census<'a> {
    /// In order of name, whatever their order in the region.
    pub(super) hosts: Vec<&'a Host>,
    /// As the region lists them.
    pub(super) instances: &'a [Instance],
    /// Resource classes in order of name.
    pub(super) classes: Vec<String>,
    /// Instances by host.
    pub(super) on: Vec<Vec<u32>>,
    /// By instance, the host that it is on.
    homes: Vec<Option<u32>>,
    amounts: Vec<i64>,
}

impl<'a> Census<'a> {
    /// Numbers everything in `region`.
    pub(super) fn of(region: &'a Region) -> Self {
        let mut hosts: Vec<&Host> = region.hosts.iter().collect();
        hosts.sort_by(|a, b| a.host.cmp(&b.host));
        hosts.dedup_by(|a, b| a.host == b.host);
        let numbers: Numbers<'_, HostName> = hosts.iter().map(|host| &host.host).collect();
        let classes = classes(region);
        let parts = in_parts(&region.instances, |_, instances| {
            let homes: Vec<Option<u32>> =
                instances.iter().map(|instance| instance.host.as_ref().and_then(|name| numbers.get(name))).collect();
            let amounts: Vec<i64> =
                instances.iter().flat_map(|instance| dense(&classes, &instance.resources)).collect();
            (homes, amounts)
        });
        let (homes, amounts): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        let (homes, amounts) = (joined(homes), joined(amounts));
        let mut on = vec![Vec::new(); hosts.len()];
        for (instance, home) in (0_u32..).zip(&homes) {
            if let Some(home) = home {
                on[*home as usize].push(instance);
            }
        }
        Self { hosts, instances: &region.instances, classes, on, homes, amounts }
    }

    /// What an instance has allocated, by class.
    pub(super) fn amounts(&self, instance: u32) -> &[i64] {
        let width = self.classes.len();
        &self.amounts[instance as usize * width..][..width]
    }

    /// Instances that are on a host of the region, with its number.
    pub(super) fn housed(&self) -> impl Iterator<Item = (u32, u32)> {
        (0_u32..).zip(&self.homes).filter_map(|(instance, home)| Some((instance, (*home)?)))
    }
}

fn classes(region: &Region) -> Vec<String> {
    fn distinct<'r>(all: impl Iterator<Item = &'r Resources>) -> BTreeSet<&'r str> {
        let mut classes = BTreeSet::new();
        for (class, _) in all.flat_map(Resources::iter) {
            if !classes.contains(class) {
                classes.insert(class);
            }
        }
        classes
    }
    let mut parts = in_parts(&region.instances, |_, part| distinct(part.iter().map(|instance| &instance.resources)));
    parts.push(distinct(region.hosts.iter().map(|host| &host.capacity)));
    parts.into_iter().flatten().collect::<BTreeSet<_>>().into_iter().map(str::to_owned).collect()
}

/// No amount is larger, so that sums over a region cannot overflow.
const AMOUNT_MAX: u64 = 1 << 44;

/// Amounts in the order of `classes`. Both are in order of name, so one pass over each is enough.
#[expect(clippy::cast_possible_wrap, reason = "amounts are at most 2^44")]
pub(super) fn dense(classes: &[String], resources: &Resources) -> impl Iterator<Item = i64> {
    let mut known = resources.iter().peekable();
    classes.iter().map(move |class| {
        while known.next_if(|(name, _)| *name < class.as_str()).is_some() {}
        known.next_if(|(name, _)| *name == class.as_str()).map_or(0, |(_, amount)| amount.min(AMOUNT_MAX) as i64)
    })
}
