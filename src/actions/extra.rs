//! What added steps share: which one a step is, how a call is made, and what a failure means.

use std::time::Duration;

use tokio::time::Instant;

use super::hook::hook;
use super::{ErrorClass, StepContext, StepError};
use crate::model::{ExtraStep, OnFailure};
use crate::outside::{Call, Ended, Exit};
use crate::run::event::{CommandRun, FaultScope, Intent, StepOutput};
use crate::workflow::StepKind;

/// Exit status by which a program says that it may be tried again later (`EX_TEMPFAIL` of sysexits.h).
const TRY_LATER: i32 = 75;

/// A call that comes after a long one gets at least this much, to say how it stands.
const LEAST: Duration = Duration::from_secs(10);

/// How often a step that may fail is tried again before the host goes on without it.
const ATTEMPTS: u32 = 3;

/// The added step that this one is.
pub(super) fn step<'a>(cx: &StepContext<'a>) -> Result<&'a ExtraStep, StepError> {
    let mut parts = cx.step.as_str().splitn(3, '/').skip(1);
    let (kind, name) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let found = cx.rollout.extra_steps().find(|extra| extra.name == name && extra.kind().name() == kind);
    found.ok_or_else(|| StepError::permanent(FaultScope::Host, format!("the rollout has no step {}", cx.step)))
}

/// The intent to carry out an added step.
pub(super) fn intent(extra: &ExtraStep) -> Intent {
    Intent::Run { command: extra.command_words() }
}

/// Makes a call, and keeps what came of it.
pub(super) async fn call(cx: &StepContext<'_>, call: &Call) -> Ended {
    let ended = cx.outside.run(call).await;
    cx.intents.keep(CommandRun {
        command: call.words.clone(),
        end: ended.exit.to_string(),
        output: ended.kept.clone(),
    });
    ended
}

/// What is left of `limit` since `began`, in the time of the process that waits.
pub(super) fn left(cx: &StepContext<'_>, limit: Duration, began: Instant) -> Duration {
    cx.clock.real(limit).saturating_sub(began.elapsed()).max(LEAST)
}

/// A failure of a call.
pub(super) fn failure(extra: &ExtraStep, what: &str, ended: &Ended) -> StepError {
    let class = match ended.exit {
        Exit::Status(TRY_LATER) => ErrorClass::Transient,
        Exit::Status(_) | Exit::Killed | Exit::TimedOut(_) | Exit::NotStarted(_) => ErrorClass::Permanent,
    };
    StepError::new(class, FaultScope::Host, format!("step {} could not {what}", extra.name)).because(ended.words())
}

/// What a step leaves.
pub(super) fn output(cx: &StepContext<'_>, note: impl Into<String>) -> StepOutput {
    StepOutput::Ran { note: note.into(), commands: cx.intents.kept(), warning: None }
}

/// `result`, or a warning in its place where the file says that the host goes on whatever the step comes to.
pub(crate) fn lenient(
    cx: &StepContext<'_>,
    kind: StepKind,
    result: Result<StepOutput, StepError>,
) -> Result<StepOutput, StepError> {
    let on_failure = if matches!(kind, StepKind::Command | StepKind::Ansible) {
        step(cx).map(|extra| extra.on_failure)
    } else if matches!(kind, StepKind::Hook | StepKind::Unhook) {
        hook(cx).map(|hook| hook.on_failure)
    } else {
        return result;
    };
    let Ok(on_failure) = on_failure else { return result };
    match (result, on_failure) {
        (Err(error), OnFailure::Pause) => {
            Err(StepError { class: ErrorClass::Transient, scope: FaultScope::ControlPlane, ..error })
        }
        (Err(error), OnFailure::Warn) if error.class != ErrorClass::Transient || cx.attempt >= ATTEMPTS => {
            let warning = Some(error.record().causes.join(": "));
            let note = "failed, and the host goes on".to_owned();
            Ok(StepOutput::Ran { note, commands: cx.intents.kept(), warning })
        }
        (result, OnFailure::Warn | OnFailure::StopHost | OnFailure::Pause) => result,
    }
}
