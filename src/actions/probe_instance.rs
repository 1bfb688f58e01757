//! Probe: a tiny instance is booted onto a host that was put back into service, seen running, and deleted whatever happens.
//!
//! It is found by its name, which only this step of this run has, so that whoever resumes deletes what a dead runner left.

use std::time::Duration;

use async_trait::async_trait;

use super::poll::{Wait, doing};
use super::{Action, ErrorClass, Probe, StepContext, StepError};
use crate::cloud::{Accepted, CloudErrorKind, NewServer, Server, ServersQuery};
use crate::host::facts;
use crate::model::{InstanceStatus, ProbeInstance};
use crate::run::event::{FaultScope, Intent, StepOutput};

/// How long Nova may take to delete a tiny instance.
const DELETED_WITHIN: Duration = Duration::from_secs(120);

/// Boots and deletes one tiny instance.
pub(super) struct Probing;

fn wanted<'a>(cx: &StepContext<'a>) -> Result<&'a ProbeInstance, StepError> {
    cx.rollout.policy.probe_instance.as_ref().ok_or_else(|| {
        StepError::permanent(FaultScope::Host, format!("step {} has no probe instance in its policy", cx.step))
    })
}

/// The name of this step's instance.
fn name(cx: &StepContext<'_>) -> String {
    format!("fleetmend-probe-{}-{}", cx.run, cx.host.host)
}

/// What there is of it, on whatever host.
async fn found(cx: &StepContext<'_>) -> Result<Vec<Server>, StepError> {
    let query = ServersQuery { name: Some(name(cx)), ..ServersQuery::default() };
    let servers = cx.cloud.servers(&query).await;
    let mut servers =
        servers.map_err(|error| StepError::cloud("could not look for the probe instance", error).of_host())?;
    servers.retain(|server| server.status != InstanceStatus::Deleted && server.name == name(cx));
    Ok(servers)
}

#[async_trait]
impl Action for Probing {
    async fn probe(&self, cx: &StepContext<'_>) -> Result<Probe, StepError> {
        wanted(cx)?;
        Ok(Probe::Needed(Intent::ProbeInstance { name: name(cx) }))
    }

    async fn apply(&self, cx: &StepContext<'_>, _: &Intent) -> Result<Accepted, StepError> {
        let probe = wanted(cx)?;
        let host = &cx.host.host;
        // One that an earlier attempt left is as good as a fresh one, unless it failed.
        let left = found(cx).await?;
        let is_fit = |server: &&Server| matches!(server.status, InstanceStatus::Build | InstanceStatus::Active);
        if left.iter().any(|server| is_fit(&server)) {
            return Ok(Accepted::default());
        }
        clean(cx).await?;
        doing(cx, "boots a probe instance");
        let server = NewServer {
            name: name(cx),
            flavor: probe.flavor.clone(),
            image: probe.image.clone(),
            network: probe.network.clone(),
            host: host.clone(),
            metadata: [("fleetmend:probe".to_owned(), cx.run.to_string())].into(),
        };
        match cx.cloud.create_server(&server).await {
            Ok(accepted) => Ok(accepted),
            // Whether it arrived is for the next look to say.
            Err(error)
                if matches!(
                    error.kind,
                    CloudErrorKind::TimedOut | CloudErrorKind::Unreachable | CloudErrorKind::Server
                ) =>
            {
                Ok(Accepted::default())
            }
            Err(error) => {
                Err(StepError::cloud(format!("nova refused to boot a probe instance onto {host}"), error).of_host())
            }
        }
    }

    async fn verify(&self, cx: &StepContext<'_>, _: &Intent, _: &Accepted) -> Result<StepOutput, StepError> {
        let seen = seen_running(cx).await;
        // Whatever came of it, it goes; a failure to delete it must not hide what it showed.
        let cleaned = clean(cx).await;
        let note = seen?;
        cleaned?;
        Ok(StepOutput::Done { note })
    }
}

/// Waits until it runs; what it showed, in words.
async fn seen_running(cx: &StepContext<'_>) -> Result<String, StepError> {
    let host = &cx.host.host;
    let probe = wanted(cx)?;
    let mut wait = Wait::at_most(cx, probe.patience.get());
    loop {
        if let Some(found) = wait.through_outage(found(cx).await)? {
            match found.first() {
                Some(server) if server.status == InstanceStatus::Active => {
                    return if server.host.as_ref() == Some(host) {
                        flag(cx, server).await
                    } else {
                        let what = format!("the probe instance for {host} came to another host");
                        Err(StepError::new(ErrorClass::Transient, FaultScope::Host, what))
                    };
                }
                Some(server) if server.status == InstanceStatus::Error => {
                    let what = format!("the probe instance does not boot on {host}");
                    let why = server.fault.clone().unwrap_or_else(|| "nova gives no reason".to_owned());
                    // The scheduler may believe for two minutes in what has left, or that the host is disabled.
                    return Err(StepError::transient(FaultScope::Host, what).because(why));
                }
                Some(_) | None => doing(cx, "waits for the probe instance to run"),
            }
        }
        if !wait.again().await {
            let what = format!("the probe instance on {host} does not run after {}", probe.patience);
            return Err(StepError::transient(FaultScope::Host, what));
        }
    }
}

/// Whether its processor has the flag that guests need, where the host can be asked.
async fn flag(cx: &StepContext<'_>, server: &Server) -> Result<String, StepError> {
    let host = &cx.host.host;
    let Some(guests) = &cx.rollout.remedy.guests else {
        return Ok("a probe instance ran".to_owned());
    };
    let raw = cx.shell.collect(host, &cx.rollout.remedy.inquiry()).await.ok();
    let cpu = raw.and_then(|raw| facts::parse(&raw).guests.remove(&server.id));
    match cpu.as_ref().and_then(|cpu| cpu.features.get(&guests.cpu_flag)).map(String::as_str) {
        Some("require" | "force") => Ok(format!("a probe instance ran, its processor with {}", guests.cpu_flag)),
        Some(policy) => {
            let what = format!("a probe instance ran on {host}, its processor without {}", guests.cpu_flag);
            let why = format!("its host shows policy `{policy}`");
            Err(StepError::permanent(FaultScope::Host, what).because(why))
        }
        None => Ok("a probe instance ran".to_owned()),
    }
}

/// Deletes what there is of it, and sees it gone.
async fn clean(cx: &StepContext<'_>) -> Result<(), StepError> {
    let mut wait = Wait::at_most(cx, DELETED_WITHIN);
    let mut asked = false;
    loop {
        if let Some(left) = wait.through_outage(found(cx).await)? {
            if left.is_empty() {
                return Ok(());
            }
            for server in left.iter().filter(|_| !asked) {
                doing(cx, "deletes the probe instance");
                match cx.cloud.delete_server(server.id).await {
                    Ok(_) => {}
                    Err(error) if error.kind == CloudErrorKind::NotFound => {}
                    Err(error) => {
                        return Err(StepError::cloud("could not delete the probe instance", error).of_host());
                    }
                }
            }
            asked = true;
        }
        if !wait.again().await {
            let what = format!(
                "the probe instance {} is still there {} s after it was deleted",
                name(cx),
                DELETED_WITHIN.as_secs()
            );
            return Err(StepError::transient(FaultScope::Host, what));
        }
    }
}
