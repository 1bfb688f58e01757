//! Pure data that every room shares: ids, the region, hosts, instances, policy.
//!
//! Knows no IO and no clock. Whatever can be said without a network is said here.

mod aggregate;
mod extra;
mod facts;
mod fingerprint;
mod history;
mod hook;
mod ids;
mod mark;
mod numa;
mod numbers;
mod pace;
mod policy;
mod region;
mod resources;
mod role;
mod shared;
mod status;
mod token;
mod units;
mod window;

pub use aggregate::{Aggregate, Flavor, extra_spec_matches};
pub use extra::{AnsibleWork, CommandWork, ExtraStep, ExtraWork, Moment, OnFailure};
pub use facts::{
    Cpu, Domain, DomainCapabilities, DomainState, HostFacts, OsRelease, Package, PackageManager, PendingReboot,
    Repository,
};
pub use fingerprint::{Fingerprint, FingerprintRules};
pub use history::{GuestCpu, InstanceHistory, PastAction, PastMove};
pub use hook::{AlertMatcher, AlertmanagerHook, Hook, HookWork};
pub use ids::{
    Digest, GroupId, HostName, InstanceId, ProjectId, RequestId, RolloutId, RunId, ServiceId, StepId, UnitName,
    ZoneName,
};
pub use mark::Mark;
pub use numa::{CellAmounts, NumaCell, Topology};
pub use numbers::{Numbers, SharedName};
pub use pace::{Estimate, Patience};
pub use policy::{
    Canary, ColdBootRules, Consent, Drift, FailureBudget, FailureCause, Headroom, HeadroomZone, HealthGate, HostRules,
    InstanceHandling, InstanceRules, KeepUp, LastResort, Limit, Limits, NewInstances, NovaConfHandling, Objective,
    OwnerRules, PackageRules, Place, Policy, PolicyKind, Prefer, ProbeInstance, PrometheusQuery, Question, Slow, Word,
};
pub use region::{
    Gap, GapCause, GapKind, Group, GroupPolicy, GroupRules, Host, HostIdentity, Instance, Region, RegionKind, Service,
    ServiceState, ServiceStatus,
};
pub use resources::Resources;
pub use role::{Role, RoleHandling, RoleRules};
pub use status::{InstanceStatus, PowerState};
pub use token::FencingToken;
pub use units::{Percent, Rate, Span};
pub use window::{WallTime, Weekday, Window, WindowZone, WindowsEnd};
