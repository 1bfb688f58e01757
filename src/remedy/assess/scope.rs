//! Whether a remedy is about a host at all.

use super::{Affected, Finding, unread};
use crate::model::HostFacts;
use crate::remedy::{Applies, Outcome};

/// Makers of x86 processors as `vendor_id` names them; other architectures have no such line.
const X86_VENDORS: [&str; 5] = ["GenuineIntel", "AuthenticAMD", "HygonGenuine", "CentaurHauls", "Shanghai"];

pub(super) fn findings(facts: &HostFacts, applies: &Applies) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !applies.vendors.is_empty() {
        let vendor = facts.cpu.as_ref().map(|cpu| cpu.vendor.as_str()).filter(|vendor| !vendor.is_empty());
        let requirement = format!("processor by {}", applies.vendors.join(" or "));
        findings.push(member(facts, requirement, "/proc/cpuinfo", vendor, &applies.vendors));
    }
    if !applies.architectures.is_empty() {
        let requirement = format!("architecture {}", applies.architectures.join(" or "));
        findings.push(member(facts, requirement, "uname -m", architecture(facts), &applies.architectures));
    }
    if !applies.systems.is_empty() {
        let systems: Vec<String> = applies.systems.iter().map(ToString::to_string).collect();
        let requirement = format!("system among {}", systems.join(", "));
        let chosen = applies.systems.iter().any(|selector| selector.chooses(facts.os.as_ref()));
        let outcome = if chosen { Outcome::Pass } else { Outcome::Unknown };
        findings.push(Finding::new(requirement, "/etc/os-release", system(facts), outcome));
    }
    findings
}

/// A host that is not among those that have the flaw is out of scope; one that could not be told is unknown.
fn member(facts: &HostFacts, requirement: String, source: &str, found: Option<&str>, among: &[String]) -> Finding {
    match found {
        None => Finding::new(requirement, source, unread(facts, "cpuinfo"), Outcome::Unknown),
        Some(found) if among.iter().any(|one| one == found) => {
            Finding::new(requirement, source, Some(found.to_owned()), Outcome::Pass)
        }
        Some(found) => Finding::new(requirement, source, Some(found.to_owned()), Outcome::NotApplicable)
            .about(Affected::OutOfScope),
    }
}

/// `uname -m`, or what the processor's maker says about it.
fn architecture(facts: &HostFacts) -> Option<&str> {
    let by_vendor = || {
        let vendor = &facts.cpu.as_ref()?.vendor;
        X86_VENDORS.contains(&vendor.as_str()).then_some("x86_64")
    };
    facts.architecture.as_deref().or_else(by_vendor)
}

/// The operating system in words.
pub(super) fn system(facts: &HostFacts) -> Option<String> {
    match &facts.os {
        Some(os) if os.version_id.is_empty() => Some(os.id.clone()),
        Some(os) => Some(format!("{} {}", os.id, os.version_id)),
        None => unread(facts, "os-release"),
    }
}
