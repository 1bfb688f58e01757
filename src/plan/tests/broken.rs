//! A planner that is broken in any way is caught: plans of regions with everything in them are changed at random, and
//! each thing that the checker can find has to be found that way.

use std::collections::BTreeMap;

use super::drawn::{self, Dice};
use super::*;
use crate::model::{Limit, Percent};
use crate::plan::fixture::id;
use crate::plan::synthetic::Recipe;

/// Words of everything that the checker can say.
const FINDINGS: [&str; 53] = [
    "a host is planned twice",
    "is both planned and skipped",
    "is neither planned nor skipped",
    "is planned and the policy never remedies it",
    "takes instances and the policy keeps it from that",
    "is a target from the start but not mitigated",
    "takes instances but is not in service",
    "is planned but not in service",
    "is not in the region",
    "begins before the canary hosts are through",
    "canary hosts where the policy wants",
    "begins while instances are on their way to it",
    "begins while an instance that makes way still leaves it",
    "before others have made way",
    ", and may not",
    "while another one does",
    " hosts are out and the limit is",
    "hosts of zone",
    "hosts of rack",
    "hosts of aggregate",
    "free than the policy's headroom",
    "names what the region does not have",
    "is not on",
    "is to stay and is moved",
    "while that is in service",
    "is planned shorter than the policy estimates",
    "is moved onto the host that it is on",
    "which is out of service",
    "which stays vulnerable",
    "which the policy keeps as a spare",
    "which is in another domain",
    "outside the zone that it is pinned to",
    "which lacks CUSTOM_NET",
    "which is kept for other projects",
    "where no aggregate has `disk` as its flavor asks",
    "whose processor lacks avx2",
    "whose NUMA cells have too little room",
    "which has too little MEMORY_MB for it",
    "which has too little VCPU for it",
    "hosts to be kept empty",
    "where its anti-affinity group has",
    "of its affinity group behind",
    "migrations run at once",
    "migrations leave",
    "migrations go to",
    "two members of anti-affinity group",
    "is back without having left",
    "is remedied with",
    "is back sooner than is estimated",
    "is never done",
    "which is not mitigated",
    "the rollout tells another processor of",
    "the rollout does not tell the processor of",
];

/// Changes per plan, and how many of what makes way come after them.
const CHANGES: usize = 480;
const WAYS: usize = 40;

/// Where in a rollout something is changed.
#[derive(Clone, Copy)]
struct Spot {
    dice: Dice,
    number: usize,
}

impl Spot {
    fn pick(self, what: u64, of: usize) -> usize {
        usize::try_from(self.dice.draw(1000 + what, self.number, of.max(1) as u64)).unwrap()
    }

    /// One planned host with moves, and one of them.
    fn a_move(self, rollout: &mut Rollout) -> Option<(usize, usize)> {
        let with: Vec<usize> = (0..rollout.hosts.len()).filter(|host| !rollout.hosts[*host].moves.is_empty()).collect();
        let host = *with.get(self.pick(1, with.len()))?;
        Some((host, self.pick(2, rollout.hosts[host].moves.len())))
    }

    /// Breaks a move in some way.
    fn break_a_move(self, rollout: &mut Rollout, region: &Region) -> Option<()> {
        let (host, place) = self.a_move(rollout)?;
        let other = region.hosts[self.pick(3, region.hosts.len())].host.clone();
        let second = self.a_move_beside(rollout, host)?;
        let planned = &mut rollout.hosts[host];
        match self.pick(4, 11) {
            0 => drop(planned.moves.remove(place)),
            1 => planned.moves.push(planned.moves[place].clone()),
            2..=5 => planned.moves[place].to = other,
            6 => planned.moves[place].start_s = planned.start_s,
            7 => planned.moves[place].finish_s -= 5.0,
            8 => planned.moves[place].from = other,
            9 => planned.moves[place].instance = id(1),
            _ => {
                let target = rollout.hosts[second.0].moves[second.1].to.clone();
                let own = std::mem::replace(&mut rollout.hosts[host].moves[place].to, target);
                rollout.hosts[second.0].moves[second.1].to = own;
            }
        }
        Some(())
    }

    /// Everything that leaves one host makes way for another.
    fn break_ways(self, rollout: &mut Rollout) -> Option<()> {
        let (host, _) = self.a_move(rollout)?;
        let (second, _) = self.a_move_beside(rollout, host)?;
        let planned = &mut rollout.hosts[host];
        let early = if self.pick(5, 2) == 0 { 0.5 } else { 0.0 };
        let start = planned.start_s - early;
        let leaving = std::mem::take(&mut planned.moves);
        let behind = &mut rollout.hosts[second];
        let start = if self.pick(6, 2) == 0 { start } else { behind.start_s };
        let ways = leaving.into_iter().map(|one| {
            let finish_s = start + one.finish_s - one.start_s;
            PlannedMove { finish_s, start_s: start, ..one }
        });
        behind.moves.splice(0..0, ways.collect::<Vec<_>>());
        Some(())
    }

    fn a_move_beside(self, rollout: &mut Rollout, host: usize) -> Option<(usize, usize)> {
        let next = Self { number: self.number + 7 * CHANGES, ..self };
        next.a_move(rollout).or(Some((host, 0)))
    }

    /// Breaks a host in some way.
    fn break_a_host(self, rollout: &mut Rollout, region: &Region) -> Option<()> {
        let host = self.pick(1, rollout.hosts.len());
        let other = rollout.hosts.get(self.pick(2, rollout.hosts.len()))?.clone();
        let skipped = rollout.skipped.get(self.pick(3, rollout.skipped.len())).cloned();
        let planned = rollout.hosts.get_mut(host)?;
        let name = planned.host.clone();
        match self.pick(4, 14) {
            0 => drop(rollout.hosts.remove(host)),
            1 => rollout.hosts.push(other),
            2 => rollout.skipped.push(SkippedHost { host: name, reason: SkipReason::NoRoom, detail: String::new() }),
            3 => planned.start_s = 0.0,
            4 => planned.start_s = other.start_s,
            5 => planned.finish_s -= 100.0,
            6 => planned.finish_s = 0.0,
            7 => planned.canary = !planned.canary,
            8 => rollout.targets.push(name),
            9 => rollout.targets.push(skipped?.host),
            10 => rollout.lenders.push(region.hosts[self.pick(5, region.hosts.len())].host.clone()),
            11 => rollout.targets.push(HostName::new("nowhere")),
            12 => {
                let skipped = skipped?.host;
                rollout.skipped.retain(|one| one.host != skipped);
                let moved = PlannedHost { host: skipped, moves: Vec::new(), ..other };
                rollout.hosts.push(moved);
            }
            _ => {
                let late = other.finish_s;
                let planned = &mut rollout.hosts[host];
                planned.start_s += late;
                planned.finish_s += late;
                for one in &mut planned.moves {
                    one.start_s += late;
                    one.finish_s += late;
                }
            }
        }
        Some(())
    }

    /// Plans as if for another policy or for other facts.
    fn break_the_whole(self, rollout: &mut Rollout) -> Option<()> {
        let host = rollout.hosts.get(self.pick(1, rollout.hosts.len()))?.host.clone();
        let target = self.a_move(rollout).map(|(host, place)| rollout.hosts[host].moves[place].to.clone());
        let stay = rollout.stays.get(self.pick(2, rollout.stays.len())).cloned();
        let peak = rollout.certificate.peak_hosts_out;
        let processor = self.pick(3, rollout.processors.len());
        let limits = &mut rollout.policy.limits;
        match self.pick(4, 16) {
            0 if peak > 1 => limits.hosts = Limit::at_most(peak - 1),
            1 => limits.hosts_per_zone = Limit::at_most(1),
            2 => limits.hosts_per_rack = Some(Limit::at_most(1)),
            3 => limits.keep_up.per_zone = 1000,
            4 => limits.keep_up.per_aggregate = 1000,
            5 => limits.migrations = 1,
            6 => limits.migrations_per_source = 1,
            7 => limits.migrations_per_target = 1,
            8 => rollout.policy.headroom.per_zone.percent = Percent::new(80.0),
            9 => rollout.policy.headroom.per_zone.hosts = 1000,
            10 => drop(rollout.policy.hosts.exclude.insert(host)),
            11 => drop(rollout.policy.hosts.spare.insert(target?)),
            12 => {
                let stay = stay?;
                let at = rollout.hosts.iter().position(|planned| planned.host == stay.host)?;
                let mut moved = rollout.hosts[at].moves.first()?.clone();
                moved.instance = stay.instance;
                rollout.hosts[at].moves.push(moved);
            }
            13 => rollout.stays.extend(stay.map(|stay| PlannedStay { instance: id(1), ..stay })),
            14 => drop(rollout.processors.get(processor).is_some().then(|| rollout.processors.remove(processor))),
            _ => rollout.processors.get_mut(processor)?.instructions.clear(),
        }
        Some(())
    }
}

#[test]
fn everything_that_the_checker_can_find_is_found_in_plans_that_are_broken_at_random() {
    let mut seen: BTreeMap<&str, usize> = FINDINGS.iter().map(|words| (*words, 0)).collect();
    let mut unknown: BTreeMap<String, usize> = BTreeMap::new();
    for seed in 0..5_u64 {
        let recipe = Recipe { hosts: 26, zones: 2, utilisation: 0.6, empty: 0.2, grouped: 0.5, ..Recipe::default() };
        // Every feature, and cells only in some: they cut the zones into small domains.
        let case = drawn::case(&recipe, seed, if seed < 1 { u16::MAX } else { !(1 << drawn::Feature::Cells as u16) });
        let Ok(good) = case.plan() else { continue };
        for number in 0..CHANGES + WAYS {
            let spot = Spot { dice: Dice::of(seed, 0), number };
            let mut broken = good.clone();
            let _ = match number % 3 {
                _ if number >= CHANGES => spot.break_ways(&mut broken),
                0 => spot.break_a_move(&mut broken, &case.region),
                1 => spot.break_a_host(&mut broken, &case.region),
                _ => spot.break_the_whole(&mut broken),
            };
            for found in check(&broken, &case.region).violations {
                match FINDINGS.iter().find(|words| found.contains(**words)) {
                    Some(words) => *seen.entry(words).or_default() += 1,
                    None => *unknown.entry(found).or_default() += 1,
                }
            }
        }
    }
    let missed: Vec<&str> = seen.iter().filter(|(_, count)| **count == 0).map(|(words, _)| *words).collect();
    assert_eq!(missed, Vec::<&str>::new(), "never found; found beside those: {unknown:?}");
    assert_eq!(unknown, BTreeMap::new(), "found, and not among the words");
}
