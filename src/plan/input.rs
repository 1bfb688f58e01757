//! What a plan is made of, and what comes out beside the rollout.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;

use super::rollout::SkippedHost;
use crate::model::{Digest, HostName, InstanceId, Policy, Region, Resources, RolloutId, Span, ZoneName};
use crate::remedy::{Remedy, Verdict};

/// Everything that [`super::plan`] looks at; the same input gives the same bytes.
#[derive(Debug, Clone)]
pub struct PlanInput<'a> {
    /// What was seen.
    pub region: &'a Region,
    /// What it means for each host; a host without a verdict is unknown.
    pub verdicts: &'a BTreeMap<HostName, Verdict>,
    /// The remedy, resolved; the rollout carries it.
    pub remedy: &'a Remedy,
    /// The policy, resolved; the rollout carries it.
    pub policy: &'a Policy,
    /// Which hosts are meant.
    pub scope: &'a Scope,
    /// How long things took in earlier runs on this region.
    pub experience: &'a Experience,
    /// Digest over every command and setting that the configuration file adds.
    pub configuration: Digest,
    /// Seed of the search.
    pub seed: u64,
    /// When the rollout is made.
    pub now: Timestamp,
    /// Its id.
    pub id: RolloutId,
}

/// How long things took in earlier runs on the region; nothing is known by default.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Experience {
    hosts: BTreeMap<HostName, Span>,
    others: Option<Span>,
    moves: Option<f64>,
}

/// So many hosts have to be measured before what they took says something of the others.
const ENOUGH_HOSTS: usize = 3;

impl Experience {
    /// What was measured: by host, how long it was out of service after its last instance had left (update, reboot,
    /// evidence, enable, settle); of migrations, the median of time taken over what the policy of their rollout
    /// estimated, `None` where none was seen.
    pub fn new(hosts: BTreeMap<HostName, Span>, moves: Option<f64>) -> Self {
        let mut spans: Vec<Span> = hosts.values().copied().collect();
        spans.sort_unstable();
        let others = (spans.len() >= ENOUGH_HOSTS).then(|| spans[spans.len() / 2]);
        Self { hosts, others, moves }
    }

    /// What is expected of `host`: what it took itself, else the median of the others; `None` leaves it to the policy.
    pub(super) fn of(&self, host: &HostName) -> Option<Span> {
        self.hosts.get(host).copied().or(self.others)
    }

    /// Hosts that were measured.
    pub(super) fn measured(&self) -> usize {
        self.hosts.len()
    }

    /// Of migrations: time taken over time estimated.
    pub(super) fn moves(&self) -> Option<f64> {
        self.moves
    }
}

/// Which hosts are meant. The selections add up; when all of them are empty, every host is meant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// These hosts.
    pub hosts: BTreeSet<HostName>,
    /// Hosts of these zones.
    pub zones: BTreeSet<ZoneName>,
    /// Hosts of these aggregates.
    pub aggregates: BTreeSet<String>,
    /// Never these hosts: neither remedied nor given instances.
    pub exclude: BTreeSet<HostName>,
    /// What an unknown verdict counts as.
    pub unknown: Unknown,
    /// What becomes of hosts whose identity was not seen.
    pub unproven_identity: UnprovenIdentity,
    /// What becomes of the plan when a host cannot be emptied for want of room.
    pub no_room: NoRoom,
}

/// What becomes of the plan when a host cannot be emptied for want of room.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum NoRoom {
    /// There is none: whoever asked decides what to do about it.
    #[default]
    Refuse,
    /// The host is left out and stays vulnerable; the others are planned.
    LeaveOut,
}

/// What an unknown verdict counts as.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Unknown {
    /// The host is left alone.
    #[default]
    Skip,
    /// The host is remedied.
    Vulnerable,
}

/// What becomes of hosts whose identity was not seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum UnprovenIdentity {
    /// The host is left alone: a stale address must never reboot another machine.
    #[default]
    Skip,
    /// The host is planned, for a look at what a campaign would be; it cannot be run.
    Plan,
}

/// Why the plan is as it is.
#[must_use]
#[derive(Debug, Clone, PartialEq)]
pub struct PlanReport {
    /// Every strategy that was tried, in order.
    pub attempts: Vec<Attempt>,
    /// Which of them became the rollout.
    pub chosen: usize,
    /// Why that one.
    pub because: String,
    /// Hosts that had to be left out for want of room, with what is missing.
    pub shortfalls: Vec<Shortfall>,
    /// What would let them be emptied.
    pub ways_out: Vec<WayOut>,
}

/// One strategy's result.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// What it did, in words.
    pub strategy: String,
    /// Moves.
    pub moves: usize,
    /// Makespan in seconds.
    pub makespan_s: f64,
    /// Hosts that it could not empty.
    pub stuck: usize,
}

/// A host whose instances have nowhere to go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortfall {
    /// The host.
    pub host: HostName,
    /// Where its instances may move, in words: `zone az1`.
    pub domain: String,
    /// The resource class that is short; `None` when room is not what is missing.
    pub class: Option<String>,
    /// How much of it is missing, in units of Placement.
    pub missing: u64,
    /// Why no sequence of moves empties it; `None` where that is not proven and the search may have missed one.
    pub proof: Option<String>,
    /// All of it in words.
    pub detail: String,
}

/// What would let every host of a domain be emptied. Each was tried: a plan was made with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WayOut {
    /// Where, in words: `zone az1`.
    pub domain: String,
    /// What to do there.
    pub means: Means,
}

/// What to do so that hosts can be emptied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Means {
    /// So many empty hosts more.
    Hosts {
        /// How many were enough.
        count: usize,
        /// Whether one less was tried too, and no plan found with it; otherwise fewer may do.
        fewest: bool,
        /// A host of the region that is as large as each of them and has the same traits.
        like: HostName,
        /// What such a host offers.
        capacity: Resources,
    },
    /// These instances stopped where they are, for the time of the reboot.
    Stop {
        /// The smallest set that was found.
        instances: Vec<InPlace>,
    },
    /// These live migrations first, by hand and in this order, all hosts being in service: they empty a host.
    Moves {
        /// Each of them.
        moves: Vec<Relocation>,
    },
    /// Fewer hosts kept empty in each zone by the policy's headroom.
    Headroom {
        /// How many may be kept.
        hosts: usize,
    },
}

/// An instance to be moved by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Relocation {
    /// Which.
    pub instance: InstanceId,
    /// Its name.
    pub name: String,
    /// Off which host.
    pub from: HostName,
    /// Onto which.
    pub to: HostName,
}

/// An instance to be stopped where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InPlace {
    /// Which.
    pub instance: InstanceId,
    /// Its name.
    pub name: String,
    /// Where it is.
    pub host: HostName,
}

impl fmt::Display for WayOut {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Instances that are named; more of them are nobody's first choice.
        const NAMED: usize = 8;
        let domain = &self.domain;
        match &self.means {
            Means::Hosts { count, fewest, like, capacity } => {
                let most = if *fewest { "" } else { "at most " };
                let hosts = if *count == 1 { "empty host" } else { "empty hosts" };
                let amounts: Vec<String> = (capacity.iter().filter(|(_, amount)| *amount > 0))
                    .map(|(class, amount)| format!("{amount} {class}"))
                    .collect();
                write!(f, "{domain}: {most}{count} more {hosts} like {like} ({})", amounts.join(", "))
            }
            Means::Stop { instances } => {
                let named = instances.iter().take(NAMED);
                let named: Vec<String> =
                    named.map(|stop| format!("{} ({}) on {}", stop.name, stop.instance, stop.host)).collect();
                write!(f, "{domain}: these stopped where they are: {}", named.join(", "))?;
                match instances.len().saturating_sub(NAMED) {
                    0 => Ok(()),
                    more => write!(f, " and {more} more"),
                }
            }
            Means::Moves { moves } => {
                let told =
                    |one: &Relocation| format!("{} ({}) from {} to {}", one.name, one.instance, one.from, one.to);
                let moves: Vec<String> = moves.iter().map(told).collect();
                write!(f, "{domain}: these live migrations first, in this order: {}", moves.join(", "))
            }
            Means::Headroom { hosts } => {
                write!(f, "{domain}: `headroom.per_zone.hosts: {hosts}` in the policy")
            }
        }
    }
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The scope names what the region does not have.
    #[error("{kind} {name} is not in region {region}")]
    NoSuch {
        /// `host`, `zone` or `aggregate`.
        kind: &'static str,
        /// What was named.
        name: String,
        /// The region.
        region: String,
    },
    /// Hosts are to be remedied that cannot be emptied, and the scope does not say to leave them out; or not one host
    /// is left.
    #[error(
        "{} of {of} hosts cannot be emptied for want of room: {}",
        .shortfalls.len(), .shortfalls.first().map_or("", |first| first.detail.as_str())
    )]
    Infeasible {
        /// How many hosts were to be remedied.
        of: usize,
        /// What is missing, per host.
        shortfalls: Vec<Shortfall>,
        /// What would let them be emptied.
        ways_out: Vec<WayOut>,
        /// Every host that is left alone.
        skipped: Vec<SkippedHost>,
    },
    /// The checker found the plan wrong. A bug in the planner.
    #[error("the checker refuses the plan: {}", .0.first().map_or("", String::as_str))]
    Violations(Vec<String>),
}
