//! Packages: downloaded while instances still move, then installed; believed by what is installed afterwards.

use std::collections::{BTreeMap, BTreeSet};

use async_trait::async_trait;
use sha2::{Digest as _, Sha256};

use super::facts::facts;
use super::jobs::{self, TIMED_OUT};
use super::{Action, HostMemory, Probe, StepContext, StepError};
use crate::cloud::Accepted;
use crate::host::{Job, JobStatus, PackageTarget};
use crate::model::{Digest, HostFacts, OsRelease, Package, PackageManager};
use crate::remedy::{Remedy, Update, updates};
use crate::run::event::{FaultScope, Intent, PackageChange, StepOutput};

fn names(targets: &[PackageTarget]) -> String {
    targets.iter().map(|target| target.name.as_str()).collect::<Vec<_>>().join(", ")
}

fn intent(cx: &StepContext<'_>, verb: &str, due: &Due, before: Vec<Package>) -> Intent {
    let unit = HostMemory::unit(cx.run, cx.step).to_string();
    Intent::Job { unit, summary: format!("{verb} {}", due.names()), before }
}

/// What is to be updated on a host.
enum Due {
    /// These packages and what they need.
    Some(Vec<PackageTarget>),
    /// Everything that there is an update for.
    All(PackageManager),
}

impl Due {
    fn on(cx: &StepContext<'_>, found: &HostFacts) -> Result<Self, StepError> {
        if !cx.rollout.policy.packages.all_updates {
            return Ok(Self::Some(updates(found, &cx.rollout.remedy)));
        }
        let manager = found.os.as_ref().and_then(OsRelease::package_manager);
        manager.map(Self::All).ok_or_else(|| {
            let what = format!("the package manager of {} is not known, and all updates are wanted", cx.host.host);
            StepError::permanent(FaultScope::Host, what)
        })
    }

    fn is_nothing(&self) -> bool {
        matches!(self, Self::Some(targets) if targets.is_empty())
    }

    fn names(&self) -> String {
        match self {
            Self::Some(targets) => names(targets),
            Self::All(_) => "everything".to_owned(),
        }
    }
}

/// Downloads updates; installs nothing.
pub(super) struct Stage;

#[async_trait]
impl Action for Stage {
    async fn probe(&self, cx: &StepContext<'_>) -> Result<Probe, StepError> {
        let due = Due::on(cx, &facts(cx).await?)?;
        if due.is_nothing() {
            return Ok(Probe::Done(StepOutput::AlreadySo { note: "nothing to update".to_owned() }));
        }
        let intent = intent(cx, "download", &due, Vec::new());
        match jobs::status(cx).await? {
            JobStatus::Running => Ok(Probe::InFlight(intent)),
            JobStatus::Ended { status: 0, .. } => {
                Ok(Probe::Done(StepOutput::AlreadySo { note: format!("downloaded {}", due.names()) }))
            }
            JobStatus::Ended { .. } | JobStatus::Absent => Ok(Probe::Needed(intent)),
        }
    }

    async fn apply(&self, cx: &StepContext<'_>, _: &Intent) -> Result<Accepted, StepError> {
        let job = match Due::on(cx, &facts(cx).await?)? {
            Due::Some(targets) => Job::StagePackages(targets),
            Due::All(manager) => Job::StageAll(manager),
        };
        jobs::start(cx, job).await
    }

    async fn verify(&self, cx: &StepContext<'_>, intent: &Intent, _: &Accepted) -> Result<StepOutput, StepError> {
        let ended = jobs::end(cx, "downloads updates").await?;
        if ended.status == 0 {
            let note = if let Intent::Job { summary, .. } = intent { summary.clone() } else { String::new() };
            return Ok(StepOutput::Done { note });
        }
        let what = format!("could not download updates on {}", cx.host.host);
        Err(StepError::transient(FaultScope::Host, what).because(ended.words()))
    }
}

/// Installs updates and reads back what is installed.
pub(super) struct UpdatePackages;

impl UpdatePackages {
    /// The packages before any attempt of this step.
    fn before(recorded: Option<&Intent>, found: &HostFacts) -> Vec<Package> {
        match recorded {
            Some(Intent::Job { before, .. }) if !before.is_empty() => before.clone(),
            _ => found.packages.clone(),
        }
    }
}

/// The packages that are below their thresholds still: without those that are updated to be the newest whatever they
/// are, which no look can tell from old ones.
fn below_threshold(found: &HostFacts, remedy: &Remedy) -> Vec<PackageTarget> {
    let mut held = remedy.clone();
    for requirement in &mut held.packages {
        if requirement.update == Update::Always {
            requirement.update = Update::Needed;
        }
    }
    updates(found, &held)
}

/// What changed between two looks, by name.
fn changes(before: &[Package], after: &[Package]) -> Vec<PackageChange> {
    let versions = |packages: &[Package]| {
        let mut by_name: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for package in packages {
            by_name.entry(package.name.clone()).or_default().insert(package.version.clone());
        }
        by_name
    };
    let (before, after) = (versions(before), versions(after));
    let all: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let listed = |of: &BTreeMap<String, BTreeSet<String>>, name: &str| {
        of.get(name).map(|versions| versions.iter().cloned().collect()).unwrap_or_default()
    };
    all.into_iter()
        .filter(|name| before.get(*name) != after.get(*name))
        .map(|name| PackageChange { name: name.clone(), before: listed(&before, name), after: listed(&after, name) })
        .collect()
}

/// What the step leaves: the packages that differ from `before`, and the digest of what the job said.
fn output(before: &[Package], found: &HostFacts, said: &str) -> StepOutput {
    let hash = Sha256::digest(said.as_bytes());
    let digest = Digest::new(format!("sha256:{hash:x}"));
    StepOutput::Packages { changed: changes(before, &found.packages), digest }
}

#[async_trait]
impl Action for UpdatePackages {
    async fn probe(&self, cx: &StepContext<'_>) -> Result<Probe, StepError> {
        let remedy = &cx.rollout.remedy;
        let job = jobs::status(cx).await?;
        let found = facts(cx).await?;
        let before = Self::before(cx.intent, &found);
        let due = Due::on(cx, &found)?;
        match job {
            JobStatus::Running => Ok(Probe::InFlight(intent(cx, "update", &due, before))),
            JobStatus::Ended { status: 0, output: said } if below_threshold(&found, remedy).is_empty() => {
                Ok(Probe::Done(output(&before, &found, &said)))
            }
            JobStatus::Ended { .. } | JobStatus::Absent if due.is_nothing() => {
                Ok(Probe::Done(StepOutput::AlreadySo { note: "nothing to update".to_owned() }))
            }
            JobStatus::Ended { .. } | JobStatus::Absent => Ok(Probe::Needed(intent(cx, "update", &due, before))),
        }
    }

    async fn apply(&self, cx: &StepContext<'_>, _: &Intent) -> Result<Accepted, StepError> {
        let job = match Due::on(cx, &facts(cx).await?)? {
            Due::Some(targets) => Job::UpdatePackages(targets),
            Due::All(manager) => Job::UpdateAll(manager),
        };
        jobs::start(cx, job).await
    }

    async fn verify(&self, cx: &StepContext<'_>, intent: &Intent, _: &Accepted) -> Result<StepOutput, StepError> {
        let host = &cx.host.host;
        let ended = jobs::end(cx, "updates packages").await?;
        if ended.status == TIMED_OUT {
            let what = format!("the update of {host} took longer than {} s", cx.patience().packages.get().as_secs());
            return Err(StepError::transient(FaultScope::Host, what).because(ended.words()));
        }
        if ended.status != 0 {
            let what = format!("the update of {host} failed with status {}", ended.status);
            return Err(StepError::permanent(FaultScope::Host, what).because(ended.words()));
        }
        let found = facts(cx).await?;
        let left = below_threshold(&found, &cx.rollout.remedy);
        if left.is_empty() {
            return Ok(output(&Self::before(Some(intent), &found), &found, &ended.output));
        }
        // A scriptlet that fails after its package was installed leaves status 0 and "Complete!" behind.
        let what = format!("the update of {host} ended well, and left below the remedy's thresholds: {}", names(&left));
        Err(StepError::permanent(FaultScope::Host, what).because(ended.words()))
    }
}
