//! YAML and JSON text to typed values, and back. The only room that knows the YAML crate.
//!
//! Every mistake has a place (`file:line:column`) and, where one word is close to what was written, a "did you mean".
//! Reads no environment, and opens no file but the ones that [`clouds`] finds as openstacksdk does: callers bring text
//! and a name for it.

pub mod clouds;
mod configuration;
mod error;
mod files;
mod notices;
mod schema;
pub mod shipped;
mod text;

pub use configuration::{Configuration, StateUrl, read_configuration};
pub use error::ConfigError;
pub use files::{
    read_conditions, read_policy, read_region, read_remedy, read_rollout, read_scenario, write_region, write_rollout,
};
pub use schema::{SchemaKind, schema};
