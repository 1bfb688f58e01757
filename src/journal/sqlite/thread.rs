//! The connection to the file, on a thread of its own.

use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use rusqlite::Connection;
use tokio::sync::oneshot;

use super::schema;
use crate::journal::{JournalError, JournalResult};

/// How long another process's transaction is waited for.
const BUSY: Duration = Duration::from_secs(10);

type Work = Box<dyn FnOnce(&mut Connection) + Send>;

/// Where work on the file is done, one piece after the other.
pub(super) struct Thread {
    path: PathBuf,
    work: mpsc::Sender<Work>,
}

impl Thread {
    /// Opens the file; makes it when `create`.
    pub(super) fn start(path: &Path, create: bool) -> JournalResult<Self> {
        let mut connection = connect(path, create)?;
        let (work, inbox) = mpsc::channel::<Work>();
        std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || {
                for work in inbox {
                    work(&mut connection);
                }
            })
            .map_err(|source| store("open", path, source))?;
        Ok(Self { path: path.to_owned(), work })
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Does `work` there; `operation` says in words what it does.
    pub(super) async fn run<T, F>(&self, operation: &'static str, work: F) -> JournalResult<T>
    where
        T: Send + 'static,
        F: FnOnce(&mut Connection) -> Result<T, Failure> + Send + 'static,
    {
        let (answer, answered) = oneshot::channel();
        let path = self.path.clone();
        let task: Work = Box::new(move |connection| {
            let result = work(connection).map_err(|failure| match failure {
                Failure::Sqlite(source) => store(operation, &path, source),
                Failure::Journal(error) => error,
            });
            // Whoever asked may have been cancelled; the work is done all the same.
            let _ = answer.send(result);
        });
        let gone = || store(operation, &self.path, "the journal's thread has ended");
        self.work.send(task).map_err(|_| gone())?;
        answered.await.map_err(|_| gone())?
    }
}

/// What a piece of work on the journal's thread can fail with.
pub(super) enum Failure {
    Sqlite(rusqlite::Error),
    Journal(JournalError),
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<JournalError> for Failure {
    fn from(error: JournalError) -> Self {
        Self::Journal(error)
    }
}

pub(super) fn store(
    operation: &'static str,
    path: &Path,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> JournalError {
    JournalError::Store { operation, place: path.display().to_string(), source: source.into() }
}

fn connect(path: &Path, create: bool) -> JournalResult<Connection> {
    let flags = if create {
        rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE | rusqlite::OpenFlags::SQLITE_OPEN_CREATE
    } else {
        rusqlite::OpenFlags::SQLITE_OPEN_READ_WRITE
    };
    let open = || -> Result<Connection, rusqlite::Error> {
        let connection = Connection::open_with_flags(path, flags | rusqlite::OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        connection.busy_timeout(BUSY)?;
        Ok(connection)
    };
    let mut connection = open().map_err(|source| store("open", path, source))?;
    let prepared = schema::prepare(&mut connection, path);
    prepared.map_err(|failure| match failure {
        Failure::Sqlite(source) => store("open", path, source),
        Failure::Journal(error) => error,
    })?;
    Ok(connection)
}
