//! Remedies: what must be true of a host, and how to get there; and the verdict on a host's facts. Pure.

mod evidence;
#[expect(clippy::module_inception, reason = "the file holds the type of that name")]
mod remedy;
mod system;
mod verdict;

pub use evidence::{
    AbsentFile, CommandLineEvidence, CpuFlagEvidence, DomainCapabilityEvidence, EvidenceRequirement, KernelLogEvidence,
    SysfsEvidence,
};
pub use remedy::{
    Absent, Applies, CompanionFlag, GuestRequirement, KernelRequirement, KernelThreshold, Minimum, NotBooted,
    PackageRequirement, Remedy, RemedyKind, Threshold, Update,
};
pub use system::SystemSelector;
pub use verdict::{Evidence, Outcome, Verdict, VerdictKind};
