//! What was done to the region, each held against an intent that was durable before it; and what was on a host when its
//! reboot was ordered.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::model::{HostName, InstanceStatus, StepId};
use crate::run::{Event, EventKind, Intent, RunState};
use crate::sim::world::{RebootOrdered, World};

/// Between the look at Nova's lists and the order to reboot lie a few more requests and a command, and what others do in that
/// time cannot be seen: so many seconds, where none of them is answered at once.
const BETWEEN_LOOK_AND_ORDER: i64 = 300;

/// Intents so far, and how far the region was looked at.
#[derive(Default)]
pub(super) struct Effects {
    /// By step: how many intents, and the last one.
    intents: BTreeMap<StepId, (usize, Intent)>,
    /// How many changes and reboots were looked at.
    changes: usize,
    reboots: usize,
    /// By what was asked for, how often.
    asked: BTreeMap<String, usize>,
    /// By host, who set its service last, and when somebody else did.
    foreign: BTreeMap<HostName, Timestamp>,
    foreign_next: Option<HostName>,
    /// Hosts that are disabled by somebody else.
    held: BTreeMap<HostName, Timestamp>,
}

impl Effects {
    pub fn note(&mut self, event: &Event) {
        if let EventKind::StepIntended { step, intent } = &event.kind {
            let (count, last) = self.intents.entry(step.clone()).or_insert((0, intent.clone()));
            *count += 1;
            *last = intent.clone();
        }
    }

    /// What was done since the last look and had no right to be.
    pub fn look(&mut self, world: &World, state: &RunState) -> Vec<String> {
        let mut found = Vec::new();
        for change in &world.changes()[self.changes..] {
            found.extend(self.change(&change.what, change.at));
        }
        self.changes = world.changes().len();
        for order in &world.reboots_ordered()[self.reboots..] {
            found.extend(Self::reboot(order, state));
        }
        self.reboots = world.reboots_ordered().len();
        found
    }

    fn change(&mut self, what: &str, at: Timestamp) -> Option<String> {
        if let Some(host) = what.strip_suffix(": somebody else sets its service") {
            self.foreign_next = Some(HostName::new(host));
            return None;
        }
        if let Some(rest) = what.strip_prefix("service ") {
            let (host, change) = rest.split_once(' ')?;
            return self.service(&HostName::new(host), change, at);
        }
        if let Some((host, rest)) = what.split_once(": ") {
            let of = |names: &[&str], fits: &dyn Fn(&Intent) -> bool| {
                self.intents.iter().any(|(step, (_, intent))| {
                    let name = step.as_str().strip_prefix(host).and_then(|rest| rest.strip_prefix('/'));
                    let kind = name.map(|name| name.split('/').next().unwrap_or(name));
                    kind.is_some_and(|kind| names.contains(&kind)) && fits(intent)
                })
            };
            let is_meant = match rest {
                "fence up" => of(&["fence"], &|intent| *intent == Intent::Fence { up: true }),
                // A fence that proves not quiet takes itself back.
                "fence down" => of(&["unfence", "fence"], &|intent| matches!(intent, Intent::Fence { .. })),
                "reboot" => of(&["reboot"], &|intent| matches!(intent, Intent::Reboot { .. })),
                _ if rest.starts_with("job ") => of(
                    &["stage", "update", "configure"],
                    &|intent| matches!(intent, Intent::Job { unit, .. } if rest == format!("job {unit}")),
                ),
                // A power cut.
                _ => true,
            };
            return (!is_meant).then(|| format!("{what} at {at}, and no intent of it was durable"));
        }
        let (action, instance) = what.split_once(' ')?;
        if instance.contains(' ') || !["live-migration", "migrate"].contains(&action) {
            return None;
        }
        let of_it = self.intents.iter().filter(|(step, _)| step.as_str().contains(instance));
        let meant: usize = of_it.map(|(_, (count, _))| count).sum();
        let asked = self.asked.entry(instance.to_owned()).or_default();
        *asked += 1;
        (*asked > meant).then(|| format!("{what} was asked for {asked} times, and meant {meant} times"))
    }

    fn service(&mut self, host: &HostName, change: &str, at: Timestamp) -> Option<String> {
        let enables = change.contains("status: Some(Enabled)");
        if self.foreign_next.take().is_some_and(|foreign| foreign == *host) {
            self.foreign.insert(host.clone(), at);
            if enables {
                self.held.remove(host);
            } else {
                self.held.insert(host.clone(), at);
            }
            return None;
        }
        let step = |name: &str| self.intents.get(&StepId::of(host, name)).map(|(_, intent)| intent);
        let is_meant = if enables {
            matches!(step("enable"), Some(Intent::Enable))
        } else {
            matches!(step("disable"), Some(Intent::Disable { .. }))
                || matches!(step("quarantine"), Some(Intent::Mark { .. }))
        };
        if !is_meant {
            return Some(format!("{host}: {change} at {at}, and no intent of it was durable"));
        }
        // Between a look and the request that follows it somebody else may act: seconds, and as long as a request may be
        // repeated that got no answer.
        let taken_over = self.held.get(host).is_some_and(|since| at.duration_since(*since).as_secs() > 300);
        self.held.remove(host);
        taken_over.then(|| format!("{host} was held by somebody else, and was set by us at {at}: {change}"))
    }

    /// What was on a host when the order to reboot it was taken.
    fn reboot(order: &RebootOrdered, state: &RunState) -> Vec<String> {
        let RebootOrdered { host, at, instances, migrating, jobs } = order;
        let old = |since: Timestamp| at.duration_since(since).as_secs() > BETWEEN_LOOK_AND_ORDER;
        let memory = state.hosts().get(host).map(|host| host.memory().clone()).unwrap_or_default();
        let mut found = Vec::new();
        for (id, status, created) in instances.iter().filter(|(_, _, created)| old(*created)) {
            let rests = matches!(status, InstanceStatus::Shutoff | InstanceStatus::Suspended);
            if !memory.staying.contains(id) || !rests {
                found.push(format!("{host} was rebooted at {at} with instance {id}, {status}, created at {created}"));
            }
        }
        for (id, _) in migrating.iter().filter(|(_, asked)| old(*asked)) {
            found.push(format!("{host} was rebooted at {at} while instance {id} was migrating"));
        }
        for unit in jobs {
            found.push(format!("{host} was rebooted at {at} while {unit} ran"));
        }
        found
    }
}
