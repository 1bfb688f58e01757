//! `fleetmend status`, `fleetmend runs`: where runs stand.

use std::time::Duration;

use clap::Args;
use serde::Serialize;

use super::error::CommandError;
use super::exit::Exit;
use super::output::{print, print_json};
use super::session::Session;
use super::store::{self, Default as Which};
use super::ui::screen::Screen;
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
        let listing = store::find(journal.as_ref(), args.run.as_deref(), Which::Newest).await?;
        let mut watch = Watch::default();
        loop {
            let (summary, observation) = look(journal.as_ref(), listing.run, session).await?;
            let is_last = !args.watch || !observation.alive;
            if as_json {
                watch.json(&summary, args.watch)?;
            } else {
                let text = status::text(&summary, observation.now, session.out);
                watch.text(&text, is_last, session)?;
            }
            if is_last {
                return Ok(Exit::Done);
            }
            tokio::select! {
                () = tokio::time::sleep(WATCH_EVERY) => {}
                interrupted = tokio::signal::ctrl_c() => {
                    interrupted.map_err(|error| CommandError::doing(Exit::Unexpected, "cannot wait for signals", error))?;
                    watch.leave(session)?;
                    return Ok(Exit::Done);
                }
            }
        }
    })
}

/// What was shown so far.
#[derive(Default)]
struct Watch {
    screen: Option<Screen>,
    shown: String,
}

impl Watch {
    /// On a terminal that can redraw, the text replaces the former one; elsewhere it is printed again when it has changed.
    fn text(&mut self, text: &str, is_last: bool, session: &Session) -> Result<(), CommandError> {
        let is_new = text != self.shown;
        text.clone_into(&mut self.shown);
        if is_last {
            self.screen = None;
            return if is_new || redraws(session) { print(text) } else { Ok(()) };
        }
        if redraws(session) {
            if self.screen.is_none() {
                self.screen = Some(Screen::enter()?);
            }
            return self.screen.as_ref().map_or(Ok(()), |screen| screen.draw(text));
        }
        if is_new { print(text) } else { Ok(()) }
    }

    /// One object; while it is watched, one a line when it has changed.
    fn json(&mut self, summary: &Summary, watched: bool) -> Result<(), CommandError> {
        if !watched {
            return print_json(summary);
        }
        let line = serde_json::to_string(summary)
            .map_err(|error| CommandError::doing(Exit::Unexpected, "cannot write JSON", error))?;
        if line == self.shown {
            return Ok(());
        }
        print(line.clone() + "\n")?;
        self.shown = line;
        Ok(())
    }

    /// Gives the terminal back, with what was shown last.
    fn leave(&mut self, session: &Session) -> Result<(), CommandError> {
        self.screen = None;
        if redraws(session) { print(&self.shown) } else { Ok(()) }
    }
}

fn redraws(session: &Session) -> bool {
    session.out_is_terminal && session.variable("TERM") != Some("dumb")
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
