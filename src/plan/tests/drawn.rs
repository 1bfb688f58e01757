//! Regions and policies with everything that real ones have, drawn from a seed.

use std::collections::{BTreeMap, BTreeSet};

use super::*;
use crate::model::{
    Aggregate, GroupPolicy, InstanceStatus, Limit, NumaCell, Percent, Place, ServiceState, ServiceStatus, Span,
};
use crate::plan::fixture::{flavor, processor};
use crate::plan::synthetic::Recipe;

/// What a drawn case has beside hosts and instances; each is on or off by its bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Feature {
    /// Flavors that ask for an aggregate.
    FastDisks,
    /// Hosts kept for projects.
    Projects,
    /// Processors of two generations.
    Processors,
    Racks,
    Numa,
    /// Nova cells.
    Cells,
    /// Soft policies, hard affinity, and several members on a host.
    Policies,
    PinnedZones,
    Traits,
    /// Hosts that are disabled or down.
    Absent,
    /// Instances that stay on their hosts.
    Stopped,
    /// Hosts that are mitigated already.
    Mitigated,
    /// Hosts off limits, only targets, or spares.
    HostRules,
    /// Empty hosts, a share and an amount kept free.
    Headroom,
    /// Hosts of zones and aggregates that must stay in service.
    KeepUp,
    Priority,
}

/// Draws numbers by what they are for.
#[derive(Clone, Copy)]
pub(super) struct Dice {
    seed: u64,
    features: u16,
}

impl Dice {
    pub(super) fn of(seed: u64, features: u16) -> Self {
        Self { seed, features }
    }

    pub(super) fn draw(self, what: u64, number: usize, of: u64) -> u64 {
        schedule::mix(self.seed ^ what.wrapping_mul(0x9e37), number as u64) % of
    }

    fn one_in(self, of: u64, what: u64, number: usize) -> bool {
        self.draw(what, number, of) == 0
    }

    fn has(self, feature: Feature) -> bool {
        self.features & (1 << feature as u16) != 0
    }
}

/// A case with the features whose bits are set.
pub(super) fn case(recipe: &Recipe, seed: u64, features: u16) -> Case {
    let dice = Dice::of(seed, features);
    let mut region = synthetic::region(recipe, seed);
    region.aggregates = aggregates();
    change_hosts(&mut region, dice);
    change_instances(&mut region, dice);
    change_groups(&mut region, dice);
    let names: Vec<HostName> = region.hosts.iter().map(|host| host.host.clone()).collect();
    let mut case = Case::of(region);
    for (number, name) in names.iter().enumerate() {
        if dice.has(Feature::Mitigated) && dice.one_in(6, 40, number) {
            case = case.verdict(name.as_str(), VerdictKind::Mitigated);
        }
        if dice.has(Feature::HostRules) {
            let rules = &mut case.policy.hosts;
            let _ = match dice.draw(41, number, 20) {
                0 => rules.exclude.insert(name.clone()),
                1 => rules.targets_only.insert(name.clone()),
                2 | 3 => rules.spare.insert(name.clone()),
                _ => false,
            };
        }
    }
    change_policy(&mut case, dice);
    case.scope.no_room = NoRoom::LeaveOut;
    case
}

fn aggregates() -> Vec<Aggregate> {
    let aggregate = |name: &str, key: &str, value: &str| Aggregate {
        name: name.to_owned(),
        metadata: [(key.to_owned(), value.to_owned())].into(),
    };
    vec![
        aggregate("fast", "disk", "ssd"),
        aggregate("theirs", "filter_tenant_id", "project-1, project-2, project-3"),
        aggregate("team", "owner", "us"),
    ]
}

fn change_hosts(region: &mut Region, dice: Dice) {
    for (number, host) in region.hosts.iter_mut().enumerate() {
        let mut join = |name: &str, of: u64, what: u64| {
            if dice.one_in(of, what, number) {
                host.aggregates.push(name.to_owned());
            }
        };
        join("team", 2, 1);
        if dice.has(Feature::FastDisks) {
            join("fast", 2, 2);
        }
        if dice.has(Feature::Projects) {
            join("theirs", 5, 3);
        }
        if dice.has(Feature::Processors) {
            let flags: &[&str] = if dice.one_in(3, 4, number) { &["avx", "avx2"] } else { &["avx"] };
            processor(flags)(host);
        }
        if dice.has(Feature::Racks) {
            host.rack = Some(format!("r{}", dice.draw(5, number, 4)));
        }
        if dice.has(Feature::Numa) {
            let cell = NumaCell { cpus: 64, memory_mb: host.capacity.memory_mb() / 2, huge_pages: BTreeMap::new() };
            host.facts.numa = vec![cell.clone(), cell];
        }
        if dice.has(Feature::Cells) {
            host.cell = Some(format!("cell{}", dice.draw(6, number, 2)));
        }
        if dice.has(Feature::Traits) && !dice.one_in(3, 7, number) {
            host.traits.push("CUSTOM_NET".to_owned());
        }
        if dice.has(Feature::Absent) {
            match dice.draw(8, number, 12) {
                0 => host.service.status = ServiceStatus::Disabled,
                1 => host.service.state = ServiceState::Down,
                2 => host.service.forced_down = true,
                _ => {}
            }
        }
    }
}

fn change_instances(region: &mut Region, dice: Dice) {
    let with = |what: &dyn Fn(&crate::model::Host) -> bool| -> BTreeSet<HostName> {
        region.hosts.iter().filter(|host| what(host)).map(|host| host.host.clone()).collect()
    };
    let fast = with(&|host| host.aggregates.iter().any(|name| name == "fast"));
    let nets = with(&|host| host.traits.iter().any(|name| name == "CUSTOM_NET"));
    let zones: BTreeMap<HostName, _> = region.hosts.iter().map(|host| (host.host.clone(), host.zone.clone())).collect();
    for (number, instance) in region.instances.iter_mut().enumerate() {
        let Some(home) = instance.host.clone() else { continue };
        if fast.contains(&home) && dice.one_in(3, 20, number) {
            flavor("aggregate_instance_extra_specs:disk", "ssd")(instance);
        } else if dice.has(Feature::Numa) && dice.one_in(3, 21, number) {
            flavor("hw:numa_nodes", if dice.one_in(2, 22, number) { "1" } else { "2" })(instance);
        }
        if nets.contains(&home) && dice.one_in(4, 23, number) {
            instance.traits.push("CUSTOM_NET".to_owned());
        }
        if dice.has(Feature::PinnedZones) && dice.one_in(3, 24, number) {
            instance.pinned_zone = zones[&home].clone();
        }
        if dice.has(Feature::Stopped) && dice.one_in(8, 25, number) {
            instance.status = InstanceStatus::Shutoff;
        }
    }
}

fn change_groups(region: &mut Region, dice: Dice) {
    if !dice.has(Feature::Policies) {
        return;
    }
    for (number, group) in region.groups.iter_mut().enumerate() {
        group.policy = match dice.draw(30, number, 8) {
            0 => GroupPolicy::SoftAntiAffinity,
            1 => GroupPolicy::SoftAffinity,
            2 => GroupPolicy::Affinity,
            _ => GroupPolicy::AntiAffinity,
        };
        group.rules.max_server_per_host = dice.one_in(4, 31, number).then_some(2);
    }
}

fn change_policy(case: &mut Case, dice: Dice) {
    let number = |what: u64, of: u64| usize::try_from(dice.draw(what, 0, of)).unwrap();
    let slots = 1 + number(50, 7);
    let limits = &mut case.policy.limits;
    limits.hosts = Limit::at_most(slots);
    limits.hosts_per_zone = Limit::at_most(slots.div_ceil(2));
    limits.hosts_per_rack = Some(Limit::at_most(slots.div_ceil(2)));
    limits.migrations = slots;
    limits.migrations_per_source = 1 + number(51, 2);
    limits.migrations_per_target = 1 + number(52, 2);
    case.policy.canary.hosts = number(53, 3);
    case.policy.canary.soak = Span::seconds(60 * dice.draw(54, 0, 10));
    if dice.has(Feature::KeepUp) {
        limits.keep_up.per_zone = number(55, 6);
        limits.keep_up.per_aggregate = number(56, 12);
    }
    if dice.has(Feature::Headroom) {
        let zone = &mut case.policy.headroom.per_zone;
        zone.hosts = number(57, 2);
        zone.percent = dice.one_in(2, 58, 0).then(|| Percent::new(5.0).unwrap());
        if dice.one_in(2, 59, 0) {
            zone.resources = crate::model::Resources::basic(16, 64 * 1024, 0);
        }
    }
    if dice.has(Feature::Priority) {
        let first = case.region.hosts[number(60, case.region.hosts.len() as u64)].host.clone();
        let team = case.region.hosts.iter().any(|host| host.aggregates.iter().any(|name| name == "team"));
        case.policy.priority = vec![Place::Host(first)];
        case.policy.priority.extend(team.then(|| Place::Aggregate("team".to_owned())));
    }
}
