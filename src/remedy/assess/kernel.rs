//! The running kernel, and the one that the next boot takes.

use super::scope::system;
use super::{Finding, unread};
use crate::model::{HostFacts, Package, PackageManager};
use crate::remedy::version::{compare, kernel_reaches, without_epoch};
use crate::remedy::{KernelRequirement, Minimum, NotBooted, Outcome};

/// What is asked of the kernel that runs.
pub(super) fn running(facts: &HostFacts, requirement: &KernelRequirement) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !requirement.thresholds.is_empty() {
        let found = facts.kernel.as_deref();
        findings.push(held(facts, requirement, "running kernel", "uname -r", found, unread(facts, "kernel")));
    }
    findings.extend(booted(facts, requirement));
    findings
}

/// What is asked of the kernel that the next boot takes, where the boot loader tells.
pub(super) fn next(facts: &HostFacts, requirement: &KernelRequirement) -> Option<Finding> {
    let next = facts.default_kernel.as_deref()?;
    let asked = !requirement.thresholds.is_empty();
    asked.then(|| held(facts, requirement, "kernel of the next boot", "boot loader", Some(next), None))
}

fn held(
    facts: &HostFacts,
    requirement: &KernelRequirement,
    what: &str,
    source: &str,
    release: Option<&str>,
    unread: Option<String>,
) -> Finding {
    let threshold = requirement.thresholds.iter().find(|threshold| threshold.os.chooses(facts.os.as_ref()));
    let Some(release) = release else {
        return Finding::new(what, source, unread, Outcome::Unknown);
    };
    let found = Some(release.to_owned());
    match threshold.map(|threshold| &threshold.version) {
        None => {
            let on = system(facts).unwrap_or_else(|| "an unknown system".to_owned());
            Finding::new(format!("{what} (no threshold for {on})"), source, found, Outcome::Unknown)
        }
        Some(Minimum::Any) => Finding::new(format!("{what} of any version"), source, found, Outcome::Pass),
        Some(Minimum::AtLeast(minimum)) => {
            let outcome = if kernel_reaches(release, minimum) { Outcome::Pass } else { Outcome::Fail };
            Finding::new(format!("{what} at least {minimum}"), source, found, outcome)
        }
    }
}

/// Whether the newest installed kernel, which the boot loader takes next, is the one that runs.
fn booted(facts: &HostFacts, requirement: &KernelRequirement) -> Option<Finding> {
    let (missed, unseen) = match requirement.newest_not_booted {
        NotBooted::Ignore => return None,
        NotBooted::Warn => (Outcome::Warn, Outcome::NotApplicable),
        NotBooted::Fail => (Outcome::Fail, Outcome::Unknown),
    };
    let asked = "newest installed kernel is the one that runs";
    let finding = |source: &str, found: String, outcome| Some(Finding::new(asked, source, Some(found), outcome));
    let Some(release) = facts.kernel.as_deref() else {
        return Some(Finding::new(asked, "uname -r", unread(facts, "kernel"), unseen));
    };
    if let Some(next) = facts.default_kernel.as_deref().filter(|next| *next != release) {
        return finding("boot loader", format!("{release} runs, {next} is next"), missed);
    }
    let installed = rpm_kernels(facts, requirement);
    let family = installed.iter().find(|package| is_of(release, package)).map(|package| &package.name);
    let newest = installed
        .iter()
        .filter(|package| Some(&package.name) == family)
        .max_by(|left, right| compare(PackageManager::Rpm, &left.version, &right.version));
    match newest {
        Some(newest) if is_of(release, newest) => finding("rpm", format!("{release} runs"), Outcome::Pass),
        Some(newest) => {
            finding("rpm", format!("{release} runs, {} {} is installed", newest.name, newest.version), missed)
        }
        None if !installed.is_empty() => {
            finding("rpm", format!("{release} runs, which no installed package holds"), missed)
        }
        None if facts.default_kernel.is_some() => finding("boot loader", format!("{release} runs"), Outcome::Pass),
        None => Some(Finding::new(asked, "boot loader", unread(facts, "default-kernel"), unseen)),
    }
}

/// Installed kernels of rpm, whose versions tell `uname -r`; those of dpkg carry it in the name of the package.
fn rpm_kernels<'a>(facts: &'a HostFacts, requirement: &KernelRequirement) -> Vec<&'a Package> {
    let asked =
        |package: &&Package| package.manager == PackageManager::Rpm && requirement.packages.contains(&package.name);
    facts.packages.iter().filter(asked).collect()
}

/// Whether `uname -r` is that of the package: `VERSION-RELEASE`, then architecture or flavour.
fn is_of(release: &str, package: &Package) -> bool {
    release
        .strip_prefix(without_epoch(&package.version))
        .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '+', '-']))
}
