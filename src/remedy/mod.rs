//! Remedies: what must be true of a host, and how to get there; and the verdict on a host's facts. Pure.

mod assess;
mod evidence;
mod lint;
mod prospect;
#[expect(clippy::module_inception, reason = "the file holds the type of that name")]
mod remedy;
mod system;
mod verdict;
mod version;

pub use assess::{assess, assess_before_reboot};
pub use evidence::{
    AbsentFile, CommandLineEvidence, CpuFlagEvidence, DomainCapabilityEvidence, EvidenceRequirement,
    KernelFileEvidence, KernelLogEvidence, NoPendingReboot, SysfsEvidence,
};
pub use lint::{Mistake, lint};
pub use prospect::{Obstacle, Prospect, missing_guest_flags, prospect, updates};
pub use remedy::{
    Absent, Applies, CompanionFlag, GuestRequirement, KernelRequirement, KernelThreshold, Minimum, NotBooted,
    PackageRequirement, Remedy, RemedyKind, Threshold, Update,
};
pub use system::SystemSelector;
pub use verdict::{Evidence, Outcome, Verdict, VerdictKind};
