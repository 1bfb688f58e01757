//! Looks that several actions share, with words for people.

use super::{StepContext, StepError};
use crate::cloud::{Allocation, CloudError, ComputeService, Migration, MigrationsQuery, Server, ServersQuery};
use crate::model::{HostIdentity, HostName, Mark, RunId, Service, ServiceStatus};
use crate::plan::placement::Held;
use crate::run::event::{FaultScope, LeavingInstance};

/// The service that Nova lists for a host, freshly; `None` when it lists none.
pub(super) async fn listed_service(cx: &StepContext<'_>, host: &HostName) -> Result<Option<ComputeService>, StepError> {
    let service = cx.cloud.service(host).await;
    service.map_err(|error| StepError::cloud("could not read the compute services", error).of_host())
}

/// The service that Nova lists for a host, as of some seconds ago.
pub(super) async fn lately_listed(cx: &StepContext<'_>, host: &HostName) -> Result<Option<ComputeService>, StepError> {
    let service = cx.cloud.lists_service(host).await;
    service.map_err(|error| StepError::cloud("could not read the compute services", error).of_host())
}

/// The service of a host, freshly.
pub(super) async fn service_of(cx: &StepContext<'_>, host: &HostName) -> Result<ComputeService, StepError> {
    let Some(service) = listed_service(cx, host).await? else {
        return Err(StepError::permanent(FaultScope::Host, format!("nova lists no compute service for {host}")));
    };
    if service.cell_is_down {
        // What nova shows for it then is made up.
        let what = format!("the cell of {host} does not answer");
        return Err(StepError::transient(FaultScope::ControlPlane, what));
    }
    Ok(service)
}

/// What Placement has allocated on a host, by consumer; fails when no provider is found, because then nothing is known
/// of it.
pub(super) async fn allocations_on(cx: &StepContext<'_>, host: &HostName) -> Result<Vec<Allocation>, StepError> {
    let failed = |error: CloudError| {
        StepError::cloud(format!("could not read what Placement has allocated on {host}"), error).of_host()
    };
    let mut provider = cx.cloud.provider(host).await.map_err(failed)?;
    if provider.is_none() {
        // Placement knows it by the hypervisor's own name, which need not be Nova's name of the host.
        let hypervisors = cx.cloud.hypervisors().await.map_err(failed)?;
        if let Some(hypervisor) = hypervisors.into_iter().find(|hypervisor| hypervisor.host == *host) {
            provider = cx.cloud.provider(&HostName::new(hypervisor.hostname)).await.map_err(failed)?;
        }
    }
    let Some(provider) = provider else {
        let what = format!("Placement has no resource provider for {host}");
        return Err(StepError::permanent(FaultScope::Host, what));
    };
    cx.cloud.allocations(&provider.id).await.map_err(failed)
}

/// Everything that holds room on a host that did not take `leaving`; its group's members are told as such. `None` when
/// it cannot be seen: then nothing is learned, and nothing else is lost.
pub(crate) async fn held_on(cx: &StepContext<'_>, host: &HostName, leaving: &LeavingInstance) -> Option<Vec<Held>> {
    let allocations = allocations_on(cx, host).await.ok()?;
    let groups = match &leaving.group {
        Some(_) => cx.cloud.groups_of(&[leaving.id]).await.ok()?,
        None => Vec::new(),
    };
    let group_of = |id| groups.iter().find(|group| group.members.contains(&id)).map(|group| group.group.id.clone());
    let held = allocations.into_iter().filter_map(|held| {
        let id = held.consumer.parse().ok()?;
        Some(Held { id, resources: held.resources, group: group_of(id) })
    });
    Some(held.collect())
}

/// Instances that Nova places on the host, of all projects.
pub(super) async fn instances_on(cx: &StepContext<'_>) -> Result<Vec<Server>, StepError> {
    let host = &cx.host.host;
    let query = ServersQuery { host: Some(host.clone()), ..ServersQuery::default() };
    let servers = cx.cloud.servers(&query).await;
    servers.map_err(|error| StepError::cloud(format!("could not read the instances on {host}"), error).of_host())
}

/// Migrations into and out of the host that can still change.
pub(super) async fn migrations_at(cx: &StepContext<'_>) -> Result<Vec<Migration>, StepError> {
    let host = &cx.host.host;
    let query = MigrationsQuery { host: Some(host.clone()), in_progress: true, ..MigrationsQuery::default() };
    let records = cx.cloud.migrations(&query).await;
    records.map_err(|error| StepError::cloud(format!("could not read the migrations at {host}"), error).of_host())
}

/// Who took a service out of service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Holder {
    /// Nobody: it is enabled.
    Nobody,
    /// This run.
    Us,
    /// Another run of ours.
    Run(RunId),
    /// Somebody else, for this reason.
    SomebodyElse(String),
}

impl Holder {
    /// Who holds `service`, seen from `run`.
    pub fn of(run: RunId, service: &Service) -> Self {
        match service.status {
            ServiceStatus::Enabled => Self::Nobody,
            ServiceStatus::Disabled => {
                let reason = service.disabled_reason.as_deref().unwrap_or_default();
                match Mark::read(reason) {
                    Some(mark) if mark.run() == run => Self::Us,
                    Some(mark) => Self::Run(mark.run()),
                    #[cfg(test)]
                    None if crate::simulation::Mistake::TakesForeignHandsForOurs.is_made() => Self::Us,
                    #[cfg(test)]
                    None if crate::simulation::Mistake::OverlooksForeignHands.is_made() => Self::Nobody,
                    None => Self::SomebodyElse(reason.to_owned()),
                }
            }
        }
    }

    /// The refusal to touch a host that is held by anybody but this run.
    pub fn refusal(&self, host: &HostName) -> StepError {
        let who = match self {
            Self::Nobody => format!("{host} is in service, though this run had taken it out"),
            Self::Us => format!("{host} is out of service with the mark of this run"),
            Self::Run(run) => format!("{host} is held by another run, {run}"),
            Self::SomebodyElse(reason) if reason.is_empty() => {
                format!("{host} was disabled by somebody else, without a reason")
            }
            Self::SomebodyElse(reason) => format!("{host} was disabled by somebody else: {reason}"),
        };
        StepError::needs_operator(FaultScope::Host, who)
    }
}

/// That this run still holds its host: its mark is on the service.
pub(super) async fn ours(cx: &StepContext<'_>) -> Result<ComputeService, StepError> {
    let service = service_of(cx, &cx.host.host).await?;
    match Holder::of(cx.run, &service.service) {
        Holder::Us => Ok(service),
        other @ (Holder::Nobody | Holder::Run(_) | Holder::SomebodyElse(_)) => Err(other.refusal(&cx.host.host)),
    }
}

/// That the machine which answers for the host is the planned one.
pub(super) async fn same_machine(cx: &StepContext<'_>) -> Result<(), StepError> {
    let host = &cx.host.host;
    let planned = &cx.host.identity;
    if !planned.is_known() {
        let what = format!("the plan does not say which machine {host} is");
        return Err(StepError::needs_operator(FaultScope::Host, what));
    }
    let found = cx.shell.identity(host).await;
    let found = found.map_err(|error| StepError::host(format!("could not read which machine {host} is"), error))?;
    let differences = differences(planned, &found);
    if differences.is_empty() {
        return Ok(());
    }
    let what = format!("another machine answers for {host}");
    Err(StepError::needs_operator(FaultScope::Host, what).because(differences.join(", ")))
}

/// What speaks against `found` being `planned`; what the plan does not know decides nothing.
fn differences(planned: &HostIdentity, found: &HostIdentity) -> Vec<String> {
    let parts = [
        ("machine-id", &planned.machine_id, &found.machine_id),
        ("nova's host name", &planned.nova_host, &found.nova_host),
        ("hostname", &planned.hostname, &found.hostname),
    ];
    let differs = parts.into_iter().filter(|(_, planned, found)| planned.is_some() && planned != found);
    differs
        .map(|(part, planned, found)| {
            let planned = planned.as_deref().unwrap_or_default();
            let found = found.as_deref().unwrap_or("not readable");
            format!("its {part} is {found}, planned was {planned}")
        })
        .collect()
}
