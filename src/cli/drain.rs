//! `fleetmend drain`: one host emptied and kept out of service, and given back. A rollout of one host whose steps end
//! with the drain: planner, dry run, engine and journal are those of `run`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use clap::Args;
use jiff::Timestamp;
use uuid::Uuid;

use super::error::CommandError;
use super::exit::Exit;
use super::output::tell;
use super::run::{EngineArgs, ended, engine, open_ports};
use super::session::Session;
use super::ui::{self, Kind};
use super::{confirm, files, ports, region, signals, store};
use crate::host::Inquiry;
use crate::model::{HostName, InstanceId, Region, RolloutId, RunId};
use crate::plan::{DrainInput, PlanError, Rollout, plan_drain};
use crate::report::{Style, count, printable};
use crate::run::marks::{self, Owner};
use crate::run::{self, HostPhase, Outcome, RunEnd};

/// Arguments of `drain`.
#[derive(Debug, Args)]
pub struct DrainArgs {
    /// The host
    #[arg(value_name = "HOST")]
    pub host: HostName,
    /// Only these hosts take its instances [default: every other host in service]
    #[arg(long, value_name = "HOST", value_delimiter = ',', conflicts_with = "release")]
    pub to: Vec<HostName>,
    /// Give it back: its service gets the state that it had before its drain
    #[arg(long)]
    pub release: bool,
    /// Only look: what would be done, with what stands in the way; nothing is changed
    #[arg(long, conflicts_with = "release")]
    pub dry_run: bool,
    /// Shipped policy, or the path of one: what becomes of instances that cannot move, limits on migrations
    #[arg(long, value_name = "NAME|FILE", default_value = "default")]
    pub policy: String,
    /// Do it without asking
    #[arg(long)]
    pub yes: bool,
    /// How it goes about its work.
    #[command(flatten)]
    pub engine: EngineArgs,
}

/// Drains a host, or gives it back.
pub fn run(args: &DrainArgs, session: &Session) -> Result<Exit, CommandError> {
    let as_json = session.json("drain")?;
    store::block_on(async {
        if args.release {
            release(args, as_json, session).await
        } else {
            // Two runs long, one that only looks and one that does it: on the heap.
            Box::pin(drain(args, as_json, session)).await
        }
    })
}

async fn drain(args: &DrainArgs, as_json: bool, session: &Session) -> Result<Exit, CommandError> {
    let policy = files::policy(&args.policy)?;
    let configuration = session.configuration()?;
    let ports = open_ports(session, &configuration).await?;
    let region = region::take_from(ports.cloud.as_ref(), session, &configuration, &Inquiry::default(), true).await?;
    let to: BTreeSet<HostName> = args.to.iter().cloned().collect();
    let named: Vec<HostName> = to.iter().chain([&args.host]).cloned().collect();
    region::check_names(&region, &named)?;
    let rollout = plan_drain(&DrainInput {
        region: &region,
        host: &args.host,
        to: &to,
        policy: &policy,
        configuration: configuration.digest.clone(),
        now: Timestamp::now(),
        id: RolloutId::new(Uuid::now_v7()),
    })
    .map_err(|error| refused(&args.host, error))?;
    if let Some(skipped) = rollout.skipped.iter().find(|skipped| skipped.host == args.host) {
        return Err(CommandError::new(Exit::Plan, format!("{} cannot be drained: {}", args.host, skipped.detail))
            .consequence("nothing was changed"));
    }
    tell(words(&rollout, session.err));

    // The same engine looks first whether anything stands in the way.
    let looker = engine(ports.clone(), true, &args.engine, session).await?;
    let mut watcher = ui::watcher(session, &rollout, Kind::Dry, as_json);
    let look = looker.dry_run(rollout.clone(), &region, signals::steer(), watcher.as_mut()).await?;
    drop(watcher);
    if !is_drained(&look, &args.host) {
        return Err(obstacle(&look, &args.host));
    }
    if args.dry_run {
        tell("nothing was changed\n");
        return Ok(Exit::Done);
    }
    confirm::ask(args.yes, &format!("Drain {} in region {}?", args.host, rollout.region), session)?;

    let engine = engine(ports, false, &args.engine, session).await?;
    let run = RunId::new(Uuid::now_v7());
    let mut watcher = ui::watcher(session, &rollout, Kind::Real, as_json);
    let end = engine.begin(run, rollout, &region, signals::steer(), watcher.as_mut()).await?;
    drop(watcher);
    if is_drained(&end, &args.host) {
        tell(drained_words(&end, &args.host, &region, session.err));
        return Ok(Exit::Done);
    }
    Ok(ended(&end, as_json, session))
}

/// Whether the run has done all of it: the host is out of service and nothing is left to leave.
fn is_drained(end: &RunEnd, host: &HostName) -> bool {
    let state = end.state.hosts().get(host);
    end.outcome == Some(Outcome::Stopped)
        && state.is_some_and(|state| state.phase == HostPhase::Active && state.is_at_rest())
}

fn refused(host: &HostName, error: PlanError) -> CommandError {
    let hints: Vec<String> = match &error {
        PlanError::Infeasible { ways_out, .. } => {
            ways_out.iter().map(|way| format!("a plan was found with this: {way}")).collect()
        }
        PlanError::NoSuch { .. } | PlanError::Violations(_) => Vec::new(),
    };
    CommandError::doing(Exit::Plan, format!("{host} cannot be drained"), error)
        .consequence("nothing was changed")
        .hints(hints)
}

fn obstacle(look: &RunEnd, host: &HostName) -> CommandError {
    let why = look.state.hosts().get(host).and_then(|state| state.why.clone());
    let what = format!("{host} cannot be drained: {}", why.as_deref().unwrap_or("the look at it was interrupted"));
    CommandError::new(Exit::Plan, what).consequence("nothing was changed")
}

/// What would be done.
fn words(rollout: &Rollout, style: Style) -> String {
    let mut out = String::new();
    for planned in &rollout.hosts {
        let host = printable(planned.host.as_str());
        let _ = writeln!(out, "{}: {} to make", style.bold(&host), count(planned.moves.len(), "move"));
        for one in &planned.moves {
            let _ = writeln!(out, "  {} ({}) to {}", printable(&one.name), one.instance, printable(one.to.as_str()));
        }
    }
    for stay in &rollout.stays {
        let reason = serde_json::to_value(stay.reason).unwrap_or_default();
        let reason = reason.as_str().unwrap_or_default().to_owned();
        let _ = writeln!(out, "  {} ({}) stays: {reason}", printable(&stay.name), stay.instance);
    }
    out
}

fn drained_words(end: &RunEnd, host: &HostName, region: &Region, style: Style) -> String {
    let names: BTreeMap<InstanceId, &str> =
        region.instances.iter().map(|instance| (instance.id, instance.name.as_str())).collect();
    let memory = end.state.hosts().get(host).map(run::HostState::memory);
    let (left, staying) = memory.map(|memory| (memory.left.len(), memory.staying.clone())).unwrap_or_default();
    let shown = printable(host.as_str());
    let mut out =
        format!("\n{} is drained and out of service; {} left it\n", style.bold(&shown), count(left, "instance"));
    for instance in staying {
        let name = names.get(&instance).copied().unwrap_or_default();
        let _ = writeln!(out, "  {} ({instance}) could not leave and stays", printable(name));
    }
    let _ = writeln!(out, "\n{} `fleetmend drain {shown} --release` gives it back", style.cyan("hint:"));
    out
}

async fn release(args: &DrainArgs, as_json: bool, session: &Session) -> Result<Exit, CommandError> {
    let host = &args.host;
    let configuration = session.configuration()?;
    let run = held_by(host, session).await?;
    let journal = store::open_existing(session).await?;
    let state = run::load(journal.as_ref(), run).await?;
    drop(journal);
    if !state.rollout().hosts.iter().any(|planned| planned.host == *host && planned.drain_only) {
        return Err(CommandError::usage(format!("{host} was not drained by this command: run {run} remedies it"))
            .consequence("nothing was changed")
            .hint(format!("`fleetmend resume {run}` goes on, `fleetmend abandon {run}` gives back what it holds")));
    }
    if state.is_over() {
        return Err(CommandError::new(
            Exit::Failures,
            format!("the drain of {host} has failed, and its run has ended"),
        )
        .hint(format!("`fleetmend retry {run} {host}`, then `fleetmend resume {run}`: then it can be given back")));
    }
    confirm::ask(args.yes, &format!("Give {host} back to region {}?", state.rollout().region), session)?;
    let ports = open_ports(session, &configuration).await?;
    region::check_same(state.rollout(), ports.cloud.region())?;
    let engine = engine(ports, false, &args.engine, session).await?;
    let mut watcher = ui::watcher(session, state.rollout(), Kind::Real, as_json);
    let end = engine.abandon(run, &session.user(), signals::steer(), watcher.as_mut()).await?;
    drop(watcher);
    let is_back = end.state.hosts().get(host).is_some_and(|state| state.phase == HostPhase::Skipped);
    if end.outcome == Some(Outcome::Abandoned) && is_back {
        tell(format!("{} is as it was before its drain\n", session.err.bold(&printable(host.as_str()))));
        return Ok(Exit::Done);
    }
    Ok(ended(&end, as_json, session))
}

/// The run whose mark the host carries.
async fn held_by(host: &HostName, session: &Session) -> Result<RunId, CommandError> {
    let configuration = session.configuration()?;
    let cloud = ports::cloud(session, &configuration).await?;
    let known: BTreeMap<RunId, bool> = match store::find_existing(session).await? {
        Some(journal) => journal.runs().await?.into_iter().map(|run| (run.run, run.ended)).collect(),
        None => BTreeMap::new(),
    };
    let found = marks::find(cloud.as_ref(), &known).await?;
    match found.into_iter().find(|marked| marked.host == *host) {
        Some(marked) if marked.owner == Owner::Unknown => {
            Err(CommandError::usage(format!("no journal here knows run {}, which holds {host}", marked.run)).hint(
                "`--state URL` names another journal; `fleetmend marks --release` gives back hosts whose run is gone",
            ))
        }
        Some(marked) => Ok(marked.run),
        None => Err(CommandError::usage(format!("{host} carries no mark of fleetmend: there is nothing to give back"))
            .consequence("nothing was changed")),
    }
}
