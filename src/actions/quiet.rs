//! The three views that prove a host quiet, gathered freshly.

use std::collections::BTreeSet;

use super::look::{allocations_on, instances_on, migrations_at};
use super::{ErrorClass, StepContext, StepError};
use crate::host::{Quiet, QuietFacts, QuietRecord};
use crate::model::{Domain, InstanceId, InstanceStatus};
use crate::run::event::FaultScope;

/// Proves that the host is quiet, or says all that speaks against it. `fenced`: nova-compute is stopped.
pub(super) async fn prove(cx: &StepContext<'_>, fenced: bool) -> Result<Quiet, StepError> {
    let seen = seen_by_the_cloud(cx).await?;
    let host = &cx.host.host;
    #[cfg(test)]
    if crate::simulation::Mistake::SkipsTheQuietCheck.is_made() {
        return Ok(Quiet::assumed(host, &cx.memory.staying));
    }
    let domains = cx.shell.domains(host).await;
    let domains = domains.map_err(|error| {
        let mut failure = StepError::host(format!("could not list the domains on {host}"), error);
        if failure.class == ErrorClass::Permanent {
            // libvirt may be restarting, or going down with a host that was ordered to reboot.
            failure.class = ErrorClass::Transient;
        }
        failure
    })?;
    agree(cx, &seen, &domains, fenced)
}

/// Proves that a host which does not answer is quiet still: by what Nova and Placement say now, and by what the host
/// showed behind its fence.
pub(super) async fn prove_from_afar(cx: &StepContext<'_>, record: &QuietRecord) -> Result<Quiet, StepError> {
    // What owners ask for waits in Nova's queue: nova-compute was stopped, and the host has not reported since.
    agree(cx, &seen_by_the_cloud(cx).await?, record.domains(), true)
}

/// What Nova and Placement say of a host.
struct Seen {
    nova: Vec<(InstanceId, InstanceStatus, Option<String>)>,
    migrating: Vec<InstanceId>,
    allocations: Vec<String>,
}

async fn seen_by_the_cloud(cx: &StepContext<'_>) -> Result<Seen, StepError> {
    let nova: Vec<_> = instances_on(cx).await?.into_iter().map(|s| (s.id, s.status, s.task_state)).collect();
    let migrating: Vec<_> = migrations_at(cx).await?.into_iter().map(|record| record.instance).collect();
    let allocations: Vec<_> = allocations_on(cx, &cx.host.host).await?.into_iter().map(|held| held.consumer).collect();
    Ok(Seen { nova, migrating, allocations })
}

/// Holds the views against each other.
fn agree(cx: &StepContext<'_>, seen: &Seen, domains: &[Domain], fenced: bool) -> Result<Quiet, StepError> {
    let host = &cx.host.host;
    let allowed: BTreeSet<_> = cx.memory.staying.iter().copied().collect();
    let facts = QuietFacts {
        host,
        nova: &seen.nova,
        migrating: &seen.migrating,
        allocations: &seen.allocations,
        domains,
        allowed: &allowed,
        fenced,
    };
    Quiet::prove(&facts).map_err(|against| {
        let reasons: Vec<String> = against.iter().map(ToString::to_string).collect();
        StepError::new(ErrorClass::Disquiet, FaultScope::Host, format!("{host} is not quiet"))
            .because(reasons.join("; "))
    })
}
