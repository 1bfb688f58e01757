//! What can go wrong between us and a host.

use crate::model::HostName;

/// An operation on a host that did not come to its end.
#[derive(Debug, thiserror::Error)]
#[error("{host}: {operation}: {message}")]
pub struct HostError {
    /// Where.
    pub host: HostName,
    /// What was being done, in words: `collect facts`.
    pub operation: String,
    /// What kind of failure.
    pub kind: HostErrorKind,
    /// The host's or ssh's own words, cleaned for display.
    pub message: String,
}

/// Kinds of failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum HostErrorKind {
    /// No connection, or it broke: timed out, no route, refused, name unknown.
    Unreachable,
    /// ssh was refused: key, user, permissions.
    AccessDenied,
    /// The host key is unknown or changed.
    HostKey,
    /// The command took longer than its limit.
    TimedOut,
    /// Another machine answered. Never retried.
    WrongMachine,
    /// The last check before a reboot found the host not quiet.
    NotQuiet,
    /// sudo was refused.
    BecomeDenied,
    /// The command ran and failed.
    Failed,
    /// The answer is not what the script prints.
    Protocol,
}

impl HostError {
    /// An error of `kind` on `host` while doing `operation`.
    pub fn new(host: &HostName, operation: impl Into<String>, kind: HostErrorKind, message: impl Into<String>) -> Self {
        Self { host: host.clone(), operation: operation.into(), kind, message: message.into() }
    }

    /// Whether trying again later may help.
    pub fn is_transient(&self) -> bool {
        match self.kind {
            HostErrorKind::Unreachable | HostErrorKind::TimedOut => true,
            HostErrorKind::AccessDenied
            | HostErrorKind::HostKey
            | HostErrorKind::WrongMachine
            | HostErrorKind::NotQuiet
            | HostErrorKind::BecomeDenied
            | HostErrorKind::Failed
            | HostErrorKind::Protocol => false,
        }
    }
}
