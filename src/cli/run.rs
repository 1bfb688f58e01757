//! `fleetmend run`, `resume`, `abandon`: the commands that change a region.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;

use super::confirm::{Approval, confirm};
use super::error::CommandError;
use super::exit::Exit;
use super::notices::Post;
use super::output::{Source, tell};
use super::session::Session;
use super::signals;
use super::store::{self, Default};
use super::ui::{self, Kind};
use super::view::{LiveArgs, Page};
use super::{files, ports, region};
use crate::clock::SystemClock;
use crate::config::Configuration;
use crate::health::Asker;
use crate::host::Inquiry;
use crate::journal::{Journal, PlacedRequest, Request};
use crate::model::{Region, RunId, Span};
use crate::plan::{Rollout, Severity, verify_digest};
use crate::report::{Observation, Style, Summary, count, printable, review, status};
use crate::run::{self, DriveSettings, Engine, HostPhase, Outcome, Ports, RunEnd, RunState, RunStatus, Runner};

/// How a process goes about a run.
#[derive(Debug, Args)]
pub struct EngineArgs {
    /// Go on although hosts carry the mark of another run; those hosts are left alone
    #[arg(long)]
    pub take_over: bool,
    /// How often migrations, jobs and reboots in flight are looked at
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = poll)]
    pub poll: Span,
}

pub(super) fn poll(text: &str) -> Result<Span, String> {
    let span: Span = text.parse()?;
    // A look costs requests; ten a second is what a small control plane bears.
    if span.get() < Duration::from_millis(100) { Err("at least `100ms`".to_owned()) } else { Ok(span) }
}

/// Arguments of `run`.
#[derive(Debug, Args)]
pub struct RunArgs {
    /// Rollout file, `-` for standard input
    #[arg(value_name = "ROLLOUT")]
    pub rollout: Source,
    /// Only look: what would be done, with what stands in the way; nothing is changed
    #[arg(long, conflicts_with = "listen")]
    pub dry_run: bool,
    /// Wait while another process runs this rollout, and take over when that one dies; begin it when nobody has
    #[arg(long, conflicts_with_all = ["dry_run", "listen"])]
    pub standby: bool,
    /// How it is approved.
    #[command(flatten)]
    pub approval: Approval,
    /// How it goes about its work.
    #[command(flatten)]
    pub engine: EngineArgs,
    /// Who may watch.
    #[command(flatten)]
    pub live: LiveArgs,
}

/// Arguments of `resume`.
#[derive(Debug, Args)]
pub struct ResumeArgs {
    /// Beginning of the run's id [default: the newest unfinished one]
    #[arg(value_name = "RUN")]
    pub run: Option<String>,
    /// Go on although the configuration file says other things about hosts than what was approved: it was changed on
    /// purpose
    #[arg(long)]
    pub configuration_changed: bool,
    /// Wait while another process runs it, and take over when that one dies; end when the run has ended
    #[arg(long, conflicts_with = "listen")]
    pub standby: bool,
    /// How it goes about its work.
    #[command(flatten)]
    pub engine: EngineArgs,
    /// Who may watch.
    #[command(flatten)]
    pub live: LiveArgs,
}

/// How often it is looked whether another process has ended.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Arguments of `abandon`.
#[derive(Debug, Args)]
pub struct AbandonArgs {
    /// Beginning of the run's id
    #[arg(value_name = "RUN")]
    pub run: String,
    /// Go on although the configuration file says other things about hosts than what was approved: it was changed on
    /// purpose
    #[arg(long)]
    pub configuration_changed: bool,
    /// Do it without asking
    #[arg(long)]
    pub yes: bool,
    /// How it goes about its work.
    #[command(flatten)]
    pub engine: EngineArgs,
}

/// Begins a run, or looks what one would do.
pub fn begin(args: &RunArgs, session: &Session) -> Result<Exit, CommandError> {
    let as_json = session.json("run")?;
    let rollout = files::rollout(&args.rollout)?;
    refuse_unfit(&rollout, &args.rollout)?;
    let configuration = session.configuration()?;
    if rollout.configuration != configuration.digest {
        return Err(other_configuration().hint("plan again, or use the same configuration"));
    }
    store::block_on(async {
        let ports = open_ports(session, &configuration).await?;
        region::check_same(&rollout, ports.cloud.region())?;
        if args.standby {
            confirm(&rollout, &args.approval, session)?;
            return Box::pin(super::standby::of_rollout(rollout, ports, args, &configuration, session)).await;
        }
        let region = fit_region(&rollout, &ports, args, &configuration, session).await?;
        if !args.dry_run {
            confirm(&rollout, &args.approval, session)?;
        }
        let listener = args.live.bind().await?;
        let engine = engine(ports, args.dry_run, &args.engine, session).await?;
        let kind = if args.dry_run { Kind::Dry } else { Kind::Real };
        let mut watcher = ui::watcher(session, &rollout, kind, as_json);
        let steer = signals::steer();
        let end = if args.dry_run {
            engine.dry_run(rollout, &region, steer, watcher.as_mut()).await?
        } else {
            let run = RunId::new(uuid::Uuid::now_v7());
            let (post, watched) = Post::beside(watcher, &configuration.notices, run, &rollout);
            let unbegun = || async { Ok(RunState::new(run, Arc::new(rollout.clone()), &region)) };
            let (page, watched) = Page::beside(watched, listener, unbegun, &args.live, session).await?;
            watcher = watched;
            let end = engine.begin(run, rollout, &region, steer, watcher.as_mut()).await;
            Page::close(page).await;
            drop(watcher);
            Post::end(post).await;
            end?
        };
        Ok(if args.dry_run { dry_end(&end, session.err) } else { ended(&end, as_json, session) })
    })
}

/// The region as it is, when the rollout still fits it.
pub(super) async fn fit_region(
    rollout: &Rollout,
    ports: &Ports,
    args: &RunArgs,
    configuration: &Configuration,
    session: &Session,
) -> Result<Region, CommandError> {
    // Facts of hosts are not asked for again: each step looks for itself before it changes anything.
    let now = ports.clock.now();
    let region = region::snapshot(ports.cloud.as_ref(), None, &Inquiry::default(), configuration, now).await?;
    for difference in super::diff::refuse_stale(rollout, &region, args.engine.take_over)? {
        tell(format!("{} {}\n", session.err.yellow("changed since it was planned:"), printable(&difference)));
    }
    Ok(region)
}

/// Commands and addresses of the configuration are part of what was approved.
fn other_configuration() -> CommandError {
    let what = "the configuration file says other things about hosts than when this rollout was planned";
    CommandError::new(Exit::Plan, what).consequence("nothing was changed")
}

/// Refuses to go on with a run by another configuration, unless that was changed on purpose.
fn same_configuration(rollout: &Rollout, configuration: &Configuration, changed: bool) -> Result<(), CommandError> {
    if changed || rollout.configuration == configuration.digest {
        return Ok(());
    }
    Err(other_configuration().hint("use the same one, or say `--configuration-changed` when it was changed on purpose"))
}

/// Goes on with a run.
pub fn resume(args: &ResumeArgs, session: &Session) -> Result<Exit, CommandError> {
    let as_json = session.json("resume")?;
    let configuration = session.configuration()?;
    store::block_on(async {
        let journal = store::open_existing(session).await?;
        let listing = store::find(journal.as_ref(), args.run.as_deref(), Default::NewestUnfinished).await?;
        let state = run::load(journal.as_ref(), listing.run).await?;
        drop(journal);
        same_configuration(state.rollout(), &configuration, args.configuration_changed)?;
        let ports = open_ports(session, &configuration).await?;
        region::check_same(state.rollout(), ports.cloud.region())?;
        let listener = args.live.bind().await?;
        let engine = engine(ports, false, &args.engine, session).await?;
        if args.standby {
            return super::standby::of_run(listing.run, state.rollout(), &engine, &configuration, session).await;
        }
        let watcher = ui::watcher(session, state.rollout(), Kind::Real, as_json);
        let (post, watcher) = Post::beside(watcher, &configuration.notices, listing.run, state.rollout());
        let unbegun = || async { Ok(run::unbegun(engine.journal.as_ref(), listing.run).await?) };
        let (page, mut watcher) = Page::beside(watcher, listener, unbegun, &args.live, session).await?;
        let end = engine.resume(listing.run, signals::steer(), watcher.as_mut()).await;
        Page::close(page).await;
        drop(watcher);
        Post::end(post).await;
        Ok(ended(&end?, as_json, session))
    })
}

/// Gives back what a run holds.
pub fn abandon(args: &AbandonArgs, session: &Session) -> Result<Exit, CommandError> {
    let as_json = session.json("abandon")?;
    let configuration = session.configuration()?;
    store::block_on(async {
        let journal = store::open_existing(session).await?;
        let listing = store::find(journal.as_ref(), Some(&args.run), Default::NewestUnfinished).await?;
        let state = run::load(journal.as_ref(), listing.run).await?;
        same_configuration(state.rollout(), &configuration, args.configuration_changed)?;
        let active = count(state.count(HostPhase::Active), "host");
        super::confirm::ask(args.yes, &format!("Abandon run {}, which has {active} under way?", listing.run), session)?;
        stopped(journal.as_ref(), listing.run, state.status(), session).await?;
        drop(journal);
        let ports = open_ports(session, &configuration).await?;
        region::check_same(state.rollout(), ports.cloud.region())?;
        let engine = engine(ports, false, &args.engine, session).await?;
        let mut watcher = ui::watcher(session, state.rollout(), Kind::Real, as_json);
        let end = engine.abandon(listing.run, &session.user(), signals::steer(), watcher.as_mut()).await?;
        drop(watcher);
        let exit = ended(&end, as_json, session);
        let lost = end.state.count(HostPhase::Quarantined) > 0;
        Ok(if end.outcome == Some(Outcome::Abandoned) { if lost { Exit::Failures } else { Exit::Done } } else { exit })
    })
}

/// Asks a process that is at work on the run to stop, and waits until it has ended what is under way.
async fn stopped(journal: &dyn Journal, run: RunId, status: &RunStatus, session: &Session) -> Result<(), CommandError> {
    if !store::observe(journal, run, status, session).await?.alive {
        return Ok(());
    }
    let placed = PlacedRequest { request: Request::Stop, by: session.user(), at: jiff::Timestamp::now() };
    journal.place_request(run, &placed).await?;
    tell(format!("run {run} is at work: it is asked to stop, and abandoned when what is under way has ended\n"));
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        let state = run::load(journal, run).await?;
        if !store::observe(journal, run, state.status(), session).await?.alive {
            return Ok(());
        }
    }
}

/// Refuses what was edited by hand, or must not be run.
pub(super) fn refuse_unfit(rollout: &Rollout, source: &Source) -> Result<(), CommandError> {
    if !verify_digest(rollout) {
        return Err(CommandError::new(
            Exit::Plan,
            format!("`{source}` is not what its digest says: it was edited after it was planned"),
        )
        .consequence("nothing was changed")
        .hint("change the policy or the scope, and plan again"));
    }
    let fatal: Vec<String> = rollout
        .notes
        .iter()
        .filter(|note| note.severity == Severity::Fatal)
        .map(|note| format!("{}: {}", note.at, note.message))
        .chain(rollout.certificate.violations.iter().cloned())
        .collect();
    match fatal.split_first() {
        None => Ok(()),
        Some((first, rest)) => {
            let more = if rest.is_empty() { String::new() } else { format!(" (and {} more)", rest.len()) };
            Err(CommandError::new(Exit::Plan, format!("the rollout must not be run: {first}{more}"))
                .consequence("nothing was changed")
                .hint("`fleetmend show` lists all of it"))
        }
    }
}

pub(super) async fn open_ports(session: &Session, configuration: &Configuration) -> Result<Ports, CommandError> {
    let shell = ports::shell(session, configuration)?;
    Ok(Ports {
        cloud: ports::cloud(session, configuration).await?,
        shell,
        outside: ports::outside(configuration),
        clock: Arc::new(SystemClock),
    })
}

pub(super) async fn engine(
    ports: Ports,
    dry: bool,
    args: &EngineArgs,
    session: &Session,
) -> Result<Engine, CommandError> {
    // A dry run keeps nothing: not even a file is made.
    let journal: Arc<dyn Journal> =
        if dry { Arc::new(crate::journal::memory::MemoryJournal::default()) } else { store::open(session).await? };
    let runner =
        Runner { host: session.host_name(), pid: std::process::id(), version: env!("CARGO_PKG_VERSION").to_owned() };
    let settings = DriveSettings { poll: args.poll.get(), vitals: Some(Arc::new(Asker)) };
    Ok(Engine { ports, journal, runner, settings, take_over: args.take_over })
}

/// Tells how a process came out of a run.
pub(super) fn ended(end: &RunEnd, as_json: bool, session: &Session) -> Exit {
    let state = &end.state;
    let exit = exit_of(end.outcome, state);
    if !as_json {
        let now = jiff::Timestamp::now();
        let observation = Observation { now, heartbeat: Some(now), alive: false };
        let summary = Summary::of(state, &observation);
        tell(format!("\n{}", status::text(&summary, now, session.err)));
    }
    let run = state.run();
    match exit {
        Exit::Resumable => tell(format!("\n{} `fleetmend resume {run}` goes on\n", session.err.cyan("hint:"))),
        Exit::Failures => tell(format!(
            "\n{} `fleetmend report {run}` has the causes; `fleetmend retry {run} HOST`, then `fleetmend resume {run}`\n",
            session.err.cyan("hint:")
        )),
        Exit::Vulnerable => tell(format!("\n{}", still_vulnerable(state, session.err))),
        Exit::Done | Exit::Unexpected | Exit::Usage | Exit::Plan | Exit::Held | Exit::Cloud => {}
    }
    exit
}

/// The exit code of a run that ended so.
pub(super) fn exit_of(outcome: Option<Outcome>, state: &RunState) -> Exit {
    match outcome {
        Some(Outcome::Done) if left_vulnerable(state) > 0 => Exit::Vulnerable,
        Some(Outcome::Done | Outcome::Abandoned) => Exit::Done,
        Some(Outcome::DoneWithFailures) => Exit::Failures,
        Some(Outcome::Paused | Outcome::Stopped) | None => Exit::Resumable,
    }
}

/// Hosts in scope that nobody touched and that are, or may be, vulnerable.
fn left_vulnerable(state: &RunState) -> usize {
    let by_plan = state.rollout().skipped.iter().filter(|skipped| skipped.reason.remains_vulnerable()).count();
    by_plan + state.count(HostPhase::Skipped)
}

fn still_vulnerable(state: &RunState, style: Style) -> String {
    let mut text = style
        .yellow(&format!("{} remain vulnerable", count(left_vulnerable(state), state.rollout().work.subject())))
        + "\n";
    let by_plan = state.rollout().skipped.iter().filter(|skipped| skipped.reason.remains_vulnerable());
    let lines =
        by_plan.map(|skipped| (&skipped.host, format!("{}: {}", review::skip_words(skipped.reason), skipped.detail)));
    let skipped = state.hosts().iter().filter(|(_, host)| host.phase == HostPhase::Skipped);
    let lines = lines.chain(skipped.map(|(name, host)| (name, host.why.clone().unwrap_or_default())));
    for (host, why) in lines {
        let _ = writeln!(text, "  {}: {}", printable(host.as_str()), printable(&why));
    }
    text
}

/// Tells how a dry run ended. Its outcome says what would happen if everything went well.
fn dry_end(end: &RunEnd, style: Style) -> Exit {
    let state = &end.state;
    let blocked: Vec<String> = state
        .hosts()
        .iter()
        .filter(|(_, host)| matches!(host.phase, HostPhase::Skipped | HostPhase::Quarantined))
        .map(|(name, host)| {
            format!("  {}: {}\n", printable(name.as_str()), printable(host.why.as_deref().unwrap_or_default()))
        })
        .collect();
    let done = state.count(HostPhase::Done);
    let total = state.rollout().hosts.len();
    let work = state.rollout().work;
    let what = if work.is_of_hosts() { "remedied" } else { "cold-booted" };
    tell(format!(
        "\n{}; nothing was changed\n",
        style.bold(&format!("dry run: {done} of {} would be {what}", count(total, work.subject())))
    ));
    if !blocked.is_empty() {
        tell(format!("{}\n{}", style.yellow("would be left alone:"), blocked.concat()));
    }
    match end.outcome {
        None => Exit::Resumable,
        Some(_) if done < total => Exit::Plan,
        Some(Outcome::Done | Outcome::DoneWithFailures | Outcome::Paused | Outcome::Stopped | Outcome::Abandoned) => {
            Exit::Done
        }
    }
}
