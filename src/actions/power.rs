//! Stop and start: one instance that stays is off for its host's reboot, and runs again behind it.
//!
//! The intent to stop is on record before the order is sent, and from then on the instance is owed a start, whatever
//! becomes of the host, the run and this process. What its owner stopped has no intent of ours and is left off. A start is
//! believed when Nova shows it ACTIVE with power and goes on to do so: the states of before a reboot are not news.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::look::listed_service;
use super::movable::{Fitness, fitness, instance, rules};
use super::poll::{Wait, doing, lasts};
use super::records::event_details;
use super::standing::server_of;
use super::{Action, Probe, StepContext, StepError};
use crate::cloud::{Accepted, CloudErrorKind, CloudResult, PowerState, Server};
use crate::model::{InstanceStatus, RequestId, ServiceState};
use crate::plan::Affinity;
use crate::run::event::{FaultScope, Intent, ParkedInstance, StepOutput};

/// How long an order may show no effect before it is held for lost: Nova sets the task before it answers.
const TAKEN_UP_WITHIN: Duration = Duration::from_secs(20);

/// How long an instance must run before it is believed: a guest whose disk does not answer ends within the first second.
const RUN_WATCHED: Duration = Duration::from_secs(3);

/// Stops one instance that stays.
pub(super) struct Stop;

/// Starts one instance that we stopped.
pub(super) struct Start;

fn subject<'a>(cx: &StepContext<'a>) -> Result<&'a ParkedInstance, StepError> {
    cx.parked.ok_or_else(|| StepError::permanent(FaultScope::Instance, format!("step {} names no instance", cx.step)))
}

fn named(parked: &ParkedInstance) -> String {
    format!("instance {} ({})", parked.name.escape_debug(), parked.id)
}

/// Whether the instance is off, and nothing is being done to it.
fn is_off(server: &Server) -> bool {
    server.status == InstanceStatus::Shutoff && server.task_state.is_none()
}

/// Whether the instance runs, and nothing is being done to it.
fn runs(server: &Server) -> bool {
    server.status == InstanceStatus::Active && server.task_state.is_none() && server.power_state == PowerState::Running
}

/// What became of an instance that is not there to be stopped or started.
fn gone(server: Option<&Server>) -> Option<StepOutput> {
    let gone = |note: String| Some(StepOutput::Gone { note, to: None });
    let Some(server) = server else { return gone("it was deleted".to_owned()) };
    match server.status {
        InstanceStatus::Deleted | InstanceStatus::SoftDeleted | InstanceStatus::ShelvedOffloaded => {
            gone(format!("it is {}, by its owner's doing", server.status))
        }
        InstanceStatus::Active
        | InstanceStatus::Build
        | InstanceStatus::Error
        | InstanceStatus::HardReboot
        | InstanceStatus::Migrating
        | InstanceStatus::Password
        | InstanceStatus::Paused
        | InstanceStatus::Reboot
        | InstanceStatus::Rebuild
        | InstanceStatus::Rescue
        | InstanceStatus::Resize
        | InstanceStatus::RevertResize
        | InstanceStatus::Shelved
        | InstanceStatus::Shutoff
        | InstanceStatus::Suspended
        | InstanceStatus::Unknown
        | InstanceStatus::VerifyResize
        | InstanceStatus::Other(_) => None,
    }
}

/// What an answer to an order means. One that does not say whether the order arrived is followed as if it had: it shows
/// in the instance's task, and is given up when it does not.
fn ordered(answer: CloudResult<Accepted>, what: String) -> Result<Accepted, StepError> {
    match answer {
        Ok(accepted) => Ok(accepted),
        Err(error) => match error.kind {
            // Somebody, or an earlier order of ours, was faster; or it is gone: `verify` says which.
            CloudErrorKind::Conflict
            | CloudErrorKind::NotFound
            | CloudErrorKind::Unreachable
            | CloudErrorKind::TimedOut
            | CloudErrorKind::Server
            | CloudErrorKind::Protocol => Ok(Accepted { request: error.request }),
            CloudErrorKind::Configuration
            | CloudErrorKind::Untrusted
            | CloudErrorKind::Unauthorized
            | CloudErrorKind::Forbidden
            | CloudErrorKind::Refused
            | CloudErrorKind::TooManyRequests
            | CloudErrorKind::Unsupported => Err(StepError::cloud(what, error)),
        },
    }
}

#[async_trait]
impl Action for Stop {
    async fn probe(&self, cx: &StepContext<'_>) -> Result<Probe, StepError> {
        let parked = subject(cx)?;
        let source = &cx.host.host;
        let server = server_of(cx, parked.id).await?;
        if let Some(output) = gone(server.as_ref()) {
            return Ok(Probe::Done(output));
        }
        let Some(server) = server else { return Ok(Probe::Needed(Intent::Stop)) };
        if let Some(host) = server.host.as_ref().filter(|host| *host != source) {
            let note = format!("somebody else moved it to {host}");
            return Ok(Probe::Done(StepOutput::Gone { note, to: Some(host.clone()) }));
        }
        let is_ours = cx.intent.is_some();
        if is_off(&server) {
            let note = "its owner stopped it".to_owned();
            let output = if is_ours { StepOutput::Parked { request: None } } else { StepOutput::AlreadySo { note } };
            return Ok(Probe::Done(output));
        }
        if server.task_state.as_deref() == Some("powering-off") && is_ours {
            return Ok(Probe::InFlight(Intent::Stop));
        }
        let seen = instance(&server, None, parked.group.as_ref());
        // Whether its group holds it was decided for the whole host.
        match fitness(&server, &seen, &Affinity::default(), &rules(cx), cx.clock.now()) {
            Fitness::Parks => Ok(Probe::Needed(Intent::Stop)),
            Fitness::Leaves(_) | Fitness::Stays | Fitness::Gone => {
                let note = format!("it is {}, and is looked at again", server.status);
                Ok(Probe::Done(StepOutput::AlreadySo { note }))
            }
            Fitness::InTransition(why) => {
                let what = format!("{} cannot be stopped yet", named(parked));
                Err(StepError::transient(FaultScope::Instance, what).because(why))
            }
            Fitness::Stuck(why) => {
                let what = format!("{} cannot be stopped", named(parked));
                Err(StepError::needs_operator(FaultScope::Instance, what).because(why))
            }
        }
    }

    async fn apply(&self, cx: &StepContext<'_>, _: &Intent) -> Result<Accepted, StepError> {
        let parked = subject(cx)?;
        let server = server_of(cx, parked.id).await?;
        if server.is_none_or(|server| is_off(&server) || server.task_state.is_some()) {
            return Ok(Accepted::default());
        }
        doing(cx, "asks nova to stop it");
        ordered(cx.cloud.stop(parked.id).await, format!("nova refused to stop {}", named(parked)))
    }

    async fn verify(&self, cx: &StepContext<'_>, _: &Intent, accepted: &Accepted) -> Result<StepOutput, StepError> {
        let parked = subject(cx)?;
        let patience = cx.patience().stop.get();
        let mut wait = Wait::at_most(cx, patience);
        let mut idle_since = Instant::now();
        loop {
            if let Some(server) = wait.through_outage(server_of(cx, parked.id).await)? {
                if let Some(output) = gone(server.as_ref()) {
                    return Ok(output);
                }
                let Some(server) = server else { continue };
                if is_off(&server) && server.power_state != PowerState::Running {
                    return Ok(StepOutput::Parked { request: accepted.request.clone() });
                }
                if server.status == InstanceStatus::Error {
                    let what = format!("{} went to ERROR while it was stopped", named(parked));
                    return Err(StepError::needs_operator(FaultScope::Instance, what)
                        .because(server.fault.unwrap_or_else(|| "nova gives no reason".to_owned())));
                }
                if server.task_state.is_some() {
                    idle_since = Instant::now();
                } else if runs(&server) && lasts(cx, idle_since, TAKEN_UP_WITHIN) {
                    let what = format!("nova took the order to stop {} and it runs on", named(parked));
                    let why = event_details(cx, parked.id, accepted.request.as_ref(), "stop").await;
                    return Err(StepError::transient(FaultScope::Instance, what).because(why));
                }
                doing(cx, "waits for it to be off");
            }
            if !wait.again().await {
                let what = format!("{} is not off {} s after it was to stop", named(parked), patience.as_secs());
                return Err(StepError::needs_operator(FaultScope::Instance, what));
            }
        }
    }
}

/// That nova-compute where the instance is takes orders: one for a host that is down would wait for its return unseen.
async fn takes_orders(cx: &StepContext<'_>, parked: &ParkedInstance, server: &Server) -> Result<(), StepError> {
    let host = server.host.as_ref().unwrap_or(&cx.host.host);
    let service = listed_service(cx, host).await?;
    if service.is_some_and(|seen| seen.service.state == ServiceState::Up) {
        return Ok(());
    }
    let what = format!("{} cannot be started: nova-compute on {host} is down", named(parked));
    let cure = format!("once {host} is back, `openstack server start {}` starts it", parked.id);
    Err(StepError::transient(FaultScope::Instance, what).because(cure))
}

#[async_trait]
impl Action for Start {
    async fn probe(&self, cx: &StepContext<'_>) -> Result<Probe, StepError> {
        let parked = subject(cx)?;
        let server = server_of(cx, parked.id).await?;
        if let Some(output) = gone(server.as_ref()) {
            return Ok(Probe::Done(output));
        }
        let Some(server) = server else { return Ok(Probe::Needed(Intent::Start)) };
        match (&server.status, server.task_state.as_deref()) {
            (InstanceStatus::Shutoff, None) => {
                takes_orders(cx, parked, &server).await?;
                Ok(Probe::Needed(Intent::Start))
            }
            (InstanceStatus::Shutoff, Some("powering-on")) => Ok(Probe::InFlight(Intent::Start)),
            (InstanceStatus::Active, None) if runs(&server) => {
                let note = if cx.intent.is_some() { "it runs again" } else { "its owner started it" };
                Ok(Probe::Done(StepOutput::AlreadySo { note: note.to_owned() }))
            }
            (InstanceStatus::Error, None) => Err(broken(parked, &server)),
            (
                InstanceStatus::Paused | InstanceStatus::Rescue | InstanceStatus::Suspended | InstanceStatus::Shelved,
                None,
            ) => {
                let note = format!("it is {} by its owner's doing", server.status);
                Ok(Probe::Done(StepOutput::AlreadySo { note }))
            }
            (status, task) => {
                let what = format!("{} cannot be started yet", named(parked));
                let why = format!("it is {status} ({})", task.unwrap_or("without a task"));
                Err(StepError::transient(FaultScope::Instance, what).because(why))
            }
        }
    }

    async fn apply(&self, cx: &StepContext<'_>, _: &Intent) -> Result<Accepted, StepError> {
        let parked = subject(cx)?;
        let server = server_of(cx, parked.id).await?;
        if !server.is_some_and(|server| is_off(&server)) {
            return Ok(Accepted::default());
        }
        doing(cx, "asks nova to start it");
        ordered(cx.cloud.start(parked.id).await, format!("nova refused to start {}", named(parked)))
    }

    async fn verify(&self, cx: &StepContext<'_>, _: &Intent, accepted: &Accepted) -> Result<StepOutput, StepError> {
        let parked = subject(cx)?;
        let patience = cx.patience().start.get();
        let mut wait = Wait::at_most(cx, patience);
        let mut idle_since = Instant::now();
        let mut running_since: Option<Instant> = None;
        loop {
            if let Some(server) = wait.through_outage(server_of(cx, parked.id).await)? {
                if let Some(output) = gone(server.as_ref()) {
                    return Ok(output);
                }
                let Some(server) = server else { continue };
                if runs(&server) {
                    let since = *running_since.get_or_insert_with(Instant::now);
                    if lasts(cx, since, RUN_WATCHED) {
                        return Ok(StepOutput::Done { note: started(accepted.request.as_ref()) });
                    }
                } else {
                    running_since = None;
                }
                if server.status == InstanceStatus::Error {
                    return Err(broken(parked, &server));
                }
                if server.task_state.is_some() {
                    idle_since = Instant::now();
                } else if is_off(&server) && lasts(cx, idle_since, TAKEN_UP_WITHIN) {
                    let what = format!("nova took the order to start {} and it stays off", named(parked));
                    let why = match &server.fault {
                        Some(fault) => fault.clone(),
                        None => event_details(cx, parked.id, accepted.request.as_ref(), "start").await,
                    };
                    return Err(StepError::transient(FaultScope::Instance, what).because(why));
                }
                doing(cx, "waits for it to run");
            }
            if !wait.again().await {
                let what = format!("{} does not run {} s after it was to start", named(parked), patience.as_secs());
                return Err(StepError::permanent(FaultScope::Instance, what));
            }
        }
    }
}

fn started(request: Option<&RequestId>) -> String {
    request.map_or_else(|| "it runs again".to_owned(), |request| format!("it runs again [{request}]"))
}

fn broken(parked: &ParkedInstance, server: &Server) -> StepError {
    let what = format!("{} is in ERROR and does not run", named(parked));
    let why = server.fault.clone().unwrap_or_else(|| "nova gives no reason".to_owned());
    StepError::permanent(FaultScope::Instance, what).because(why)
}
