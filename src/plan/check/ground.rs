//! What the checker reads out of rollout and region, by number: its own books, built without the planner's.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{
    Group, GroupPolicy, Host, HostName, Instance, InstanceId, Region, ServiceState, ServiceStatus, ZoneName,
};
use crate::plan::rollout::{PlannedHost, Rollout, SkipReason};

/// Milliseconds from the start of the run.
pub(super) type Time = u64;

/// Hosts, instances and groups of the region as the rollout uses them.
#[derive(Debug)]
pub(super) struct Ground<'a> {
    /// In order of name.
    pub(super) hosts: Vec<HostView<'a>>,
    /// In order of id.
    pub(super) instances: Vec<InstanceView<'a>>,
    pub(super) groups: Vec<&'a Group>,
    /// Resource classes in order of name.
    pub(super) classes: Vec<&'a str>,
    /// How many domains there are.
    pub(super) domains: usize,
    /// What cannot be read: rollout and region do not belong together.
    pub(super) mismatches: Vec<String>,
}

/// A host.
#[derive(Debug)]
pub(super) struct HostView<'a> {
    pub(super) host: &'a Host,
    /// Its place in `rollout.hosts`.
    pub(super) planned: Option<usize>,
    /// Takes instances from the start.
    pub(super) is_target: bool,
    /// Lends room though it stays vulnerable.
    pub(super) is_lender: bool,
    pub(super) domain: usize,
    pub(super) capacity: Vec<u64>,
    pub(super) traits: BTreeSet<&'a str>,
    /// Instances on it at the start, by number.
    pub(super) instances: Vec<usize>,
}

/// An instance on a host.
#[derive(Debug)]
pub(super) struct InstanceView<'a> {
    pub(super) instance: &'a Instance,
    pub(super) home: usize,
    pub(super) amounts: Vec<u64>,
    pub(super) group: Option<usize>,
    /// Stays on its host while that is remedied.
    pub(super) stays: bool,
}

impl HostView<'_> {
    pub(super) fn is_in_service(&self) -> bool {
        let service = &self.host.service;
        service.state == ServiceState::Up && service.status == ServiceStatus::Enabled && !service.forced_down
    }
}

impl<'a> Ground<'a> {
    pub(super) fn of(rollout: &'a Rollout, region: &'a Region) -> Self {
        let mut ground = Self {
            hosts: Vec::new(),
            instances: Vec::new(),
            groups: region.groups.iter().collect(),
            classes: Vec::new(),
            domains: 0,
            mismatches: Vec::new(),
        };
        ground.groups.sort_by(|a, b| a.id.cmp(&b.id));
        let mut classes = BTreeSet::new();
        classes.extend(region.hosts.iter().flat_map(|host| host.capacity.iter()).map(|(class, _)| class));
        classes.extend(region.instances.iter().flat_map(|instance| instance.resources.iter()).map(|(class, _)| class));
        ground.classes = classes.into_iter().collect();
        ground.read_hosts(rollout, region);
        ground.read_instances(rollout, region);
        ground
    }

    fn read_hosts(&mut self, rollout: &'a Rollout, region: &'a Region) {
        let planned: BTreeMap<&HostName, usize> =
            rollout.hosts.iter().enumerate().map(|(index, planned)| (&planned.host, index)).collect();
        let targets: BTreeSet<&HostName> = rollout.targets.iter().collect();
        let lenders: BTreeSet<&HostName> = rollout.lenders.iter().collect();
        let mut hosts: Vec<&Host> = region.hosts.iter().collect();
        hosts.sort_by(|a, b| a.host.cmp(&b.host));
        let domains = domains(&hosts);
        self.domains = domains.iter().max().map_or(0, |last| last + 1);
        for (host, domain) in hosts.into_iter().zip(domains) {
            self.hosts.push(HostView {
                host,
                planned: planned.get(&host.host).copied(),
                is_target: targets.contains(&host.host),
                is_lender: lenders.contains(&host.host),
                domain,
                capacity: self.classes.iter().map(|class| host.capacity.get(class)).collect(),
                traits: host.traits.iter().map(String::as_str).collect(),
                instances: Vec::new(),
            });
        }
        self.compare_lists(rollout, &planned);
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
        let known = |name: &HostName| self.hosts.binary_search_by(|view| view.host.host.cmp(name)).is_ok();
        let named = rollout.hosts.iter().map(|host| &host.host).chain(&rollout.targets).chain(&rollout.lenders);
        let strangers: Vec<String> =
            named.filter(|name| !known(name)).map(|name| format!("{name} is not in the region")).collect();
        self.mismatches.extend(strangers);
    }

    fn read_instances(&mut self, rollout: &'a Rollout, region: &'a Region) {
        let stays: BTreeSet<InstanceId> = rollout.stays.iter().map(|stay| stay.instance).collect();
        let mut instances: Vec<&Instance> = region.instances.iter().collect();
        instances.sort_by_key(|instance| instance.id);
        for instance in instances {
            let Some(home) = instance.host.as_ref().and_then(|name| self.host(name)) else { continue };
            self.hosts[home].instances.push(self.instances.len());
            self.instances.push(InstanceView {
                instance,
                home,
                amounts: self.classes.iter().map(|class| instance.resources.get(class)).collect(),
                group: instance
                    .group
                    .as_ref()
                    .and_then(|id| self.groups.binary_search_by(|group| group.id.cmp(id)).ok()),
                stays: stays.contains(&instance.id),
            });
        }
    }

    /// The number of a host.
    pub(super) fn host(&self, name: &HostName) -> Option<usize> {
        self.hosts.binary_search_by(|view| view.host.host.cmp(name)).ok()
    }

    /// The number of an instance.
    pub(super) fn instance(&self, id: InstanceId) -> Option<usize> {
        self.instances.binary_search_by_key(&id, |view| view.instance.id).ok()
    }

    /// The planned hosts by number, with their plan.
    pub(super) fn planned<'r>(&self, rollout: &'r Rollout) -> Vec<(usize, &'r PlannedHost)> {
        let numbered = self.hosts.iter().enumerate();
        numbered.filter_map(|(number, view)| Some((number, rollout.hosts.get(view.planned?)?))).collect()
    }

    /// Instances that have to leave one planned host.
    pub(super) fn leaving(&self, host: usize) -> impl Iterator<Item = usize> {
        self.hosts[host].instances.iter().copied().filter(|number| !self.instances[*number].stays)
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

/// The domain of each host: zone, cell, hypervisor type, and aggregates unless they are just a zone or a rack.
fn domains(hosts: &[&Host]) -> Vec<usize> {
    let members = |is_in: &dyn Fn(&Host) -> bool| -> Vec<&HostName> {
        hosts.iter().filter(|host| is_in(host)).map(|host| &host.host).collect()
    };
    let zones: BTreeSet<&ZoneName> = hosts.iter().filter_map(|host| host.zone.as_ref()).collect();
    let racks: BTreeSet<&str> = hosts.iter().filter_map(|host| host.rack.as_deref()).collect();
    let mut plain: BTreeSet<Vec<&HostName>> = BTreeSet::new();
    plain.extend(zones.into_iter().map(|zone| members(&|host| host.zone.as_ref() == Some(zone))));
    plain.extend(racks.into_iter().map(|rack| members(&|host| host.rack.as_deref() == Some(rack))));
    let aggregates: BTreeSet<&str> = hosts.iter().flat_map(|host| host.aggregates.iter()).map(String::as_str).collect();
    let meaningful: BTreeSet<&str> = aggregates
        .into_iter()
        .filter(|name| !plain.contains(&members(&|host| host.aggregates.iter().any(|mine| mine == name))))
        .collect();
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
