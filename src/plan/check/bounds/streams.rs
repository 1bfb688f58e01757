//! Bounds from how many migrations may run at once.
//!
//! Behind the last migration of all its source is still to be remedied, so each of these sums is followed by the least
//! time that takes. What a network as a whole can carry is no limit of the policy: `estimate.bandwidth` is what one
//! migration gets, so that bytes over bandwidth and migrations are in each migration's time already.

use std::collections::BTreeMap;

use super::{Work, per};
use crate::plan::check::ground::{Ground, Time};
use crate::plan::check::islands::Islands;
use crate::plan::rollout::Rollout;

fn least_remedied<'w>(works: impl Iterator<Item = &'w Work>) -> Option<Time> {
    works.filter(|work| work.transfer > 0).map(|work| work.remedied).min()
}

/// All migrations share the region's.
pub(super) fn migrations(rollout: &Rollout, works: &[Work]) -> Option<Time> {
    let transfers: Time = works.iter().map(|work| work.transfer).sum();
    Some(per(transfers, rollout.policy.limits.migrations) + least_remedied(works.iter())?)
}

/// What leaves hosts of an island comes to hosts of it: to those that may take instances, and to none that is out.
pub(super) fn receive(rollout: &Rollout, ground: &Ground<'_>, islands: &Islands, works: &[Work]) -> Option<Time> {
    let policy = &rollout.policy;
    let of_host: BTreeMap<usize, &Work> = works.iter().map(|work| (work.host, work)).collect();
    let of_island = |hosts: &Vec<usize>| {
        let here = || hosts.iter().filter_map(|host| of_host.get(host).copied());
        let takes = |host: &&usize| !policy.hosts.spare.contains(&ground.hosts[**host].host.host);
        let receivers = hosts.iter().filter(takes).count();
        let out: Time = hosts.iter().filter(takes).filter_map(|host| of_host.get(host)).map(|work| work.sure).sum();
        let arriving = per(here().map(|work| work.transfer).sum(), policy.limits.migrations_per_target);
        let last = least_remedied(here())?;
        Some((per(arriving, receivers) + last).max(per(arriving + out, receivers)))
    };
    islands.hosts.iter().filter_map(of_island).max()
}

/// Members of an anti-affinity group move one after the other, and the host of the last of them is remedied then.
pub(super) fn groups(ground: &Ground<'_>, works: &[Work]) -> Option<Time> {
    let mut sums: BTreeMap<usize, (Time, Time)> = BTreeMap::new();
    for work in works {
        for instance in ground.leaving(work.host).map(|number| &ground.instances[number]) {
            let Some(group) = instance.group.filter(|group| ground.most_per_host(*group).is_some()) else { continue };
            let (sum, last) = sums.entry(group).or_insert((0, Time::MAX));
            *sum += instance.duration;
            *last = work.remedied.min(*last);
        }
    }
    sums.into_values().map(|(sum, last)| sum + last).max()
}
