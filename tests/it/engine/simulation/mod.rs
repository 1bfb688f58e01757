//! Small random regions, random faults, and a runner that dies again and again: the crash contract, by seed.
//!
//! `FLEETMEND_SEED=17 cargo test --test it engine::simulation::whatever -- --nocapture` replays one seed and tells its story;
//! `FLEETMEND_SEEDS=1000..2000` runs a range.

mod draw;
mod end;
mod watch;

use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use fleetmend::clock::Clock;
use fleetmend::journal::{Journal, PlacedRequest};
use fleetmend::plan::Scope;
use fleetmend::run::{DriveError, Engine, EventKind, Outcome, RunEnd, RunError};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::fuse::{Burns, Cut, Fuse};
use super::stage::Stage;
use draw::{Case, Death, How};
use watch::Watch;

/// Seeds of every run of the tests: about a minute of one core without optimization.
const SEEDS: std::ops::Range<u64> = 0..60;

/// No process needs longer for a small region.
const LIFE: Duration = Duration::from_secs(12 * 3600);

/// How often a run that paused, or whose cloud did not answer, is resumed before it goes on for ever.
const RESUMES: usize = 300;

/// What one seed came to.
struct Story {
    case: Case,
    outcome: Option<Outcome>,
    watch: Watch,
}

impl Story {
    fn tell(&self, seed: u64, at_length: bool) -> String {
        let mut told = format!("seed {seed}: {:?}, {} events\n", self.outcome, self.watch.events.len());
        for violation in &self.watch.violations {
            let _ = writeln!(told, "  {violation}");
        }
        if at_length {
            let _ = writeln!(told, "  {:#?}\n  {:?}\n  {:?}", self.case.faults, self.case.deaths, self.case.words);
            for event in &self.watch.events {
                let text = serde_json::to_string(&event.kind).unwrap();
                let _ = writeln!(told, "  {:4} {} {}", event.seq, event.at, text.chars().take(400).collect::<String>());
            }
        }
        told
    }
}

/// Plays one seed from its region to the end of its run; nothing where there is no plan for the region.
fn play(seed: u64) -> Option<Story> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let case = draw::case(seed);
        let Ok(stage) = Stage::try_set(&case.scenario, case.policy.clone(), Scope::default()).await else {
            return None;
        };
        stage.region.with(|world| world.set_faults(case.faults.clone()));
        let mut watch = Watch::new(Arc::clone(&stage.region));
        let (journal, run, words) = (Arc::clone(&stage.journal), stage.run, case.words.clone());
        tokio::spawn(async move {
            for (after, request) in words {
                tokio::time::sleep(after).await;
                let placed = PlacedRequest { request, by: "somebody".to_owned(), at: jiff::Timestamp::UNIX_EPOCH };
                // Before the run is begun there is nobody to ask.
                let _ = journal.place_request(run, &placed).await;
            }
        });
        let end = match live_and_die(&stage, &case.deaths, &mut watch).await {
            Ok(end) => Some(end),
            Err(why) => {
                watch.say(why);
                None
            }
        };
        if let Some(end) = &end {
            // Services that were started last report.
            tokio::time::sleep(Duration::from_secs(60)).await;
            end::look(&stage, &case, &end.state, &mut watch).await;
        }
        Some(Story { case, outcome: end.and_then(|end| end.outcome), watch })
    })
}

/// A runner's clock that is some seconds off.
struct Skewed(Arc<dyn Clock>, i64);

impl Clock for Skewed {
    fn real(&self, span: Duration) -> Duration {
        self.0.real(span)
    }

    fn now(&self) -> jiff::Timestamp {
        self.0.now() + jiff::SignedDuration::from_secs(self.1)
    }
}

/// Begins the run, kills it as often as it is to die, and resumes it until it is over.
async fn live_and_die(stage: &Stage, deaths: &[Death], watch: &mut Watch) -> Result<RunEnd, String> {
    let (mut deaths, mut skew) = (deaths.iter(), 0);
    for _ in 0..RESUMES {
        let death = deaths.next().copied();
        let ended = match death.map(|death| death.how) {
            Some(How::After(span)) => timeout(span, one_life(stage, None, skew, watch)).await.ok(),
            Some(How::AtEvent(number, cut)) => {
                timeout(LIFE, one_life(stage, Some((number, cut)), skew, watch)).await.ok()
            }
            None => match timeout(LIFE, one_life(stage, None, skew, watch)).await {
                Ok(ended) => Some(ended),
                Err(_) => return Err("the run does not end".to_owned()),
            },
        };
        match ended {
            Some(Ok(end)) if matches!(end.outcome, Some(Outcome::Done | Outcome::DoneWithFailures)) => return Ok(end),
            // Paused: somebody resumes it. The cloud did not answer: somebody tries again.
            Some(Ok(_) | Err(RunError::Cloud(_) | RunError::Drive { source: DriveError::Journal(_), .. })) | None => {}
            Some(Err(other)) => return Err(format!("the run broke: {other:?}")),
        }
        if watch.events.last().is_some_and(fleetmend::run::Event::ends_the_run) && death.is_some() {
            // It died when it had ended: nothing is left to resume.
            let state = fleetmend::run::load(stage.journal.as_ref(), stage.run).await.map_err(|e| format!("{e:?}"))?;
            return Ok(RunEnd { outcome: Some(Outcome::Done), state });
        }
        skew = death.map_or(skew, |death| death.skew);
        tokio::time::sleep(death.map_or(Duration::from_secs(60), |death| death.gone_for)).await;
    }
    Err(format!("it was resumed {RESUMES} times and has no end"))
}

/// One process: begins or resumes, until it ends or dies.
async fn one_life(stage: &Stage, death: Option<(u64, Cut)>, skew: i64, watch: &mut Watch) -> Result<RunEnd, RunError> {
    let begun = stage.journal.record(stage.run).await.is_ok();
    let state = if begun { Some(fleetmend::run::load(stage.journal.as_ref(), stage.run).await?) } else { None };
    if let Some(state) = state.filter(fleetmend::run::RunState::is_over) {
        return Ok(RunEnd { outcome: Some(Outcome::Done), state });
    }
    let mut seen = 0;
    let burns: Burns = Box::new(move |_| {
        seen += 1;
        death.filter(|(number, _)| seen == *number).map_or(Cut::No, |(_, cut)| cut)
    });
    let mut engine = Engine { journal: Fuse::new(Arc::clone(&stage.journal), burns), ..stage.engine() };
    engine.ports.clock = Arc::new(Skewed(Arc::clone(&engine.ports.clock), skew));
    let (_steer, steered) = mpsc::channel(1);
    if begun {
        engine.resume(stage.run, steered, watch).await
    } else {
        engine.begin(stage.run, stage.rollout.clone(), &stage.snapshot, steered, watch).await
    }
}

/// The seeds to play, and whether to tell their stories at length.
fn seeds() -> (std::ops::Range<u64>, bool) {
    let number = |text: &str| text.trim().parse::<u64>().expect("a seed is a number");
    if let Ok(seed) = std::env::var("FLEETMEND_SEED") {
        return (number(&seed)..number(&seed) + 1, true);
    }
    match std::env::var("FLEETMEND_SEEDS") {
        Ok(range) => {
            let (from, to) = range.split_once("..").expect("seeds are a range: 0..1000");
            (number(from)..number(to), false)
        }
        Err(_) => (SEEDS, false),
    }
}

#[test]
fn whatever_goes_wrong_nobody_is_harmed_and_the_run_ends() {
    let (seeds, at_length) = seeds();
    let (mut outcomes, mut failed) = (std::collections::BTreeMap::<String, usize>::new(), Vec::new());
    let began = std::time::Instant::now();
    let count = seeds.end - seeds.start;
    for seed in seeds {
        let Some(story) = play(seed) else {
            *outcomes.entry("no plan".to_owned()).or_default() += 1;
            continue;
        };
        *outcomes.entry(format!("{:?}", story.outcome)).or_default() += 1;
        if at_length {
            println!("{}", story.tell(seed, true));
        }
        if !story.watch.violations.is_empty() {
            println!("{}", story.tell(seed, false));
            failed.push(seed);
        }
    }
    println!("{count} seeds, {outcomes:?}, {:.1} s", began.elapsed().as_secs_f64());
    assert!(failed.is_empty(), "replay with FLEETMEND_SEED={} and --nocapture; all that failed: {failed:?}", failed[0]);
}

#[test]
fn the_same_seed_gives_the_same_events() {
    for seed in [3, 4] {
        let (one, other) = (play(seed).unwrap(), play(seed).unwrap());
        assert_eq!(one.watch.events, other.watch.events, "seed {seed}");
        assert!(one.watch.events.iter().any(|event| matches!(event.kind, EventKind::StepIntended { .. })));
    }
}
