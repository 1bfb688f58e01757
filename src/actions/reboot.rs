//! Reboot: proven quiet, ordered once, proven by the boot id.
//!
//! The boot id that ends is recorded before the order: after a crash a host in another boot was rebooted, and one in
//! the same boot was not. Nothing else is believed: an ssh session that ends, a service that goes down or does not.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::look::{ours, same_machine};
use super::poll::{Wait, doing, lasts};
use super::quiet;
use super::{Action, Probe, StepContext, StepError};
use crate::cloud::Accepted;
use crate::host::{Boot, HostErrorKind, RebootOrder};
use crate::run::event::{FaultScope, Intent, StepOutput};

/// How long a host may go on answering in the boot that it was ordered to leave: systemd gives each unit 90 s to stop.
/// Then the order had no effect; another one is safe, because it names the boot that it ends.
const STILL_THERE: Duration = Duration::from_secs(300);

/// How long a host that may have been ordered to reboot is given to stop answering, before the order is held for lost:
/// systemd stops sshd among the first.
const GOES_DOWN_WITHIN: Duration = Duration::from_secs(30);

/// Reboots the host.
pub(super) struct Reboot;

/// The boot that the intent says ends.
fn ending<'a>(cx: &StepContext<'_>, intent: &'a Intent) -> Result<&'a str, StepError> {
    if let Intent::Reboot { boot } = intent {
        return Ok(boot);
    }
    Err(StepError::permanent(FaultScope::Host, format!("step {} recorded an intent that is no reboot", cx.step)))
}

/// The boot that the host is in; `Err` with the last words when it does not answer. Another machine is no answer.
async fn boot(cx: &StepContext<'_>) -> Result<Result<Boot, String>, StepError> {
    let host = &cx.host.host;
    match cx.shell.boot(host).await {
        Ok(boot) => Ok(Ok(boot)),
        Err(error) => match error.kind {
            HostErrorKind::WrongMachine | HostErrorKind::HostKey => {
                Err(StepError::host(format!("what answers for {host} is not the host that was rebooted"), error))
            }
            HostErrorKind::Unreachable
            | HostErrorKind::AccessDenied
            | HostErrorKind::TimedOut
            | HostErrorKind::NotQuiet
            | HostErrorKind::BecomeDenied
            | HostErrorKind::Failed
            | HostErrorKind::Protocol => Ok(Err(error.message)),
        },
    }
}

/// The boot that the host is in, looked at until it is another one than `before`, until there is no answer, or until
/// it is clear that the host does not go down.
async fn boot_unless_going_down(cx: &StepContext<'_>, before: &str) -> Result<Result<Boot, String>, StepError> {
    let wait = Wait::at_most(cx, GOES_DOWN_WITHIN);
    loop {
        let seen = boot(cx).await?;
        let remains = seen.as_ref().is_ok_and(|now| now.id == before);
        if !remains || !wait.again().await {
            return Ok(seen);
        }
    }
}

#[async_trait]
impl Action for Reboot {
    async fn probe(&self, cx: &StepContext<'_>) -> Result<Probe, StepError> {
        let recorded = cx.intent.map(|intent| ending(cx, intent)).transpose()?;
        let seen = match recorded {
            Some(before) => boot_unless_going_down(cx, before).await?,
            None => boot(cx).await?,
        };
        match (recorded, seen) {
            (Some(before), Ok(now)) if now.id != before => {
                same_machine(cx).await?;
                Ok(Probe::Done(StepOutput::Rebooted { before: before.to_owned(), after: now.id }))
            }
            // The same boot: the order never took effect.
            (_, Ok(now)) => Ok(Probe::Needed(Intent::Reboot { boot: now.id })),
            (Some(before), Err(_)) => Ok(Probe::InFlight(Intent::Reboot { boot: before.to_owned() })),
            (None, Err(words)) => {
                let what = format!("{} does not answer before its reboot", cx.host.host);
                Err(StepError::transient(FaultScope::Host, what).because(words))
            }
        }
    }

    async fn apply(&self, cx: &StepContext<'_>, intent: &Intent) -> Result<Accepted, StepError> {
        let before = ending(cx, intent)?;
        let host = &cx.host.host;
        if boot(cx).await?.is_ok_and(|now| now.id != before) {
            return Ok(Accepted::default());
        }
        same_machine(cx).await?;
        ours(cx).await?;
        doing(cx, "proves the host quiet");
        let quiet = quiet::prove(cx, cx.memory.fenced).await?;
        doing(cx, "orders the reboot");
        let order = RebootOrder::new(quiet, cx.host.identity.clone(), cx.run, before.to_owned());
        match cx.shell.reboot(&order).await {
            Ok(()) => Ok(Accepted::default()),
            // The connection broke on the order, or on what came of it: the boot id tells.
            Err(error) if error.is_transient() => {
                doing(cx, format!("does not know yet whether the order arrived: {}", error.message));
                Ok(Accepted::default())
            }
            // Another boot than the one that was to end is the only refusal that is good news.
            Err(error)
                if error.kind == HostErrorKind::NotQuiet && boot(cx).await?.is_ok_and(|now| now.id != before) =>
            {
                Ok(Accepted::default())
            }
            Err(error) => Err(StepError::host(format!("{host} refused to reboot"), error)),
        }
    }

    async fn verify(&self, cx: &StepContext<'_>, intent: &Intent, _: &Accepted) -> Result<StepOutput, StepError> {
        let before = ending(cx, intent)?;
        let host = &cx.host.host;
        let wait = Wait::at_most(cx, cx.patience().reboot.get());
        let mut answering_since: Option<Instant> = None;
        let mut last = String::new();
        loop {
            match boot(cx).await? {
                Ok(now) if now.id != before => match same_machine(cx).await {
                    Ok(()) => return Ok(StepOutput::Rebooted { before: before.to_owned(), after: now.id }),
                    Err(error) if error.class == super::ErrorClass::Transient => {
                        last = error.record().causes.join(": ");
                    }
                    Err(error) => return Err(error),
                },
                Ok(_) => {
                    let since = *answering_since.get_or_insert_with(Instant::now);
                    if lasts(cx, since, STILL_THERE) {
                        let what = format!("{host} goes on in the boot that it was ordered to leave");
                        return Err(StepError::transient(FaultScope::Host, what));
                    }
                    "it still answers in the boot that ends".clone_into(&mut last);
                }
                // Looks that fail in between prove nothing: a host that had gone down would be in another boot.
                Err(words) => last = words,
            }
            doing(cx, format!("waits for {host} to come back: {last}"));
            if !wait.again().await {
                let what =
                    format!("{host} did not come back within {} s of its reboot", cx.patience().reboot.get().as_secs());
                return Err(StepError::permanent(FaultScope::Host, what).because(last));
            }
        }
    }
}
