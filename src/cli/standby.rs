//! `run --standby`, `resume --standby`: waits for the region, and takes over when its runner has died.

use tokio::sync::mpsc;

use super::error::CommandError;
use super::exit::Exit;
use super::notices::Post;
use super::output::tell;
use super::run::{RunArgs, ended, engine, exit_of, fit_region};
use super::session::Session;
use super::signals;
use super::ui::{self, Kind};
use crate::config::Configuration;
use crate::journal::Journal;
use crate::model::RunId;
use crate::plan::Rollout;
use crate::report::printable;
use crate::run::{Engine, Held, Outcome, Ports, RunState, RunStatus, Steer, Turn};

/// Waits with a rollout: begins it, or takes up the run of it that another process began.
pub async fn of_rollout(
    rollout: Rollout,
    ports: Ports,
    args: &RunArgs,
    configuration: &Configuration,
    session: &Session,
) -> Result<Exit, CommandError> {
    let as_json = session.json("run")?;
    let engine = engine(ports.clone(), false, &args.engine, session).await?;
    let mut steer = signals::steer();
    let Some(held) = wait(&engine, &rollout.region, &mut steer, session).await? else { return Ok(Exit::Resumable) };
    if let Some(run) = run_of(held.journal().as_ref(), &rollout).await? {
        return take_up(&held, run, &rollout, steer, configuration, session).await;
    }
    // It may have waited for days: the rollout has to fit the region as it is now.
    let region = fit_region(&rollout, &ports, args, configuration, session).await?;
    let run = RunId::new(uuid::Uuid::now_v7());
    let watcher = ui::watcher(session, &rollout, Kind::Real, as_json);
    let (post, mut watcher) = Post::beside(watcher, &configuration.notices, run, &rollout);
    let end = held.begin(run, rollout, &region, steer, watcher.as_mut()).await;
    drop(watcher);
    Post::end(post).await;
    Ok(ended(&end?, as_json, session))
}

/// Waits with a run.
pub async fn of_run(
    run: RunId,
    rollout: &Rollout,
    engine: &Engine,
    configuration: &Configuration,
    session: &Session,
) -> Result<Exit, CommandError> {
    let mut steer = signals::steer();
    let Some(held) = wait(engine, &rollout.region, &mut steer, session).await? else { return Ok(Exit::Resumable) };
    take_up(&held, run, rollout, steer, configuration, session).await
}

async fn wait(
    engine: &Engine,
    region: &str,
    steer: &mut mpsc::Receiver<Steer>,
    session: &Session,
) -> Result<Option<Held>, CommandError> {
    let mut told = |holder: &str| {
        let head = session.err.bold("standing by:");
        let holder = printable(holder);
        tell(format!("{head} region {} is {holder}; this process takes over when that one dies\n", printable(region)));
    };
    Ok(engine.wait_for(region, steer, &mut told).await?)
}

/// The newest run of a rollout, which nobody begins a second time by standing by.
async fn run_of(journal: &dyn Journal, rollout: &Rollout) -> Result<Option<RunId>, CommandError> {
    let runs = journal.runs().await?;
    let ours = runs.into_iter().find(|run| run.digest.as_str() == rollout.digest.as_str());
    Ok(ours.map(|listing| listing.run))
}

async fn take_up(
    held: &Held,
    run: RunId,
    rollout: &Rollout,
    steer: mpsc::Receiver<Steer>,
    configuration: &Configuration,
    session: &Session,
) -> Result<Exit, CommandError> {
    let as_json = session.json("resume")?;
    let watcher = ui::watcher(session, rollout, Kind::Real, as_json);
    let (post, mut watcher) = Post::beside(watcher, &configuration.notices, run, rollout);
    let turn = held.take_up(run, steer, watcher.as_mut()).await;
    drop(watcher);
    Post::end(post).await;
    Ok(match turn? {
        Turn::Ran(end) => ended(&end, as_json, session),
        Turn::Over(state) => over(&state, session),
    })
}

/// Tells how the run came to its end under its own runner, and ends as that one did.
fn over(state: &RunState, session: &Session) -> Exit {
    let outcome = match state.status() {
        RunStatus::Ended(outcome) => Some(*outcome),
        RunStatus::Paused(..) => Some(Outcome::Paused),
        RunStatus::Unbegun | RunStatus::Running | RunStatus::Stopping => None,
    };
    let exit = exit_of(outcome, state);
    let head = session.err.bold("nothing to take over:");
    tell(format!("{head} the runner of {} has ended it: {}\n", state.run(), exit.meaning()));
    exit
}
