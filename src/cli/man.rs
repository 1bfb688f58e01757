//! `fleetmend man`: manual pages, and the reference page as Markdown.

use std::path::{Path, PathBuf};

use clap::{Args, CommandFactory as _};

use super::args::{Cli, Format};
use super::error::CommandError;
use super::exit::Exit;
use super::output::print;
use super::reference;
use super::session::Session;

/// Arguments of `man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Write one page a command into this folder
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

/// Prints or writes.
pub fn run(args: &ManArgs, session: &Session) -> Result<Exit, CommandError> {
    let markdown = session.format("man", &[Format::Text, Format::Markdown])? == Format::Markdown;
    match &args.dir {
        Some(_) if markdown => return Err(CommandError::usage("`--dir` writes manual pages, not markdown")),
        Some(dir) => write_pages(dir)?,
        None if markdown => print(reference::page())?,
        None => print(page(Cli::command())?)?,
    }
    Ok(Exit::Done)
}

fn page(command: clap::Command) -> Result<Vec<u8>, CommandError> {
    let mut text = Vec::new();
    clap_mangen::Man::new(command)
        .render(&mut text)
        .map_err(|error| CommandError::doing(Exit::Unexpected, "cannot render the manual page", error))?;
    Ok(text)
}

fn write_pages(dir: &Path) -> Result<(), CommandError> {
    std::fs::create_dir_all(dir)
        .and_then(|()| clap_mangen::generate_to(Cli::command(), dir))
        .map_err(|error| CommandError::doing(Exit::Unexpected, format!("cannot write into `{}`", dir.display()), error))
}
