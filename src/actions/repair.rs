//! Repair: an instance that Nova put into ERROR behind a migration of ours, though its guest runs on.
//!
//! nova 34 with the libvirt driver does so about a second after an abort or a refusal (`docs/facts/libvirt.md`). Setting it
//! to ACTIVE is what an operator would do, and is done only where the policy says so and the hosts themselves show that the
//! guest runs where Nova names it, and nowhere else.

use std::time::Duration;

use super::poll::{Wait, doing};
use super::standing::{Seen, server_of};
use super::{StepContext, StepError};
use crate::model::{Domain, DomainState, HostName, InstanceId, InstanceStatus};

/// How long Nova may take to show what it was told.
const SHOWN_WITHIN: Duration = Duration::from_secs(60);

/// What came of it.
pub(super) enum Repair {
    /// It is ACTIVE again.
    Done,
    /// The policy does not say so.
    NotAllowed,
    /// What the hosts show does not prove it unharmed.
    NotProven(String),
}

/// Sets the instance to ACTIVE where that is allowed and proven right. May run again: what is ACTIVE is left alone.
pub(super) async fn repair(
    cx: &StepContext<'_>,
    seen: &Seen,
    instance: InstanceId,
    target: &HostName,
) -> Result<Repair, StepError> {
    if !cx.rollout.policy.instances.reset_error {
        return Ok(Repair::NotAllowed);
    }
    let source = cx.source();
    if seen.server.host.as_ref() != Some(source) {
        // Behind the switch more than the state is half done: networks, volumes, allocations.
        return Ok(Repair::NotProven("it is not on its old host".to_owned()));
    }
    if let Err(why) = runs_here_alone(cx, instance, target).await {
        return Ok(Repair::NotProven(why));
    }
    doing(cx, "sets it to ACTIVE again");
    let answer = cx.cloud.reset_to_active(instance).await;
    answer.map_err(|error| StepError::cloud(format!("could not set instance {instance} to ACTIVE"), error))?;
    let mut wait = Wait::at_most(cx, SHOWN_WITHIN);
    loop {
        if let Some(server) = wait.through_outage(server_of(cx, instance).await)?
            && server.is_none_or(|server| server.status == InstanceStatus::Active && server.task_state.is_none())
        {
            return Ok(Repair::Done);
        }
        if !wait.again().await {
            return Ok(Repair::NotProven("nova does not show it ACTIVE though it was told to".to_owned()));
        }
    }
}

/// That its domain runs on the host of this step, and that the target has none of it; else why not.
async fn runs_here_alone(cx: &StepContext<'_>, instance: InstanceId, target: &HostName) -> Result<(), String> {
    let source = cx.source();
    let state = |domains: &[Domain]| {
        let id = instance.to_string();
        domains.iter().find(|domain| domain.id == id).map(|domain| domain.state)
    };
    let listed = |host: &HostName| format!("the domains on {host} cannot be listed");
    let here = cx.shell.domains(source).await.map_err(|_| listed(source))?;
    match state(&here) {
        Some(DomainState::Running) => {}
        Some(_) => return Err(format!("its domain on {source} does not run")),
        None => return Err(format!("{source} has no domain of it")),
    }
    let there = cx.shell.domains(target).await.map_err(|_| listed(target))?;
    match state(&there) {
        None => Ok(()),
        Some(_) => Err(format!("{target} has a domain of it too")),
    }
}
