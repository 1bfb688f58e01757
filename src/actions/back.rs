//! Return: nova-compute reports again after the reboot.

use std::collections::BTreeSet;

use async_trait::async_trait;

use super::facts;
use super::look::service_of;
use super::poll::{Wait, doing};
use super::{Action, Probe, StepContext, StepError};
use crate::cloud::Accepted;
use crate::model::ServiceState;
use crate::run::event::{FaultScope, Intent, StepOutput};

/// Reports that prove a living service: `up` may be stale for `service_down_time`, a fast reboot never shows `down`,
/// and one change may be the last word of the boot that ended. The first value seen is the one to compare with.
const VALUES_SEEN: usize = 3;

/// Waits until nova-compute reports.
pub(super) struct Return;

#[async_trait]
impl Action for Return {
    async fn probe(&self, cx: &StepContext<'_>) -> Result<Probe, StepError> {
        let what = format!("nova-compute on {} reports again", cx.host.host);
        Ok(Probe::Needed(Intent::Await { what, until: None }))
    }

    async fn apply(&self, _: &StepContext<'_>, _: &Intent) -> Result<Accepted, StepError> {
        Ok(Accepted::default())
    }

    async fn verify(&self, cx: &StepContext<'_>, _: &Intent, _: &Accepted) -> Result<StepOutput, StepError> {
        let host = &cx.host.host;
        let mut wait = Wait::at_most(cx, cx.patience().service.get());
        // Times of the cloud's clock, compared with one another only.
        let mut reports = BTreeSet::new();
        let mut last = "nothing was seen of it".to_owned();
        loop {
            if let Some(seen) = wait.through_outage(service_of(cx, host).await)? {
                if seen.service.forced_down {
                    let what = format!("nova-compute on {host} was declared down by somebody else");
                    return Err(StepError::needs_operator(FaultScope::Host, what));
                }
                reports.extend(seen.updated_at);
                let is_up = seen.service.state == ServiceState::Up;
                last = match seen.updated_at {
                    Some(at) => format!("it is {}, its last report is of {at}", if is_up { "up" } else { "down" }),
                    None => "it never reported".to_owned(),
                };
                if is_up && reports.len() >= VALUES_SEEN {
                    match facts::compute_unit(cx).await {
                        Ok(unit) if unit.as_deref().is_none_or(|unit| unit == "active") => {
                            let note = "nova-compute reports again".to_owned();
                            return Ok(StepOutput::Done { note });
                        }
                        Ok(unit) => last = format!("its unit is {}", unit.unwrap_or_default()),
                        Err(error) => {
                            wait.through_outage(Err::<(), _>(error))?;
                        }
                    }
                }
                doing(cx, format!("waits for nova-compute: {last}"));
            }
            if !wait.again().await {
                let limit = cx.patience().service.get().as_secs();
                let what = format!("nova-compute on {host} does not report {limit} s after the reboot");
                return Err(StepError::permanent(FaultScope::Host, what).because(last));
            }
        }
    }
}
