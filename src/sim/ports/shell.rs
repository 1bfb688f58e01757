//! [`HostShell`] of a simulated region: enforces what the real scripts enforce.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::SimRegion;
use crate::host::{
    Boot, FenceOrder, HostError, HostErrorKind, HostResult, HostShell, Inquiry, Job, JobOrder, JobStatus, RawFacts,
    RebootOrder,
};
use crate::model::{Domain, HostIdentity, HostName, UnitName};
use crate::sim::faults::ShellFault;
use crate::sim::texts;
use crate::sim::world::{JobState, ShellRefusal, SimJob, Work, World};

/// How long ssh tries before it says that nobody answers.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A way to simulated hosts.
#[derive(Debug, Clone)]
pub struct SimShell {
    region: Arc<SimRegion>,
}

impl SimShell {
    /// A way to the hosts of `region`.
    pub fn new(region: Arc<SimRegion>) -> Self {
        Self { region }
    }

    async fn command<T>(
        &self,
        host: &HostName,
        operation: &str,
        work: impl FnOnce(&mut World) -> Result<T, ShellRefusal> + Send,
    ) -> HostResult<T> {
        let (takes, fault) = self.region.with(|world| (world.shell_time(host), world.shell_fault(host)));
        self.region.pass(takes).await;
        let result = match fault {
            None => self.region.with(work),
            Some(fault) => {
                if fault == ShellFault::DroppedAfterEffect {
                    drop(self.region.with(work));
                }
                Err(ShellRefusal::Unreachable("Connection to the host closed by remote host"))
            }
        };
        if matches!(result, Err(ShellRefusal::Unreachable(_))) {
            self.region.pass(CONNECT_TIMEOUT).await;
        }
        result.map_err(|refusal| host_error(host, operation, refusal))
    }
}

/// A refusal as the ssh adapter would word it.
pub fn host_error(host: &HostName, operation: &str, refusal: ShellRefusal) -> HostError {
    let (kind, message) = match refusal {
        ShellRefusal::Unreachable(why) => (HostErrorKind::Unreachable, why.to_owned()),
        ShellRefusal::WrongMachine(found) => {
            let id = found.machine_id.unwrap_or_default();
            let name = found.nova_host.unwrap_or_default();
            (HostErrorKind::WrongMachine, format!("another machine answers: {name}, machine id {id}"))
        }
        ShellRefusal::NotQuiet(why) => (HostErrorKind::NotQuiet, why),
        ShellRefusal::Failed(why) => (HostErrorKind::Failed, why),
    };
    HostError::new(host, operation, kind, message)
}

/// What a job of ours is in the region's words.
pub fn work_of(job: &Job) -> Work {
    let names = |targets: &[crate::host::PackageTarget]| targets.iter().map(|target| target.name.clone()).collect();
    match job {
        Job::StagePackages(targets) => Work::Stage(names(targets)),
        Job::UpdatePackages(targets) => Work::Update(names(targets)),
        Job::StageAll(_) => Work::Stage(Vec::new()),
        Job::UpdateAll(_) => Work::Update(Vec::new()),
        Job::AddCpuFlags { file: _, flags } => Work::AddCpuFlags(flags.clone()),
    }
}

/// How a unit stands, in our words.
pub fn status_of(job: Option<&SimJob>) -> JobStatus {
    match job.map(|job| &job.state) {
        None => JobStatus::Absent,
        Some(JobState::Running) => JobStatus::Running,
        Some(JobState::Ended { status, output }) => JobStatus::Ended { status: *status, output: output.clone() },
    }
}

/// All domains of a host, in our words.
pub fn domains_of(world: &World, host: &HostName) -> Result<Vec<Domain>, ShellRefusal> {
    let host = world.reach(host)?;
    Ok(host
        .domains
        .iter()
        .map(|(id, domain)| Domain { id: id.to_string(), name: domain.name.clone(), state: domain.state })
        .collect())
}

#[async_trait]
impl HostShell for SimShell {
    async fn collect(&self, host: &HostName, inquiry: &Inquiry) -> HostResult<RawFacts> {
        let collect = |world: &mut World| {
            let found = world.reach(host)?;
            Ok(texts::collect(world, found, inquiry))
        };
        self.command(host, "collect facts", collect).await
    }

    async fn identity(&self, host: &HostName) -> HostResult<HostIdentity> {
        self.command(host, "read the identity", |world| world.identity(host)).await
    }

    async fn boot(&self, host: &HostName) -> HostResult<Boot> {
        let boot = |world: &mut World| world.boot(host).map(|(boot, uptime_s)| Boot { id: boot.id.clone(), uptime_s });
        self.command(host, "read the boot id", boot).await
    }

    async fn domains(&self, host: &HostName) -> HostResult<Vec<Domain>> {
        let list = |world: &mut World| {
            let domains = domains_of(world, host);
            world.looked_at(host);
            domains
        };
        self.command(host, "list domains", list).await
    }

    async fn start_job(&self, order: &JobOrder) -> HostResult<()> {
        let work = work_of(&order.job);
        let start = |world: &mut World| world.start_job(&order.host, &order.identity, &order.unit, &work, order.limit);
        self.command(&order.host, "start a job", start).await
    }

    async fn job(&self, host: &HostName, unit: &UnitName) -> HostResult<JobStatus> {
        self.command(host, "look at a job", |world| world.job(host, unit).map(status_of)).await
    }

    async fn forget_job(&self, host: &HostName, unit: &UnitName) -> HostResult<()> {
        self.command(host, "forget a job", |world| world.forget_job(host, unit)).await
    }

    async fn fence(&self, order: &FenceOrder) -> HostResult<()> {
        let fence = |world: &mut World| world.fence(&order.host, &order.identity, order.up);
        self.command(&order.host, "stop or start nova-compute", fence).await
    }

    async fn reboot(&self, order: &RebootOrder) -> HostResult<()> {
        let reboot = |world: &mut World| world.reboot(order.host(), order.identity(), order.boot());
        self.command(order.host(), "reboot", reboot).await
    }
}
