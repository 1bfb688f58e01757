//! `fleetmend completions`: a script for a shell.

use clap::{Args, CommandFactory as _};

use super::args::Cli;
use super::error::CommandError;
use super::exit::Exit;
use super::output::print;

/// Arguments of `completions`.
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    /// Which shell
    pub shell: clap_complete::Shell,
}

/// Prints the script.
pub fn run(args: &CompletionsArgs) -> Result<Exit, CommandError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "fleetmend", &mut script);
    print(script)?;
    Ok(Exit::Done)
}
