//! `fleetmend report`: what happened in a run, with evidence.

use clap::Args;

use super::args::Format;
use super::error::CommandError;
use super::exit::Exit;
use super::output::{Sink, json};
use super::session::Session;
use super::store::{self, Default};
use crate::journal::Journal;
use crate::model::RunId;
use crate::report::{History, Report, html, markdown, trace};
use crate::run;

/// Arguments of `report`.
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Beginning of the run's id [default: the newest]
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
    /// Write to this file instead of standard output
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub output: Sink,
}

/// Prints or writes the report.
pub fn run(args: &ReportArgs, session: &Session) -> Result<Exit, CommandError> {
    let format = session.format("report", &[Format::Markdown, Format::Json, Format::Html, Format::Trace])?;
    args.output.check()?;
    let report = store::block_on(async {
        let journal = store::open_existing(session).await?;
        let listing = store::find(journal.as_ref(), args.run.as_deref(), Default::Newest).await?;
        tell(journal.as_ref(), listing.run, session).await
    })?;
    args.output.write(render(&report, format)?.as_bytes())?;
    Ok(Exit::Done)
}

/// The report of a run, as its journal tells it.
pub async fn tell(journal: &dyn Journal, run: RunId, session: &Session) -> Result<Report, CommandError> {
    let state = run::load(journal, run).await?;
    let observation = store::observe(journal, run, state.status(), session).await?;
    let history = History::replay(state.rollout(), &journal.events(run, 1).await?);
    Ok(Report::of(&state, &history, &observation))
}

/// The report as text.
pub fn render(report: &Report, format: Format) -> Result<String, CommandError> {
    match format {
        Format::Json => json(report),
        Format::Trace => json(&trace::trace(report)),
        Format::Html => {
            html::report(report).map_err(|error| CommandError::doing(Exit::Unexpected, "cannot make the page", error))
        }
        Format::Markdown | Format::Text | Format::Dot | Format::Mermaid | Format::Csv => Ok(markdown::report(report)),
    }
}
