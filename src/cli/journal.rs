//! `fleetmend journal copy`, `vacuum`, `verify`: moving, trimming and proving journals.

use std::path::absolute;

use clap::{Args, Subcommand};
use jiff::Timestamp;
use serde::Serialize;

use super::confirm;
use super::error::CommandError;
use super::exit::Exit;
use super::output::{print, print_json, tell};
use super::session::Session;
use super::store::{self, Default};
use crate::config::StateUrl;
use crate::journal::JournalError;
use crate::journal::archive::{self, Archive, Verified};
use crate::model::{Digest, RunId, Span};
use crate::report::count;
use crate::run::Runner;

/// Arguments of `journal`.
#[derive(Debug, Args)]
pub struct JournalArgs {
    /// What to do with it.
    #[command(subcommand)]
    pub command: JournalCommand,
}

/// What can be done with a journal.
#[derive(Debug, Subcommand)]
pub enum JournalCommand {
    /// Copy runs to another journal, where they go on from then: the one they came from only tells of them
    ///
    /// The copy is held against the source event by event before it counts. Killed half-way, the same command again goes on.
    /// Refused while a runner holds a run's region.
    Copy(CopyArgs),
    /// Remove runs that ended long ago
    Vacuum(VacuumArgs),
    /// Hold every event against the chain of digests, and name the first that is not what was written
    Verify(VerifyArgs),
}

/// Arguments of `journal copy`.
#[derive(Debug, Args)]
pub struct CopyArgs {
    /// Beginning of the run's id
    #[arg(value_name = "RUN", required_unless_present = "all")]
    pub run: Option<String>,
    /// Every run that goes on there or has ended there
    #[arg(long, conflicts_with = "run")]
    pub all: bool,
    /// Where they are, `sqlite:PATH` or `postgres://USER@HOST/DATABASE`
    #[arg(long, value_name = "URL")]
    pub from: String,
    /// Where they go; the journal is made when it is not there
    #[arg(long, value_name = "URL")]
    pub to: String,
}

/// Arguments of `journal vacuum`.
#[derive(Debug, Args)]
pub struct VacuumArgs {
    /// Runs that ended so long ago, for example `90d`
    #[arg(long, value_name = "TIME", default_value = "90d")]
    pub older_than: Span,
    /// Only say what would be removed
    #[arg(long)]
    pub dry_run: bool,
    /// Do it without asking
    #[arg(long)]
    pub yes: bool,
}

/// Arguments of `journal verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Beginning of the run's id [default: every run]
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
}

/// Does what was asked of the journal.
pub fn run(args: &JournalArgs, session: &Session) -> Result<Exit, CommandError> {
    match &args.command {
        JournalCommand::Copy(args) => copy(args, session),
        JournalCommand::Vacuum(args) => vacuum(args, session),
        JournalCommand::Verify(args) => verify(args, session),
    }
}

fn runner(session: &Session) -> Runner {
    Runner { host: session.host_name(), pid: std::process::id(), version: env!("CARGO_PKG_VERSION").to_owned() }
}

/// What one run came to.
#[derive(Debug, Serialize)]
struct Line {
    run: RunId,
    events: u64,
    chained_from: Option<u64>,
    head: Option<Digest>,
}

impl Line {
    fn of(run: RunId, verified: Verified) -> Self {
        let (chained_from, head) = verified.head.unzip();
        Self { run, events: verified.events, chained_from, head }
    }

    fn words(&self) -> String {
        let Self { run, events, chained_from, head } = self;
        let events = count(usize::try_from(*events).unwrap_or(usize::MAX), "event");
        let chained = match (chained_from, head) {
            (Some(1), Some(head)) => format!("the last digest is {head}"),
            (Some(first), Some(head)) => format!("chained from event {first} on, the last digest is {head}"),
            (None, _) | (_, None) => "without digests: written by a version that had none".to_owned(),
        };
        format!("{run}: {events}, {chained}")
    }
}

fn copy(args: &CopyArgs, session: &Session) -> Result<Exit, CommandError> {
    let as_json = session.json("journal copy")?;
    let (from, to) = (place(&args.from, "--from", session)?, place(&args.to, "--to", session)?);
    if from == to {
        return Err(CommandError::usage("`--from` and `--to` are the same journal"));
    }
    store::block_on(async {
        let from = store::open_archive(&from, false, session).await?;
        let to = store::open_archive(&to, true, session).await?;
        let wanted = match &args.run {
            Some(prefix) => vec![store::find(from.as_ref(), Some(prefix), Default::Newest).await?.run],
            None => all_of(from.as_ref(), &to.place()).await?,
        };
        let mut lines = Vec::new();
        for run in wanted {
            let copied = archive::copy(from.as_ref(), to.as_ref(), run, &runner(session)).await.map_err(held)?;
            let line = Line::of(run, copied.verified);
            if !as_json {
                print(format!("{}; copied to {}\n", line.words(), to.place()))?;
            }
            lines.push(line);
        }
        if as_json {
            print_json(&lines)?;
        } else if lines.is_empty() {
            tell(format!("{} has no run that is not copied yet\n", from.place()));
        }
        Ok(Exit::Done)
    })
}

/// Oldest first, those whose copy was begun included.
async fn all_of(from: &dyn Archive, to: &str) -> Result<Vec<RunId>, CommandError> {
    let goes_on = |standing: &crate::journal::Standing| match standing {
        crate::journal::Standing::Here => true,
        crate::journal::Standing::MovedTo(place) => place == to,
        crate::journal::Standing::Arriving => false,
    };
    let runs = from.runs().await?;
    Ok(runs.into_iter().rev().filter(|listing| goes_on(&listing.standing)).map(|listing| listing.run).collect())
}

fn held(error: JournalError) -> CommandError {
    if !matches!(error, JournalError::Held { .. }) {
        return error.into();
    }
    CommandError::new(Exit::Held, error)
        .consequence("a run that somebody works on is not copied")
        .hint("`fleetmend stop` ends it; then copy, and `fleetmend resume` with the other `--state`")
}

fn place(text: &str, option: &str, session: &Session) -> Result<StateUrl, CommandError> {
    let wrong = |why: String| CommandError::usage(format!("`{option}`: {why}"));
    let place = StateUrl::try_from(text.to_owned()).map_err(wrong)?;
    let place = place.in_home(session.variable("HOME")).ok_or_else(|| wrong("HOME is not set".to_owned()))?;
    Ok(match place {
        // The path is written down where the run came from, and has to mean the same from anywhere.
        StateUrl::Sqlite(path) => StateUrl::Sqlite(absolute(&path).unwrap_or(path)),
        StateUrl::Postgres(url) => StateUrl::Postgres(url),
    })
}

fn vacuum(args: &VacuumArgs, session: &Session) -> Result<Exit, CommandError> {
    store::block_on(async {
        let journal = store::open_archive(&session.journal()?, false, session).await?;
        let now = Timestamp::now();
        let before = now.checked_sub(args.older_than.get()).unwrap_or(Timestamp::MIN);
        let old = archive::removable(journal.as_ref(), before).await?;
        for old in &old {
            let events = count(usize::try_from(old.listing.events).unwrap_or(usize::MAX), "event");
            print(format!("{}: region {}, ended {:.0}, {events}\n", old.listing.run, old.listing.region, old.ended))?;
        }
        let what = count(old.len(), "run");
        if args.dry_run || old.is_empty() {
            let ended = format!("ended more than {} ago", args.older_than);
            tell(format!("{what} {ended}; nothing was removed\n"));
            return Ok(Exit::Done);
        }
        confirm::ask(args.yes, &format!("Remove {what} from {}?", journal.place()), session)?;
        let mut left = 0;
        for old in &old {
            let removed = match archive::remove(journal.as_ref(), old, &runner(session)).await {
                Err(JournalError::Held { holder, .. }) => {
                    tell(format!("{} stays: its region is held by {holder}\n", old.listing.run));
                    false
                }
                removed => removed?,
            };
            left += usize::from(!removed);
        }
        journal.compact().await?;
        tell(format!("{} removed\n", count(old.len() - left, "run")));
        Ok(Exit::Done)
    })
}

fn verify(args: &VerifyArgs, session: &Session) -> Result<Exit, CommandError> {
    let as_json = session.json("journal verify")?;
    store::block_on(async {
        let journal = store::open_existing(session).await?;
        let runs = match &args.run {
            Some(prefix) => vec![store::find(journal.as_ref(), Some(prefix), Default::Newest).await?],
            None => journal.runs().await?,
        };
        let mut lines = Vec::new();
        for listing in runs {
            let line = Line::of(listing.run, archive::verify(journal.as_ref(), listing.run).await?);
            if !as_json {
                print(format!("{}\n", line.words()))?;
            }
            lines.push(line);
        }
        if as_json {
            print_json(&lines)?;
        }
        Ok(Exit::Done)
    })
}
