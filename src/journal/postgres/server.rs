//! The way to the database, and what can fail on it.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;
use tokio_postgres::{Client, NoTls};

use super::address::{PostgresUrl, Trust};
use super::{ANSWER_LIMIT, tls};
use crate::journal::JournalError;

/// How long the database may take to let us in.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);

/// Where the database is and how to get in.
#[derive(Clone)]
pub(super) struct Server {
    pub(super) url: PostgresUrl,
    pub(super) password: Option<Arc<str>>,
}

/// What an operation can fail with.
#[derive(Debug)]
pub(super) enum Failure {
    Database(tokio_postgres::Error),
    NoAnswer(Duration),
    Journal(JournalError),
}

impl From<tokio_postgres::Error> for Failure {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Database(error)
    }
}

impl From<JournalError> for Failure {
    fn from(error: JournalError) -> Self {
        Self::Journal(error)
    }
}

impl Failure {
    /// Whether another connection may get on: the server went away, or is on its way up or down.
    pub(super) fn is_passing(&self) -> bool {
        match self {
            Self::Database(error) => match error.code() {
                // Shutting down or starting up; too many connections; a server that is a read-only copy for the moment.
                Some(code) => code.code().starts_with("57P") || ["53300", "25006"].contains(&code.code()),
                None => error.is_closed() || error.as_db_error().is_none(),
            },
            Self::NoAnswer(_) => true,
            Self::Journal(_) => false,
        }
    }
}

impl Server {
    pub(super) fn place(&self) -> String {
        self.url.to_string()
    }

    pub(super) fn store(
        &self,
        operation: &'static str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> JournalError {
        JournalError::Store { operation, place: self.place(), source: source.into() }
    }

    pub(super) async fn connect(&self) -> Result<Client, Failure> {
        timeout(CONNECT_LIMIT, self.let_in()).await.unwrap_or(Err(Failure::NoAnswer(CONNECT_LIMIT)))
    }

    async fn let_in(&self) -> Result<Client, Failure> {
        let mut config = self.url.config(self.password.as_deref()).map_err(|why| self.store("open", why))?;
        config.connect_timeout(CONNECT_LIMIT).tcp_user_timeout(ANSWER_LIMIT);
        let client = match self.url.trust() {
            Trust::None => {
                let (client, connection) = config.connect(NoTls).await?;
                tokio::spawn(connection);
                client
            }
            Trust::Certificate(file) => {
                let tls = tls::Tls::trusting(file.as_deref()).map_err(|why| self.store("open", why))?;
                let (client, connection) = config.connect(tls).await?;
                tokio::spawn(connection);
                client
            }
        };
        // Durable on return, whatever the server's default is; weaker only where its keeper chose a stronger word.
        client.batch_execute("SET synchronous_commit = on; SET TIME ZONE 'UTC'").await?;
        Ok(client)
    }
}

pub(super) fn told(server: &Server, operation: &'static str, failure: Failure) -> JournalError {
    match failure {
        Failure::Database(error) => server.store(operation, in_words(error)),
        Failure::NoAnswer(limit) => server.store(operation, format!("no answer within {} s", limit.as_secs())),
        Failure::Journal(error) => error,
    }
}

/// The server's own words, which the crate keeps beneath its own.
fn in_words(error: tokio_postgres::Error) -> Box<dyn std::error::Error + Send + Sync> {
    match error.as_db_error() {
        Some(said) => format!("{} ({})", said.message(), said.code().code()).into(),
        None => Box::new(error),
    }
}
