//! Quiet: the only way to a reboot.
//!
//! A [`RebootOrder`] needs a [`Quiet`], and only [`Quiet::prove`] makes one, from three views of the host that must
//! agree: Nova's list (all projects, every page), Placement's allocations, and the domains on the host itself.

use std::collections::BTreeSet;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::model::{Domain, DomainState, HostIdentity, HostName, InstanceId, InstanceStatus, RunId};

/// Tasks that only nova-compute on the host can carry out: asked for behind the fence, they wait in Nova's queue until
/// the host is back. Anything else may have been begun before the fence went up.
const QUEUED_TASKS: [&str; 3] = ["powering-on", "deleting", "soft-deleting"];

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
    /// Whether nova-compute is stopped, so that what owners ask for waits in Nova's queue.
    pub fenced: bool,
}

impl QuietFacts<'_> {
    /// Whether an instance that may stay has no running domain by Nova's word, and remains so until the host is back.
    fn rests(&self, status: &InstanceStatus, task: Option<&str>) -> bool {
        let off = matches!(
            status,
            InstanceStatus::Shutoff | InstanceStatus::Suspended | InstanceStatus::Shelved | InstanceStatus::SoftDeleted
        );
        off && task.is_none_or(|task| self.fenced && QUEUED_TASKS.contains(&task))
    }
}

/// Proof that a host may be rebooted, as of a moment ago.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quiet {
    host: HostName,
    staying: Vec<StayingInstance>,
    domains: Vec<Domain>,
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
    /// An instance that may stay is neither shut off nor suspended to disk, or has a task under way.
    NotShutOff(InstanceId, String),
    /// Placement holds an allocation that Nova's list does not explain.
    UnexplainedAllocation(String),
    /// Nova lists an instance without allocation on the host.
    MissingAllocation(InstanceId),
    /// Nova places an instance here that has no domain on the host.
    NoDomain(InstanceId),
}

impl fmt::Display for Disquiet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LiveDomain(name) => write!(f, "domain {name} is running or paused on the host"),
            Self::UnknownDomain(name) => write!(f, "domain {name} is on the host but Nova does not place it there"),
            Self::Migrating(id) => write!(f, "instance {id} has a migration in progress"),
            Self::NotAllowed(id) => write!(f, "Nova places instance {id} on the host"),
            Self::NotShutOff(id, state) => {
                write!(f, "instance {id} stays but is {state}, not at rest")
            }
            Self::UnexplainedAllocation(id) => {
                write!(f, "Placement holds an allocation of {id} on the host that Nova does not explain")
            }
            Self::NoDomain(id) => {
                write!(
                    f,
                    "Nova places instance {id} on the host, which has no domain of it: its host may be a stale word"
                )
            }
            Self::MissingAllocation(id) => write!(f, "instance {id} has no allocation on the host in Placement"),
        }
    }
}

impl Quiet {
    /// A claim without a proof: what a mistake would make of it. Known to tests only.
    #[cfg(test)]
    pub(crate) fn assumed(host: &HostName, staying: &[InstanceId]) -> Self {
        let staying = staying.iter().map(|id| StayingInstance { id: *id }).collect();
        Self { host: host.clone(), staying, domains: Vec::new() }
    }

    /// Proves that the host is quiet, or names everything that speaks against it.
    pub fn prove(facts: &QuietFacts<'_>) -> Result<Self, Vec<Disquiet>> {
        let mut against = BTreeSet::new();
        let listed: BTreeSet<InstanceId> = facts.nova.iter().map(|(id, _, _)| *id).collect();
        for (id, status, task) in facts.nova {
            if !facts.allowed.contains(id) {
                against.insert(Disquiet::NotAllowed(*id));
            } else if !facts.rests(status, task.as_deref()) {
                let state = task.as_ref().map_or_else(|| status.to_string(), |task| format!("{status} ({task})"));
                against.insert(Disquiet::NotShutOff(*id, state));
            }
            if facts.allowed.contains(id)
                && has_domain(status)
                && !facts.domains.iter().any(|domain| domain.id == id.to_string())
            {
                against.insert(Disquiet::NoDomain(*id));
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
            let explained = domain.id.parse().is_ok_and(|id: InstanceId| {
                // Deleted by its owner while nova-compute was stopped: Nova forgot it, its domain waits to be removed.
                let left_over = facts.allowed.contains(&id) && domain.state == DomainState::ShutOff;
                listed.contains(&id) || left_over
            });
            if !explained {
                against.insert(Disquiet::UnknownDomain(domain.name.clone()));
            }
        }
        for consumer in facts.allocations {
            if !consumer.parse().is_ok_and(|id: InstanceId| listed.contains(&id)) {
                against.insert(Disquiet::UnexplainedAllocation(consumer.clone()));
            }
        }
        if against.is_empty() {
            // All that may be there, listed or left over: the host holds its own domains against them.
            let staying = facts.allowed.iter().map(|id| StayingInstance { id: *id }).collect();
            Ok(Self { host: facts.host.clone(), staying, domains: facts.domains.to_vec() })
        } else {
            Err(against.into_iter().collect())
        }
    }

    /// The host that is quiet.
    pub fn host(&self) -> &HostName {
        &self.host
    }
}

/// Whether an instance that rests so keeps its domain defined: one that was powered off or suspended does, a shelved or
/// soft-deleted one may have been taken apart.
fn has_domain(status: &InstanceStatus) -> bool {
    matches!(
        status,
        InstanceStatus::Shutoff | InstanceStatus::Suspended | InstanceStatus::Active | InstanceStatus::Paused
    )
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

    /// Instances whose domains may be there, shut off.
    pub fn staying(&self) -> &[StayingInstance] {
        &self.quiet.staying
    }

    /// What is put on record of the proof, so that it counts after a crash, when the host itself cannot be asked.
    pub fn proof(&self) -> QuietRecord {
        QuietRecord { domains: self.quiet.domains.clone() }
    }
}

/// What the host itself showed when it was proven quiet, behind its fence. Only a proof makes one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuietRecord {
    /// The domains on the host: none was running or paused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    domains: Vec<Domain>,
}

impl QuietRecord {
    /// The domains on the host.
    pub fn domains(&self) -> &[Domain] {
        &self.domains
    }
}

/// An order to switch the power of a host that was proven quiet, was ordered to reboot, and does not answer. Its host
/// cannot be asked: the proof is of what it showed behind its fence, and of what Nova and Placement say now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PowerOrder {
    quiet: Quiet,
    run: RunId,
    boot: String,
}

impl PowerOrder {
    /// Orders the host out of the boot `boot`.
    pub fn new(quiet: Quiet, run: RunId, boot: String) -> Self {
        Self { quiet, run, boot }
    }

    /// Which host.
    pub fn host(&self) -> &HostName {
        &self.quiet.host
    }

    /// On whose behalf.
    pub fn run(&self) -> RunId {
        self.run
    }

    /// The boot that it ends.
    pub fn boot(&self) -> &str {
        &self.boot
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    /// A host with one instance that may stay, as each of the three views shows it.
    struct Views {
        nova: Vec<(InstanceId, InstanceStatus, Option<String>)>,
        migrating: Vec<InstanceId>,
        allocations: Vec<String>,
        domains: Vec<Domain>,
        fenced: bool,
    }

    fn id(number: u128) -> InstanceId {
        InstanceId::new(Uuid::from_u128(number))
    }

    fn domain(number: u128, state: DomainState) -> Domain {
        Domain { id: id(number).to_string(), name: format!("instance-{number:08x}"), state }
    }

    fn resting() -> Views {
        Views {
            nova: vec![(id(1), InstanceStatus::Shutoff, None)],
            migrating: vec![],
            allocations: vec![id(1).to_string()],
            domains: vec![domain(1, DomainState::ShutOff)],
            fenced: true,
        }
    }

    fn prove(views: &Views) -> Result<Quiet, Vec<Disquiet>> {
        Quiet::prove(&QuietFacts {
            host: &HostName::new("compute-1"),
            nova: &views.nova,
            migrating: &views.migrating,
            allocations: &views.allocations,
            domains: &views.domains,
            allowed: &[id(1)].into(),
            fenced: views.fenced,
        })
    }

    #[test]
    fn each_view_alone_can_speak_against_a_reboot() {
        assert!(prove(&resting()).is_ok());
        let against = |change: fn(&mut Views)| {
            let mut views = resting();
            change(&mut views);
            prove(&views).unwrap_err()
        };
        let name = |number: u128| format!("instance-{number:08x}");
        assert_eq!(
            against(|v| v.domains[0].state = DomainState::Running),
            [Disquiet::LiveDomain(name(1))],
            "Nova may say SHUTOFF long after somebody started the domain"
        );
        assert_eq!(against(|v| v.domains.push(domain(9, DomainState::ShutOff))), [Disquiet::UnknownDomain(name(9))]);
        assert_eq!(against(|v| v.migrating.push(id(7))), [Disquiet::Migrating(id(7))]);
        assert_eq!(
            against(|v| v.allocations.push(id(8).to_string())),
            [Disquiet::UnexplainedAllocation(id(8).to_string())]
        );
        assert_eq!(against(|v| v.allocations.clear()), [Disquiet::MissingAllocation(id(1))]);
        assert_eq!(against(|v| v.domains.clear()), [Disquiet::NoDomain(id(1))], "its host field is stale");
        assert_eq!(
            against(|v| v.domains.push(domain(9, DomainState::Running))),
            [Disquiet::LiveDomain(name(9)), Disquiet::UnknownDomain(name(9))],
            "a deleted instance whose domain runs on"
        );
        let arrived = |v: &mut Views| {
            v.nova.push((id(2), InstanceStatus::Shutoff, None));
            v.allocations.push(id(2).to_string());
        };
        assert_eq!(against(arrived), [Disquiet::NotAllowed(id(2))]);
        assert_eq!(
            against(|v| v.nova[0].1 = InstanceStatus::Active),
            [Disquiet::NotShutOff(id(1), "ACTIVE".to_owned())]
        );
    }

    #[test]
    fn what_owners_ask_for_behind_the_fence_waits_and_is_no_disquiet() {
        let mut views = resting();
        views.nova[0].2 = Some("powering-on".to_owned());
        assert!(prove(&views).is_ok());
        views.fenced = false;
        assert!(prove(&views).is_err(), "without the fence the start is about to happen");
        views.fenced = true;
        views.nova[0].2 = Some("image_snapshot".to_owned());
        assert!(prove(&views).is_err(), "begun before the fence");

        let mut deleted = resting();
        deleted.nova.clear();
        deleted.allocations.clear();
        assert!(prove(&deleted).is_ok(), "deleted behind the fence: its domain is left over");
        deleted.domains[0].state = DomainState::Running;
        assert!(prove(&deleted).is_err());
    }

    #[test]
    fn a_domain_left_over_from_a_deleted_instance_may_be_there_when_the_host_reboots() {
        let mut deleted = resting();
        deleted.nova.clear();
        deleted.allocations.clear();
        let order = RebootOrder::new(
            prove(&deleted).unwrap(),
            HostIdentity::default(),
            RunId::new(Uuid::from_u128(5)),
            "boot".to_owned(),
        );
        assert_eq!(order.staying(), [StayingInstance { id: id(1) }]);
    }

    proptest::proptest! {
        /// Whatever else is seen: numbers are few, so that the views often agree.
        #[test]
        fn a_host_with_a_live_domain_is_never_quiet(
            nova in proptest::collection::vec((0_u128..4, 0_usize..4, proptest::bool::ANY), 0..4),
            allocations in proptest::collection::vec(0_u128..4, 0..4),
            domains in proptest::collection::vec((0_u128..4, 0_usize..5), 0..4),
            allowed in proptest::collection::btree_set(0_u128..4, 0..4),
            fenced in proptest::bool::ANY,
        ) {
            use InstanceStatus::{Active, Paused, Shutoff, Suspended};
            let states =
                [DomainState::Running, DomainState::Paused, DomainState::ShutOff, DomainState::Crashed, DomainState::Other];
            let statuses = [Active, Paused, Shutoff, Suspended];
            let nova: Vec<_> = nova
                .into_iter()
                .map(|(n, status, task)| (id(n), statuses[status].clone(), task.then(|| "powering-on".to_owned())))
                .collect();
            let allocations: Vec<String> = allocations.into_iter().map(|n| id(n).to_string()).collect();
            let domains: Vec<Domain> = domains.into_iter().map(|(n, state)| domain(n, states[state])).collect();
            let live = domains.iter().any(|domain| domain.state.would_be_lost());
            let proof = Quiet::prove(&QuietFacts {
                host: &HostName::new("compute-1"),
                nova: &nova,
                migrating: &[],
                allocations: &allocations,
                domains: &domains,
                allowed: &allowed.into_iter().map(id).collect(),
                fenced,
            });
            proptest::prop_assert!(!(live && proof.is_ok()));
            if proof.is_ok() {
                proptest::prop_assert!(nova.iter().all(|(_, status, _)| *status != Active && *status != Paused));
            }
        }
    }

    #[test]
    fn an_instance_suspended_to_disk_may_stay() {
        let mut views = resting();
        views.nova[0].1 = InstanceStatus::Suspended;
        assert!(prove(&views).is_ok());
        views.domains[0].state = DomainState::Paused;
        assert!(prove(&views).is_err(), "suspended in memory would be lost");
    }
}
