//! `fleetmend preflight`: what stands in the way, before anything is planned.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use clap::Args;
use serde::Serialize;

use super::error::CommandError;
use super::exit::Exit;
use super::output::{Source, print, print_json};
use super::session::Session;
use super::{files, ports, region, store};
use crate::cloud::{Cloud, CloudErrorKind, HaHost, Standing};
use crate::config::shipped::REMEDIES;
use crate::config::{Configuration, StateUrl};
use crate::host::Inquiry;
use crate::model::{HostName, Moment, Policy, Region};
use crate::plan::Severity;
use crate::preflight::{Ground, Masakari, Note, gather, judge};
use crate::report::{Style, count, printable};

/// Hosts that are named in a line of text; `-f json` has all of them.
const HOSTS_NAMED: usize = 6;

/// Arguments of `preflight`.
#[derive(Debug, Args)]
pub struct PreflightArgs {
    /// Policy that a plan would be made under: what becomes of hosts on which something else runs
    #[arg(long, value_name = "NAME|FILE", default_value = "default")]
    pub policy: String,
    /// Region file that `inventory` wrote; without it the cloud and its hosts are asked
    #[arg(long, value_name = "FILE")]
    pub region: Option<Source>,
    /// Only notes about these hosts, and about the region
    #[arg(long, value_name = "HOST", value_delimiter = ',')]
    pub host: Vec<HostName>,
    /// Do not let the hosts' package managers ask their repositories, which refreshes their metadata
    #[arg(long)]
    pub no_repositories: bool,
}

/// The JSON of a preflight.
#[derive(Debug, Serialize)]
struct Preflight<'a> {
    format: u32,
    kind: &'static str,
    region: &'a str,
    taken_at: jiff::Timestamp,
    hosts: usize,
    counts: BTreeMap<&'static str, usize>,
    notes: &'a [Note],
}

/// What the cloud was asked beside its lists.
struct Asked {
    standing: Option<Standing>,
    masakari: AskedMasakari,
}

enum AskedMasakari {
    NotAsked,
    None,
    Silent(String),
    Hosts(Vec<HaHost>),
}

/// Collects, judges and prints.
pub fn run(args: &PreflightArgs, session: &Session) -> Result<Exit, CommandError> {
    let as_json = session.json("preflight")?;
    let policy = files::policy(&args.policy)?;
    let configuration = session.configuration()?;
    let (region, asked) = collect(args, &configuration, session)?;
    region::check_names(&region, &args.host)?;
    let mut notes = judge(&Ground {
        region: &region,
        standing: asked.standing.as_ref(),
        masakari: match &asked.masakari {
            AskedMasakari::NotAsked => Masakari::NotAsked,
            AskedMasakari::None => Masakari::None,
            AskedMasakari::Silent(words) => Masakari::Silent(words),
            AskedMasakari::Hosts(hosts) => Masakari::Hosts(hosts),
        },
        policy: &policy,
        virsh: &configuration.ssh.exec.virsh,
        has_maintenance_hook: has_maintenance_hook(&policy),
        journal_is_shared: matches!(session.journal(), Ok(StateUrl::Postgres(_))),
    });
    notes.retain(|note| args.host.is_empty() || note.host.as_ref().is_none_or(|host| args.host.contains(host)));
    if as_json {
        print_json(&Preflight {
            format: 1,
            kind: "preflight",
            region: &region.region,
            taken_at: region.taken_at,
            hosts: region.hosts.len(),
            counts: SEVERITIES.map(|severity| (word(severity), number_of(&notes, severity))).into(),
            notes: &notes,
        })?;
    } else {
        print(text(&region, &notes, session.out))?;
    }
    Ok(if number_of(&notes, Severity::Fatal) > 0 { Exit::Plan } else { Exit::Done })
}

/// Whether the policy tells high availability before a host goes away and after it is back: steps of its own whose names
/// begin so, on both sides of the reboot.
fn has_maintenance_hook(policy: &Policy) -> bool {
    use Moment::{
        AfterDrain, AfterEnable, AfterReboot, BeforeDrain, BeforeEnable, BeforeHost, BeforeReboot, BeforeUpdate,
    };
    let told = |moments: &[Moment]| {
        policy.steps.iter().any(|step| step.name.starts_with("maintenance") && moments.contains(&step.when))
    };
    told(&[BeforeHost, BeforeDrain, AfterDrain, BeforeUpdate, BeforeReboot])
        && told(&[AfterReboot, BeforeEnable, AfterEnable])
}

fn collect(
    args: &PreflightArgs,
    configuration: &Configuration,
    session: &Session,
) -> Result<(Region, Asked), CommandError> {
    if let Some(source) = &args.region {
        return Ok((files::region(source)?, Asked { standing: None, masakari: AskedMasakari::NotAsked }));
    }
    let mut inquiry = Inquiry { repositories: !args.no_repositories, ..Inquiry::default() };
    for shipped in REMEDIES {
        inquiry.add(files::remedy(shipped.name, session.err)?.inquiry());
    }
    store::block_on(async {
        let cloud = ports::cloud(session, configuration).await?;
        let asked = ask(cloud.as_ref()).await?;
        let region = region::take_from(cloud.as_ref(), session, configuration, &inquiry, true).await?;
        Ok((region, asked))
    })
}

async fn ask(cloud: &dyn Cloud) -> Result<Asked, CommandError> {
    let standing = Some(cloud.standing().await?);
    let masakari = match cloud.ha_hosts().await {
        Ok(None) => AskedMasakari::None,
        Ok(Some(hosts)) => AskedMasakari::Hosts(hosts),
        Err(error) if error.kind == CloudErrorKind::Unauthorized => return Err(error.into()),
        Err(error) => AskedMasakari::Silent(error.to_string()),
    };
    Ok(Asked { standing, masakari })
}

/// The gravest first.
const SEVERITIES: [Severity; 3] = [Severity::Fatal, Severity::Warning, Severity::Info];

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Fatal => "fatal",
        Severity::Warning => "warning",
        Severity::Info => "info",
    }
}

fn number_of(notes: &[Note], severity: Severity) -> usize {
    notes.iter().filter(|note| note.severity == severity).count()
}

fn text(region: &Region, notes: &[Note], style: Style) -> String {
    let mut out = format!(
        "{}, {}, as seen at {:.0}\n",
        style.bold(&printable(&region.region)),
        count(region.hosts.len(), "host"),
        region.taken_at
    );
    for (note, hosts) in gather(notes) {
        let label = match note.severity {
            Severity::Fatal => style.red(word(note.severity)),
            Severity::Warning => style.yellow(word(note.severity)),
            Severity::Info => style.dim(word(note.severity)),
        };
        let _ = writeln!(out, "\n{label}  {}  {}", style.bold(note.topic.word()), named(&hosts));
        let _ = writeln!(out, "  found:  {}", printable(&note.found));
        let _ = writeln!(out, "  means:  {}", printable(&note.means));
        let _ = writeln!(out, "  to do:  {}", printable(&note.advice));
    }
    let counts = SEVERITIES.map(|severity| format!("{} {}", number_of(notes, severity), word(severity)));
    let _ = writeln!(out, "\n{}", counts.join(", "));
    out
}

fn named(hosts: &[&HostName]) -> String {
    let names: Vec<String> = hosts.iter().take(HOSTS_NAMED).map(|host| printable(host.as_str()).into_owned()).collect();
    match (names.as_slice(), hosts.len().saturating_sub(HOSTS_NAMED)) {
        ([], _) => "the region".to_owned(),
        (names, 0) => names.join(", "),
        (names, more) => format!("{} and {more} more", names.join(", ")),
    }
}
