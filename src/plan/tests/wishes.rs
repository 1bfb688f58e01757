//! What the policy wishes of hosts: off limits, spares, room kept free, who goes first.

use super::*;
use crate::model::{HeadroomZone, Host, Limit, Percent, Place, Resources, ServiceState, ServiceStatus};
use crate::plan::fixture::Fixture;
use crate::plan::synthetic::Recipe;

fn order(rollout: &Rollout) -> Vec<&str> {
    rollout.hosts.iter().map(|planned| planned.host.as_str()).collect()
}

fn targets(rollout: &Rollout) -> Vec<&str> {
    rollout.hosts.iter().flat_map(|planned| &planned.moves).map(|planned| planned.to.as_str()).collect()
}

/// `a` with an instance, empty `b` that fits it best, empty `c`.
fn three() -> Case {
    Case::of(Fixture::new().host("a", "z", 64).instance(1, "a", 10).host("b", "z", 12).host("c", "z", 64).0)
}

/// The same where somebody sends the instance to `b`.
fn sent_to_b(rollout: &Rollout) -> Rollout {
    let mut broken = rollout.clone();
    let host_a = broken.hosts.iter_mut().find(|planned| planned.host == host("a")).unwrap();
    host_a.moves[0].to = host("b");
    broken
}

#[test]
fn hosts_off_limits_are_neither_remedied_nor_used_and_the_checker_knows() {
    let mut case = three();
    case.policy.hosts.exclude.insert(host("b"));
    let rollout = case.planned();
    assert_eq!((order(&rollout), targets(&rollout)), (vec!["c", "a"], vec!["c"]));
    assert!(rollout.skipped[0].detail.contains("hosts.exclude"), "{}", rollout.skipped[0].detail);
    let found = check(&sent_to_b(&rollout), &case.region).violations.join("\n");
    assert!(found.contains("goes to b, which stays vulnerable"), "{found}");
    let mut planned = case.clone();
    planned.policy.hosts.exclude.clear();
    let mut broken = planned.planned();
    broken.policy.hosts.exclude.insert(host("b"));
    let found = check(&broken, &case.region).violations.join("\n");
    assert!(found.contains("b is planned and the policy never remedies it"), "{found}");
}

#[test]
fn hosts_that_are_only_targets_take_instances_and_are_not_remedied() {
    let mut case = three().verdict("b", VerdictKind::Mitigated);
    case.policy.hosts.targets_only = [host("b"), host("c")].into();
    let rollout = case.planned();
    assert_eq!((order(&rollout), targets(&rollout)), (vec!["a"], vec!["b"]));
    let skipped = rollout.skipped.iter().find(|skipped| skipped.host == host("c")).unwrap();
    assert!(skipped.detail.contains("hosts.targets_only"), "{}", skipped.detail);
}

#[test]
fn spares_are_remedied_and_stay_empty_and_the_checker_knows() {
    let mut case = three();
    case.policy.hosts.spare.insert(host("b"));
    let rollout = case.planned();
    assert!(order(&rollout).contains(&"b") && targets(&rollout) == ["c"], "{:?}", targets(&rollout));
    let found = check(&sent_to_b(&rollout), &case.region).violations.join("\n");
    assert!(found.contains("goes to b, which the policy keeps as a spare"), "{found}");
    let mitigated = three().verdict("b", VerdictKind::Mitigated);
    let mut broken = mitigated.planned();
    broken.policy.hosts.spare.insert(host("b"));
    let found = check(&broken, &case.region).violations.join("\n");
    assert!(found.contains("b takes instances and the policy keeps it from that"), "{found}");
}

/// Six hosts of one zone, three of them of aggregate `ssd`, and room for all.
fn with_ssd() -> Case {
    let names = ["a", "b", "c", "d", "e", "f"];
    let fixture = (1_u128..).zip(names).fold(Fixture::new(), |fixture, (number, name)| {
        let fixture = fixture.host(name, "z", 64);
        if name < "d" { fixture.instance(number, name, 10) } else { fixture }
    });
    let mut case = Case::of(fixture.aggregate("ssd", "owner", "us", &["a", "b", "c"]).0);
    case.policy.limits.hosts = Limit::at_most(6);
    case.policy.limits.hosts_per_zone = Limit::at_most(6);
    case
}

/// Most hosts of `ssd` that are out at once.
fn ssd_out(rollout: &Rollout) -> usize {
    let of_it = || rollout.hosts.iter().filter(|planned| planned.host < host("d"));
    let out = |at: f64| of_it().filter(|planned| planned.start_s <= at && at < planned.finish_s).count();
    of_it().map(|planned| out(planned.start_s)).max().unwrap_or(0)
}

#[test]
fn so_many_hosts_of_an_aggregate_stay_in_service_and_the_checker_knows() {
    for (keep, out) in [(0, 3), (1, 2), (2, 1), (3, 1), (9, 1)] {
        let mut case = with_ssd();
        case.policy.limits.keep_up.per_aggregate = keep;
        let rollout = case.planned();
        assert_eq!(ssd_out(&rollout), out, "{keep}");
        let mut stricter = rollout.clone();
        stricter.policy.limits.keep_up.per_aggregate = keep + 1;
        let found = check(&stricter, &case.region).violations.join("\n");
        assert_eq!(found.contains("hosts of aggregate ssd are out and the limit is"), out > 1, "{keep}: {found}");
    }
}

#[test]
fn hosts_of_an_aggregate_that_are_not_in_service_are_none_that_stay_so() {
    for change in [
        (|host| host.service.status = ServiceStatus::Disabled) as fn(&mut Host),
        |host| host.service.state = ServiceState::Down,
        |host| host.service.forced_down = true,
    ] {
        let mut case = with_ssd();
        change(&mut case.region.hosts[0]);
        assert_eq!(ssd_out(&case.planned()), 1);
    }
}

#[test]
fn a_policy_that_names_what_is_not_there_is_refused() {
    let mut case = three();
    case.policy.hosts.spare.insert(host("x"));
    assert_eq!(case.plan().unwrap_err().to_string(), "host x is not in region RegionOne");
    let mut case = three();
    case.policy.priority = vec![Place::Rack("r9".to_owned())];
    assert_eq!(case.plan().unwrap_err().to_string(), "the policy's priority: rack r9 is not in region RegionOne");
}

/// Forty hosts of one zone, half full, without limits worth mentioning.
fn forty() -> Case {
    let recipe = Recipe { hosts: 40, zones: 1, utilisation: 0.5, empty: 0.2, ..Recipe::default() };
    let mut case = Case::of(synthetic::region(&recipe, 5));
    case.policy.limits.hosts = Limit::at_most(20);
    case.policy.limits.hosts_per_zone = Limit::at_most(20);
    case
}

#[test]
fn a_share_of_a_zone_or_an_amount_stays_free_and_the_checker_knows() {
    let free = forty().planned();
    assert!(free.certificate.peak_hosts_out > 8, "{}", free.certificate.peak_hosts_out);
    let memory: Resources = [("MEMORY_MB", 10_u64 * 512 * 1024)].into_iter().collect();
    for headroom in [
        HeadroomZone { percent: Percent::new(45.0), ..HeadroomZone::default() },
        HeadroomZone { resources: memory, ..HeadroomZone::default() },
    ] {
        let mut case = forty();
        case.policy.headroom.per_zone = headroom.clone();
        let kept = case.planned();
        assert!(kept.certificate.peak_hosts_out < free.certificate.peak_hosts_out, "{headroom:?}");
        let mut broken = free.clone();
        broken.policy.headroom.per_zone = headroom;
        let found = check(&broken, &case.region).violations.join("\n");
        assert!(found.contains("free than the policy's headroom"), "{found}");
    }
}

#[test]
fn one_host_may_be_out_whatever_is_to_stay_free() {
    let mut case = forty();
    case.policy.headroom.per_zone.percent = Percent::new(99.0);
    let rollout = case.planned();
    assert_eq!((rollout.certificate.peak_hosts_out, rollout.hosts.len()), (1, 40));
}

#[test]
fn the_policys_priority_goes_first_and_what_goes_out_of_turn_is_told() {
    let mut case = forty();
    case.policy.limits.hosts = Limit::at_most(4);
    for (number, host) in case.region.hosts.iter_mut().enumerate() {
        host.rack = Some(format!("r{}", number % 4));
    }
    // Room from the start: what comes first need not wait for others that are empty.
    let used: Vec<HostName> = case.region.instances.iter().filter_map(|instance| instance.host.clone()).collect();
    let (used, empty): (Vec<HostName>, Vec<HostName>) =
        case.region.hosts.iter().map(|host| host.host.clone()).partition(|name| used.contains(name));
    for name in empty {
        case = case.verdict(name.as_str(), VerdictKind::Mitigated);
    }
    let is_of_r3 = |name: &HostName| case.region.host(name).unwrap().rack.as_deref() == Some("r3");
    let next = used.iter().rfind(|name| !is_of_r3(name)).unwrap().clone();
    case.policy.priority = vec![Place::Rack("r3".to_owned()), Place::Host(next.clone())];
    let rollout = case.planned();
    let racks: Vec<&str> = rollout.hosts.iter().filter_map(|planned| planned.rack.as_deref()).collect();
    let first = racks.iter().filter(|rack| **rack == "r3").count();
    assert!(first > 4 && racks[..first].iter().all(|rack| *rack == "r3"), "{racks:?}");
    assert!(rollout.hosts[first - 1].host == next || rollout.hosts[first].host == next, "{next}");
    assert!(!rollout.notes.iter().any(|note| note.message.contains("priority")));
    let mut turned = rollout.clone();
    turned.policy.priority = vec![Place::Rack("r0".to_owned())];
    assert!(check::check_with_turns(&turned, &case.region).1 >= first);
}
