//! Packages held to their thresholds.

use std::collections::BTreeMap;

use super::scope::system;
use super::{Finding, unread, worse};
use crate::model::{HostFacts, Package, PackageManager};
use crate::remedy::version::{compare, reaches, without_epoch};
use crate::remedy::{Absent, Minimum, Outcome, PackageRequirement, Threshold};

/// One name of a requirement held to its threshold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    /// The name.
    pub(crate) name: String,
    /// Whose package it is.
    pub(crate) manager: PackageManager,
    /// How it came out.
    pub(crate) outcome: Outcome,
    /// What was asked of it, in words.
    pub(crate) asked: String,
    /// What is installed, in words.
    pub(crate) found: String,
}

/// The first threshold that speaks of `name` on the host's system.
pub(crate) fn threshold_for<'a>(
    facts: &HostFacts,
    requirement: &'a PackageRequirement,
    name: &str,
) -> Option<&'a Threshold> {
    requirement.thresholds.iter().find(|threshold| {
        let named = threshold.packages.is_empty() || threshold.packages.iter().any(|one| one == name);
        named && threshold.os.chooses(facts.os.as_ref())
    })
}

/// Each installed name of a requirement, held to its threshold; empty when none is installed.
pub(crate) fn hold(facts: &HostFacts, requirement: &PackageRequirement) -> Vec<Held> {
    let mut held = Vec::new();
    for name in &requirement.any_of {
        for manager in [PackageManager::Rpm, PackageManager::Dpkg] {
            let installed: Vec<&Package> =
                facts.packages.iter().filter(|package| package.name == *name && package.manager == manager).collect();
            if !installed.is_empty() {
                held.push(hold_one(facts, requirement, name, manager, &installed));
            }
        }
    }
    held
}

fn hold_one(
    facts: &HostFacts,
    requirement: &PackageRequirement,
    name: &str,
    manager: PackageManager,
    installed: &[&Package],
) -> Held {
    let versions: Vec<&str> = installed.iter().map(|package| package.version.as_str()).collect();
    let held =
        |outcome: Outcome, asked: String, found: String| Held { name: name.to_owned(), manager, outcome, asked, found };
    let threshold = threshold_for(facts, requirement, name).map(|threshold| &threshold.version);
    let asked = asked_of(name, threshold, &versions, manager);
    if !requirement.side_by_side
        && let Some(doubled) = doubled(installed)
    {
        let found = format!("{name} {doubled}: two versions at once, as an interrupted transaction leaves them");
        return held(Outcome::Fail, asked, found);
    }
    let found = format!("{name} {}", versions.join(", "));
    match threshold {
        None => held(Outcome::Unknown, asked, found),
        Some(Minimum::Any) => held(Outcome::Pass, asked, found),
        Some(Minimum::AtLeast(minimum)) => {
            let reached = |version: &&str| reaches(manager, version, minimum).reached;
            let passes = if requirement.side_by_side {
                versions.iter().any(reached)
            } else {
                // With several architectures installed, each has to have the fix.
                versions.iter().all(reached)
            };
            held(if passes { Outcome::Pass } else { Outcome::Fail }, asked, found)
        }
    }
}

/// What is asked of a package, in words; says so when the epoch is left out of account.
fn asked_of(name: &str, threshold: Option<&Minimum>, versions: &[&str], manager: PackageManager) -> String {
    match threshold {
        None => format!("{name} (no threshold for this system)"),
        Some(Minimum::Any) => format!("{name} of any version"),
        Some(Minimum::AtLeast(minimum)) => {
            let epochs =
                versions.iter().any(|version| without_epoch(version) != *version && !version.starts_with("0:"));
            let any_epoch = epochs && versions.iter().any(|version| reaches(manager, version, minimum).any_epoch);
            let remark = if any_epoch { " of any epoch" } else { "" };
            format!("{name} at least {minimum}{remark}")
        }
    }
}

/// Versions of one name and architecture that stand beside each other.
fn doubled(installed: &[&Package]) -> Option<String> {
    let mut by_arch: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for package in installed {
        by_arch.entry(&package.arch).or_default().push(&package.version);
    }
    let mut versions = by_arch.into_values().find(|versions| versions.len() > 1)?;
    let manager = installed.first()?.manager;
    versions.sort_by(|left, right| compare(manager, left, right));
    Some(versions.join(" and "))
}

/// A requirement's finding over all its names.
pub(super) fn finding(facts: &HostFacts, requirement: &PackageRequirement) -> Finding {
    let held = hold(facts, requirement);
    if held.is_empty() {
        return absent(facts, requirement);
    }
    let join = |part: fn(&Held) -> &str| held.iter().map(part).collect::<Vec<_>>().join("; ");
    let sources: Vec<&str> = [(PackageManager::Rpm, "rpm"), (PackageManager::Dpkg, "dpkg")]
        .into_iter()
        .filter(|(manager, _)| held.iter().any(|one| one.manager == *manager))
        .map(|(_, source)| source)
        .collect();
    let outcome = held.iter().map(|one| one.outcome).fold(Outcome::NotApplicable, worse);
    Finding::new(join(|one| &one.asked), sources.join(", "), Some(join(|one| &one.found)), outcome)
}

/// None of the names is installed, or it could not be seen.
fn absent(facts: &HostFacts, requirement: &PackageRequirement) -> Finding {
    let names = requirement.any_of.join(" or ");
    let source = "rpm, dpkg";
    if let Some(why) = unread(facts, "rpm").or_else(|| unread(facts, "dpkg")) {
        return Finding::new(names, source, Some(why), Outcome::Unknown);
    }
    if facts.os.is_none() {
        return Finding::new(names, source, None, Outcome::Unknown);
    }
    let speaks = requirement.thresholds.iter().any(|threshold| threshold.os.chooses(facts.os.as_ref()));
    match (speaks, requirement.absent) {
        (true, Absent::Fail) => Finding::new(names, source, Some("not installed".to_owned()), Outcome::Fail),
        (true, Absent::NotApplicable) => {
            Finding::new(names, source, Some("not installed".to_owned()), Outcome::NotApplicable)
        }
        (false, Absent::Fail | Absent::NotApplicable) => {
            let on = system(facts).unwrap_or_default();
            Finding::new(names, source, Some(format!("not asked for on {on}")), Outcome::NotApplicable)
        }
    }
}
