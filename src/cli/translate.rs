//! Errors of the rooms as a person reads them: exit code, what it means, what to do next.

use super::error::CommandError;
use super::exit::Exit;
use crate::cloud::{CloudError, CloudErrorKind};
use crate::config::ConfigError;
use crate::config::clouds::CloudsError;
use crate::host::ssh::SshSetupError;
use crate::journal::{JournalError, Standing};
use crate::run::{DriveError, RunError};

impl From<ConfigError> for CommandError {
    fn from(error: ConfigError) -> Self {
        let hint = error.hint.clone();
        Self::usage(error).hints(hint)
    }
}

impl From<CloudsError> for CommandError {
    fn from(error: CloudsError) -> Self {
        let hint = error.hint().map(str::to_owned);
        Self::usage(error).hints(hint)
    }
}

impl From<CloudError> for CommandError {
    fn from(error: CloudError) -> Self {
        let (exit, hint) = match error.kind {
            CloudErrorKind::Configuration => (Exit::Usage, None),
            CloudErrorKind::Unreachable | CloudErrorKind::TimedOut => {
                (Exit::Cloud, Some("check `auth_url`, the network and proxies; `-vv` shows what is asked"))
            }
            CloudErrorKind::Untrusted => (
                Exit::Cloud,
                Some(
                    "in clouds.yaml, `cacert` names the authority that signed the service's certificate, `cert` and \
                     `key` name ours",
                ),
            ),
            CloudErrorKind::Unauthorized => (
                Exit::Cloud,
                Some("check the user or application credential, its secret, project and domains in clouds.yaml"),
            ),
            CloudErrorKind::Forbidden => {
                (Exit::Cloud, Some("the role must be `admin`, or one that Nova's policy lets do this"))
            }
            CloudErrorKind::Unsupported
            | CloudErrorKind::NotFound
            | CloudErrorKind::Conflict
            | CloudErrorKind::Refused
            | CloudErrorKind::TooManyRequests
            | CloudErrorKind::Server
            | CloudErrorKind::Protocol => (Exit::Cloud, None),
        };
        Self::new(exit, error).hints(hint.map(str::to_owned))
    }
}

impl From<SshSetupError> for CommandError {
    fn from(error: SshSetupError) -> Self {
        Self::new(Exit::Unexpected, error)
    }
}

impl From<JournalError> for CommandError {
    fn from(error: JournalError) -> Self {
        match &error {
            JournalError::Store { .. } => Self::new(Exit::Unexpected, error)
                .consequence("nothing was changed in the region")
                .hint("`--state sqlite:PATH` keeps the journal somewhere else"),
            JournalError::Newer { .. } => Self::usage(error)
                .consequence("nothing was changed")
                .hint("use the version that wrote it, or a newer one"),
            JournalError::Foreign { .. } => Self::usage(error)
                .consequence("nothing was changed")
                .hint("`--state sqlite:PATH` names a journal, or a file that does not exist yet"),
            JournalError::Later { .. } => Self::usage(error)
                .consequence("a later version wrote it; nothing was changed")
                .hint("use the version that wrote it, or a newer one"),
            JournalError::Tampered { run, .. } => {
                let verify = format!("`fleetmend journal verify {run}` reads all of it; a backup may be whole");
                Self::usage(error).consequence("nothing was changed").hint(verify)
            }
            JournalError::Elsewhere { standing: Standing::MovedTo(place), .. } => {
                let there = format!("`--state {place}` goes on with it");
                Self::new(Exit::Plan, error).consequence("nothing was changed").hint(there)
            }
            JournalError::Elsewhere { .. } => Self::new(Exit::Plan, error)
                .consequence("nothing was changed")
                .hint("the same `fleetmend journal copy` again copies the rest"),
            JournalError::Differs { .. } => Self::new(Exit::Plan, error).consequence("nothing was copied"),
            JournalError::Damaged { .. } => Self::usage(error).consequence("nothing was changed"),
            JournalError::Held { .. } => Self::new(Exit::Held, error)
                .consequence("nothing was changed")
                .hint("`fleetmend status` shows what it does; `fleetmend stop` ends it"),
            JournalError::NoRun(_) => Self::usage(error).hint("`fleetmend runs` lists them"),
            JournalError::OutOfOrder { .. } => Self::new(Exit::Held, error),
            JournalError::NotHeld { .. } => Self::new(Exit::Unexpected, error),
            JournalError::Lost { .. } => Self::new(Exit::Held, error)
                .consequence("nothing more was begun; what is under way goes on by itself")
                .hint("`fleetmend status` shows who goes on with the run"),
        }
    }
}

impl From<RunError> for CommandError {
    fn from(error: RunError) -> Self {
        match error {
            RunError::ForeignMark { hosts, run } => {
                let known = format!(
                    "if that run is ours: `fleetmend resume {run}` goes on with it, `fleetmend abandon {run}` gives its hosts back"
                );
                Self::new(Exit::Held, RunError::ForeignMark { hosts, run })
                    .consequence("nothing was changed")
                    .hint(known)
                    .hint("`--take-over` goes on all the same and leaves those hosts alone")
            }
            RunError::Cloud(source) => Self::doing(Exit::Cloud, "cannot look for marks of other runs", source)
                .consequence("nothing was changed"),
            RunError::Journal(source) => source.into(),
            RunError::Record { .. } => Self::usage(error),
            RunError::Newer { .. } => Self::usage(error)
                .consequence("nothing was changed")
                .hint("use the version that ran it last, or a newer one"),
            RunError::Ended { run } => {
                Self::usage(RunError::Ended { run }).hint(format!("`fleetmend report {run}` tells what happened"))
            }
            RunError::Drive { source: DriveError::Journal(lost @ JournalError::Lost { .. }), .. } => lost.into(),
            RunError::Drive { run, source } => Self::new(Exit::Resumable, RunError::Drive { run, source })
                .consequence("what is under way goes on by itself and is adopted by whoever resumes; nothing was lost")
                .hint(format!("`fleetmend resume {run}` once the cause is mended")),
        }
    }
}
