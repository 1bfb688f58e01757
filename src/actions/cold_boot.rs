//! Cold boot: one instance is stopped, seen off, started, seen running, and its processor looked at.
//!
//! Whatever becomes of the runner, nothing that ran stays stopped: the intent says which action of the instance was the
//! newest before, and from then on everything is read from Nova. An instance that is off without having been started since
//! is started, whoever comes by.

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use super::look::listed_service;
use super::poll::{Wait, doing};
use super::standing::server_of;
use super::{Action, ErrorClass, Probe, StepContext, StepError};
use crate::cloud::{Accepted, CloudErrorKind, CloudResult, InstanceAction, Server};
use crate::host::facts;
use crate::model::{InstanceStatus, RequestId};
use crate::plan::PlannedColdBoot;
use crate::run::event::{FaultScope, Intent, StepOutput};

/// A request whose answer was lost may still arrive for as long; load balancers give up within a minute.
const LOOKED_FOR: Duration = Duration::from_secs(60);

/// Stops and starts one instance.
pub(super) struct ColdBoot;

/// The instance of the step.
fn subject<'a>(cx: &StepContext<'a>) -> Result<&'a PlannedColdBoot, StepError> {
    cx.host.cold_boot.as_deref().ok_or_else(|| {
        StepError::permanent(FaultScope::Instance, format!("step {} names no instance to boot", cx.step))
    })
}

fn named(planned: &PlannedColdBoot) -> String {
    format!("instance {} ({})", planned.name.escape_debug(), planned.instance)
}

/// Where an instance stands on its way.
enum Stage {
    /// It runs, and was not started since the intent.
    Before,
    /// Something is under way.
    Between(String),
    /// It is off, and was not started since the intent.
    Off,
    /// It was started since, and runs.
    After(Box<Server>),
    /// It was started since and is off again: the start failed, or its owner stopped it.
    OffAgain { failed: bool },
}

#[async_trait]
impl Action for ColdBoot {
    async fn probe(&self, cx: &StepContext<'_>) -> Result<Probe, StepError> {
        let planned = subject(cx)?;
        let Some(server) = server_of(cx, planned.instance).await? else {
            return Ok(Probe::Done(StepOutput::Gone { note: "it was deleted".to_owned(), to: None }));
        };
        if let Some(intent @ Intent::ColdBoot { .. }) = cx.intent {
            return Ok(Probe::Needed(intent.clone()));
        }
        if matches!(server.status, InstanceStatus::Shutoff | InstanceStatus::ShelvedOffloaded | InstanceStatus::Shelved)
        {
            let note = format!("it is {}: its next start renews it", server.status);
            return Ok(Probe::Done(StepOutput::AlreadySo { note }));
        }
        may_be_stopped(cx, planned, &server)?;
        host_is_fit(cx, planned, &server).await?;
        mates_run(cx, planned).await?;
        let after = actions(cx, planned).await?.first().map(|action| action.request.clone());
        Ok(Probe::Needed(Intent::ColdBoot { after }))
    }

    async fn apply(&self, cx: &StepContext<'_>, intent: &Intent) -> Result<Accepted, StepError> {
        let planned = subject(cx)?;
        let rules = &cx.rollout.policy.cold_boots;
        let mut wait = Wait::at_most(cx, rules.shutdown.get());
        let mut asked_at = None;
        loop {
            if let Some(stage) = wait.through_outage(stage(cx, planned, intent).await)? {
                match stage {
                    None | Some(Stage::After(_) | Stage::OffAgain { failed: false }) => return Ok(Accepted::default()),
                    Some(Stage::Off | Stage::OffAgain { failed: true }) => return start(cx, planned).await,
                    Some(Stage::Before) if is_due(cx, asked_at) => {
                        asked_at = Some(cx.clock.now());
                        doing(cx, "asks nova to stop it");
                        tolerate(cx.cloud.stop(planned.instance).await, planned, "stop")?;
                    }
                    Some(Stage::Before) => doing(cx, "waits for it to shut down"),
                    Some(Stage::Between(what)) => doing(cx, format!("waits: {what}")),
                }
            }
            if !wait.again().await {
                let limit = rules.shutdown;
                let what = format!("{} did not shut down within {limit} (cold_boots.shutdown)", named(planned));
                return Err(StepError::transient(FaultScope::Instance, what));
            }
        }
    }

    async fn verify(
        &self,
        cx: &StepContext<'_>,
        intent: &Intent,
        accepted: &Accepted,
    ) -> Result<StepOutput, StepError> {
        let planned = subject(cx)?;
        let rules = &cx.rollout.policy.cold_boots;
        let mut wait = Wait::at_most(cx, rules.start.get());
        loop {
            match wait.through_outage(stage(cx, planned, intent).await)? {
                Some(None) => return Ok(StepOutput::Gone { note: "it was deleted".to_owned(), to: None }),
                Some(Some(Stage::After(server))) => return runs_again(cx, planned, &server, accepted).await,
                Some(Some(Stage::OffAgain { failed: false })) => {
                    let note = "it was started, and its owner has stopped it since".to_owned();
                    return Ok(StepOutput::AlreadySo { note });
                }
                Some(Some(Stage::OffAgain { failed: true })) => {
                    let what = format!("{} was started and is off: its start failed", named(planned));
                    return Err(StepError::transient(FaultScope::Instance, what));
                }
                Some(Some(Stage::Before | Stage::Off | Stage::Between(_))) | None => {
                    doing(cx, "waits for it to run");
                }
            }
            if !wait.again().await {
                let limit = rules.start;
                let what = format!("{} does not run {limit} after it was started (cold_boots.start)", named(planned));
                return Err(StepError::transient(FaultScope::Instance, what));
            }
        }
    }
}

/// That its owner lets it be stopped, and that nobody is at work on it.
fn may_be_stopped(cx: &StepContext<'_>, planned: &PlannedColdBoot, server: &Server) -> Result<(), StepError> {
    let refused = |why: String| {
        let what = format!("{} is left alone", named(planned));
        Err(StepError::needs_operator(FaultScope::Instance, what).because(why))
    };
    if server.locked {
        return refused(format!("it is locked{}", words(server.locked_reason.as_deref())));
    }
    if !cx.rollout.policy.cold_boots.consent.of(&server.project, &server.metadata) {
        return refused("its owner does not consent any more (cold_boots.consent)".to_owned());
    }
    if let Some(task) = &server.task_state {
        let what = format!("{} cannot be stopped yet", named(planned));
        return Err(StepError::transient(FaultScope::Instance, what).because(format!("it is in task_state {task}")));
    }
    if server.status != InstanceStatus::Active {
        return refused(format!("it is in {}{}", server.status, words(server.fault.as_deref())));
    }
    Ok(())
}

fn words(text: Option<&str>) -> String {
    text.map(|text| format!(": {text}")).unwrap_or_default()
}

/// That its host gives what it is to get, and answers: a stop on a host that is down would wait there for ever.
async fn host_is_fit(cx: &StepContext<'_>, planned: &PlannedColdBoot, server: &Server) -> Result<(), StepError> {
    let what = format!("{} is left alone", named(planned));
    let Some(host) = &server.host else {
        return Err(StepError::needs_operator(FaultScope::Instance, what).because("Nova names no host for it"));
    };
    if !cx.rollout.targets.contains(host) {
        let why = format!("it is on {host}, which was not mitigated when this was planned");
        return Err(StepError::needs_operator(FaultScope::Instance, what).because(why));
    }
    let service = listed_service(cx, host).await?;
    if service.is_none_or(|service| service.service.state == crate::model::ServiceState::Down) {
        let what = format!("{} cannot be stopped: nova-compute on {host} is down", named(planned));
        return Err(StepError::transient(FaultScope::Host, what));
    }
    Ok(())
}

/// That every other member of a group that keeps apart runs: its owner counts on so many at a time.
async fn mates_run(cx: &StepContext<'_>, planned: &PlannedColdBoot) -> Result<(), StepError> {
    let Some(group) = &planned.group else { return Ok(()) };
    let groups = cx.cloud.groups_of(&[planned.instance]).await;
    let groups = groups.map_err(|error| StepError::cloud(format!("could not read server group {group}"), error))?;
    let members = groups.iter().filter(|one| one.group.id == *group).flat_map(|one| &one.members);
    for mate in members.filter(|mate| **mate != planned.instance) {
        let Some(server) = server_of(cx, *mate).await? else { continue };
        if server.status != InstanceStatus::Active || server.task_state.is_some() {
            let what = format!("{} waits for the others of its group", named(planned));
            let why = format!("instance {mate} is in {}", server.status);
            return Err(StepError::transient(FaultScope::Instance, what).because(why));
        }
    }
    Ok(())
}

/// What was done to it, newest first.
async fn actions(cx: &StepContext<'_>, planned: &PlannedColdBoot) -> Result<Vec<InstanceAction>, StepError> {
    let listed = cx.cloud.instance_action_list(planned.instance).await;
    listed.map_err(|error| StepError::cloud(format!("could not read what was done to {}", named(planned)), error))
}

/// Where it stands; `None` when it was deleted.
async fn stage(cx: &StepContext<'_>, planned: &PlannedColdBoot, intent: &Intent) -> Result<Option<Stage>, StepError> {
    let Intent::ColdBoot { after } = intent else {
        let what = format!("step {} recorded an intent that is no cold boot", cx.step);
        return Err(StepError::permanent(FaultScope::Instance, what));
    };
    // Actions first: a server that is read after them shows what they led to.
    let since = since(actions(cx, planned).await?, after.as_ref());
    let Some(server) = server_of(cx, planned.instance).await? else { return Ok(None) };
    let started = since.iter().find(|action| action.action == "start");
    let stopped_first = since.first().is_some_and(|action| action.action == "stop");
    Ok(Some(match (&server.task_state, &server.status, started) {
        (Some(task), ..) => Stage::Between(format!("it is in task_state {task}")),
        (None, InstanceStatus::Active, Some(_)) => Stage::After(Box::new(server)),
        (None, InstanceStatus::Active, None) => Stage::Before,
        (None, InstanceStatus::Shutoff, None) => Stage::Off,
        (None, InstanceStatus::Shutoff, Some(_)) => Stage::OffAgain { failed: !stopped_first },
        (None, status, _) => {
            let what = format!("{} went to {status}{}", named(planned), words(server.fault.as_deref()));
            return Err(StepError::needs_operator(FaultScope::Instance, what));
        }
    }))
}

/// The actions since the one that was the newest when the intent was recorded, newest first.
fn since(actions: Vec<InstanceAction>, after: Option<&RequestId>) -> Vec<InstanceAction> {
    actions.into_iter().take_while(|action| Some(&action.request) != after).collect()
}

/// Whether to ask now: a request whose answer was lost is looked for before it is repeated.
fn is_due(cx: &StepContext<'_>, asked_at: Option<Timestamp>) -> bool {
    asked_at.is_none_or(|at| {
        let passed = Duration::try_from(cx.clock.now().duration_since(at)).unwrap_or_default();
        passed >= LOOKED_FOR
    })
}

/// A refusal of which the next look tells more: it was done already, or may have arrived.
fn tolerate(
    answer: CloudResult<Accepted>,
    planned: &PlannedColdBoot,
    what: &str,
) -> Result<Option<Accepted>, StepError> {
    match answer {
        Ok(accepted) => Ok(Some(accepted)),
        Err(error)
            if matches!(
                error.kind,
                CloudErrorKind::Conflict
                    | CloudErrorKind::NotFound
                    | CloudErrorKind::Unreachable
                    | CloudErrorKind::TimedOut
                    | CloudErrorKind::Server
                    | CloudErrorKind::Protocol
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(StepError::cloud(format!("nova refused to {what} {}", named(planned)), error)),
    }
}

async fn start(cx: &StepContext<'_>, planned: &PlannedColdBoot) -> Result<Accepted, StepError> {
    doing(cx, "asks nova to start it");
    let answer = tolerate(cx.cloud.start(planned.instance).await, planned, "start")?;
    answer.ok_or_else(|| {
        // It is off: the next attempt looks whether this one arrived, and asks again.
        let what = format!("nova did not say whether it starts {}", named(planned));
        StepError::new(ErrorClass::Transient, FaultScope::Instance, what)
    })
}

/// It runs again: whether its processor has the flag, where its host can be asked.
async fn runs_again(
    cx: &StepContext<'_>,
    planned: &PlannedColdBoot,
    server: &Server,
    accepted: &Accepted,
) -> Result<StepOutput, StepError> {
    let on = server.host.clone().unwrap_or_else(|| planned.on.clone());
    let Some(guests) = &cx.rollout.remedy.guests else {
        return Ok(StepOutput::ColdBooted { on, request: accepted.request.clone(), flag: None });
    };
    doing(cx, "looks at its processor");
    // A host that does not answer costs the sight of it and nothing else: Nova's word stands.
    let seen = cx.shell.collect(&on, &cx.rollout.remedy.inquiry()).await.ok();
    let cpu = seen.and_then(|raw| facts::parse(&raw).guests.remove(&planned.instance));
    let flag = cpu.as_ref().and_then(|cpu| cpu.features.get(&guests.cpu_flag).cloned());
    if let Some(policy) = flag.as_deref().filter(|policy| !matches!(*policy, "require" | "force")) {
        let what = format!("{} runs again on {on}, and its processor is without {}", named(planned), guests.cpu_flag);
        let why = format!("its host shows policy `{policy}`");
        return Err(StepError::permanent(FaultScope::Instance, what).because(why));
    }
    Ok(StepOutput::ColdBooted { on, request: accepted.request.clone(), flag })
}
