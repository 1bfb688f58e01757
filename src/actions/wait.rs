//! Settle: a host that was enabled is no target at once.
//!
//! Nova's scheduler may believe in a drained host's old instances for up to 120 s, and a service that was just enabled
//! may go down again: the host counts as back when it was in service for the whole of the policy's `settle`.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::time::Instant;

use super::look::{Holder, service_of};
use super::poll::{Wait, doing, lasts};
use super::{Action, Probe, StepContext, StepError};
use crate::cloud::Accepted;
use crate::model::ServiceState;
use crate::run::event::{FaultScope, Intent, StepOutput};

/// Waits until the host was in service for the policy's `settle`.
pub(super) struct Settle;

impl Settle {
    /// When the wait ends: as recorded, so that a crash does not begin it again.
    fn until(cx: &StepContext<'_>, intent: Option<&Intent>) -> Timestamp {
        if let Some(Intent::Await { until: Some(until), .. }) = intent {
            return *until;
        }
        let now = cx.clock.now();
        #[cfg(test)]
        if crate::simulation::Mistake::SettlesAtOnce.is_made() {
            return now;
        }
        now.checked_add(cx.rollout.policy.settle.get()).unwrap_or(now)
    }
}

#[async_trait]
impl Action for Settle {
    async fn probe(&self, cx: &StepContext<'_>) -> Result<Probe, StepError> {
        let until = Self::until(cx, cx.intent);
        let what = format!("{} is in service for {}", cx.host.host, cx.rollout.policy.settle);
        Ok(Probe::Needed(Intent::Await { what, until: Some(until) }))
    }

    async fn apply(&self, _: &StepContext<'_>, _: &Intent) -> Result<Accepted, StepError> {
        Ok(Accepted::default())
    }

    async fn verify(&self, cx: &StepContext<'_>, intent: &Intent, _: &Accepted) -> Result<StepOutput, StepError> {
        let host = &cx.host.host;
        let until = Self::until(cx, Some(intent));
        let left = Duration::try_from(until.duration_since(cx.clock.now())).unwrap_or_default();
        // By the time that passes from here on: a clock that is set meanwhile neither ends the wait nor prolongs it.
        let (left, began) = (left.min(cx.rollout.policy.settle.get()), Instant::now());
        let mut wait = Wait::at_most(cx, left + cx.patience().service.get());
        loop {
            let seen = wait.through_outage(service_of(cx, host).await)?;
            if let Some(seen) = seen {
                let holder = Holder::of(cx.run, &seen.service);
                if holder != Holder::Nobody {
                    return Err(holder.refusal(host));
                }
                let is_up = seen.service.state == ServiceState::Up;
                if is_up && lasts(cx, began, left) {
                    let note = format!("in service and up after {}", cx.rollout.policy.settle);
                    return Ok(StepOutput::Done { note });
                }
                doing(cx, if is_up { "settling" } else { "settling: nova-compute is down" });
            }
            if !wait.again().await {
                let what = format!("nova-compute on {host} went down after it was enabled");
                return Err(StepError::permanent(FaultScope::Host, what));
            }
        }
    }
}
