//! An executable that a remedy or policy adds: asked whether it is so already, told to make it so, asked again.
//!
//! What it reads is one JSON object, what it answers is one JSON object on its standard output:
//! `{"done": true, "note": "…"}`; `in_flight` instead of `done` while what an earlier attempt began goes on.

use async_trait::async_trait;
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use super::extra::{self, failure};
use super::poll::{Wait, doing};
use super::{Action, Probe, StepContext, StepError};
use crate::cloud::Accepted;
use crate::model::{CommandWork, ExtraStep, ExtraWork};
use crate::outside::{Call, Ended, with_host};
use crate::run::event::{FaultScope, Intent, StepOutput};

/// Runs an executable.
pub(super) struct Command;

/// What it answers.
#[derive(Debug, Default, Deserialize)]
struct Answer {
    #[serde(default)]
    done: bool,
    #[serde(default)]
    in_flight: bool,
    #[serde(default)]
    note: String,
}

/// What it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Probe,
    Apply,
    Verify,
}

impl Phase {
    const fn name(self) -> &'static str {
        match self {
            Self::Probe => "probe",
            Self::Apply => "apply",
            Self::Verify => "verify",
        }
    }
}

fn work<'a>(cx: &StepContext<'a>) -> Result<(&'a ExtraStep, &'a CommandWork), StepError> {
    let extra = extra::step(cx)?;
    match &extra.work {
        ExtraWork::Command(work) => Ok((extra, work)),
        ExtraWork::Ansible(_) => {
            Err(StepError::permanent(FaultScope::Host, format!("step {} is no command", extra.name)))
        }
    }
}

fn call(cx: &StepContext<'_>, work: &CommandWork, phase: Phase, began: Instant) -> Result<Call, StepError> {
    let host = &cx.host.host;
    let words = with_host(&work.run, host).map_err(|why| StepError::permanent(FaultScope::Host, why.to_string()))?;
    let input = json!({
        "format": 1,
        "phase": phase.name(),
        "host": host,
        "zone": cx.host.zone,
        "identity": cx.host.identity,
        "step": cx.step,
        "attempt": cx.attempt,
        // An earlier attempt may have begun it: what it began may be under way.
        "begun": cx.intent.is_some(),
        "run": cx.run,
        "rollout": cx.rollout.digest,
        "remedy": cx.rollout.remedy.name,
    });
    let environment = vec![("FLEETMEND_PHASE", phase.name().to_owned()), ("FLEETMEND_HOST", host.to_string())];
    let limit = extra::left(cx, work.timeout.get(), began);
    Ok(Call { words, input: format!("{input}\n"), environment, limit })
}

/// What it answered; nothing at all is an answer to `apply` alone.
fn answer(extra: &ExtraStep, phase: Phase, ended: &Ended) -> Result<Answer, StepError> {
    if !ended.exit.is_success() {
        return Err(failure(extra, phase.name(), ended));
    }
    let said = ended.stdout.trim();
    if said.is_empty() && phase == Phase::Apply {
        return Ok(Answer::default());
    }
    serde_json::from_str(said).map_err(|why| {
        let what = format!("step {} answered `{}` with no JSON object of a step", extra.name, phase.name());
        StepError::permanent(FaultScope::Host, what).because(format!("{why}: {}", ended.kept.words()))
    })
}

async fn ask(cx: &StepContext<'_>, phase: Phase, began: Instant) -> Result<Answer, StepError> {
    let (extra, work) = work(cx)?;
    let call = call(cx, work, phase, began)?;
    doing(cx, format!("{}: `{}`", phase.name(), call.words.join(" ")));
    answer(extra, phase, &extra::call(cx, &call).await)
}

#[async_trait]
impl Action for Command {
    async fn probe(&self, cx: &StepContext<'_>) -> Result<Probe, StepError> {
        let (extra, _) = work(cx)?;
        let answer = ask(cx, Phase::Probe, Instant::now()).await?;
        let intent = extra::intent(extra);
        Ok(match answer {
            Answer { done: true, note, .. } => Probe::Done(extra::output(cx, note)),
            Answer { in_flight: true, .. } if cx.intent.is_some() => Probe::InFlight(intent),
            Answer { .. } => Probe::Needed(intent),
        })
    }

    async fn apply(&self, cx: &StepContext<'_>, _: &Intent) -> Result<Accepted, StepError> {
        ask(cx, Phase::Apply, Instant::now()).await.map(|_| Accepted::default())
    }

    async fn verify(&self, cx: &StepContext<'_>, _: &Intent, _: &Accepted) -> Result<StepOutput, StepError> {
        let (extra, work) = work(cx)?;
        let began = Instant::now();
        let wait = Wait::at_most(cx, work.timeout.get());
        loop {
            let answer = ask(cx, Phase::Verify, began).await?;
            if answer.done {
                return Ok(extra::output(cx, answer.note));
            }
            cx.intents.forget_last();
            if !answer.in_flight || !wait.again().await {
                let what = format!("step {} ran, and says that it is not done", extra.name);
                return Err(StepError::permanent(FaultScope::Host, what).because(answer.note));
            }
            doing(cx, format!("waits for step {}: {}", extra.name, answer.note));
        }
    }
}
