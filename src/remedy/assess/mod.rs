//! Holds the facts of a host against a remedy. What is absent never passes, and what cannot be seen never fails.

mod guests;
mod kernel;
mod packages;
mod scope;
mod signs;

pub(super) use guests::guest_finding;
pub(super) use packages::{hold, threshold_for};
pub(super) use signs::{argument_is_set, command_line};

use super::{Evidence, EvidenceRequirement, Outcome, Remedy, Verdict, VerdictKind};
use crate::model::HostFacts;

/// One requirement held against the facts.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    evidence: Evidence,
    /// What it says about the processor, where it says anything.
    affected: Affected,
}

/// What a piece of evidence says about the processor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Affected {
    /// Nothing.
    Silent,
    /// The whole remedy is not about this host.
    OutOfScope,
    /// The kernel was asked and did not say "not affected".
    Asked,
    /// The kernel says that the processor does not have the flaw that was asked about.
    No,
}

impl Finding {
    fn new(requirement: impl Into<String>, source: impl Into<String>, found: Option<String>, outcome: Outcome) -> Self {
        let evidence = Evidence { requirement: requirement.into(), source: source.into(), found, outcome };
        Self { evidence, affected: Affected::Silent }
    }

    fn about(mut self, affected: Affected) -> Self {
        self.affected = affected;
        self
    }
}

/// The verdict on a host, with each requirement in the remedy's order.
///
/// Any failure makes it vulnerable, else anything unseen makes it unknown. It is not affected only when the remedy is
/// not about its processor, or when the kernel says "not affected" to everything that the remedy asks it.
pub fn assess(facts: &HostFacts, remedy: &Remedy) -> Verdict {
    let mut findings = scope::findings(facts, &remedy.applies);
    findings.extend(remedy.packages.iter().map(|requirement| packages::finding(facts, requirement)));
    findings.extend(remedy.kernel.iter().flat_map(|requirement| kernel::running(facts, requirement)));
    findings.extend(remedy.evidence.iter().flat_map(|requirement| signs::findings(facts, requirement)));
    findings.extend(remedy.guests.iter().map(|guests| guest_finding(facts, guests).into()));
    conclude(findings)
}

/// Holds a host to what must be so before its reboot: packages, the kernel that it would boot, the command line that
/// it would get, and nova.conf. Never "not affected", because only the kernel's own word after the reboot says so.
pub fn assess_before_reboot(facts: &HostFacts, remedy: &Remedy) -> Verdict {
    let mut findings: Vec<Finding> =
        remedy.packages.iter().map(|requirement| packages::finding(facts, requirement)).collect();
    findings.extend(remedy.kernel.iter().filter_map(|requirement| kernel::next(facts, requirement)));
    for requirement in &remedy.evidence {
        if let EvidenceRequirement::CommandLine(arguments) = requirement {
            findings.extend(signs::next_command_line(facts, arguments));
        }
    }
    findings.extend(remedy.guests.iter().map(|guests| guest_finding(facts, guests).into()));
    conclude(findings)
}

fn conclude(findings: Vec<Finding>) -> Verdict {
    let says = |affected: Affected| findings.iter().any(|finding| finding.affected == affected);
    let not_affected = says(Affected::OutOfScope) || (says(Affected::No) && !says(Affected::Asked));
    let has = |outcome: Outcome| findings.iter().any(|finding| finding.evidence.outcome == outcome);
    let verdict = if not_affected {
        VerdictKind::NotAffected
    } else if has(Outcome::Fail) {
        VerdictKind::Vulnerable
    } else if has(Outcome::Unknown) {
        VerdictKind::Unknown
    } else if has(Outcome::Pass) || has(Outcome::Warn) {
        VerdictKind::Mitigated
    } else {
        // Nothing but requirements that do not apply: nothing was proven.
        VerdictKind::Unknown
    };
    let evidence = findings.into_iter().map(|finding| told(finding, not_affected)).collect();
    Verdict { verdict, evidence }
}

/// The evidence as people get it: on a host that is not affected only what says so counts, and a single "not affected"
/// beside a flaw that is there does not count as a pass.
fn told(finding: Finding, not_affected: bool) -> Evidence {
    let Finding { mut evidence, affected } = finding;
    evidence.outcome = match (affected, not_affected) {
        (Affected::OutOfScope | Affected::No, true) => Outcome::Pass,
        (Affected::Silent | Affected::Asked, true) | (Affected::No, false) => Outcome::NotApplicable,
        (Affected::Silent | Affected::Asked | Affected::OutOfScope, false) => evidence.outcome,
    };
    evidence
}

/// The worse of two outcomes of parts of one requirement.
fn worse(left: Outcome, right: Outcome) -> Outcome {
    let gravity = |outcome: Outcome| match outcome {
        Outcome::NotApplicable => 0,
        Outcome::Pass => 1,
        Outcome::Warn => 2,
        Outcome::Unknown => 3,
        Outcome::Fail => 4,
    };
    if gravity(left) >= gravity(right) { left } else { right }
}

/// The host's own words on why a part could not be read.
fn unread(facts: &HostFacts, part: &str) -> Option<String> {
    facts.unread.get(part).map(|why| format!("could not be read: {why}"))
}
