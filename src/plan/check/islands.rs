//! Parts of domains between which no instance that leaves may go, however much room there is: traits, aggregates and
//! processors keep them apart. What is proven of a domain is proven of each of its islands, and they are smaller.

use std::collections::{BTreeMap, BTreeSet};

use super::ground::{Ground, HostView};
use crate::model::{Flavor, ProjectId};

/// The islands of a region.
#[derive(Debug)]
pub(super) struct Islands {
    /// Hosts that give instances, and those that may take some whether or not this rollout has them do so, island by
    /// island.
    pub(super) hosts: Vec<Vec<usize>>,
}

/// What may keep an instance off a host: the kind of its home and what it asks for.
type Traveller<'a> =
    (usize, &'a [String], &'a ProjectId, Option<&'a BTreeMap<String, String>>, &'a BTreeMap<String, String>);

impl Islands {
    /// Joins kinds of hosts of one domain that some instance may go between.
    pub(super) fn of(ground: &Ground<'_>) -> Self {
        let takes_part = |view: &HostView<'_>| view.planned.is_some() || view.may_take;
        let mut numbers: BTreeMap<(usize, usize, &BTreeSet<&str>), usize> = BTreeMap::new();
        let mut kinds: Vec<&HostView<'_>> = Vec::new();
        let mut of_domain: Vec<Vec<usize>> = vec![Vec::new(); ground.domains];
        let mut members: Vec<(usize, usize)> = Vec::new();
        for (host, view) in ground.hosts.iter().enumerate().filter(|(_, view)| takes_part(view)) {
            let kind = *numbers.entry((view.domain, view.look, &view.traits)).or_insert_with(|| {
                of_domain[view.domain].push(kinds.len());
                kinds.push(view);
                kinds.len() - 1
            });
            members.push((host, kind));
        }
        let mut island: Vec<usize> = (0..kinds.len()).collect();
        let mut seen: BTreeSet<Traveller<'_>> = BTreeSet::new();
        for (host, kind) in &members {
            let beside = &of_domain[ground.hosts[*host].domain];
            let is_joined = |island: &[usize]| beside.iter().all(|other| island[*other] == island[*kind]);
            if ground.hosts[*host].planned.is_none() || is_joined(&island) {
                continue;
            }
            for number in ground.leaving(*host) {
                let view = &ground.instances[number];
                let specs = view.instance.flavor.as_deref().map(|flavor: &Flavor| &flavor.extra_specs);
                if !seen.insert((*kind, view.traits, &view.instance.project, specs, &view.instance.image)) {
                    continue;
                }
                for other in beside.iter().copied().filter(|other| may_go(ground, number, kinds[*other])) {
                    let (from, to) = (island[other], island[*kind]);
                    island.iter_mut().filter(|island| **island == from).for_each(|island| *island = to);
                }
            }
        }
        let mut hosts: Vec<Vec<usize>> = vec![Vec::new(); kinds.len()];
        for (host, kind) in members {
            hosts[island[kind]].push(host);
        }
        hosts.retain(|hosts| !hosts.is_empty());
        Self { hosts }
    }
}

/// Whether nothing but room and its group could keep an instance off hosts of a kind.
fn may_go(ground: &Ground<'_>, instance: usize, kind: &HostView<'_>) -> bool {
    let view = &ground.instances[instance];
    view.traits.iter().all(|name| kind.traits.contains(name.as_str()))
        && ground.looks.objection(view.instance, ground.hosts[view.home].look, kind.look).is_none()
}
