//! What a rehearsal costs, and how near it lands to the plan: one row a region, each rehearsed once under the usual
//! conditions. `cargo bench --bench rehearsal`; words after `--` select rows by name.

#![expect(clippy::print_stdout, reason = "the table is what this prints")]

use std::time::Duration;

use fleetmend::model::{Limit, Policy, Region};
use fleetmend::plan::synthetic::{self, Recipe};
use fleetmend::rehearsal::{End, Level, Order, rehearse};

/// Hosts of a region for each one that may be out at once: 21 of 999.
const OUT: usize = 47;

/// Seed of regions and rehearsals.
const SEED: u64 = 1;

/// What a large region costs is, for a tenth of it, memory that is asked for and given back.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    println!(
        "| hosts | instances | out at once | planned h | rehearsed h | difference | moves | failed | CPU s | peak MB |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for (hosts, level) in
        [(100, Level::None), (100, Level::Usual), (1_000, Level::None), (1_000, Level::Usual), (10_000, Level::Usual)]
    {
        for policy in [Policy::default(), wide(hosts)] {
            let name = format!("{hosts} {} {}", level.name(), policy.limits.migrations);
            if words.is_empty() || words.iter().any(|word| name.contains(word.as_str())) {
                row(hosts, level, &policy);
            }
        }
    }
}

/// Limits that grow with the region.
fn wide(hosts: usize) -> Policy {
    let mut policy = Policy::default();
    policy.limits.hosts = Limit::at_most((hosts / OUT).max(1));
    policy.limits.hosts_per_zone = policy.limits.hosts;
    policy.limits.migrations = hosts;
    policy.failure_budget.hosts = hosts;
    policy.failure_budget.per_zone = hosts;
    policy
}

/// Hosts with machines of their own, and about twenty instances each.
fn region(hosts: usize) -> Region {
    synthetic::with_machines(synthetic::region(&Recipe { hosts, utilisation: 0.86, ..Recipe::default() }, SEED))
}

fn row(hosts: usize, level: Level, policy: &Policy) {
    let region = region(hosts);
    let rollout = synthetic::planned(&region, policy, SEED).expect("there is a plan for a region with room");
    let conditions = level.conditions();
    let begun = cpu_seconds();
    let order = Order {
        rollout: &rollout,
        region: &region,
        conditions: &conditions,
        seed: SEED,
        runs: 1,
        threads: 1,
        poll: Duration::from_secs(2),
    };
    let figures = rehearse(&order, &|| {}).expect("nobody else is in a region out of nothing");
    let spent = cpu_seconds() - begun;
    let run = &figures.run[0];
    let makespan = run.makespan_s.unwrap_or(f64::NAN);
    let certificate = &rollout.certificate;
    assert!(run.outcome == End::Done || level != Level::None, "{:?}: {:?}", run.outcome, run.failed.first());
    println!(
        "| {hosts} {} | {} | {} | {:.2} | {:.2} | {:+.1} % | {} | {} | {spent:.1} | {} |",
        level.name(),
        region.instances.len(),
        run.peak_hosts_out,
        certificate.makespan_s / 3600.0,
        makespan / 3600.0,
        (makespan / certificate.makespan_s - 1.0) * 100.0,
        run.moves.done,
        run.moves.failed,
        peak_megabytes(),
    );
}

/// Processor time of this process in seconds: other work on the machine does not count. Source: proc(5), in ticks of
/// 1/100 s.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = |place: usize| after_name.split_whitespace().nth(place).and_then(|word| word.parse::<f64>().ok());
    (ticks(11).unwrap_or(0.0) + ticks(12).unwrap_or(0.0)) / 100.0
}

/// The most memory that this process held so far, in MB.
fn peak_megabytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|word| word.parse::<u64>().ok()).unwrap_or(0) / 1024
}
