//! Bars: totals of hosts and moves, and at most eight lines about hosts under way. News that matter scroll above.

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::active::{Active, fit};
use crate::actions::Progress;
use crate::cli::output::{redraw_under, tell};
use crate::cli::terminal::{self, Undisturbed};
use crate::plan::Rollout;
use crate::report::{InstanceNames, StepParts, Style, Weight, printable, sentence};
use crate::run::event::EventKind;
use crate::run::{Event, HostPhase, Observer, RunState};

/// More would push what scrolls above off a small terminal.
const LINES: usize = 8;

/// Columns before a line about a host.
const INDENT: usize = 2;

/// Bars on standard error.
pub struct Bars {
    /// Lets go of the terminal when the bars are gone.
    _screen: crate::cli::output::Redrawn,
    _undisturbed: Undisturbed,
    hosts: ProgressBar,
    moves: ProgressBar,
    lines: Vec<ProgressBar>,
    more: ProgressBar,
    active: Active,
    names: InstanceNames,
    style: Style,
}

impl Bars {
    /// Bars about a run of `rollout`.
    pub fn new(rollout: &Rollout, style: Style) -> Self {
        let multi = MultiProgress::new();
        // `wide_bar` and `wide_msg` take what the terminal leaves, also when it is resized; the rest is under 40 columns.
        let bar = |name: &str| {
            let template = format!("{name:<6} {{pos:>5}} of {{len:<5}} {{wide_bar}} {{msg}}");
            styled(&template).progress_chars("━╸─")
        };
        let planned: usize = rollout.hosts.iter().map(|host| host.moves.len()).sum();
        let hosts = multi.add(ProgressBar::new(rollout.hosts.len() as u64).with_style(bar("hosts")));
        let moves = multi.add(ProgressBar::new(planned as u64).with_style(bar("moves")));
        let line = || multi.add(ProgressBar::no_length().with_style(styled("  {wide_msg}")));
        let lines = (0..LINES).map(|_| line()).collect();
        let more = line();
        Self {
            _screen: redraw_under(multi.clone()),
            _undisturbed: Undisturbed::new(),
            hosts,
            moves,
            lines,
            more,
            active: Active::default(),
            names: InstanceNames::of(rollout),
            style,
        }
    }

    fn draw(&self) {
        let width = terminal::width().map_or(usize::MAX, |width| width.saturating_sub(INDENT));
        let mut lines = self.active.lines();
        for bar in &self.lines {
            bar.set_message(lines.next().map(|line| fit(line, width)).unwrap_or_default());
        }
        let left = lines.len();
        self.more.set_message(if left > 0 { format!("and {left} more") } else { String::new() });
    }

    fn totals(&self, state: &RunState) {
        self.hosts.set_position(state.count(HostPhase::Done) as u64);
        let lost = state.count(HostPhase::Quarantined);
        self.hosts.set_message(if lost > 0 { format!("{lost} quarantined") } else { String::new() });
        let moved = state.moves();
        let done = moved.done as u64;
        // Tenants make instances while a run lasts: there may be more to move than was planned.
        if self.moves.length().is_some_and(|length| length < done) {
            self.moves.set_length(done);
        }
        self.moves.set_position(done);
        self.moves.set_message(if moved.failed > 0 { format!("{} failed", moved.failed) } else { String::new() });
    }
}

fn styled(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

impl Observer for Bars {
    fn event(&mut self, state: &RunState, event: &Event) {
        self.names.learn(&event.kind);
        let said = sentence(&event.kind, &self.names);
        let about_step = matches!(
            event.kind,
            EventKind::StepStarted { .. }
                | EventKind::StepIntended { .. }
                | EventKind::ChangeMade { .. }
                | EventKind::StepSucceeded { .. }
        );
        if said.weight >= Weight::Good || !about_step {
            let host = said.host.as_ref().map(|host| format!("{}: ", printable(host.as_str()))).unwrap_or_default();
            // Totals stand below; the last step's own words say little about the host.
            let is_done = said.weight == Weight::Good
                && said
                    .host
                    .as_ref()
                    .is_some_and(|host| state.hosts().get(host).is_some_and(|host| host.phase == HostPhase::Done));
            let text = if is_done { format!("{host}done") } else { format!("{host}{}", printable(&said.text)) };
            let text = match said.weight {
                Weight::Detail | Weight::Normal => text,
                Weight::Good => self.style.green(&text),
                Weight::Bad => self.style.red(&text),
            };
            tell(text + "\n");
        }
        if let Some(host) = &said.host {
            self.active.look(state, host, &self.names);
        }
        self.totals(state);
        self.draw();
    }

    fn progress(&mut self, state: &RunState, progress: &Progress) {
        self.active.note(progress);
        self.active.look(state, &StepParts::of(&progress.step).host, &self.names);
        self.draw();
    }
}
