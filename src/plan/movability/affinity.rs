//! Members of hard affinity groups that share a host.

use std::collections::BTreeMap;

use crate::model::{Group, GroupId, GroupPolicy, HostName, Instance, Region};

/// Members of hard affinity groups that share a host; none by default.
#[derive(Debug, Clone, Default)]
pub struct Affinity(BTreeMap<(GroupId, HostName), usize>);

impl Affinity {
    /// Counts the members of each hard affinity group on each host.
    pub fn of(region: &Region) -> Self {
        Self::among(&region.instances, &region.groups)
    }

    /// The same for some instances: all of a host tell what holds there.
    pub fn among(instances: &[Instance], groups: &[Group]) -> Self {
        let mut counts = BTreeMap::new();
        let hard: std::collections::BTreeSet<&GroupId> =
            groups.iter().filter(|group| group.policy == GroupPolicy::Affinity).map(|group| &group.id).collect();
        if !hard.is_empty() {
            for instance in instances {
                if let (Some(group), Some(host)) = (&instance.group, &instance.host)
                    && hard.contains(group)
                {
                    *counts.entry((group.clone(), host.clone())).or_insert(0) += 1;
                }
            }
        }
        Self(counts)
    }

    /// Whether a mate of the instance is on its host: Nova then lets neither of them go first.
    pub fn is_held(&self, instance: &Instance) -> bool {
        !self.0.is_empty()
            && match (&instance.group, &instance.host) {
                (Some(group), Some(host)) => {
                    self.0.get(&(group.clone(), host.clone())).is_some_and(|members| *members > 1)
                }
                (None, _) | (_, None) => false,
            }
    }
}
