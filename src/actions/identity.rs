//! Identify: before anything is changed, that the host is the planned machine, in nobody's hands, and worth an outage.

use async_trait::async_trait;

use super::facts::facts;
use super::look::{Holder, same_machine, service_of};
use super::{Action, Probe, StepContext, StepError};
use crate::cloud::Accepted;
use crate::model::ServiceState;
use crate::remedy::{VerdictKind, assess, prospect};
use crate::run::event::{FaultScope, Intent, StepOutput};

/// Looks, and changes nothing: everything is in its probe.
pub(super) struct Identify;

impl Identify {
    async fn look(cx: &StepContext<'_>) -> Result<StepOutput, StepError> {
        let host = &cx.host.host;
        let service = service_of(cx, host).await?.service;
        match Holder::of(cx.run, &service) {
            Holder::Nobody | Holder::Us => {}
            other @ (Holder::Run(_) | Holder::SomebodyElse(_)) => return Err(other.refusal(host)),
        }
        if service.id != cx.host.service.id {
            let what = format!("nova knows {host} by another service than when it was planned");
            let why = format!(
                "it is {}, planned was {}: another region, or a host made anew",
                service.id, cx.host.service.id
            );
            return Err(StepError::needs_operator(FaultScope::Host, what).because(why));
        }
        if service.forced_down {
            let what = format!("{host} was declared down by somebody else");
            return Err(StepError::needs_operator(FaultScope::Host, what));
        }
        if service.state == ServiceState::Down {
            let what = format!("nova-compute on {host} is down: nothing could be moved away");
            return Err(StepError::transient(FaultScope::Host, what));
        }
        same_machine(cx).await?;
        let found = facts(cx).await?;
        if cx.host.drain_only {
            return Ok(StepOutput::Done { note: "the planned machine, in nobody's hands".to_owned() });
        }
        let remedy = &cx.rollout.remedy;
        match assess(&found, remedy).verdict {
            VerdictKind::Mitigated => Ok(StepOutput::AlreadySo { note: "mitigated by evidence already".to_owned() }),
            VerdictKind::NotAffected => Ok(StepOutput::AlreadySo { note: "not affected by evidence".to_owned() }),
            VerdictKind::Vulnerable | VerdictKind::Unknown => {
                let prospect = prospect(&found, remedy);
                let against: Vec<String> =
                    prospect.remaining(cx.rollout.policy.nova_conf).map(ToString::to_string).collect();
                if against.is_empty() {
                    let note = "the planned machine, in nobody's hands".to_owned();
                    return Ok(match found.fingerprint {
                        Some(fingerprint) => StepOutput::Identified { note, fingerprint: Box::new(fingerprint) },
                        None => StepOutput::Done { note },
                    });
                }
                let what = format!("update and reboot cannot mitigate {host}");
                Err(StepError::permanent(FaultScope::Host, what).because(against.join("; ")))
            }
        }
    }
}

#[async_trait]
impl Action for Identify {
    async fn probe(&self, cx: &StepContext<'_>) -> Result<Probe, StepError> {
        Self::look(cx).await.map(Probe::Done)
    }

    async fn apply(&self, _: &StepContext<'_>, _: &Intent) -> Result<Accepted, StepError> {
        Ok(Accepted::default())
    }

    async fn verify(&self, cx: &StepContext<'_>, _: &Intent, _: &Accepted) -> Result<StepOutput, StepError> {
        Self::look(cx).await
    }
}
