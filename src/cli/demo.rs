//! `fleetmend demo`: the main job from nothing, on a simulated region over real HTTP.
//!
//! It runs the very commands that an operator would, each as a process of its own, and shows them: nothing here is a
//! second way to do anything. This process only serves the region, and with `--crash` kills the runner.

mod crash;
mod folder;
mod stage;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;

use self::folder::Folder;
use self::stage::{Shown, Stage};
use super::error::CommandError;
use super::exit::Exit;
use super::lab::Region;
use super::output::tell;
use super::session::Session;
use super::store;
use super::terminal::Undisturbed;
use crate::report::{count, duration};
use crate::sim::Scenario;

/// The region's time passes so much faster than ours: hosts that take minutes to reboot take about a second.
const SPEED: f64 = 200.0;

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// Compute hosts of the simulated region
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(u32).range(2..=1000))]
    pub hosts: u32,
    /// Instances on them; fewer where there is no room
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = clap::value_parser!(u32).range(0..=20_000))]
    pub instances: u32,
    /// The same seed makes the same region
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Folder for what comes of it: plan, journal, report
    #[arg(long, value_name = "DIR", default_value = "fleetmend-demo")]
    pub dir: PathBuf,
    /// Kill the runner midway with SIGKILL, and resume
    #[arg(long)]
    pub crash: bool,
}

/// Goes through the main job.
pub fn run(args: &DemoArgs, session: &Session) -> Result<Exit, CommandError> {
    store::block_on(async {
        let folder = Folder::prepare(&args.dir)?;
        let scenario = Scenario {
            start: Timestamp::now(),
            ..Scenario::sized(args.hosts as usize, args.instances as usize, args.seed)
        };
        let region = Region::open(&scenario, SPEED, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        folder.fill(&region, args.hosts)?;
        let world = region.world();
        let serving = tokio::spawn(region.serve());
        // The runner gets Ctrl-C as well and answers it; the region must outlive it.
        let _deaf = tokio::spawn(async { while tokio::signal::ctrl_c().await.is_ok() {} });
        // A runner that is killed cannot leave the terminal as it found it.
        let _undisturbed = Undisturbed::new();
        let stage = Stage::new(&folder, session)?;
        let exit = play(&stage, args).await?;
        let lost = world.with(|world| world.lost().len());
        serving.abort();
        tell(farewell(&stage, args, exit, lost));
        Ok(exit)
    })
}

async fn play(stage: &Stage, args: &DemoArgs) -> Result<Exit, CommandError> {
    let bold = |text: String| stage.style.bold(&text);
    tell(format!(
        "{}\n{} and {} on this machine: simulated, behind real HTTP, {SPEED} times as fast as real ones.\n\
         What follows are the commands that an operator would give; the files are in `{}`.\n",
        bold("fleetmend demo".to_owned()),
        count(args.hosts as usize, "host"),
        count(args.instances as usize, "instance"),
        args.dir.display(),
    ));
    stage.say("What is there? A snapshot of what Nova, Placement and each host say. Reads only.");
    stage.run(&["inventory", "-o", "region.json"], Shown::All).await?;
    stage.say("Which hosts are vulnerable, and by what evidence?");
    stage.run(&["assess", "--remedy", "mds", "--region", "region.json"], Shown::Ends(11, 2)).await?;
    stage.say("Plan the whole campaign before anything is touched: who goes when, each instance moves where, what was proven.");
    let plan = ["plan", "--remedy", "mds", "--policy", "policy.yaml", "--region", "region.json", "-o", "rollout.yaml"];
    stage.run(&plan, Shown::All).await?;
    stage.run(&["show", "rollout.yaml"], Shown::Ends(22, 0)).await?;
    stage.say("Try it: the same engine, looking only. Nothing is changed.");
    stage.run(&["run", "rollout.yaml", "--dry-run"], Shown::Ends(8, 2)).await?;
    stage.say("Run it.");
    let exit =
        if args.crash { crash::run_and_resume(stage).await? } else { stage.run(&crash::RUN, Shown::Live).await? };
    stage.say("What happened, with evidence: for a change ticket, for programs, for people.");
    stage.run(&["report", "-f", "json", "-o", "report.json"], Shown::All).await?;
    stage.run(&["report", "-f", "html", "-o", "report.html"], Shown::All).await?;
    if exit == Exit::Done {
        stage.say("And the proof: ask every host again.");
        stage.run(&["assess", "--remedy", "mds", "--check"], Shown::Ends(0, 1)).await?;
    }
    Ok(exit)
}

fn farewell(stage: &Stage, args: &DemoArgs, exit: Exit, lost: usize) -> String {
    let dir = args.dir.display();
    let fate = if lost == 0 { "no instance was lost".to_owned() } else { count(lost, "instance") + " was lost" };
    let how = if exit == Exit::Done { stage.style.green("done") } else { stage.style.yellow(exit.meaning()) };
    format!(
        "\n{how} in {}; {fate}\n\n  {dir}/rollout.yaml   the plan\n  {dir}/region.json    what was there before\n  \
         {dir}/journal.db     every event; `cd {dir}` and try `fleetmend status`, `runs`, `report`\n  \
         {dir}/report.html    open it in a browser\n  {dir}/report.json    the same for programs\n",
        duration(stage.since().as_secs_f64()),
    )
}
