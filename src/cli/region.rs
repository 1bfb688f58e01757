//! Where a region comes from: a file, or the cloud and its hosts.

use clap::Args;

use super::error::CommandError;
use super::files;
use super::output::Source;
use super::session::Session;
use super::suggest::closest;
use crate::model::{HostName, Region};
use crate::remedy::Remedy;

/// Where a region comes from.
#[derive(Debug, Args)]
pub struct RegionArgs {
    /// Region file that `inventory` wrote; without it the cloud and its hosts are asked
    #[arg(long, value_name = "FILE")]
    pub region: Option<Source>,
}

/// The region that `args` name.
pub fn obtain(args: &RegionArgs, _remedy: &Remedy, _session: &Session) -> Result<Region, CommandError> {
    match &args.region {
        Some(source) => files::region(source),
        None => Err(CommandError::usage("give the region with `--region`")),
    }
}

/// Fails when a host that was named is not in the region.
pub fn check_names(region: &Region, hosts: &[HostName]) -> Result<(), CommandError> {
    for host in hosts {
        if region.host(host).is_none() {
            let known: Vec<&str> = region.hosts.iter().map(|host| host.host.as_str()).collect();
            let error = CommandError::usage(format!("there is no host `{host}` in region {}", region.region));
            return Err(match closest(host.as_str(), &known) {
                Some(close) => error.hint(format!("did you mean `{close}`?")),
                None => error,
            });
        }
    }
    Ok(())
}
