//! What holds for the plan of any region.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::model::{Aggregate, InstanceStatus, Limit, NumaCell};
use crate::plan::fixture::{flavor, id, processor};
use crate::plan::synthetic::Recipe;

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

/// Whether whatever comes to `host` fits when it comes: counted from the itinerary of each instance, without any of the
/// checker's books.
fn is_never_too_full(rollout: &Rollout, region: &Region, host: &HostName) -> bool {
    let moves: Vec<&PlannedMove> = rollout.hosts.iter().flat_map(|planned| &planned.moves).collect();
    let capacity = &region.hosts.iter().find(|known| known.host == *host).unwrap().capacity;
    moves.iter().filter(|to| to.to == *host).all(|arrival| {
        let is_here = |instance: &&crate::model::Instance| {
            let own = || moves.iter().filter(|planned| planned.instance == instance.id);
            let came = own().filter(|to| to.to == *host && to.start_s <= arrival.start_s).count();
            let left = own().filter(|from| from.from == *host && from.finish_s <= arrival.start_s).count();
            usize::from(instance.host.as_ref() == Some(host)) + came > left
        };
        let here: Vec<_> = region.instances.iter().filter(is_here).map(|instance| &instance.resources).collect();
        capacity.iter().all(|(class, all)| here.iter().map(|amounts| amounts.get(class)).sum::<u64>() <= all)
    })
}

/// Gives hosts and instances what real regions have, by the bits of `features`: aggregates that flavors ask for, hosts
/// kept for projects, processors of two generations, racks.
fn decorate(region: &mut Region, seed: u64, features: u8) {
    let draw = |what: u64, number: usize, of: u64| schedule::mix(seed ^ what, number as u64) % of;
    let has = |bit: u8| features & (1 << bit) != 0;
    let aggregate = |name: &str, key: &str, value: &str| Aggregate {
        name: name.to_owned(),
        metadata: [(key.to_owned(), value.to_owned())].into(),
    };
    let mut fast = BTreeSet::new();
    region.aggregates = vec![
        aggregate("fast", "disk", "ssd"),
        aggregate("theirs", "filter_tenant_id", "project-1, project-2, project-3"),
        aggregate("team", "owner", "us"),
    ];
    for (number, host) in region.hosts.iter_mut().enumerate() {
        host.aggregates = if draw(1, number, 2) == 0 { vec!["team".to_owned()] } else { vec![] };
        if has(0) && draw(2, number, 2) == 0 {
            host.aggregates.push("fast".to_owned());
            fast.insert(host.host.clone());
        }
        if has(1) && draw(3, number, 5) == 0 {
            host.aggregates.push("theirs".to_owned());
        }
        if has(2) {
            let flags: &[&str] = if draw(4, number, 3) == 0 { &["avx", "avx2"] } else { &["avx"] };
            processor(flags)(host);
        }
        if has(4) {
            let cell = NumaCell { cpus: 64, memory_mb: host.capacity.memory_mb() / 2, huge_pages: BTreeMap::new() };
            host.facts.numa = vec![cell.clone(), cell];
        }
        if has(3) {
            host.rack = Some(format!("r{}", draw(5, number, 4)));
        }
    }
    for (number, instance) in region.instances.iter_mut().enumerate() {
        if instance.host.as_ref().is_some_and(|host| fast.contains(host)) && draw(6, number, 3) == 0 {
            flavor("aggregate_instance_extra_specs:disk", "ssd")(instance);
        } else if has(4) && draw(7, number, 3) == 0 {
            flavor("hw:numa_nodes", if draw(8, number, 2) == 0 { "1" } else { "2" })(instance);
        }
    }
}

/// What becomes of a region whose stuck hosts are left out: the plan's digest where there is one, what lacks, and what
/// would help.
fn answer(mut case: Case) -> (Option<Digest>, Vec<Shortfall>, Vec<WayOut>) {
    case.scope.no_room = NoRoom::LeaveOut;
    match case.reported() {
        Ok((rollout, report)) => (Some(rollout.digest), report.shortfalls, report.ways_out),
        Err(PlanError::Infeasible { shortfalls, ways_out, .. }) => (None, shortfalls, ways_out),
        Err(other @ (PlanError::NoSuch { .. } | PlanError::Violations(_))) => panic!("{other}"),
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
        features in any::<u8>(),
    ) {
        let mut region = synthetic::region(&recipe, seed);
        for (number, instance) in region.instances.iter_mut().enumerate() {
            if schedule::mix(seed, number as u64) % 1000 < stopped {
                instance.status = InstanceStatus::Shutoff;
            }
        }
        decorate(&mut region, seed, features);
        let mut case = Case::of(region);
        case.policy.limits.hosts = Limit::at_most(slots);
        case.policy.limits.hosts_per_rack = Some(Limit::at_most(slots.div_ceil(2)));
        case.policy.limits.hosts_per_zone = Limit::at_most(slots.div_ceil(2));
        case.policy.limits.migrations = slots;
        case.policy.limits.migrations_per_source = streams;
        case.policy.limits.migrations_per_target = streams;
        case.policy.canary.hosts = canaries;
        case.policy.headroom.per_zone.hosts = kept;
        case.scope.no_room = NoRoom::LeaveOut;
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
    fn the_checker_catches_any_move_and_host_that_goes_missing_or_astray(
        recipe in recipes(),
        seed in any::<u64>(),
        place in any::<prop::sample::Index>(),
        breakage in 0_usize..10,
    ) {
        let mut case = Case::of(synthetic::region(&recipe, seed));
        case.scope.no_room = NoRoom::LeaveOut;
        let Ok(mut rollout) = case.plan() else { return Ok(()) };
        let with_moves: Vec<usize> =
            (0..rollout.hosts.len()).filter(|host| !rollout.hosts[*host].moves.is_empty()).collect();
        if with_moves.is_empty() {
            return Ok(());
        }
        let peak = rollout.certificate.peak_hosts_out;
        let index = *place.get(&with_moves);
        let planned = &mut rollout.hosts[index];
        let number = place.index(planned.moves.len());
        match breakage {
            0 => drop(planned.moves.remove(number)),
            1 => planned.moves[number].to = planned.host.clone(),
            2 => planned.moves[number].start_s = planned.finish_s,
            3 => planned.finish_s = planned.start_s,
            4 => planned.start_s = planned.moves[0].start_s + 1.0,
            5 => planned.moves[number].from = planned.moves[number].to.clone(),
            6 => planned.moves[number].instance = id(1),
            7 => drop(rollout.hosts.remove(index)),
            8 => {
                let (host, detail) = (planned.host.clone(), String::new());
                rollout.skipped.push(SkippedHost { host, reason: SkipReason::NoRoom, detail });
            }
            _ if peak > 1 => rollout.policy.limits.hosts = Limit::at_most(peak - 1),
            _ => return Ok(()),
        }
        prop_assert!(!check(&rollout, &case.region).violations.is_empty());
    }

    #[test]
    fn moves_that_swap_their_targets_are_caught_or_do_no_harm(
        recipe in recipes(),
        seed in any::<u64>(),
        one in any::<prop::sample::Index>(),
        other in any::<prop::sample::Index>(),
    ) {
        let mut case = Case::of(synthetic::region(&recipe, seed));
        case.scope.no_room = NoRoom::LeaveOut;
        let Ok(mut rollout) = case.plan() else { return Ok(()) };
        let places: Vec<(usize, usize)> = (rollout.hosts.iter().enumerate())
            .flat_map(|(host, planned)| (0..planned.moves.len()).map(move |number| (host, number)))
            .collect();
        if places.is_empty() {
            return Ok(());
        }
        let ((a, b), (c, d)) = (*one.get(&places), *other.get(&places));
        let (first, second) = (rollout.hosts[a].moves[b].to.clone(), rollout.hosts[c].moves[d].to.clone());
        rollout.hosts[a].moves[b].to = second.clone();
        rollout.hosts[c].moves[d].to = first.clone();
        if check(&rollout, &case.region).violations.is_empty() {
            for host in [first, second] {
                prop_assert!(is_never_too_full(&rollout, &case.region, &host), "{host}");
            }
        }
    }

    #[test]
    fn the_order_of_the_input_does_not_matter(recipe in recipes(), seed in any::<u64>(), features in any::<u8>()) {
        let mut region = synthetic::region(&recipe, seed);
        decorate(&mut region, seed, features);
        let mut turned = region.clone();
        turned.hosts.reverse();
        turned.instances.reverse();
        turned.groups.reverse();
        turned.aggregates.reverse();
        let (one, other) = (answer(Case::of(region)), answer(Case::of(turned)));
        prop_assert_eq!(one, other);
    }
}
