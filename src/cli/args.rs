//! The command line: what can be asked. Each doc comment here is a help text.

use std::fmt;
use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use super::{
    assess, completions, control, demo, diff, drain, instances, inventory, journal, lab, man, marks, plan, preflight,
    rehearse, report, run, schema, show, status, view,
};

/// Rolling remediation for OpenStack compute fleets: planned, proven, resumable
///
/// Brings every compute host of a region from vulnerable to proven mitigated without losing an instance. It plans the
/// whole campaign before it touches anything, runs it under limits, survives its own death at any instant, and leaves
/// an evidence trail.
#[derive(Debug, Parser)]
#[command(name = "fleetmend", version, max_term_width = 100, after_help = super::reference::exit_codes())]
pub struct Cli {
    /// Options that every command takes.
    #[command(flatten)]
    pub global: GlobalArgs,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// Options that every command takes.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Global options")]
pub struct GlobalArgs {
    /// Entry of clouds.yaml, in place of `OS_CLOUD`; every other `OS_*` variable is read as openstacksdk reads it
    #[arg(long, global = true, value_name = "NAME")]
    pub os_cloud: Option<String>,
    /// Region in the cloud's catalog, in place of `OS_REGION_NAME`
    #[arg(long, global = true, value_name = "NAME")]
    pub os_region_name: Option<String>,
    /// Configuration file [default: fleetmend.yaml here, else in the XDG configuration folder]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where journals are kept, `sqlite:PATH` or `postgres://USER@HOST/DATABASE` [default: under the XDG state folder]
    #[arg(long, global = true, value_name = "URL")]
    pub state: Option<String>,
    /// Format of what is printed; commands say which of them they know
    #[arg(short, long, global = true, value_enum, value_name = "FORMAT")]
    pub format: Option<Format>,
    /// No bars: one line an event, as without a terminal
    #[arg(long, global = true)]
    pub no_progress: bool,
    /// More of what is done and asked, on standard error; repeat for more still
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,
    /// Format of that log
    #[arg(long, global = true, value_enum, value_name = "FORMAT", default_value_t)]
    pub log_format: LogFormat,
}

/// Formats of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people
    Text,
    /// For programs
    Json,
    /// For a change ticket
    Markdown,
    /// One self-contained page
    Html,
    /// For graphviz
    Dot,
    /// For a wiki
    Mermaid,
    /// For a spreadsheet
    Csv,
    /// For Perfetto and `chrome://tracing`
    Trace,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
            Self::Markdown => "markdown",
            Self::Html => "html",
            Self::Dot => "dot",
            Self::Mermaid => "mermaid",
            Self::Csv => "csv",
            Self::Trace => "trace",
        })
    }
}

/// Formats of the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people
    #[default]
    Text,
    /// One JSON object a line
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// The main job from nothing, on a simulated region: inventory, assess, plan, dry run, run, report
    Demo(demo::DemoArgs),
    /// What stands in the way of a campaign, before anything is planned: rights, ssh, sudo, repositories, other roles
    Preflight(preflight::PreflightArgs),
    /// Take a snapshot of the region: what Nova, Placement and the hosts say
    Inventory(inventory::InventoryArgs),
    /// Plan a rollout: hosts in order, moves, limits, and a certificate of what was proven about it
    Plan(Box<plan::PlanArgs>),
    /// A verdict per host: mitigated, vulnerable, not affected or unknown, each with its evidence
    Assess(assess::AssessArgs),
    /// Tell which instances still need their cold boot: the ledger, by project
    Instances(instances::InstancesArgs),
    /// Show a rollout for review
    Show(show::ShowArgs),
    /// Compare two rollouts, or a rollout with the region: what changed and whether it matters
    Diff(diff::DiffArgs),
    /// Rehearse a rollout in virtual time on a simulated region: how long, how many moves, which hosts fail
    Rehearse(rehearse::RehearseArgs),
    /// Run a rollout, or look what it would do (`--dry-run`)
    Run(run::RunArgs),
    /// Go on with a run where its last process left it
    Resume(run::ResumeArgs),
    /// Give back what a run holds: untouched hosts as they were, half-done ones stay quarantined
    Abandon(run::AbandonArgs),
    /// Empty one host and keep it out of service; with `--release` give it back
    Drain(drain::DrainArgs),
    /// List hosts that carry the mark of a run; with `--release` give back those whose run is gone
    Marks(marks::MarksArgs),
    /// Show where a run stands, what each host does and what waits
    Status(status::StatusArgs),
    /// Serve the live page of a run, from its journal: also of one that another process runs, or that nobody runs
    View(view::ViewArgs),
    /// List runs, newest first
    Runs,
    /// Tell what happened in a run, with evidence: Markdown, JSON, one page, or a trace for Perfetto
    Report(report::ReportArgs),
    /// Begin nothing more in a run; what is under way goes on
    Pause(control::RunArgs),
    /// Go on with a paused run
    Continue(control::RunArgs),
    /// End a run when what is under way has ended; it can be resumed
    Stop(control::RunArgs),
    /// Open the gate behind the canary hosts
    Approve(control::RunArgs),
    /// Leave a waiting host alone
    Skip(control::HostArgs),
    /// Try a quarantined or skipped host again, also after the run has ended
    Retry(control::HostArgs),
    /// Change the limits of a run, or print those in force
    Limits(control::LimitsArgs),
    /// Copy runs to another journal, remove old ones, or prove that nobody has changed any
    Journal(journal::JournalArgs),
    /// Serve a simulated region over HTTP: Keystone, Nova, Placement, and hosts that are not there
    Lab(lab::LabArgs),
    /// Print the JSON Schema of a kind of file, for editors
    Schema(schema::SchemaArgs),
    /// Print a completion script for a shell
    Completions(completions::CompletionsArgs),
    /// Print the manual page, or write one a command
    Man(man::ManArgs),
}
