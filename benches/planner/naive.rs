//! What people do without a plan: hosts in random order, and for each instance some host of its zone that has room,
//! mitigated or not. Limits, durations and groups are those of the planner.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use fleetmend::model::{GroupId, HostName, Policy, Region};
use indexmap::IndexMap;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

/// How a target is chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Naive {
    /// Any host with room.
    Random,
    /// The host with most free memory: Nova's weighers as they come.
    Spread,
    /// The host with least free memory.
    Pack,
    /// As [`Naive::Spread`], and the next hosts begin when all of the last ones are back.
    Waves,
}

impl Naive {
    /// All of them, with names.
    pub const ALL: [(Self, &str); 4] = [
        (Self::Random, "random target"),
        (Self::Spread, "spread weigher"),
        (Self::Pack, "pack"),
        (Self::Waves, "spread, wave barriers"),
    ];
}

/// What came of it.
#[derive(Debug, Default)]
pub struct Outcome {
    pub moves: usize,
    pub makespan_s: f64,
    pub stuck: usize,
}

struct Instance {
    amounts: Vec<u64>,
    seconds: f64,
    group: Option<usize>,
}

struct Site {
    zone: Option<usize>,
    free: Vec<u64>,
    instances: Vec<usize>,
    /// In service: instances may come.
    is_up: bool,
    /// Until when its one inbound stream is taken.
    inbound: f64,
}

const CLASSES: [&str; 3] = ["MEMORY_MB", "VCPU", "DISK_GB"];

/// Hosts that are tried for a free slot before waiting for the next one to return.
const TRIES: usize = 64;

/// Runs one strategy to its end.
pub fn run(strategy: Naive, region: &Region, policy: &Policy, seed: u64) -> Outcome {
    let (mut sites, instances) = read(region, policy);
    let mut groups: Vec<f64> = vec![0.0; region.groups.len()];
    let mut random = StdRng::seed_from_u64(seed);
    let mut waiting: Vec<usize> = (0..sites.len()).collect();
    waiting.shuffle(&mut random);
    let slots = policy.limits.hosts.of(sites.len());
    let remedy = policy.estimate.host.as_seconds();
    let mut out: BinaryHeap<Reverse<(u64, usize)>> = BinaryHeap::new();
    let mut outcome = Outcome::default();
    let mut now = 0.0;
    loop {
        let may_begin = strategy != Naive::Waves || out.is_empty();
        while may_begin && out.len() < slots {
            let ready = |place: &usize| sites[waiting[*place]].inbound <= now;
            let tries: Vec<usize> = (0..waiting.len()).filter(ready).take(TRIES).collect();
            let placed = tries.into_iter().find_map(|place| {
                let placement = place_all(strategy, &mut sites, &instances, waiting[place], &mut random)?;
                Some((place, placement))
            });
            let Some((place, placement)) = placed else { break };
            let host = waiting.remove(place);
            let quiet = drain(&mut sites, &instances, &mut groups, &placement, now);
            outcome.moves += placement.len();
            out.push(Reverse((milliseconds(quiet + remedy), host)));
        }
        let arrivals = || waiting.iter().map(|host| sites[*host].inbound).filter(|time| *time > now);
        now = match out.pop() {
            Some(Reverse((time, host))) => {
                give_back(&mut sites[host], &region.hosts[host].capacity);
                seconds(time).max(now)
            }
            None => match arrivals().min_by(f64::total_cmp) {
                Some(time) => time,
                None => break,
            },
        };
        outcome.makespan_s = outcome.makespan_s.max(now);
    }
    outcome.stuck = waiting.len();
    outcome
}

fn read(region: &Region, policy: &Policy) -> (Vec<Site>, Vec<Instance>) {
    let numbers: IndexMap<&HostName, usize> = region.hosts.iter().map(|host| &host.host).zip(0..).collect();
    let groups: IndexMap<&GroupId, usize> = region.groups.iter().map(|group| &group.id).zip(0..).collect();
    let zones: IndexMap<_, usize> = region.hosts.iter().filter_map(|host| host.zone.as_ref()).zip(0..).collect();
    let site = |host: &fleetmend::model::Host| Site {
        zone: host.zone.as_ref().map(|zone| zones[zone]),
        free: CLASSES.map(|class| host.capacity.get(class)).to_vec(),
        instances: Vec::new(),
        is_up: true,
        inbound: 0.0,
    };
    let mut sites: Vec<Site> = region.hosts.iter().map(site).collect();
    let mut instances = Vec::new();
    for instance in &region.instances {
        let Some(host) = instance.host.as_ref() else { continue };
        let amounts = CLASSES.map(|class| instance.resources.get(class)).to_vec();
        let site = &mut sites[numbers[host]];
        for (free, amount) in site.free.iter_mut().zip(&amounts) {
            *free = free.saturating_sub(*amount);
        }
        site.instances.push(instances.len());
        instances.push(Instance {
            amounts,
            seconds: policy.estimate.move_seconds(instance.resources.memory_mb()),
            group: instance.group.as_ref().map(|group| groups[group]),
        });
    }
    (sites, instances)
}

/// A target for each instance of `from`, room taken; nothing when one of them fits nowhere.
fn place_all(
    strategy: Naive,
    sites: &mut [Site],
    instances: &[Instance],
    from: usize,
    random: &mut StdRng,
) -> Option<Vec<(usize, usize)>> {
    let mut leaving = std::mem::take(&mut sites[from].instances);
    leaving.sort_by_key(|instance| Reverse(instances[*instance].amounts[0]));
    let mut placement = Vec::with_capacity(leaving.len());
    sites[from].is_up = false;
    for instance in &leaving {
        let takes = |site: &Site| is_taken(site, sites[from].zone, *instance, instances);
        let fits = sites.iter().enumerate().filter(|(_, site)| takes(site));
        let target = match strategy {
            Naive::Random => {
                let fits: Vec<usize> = fits.map(|(target, _)| target).collect();
                (!fits.is_empty()).then(|| fits[random.random_range(0..fits.len())])
            }
            Naive::Spread | Naive::Waves => fits.max_by_key(|(_, site)| site.free[0]).map(|(target, _)| target),
            Naive::Pack => fits.min_by_key(|(_, site)| site.free[0]).map(|(target, _)| target),
        };
        let Some(target) = target else { break };
        for (free, amount) in sites[target].free.iter_mut().zip(&instances[*instance].amounts) {
            *free -= amount;
        }
        sites[target].instances.push(*instance);
        placement.push((*instance, target));
    }
    if placement.len() == leaving.len() {
        return Some(placement);
    }
    for (instance, target) in placement {
        for (free, amount) in sites[target].free.iter_mut().zip(&instances[instance].amounts) {
            *free += amount;
        }
        sites[target].instances.retain(|other| *other != instance);
    }
    sites[from].is_up = true;
    sites[from].instances = leaving;
    None
}

fn is_taken(site: &Site, zone: Option<usize>, instance: usize, instances: &[Instance]) -> bool {
    let wanted = &instances[instance];
    let has_room = || wanted.amounts.iter().zip(&site.free).all(|(amount, free)| amount <= free);
    let has_mate = |group: usize| site.instances.iter().any(|other| instances[*other].group == Some(group));
    site.is_up && site.zone == zone && has_room() && !wanted.group.is_some_and(has_mate)
}

/// One migration after the other leaves the host, the longest first among those that need not wait.
fn drain(
    sites: &mut [Site],
    instances: &[Instance],
    groups: &mut [f64],
    placement: &[(usize, usize)],
    now: f64,
) -> f64 {
    let mut waiting = placement.to_vec();
    waiting.sort_by(|a, b| instances[b.0].seconds.total_cmp(&instances[a.0].seconds));
    let mut time = now;
    while !waiting.is_empty() {
        let start = |(instance, target): &(usize, usize)| {
            let group = instances[*instance].group.map_or(0.0, |group| groups[group]);
            sites[*target].inbound.max(group).max(time)
        };
        let soonest = waiting.iter().map(start).fold(f64::INFINITY, f64::min);
        let Some(place) = waiting.iter().position(|transfer| start(transfer) <= soonest) else { break };
        let (instance, target) = waiting.remove(place);
        time = soonest + instances[instance].seconds;
        sites[target].inbound = time;
        if let Some(group) = instances[instance].group {
            groups[group] = time;
        }
    }
    time
}

fn give_back(site: &mut Site, capacity: &fleetmend::model::Resources) {
    site.free = CLASSES.map(|class| capacity.get(class)).to_vec();
    site.is_up = true;
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "times are far below 2^52 ms")]
fn milliseconds(seconds: f64) -> u64 {
    (seconds * 1000.0).ceil() as u64
}

#[expect(clippy::cast_precision_loss, reason = "times are far below 2^52 ms")]
fn seconds(milliseconds: u64) -> f64 {
    milliseconds as f64 / 1000.0
}
