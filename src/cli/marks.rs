//! `fleetmend marks`: services that carry the mark of a run, and giving back those whose run is gone.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use clap::Args;
use serde::Serialize;

use super::error::CommandError;
use super::exit::Exit;
use super::output::{print, print_json, tell};
use super::session::Session;
use super::{confirm, ports, store};
use crate::model::{HostName, RunId};
use crate::report::{Lean, Table, count};
use crate::run::Runner;
use crate::run::marks::{self, MarkedHost, Obstacle, Owner};

/// Arguments of `marks`.
#[derive(Debug, Args)]
pub struct MarksArgs {
    /// Put hosts back into service whose run no journal here knows
    #[arg(long)]
    pub release: bool,
    /// Only these hosts
    #[arg(long, value_name = "HOST", value_delimiter = ',')]
    pub host: Vec<HostName>,
    /// Release them without asking
    #[arg(long, requires = "release")]
    pub yes: bool,
}

/// The JSON of a marked host.
#[derive(Debug, Serialize)]
struct Line<'a> {
    host: &'a HostName,
    run: RunId,
    owner: &'static str,
    why: &'a str,
    released: bool,
    stays: Option<&'static str>,
}

/// Lists marks; with `--release` gives back what nobody owns any more.
pub fn run(args: &MarksArgs, session: &Session) -> Result<Exit, CommandError> {
    let as_json = session.json("marks")?;
    let configuration = session.configuration()?;
    store::block_on(async {
        let journal = store::find_existing(session).await?;
        let cloud = ports::cloud(session, &configuration).await?;
        let known = match &journal {
            Some(journal) => journal.runs().await?.into_iter().map(|run| (run.run, run.ended)).collect(),
            None => BTreeMap::new(),
        };
        let mut found = marks::find(cloud.as_ref(), &known).await?;
        found.retain(|marked| args.host.is_empty() || args.host.contains(&marked.host));
        let mut released: Vec<&HostName> = Vec::new();
        let free: Vec<&MarkedHost> = found.iter().filter(|marked| marked.obstacle.is_none()).collect();
        if args.release && !free.is_empty() {
            confirm::ask(args.yes, &question(&free), session)?;
            let runner = Runner {
                host: session.host_name(),
                pid: std::process::id(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
            };
            // A run that begins on this machine in this moment must not have its fresh mark taken away.
            let _hold = match &journal {
                Some(journal) => Some(journal.hold(cloud.region(), &runner).await?),
                None => None,
            };
            for marked in free {
                if marks::give_back(cloud.as_ref(), marked, &known).await? {
                    tell(format!("{}: back in service\n", marked.host));
                    released.push(&marked.host);
                } else {
                    tell(format!("{}: changed in this moment, and was left alone\n", marked.host));
                }
            }
        }
        show(&found, &released, as_json, session)?;
        let left = args.release && released.len() < found.len();
        Ok(if left { Exit::Failures } else { Exit::Done })
    })
}

fn question(free: &[&MarkedHost]) -> String {
    let names: Vec<&str> = free.iter().map(|marked| marked.host.as_str()).collect();
    format!(
        "No journal here knows the runs of {}. If one still runs on another machine, it loses them. Put {} back into \
         service?",
        names.join(", "),
        if free.len() == 1 { "it" } else { "them" }
    )
}

fn owner_words(owner: Owner) -> &'static str {
    match owner {
        Owner::Unfinished => "unfinished",
        Owner::Ended => "ended",
        Owner::Unknown => "unknown",
    }
}

/// Why a host stays as it is, and what to do about it.
fn stays(marked: &MarkedHost) -> Option<&'static str> {
    let words = match (marked.obstacle?, marked.owner) {
        (Obstacle::RunIsKnown, _) => "`fleetmend resume` goes on with its run, `fleetmend abandon` gives it back",
        (Obstacle::Quarantined, Owner::Unknown) => {
            "it may be half updated: look at it, then `openstack compute service set --enable`"
        }
        (Obstacle::Quarantined, Owner::Unfinished | Owner::Ended) => {
            "it may be half updated: look at it, then `fleetmend retry` and `fleetmend resume`; plan again if its run was abandoned"
        }
        (Obstacle::Down, _) => "its nova-compute does not report and it may be half updated: look at it first",
    };
    Some(words)
}

fn show(found: &[MarkedHost], released: &[&HostName], as_json: bool, session: &Session) -> Result<(), CommandError> {
    if as_json {
        let lines: Vec<Line<'_>> = found
            .iter()
            .map(|marked| Line {
                host: &marked.host,
                run: marked.run,
                owner: owner_words(marked.owner),
                why: &marked.why,
                released: released.contains(&&marked.host),
                stays: stays(marked),
            })
            .collect();
        return print_json(&lines);
    }
    let left: Vec<&MarkedHost> = found.iter().filter(|marked| !released.contains(&&marked.host)).collect();
    if left.is_empty() {
        return print("no host carries the mark of a run\n");
    }
    let columns = [("host", Lean::Left), ("run", Lean::Left), ("its run is", Lean::Left), ("reason", Lean::Left)];
    let mut table = Table::new(&columns);
    for marked in &left {
        let run = marked.run.to_string();
        table.row([marked.host.as_str(), run.as_str(), owner_words(marked.owner), marked.why.as_str()]);
    }
    let mut text = table.render(0, |heading| session.out.dim(heading));
    let mut advice: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for marked in left {
        let words = stays(marked).unwrap_or("`fleetmend marks --release` puts it back into service");
        advice.entry(words).or_default().push(marked.host.as_str());
    }
    for (words, hosts) in advice {
        let _ = writeln!(text, "\n{} ({}): {words}", count(hosts.len(), "host"), hosts.join(", "));
    }
    print(text)
}
