//! `fleetmend pause`, `continue`, `stop`, `approve`, `skip`, `retry`, `limits`: what another terminal asks of a run.
//!
//! A request is placed beside the journal; the one owner of the run answers it with an event. Nothing here writes one.

use std::time::Duration;

use clap::Args;
use jiff::Timestamp;

use super::error::CommandError;
use super::exit::Exit;
use super::output::{print, tell};
use super::session::Session;
use super::store::{self, Default};
use super::suggest::closest;
use crate::journal::{Journal, PlacedRequest, Request};
use crate::model::{HostName, Limit, Limits, RunId};
use crate::report::{InstanceNames, printable, sentence};
use crate::run::{self, EventKind, RunState};

/// How often the answer is looked for, and how often at most: a runner looks for requests once a second.
const LOOK_EVERY: Duration = Duration::from_millis(200);
const LOOKS: u32 = 50;

/// Arguments of commands about a whole run.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Beginning of the run's id [default: the newest unfinished one]
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
}

/// Arguments of commands about one host of a run.
#[derive(Debug, Args)]
pub struct HostArgs {
    /// Beginning of the run's id
    #[arg(value_name = "RUN")]
    pub run: String,
    /// The host
    #[arg(value_name = "HOST")]
    pub host: HostName,
}

/// Arguments of `limits`.
#[derive(Debug, Args)]
pub struct LimitsArgs {
    /// Beginning of the run's id [default: the newest unfinished one]
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
    /// Hosts out of service at once
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub hosts: Option<usize>,
    /// Hosts out of service at once in one zone
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub hosts_per_zone: Option<usize>,
    /// Migrations in flight in the region
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub migrations: Option<usize>,
    /// Migrations in flight away from one host
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub migrations_per_source: Option<usize>,
    /// Migrations in flight onto one host
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub migrations_per_target: Option<usize>,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) | Err(_) => {
            Err("a whole number of at least 1 is needed; `fleetmend pause` begins nothing more".to_owned())
        }
        Ok(number) => Ok(number),
    }
}

/// Asks something of a whole run.
pub fn of_run(args: &RunArgs, request: &Request, session: &Session) -> Result<Exit, CommandError> {
    ask(args.run.as_deref(), session, |_| Ok(request.clone()))
}

/// Asks to leave a waiting host alone.
pub fn skip(args: &HostArgs, session: &Session) -> Result<Exit, CommandError> {
    let host = &args.host;
    ask(Some(&args.run), session, |state| known(state, host).map(|()| Request::Skip { host: host.clone() }))
}

/// Asks to try a quarantined or skipped host again.
pub fn retry(args: &HostArgs, session: &Session) -> Result<Exit, CommandError> {
    let host = &args.host;
    ask(Some(&args.run), session, |state| known(state, host).map(|()| Request::Retry { host: host.clone() }))
}

/// Asks for other limits; those not named stay. Without any it prints those in force.
pub fn limits(args: &LimitsArgs, session: &Session) -> Result<Exit, CommandError> {
    let changes =
        [args.hosts, args.hosts_per_zone, args.migrations, args.migrations_per_source, args.migrations_per_target];
    if changes.iter().all(Option::is_none) {
        return store::block_on(async {
            let journal = store::open_existing(session).await?;
            let listing = store::find(journal.as_ref(), args.run.as_deref(), Default::NewestUnfinished).await?;
            super::output::print_json(run::load(journal.as_ref(), listing.run).await?.limits())?;
            Ok(Exit::Done)
        });
    }
    ask(args.run.as_deref(), session, |state| Ok(Request::Limits { limits: changed(state.limits(), args) }))
}

fn changed(limits: &Limits, args: &LimitsArgs) -> Limits {
    let limit = |number: Option<usize>, before: Limit| number.map_or(before, Limit::at_most);
    Limits {
        hosts: limit(args.hosts, limits.hosts),
        hosts_per_zone: limit(args.hosts_per_zone, limits.hosts_per_zone),
        keep_up: limits.keep_up.clone(),
        hosts_per_rack: limits.hosts_per_rack,
        migrations: args.migrations.unwrap_or(limits.migrations),
        migrations_per_source: args.migrations_per_source.unwrap_or(limits.migrations_per_source),
        migrations_per_target: args.migrations_per_target.unwrap_or(limits.migrations_per_target),
    }
}

/// Fails when the run does not know that host.
fn known(state: &RunState, host: &HostName) -> Result<(), CommandError> {
    if state.hosts().contains_key(host) {
        return Ok(());
    }
    let names: Vec<&str> = state.hosts().keys().map(HostName::as_str).collect();
    let error = CommandError::usage(format!("run {} does not plan a host `{host}`", state.run()));
    Err(error.hints(closest(host.as_str(), &names).map(|close| format!("did you mean `{close}`?"))))
}

fn ask(
    prefix: Option<&str>,
    session: &Session,
    request: impl Fn(&RunState) -> Result<Request, CommandError>,
) -> Result<Exit, CommandError> {
    store::block_on(async {
        let journal = store::open_existing(session).await?;
        let listing = store::find(journal.as_ref(), prefix, Default::NewestUnfinished).await?;
        let state = run::load(journal.as_ref(), listing.run).await?;
        let request = request(&state)?;
        let placed = PlacedRequest { request, by: session.user(), at: Timestamp::now() };
        journal.place_request(listing.run, &placed).await?;
        let observation = store::observe(journal.as_ref(), listing.run, state.status(), session).await?;
        if !observation.alive {
            tell(format!(
                "nobody runs {run}: the request is kept, `fleetmend resume {run}` takes it up\n",
                run = listing.run
            ));
            return Ok(Exit::Done);
        }
        answer(journal.as_ref(), listing.run, &state, session).await
    })
}

/// Waits until the run's owner has taken the request, and prints what it did about it.
async fn answer(journal: &dyn Journal, run: RunId, before: &RunState, session: &Session) -> Result<Exit, CommandError> {
    for _ in 0..LOOKS {
        tokio::time::sleep(LOOK_EVERY).await;
        if journal.open_requests(run).await?.iter().any(|(_, open)| open.by == session.user()) {
            continue;
        }
        let names = InstanceNames::of(before.rollout());
        let events = journal.events(run, before.seq() + 1).await?;
        let by = session.user();
        let ours = |said: &str, kind: &EventKind| said.contains(&by) || matches!(kind, EventKind::HostRetried { .. });
        let told = events.iter().map(|event| (sentence(&event.kind, &names), &event.kind));
        let answers = told.filter(|(said, kind)| ours(&said.text, kind)).map(|(said, _)| said);
        let lines: Vec<String> = answers
            .map(|said| match said.host {
                Some(host) => format!("{}: {}\n", printable(host.as_str()), printable(&said.text)),
                None => format!("{}\n", printable(&said.text)),
            })
            .collect();
        print(if lines.is_empty() {
            "taken; it changes nothing as things stand\n".to_owned()
        } else {
            lines.concat()
        })?;
        return Ok(Exit::Done);
    }
    tell("the runner has not taken the request yet; it is kept until it does\n");
    Ok(Exit::Done)
}
