//! What cannot be done is an answer: which hosts, why, whether that is proven, and what would help.

use super::*;
use crate::model::{GroupPolicy, InstanceHandling, InstanceId, InstanceStatus, Place, ServiceStatus, ZoneName};
use crate::plan::fixture::{Fixture, id};

struct Refusal {
    of: usize,
    shortfalls: Vec<Shortfall>,
    ways_out: Vec<WayOut>,
    skipped: Vec<SkippedHost>,
}

impl Refusal {
    fn proof(&self, name: &str) -> Option<&str> {
        let shortfall = self.shortfalls.iter().find(|shortfall| shortfall.host == host(name)).unwrap();
        shortfall.proof.as_deref()
    }

    fn ways(&self) -> Vec<String> {
        self.ways_out.iter().map(ToString::to_string).collect()
    }
}

fn refused(case: &Case) -> Refusal {
    match case.plan().unwrap_err() {
        PlanError::Infeasible { of, shortfalls, ways_out, skipped } => Refusal { of, shortfalls, ways_out, skipped },
        other @ (PlanError::NoSuch { .. } | PlanError::Violations(_)) => panic!("{other}"),
    }
}

/// Two hosts of which neither has room for the other's instance.
fn two_full_hosts() -> Fixture {
    Fixture::of(&["a", "b"]).instance(1, "a", 60).instance(2, "b", 60)
}

#[test]
fn what_cannot_be_done_at_all_is_an_answer_with_class_amount_and_proof() {
    let refusal = refused(&Case::of(two_full_hosts().host("tiny", "z", 8).0));
    assert_eq!((refusal.of, refusal.shortfalls.len()), (3, 2));
    assert!(refusal.skipped.iter().all(|skipped| skipped.reason == SkipReason::NoRoom));
    let shortfall = &refusal.shortfalls[0];
    assert!(shortfall.detail.contains("fits nowhere in zone z: 52 of MEMORY_MB missing"), "{}", shortfall.detail);
    assert_eq!((shortfall.class.as_deref(), shortfall.missing), (Some("MEMORY_MB"), 52));
    assert_eq!(refusal.proof("a"), Some("the instances in zone z hold 120 MEMORY_MB, and without a there are 72"));
}

#[test]
fn one_host_that_cannot_be_emptied_stops_the_plan_unless_it_is_to_be_left_out() {
    let region = two_full_hosts().host("c", "y", 64).host("d", "y", 64).instance(3, "c", 10).0;
    let mut case = Case::of(region);
    assert_eq!((refused(&case).of, refused(&case).shortfalls.len()), (4, 2));
    case.scope.no_room = NoRoom::LeaveOut;
    let rollout = case.planned();
    assert_eq!(rollout.hosts.len(), 2);
    assert_eq!(rollout.skipped.iter().filter(|skipped| skipped.reason == SkipReason::NoRoom).count(), 2);
    assert!(rollout.notes.iter().any(|note| note.severity == Severity::Warning && note.at == "a"));
}

#[test]
fn nothing_to_plan_is_refused_even_when_stuck_hosts_may_be_left_out() {
    let mut case = Case::of(two_full_hosts().0);
    case.scope.no_room = NoRoom::LeaveOut;
    assert_eq!(refused(&case).shortfalls.len(), 2);
}

#[test]
fn one_more_host_or_one_stopped_instance_would_do_and_both_were_tried() {
    let refusal = refused(&Case::of(two_full_hosts().0));
    let ways = refusal.ways();
    assert_eq!(ways[0], "zone z: 1 more empty host like a (10000 DISK_GB, 64 MEMORY_MB, 1000 VCPU)");
    let Means::Stop { instances } = &refusal.ways_out[1].means else { panic!("{ways:?}") };
    assert_eq!(instances.len(), 2, "neither fits beside the other, stopped or not: {ways:?}");
}

#[test]
fn a_policy_that_names_hosts_of_another_domain_leaves_the_ways_out_as_they_are() {
    let region = two_full_hosts().host("c", "y", 64).host("d", "y", 64).host("e", "y", 64).instance(3, "c", 10).0;
    let plain = refused(&Case::of(region.clone()));
    let mut case = Case::of(region);
    case.policy.hosts.exclude.insert(host("c"));
    case.policy.hosts.targets_only.insert(host("d"));
    case.policy.hosts.spare.insert(host("e"));
    case.policy.priority = vec![Place::Zone(ZoneName::new("y")), Place::Host(host("e"))];
    let refusal = refused(&case);
    assert_eq!(refusal.ways_out.len(), 2);
    assert_eq!(refusal.ways_out, plain.ways_out);
}

#[test]
fn stopping_is_offered_for_the_fewest_instances_that_help() {
    let region = Fixture::of(&["a", "b", "c"])
        .instance(1, "a", 34)
        .instance(2, "b", 34)
        .instance(3, "c", 34)
        .instance(4, "c", 10)
        .0;
    let refusal = refused(&Case::of(region));
    let stop = refusal.ways_out.iter().find_map(|way| match &way.means {
        Means::Stop { instances } => Some(instances.iter().map(|stop| stop.instance).collect::<Vec<_>>()),
        Means::Hosts { .. } | Means::Moves { .. } | Means::Headroom { .. } => None,
    });
    assert_eq!(stop.map(|stop| stop.len()), Some(3), "{:?}", refusal.ways());
}

#[test]
fn stopping_is_not_offered_where_the_policy_does_not_leave_stopped_instances() {
    let mut case = Case::of(two_full_hosts().0);
    case.policy.instances.stopped = InstanceHandling::ColdMigrate;
    let refusal = refused(&case);
    assert!(refusal.ways_out.iter().all(|way| !matches!(way.means, Means::Stop { .. })), "{:?}", refusal.ways());
}

#[test]
fn a_smaller_headroom_is_offered_where_it_is_the_headroom_that_lacks() {
    let region = Fixture::of(&["a", "b"]).instance(1, "a", 10).0;
    let mut case = Case::of(region);
    case.policy.headroom.per_zone.hosts = 1;
    let refusal = refused(&case);
    assert_eq!(refusal.proof("a"), None, "the policy can be changed");
    assert!(refusal.ways().contains(&"zone z: `headroom.per_zone.hosts: 0` in the policy".to_owned()));
}

#[test]
fn as_many_hosts_are_asked_for_as_are_needed() {
    // The headroom keeps two hosts of the zone empty, so the third is the first that helps.
    let mut case = Case::of(two_full_hosts().0);
    case.policy.headroom.per_zone.hosts = 2;
    let refusal = refused(&case);
    assert!(refusal.ways()[0].starts_with("zone z: 3 more empty hosts like a"), "{:?}", refusal.ways());
}

#[test]
fn an_instance_larger_than_every_other_host_is_a_proof() {
    let region =
        Fixture::new().host("large", "z", 128).host("small", "z", 64).host("tiny", "z", 64).instance(1, "large", 100).0;
    let refusal = refused(&Case::of(region));
    assert_eq!(
        refusal.proof("large"),
        Some(format!("instance vm1 ({}) fits no other host in zone z, even an empty one", id(1)).as_str())
    );
}

#[test]
fn the_only_host_of_its_domain_is_proven_stuck() {
    let region = Fixture::new()
        .host("a", "z", 64)
        .host("b", "z", 64)
        .with_host(|host| host.service.status = ServiceStatus::Disabled)
        .instance(1, "a", 10)
        .0;
    let refusal = refused(&Case::of(region));
    let withheld = "not counted, since the policy or their state keeps them from taking any";
    let said = |names: &str| format!("no other host in zone z can take instances ({withheld}: {names})");
    assert_eq!(refusal.proof("a"), Some(said("b").as_str()));
    let names = ["b", "c", "d", "e"];
    let one = Fixture::new().host("a", "z", 64).instance(1, "a", 10);
    let spares = names.iter().fold(one, |fixture, name| fixture.host(name, "z", 64));
    let mut case = names.iter().fold(Case::of(spares.0), |case, name| case.verdict(name, VerdictKind::Mitigated));
    case.policy.hosts.spare = names.iter().map(|name| host(name)).collect();
    assert_eq!(refused(&case).proof("a"), Some(said("b, c, d and 1 more").as_str()));
}

#[test]
fn a_group_as_large_as_the_fleet_is_a_proof() {
    let region = Fixture::of(&["a", "b", "c"])
        .instance(1, "a", 5)
        .instance(2, "b", 5)
        .instance(3, "c", 5)
        .group("g", GroupPolicy::AntiAffinity, &[1, 2, 3])
        .0;
    let refusal = refused(&Case::of(region));
    assert_eq!(
        refusal.proof("b"),
        Some("anti-affinity group g has 3 members and the other hosts in zone z places for 2")
    );
}

#[test]
fn instances_too_large_to_share_a_host_are_counted() {
    let region = Fixture::of(&["a", "b", "c"]).instance(1, "a", 34).instance(2, "b", 34).instance(3, "c", 34).0;
    let refusal = refused(&Case::of(region));
    assert_eq!(
        refusal.proof("a"),
        Some("the instances in zone z hold 3 times 34 MEMORY_MB, and without a there is room for 2")
    );
}

/// No host can be first, and beside them is one with nothing on it: where a zone has such a host nothing makes way.
fn no_host_can_be_first() -> Case {
    Case::of(Fixture(hard::no_host_can_be_first()).host("tiny", "z", 8).0)
}

#[test]
fn a_domain_in_which_no_host_can_be_emptied_first_is_a_proof() {
    let refusal = refused(&no_host_can_be_first());
    assert_eq!(refusal.proof("a"), Some("no host in zone z can be emptied into the room that the others have"));
}

#[test]
fn migrations_by_hand_that_empty_a_host_are_offered_in_an_order_in_which_each_has_room() {
    let mut case = no_host_can_be_first();
    let refusal = refused(&case);
    let Means::Moves { moves } = &refusal.ways_out[0].means else { panic!("{:?}", refusal.ways()) };
    assert_eq!(moves.len(), 3, "one makes way for the large instance, then both leave: {:?}", refusal.ways());
    for step in moves {
        let amount = |region: &Region, instance: InstanceId| {
            region.instances.iter().find(|one| one.id == instance).unwrap().resources.memory_mb()
        };
        let there = case.region.instances.iter().filter(|one| one.host.as_ref() == Some(&step.to));
        let used: u64 = there.map(|one| one.resources.memory_mb()).sum();
        assert!(used + amount(&case.region, step.instance) <= 64, "{step:?}");
        let moved = case.region.instances.iter_mut().find(|one| one.id == step.instance).unwrap();
        assert_eq!(moved.host.replace(step.to.clone()), Some(step.from.clone()));
    }
    assert_eq!(case.planned().hosts.len(), 5);
}

#[test]
fn migrations_by_hand_keep_to_groups() {
    // What makes way has a mate on each of the others.
    let mut case = no_host_can_be_first();
    case.region = Fixture(case.region).group("g", GroupPolicy::AntiAffinity, &[2, 12, 22, 32]).0;
    let ways = refused(&case).ways();
    assert!(ways.iter().all(|way| !way.contains("live migrations first")), "{ways:?}");
}

#[test]
fn what_stays_is_no_load_that_another_host_must_take() {
    let region =
        two_full_hosts().with_instance(|instance| instance.status = InstanceStatus::Shutoff).host("c", "z", 64).0;
    assert_eq!(Case::of(region).planned().hosts.len(), 3);
}
