//! Whole plans: what they do with each kind of host and instance, and that the checker agrees with every one.

mod bounds;
mod broken;
mod checker;
mod diff;
mod domains;
mod drawn;
mod hard;
mod infeasible;
mod numa;
mod oracle;
mod plans;
mod properties;
mod roles;
mod wishes;

use std::collections::BTreeMap;

use super::fixture::host;
use super::*;
use crate::model::{Digest, HostName, Policy, Region, RolloutId};
use crate::remedy::{Verdict, VerdictKind};

/// A policy without canaries: most tests are not about them.
fn policy() -> Policy {
    let mut policy = Policy::default();
    policy.canary.hosts = 0;
    policy
}

#[derive(Clone)]
struct Case {
    region: Region,
    policy: Policy,
    scope: Scope,
    experience: Experience,
    verdicts: BTreeMap<HostName, Verdict>,
}

impl Case {
    fn of(region: Region) -> Self {
        let verdicts = synthetic::all_vulnerable(&region);
        Self { region, policy: policy(), scope: Scope::default(), experience: Experience::default(), verdicts }
    }

    fn verdict(mut self, name: &str, verdict: VerdictKind) -> Self {
        self.verdicts.insert(host(name), Verdict { verdict, evidence: Vec::new() });
        self
    }

    fn plan(&self) -> Result<Rollout, PlanError> {
        self.reported().map(|(rollout, _)| rollout)
    }

    fn reported(&self) -> Result<(Rollout, PlanReport), PlanError> {
        let remedy = synthetic::remedy();
        let input = PlanInput {
            region: &self.region,
            verdicts: &self.verdicts,
            remedy: &remedy,
            policy: &self.policy,
            scope: &self.scope,
            experience: &self.experience,
            configuration: Digest::new("sha256:0"),
            seed: 7,
            now: "2026-11-22T12:00:00Z".parse().unwrap(),
            id: RolloutId::new(uuid::Uuid::from_u128(1)),
        };
        plan(&input)
    }

    fn planned(&self) -> Rollout {
        let rollout = self.plan().unwrap();
        assert_eq!(rollout.certificate.violations, Vec::<String>::new());
        rollout
    }
}
