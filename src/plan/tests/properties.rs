//! What holds for the plan of any region.

use proptest::prelude::*;

use super::*;
use crate::model::Limit;
use crate::plan::fixture::id;
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

/// What becomes of a region whose stuck hosts are left out: the plan's digest where there is one, what lacks, and what
/// would help.
fn answer(case: &Case) -> (Option<Digest>, Vec<Shortfall>, Vec<WayOut>) {
    match case.reported() {
        Ok((rollout, report)) => (Some(rollout.digest), report.shortfalls, report.ways_out),
        Err(PlanError::Infeasible { shortfalls, ways_out, .. }) => (None, shortfalls, ways_out),
        Err(other @ (PlanError::NoSuch { .. } | PlanError::Violations(_))) => panic!("{other}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn the_checker_finds_nothing_in_plans_of_random_regions_and_no_plan_beats_a_bound(
        recipe in recipes(),
        seed in any::<u64>(),
        features in any::<u16>(),
    ) {
        match drawn::case(&recipe, seed, features).plan() {
            Ok(rollout) => {
                let certificate = &rollout.certificate;
                prop_assert!(certificate.violations.is_empty());
                prop_assert!(certificate.makespan_s + 0.001 >= certificate.makespan_lower_bound_s, "{certificate:?}");
                prop_assert!(certificate.moves >= certificate.moves_lower_bound, "{certificate:?}");
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
    fn the_order_of_the_input_does_not_matter(recipe in recipes(), seed in any::<u64>(), features in any::<u16>()) {
        let case = drawn::case(&recipe, seed, features);
        let mut turned = case.clone();
        turned.region.hosts.reverse();
        turned.region.instances.reverse();
        turned.region.groups.reverse();
        turned.region.aggregates.reverse();
        let (one, other) = (answer(&case), answer(&turned));
        prop_assert_eq!(one, other);
    }
}
