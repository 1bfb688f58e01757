//! Quiet: the only way to a reboot.
//!
//! A [`RebootOrder`] needs a [`Quiet`], and only [`Quiet::prove`] makes one, from three views of the host that must
//! agree: Nova's list (all projects, every page), Placement's allocations, and the domains on the host itself.

use std::collections::BTreeSet;
use std::fmt;

use crate::model::{Domain, HostIdentity, HostName, InstanceId, InstanceStatus, RunId};

/// What was seen, freshly, about one host.
#[derive(Debug, Clone)]
pub struct QuietFacts<'a> {
    /// The host.
    pub host: &'a HostName,
    /// Instances that Nova places on the host, with their status and task.
    pub nova: &'a [(InstanceId, InstanceStatus, Option<String>)],
    /// Instances with a migration in progress into or out of the host.
    pub migrating: &'a [InstanceId],
    /// Consumers with allocations on the host's provider, by UUID text.
    pub allocations: &'a [String],
    /// Domains on the host.
    pub domains: &'a [Domain],
    /// Instances that the rollout lets stay.
    pub allowed: &'a BTreeSet<InstanceId>,
}

/// Proof that a host may be rebooted, as of a moment ago.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quiet {
    host: HostName,
    staying: Vec<StayingInstance>,
}

/// An instance that stays on the host, shut off, through its reboot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StayingInstance {
    /// Its id.
    pub id: InstanceId,
}

/// Why a host is not quiet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Disquiet {
    /// A domain runs or is paused.
    LiveDomain(String),
    /// A domain that Nova does not place here.
    UnknownDomain(String),
    /// A migration into or out of the host is in progress.
    Migrating(InstanceId),
    /// Nova places an instance here that may not stay.
    NotAllowed(InstanceId),
    /// An instance that may stay is not shut off, or has a task under way.
    NotShutOff(InstanceId, String),
    /// Placement holds an allocation that Nova's list does not explain.
    UnexplainedAllocation(String),
    /// Nova lists an instance without allocation on the host.
    MissingAllocation(InstanceId),
}

impl fmt::Display for Disquiet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LiveDomain(name) => write!(f, "domain {name} is running or paused on the host"),
            Self::UnknownDomain(name) => write!(f, "domain {name} is on the host but Nova does not place it there"),
            Self::Migrating(id) => write!(f, "instance {id} has a migration in progress"),
            Self::NotAllowed(id) => write!(f, "Nova places instance {id} on the host"),
            Self::NotShutOff(id, state) => {
                write!(f, "instance {id} stays but is {state}, not shut off")
            }
            Self::UnexplainedAllocation(id) => {
                write!(f, "Placement holds an allocation of {id} on the host that Nova does not explain")
            }
            Self::MissingAllocation(id) => write!(f, "instance {id} has no allocation on the host in Placement"),
        }
    }
}

impl Quiet {
    /// Proves that the host is quiet, or names everything that speaks against it.
    pub fn prove(facts: &QuietFacts<'_>) -> Result<Self, Vec<Disquiet>> {
        let mut against = BTreeSet::new();
        let listed: BTreeSet<InstanceId> = facts.nova.iter().map(|(id, _, _)| *id).collect();
        for (id, status, task) in facts.nova {
            if !facts.allowed.contains(id) {
                against.insert(Disquiet::NotAllowed(*id));
            } else if *status != InstanceStatus::Shutoff || task.is_some() {
                let state = task.as_ref().map_or_else(|| status.to_string(), |task| format!("{status} ({task})"));
                against.insert(Disquiet::NotShutOff(*id, state));
            }
            if !facts.allocations.iter().any(|consumer| *consumer == id.to_string()) {
                against.insert(Disquiet::MissingAllocation(*id));
            }
        }
        against.extend(facts.migrating.iter().map(|id| Disquiet::Migrating(*id)));
        for domain in facts.domains {
            if domain.state.would_be_lost() {
                against.insert(Disquiet::LiveDomain(domain.name.clone()));
            }
            let known = domain.id.parse().is_ok_and(|id: InstanceId| listed.contains(&id));
            if !known {
                against.insert(Disquiet::UnknownDomain(domain.name.clone()));
            }
        }
        for consumer in facts.allocations {
            if !consumer.parse().is_ok_and(|id: InstanceId| listed.contains(&id)) {
                against.insert(Disquiet::UnexplainedAllocation(consumer.clone()));
            }
        }
        if against.is_empty() {
            let staying = listed.into_iter().map(|id| StayingInstance { id }).collect();
            Ok(Self { host: facts.host.clone(), staying })
        } else {
            Err(against.into_iter().collect())
        }
    }

    /// The host that is quiet.
    pub fn host(&self) -> &HostName {
        &self.host
    }
}

/// An order to reboot a host; cannot be made without proof that the host is quiet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RebootOrder {
    quiet: Quiet,
    identity: HostIdentity,
    run: RunId,
    boot: String,
}

impl RebootOrder {
    /// Orders the reboot of the quiet host that has `identity` and is in the boot `boot`; the host refuses when it is
    /// another machine, in another boot, not fenced, or has a domain running or paused.
    pub fn new(quiet: Quiet, identity: HostIdentity, run: RunId, boot: String) -> Self {
        Self { quiet, identity, run, boot }
    }

    /// Where.
    pub fn host(&self) -> &HostName {
        &self.quiet.host
    }

    /// The machine that must be found there.
    pub fn identity(&self) -> &HostIdentity {
        &self.identity
    }

    /// On whose behalf.
    pub fn run(&self) -> RunId {
        self.run
    }

    /// The boot id that the host must be in.
    pub fn boot(&self) -> &str {
        &self.boot
    }

    /// Instances that may be there, shut off.
    pub fn staying(&self) -> &[StayingInstance] {
        &self.quiet.staying
    }
}
