//! The region as it is: cloud and hosts through their ports, into one [`Region`].
//!
//! What could not be seen becomes a typed gap, never a silent hole: a host that did not answer, a cell that is down,
//! an allocation that Nova does not explain. Changes nothing and judges nothing. Called by `cli`, and by the driver
//! for fresh facts before a host is drained.

mod allocations;
mod compose;
mod histories;
mod hosts;
mod seen;

use std::collections::BTreeSet;
use std::net::IpAddr;

pub use histories::remember;
use jiff::Timestamp;

use crate::cloud::{Cloud, CloudResult};
use crate::host::{HostShell, Inquiry};
use crate::model::{HostName, Region};

/// What to look at, and through what.
pub struct Order<'a> {
    /// The cloud.
    pub cloud: &'a dyn Cloud,
    /// The way to the hosts; `None` leaves them out, which is itself a gap.
    pub shell: Option<&'a dyn HostShell>,
    /// What to ask the hosts for beside what every host tells.
    pub inquiry: &'a Inquiry,
    /// Hosts that are asked at a time; at least one.
    pub parallel: usize,
    /// Keys of aggregates' metadata that name a rack; the first that an aggregate of a host has counts.
    pub rack_keys: &'a [String],
    /// The time of the snapshot.
    pub taken_at: Timestamp,
    /// What of our own may be on one of the hosts.
    pub own: &'a OwnPlaces,
}

/// Where fleetmend itself is: a host that it is on must not go down under it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnPlaces {
    /// machine-id of the machine that runs it.
    pub runner: Option<String>,
    /// Addresses of the database that keeps its journal.
    pub journal: BTreeSet<IpAddr>,
}

/// How far it is; for bars.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// One of the cloud's lists was read.
    Listed(List, usize),
    /// Providers whose allocations were read, of how many.
    Allocations(usize, usize),
    /// Hosts that answered or failed to, of how many.
    Hosts(usize, usize),
    /// Instances whose history was asked for, of how many.
    Histories(usize, usize),
}

/// A list that the cloud gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum List {
    /// Compute services.
    Services,
    /// Hypervisors.
    Hypervisors,
    /// Host aggregates.
    Aggregates,
    /// Server groups.
    Groups,
    /// Instances of all projects.
    Instances,
    /// Migrations in progress.
    Migrations,
    /// Resource providers.
    Providers,
}

/// Takes a snapshot of the region.
///
/// # Errors
/// When the cloud does not answer a list; what single hosts do not answer is a gap.
pub async fn take(order: &Order<'_>, progress: &(dyn Fn(Progress) + Sync)) -> CloudResult<Region> {
    let seen = seen::collect(order.cloud, progress).await?;
    let (mut region, doubts) = compose::region(order.cloud.region(), order.taken_at, order.rack_keys, &seen);
    region.gaps.extend(allocations::confirm(order.cloud, &seen, doubts).await?);
    match order.shell {
        Some(shell) => {
            let names: Vec<HostName> = region.hosts.iter().map(|host| host.host.clone()).collect();
            let looks = hosts::look(shell, &names, order.inquiry, order.parallel.max(1), progress).await;
            for (host, look) in region.hosts.iter_mut().zip(looks) {
                region.gaps.extend(hosts::enter(host, look, order.own));
            }
        }
        None => region.gaps.push(hosts::not_asked(&region.region)),
    }
    region.gaps.sort_by(|a, b| (a.kind, &a.at, &a.detail).cmp(&(b.kind, &b.at, &b.detail)));
    Ok(region)
}

#[cfg(test)]
mod tests;
