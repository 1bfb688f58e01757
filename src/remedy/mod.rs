//! Remedies: what must be true of a host, and how to get there; and the verdict on a host's facts. Pure.

mod remedy;
mod verdict;

pub use remedy::{Remedy, RemedyKind};
pub use verdict::{Evidence, Outcome, Verdict, VerdictKind};
