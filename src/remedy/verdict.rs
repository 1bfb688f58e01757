//! The verdict on one host, with each piece of evidence.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the facts of a host say about a remedy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// The conclusion.
    pub verdict: VerdictKind,
    /// Each requirement, in the remedy's order.
    pub evidence: Vec<Evidence>,
}

/// The conclusion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum VerdictKind {
    /// Every requirement passes.
    Mitigated,
    /// At least one requirement fails.
    Vulnerable,
    /// The processor does not have the flaw.
    NotAffected,
    /// Something that decides could not be seen.
    Unknown,
}

/// One requirement held against the facts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Evidence {
    /// The requirement, in words: `kernel at least 4.18.0-80.1.2.el8_0`.
    pub requirement: String,
    /// Where it was looked for: `rpm`, `/sys/devices/system/cpu/vulnerabilities/mds`.
    pub source: String,
    /// What was found; `None` when nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    /// Pass, warn, fail, not applicable or unknown.
    pub outcome: Outcome,
}

/// How a requirement came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Holds.
    Pass,
    /// Holds, with a remark that people must see.
    Warn,
    /// Does not hold.
    Fail,
    /// Does not concern this host.
    NotApplicable,
    /// Could not be seen.
    Unknown,
}
