//! The ladder: commands of the operator that get a host back which was ordered to reboot and does not return.
//!
//! There is no way here but through the reboot: what the host showed when it was proven quiet is on record, Nova and
//! Placement must still agree with it, the mark must still be ours, and nova-compute must not report. A host that
//! answers in another boot is never touched again.

use std::time::Duration;

use super::look::{ours, service_of};
use super::poll::{Wait, doing};
use super::quiet;
use super::{ErrorClass, StepContext, StepError};
use crate::host::{PowerOrder, QuietRecord};
use crate::model::ServiceState;
use crate::outside::with_host;
use crate::run::event::{CommandRun, FaultScope};

/// Nova takes a service for down 60 s after its last report, where nobody set it otherwise. One that is up for longer
/// reports: its host lives, and only ssh does not reach it.
const SILENT_WITHIN: Duration = Duration::from_secs(180);

/// A failure that ends the step: the host does not answer, so that no further round could find it otherwise.
fn refused(cx: &StepContext<'_>, error: &StepError) -> StepError {
    let host = &cx.host.host;
    let class = match error.class {
        ErrorClass::NeedsOperator => ErrorClass::NeedsOperator,
        ErrorClass::Transient | ErrorClass::Disquiet | ErrorClass::Permanent => ErrorClass::Permanent,
    };
    StepError::new(class, error.scope, format!("{host} did not come back, and its power is not switched"))
        .because(error.record().causes.join(": "))
}

/// Proves once more that the power of a host that does not answer may be switched.
pub(super) async fn order(
    cx: &StepContext<'_>,
    boot: &str,
    proven: &QuietRecord,
) -> Result<Option<PowerOrder>, StepError> {
    let host = &cx.host.host;
    let mut wait = Wait::at_most(cx, SILENT_WITHIN);
    loop {
        let seen = wait.through_outage(ours(cx).await).map_err(|error| refused(cx, &error))?;
        if seen.is_some_and(|seen| seen.service.state == ServiceState::Down) {
            break;
        }
        doing(cx, "waits until nova-compute is silent before the power is switched");
        if super::reboot::is_in_another_boot(cx, boot).await? {
            return Ok(None);
        }
        if !wait.again().await {
            let reports = service_of(cx, host).await.map_err(|error| refused(cx, &error))?;
            let why = match reports.service.state {
                ServiceState::Up => "nova-compute reports: the host lives, and ssh does not reach it",
                ServiceState::Down => "nova-compute has only just fallen silent",
            };
            return Err(refused(cx, &StepError::permanent(FaultScope::Host, why)));
        }
    }
    let quiet = quiet::prove_from_afar(cx, proven).await.map_err(|error| refused(cx, &error))?;
    // The last look: all that came before it takes time, in which a slow host may have returned.
    if super::reboot::is_in_another_boot(cx, boot).await? {
        return Ok(None);
    }
    Ok(Some(PowerOrder::new(quiet, cx.run, boot.to_owned())))
}

/// Runs one command of the ladder, and says how it ended and whether it says that it did what it was asked.
pub(super) async fn climb(cx: &StepContext<'_>, order: &PowerOrder, rung: usize) -> Option<(CommandRun, bool)> {
    let rung = cx.outside.rungs().get(rung)?;
    let command = with_host(&rung.command, order.host()).unwrap_or_else(|_| rung.command.clone());
    doing(cx, format!("runs `{}`", command.join(" ")));
    let ended = cx.outside.climb(order, rung).await;
    let succeeded = ended.exit.is_success();
    Some((CommandRun { command, end: ended.exit.to_string(), output: ended.kept }, succeeded))
}

/// Commands and how they ended, for people.
pub(super) fn told(commands: &[CommandRun]) -> String {
    let told = commands.iter().map(|run| {
        let command = shlex::try_join(run.command.iter().map(String::as_str)).unwrap_or_default();
        format!("`{command}` {}: {}", run.end, run.output.words())
    });
    told.collect::<Vec<_>>().join("; ")
}
