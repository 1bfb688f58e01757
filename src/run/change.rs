//! What was asked of the region or of a host, as the trail keeps it. Pure.

use serde::{Deserialize, Serialize};

use crate::model::{Digest, RequestId};

/// A change that was asked for, with its answer; or a job on a host that has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// What, in words: `live-migrate an instance`.
    pub what: String,
    /// Of which service, instance, host or unit.
    pub of: String,
    /// What belongs to it: a target, a reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with: Option<String>,
    /// How it was answered.
    pub answer: Answer,
    /// The request's id, as the cloud keeps it in its logs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<RequestId>,
    /// Exit status of a job that ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<i32>,
    /// Digest of what that job said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

/// How a change was answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// It was accepted; whether it happened the step's output tells.
    Accepted,
    /// It was refused, and did nothing.
    Refused(String),
    /// No answer came: it may have arrived.
    Unknown(String),
}

impl Answer {
    /// In a word.
    pub fn label(&self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Refused(_) => "refused",
            Self::Unknown(_) => "unknown",
        }
    }

    /// Why it was not accepted.
    pub fn why(&self) -> Option<&str> {
        match self {
            Self::Accepted => None,
            Self::Refused(why) | Self::Unknown(why) => Some(why),
        }
    }
}
