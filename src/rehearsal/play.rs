//! Playing a rollout: each run on a runtime of its own whose clock goes on whenever nothing is left to do at its time.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::conditions::Conditions;
use super::figures::{Figures, Played};
use super::journal::Operator;
use super::pace::{self, Pace};
use super::stage;
use super::watch::Watch;
use crate::clock::Clock as _;
use crate::model::{Region, RunId};
use crate::plan::Rollout;
use crate::run::{DriveSettings, Engine, Ports, RunError, Runner};
use crate::sim::{SimCloud, SimOutside, SimRegion, SimShell};

/// The run of every rehearsal: nobody else is in its region.
const RUN: RunId = RunId::new(Uuid::from_u128(1));

/// How many times as long as planned a rehearsed run may take before it goes on for ever, apart from a month for
/// maintenance windows.
const PATIENCE: f64 = 10.0;

/// A month, in seconds.
const MONTH: f64 = 31.0 * 86_400.0;

/// What is to be rehearsed, and how.
#[derive(Debug, Clone, Copy)]
pub struct Order<'a> {
    /// The rollout.
    pub rollout: &'a Rollout,
    /// The region that it meets.
    pub region: &'a Region,
    /// What goes wrong, and by how much durations vary.
    pub conditions: &'a Conditions,
    /// Seed of the first run; each further run has the next one.
    pub seed: u64,
    /// How many runs, at least one.
    pub runs: usize,
    /// How many of them at once, at least one; the figures do not depend on it.
    pub threads: usize,
    /// How often the engine looks at what is in flight.
    pub poll: Duration,
}

/// Why a rollout could not be rehearsed.
#[derive(Debug, thiserror::Error)]
pub enum RehearsalError {
    /// The engine refuses to run it, as it would in earnest.
    #[error("the rehearsal with seed {seed} could not be run")]
    Run {
        /// The seed.
        seed: u64,
        /// Why.
        #[source]
        source: RunError,
    },
    /// This machine gives no clock or no thread.
    #[error("cannot set up the time of a rehearsal")]
    Runtime(#[source] std::io::Error),
}

/// Rehearses. `ended` is told of each host that has ended in any of the runs.
pub fn rehearse(order: &Order<'_>, ended: &(dyn Fn() + Sync)) -> Result<Figures, RehearsalError> {
    let rollout = Arc::new(stage::rollout_for(order.rollout));
    let pace = pace::pace_of(&rollout, order.conditions.noise);
    let runs = order.runs.max(1);
    let next = AtomicUsize::new(0);
    let work = || {
        let mut mine = Vec::new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= runs {
                return mine;
            }
            let seed = order.seed.wrapping_add(number as u64);
            mine.push((number, play(order, &rollout, &pace, seed, ended)));
        }
    };
    let mut played: Vec<(usize, Result<Played, RehearsalError>)> = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..order.threads.clamp(1, runs)).map(|_| scope.spawn(work)).collect();
        let joined = workers.into_iter().map(|worker| {
            // A panic of a worker is a bug, and goes on here.
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        });
        joined.flatten().collect()
    });
    played.sort_by_key(|(number, _)| *number);
    let played = played.into_iter().map(|(_, played)| played).collect::<Result<Vec<_>, _>>()?;
    Ok(Figures::of(played))
}

/// One run, from its region to its end.
fn play(
    order: &Order<'_>,
    rollout: &Arc<Rollout>,
    pace: &Pace,
    seed: u64,
    ended: &(dyn Fn() + Sync),
) -> Result<Played, RehearsalError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    let runtime = runtime.map_err(RehearsalError::Runtime)?;
    runtime.block_on(async {
        let world = stage::world_of(order.region, rollout, seed, pace, &order.conditions.faults);
        let region = SimRegion::new(world, 1.0);
        let operator = Arc::new(Operator::patient_until(gives_up_at(rollout, &region), region.clock()));
        let engine = Engine {
            ports: Ports {
                cloud: Arc::new(SimCloud::new(Arc::clone(&region))),
                shell: Arc::new(SimShell::new(Arc::clone(&region))),
                outside: Arc::new(SimOutside::new(Arc::clone(&region), Vec::new())),
                clock: Arc::new(region.clock()),
            },
            journal: Arc::clone(&operator) as _,
            runner: Runner { host: "rehearsal".to_owned(), pid: 0, version: env!("CARGO_PKG_VERSION").to_owned() },
            settings: DriveSettings { poll: order.poll, vitals: None },
            take_over: false,
        };
        let mut watch = Watch::of(order.region, ended);
        let (_steer, steered) = mpsc::channel(1);
        let end = engine.rehearse(RUN, Arc::clone(rollout), order.region, steered, &mut watch).await;
        let end = end.map_err(|source| RehearsalError::Run { seed, source })?;
        Ok(region.with(|world| Played::of(seed, &end, &watch, world)))
    })
}

fn gives_up_at(rollout: &Rollout, region: &SimRegion) -> Timestamp {
    let patience = SignedDuration::try_from_secs_f64(rollout.certificate.makespan_s * PATIENCE + MONTH);
    let patience = patience.unwrap_or(SignedDuration::MAX);
    region.clock().now().checked_add(patience).unwrap_or(Timestamp::MAX)
}
