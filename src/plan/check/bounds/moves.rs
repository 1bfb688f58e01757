//! The fewest moves.

use crate::plan::check::ground::Ground;
use crate::plan::check::islands::Islands;
use crate::plan::rollout::Rollout;

/// At least so many moves: one for each instance that leaves, and in each island those of the host that is done first.
///
/// Consider the first host with instances that is back. What left it went to hosts that had none to give away (targets,
/// all that may lend room, hosts that were empty), or to hosts that were still to be emptied, which it has to leave once more. The
/// former can hold no more of them than fit into all their room added up, class by class, the smallest first. Any host
/// may be the first: the one that costs least counts. How many hosts begin side by side is a choice and adds nothing.
pub(in crate::plan::check) fn fewest_moves(rollout: &Rollout, ground: &Ground<'_>, islands: &Islands) -> usize {
    let again: usize = islands.hosts.iter().map(|hosts| moved_again(rollout, ground, hosts)).sum();
    ground.leaving_count() + again
}

/// Instances of an island that have to move twice.
fn moved_again(rollout: &Rollout, ground: &Ground<'_>, hosts: &[usize]) -> usize {
    let (occupied, open): (Vec<usize>, Vec<usize>) = (hosts.iter().copied())
        .partition(|host| ground.hosts[*host].planned.is_some() && ground.leaving(*host).next().is_some());
    let takes = |host: &usize| !rollout.policy.hosts.spare.contains(&ground.hosts[*host].host.host);
    let open: Vec<usize> = open.into_iter().filter(takes).collect();
    let mut room = vec![0; ground.classes.len()];
    for host in &open {
        let mut used = vec![0; ground.classes.len()];
        for instance in ground.hosts[*host].instances.clone() {
            used.iter_mut().zip(ground.amounts(instance)).for_each(|(sum, amount)| *sum += amount);
        }
        let free = ground.hosts[*host].capacity.iter().zip(used).map(|(all, used)| all.saturating_sub(used));
        room.iter_mut().zip(free).for_each(|(sum, free)| *sum += free);
    }
    let mut least = usize::MAX;
    for host in occupied {
        let leaving: Vec<usize> = ground.leaving(host).collect();
        let fitting = if open.is_empty() { 0 } else { most_that_fit(ground, &leaving, &room) };
        least = least.min(leaving.len() - fitting);
        if least == 0 {
            return 0;
        }
    }
    if least == usize::MAX { 0 } else { least }
}

/// No more of these instances fit into so much room, were it in one piece and of each class by itself.
fn most_that_fit(ground: &Ground<'_>, instances: &[usize], room: &[u64]) -> usize {
    let of_class = |(class, room): (usize, &u64)| {
        let mut amounts: Vec<u64> = instances.iter().map(|instance| ground.amounts(*instance)[class]).collect();
        if amounts.iter().sum::<u64>() <= *room {
            return amounts.len();
        }
        amounts.sort_unstable();
        let mut left = *room;
        let fitting =
            amounts.into_iter().take_while(|amount| left.checked_sub(*amount).map(|rest| left = rest).is_some());
        fitting.count()
    };
    room.iter().enumerate().map(of_class).min().unwrap_or(instances.len())
}
