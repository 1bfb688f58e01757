//! What cannot be done is an answer: which hosts, why, whether that is proven, and what would make it feasible.
//!
//! Asked by the planner for hosts that no attempt could empty; ordinary regions never come here.

mod place;
mod proof;
mod shortfall;
mod ways;

pub(super) use shortfall::shortfalls;
pub(super) use ways::ways_out;
