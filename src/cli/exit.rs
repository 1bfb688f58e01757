//! Exit codes: part of what scripts may rely on.

use std::process::ExitCode;

/// How a command ended, as the process's exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Something that no other code describes.
    Unexpected = 1,
    /// Usage, or a file that cannot be read as what it should be.
    Usage = 2,
    /// The plan has fatal notes, is stale beyond tolerance, or cannot be done.
    Plan = 3,
    /// The run came to its end and some hosts failed or are quarantined.
    Failures = 4,
    /// Paused, stopped or interrupted.
    Resumable = 5,
    /// Another runner holds this region.
    Held = 6,
    /// The cloud is unreachable or refused the credentials.
    Cloud = 7,
    /// Done, and hosts in scope remain vulnerable.
    Vulnerable = 8,
}

impl Exit {
    /// All of them, in order of code.
    pub const ALL: [Self; 9] = [
        Self::Done,
        Self::Unexpected,
        Self::Usage,
        Self::Plan,
        Self::Failures,
        Self::Resumable,
        Self::Held,
        Self::Cloud,
        Self::Vulnerable,
    ];

    /// The number that the shell sees.
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// What it says, in words; the reference page and `--help` print this.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Unexpected => "unexpected error",
            Self::Usage => "usage, or a file that cannot be read as what it should be",
            Self::Plan => "the plan has fatal notes, is stale beyond tolerance, or cannot be done",
            Self::Failures => "finished, and some hosts failed or are quarantined",
            Self::Resumable => "paused, stopped or interrupted; `fleetmend resume` goes on",
            Self::Held => "another runner holds this region",
            Self::Cloud => "the cloud is unreachable or refused the credentials",
            Self::Vulnerable => "done, but hosts in scope remain vulnerable (skipped, excluded, blocked)",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
