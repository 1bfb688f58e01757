//! Durable execution: events, the fold, decisions, and the one loop that carries them out.
//!
//! `event`, `state`, `host`, `limits`, `cold_boots`, `room`, `windows` and `schedule` are pure: the vocabulary, the fold, the
//! decisions. `driver` is the only async loop; it alone starts work on the region or a host.

mod change;
mod cold_boots;
mod control;
mod driver;
pub mod event;
mod execute;
mod gates;
mod guard;
mod host;
mod limits;
pub mod marks;
mod room;
mod schedule;
mod snapshot;
mod standby;
mod state;
mod step;
mod trail;
mod windows;

#[cfg(test)]
mod tests;

pub use change::{Answer, Change};
pub use driver::{DriveError, DriveSettings, Observer, RunEnd, Steer};
pub use event::{
    Event, EventKind, FaultScope, GateName, Intent, LeavingInstance, Outcome, PackageChange, ParkedInstance,
    PauseCause, Runner, StepFailure, StepOutput,
};
pub use execute::{Engine, RunError, unbegun};
pub use host::{HostPhase, HostState, StepState, StepStatus};
pub use limits::Reached;
pub use schedule::{
    Decision, HOST_ATTEMPTS, INSTANCE_ATTEMPTS, MAX_DISTURBANCES, TARGET_ATTEMPTS, Wait, decide, next_wake, retry_at,
    waiting, waits_of,
};
pub use snapshot::load;
pub use standby::{Held, Turn};
pub use state::{Gate, Health, IllegalTransition, MoveCounts, RunState, RunStatus};
pub use step::Ports;
