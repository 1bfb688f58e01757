//! The remedy file's model.

use serde::{Deserialize, Serialize};

/// The file kind of a remedy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RemedyKind {
    /// The only value.
    #[default]
    Remedy,
}

/// What must be true of a host (evidence), and how to get there (packages, config, reboot).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Remedy {
    /// Version of the file format; 1.
    pub format: u32,
    /// Always `remedy`.
    pub kind: RemedyKind,
    /// Short name, as `--remedy` takes it.
    pub name: String,
}
