//! The command.

use std::path::PathBuf;

use clap::Args;

use super::{evidence, notices, text};
use crate::cli::args::Format;
use crate::cli::error::CommandError;
use crate::cli::exit::Exit;
use crate::cli::output::{Sink, Source, json, tell};
use crate::cli::session::Session;
use crate::cli::{files, region, store};
use crate::config;
use crate::ledger::{HostTimes, Ledger, csv};
use crate::model::{ProjectId, Region, RolloutId};
use crate::plan::{ColdBootInput, SkipReason, plan_cold_boots};
use crate::remedy::Remedy;
use crate::report::{Style, count, review};

/// Arguments of `instances`.
#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is an option of the command line, given with and without the others"
)]
pub struct InstancesArgs {
    /// Shipped remedy, or the path of one
    #[arg(long, value_name = "NAME|FILE", default_value = "mds")]
    pub remedy: String,
    /// Region file that `inventory --histories` wrote; without it the cloud and its hosts are asked
    #[arg(long, value_name = "FILE")]
    pub region: Option<Source>,
    /// Leave the hosts out: only what the cloud and earlier runs say
    #[arg(long)]
    pub no_hosts: bool,
    /// Beginning of the id of the only run that may tell when hosts were mitigated [default: all of the remedy there]
    #[arg(long, value_name = "RUN")]
    pub run: Option<String>,
    /// Only instances of these projects
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    pub project: Vec<String>,
    /// Name every instance, not only those with something left to do
    #[arg(long)]
    pub all: bool,
    /// Write a notice for each project with something left to do into this folder, as Markdown
    #[arg(long, value_name = "FOLDER")]
    pub notices: Option<PathBuf>,
    /// Template of notices: Markdown with `{{project}}`, `{{region}}`, `{{remedy}}`, `{{date}}`, `{{instances}}`, `{{due}}`,
    /// `{{exposed}}`, `{{unknown}}`, `{{renewed}}`, and `{{to_do}}` for the table of instances
    #[arg(long, value_name = "FILE", requires = "notices")]
    pub template: Option<PathBuf>,
    /// End with exit code 8 when any instance is due, exposed or unknown
    #[arg(long)]
    pub check: bool,
    /// Plan a campaign of cold boots for those that are due and consent, and write it in place of the ledger
    #[arg(long)]
    pub plan: bool,
    /// With `--plan`: shipped policy, or the path of one; `cold_boots` says who consents, when, and how many at once
    #[arg(long, value_name = "NAME|FILE", default_value = "default")]
    pub policy: String,
    /// Write to this file instead of standard output
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub output: Sink,
}

/// Judges and prints.
pub fn run(args: &InstancesArgs, session: &Session) -> Result<Exit, CommandError> {
    let format = session.format("instances", &[Format::Text, Format::Json, Format::Csv])?;
    args.output.check()?;
    let template = notices::template(args.template.as_deref())?;
    let remedy = files::remedy(&args.remedy, session.err)?;
    if !remedy.needs_cold_boot() {
        tell(format!("remedy {} asks nothing of guests: none of them needs a cold boot\n", remedy.name));
        return Ok(Exit::Done);
    }
    let region = match &args.region {
        Some(source) => files::region(source)?,
        None => store::block_on(region::take_with_histories(session, &remedy.inquiry(), !args.no_hosts))?,
    };
    let projects = projects(args, &region)?;
    let runs = store::block_on(evidence::runs(session, &region, &remedy, args.run.as_deref()))?;
    let hosts = HostTimes::of(&region, &remedy, &runs);
    let Some(ledger) = Ledger::of(&region, &remedy, &hosts, &projects) else { return Ok(Exit::Done) };
    if let Some(folder) = &args.notices {
        notices::write(folder, &template, &ledger)?;
    }
    if args.plan {
        return campaign(args, &ledger, &region, &remedy, &hosts, session);
    }
    let style = if args.output == Sink::Stdout { session.out } else { Style::plain() };
    let printed = match format {
        Format::Json => json(&ledger)?,
        Format::Csv => csv(&ledger),
        Format::Text | Format::Markdown | Format::Html | Format::Dot | Format::Mermaid | Format::Trace => {
            text::text(&ledger, args.all, style)
        }
    };
    args.output.write(printed.as_bytes())?;
    if region.histories.is_empty() && !region.instances.is_empty() {
        tell(format!(
            "{} the region file does not say what was done to instances; `inventory --histories` asks for it\n",
            session.err.cyan("hint:")
        ));
    }
    Ok(if args.check && ledger.counts.open() > 0 { Exit::Vulnerable } else { Exit::Done })
}

/// Plans the campaign, writes it, and tells who is in it and who is not.
fn campaign(
    args: &InstancesArgs,
    ledger: &Ledger,
    region: &Region,
    remedy: &Remedy,
    hosts: &HostTimes,
    session: &Session,
) -> Result<Exit, CommandError> {
    let policy = files::policy(&args.policy)?;
    let rollout = plan_cold_boots(&ColdBootInput {
        region,
        ledger,
        hosts,
        remedy,
        policy: &policy,
        configuration: session.configuration()?.digest,
        now: jiff::Timestamp::now(),
        id: RolloutId::new(uuid::Uuid::now_v7()),
    });
    args.output.write(config::write_rollout(&rollout)?.as_bytes())?;
    tell(format!("{}\ndigest {}\n", review::headline(&rollout), rollout.digest));
    let left = rollout.skipped.iter().filter(|skipped| skipped.reason == SkipReason::NoConsent).count();
    if left > 0 {
        tell(format!("{} left alone for want of consent\n", count(left, "instance")));
    }
    Ok(Exit::Done)
}

/// The projects that were named; each has to have an instance.
fn projects(args: &InstancesArgs, region: &Region) -> Result<Vec<ProjectId>, CommandError> {
    for name in &args.project {
        if !region.instances.iter().any(|instance| instance.project.as_str() == name) {
            let what = format!("no instance in region {} is of project `{name}`", region.region);
            return Err(CommandError::usage(what).hint("projects are named by their id"));
        }
    }
    Ok(args.project.iter().map(ProjectId::new).collect())
}
