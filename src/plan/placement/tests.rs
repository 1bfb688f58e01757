//! Who goes where, and what is said when nobody takes it.

use std::collections::BTreeSet;

use super::{Choice, Draft, Mover, Occupancy, Refusal, Rules, choose_target};
use crate::model::{GroupPolicy, Headroom, HeadroomZone, Host, HostName, InstanceId, Region};
use crate::plan::fixture::{Fixture, flavor, host, id, processor};

fn mover(region: &Region, number: u128) -> Mover {
    Mover::of(region.instances.iter().find(|instance| instance.id == id(number)).unwrap()).unwrap()
}

fn admitting(region: &Region, hosts: &[&str]) -> Occupancy {
    let mut occupancy = Occupancy::of(region);
    for name in hosts {
        occupancy.admit(&host(name)).unwrap();
    }
    occupancy
}

/// What becomes of a mover when a policy keeps `kept` empty hosts: the host's name, or the refusal's words.
fn choose_keeping(occupancy: &Occupancy, mover: &Mover, kept: usize) -> String {
    let headroom = Headroom { per_zone: HeadroomZone { hosts: kept, ..HeadroomZone::default() } };
    match choose_target(occupancy, mover, &Rules::keeping(&headroom)) {
        Ok(Choice { host, instead: None }) => host.to_string(),
        Ok(Choice { host, instead: Some(refusal) }) => format!("{host}: {refusal}"),
        Err(refusal) => refusal.to_string(),
    }
}

fn choose(occupancy: &Occupancy, mover: &Mover) -> String {
    choose_keeping(occupancy, mover, 0)
}

fn place(occupancy: &Occupancy, movers: &[Mover]) -> Result<Vec<(InstanceId, HostName)>, Refusal> {
    Draft::over(occupancy, Rules::keeping(&Headroom::default())).book(movers)
}

/// Hosts `a` to `d` in zone `z` with 64 MiB each.
fn four() -> Fixture {
    ["a", "b", "c", "d"].iter().fold(Fixture::new(), |fixture, name| fixture.host(name, "z", 64))
}

fn in_rack(name: &'static str) -> impl FnOnce(&mut Host) {
    move |host| {
        host.rack = Some(name.to_owned());
        host.aggregates = vec![format!("rack-{name}"), "az".to_owned()];
    }
}

#[test]
fn one_instance_goes_where_it_may_and_a_refusal_says_what_is_in_the_way() {
    let nowhere = "no host in zone z takes instances yet";
    let in_use = four().instance(1, "a", 8).instance(2, "b", 16).instance(3, "c", 32);
    let avx = |instance: &mut crate::model::Instance| instance.traits = vec!["HW_CPU_X86_AVX2".to_owned()];
    let group = |policy| four().instance(1, "a", 8).instance(2, "b", 8).group("g", policy, &[1, 2]);
    let mates = four().instance(1, "a", 8).instance(2, "a", 8).group("g", GroupPolicy::Affinity, &[1, 2]);
    let small = Fixture::new().host("a", "z", 64).host("b", "z", 10).host("c", "z", 12).instance(1, "a", 16);
    let overcommitted = Fixture::new().host("a", "z", 64).host("b", "z", 8).instance(1, "a", 1).instance(2, "b", 20);
    let ssd = |host: &mut Host| host.aggregates = vec!["ssd".to_owned()];
    let apart = Fixture::new().host("a", "z", 64).host("b", "y", 64).host("c", "z", 64).with_host(ssd);
    let racks = Fixture::new().host("a", "z", 64).with_host(in_rack("r1")).host("b", "z", 64).with_host(in_rack("r2"));
    let cases: Vec<(&str, Fixture, &[&str], &str)> = vec![
        ("nothing is a target until it is admitted", four().instance(1, "a", 8), &[], nowhere),
        ("an admitted host takes it", four().instance(1, "a", 8), &["b"], "b"),
        ("the tightest host in use comes before an empty one", in_use, &["b", "c", "d"], "c"),
        (
            "the nearest miss is named with class and amount",
            small,
            &["b", "c"],
            "no target in zone z has room: 4 of MEMORY_MB missing at the best of them",
        ),
        (
            "a host fuller than its capacity takes nothing",
            overcommitted,
            &["b"],
            "no target in zone z has room: 13 of MEMORY_MB missing at the best of them",
        ),
        ("zone and aggregate are kept", apart.instance(1, "a", 8), &["b", "c"], nowhere),
        ("an aggregate that is a rack or a zone splits nothing", racks.instance(1, "a", 8), &["b"], "b"),
        (
            "a pinned zone is kept",
            four().instance(1, "a", 8).with_instance(|instance| instance.pinned_zone = Some("y".into())),
            &["b"],
            "it is pinned to zone y, where no target is",
        ),
        (
            "required traits are kept",
            four().instance(1, "a", 8).with_instance(avx),
            &["b"],
            "no target suits it: the traits it requires are missing: HW_CPU_X86_AVX2",
        ),
        (
            "hard anti-affinity refuses",
            group(GroupPolicy::AntiAffinity),
            &["b"],
            "anti-affinity group g has a member on each target with room",
        ),
        ("soft anti-affinity chooses", group(GroupPolicy::SoftAntiAffinity), &["b", "c"], "c"),
        ("soft anti-affinity does not refuse", group(GroupPolicy::SoftAntiAffinity), &["b"], "b"),
        ("a lone member of an affinity group is free", group(GroupPolicy::Affinity), &["c"], "c"),
        (
            "one of two members of an affinity group is held",
            mates,
            &["b"],
            "affinity group g holds it where its other members are",
        ),
    ];
    for (name, fixture, admitted, expected) in cases {
        assert_eq!(choose(&admitting(&fixture.0, admitted), &mover(&fixture.0, 1)), expected, "{name}");
    }
}

#[test]
fn what_the_inventory_told_of_an_instance_holds_though_the_plan_does_not_repeat_it() {
    let region = Fixture::new()
        .host("a", "z", 64)
        .with_host(processor(&["avx2"]))
        .instance(1, "a", 8)
        .with_instance(flavor("disk", "ssd"))
        .host("b", "z", 64)
        .with_host(processor(&["avx2"]))
        .host("c", "z", 64)
        .with_host(processor(&["sse4_2"]))
        .host("d", "z", 64)
        .with_host(processor(&["avx2"]))
        .aggregate("fast", "disk", "ssd", &["a", "c", "d"])
        .0;
    let planned = Mover { flavor: None, ..mover(&region, 1) };
    let inventory = "no target suits it: the inventory says that it may not be there";
    let processor = "no target suits it: its processor lacks what the guest has: avx2";
    assert_eq!(choose(&admitting(&region, &["b"]), &planned), inventory);
    assert_eq!(choose(&admitting(&region, &["c"]), &planned), processor);
    assert_eq!(choose(&admitting(&region, &["b", "c", "d"]), &planned), "d");
    let flavor = "no target suits it: no aggregate of it has `disk` as its flavor asks (`ssd`)";
    assert_eq!(choose(&admitting(&region, &["b"]), &mover(&region, 1)), flavor);
    // Moved to a better processor it still has its own: it may go where that one is enough.
    let mut moved = admitting(&region, &["d"]);
    moved.relocate(id(1), &host("b")).unwrap();
    assert_eq!(choose(&moved, &Mover { from: host("b"), ..planned }), "d");
}

#[test]
fn the_planned_host_is_a_preference_and_the_refusal_says_why_it_was_passed_over() {
    let region = Fixture::new().host("a", "z", 64).host("b", "z", 64).host("c", "z", 4).instance(1, "a", 8).0;
    let occupancy = admitting(&region, &["b", "c"]);
    let passed_over = "b: no target in zone z has room: 4 of MEMORY_MB missing at the best of them";
    assert_eq!(choose(&occupancy, &mover(&region, 1).preferring(host("c"))), passed_over);
    assert_eq!(choose(&occupancy, &mover(&region, 1).preferring(host("b"))), "b");
}

#[test]
fn anti_affinity_counts_members_on_their_way_and_lets_one_move_at_a_time() {
    let region = four().instance(1, "a", 8).instance(2, "b", 8).group("g", GroupPolicy::AntiAffinity, &[1, 2]).0;
    let mut occupancy = admitting(&region, &["c"]);
    assert_eq!(choose(&occupancy, &mover(&region, 1)), "c");
    occupancy.reserve(id(1), &host("c")).unwrap();
    let in_flight = "another member of anti-affinity group g is being moved";
    assert_eq!(choose(&occupancy, &mover(&region, 2)), in_flight);
    occupancy.relocate(id(1), &host("c")).unwrap();
    let beside = "anti-affinity group g has a member on each target with room";
    assert_eq!(choose(&occupancy, &mover(&region, 2)), beside);
    occupancy.admit(&host("d")).unwrap();
    assert_eq!(choose(&occupancy, &mover(&region, 2)), "d");
}

#[test]
fn an_instance_whose_mate_is_gone_is_free() {
    let region = four().instance(1, "a", 8).instance(2, "a", 8).group("g", GroupPolicy::Affinity, &[1, 2]).0;
    let mut occupancy = admitting(&region, &["b"]);
    occupancy.remove(id(2));
    assert_eq!(choose(&occupancy, &mover(&region, 1)), "b");
}

#[test]
fn a_reservation_takes_room_on_both_hosts_until_it_is_settled() {
    let region = four().instance(1, "a", 40).0;
    let mut occupancy = admitting(&region, &["a", "b"]);
    let free = |occupancy: &Occupancy| ["a", "b"].map(|name| occupancy.room(&host(name)).unwrap().memory_mb());
    occupancy.reserve(id(1), &host("b")).unwrap();
    assert_eq!(free(&occupancy), [24, 24]);
    assert_eq!(occupancy.bound_for(id(1)), Some(&host("b")));
    occupancy.release(id(1));
    assert_eq!(free(&occupancy), [24, 64]);
    occupancy.reserve(id(1), &host("b")).unwrap();
    occupancy.relocate(id(1), &host("b")).unwrap();
    assert_eq!(free(&occupancy), [64, 24]);
    assert_eq!(occupancy.instances_on(&host("b")), vec![id(1)]);
}

#[test]
fn what_found_no_room_need_not_be_asked_again_until_room_appears() {
    let region = Fixture::new().host("a", "z", 64).host("b", "z", 64).host("c", "y", 64).instance(1, "b", 8).0;
    let mut occupancy = admitting(&region, &["b"]);
    let domain = occupancy.domain_number(&host("a")).unwrap();
    let before = occupancy.room_appeared(domain);
    occupancy.admit(&host("c")).unwrap();
    assert_eq!(occupancy.room_appeared(domain), before);
    occupancy.remove(id(1));
    assert!(occupancy.room_appeared(domain) > before);
}

/// What it shows, the other hosts with their sizes, where two instances were planned to go, and where they go.
type Case<'a> = (&'a str, &'a [(&'a str, u64)], [Option<&'a str>; 2], [&'a str; 2]);

#[test]
fn a_whole_host_goes_where_planned_else_onto_one_host_else_where_each_fits_best() {
    let sizes = |sizes: &[(&str, u64)]| {
        let empty = Fixture::new().host("a", "z", 64).instance(1, "a", 20).instance(2, "a", 30);
        sizes.iter().fold(empty, |fixture, (name, size)| fixture.host(name, "z", *size)).0
    };
    let cases: [Case<'_>; 3] = [
        ("the smallest that takes all", &[("b", 128), ("c", 64), ("d", 30)], [None, None], ["c", "c"]),
        ("spread when no single one does", &[("b", 32), ("c", 20)], [None, None], ["c", "b"]),
        ("as planned while there is room", &[("b", 64), ("c", 64)], [Some("c"), Some("b")], ["c", "b"]),
    ];
    for (name, hosts, planned, expected) in cases {
        let region = sizes(hosts);
        let admitted: Vec<&str> = hosts.iter().map(|(name, _)| *name).collect();
        let prefer = |(number, planned): (u128, Option<&str>)| match planned {
            Some(planned) => mover(&region, number).preferring(host(planned)),
            None => mover(&region, number),
        };
        let movers: Vec<Mover> = (1..).zip(planned).map(prefer).collect();
        let placed = place(&admitting(&region, &admitted), &movers).unwrap();
        assert_eq!(placed, vec![(id(1), host(expected[0])), (id(2), host(expected[1]))], "{name}");
    }
    let region = sizes(&[("b", 32)]);
    let refusal = place(&admitting(&region, &["b"]), &[mover(&region, 1), mover(&region, 2)]).unwrap_err();
    assert!(matches!(refusal, Refusal::NoRoom { missing: 18, .. }), "{refusal}");
}

#[test]
fn empty_hosts_that_the_policy_keeps_are_not_filled() {
    let region = four().instance(1, "a", 8).0;
    let kept = "only the 1 empty hosts that the policy keeps in its zone would take it";
    assert_eq!(choose_keeping(&admitting(&region, &["b"]), &mover(&region, 1), 1), kept);
    assert_eq!(choose_keeping(&admitting(&region, &["b", "c"]), &mover(&region, 1), 1), "b");
}

#[test]
fn hosts_to_avoid_are_named_when_only_they_would_do() {
    let region = four().instance(1, "a", 8).0;
    let (avoid, headroom) = (BTreeSet::from([host("b")]), Headroom::default());
    let rules = Rules { avoid: &avoid, ..Rules::keeping(&headroom) };
    let refusal = choose_target(&admitting(&region, &["b"]), &mover(&region, 1), &rules).unwrap_err();
    assert_eq!(refusal.to_string(), "only b would take it, to be avoided for the moment");
}

#[test]
fn a_host_fuller_than_its_capacity_has_no_room_and_not_less_than_none() {
    let region = Fixture::new().host("b", "z", 8).instance(2, "b", 20).0;
    assert_eq!(Occupancy::of(&region).room(&host("b")).unwrap().memory_mb(), 0);
}
