//! A rollout of one host that is only emptied, by the same planner: every other host in service takes instances.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::digest::digest;
use super::input::{Experience, NoRoom, PlanError, PlanInput, Scope, Unknown, UnprovenIdentity};
use super::planner::plan;
use super::rollout::Rollout;
use crate::model::{Digest, HostName, Policy, Region, Role, RoleHandling, RoleRules, RolloutId};
use crate::remedy::{Applies, Remedy, RemedyKind, Verdict, VerdictKind};

/// What is to be drained, and how.
#[derive(Debug, Clone)]
pub struct DrainInput<'a> {
    /// What was seen.
    pub region: &'a Region,
    /// The host.
    pub host: &'a HostName,
    /// The only hosts that take its instances; any when empty.
    pub to: &'a BTreeSet<HostName>,
    /// How to go about it.
    pub policy: &'a Policy,
    /// Digest over every command and setting that the configuration file adds.
    pub configuration: Digest,
    /// When the rollout is made.
    pub now: Timestamp,
    /// Its id.
    pub id: RolloutId,
}

/// Plans the drain of one host.
///
/// # Errors
/// As [`plan`]; in particular when its instances fit nowhere.
pub fn plan_drain(input: &DrainInput<'_>) -> Result<Rollout, PlanError> {
    let policy = drain_policy(input.policy);
    let verdict = |host: &HostName| {
        let verdict = if host == input.host { VerdictKind::Vulnerable } else { VerdictKind::Mitigated };
        (host.clone(), Verdict { verdict, evidence: Vec::new() })
    };
    let verdicts: BTreeMap<HostName, Verdict> = input.region.hosts.iter().map(|host| verdict(&host.host)).collect();
    let is_out = |host: &&HostName| !input.to.is_empty() && *host != input.host && !input.to.contains(*host);
    let scope = Scope {
        hosts: [input.host.clone()].into(),
        exclude: input.region.hosts.iter().map(|host| &host.host).filter(is_out).cloned().collect(),
        unknown: Unknown::Skip,
        unproven_identity: UnprovenIdentity::Skip,
        no_room: NoRoom::Refuse,
        ..Scope::default()
    };
    let remedy = nothing();
    let (mut rollout, _) = plan(&PlanInput {
        region: input.region,
        verdicts: &verdicts,
        remedy: &remedy,
        policy: &policy,
        scope: &scope,
        experience: &Experience::default(),
        configuration: input.configuration.clone(),
        seed: 0,
        now: input.now,
        id: input.id,
    })?;
    for planned in &mut rollout.hosts {
        planned.drain_only = true;
    }
    rollout.digest = digest(&rollout);
    Ok(rollout)
}

/// The policy without what is about campaigns: no canary, no window, no step or hook of its own, and no look at what else runs on a host that is
/// not rebooted.
fn drain_policy(policy: &Policy) -> Policy {
    let mut policy = policy.clone();
    policy.canary.hosts = 0;
    policy.windows.clear();
    policy.priority.clear();
    policy.steps.clear();
    policy.hooks.clear();
    policy.roles = RoleRules::new(Role::ALL.map(|role| (role, RoleHandling::Allow)));
    policy
}

/// Nothing is remedied.
fn nothing() -> Remedy {
    Remedy {
        format: 1,
        kind: RemedyKind::Remedy,
        name: "drain".to_owned(),
        title: "one host emptied and kept out of service".to_owned(),
        cves: Vec::new(),
        references: Vec::new(),
        applies: Applies::default(),
        packages: Vec::new(),
        kernel: None,
        evidence: Vec::new(),
        guests: None,
        steps: Vec::new(),
        reboot: false,
    }
}
