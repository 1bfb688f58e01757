//! Planning, pure: (region, verdicts, policy, seed) → (rollout, report). No clock, no file, no network.

mod rollout;

pub use rollout::{
    Bounds, Certificate, Note, PlannedHost, PlannedMove, PlannedStay, Rollout, RolloutKind, Severity, SkipReason,
    SkippedHost, StayReason,
};
