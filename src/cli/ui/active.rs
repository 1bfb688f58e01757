//! What each host that is under way is doing, in one line each. Pure; `bars` draws it.

use std::collections::BTreeMap;

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::actions::{Progress, ProgressKind};
use crate::model::{HostName, StepId};
use crate::report::{InstanceNames, StepParts, printable};
use crate::run::{HostPhase, HostState, RunState, StepState, StepStatus};
use crate::workflow::StepKind;

/// How many migrations to one target a line names; more would not fit beside another target on 80 columns.
const NAMED_MOVES: usize = 2;

/// Hosts under way, each with its line, in the order of the rollout.
#[derive(Debug, Default)]
pub struct Active {
    lines: BTreeMap<(u32, HostName), String>,
    percent: BTreeMap<StepId, u8>,
    doing: BTreeMap<StepId, String>,
}

impl Active {
    /// The lines, in the order of the rollout.
    pub fn lines(&self) -> impl ExactSizeIterator<Item = &String> {
        self.lines.values()
    }

    /// Looks at one host again.
    pub fn look(&mut self, state: &RunState, host: &HostName, names: &InstanceNames) {
        let Some(planned) = state.planned(host) else { return };
        let key = (planned.order, host.clone());
        match state.hosts().get(host) {
            Some(found) if found.phase == HostPhase::Active || found.is_busy() => {
                let line = self.line(host, found, names);
                self.lines.insert(key, line);
            }
            Some(_) | None => {
                self.lines.remove(&key);
                let of_host = |step: &StepId| StepParts::of(step).host == *host;
                self.percent.retain(|step, _| !of_host(step));
                self.doing.retain(|step, _| !of_host(step));
            }
        }
    }

    /// Notes progress of a step.
    pub fn note(&mut self, progress: &Progress) {
        match &progress.kind {
            ProgressKind::Migration { percent } => {
                self.percent.insert(progress.step.clone(), *percent);
            }
            ProgressKind::Doing(what) => {
                self.doing.insert(progress.step.clone(), what.clone());
            }
        }
    }

    fn line(&self, host: &HostName, found: &HostState, names: &InstanceNames) -> String {
        let moves: Vec<&StepState> = found.steps().filter(|step| step.step.kind == StepKind::Move).collect();
        let done = moves.iter().filter(|step| matches!(step.status, StepStatus::Succeeded(_))).count();
        let mut parts = Vec::new();
        if !moves.is_empty() && done < moves.len() {
            parts.push(format!("{done} of {} moved", moves.len()));
        }
        let mut by_target: BTreeMap<Option<&HostName>, Vec<&StepState>> = BTreeMap::new();
        for step in moves.iter().filter(|step| step.is_running()) {
            by_target.entry(step.target.as_ref()).or_default().push(step);
        }
        parts.extend(by_target.iter().map(|(target, steps)| self.moving(*target, steps, names)));
        parts.extend(
            found
                .steps()
                .filter(|step| step.is_running() && step.step.kind != StepKind::Move)
                .map(|step| self.doing(step, names)),
        );
        parts.extend(found.steps().filter_map(retrying));
        format!("{:<14} {:<10} {}", printable(host.as_str()), found.activity(), parts.join(", "))
    }

    /// Migrations to one target: `vm-1 40 %, vm-2, 3 more → compute-9`.
    fn moving(&self, target: Option<&HostName>, steps: &[&StepState], names: &InstanceNames) -> String {
        let mut parts: Vec<String> = steps.iter().take(NAMED_MOVES).map(|step| self.instance(step, names)).collect();
        if steps.len() > NAMED_MOVES {
            parts.push(format!("{} more", steps.len() - NAMED_MOVES));
        }
        let to = target.map(|target| format!(" → {}", printable(target.as_str()))).unwrap_or_default();
        parts.join(", ") + &to
    }

    fn instance(&self, step: &StepState, names: &InstanceNames) -> String {
        let name = step.step.instance.map(|id| names.name(id)).unwrap_or_default();
        let percent = self.percent.get(&step.step.id).map(|percent| format!(" {percent} %")).unwrap_or_default();
        format!("{}{percent}", printable(&name))
    }

    fn doing(&self, step: &StepState, names: &InstanceNames) -> String {
        match self.doing.get(&step.step.id) {
            Some(doing) => printable(doing).into_owned(),
            None => StepParts::of(&step.step.id).words(names),
        }
    }
}

/// What of a line fits into so many columns; an ellipsis says that there is more.
pub fn fit(line: &str, columns: usize) -> String {
    if line.width() <= columns {
        return line.to_owned();
    }
    let mut left = columns.saturating_sub(1);
    let fits = |c: &char| {
        let needed = c.width().unwrap_or(0);
        let fits = needed <= left;
        left = left.saturating_sub(needed);
        fits
    };
    line.chars().take_while(fits).collect::<String>() + "…"
}

fn retrying(step: &StepState) -> Option<String> {
    match &step.status {
        StepStatus::Retrying { failure, .. } => {
            let cause = failure.causes.first().map(String::as_str).unwrap_or_default();
            Some(format!("to be tried again: {}", printable(cause)))
        }
        StepStatus::Pending | StepStatus::Running { .. } | StepStatus::Succeeded(_) | StepStatus::Failed(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_too_long_ends_with_an_ellipsis_in_the_last_column() {
        assert_eq!(fit("compute-1 draining", 18), "compute-1 draining");
        assert_eq!(fit("compute-1 draining", 12), "compute-1 d…");
        assert_eq!(fit("計算-1 draining", 6), "計算-…");
        assert_eq!(fit("計算-1 draining", 5), "計算…");
        assert_eq!(fit("計算-1 draining", 4), "計…");
        assert_eq!(fit("x", 0), "…");
    }
}
