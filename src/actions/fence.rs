//! The fence: nova-compute is stopped, so that what owners ask for waits in Nova's queue until the host is back.
//!
//! Disabling a service does not keep an owner from starting an instance that stays.

use std::collections::BTreeSet;

use async_trait::async_trait;

use super::facts;
use super::look::{ours, service_of};
use super::poll::{Wait, doing};
use super::quiet;
use super::{Action, ErrorClass, Probe, StepContext, StepError};
use crate::cloud::Accepted;
use crate::host::FenceOrder;
use crate::model::ServiceState;
use crate::run::event::{FaultScope, Intent, StepOutput};

/// Reports that prove nova-compute at work: `up` may be stale, and the first value seen may be the last word before the
/// fence went up.
const VALUES_SEEN: usize = 2;

/// Whether nova-compute is at work, by its unit; unknown counts as at work.
async fn is_at_work(cx: &StepContext<'_>) -> Result<bool, StepError> {
    let unit = facts::compute_unit(cx).await?;
    Ok(!matches!(unit.as_deref(), Some("inactive" | "failed")))
}

/// Stops or starts nova-compute.
async fn set(cx: &StepContext<'_>, up: bool) -> Result<(), StepError> {
    let host = cx.host.host.clone();
    let what = format!("could not {} nova-compute on {host}", if up { "stop" } else { "start" });
    let order = FenceOrder { host, identity: cx.host.identity.clone(), up };
    cx.shell.fence(&order).await.map_err(|error| StepError::host(what, error))
}

/// Raises the fence on a host that is quiet.
pub(super) struct Fence;

#[async_trait]
impl Action for Fence {
    async fn probe(&self, cx: &StepContext<'_>) -> Result<Probe, StepError> {
        if cx.intent.is_some() && !is_at_work(cx).await? {
            return Ok(Probe::InFlight(Intent::Fence { up: true }));
        }
        Ok(Probe::Needed(Intent::Fence { up: true }))
    }

    async fn apply(&self, cx: &StepContext<'_>, _: &Intent) -> Result<Accepted, StepError> {
        if is_at_work(cx).await? {
            ours(cx).await?;
            quiet::prove(cx, false).await?;
        }
        doing(cx, "stops nova-compute");
        set(cx, true).await.map(|()| Accepted::default())
    }

    async fn verify(&self, cx: &StepContext<'_>, _: &Intent, _: &Accepted) -> Result<StepOutput, StepError> {
        let host = &cx.host.host;
        if is_at_work(cx).await? {
            let what = format!("nova-compute on {host} was stopped and is at work again");
            return Err(StepError::transient(FaultScope::Host, what));
        }
        // What began between the look and the fence is found here. Then the engine lowers the fence and resolves the
        // host again; after any other failure its owners must not be locked out until the next attempt.
        if let Err(error) = quiet::prove(cx, true).await {
            if error.class != ErrorClass::Disquiet {
                set(cx, false).await?;
            }
            return Err(error);
        }
        Ok(StepOutput::Done { note: "nova-compute is stopped".to_owned() })
    }
}

/// Lowers the fence.
pub(super) struct Unfence;

#[async_trait]
impl Action for Unfence {
    async fn probe(&self, cx: &StepContext<'_>) -> Result<Probe, StepError> {
        if facts::compute_unit(cx).await?.as_deref() == Some("active") {
            return Ok(Probe::Done(StepOutput::AlreadySo { note: "nova-compute is at work".to_owned() }));
        }
        Ok(Probe::Needed(Intent::Fence { up: false }))
    }

    async fn apply(&self, cx: &StepContext<'_>, _: &Intent) -> Result<Accepted, StepError> {
        doing(cx, "starts nova-compute");
        set(cx, false).await.map(|()| Accepted::default())
    }

    async fn verify(&self, cx: &StepContext<'_>, _: &Intent, _: &Accepted) -> Result<StepOutput, StepError> {
        let host = &cx.host.host;
        if !is_at_work(cx).await? {
            let what = format!("nova-compute on {host} was started and is not at work");
            return Err(StepError::transient(FaultScope::Host, what));
        }
        let mut wait = Wait::at_most(cx, cx.patience().service.get());
        // Times of the cloud's clock, compared with one another only.
        let mut reports = BTreeSet::new();
        loop {
            if let Some(seen) = wait.through_outage(service_of(cx, host).await)? {
                reports.extend(seen.updated_at);
                if seen.service.state == ServiceState::Up && reports.len() >= VALUES_SEEN {
                    return Ok(StepOutput::Done { note: "nova-compute is at work".to_owned() });
                }
                doing(cx, "waits for nova-compute to report");
            }
            if !wait.again().await {
                let limit = cx.patience().service.get().as_secs();
                let what = format!("nova-compute on {host} does not report {limit} s after it was started");
                return Err(StepError::permanent(FaultScope::Host, what));
            }
        }
    }
}
