//! `fleetmend plan`: the rollout and its report.

use std::collections::BTreeMap;

use clap::{Args, ValueEnum};
use jiff::Timestamp;
use uuid::Uuid;

use super::error::CommandError;
use super::exit::Exit;
use super::files;
use super::output::{Sink, tell};
use super::region::{self, RegionArgs};
use super::session::Session;
use super::store;
use crate::config;
use crate::journal::Journal;
use crate::model::{HostName, InstanceHandling, Region, RolloutId, RunId, ZoneName};
use crate::plan::{
    BlockedInstance, Experience, NoRoom, PlanError, PlanInput, PlanReport, Rollout, Scope, Severity, Shortfall,
    SkipReason, Unknown, WayOut, plan,
};
use crate::remedy::{Verdict, assess};
use crate::report::{Measured, Style, count, printable, stay_words};
use crate::run::event::Event;

/// Arguments of `plan`.
#[derive(Debug, Args)]
pub struct PlanArgs {
    /// Shipped remedy, or the path of one
    #[arg(long, value_name = "NAME|FILE")]
    pub remedy: String,
    /// Shipped policy, or the path of one
    #[arg(long, value_name = "NAME|FILE", default_value = "default")]
    pub policy: String,
    /// Where the region comes from.
    #[command(flatten)]
    pub region: RegionArgs,
    /// Only these hosts
    #[arg(long, value_name = "HOST", value_delimiter = ',')]
    pub host: Vec<HostName>,
    /// Only hosts of these zones
    #[arg(long, value_name = "ZONE", value_delimiter = ',')]
    pub zone: Vec<ZoneName>,
    /// Only hosts of these aggregates
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub aggregate: Vec<String>,
    /// Never these hosts: neither remedied nor given instances
    #[arg(long, value_name = "HOST", value_delimiter = ',')]
    pub exclude: Vec<HostName>,
    /// What a host without a clear verdict counts as
    #[arg(long, value_enum, default_value_t)]
    pub unknown: UnknownArg,
    /// How long the work on a host is taken to last
    #[arg(long, value_enum, default_value_t)]
    pub times: TimesArg,
    /// Plan the other hosts where some cannot be emptied for want of room; those are skipped and stay vulnerable
    #[arg(long)]
    pub leave_out_stuck: bool,
    /// Seed of the search; the same input and seed give the same rollout
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Where the rollout goes, `-` for standard output
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub output: Sink,
}

/// How long the work on a host is taken to last.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum TimesArg {
    /// As long as it took in earlier runs on this region, where there are any
    #[default]
    Journal,
    /// As long as the policy estimates
    Policy,
}

/// What an unknown verdict counts as.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum UnknownArg {
    /// The host is left alone
    #[default]
    Skip,
    /// The host is remedied
    Vulnerable,
}

/// Plans, writes the rollout and tells about it.
pub fn run(args: &PlanArgs, session: &Session) -> Result<Exit, CommandError> {
    args.output.check()?;
    let remedy = files::remedy(&args.remedy, session.err)?;
    let policy = files::policy(&args.policy)?;
    let configuration = session.configuration()?;
    let region = region::obtain(&args.region, &remedy, session)?;
    let named: Vec<HostName> = args.host.iter().chain(&args.exclude).cloned().collect();
    region::check_names(&region, &named)?;
    let verdicts: BTreeMap<HostName, Verdict> =
        region.hosts.iter().map(|host| (host.host.clone(), assess(&host.facts, &remedy))).collect();
    let scope = scope_of(args);
    let experience = match args.times {
        TimesArg::Journal => experience(&region, session),
        TimesArg::Policy => Experience::default(),
    };
    let input = PlanInput {
        region: &region,
        verdicts: &verdicts,
        remedy: &remedy,
        policy: &policy,
        scope: &scope,
        experience: &experience,
        configuration: configuration.digest,
        seed: args.seed,
        now: Timestamp::now(),
        id: RolloutId::new(Uuid::now_v7()),
    };
    let (rollout, report) = plan(&input).map_err(refused)?;
    args.output.write(config::write_rollout(&rollout)?.as_bytes())?;
    tell(summary(&rollout, &report));
    let fatal = rollout.notes.iter().any(|note| note.severity == Severity::Fatal);
    Ok(if fatal { Exit::Plan } else { Exit::Done })
}

/// So many of the newest runs on a region say how long things take; older ones may be of other machines.
const RUNS_REMEMBERED: usize = 3;

/// What the journal tells of earlier runs on `region`. A plan can do without: what cannot be read is said and left.
fn experience(region: &Region, session: &Session) -> Experience {
    let read = async {
        match store::find_existing(session).await? {
            Some(journal) => measured(journal.as_ref(), region).await,
            None => Ok(Experience::default()),
        }
    };
    store::block_on(read).unwrap_or_else(|error| {
        not_used(&error);
        Experience::default()
    })
}

async fn measured(journal: &dyn Journal, region: &Region) -> Result<Experience, CommandError> {
    let mut measured = Measured::default();
    let runs = journal.runs().await?.into_iter().filter(|run| run.region == region.region);
    for run in runs.take(RUNS_REMEMBERED) {
        match earlier(journal, run.run).await {
            Ok((rollout, events)) => measured.add(&rollout, &events, region),
            Err(error) => not_used(&error),
        }
    }
    Ok(measured.experience())
}

async fn earlier(journal: &dyn Journal, run: RunId) -> Result<(Rollout, Vec<Event>), CommandError> {
    let record = journal.record(run).await?;
    let rollout = serde_json::from_str(&record.rollout).map_err(|error| {
        CommandError::doing(Exit::Unexpected, format!("cannot read the rollout of run {run}"), error)
    })?;
    Ok((rollout, journal.events(run, 1).await?))
}

fn not_used(error: &CommandError) {
    tell(format!("note: an earlier run is not used for times: {}", error.render(Style::plain())));
}

fn scope_of(args: &PlanArgs) -> Scope {
    Scope {
        hosts: args.host.iter().cloned().collect(),
        zones: args.zone.iter().cloned().collect(),
        aggregates: args.aggregate.iter().cloned().collect(),
        exclude: args.exclude.iter().cloned().collect(),
        unknown: match args.unknown {
            UnknownArg::Skip => Unknown::Skip,
            UnknownArg::Vulnerable => Unknown::Vulnerable,
        },
        no_room: if args.leave_out_stuck { NoRoom::LeaveOut } else { NoRoom::Refuse },
        ..Scope::default()
    }
}

fn refused(error: PlanError) -> CommandError {
    let hints = match &error {
        PlanError::Infeasible { of, shortfalls, ways_out, .. } => what_to_do(*of, shortfalls, ways_out),
        PlanError::NoSuch { .. } | PlanError::Violations(_) => Vec::new(),
    };
    match &error {
        PlanError::Infeasible { of, shortfalls, .. } => CommandError::new(Exit::Plan, infeasible(*of, shortfalls)),
        PlanError::NoSuch { .. } | PlanError::Violations(_) => CommandError::new(Exit::Plan, error),
    }
    .consequence("no rollout was written")
    .hints(hints)
}

/// Hosts that are named when a plan cannot be made; the others are alike more often than not.
const NAMED: usize = 20;

/// Every host that cannot be emptied, with its domain and why.
fn infeasible(of: usize, shortfalls: &[Shortfall]) -> String {
    let mut lines = vec![format!("{} of {} cannot be emptied for want of room", shortfalls.len(), count(of, "host"))];
    lines.extend(
        shortfalls
            .iter()
            .take(NAMED)
            .map(|short| printable(&format!("{} ({}): {}", short.host, short.domain, short.detail)).into_owned()),
    );
    match shortfalls.len().saturating_sub(NAMED) {
        0 => {}
        more => lines.push(format!("and {more} more")),
    }
    lines.join("\n")
}

fn what_to_do(of: usize, shortfalls: &[Shortfall], ways_out: &[WayOut]) -> Vec<String> {
    let mut hints: Vec<String> = ways_out.iter().map(|way| format!("a plan was found with this: {way}")).collect();
    match of.saturating_sub(shortfalls.len()) {
        0 => {}
        others => hints.push(format!("`--leave-out-stuck` plans the other {}", count(others, "host"))),
    }
    hints
}

/// The plan in a few lines: what, how long, how good, who is left out and why.
pub fn summary(rollout: &Rollout, report: &PlanReport) -> String {
    let certificate = &rollout.certificate;
    let mut lines = vec![
        format!("{} in {}", count(rollout.hosts.len(), "host"), printable(&rollout.region)),
        format!(
            "{} for {} ({:.3} each; at least {} are needed)",
            count(certificate.moves, "move"),
            count(certificate.instances, "instance"),
            certificate.moves_per_instance,
            certificate.moves_lower_bound
        ),
        format!(
            "about {}, {:.1} % over the lower bound; at most {} out of service at once",
            minutes(certificate.makespan_s),
            certificate.gap * 100.0,
            count(certificate.peak_hosts_out, "host")
        ),
        format!("chosen: {}", printable(&report.because)),
    ];
    let mut skipped: BTreeMap<SkipReason, Vec<&str>> = BTreeMap::new();
    for host in &rollout.skipped {
        skipped.entry(host.reason).or_default().push(host.host.as_str());
    }
    for host in rollout.skipped.iter().filter(|host| host.reason.remains_vulnerable()) {
        lines.push(format!("skipped: {}: {}", printable(host.host.as_str()), printable(&host.detail)));
    }
    let done: usize = rollout.skipped.len()
        - skipped.iter().filter(|(why, _)| why.remains_vulnerable()).map(|(_, hosts)| hosts.len()).sum::<usize>();
    if done > 0 {
        lines.push(format!("{} need nothing", count(done, "host")));
    }
    let stopped = rollout.stays.iter().filter(|stay| stay.handling == InstanceHandling::StopInPlace).count();
    if !rollout.stays.is_empty() {
        let stopped = if stopped > 0 { format!(", {stopped} of them stopped for the reboot") } else { String::new() };
        lines.push(format!(
            "{} stay where they are{stopped}; `fleetmend show` names them",
            count(rollout.stays.len(), "instance")
        ));
    }
    lines.extend(blocked(rollout));
    for note in rollout.notes.iter().filter(|note| note.severity != Severity::Info) {
        lines.push(format!("note: {}: {}", printable(&note.at), printable(&note.message)));
    }
    lines.push(format!("digest {}", rollout.digest));
    lines.join("\n") + "\n"
}

/// Every instance for which a host is left alone, by project and reason, up front: its owner is to be asked.
fn blocked(rollout: &Rollout) -> Vec<String> {
    let mut groups: BTreeMap<(&str, &str), Vec<&BlockedInstance>> = BTreeMap::new();
    for one in &rollout.blocked {
        groups.entry((one.project.as_str(), stay_words(one.reason))).or_default().push(one);
    }
    let mut lines = Vec::new();
    for ((project, reason), mut instances) in groups {
        instances.sort_by_key(|one| (&one.host, one.instance));
        let what = count(instances.len(), "instance");
        lines.push(format!("project {} keeps hosts out with {what} ({reason}):", printable(project)));
        lines.extend(instances.into_iter().map(|one| {
            let name = printable(&one.name);
            format!("  {} on {}, {name}: {}", one.instance, printable(one.host.as_str()), printable(&one.why))
        }));
    }
    lines
}

/// Seconds for people.
fn minutes(seconds: f64) -> String {
    if seconds < 120.0 { format!("{seconds:.0} s") } else { format!("{:.0} min", seconds / 60.0) }
}
