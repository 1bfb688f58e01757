//! Where journals are, and which run is meant.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::error::CommandError;
use super::exit::Exit;
use super::session::Session;
use crate::config::StateUrl;
use crate::journal::archive::Archive;
use crate::journal::postgres::{LEASE, PostgresJournal};
use crate::journal::sqlite::SqliteJournal;
use crate::journal::{Journal, JournalError, RunListing};
use crate::model::RunId;
use crate::report::Observation;
use crate::run::RunStatus;
use crate::view::Liveness;

/// A runner says every five seconds that it is alive; after four silent turns it is taken for dead.
const SILENCE: Duration = Duration::from_secs(20);

/// Opens the journal, or makes it.
pub async fn open(session: &Session) -> Result<Arc<dyn Journal>, CommandError> {
    Ok(match session.journal()? {
        StateUrl::Sqlite(path) => Arc::new(SqliteJournal::open(&path)?),
        StateUrl::Postgres(url) => Arc::new(PostgresJournal::open(url, session.variable(PASSWORD), LEASE).await?),
    })
}

/// Opens the journal to read it; nothing is made.
pub async fn open_existing(session: &Session) -> Result<Arc<dyn Journal>, CommandError> {
    let nothing_there = |place: &StateUrl| {
        CommandError::usage(format!("there is no journal at `{place}`"))
            .hint("`fleetmend run` makes one; `--state URL` names another")
    };
    let place = session.journal()?;
    find_existing(session).await?.ok_or_else(|| nothing_there(&place))
}

/// Opens the journal to read it; `None` when there is none.
pub async fn find_existing(session: &Session) -> Result<Option<Arc<dyn Journal>>, CommandError> {
    Ok(match session.journal()? {
        StateUrl::Sqlite(path) if !path.exists() => None,
        StateUrl::Sqlite(path) => Some(Arc::new(SqliteJournal::open_existing(&path)?)),
        StateUrl::Postgres(url) => {
            let journal = PostgresJournal::open_existing(url, session.variable(PASSWORD), LEASE).await?;
            journal.map(|journal| Arc::new(journal) as _)
        }
    })
}

/// Opens the journal at `place` to move or remove runs; made when it is not there and `make` is said.
pub async fn open_archive(place: &StateUrl, make: bool, session: &Session) -> Result<Arc<dyn Archive>, CommandError> {
    let nothing_there = || CommandError::usage(format!("there is no journal at `{place}`"));
    let password = session.variable(PASSWORD);
    Ok(match place.clone() {
        StateUrl::Sqlite(path) if make => Arc::new(SqliteJournal::open(&path)?),
        StateUrl::Sqlite(path) if !path.exists() => return Err(nothing_there()),
        StateUrl::Sqlite(path) => Arc::new(SqliteJournal::open_existing(&path)?),
        StateUrl::Postgres(url) if make => Arc::new(PostgresJournal::open(url, password, LEASE).await?),
        StateUrl::Postgres(url) => {
            let journal = PostgresJournal::open_existing(url, password, LEASE).await?;
            Arc::new(journal.ok_or_else(nothing_there)?)
        }
    })
}

/// libpq's variable for the password that an address does not have.
const PASSWORD: &str = "PGPASSWORD";

/// Which run is looked for when none is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Default {
    /// The newest.
    Newest,
    /// The newest that has not ended for good.
    NewestUnfinished,
}

/// The run whose id begins with `prefix`.
pub async fn find(journal: &dyn Journal, prefix: Option<&str>, default: Default) -> Result<RunListing, CommandError> {
    let runs = journal.runs().await?;
    let Some(prefix) = prefix else {
        let wanted = |run: &RunListing| default == Default::Newest || (!run.ended && run.standing.is_here());
        let what = match default {
            Default::Newest => "run",
            Default::NewestUnfinished => "unfinished run",
        };
        return runs.into_iter().find(wanted).ok_or_else(|| {
            CommandError::usage(format!("there is no {what} in {}", journal.place()))
                .hint("`fleetmend runs` lists them")
        });
    };
    let mut found: Vec<RunListing> =
        runs.into_iter().filter(|run| run.run.to_string().starts_with(&prefix.to_lowercase())).collect();
    match (found.pop(), found.is_empty()) {
        (Some(one), true) => Ok(one),
        (None, _) => Err(JournalError::NoRun(prefix.to_owned()).into()),
        (Some(last), false) => {
            let mut names: Vec<String> = found.iter().map(|run| run.run.to_string()).collect();
            names.push(last.run.to_string());
            Err(CommandError::usage(format!("`{prefix}` begins the ids of {} runs", names.len()))
                .hint(format!("write more of one: {}", names.join(", "))))
        }
    }
}

/// What is known of a run's process.
pub async fn observe(
    journal: &dyn Journal,
    run: RunId,
    status: &RunStatus,
    session: &Session,
) -> Result<Observation, CommandError> {
    let heartbeat = journal.heartbeat(run).await?;
    let now = Timestamp::now();
    let alive =
        !matches!(status, RunStatus::Ended(_)) && heartbeat.as_ref().is_some_and(|beat| liveness(session)(beat, now));
    Ok(Observation { now, heartbeat: heartbeat.map(|beat| beat.at), alive })
}

/// How to tell whether the process that sent a heartbeat lives.
pub fn liveness(session: &Session) -> Liveness {
    let name = session.host_name();
    Arc::new(move |beat, now| {
        let heard = Duration::try_from(now.duration_since(beat.at)).unwrap_or_default() < SILENCE;
        let here = beat.runner.host == name;
        heard && (!here || process_exists(beat.runner.pid))
    })
}

/// Whether this machine has a process of that number; `true` where that cannot be told.
fn process_exists(pid: u32) -> bool {
    let processes = Path::new("/proc");
    !processes.join("self").exists() || processes.join(pid.to_string()).exists()
}

/// Runs `work` to its end on a runtime of its own.
pub fn block_on<T>(work: impl Future<Output = Result<T, CommandError>>) -> Result<T, CommandError> {
    tokio::runtime::Runtime::new()
        .map_err(|error| CommandError::doing(Exit::Unexpected, "cannot start the asynchronous runtime", error))?
        .block_on(work)
}
