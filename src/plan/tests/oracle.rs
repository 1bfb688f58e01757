//! Tiny regions, searched to the end: what the planner claims about them holds.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::model::{GroupPolicy, InstanceId, Limit};
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
    /// So many of the last hosts are not to be remedied, and can lend their room.
    bystanders: usize,
}

prop_compose! {
    fn tiny()(
        hosts in prop::collection::vec(prop::sample::select(vec![32_u64, 64, 96]), 2..=4),
        instances in prop::collection::vec((0_usize..4, prop::sample::select(vec![8_u64, 16, 22, 30, 34, 50])), 1..=6),
        grouped in 0_usize..5,
        bystanders in 0_usize..=2,
    ) -> Tiny {
        let count = hosts.len();
        let instances: Vec<(usize, u64)> = instances.into_iter().map(|(home, size)| (home % count, size)).collect();
        let grouped = grouped.min(instances.len());
        Tiny { hosts, instances, grouped, bystanders: bystanders.min(count - 1) }
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

    /// The region with its first hosts selected.
    fn case(&self) -> Case {
        let mut case = Case::of(self.region());
        case.scope.hosts = (0..self.selected()).map(|number| host(&format!("h{number}"))).collect();
        case
    }

    /// How many hosts are to be remedied.
    fn selected(&self) -> usize {
        self.hosts.len() - self.bystanders
    }

    /// The state in which nothing is left to do, but for where instances are.
    fn everything(&self) -> u32 {
        (1 << self.selected()) - 1
    }

    /// Everything that can be reached by emptying one host after the other, in every order and every way.
    fn reachable(&self) -> BTreeSet<State> {
        let first: State = (0, self.instances.iter().map(|(home, _)| *home).collect());
        let mut seen = BTreeSet::from([first.clone()]);
        let mut open = vec![first];
        while let Some((done, at)) = open.pop() {
            for host in (0..self.selected()).filter(|host| done & (1 << host) == 0) {
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
        let everything = self.everything();
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
            for host in (0..self.selected()).filter(|host| done & (1 << host) == 0) {
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
        let everything = tiny.everything();
        match tiny.case().plan() {
            Ok(rollout) => {
                prop_assert!(reachable.iter().any(|(done, _)| *done == everything));
                let (fewest, certificate) = (tiny.fewest_moves().unwrap(), &rollout.certificate);
                prop_assert!(certificate.moves_lower_bound <= fewest, "{} {fewest}", certificate.moves_lower_bound);
                prop_assert!(fewest <= certificate.moves, "{fewest} {}", certificate.moves);
                // What is proven does not depend on which bystanders this plan made use of.
                let silent = check(&Rollout { lenders: Vec::new(), ..rollout.clone() }, &tiny.region());
                prop_assert!(silent.moves_lower_bound <= fewest, "{} {fewest}", silent.moves_lower_bound);
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
        let tiny = Tiny { hosts: vec![64, 64, 96], instances: instances.collect(), grouped: draw(1, 3), bystanders: 0 };
        let everything = tiny.everything();
        if tiny.reachable().iter().any(|(done, _)| *done == everything) {
            possible += 1;
            planned += usize::from(tiny.case().plan().is_ok());
        }
    }
    assert!(possible > 100, "{possible}");
    assert!(planned * 100 >= possible * 90, "{planned} of {possible}");
}

/// Hosts of 64 MiB with instances of `memory_mb`, `count` on each, and bystanders `l1` and `l2` with room for `free` MiB.
fn beside_two_bystanders(names: &[&str], count: u128, memory_mb: u64, free: u64) -> Case {
    let fixture = names.iter().zip(1_u128..).fold(Fixture::new(), |fixture, (name, number)| {
        (0..count)
            .fold(fixture.host(name, "z", 64), |fixture, more| fixture.instance(number * 10 + more, name, memory_mb))
    });
    let mut case = Case::of(fixture.host("l1", "z", free).host("l2", "z", free).0);
    case.scope.hosts = names.iter().map(|name| host(name)).collect();
    case.policy.limits.hosts = Limit::at_most(3);
    case.policy.limits.hosts_per_zone = Limit::at_most(3);
    case.policy.limits.keep_up.per_zone = 0;
    case
}

/// Writes a plan by hand: hosts in order, each with the second at which it goes out and where its instances go, one
/// after the other. It names as lenders those that it uses.
fn by_hand(case: &Case, hosts: &[(&str, f64, &[&str])]) -> Rollout {
    let mut rollout = case.planned();
    let known = rollout.hosts.clone();
    let mut at: BTreeMap<InstanceId, HostName> = BTreeMap::new();
    for instance in &case.region.instances {
        at.insert(instance.id, instance.host.clone().unwrap());
    }
    let some_move = known.iter().flat_map(|planned| &planned.moves).next().unwrap();
    rollout.lenders.clear();
    rollout.hosts.clear();
    for ((name, start_s, targets), order) in hosts.iter().zip(1..) {
        let mut planned = known.iter().find(|planned| planned.host == host(name)).unwrap().clone();
        (planned.start_s, planned.order) = (*start_s, order);
        planned.moves.clear();
        let mut now = *start_s;
        let here: Vec<InstanceId> = at.iter().filter(|(_, on)| **on == host(name)).map(|(id, _)| *id).collect();
        assert_eq!(here.len(), targets.len(), "{name}");
        for (instance, target) in here.into_iter().zip(*targets) {
            let start_s = now;
            now += case.policy.estimate.move_seconds(some_move.resources.memory_mb());
            let (from, to) = (host(name), host(target));
            at.insert(instance, to.clone());
            if target.starts_with('l') && !rollout.lenders.contains(&to) {
                rollout.lenders.push(to.clone());
            }
            planned.moves.push(PlannedMove { instance, from, to, start_s, finish_s: now, ..some_move.clone() });
        }
        planned.finish_s = now + case.policy.estimate.host.as_seconds();
        rollout.hosts.push(planned);
    }
    rollout.certificate = check(&rollout, &case.region);
    assert_eq!(rollout.certificate.violations, Vec::<String>::new());
    rollout
}

#[test]
fn a_plan_that_uses_one_bystander_claims_nothing_that_one_with_two_disproves() {
    let case = beside_two_bystanders(&["a", "b", "c"], 1, 64, 64);
    let out = case.policy.estimate.move_seconds(64) + case.policy.estimate.host.as_seconds();
    let slow = by_hand(&case, &[("a", 0.0, &["l1"]), ("b", out, &["a"]), ("c", 2.0 * out, &["b"])]).certificate;
    let fast = by_hand(&case, &[("a", 0.0, &["l1"]), ("b", 0.0, &["l2"]), ("c", out, &["a"])]).certificate;
    assert!((fast.makespan_s - 2.0 * out).abs() < 0.1, "{}", fast.makespan_s);
    for claimed in [&slow, &fast, &case.planned().certificate] {
        assert!(claimed.makespan_lower_bound_s <= fast.makespan_s, "{:?} {}", claimed.bounds, fast.makespan_s);
        // Three hosts of 64 lack all that they hold while they are out, and the bystanders have 128 free.
        assert!((claimed.bounds["room"] - 1.5 * out).abs() < 0.01, "{:?} {out}", claimed.bounds);
    }
}

#[test]
fn a_plan_that_moves_twice_beside_a_bystander_does_not_claim_that_every_plan_has_to() {
    let case = beside_two_bystanders(&["a", "b"], 2, 20, 30);
    let out = 2.0 * case.policy.estimate.move_seconds(20) + case.policy.estimate.host.as_seconds();
    let twice = by_hand(&case, &[("a", 0.0, &["l1", "b"]), ("b", out, &["a", "a", "a"])]).certificate;
    let once = by_hand(&case, &[("a", 0.0, &["l1", "l2"]), ("b", out, &["a", "a"])]).certificate;
    assert_eq!((twice.moves, once.moves), (5, 4));
    assert_eq!((twice.moves_lower_bound, once.moves_lower_bound), (4, 4));
}

#[test]
fn hosts_that_the_policy_or_their_service_keep_from_taking_instances_are_no_room() {
    let bound = |change: &dyn Fn(&mut Case)| {
        let mut case = beside_two_bystanders(&["a", "b", "c"], 1, 64, 64);
        change(&mut case);
        case.planned().certificate.bounds["room"]
    };
    let both = bound(&|_| {});
    let without: [&dyn Fn(&mut Case); 3] = [
        &|case| case.policy.hosts.exclude = [host("l2")].into(),
        &|case| case.policy.hosts.spare = [host("l2")].into(),
        &|case| case.region.hosts.last_mut().unwrap().service.forced_down = true,
    ];
    for change in without {
        assert!((bound(change) - 2.0 * both).abs() < 0.01, "{} {both}", bound(change));
    }
}
