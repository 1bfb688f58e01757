//! The checker against plans that are wrong.

use std::collections::BTreeSet;

use super::*;
use crate::model::{GroupPolicy, Limit};
use crate::plan::fixture::Fixture;
use crate::plan::synthetic::Recipe;

type Breakage = Box<dyn Fn(&mut Rollout)>;

/// Changes that a broken planner might make, each with words of the finding that must follow.
#[test]
fn the_checker_catches_a_broken_planner() {
    let region =
        synthetic::region(&Recipe { hosts: 40, zones: 2, utilisation: 0.7, empty: 0.1, ..Recipe::default() }, 3);
    let mut case = Case::of(region);
    case.policy.limits.hosts = Limit::at_most(4);
    case.policy.limits.hosts_per_zone = Limit::at_most(2);
    let good = case.planned();
    let with_moves = good.hosts.iter().position(|planned| planned.moves.len() > 2).unwrap();
    let other_zone = |rollout: &Rollout, index: usize| {
        let zone = rollout.hosts[index].zone.clone();
        rollout.hosts.iter().find(|planned| planned.zone != zone).unwrap().host.clone()
    };
    let breakages: Vec<(&str, Breakage)> = vec![
        ("remedied with", Box::new(move |rollout| drop(rollout.hosts[with_moves].moves.pop()))),
        (
            "another domain",
            Box::new(move |rollout| {
                let elsewhere = other_zone(rollout, with_moves);
                rollout.hosts[with_moves].moves[0].to = elsewhere;
            }),
        ),
        (
            "out of service",
            Box::new(move |rollout| {
                let itself = rollout.hosts[with_moves].host.clone();
                rollout.hosts[with_moves].moves[0].to = itself;
            }),
        ),
        (
            "hosts are out and the limit is",
            Box::new(|rollout| {
                for planned in &mut rollout.hosts {
                    planned.start_s = 0.0;
                }
            }),
        ),
        ("sooner than is estimated", Box::new(|rollout| rollout.hosts[0].finish_s -= 100.0)),
        (
            "shorter than the policy estimates",
            Box::new(move |rollout| {
                rollout.hosts[with_moves].moves[0].finish_s = rollout.hosts[with_moves].moves[0].start_s;
            }),
        ),
        ("neither planned nor skipped", Box::new(|rollout| drop(rollout.hosts.pop()))),
        ("planned twice", Box::new(|rollout| rollout.hosts.push(rollout.hosts[0].clone()))),
        ("not mitigated", Box::new(|rollout| rollout.targets.push(rollout.hosts[0].host.clone()))),
        (
            "leave",
            Box::new(move |rollout| {
                let start = rollout.hosts[with_moves].moves[0].start_s;
                rollout.hosts[with_moves].moves[1].start_s = start;
            }),
        ),
        ("canary", Box::new(|rollout| rollout.hosts.last_mut().unwrap().canary = true)),
    ];
    for (words, breakage) in breakages {
        let mut broken = good.clone();
        breakage(&mut broken);
        let found = check(&broken, &case.region).violations;
        assert!(found.iter().any(|text| text.contains(words)), "{words}: {found:?}");
    }
}

#[test]
fn the_checker_catches_targets_that_are_full_or_hold_a_group_mate() {
    let region = Fixture::of(&["a", "b", "c"])
        .instance(1, "a", 40)
        .instance(2, "b", 40)
        .instance(3, "b", 10)
        .group("g", GroupPolicy::AntiAffinity, &[1, 3])
        .0;
    let case = Case::of(region);
    let mut rollout = case.planned();
    let targets: BTreeSet<HostName> =
        rollout.hosts.iter().flat_map(|planned| &planned.moves).map(|planned| planned.to.clone()).collect();
    assert!(targets.len() > 1, "{targets:?}");
    for planned in &mut rollout.hosts {
        for planned_move in &mut planned.moves {
            planned_move.to = host("c");
        }
    }
    let found = check(&rollout, &case.region).violations.join("\n");
    assert!(found.contains("too little MEMORY_MB"), "{found}");
    assert!(found.contains("anti-affinity group has 1 already"), "{found}");
}
