//! Move: one instance leaves its host, by live migration or, stopped and where the policy says so, by a cold one.
//!
//! A 202 says nothing and a request that got no answer may have arrived, so everything is read from two places that
//! must agree: the migration record newer than the intent, and the host that Nova names for the instance. Asking twice
//! is the harm to avoid: where a record of ours exists it is followed, and nothing is sent.

use std::time::Duration;

use async_trait::async_trait;

use super::follow::Following;
use super::look::lately_listed;
use super::movable::{Fitness, fitness, instance, rules};
use super::poll::{Wait, doing};
use super::records::{Asked, records_of};
use super::standing::{Seen, Standing, looked_at};
use super::{Action, Probe, StepContext, StepError};
use crate::cloud::{Accepted, CloudError, CloudErrorKind, Followed, Migration};
use crate::model::{HostName, InstanceHandling, InstanceStatus, ServiceState, ServiceStatus};
use crate::plan::Affinity;
use crate::run::event::{FaultScope, Intent, LeavingInstance, StepOutput};

/// How long a request without an answer is looked for: load balancers give up on a request within a minute, and Nova
/// writes the record before it answers.
const LOOKED_FOR: Duration = Duration::from_secs(60);

/// Moves one instance.
pub(super) struct Move;

/// The instance of the step and where it is to go.
fn subject<'a>(cx: &StepContext<'a>) -> Result<(&'a LeavingInstance, &'a HostName), StepError> {
    cx.leaving.ok_or_else(|| {
        StepError::permanent(FaultScope::Instance, format!("step {} names no instance and target", cx.step))
    })
}

/// What the intent of a move asked for, and onto which host.
fn asked<'a>(
    cx: &StepContext<'a>,
    leaving: &LeavingInstance,
    intent: &'a Intent,
) -> Result<(Asked<'a>, &'a HostName), StepError> {
    if let Intent::Migrate { target, after, cold } = intent {
        let source = cx.source();
        return Ok((Asked { instance: leaving.id, source, after: *after, cold: *cold }, target));
    }
    Err(StepError::permanent(FaultScope::Instance, format!("step {} recorded an intent that is no move", cx.step)))
}

/// The instance as people find it; its name is any text of its owner's.
pub(super) fn named(leaving: &LeavingInstance) -> String {
    format!("instance {} ({})", leaving.name.escape_debug(), leaving.id)
}

#[async_trait]
impl Action for Move {
    async fn probe(&self, cx: &StepContext<'_>) -> Result<Probe, StepError> {
        let (leaving, target) = subject(cx)?;
        let source = cx.source();
        let Followed { records, server } = looked_at(cx, leaving.id).await?;
        let Some(server) = server else {
            return Ok(Probe::Done(StepOutput::Gone { note: "it was deleted".to_owned(), to: None }));
        };
        if let Some(intent) = cx.intent {
            let (asked, first) = asked(cx, leaving, intent)?;
            let seen = Seen { server: server.clone(), record: asked.record(&records).cloned() };
            let standing = seen.standing(source);
            // What failed and left the instance here is tried again; what failed and did not is for `verify` to tell.
            let ended_here = standing == Standing::Failed && server.host.as_ref() == Some(source);
            if standing != Standing::Unrecorded && !ended_here {
                let target = seen.record.and_then(|record| record.target).unwrap_or_else(|| first.clone());
                let Asked { after, cold, .. } = asked;
                return Ok(Probe::InFlight(Intent::Migrate { target, after, cold }));
            }
        }
        let leaves = |record: &&Migration| record.status.is_in_progress() && record.source.as_ref() == Some(source);
        let under_way = records.iter().find(leaves);
        if let Some(host) = server.host.as_ref().filter(|host| *host != source)
            && under_way.is_none()
        {
            let note = format!("somebody else moved it to {host}");
            return Ok(Probe::Done(StepOutput::Gone { note, to: Some(host.clone()) }));
        }
        let instance = instance(&server, Some(&leaving.resources), leaving.group.as_ref());
        // Whether its group holds it was decided for the whole host.
        let handling = match fitness(&server, &instance, &Affinity::default(), &rules(cx), cx.clock.now()) {
            Fitness::Leaves(handling) => handling,
            Fitness::Stays => {
                let note = format!("it is {} by its owner's doing, and stays", server.status);
                return Ok(Probe::Done(StepOutput::AlreadySo { note }));
            }
            Fitness::Parks => {
                let note = "it is to be stopped in place by now".to_owned();
                return Ok(Probe::Done(StepOutput::AlreadySo { note }));
            }
            Fitness::Gone => {
                let note = format!("it is {}, on no host", server.status);
                return Ok(Probe::Done(StepOutput::Gone { note, to: None }));
            }
            Fitness::InTransition(why) => {
                let what = format!("{} cannot be moved yet", named(leaving));
                return Err(StepError::transient(FaultScope::Instance, what).because(why));
            }
            Fitness::Stuck(why) => {
                let what = format!("{} cannot be moved", named(leaving));
                return Err(StepError::needs_operator(FaultScope::Instance, what).because(why));
            }
        };
        if let Some(record) = under_way {
            let what = format!("somebody else's migration {} of {} is under way", record.id, named(leaving));
            return Err(StepError::transient(FaultScope::Instance, what));
        }
        both_ends_are_fine(cx, leaving, target).await?;
        let after = records.iter().map(|record| record.id).max().unwrap_or(0);
        let cold = handling == InstanceHandling::ColdMigrate;
        Ok(Probe::Needed(Intent::Migrate { target: target.clone(), after, cold }))
    }

    async fn apply(&self, cx: &StepContext<'_>, intent: &Intent) -> Result<Accepted, StepError> {
        let (leaving, _) = subject(cx)?;
        let (asked, target) = asked(cx, leaving, intent)?;
        // A first attempt was probed a moment ago; of an earlier one a record may have come up since, and asking twice is the
        // harm to avoid.
        if cx.intent.is_some() && asked.record(&records_of(cx, leaving.id).await?).is_some() {
            return Ok(Accepted::default());
        }
        doing(cx, format!("asks nova to move it to {target}"));
        let answer = if asked.cold {
            cx.cloud.cold_migrate(leaving.id, Some(target)).await
        } else {
            cx.cloud.live_migrate(leaving.id, Some(target)).await
        };
        match answer {
            Ok(accepted) => Ok(accepted),
            Err(error) => refused(cx, leaving, target, asked, error).await,
        }
    }

    async fn verify(
        &self,
        cx: &StepContext<'_>,
        intent: &Intent,
        accepted: &Accepted,
    ) -> Result<StepOutput, StepError> {
        let (leaving, _) = subject(cx)?;
        let (asked, target) = asked(cx, leaving, intent)?;
        Following::new(cx, leaving, target, asked, accepted).until_it_ends().await
    }
}

/// That the target takes instances and the source can give them: Nova would accept the request all the same and fail
/// it later.
async fn both_ends_are_fine(
    cx: &StepContext<'_>,
    leaving: &LeavingInstance,
    target: &HostName,
) -> Result<(), StepError> {
    let source = lately_listed(cx, cx.source()).await?;
    if source.is_none_or(|seen| seen.service.state == ServiceState::Down) {
        let what = format!("{} cannot leave: nova-compute on {} is down", named(leaving), cx.source());
        return Err(StepError::transient(FaultScope::Host, what));
    }
    let against = match lately_listed(cx, target).await?.map(|seen| seen.service) {
        None => "nova lists no compute service for it",
        Some(service) if service.status == ServiceStatus::Disabled => "it is disabled",
        Some(service) if service.state == ServiceState::Down => "its nova-compute is down",
        Some(_) => return Ok(()),
    };
    let what = format!("{target} cannot take {}", named(leaving));
    Err(StepError::transient(FaultScope::Target, what).because(against))
}

/// What a refusal means. One that does not say whether the request arrived is answered by looking for its record.
async fn refused(
    cx: &StepContext<'_>,
    leaving: &LeavingInstance,
    target: &HostName,
    asked: Asked<'_>,
    error: CloudError,
) -> Result<Accepted, StepError> {
    let accepted = Accepted { request: error.request.clone() };
    match error.kind {
        // Gone meanwhile: `verify` says so.
        CloudErrorKind::NotFound => return Ok(accepted),
        CloudErrorKind::Unreachable
        | CloudErrorKind::TimedOut
        | CloudErrorKind::Server
        | CloudErrorKind::Protocol
        | CloudErrorKind::Conflict => {
            let answered = error.kind == CloudErrorKind::Conflict;
            if arrived_after_all(cx, asked, answered).await? {
                return Ok(accepted);
            }
        }
        CloudErrorKind::Configuration
        | CloudErrorKind::Untrusted
        | CloudErrorKind::Unauthorized
        | CloudErrorKind::Forbidden
        | CloudErrorKind::Refused
        | CloudErrorKind::TooManyRequests
        | CloudErrorKind::Unsupported => {}
    }
    let is_refusal = error.kind == CloudErrorKind::Refused;
    let mut failure = StepError::cloud(format!("nova refused to move {} to {target}", named(leaving)), error);
    if is_refusal {
        // 400 speaks of the target that was named.
        (failure.class, failure.scope) = (super::ErrorClass::Transient, FaultScope::Target);
    }
    Err(failure)
}

/// Whether a request of unknown fate shows as a record, looked for as long as it may still arrive. One that was
/// `answered` did not arrive; an earlier one of ours did when the instance is migrating.
async fn arrived_after_all(cx: &StepContext<'_>, asked: Asked<'_>, answered: bool) -> Result<bool, StepError> {
    let mut wait = Wait::at_most(cx, LOOKED_FOR);
    loop {
        if let Some(seen) = wait.through_outage(Seen::now(cx, asked).await)? {
            let Some(seen) = seen else { return Ok(true) };
            if seen.record.is_some() {
                return Ok(true);
            }
            let begins = matches!(seen.server.status, InstanceStatus::Migrating | InstanceStatus::Resize);
            if answered && !begins {
                return Ok(false);
            }
            doing(cx, "looks for the migration that nova may have begun");
        }
        if !wait.again().await {
            return Ok(false);
        }
    }
}
