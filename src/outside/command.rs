//! Executables of this machine: how they are named, called, and how they end.

use std::fmt;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Kept;
use crate::model::{HostName, Span};

/// A command that gets a host back which ssh cannot reach: one rung of the ladder that the operator configures.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Rung {
    /// An executable by its whole path, and its arguments; `{host}` in an argument stands for the host's name.
    pub command: Vec<String>,
    /// How long it may take.
    pub timeout: Span,
}

/// A call of an executable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The executable by its whole path, and its arguments, as it gets them.
    pub words: Vec<String>,
    /// What it reads.
    pub input: String,
    /// Environment variables beside those of this process.
    pub environment: Vec<(&'static str, String)>,
    /// How long it may take.
    pub limit: Duration,
}

/// How a call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// How.
    pub exit: Exit,
    /// What it wrote to its standard output, up to a limit.
    pub stdout: String,
    /// What is kept of all that it wrote.
    pub kept: Kept,
}

/// How an executable ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Exit {
    /// With this status.
    Status(i32),
    /// A signal ended it.
    Killed,
    /// It took too long and was ended.
    TimedOut(Duration),
    /// It was never started.
    NotStarted(String),
}

impl Exit {
    /// Whether it says of itself that it did what it was asked.
    pub fn is_success(&self) -> bool {
        *self == Self::Status(0)
    }
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "ended with status {status}"),
            Self::Killed => f.write_str("was ended by a signal"),
            Self::TimedOut(limit) => write!(f, "was ended after {} s", limit.as_secs()),
            Self::NotStarted(why) => write!(f, "could not be started: {why}"),
        }
    }
}

impl Ended {
    /// A call that came to nothing.
    pub fn not_started(why: impl Into<String>) -> Self {
        Self { exit: Exit::NotStarted(why.into()), stdout: String::new(), kept: Kept::of(b"") }
    }

    /// How it ended and its last words, on one line.
    pub fn words(&self) -> String {
        if self.kept.tail.is_empty() { self.exit.to_string() } else { format!("{}: {}", self.exit, self.kept.words()) }
    }
}

/// Why a command cannot be called.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// A program without a path is looked for wherever the environment of the moment says.
    #[error("`{}` is no whole path of an executable", .0.escape_debug())]
    NotAbsolute(String),
    /// The host's name could be taken for something else than a name.
    #[error("`{}` is no name that a command may be given: letters, digits, `.`, `-` and `_` only", .0.escape_debug())]
    HostName(String),
}

/// `words` with the host's name in the place of `{host}`.
///
/// Host names come from Nova. One that begins with a dash would be an option of the command, and one with other
/// characters may mean something to whatever the command hands it to.
pub fn with_host(words: &[String], host: &HostName) -> Result<Vec<String>, CommandError> {
    let program = words.first().map(String::as_str).unwrap_or_default();
    if !program.starts_with('/') {
        return Err(CommandError::NotAbsolute(program.to_owned()));
    }
    let name = host.as_str();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) || !name.chars().all(is_plain) {
        return Err(CommandError::HostName(name.to_owned()));
    }
    let mut out = vec![program.to_owned()];
    out.extend(words[1..].iter().map(|word| word.replace("{host}", name)));
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_a_whole_argument_or_no_argument_at_all() {
        let words: Vec<String> = ["/bin/cycle", "--host={host}", "{host}", "$HOME"].map(str::to_owned).into();
        let called = with_host(&words, &HostName::new("compute-7.example")).unwrap();
        assert_eq!(called, ["/bin/cycle", "--host=compute-7.example", "compute-7.example", "$HOME"]);
        for name in ["-rf", "a b", "a;reboot", "$(id)", "a\nb", "", "a:b", "*", "\u{1b}[2J", "all,other"] {
            let error = with_host(&words, &HostName::new(name)).unwrap_err().to_string();
            assert!(error.contains("no name that a command may be given"), "{error}");
            assert!(!error.contains('\u{1b}') && !error.contains('\n'), "{error}");
        }
        for program in ["cycle", "./cycle", ""] {
            assert!(with_host(&[program.to_owned()], &HostName::new("a")).is_err(), "{program}");
        }
    }
}
