//! The order in which the instances that stay on one host are stopped and started. Pure.
//!
//! The highest priority starts first and stops last. Within one priority the members of a server group go one after the
//! other, so that what they do together has somebody to do it; everything else goes at once, up to a limit.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use crate::model::{GroupId, InstanceId};

/// How many instances of one host are stopped or started at once: booting guests read their whole disks.
const AT_ONCE: usize = 8;

/// An instance with what decides its turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ranked {
    /// Which.
    pub id: InstanceId,
    /// Higher starts earlier and stops later.
    pub priority: i32,
    /// Its server group.
    pub group: Option<GroupId>,
}

/// Instances in order of their start, each with those that must have come to an end before it.
pub fn start_order(instances: &[Ranked]) -> Vec<(InstanceId, Vec<InstanceId>)> {
    let mut sorted: Vec<&Ranked> = instances.iter().collect();
    sorted.sort_by_key(|one| (Reverse(one.priority), one.group.clone(), one.id));
    in_turn(&sorted)
}

/// The same for stopping: the other way round.
pub fn stop_order(instances: &[Ranked]) -> Vec<(InstanceId, Vec<InstanceId>)> {
    let mut sorted: Vec<&Ranked> = instances.iter().collect();
    sorted.sort_by_key(|one| (one.priority, Reverse(one.group.clone()), Reverse(one.id)));
    in_turn(&sorted)
}

/// Each waits for all of the last priority before it, for the last of its own group, and for the one whose place it takes.
fn in_turn(sorted: &[&Ranked]) -> Vec<(InstanceId, Vec<InstanceId>)> {
    let mut turns = Vec::with_capacity(sorted.len());
    let mut before: &[&Ranked] = &[];
    for same in sorted.chunk_by(|a, b| a.priority == b.priority) {
        let mut last_of: BTreeMap<&GroupId, InstanceId> = BTreeMap::new();
        for (place, one) in same.iter().enumerate() {
            let mut after: Vec<InstanceId> = before.iter().map(|one| one.id).collect();
            let mate = one.group.as_ref().and_then(|group| last_of.insert(group, one.id));
            let place = place.checked_sub(AT_ONCE).map(|place| same[place].id);
            after.extend(mate);
            after.extend(place.filter(|place| Some(*place) != mate));
            turns.push((one.id, after));
        }
        before = same;
    }
    turns
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn id(number: usize) -> InstanceId {
        InstanceId::new(Uuid::from_u128(number as u128))
    }

    fn ranked(number: usize, priority: i32, group: Option<&str>) -> Ranked {
        Ranked { id: id(number), priority, group: group.map(GroupId::new) }
    }

    #[test]
    fn the_highest_priority_starts_first_and_stops_last_and_mates_go_one_by_one() {
        let instances = [ranked(1, 0, None), ranked(2, 0, Some("db")), ranked(3, 0, Some("db")), ranked(4, 10, None)];
        let starts = start_order(&instances);
        assert_eq!(starts, [(id(4), vec![]), (id(1), vec![id(4)]), (id(2), vec![id(4)]), (id(3), vec![id(4), id(2)])]);
        let stops = stop_order(&instances);
        let places: Vec<InstanceId> = stops.iter().map(|(id, _)| *id).collect();
        assert_eq!(places, [id(3), id(2), id(1), id(4)]);
        assert_eq!(stops[1], (id(2), vec![id(3)]));
        assert_eq!(stops[3].1.len(), 3, "all others are off before it");
    }

    #[test]
    fn no_more_than_so_many_go_at_once() {
        let many: Vec<Ranked> = (1..=20).map(|number| ranked(number, 0, None)).collect();
        let turns = start_order(&many);
        assert_eq!(turns.iter().filter(|(_, after)| after.is_empty()).count(), AT_ONCE);
        for (place, (_, after)) in turns.iter().enumerate().skip(AT_ONCE) {
            assert_eq!(*after, [turns[place - AT_ONCE].0]);
        }
    }
}
