//! Why a step did not come to its end.

use serde::{Deserialize, Serialize};

use crate::cloud::{CloudError, CloudErrorKind};
use crate::host::{HostError, HostErrorKind};
use crate::run::event::{FaultScope, StepFailure};

/// Decides retry, another round, quarantine or pause; never guessed from text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorClass {
    /// Tried again later.
    Transient,
    /// The host is not quiet: what is on it is resolved again, a few times, before the step is tried again.
    Disquiet,
    /// Not tried again.
    Permanent,
    /// Not tried again until an operator says so; the host is left exactly as it is.
    NeedsOperator,
}

/// A step that failed.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct StepError {
    /// What failed, one line.
    pub what: String,
    /// How grave.
    pub class: ErrorClass,
    /// Whose fault.
    pub scope: FaultScope,
    /// What lies behind it.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl StepError {
    /// A failure without a cause behind it.
    pub fn new(class: ErrorClass, scope: FaultScope, what: impl Into<String>) -> Self {
        Self { what: what.into(), class, scope, source: None }
    }

    /// A failure that may pass.
    pub fn transient(scope: FaultScope, what: impl Into<String>) -> Self {
        Self::new(ErrorClass::Transient, scope, what)
    }

    /// A failure that trying again does not mend.
    pub fn permanent(scope: FaultScope, what: impl Into<String>) -> Self {
        Self::new(ErrorClass::Permanent, scope, what)
    }

    /// A failure that only a person can decide about.
    pub fn needs_operator(scope: FaultScope, what: impl Into<String>) -> Self {
        Self::new(ErrorClass::NeedsOperator, scope, what)
    }

    /// The same failure with `reason`, in the words of whoever gave it, as its cause.
    #[must_use]
    pub fn because(mut self, reason: impl Into<String>) -> Self {
        self.source = Some(reason.into().into());
        self
    }

    /// The same failure as its host's: of a call that concerned the host's service and no instance.
    #[must_use]
    pub fn of_host(mut self) -> Self {
        match self.scope {
            FaultScope::Instance | FaultScope::Target => self.scope = FaultScope::Host,
            FaultScope::Host | FaultScope::ControlPlane => {}
        }
        self
    }

    /// A call to the cloud failed while doing `what`.
    pub fn cloud(what: impl Into<String>, source: CloudError) -> Self {
        let (class, scope) = match source.kind {
            CloudErrorKind::Unreachable
            | CloudErrorKind::TimedOut
            | CloudErrorKind::TooManyRequests
            | CloudErrorKind::Server => (ErrorClass::Transient, FaultScope::ControlPlane),
            CloudErrorKind::Configuration
            | CloudErrorKind::Untrusted
            | CloudErrorKind::Unauthorized
            | CloudErrorKind::Forbidden
            | CloudErrorKind::Unsupported => (ErrorClass::NeedsOperator, FaultScope::ControlPlane),
            CloudErrorKind::Conflict => (ErrorClass::Transient, FaultScope::Instance),
            CloudErrorKind::NotFound | CloudErrorKind::Refused | CloudErrorKind::Protocol => {
                (ErrorClass::Permanent, FaultScope::Instance)
            }
        };
        Self { what: what.into(), class, scope, source: Some(Box::new(source)) }
    }

    /// An operation on a host failed while doing `what`.
    pub fn host(what: impl Into<String>, source: HostError) -> Self {
        let class = match source.kind {
            HostErrorKind::Unreachable | HostErrorKind::TimedOut => ErrorClass::Transient,
            HostErrorKind::NotQuiet => ErrorClass::Disquiet,
            HostErrorKind::WrongMachine
            | HostErrorKind::AccessDenied
            | HostErrorKind::HostKey
            | HostErrorKind::BecomeDenied => ErrorClass::NeedsOperator,
            HostErrorKind::Failed | HostErrorKind::Protocol => ErrorClass::Permanent,
        };
        Self { what: what.into(), class, scope: FaultScope::Host, source: Some(Box::new(source)) }
    }

    /// The record of this failure: the chain of causes as text.
    pub fn record(&self) -> StepFailure {
        let mut causes = vec![self.what.clone()];
        let mut next = std::error::Error::source(self);
        while let Some(cause) = next {
            causes.push(cause.to_string());
            next = cause.source();
        }
        StepFailure { class: self.class, scope: self.scope, causes }
    }
}
