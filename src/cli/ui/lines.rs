//! Events as lines with the time and the host before them, for terminals that cannot redraw, files and pipes.

use crate::actions::Progress;
use crate::cli::output::tell;
use crate::cli::session::Session;
use crate::model::HostName;
use crate::plan::Rollout;
use crate::report::{InstanceNames, Sentence, Style, Weight, count, intent_words, printable, sentence};
use crate::run::event::{EventKind, StepOutput};
use crate::run::{Event, HostPhase, Observer, RunState};

use super::Kind;

/// Prints a line an event.
pub struct Lines {
    names: InstanceNames,
    width: usize,
    style: Style,
    kind: Kind,
    detailed: bool,
}

impl Lines {
    /// Lines about a run of `rollout`.
    pub fn new(rollout: &Rollout, session: &Session, kind: Kind) -> Self {
        let width = rollout.hosts.iter().map(|host| host.host.as_str().len()).max().unwrap_or(0);
        Self {
            names: InstanceNames::of(rollout),
            // Longer names than that push their own line only.
            width: width.min(24),
            style: session.err,
            kind,
            detailed: session.global.verbose > 0,
        }
    }

    fn line(&self, event: &Event, said: &Sentence) -> String {
        let host = said.host.as_ref().map_or("", HostName::as_str);
        let text = printable(&said.text);
        let text = match said.weight {
            Weight::Detail | Weight::Normal => text.into_owned(),
            Weight::Good => self.style.green(&text),
            Weight::Bad => self.style.red(&text),
        };
        format!("{}  {:width$}  {text}\n", event.at.strftime("%H:%M:%S"), printable(host), width = self.width)
    }

    /// What a dry run shows: what would be done, what was found, what stands in the way.
    fn dry(&self, event: &Event) -> Option<Sentence> {
        let said = sentence(&event.kind, &self.names);
        match &event.kind {
            EventKind::StepIntended { step, intent } => {
                let what = crate::report::StepParts::of(step).words(&self.names);
                Some(Sentence { text: format!("would {what}: {}", intent_words(intent)), ..said })
            }
            EventKind::StepSucceeded { output: StepOutput::Resolved { .. } | StepOutput::AlreadySo { .. }, .. }
            | EventKind::StepFailed { .. }
            | EventKind::HostQuarantined { .. }
            | EventKind::HostSkipped { .. }
            | EventKind::RunPaused { .. } => Some(said),
            EventKind::RunStarted { .. }
            | EventKind::RunResumed { .. }
            | EventKind::StepStarted { .. }
            | EventKind::StepSucceeded { .. }
            | EventKind::HostRetried { .. }
            | EventKind::ChangeMade { .. }
            | EventKind::TargetSeen { .. }
            | EventKind::HostReleased { .. }
            | EventKind::HostRelieved { .. }
            | EventKind::GateReached { .. }
            | EventKind::GateOpened { .. }
            | EventKind::RunContinued { .. }
            | EventKind::StopRequested { .. }
            | EventKind::HealthSeen { .. }
            | EventKind::LimitsChanged { .. }
            | EventKind::RunEnded { .. } => None,
        }
    }
}

impl Observer for Lines {
    fn event(&mut self, state: &RunState, event: &Event) {
        self.names.learn(&event.kind);
        let said = match self.kind {
            Kind::Dry => self.dry(event),
            Kind::Real => {
                Some(sentence(&event.kind, &self.names)).filter(|said| self.detailed || said.weight > Weight::Detail)
            }
        };
        let Some(said) = said else { return };
        tell(self.line(event, &said));
        if said.weight == Weight::Good && said.host.is_some() {
            let done = state.count(HostPhase::Done);
            let total = count(state.rollout().hosts.len(), "host");
            let sum = Sentence { host: None, text: format!("{done} of {total} done"), weight: Weight::Normal };
            tell(self.line(event, &sum));
        }
    }

    fn progress(&mut self, _state: &RunState, _progress: &Progress) {}
}
