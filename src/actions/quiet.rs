//! The three views that prove a host quiet, gathered freshly.

use std::collections::BTreeSet;

use super::look::{allocations_on, instances_on, migrations_at};
use super::{ErrorClass, StepContext, StepError};
use crate::host::{Quiet, QuietFacts};
use crate::run::event::FaultScope;

/// Proves that the host is quiet, or says all that speaks against it. `fenced`: nova-compute is stopped.
pub(super) async fn prove(cx: &StepContext<'_>, fenced: bool) -> Result<Quiet, StepError> {
    let host = &cx.host.host;
    let nova: Vec<_> = instances_on(cx).await?.into_iter().map(|s| (s.id, s.status, s.task_state)).collect();
    let migrating: Vec<_> = migrations_at(cx).await?.into_iter().map(|record| record.instance).collect();
    let allocations: Vec<_> = allocations_on(cx, &cx.host.host).await?.into_iter().map(|held| held.consumer).collect();
    let domains = cx.shell.domains(host).await;
    let domains = domains.map_err(|error| {
        let mut failure = StepError::host(format!("could not list the domains on {host}"), error);
        if failure.class == ErrorClass::Permanent {
            // libvirt may be restarting, or going down with a host that was ordered to reboot.
            failure.class = ErrorClass::Transient;
        }
        failure
    })?;
    let allowed: BTreeSet<_> = cx.memory.staying.iter().copied().collect();
    let facts = QuietFacts {
        host,
        nova: &nova,
        migrating: &migrating,
        allocations: &allocations,
        domains: &domains,
        allowed: &allowed,
        fenced,
    };
    Quiet::prove(&facts).map_err(|against| {
        let reasons: Vec<String> = against.iter().map(ToString::to_string).collect();
        StepError::new(ErrorClass::Disquiet, FaultScope::Host, format!("{host} is not quiet"))
            .because(reasons.join("; "))
    })
}
