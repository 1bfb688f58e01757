//! `fleetmend assess`: a verdict per host with its evidence.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use clap::Args;
use serde::Serialize;

use super::error::CommandError;
use super::exit::Exit;
use super::files;
use super::output::{print, print_json};
use super::region::{self, RegionArgs};
use super::session::Session;
use crate::model::{HostName, Region, ZoneName};
use crate::remedy::{Remedy, Verdict, VerdictKind, assess};
use crate::report::evidence::{decisive, outcome_word};
use crate::report::{Lean, Style, Table, count, evidence, printable, verdict_words};

/// Arguments of `assess`.
#[derive(Debug, Args)]
pub struct AssessArgs {
    /// Shipped remedy, or the path of one
    #[arg(long, value_name = "NAME|FILE")]
    pub remedy: String,
    /// Where the region comes from.
    #[command(flatten)]
    pub region: RegionArgs,
    /// Only these hosts, each with all of its evidence
    #[arg(long, value_name = "HOST", value_delimiter = ',')]
    pub host: Vec<HostName>,
    /// End with exit code 8 when any host is vulnerable or unknown
    #[arg(long)]
    pub check: bool,
}

/// The verdict on one host.
#[derive(Debug, Serialize)]
struct Assessed<'a> {
    host: &'a HostName,
    #[serde(skip_serializing_if = "Option::is_none")]
    zone: Option<&'a ZoneName>,
    #[serde(flatten)]
    verdict: Verdict,
}

/// The JSON of an assessment.
#[derive(Debug, Serialize)]
struct Assessment<'a> {
    format: u32,
    kind: &'static str,
    remedy: &'a str,
    region: &'a str,
    taken_at: jiff::Timestamp,
    counts: BTreeMap<&'static str, usize>,
    hosts: &'a [Assessed<'a>],
}

/// Assesses and prints.
pub fn run(args: &AssessArgs, session: &Session) -> Result<Exit, CommandError> {
    let as_json = session.json("assess")?;
    let remedy = files::remedy(&args.remedy, session.err)?;
    let region = region::obtain(&args.region, &remedy, session)?;
    region::check_names(&region, &args.host)?;
    let wanted = |host: &HostName| args.host.is_empty() || args.host.contains(host);
    let hosts: Vec<Assessed<'_>> = region
        .hosts
        .iter()
        .filter(|host| wanted(&host.host))
        .map(|host| Assessed { host: &host.host, zone: host.zone.as_ref(), verdict: assess(&host.facts, &remedy) })
        .collect();
    if as_json {
        print_json(&Assessment {
            format: 1,
            kind: "assessment",
            remedy: &remedy.name,
            region: &region.region,
            taken_at: region.taken_at,
            counts: counts(&hosts).into_iter().map(|(kind, number)| (verdict_key(kind), number)).collect(),
            hosts: &hosts,
        })?;
    } else {
        print(text(&remedy, &region, &hosts, !args.host.is_empty(), session.out))?;
    }
    let open = hosts.iter().any(|host| matches!(host.verdict.verdict, VerdictKind::Vulnerable | VerdictKind::Unknown));
    Ok(if args.check && open { Exit::Vulnerable } else { Exit::Done })
}

/// The verdict as files write it.
fn verdict_key(kind: VerdictKind) -> &'static str {
    match kind {
        VerdictKind::Mitigated => "mitigated",
        VerdictKind::Vulnerable => "vulnerable",
        VerdictKind::NotAffected => "not-affected",
        VerdictKind::Unknown => "unknown",
    }
}

fn counts(hosts: &[Assessed<'_>]) -> BTreeMap<VerdictKind, usize> {
    let kinds = [VerdictKind::Mitigated, VerdictKind::Vulnerable, VerdictKind::NotAffected, VerdictKind::Unknown];
    kinds.into_iter().map(|kind| (kind, hosts.iter().filter(|host| host.verdict.verdict == kind).count())).collect()
}

fn text(remedy: &Remedy, region: &Region, hosts: &[Assessed<'_>], in_full: bool, style: Style) -> String {
    let mut out = format!(
        "{} in {}, as seen at {:.0}\n",
        style.bold(&printable(&remedy.name)),
        printable(&region.region),
        region.taken_at
    );
    if in_full {
        for host in hosts {
            let name = style.bold(&printable(host.host.as_str()));
            let _ = writeln!(
                out,
                "
{name}: {}",
                coloured(&host.verdict, style)
            );
            out.push_str(&evidence::table(&host.verdict).render(2, |heading| style.dim(heading)));
        }
    } else {
        out.push('\n');
        out.push_str(&overview(hosts).render(0, |heading| style.dim(heading)));
    }
    let counted: Vec<String> = counts(hosts)
        .into_iter()
        .filter(|(_, number)| *number > 0)
        .map(|(kind, number)| format!("{number} {}", verdict_words(kind)))
        .collect();
    let _ = writeln!(out, "\n{}: {}", count(hosts.len(), "host"), counted.join(", "));
    out
}

fn coloured(verdict: &Verdict, style: Style) -> String {
    let word = verdict_words(verdict.verdict);
    match verdict.verdict {
        VerdictKind::Mitigated | VerdictKind::NotAffected => style.green(word),
        VerdictKind::Vulnerable => style.red(word),
        VerdictKind::Unknown => style.yellow(word),
    }
}

/// Each host with what decides its verdict: one line a piece of evidence.
fn overview(hosts: &[Assessed<'_>]) -> Table {
    let mut table = Table::new(&[
        ("host", Lean::Left),
        ("verdict", Lean::Left),
        ("", Lean::Left),
        ("because", Lean::Left),
        ("found", Lean::Left),
    ]);
    for host in hosts {
        let verdict = verdict_words(host.verdict.verdict);
        let decisive = decisive(&host.verdict);
        if decisive.is_empty() {
            table.row([host.host.as_str(), verdict, "", "", ""]);
        }
        for (index, evidence) in decisive.into_iter().enumerate() {
            let (name, verdict) = if index == 0 { (host.host.as_str(), verdict) } else { ("", "") };
            let found = evidence.found.as_deref().unwrap_or("-");
            table.row([name, verdict, outcome_word(evidence.outcome), &evidence.requirement, found]);
        }
    }
    table
}
