//! What earlier runs teach about how long things take: measured where a run went through without a hitch, so that
//! neither a pause nor a repair nor a killed runner counts as work.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::sentence::StepParts;
use crate::model::{HostName, InstanceId, Span, StepId};
use crate::plan::{Experience, Rollout};
use crate::run::event::{Event, EventKind, StepOutput};
use crate::workflow::StepKind;

/// Gathers runs, the newest first: what a newer one measured stands.
#[derive(Debug, Default)]
pub struct Measured {
    hosts: BTreeMap<HostName, Span>,
    /// Migrations: time taken over time estimated.
    moves: Vec<f64>,
}

impl Measured {
    /// Adds one run.
    pub fn add(&mut self, rollout: &Rollout, events: &[Event]) {
        let mut run = Run { estimated: estimated(rollout), ..Run::default() };
        for event in events {
            run.tell(event);
        }
        for (host, span) in run.hosts {
            self.hosts.entry(host).or_insert(span);
        }
        self.moves.extend(run.moves);
    }

    /// What the planner goes by.
    pub fn experience(mut self) -> Experience {
        self.moves.sort_by(f64::total_cmp);
        let median = self.moves.get(self.moves.len() / 2).copied();
        Experience::new(self.hosts, median)
    }
}

/// Seconds that the rollout's policy estimated for each instance.
fn estimated(rollout: &Rollout) -> BTreeMap<InstanceId, f64> {
    let moves = rollout.hosts.iter().flat_map(|host| &host.moves);
    moves
        .map(|planned| (planned.instance, rollout.policy.estimate.move_seconds(planned.resources.memory_mb())))
        .collect()
}

/// One run while it is read.
#[derive(Debug, Default)]
struct Run {
    estimated: BTreeMap<InstanceId, f64>,
    /// Hosts under way, with the time since which nothing is left on them.
    emptied: BTreeMap<HostName, Timestamp>,
    /// Hosts on which something failed; they are measured no more.
    failed: BTreeSet<HostName>,
    moving: BTreeMap<StepId, Timestamp>,
    hosts: BTreeMap<HostName, Span>,
    moves: Vec<f64>,
}

impl Run {
    fn tell(&mut self, event: &Event) {
        match &event.kind {
            EventKind::StepStarted { step, .. } => {
                self.moving.insert(step.clone(), event.at);
            }
            EventKind::StepSucceeded { step, output } => self.ended(step, output, event.at),
            EventKind::StepFailed { step, .. } => {
                self.moving.remove(step);
                let parts = StepParts::of(step);
                // The work begins when the last move has ended, whatever the moves went through.
                if parts.kind != Some(StepKind::Move) {
                    self.failed.insert(parts.host);
                }
            }
            // Whatever is under way waits, or has to be found again: its times are not its own.
            EventKind::RunResumed { .. } | EventKind::RunPaused { .. } | EventKind::StopRequested { .. } => {
                self.failed.extend(std::mem::take(&mut self.emptied).into_keys());
                self.moving.clear();
            }
            EventKind::HostRetried { host, .. }
            | EventKind::HostSkipped { host, .. }
            | EventKind::HostQuarantined { host, .. } => {
                self.failed.insert(host.clone());
            }
            EventKind::RunStarted { .. }
            | EventKind::RunContinued { .. }
            | EventKind::RunEnded { .. }
            | EventKind::StepIntended { .. }
            | EventKind::HostReleased { .. }
            | EventKind::GateReached { .. }
            | EventKind::GateOpened { .. }
            | EventKind::LimitsChanged { .. } => {}
        }
    }

    fn ended(&mut self, step: &StepId, output: &StepOutput, at: Timestamp) {
        let parts = StepParts::of(step);
        let began = self.moving.remove(step);
        if self.failed.contains(&parts.host) {
            return;
        }
        match (parts.kind, parts.instance) {
            (Some(StepKind::Resolve), _) => {
                self.emptied.insert(parts.host, at);
            }
            (Some(StepKind::Move), Some(instance)) => {
                self.emptied.insert(parts.host, at);
                if let (StepOutput::Moved { .. }, Some(began), Some(estimated)) =
                    (output, began, self.estimated.get(&instance))
                {
                    self.moves.push(at.duration_since(began).as_secs_f64() / estimated);
                }
            }
            (Some(StepKind::Settle), _) => {
                if let Some(emptied) = self.emptied.remove(&parts.host) {
                    let millis = u64::try_from(at.as_millisecond() - emptied.as_millisecond()).unwrap_or(0);
                    self.hosts.insert(parts.host, Span::millis(millis));
                }
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actions::ErrorClass;
    use crate::plan::Experience;
    use crate::report::fixture::{at, instance, rollout};
    use crate::run::event::{FaultScope, PauseCause, StepFailure};

    /// `compute-1` is emptied by second 10 and works until second 310; `compute-2` moves its one instance in 13 s.
    fn tape() -> Vec<(i64, EventKind)> {
        let step = |name: &str| StepId::new(name);
        let moving = step(&format!("compute-2/move/{}", instance(1)));
        let succeeded = |name: &str| EventKind::StepSucceeded {
            step: step(name),
            output: StepOutput::Done { note: String::new() },
        };
        vec![
            (10, succeeded("compute-1/resolve")),
            (310, succeeded("compute-1/settle")),
            (400, succeeded("compute-2/resolve")),
            (400, EventKind::StepStarted { step: moving.clone(), attempt: 1, target: None, because: None }),
            (
                413,
                EventKind::StepSucceeded {
                    step: moving,
                    output: StepOutput::Moved { to: HostName::new("compute-1"), migration: None, request: None },
                },
            ),
            (900, succeeded("compute-2/settle")),
        ]
    }

    fn experience(tape: Vec<(i64, EventKind)>) -> Experience {
        let mut measured = Measured::default();
        let events: Vec<Event> =
            (1..).zip(tape).map(|(seq, (second, kind))| Event { seq, at: at(second), kind }).collect();
        measured.add(&rollout(), &events);
        measured.experience()
    }

    fn spans(seconds: &[(&str, u64)]) -> BTreeMap<HostName, Span> {
        seconds.iter().map(|(host, seconds)| (HostName::new(*host), Span::seconds(*seconds))).collect()
    }

    fn ratio() -> Option<f64> {
        Some(13.0 / rollout().policy.estimate.move_seconds(4096))
    }

    #[test]
    fn work_lasts_from_the_last_move_to_the_end_of_the_settling() {
        assert_eq!(experience(tape()), Experience::new(spans(&[("compute-1", 300), ("compute-2", 487)]), ratio()));
    }

    #[test]
    fn what_was_interrupted_paused_or_repaired_is_not_measured() {
        let failure = StepFailure { class: ErrorClass::Transient, scope: FaultScope::Host, causes: Vec::new() };
        let repaired = EventKind::StepFailed { step: StepId::new("compute-1/stage"), failure, retry_at: Some(at(60)) };
        let paused = EventKind::RunPaused { cause: PauseCause::Operator, reason: "lunch".to_owned() };
        for hitch in [repaired, paused] {
            let mut tape = tape();
            tape.insert(1, (20, hitch));
            assert_eq!(experience(tape), Experience::new(spans(&[("compute-2", 487)]), ratio()));
        }
    }

    #[test]
    fn the_newest_run_counts_for_a_host() {
        let mut measured = Measured::default();
        for work in [100, 700] {
            let tape = [(0, "compute-1/resolve"), (work, "compute-1/settle")];
            let event = |(seq, (second, step)): (u64, (i64, &str))| {
                let output = StepOutput::Done { note: String::new() };
                Event { seq, at: at(second), kind: EventKind::StepSucceeded { step: StepId::new(step), output } }
            };
            let events: Vec<Event> = (1..).zip(tape).map(event).collect();
            measured.add(&rollout(), &events);
        }
        assert_eq!(measured.experience(), Experience::new(spans(&[("compute-1", 100)]), None));
    }
}
