//! Marks of runs on the region's services: whose they are, and giving back those whose run is gone.

use std::collections::BTreeMap;

use crate::cloud::{Cloud, CloudResult, ComputeService};
use crate::model::{HostName, Mark, RunId, ServiceState, ServiceStatus};

/// A service that carries the mark of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MarkedHost {
    /// Its host.
    pub host: HostName,
    /// Whose mark it is.
    pub run: RunId,
    /// What the reason says after the mark.
    pub why: String,
    /// What the journal at hand knows of that run.
    pub owner: Owner,
    /// Why it is not to be given back; `None` when nothing speaks against it.
    pub obstacle: Option<Obstacle>,
}

/// What a journal knows of the run that a mark names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// It can be resumed or abandoned.
    Unfinished,
    /// It has ended; what it left out of service was quarantined.
    Ended,
    /// The journal does not know it: its own is lost, or on another machine.
    Unknown,
}

/// Why a marked host is not given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// Its run is known here and gives it back itself.
    RunIsKnown,
    /// Its run gave up on it: it may be half updated.
    Quarantined,
    /// Its nova-compute does not report, or is declared down: a run that stopped it meant to reboot.
    Down,
}

/// What the reason of a host that a run gave up on says after the mark.
const QUARANTINED: &str = "quarantined";

/// All marked services, in order of host. `known` says of each run of the journal whether it has ended.
pub async fn find(cloud: &dyn Cloud, known: &BTreeMap<RunId, bool>) -> CloudResult<Vec<MarkedHost>> {
    let mut found: Vec<MarkedHost> =
        cloud.services().await?.iter().filter_map(|service| marked(service, known)).collect();
    found.sort_by(|a, b| a.host.cmp(&b.host));
    Ok(found)
}

fn marked(service: &ComputeService, known: &BTreeMap<RunId, bool>) -> Option<MarkedHost> {
    if service.service.status != ServiceStatus::Disabled {
        return None;
    }
    let reason = service.service.disabled_reason.as_deref()?;
    let run = Mark::read(reason)?.run();
    // After the mark's two words.
    let why = reason.split_whitespace().skip(2).collect::<Vec<_>>().join(" ");
    let owner = match known.get(&run) {
        Some(false) => Owner::Unfinished,
        Some(true) => Owner::Ended,
        None => Owner::Unknown,
    };
    let obstacle = if why.starts_with(QUARANTINED) {
        Some(Obstacle::Quarantined)
    } else if owner != Owner::Unknown {
        Some(Obstacle::RunIsKnown)
    } else if service.service.state == ServiceState::Down || service.service.forced_down {
        Some(Obstacle::Down)
    } else {
        None
    };
    Some(MarkedHost { host: service.host.clone(), run, why, owner, obstacle })
}

/// Puts a host back into service when it still carries that very mark and nothing speaks against it; answers whether
/// it did. Its run disabled it, so before that it was enabled: runs plan no host that somebody else disabled.
pub async fn give_back(cloud: &dyn Cloud, host: &MarkedHost, known: &BTreeMap<RunId, bool>) -> CloudResult<bool> {
    let services = cloud.services().await?;
    let Some(service) = services.iter().find(|service| service.host == host.host) else { return Ok(false) };
    if host.obstacle.is_some() || marked(service, known).as_ref() != Some(host) {
        return Ok(false);
    }
    cloud.enable_service(&service.service.id).await?;
    Ok(true)
}
