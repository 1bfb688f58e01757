//! One run, one table: the planner beside what people do without one, on regions of every fullness, and how its time
//! grows with the region. `cargo bench --bench planner`; words after `--` select regions by name.

#![expect(clippy::print_stdout, reason = "the table is what this prints")]

mod naive;
mod regions;

use std::time::Instant;

use fleetmend::model::{Digest, Limit, Objective, Percent, Policy, Prefer, Region, RolloutId};
use fleetmend::plan::{Experience, Means, NoRoom, PlanError, PlanInput, Scope, plan, synthetic};

/// Share of the hosts that may be out at once: 21 of 999.
const OUT: usize = 47;

/// What a large region costs is, for a tenth of it, memory that is asked for and given back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let is_meant = |name: &str| words.is_empty() || words.iter().any(|word| name.contains(word.as_str()));
    println!("| region | instances | in use | strategy | moves per instance | makespan over bound | stuck | CPU s |");
    println!("|---|---|---|---|---|---|---|---|");
    let without = [0.5, 0.8, 0.9, 0.93, 0.96, 0.97, 0.98, 0.985].map(|utilisation| (utilisation, 0.0));
    for (utilisation, empty) in without.into_iter().chain([(0.5, 0.02), (0.9, 0.02), (0.96, 0.02)]) {
        let name = format!("999 hosts at {utilisation}, {:.0} % empty", empty * 100.0);
        if is_meant(&name) {
            compare(&name, &regions::usual(999, utilisation, empty));
        }
    }
    if is_meant("production snapshot") {
        compare("production snapshot", &regions::production());
    }
    if is_meant("999 hosts full, 3 empty") {
        compare("999 hosts full, 3 empty", &regions::full(999));
    }
    for (hosts, utilisation) in
        [(100, 0.86), (1_000, 0.86), (10_000, 0.86), (30_000, 0.86), (15_000, 0.88), (10_000, 0.54)]
    {
        let name = format!("growth: {hosts} hosts at {utilisation}");
        if is_meant(&name) {
            ours(&name, &regions::usual(hosts, utilisation, 0.0), "fewest moves", &policy(hosts, Prefer::FewestMoves));
        }
    }
}

fn policy(hosts: usize, prefer: Prefer) -> Policy {
    let mut policy = Policy::default();
    let slots = Limit::at_most((hosts / OUT).max(1));
    policy.canary.hosts = 0;
    policy.limits.hosts = slots;
    policy.limits.hosts_per_zone = slots;
    policy.limits.migrations = hosts;
    let percent = |share| Percent::new(share).unwrap_or(policy.objective.within);
    policy.objective = Objective { prefer, within: percent(3.0), extra_moves: percent(0.8) };
    policy
}

fn compare(name: &str, region: &Region) {
    let hosts = region.hosts.len();
    ours(name, region, "fewest moves", &policy(hosts, Prefer::FewestMoves));
    let policy = policy(hosts, Prefer::Fastest);
    let Some(bound) = ours(name, region, "fastest", &policy) else { return };
    for (strategy, words) in naive::Naive::ALL {
        let begun = cpu_seconds();
        let outcome = naive::run(strategy, region, &policy, 7);
        let figures = (outcome.moves, outcome.makespan_s / bound, outcome.stuck);
        print(name, region, words, figures, cpu_seconds() - begun);
    }
}

/// Plans and checks; answers the bound on the makespan in seconds, where anything can be done at all.
fn ours(name: &str, region: &Region, words: &str, policy: &Policy) -> Option<f64> {
    let verdicts = synthetic::all_vulnerable(region);
    let remedy = synthetic::remedy();
    let input = PlanInput {
        region,
        verdicts: &verdicts,
        remedy: &remedy,
        policy,
        experience: &Experience::default(),
        scope: &Scope { no_room: NoRoom::LeaveOut, ..Scope::default() },
        configuration: Digest::new("sha256:0"),
        seed: 7,
        now: region.taken_at,
        id: RolloutId::new(uuid::Uuid::from_u128(1)),
    };
    let (begun, clock) = (cpu_seconds(), Instant::now());
    let (certificate, shortfalls, ways_out) = match plan(&input) {
        Ok((rollout, report)) => (Some(rollout.certificate), report.shortfalls, report.ways_out),
        Err(PlanError::Infeasible { shortfalls, ways_out, .. }) => (None, shortfalls, ways_out),
        Err(other @ (PlanError::NoSuch { .. } | PlanError::Violations(_))) => panic!("{other}"),
    };
    let (spent, elapsed) = (cpu_seconds() - begun, clock.elapsed().as_secs_f64());
    let mut words = format!("**{words}** ({elapsed:.2} s elapsed)");
    let proven = shortfalls.iter().filter(|shortfall| shortfall.proof.is_some()).count();
    if !shortfalls.is_empty() {
        let by_hand: Vec<String> = ways_out.iter().filter_map(|way| moves_by_hand(&way.means)).collect();
        words = format!("{words}, {proven} proven stuck; migrations by hand that help: {}", by_hand.join(" + "));
    }
    let (moves, gap) = certificate.as_ref().map_or((0, 0.0), |certificate| (certificate.moves, certificate.gap));
    print(name, region, &words, (moves, 1.0 + gap, shortfalls.len()), spent);
    certificate.map(|certificate| certificate.makespan_lower_bound_s)
}

fn moves_by_hand(means: &Means) -> Option<String> {
    match means {
        Means::Moves { moves } => Some(moves.len().to_string()),
        Means::Hosts { .. } | Means::Stop { .. } | Means::Headroom { .. } => None,
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of instances and MiB stay far below 2^52")]
fn print(name: &str, region: &Region, words: &str, (moves, makespan, stuck): (usize, f64, usize), spent: f64) {
    let used: u64 = region.instances.iter().map(|instance| instance.resources.memory_mb()).sum();
    let all: u64 = region.hosts.iter().map(|host| host.capacity.memory_mb()).sum();
    let instances = region.instances.len();
    let (in_use, ratio) = (used as f64 / all as f64, moves as f64 / instances as f64);
    println!("| {name} | {instances} | {in_use:.2} | {words} | {ratio:.4} | {makespan:.4} | {stuck} | {spent:.2} |");
}

/// CPU time of this process: machines are shared. Zero where `/proc` is not as on Linux.
fn cpu_seconds() -> f64 {
    /// `USER_HZ`, which Linux has fixed at 100 for what `/proc` shows.
    const TICKS: f64 = 100.0;
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = text.rsplit(')').next().unwrap_or_default();
    // `utime` and `stime`, the 14th and 15th field of the line; the first two end with the parenthesis.
    fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum::<f64>() / TICKS
}
