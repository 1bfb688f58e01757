//! Planning, pure: (region, verdicts, policy, seed) → (rollout, report). No clock, no file, no network.

#[cfg(test)]
mod fixture;
mod layout;
pub mod placement;
mod rollout;
mod space;

pub use rollout::{
    Bounds, Certificate, Note, PlannedHost, PlannedMove, PlannedStay, Rollout, RolloutKind, Severity, SkipReason,
    SkippedHost, StayReason,
};
