//! Actions: what a step does to the world, and how it is known that it was done. One file a kind.
//!
//! An action changes the world only through its [`StepContext`].

mod ansible;
mod back;
mod cold_boot;
mod command;
mod config;
mod context;
mod error;
mod evidence;
mod extra;
mod facts;
mod fence;
mod follow;
mod hook;
mod identity;
mod jobs;
mod ladder;
mod look;
mod movable;
mod moves;
mod packages;
mod poll;
mod power;
mod probe_instance;
mod quiet;
mod reboot;
mod records;
mod registry;
mod repair;
mod resolve;
mod service;
mod standing;
mod wait;

use async_trait::async_trait;

pub use context::{HostMemory, Intents, Progress, ProgressKind, ProgressSink, StepContext};
pub use error::{ErrorClass, StepError};
pub(crate) use extra::lenient;
pub(crate) use look::held_on;
pub use registry::for_step;

use crate::cloud::Accepted;
use crate::run::event::{Intent, StepOutput};

/// One kind of step.
#[async_trait]
pub trait Action: Send + Sync {
    /// Is it so already? Changes nothing. Also called first after a crash, with the intent that was recorded then
    /// in [`StepContext::intent`]: adopts what is in flight by answering `InFlight`.
    async fn probe(&self, cx: &StepContext<'_>) -> Result<Probe, StepError>;

    /// Does it. May run again after a crash at any point. Gives the request that did it, for the journal.
    async fn apply(&self, cx: &StepContext<'_>, intent: &Intent) -> Result<Accepted, StepError>;

    /// Waits until it is so, reporting progress; fails with a class when it will not be. `accepted` is what `apply`
    /// gave, and empty when what is in flight was adopted.
    async fn verify(&self, cx: &StepContext<'_>, intent: &Intent, accepted: &Accepted)
    -> Result<StepOutput, StepError>;
}

/// What a probe found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// It is so: nothing to do.
    Done(StepOutput),
    /// It is to be done; recorded before `apply`.
    Needed(Intent),
    /// An earlier attempt's effect is under way: go to `verify`.
    InFlight(Intent),
}

#[cfg(test)]
mod tests;
