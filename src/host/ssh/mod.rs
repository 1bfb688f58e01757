//! Adapter: hosts through the system's `ssh`, so that its configuration, jump hosts, agents and certificates work as
//! operators have them.

mod settings;

pub use settings::{Become, ExecSettings, HostAddress, SshSettings};
