//! What would let stuck hosts be emptied, found by planning with it: more hosts, instances stopped where they are, or
//! fewer hosts kept empty.
//!
//! Domains do not share room, so each is tried by itself: its hosts and instances, without the rest of the region.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Host, HostName, HostRules, InstanceHandling, InstanceId, InstanceStatus, Policy, Region};
use crate::plan::census::Census;
use crate::plan::fleet::Fleet;
use crate::plan::input::{InPlace, Means, NoRoom, PlanInput, Relocation, Scope, WayOut};
use crate::plan::rearrange::empty_a_host;
use crate::plan::schedule::{Stuck, explain_stuck};
use crate::plan::select::select;
use crate::plan::sweep::fewest_stuck;
use crate::remedy::{Verdict, VerdictKind};

/// Domains that are looked into: who lacks room in more of them lacks it everywhere.
const DOMAINS: usize = 8;

/// Instances that are moved around in all trials of one domain, and fewest and most trials.
const EFFORT: usize = 400_000;
const TRIALS: (usize, usize) = (9, 40);

/// Most hosts that are asked for.
const MOST_HOSTS: usize = 64;

/// What would let each domain's stuck hosts be emptied, in order of domain.
pub(crate) fn ways_out(input: &PlanInput<'_>, fleet: &Fleet<'_>, stuck: &[Stuck]) -> Vec<WayOut> {
    let mut domains: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for stuck in stuck {
        domains.entry(fleet.layout.domain_of(stuck.host)).or_default().push(stuck.host);
    }
    let domains = domains.into_iter().take(DOMAINS);
    domains.flat_map(|(domain, stuck)| Trials::of(input, fleet, domain).ways(fleet, domain, &stuck)).collect()
}

/// One domain by itself, to be planned again and again.
struct Trials<'a> {
    input: &'a PlanInput<'a>,
    label: String,
    members: BTreeSet<HostName>,
    region: Region,
    scope: Scope,
    policy: Policy,
    left: usize,
}

/// What a trial left stuck, with the instances that found no room.
struct Outcome {
    hosts: Vec<(HostName, Vec<InstanceId>)>,
}

/// Whether so many hosts more would do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Enough,
    TooFew,
    /// That was tried too often already.
    Untried,
}

/// The least number that is found to be enough, doubled and then bisected, and whether one less is known to be too few.
fn fewest(mut ask: impl FnMut(usize) -> Answer) -> Option<(usize, bool)> {
    let (mut too_few, mut enough) = (0, 1);
    loop {
        match ask(enough) {
            Answer::Enough => break,
            Answer::TooFew if enough < MOST_HOSTS => (too_few, enough) = (enough, enough * 2),
            Answer::TooFew | Answer::Untried => return None,
        }
    }
    while enough - too_few > 1 {
        let middle = usize::midpoint(too_few, enough);
        match ask(middle) {
            Answer::Enough => enough = middle,
            Answer::TooFew => too_few = middle,
            Answer::Untried => break,
        }
    }
    Some((enough, enough - too_few == 1))
}

impl<'a> Trials<'a> {
    fn of(input: &'a PlanInput<'a>, fleet: &Fleet<'_>, domain: u32) -> Self {
        let members = &fleet.layout.domains()[domain as usize].hosts;
        let members: BTreeSet<HostName> = members.iter().map(|host| fleet.name(*host).clone()).collect();
        // Headroom is counted over a whole zone, of which the domain may be a part.
        let whole = fleet.kept_empty > 0;
        let is_here = |host: &HostName| whole || members.contains(host);
        let region = Region {
            hosts: input.region.hosts.iter().filter(|host| is_here(&host.host)).cloned().collect(),
            instances: (input.region.instances.iter())
                .filter(|instance| instance.host.as_ref().is_some_and(is_here))
                .cloned()
                .collect(),
            format: input.region.format,
            kind: input.region.kind,
            taken_at: input.region.taken_at,
            region: input.region.region.clone(),
            aggregates: input.region.aggregates.clone(),
            groups: input.region.groups.clone(),
            histories: BTreeMap::new(),
            gaps: Vec::new(),
        };
        let here = |names: &BTreeSet<HostName>| names.iter().filter(|name| is_here(name)).cloned().collect();
        let planned = fleet.hosts.iter().map(|host| fleet.name(*host));
        let scope = Scope {
            hosts: planned.filter(|name| is_here(name)).cloned().collect(),
            exclude: here(&input.scope.exclude),
            unknown: input.scope.unknown,
            unproven_identity: input.scope.unproven_identity,
            no_room: NoRoom::LeaveOut,
            ..Scope::default()
        };
        // What names a host that is not here would be refused; who goes first does not matter.
        let rules = &input.policy.hosts;
        let hosts = HostRules {
            exclude: here(&rules.exclude),
            targets_only: here(&rules.targets_only),
            spare: here(&rules.spare),
        };
        let policy = Policy { hosts, priority: Vec::new(), ..input.policy.clone() };
        let label = fleet.layout.domains()[domain as usize].label.clone();
        let left = (EFFORT / (region.instances.len() + 1)).clamp(TRIALS.0, TRIALS.1);
        Self { input, label, members, region, scope, policy, left }
    }

    fn ways(mut self, fleet: &Fleet<'_>, domain: u32, stuck: &[u32]) -> Vec<WayOut> {
        let moves = self.share(9, |trials| trials.moves(fleet, domain));
        let hosts = self.share(3, |trials| trials.hosts(fleet, stuck));
        let headroom = self.share(2, Self::headroom);
        let stops = self.share(1, Self::stops);
        let means = [moves, hosts, headroom, stops].into_iter().flatten();
        means.map(|means| WayOut { domain: self.label.clone(), means }).collect()
    }

    /// Looks for one of so many means with its share of the trials that are left; what it does not need is for the
    /// others.
    fn share(&mut self, means: usize, find: impl FnOnce(&mut Self) -> Option<Means>) -> Option<Means> {
        let share = self.left.div_ceil(means);
        let others = self.left - share;
        self.left = share;
        let found = find(self);
        self.left += others;
        found
    }

    /// The fewest empty hosts as large as the largest stuck one, mitigated already or to be so first.
    fn hosts(&mut self, fleet: &Fleet<'_>, stuck: &[u32]) -> Option<Means> {
        let largest = stuck.iter().copied().max_by_key(|host| {
            (fleet.layout.capacity(*host).get(fleet.tight(*host)), std::cmp::Reverse(fleet.name(*host)))
        })?;
        let like = fleet.host(largest);
        let (count, fewest) = fewest(|count| self.with_hosts(like, count))?;
        Some(Means::Hosts { count, fewest, like: like.host.clone(), capacity: like.capacity.clone() })
    }

    /// The fewest migrations that empty a host by hand, where the plan then leaves no host out.
    fn moves(&mut self, fleet: &Fleet<'_>, domain: u32) -> Option<Means> {
        let found = empty_a_host(fleet, domain)?;
        let own = found.own.iter().map(|(instance, to)| (*instance, found.host, *to));
        let steps: Vec<(u32, u32, u32)> = found.ways.iter().copied().chain(own).collect();
        let relocation = |(instance, from, to): (u32, u32, u32)| Relocation {
            instance: fleet.instance(instance).id,
            name: fleet.instance(instance).name.clone(),
            from: fleet.name(from).clone(),
            to: fleet.name(to).clone(),
        };
        let moves: Vec<Relocation> = steps.into_iter().map(relocation).collect();
        let ends: BTreeMap<InstanceId, &HostName> = moves.iter().map(|one| (one.instance, &one.to)).collect();
        let mut before = Vec::new();
        for (number, instance) in self.region.instances.iter_mut().enumerate() {
            if let Some(to) = ends.get(&instance.id) {
                before.push((number, instance.host.replace((*to).clone())));
            }
        }
        let outcome = self.run(self.input.verdicts);
        for (number, host) in before {
            self.region.instances[number].host = host;
        }
        outcome.is_some_and(|outcome| outcome.hosts.is_empty()).then_some(Means::Moves { moves })
    }

    fn with_hosts(&mut self, like: &Host, count: usize) -> Answer {
        let before = self.region.hosts.len();
        let mut verdicts = self.input.verdicts.clone();
        for number in 1..=count {
            let host = HostName::new(format!("{}-more-{number}", like.host));
            verdicts.insert(host.clone(), Verdict { verdict: VerdictKind::Mitigated, evidence: Vec::new() });
            self.region.hosts.push(Host { host, ..like.clone() });
        }
        let outcome = self.run(&verdicts);
        self.region.hosts.truncate(before);
        match outcome {
            None => Answer::Untried,
            Some(outcome) if outcome.hosts.is_empty() => Answer::Enough,
            Some(_) => Answer::TooFew,
        }
    }

    /// The largest headroom with which no host is left out.
    fn headroom(&mut self) -> Option<Means> {
        let kept = self.policy.headroom.per_zone.hosts;
        let hosts = (0..kept).rev().find(|hosts| {
            self.policy.headroom.per_zone.hosts = *hosts;
            self.run(self.input.verdicts).is_some_and(|outcome| outcome.hosts.is_empty())
        });
        self.policy.headroom.per_zone.hosts = kept;
        hosts.map(|hosts| Means::Headroom { hosts })
    }

    /// A small set of instances to stop where they are: again and again what is left over of the host that lacks
    /// least, then each of them is moved after all where that works too.
    fn stops(&mut self) -> Option<Means> {
        if self.policy.instances.stopped != InstanceHandling::Leave {
            return None;
        }
        let mut stopped: Vec<InstanceId> = Vec::new();
        loop {
            let outcome = self.run_stopping(&stopped)?;
            let Some((_, least)) = outcome.hosts.iter().min_by_key(|(host, left)| (left.len(), host)) else { break };
            stopped.extend(least);
        }
        for instance in stopped.clone() {
            let fewer: Vec<InstanceId> = stopped.iter().copied().filter(|other| *other != instance).collect();
            if self.run_stopping(&fewer).is_some_and(|outcome| outcome.hosts.is_empty()) {
                stopped = fewer;
            }
        }
        let stopped: BTreeSet<InstanceId> = stopped.into_iter().collect();
        let instances = self.region.instances.iter().filter(|instance| stopped.contains(&instance.id));
        let in_place = instances.filter_map(|instance| {
            Some(InPlace { instance: instance.id, name: instance.name.clone(), host: instance.host.clone()? })
        });
        let mut instances: Vec<InPlace> = in_place.collect();
        instances.sort_by(|a, b| (&a.host, a.instance).cmp(&(&b.host, b.instance)));
        Some(Means::Stop { instances })
    }

    fn run_stopping(&mut self, stopped: &[InstanceId]) -> Option<Outcome> {
        let mut before = Vec::new();
        for (number, instance) in self.region.instances.iter_mut().enumerate() {
            if stopped.contains(&instance.id) {
                before.push((number, std::mem::replace(&mut instance.status, InstanceStatus::Shutoff)));
            }
        }
        let outcome = self.run(self.input.verdicts);
        for (number, status) in before {
            self.region.instances[number].status = status;
        }
        outcome
    }

    /// Plans the domain as it stands, without canaries, who only go first; `None` when that was done too often.
    fn run(&mut self, verdicts: &BTreeMap<HostName, Verdict>) -> Option<Outcome> {
        self.left = self.left.checked_sub(1)?;
        let input = PlanInput {
            region: &self.region,
            verdicts,
            policy: &self.policy,
            scope: &self.scope,
            ..self.input.clone()
        };
        let census = Census::of(&self.region);
        let selection = select(&input, &census).ok()?;
        let fleet = Fleet::of(&self.region, &census, &selection, &self.policy, input.experience);
        let found = fewest_stuck(&fleet, &[], input.seed)?;
        let stuck = match found.schedule.stuck.len() {
            0 => Vec::new(),
            _ => explain_stuck(&fleet, &found.strategy, &[], &found.banned),
        };
        let ids = |stuck: &Stuck| {
            // Where each fits when the others are gone, the largest is in the way.
            let largest = fleet.leaving[stuck.host as usize].first().filter(|_| stuck.left_over.is_empty());
            stuck.left_over.iter().chain(largest).map(|number| fleet.instance(*number).id).collect()
        };
        let here = stuck.iter().filter(|stuck| self.members.contains(fleet.name(stuck.host)));
        Some(Outcome { hosts: here.map(|stuck| (fleet.name(stuck.host).clone(), ids(stuck))).collect() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `needed` are enough, and so many questions are answered.
    fn found(needed: usize, mut answers: usize) -> Option<(usize, bool)> {
        fewest(|count| {
            if answers == 0 {
                return Answer::Untried;
            }
            answers -= 1;
            if count >= needed { Answer::Enough } else { Answer::TooFew }
        })
    }

    #[test]
    fn the_fewest_hosts_are_found_when_nothing_cuts_the_search_short() {
        for needed in 1..=MOST_HOSTS {
            assert_eq!(found(needed, usize::MAX), Some((needed, true)));
        }
        assert_eq!(found(MOST_HOSTS + 1, usize::MAX), None);
    }

    #[test]
    fn what_was_not_tried_is_neither_too_few_nor_enough() {
        assert_eq!(found(5, 3), None, "1, 2 and 4 are too few");
        assert_eq!(found(5, 4), Some((8, false)), "8 are enough, and nobody knows of 6");
        assert_eq!(found(5, 5), Some((6, false)), "6 are enough, and nobody knows of 5");
        assert_eq!(found(5, 6), Some((5, true)));
    }
}
