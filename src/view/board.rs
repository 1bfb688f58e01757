//! What a page shows of a run: a fold of its events, whole and by what changed. Pure.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;

use crate::actions::{Progress, ProgressKind};
use crate::model::{HostName, InstanceId, ProjectId, StepId, ZoneName};
use crate::report::{
    ApiLine, Eta, History, HostCounts, HostStory, MigrationCounts, Observation, RunnerLine, StepParts, Summary, Weight,
    eta, metrics,
};
use crate::run::{
    Event, Gate, HostPhase, HostState, IllegalTransition, RunState, RunStatus, StepState, StepStatus, waits_of,
};
use crate::workflow::StepKind;

/// Lines of the log that a page begins with.
const MOST_LINES: usize = 200;
/// Failures that are named, the newest ones.
const MOST_FAILURES: usize = 100;
/// Lines of one host's log.
const MOST_HOST_LINES: usize = 500;
/// Of what waits for the same, so many are named.
const NAMED: usize = 5;

/// A run as its events tell it, with what is known beside them.
#[derive(Debug)]
pub struct Board {
    state: RunState,
    history: History,
    percent: BTreeMap<StepId, u8>,
    doing: BTreeMap<StepId, String>,
    observation: Observation,
    /// Why the journal cannot be read just now.
    trouble: Option<String>,
    changed: BTreeSet<HostName>,
    /// Lines of the log that were told.
    told: usize,
    failures: Vec<FailureLine>,
    is_fresh: bool,
}

/// Where the run stands.
#[derive(Debug, Clone, Serialize)]
struct Head {
    seq: u64,
    now: Timestamp,
    outcome: &'static str,
    paused_because: Option<String>,
    runner: Option<RunnerLine>,
    started: Option<Timestamp>,
    ended: Option<Timestamp>,
    resumed: usize,
    hosts: HostCounts,
    migrations: MigrationCounts,
    api: ApiLine,
    eta: Option<Eta>,
    /// `closed`, `soaking`, `waiting`, `open`.
    gate: &'static str,
    gate_opens: Option<Timestamp>,
    waits: Vec<WaitGroup>,
    trouble: Option<String>,
}

/// What waits for the same.
#[derive(Debug, Clone, Serialize)]
struct WaitGroup {
    reason: String,
    named: Vec<String>,
    more: usize,
}

/// One host of the map.
#[derive(Debug, Clone, Serialize)]
struct Cell<'a> {
    host: &'a HostName,
    zone: Option<&'a str>,
    rack: Option<&'a str>,
    order: u32,
    canary: bool,
    state: &'static str,
    since: Timestamp,
    why: Option<&'a str>,
    moves: usize,
    moved: usize,
    doing: Vec<String>,
}

/// One line of the log.
#[derive(Debug, Clone, Serialize)]
struct LogLine<'a> {
    seq: u64,
    at: Timestamp,
    host: Option<&'a HostName>,
    text: &'a str,
    weight: &'static str,
}

/// An attempt that failed.
#[derive(Debug, Clone, Serialize)]
struct FailureLine {
    at: Timestamp,
    host: Option<HostName>,
    text: String,
}

/// Everything, for a page that begins.
#[derive(Debug, Serialize)]
struct Whole<'a> {
    format: u32,
    kind: &'static str,
    run: String,
    rollout: &'a str,
    region: &'a str,
    remedy: &'a str,
    title: &'a str,
    planned_s: f64,
    left_alone: usize,
    head: Head,
    cells: Vec<Cell<'a>>,
    failures: &'a [FailureLine],
    log: Vec<LogLine<'a>>,
}

/// What changed since the last telling.
#[derive(Debug, Serialize)]
struct Change<'a> {
    /// The number of the event before the first one that this tells of.
    after: u64,
    head: Head,
    cells: Vec<Cell<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failures: Option<&'a [FailureLine]>,
    log: Vec<LogLine<'a>>,
}

/// One host in full.
#[derive(Debug, Serialize)]
struct Detail<'a> {
    cell: Cell<'a>,
    planned_start_s: f64,
    planned_finish_s: f64,
    steps: Vec<StepNow>,
    moves: Vec<MoveNow>,
    stays: Vec<StayNow<'a>>,
    waits: Vec<WaitGroup>,
    story: HostStory,
    log: Vec<LogLine<'a>>,
    can_skip: bool,
    can_retry: bool,
}

#[derive(Debug, Serialize)]
struct StepNow {
    what: String,
    status: &'static str,
    attempt: u32,
    since: Option<Timestamp>,
    again: Option<Timestamp>,
    says: Option<String>,
}

#[derive(Debug, Serialize)]
struct MoveNow {
    instance: InstanceId,
    name: String,
    to: Option<HostName>,
    status: &'static str,
    percent: Option<u8>,
    attempt: u32,
}

#[derive(Debug, Serialize)]
struct StayNow<'a> {
    instance: InstanceId,
    name: &'a str,
    project: &'a ProjectId,
}

impl Board {
    /// Of a run of which no event is known yet.
    pub fn new(state: RunState, observation: Observation) -> Self {
        let history = History::of(state.rollout());
        Self {
            state,
            history,
            percent: BTreeMap::new(),
            doing: BTreeMap::new(),
            observation,
            trouble: None,
            changed: BTreeSet::new(),
            told: 0,
            failures: Vec::new(),
            is_fresh: false,
        }
    }

    /// The run as its events tell it.
    pub fn state(&self) -> &RunState {
        &self.state
    }

    /// Adds the next event.
    ///
    /// # Errors
    /// When it cannot follow what came before it.
    pub fn tell(&mut self, event: &Event) -> Result<(), IllegalTransition> {
        self.state.apply(event)?;
        self.history.tell(event);
        if let Some(entry) = self.history.trail.last() {
            if entry.sentence.weight == Weight::Bad {
                let (host, text) = (entry.sentence.host.clone(), entry.sentence.text.clone());
                self.failures.push(FailureLine { at: entry.at, host, text });
                if self.failures.len() > MOST_FAILURES {
                    self.failures.remove(0);
                }
            }
            if let Some(host) = entry.sentence.host.clone() {
                if self.state.hosts().get(&host).is_some_and(|found| found.phase != HostPhase::Active) {
                    let of_host = |step: &StepId| StepParts::of(step).host == host;
                    self.percent.retain(|step, _| !of_host(step));
                    self.doing.retain(|step, _| !of_host(step));
                }
                self.changed.insert(host);
            }
        }
        self.is_fresh = true;
        Ok(())
    }

    /// Takes note of progress.
    pub fn hear(&mut self, progress: &Progress) {
        let host = StepParts::of(&progress.step).host;
        if !self.state.step(&progress.step).is_some_and(StepState::is_running) {
            return;
        }
        match &progress.kind {
            ProgressKind::Migration { percent } => {
                self.percent.insert(progress.step.clone(), *percent);
            }
            ProgressKind::Doing(what) => {
                self.doing.insert(progress.step.clone(), what.clone());
            }
        }
        self.changed.insert(host);
        self.is_fresh = true;
    }

    /// Takes note of what is known beside the events.
    pub fn observe(&mut self, observation: Observation) {
        self.is_fresh |= observation.alive != self.observation.alive;
        self.observation = observation;
    }

    /// Takes note of why the journal cannot be read, or that it can be.
    pub fn trouble(&mut self, trouble: Option<String>) {
        self.is_fresh |= trouble != self.trouble;
        self.trouble = trouble;
    }

    /// Everything, as JSON text.
    pub fn whole(&self) -> String {
        let rollout = self.state.rollout();
        let from = self.history.trail.len().saturating_sub(MOST_LINES);
        text(&Whole {
            format: 1,
            kind: "view",
            run: self.state.run().to_string(),
            rollout: rollout.digest.as_str(),
            region: &rollout.region,
            remedy: &rollout.remedy.name,
            title: &rollout.remedy.title,
            planned_s: rollout.certificate.makespan_s,
            left_alone: rollout.skipped.len(),
            head: self.head(),
            cells: self.state.in_order().filter_map(|(planned, _)| self.cell(&planned.host)).collect(),
            failures: &self.failures,
            log: self.lines(from),
        })
    }

    /// What changed since this was last asked, as JSON text; `None` when nothing did.
    pub fn change(&mut self) -> Option<String> {
        if !self.is_fresh {
            return None;
        }
        let after = self.history.trail.get(self.told).map_or(self.state.seq(), |entry| entry.seq - 1);
        let log = self.lines(self.told);
        let change = text(&Change {
            after,
            head: self.head(),
            cells: self.changed.iter().filter_map(|host| self.cell(host)).collect(),
            failures: log.iter().any(|line| line.weight == "bad").then_some(&self.failures),
            log,
        });
        self.told = self.history.trail.len();
        self.changed.clear();
        self.is_fresh = false;
        Some(change)
    }

    /// One host in full, as JSON text; `None` for one that the run does not plan.
    pub fn host(&self, host: &HostName) -> Option<String> {
        let cell = self.cell(host)?;
        let (planned, found) = (self.state.planned(host)?, self.state.hosts().get(host)?);
        let nothing = crate::report::HostHistory::default();
        let lived = self.history.hosts.get(host).unwrap_or(&nothing);
        let of_host = |entry: &&crate::report::TrailEntry| entry.sentence.host.as_ref() == Some(host);
        let mut log: Vec<LogLine<'_>> =
            self.history.trail.iter().rev().filter(of_host).take(MOST_HOST_LINES).map(line).collect();
        log.reverse();
        let stays = self.state.rollout().stays.iter().filter(|stay| stay.host == *host);
        let waits = if self.goes_on() { waits_of(&self.state, host, self.observation.now) } else { Vec::new() };
        Some(text(&Detail {
            planned_start_s: planned.start_s,
            planned_finish_s: planned.finish_s,
            steps: found.steps().filter(|step| step.step.kind != StepKind::Move).map(|step| self.step(step)).collect(),
            moves: self.moves(found, planned),
            stays: stays
                .map(|stay| StayNow { instance: stay.instance, name: &stay.name, project: &stay.project })
                .collect(),
            waits: grouped(waits.into_iter().map(|(step, wait)| (self.words(&step), wait.to_string()))),
            story: HostStory::of(planned, lived, self.history.names()),
            log,
            can_skip: found.phase == HostPhase::Waiting,
            can_retry: matches!(found.phase, HostPhase::Skipped | HostPhase::Quarantined) && !found.is_busy(),
            cell,
        }))
    }

    /// The run in numbers.
    pub fn metrics(&self) -> String {
        let summary = Summary::of(&self.state, &self.observation);
        let approval = matches!(self.state.gate(), Gate::Reached(None));
        metrics::prometheus(&summary, self.eta().as_ref(), self.state.seq(), approval)
    }

    fn goes_on(&self) -> bool {
        matches!(self.state.status(), RunStatus::Running | RunStatus::Stopping | RunStatus::Paused(..))
    }

    fn eta(&self) -> Option<Eta> {
        if self.observation.alive { eta(&self.state, &self.history, self.observation.now) } else { None }
    }

    fn head(&self) -> Head {
        let summary = Summary::of(&self.state, &self.observation);
        let (gate, gate_opens) = match self.state.gate() {
            Gate::Closed => ("closed", None),
            Gate::Reached(None) => ("waiting", None),
            Gate::Reached(at) => ("soaking", at),
            Gate::Open => ("open", None),
        };
        Head {
            seq: self.state.seq(),
            now: self.observation.now,
            outcome: summary.outcome,
            paused_because: summary.paused_because,
            runner: summary.runner,
            started: summary.started,
            ended: summary.ended,
            resumed: summary.resumed,
            hosts: summary.hosts,
            migrations: summary.migrations,
            api: summary.api,
            eta: self.eta(),
            gate,
            gate_opens,
            waits: grouped(summary.waiting_for.into_iter().map(|wait| (self.words(&wait.step), wait.reason))),
            trouble: self.trouble.clone(),
        }
    }

    /// A step or a host in words.
    fn words(&self, step: &str) -> String {
        match step.split_once('/') {
            None => step.to_owned(),
            Some((host, _)) => format!("{host}: {}", StepParts::of(&StepId::new(step)).words(self.history.names())),
        }
    }

    fn cell<'a>(&'a self, host: &HostName) -> Option<Cell<'a>> {
        let (planned, found) = (self.state.planned(host)?, self.state.hosts().get(host)?);
        let moves = || found.steps().filter(|step| step.step.kind == StepKind::Move);
        let begun = moves().count();
        Some(Cell {
            host: &planned.host,
            zone: planned.zone.as_ref().map(ZoneName::as_str),
            rack: planned.rack.as_deref(),
            order: planned.order,
            canary: planned.canary,
            state: found.activity(),
            since: found.since,
            why: found.why.as_deref(),
            moves: if begun == 0 { planned.moves.len() } else { begun },
            moved: moves().filter(|step| matches!(step.status, StepStatus::Succeeded(_))).count(),
            doing: found.steps().filter(|step| step.is_running()).map(|step| self.doing(step)).collect(),
        })
    }

    fn doing(&self, step: &StepState) -> String {
        let what = StepParts::of(&step.step.id).words(self.history.names());
        let to = step.target.as_ref().map(|target| format!(" to {target}")).unwrap_or_default();
        let percent = self.percent.get(&step.step.id).map(|percent| format!(", {percent} %")).unwrap_or_default();
        let says = self.doing.get(&step.step.id).map(|says| format!(": {says}")).unwrap_or_default();
        format!("{what}{to}{percent}{says}")
    }

    fn step(&self, step: &StepState) -> StepNow {
        let mut now = StepNow {
            what: StepParts::of(&step.step.id).words(self.history.names()),
            status: step.status.label(),
            attempt: 0,
            since: None,
            again: None,
            says: self.doing.get(&step.step.id).cloned(),
        };
        match &step.status {
            StepStatus::Pending => {}
            StepStatus::Running { attempt, since } => (now.attempt, now.since) = (*attempt, Some(*since)),
            StepStatus::Retrying { attempt, at, failure } => {
                (now.attempt, now.again) = (*attempt, Some(*at));
                now.says = Some(failure.causes.join(": "));
            }
            StepStatus::Succeeded(output) => now.says = Some(crate::report::output_words(output)),
            StepStatus::Failed(failure) => now.says = Some(failure.causes.join(": ")),
        }
        now
    }

    /// Moves under way and behind it; of a host that is not begun, those that are planned.
    fn moves(&self, found: &HostState, planned: &crate::plan::PlannedHost) -> Vec<MoveNow> {
        let lived = found.steps().filter_map(|step| {
            let instance = step.step.instance?;
            let (attempt, percent) = match &step.status {
                StepStatus::Running { attempt, .. } => (*attempt, self.percent.get(&step.step.id).copied()),
                StepStatus::Retrying { attempt, .. } => (*attempt, None),
                StepStatus::Pending | StepStatus::Succeeded(_) | StepStatus::Failed(_) => (0, None),
            };
            let name = self.history.names().name(instance);
            let status = step.status.label();
            Some(MoveNow { instance, name, to: step.target.clone(), status, percent, attempt })
        });
        let lived: Vec<MoveNow> = lived.collect();
        if !lived.is_empty() || found.phase != HostPhase::Waiting {
            return lived;
        }
        let wanted = planned.moves.iter().map(|one| MoveNow {
            instance: one.instance,
            name: one.name.clone(),
            to: Some(one.to.clone()),
            status: "planned",
            percent: None,
            attempt: 0,
        });
        wanted.collect()
    }

    fn lines(&self, from: usize) -> Vec<LogLine<'_>> {
        self.history.trail[from..].iter().map(line).collect()
    }
}

fn line(entry: &crate::report::TrailEntry) -> LogLine<'_> {
    LogLine {
        seq: entry.seq,
        at: entry.at,
        host: entry.sentence.host.as_ref(),
        text: &entry.sentence.text,
        weight: match entry.sentence.weight {
            Weight::Detail => "detail",
            Weight::Normal => "normal",
            Weight::Good => "good",
            Weight::Bad => "bad",
        },
    }
}

fn grouped(waits: impl Iterator<Item = (String, String)>) -> Vec<WaitGroup> {
    let mut groups: Vec<WaitGroup> = Vec::new();
    for (what, reason) in waits {
        let group = if let Some(place) = groups.iter().position(|group| group.reason == reason) {
            &mut groups[place]
        } else {
            groups.push(WaitGroup { reason, named: Vec::new(), more: 0 });
            let last = groups.len() - 1;
            &mut groups[last]
        };
        if group.named.len() < NAMED {
            group.named.push(what);
        } else {
            group.more += 1;
        }
    }
    groups
}

fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::Value;

    use super::*;
    use crate::report::fixture::{HOSTILE, at, events, region, rollout, run_id};

    fn board(events_told: usize) -> Board {
        let state = RunState::new(run_id(), Arc::new(rollout()), &region());
        let mut board = Board::new(state, Observation { now: at(400), heartbeat: Some(at(399)), alive: true });
        events().iter().take(events_told).for_each(|event| board.tell(event).unwrap());
        board
    }

    fn json(text: &str) -> Value {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn what_changed_after_each_event_adds_up_to_the_whole() {
        let mut live = board(0);
        let mut cells = json(&live.whole())["cells"].clone();
        let mut seq = 0;
        for event in events() {
            live.tell(&event).unwrap();
            let change = json(&live.change().unwrap());
            assert_eq!(change["after"], seq, "no event is missed");
            seq = change["head"]["seq"].as_u64().unwrap();
            for cell in change["cells"].as_array().unwrap() {
                let place = cell["order"].as_u64().unwrap() - 1;
                cells[usize::try_from(place).unwrap()] = cell.clone();
            }
            assert_eq!(live.change(), None);
        }
        let whole = json(&live.whole());
        assert_eq!(whole["cells"], cells);
        assert_eq!(whole["head"]["seq"], seq);
        assert!(!whole["failures"].as_array().unwrap().is_empty());
    }

    #[test]
    fn a_host_is_told_with_its_steps_moves_and_evidence() {
        let whole = json(&board(usize::MAX).host(&HostName::new("compute-2")).unwrap());
        assert!(whole["steps"].as_array().unwrap().len() > 5, "{whole}");
        assert_eq!(whole["moves"][0]["name"], HOSTILE, "names are data; the page shows them as text");
        assert_eq!(whole["story"]["before"]["verdict"], "vulnerable");
        assert!(board(3).host(&HostName::new("no-such-host")).is_none());
    }

    #[test]
    fn before_it_is_begun_a_host_shows_what_is_planned_and_what_it_waits_for() {
        let told = json(&board(2).host(&HostName::new("compute-2")).unwrap());
        assert_eq!(told["moves"][0]["status"], "planned");
        assert_eq!(told["can_skip"], true);
        assert_eq!(told["waits"][0]["reason"], "for the canary hosts");
    }
}
