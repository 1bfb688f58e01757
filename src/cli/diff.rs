//! `fleetmend diff`: what changed between two rollouts, or between a rollout and the region, and whether it matters.

use clap::Args;
use serde::Serialize;

use super::args::Format;
use super::error::CommandError;
use super::exit::Exit;
use super::files;
use super::output::{Sink, Source, json};
use super::region::{self, RegionArgs};
use super::session::Session;
use crate::model::{Mark, Region, Service, ServiceState, ServiceStatus};
use crate::plan::{Diff, Difference, Rollout, Weight, diff, diff_region};
use crate::report::{Comparison, Lean, Style, Table, count, html, printable, verdict, weight_words};

/// Differences that a run names; a region of 10,000 hosts moves on by hundreds of instances in an hour.
const NAMED: usize = 10;

/// Arguments of `diff`.
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// Rollout file, `-` for standard input
    #[arg(value_name = "ROLLOUT")]
    pub before: Source,
    /// A second rollout; without it the first one is held against the region
    #[arg(value_name = "ROLLOUT", conflicts_with = "region")]
    pub after: Option<Source>,
    /// Where the region comes from.
    #[command(flatten)]
    pub region: RegionArgs,
    /// Write to this file instead of standard output
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub output: Sink,
}

/// The JSON of a comparison.
#[derive(Debug, Serialize)]
struct Compared<'a> {
    format: u32,
    kind: &'static str,
    before: String,
    after: String,
    weight: Weight,
    differences: &'a [Difference],
}

/// Compares and prints. Ends with exit code 3 when the region moved beyond what the rollout's policy tolerates.
pub fn run(args: &DiffArgs, session: &Session) -> Result<Exit, CommandError> {
    let format = session.format("diff", &[Format::Text, Format::Json, Format::Markdown, Format::Html])?;
    args.output.check()?;
    let before = files::rollout(&args.before)?;
    let (after, found, is_stale) = if let Some(source) = &args.after {
        (source.to_string(), diff(&before, &files::rollout(source)?), false)
    } else {
        refuse_cold_boots(&before, "compared with the region")?;
        let region = region::obtain(&args.region, &before.remedy, session)?;
        let after = format!("region {} at {:.0}", region.region, region.taken_at);
        let found = diff_region(&before, &region);
        let is_stale = found.weight() == Weight::Stale;
        (after, found, is_stale)
    };
    let comparison =
        Comparison { before: args.before.to_string(), after: after.clone(), differences: &found.differences };
    let written = match format {
        Format::Json => json(&Compared {
            format: 1,
            kind: "diff",
            before: args.before.to_string(),
            after,
            weight: found.weight(),
            differences: &found.differences,
        })?,
        Format::Markdown => comparison.markdown(),
        Format::Html => html::diff(&comparison)
            .map_err(|error| CommandError::doing(Exit::Unexpected, "cannot make the page", error))?,
        Format::Text | Format::Dot | Format::Mermaid | Format::Trace | Format::Csv => {
            let style = if args.output == Sink::Stdout { session.out } else { Style::plain() };
            text(&args.before.to_string(), &after, &found, style)
        }
    };
    args.output.write(written.as_bytes())?;
    Ok(if is_stale { Exit::Plan } else { Exit::Done })
}

/// Refuses a campaign of cold boots where hosts are meant.
pub fn refuse_cold_boots(rollout: &Rollout, what: &str) -> Result<(), CommandError> {
    if rollout.work.is_of_hosts() {
        return Ok(());
    }
    Err(CommandError::usage(format!("a campaign of cold boots is not {what}: each step looks at its instance itself"))
        .hint("`fleetmend instances` tells how the region stands"))
}

fn coloured(weight: Weight, style: Style) -> String {
    let said = verdict(weight);
    match weight {
        Weight::Harmless => style.green(said),
        Weight::Adapts | Weight::LosesHost => style.yellow(said),
        Weight::Stale => style.red(said),
    }
}

fn text(before: &str, after: &str, diff: &Diff, style: Style) -> String {
    let names = format!("{} and {}", printable(before), printable(after));
    if diff.is_empty() {
        return format!("{names}: no difference\n");
    }
    let mut table = Table::new(&[("host", Lean::Left), ("matters", Lean::Left), ("what", Lean::Left)]);
    for difference in &diff.differences {
        let host = difference.host.as_ref().map_or("-", |host| host.as_str());
        table.row([host, weight_words(difference.weight), &difference.detail]);
    }
    let table = table.render(0, |heading| style.dim(heading));
    let number = count(diff.differences.len(), "difference");
    format!("{names}\n\n{table}\n{number}: {}\n", coloured(diff.weight(), style))
}

/// Refuses a rollout from which its region has moved away beyond its policy's tolerance; else what changed, in lines.
///
/// With `take_over`, hosts that carry the mark of another run are left alone knowingly, and are no drift. Without it
/// the run refuses them by itself and says whose they are: that comes first.
pub fn refuse_stale(rollout: &Rollout, region: &Region, take_over: bool) -> Result<Vec<String>, CommandError> {
    if !rollout.work.is_of_hosts() {
        // Each step looks at its own instance before it touches it.
        return Ok(Vec::new());
    }
    let mut seen = region.clone();
    let mut is_marked = false;
    for host in &mut seen.hosts {
        if host.service.disabled_reason.as_deref().and_then(Mark::read).is_some() {
            is_marked = true;
            // Its run may have stopped nova-compute as well.
            host.service = Service { status: ServiceStatus::Enabled, state: ServiceState::Up, ..host.service.clone() };
        }
    }
    if is_marked && !take_over {
        return Ok(Vec::new());
    }
    let found = diff_region(rollout, &seen);
    let told: Vec<String> =
        found.differences.iter().filter(|one| one.weight > Weight::Harmless).map(in_words).collect();
    let mut lines: Vec<String> = told.iter().take(NAMED).cloned().collect();
    if told.len() > NAMED {
        lines.push(format!("and {} more: `fleetmend diff` shows all of them", told.len() - NAMED));
    }
    if found.weight() < Weight::Stale {
        return Ok(lines);
    }
    lines.insert(0, "the rollout is stale: the region has changed beyond what its policy tolerates".to_owned());
    Err(CommandError::new(Exit::Plan, lines.join("\n"))
        .consequence("nothing was changed")
        .hint("plan again, review and approve that; `fleetmend diff` shows all of what changed"))
}

fn in_words(difference: &Difference) -> String {
    match &difference.host {
        Some(host) => format!("{host}: {}", difference.detail),
        None => difference.detail.clone(),
    }
}
