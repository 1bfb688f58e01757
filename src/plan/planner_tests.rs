//! Whole plans: what they do with each kind of host and instance, and that the checker agrees with every one.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::fixture::{Fixture, host, id};
use super::synthetic::{self, Recipe};
use super::*;
use crate::model::{
    Digest, GroupPolicy, HostName, InstanceHandling, InstanceStatus, Limit, Policy, Region, RolloutId, ServiceState,
    ServiceStatus, Span,
};
use crate::remedy::{Verdict, VerdictKind};

/// A policy without canaries: most tests are not about them.
fn policy() -> Policy {
    let mut policy = Policy::default();
    policy.canary.hosts = 0;
    policy
}

struct Case {
    region: Region,
    policy: Policy,
    scope: Scope,
    verdicts: BTreeMap<HostName, Verdict>,
}

impl Case {
    fn of(region: Region) -> Self {
        let verdicts = synthetic::all_vulnerable(&region);
        Self { region, policy: policy(), scope: Scope::default(), verdicts }
    }

    fn verdict(mut self, name: &str, verdict: VerdictKind) -> Self {
        self.verdicts.insert(host(name), Verdict { verdict, evidence: Vec::new() });
        self
    }

    fn plan(&self) -> Result<Rollout, PlanError> {
        let remedy = synthetic::remedy();
        let input = PlanInput {
            region: &self.region,
            verdicts: &self.verdicts,
            remedy: &remedy,
            policy: &self.policy,
            scope: &self.scope,
            configuration: Digest::new("sha256:0"),
            seed: 7,
            now: "2026-11-22T12:00:00Z".parse().unwrap(),
            id: RolloutId::new(uuid::Uuid::from_u128(1)),
        };
        plan(&input).map(|(rollout, _)| rollout)
    }

    fn planned(&self) -> Rollout {
        let rollout = self.plan().unwrap();
        assert_eq!(rollout.certificate.violations, Vec::<String>::new());
        rollout
    }
}

fn skips(rollout: &Rollout) -> BTreeMap<String, SkipReason> {
    rollout.skipped.iter().map(|skipped| (skipped.host.to_string(), skipped.reason)).collect()
}

fn order(rollout: &Rollout) -> Vec<&str> {
    rollout.hosts.iter().map(|planned| planned.host.as_str()).collect()
}

#[test]
fn an_empty_host_goes_first_and_then_each_instance_moves_once() {
    let region = Fixture::new()
        .host("a", "z", 64)
        .host("b", "z", 64)
        .host("c", "z", 64)
        .instance(1, "a", 30)
        .instance(2, "a", 30)
        .instance(3, "c", 40)
        .0;
    let rollout = Case::of(region).planned();
    assert_eq!(rollout.hosts[0].host, host("b"));
    assert_eq!((rollout.certificate.moves, rollout.certificate.instances), (3, 3));
    assert_eq!(rollout.certificate.moves_lower_bound, 3);
}

#[test]
fn without_an_empty_host_the_one_with_the_fewest_instances_is_the_seed() {
    let region = Fixture::new()
        .host("a", "z", 64)
        .host("b", "z", 64)
        .instance(1, "a", 10)
        .instance(2, "a", 10)
        .instance(3, "b", 30)
        .0;
    let rollout = Case::of(region).planned();
    assert_eq!(order(&rollout), ["b", "a"]);
    assert_eq!(rollout.certificate.moves, 4);
    assert_eq!(rollout.certificate.moves, rollout.certificate.moves_lower_bound);
}

#[test]
fn a_mitigated_host_is_skipped_and_takes_instances() {
    let region = Fixture::new().host("a", "z", 64).host("b", "z", 64).instance(1, "a", 10).0;
    let rollout = Case::of(region).verdict("b", VerdictKind::Mitigated).planned();
    assert_eq!(skips(&rollout)["b"], SkipReason::Mitigated);
    assert_eq!(rollout.targets, vec![host("b")]);
    assert_eq!(rollout.hosts[0].moves[0].to, host("b"));
}

#[test]
fn hosts_are_skipped_with_the_reason_that_holds() {
    let region = Fixture::new()
        .host("disabled", "z", 64)
        .with_host(|host| host.service.status = ServiceStatus::Disabled)
        .host("down", "z", 64)
        .with_host(|host| host.service.state = ServiceState::Down)
        .host("excluded", "z", 64)
        .host("fine", "z", 64)
        .host("stranger", "z", 64)
        .with_host(|host| host.identity = crate::model::HostIdentity::default())
        .host("unknown", "z", 64)
        .0;
    let mut case = Case::of(region).verdict("unknown", VerdictKind::Unknown);
    case.scope.exclude.insert(host("excluded"));
    let rollout = case.planned();
    assert_eq!(order(&rollout), ["fine"]);
    let expected = [
        ("disabled", SkipReason::Disabled),
        ("down", SkipReason::Down),
        ("excluded", SkipReason::Excluded),
        ("stranger", SkipReason::Identity),
        ("unknown", SkipReason::Unknown),
    ];
    assert_eq!(skips(&rollout), expected.map(|(name, reason)| (name.to_owned(), reason)).into());
    case.scope.unknown = Unknown::Vulnerable;
    assert_eq!(order(&case.planned()), ["fine", "unknown"]);
}

#[test]
fn a_scope_that_names_what_is_not_there_is_refused() {
    let mut case = Case::of(Fixture::new().host("a", "z", 64).0);
    case.scope.hosts.insert(host("b"));
    assert_eq!(case.plan().unwrap_err().to_string(), "host b is not in region RegionOne");
}

#[test]
fn stopped_instances_stay_and_keep_their_room() {
    let region = Fixture::new()
        .host("a", "z", 64)
        .host("b", "z", 64)
        .instance(1, "a", 40)
        .with_instance(|instance| instance.status = InstanceStatus::Shutoff)
        .instance(2, "b", 40)
        .0;
    let case = Case::of(region);
    let rollout = case.planned();
    assert_eq!(
        rollout.stays.iter().map(|stay| (stay.instance, stay.handling)).collect::<Vec<_>>(),
        [(id(1), InstanceHandling::Leave)]
    );
    assert_eq!(order(&rollout), ["a"]);
    assert_eq!(skips(&rollout)["b"], SkipReason::NoRoom);
}

#[test]
fn an_instance_that_cannot_move_keeps_its_host_out() {
    let region = Fixture::new()
        .host("a", "z", 64)
        .host("b", "z", 64)
        .instance(1, "a", 10)
        .with_instance(|instance| instance.status = InstanceStatus::VerifyResize)
        .0;
    let rollout = Case::of(region).planned();
    assert_eq!(skips(&rollout)["a"], SkipReason::CannotEmpty);
    assert!(rollout.skipped[0].detail.contains("VERIFY_RESIZE"), "{}", rollout.skipped[0].detail);
}

#[test]
fn locked_instances_and_affinity_mates_are_not_moved() {
    let region = Fixture::new()
        .host("a", "z", 64)
        .host("b", "z", 64)
        .host("c", "z", 64)
        .instance(1, "a", 10)
        .with_instance(|instance| instance.locked = true)
        .instance(2, "b", 10)
        .instance(3, "b", 10)
        .group("g", GroupPolicy::Affinity, &[2, 3])
        .0;
    let rollout = Case::of(region).planned();
    assert_eq!(order(&rollout), ["c"]);
    let details: Vec<&str> = rollout.skipped.iter().map(|skipped| skipped.detail.as_str()).collect();
    assert!(details[0].contains("locked") && details[1].contains("affinity group"), "{details:?}");
}

#[test]
fn what_cannot_be_done_at_all_is_an_answer_with_class_and_amount() {
    let region = Fixture::new().host("a", "z", 64).host("b", "z", 64).instance(1, "a", 60).instance(2, "b", 60).0;
    match Case::of(region).plan().unwrap_err() {
        PlanError::Infeasible { shortfalls, skipped } => {
            assert_eq!(shortfalls.len(), 2);
            assert!(skipped.iter().all(|skipped| skipped.reason == SkipReason::NoRoom));
            assert!(shortfalls[0].detail.contains("zone z"), "{}", shortfalls[0].detail);
        }
        other @ (PlanError::NoSuch { .. } | PlanError::Violations(_)) => panic!("{other}"),
    }
}

#[test]
fn canaries_go_first_alone_and_are_watched() {
    let region = synthetic::region(&Recipe { hosts: 60, zones: 2, ..Recipe::default() }, 1);
    let mut case = Case::of(region);
    case.policy.canary.hosts = 2;
    case.policy.canary.soak = Span::seconds(600);
    let rollout = case.planned();
    let canaries: Vec<&PlannedHost> = rollout.hosts.iter().filter(|planned| planned.canary).collect();
    assert_eq!(canaries.len(), 2);
    assert!(canaries.iter().any(|planned| !planned.moves.is_empty()));
    let gate = canaries.iter().map(|planned| planned.finish_s).fold(0.0, f64::max) + 600.0;
    assert!(rollout.hosts.iter().filter(|planned| !planned.canary).all(|planned| planned.start_s + 0.001 > gate));
}

#[test]
fn one_selected_host_of_a_vulnerable_zone_borrows_room_and_the_rollout_says_so() {
    let region = Fixture::new().host("a", "z", 64).host("b", "z", 64).instance(1, "a", 10).instance(2, "b", 10).0;
    let mut case = Case::of(region);
    case.scope.hosts.insert(host("a"));
    let rollout = case.planned();
    assert_eq!(order(&rollout), ["a"]);
    assert_eq!(rollout.lenders, vec![host("b")]);
    assert!(rollout.notes.iter().any(|note| note.severity == Severity::Warning && note.at == "b"));
}

#[test]
fn zones_racks_and_what_stays_up_limit_how_many_are_out() {
    let mut region = synthetic::region(&Recipe { hosts: 60, zones: 2, utilisation: 0.4, ..Recipe::default() }, 1);
    for (number, host) in region.hosts.iter_mut().enumerate() {
        host.rack = Some(format!("r{}", number / 10));
    }
    let mut case = Case::of(region);
    case.policy.limits.hosts = Limit::at_most(30);
    case.policy.limits.hosts_per_zone = Limit::at_most(4);
    case.policy.limits.hosts_per_rack = Some(Limit::at_most(1));
    let rollout = case.planned();
    assert!(rollout.certificate.peak_hosts_out <= 6);
    assert!(rollout.certificate.bounds.contains_key("slots-per-rack"));
}

#[test]
fn the_digest_covers_everything_but_itself() {
    let region = Fixture::new().host("a", "z", 64).host("b", "z", 64).instance(1, "a", 10).0;
    let mut rollout = Case::of(region).planned();
    assert!(verify_digest(&rollout));
    assert!(rollout.digest.as_str().starts_with("sha256:") && rollout.digest.as_str().len() == 71);
    let json = serde_json::to_string(&rollout).unwrap();
    let read: Rollout = serde_json::from_str(&json).unwrap();
    assert!(verify_digest(&read));
    rollout.hosts[0].finish_s += 1.0;
    assert!(!verify_digest(&rollout));
}

#[test]
fn no_vulnerable_host_is_a_plan_with_nothing_to_do() {
    let region = Fixture::new().host("a", "z", 64).0;
    let rollout = Case::of(region).verdict("a", VerdictKind::Mitigated).planned();
    assert!(rollout.hosts.is_empty());
    assert!(rollout.notes[0].message.starts_with("nothing to do"));
}

prop_compose! {
    fn recipes()(
        hosts in 4_usize..40,
        zones in 1_usize..4,
        utilisation in 0.1_f64..1.0,
        empty in 0.0_f64..0.3,
        grouped in 0.0_f64..0.6,
        group_size in 2_usize..20,
        kinds in 1_usize..4,
    ) -> Recipe {
        Recipe { hosts, zones, utilisation, empty, grouped, group_size, kinds }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn the_checker_finds_nothing_in_plans_of_random_regions(
        recipe in recipes(),
        seed in any::<u64>(),
        slots in 1_usize..8,
        streams in 1_usize..3,
        canaries in 0_usize..3,
        kept in 0_usize..2,
        stopped in 0_u64..300,
    ) {
        let mut region = synthetic::region(&recipe, seed);
        for (number, instance) in region.instances.iter_mut().enumerate() {
            if schedule::mix(seed, number as u64) % 1000 < stopped {
                instance.status = InstanceStatus::Shutoff;
            }
        }
        let mut case = Case::of(region);
        case.policy.limits.hosts = Limit::at_most(slots);
        case.policy.limits.hosts_per_zone = Limit::at_most(slots.div_ceil(2));
        case.policy.limits.migrations = slots;
        case.policy.limits.migrations_per_source = streams;
        case.policy.limits.migrations_per_target = streams;
        case.policy.canary.hosts = canaries;
        case.policy.headroom.per_zone.hosts = kept;
        match case.plan() {
            Ok(rollout) => {
                prop_assert!(rollout.certificate.violations.is_empty());
                prop_assert!(rollout.certificate.makespan_s + 0.001 >= rollout.certificate.makespan_lower_bound_s);
                prop_assert!(rollout.certificate.moves >= rollout.certificate.moves_lower_bound);
            }
            Err(PlanError::Infeasible { .. }) => {}
            Err(other) => prop_assert!(false, "{other:?}"),
        }
    }

    #[test]
    fn the_order_of_the_input_does_not_matter(recipe in recipes(), seed in any::<u64>()) {
        let region = synthetic::region(&recipe, seed);
        let mut turned = region.clone();
        turned.hosts.reverse();
        turned.instances.reverse();
        turned.groups.reverse();
        let (one, other) = (Case::of(region).plan(), Case::of(turned).plan());
        prop_assert_eq!(one.ok().map(|rollout| rollout.digest), other.ok().map(|rollout| rollout.digest));
    }
}

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
        ("sooner than the policy estimates", Box::new(|rollout| rollout.hosts[0].finish_s -= 100.0)),
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
    let region = Fixture::new()
        .host("a", "z", 64)
        .host("b", "z", 64)
        .host("c", "z", 64)
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

#[test]
fn a_rollout_changed_by_hand_cannot_be_run() {
    let region = Fixture::new().host("a", "z", 64).host("b", "z", 64).instance(1, "a", 10).0;
    let rollout = Case::of(region).planned();
    assert!(lint(&rollout).iter().all(|note| note.severity != Severity::Fatal));
    let mut changed = rollout.clone();
    changed.policy.limits.hosts = Limit::at_most(100);
    assert!(lint(&changed).iter().any(|note| note.severity == Severity::Fatal && note.at == "digest"));
    let mut turned = rollout;
    turned.hosts.reverse();
    assert!(lint(&turned).iter().any(|note| note.severity == Severity::Fatal && note.at == "a"));
}

#[test]
fn notes_say_what_holds_the_campaign_and_who_stays_vulnerable() {
    let region = Fixture::new()
        .host("a", "z", 64)
        .host("b", "z", 64)
        .with_host(|host| host.service.state = ServiceState::Down)
        .0;
    let messages: Vec<String> = Case::of(region).planned().notes.into_iter().map(|note| note.message).collect();
    assert!(messages.contains(&"1 host stays vulnerable: their services are down".to_owned()), "{messages:?}");
    assert!(messages.iter().any(|message| message.starts_with("at least 600 s, held by")), "{messages:?}");
}
