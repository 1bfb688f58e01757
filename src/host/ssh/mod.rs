//! Adapter: hosts through the system's `ssh`, so that its configuration, jump hosts, agents and certificates work as
//! operators have them.
//!
//! Every operation is one call of `ssh` with a fixed script of `scripts/` on standard input and quoted arguments; what the
//! script answers is framed (`wire`), so that nothing a host prints is mistaken for an answer. Called through the port
//! [`super::HostShell`]; decides nothing itself.

mod failure;
mod script;
mod settings;
mod shell;
mod status;
mod transport;
mod wire;

pub use settings::{Become, ExecSettings, HostAddress, SshSettings};
pub use shell::{SshSetupError, SshShell};
