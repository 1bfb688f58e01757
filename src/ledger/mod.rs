//! The ledger: which instances still run on a processor from before the remedy, and who was credited why. Pure.
//!
//! A host's update reaches a guest only with its next start from nothing: what it was started with it keeps, also across
//! live migrations. Nova does not say when a guest's process began, so that this is worked out from its instance actions,
//! from when hosts were mitigated (runs, or as they were assessed), and, where hosts were asked, from the processor that
//! libvirt shows of the running guest, which decides over all else. What cannot be told is unknown, with a reason.
//!
//! The rules are those of docs/facts/libvirt.md. Called by `cli` and by the planner of cold boots.

mod book;
mod csv;
mod effect;
mod hosts;
mod judge;
mod notice;

pub use book::{Counts, Ledger, ProjectCounts};
pub use csv::csv;
pub use effect::{Effect, effect};
pub use hosts::{HostTimes, Mitigation, RunTimes};
pub use judge::{Entry, Renewal, Who, judge};
pub use notice::{DEFAULT_NOTICE, Notice, NoticeError};

#[cfg(test)]
mod tests;
