//! `fleetmend rehearse`: the whole campaign in virtual time, on a simulated region that begins as the real one is.

use std::fmt::Write as _;
use std::num::NonZeroUsize;
use std::path::Path;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::error::CommandError;
use super::exit::Exit;
use super::files;
use super::output::{Source, print, print_json, redraw_under};
use super::region::{self, RegionArgs};
use super::run::{poll, refuse_unfit};
use super::session::Session;
use super::suggest::closest;
use crate::config;
use crate::model::{Region, Span};
use crate::plan::Rollout;
use crate::rehearsal::{Conditions, End, Figures, Level, Often, Order, Played, RehearsalError, rehearse};
use crate::report::{Lean, Style, Table, count, duration, printable};

/// Hosts that are named; the JSON has all of them.
const NAMED: usize = 10;

/// Arguments of `rehearse`.
///
/// Runs end with exit code 0 when each of them would have remedied every host by itself, 4 when in any of them hosts
/// failed, the failure budget paused the run or it came to no end, 3 when the rollout must not be run in that region.
#[derive(Debug, Args)]
pub struct RehearseArgs {
    /// Rollout file, `-` for standard input
    #[arg(value_name = "ROLLOUT")]
    pub rollout: Source,
    /// Where the region comes from.
    #[command(flatten)]
    pub region: RegionArgs,
    /// Seed of the first run, each further one has the next; the same input and seed give the same output
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// How many runs
    #[arg(long, value_name = "K", default_value = "10")]
    pub runs: NonZeroUsize,
    /// What goes wrong: `none`, `usual` (durations ±50 %, 2 % of migrations fail, tenants come and go), `harsh`, or a
    /// file of kind `conditions`
    #[arg(long, value_name = "LEVEL|FILE", default_value = "usual")]
    pub faults: String,
    /// How many runs at once, each in its own memory [default: one for each core]
    #[arg(long, value_name = "N")]
    pub threads: Option<NonZeroUsize>,
    /// How often the engine looks at migrations, jobs and reboots in flight, as for `run`
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = poll)]
    pub poll: Span,
}

/// The JSON of a rehearsal.
#[derive(Debug, Serialize)]
struct Rehearsed<'a> {
    format: u32,
    kind: &'static str,
    rollout: String,
    region: &'a str,
    region_taken_at: String,
    seed: u64,
    runs: usize,
    faults: &'a str,
    plan: Planned,
    #[serde(flatten)]
    figures: &'a Figures,
}

/// What the rollout says of itself.
#[derive(Debug, Serialize)]
struct Planned {
    hosts: usize,
    moves: usize,
    makespan_s: f64,
    peak_hosts_out: usize,
}

/// Rehearses and tells what came of it. Changes nothing anywhere.
pub fn run(args: &RehearseArgs, session: &Session) -> Result<Exit, CommandError> {
    let as_json = session.json("rehearse")?;
    let rollout = files::rollout(&args.rollout)?;
    refuse_unfit(&rollout, &args.rollout)?;
    super::diff::refuse_cold_boots(&rollout, "rehearsed")?;
    let conditions = conditions(&args.faults)?;
    let region = region::obtain(&args.region, &rollout.remedy, session)?;
    region::check_same(&rollout, &region.region)?;
    super::diff::refuse_stale(&rollout, &region, false)?;
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let order = Order {
        rollout: &rollout,
        region: &region,
        conditions: &conditions,
        seed: args.seed,
        runs: args.runs.get(),
        threads: args.threads.map_or(cores, NonZeroUsize::get),
        poll: args.poll.get(),
    };
    let figures = with_bar(&order, session, |ended| rehearse(&order, ended)).map_err(refused)?;
    if as_json {
        print_json(&Rehearsed {
            format: 1,
            kind: "rehearsal",
            rollout: rollout.digest.to_string(),
            region: &region.region,
            region_taken_at: region.taken_at.to_string(),
            seed: args.seed,
            runs: args.runs.get(),
            faults: &args.faults,
            plan: planned(&rollout),
            figures: &figures,
        })?;
    } else {
        print(text(args, &rollout, &region, &figures, session.out))?;
    }
    Ok(if figures.run.iter().all(Played::went_well) { Exit::Done } else { Exit::Failures })
}

fn planned(rollout: &Rollout) -> Planned {
    let certificate = &rollout.certificate;
    Planned {
        hosts: rollout.hosts.len(),
        moves: certificate.moves,
        makespan_s: certificate.makespan_s,
        peak_hosts_out: certificate.peak_hosts_out,
    }
}

/// A level by name wins; everything else is a path, `-` included.
fn conditions(name: &str) -> Result<Conditions, CommandError> {
    if let Some(level) = Level::ALL.into_iter().find(|level| level.name() == name) {
        return Ok(level.conditions());
    }
    if name != "-" && !name.contains(['/', '.']) && !Path::new(name).exists() {
        let names = Level::ALL.map(Level::name);
        let error = CommandError::usage(format!("there is no level of faults `{name}`, and no file of that name"));
        return Err(match closest(name, &names) {
            Some(close) => error.hint(format!("did you mean `{close}`?")),
            None => error.hint(format!("levels: {}; or give a path", names.join(", "))),
        });
    }
    let source = Source::from(name);
    let text = source.read("conditions of a rehearsal")?;
    Ok(config::read_conditions(&source.to_string(), &text)?)
}

fn refused(error: RehearsalError) -> CommandError {
    match error {
        RehearsalError::Run { source, .. } => source.into(),
        RehearsalError::Runtime(_) => CommandError::new(Exit::Unexpected, error),
    }
}

/// Works with a bar on a terminal: hosts that ended, of those of all runs.
fn with_bar<T>(order: &Order<'_>, session: &Session, work: impl FnOnce(&(dyn Fn() + Sync)) -> T) -> T {
    if !session.can_redraw || session.global.no_progress {
        return work(&|| {});
    }
    let multi = indicatif::MultiProgress::new();
    let _screen = redraw_under(multi.clone());
    let total = (order.rollout.hosts.len() * order.runs) as u64;
    let style = ProgressStyle::with_template("hosts  {pos:>5} of {len:<5} {wide_bar} {eta:>4} left")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━╸─");
    let bar = multi.add(ProgressBar::new(total).with_style(style));
    work(&|| bar.inc(1))
}

fn text(args: &RehearseArgs, rollout: &Rollout, region: &Region, figures: &Figures, style: Style) -> String {
    let mut text = format!(
        "{} rehearsed {}: faults {}, seed {}, region {} as of {:.0}; nothing was touched\n\
         simulated machines take the steps of the MDS remedy in the times of the plan\n\n",
        printable(&args.rollout.to_string()),
        count(args.runs.get(), "time"),
        printable(&args.faults),
        args.seed,
        printable(&region.region),
        region.taken_at,
    );
    let certificate = &rollout.certificate;
    let mut table = Table::new(&[
        ("", Lean::Left),
        ("planned", Lean::Right),
        ("median", Lean::Right),
        ("p95", Lean::Right),
        ("most", Lean::Right),
    ]);
    let hours = |seconds: f64| duration(seconds);
    if let Some(makespan) = figures.makespan_s {
        let cells = [makespan.median, makespan.p95, makespan.max].map(hours);
        let ended = figures.run.iter().filter(|run| run.makespan_s.is_some()).count();
        let what = if ended == figures.run.len() {
            "makespan".to_owned()
        } else {
            format!("makespan, of {} to the end", count(ended, "run"))
        };
        table.row([&what, &hours(certificate.makespan_s), &cells[0], &cells[1], &cells[2]]);
    }
    let figure = |value: fn(&Played) -> usize| quantiles(figures, value);
    for (what, planned, [median, p95, most]) in [
        ("hosts done", rollout.hosts.len().to_string(), figure(|run| run.hosts.done)),
        ("moves", certificate.moves.to_string(), figure(|run| run.moves.done)),
        ("failed attempts to move", String::new(), figure(|run| run.moves.failed)),
        ("hosts out at once", certificate.peak_hosts_out.to_string(), figure(|run| run.peak_hosts_out)),
        ("migrations at once", String::new(), figure(|run| run.peak_migrations)),
    ] {
        table.row([what, &planned, &median, &p95, &most]);
    }
    text.push_str(&table.render(0, |heading| style.dim(heading)));
    let _ = write!(text, "\n{}", loads(figures));
    let _ = writeln!(text, "{}", ends(figures, style));
    text.push_str(&hosts("gave up on", &figures.failed_hosts, figures.run.len(), style));
    text.push_str(&hosts("left alone", &figures.skipped_hosts, figures.run.len(), style));
    text
}

#[expect(clippy::cast_precision_loss, reason = "counts stay far below 2^52")]
fn quantiles(figures: &Figures, value: fn(&Played) -> usize) -> [String; 3] {
    let all = crate::rehearsal::Quantiles::of(figures.run.iter().map(|run| value(run) as f64)).unwrap_or_default();
    [all.median, all.p95, all.max].map(|figure| format!("{figure:.0}"))
}

/// The fullest zone of all runs.
fn loads(figures: &Figures) -> String {
    let all = figures.run.iter().flat_map(|run| &run.peak_load);
    let Some(fullest) = all.max_by(|a, b| a.peak.total_cmp(&b.peak)) else { return String::new() };
    let zone = fullest.zone.as_ref().map_or("the region", |zone| zone.as_str());
    format!(
        "fullest: {:.1} % of the {} that is in service in {}\n",
        fullest.peak * 100.0,
        printable(&fullest.class),
        printable(zone)
    )
}

fn ends(figures: &Figures, style: Style) -> String {
    let mut lines = Vec::new();
    for (end, number) in &figures.outcomes {
        let runs = count(*number, "run");
        lines.push(match end {
            End::Done => style.green(&format!("{runs} would end well")),
            End::DoneWithFailures => style.yellow(&format!("{runs} would end with hosts given up")),
            End::FailureBudget => style.red(&format!("{runs} would pause at the failure budget")),
            End::Paused => style.red(&format!("{runs} would pause")),
            End::Endless => style.red(&format!("{runs} would come to no end")),
        });
    }
    if let Some((run, pause)) = figures.run.iter().find_map(|run| Some((run, run.pause.as_ref()?))) {
        let after = duration(pause.at_s);
        lines.push(format!("seed {} pauses after {after}: {}", run.seed, printable(&pause.reason)));
    }
    let lost: usize = figures.run.iter().map(|run| run.lost_guests).sum();
    if lost > 0 {
        lines.push(style.red(&format!("{} ended with their hosts: a bug of fleetmend", count(lost, "guest"))));
    }
    lines.join("\n")
}

fn hosts(what: &str, often: &[Often], runs: usize, style: Style) -> String {
    if often.is_empty() {
        return String::new();
    }
    let mut text = format!("\n{what}:\n");
    for one in often.iter().take(NAMED) {
        let host = style.bold(&printable(one.host.as_str()));
        let _ = writeln!(text, "  {host} in {} of {}: {}", one.runs, count(runs, "run"), printable(&one.why));
    }
    if often.len() > NAMED {
        let _ = writeln!(text, "  and {} more: `-f json` has all of them", count(often.len() - NAMED, "host"));
    }
    text
}
