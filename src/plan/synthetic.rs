//! Regions out of nothing, for tests, benchmarks and rehearsals: hosts in zones, filled with instances of usual sizes
//! until a share of the memory is in use. The same recipe and seed give the same region.

use std::collections::BTreeMap;

use jiff::Timestamp;
use rand::rngs::StdRng;
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{Rng, SeedableRng};
use uuid::Uuid;

use super::{Experience, PlanError, PlanInput, Rollout, Scope, plan};
use crate::model::{
    Digest, Group, GroupId, GroupPolicy, GroupRules, Host, HostFacts, HostIdentity, HostName, Instance, InstanceId,
    InstanceStatus, Policy, ProjectId, Region, RegionKind, Resources, RolloutId, Service, ServiceId, ServiceState,
    ServiceStatus,
};
use crate::remedy::{Applies, Remedy, RemedyKind, Verdict, VerdictKind};

/// What a region is made of.
#[derive(Debug, Clone, PartialEq)]
pub struct Recipe {
    /// Compute hosts.
    pub hosts: usize,
    /// Availability zones; hosts are dealt out to them in turn.
    pub zones: usize,
    /// Share of the tight resource that is in use on hosts that are not empty.
    pub utilisation: f64,
    /// Share of hosts without instances.
    pub empty: f64,
    /// Share of instances in anti-affinity groups.
    pub grouped: f64,
    /// Members of one group at most.
    pub group_size: usize,
    /// Kinds of hosts: each is twice as large as the one before.
    pub kinds: usize,
}

impl Default for Recipe {
    fn default() -> Self {
        Self { hosts: 999, zones: 3, utilisation: 0.79, empty: 0.0, grouped: 0.2, group_size: 6, kinds: 1 }
    }
}

/// vCPUs of instances: halves of halves, as clouds offer them; small ones are common.
const SIZES: [(u64, u32); 6] = [(1, 20), (2, 30), (4, 25), (8, 15), (16, 8), (32, 2)];

/// GiB of memory per vCPU: general, compute and memory flavours.
const SHAPES: [(u64, u32); 3] = [(2, 25), (4, 50), (8, 25)];

/// vCPUs and MiB of the smallest kind of host.
const HOST: (u64, u64) = (128, 512 * 1024);

/// Makes a region. Instances are dealt to random hosts as long as they fit, so that hosts are unevenly full, the way
/// a spread scheduler and years of deletions leave them.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "shares of counts of hosts and instances"
)]
pub fn region(recipe: &Recipe, seed: u64) -> Region {
    let mut random = StdRng::seed_from_u64(seed);
    let mut hosts: Vec<Host> = (0..recipe.hosts).map(|number| host(recipe, number)).collect();
    hosts.sort_by(|a, b| a.host.cmp(&b.host));
    let mut open: Vec<usize> = (0..hosts.len()).collect();
    open.shuffle(&mut random);
    open.truncate(hosts.len() - (recipe.empty * hosts.len() as f64) as usize);
    let mut free: Vec<(u64, u64)> = hosts.iter().map(room).collect();
    let total: (u64, u64) = open.iter().fold((0, 0), |sum, host| (sum.0 + free[*host].0, sum.1 + free[*host].1));
    let goal = (total.0 as f64 * recipe.utilisation, total.1 as f64 * recipe.utilisation);
    let mut used = (0, 0);
    let mut instances = Vec::new();
    let mut misses = 0;
    // Past this many misses in a row the fleet is as full as chance makes it.
    while (used.0 as f64) < goal.0 && (used.1 as f64) < goal.1 && misses < 400 && !open.is_empty() {
        let (vcpus, memory) = size(&mut random);
        let Some(place) = open.choose(&mut random).copied() else { break };
        if free[place].0 < vcpus || free[place].1 < memory {
            misses += 1;
            continue;
        }
        misses = 0;
        free[place] = (free[place].0 - vcpus, free[place].1 - memory);
        used = (used.0 + vcpus, used.1 + memory);
        instances.push(instance(&mut random, instances.len(), &hosts[place].host, vcpus, memory));
    }
    let groups = group(recipe, &mut random, &mut instances);
    instances.sort_by_key(|instance| instance.id);
    Region {
        format: 1,
        kind: RegionKind::Region,
        taken_at: Timestamp::UNIX_EPOCH,
        region: "Synthetic".to_owned(),
        hosts,
        instances,
        aggregates: Vec::new(),
        groups,
        histories: BTreeMap::new(),
        gaps: Vec::new(),
    }
}

fn host(recipe: &Recipe, number: usize) -> Host {
    let name = format!("compute-{number:05}");
    let scale = 1_u64 << (number / recipe.zones.max(1) % recipe.kinds.max(1));
    Host {
        host: HostName::new(&name),
        zone: Some(format!("az{}", number % recipe.zones.max(1) + 1).as_str().into()),
        rack: None,
        aggregates: Vec::new(),
        traits: Vec::new(),
        cell: None,
        hypervisor: Some("QEMU".to_owned()),
        identity: HostIdentity {
            machine_id: Some(format!("{number:032x}")),
            nova_host: Some(name.clone()),
            hostname: Some(name.clone()),
        },
        service: Service {
            id: ServiceId::new(format!("service-{number}")),
            state: ServiceState::Up,
            status: ServiceStatus::Enabled,
            disabled_reason: None,
            forced_down: false,
        },
        capacity: Resources::basic(HOST.0 * scale, HOST.1 * scale, 100_000 * scale),
        facts: HostFacts::default(),
    }
}

fn room(host: &Host) -> (u64, u64) {
    (host.capacity.get("VCPU"), host.capacity.memory_mb())
}

fn size(random: &mut StdRng) -> (u64, u64) {
    let vcpus = weighted(random, &SIZES);
    (vcpus, vcpus * weighted(random, &SHAPES) * 1024)
}

fn weighted(random: &mut StdRng, choices: &[(u64, u32)]) -> u64 {
    let total: u32 = choices.iter().map(|(_, weight)| weight).sum();
    let mut ticket = random.random_range(0..total);
    for (value, weight) in choices {
        match ticket.checked_sub(*weight) {
            Some(rest) => ticket = rest,
            None => return *value,
        }
    }
    choices[0].0
}

fn instance(random: &mut StdRng, number: usize, host: &HostName, vcpus: u64, memory: u64) -> Instance {
    Instance {
        id: InstanceId::new(Uuid::from_u128(random.random())),
        name: format!("vm-{number}"),
        project: ProjectId::new(format!("project-{}", number % 100)),
        host: Some(host.clone()),
        status: InstanceStatus::Active,
        task_state: None,
        power: None,
        locked: false,
        resources: Resources::basic(vcpus, memory, vcpus * 10),
        group: None,
        pinned_zone: None,
        traits: Vec::new(),
        flavor: None,
        image: BTreeMap::new(),
        metadata: BTreeMap::new(),
    }
}

/// Puts instances of different hosts into anti-affinity groups of two to `group_size`.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "shares of counts of instances"
)]
fn group(recipe: &Recipe, random: &mut StdRng, instances: &mut [Instance]) -> Vec<Group> {
    let mut pool: Vec<usize> = (0..instances.len()).collect();
    pool.shuffle(random);
    pool.truncate((recipe.grouped * instances.len() as f64) as usize);
    let mut groups = Vec::new();
    while let Some(first) = pool.pop() {
        let id = GroupId::new(format!("group-{:05}", groups.len()));
        let wanted = random.random_range(2..=recipe.group_size.max(2));
        let mut members = vec![first];
        while members.len() < wanted
            && let Some(next) = pool.pop()
        {
            if members.iter().all(|member| instances[*member].host != instances[next].host) {
                members.push(next);
            }
        }
        for member in members {
            instances[member].group = Some(id.clone());
        }
        groups.push(Group { id, policy: GroupPolicy::AntiAffinity, rules: GroupRules::default() });
    }
    groups
}

/// The same region with a machine of its own for each host, as a rehearsal or a run asks for.
#[must_use]
pub fn with_machines(mut region: Region) -> Region {
    for host in &mut region.hosts {
        host.identity = HostIdentity {
            machine_id: Some(format!("machine-{}", host.host)),
            nova_host: Some(host.host.to_string()),
            hostname: Some(host.host.to_string()),
        };
    }
    region
}

/// The rollout of all hosts of `region` under `policy`, made when the region was taken.
pub fn planned(region: &Region, policy: &Policy, seed: u64) -> Result<Rollout, PlanError> {
    let input = PlanInput {
        region,
        verdicts: &all_vulnerable(region),
        remedy: &remedy(),
        policy,
        scope: &Scope::default(),
        experience: &Experience::default(),
        configuration: Digest::new("sha256:none"),
        seed,
        now: region.taken_at,
        id: RolloutId::new(Uuid::nil()),
    };
    Ok(plan(&input)?.0)
}

/// A verdict for each host: all vulnerable.
pub fn all_vulnerable(region: &Region) -> BTreeMap<HostName, Verdict> {
    let vulnerable = || Verdict { verdict: VerdictKind::Vulnerable, evidence: Vec::new() };
    region.hosts.iter().map(|host| (host.host.clone(), vulnerable())).collect()
}

/// A remedy that asks for nothing but a reboot.
pub fn remedy() -> Remedy {
    Remedy {
        steps: Vec::new(),
        format: 1,
        kind: RemedyKind::Remedy,
        name: "synthetic".to_owned(),
        title: String::new(),
        cves: Vec::new(),
        references: Vec::new(),
        applies: Applies::default(),
        packages: Vec::new(),
        kernel: None,
        evidence: Vec::new(),
        guests: None,
        reboot: true,
    }
}
