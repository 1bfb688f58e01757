//! `fleetmend status`, `fleetmend runs`: where runs stand.

use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::error::CommandError;
use super::exit::Exit;
use super::output::{print, print_json};
use super::session::Session;
use super::store::{self, Default};
use crate::journal::{Journal, RunListing};
use crate::model::RunId;
use crate::report::{Lean, Observation, Summary, Table, status};
use crate::run;

/// How often `--watch` looks: as often as a runner looks for requests.
const WATCH_EVERY: Duration = Duration::from_secs(1);

/// Arguments of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Beginning of the run's id [default: the newest]
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
    /// Go on showing until the run's process has ended
    #[arg(long)]
    pub watch: bool,
}

/// Prints where a run stands.
pub fn run(args: &StatusArgs, session: &Session) -> Result<Exit, CommandError> {
    let as_json = session.json("status")?;
    store::block_on(async {
        let journal = store::open_existing(session).await?;
        let listing = store::find(journal.as_ref(), args.run.as_deref(), Default::Newest).await?;
        let mut shown = String::new();
        loop {
            let (summary, observation) = look(journal.as_ref(), listing.run, session).await?;
            if as_json {
                print_json(&summary)?;
            } else {
                let text = status::text(&summary, observation.now, session.out);
                print(if args.watch { redrawn(&text, &mut shown, session) } else { text })?;
            }
            if !args.watch || !observation.alive {
                return Ok(Exit::Done);
            }
            tokio::time::sleep(WATCH_EVERY).await;
        }
    })
}

/// Where a run stands, as its journal tells it.
pub async fn look(
    journal: &dyn Journal,
    run: RunId,
    session: &Session,
) -> Result<(Summary, Observation), CommandError> {
    let state = run::load(journal, run).await?;
    let observation = store::observe(journal, run, state.status(), session).await?;
    Ok((Summary::of(&state, &observation), observation))
}

/// On a terminal the text replaces the former one; elsewhere it is printed again when it has changed.
fn redrawn(text: &str, shown: &mut String, session: &Session) -> String {
    /// Cursor to the top left corner, everything below it cleared.
    const HOME_AND_CLEAR: &str = "\u{1b}[H\u{1b}[J";
    if session.out_is_terminal {
        return format!("{HOME_AND_CLEAR}{text}");
    }
    if text == shown {
        return String::new();
    }
    text.clone_into(shown);
    text.to_owned()
}

/// A line of the list of runs.
#[derive(Debug, Serialize)]
struct RunLine {
    #[serde(flatten)]
    listing: RunListing,
    outcome: &'static str,
    done: usize,
    total: usize,
}

/// Prints all runs, newest first.
pub fn runs(session: &Session) -> Result<Exit, CommandError> {
    let as_json = session.json("runs")?;
    let lines = store::block_on(async {
        let journal = store::open_existing(session).await?;
        let mut lines = Vec::new();
        for listing in journal.runs().await? {
            let (summary, _) = look(journal.as_ref(), listing.run, session).await?;
            let hosts = summary.hosts;
            lines.push(RunLine { listing, outcome: summary.outcome, done: hosts.done, total: hosts.total });
        }
        Ok(lines)
    })?;
    if as_json {
        print_json(&lines)?;
    } else {
        let mut table = Table::new(&[
            ("run", Lean::Left),
            ("region", Lean::Left),
            ("begun", Lean::Left),
            ("outcome", Lean::Left),
            ("hosts done", Lean::Right),
        ]);
        for line in &lines {
            table.row([
                line.listing.run.to_string(),
                line.listing.region.clone(),
                format!("{:.0}", line.listing.created),
                line.outcome.to_owned(),
                format!("{} of {}", line.done, line.total),
            ]);
        }
        print(table.render(0, |heading| session.out.dim(heading)))?;
    }
    Ok(Exit::Done)
}
