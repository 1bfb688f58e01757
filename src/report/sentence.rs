//! Events in words: one line each, for the log of a run, the audit trail and the page.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::text::{count, duration};
use crate::actions::ErrorClass;
use crate::model::{HostName, InstanceId, StepId};
use crate::plan::Rollout;
use crate::run::Change;
use crate::run::event::{EventKind, GateName, Intent, Outcome, Runner, StepFailure, StepOutput};
use crate::workflow::StepKind;

/// What instances are called; learned from the rollout and from what drains find.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InstanceNames {
    by_id: BTreeMap<InstanceId, String>,
}

impl InstanceNames {
    /// The names that the rollout knows.
    pub fn of(rollout: &Rollout) -> Self {
        let moves = rollout.hosts.iter().flat_map(|host| &host.moves).map(|planned| (planned.instance, &planned.name));
        let stays = rollout.stays.iter().map(|stay| (stay.instance, &stay.name));
        Self { by_id: moves.chain(stays).map(|(id, name)| (id, name.clone())).collect() }
    }

    /// Learns the names of instances that the plan did not know.
    pub fn learn(&mut self, event: &EventKind) {
        if let EventKind::StepSucceeded { output: StepOutput::Resolved { leaving, parking, .. }, .. } = event {
            self.by_id.extend(leaving.iter().map(|instance| (instance.id, instance.name.clone())));
            self.by_id.extend(parking.iter().map(|instance| (instance.id, instance.name.clone())));
        }
    }

    /// The instance's name; its id where none is known.
    pub fn name(&self, id: InstanceId) -> String {
        self.by_id.get(&id).filter(|name| !name.is_empty()).cloned().unwrap_or_else(|| id.to_string())
    }
}

/// A step's id taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepParts {
    /// The host it belongs to.
    pub host: HostName,
    /// What it does; `None` for a kind of another version.
    pub kind: Option<StepKind>,
    /// For a move, a stop or a start: which instance.
    pub instance: Option<InstanceId>,
}

impl StepParts {
    /// Takes `compute-17/move/<uuid>` apart.
    pub fn of(step: &StepId) -> Self {
        let mut parts = step.as_str().split('/');
        let host = HostName::new(parts.next().unwrap_or_default());
        let word = parts.next().unwrap_or_default();
        let kind = StepKind::ALL.iter().copied().find(|kind| kind.name() == word);
        let is_about_one = matches!(kind, Some(StepKind::Move | StepKind::Stop | StepKind::Start));
        let instance = parts.next().filter(|_| is_about_one).and_then(|id| id.parse().ok());
        Self { host, kind, instance }
    }

    /// What the step does, in words.
    pub fn words(&self, names: &InstanceNames) -> String {
        match (self.kind, self.instance) {
            (Some(StepKind::Move), Some(instance)) => format!("move {}", names.name(instance)),
            (Some(StepKind::Stop), Some(instance)) => format!("stop {} in place", names.name(instance)),
            (Some(StepKind::Start), Some(instance)) => format!("start {} again", names.name(instance)),
            (Some(kind), _) => kind_words(kind).to_owned(),
            (None, _) => "a step of another version".to_owned(),
        }
    }
}

/// What a kind of step does, in words.
pub fn kind_words(kind: StepKind) -> &'static str {
    match kind {
        StepKind::Identify => "check that it is the machine of the plan",
        StepKind::Disable => "take out of service",
        StepKind::Hook => "tell others that it is worked on",
        StepKind::Stage => "download updates",
        StepKind::Resolve => "look which instances leave",
        StepKind::Move => "move an instance",
        StepKind::Stop => "stop an instance in place",
        StepKind::Fence => "stop nova-compute",
        StepKind::Update => "update packages",
        StepKind::Configure => "edit nova.conf",
        StepKind::VerifyConfig => "verify before the reboot",
        StepKind::Command => "run a command",
        StepKind::Ansible => "run a playbook",
        StepKind::Reboot => "reboot",
        StepKind::Return => "wait for nova-compute",
        StepKind::Evidence => "collect evidence",
        StepKind::Start => "start an instance again",
        StepKind::Enable => "put back into service",
        StepKind::Unhook => "take back what others were told",
        StepKind::Settle => "let the scheduler see it",
        StepKind::Probe => "boot a probe instance",
        StepKind::ColdBoot => "stop and start",
        StepKind::Unfence => "start nova-compute",
        StepKind::Quarantine => "write why it is quarantined",
    }
}

/// One event in words, with the host that it is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sentence {
    /// The host; `None` when it is about the run.
    pub host: Option<HostName>,
    /// What happened; may hold names that strangers chose.
    pub text: String,
    /// How much it matters.
    pub weight: Weight,
}

/// How much an event matters to somebody who watches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Only when something is being looked into.
    Detail,
    /// Ordinary progress.
    Normal,
    /// Something came to its good end.
    Good,
    /// Something went wrong.
    Bad,
}

/// Says `event` in words.
pub fn sentence(event: &EventKind, names: &InstanceNames) -> Sentence {
    let about_step = |step: &StepId, weight: Weight, text: &dyn Fn(&str) -> String| {
        let parts = StepParts::of(step);
        Sentence { text: text(&parts.words(names)), host: Some(parts.host), weight }
    };
    let about_host =
        |host: &HostName, weight: Weight, text: String| Sentence { host: Some(host.clone()), text, weight };
    let about_run = |weight: Weight, text: String| Sentence { host: None, text, weight };
    match event {
        EventKind::RunStarted { run, rollout, runner } => {
            about_run(Weight::Normal, format!("run {run} of rollout {rollout} begins on {}", runner_words(runner)))
        }
        EventKind::RunResumed { runner } => about_run(Weight::Normal, format!("resumed on {}", runner_words(runner))),
        EventKind::StepStarted { step, attempt, target, because } => about_step(step, Weight::Normal, &|what| {
            let target = target.as_ref().map(|target| format!(" to {target}")).unwrap_or_default();
            let because = because.as_ref().map(|because| format!(" ({because})")).unwrap_or_default();
            let again = if *attempt > 1 { format!(", attempt {attempt}") } else { String::new() };
            format!("{what}{target}{because}{again}")
        }),
        EventKind::StepIntended { step, intent } => {
            about_step(step, Weight::Detail, &|what| format!("{what}: {}", intent_words(intent)))
        }
        EventKind::ChangeMade { step, change } => {
            about_step(step, Weight::Detail, &|what| format!("{what}: {}", change_words(change)))
        }
        EventKind::StepSucceeded { step, output } => {
            let weight = if matches!(StepParts::of(step).kind, Some(StepKind::Settle | StepKind::ColdBoot)) {
                Weight::Good
            } else {
                Weight::Normal
            };
            about_step(step, weight, &|what| format!("{what}: {}", output_words(output)))
        }
        EventKind::StepFailed { step, failure, retry_at } => about_step(step, Weight::Bad, &|what| {
            let again = retry_at.map(|at| format!("; again at {at:.0}")).unwrap_or_default();
            format!("{what} failed: {}{again}", failure_words(failure))
        }),
        EventKind::HostQuarantined { host, reason, .. } => {
            about_host(host, Weight::Bad, format!("quarantined: {reason}"))
        }
        EventKind::HostSkipped { host, reason } => about_host(host, Weight::Bad, format!("skipped: {reason}")),
        EventKind::TargetSeen { host, came, gone } => {
            let (came, gone) = (count(came.len(), "instance"), count(gone.len(), "instance"));
            about_host(host, Weight::Normal, format!("looked at again: {came} came by others' doing, {gone} left"))
        }
        EventKind::HostReleased { host } => about_host(host, Weight::Normal, "given back as it was".to_owned()),
        EventKind::HostRelieved { host } => about_host(
            host,
            Weight::Normal,
            "does not go on for now: what was stopped on it is started again first".to_owned(),
        ),
        EventKind::HostRetried { host, by } => {
            let by = by.as_ref().map(|by| format!(" by the word of {by}")).unwrap_or_default();
            about_host(host, Weight::Normal, format!("to be tried again{by}"))
        }
        EventKind::GateReached { gate, opens_at } => {
            let opens = match opens_at {
                Some(at) => format!("opens by itself at {at:.0}"),
                None => "waits for `fleetmend approve`".to_owned(),
            };
            about_run(Weight::Normal, format!("the {} gate is reached; it {opens}", gate_words(*gate)))
        }
        EventKind::GateOpened { gate, by } => {
            about_run(Weight::Normal, format!("the {} gate is open, by {by}", gate_words(*gate)))
        }
        EventKind::HealthSeen { gate, is_well, said } => {
            let (weight, how) = if *is_well { (Weight::Normal, "well") } else { (Weight::Bad, "not well") };
            about_run(weight, format!("health gate {gate} is {how}: {said}"))
        }
        EventKind::RunPaused { reason, .. } => about_run(Weight::Bad, format!("paused: {reason}")),
        EventKind::RunContinued { by } => about_run(Weight::Normal, format!("goes on, by {by}")),
        EventKind::StopRequested { by } => {
            about_run(Weight::Normal, format!("asked to stop by {by}: what is under way is finished first"))
        }
        EventKind::LimitsChanged { limits, by } => about_run(
            Weight::Normal,
            format!("limits changed by {by}: {}", serde_json::to_string(limits).unwrap_or_default()),
        ),
        EventKind::RunEnded { outcome, requests, retries } => about_run(
            outcome_weight(*outcome),
            format!(
                "{}; {} to the cloud, {retries} repeated",
                outcome_words(*outcome),
                count(usize::try_from(*requests).unwrap_or(usize::MAX), "request")
            ),
        ),
    }
}

pub(super) fn runner_words(runner: &Runner) -> String {
    format!("{} (process {}, fleetmend {})", runner.host, runner.pid, runner.version)
}

/// How a run ended, in words.
pub fn outcome_words(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Done => "done",
        Outcome::DoneWithFailures => "done; some hosts are quarantined, or instances did not start again",
        Outcome::Paused => "paused with nothing under way",
        Outcome::Stopped => "stopped by request",
        Outcome::Abandoned => "abandoned: what it held is given back",
    }
}

fn outcome_weight(outcome: Outcome) -> Weight {
    match outcome {
        Outcome::Done => Weight::Good,
        Outcome::DoneWithFailures | Outcome::Paused => Weight::Bad,
        Outcome::Stopped | Outcome::Abandoned => Weight::Normal,
    }
}

fn gate_words(gate: GateName) -> &'static str {
    match gate {
        GateName::Canary => "canary",
    }
}

/// A chain of causes as one line.
pub fn failure_words(failure: &StepFailure) -> String {
    let class = match failure.class {
        ErrorClass::Transient | ErrorClass::Disquiet | ErrorClass::Permanent => "",
        ErrorClass::NeedsOperator => " (needs an operator)",
    };
    format!("{}{class}", failure.causes.join(": "))
}

/// A change in words, with its answer.
pub fn change_words(change: &Change) -> String {
    let with = change.with.as_ref().map(|with| format!(" ({with})")).unwrap_or_default();
    let status = change.status.map(|status| format!(" with status {status}")).unwrap_or_default();
    let request = change.request.as_ref().map(|request| format!(" [{request}]")).unwrap_or_default();
    let why = change.answer.why().map(|why| format!(": {why}")).unwrap_or_default();
    let Change { what, of, answer, .. } = change;
    format!("{what}: {of}{with}{status}, {}{why}{request}", answer.label())
}

/// What is about to be done, in words.
pub fn intent_words(intent: &Intent) -> String {
    match intent {
        Intent::Disable { before } => {
            let reason = before.disabled_reason.as_ref().map(|reason| format!(" ({reason})")).unwrap_or_default();
            format!("disabling the service; it was {:?}{reason}", before.status).to_lowercase()
        }
        Intent::Enable => "enabling the service".to_owned(),
        Intent::Migrate { target, after, .. } => {
            format!("asking for a migration to {target}; newest record before: {after}")
        }
        Intent::Job { unit, summary, .. } => format!("starting {unit}: {summary}"),
        Intent::Fence { up: true } => "stopping nova-compute".to_owned(),
        Intent::Fence { up: false } => "starting nova-compute".to_owned(),
        Intent::Stop => "stopping it; it ran".to_owned(),
        Intent::Start => "starting it".to_owned(),
        Intent::Reboot { boot, rung: None, .. } => format!("rebooting out of boot {boot}"),
        Intent::Reboot { boot, rung: Some(rung), .. } => {
            format!("getting it out of boot {boot} by command {} of the configuration", rung + 1)
        }
        Intent::Run { command } => format!("running `{}`", command.join(" ")),
        Intent::Await { what, until } => {
            let until = until.map(|at| format!(" until {at:.0}")).unwrap_or_default();
            format!("waiting for {what}{until}")
        }
        Intent::ProbeInstance { name } => format!("booting {name}, to be deleted"),
        Intent::ColdBoot { .. } => "stopping and starting it".to_owned(),
        Intent::Mark { why } => format!("writing the reason: {why}"),
    }
}

/// What came of a step, in words.
pub fn output_words(output: &StepOutput) -> String {
    let request =
        |request: &Option<crate::model::RequestId>| request.as_ref().map(|id| format!(" [{id}]")).unwrap_or_default();
    match output {
        StepOutput::Done { note } if note.is_empty() => "done".to_owned(),
        StepOutput::Done { note }
        | StepOutput::Identified { note, .. }
        | StepOutput::Ran { note, warning: None, .. } => note.clone(),
        StepOutput::AlreadySo { note } if note.is_empty() => "was so already".to_owned(),
        StepOutput::AlreadySo { note } => format!("was so already: {note}"),
        StepOutput::Disabled { request: id, .. } => format!("disabled{}", request(id)),
        StepOutput::Resolved { leaving, staying, differences, parking, .. } => {
            let mut text = format!("{} to leave, {} to stay", count(leaving.len(), "instance"), staying.len());
            if !parking.is_empty() {
                let _ = write!(text, ", {} to be stopped in place", parking.len());
            }
            for difference in differences {
                text.push_str("; ");
                text.push_str(difference);
            }
            text
        }
        StepOutput::Moved { to, migration, request: id } => {
            let record = migration.map(|number| format!(", migration {number}")).unwrap_or_default();
            format!("on {to}{record}{}", request(id))
        }
        StepOutput::ColdBooted { on, request: id, flag } => {
            let seen = flag.as_ref().map(|policy| format!(", its processor seen with the flag ({policy})"));
            format!("runs again on {on}{}{}", seen.unwrap_or_default(), request(id))
        }
        StepOutput::GaveUp { note, handling } => {
            format!("given up: {note}; instead: {}", super::review::handling_words(*handling))
        }
        StepOutput::Parked { request: id } => format!("off{}", request(id)),
        StepOutput::Gone { note, .. } => format!("gone: {note}"),
        StepOutput::Packages { changed, .. } => count(changed.len(), "package") + " changed",
        StepOutput::Rebooted { before, after, commands } => {
            let began = format!("boot {before} ended, boot {after} began");
            let commands = commands.iter().map(|run| format!("`{}` {}", run.command.join(" "), run.end));
            std::iter::once(began).chain(commands).collect::<Vec<_>>().join("; ")
        }
        StepOutput::Ran { note, warning: Some(warning), .. } => format!("{note}: {warning}"),
        StepOutput::Proven { verdict, lost } => {
            let pieces = count(verdict.evidence.len(), "piece");
            let proven = format!("{} by {pieces} of evidence", verdict_words(verdict.verdict));
            std::iter::once(proven).chain(lost.iter().cloned()).collect::<Vec<_>>().join("; ")
        }
    }
}

/// A verdict in a word or two.
pub fn verdict_words(verdict: crate::remedy::VerdictKind) -> &'static str {
    use crate::remedy::VerdictKind;
    match verdict {
        VerdictKind::Mitigated => "mitigated",
        VerdictKind::Vulnerable => "vulnerable",
        VerdictKind::NotAffected => "not affected",
        VerdictKind::Unknown => "unknown",
    }
}

/// How long something took, in words; nothing when a clock went backwards.
pub fn took(from: jiff::Timestamp, to: jiff::Timestamp) -> String {
    duration((to.duration_since(from)).as_secs_f64().max(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_id_is_taken_apart_and_one_of_another_version_is_no_panic() {
        let id = InstanceId::new(uuid::Uuid::from_u128(7));
        let host = HostName::new("compute-1");
        let of_move = StepParts::of(&StepId::of_move(&host, id));
        assert_eq!(of_move, StepParts { host: host.clone(), kind: Some(StepKind::Move), instance: Some(id) });
        let again = StepParts::of(&StepId::new("compute-1/resolve/2"));
        assert_eq!((again.kind, again.instance), (Some(StepKind::Resolve), None));
        assert_eq!(StepParts::of(&StepId::new("compute-1/levitate")).kind, None);
        assert_eq!(StepParts::of(&StepId::new("")).host, HostName::new(""));
    }
}
