//! What earlier runs teach about how long things take: measured where a run went through without a hitch, so that
//! neither a pause nor a repair nor a killed runner counts as work.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::sentence::StepParts;
use crate::model::{HostName, InstanceId, Region, ServiceId, Span, StepId};
use crate::plan::{Experience, Rollout};
use crate::run::event::{Event, EventKind, FaultScope, StepOutput};
use crate::workflow::StepKind;

/// Gathers runs, the newest first: what a newer one measured stands.
#[derive(Debug, Default)]
pub struct Measured {
    hosts: BTreeMap<HostName, Span>,
    /// Migrations: time taken over time estimated.
    moves: Vec<f64>,
}

impl Measured {
    /// Adds one run, as far as its hosts are those of `region`: services have ids of their own, names are used again.
    pub fn add(&mut self, rollout: &Rollout, events: &[Event], region: &Region) {
        let here: BTreeSet<(&HostName, &ServiceId)> =
            region.hosts.iter().map(|host| (&host.host, &host.service.id)).collect();
        let strangers = rollout.hosts.iter().filter(|host| !here.contains(&(&host.host, &host.service.id)));
        let mut run = Run {
            estimated: estimated(rollout),
            spoiled: strangers.map(|host| host.host.clone()).collect(),
            ..Run::default()
        };
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
    /// Hosts that have begun and are not back.
    begun: BTreeSet<HostName>,
    /// Hosts on which something failed, or which had to wait for what was not theirs; they are measured no more.
    spoiled: BTreeSet<HostName>,
    paused: bool,
    moving: BTreeMap<StepId, Timestamp>,
    hosts: BTreeMap<HostName, Span>,
    moves: Vec<f64>,
}

impl Run {
    fn tell(&mut self, event: &Event) {
        match &event.kind {
            EventKind::StepStarted { step, .. } => {
                let host = StepParts::of(step).host;
                if self.paused {
                    self.spoiled.insert(host.clone());
                }
                self.begun.insert(host);
                self.moving.insert(step.clone(), event.at);
            }
            EventKind::StepSucceeded { step, output } => self.ended(step, output, event.at),
            EventKind::StepFailed { step, failure, .. } => {
                self.moving.remove(step);
                let parts = StepParts::of(step);
                // The work begins when the last move has ended, whatever the moves went through.
                if parts.kind != Some(StepKind::Move) {
                    self.spoiled.insert(parts.host);
                }
                if failure.scope == FaultScope::ControlPlane {
                    self.spoil_all();
                }
            }
            EventKind::RunPaused { .. } => {
                self.paused = true;
                self.spoil_all();
            }
            EventKind::RunContinued { .. } => self.paused = false,
            EventKind::RunResumed { .. } => {
                self.paused = false;
                self.spoil_all();
            }
            EventKind::StopRequested { .. } => self.spoil_all(),
            EventKind::HostRetried { host, .. }
            | EventKind::HostSkipped { host, .. }
            | EventKind::HostQuarantined { host, .. } => {
                self.spoiled.insert(host.clone());
            }
            EventKind::RunStarted { .. }
            | EventKind::RunEnded { .. }
            | EventKind::StepIntended { .. }
            | EventKind::ChangeMade { .. }
            | EventKind::TargetSeen { .. }
            | EventKind::HostReleased { .. }
            | EventKind::HostRelieved { .. }
            | EventKind::GateReached { .. }
            | EventKind::GateOpened { .. }
            | EventKind::HealthSeen { .. }
            | EventKind::LimitsChanged { .. } => {}
        }
    }

    /// Whatever is under way waits, or has to be found again: its times are not its own.
    fn spoil_all(&mut self) {
        self.spoiled.extend(self.begun.iter().cloned());
        self.moving.clear();
    }

    fn ended(&mut self, step: &StepId, output: &StepOutput, at: Timestamp) {
        let parts = StepParts::of(step);
        let began = self.moving.remove(step);
        if parts.kind == Some(StepKind::Settle) {
            self.begun.remove(&parts.host);
        }
        if self.spoiled.contains(&parts.host) {
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
    use crate::report::fixture::{at, instance, region, rollout};
    use crate::run::event::{PauseCause, StepFailure};

    /// `compute-1` is emptied by second 10 and works until second 310; `compute-2` moves its one instance in 13 s.
    fn tape() -> Vec<(i64, EventKind)> {
        let step = |name: &str| StepId::new(name);
        let moving = step(&format!("compute-2/move/{}", instance(1)));
        let succeeded = |name: &str| EventKind::StepSucceeded {
            step: step(name),
            output: StepOutput::Done { note: String::new() },
        };
        let started = |step: StepId| EventKind::StepStarted { step, attempt: 1, target: None, because: None };
        vec![
            (0, started(step("compute-1/identify"))),
            (10, succeeded("compute-1/resolve")),
            (310, succeeded("compute-1/settle")),
            (400, succeeded("compute-2/resolve")),
            (400, started(moving.clone())),
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
        measured.add(&rollout(), &events, &region());
        measured.experience()
    }

    fn spans(seconds: &[(&str, u64)]) -> BTreeMap<HostName, Span> {
        seconds.iter().map(|(host, seconds)| (HostName::new(*host), Span::seconds(*seconds))).collect()
    }

    fn ratio() -> f64 {
        13.0 / rollout().policy.estimate.move_seconds(4096)
    }

    #[test]
    fn work_lasts_from_the_last_move_to_the_end_of_the_settling() {
        assert_eq!(
            experience(tape()),
            Experience::new(spans(&[("compute-1", 300), ("compute-2", 487)]), Some(ratio()))
        );
    }

    #[test]
    fn what_was_interrupted_paused_or_repaired_is_not_measured() {
        let failure = StepFailure { class: ErrorClass::Transient, scope: FaultScope::Host, causes: Vec::new() };
        let repaired = EventKind::StepFailed { step: StepId::new("compute-1/stage"), failure, retry_at: Some(at(60)) };
        let failure = StepFailure { class: ErrorClass::Transient, scope: FaultScope::ControlPlane, causes: Vec::new() };
        let sick = EventKind::StepFailed { step: StepId::new("compute-2/identify"), failure, retry_at: Some(at(60)) };
        let paused = EventKind::RunPaused { cause: PauseCause::Operator, reason: "lunch".to_owned() };
        // At second 5, `compute-1` is still being resolved.
        for (place, second, hitch) in [(1, 5, &paused), (2, 20, &paused), (2, 20, &repaired)] {
            let mut tape = tape();
            tape.insert(place, (second, hitch.clone()));
            tape.insert(place + 2, (310, EventKind::RunContinued { by: "an operator".to_owned() }));
            assert_eq!(experience(tape), Experience::new(spans(&[("compute-2", 487)]), Some(ratio())), "{hitch:?}");
        }
        let mut tape = tape();
        tape.insert(2, (20, sick));
        assert_eq!(experience(tape), Experience::new(BTreeMap::new(), None), "both waited for the control plane");
    }

    #[test]
    fn hosts_of_another_region_with_the_same_names_teach_nothing() {
        let mut elsewhere = region();
        for host in &mut elsewhere.hosts {
            host.service.id = ServiceId::new(format!("other-{}", host.service.id));
        }
        let mut measured = Measured::default();
        let events: Vec<Event> =
            (1..).zip(tape()).map(|(seq, (second, kind))| Event { seq, at: at(second), kind }).collect();
        measured.add(&rollout(), &events, &elsewhere);
        assert_eq!(measured.experience(), Experience::default());
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
            measured.add(&rollout(), &events, &region());
        }
        assert_eq!(measured.experience(), Experience::new(spans(&[("compute-1", 100)]), None));
    }
}
