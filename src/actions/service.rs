//! The nova-compute service: out of service with our mark, the mark of a failed host, back into service.
//!
//! The mark in `disabled_reason` is the ownership: what somebody else disabled is never taken over, and only what
//! carries the mark of this run is enabled.

use std::time::Duration;

use async_trait::async_trait;

use super::look::{Holder, service_of};
use super::poll::Wait;
use super::{Action, Probe, StepContext, StepError};
use crate::cloud::{Accepted, ComputeService};
use crate::model::{Mark, Service, ServiceStatus};
use crate::run::event::{FaultScope, Intent, StepOutput};

/// Nova writes a service's status before it answers; longer means that something else is wrong.
const WRITTEN_WITHIN: Duration = Duration::from_secs(60);

/// Takes the host's service out of service, with the mark of this run.
pub(super) struct Disable;

impl Disable {
    /// The service before this run disabled it, as far as it is remembered.
    fn before(cx: &StepContext<'_>) -> Service {
        let recorded = if let Some(Intent::Disable { before }) = cx.intent { Some(before) } else { None };
        recorded.or(cx.memory.service_before.as_ref()).unwrap_or(&cx.host.service).clone()
    }

    /// The reason that people read in `openstack compute service list`.
    fn reason(cx: &StepContext<'_>) -> String {
        Mark::of(cx.run).reason(&format!("remedy {} in progress", cx.rollout.remedy.name))
    }
}

#[async_trait]
impl Action for Disable {
    async fn probe(&self, cx: &StepContext<'_>) -> Result<Probe, StepError> {
        let ComputeService { host, service, .. } = service_of(cx, &cx.host.host).await?;
        match Holder::of(cx.run, &service) {
            Holder::Nobody => Ok(Probe::Needed(Intent::Disable { before: service })),
            Holder::Us => Ok(Probe::Done(StepOutput::Disabled { before: Self::before(cx), request: None })),
            other @ (Holder::Run(_) | Holder::SomebodyElse(_)) => Err(other.refusal(&host)),
        }
    }

    async fn apply(&self, cx: &StepContext<'_>, _: &Intent) -> Result<Accepted, StepError> {
        let host = &cx.host.host;
        let service = service_of(cx, host).await?.service;
        match Holder::of(cx.run, &service) {
            Holder::Nobody => {
                let accepted = cx.cloud.disable_service(&service.id, &Self::reason(cx)).await;
                accepted.map_err(|error| StepError::cloud(format!("could not disable {host}"), error).of_host())
            }
            Holder::Us => Ok(Accepted::default()),
            other @ (Holder::Run(_) | Holder::SomebodyElse(_)) => Err(other.refusal(host)),
        }
    }

    async fn verify(&self, cx: &StepContext<'_>, _: &Intent, accepted: &Accepted) -> Result<StepOutput, StepError> {
        let host = &cx.host.host;
        let mut wait = Wait::at_most(cx, WRITTEN_WITHIN);
        loop {
            if let Some(seen) = wait.through_outage(service_of(cx, host).await)? {
                match Holder::of(cx.run, &seen.service) {
                    Holder::Us => {
                        return Ok(StepOutput::Disabled {
                            before: Self::before(cx),
                            request: accepted.request.clone(),
                        });
                    }
                    Holder::Nobody => {}
                    other @ (Holder::Run(_) | Holder::SomebodyElse(_)) => return Err(other.refusal(host)),
                }
            }
            if !wait.again().await {
                let what = format!("nova accepted to disable {host}, and still shows it enabled");
                return Err(StepError::transient(FaultScope::Host, what));
            }
        }
    }
}

/// Puts the host's service back into service, when this run took it out.
pub(super) struct Enable;

impl Enable {
    /// Whether this run may enable the service, or why it is so already.
    fn decide(cx: &StepContext<'_>, seen: &ComputeService) -> Result<Option<StepOutput>, StepError> {
        let note = |note: &str| Ok(Some(StepOutput::AlreadySo { note: note.to_owned() }));
        match Holder::of(cx.run, &seen.service) {
            Holder::Nobody => note("it is in service"),
            Holder::Us => match cx.memory.service_before.as_ref().map(|before| before.status) {
                Some(ServiceStatus::Enabled) => Ok(None),
                Some(ServiceStatus::Disabled) => note("it was out of service before, and remains so"),
                None => {
                    let what = format!("it is not known what {} was before this run disabled it", seen.host);
                    Err(StepError::needs_operator(FaultScope::Host, what))
                }
            },
            other @ (Holder::Run(_) | Holder::SomebodyElse(_)) => Err(other.refusal(&seen.host)),
        }
    }
}

#[async_trait]
impl Action for Enable {
    async fn probe(&self, cx: &StepContext<'_>) -> Result<Probe, StepError> {
        let seen = service_of(cx, &cx.host.host).await?;
        Ok(Self::decide(cx, &seen)?.map_or(Probe::Needed(Intent::Enable), Probe::Done))
    }

    async fn apply(&self, cx: &StepContext<'_>, _: &Intent) -> Result<Accepted, StepError> {
        let host = &cx.host.host;
        let seen = service_of(cx, host).await?;
        if Self::decide(cx, &seen)?.is_some() {
            return Ok(Accepted::default());
        }
        let accepted = cx.cloud.enable_service(&seen.service.id).await;
        accepted.map_err(|error| StepError::cloud(format!("could not enable {host}"), error).of_host())
    }

    async fn verify(&self, cx: &StepContext<'_>, _: &Intent, accepted: &Accepted) -> Result<StepOutput, StepError> {
        let host = &cx.host.host;
        let mut wait = Wait::at_most(cx, WRITTEN_WITHIN);
        loop {
            if let Some(seen) = wait.through_outage(service_of(cx, host).await)? {
                if let (Holder::Nobody, Some(request)) = (Holder::of(cx.run, &seen.service), &accepted.request) {
                    return Ok(StepOutput::Done { note: format!("it is in service [{request}]") });
                }
                if let Some(output) = Self::decide(cx, &seen)? {
                    return Ok(output);
                }
            }
            if !wait.again().await {
                let what = format!("nova accepted to enable {host}, and still shows it disabled");
                return Err(StepError::transient(FaultScope::Host, what));
            }
        }
    }
}

/// Aftercare: writes into the `disabled_reason` of a failed host why it stays out of service.
pub(super) struct Quarantine;

impl Quarantine {
    /// What the reason says after the mark.
    fn why(cx: &StepContext<'_>) -> String {
        format!("quarantined: {}", cx.memory.quarantined.as_deref().unwrap_or("a step failed"))
    }

    /// Why nothing is to be written; `None` when the reason is ours and says something else.
    fn settled(cx: &StepContext<'_>, seen: &ComputeService) -> Option<StepOutput> {
        let note = match Holder::of(cx.run, &seen.service) {
            Holder::Us => {
                let why = Self::why(cx);
                let written = seen.service.disabled_reason.as_deref() == Some(&Mark::of(cx.run).reason(&why));
                return written.then_some(StepOutput::AlreadySo { note: why });
            }
            Holder::Nobody => "it is in service, and is left so",
            Holder::Run(_) | Holder::SomebodyElse(_) => "it is held by somebody else, whose reason stays",
        };
        Some(StepOutput::AlreadySo { note: note.to_owned() })
    }
}

#[async_trait]
impl Action for Quarantine {
    async fn probe(&self, cx: &StepContext<'_>) -> Result<Probe, StepError> {
        let seen = service_of(cx, &cx.host.host).await?;
        let needed = || Probe::Needed(Intent::Mark { why: Self::why(cx) });
        Ok(Self::settled(cx, &seen).map_or_else(needed, Probe::Done))
    }

    async fn apply(&self, cx: &StepContext<'_>, _: &Intent) -> Result<Accepted, StepError> {
        let host = &cx.host.host;
        let seen = service_of(cx, host).await?;
        if Self::settled(cx, &seen).is_some() {
            return Ok(Accepted::default());
        }
        let reason = Mark::of(cx.run).reason(&Self::why(cx));
        let accepted = cx.cloud.disable_service(&seen.service.id, &reason).await;
        let what = format!("could not write why {host} is quarantined");
        accepted.map_err(|error| StepError::cloud(what, error).of_host())
    }

    async fn verify(&self, cx: &StepContext<'_>, _: &Intent, _: &Accepted) -> Result<StepOutput, StepError> {
        let seen = service_of(cx, &cx.host.host).await?;
        let written = Self::settled(cx, &seen).map(|_| StepOutput::Done { note: "nova shows the reason".to_owned() });
        written.ok_or_else(|| {
            let what = format!("nova accepted the reason for {}, and shows another", seen.host);
            StepError::transient(FaultScope::Host, what)
        })
    }
}
