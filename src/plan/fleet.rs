//! The planner's problem by number: hosts to remedy, instances that leave them, limits, and how long things take.

use std::sync::Arc;

use super::census::Census;
use super::input::Experience;
use super::kinds::Suits;
use super::layout::Layout;
use super::parts::{in_parts, joined};
use super::select::Selection;
use super::space::{Need, Space};
use crate::model::{Estimate, Host, HostName, Instance, Policy, Region};

/// Planned time in milliseconds from the start of the run: integers, so that the same input gives the same bytes.
pub(super) type Millis = u64;

/// A limit on how many of some hosts are out of service at once.
#[derive(Debug, Clone)]
pub(super) struct Pool {
    /// At most so many.
    pub(super) limit: u32,
}

/// The problem.
#[derive(Debug)]
pub(super) struct Fleet<'a> {
    pub(super) layout: Arc<Layout>,
    /// Hosts by number.
    region_hosts: Vec<&'a Host>,
    /// Everything where it is; targets are those of the selection.
    pub(super) space: Space,
    /// Hosts to remedy.
    pub(super) hosts: Vec<u32>,
    /// In service but left alone and vulnerable, by host.
    pub(super) bystander: Vec<bool>,
    /// Never given instances, by host.
    pub(super) spare: Vec<bool>,
    /// By host, whether some rollout may move instances there: in service, and neither excluded nor a spare.
    pub(super) may_take: Vec<bool>,
    /// By host, the place in the policy's priority; those that it does not name come last.
    pub(super) turn: Vec<u32>,
    /// Instances that leave, by host; the biggest first.
    pub(super) leaving: Vec<Vec<u32>>,
    /// Limits on hosts out of service; the first is the region's.
    pub(super) pools: Vec<Pool>,
    /// By zone, how many of its hosts may be out.
    pub(super) zone_limits: Vec<u32>,
    /// Pools that each host counts in.
    pub(super) pools_of: Vec<Vec<u32>>,
    /// By host, how long it is out of service after its last instance has left.
    pub(super) work: Vec<Millis>,
    /// Wait behind the canary hosts.
    pub(super) soak: Millis,
    /// How many canary hosts go first.
    pub(super) canaries: usize,
    /// Migrations at once: region, per source, per target.
    pub(super) streams: Streams,
    /// Empty targets that each zone keeps.
    pub(super) kept_empty: u32,
    /// Per instance that leaves.
    instances: Vec<Leaver>,
    /// The same instances themselves: far larger, and not looked at while planning.
    subjects: Vec<&'a Instance>,
    /// What few instances ask for beside room and group.
    particulars: Vec<Particulars>,
    amounts: Vec<i64>,
    suits: Vec<Box<[bool]>>,
}

/// Migrations at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Streams {
    pub(super) region: usize,
    pub(super) source: usize,
    pub(super) target: usize,
}

/// What an instance asks for by name, by number.
#[derive(Debug, Clone, Copy)]
struct Asked {
    group: Option<u32>,
    zone: Option<u32>,
}

/// What is looked at of an instance again and again while planning.
#[derive(Debug)]
struct Leaver {
    duration: Millis,
    group: Option<u32>,
    /// One member of its group moves at a time.
    is_exclusive: bool,
    /// Place in the fleet's particulars.
    particulars: Option<u32>,
}

#[derive(Debug)]
struct Particulars {
    zone: Option<u32>,
    suits: Option<u32>,
    topology: Option<u32>,
}

impl<'a> Fleet<'a> {
    /// The problem behind a selection.
    pub(super) fn of(
        region: &'a Region,
        census: &Census<'a>,
        selection: &Selection<'a>,
        policy: &Policy,
        experience: &Experience,
    ) -> Self {
        let mut layout = Layout::of(census, region, &[]);
        let suits = Suits::of(layout.kinds(), census, &selection.leaving);
        layout.split_into_parts(census, suits.moves());
        let layout = Arc::new(layout);
        let mut fleet = Self {
            space: Space::empty(Arc::clone(&layout)),
            hosts: selection.hosts.iter().filter_map(|host| layout.host(&host.host)).collect(),
            region_hosts: Vec::new(),
            bystander: vec![false; layout.len()],
            spare: census.hosts.iter().map(|host| policy.hosts.spare.contains(&host.host)).collect(),
            may_take: census.hosts.iter().map(|host| may_take(host, policy)).collect(),
            turn: census.hosts.iter().map(|host| turn_of(host, policy)).collect(),
            leaving: vec![Vec::new(); layout.len()],
            pools: Vec::new(),
            zone_limits: vec![u32::MAX; layout.zone_count()],
            pools_of: vec![Vec::new(); layout.len()],
            work: census.hosts.iter().map(|host| work_of(host, policy, experience)).collect(),
            soak: millis(policy.canary.soak.as_seconds()),
            canaries: policy.canary.hosts,
            streams: Streams {
                region: policy.limits.migrations.max(1),
                source: policy.limits.migrations_per_source.max(1),
                target: policy.limits.migrations_per_target.max(1),
            },
            kept_empty: u32::try_from(policy.headroom.per_zone.hosts).unwrap_or(u32::MAX),
            instances: Vec::with_capacity(suits.of.len()),
            subjects: Vec::with_capacity(suits.of.len()),
            particulars: Vec::new(),
            amounts: Vec::with_capacity(suits.of.len() * census.classes.len()),
            suits: suits.distinct,
            layout,
        };
        fleet.region_hosts.clone_from(&census.hosts);
        let asked = fleet.asked(census);
        fleet.fill(census, &asked);
        fleet.add_leavers(census, selection, &asked, &suits.of, &policy.estimate);
        for name in &selection.bystanders {
            if let Some(host) = fleet.layout.host(name) {
                fleet.bystander[host as usize] = true;
            }
        }
        for name in &selection.targets {
            if let Some(host) = fleet.layout.host(name) {
                fleet.space.set_target(host, true);
            }
        }
        super::pools::add(&mut fleet, region, policy);
        fleet
    }

    /// Looks up groups and zones of all instances by name, once and in the order in which they lie in memory.
    fn asked(&self, census: &Census<'a>) -> Vec<Asked> {
        let groups = self.layout.group_numbers();
        let look_up = |instance: &Instance| Asked {
            group: instance.group.as_ref().and_then(|group| groups.get(group)),
            // A zone that no host is in is like any other zone than the host's: nothing takes it.
            zone: instance.pinned_zone.as_ref().map(|zone| self.layout.zone(zone).unwrap_or(u32::MAX)),
        };
        joined(in_parts(census.instances, |_, part| part.iter().map(look_up).collect()))
    }

    fn fill(&mut self, census: &Census<'a>, asked: &[Asked]) {
        for (number, host) in census.housed() {
            let group = asked[number as usize].group;
            let topology = self.layout.numa().topology(&census.instances[number as usize]);
            let amounts = census.amounts(number);
            self.space.take(host, &Need { amounts, group, from: host, zone: None, kinds: None, topology });
        }
    }

    fn add_leavers(
        &mut self,
        census: &Census<'a>,
        selection: &Selection<'a>,
        asked: &[Asked],
        suits: &[(u32, Option<u32>)],
        estimate: &Estimate,
    ) {
        let mut suits = suits.iter().map(|(_, suits)| *suits);
        let memory = census.classes.iter().position(|class| class == "MEMORY_MB");
        for (home, instances) in &selection.leaving {
            for place in instances {
                let number = u32::try_from(self.instances.len()).unwrap_or(u32::MAX);
                let amounts = census.amounts(*place);
                let memory_mb = memory.map_or(0, |class| amounts[class].unsigned_abs());
                let Asked { group, zone } = asked[*place as usize];
                self.amounts.extend(amounts);
                let instance = &census.instances[*place as usize];
                let suits = suits.next().flatten();
                let topology = self.layout.numa().topology(instance);
                let is_particular = zone.is_some() || suits.is_some() || topology.is_some();
                let particulars = is_particular.then(|| {
                    self.particulars.push(Particulars { zone, suits, topology });
                    u32::try_from(self.particulars.len() - 1).unwrap_or(u32::MAX)
                });
                self.subjects.push(instance);
                self.instances.push(Leaver {
                    duration: millis(estimate.move_seconds(memory_mb)).max(1),
                    group,
                    is_exclusive: group.is_some_and(|group| self.layout.is_hard_anti_affinity(group)),
                    particulars,
                });
                self.leaving[*home as usize].push(number);
            }
        }
        for home in self.hosts.clone() {
            let mut numbers = std::mem::take(&mut self.leaving[home as usize]);
            numbers.sort_by_key(|number| (std::cmp::Reverse(self.amount(*number, self.tight(home))), *number));
            self.leaving[home as usize] = numbers;
        }
    }

    /// The tight class of a host's domain.
    pub(super) fn tight(&self, host: u32) -> usize {
        self.layout.domains()[self.layout.domain_of(host) as usize].tight
    }

    /// What an instance asks of a host when it leaves `from`.
    pub(super) fn need(&self, instance: u32, from: u32) -> Need<'_> {
        let leaver = &self.instances[instance as usize];
        let particulars = leaver.particulars.map(|place| &self.particulars[place as usize]);
        let suits = particulars.and_then(|particulars| particulars.suits);
        Need {
            amounts: self.amounts_of(instance),
            group: leaver.group,
            from,
            zone: particulars.and_then(|particulars| particulars.zone),
            kinds: suits.map(|number| &*self.suits[number as usize]),
            topology: particulars.and_then(|particulars| particulars.topology),
        }
    }

    /// Which of the distinct requirements of leaving instances a host's kind meets.
    pub(super) fn meets(&self, host: u32) -> Vec<bool> {
        let kind = self.layout.kinds().kind_of(host);
        self.suits.iter().map(|suited| suited[kind]).collect()
    }

    /// What an instance has allocated, by class.
    pub(super) fn amounts_of(&self, instance: u32) -> &[i64] {
        let width = self.layout.classes().len();
        &self.amounts[instance as usize * width..][..width]
    }

    /// What an instance has allocated of one class.
    pub(super) fn amount(&self, instance: u32, class: usize) -> i64 {
        self.amounts_of(instance).get(class).copied().unwrap_or(0)
    }

    /// How long its migration takes.
    pub(super) fn duration(&self, instance: u32) -> Millis {
        self.instances[instance as usize].duration
    }

    /// The group within which one member moves at a time.
    pub(super) fn exclusive_group(&self, instance: u32) -> Option<u32> {
        let leaver = &self.instances[instance as usize];
        leaver.group.filter(|_| leaver.is_exclusive)
    }

    /// The instance itself.
    pub(super) fn instance(&self, number: u32) -> &'a Instance {
        self.subjects[number as usize]
    }

    /// How many instances leave.
    pub(super) fn instance_count(&self) -> usize {
        self.instances.len()
    }

    /// How long a host with these instances is out of service at least: the drain at full speed, then the work on it.
    pub(super) fn out_for(&self, host: u32, instances: &[u32]) -> Millis {
        let mut sum = 0;
        let mut longest = 0;
        for instance in instances {
            let duration = self.duration(*instance);
            sum += duration;
            longest = longest.max(duration);
        }
        longest.max(sum.div_ceil(self.streams.source as u64)) + self.work[host as usize]
    }

    /// A host itself.
    pub(super) fn host(&self, number: u32) -> &'a Host {
        self.region_hosts[number as usize]
    }

    /// A host's name.
    pub(super) fn name(&self, host: u32) -> &HostName {
        self.layout.host_name(host)
    }
}

fn work_of(host: &Host, policy: &Policy, experience: &Experience) -> Millis {
    millis(experience.of(&host.host).unwrap_or(policy.estimate.host).as_seconds())
}

fn may_take(host: &Host, policy: &Policy) -> bool {
    let rules = &policy.hosts;
    host.service.is_in_service() && !rules.exclude.contains(&host.host) && !rules.spare.contains(&host.host)
}

/// The first entry of the policy's priority that a host is of.
fn turn_of(host: &Host, policy: &Policy) -> u32 {
    let place = policy.priority.iter().position(|place| place.has(host)).unwrap_or(policy.priority.len());
    u32::try_from(place).unwrap_or(u32::MAX)
}

/// Whole milliseconds, rounded up.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "planned times are far below 2^52 ms")]
pub(super) fn millis(seconds: f64) -> Millis {
    (seconds.max(0.0) * 1000.0).ceil() as Millis
}

/// Seconds with three decimals, which text keeps exactly.
#[expect(clippy::cast_precision_loss, reason = "planned times are far below 2^52 ms")]
pub(super) fn seconds(millis: Millis) -> f64 {
    millis as f64 / 1000.0
}
