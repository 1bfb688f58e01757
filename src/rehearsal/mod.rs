//! Rehearsals: the real engine runs a rollout in virtual time against a simulated region that begins as a snapshot says.
//!
//! [`rehearse`] plays a rollout a number of times, each with another seed, on threads; the same order gives the same
//! figures whatever the threads. It asks no cloud, writes no file and keeps no journal. Durations are those by which the
//! rollout was planned, with noise; what goes wrong is [`Conditions`]. The simulated machines are the simulator's own: a
//! rehearsal says how a campaign goes, not whether a package repository has what a host needs. `cli` calls it.

mod conditions;
mod figures;
mod journal;
mod pace;
mod play;
mod stage;
mod watch;

#[cfg(test)]
mod tests;

pub use conditions::{Conditions, ConditionsKind, Level};
pub use figures::{
    End, FailedHost, Figures, HostCounts, MoveCounts, Often, Pause, Played, Quantiles, SkippedHost, TenantFigures,
    ZoneLoad,
};
pub use play::{Order, RehearsalError, rehearse};
