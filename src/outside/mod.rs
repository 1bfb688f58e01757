//! Port: what is neither the cloud nor a host, and yet has a part in a rollout: executables of this machine.
//!
//! Nothing here goes through a shell. What an executable is told of a host is a whole argument, an environment variable
//! or JSON, never a piece of a command line. Called by `actions`; `process` is the adapter, `sim::ports` has another.

mod command;
mod kept;
mod process;

use async_trait::async_trait;

pub use command::{Call, CommandError, Ended, Exit, Rung, with_host};
pub use kept::Kept;
pub use process::{ANSWERS_WITHIN, LocalOutside};

use crate::host::PowerOrder;
use crate::http::JsonAnswer;

/// A request to a service of the operator.
#[derive(Debug, Clone, PartialEq)]
pub struct HttpCall {
    /// `GET`, `POST`, `PUT` or `DELETE`.
    pub method: &'static str,
    /// Where.
    pub url: String,
    /// A file of which the content is sent as `Authorization`.
    pub authorization_file: Option<String>,
    /// What is sent, as JSON.
    pub body: Option<serde_json::Value>,
}

/// A way to what is neither the cloud nor a host.
#[async_trait]
pub trait Outside: Send + Sync {
    /// The commands that get a host back which ssh cannot reach, in the order in which they are tried.
    fn rungs(&self) -> &[Rung];

    /// Runs one of them. There is no other way to them: an order to switch a host's power is made of the proof that the
    /// host is quiet.
    async fn climb(&self, order: &PowerOrder, rung: &Rung) -> Ended;

    /// Runs an executable that an added step names.
    async fn run(&self, call: &Call) -> Ended;

    /// Asks a service of the operator. Any status is an answer; an error, in words, when there was none.
    async fn http(&self, call: &HttpCall) -> Result<JsonAnswer, String>;
}
