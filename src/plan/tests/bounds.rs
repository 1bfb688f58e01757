//! Lower bounds: each of them decides somewhere, and there the plan meets it to the second.

use super::*;
use crate::model::{GroupPolicy, HeadroomZone, InstanceStatus, Limit, Percent, Span};
use crate::plan::fixture::{Fixture, processor};

/// Seconds that a host takes after its last instance has left, and what the migration of an instance with `memory_mb`
/// takes.
const WORK: f64 = 600.0;

fn migration(case: &Case, memory_mb: u64) -> f64 {
    (case.policy.estimate.move_seconds(memory_mb) * 1000.0).ceil() / 1000.0
}

/// No limit but what the test sets.
fn unlimited(region: Region) -> Case {
    let mut case = Case::of(region);
    case.policy.limits.hosts = Limit::at_most(100);
    case.policy.limits.hosts_per_zone = Limit::at_most(100);
    case.policy.limits.keep_up.per_zone = 0;
    case.policy.limits.keep_up.per_aggregate = 0;
    case.policy.limits.migrations = 100;
    case.policy.limits.migrations_per_target = 100;
    case.policy.estimate.host = Span::seconds(600);
    case
}

/// `count` hosts of 64 MiB in zone `z` with one instance of `memory_mb` each, and mitigated `t0`, `t1`, … beside them.
fn hosts(count: u128, memory_mb: u64, targets: usize) -> Case {
    let fixture = (0..targets).fold(Fixture::new(), |fixture, number| fixture.host(&format!("t{number}"), "z", 64));
    let fixture = (1..=count).fold(fixture, |fixture, number| {
        fixture.host(&format!("h{number}"), "z", 64).instance(number, &format!("h{number}"), memory_mb)
    });
    let case = unlimited(fixture.0);
    (0..targets).fold(case, |case, number| case.verdict(&format!("t{number}"), VerdictKind::Mitigated))
}

/// The certificate says that `name` decides, with so many seconds, and that the plan takes no longer.
fn decides(case: &Case, name: &str, seconds: f64) {
    let certificate = case.planned().certificate;
    assert!((certificate.bounds[name] - seconds).abs() < 0.01, "{name} is {} not {seconds}", certificate.bounds[name]);
    assert!((certificate.makespan_lower_bound_s - seconds).abs() < 0.01, "{:?}", certificate.bounds);
    assert!((certificate.makespan_s - seconds).abs() < 0.1, "{} {seconds}", certificate.makespan_s);
}

#[test]
fn slots_of_region_zone_rack_and_aggregate_decide() {
    let one_at_a_time = |change: &dyn Fn(&mut Case)| {
        let mut case = hosts(3, 10, 3);
        change(&mut case);
        let total = 3.0 * (WORK + migration(&case, 10));
        (case, total)
    };
    let (case, total) = one_at_a_time(&|case| case.policy.limits.hosts = Limit::at_most(1));
    decides(&case, "slots", total);
    let (case, total) = one_at_a_time(&|case| case.policy.limits.hosts_per_zone = Limit::at_most(1));
    decides(&case, "slots/z", total);
    let (case, total) = one_at_a_time(&|case| {
        case.policy.limits.hosts_per_rack = Some(Limit::at_most(1));
        case.region.hosts.iter_mut().for_each(|host| host.rack = Some("r".to_owned()));
    });
    decides(&case, "slots-per-rack", total);
    let (case, total) = one_at_a_time(&|case| {
        case.policy.limits.keep_up.per_aggregate = 2;
        case.region = Fixture(case.region.clone()).aggregate("ssd", "owner", "us", &["h1", "h2", "h3"]).0;
    });
    decides(&case, "slots-per-aggregate", total);
}

#[test]
fn canaries_decide_whichever_hosts_they_are() {
    let mut case = hosts(5, 10, 5);
    case.policy.canary.hosts = 1;
    case.policy.canary.soak = Span::seconds(900);
    let out = WORK + migration(&case, 10);
    decides(&case, "canary", 2.0 * out + 900.0);
    // A rollout that calls other hosts canaries has the same bound.
    let mut rollout = case.planned();
    let bound = rollout.certificate.bounds["canary"];
    for planned in &mut rollout.hosts {
        planned.canary = !planned.canary;
    }
    let certificate = check(&rollout, &case.region);
    assert!((certificate.bounds["canary"] - bound).abs() < 0.01, "{:?}", certificate.bounds);
    let amiss = "4 canary hosts where the policy wants 1";
    assert!(certificate.violations.iter().any(|text| text == amiss), "{:?}", certificate.violations);
    for planned in &mut rollout.hosts {
        planned.canary = false;
    }
    let amiss = "0 canary hosts where the policy wants 1";
    assert!(check(&rollout, &case.region).violations.iter().any(|text| text == amiss));
}

#[test]
fn room_that_the_headroom_keeps_decides() {
    let mut case = hosts(4, 10, 2);
    // Of 384 MiB 40 are in use: beside 200 that stay free two hosts may be out.
    case.policy.headroom.per_zone =
        HeadroomZone { resources: [("MEMORY_MB".to_owned(), 200)].into_iter().collect(), ..HeadroomZone::default() };
    let out = WORK + migration(&case, 10);
    let certificate = case.planned().certificate;
    let bound = 4.0 * 64.0 * out / (384.0 - 40.0 - 200.0);
    assert!((certificate.bounds["headroom"] - bound).abs() < 0.01, "{:?}", certificate.bounds);
    assert!((certificate.makespan_s - 2.0 * out).abs() < 0.1, "{}", certificate.makespan_s);
    case.policy.headroom.per_zone.percent = Percent::new(90.0);
    decides(&case, "headroom", 4.0 * out);
}

#[test]
fn streams_of_the_region_decide() {
    let mut case = hosts(4, 10, 4);
    case.policy.limits.migrations = 1;
    let total = 4.0 * migration(&case, 10) + WORK;
    decides(&case, "migrations", total);
}

#[test]
fn what_the_only_host_to_take_instances_can_receive_decides() {
    let mut case = hosts(4, 10, 1);
    case.policy.limits.migrations_per_target = 1;
    case.policy.hosts.spare = ["h1", "h2", "h3", "h4"].map(host).into();
    let total = 4.0 * migration(&case, 10) + WORK;
    decides(&case, "receive", total);
}

#[test]
fn a_group_whose_members_move_one_by_one_decides() {
    let mut case = hosts(4, 10, 5);
    case.region = Fixture(case.region.clone()).group("g", GroupPolicy::AntiAffinity, &[1, 2, 3, 4]).0;
    let total = 4.0 * migration(&case, 10) + WORK;
    decides(&case, "anti-affinity-group", total);
}

#[test]
fn free_room_decides_in_a_full_fleet() {
    let case = hosts(4, 64, 1);
    let total = 4.0 * (migration(&case, 64) + WORK);
    decides(&case, "room", total);
    let case = hosts(4, 64, 2);
    let total = 2.0 * (migration(&case, 64) + WORK);
    decides(&case, "room", total);
}

#[test]
fn what_stays_and_what_spares_hold_is_no_room_for_others() {
    // What stays on h1 leaves 24 free there once it was remedied; the spare's room is nobody's.
    let mut case = hosts(2, 24, 1);
    case.region = Fixture(case.region).instance(9, "h1", 40).0;
    case.region.instances.last_mut().unwrap().status = InstanceStatus::Shutoff;
    case.region = Fixture(case.region).instance(10, "t0", 40).host("s", "z", 640).0;
    case.verdicts = synthetic::all_vulnerable(&case.region);
    let mut case = case.verdict("t0", VerdictKind::Mitigated);
    case.policy.hosts.spare.insert(host("s"));
    let certificate = case.planned().certificate;
    // Free are 24 of t0 and 40 of h2. h1 lacks 24 while it is remedied, h2 64, and each its migration.
    let bound = (24.0 * WORK + 64.0 * WORK + 2.0 * 24.0 * migration(&case, 24)) / 64.0;
    assert!((certificate.bounds["room"] - bound).abs() < 0.01, "{:?} {bound}", certificate.bounds);
}

#[test]
fn each_part_of_a_domain_needs_a_first_host_of_its_own() {
    // Guests of the processors with avx2 go nowhere else: the empty host is none of theirs.
    let part = |fixture: Fixture, flags: &'static [&'static str], names: [&str; 2], first: u128| {
        names.iter().zip(first..).fold(fixture, |fixture, (name, number)| {
            let fixture = fixture.host(name, "z", 64).with_host(processor(flags)).instance(number * 10, name, 10);
            fixture.instance(number * 10 + 1, name, 10)
        })
    };
    let fixture = part(Fixture::new(), &["avx", "avx2"], ["a", "b"], 1);
    let case = Case::of(fixture.host("c", "z", 64).with_host(processor(&["avx"])).0);
    let certificate = case.planned().certificate;
    assert_eq!((certificate.instances, certificate.moves_lower_bound, certificate.moves), (4, 6, 6));
    // Where the empty host is of their kind, one move for each is enough.
    let fixture = part(Fixture::new(), &["avx", "avx2"], ["a", "b"], 1);
    let case = Case::of(fixture.host("c", "z", 64).with_host(processor(&["avx", "avx2"])).0);
    let certificate = case.planned().certificate;
    assert_eq!((certificate.moves_lower_bound, certificate.moves), (4, 4));
}

#[test]
fn an_empty_host_spares_only_as_many_second_moves_as_fit_into_it() {
    // Of each host's three instances one fits into the small empty host, so two go to a host that waits.
    let fixture = ["a", "b", "c"].iter().zip(1_u128..).fold(Fixture::new(), |fixture, (name, number)| {
        (0..3).fold(fixture.host(name, "z", 64), |fixture, more| fixture.instance(number * 10 + more, name, 10))
    });
    let certificate = Case::of(fixture.host("small", "z", 15).0).planned().certificate;
    assert_eq!((certificate.instances, certificate.moves_lower_bound, certificate.moves), (9, 11, 11));
}
