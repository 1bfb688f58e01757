//! Tiny regions, searched to the end: what the planner claims about them holds.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::model::GroupPolicy;
use crate::plan::fixture::Fixture;

/// A region small enough to look at everything that could ever be done in it.
#[derive(Debug, Clone)]
struct Tiny {
    /// MiB of each host.
    hosts: Vec<u64>,
    /// Home and MiB of each instance; homes may be fuller than they are large.
    instances: Vec<(usize, u64)>,
    /// So many of the first instances are in one anti-affinity group.
    grouped: usize,
}

prop_compose! {
    fn tiny()(
        hosts in prop::collection::vec(prop::sample::select(vec![32_u64, 64, 96]), 2..=4),
        instances in prop::collection::vec((0_usize..4, prop::sample::select(vec![8_u64, 16, 22, 30, 34, 50])), 1..=6),
        grouped in 0_usize..5,
    ) -> Tiny {
        let count = hosts.len();
        let instances: Vec<(usize, u64)> = instances.into_iter().map(|(home, size)| (home % count, size)).collect();
        let grouped = grouped.min(instances.len());
        Tiny { hosts, instances, grouped }
    }
}

/// Hosts that were remedied, and where each instance is.
type State = (u32, Vec<usize>);

impl Tiny {
    fn region(&self) -> Region {
        let mut fixture = Fixture::new();
        for (number, memory) in self.hosts.iter().enumerate() {
            fixture = fixture.host(&format!("h{number}"), "z", *memory);
        }
        for (number, (home, memory)) in (1_u128..).zip(&self.instances) {
            fixture = fixture.instance(number, &format!("h{home}"), *memory);
        }
        let members: Vec<u128> = (1_u128..).take(self.grouped).collect();
        fixture.group("g", GroupPolicy::AntiAffinity, &members).0
    }

    /// Everything that can be reached by emptying one host after the other, in every order and every way.
    fn reachable(&self) -> BTreeSet<State> {
        let first: State = (0, self.instances.iter().map(|(home, _)| *home).collect());
        let mut seen = BTreeSet::from([first.clone()]);
        let mut open = vec![first];
        while let Some((done, at)) = open.pop() {
            for host in (0..self.hosts.len()).filter(|host| done & (1 << host) == 0) {
                let mut emptied = Vec::new();
                self.empty(host, 0, &mut at.clone(), &mut emptied);
                for next in emptied.into_iter().map(|at| (done | 1 << host, at)) {
                    if seen.insert(next.clone()) {
                        open.push(next);
                    }
                }
            }
        }
        seen
    }

    /// The fewest moves by which every host can be emptied, one after the other; hosts side by side need no fewer.
    fn fewest_moves(&self) -> Option<usize> {
        let everything = (1_u32 << self.hosts.len()) - 1;
        let first: State = (0, self.instances.iter().map(|(home, _)| *home).collect());
        let mut known: BTreeSet<State> = BTreeSet::new();
        let mut open = BTreeSet::from([(0, first)]);
        while let Some((moves, (done, at))) = open.pop_first() {
            if done == everything {
                return Some(moves);
            }
            if !known.insert((done, at.clone())) {
                continue;
            }
            for host in (0..self.hosts.len()).filter(|host| done & (1 << host) == 0) {
                let leaving = at.iter().filter(|home| **home == host).count();
                let mut emptied = Vec::new();
                self.empty(host, 0, &mut at.clone(), &mut emptied);
                open.extend(emptied.into_iter().map(|at| (moves + leaving, (done | 1 << host, at))));
            }
        }
        None
    }

    /// Every way to empty `host`, from the instance with this number on.
    fn empty(&self, host: usize, from: usize, at: &mut Vec<usize>, ways: &mut Vec<Vec<usize>>) {
        let Some(instance) = (from..at.len()).find(|instance| at[*instance] == host) else {
            ways.push(at.clone());
            return;
        };
        for target in (0..self.hosts.len()).filter(|target| *target != host) {
            let on_it = (0..at.len()).filter(|other| at[*other] == target);
            let used: u64 = on_it.clone().map(|other| self.instances[other].1).sum();
            let has_mate = instance < self.grouped && on_it.clone().any(|other| other < self.grouped);
            if used + self.instances[instance].1 <= self.hosts[target] && !has_mate {
                at[instance] = target;
                self.empty(host, instance + 1, at, ways);
                at[instance] = host;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn what_is_proven_impossible_cannot_be_reached_and_what_is_planned_can(tiny in tiny()) {
        let reachable = tiny.reachable();
        let everything = (1_u32 << tiny.hosts.len()) - 1;
        match Case::of(tiny.region()).plan() {
            Ok(rollout) => {
                prop_assert!(reachable.iter().any(|(done, _)| *done == everything));
                let (fewest, certificate) = (tiny.fewest_moves().unwrap(), &rollout.certificate);
                prop_assert!(certificate.moves_lower_bound <= fewest, "{} {fewest}", certificate.moves_lower_bound);
                prop_assert!(fewest <= certificate.moves, "{fewest} {}", certificate.moves);
            }
            Err(PlanError::Infeasible { shortfalls, .. }) => {
                for shortfall in shortfalls.iter().filter(|shortfall| shortfall.proof.is_some()) {
                    let number: u32 = shortfall.host.as_str()[1..].parse().unwrap();
                    let way = reachable.iter().find(|(done, _)| done & (1 << number) != 0);
                    prop_assert!(way.is_none(), "{}: {way:?}", shortfall.detail);
                }
            }
            Err(other) => prop_assert!(false, "{other:?}"),
        }
    }
}

/// How often the planner finds what there is, over regions made by counting: the search must not get worse.
#[test]
fn nearly_every_tiny_region_that_can_be_done_is_planned() {
    let sizes = [8, 16, 22, 30, 34, 50];
    let (mut possible, mut planned) = (0, 0);
    for number in 0..400_u64 {
        let draw = |what: u64, of: u64| usize::try_from(schedule::mix(number, what) % of).unwrap();
        let instances = (0..3 + draw(0, 4) as u64).map(|what| (draw(10 + what, 3), sizes[draw(20 + what, 6)]));
        let tiny = Tiny { hosts: vec![64, 64, 96], instances: instances.collect(), grouped: draw(1, 3) };
        let everything = (1_u32 << tiny.hosts.len()) - 1;
        if tiny.reachable().iter().any(|(done, _)| *done == everything) {
            possible += 1;
            planned += usize::from(Case::of(tiny.region()).plan().is_ok());
        }
    }
    assert!(possible > 100, "{possible}");
    assert!(planned * 100 >= possible * 90, "{planned} of {possible}");
}
