//! Since when hosts are mitigated: as runs proved it, or as the hosts are now and for as long as their boot lasts.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use crate::model::{Host, HostName, InstanceId, Region, RequestId, RunId};
use crate::remedy::{Remedy, VerdictKind, assess};
use crate::run::event::{Event, EventKind, StepOutput};

/// What one run did, as far as a ledger asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RunTimes {
    /// The run; nothing for one without events.
    pub run: Option<RunId>,
    /// By host: since when it was proven mitigated.
    pub proven: BTreeMap<HostName, Timestamp>,
    /// By host: when it was rebooted last.
    pub rebooted: BTreeMap<HostName, Timestamp>,
    /// Requests to Nova that were ours.
    pub requests: BTreeSet<RequestId>,
    /// By instance: when we last moved it, on the clock that tells when hosts were rebooted.
    pub moved: BTreeMap<InstanceId, Timestamp>,
}

impl RunTimes {
    /// Folds the events of a run.
    pub fn of(events: &[Event]) -> Self {
        let mut times = Self::default();
        for event in events {
            if let EventKind::RunStarted { run, .. } = &event.kind {
                times.run = Some(*run);
            }
            if let EventKind::StepSucceeded { step, output } = &event.kind {
                let host = HostName::new(step.as_str().split('/').next().unwrap_or_default());
                times.take(host, output, event.at);
                let instance = step.as_str().split('/').nth(2).and_then(|id| id.parse().ok());
                if let (StepOutput::Moved { .. }, Some(instance)) = (output, instance) {
                    times.moved.insert(instance, event.at);
                }
            }
        }
        times
    }

    fn take(&mut self, host: HostName, output: &StepOutput, at: Timestamp) {
        if let StepOutput::Moved { request, .. } | StepOutput::ColdBooted { request, .. } = output {
            self.requests.extend(request.clone());
        }
        if let StepOutput::Rebooted { .. } = output {
            self.rebooted.insert(host, at);
        } else if let StepOutput::Proven { verdict, .. } = output
            && verdict.verdict == VerdictKind::Mitigated
        {
            // What was needed was there from its reboot on, which is where guests begin anew.
            let since = self.rebooted.get(&host).copied().unwrap_or(at);
            self.proven.insert(host, since);
        }
    }
}

/// Whether, and since when, a host is mitigated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mitigation {
    /// Its processor does not have the flaw.
    NotAffected,
    /// Since then, by a run that proved it.
    Proven(Timestamp),
    /// It is so now, and was not booted since then.
    Assessed(Timestamp),
    /// It is not.
    Vulnerable,
    /// Nothing tells.
    Unknown,
}

/// What is known of hosts.
#[derive(Debug, Clone, Default)]
pub struct HostTimes {
    hosts: BTreeMap<HostName, HostTime>,
    runs: BTreeMap<RequestId, RunId>,
    moved: BTreeMap<InstanceId, Timestamp>,
}

#[derive(Debug, Clone, Copy)]
struct HostTime {
    mitigation: Mitigation,
    booted: Option<Timestamp>,
    gives_own_model: bool,
}

impl HostTimes {
    /// Of every host of `region` under `remedy`; `runs` carried out that remedy there, oldest first.
    pub fn of(region: &Region, remedy: &Remedy, runs: &[RunTimes]) -> Self {
        let hosts = region.hosts.iter().map(|host| (host.host.clone(), time_of(host, region.taken_at, remedy, runs)));
        let requests = runs.iter().flat_map(|run| run.requests.iter().map(|request| (request.clone(), run.run)));
        let moved = runs.iter().flat_map(|run| &run.moved).map(|(instance, at)| (*instance, *at));
        Self {
            hosts: hosts.collect(),
            runs: requests.filter_map(|(request, run)| Some((request, run?))).collect(),
            moved: moved.collect(),
        }
    }

    /// Whether, and since when, a host is mitigated.
    pub fn mitigation(&self, host: &HostName) -> Mitigation {
        self.hosts.get(host).map_or(Mitigation::Unknown, |time| time.mitigation)
    }

    /// When a host was booted last.
    pub fn booted(&self, host: &HostName) -> Option<Timestamp> {
        self.hosts.get(host)?.booted
    }

    /// Whether guests of a host are defined anew with its own processor when they begin in any way, as long as they were
    /// never live-migrated.
    pub fn gives_own_model(&self, host: &HostName) -> bool {
        self.hosts.get(host).is_some_and(|time| time.gives_own_model)
    }

    /// When a run last moved an instance.
    pub fn moved(&self, instance: InstanceId) -> Option<Timestamp> {
        self.moved.get(&instance).copied()
    }

    /// The run that sent a request.
    pub fn run_of(&self, request: &RequestId) -> Option<RunId> {
        self.runs.get(request).copied()
    }
}

fn time_of(host: &Host, taken_at: Timestamp, remedy: &Remedy, runs: &[RunTimes]) -> HostTime {
    let facts = &host.facts;
    let newest = |times: fn(&RunTimes) -> &BTreeMap<HostName, Timestamp>| {
        runs.iter().rev().find_map(|run| times(run).get(&host.host).copied())
    };
    // By how long ago it was: the host's clock is not compared with anybody else's.
    let up_since = facts
        .uptime_s
        .and_then(|uptime| taken_at.checked_sub(SignedDuration::from_secs(i64::try_from(uptime).ok()?)).ok());
    let booted = up_since.or_else(|| newest(|run| &run.rebooted));
    let proven = newest(|run| &run.proven);
    let mitigation = match (assess(facts, remedy).verdict, proven, up_since) {
        (VerdictKind::NotAffected, _, _) => Mitigation::NotAffected,
        (VerdictKind::Vulnerable, _, _) if facts.kernel.is_some() => Mitigation::Vulnerable,
        (_, Some(since), _) => Mitigation::Proven(since),
        (VerdictKind::Mitigated, None, Some(since)) => Mitigation::Assessed(since),
        (VerdictKind::Vulnerable, None, _) => Mitigation::Vulnerable,
        (VerdictKind::Mitigated | VerdictKind::Unknown, None, _) => Mitigation::Unknown,
    };
    // Without a setting Nova takes host-model where it starts KVM or QEMU guests, which is its default, too.
    let gives_own_model =
        facts.nova_conf.is_some() && facts.libvirt_option("cpu_mode").is_none_or(|mode| mode == "host-model");
    HostTime { mitigation, booted, gives_own_model }
}
