//! Tries strategies and keeps the one that the policy's objective prefers. Parallel, and the same whatever the number
//! of threads: results are compared in the order in which they were asked for.

use std::collections::BTreeSet;
use std::panic::resume_unwind;

use super::fleet::{Fleet, Millis};
use super::schedule::{Lightness, Order, Schedule, Strategy, schedule};
use crate::model::{Objective, Prefer};

/// A strategy and what came of it.
#[derive(Debug)]
pub(super) struct Tried {
    pub(super) strategy: Strategy,
    pub(super) schedule: Schedule,
    /// Hosts that took no seeds.
    pub(super) banned: BTreeSet<u32>,
}

/// Everything that was tried.
#[derive(Debug)]
pub(super) struct Sweep {
    pub(super) tried: Vec<Tried>,
    pub(super) chosen: usize,
    pub(super) because: String,
}

/// What attempts are measured against.
#[derive(Debug, Clone, Copy)]
struct Goal<'a> {
    objective: &'a Objective,
    /// No schedule is shorter.
    makespan: Millis,
    /// No schedule has fewer moves.
    moves: usize,
}

/// Attempts, so that the sum of their costs stays about the same: one costs a little for each instance, and about
/// ten times as much for each host.
const EFFORT: usize = 850_000;

/// Fewest and most attempts of each stage.
const ATTEMPTS: (usize, usize) = (2, 24);

/// From so many slots on, few of a few attempts are made without seeds.
const MANY_SLOTS: u32 = 64;

/// Attempts for those who ask whether it can be done, not how well.
const QUICK: usize = 3;

/// Rounds before the end from which on times are fitted: which is best depends on how much times differ.
const FITTED_ROUNDS: [u64; 4] = [8, 4, 16, 32];

/// How often seeds are placed anew when they went to hosts that turned out to be stuck.
const REPAIRS: usize = 8;

/// Sweeps over strategies. First how many seeds there are, then the order of hosts with the best of those.
pub(super) fn sweep(fleet: &Fleet<'_>, objective: &Objective, canaries: &[u32], seed: u64) -> Sweep {
    let goal = Goal { objective, makespan: shortest(fleet, canaries), moves: fleet.instance_count() };
    let cost = fleet.instance_count() + 10 * fleet.hosts.len() + 1;
    let attempts = (EFFORT / cost).clamp(ATTEMPTS.0, ATTEMPTS.1);
    let mut search = Search { fleet, canaries, goal, tried: Vec::new() };
    let strategies = first_stage(fleet, seed, attempts);
    if attempts == ATTEMPTS.0 {
        // In a large region an attempt is a good part of all that planning costs: what is good is good enough.
        for few in strategies.chunks(ATTEMPTS.0) {
            search.try_all(few.to_vec());
            if search.is_good() && search.best().schedule.stuck.is_empty() {
                return search.end();
            }
        }
    } else {
        search.try_all(strategies);
    }
    if !search.is_good() {
        search.try_all(late_seeds(fleet, goal, search.basis(), attempts));
    }
    if is_starved(&search.best().schedule, goal) {
        search.try_all(thorough(fleet, goal, search.basis()));
    }
    // Where every host is compared, their order decides little, and each attempt costs ten others.
    let attempts = if search.basis().thorough { ATTEMPTS.0 } else { attempts };
    search.try_all(second_stage(search.basis(), attempts));
    search.end()
}

/// What was tried so far.
struct Search<'s, 'f> {
    fleet: &'s Fleet<'f>,
    canaries: &'s [u32],
    goal: Goal<'s>,
    tried: Vec<Tried>,
}

impl Search<'_, '_> {
    fn try_all(&mut self, strategies: Vec<Strategy>) {
        self.tried.extend(try_all(self.fleet, self.canaries, strategies));
        forget_worse(&mut self.tried, self.goal);
    }

    fn best(&self) -> &Tried {
        &self.tried[choose(&self.tried, self.goal)]
    }

    fn basis(&self) -> &Strategy {
        &self.best().strategy
    }

    /// Whether nothing is to be gained by trying more.
    fn is_good(&self) -> bool {
        is_good(&self.best().schedule, self.goal)
    }

    fn end(self) -> Sweep {
        let chosen = choose(&self.tried, self.goal);
        let because = explain(&self.tried, chosen, self.goal);
        Sweep { tried: self.tried, chosen, because }
    }
}

/// The first attempt that leaves no host stuck, else the one that leaves fewest: for those who ask whether, not how well.
pub(super) fn fewest_stuck(fleet: &Fleet<'_>, canaries: &[u32], seed: u64) -> Option<Tried> {
    let mut best: Option<Tried> = None;
    for strategy in first_stage(fleet, seed, QUICK) {
        let tried = attempt(fleet, canaries, strategy);
        if best.as_ref().is_none_or(|best| tried.schedule.stuck.len() < best.schedule.stuck.len()) {
            best = Some(tried);
        }
        if best.as_ref().is_some_and(|best| best.schedule.stuck.is_empty()) {
            break;
        }
    }
    best
}

fn first_stage(fleet: &Fleet<'_>, seed: u64, attempts: usize) -> Vec<Strategy> {
    let slots = fleet.pools[0].limit.min(u32::try_from(fleet.hosts.len()).unwrap_or(u32::MAX));
    let fitted_rounds = FITTED_ROUNDS[0];
    let basis = Strategy {
        order: Order::Mixed,
        seeds: 0,
        late_moves: 0,
        pack: true,
        squeeze: false,
        thorough: false,
        lightness: Lightness::Tight,
        fitted_rounds,
        idle_targets: true,
        seed,
    };
    let mut seeds = vec![0, slots / 2, slots, slots / 4, slots - slots / 4, slots / 8];
    if attempts == ATTEMPTS.0 && slots >= MANY_SLOTS {
        // One host after the other would take long to open so many slots.
        seeds.rotate_left(1);
    }
    let mut strategies: Vec<Strategy> = Vec::new();
    for seeds in seeds {
        for (order, pack) in [(Order::Mixed, true), (Order::Longest, true), (Order::Mixed, false)] {
            let strategy = Strategy { order, seeds, pack, ..basis.clone() };
            if !strategies.contains(&strategy) {
                strategies.push(strategy);
            }
        }
    }
    // With few attempts each number of seeds counts more than another order.
    strategies.sort_by_key(|strategy| (!strategy.pack, strategy.order == Order::Longest));
    strategies.truncate(if attempts == ATTEMPTS.0 { 2 * attempts } else { attempts });
    strategies
}

/// The same number of seeds, and all else otherwise.
fn second_stage(basis: &Strategy, attempts: usize) -> Vec<Strategy> {
    let variant = |number: usize| Strategy {
        order: if number.is_multiple_of(3) { Order::Longest } else { Order::Mixed },
        fitted_rounds: FITTED_ROUNDS[number % FITTED_ROUNDS.len()],
        idle_targets: (number / FITTED_ROUNDS.len()).is_multiple_of(2),
        seed: basis.seed.wrapping_add(number as u64),
        ..basis.clone()
    };
    // Two processors need two attempts.
    (1..attempts.max(3)).map(variant).collect()
}

/// Strategies that spend moves to fill slots, or pack other hosts first; for those who ask for the fastest, or where
/// the makespan is too long otherwise.
fn late_seeds(fleet: &Fleet<'_>, goal: Goal<'_>, basis: &Strategy, attempts: usize) -> Vec<Strategy> {
    let budget = share(fleet.instance_count(), goal.objective.extra_moves.fraction());
    let spent = [(budget, false), (budget, true), (budget / 2, true), (0, false)];
    let all = [Lightness::Sum, Lightness::Tight, Lightness::Fullest].into_iter().flat_map(|lightness| {
        spent.map(|(late_moves, squeeze)| Strategy { late_moves, squeeze, lightness, ..basis.clone() })
    });
    let mut strategies: Vec<Strategy> = Vec::new();
    for mut strategy in all {
        strategy.squeeze &= strategy.late_moves > 0;
        if strategy != *basis && !strategies.contains(&strategy) {
            strategies.push(strategy);
        }
    }
    strategies.truncate(attempts);
    strategies
}

/// Strategies that look at every host for the one to pack: they cost the most, and only full fleets need them.
fn thorough(fleet: &Fleet<'_>, goal: Goal<'_>, basis: &Strategy) -> Vec<Strategy> {
    let budget = share(fleet.instance_count(), goal.objective.extra_moves.fraction());
    // Who wants few moves sets no budget: where nothing comes near the bound, more moves may be worth it.
    let most = match goal.objective.prefer {
        Prefer::FewestMoves => budget + budget / 2,
        Prefer::Fastest => budget,
    };
    let spent = [0, budget / 4, budget / 2, most];
    let strategy = |late_moves| Strategy { late_moves, squeeze: late_moves > 0, thorough: true, ..basis.clone() };
    spent.map(strategy).to_vec()
}

/// Whether slots stand idle for want of vacant hosts.
fn is_starved(schedule: &Schedule, goal: Goal<'_>) -> bool {
    schedule.makespan > goal.makespan + goal.makespan / 4
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a share of a count of instances is a small positive number"
)]
fn share(count: usize, fraction: f64) -> u32 {
    (count as f64 * fraction) as u32
}

/// Whether nothing is to be gained by spending moves.
fn is_good(schedule: &Schedule, goal: Goal<'_>) -> bool {
    match goal.objective.prefer {
        Prefer::FewestMoves => is_within(schedule.makespan, goal),
        Prefer::Fastest => false,
    }
}

#[expect(clippy::cast_precision_loss, reason = "planned times are far below 2^52 ms")]
fn is_within(makespan: Millis, goal: Goal<'_>) -> bool {
    makespan as f64 <= goal.makespan as f64 * (1.0 + goal.objective.within.fraction())
}

fn is_in_budget(moves: usize, goal: Goal<'_>) -> bool {
    moves <= goal.moves + share(goal.moves, goal.objective.extra_moves.fraction()) as usize
}

/// The index of the best: fewest stuck hosts, then what the objective prefers; the first wins a draw.
fn choose(tried: &[Tried], goal: Goal<'_>) -> usize {
    let fewest_stuck = tried.iter().map(|tried| tried.schedule.stuck.len()).min().unwrap_or(0);
    let open = || tried.iter().enumerate().filter(|(_, tried)| tried.schedule.stuck.len() == fewest_stuck);
    let shortest = open().map(|(_, tried)| tried.schedule.makespan).min().unwrap_or(0);
    let key = |tried: &Tried| {
        let Schedule { makespan, moves, .. } = tried.schedule;
        let moves = moves as u64;
        match goal.objective.prefer {
            Prefer::FewestMoves if is_within(makespan, goal) => (0, moves, makespan),
            // Out of reach for all: near the shortest, fewer moves are worth more than the last few percent.
            Prefer::FewestMoves if makespan <= shortest + shortest / 20 => (1, moves, makespan),
            Prefer::FewestMoves => (2, makespan, moves),
            Prefer::Fastest if is_in_budget(tried.schedule.moves, goal) => (0, makespan, moves),
            Prefer::Fastest => (1, moves, makespan),
        }
    };
    open().min_by_key(|(index, tried)| (key(tried), *index)).map_or(0, |(index, _)| index)
}

/// What is in nothing better than the best can never be chosen, and forgets its hosts: in a large region they are many.
fn forget_worse(tried: &mut [Tried], goal: Goal<'_>) {
    let best = choose(tried, goal);
    let Schedule { makespan, moves, ref stuck, .. } = tried[best].schedule;
    let stuck = stuck.len();
    for (index, Tried { schedule: other, .. }) in tried.iter_mut().enumerate() {
        if index != best && other.stuck.len() >= stuck && other.makespan >= makespan && other.moves >= moves {
            other.hosts = Vec::new();
        }
    }
}

fn explain(tried: &[Tried], chosen: usize, goal: Goal<'_>) -> String {
    let schedule = &tried[chosen].schedule;
    let stuck = match schedule.stuck.len() {
        0 => String::new(),
        stuck => format!("leaves {stuck} hosts out, no attempt left fewer; "),
    };
    let why = match goal.objective.prefer {
        Prefer::FewestMoves if is_within(schedule.makespan, goal) => {
            format!("fewest moves with a makespan within {} of its lower bound", goal.objective.within)
        }
        Prefer::FewestMoves => {
            let within = goal.objective.within;
            format!("fewest moves near the shortest; none comes within {within} of the lower bound on the makespan")
        }
        Prefer::Fastest if is_in_budget(schedule.moves, goal) => {
            format!("shortest with at most {} extra moves", goal.objective.extra_moves)
        }
        Prefer::Fastest => format!("fewest moves; none keeps to {} extra moves", goal.objective.extra_moves),
    };
    format!("{stuck}{why}, of {} attempts", tried.len())
}

/// What any schedule takes at least: the slots of the region and of each zone, the longest host, the canary gate.
fn shortest(fleet: &Fleet<'_>, canaries: &[u32]) -> Millis {
    let out = |host: &u32| fleet.out_for(*host, &fleet.leaving[*host as usize]);
    let over =
        |hosts: &mut dyn Iterator<Item = &u32>, limit: u32| hosts.map(out).sum::<Millis>() / u64::from(limit.max(1));
    let region = over(&mut fleet.hosts.iter(), fleet.pools[0].limit);
    let zones = (0_u32..)
        .zip(&fleet.zone_limits)
        .map(|(zone, limit)| over(&mut fleet.hosts.iter().filter(|host| fleet.layout.zone_of(**host) == zone), *limit));
    let first = canaries.iter().map(out).max().map_or(0, |first| first + fleet.soak);
    let canary_share: Millis = canaries.iter().map(out).sum::<Millis>() / u64::from(fleet.pools[0].limit.max(1));
    let gated = first + region.saturating_sub(canary_share);
    zones.chain([region, gated]).chain(fleet.hosts.iter().map(out)).max().unwrap_or(0)
}

fn try_all(fleet: &Fleet<'_>, canaries: &[u32], strategies: Vec<Strategy>) -> Vec<Tried> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(strategies.len()).max(1);
    let mut results: Vec<Option<Tried>> = Vec::new();
    results.resize_with(strategies.len(), || None);
    let jobs: Vec<(usize, Strategy)> = strategies.into_iter().enumerate().collect();
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..threads)
            .map(|worker| {
                let mine: Vec<(usize, Strategy)> = jobs.iter().skip(worker).step_by(threads).cloned().collect();
                scope.spawn(move || {
                    let attempt = |(index, strategy): (usize, Strategy)| (index, attempt(fleet, canaries, strategy));
                    mine.into_iter().map(attempt).collect::<Vec<_>>()
                })
            })
            .collect();
        let done = workers.into_iter().flat_map(|worker| worker.join().unwrap_or_else(|panic| resume_unwind(panic)));
        for (index, tried) in done {
            results[index] = Some(tried);
        }
    });
    results.into_iter().flatten().collect()
}

/// One attempt. Hosts that turn out to be stuck take no seeds: what was moved there would have been moved in vain.
fn attempt(fleet: &Fleet<'_>, canaries: &[u32], strategy: Strategy) -> Tried {
    let mut banned = BTreeSet::new();
    let mut made = schedule(fleet, &strategy, canaries, &banned);
    for _ in 0..REPAIRS {
        let stuck: BTreeSet<u32> = made.stuck.iter().copied().collect();
        let in_vain = made.hosts.iter().flat_map(|host| &host.transfers).any(|transfer| stuck.contains(&transfer.to));
        if !in_vain {
            break;
        }
        banned.extend(stuck);
        made = schedule(fleet, &strategy, canaries, &banned);
    }
    Tried { strategy, schedule: made, banned }
}

impl Strategy {
    /// In words.
    pub(super) fn describe(&self) -> String {
        let order = match self.order {
            Order::Mixed => "mixed order",
            Order::Longest => "longest first",
        };
        let pack = if self.pack { "packed while vacant hosts are scarce" } else { "mirrored only" };
        let late = match (self.late_moves, self.squeeze) {
            (0, _) => String::new(),
            (moves, false) => format!(", up to {moves} moves to fill slots"),
            (moves, true) => format!(", up to {moves} moves into gaps so that two hosts fit into one"),
        };
        let light = match self.lightness {
            Lightness::Tight => "",
            Lightness::Fullest => ", lightest by the fullest class",
            Lightness::Sum => ", lightest by the sum of classes",
        };
        let thorough = if self.thorough { ", all hosts compared" } else { "" };
        let idle = if self.idle_targets { ", idle targets first" } else { "" };
        let Self { seeds, fitted_rounds, seed, .. } = self;
        format!(
            "{seeds} seeds, {order}, fitted over {fitted_rounds} rounds, {pack}{light}{thorough}{idle}{late}, seed {seed}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Percent;
    use crate::plan::schedule::{Planned, mix};

    fn tried(number: u64) -> Tried {
        let draw = |what: u64, from: u64| mix(what, number) % from;
        let strategy = Strategy {
            order: Order::Mixed,
            seeds: 0,
            late_moves: 0,
            pack: true,
            squeeze: false,
            thorough: false,
            lightness: Lightness::Tight,
            fitted_rounds: 0,
            idle_targets: true,
            seed: 0,
        };
        let planned = Planned { host: 0, start: 0, finish: 0, canary: false, transfers: Vec::new(), ways: Vec::new() };
        let schedule = Schedule {
            hosts: vec![planned],
            stuck: vec![0; usize::from(draw(1, 8) == 0)],
            moves: 1000 + usize::try_from(draw(2, 20)).unwrap(),
            makespan: 1000 + draw(3, 120),
        };
        Tried { strategy, schedule, banned: BTreeSet::new() }
    }

    #[test]
    fn what_is_chosen_in_the_end_has_never_forgotten_its_hosts() {
        for prefer in [Prefer::FewestMoves, Prefer::Fastest] {
            let percent = |percent| Percent::new(percent).unwrap();
            let objective = Objective { prefer, within: percent(2.0), extra_moves: percent(1.0) };
            let goal = Goal { objective: &objective, makespan: 1000, moves: 1000 };
            for case in 0..200 {
                let mut all = Vec::new();
                for number in 0..6 {
                    all.push(tried(case * 6 + number));
                    forget_worse(&mut all, goal);
                    assert!(!all[choose(&all, goal)].schedule.hosts.is_empty(), "{all:?}");
                }
            }
        }
    }
}
