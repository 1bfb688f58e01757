//! The replay: every start and end of hosts and moves in order of time, with the books after each.

use std::collections::BTreeMap;

use super::bounds::most_canaries;
use super::ground::{Ground, Time, time};
use super::limits::Outages;
use super::numa::holds;
use super::timeline::{Instant, Known, Timeline, Trip};
use crate::model::{GroupPolicy, HostName, ZoneName};
use crate::plan::rollout::{PlannedHost, PlannedMove, Rollout};

/// A rollout that is wrong in one place is often wrong in thousands.
const MOST_FINDINGS: usize = 200;

/// What the replay found.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) violations: Vec<String>,
    pub(super) peak_hosts_out: usize,
}

/// How far a host is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Untouched,
    Out,
    Done,
}

/// Replays the rollout.
pub(super) fn replay(rollout: &Rollout, ground: &Ground<'_>) -> Findings {
    let mut books = Books::open(rollout, ground);
    for mismatch in &ground.mismatches {
        books.say(mismatch.clone());
    }
    for mismatch in super::processors::mismatches(rollout, ground) {
        books.say(mismatch);
    }
    if let Some(text) = canaries_amiss(rollout) {
        books.say(text);
    }
    if ground.mismatches.is_empty() {
        let timeline = Timeline::of(rollout, ground);
        for (time, instant) in timeline.instants {
            match instant {
                Instant::HostLeaves(host) => books.host_leaves(time, &rollout.hosts[host as usize]),
                Instant::MoveStarts(number) => books.move_starts(&timeline.trips[number as usize]),
                Instant::MoveEnds(number) => books.move_ends(&timeline.trips[number as usize]),
                Instant::HostReturns(host) => books.host_returns(time, &rollout.hosts[host as usize]),
            }
        }
        books.close();
    }
    Findings { violations: books.violations, peak_hosts_out: books.outages.peak }
}

/// Fewer canary hosts than the policy wants show too little, and more than it may take are none.
fn canaries_amiss(rollout: &Rollout) -> Option<String> {
    let wanted = rollout.policy.canary.hosts;
    let canaries = rollout.hosts.iter().filter(|planned| planned.canary).count();
    let is_fine = (wanted.min(rollout.hosts.len())..=most_canaries(wanted)).contains(&canaries);
    (!is_fine && wanted > 0).then(|| format!("{canaries} canary hosts where the policy wants {wanted}"))
}

/// Targets without instances, counted by zone.
struct EmptyTargets<'a> {
    /// How many each zone keeps.
    kept: usize,
    ground: &'a Ground<'a>,
    /// By host.
    is_empty: Vec<bool>,
    by_zone: BTreeMap<Option<&'a ZoneName>, usize>,
}

impl<'a> EmptyTargets<'a> {
    fn none(rollout: &Rollout, ground: &'a Ground<'a>) -> Self {
        let kept = rollout.policy.headroom.per_zone.hosts;
        Self { kept, ground, is_empty: vec![false; ground.hosts.len()], by_zone: BTreeMap::new() }
    }

    fn note(&mut self, host: usize, is_empty: bool) {
        if self.is_empty[host] == is_empty {
            return;
        }
        self.is_empty[host] = is_empty;
        let count = self.by_zone.entry(self.ground.hosts[host].host.zone.as_ref()).or_default();
        *count = if is_empty { *count + 1 } else { *count - 1 };
    }

    /// Those in the zone of `host`, itself counted.
    fn beside(&self, host: usize) -> usize {
        self.by_zone.get(&self.ground.hosts[host].host.zone.as_ref()).copied().unwrap_or(0)
    }
}

/// The books of a replay.
struct Books<'a> {
    rollout: &'a Rollout,
    ground: &'a Ground<'a>,
    violations: Vec<String>,
    phase: Vec<Phase>,
    /// By host and class.
    used: Vec<u64>,
    /// Where each instance is.
    at: Vec<usize>,
    /// Where each instance that is moving goes.
    bound_for: Vec<Option<usize>>,
    /// Instances on each host or on their way to it.
    count: Vec<usize>,
    /// Where the policy keeps some targets empty: which are.
    empty: EmptyTargets<'a>,
    /// By host, members of groups; those on their way are counted on both sides.
    members: Vec<Vec<(usize, u32)>>,
    /// Instances with a NUMA topology by host, those on their way on both.
    shaped: Vec<Vec<usize>>,
    group_moving: Vec<u32>,
    outbound: Vec<usize>,
    inbound: Vec<usize>,
    moving: usize,
    /// By place in the rollout, moves that make way for the host's instances and have not ended.
    ways_left: Vec<usize>,
    /// The same, those under way.
    ways_moving: Vec<usize>,
    outages: Outages<'a>,
    canaries_out: usize,
    gate: Time,
}

impl<'a> Books<'a> {
    fn open(rollout: &'a Rollout, ground: &'a Ground<'a>) -> Self {
        let hosts = ground.hosts.len();
        let mut books = Self {
            rollout,
            ground,
            violations: Vec::new(),
            phase: vec![Phase::Untouched; hosts],
            used: vec![0; ground.classes.len() * hosts],
            at: ground.instances.iter().map(|view| view.home).collect(),
            bound_for: vec![None; ground.instances.len()],
            count: vec![0; hosts],
            empty: EmptyTargets::none(rollout, ground),
            members: vec![Vec::new(); hosts],
            shaped: vec![Vec::new(); hosts],
            group_moving: vec![0; ground.groups.len()],
            outbound: vec![0; hosts],
            inbound: vec![0; hosts],
            moving: 0,
            ways_left: rollout.hosts.iter().map(|planned| planned.ways().count()).collect(),
            ways_moving: vec![0; rollout.hosts.len()],
            outages: Outages::none(&rollout.policy, ground),
            canaries_out: rollout.hosts.iter().filter(|planned| planned.canary).count(),
            gate: 0,
        };
        for instance in 0..ground.instances.len() {
            books.put(instance, ground.instances[instance].home);
        }
        for host in 0..hosts {
            books.note_empty(host);
        }
        books
    }

    fn say(&mut self, text: String) {
        if self.violations.len() < MOST_FINDINGS {
            self.violations.push(text);
        }
    }

    fn used_mut(&mut self, host: usize) -> &mut [u64] {
        let width = self.ground.classes.len();
        &mut self.used[host * width..][..width]
    }

    fn put(&mut self, instance: usize, host: usize) {
        let ground = self.ground;
        for (used, amount) in self.used_mut(host).iter_mut().zip(ground.amounts(instance)) {
            *used += amount;
        }
        self.count[host] += 1;
        self.note_empty(host);
        if ground.topologies.contains_key(&instance) {
            self.shaped[host].push(instance);
        }
        if let Some(group) = ground.instances[instance].group {
            let members = &mut self.members[host];
            match members.iter_mut().find(|(known, _)| *known == group) {
                Some((_, count)) => *count += 1,
                None => members.push((group, 1)),
            }
        }
    }

    fn take(&mut self, instance: usize, host: usize) {
        let ground = self.ground;
        for (used, amount) in self.used_mut(host).iter_mut().zip(ground.amounts(instance)) {
            *used -= amount;
        }
        self.count[host] -= 1;
        self.note_empty(host);
        if ground.topologies.contains_key(&instance) {
            self.shaped[host].retain(|other| *other != instance);
        }
        if let Some(group) = ground.instances[instance].group {
            let members = &mut self.members[host];
            if let Some((_, count)) = members.iter_mut().find(|(known, _)| *known == group) {
                *count -= 1;
            }
            members.retain(|(_, count)| *count > 0);
        }
    }

    fn members_on(&self, host: usize, group: usize) -> u32 {
        self.members[host].iter().find(|(known, _)| *known == group).map_or(0, |(_, count)| *count)
    }

    fn is_mitigated(&self, host: usize) -> bool {
        self.ground.hosts[host].is_target || self.phase[host] == Phase::Done
    }

    fn host_leaves(&mut self, now: Time, planned: &PlannedHost) {
        let Some(host) = self.ground.host(&planned.host) else { return };
        if !planned.canary && (self.canaries_out > 0 || now < self.gate) {
            self.say(format!("{} begins before the canary hosts are through", planned.host));
        }
        self.phase[host] = Phase::Out;
        self.note_empty(host);
        if self.inbound[host] > 0 {
            self.say(format!("{} begins while instances are on their way to it", planned.host));
        }
        if self.outbound[host] > 0 {
            self.say(format!("{} begins while an instance that makes way still leaves it", planned.host));
        }
        for text in self.outages.leaves(&self.ground.hosts[host]) {
            self.say(format!("when {} begins, {text}", planned.host));
        }
    }

    fn move_starts(&mut self, trip: &Trip<'_>) {
        let planned_move = trip.planned;
        let id = planned_move.instance;
        let Some(Known { instance, from, to }) = trip.known else {
            self.say(format!("the move of {id} names what the region does not have"));
            return;
        };
        if self.at[instance] != from || self.bound_for[instance].is_some() {
            self.say(format!("{id} is not on {} when it is to leave it", planned_move.from));
            return;
        }
        if self.ground.instances[instance].stays {
            self.say(format!("{id} is to stay and is moved"));
        }
        let own = self.ground.hosts[from].planned == Some(trip.host);
        if own {
            self.check_own(trip, from);
        } else {
            self.check_way(trip, from);
        }
        if trip.is_short {
            self.say(format!("the move of {id} is planned shorter than the policy estimates"));
        }
        self.check_target(instance, from, to, planned_move);
        self.put(instance, to);
        self.bound_for[instance] = Some(to);
        self.count_streams(instance, from, to, planned_move);
    }

    /// An instance leaves the host that it is planned with.
    fn check_own(&mut self, trip: &Trip<'_>, from: usize) {
        let id = trip.planned.instance;
        if self.phase[from] != Phase::Out {
            self.say(format!("{id} leaves {} while that is in service", trip.planned.from));
        }
        if self.ways_left[trip.host] > 0 {
            self.say(format!("{id} leaves {} before others have made way", trip.planned.from));
        }
    }

    /// An instance of a host that waits makes way for those of another, which is out: one after the other, and only where
    /// no host takes instances without giving any.
    fn check_way(&mut self, trip: &Trip<'_>, from: usize) {
        let (id, for_whom) = (trip.planned.instance, &self.rollout.hosts[trip.host].host);
        let Some(host) = self.ground.host(for_whom) else { return };
        let view = &self.ground.hosts[from];
        let is_fine = self.phase[host] == Phase::Out
            && self.phase[from] == Phase::Untouched
            && view.planned.is_some()
            && view.domain == self.ground.hosts[host].domain
            && self.ground.may_make_way(host);
        if !is_fine {
            self.say(format!("{id} makes way for {for_whom} on {}, and may not", trip.planned.from));
        }
        if self.ways_moving[trip.host] > 0 {
            self.say(format!("{id} makes way for {for_whom} while another one does"));
        }
        self.ways_moving[trip.host] += 1;
    }

    fn check_target(&mut self, instance: usize, from: usize, to: usize, planned: &PlannedMove) {
        let (ground, id, name) = (self.ground, planned.instance, &planned.to);
        let (view, target) = (&ground.instances[instance], &ground.hosts[to]);
        if from == to {
            self.say(format!("{id} is moved onto the host that it is on"));
        }
        if !target.is_in_service() || self.phase[to] == Phase::Out {
            self.say(format!("{id} goes to {name}, which is out of service"));
        }
        if !self.is_mitigated(to) && target.planned.is_none() && !target.is_lender {
            self.say(format!("{id} goes to {name}, which stays vulnerable"));
        }
        if self.rollout.policy.hosts.spare.contains(name) {
            self.say(format!("{id} goes to {name}, which the policy keeps as a spare"));
        }
        if target.domain != ground.hosts[from].domain {
            self.say(format!("{id} goes to {name}, which is in another domain"));
        }
        if view.pinned_zone.is_some_and(|zone| target.host.zone.as_ref() != Some(zone)) {
            self.say(format!("{id} goes to {name}, outside the zone that it is pinned to"));
        }
        if let Some(missing) = view.traits.iter().find(|name| !target.traits.contains(name.as_str())) {
            self.say(format!("{id} goes to {name}, which lacks {missing}"));
        }
        if let Some(why) = ground.looks.objection(view.instance, ground.hosts[view.home].look, target.look) {
            self.say(format!("{id} goes to {name}, {why}"));
        }
        if let Some(topology) = ground.topologies.get(&instance) {
            let here = self.shaped[to].iter().filter_map(|other| ground.topologies.get(other));
            if !holds(target.host, here.chain(std::iter::once(topology)).collect()) {
                self.say(format!("{id} goes to {name}, whose NUMA cells have too little room for it"));
            }
        }
        let width = ground.classes.len();
        let used = &self.used[to * width..][..width];
        let amounts = ground.classes.iter().zip(ground.amounts(instance)).zip(used.iter().zip(&target.capacity));
        let full: Vec<String> = amounts
            .filter(|((_, amount), (used, capacity))| **amount > 0 && *used + *amount > **capacity)
            .map(|((class, _), _)| format!("{id} goes to {name}, which has too little {class} for it"))
            .collect();
        for text in full {
            self.say(text);
        }
        let kept = self.empty.kept;
        if kept > 0 && self.count[to] == 0 && self.is_mitigated(to) && self.empty.beside(to) <= kept {
            self.say(format!("{id} goes to {name}, one of {kept} hosts to be kept empty"));
        }
        self.check_group(instance, from, to, name);
    }

    /// Notes whether `host` is in service, mitigated and without instances.
    fn note_empty(&mut self, host: usize) {
        if self.empty.kept > 0 {
            let is_empty = self.count[host] == 0 && self.is_mitigated(host) && self.phase[host] != Phase::Out;
            self.empty.note(host, is_empty);
        }
    }

    fn check_group(&mut self, instance: usize, from: usize, to: usize, name: &HostName) {
        let Some(group) = self.ground.instances[instance].group else { return };
        let id = self.ground.instances[instance].id;
        let there = self.members_on(to, group);
        if self.ground.most_per_host(group).is_some_and(|most| there >= most) {
            self.say(format!("{id} goes to {name}, where its anti-affinity group has {there} already"));
        }
        let mates = self.members_on(from, group).saturating_sub(1);
        if self.ground.groups[group].policy == GroupPolicy::Affinity && mates > 0 && there == 0 {
            self.say(format!("{id} goes to {name} and leaves {mates} of its affinity group behind"));
        }
    }

    fn count_streams(&mut self, instance: usize, from: usize, to: usize, planned: &PlannedMove) {
        let limits = &self.rollout.policy.limits;
        self.moving += 1;
        self.outbound[from] += 1;
        self.inbound[to] += 1;
        if self.moving > limits.migrations.max(1) {
            self.say(format!("{} migrations run at once when {} starts", self.moving, planned.instance));
        }
        if self.outbound[from] > limits.migrations_per_source.max(1) {
            self.say(format!("{} migrations leave {} at once", self.outbound[from], planned.from));
        }
        if self.inbound[to] > limits.migrations_per_target.max(1) {
            self.say(format!("{} migrations go to {} at once", self.inbound[to], planned.to));
        }
        if let Some(group) = self.ground.instances[instance].group {
            self.group_moving[group] += 1;
            if self.group_moving[group] > 1 && self.ground.most_per_host(group).is_some() {
                let id = &self.ground.groups[group].id;
                self.say(format!("two members of anti-affinity group {id} move at once"));
            }
        }
    }

    fn move_ends(&mut self, trip: &Trip<'_>) {
        let Some(Known { instance, from: planned_from, .. }) = trip.known else { return };
        let Some(to) = self.bound_for[instance].take() else { return };
        let from = self.at[instance];
        if self.ground.hosts[planned_from].planned != Some(trip.host) {
            self.ways_left[trip.host] = self.ways_left[trip.host].saturating_sub(1);
            self.ways_moving[trip.host] = self.ways_moving[trip.host].saturating_sub(1);
        }
        self.take(instance, from);
        self.at[instance] = to;
        self.moving -= 1;
        self.outbound[from] -= 1;
        self.inbound[to] -= 1;
        if let Some(group) = self.ground.instances[instance].group {
            self.group_moving[group] -= 1;
        }
    }

    fn host_returns(&mut self, now: Time, planned: &PlannedHost) {
        let Some(host) = self.ground.host(&planned.host) else { return };
        if self.phase[host] != Phase::Out {
            self.say(format!("{} is back without having left", planned.host));
            return;
        }
        let stays = self.ground.hosts[host].instances.clone().filter(|number| self.ground.instances[*number].stays);
        let staying = stays.count();
        if self.count[host] > staying {
            self.say(format!("{} is remedied with {} instances on it", planned.host, self.count[host] - staying));
        }
        let emptied = planned.moves.iter().map(|planned| time(planned.finish_s)).max().unwrap_or(time(planned.start_s));
        let work = time(planned.work.unwrap_or(self.rollout.policy.estimate.host).as_seconds());
        if now < emptied + work || time(planned.start_s) > now {
            self.say(format!("{} is back sooner than is estimated", planned.host));
        }
        self.phase[host] = Phase::Done;
        self.note_empty(host);
        self.outages.returns(&self.ground.hosts[host]);
        if planned.canary {
            self.canaries_out -= 1;
            self.gate = self.gate.max(now + time(self.rollout.policy.canary.soak.as_seconds()));
        }
    }

    /// At the end every planned host is mitigated, and everything that was moved is on a mitigated host.
    fn close(&mut self) {
        for (host, planned) in self.ground.planned(self.rollout) {
            if self.phase[host] != Phase::Done {
                self.say(format!("{} is never done", planned.host));
            }
        }
        let moved = (0..self.at.len()).filter(|instance| self.at[*instance] != self.ground.instances[*instance].home);
        let lost: Vec<String> = moved
            .filter(|instance| {
                !self.is_mitigated(self.at[*instance]) && !self.ground.hosts[self.at[*instance]].is_lender
            })
            .map(|instance| {
                let host = &self.ground.hosts[self.at[instance]].host.host;
                format!("{} ends on {host}, which is not mitigated", self.ground.instances[instance].id)
            })
            .collect();
        for text in lost {
            self.say(text);
        }
    }
}
