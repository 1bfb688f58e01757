//! Who is affected by a rollout: projects with their instances, as their owners will ask.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{InstanceId, ProjectId};
use crate::plan::{PlannedHost, Rollout};

/// What a rollout does to the instances of one project.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Affected {
    /// Instances that are moved.
    pub moved: usize,
    /// Of these, instances that are moved more than once.
    pub twice: usize,
    /// Instances that stay on a host that is rebooted.
    pub stays: usize,
    /// When the first of its instances is touched, in seconds from the start.
    pub first_s: f64,
    /// When the last of its instances is touched, in seconds from the start.
    pub last_s: f64,
    /// Hosts that its instances leave, or stay on, with their number there; by the host's place in the order.
    pub hosts: BTreeMap<u32, AffectedOn>,
}

/// What of a project is on one host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AffectedOn {
    /// The host's name.
    pub host: String,
    /// Instances that leave it.
    pub leave: usize,
    /// Instances that stay on it.
    pub stay: usize,
}

/// Every project that has an instance on a host that is remedied.
pub fn affected(rollout: &Rollout) -> BTreeMap<&ProjectId, Affected> {
    let mut projects: BTreeMap<&ProjectId, Affected> = BTreeMap::new();
    let mut seen: BTreeMap<InstanceId, usize> = BTreeMap::new();
    let mut by_host = BTreeMap::new();
    for planned in &rollout.hosts {
        by_host.insert(&planned.host, planned);
        for one in &planned.moves {
            *seen.entry(one.instance).or_default() += 1;
            touch(&mut projects, &one.project, planned, (one.start_s, one.finish_s)).leave += 1;
        }
    }
    for stay in &rollout.stays {
        if let Some(planned) = by_host.get(&stay.host) {
            touch(&mut projects, &stay.project, planned, (planned.start_s, planned.finish_s)).stay += 1;
        }
    }
    count(rollout, &seen, &mut projects);
    projects
}

/// Something of a project is touched on `planned` between two times.
fn touch<'a, 'p>(
    projects: &'p mut BTreeMap<&'a ProjectId, Affected>,
    project: &'a ProjectId,
    planned: &PlannedHost,
    (from, to): (f64, f64),
) -> &'p mut AffectedOn {
    let first = || Affected { first_s: from, last_s: to, ..Affected::default() };
    let one = projects.entry(project).or_insert_with(first);
    one.first_s = one.first_s.min(from);
    one.last_s = one.last_s.max(to);
    let on = one.hosts.entry(planned.order).or_default();
    planned.host.as_str().clone_into(&mut on.host);
    on
}

fn count<'a>(
    rollout: &'a Rollout,
    seen: &BTreeMap<InstanceId, usize>,
    projects: &mut BTreeMap<&'a ProjectId, Affected>,
) {
    let mut counted = BTreeSet::new();
    for one in rollout.hosts.iter().flat_map(|host| &host.moves) {
        if let (true, Some(project)) = (counted.insert(one.instance), projects.get_mut(&one.project)) {
            project.moved += 1;
            project.twice += usize::from(seen.get(&one.instance).is_some_and(|moves| *moves > 1));
        }
    }
    for project in projects.values_mut() {
        project.stays = project.hosts.values().map(|on| on.stay).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::fixture::rollout;

    #[test]
    fn an_instance_that_moves_twice_is_one_instance_and_what_stays_counts_with_its_host() {
        let mut rollout = rollout();
        let again = rollout.hosts[1].moves[0].clone();
        rollout.hosts[0].moves.push(again);
        let projects = affected(&rollout);
        let of = |name: &str| &projects[&ProjectId::new(name)];
        assert_eq!((of("p1").moved, of("p1").twice, of("p1").stays), (1, 1, 0));
        assert_eq!(of("p1").hosts.keys().copied().collect::<Vec<_>>(), [1, 2]);
        assert_eq!((of("p2").moved, of("p2").stays), (0, 1));
        assert!((of("p2").first_s - 700.0).abs() < 1e-9, "it is touched when its host goes out of service");
    }
}
