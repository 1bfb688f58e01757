//! From the command line to an exit code.

use std::process::ExitCode;

use clap::Parser as _;

use super::args::{Cli, Command};
use super::error::CommandError;
use super::exit::Exit;
use super::session::Session;
use super::{
    assess, completions, control, demo, diff, drain, instances, inventory, journal, lab, log, man, marks, output, plan,
    preflight, rehearse, report, run, schema, show, status, view,
};
use crate::journal::Request;

/// Parses the command line, does what it says, and tells how that ended.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(help_or_error) => {
            // A reader of the help that went away is no error.
            let _ = help_or_error.print();
            return if help_or_error.use_stderr() { Exit::Usage.into() } else { Exit::Done.into() };
        }
    };
    let session = Session::new(cli.global);
    log::start(&session.global, session.err);
    match dispatch(&cli.command, &session) {
        Ok(exit) => exit.into(),
        Err(error) => {
            output::tell(error.render(session.err));
            error.exit().into()
        }
    }
}

fn dispatch(command: &Command, session: &Session) -> Result<Exit, CommandError> {
    match command {
        Command::Demo(args) => demo::run(args, session),
        Command::Preflight(args) => preflight::run(args, session),
        Command::Inventory(args) => inventory::run(args, session),
        Command::Plan(args) => plan::run(args, session),
        Command::Assess(args) => assess::run(args, session),
        Command::Instances(args) => instances::run(args, session),
        Command::Show(args) => show::run(args, session),
        Command::Diff(args) => diff::run(args, session),
        Command::Rehearse(args) => rehearse::run(args, session),
        Command::Run(args) => run::begin(args, session),
        Command::Resume(args) => run::resume(args, session),
        Command::Abandon(args) => run::abandon(args, session),
        Command::Drain(args) => drain::run(args, session),
        Command::Marks(args) => marks::run(args, session),
        Command::Status(args) => status::run(args, session),
        Command::View(args) => view::run(args, session),
        Command::Runs => status::runs(session),
        Command::Report(args) => report::run(args, session),
        Command::Pause(args) => control::of_run(args, &Request::Pause, session),
        Command::Continue(args) => control::of_run(args, &Request::Continue, session),
        Command::Stop(args) => control::of_run(args, &Request::Stop, session),
        Command::Approve(args) => control::of_run(args, &Request::Approve, session),
        Command::Skip(args) => control::skip(args, session),
        Command::Retry(args) => control::retry(args, session),
        Command::Limits(args) => control::limits(args, session),
        Command::Journal(args) => journal::run(args, session),
        Command::Lab(args) => lab::run(args, session),
        Command::Schema(args) => schema::run(args),
        Command::Completions(args) => completions::run(args),
        Command::Man(args) => man::run(args, session),
    }
}
