//! What the checker reads out of rollout and region, by number: its own books, built without the planner's.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use super::looks::Looks;
use super::parts::{in_parts, joined};
use crate::model::{
    Group, GroupId, GroupPolicy, Host, HostName, Instance, InstanceId, Numbers, Region, Resources, Topology, ZoneName,
};
use crate::plan::rollout::{PlannedHost, Rollout, SkipReason};

/// Milliseconds from the start of the run.
pub(super) type Time = u64;

/// Hosts, instances and groups of the region as the rollout uses them.
#[derive(Debug)]
pub(super) struct Ground<'a> {
    /// In order of name.
    pub(super) hosts: Vec<HostView<'a>>,
    /// In order of host, then of id: what is looked at together lies together.
    pub(super) instances: Vec<InstanceView<'a>>,
    pub(super) groups: Vec<&'a Group>,
    /// Resource classes in order of name.
    pub(super) classes: Vec<&'a str>,
    /// What aggregates and processors of hosts are to instances.
    pub(super) looks: Looks<'a>,
    /// NUMA topologies of instances by number, where any host tells its cells.
    pub(super) topologies: BTreeMap<usize, Topology>,
    /// How many domains there are.
    pub(super) domains: usize,
    /// Zones with a host that may take instances and gives none: see [`Self::may_make_way`].
    starts: BTreeSet<Option<&'a ZoneName>>,
    /// What cannot be read: rollout and region do not belong together.
    pub(super) mismatches: Vec<String>,
    host_numbers: Numbers<'a, HostName>,
    /// By number.
    ids: Vec<InstanceId>,
    /// In order of id.
    instance_numbers: Vec<(InstanceId, usize)>,
    /// Of all instances, class by class.
    amounts: Vec<u64>,
}

/// A host.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a finding of its own about the host")]
pub(super) struct HostView<'a> {
    pub(super) host: &'a Host,
    /// Its place in `rollout.hosts`.
    pub(super) planned: Option<usize>,
    /// Takes instances from the start.
    pub(super) is_target: bool,
    /// Lends room though it stays vulnerable.
    pub(super) is_lender: bool,
    /// Left alone because its instances fit nowhere.
    pub(super) has_no_room: bool,
    /// Takes instances in some rollout without violations of the same hosts: this one need not name it.
    pub(super) may_take: bool,
    pub(super) domain: usize,
    pub(super) capacity: Vec<u64>,
    pub(super) traits: BTreeSet<&'a str>,
    /// Its place among the hosts that are alike to guests and to aggregates' filters.
    pub(super) look: usize,
    /// Instances on it at the start, by number.
    pub(super) instances: Range<usize>,
}

/// An instance on a host.
#[derive(Debug, Clone, Copy)]
pub(super) struct InstanceView<'a> {
    pub(super) id: InstanceId,
    pub(super) pinned_zone: Option<&'a ZoneName>,
    pub(super) traits: &'a [String],
    pub(super) instance: &'a Instance,
    pub(super) home: usize,
    /// How long the policy estimates that its migration takes.
    pub(super) duration: Time,
    pub(super) group: Option<usize>,
    /// Stays on its host while that is remedied.
    pub(super) stays: bool,
}

impl HostView<'_> {
    pub(super) fn is_in_service(&self) -> bool {
        self.host.service.is_in_service()
    }
}

impl<'a> Ground<'a> {
    pub(super) fn of(rollout: &'a Rollout, region: &'a Region) -> Self {
        let mut ground = Self {
            hosts: Vec::new(),
            instances: Vec::new(),
            groups: region.groups.iter().collect(),
            classes: Vec::new(),
            looks: Looks::of(region),
            topologies: BTreeMap::new(),
            domains: 0,
            starts: BTreeSet::new(),
            mismatches: Vec::new(),
            host_numbers: [].into_iter().collect(),
            ids: Vec::new(),
            instance_numbers: Vec::new(),
            amounts: Vec::new(),
        };
        ground.groups.sort_by(|a, b| a.id.cmp(&b.id));
        ground.groups.dedup_by(|a, b| a.id == b.id);
        ground.classes = classes(region);
        ground.read_hosts(rollout, region);
        ground.read_instances(rollout, region);
        ground.find_starts();
        ground
    }

    fn read_hosts(&mut self, rollout: &'a Rollout, region: &'a Region) {
        let planned: BTreeMap<&HostName, usize> =
            rollout.hosts.iter().enumerate().map(|(index, planned)| (&planned.host, index)).collect();
        let targets: BTreeSet<&HostName> = rollout.targets.iter().collect();
        let lenders: BTreeSet<&HostName> = rollout.lenders.iter().collect();
        let no_room = rollout.skipped.iter().filter(|skipped| skipped.reason == SkipReason::NoRoom);
        let no_room: BTreeSet<&HostName> = no_room.map(|skipped| &skipped.host).collect();
        let mut hosts: Vec<&Host> = region.hosts.iter().collect();
        hosts.sort_by(|a, b| a.host.cmp(&b.host));
        hosts.dedup_by(|a, b| a.host == b.host);
        self.host_numbers = hosts.iter().map(|host| &host.host).collect();
        let domains = domains(&hosts, region);
        self.domains = domains.iter().max().map_or(0, |last| last + 1);
        for (host, domain) in hosts.into_iter().zip(domains) {
            self.hosts.push(HostView {
                host,
                planned: planned.get(&host.host).copied(),
                is_target: targets.contains(&host.host),
                is_lender: lenders.contains(&host.host),
                has_no_room: no_room.contains(&host.host),
                may_take: may_take(host, rollout),
                domain,
                capacity: self.classes.iter().map(|class| host.capacity.get(class)).collect(),
                traits: host.traits.iter().map(String::as_str).collect(),
                look: self.looks.add(host),
                instances: 0..0,
            });
        }
        self.compare_lists(rollout, &planned);
    }

    fn find_starts(&mut self) {
        let is_start = |(number, view): &(usize, &HostView<'a>)| {
            let gives = (view.planned.is_some() || view.has_no_room) && self.leaving(*number).next().is_some();
            view.may_take && !gives
        };
        self.starts = self.hosts.iter().enumerate().filter(is_start).map(|(_, view)| view.host.zone.as_ref()).collect();
    }

    /// Whether instances of hosts that wait may make way for those of `host`: where its zone has no host to start with,
    /// one that takes instances and gives none.
    pub(super) fn may_make_way(&self, host: usize) -> bool {
        !self.starts.contains(&self.hosts[host].host.zone.as_ref())
    }

    /// Every host of the region is planned or skipped, once; targets and lenders are among those skipped.
    fn compare_lists(&mut self, rollout: &Rollout, planned: &BTreeMap<&HostName, usize>) {
        let skipped: BTreeMap<&HostName, SkipReason> =
            rollout.skipped.iter().map(|skipped| (&skipped.host, skipped.reason)).collect();
        let mut say = |text: String| self.mismatches.push(text);
        if planned.len() != rollout.hosts.len() {
            say("a host is planned twice".to_owned());
        }
        for view in &self.hosts {
            let name = &view.host.host;
            match (view.planned, skipped.get(name)) {
                (Some(_), Some(_)) => say(format!("{name} is both planned and skipped")),
                (None, None) => say(format!("{name} is neither planned nor skipped")),
                (Some(_), None) | (None, Some(_)) => {}
            }
            let rules = &rollout.policy.hosts;
            if view.planned.is_some() && (rules.exclude.contains(name) || rules.targets_only.contains(name)) {
                say(format!("{name} is planned and the policy never remedies it"));
            }
            if (view.is_target || view.is_lender) && (rules.exclude.contains(name) || rules.spare.contains(name)) {
                say(format!("{name} takes instances and the policy keeps it from that"));
            }
            let is_safe = matches!(skipped.get(name), Some(SkipReason::Mitigated | SkipReason::NotAffected));
            if view.is_target && !is_safe {
                say(format!("{name} is a target from the start but not mitigated"));
            }
            if (view.is_target || view.is_lender) && !view.is_in_service() {
                say(format!("{name} takes instances but is not in service"));
            }
            if view.planned.is_some() && !view.is_in_service() {
                say(format!("{name} is planned but not in service"));
            }
        }
        let known = |name: &HostName| self.host(name).is_some();
        let named = rollout.hosts.iter().map(|host| &host.host).chain(&rollout.targets).chain(&rollout.lenders);
        let strangers: Vec<String> =
            named.filter(|name| !known(name)).map(|name| format!("{name} is not in the region")).collect();
        self.mismatches.extend(strangers);
    }

    fn read_instances(&mut self, rollout: &'a Rollout, region: &'a Region) {
        let stays: BTreeSet<InstanceId> = rollout.stays.iter().map(|stay| stay.instance).collect();
        let groups: Numbers<'_, GroupId> = self.groups.iter().map(|group| &group.id).collect();
        let known: &Self = self;
        let parts = in_parts(&region.instances, |_, instances| {
            let mut amounts = Vec::with_capacity(instances.len() * known.classes.len());
            let mut views = Vec::with_capacity(instances.len());
            for instance in instances {
                let Some(home) = instance.host.as_ref().and_then(|name| known.host(name)) else { continue };
                known.extend_amounts(&mut amounts, &instance.resources);
                views.push(InstanceView {
                    id: instance.id,
                    pinned_zone: instance.pinned_zone.as_ref(),
                    traits: &instance.traits,
                    instance,
                    home,
                    duration: time(rollout.policy.estimate.move_seconds(instance.resources.memory_mb())),
                    group: instance.group.as_ref().and_then(|id| groups.get(id)).map(|number| number as usize),
                    stays: stays.contains(&instance.id),
                });
            }
            (views, amounts)
        });
        let (views, amounts): (Vec<_>, Vec<_>) = parts.into_iter().unzip();
        self.number(&joined(views), &joined(amounts));
        if region.hosts.iter().any(|host| !host.facts.numa.is_empty()) {
            let numbered = self.instances.iter().enumerate();
            self.topologies =
                numbered.filter_map(|(number, view)| Some((number, Topology::of(view.instance)?))).collect();
        }
    }

    /// Numbers instances host by host; `read` and `amounts` are in the order of the region.
    fn number(&mut self, read: &[InstanceView<'a>], amounts: &[u64]) {
        let mut on: Vec<Vec<usize>> = vec![Vec::new(); self.hosts.len()];
        for (place, view) in read.iter().enumerate() {
            on[view.home].push(place);
        }
        let width = self.classes.len();
        self.amounts.reserve_exact(amounts.len());
        self.ids.reserve_exact(read.len());
        self.instances.reserve_exact(read.len());
        self.instance_numbers = read.iter().map(|view| (view.id, 0)).collect();
        for (host, mut places) in self.hosts.iter_mut().zip(on) {
            places.sort_by_key(|place| read[*place].id);
            let first = self.instances.len();
            for place in places {
                self.instance_numbers[place].1 = self.instances.len();
                self.ids.push(read[place].id);
                self.instances.push(read[place]);
                self.amounts.extend_from_slice(&amounts[place * width..][..width]);
            }
            host.instances = first..self.instances.len();
        }
        self.instance_numbers.sort_unstable();
    }

    /// Classes and amounts are both in order of name.
    fn extend_amounts(&self, amounts: &mut Vec<u64>, resources: &Resources) {
        let mut known = resources.iter().peekable();
        for class in &self.classes {
            amounts.push(known.next_if(|(name, _)| name == class).map_or(0, |(_, amount)| amount));
        }
    }

    /// What an instance has allocated, by class.
    pub(super) fn amounts(&self, instance: usize) -> &[u64] {
        let width = self.classes.len();
        &self.amounts[instance * width..][..width]
    }

    /// The number of a host.
    pub(super) fn host(&self, name: &HostName) -> Option<usize> {
        self.host_numbers.get(name).map(|number| number as usize)
    }

    /// The number of an instance, which is most likely on `home`.
    pub(super) fn instance(&self, id: InstanceId, home: usize) -> Option<usize> {
        let there = self.hosts[home].instances.clone();
        let at_home = self.ids[there.clone()].iter().position(|known| *known == id).map(|place| there.start + place);
        at_home.or_else(|| {
            let place = self.instance_numbers.binary_search_by_key(&id, |(known, _)| *known).ok()?;
            Some(self.instance_numbers[place].1)
        })
    }

    /// The planned hosts by number, with their plan.
    pub(super) fn planned<'r>(&self, rollout: &'r Rollout) -> Vec<(usize, &'r PlannedHost)> {
        let numbered = self.hosts.iter().enumerate();
        numbered.filter_map(|(number, view)| Some((number, rollout.hosts.get(view.planned?)?))).collect()
    }

    /// Instances that have to leave one planned host.
    pub(super) fn leaving(&self, host: usize) -> impl Iterator<Item = usize> {
        self.hosts[host].instances.clone().filter(|number| !self.instances[*number].stays)
    }

    /// Instances that have to leave planned hosts.
    pub(super) fn leaving_count(&self) -> usize {
        (0..self.hosts.len())
            .filter(|host| self.hosts[*host].planned.is_some())
            .map(|host| self.leaving(host).count())
            .sum()
    }

    /// Members of a hard anti-affinity group that may share a host; `None` for groups of other policies.
    pub(super) fn most_per_host(&self, group: usize) -> Option<u32> {
        let group = self.groups[group];
        (group.policy == GroupPolicy::AntiAffinity).then(|| group.rules.max_server_per_host.unwrap_or(1).max(1))
    }
}

/// Whether a rollout may name `host` as a lender or, where it is remedied, move instances onto it: all that
/// [`Ground::compare_lists`] and the replay ask of it. A host that the command line excluded lends nothing, but a rollout
/// does not tell it from one outside the selection, so it counts.
fn may_take(host: &Host, rollout: &Rollout) -> bool {
    let rules = &rollout.policy.hosts;
    host.service.is_in_service() && !rules.exclude.contains(&host.host) && !rules.spare.contains(&host.host)
}

/// Every class that a host has or an instance asks for, in order of name.
fn classes(region: &Region) -> Vec<&str> {
    fn distinct<'r>(all: impl Iterator<Item = &'r Resources>) -> Vec<&'r str> {
        let mut classes: Vec<&str> = Vec::new();
        for (class, _) in all.flat_map(Resources::iter) {
            if !classes.contains(&class) {
                classes.push(class);
            }
        }
        classes
    }
    let mut parts = in_parts(&region.instances, |_, part| distinct(part.iter().map(|instance| &instance.resources)));
    parts.push(distinct(region.hosts.iter().map(|host| &host.capacity)));
    parts.into_iter().flatten().collect::<BTreeSet<_>>().into_iter().collect()
}

/// Milliseconds of seconds with three decimals.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "planned times are far below 2^52 ms")]
pub(super) fn time(seconds: f64) -> Time {
    (seconds.max(0.0) * 1000.0).round() as Time
}

/// The domain of each host: zone, cell, hypervisor type, and aggregates of which the region does not tell what they mean,
/// unless they are just a zone or a rack.
fn domains(hosts: &[&Host], region: &Region) -> Vec<usize> {
    let zones = members(hosts, |host| host.zone.as_ref().map(ZoneName::as_str));
    let racks = members(hosts, |host| host.rack.as_deref());
    let plain: BTreeSet<&Vec<usize>> = zones.values().chain(racks.values()).collect();
    let told: BTreeSet<&str> = region.aggregates.iter().map(|told| told.name.as_str()).collect();
    let aggregates = members(hosts, |host| host.aggregates.iter().map(String::as_str));
    let unknown = aggregates.iter().filter(|(name, members)| !told.contains(*name) && !plain.contains(members));
    let meaningful: BTreeSet<&str> = unknown.map(|(name, _)| *name).collect();
    let mut numbers: BTreeMap<_, usize> = BTreeMap::new();
    let mut domains = Vec::with_capacity(hosts.len());
    for host in hosts {
        let aggregates: BTreeSet<&str> =
            host.aggregates.iter().map(String::as_str).filter(|name| meaningful.contains(name)).collect();
        let next = numbers.len();
        domains.push(*numbers.entry((&host.zone, &host.cell, &host.hypervisor, aggregates)).or_insert(next));
    }
    domains
}

/// The hosts that each name is given to, by place; a host that is given one twice counts once.
fn members<'a, N: IntoIterator<Item = &'a str>>(
    hosts: &[&'a Host],
    names: impl Fn(&'a Host) -> N,
) -> BTreeMap<&'a str, Vec<usize>> {
    let mut members: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (place, host) in hosts.iter().enumerate() {
        for name in names(host) {
            let here = members.entry(name).or_default();
            if here.last() != Some(&place) {
                here.push(place);
            }
        }
    }
    members
}
