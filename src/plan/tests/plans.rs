//! What a plan does with each kind of host and instance.

use std::collections::BTreeMap;

use super::*;
use crate::model::{
    GroupPolicy, InstanceHandling, InstanceStatus, Limit, Percent, Prefer, ServiceState, ServiceStatus, Span,
};
use crate::plan::fixture::{Fixture, id};
use crate::plan::synthetic::Recipe;

fn skips(rollout: &Rollout) -> BTreeMap<String, SkipReason> {
    rollout.skipped.iter().map(|skipped| (skipped.host.to_string(), skipped.reason)).collect()
}

fn order(rollout: &Rollout) -> Vec<&str> {
    rollout.hosts.iter().map(|planned| planned.host.as_str()).collect()
}

#[test]
fn an_empty_host_goes_first_and_then_each_instance_moves_once() {
    let region = Fixture::of(&["a", "b", "c"]).instance(1, "a", 30).instance(2, "a", 30).instance(3, "c", 40).0;
    let rollout = Case::of(region).planned();
    assert_eq!(rollout.hosts[0].host, host("b"));
    assert_eq!((rollout.certificate.moves, rollout.certificate.instances), (3, 3));
    assert_eq!(rollout.certificate.moves_lower_bound, 3);
}

#[test]
fn without_an_empty_host_the_one_with_the_fewest_instances_is_the_seed() {
    let region = Fixture::of(&["a", "b"]).instance(1, "a", 10).instance(2, "a", 10).instance(3, "b", 30).0;
    let rollout = Case::of(region).planned();
    assert_eq!(order(&rollout), ["b", "a"]);
    assert_eq!(rollout.certificate.moves, 4);
    assert_eq!(rollout.certificate.moves, rollout.certificate.moves_lower_bound);
}

#[test]
fn a_mitigated_host_is_skipped_and_takes_instances() {
    let region = Fixture::of(&["a", "b"]).instance(1, "a", 10).0;
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
    let region = Fixture::of(&["a", "b"])
        .instance(1, "a", 40)
        .with_instance(|instance| instance.status = InstanceStatus::Shutoff)
        .instance(2, "b", 40)
        .0;
    let mut case = Case::of(region);
    case.scope.no_room = NoRoom::LeaveOut;
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
    let region = Fixture::of(&["a", "b"])
        .instance(1, "a", 10)
        .with_instance(|instance| instance.status = InstanceStatus::VerifyResize)
        .0;
    let rollout = Case::of(region).planned();
    assert_eq!(skips(&rollout)["a"], SkipReason::CannotEmpty);
    assert!(rollout.skipped[0].detail.contains("VERIFY_RESIZE"), "{}", rollout.skipped[0].detail);
}

#[test]
fn locked_instances_and_affinity_mates_are_not_moved() {
    let region = Fixture::of(&["a", "b", "c"])
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
fn moves_are_spent_on_small_instances_so_that_what_is_left_of_two_hosts_fits_into_one() {
    let mut fixture = Fixture::new().host("empty", "z", 100);
    for host in 1..=12_u128 {
        let name = format!("host{host}");
        fixture = fixture.host(&name, "z", 100).instance(host * 10, &name, 45);
        for small in 1..=5 {
            fixture = fixture.instance(host * 10 + small, &name, 9);
        }
    }
    let mut case = Case::of(fixture.0);
    case.policy.limits.hosts = Limit::at_most(4);
    case.policy.limits.hosts_per_zone = Limit::at_most(4);
    let frugal = case.planned().certificate;
    case.policy.objective.prefer = Prefer::Fastest;
    case.policy.objective.extra_moves = Percent::new(20.0).unwrap();
    let fastest = case.planned().certificate;
    assert_eq!(frugal.moves, frugal.instances);
    assert!(fastest.makespan_s < frugal.makespan_s, "{} {}", fastest.makespan_s, frugal.makespan_s);
    assert!(fastest.moves_per_instance <= 1.2, "{}", fastest.moves_per_instance);
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
    let region = Fixture::of(&["a", "b"]).instance(1, "a", 10).instance(2, "b", 10).0;
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
    let region = Fixture::of(&["a", "b"]).instance(1, "a", 10).0;
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

#[test]
fn a_rollout_changed_by_hand_cannot_be_run() {
    let region = Fixture::of(&["a", "b"]).instance(1, "a", 10).0;
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

#[test]
fn a_host_takes_what_it_took_before_and_the_others_the_median_of_what_was_measured() {
    let region = Fixture::of(&["a", "b", "c", "d"]).0;
    let work = |measured: &[(&str, u64)]| {
        let mut case = Case::of(region.clone());
        let measured = measured.iter().map(|(name, seconds)| (host(name), Span::seconds(*seconds)));
        case.experience = Experience::new(measured.collect(), None);
        let rollout = case.planned();
        let out = rollout.hosts.iter().map(|planned| (planned.host.to_string(), planned.finish_s - planned.start_s));
        out.collect::<BTreeMap<String, f64>>().into_values().collect::<Vec<f64>>()
    };
    assert_eq!(work(&[]), [600.0; 4], "the policy's");
    assert_eq!(work(&[("a", 100), ("b", 300)]), [100.0, 300.0, 600.0, 600.0], "two hosts say nothing of others");
    assert_eq!(work(&[("a", 100), ("b", 300), ("c", 900)]), [100.0, 300.0, 900.0, 300.0]);
}
