//! Where a region comes from: a file, or the cloud and its hosts.

use std::collections::BTreeSet;

use clap::Args;
use jiff::Timestamp;

use super::error::CommandError;
use super::exit::Exit;
use super::output::Source;
use super::session::Session;
use super::suggest::closest;
use super::ui::Look;
use super::{files, ports, store};
use crate::cloud::Cloud;
use crate::config::{Configuration, StateUrl};
use crate::host::{HostShell, Inquiry};
use crate::inventory::{self, Order, OwnPlaces, Progress};
use crate::model::{HostName, Region};
use crate::plan::Rollout;
use crate::remedy::Remedy;

/// Instances whose history is asked for at a time: what a small control plane bears beside its work.
const HISTORIES_AT_ONCE: usize = 8;

/// Where a region comes from.
#[derive(Debug, Args)]
pub struct RegionArgs {
    /// Region file that `inventory` wrote; without it the cloud and its hosts are asked
    #[arg(long, value_name = "FILE")]
    pub region: Option<Source>,
}

/// The region that `args` name: the file's, or the cloud's and its hosts' as they are.
pub fn obtain(args: &RegionArgs, remedy: &Remedy, session: &Session) -> Result<Region, CommandError> {
    match &args.region {
        Some(source) => files::region(source),
        None => store::block_on(take(session, &remedy.inquiry(), true)),
    }
}

/// Takes a snapshot of the region; with hosts over the configuration's way to them.
pub async fn take(session: &Session, inquiry: &Inquiry, with_hosts: bool) -> Result<Region, CommandError> {
    let configuration = session.configuration()?;
    let cloud = ports::cloud(session, &configuration).await?;
    take_from(cloud.as_ref(), session, &configuration, inquiry, with_hosts).await
}

/// As [`take`], from a cloud that is open, with a bar where somebody watches.
pub async fn take_from(
    cloud: &dyn Cloud,
    session: &Session,
    configuration: &Configuration,
    inquiry: &Inquiry,
    with_hosts: bool,
) -> Result<Region, CommandError> {
    let shell = if with_hosts { Some(ports::shell(session, configuration)?) } else { None };
    let own = own_places(session).await;
    let (parallel, rack_keys) = (configuration.ssh.parallel, configuration.rack_keys.as_slice());
    let taken_at = Timestamp::now();
    let order = Order { cloud, shell: shell.as_deref(), inquiry, parallel, rack_keys, taken_at, own: &own };
    let look = Look::new(session);
    Ok(inventory::take(&order, &|progress| look.tell(progress)).await?)
}

/// This machine, and the addresses of the database that keeps the journal: either may be among the hosts.
async fn own_places(session: &Session) -> OwnPlaces {
    let journal = match session.journal() {
        Ok(StateUrl::Postgres(url)) => match tokio::net::lookup_host(url.endpoint()).await {
            Ok(found) => found.map(|address| address.ip()).collect(),
            // A name that cannot be resolved here fails where the journal is opened, with its own words.
            Err(_) => BTreeSet::new(),
        },
        Ok(StateUrl::Sqlite(_)) | Err(_) => BTreeSet::new(),
    };
    OwnPlaces { runner: Session::machine_id(), journal }
}

/// Takes a snapshot through ports that are open.
pub async fn snapshot(
    cloud: &dyn Cloud,
    shell: Option<&dyn HostShell>,
    inquiry: &Inquiry,
    configuration: &Configuration,
    taken_at: Timestamp,
) -> Result<Region, CommandError> {
    let (parallel, rack_keys) = (configuration.ssh.parallel, configuration.rack_keys.as_slice());
    let own = OwnPlaces::default();
    let order = Order { cloud, shell, inquiry, parallel, rack_keys, taken_at, own: &own };
    let told = |progress: Progress| match progress {
        Progress::Listed(list, number) => tracing::info!("{list:?}: {number}"),
        Progress::Allocations(done, of) => tracing::debug!("allocations of {done} of {of} providers"),
        Progress::Hosts(done, of) => tracing::info!("{done} of {of} hosts answered"),
        Progress::Histories(..) => {}
    };
    Ok(inventory::take(&order, &told).await?)
}

/// Takes a snapshot of the region, and asks Nova what was done to its instances.
pub async fn take_with_histories(
    session: &Session,
    inquiry: &Inquiry,
    with_hosts: bool,
) -> Result<Region, CommandError> {
    let configuration = session.configuration()?;
    let cloud = ports::cloud(session, &configuration).await?;
    let shell = if with_hosts { Some(ports::shell(session, &configuration)?) } else { None };
    let now = Timestamp::now();
    let mut region = snapshot(cloud.as_ref(), shell.as_deref(), inquiry, &configuration, now).await?;
    let told = |progress: Progress| match progress {
        Progress::Histories(done, of) if done.is_multiple_of(100) || done == of => {
            tracing::info!("history of {done} of {of} instances");
        }
        Progress::Histories(..) | Progress::Listed(..) | Progress::Allocations(..) | Progress::Hosts(..) => {}
    };
    inventory::remember(cloud.as_ref(), &mut region, HISTORIES_AT_ONCE, &told).await?;
    Ok(region)
}

/// Fails when a rollout is for another region than the one that answers.
pub fn check_same(rollout: &Rollout, region: &str) -> Result<(), CommandError> {
    if rollout.region == region {
        return Ok(());
    }
    Err(CommandError::new(
        Exit::Plan,
        format!("the rollout is for region `{}`, but this is region `{region}`", rollout.region),
    )
    .consequence("nothing was changed")
    .hint("`--os-cloud` and `--os-region-name` choose the region"))
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
