//! `fleetmend inventory`: a snapshot of the region.

use std::fmt::Write as _;

use clap::Args;

use super::error::CommandError;
use super::exit::Exit;
use super::output::{Sink, tell};
use super::session::Session;
use super::{files, region, store};
use crate::config;
use crate::config::shipped::REMEDIES;
use crate::host::Inquiry;
use crate::model::Region;
use crate::report::{count, printable};

/// Gaps that are told one by one; the file has all of them.
const GAPS_SHOWN: usize = 10;

/// Arguments of `inventory`.
#[derive(Debug, Args)]
pub struct InventoryArgs {
    /// Where the snapshot goes, `-` for standard output
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    pub output: Sink,
    /// Leave the hosts out: only what the cloud says
    #[arg(long)]
    pub no_hosts: bool,
    /// Also ask Nova what was done to each instance that runs, two or three requests each: what `instances` needs
    #[arg(long)]
    pub histories: bool,
    /// Also ask the hosts for the packages of this remedy; those of the shipped ones are always asked for
    #[arg(long, value_name = "NAME|FILE")]
    pub remedy: Vec<String>,
}

/// Takes the snapshot and writes it.
pub fn run(args: &InventoryArgs, session: &Session) -> Result<Exit, CommandError> {
    args.output.check()?;
    let mut inquiry = Inquiry::default();
    for name in REMEDIES.iter().map(|shipped| shipped.name).chain(args.remedy.iter().map(String::as_str)) {
        inquiry.add(files::remedy(name, session.err)?.inquiry());
    }
    let region = if args.histories {
        store::block_on(region::take_with_histories(session, &inquiry, !args.no_hosts))?
    } else {
        store::block_on(region::take(session, &inquiry, !args.no_hosts))?
    };
    args.output.write(config::write_region(&region)?.as_bytes())?;
    tell(summary(&region));
    Ok(Exit::Done)
}

fn summary(region: &Region) -> String {
    let mut out = format!(
        "{}: {}, {}, {}\n",
        printable(&region.region),
        count(region.hosts.len(), "host"),
        count(region.instances.len(), "instance"),
        count(region.gaps.len(), "gap")
    );
    for gap in region.gaps.iter().take(GAPS_SHOWN) {
        let _ = writeln!(out, "  not seen: {}: {}", printable(&gap.at), printable(&gap.detail));
    }
    if region.gaps.len() > GAPS_SHOWN {
        let _ = writeln!(out, "  and {} more, in the file", region.gaps.len() - GAPS_SHOWN);
    }
    out
}
