//! `fleetmend show`: a rollout for review.

use clap::Args;

use super::args::Format;
use super::error::CommandError;
use super::exit::Exit;
use super::files;
use super::output::{Sink, Source, json};
use super::session::Session;
use super::suggest::closest;
use crate::model::HostName;
use crate::plan::{Rollout, Severity};
use crate::report::{html, printable, review};
use crate::workflow;

/// Arguments of `show`.
#[derive(Debug, Args)]
pub struct ShowArgs {
    /// Rollout file, `-` for standard input
    #[arg(value_name = "ROLLOUT")]
    pub rollout: Source,
    /// Only these hosts: each with its evidence, moves and what stays (text), or their steps (dot, mermaid)
    #[arg(long, value_name = "HOST", value_delimiter = ',')]
    pub host: Vec<HostName>,
    /// Only hosts of this zone (dot, mermaid)
    #[arg(long, value_name = "ZONE")]
    pub zone: Option<String>,
    /// Write to this file instead of standard output
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub output: Sink,
}

const FORMATS: [Format; 6] = [Format::Text, Format::Json, Format::Markdown, Format::Html, Format::Dot, Format::Mermaid];

/// Shows it.
pub fn run(args: &ShowArgs, session: &Session) -> Result<Exit, CommandError> {
    let format = session.format("show", &FORMATS)?;
    let rollout = files::rollout(&args.rollout)?;
    check_names(&rollout, &args.host)?;
    let style = if args.output == Sink::Stdout { session.out } else { crate::report::Style::plain() };
    let text = match format {
        // Csv is not among the formats.
        Format::Text | Format::Csv => review::text(&rollout, &args.host, style),
        Format::Json => json(&review::json(&rollout))?,
        Format::Markdown => review::markdown(&rollout),
        Format::Html => html::review(&rollout)
            .map_err(|error| CommandError::doing(Exit::Unexpected, "cannot make the page", error))?,
        Format::Dot | Format::Mermaid | Format::Trace => graph(&rollout, args, format)?,
    };
    args.output.write(text.as_bytes())?;
    let fatal = rollout.notes.iter().any(|note| note.severity == Severity::Fatal);
    Ok(if fatal || !rollout.certificate.violations.is_empty() { Exit::Plan } else { Exit::Done })
}

/// The steps of the hosts that are meant; of many, the hosts, or parts of zones.
fn graph(rollout: &Rollout, args: &ShowArgs, format: Format) -> Result<String, CommandError> {
    let mut part = rollout.clone();
    let zone_of = |host: &crate::plan::PlannedHost| host.zone.as_ref().map(ToString::to_string);
    part.hosts.retain(|host| {
        (args.host.is_empty() || args.host.contains(&host.host)) && (args.zone.is_none() || args.zone == zone_of(host))
    });
    if part.hosts.is_empty() && !rollout.hosts.is_empty() {
        let zones: std::collections::BTreeSet<String> = rollout.hosts.iter().filter_map(zone_of).collect();
        let zones: Vec<String> = zones.into_iter().collect();
        return Err(CommandError::usage("no host of the rollout is both in that zone and one of those hosts")
            .hint(format!("its zones: {}", zones.join(", "))));
    }
    let is_small = part.hosts.len() <= workflow::STEPS_UP_TO;
    let drawn = match (format == Format::Dot, is_small) {
        (true, true) => workflow::dot(&workflow::graph(&part)),
        (false, true) => workflow::mermaid(&workflow::graph(&part)),
        (true, false) => workflow::Overview::of(&part).dot(),
        (false, false) => workflow::Overview::of(&part).mermaid(),
    };
    // Names are others' choice, and the text may go to a terminal.
    Ok(drawn.lines().map(|line| printable(line).into_owned() + "\n").collect())
}

fn check_names(rollout: &Rollout, hosts: &[HostName]) -> Result<(), CommandError> {
    let known = || rollout.hosts.iter().map(|host| &host.host).chain(rollout.skipped.iter().map(|host| &host.host));
    for host in hosts {
        if !known().any(|known| known == host) {
            let names: Vec<&str> = known().map(HostName::as_str).collect();
            let error = CommandError::usage(format!("the rollout does not speak of a host `{host}`"));
            return Err(match closest(host.as_str(), &names) {
                Some(close) => error.hint(format!("did you mean `{close}`?")),
                None => error,
            });
        }
    }
    Ok(())
}
