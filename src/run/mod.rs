//! Durable execution: events, the fold, decisions, and the one loop that carries them out.

pub mod event;

pub use event::{
    Event, EventKind, FaultScope, GateName, Intent, LeavingInstance, Outcome, PackageChange, PauseCause, Runner,
    StepFailure, StepOutput,
};
