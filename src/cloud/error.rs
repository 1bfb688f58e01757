//! What can go wrong between us and a cloud.

use crate::model::RequestId;

/// A call to the cloud that did not give what was asked for.
#[derive(Debug, thiserror::Error)]
#[error("{operation}{}: {message}{}", status.map(|s| format!(" ({s})")).unwrap_or_default(), request.as_ref().map(|r| format!(" [{r}]")).unwrap_or_default())]
pub struct CloudError {
    /// What was being done, in words: `disable the service of compute-1`.
    pub operation: String,
    /// What kind of failure; decides retry, quarantine, pause.
    pub kind: CloudErrorKind,
    /// HTTP status, where there was an answer.
    pub status: Option<u16>,
    /// The service's own words, or ours where there was no answer.
    pub message: String,
    /// The request's id at the service.
    pub request: Option<RequestId>,
    /// What lies behind it.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Kinds of failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum CloudErrorKind {
    /// The clouds.yaml, the environment or a certificate file cannot be used.
    Configuration,
    /// No connection, or it broke before an answer; the request may have arrived.
    Unreachable,
    /// No answer in time; the request may have arrived.
    TimedOut,
    /// The certificate of one side was refused by the other: no connection comes about, however often it is tried.
    Untrusted,
    /// 401: credentials refused, also after a new login.
    Unauthorized,
    /// 403: the role does not suffice.
    Forbidden,
    /// 404.
    NotFound,
    /// 409: the object is in a state that does not allow it.
    Conflict,
    /// 400 and other 4xx.
    Refused,
    /// 429, also after waiting.
    TooManyRequests,
    /// 5xx.
    Server,
    /// An answer that is not what the API promises.
    Protocol,
    /// The cloud lacks a feature (a microversion, an extension) that is needed.
    Unsupported,
}

impl CloudError {
    /// A failure without an HTTP answer.
    pub fn new(kind: CloudErrorKind, operation: impl Into<String>, message: impl Into<String>) -> Self {
        Self { operation: operation.into(), kind, status: None, message: message.into(), request: None, source: None }
    }

    /// Whether asking again later may help.
    pub fn is_transient(&self) -> bool {
        match self.kind {
            CloudErrorKind::Unreachable
            | CloudErrorKind::TimedOut
            | CloudErrorKind::TooManyRequests
            | CloudErrorKind::Server => true,
            CloudErrorKind::Configuration
            | CloudErrorKind::Untrusted
            | CloudErrorKind::Unauthorized
            | CloudErrorKind::Forbidden
            | CloudErrorKind::NotFound
            | CloudErrorKind::Conflict
            | CloudErrorKind::Refused
            | CloudErrorKind::Protocol
            | CloudErrorKind::Unsupported => false,
        }
    }
}
