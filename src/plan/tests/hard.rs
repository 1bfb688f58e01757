//! Hard cases: full fleets, missing room, odd hosts and instances.

use super::*;
use crate::model::{GroupPolicy, InstanceId, InstanceStatus, Limit, Resources, ServiceState, ServiceStatus};
use crate::plan::fixture::{Fixture, id};
use crate::plan::synthetic::Recipe;

/// A fleet as full as chance makes it, one class of hosts, one empty host in each zone.
fn full_fleet(hosts: usize, zones: usize) -> Region {
    let recipe = Recipe { hosts, zones, utilisation: 0.98, grouped: 0.0, ..Recipe::default() };
    let mut region = synthetic::region(&recipe, 1);
    let empty: Vec<HostName> = region.hosts.iter().take(zones).map(|host| host.host.clone()).collect();
    region.instances.retain(|instance| instance.host.as_ref().is_some_and(|host| !empty.contains(host)));
    region
}

#[test]
fn in_a_full_fleet_no_host_is_stuck_and_comparing_all_hosts_opens_vacant_ones_sooner() {
    let mut case = Case::of(full_fleet(90, 1));
    case.policy.limits.hosts = Limit::at_most(9);
    case.policy.limits.hosts_per_zone = Limit::at_most(9);
    let (rollout, report) = case.reported().unwrap();
    assert_eq!((report.shortfalls.len(), rollout.certificate.violations.len()), (0, 0));
    let shortest = |thorough: bool| {
        let attempts = report.attempts.iter().filter(|tried| tried.strategy.contains("all hosts compared") == thorough);
        attempts.map(|tried| tried.makespan_s).fold(f64::INFINITY, f64::min)
    };
    assert!(shortest(true) < shortest(false), "{} {}", shortest(true), shortest(false));
}

#[test]
fn the_only_host_that_can_be_first_is_found_though_its_instances_fit_in_one_way_alone() {
    // 32 and 28 are free beside it: 20 + 12 and 16 + 12. The biggest into the tightest gap would leave the last outside.
    let fixture = Fixture::new().host("a", "z", 64).instance(1, "a", 32).host("b", "z", 64).instance(2, "b", 36);
    let sizes = [20, 16, 12, 12];
    let first = (10_u128..)
        .zip(sizes)
        .fold(fixture.host("c", "z", 64), |fixture, (number, size)| fixture.instance(number, "c", size));
    let rollout = Case::of(first.0).planned();
    assert_eq!(rollout.hosts[0].host, host("c"));
    assert_eq!((rollout.certificate.moves, rollout.certificate.moves_lower_bound), (10, 7));
}

/// Four hosts with less on them than three hold, but the large instance of none fits beside what is on the others.
pub(super) fn no_host_can_be_first() -> Region {
    let mut fixture = Fixture::new();
    for (number, name) in (0_u128..).zip(["a", "b", "c", "d"]) {
        fixture = fixture.host(name, "z", 64);
        fixture = fixture.instance(number * 10 + 1, name, 30).instance(number * 10 + 2, name, 15);
    }
    fixture.0
}

#[test]
fn where_no_host_can_be_first_an_instance_of_another_makes_way() {
    let rollout = Case::of(no_host_can_be_first()).planned();
    let first = &rollout.hosts[0];
    let way = first.ways().next().unwrap();
    assert_eq!((first.ways().count(), first.own_moves().count(), rollout.hosts.len()), (1, 2, 4));
    assert!(way.finish_s <= first.own_moves().map(|own| own.start_s).fold(f64::INFINITY, f64::min));
    // Two of the first host move twice, and so does what made way.
    let certificate = &rollout.certificate;
    assert_eq!((certificate.instances, certificate.moves, certificate.moves_lower_bound), (8, 11, 10));
    let again = rollout.hosts.iter().find(|host| host.host == way.to).unwrap();
    assert!(again.own_moves().any(|own| own.instance == way.instance));
    let note = rollout.notes.iter().find(|note| note.at == first.host.as_str()).unwrap();
    assert!(note.message.contains("1 instances of hosts that still wait make way"), "{}", note.message);
}

#[test]
fn what_makes_way_keeps_to_its_group() {
    // What would make way has a mate on each of the others.
    let region = Fixture(no_host_can_be_first()).group("g", GroupPolicy::AntiAffinity, &[2, 12, 22, 32]).0;
    assert!(matches!(Case::of(region).plan(), Err(PlanError::Infeasible { .. })));
}

#[test]
fn what_makes_way_is_held_to_its_rules() {
    let case = Case::of(no_host_can_be_first());
    let rollout = case.planned();
    let found = |change: &dyn Fn(&mut Rollout)| {
        let mut broken = rollout.clone();
        change(&mut broken);
        check(&broken, &case.region).violations.join("; ")
    };
    let late = found(&|broken| {
        let host = &mut broken.hosts[0];
        let last = host.moves.iter().map(|one| one.finish_s).fold(0.0, f64::max);
        let takes = host.moves[0].finish_s - host.moves[0].start_s;
        (host.moves[0].start_s, host.moves[0].finish_s) = (last, last + takes);
        host.finish_s += takes;
    });
    assert!(late.contains("before others have made way"), "{late}");
    let early = found(&|broken| broken.hosts[0].start_s += 1.0);
    assert!(early.contains(", and may not"), "{early}");
    let mut with_start = case.clone();
    with_start.region = Fixture(with_start.region).host("tiny", "z", 8).0;
    let mut told = rollout.clone();
    told.targets.push(host("tiny"));
    told.skipped.push(SkippedHost { host: host("tiny"), reason: SkipReason::Mitigated, detail: String::new() });
    let start = check(&told, &with_start.region).violations.join("; ");
    assert!(start.contains(", and may not"), "{start}");
}

#[test]
fn a_zone_without_an_empty_host_is_planned_beside_one_that_has_one() {
    let region = Fixture::new()
        .host("a", "y", 64)
        .host("b", "y", 64)
        .instance(1, "a", 30)
        .instance(2, "b", 30)
        .host("c", "z", 64)
        .host("d", "z", 64)
        .instance(3, "c", 60)
        .0;
    let certificate = Case::of(region).planned().certificate;
    assert_eq!((certificate.moves, certificate.moves_lower_bound), (4, 4));
}

#[test]
fn one_host_of_each_class_is_planned_where_the_larger_take_the_smaller_ones_instances() {
    let region = Fixture::new()
        .host("large", "z", 256)
        .host("middle", "z", 128)
        .host("small", "z", 64)
        .instance(1, "large", 50)
        .instance(2, "large", 20)
        .instance(3, "middle", 60)
        .instance(4, "small", 40)
        .0;
    assert_eq!(Case::of(region).planned().hosts.len(), 3);
}

#[test]
fn a_group_with_a_member_on_every_host_but_one_can_be_done() {
    let region = Fixture::of(&["a", "b", "c"])
        .instance(1, "a", 20)
        .instance(2, "b", 20)
        .group("g", GroupPolicy::AntiAffinity, &[1, 2])
        .0;
    let certificate = Case::of(region).planned().certificate;
    assert_eq!((certificate.moves, certificate.instances), (2, 2));
}

#[test]
fn an_affinity_pair_keeps_its_host_out_and_its_room_taken() {
    let region = Fixture::of(&["a", "b", "c"])
        .instance(1, "a", 20)
        .instance(2, "a", 20)
        .group("pair", GroupPolicy::Affinity, &[1, 2])
        .instance(3, "b", 50)
        .0;
    let rollout = Case::of(region).planned();
    assert_eq!(rollout.skipped.iter().map(|skipped| skipped.reason).collect::<Vec<_>>(), [SkipReason::CannotEmpty]);
    assert_eq!(
        rollout.hosts.iter().flat_map(|planned| &planned.moves).map(|to| to.to.clone()).collect::<Vec<_>>(),
        [host("c")]
    );
}

#[test]
fn instances_larger_than_every_gap_go_together_into_the_empty_host() {
    let mut fixture = Fixture::new().host("empty", "z", 64);
    for (number, name) in (0_u128..).zip(["a", "b", "c"]) {
        fixture = fixture.host(name, "z", 64).instance(number * 10 + 1, name, 40).instance(number * 10 + 2, name, 20);
    }
    let certificate = Case::of(fixture.0).planned().certificate;
    assert_eq!((certificate.moves, certificate.instances), (6, 6));
}

#[test]
fn a_host_fuller_than_its_capacity_is_emptied_and_takes_nothing_before() {
    // Only `b` has room for the large instance, and beside it none for the other: that goes to `a`, once it is empty.
    let region = Fixture::new()
        .host("a", "z", 64)
        .instance(1, "a", 80)
        .host("b", "z", 100)
        .host("c", "z", 64)
        .instance(2, "c", 30)
        .0;
    let rollout = Case::of(region).planned();
    assert_eq!(rollout.hosts.len(), 3);
    let full = rollout.hosts.iter().find(|planned| planned.host == host("a")).unwrap();
    let to_it = rollout.hosts.iter().flat_map(|planned| &planned.moves).filter(|to| to.to == host("a"));
    let to_it: Vec<(InstanceId, bool)> = to_it.map(|to| (to.instance, to.start_s >= full.finish_s)).collect();
    assert_eq!(to_it, [(id(2), true)]);
}

#[test]
fn a_host_overcommitted_for_good_by_what_stays_is_remedied_and_takes_nothing() {
    let region = Fixture::new()
        .host("a", "z", 64)
        .instance(1, "a", 100)
        .with_instance(|instance| instance.status = InstanceStatus::Shutoff)
        .host("b", "z", 64)
        .instance(2, "b", 10)
        .host("c", "z", 64)
        .0;
    let rollout = Case::of(region).planned();
    assert_eq!(rollout.hosts.len(), 3);
    assert!(rollout.hosts.iter().flat_map(|planned| &planned.moves).all(|to| to.to != host("a")));
}

#[test]
fn disabled_and_down_hosts_are_neither_sources_nor_targets_and_keep_their_load() {
    let region = Fixture::new()
        .host("disabled", "z", 64)
        .with_host(|host| host.service.status = ServiceStatus::Disabled)
        .instance(1, "disabled", 10)
        .host("down", "z", 64)
        .with_host(|host| host.service.state = ServiceState::Down)
        .host("a", "z", 64)
        .instance(2, "a", 10)
        .host("b", "z", 64)
        .0;
    let rollout = Case::of(region).planned();
    let moves: Vec<(InstanceId, &str)> =
        rollout.hosts.iter().flat_map(|planned| &planned.moves).map(|to| (to.instance, to.to.as_str())).collect();
    assert_eq!(moves, [(id(2), "b")]);
}

#[test]
fn instances_in_mid_migration_and_unconfirmed_resizes_keep_their_hosts_out_and_their_room_taken() {
    let region = Fixture::new()
        .host("a", "z", 64)
        .instance(1, "a", 10)
        .with_instance(|instance| instance.task_state = Some("migrating".to_owned()))
        .host("b", "z", 64)
        .instance(2, "b", 10)
        .with_instance(|instance| instance.status = InstanceStatus::Migrating)
        .host("c", "z", 64)
        .instance(3, "c", 10)
        .with_instance(|instance| instance.status = InstanceStatus::VerifyResize)
        .host("d", "z", 64)
        .instance(4, "d", 60)
        .host("e", "z", 64)
        .0;
    let rollout = Case::of(region).planned();
    assert_eq!(rollout.hosts.iter().map(|planned| planned.host.as_str()).collect::<Vec<_>>(), ["e", "d"]);
    assert!(rollout.skipped.iter().all(|skipped| skipped.reason == SkipReason::CannotEmpty));
    assert!(rollout.skipped[0].detail.contains("migrating"), "{}", rollout.skipped[0].detail);
}

#[test]
fn instances_without_a_host_and_hosts_without_capacity_are_in_nobodys_way() {
    let region = Fixture::new()
        .host("a", "z", 64)
        .instance(1, "a", 10)
        .instance(2, "a", 10)
        .with_instance(|instance| instance.host = None)
        .host("bare", "z", 64)
        .with_host(|host| host.capacity = Resources::default())
        .host("b", "z", 64)
        .0;
    let rollout = Case::of(region).planned();
    assert_eq!(rollout.hosts.len(), 3);
    assert_eq!(rollout.certificate.instances, 1);
    assert!(rollout.hosts.iter().flat_map(|planned| &planned.moves).all(|to| to.to == host("b")));
}
