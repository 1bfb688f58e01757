//! Port: what fleetmend asks of a compute host, in its own words.
//!
//! Each operation is typed; adapters render it (`ssh` to fixed scripts with quoted arguments, `sim::ports` to a state
//! machine). Nothing that a cloud or host says is ever run by a shell. Whatever changes a host carries the
//! [`HostIdentity`] that must be found there, checked in the same command.

mod error;
pub mod facts;
mod inquiry;
mod job;
mod quiet;
pub mod ssh;
mod text;

use async_trait::async_trait;

pub use error::{HostError, HostErrorKind};
pub use inquiry::{Inquiry, KernelFile};
pub use job::{Job, JobOrder, JobStatus, PackageTarget};
pub use quiet::{Disquiet, PowerOrder, Quiet, QuietFacts, QuietRecord, RebootOrder, StayingInstance};
pub use text::{excerpt, plain};

use crate::model::{Domain, FencingToken, HostIdentity, HostName, UnitName};

/// Result of an operation on a host.
pub type HostResult<T> = Result<T, HostError>;

/// What one collection read, as text by section; `facts::parse` makes [`crate::model::HostFacts`] of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RawFacts {
    /// Output by section name; the names are listed in `facts`.
    pub sections: std::collections::BTreeMap<String, Section>,
}

/// Output of one part of the collection.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Section {
    /// Exit status of the part.
    pub status: i32,
    /// Its output.
    pub text: String,
}

/// The boot that a host is in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Boot {
    /// `/proc/sys/kernel/random/boot_id`: only this decides whether a reboot took place.
    pub id: String,
    /// Seconds since it began.
    pub uptime_s: u64,
}

/// Starts or stops nova-compute on a host: the fence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FenceOrder {
    /// Where.
    pub host: HostName,
    /// The machine that must be found there.
    pub identity: HostIdentity,
    /// Up: nova-compute is stopped. Down: it is started again.
    pub up: bool,
}

/// A way to a host.
#[async_trait]
pub trait HostShell: Send + Sync {
    /// From now on whatever changes a host shows this token, and a host that has seen a higher one refuses.
    fn carry(&self, _token: FencingToken) {}

    /// Reads everything, and what is `inquiry` beside it, in one round trip; changes nothing.
    async fn collect(&self, host: &HostName, inquiry: &Inquiry) -> HostResult<RawFacts>;

    /// The identity of the machine that answers; changes nothing.
    async fn identity(&self, host: &HostName) -> HostResult<HostIdentity>;

    /// The current boot; changes nothing. Any error but a refused identity means "not back yet" while rebooting.
    async fn boot(&self, host: &HostName) -> HostResult<Boot>;

    /// All domains, running or not; changes nothing.
    async fn domains(&self, host: &HostName) -> HostResult<Vec<Domain>>;

    /// Starts a job as a transient unit of that name. When a unit of that name exists already, running or ended,
    /// nothing is started: a repeat after a crash is harmless.
    async fn start_job(&self, order: &JobOrder) -> HostResult<()>;

    /// How a job stands.
    async fn job(&self, host: &HostName, unit: &UnitName) -> HostResult<JobStatus>;

    /// Forgets an ended job, so that its name can be used again.
    async fn forget_job(&self, host: &HostName, unit: &UnitName) -> HostResult<()>;

    /// Raises or lowers the fence; returns when nova-compute has the asked state. Idempotent.
    async fn fence(&self, order: &FenceOrder) -> HostResult<()>;

    /// Checks quiet for the last time and reboots, in one remote command. `Ok` says that the order was given.
    async fn reboot(&self, order: &RebootOrder) -> HostResult<()>;
}
