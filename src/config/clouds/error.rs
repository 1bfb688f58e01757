//! What is wrong with a cloud's configuration, and where.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

/// Where a setting was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In a file.
    File {
        /// Which.
        path: Arc<Path>,
        /// Line, from 1.
        line: u64,
        /// Column in characters, from 1.
        column: u64,
    },
    /// In an environment variable.
    Variable(String),
    /// On the command line.
    Argument(&'static str),
    /// A setting of the configuration file.
    Configuration(&'static str),
    /// Nowhere: openstacksdk's default.
    Default,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line, column } => write!(f, "{}:{line}:{column}", path.display()),
            Self::Variable(name) => f.write_str(name),
            Self::Argument(name) => f.write_str(name),
            Self::Configuration(setting) => write!(f, "`{setting}` of the configuration file"),
            Self::Default => f.write_str("default"),
        }
    }
}

/// A cloud's configuration that cannot be used. Never holds a value that might be secret.
#[derive(Debug, thiserror::Error)]
#[error("{}{message}", place.as_ref().map(|place| format!("{place}: ")).unwrap_or_default())]
pub struct CloudsError {
    place: Option<Place>,
    message: String,
    hint: Option<String>,
    #[source]
    source: Option<std::io::Error>,
}

impl CloudsError {
    /// Something wrong at `place`.
    pub(super) fn at(place: &Place, message: impl Into<String>) -> Self {
        Self { place: Some(place.clone()), ..Self::new(message) }
    }

    /// Something wrong that no single place explains.
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self { place: None, message: message.into(), hint: None, source: None }
    }

    /// A file that cannot be read.
    pub(super) fn unreadable(path: &Path, source: std::io::Error) -> Self {
        Self { source: Some(source), ..Self::new(format!("cannot read `{}`", path.display())) }
    }

    /// Adds what to do about it.
    pub(super) fn hinting(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Where it is, if one place explains it.
    pub fn place(&self) -> Option<&Place> {
        self.place.as_ref()
    }

    /// What to do about it.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }
}
