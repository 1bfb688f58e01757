//! Small random regions, random faults, and a runner that dies again and again: the crash contract, by seed.
//!
//! The whole engine runs on virtual time against the simulated region. What must hold is counted anew here at each event,
//! from the region and from the state, by code that shares nothing with what decides. `FLEETMEND_SEED=17 cargo test
//! --profile sim --lib simulation::whatever -- --nocapture` replays one seed and tells its story; `FLEETMEND_SEEDS=0..10000`
//! plays a range on all cores; `FLEETMEND_SIZE=large` makes regions of up to 60 hosts. [`mistakes`] are made on purpose, to
//! see that they are found. Part of the tests: none of it ships.

mod begins;
mod clock;
mod contract;
mod draw;
mod effects;
mod end;
mod journal;
mod limits;
mod mistakes;
mod moods;
mod stage;
mod watch;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::timeout;

use crate::journal::{Journal, PlacedRequest, Request};
use crate::run::{DriveError, EventKind, Outcome, RunEnd, RunError};
use clock::Wobbly;
use draw::{Case, Death, How, Size};
use journal::Weather;
pub(crate) use mistakes::Mistake;
use stage::Stage;
use watch::Watch;

/// Seeds of every run of the tests: a few seconds, without optimization.
const SEEDS: Range<u64> = 0..12;

/// Of so many seeds it says something that a thing was never done.
const MANY: u64 = 5000;

/// No process needs longer for a region, maintenance windows of several days included.
const LIFE: Duration = Duration::from_secs(72 * 3600);

/// How often a run that paused, or whose cloud did not answer, is resumed before it goes on for ever.
const RESUMES: usize = 300;

/// How often somebody approves where the policy asks for it.
const APPROVES_EVERY: Duration = Duration::from_secs(1800);

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
            let case = &self.case;
            let _ = writeln!(told, "  {:#?}\n  {:?}\n  {:?}\n  {:?}", case.faults, case.deaths, case.words, case.jumps);
            for event in &self.watch.events {
                let text = serde_json::to_string(&event.kind).unwrap();
                let _ = writeln!(told, "  {:4} {} {}", event.seq, event.at, text.chars().take(400).collect::<String>());
            }
        }
        told
    }
}

/// Plays one seed from its region to the end of its run; nothing where there is no plan for the region.
fn play(seed: u64, size: Size) -> Option<Story> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let case = draw::case(seed, size);
        let stage = Stage::set(&case).await.ok()?;
        stage.region.with(|world| world.set_faults(case.faults.clone()));
        let mut watch = Watch::new(&stage, &case);
        tokio::spawn(somebody(Arc::clone(&stage.journal) as _, stage.run, case.clone()));
        let end = match live_and_die(&stage, &case, &mut watch).await {
            Ok(end) => Some(end),
            Err(why) => {
                watch.say(why);
                None
            }
        };
        if let Some(end) = &end {
            // Services that were started last report, and what is still on its way without us arrives.
            tokio::time::sleep(Duration::from_secs(60)).await;
            for _ in 0..120 {
                if stage.region.with(|world| world.open_records().next().is_none()) {
                    break;
                }
                tokio::time::sleep(Duration::from_secs(60)).await;
            }
            watch.look(&end.state);
            end::look(&stage, &case, &end.state, &mut watch).await;
        }
        Some(Story { case, outcome: end.and_then(|end| end.outcome), watch })
    })
}

/// What another terminal asks.
async fn somebody(journal: Arc<dyn Journal>, run: crate::model::RunId, case: Case) {
    let ask = async |request| {
        let placed = PlacedRequest { request, by: "somebody".to_owned(), at: jiff::Timestamp::UNIX_EPOCH };
        // Before the run is begun there is nobody to ask.
        let _ = journal.place_request(run, &placed).await;
    };
    for (after, request) in case.words {
        tokio::time::sleep(after).await;
        ask(request).await;
    }
    // Canary hosts that were all left alone have shown nothing: then somebody has to approve, whatever the policy.
    let every = if case.policy.canary.approve { APPROVES_EVERY } else { 8 * APPROVES_EVERY };
    loop {
        tokio::time::sleep(every).await;
        ask(Request::Approve).await;
    }
}

/// Begins the run, kills it as often as it is to die, and resumes it until it is over.
async fn live_and_die(stage: &Stage, case: &Case, watch: &mut Watch) -> Result<RunEnd, String> {
    let (mut deaths, mut skew) = (case.deaths.iter(), 0);
    for _ in 0..RESUMES {
        let death: Option<Death> = deaths.next().copied();
        let (span, weather) = match death.map(|death| death.how) {
            Some(How::After(span)) => (span, Weather::default()),
            Some(How::Journal(weather)) => (LIFE, weather),
            None => (LIFE, Weather::default()),
        };
        let ended = timeout(span, one_life(stage, case, weather, skew, watch)).await.ok();
        if ended.is_none() && span == LIFE {
            return Err("the run does not end".to_owned());
        }
        match ended {
            Some(Ok(end)) if matches!(end.outcome, Some(Outcome::Done | Outcome::DoneWithFailures)) => return Ok(end),
            // Paused: somebody resumes it. The cloud did not answer: somebody tries again.
            Some(Ok(_) | Err(RunError::Cloud(_) | RunError::Drive { source: DriveError::Journal(_), .. })) | None => {}
            Some(Err(other)) => return Err(format!("the run broke: {other:?}")),
        }
        if watch.events.last().is_some_and(crate::run::Event::ends_the_run) && death.is_some() {
            // It died when it had ended: nothing is left to resume.
            let state = crate::run::load(stage.journal.as_ref(), stage.run).await.map_err(|e| format!("{e:?}"))?;
            return Ok(RunEnd { outcome: Some(Outcome::Done), state });
        }
        skew = death.map_or(skew, |death| death.skew);
        tokio::time::sleep(death.map_or(Duration::from_secs(60), |death| death.gone_for)).await;
    }
    Err(format!("it was resumed {RESUMES} times and has no end"))
}

/// One process: begins or resumes, until it ends or dies.
async fn one_life(
    stage: &Stage,
    case: &Case,
    weather: Weather,
    skew: i64,
    watch: &mut Watch,
) -> Result<RunEnd, RunError> {
    let begun = stage.journal.record(stage.run).await.is_ok();
    let state = if begun { Some(crate::run::load(stage.journal.as_ref(), stage.run).await?) } else { None };
    if let Some(state) = state.filter(crate::run::RunState::is_over) {
        return Ok(RunEnd { outcome: Some(Outcome::Done), state });
    }
    let truth = Arc::new(stage.region.clock());
    let clock = Wobbly::new(truth, case.scenario.start, skew, &case.jumps);
    let engine = stage.engine(weather, Arc::new(clock));
    let (_steer, steered) = mpsc::channel(1);
    if begun {
        engine.resume(stage.run, steered, watch).await
    } else {
        engine.begin(stage.run, stage.rollout.clone(), &stage.snapshot, steered, watch).await
    }
}

/// Plays seeds on all cores and tells each story, with its seed, to `told`, in no order.
fn play_all(
    seeds: Range<u64>,
    size: Size,
    mistake: Option<Mistake>,
    told: &(dyn Fn(u64, Option<Story>) -> bool + Sync),
) {
    let next = AtomicU64::new(seeds.start);
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    std::thread::scope(|scope| {
        for _ in 0..cores {
            scope.spawn(|| {
                mistakes::make(mistake);
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds.end || !told(seed, play(seed, size)) {
                        return;
                    }
                }
            });
        }
    });
}

/// The seeds to play, whether to tell their stories at length, and how large the regions are.
fn asked() -> (Range<u64>, bool, Size) {
    let number = |text: &str| text.trim().parse::<u64>().expect("a seed is a number");
    let size = match std::env::var("FLEETMEND_SIZE").as_deref() {
        Ok("large") => Size::Large,
        Ok(other) if other != "small" => panic!("FLEETMEND_SIZE is small or large, not {other}"),
        Ok(_) | Err(_) => Size::Small,
    };
    if let Ok(seed) = std::env::var("FLEETMEND_SEED") {
        return (number(&seed)..number(&seed) + 1, true, size);
    }
    let seeds = std::env::var("FLEETMEND_SEEDS").ok().map(|range| {
        let (from, to) = range.split_once("..").expect("seeds are a range: 0..1000");
        number(from)..number(to)
    });
    (seeds.unwrap_or(SEEDS), false, size)
}

#[test]
fn whatever_goes_wrong_nobody_is_harmed_and_the_run_ends() {
    let (seeds, at_length, size) = asked();
    let began = std::time::Instant::now();
    let count = seeds.end - seeds.start;
    let tally = std::sync::Mutex::new((BTreeMap::<String, u64>::new(), Vec::new(), 0, contract::Words::new()));
    play_all(seeds, size, None, &|seed, story| {
        let mut tally = tally.lock().unwrap();
        let (outcomes, failed, events, words) = &mut *tally;
        let Some(story) = story else {
            *outcomes.entry("no plan".to_owned()).or_default() += 1;
            return true;
        };
        *outcomes.entry(format!("{:?}", story.outcome)).or_default() += 1;
        *events += story.watch.events.len();
        contract::recorded(&story.watch.events, words);
        if at_length {
            println!("{}", story.tell(seed, true));
        }
        if !story.watch.violations.is_empty() {
            println!("{}", story.tell(seed, false));
            failed.push(seed);
        }
        true
    });
    let (outcomes, mut failed, events, words) = tally.into_inner().unwrap();
    failed.sort_unstable();
    println!("{count} seeds, {outcomes:?}, {events} events, {:.1} s", began.elapsed().as_secs_f64());
    let differences = contract::differences(&words, count >= MANY);
    assert!(differences.is_empty(), "{differences:#?}");
    assert!(failed.is_empty(), "replay with FLEETMEND_SEED={} and --nocapture; all that failed: {failed:?}", failed[0]);
}

#[test]
fn the_same_seed_gives_the_same_events() {
    for seed in [3, 4] {
        let (one, other) = (play(seed, Size::Small).unwrap(), play(seed, Size::Small).unwrap());
        assert_eq!(one.watch.events, other.watch.events, "seed {seed}");
        assert!(one.watch.events.iter().any(|event| matches!(event.kind, EventKind::StepIntended { .. })));
    }
}
