//! Planning, pure: (region, verdicts, policy, seed) → (rollout, report). No clock, no file, no network.

mod canary;
mod cells;
mod census;
mod check;
mod choose;
mod cold_boots;
mod diff;
mod digest;
mod drain;
#[cfg(test)]
mod fixture;
mod fleet;
mod headroom;
mod infeasible;
mod input;
mod kinds;
mod layout;
mod lint;
mod movability;
mod numa;
mod pack;
mod parts;
pub mod placement;
mod planner;
mod pools;
mod processor;
mod rearrange;
mod repair;
mod rollout;
mod schedule;
mod seed;
mod select;
mod space;
mod sweep;
pub mod synthetic;
#[cfg(test)]
mod tests;
mod transfer;
mod way;
mod zones;

pub use check::check;
pub use cold_boots::{ColdBootInput, PlannedColdBoot, plan_cold_boots};
pub use diff::{Diff, Difference, DifferenceKind, Weight, diff, diff_region};
pub use digest::{digest, digest_of, verify_digest};
pub use drain::{DrainInput, plan_drain};
pub use headroom::most_out;
pub use input::{
    Attempt, Experience, InPlace, Means, NoRoom, PlanError, PlanInput, PlanReport, Relocation, Scope, Shortfall,
    Unknown, UnprovenIdentity, WayOut,
};
pub use lint::lint;
pub use movability::{Affinity, Bond, Movability, Row, Rule, Standing, Ways, movability, page as movability_page};
pub use planner::plan;
pub use rollout::{
    BlockedInstance, Bounds, Certificate, Note, PlannedHost, PlannedMove, PlannedProcessor, PlannedSize, PlannedStay,
    PlannedZone, Rollout, RolloutKind, Severity, SkipReason, SkippedHost, StayReason, Work,
};
