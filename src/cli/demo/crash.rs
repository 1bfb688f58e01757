//! The runner's death: SIGKILL in the midst of migrations, then `resume`.

use std::time::Duration;

use super::stage::{Shown, Stage, judge};
use crate::cli::error::CommandError;
use crate::cli::exit::Exit;
use crate::cli::output::tell;
use crate::journal::Journal;
use crate::journal::sqlite::SqliteJournal;
use crate::report::count;
use crate::run::{self, HostPhase, RunState};

/// The command that runs the rollout. The region is fast, so it is looked at more often than a real one.
pub const RUN: [&str; 5] = ["run", "rollout.yaml", "--yes", "--poll", "200ms"];

/// How often the journal is looked at for the right moment.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Runs the rollout, kills the runner midway, and resumes.
pub async fn run_and_resume(stage: &Stage) -> Result<Exit, CommandError> {
    let mut child = stage.spawn(&RUN)?;
    let killed = tokio::select! {
        ended = child.wait() => {
            let code = ended.ok().and_then(|status| status.code());
            tell("the run ended before it could be killed\n");
            return judge(&RUN, code);
        }
        killed = midway(stage) => killed?,
    };
    child.kill().await.map_err(|error| CommandError::doing(Exit::Unexpected, "cannot kill the runner", error))?;
    tell(format!("\n{}\n", stage.style.red(&format!("SIGKILL: the runner is dead, {killed}."))));
    stage.run(&["status"], Shown::Ends(30, 0)).await?;
    stage.say("Go on: what is in flight is looked for first and adopted; nothing is done twice.");
    stage.run(&["resume", "--poll", "200ms"], Shown::Live).await
}

/// Waits until a third of the hosts is done and a migration is in flight; says what was under way.
async fn midway(stage: &Stage) -> Result<String, CommandError> {
    let path = stage.folder().join("journal.db");
    loop {
        tokio::time::sleep(LOOK_EVERY).await;
        if !path.exists() {
            continue;
        }
        // The runner may be making the file in this moment; a later look finds it whole.
        let Ok(journal) = SqliteJournal::open_existing(&path) else { continue };
        let Ok(runs) = journal.runs().await else { continue };
        let Some(listing) = runs.first() else { continue };
        let now = run::load(&journal, listing.run).await?;
        let third = now.rollout().hosts.len().div_ceil(3);
        if now.count(HostPhase::Done) >= third && now.moves_in_flight().next().is_some() {
            return Ok(under_way(&now));
        }
    }
}

fn under_way(state: &RunState) -> String {
    let hosts = count(state.count(HostPhase::Active), "host");
    let migrations = count(state.moves_in_flight().count(), "migration");
    format!("with {hosts} under way and {migrations} in flight")
}
