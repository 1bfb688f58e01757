//! What goes wrong in a simulated region: by rule, by incident, or by chance. Pure data; `sim::world` acts on it.

use serde::{Deserialize, Serialize};

use crate::model::{HostName, Percent, Span};

/// Everything that goes wrong.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// Of live migrations; the first rule that fits and is not used up counts.
    pub migrations: Vec<MigrationRule>,
    /// Of reboots.
    pub hosts: Vec<HostRule>,
    /// Of package jobs.
    pub jobs: Vec<JobRule>,
    /// Of instances that are started.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub starts: Vec<StartRule>,
    /// Of API calls.
    pub api: Vec<ApiRule>,
    /// What happens once, at a time or after something else.
    pub incidents: Vec<Incident>,
    /// What happens by chance.
    pub chance: Chances,
    /// What tenants do meanwhile.
    pub tenants: Churn,
}

/// How much tenants create and delete, as shares of the instances that there are at the beginning.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Churn {
    /// Instances created in a day.
    pub created_per_day: Percent,
    /// Instances deleted in a day.
    pub deleted_per_day: Percent,
}

/// Makes live migrations fail.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MigrationRule {
    /// Only of this instance, by name or id.
    #[serde(default)]
    pub instance: Option<String>,
    /// Only away from this host.
    #[serde(default)]
    pub source: Option<HostName>,
    /// Only onto this host.
    #[serde(default)]
    pub target: Option<HostName>,
    /// How often; always when absent.
    #[serde(default)]
    pub times: Option<u32>,
    /// How.
    pub fault: MigrationFault,
}

/// How a live migration fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MigrationFault {
    /// The target refuses in its check.
    PrecheckTarget,
    /// The source refuses in its check.
    PrecheckSource,
    /// The target fails while it prepares.
    Prepare,
    /// It breaks halfway; the action's events all say success.
    Copy,
    /// It never ends, until aborted or forced.
    Hang,
    /// It never ends and ignores an abort.
    HangDeaf,
    /// The target fails after the guest has switched over.
    AfterSwitch,
    /// It takes so many times as long.
    Slow(u32),
    /// It breaks halfway, and a second after the server was seen ACTIVE it turns to ERROR, though its guest runs.
    FalseError,
    /// It goes well, but its record vanishes from every list as it begins to copy.
    Vanish,
    /// It goes well, but Nova names the source as the instance's host for so long after the guest has switched over.
    StaleHost(Span),
}

/// Makes reboots go wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostRule {
    /// Which host.
    pub host: HostName,
    /// How often; always when absent.
    #[serde(default)]
    pub times: Option<u32>,
    /// How.
    pub fault: HostFault,
}

/// How a reboot goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostFault {
    /// The host stays away.
    NoReturn,
    /// It takes this much longer.
    Late(Span),
    /// The boot loader's default entry was not changed: it comes back with the kernel it had.
    OldKernel,
    /// nova-compute does not start.
    NoCompute,
    /// One of its links does not come up.
    LosesLink,
}

/// Makes package jobs go wrong.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobRule {
    /// Which host.
    pub host: HostName,
    /// The package at fault; the first of the job when absent.
    #[serde(default)]
    pub package: Option<String>,
    /// How often; always when absent.
    #[serde(default)]
    pub times: Option<u32>,
    /// How.
    pub fault: JobFault,
}

/// How a package job goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum JobFault {
    /// A `%pre` scriptlet fails: status 1, the old package stays.
    PreScriptlet,
    /// A `%post` scriptlet fails: status 0 and "Complete!", but the package has no effect.
    PostScriptlet,
    /// The repository does not answer: status 1.
    Repository,
    /// It never ends by itself.
    Hang,
}

/// Keeps instances from starting: they stay off, with a fault.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StartRule {
    /// Which, by name or id; any when absent.
    #[serde(default)]
    pub instance: Option<String>,
    /// How often; always when absent.
    #[serde(default)]
    pub times: Option<u32>,
}

/// Makes API calls fail.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiRule {
    /// Only this operation, for example `live_migrate`; any when absent.
    #[serde(default)]
    pub operation: Option<String>,
    /// So many calls pass before.
    #[serde(default)]
    pub after: u32,
    /// How often; always when absent.
    #[serde(default)]
    pub times: Option<u32>,
    /// How.
    pub fault: ApiFault,
}

/// How an API call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ApiFault {
    /// 429.
    TooManyRequests,
    /// 409, nothing done: what is asked for does not fit the state of things at this moment.
    Conflict,
    /// 500, nothing done.
    ServerError,
    /// 503, nothing done.
    Unavailable,
    /// No answer in time; nothing done.
    Timeout,
    /// No answer in time, but it was done.
    TimeoutAfterEffect,
    /// The connection breaks; nothing done.
    Reset,
    /// The connection breaks, but it was done.
    ResetAfterEffect,
}

/// How a command on a host fails on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ShellFault {
    /// The connection breaks; nothing done.
    Dropped,
    /// The connection breaks, but it was done.
    DroppedAfterEffect,
}

/// Something that happens once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Incident {
    /// When.
    pub when: When,
    /// This much later.
    #[serde(default)]
    pub after: Span,
    /// What.
    pub what: What,
}

/// What an incident waits for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum When {
    /// The region's beginning.
    Start,
    /// The service of a host is disabled.
    Disabled(HostName),
    /// The service of a host is enabled.
    Enabled(HostName),
    /// Somebody lists the domains of a host: the last look before its fence or its reboot.
    Looked(HostName),
    /// nova-compute on a host is stopped.
    Fenced(HostName),
    /// A host is told to reboot.
    RebootOrdered(HostName),
    /// A live migration away from a host copies memory.
    Migrating(HostName),
}

/// What happens in an incident.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// An instance is created on a host: the scheduler chose it before it heard of anything that speaks against it.
    Created(HostName),
    /// An instance's owner starts it.
    Started(String),
    /// An instance's owner stops it.
    Stopped(String),
    /// An instance's owner deletes it.
    Deleted(String),
    /// An instance's owner locks it.
    Locked(String),
    /// An instance's owner gives it twice the memory, which takes it to another host, and confirms so long after it
    /// arrived there.
    Resized(String, Span),
    /// Somebody starts the domain of a stopped instance by hand: Nova knows nothing of it.
    DomainStarted(String),
    /// Somebody ends it again.
    DomainStopped(String),
    /// Somebody disables a host's service.
    Disabled(HostName),
    /// Somebody enables a host's service.
    Enabled(HostName),
    /// A host's service does not report for a while, though it works.
    Silent(HostName, Span),
    /// nova-compute of a host dies.
    ComputeDies(HostName),
    /// It is started again.
    ComputeReturns(HostName),
    /// Another machine answers at a host's address for a while.
    Impostor(HostName, Span),
    /// A host cannot be reached for a while, though it runs.
    Unreachable(HostName, Span),
    /// A host loses its power and comes back by itself.
    PowerCut(HostName),
    /// No API answers for a while.
    ControlPlaneDown(Span),
}

/// What goes wrong by chance.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Chances {
    /// A live migration breaks.
    pub migration_fails: Percent,
    /// A live migration never ends.
    pub migration_hangs: Percent,
    /// A host stays away after its reboot.
    pub host_no_return: Percent,
    /// A host comes back with the kernel it had.
    pub old_kernel: Percent,
    /// A package job fails.
    pub job_fails: Percent,
    /// A package job says success, but a package has no effect.
    pub post_scriptlet: Percent,
    /// An API call fails, in any way.
    pub api: Percent,
    /// The connection to a host breaks, before its command or after it was carried out.
    pub shell: Percent,
}
