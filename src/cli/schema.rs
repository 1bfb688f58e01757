//! `fleetmend schema`: JSON Schemas of the files, for editors.

use clap::{Args, ValueEnum};

use super::error::CommandError;
use super::exit::Exit;
use super::output::print_json;
use crate::config::{SchemaKind, schema};

/// Arguments of `schema`.
#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// Which file
    #[arg(value_enum, value_name = "KIND")]
    pub kind: Kind,
}

/// A kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Kind {
    /// What must be true of a host, and how to get there
    Remedy,
    /// How a rollout may go about its work
    Policy,
    /// A plan
    Rollout,
    /// A snapshot of a region
    Region,
}

/// Prints the schema.
pub fn run(args: &SchemaArgs) -> Result<Exit, CommandError> {
    let kind = match args.kind {
        Kind::Remedy => SchemaKind::Remedy,
        Kind::Policy => SchemaKind::Policy,
        Kind::Rollout => SchemaKind::Rollout,
        Kind::Region => SchemaKind::Region,
    };
    print_json(&schema(kind))?;
    Ok(Exit::Done)
}
