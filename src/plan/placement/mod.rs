//! Where an instance may go: the one rule that the planner and a running engine share.
//!
//! The engine keeps an [`Occupancy`] of the region, asks a [`Draft`] before it begins a host and [`choose_target`] when
//! a move starts, and books what it decides. Nothing here moves anything or knows the order of hosts.

mod choose;
mod draft;
mod held;
mod mover;
mod occupancy;
mod refusal;
#[cfg(test)]
mod tests;

pub use super::kinds::Unfit;
pub use choose::choose_target;
pub(crate) use choose::{target_among, target_for};
pub use draft::Draft;
pub use held::Held;
pub use mover::{Busy, Choice, Mover, Rules};
pub use occupancy::Occupancy;
pub(crate) use occupancy::SavedOccupancy;
pub use refusal::Refusal;
