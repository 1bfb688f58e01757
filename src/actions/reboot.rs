//! Reboot: proven quiet, ordered once, proven by the boot id.
//!
//! The boot id that ends is recorded before the order: after a crash a host in another boot was rebooted, and one in
//! the same boot was not. Nothing else is believed: an ssh session that ends, a service that goes down or does not.
//! Where the operator configured commands for a host that does not return, they are tried in turn (`ladder`).

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use super::look::{ours, same_machine};
use super::poll::{Wait, doing, lasts};
use super::{Action, Probe, StepContext, StepError};
use super::{ladder, quiet};
use crate::cloud::Accepted;
use crate::host::{Boot, HostErrorKind, QuietRecord, RebootOrder};
use crate::run::event::{FaultScope, Intent, StepOutput};

/// How long a host may go on answering in the boot that it was ordered to leave: systemd gives each unit 90 s to stop.
/// Then the order had no effect; another one is safe, because it names the boot that it ends.
const STILL_THERE: Duration = Duration::from_secs(300);

/// How long a host that may have been ordered to reboot is given to stop answering, before the order is held for lost:
/// systemd stops sshd among the first.
const GOES_DOWN_WITHIN: Duration = Duration::from_secs(30);

/// Reboots the host.
pub(super) struct Reboot;

/// What a recorded intent says.
#[derive(Debug, Clone)]
struct Recorded<'a> {
    /// The boot that ends.
    boot: &'a str,
    /// What the host showed when it was proven quiet; absent until then, and where no ladder is configured.
    proven: Option<&'a QuietRecord>,
    /// The command of the ladder that was about to be run.
    rung: Option<usize>,
}

fn recorded<'a>(cx: &StepContext<'_>, intent: &'a Intent) -> Result<Recorded<'a>, StepError> {
    if let Intent::Reboot { boot, proven, rung } = intent {
        return Ok(Recorded { boot, proven: proven.as_ref(), rung: *rung });
    }
    Err(StepError::permanent(FaultScope::Host, format!("step {} recorded an intent that is no reboot", cx.step)))
}

/// The intent to reboot a host out of `boot`, before it is proven quiet.
fn intent(boot: String) -> Intent {
    Intent::Reboot { boot, proven: None, rung: None }
}

/// Whether the host has left `boot` behind; false when it does not answer.
pub(super) async fn is_in_another_boot(cx: &StepContext<'_>, before: &str) -> Result<bool, StepError> {
    Ok(boot(cx).await?.is_ok_and(|now| now.id != before))
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

/// How a wait for the host ended.
enum Awaited {
    /// It is in this boot.
    Back(String),
    /// It is not back within the policy's patience; the last that was seen of it.
    Away(String),
}

/// Waits for another boot than `before`, and for the planned machine in it.
async fn wait_for_return(cx: &StepContext<'_>, before: &str) -> Result<Awaited, StepError> {
    let host = &cx.host.host;
    let wait = Wait::at_most(cx, cx.patience().reboot.get());
    let mut answering_since: Option<Instant> = None;
    let mut last = String::new();
    loop {
        match boot(cx).await? {
            Ok(now) if now.id != before => match same_machine(cx).await {
                Ok(()) => return Ok(Awaited::Back(now.id)),
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
            return Ok(Awaited::Away(last));
        }
    }
}

#[async_trait]
impl Action for Reboot {
    async fn probe(&self, cx: &StepContext<'_>) -> Result<Probe, StepError> {
        let known = cx.intent.map(|intent| recorded(cx, intent)).transpose()?;
        let seen = match &known {
            Some(known) => boot_unless_going_down(cx, known.boot).await?,
            None => boot(cx).await?,
        };
        #[cfg(test)]
        if crate::simulation::Mistake::RebootsTwice.is_made() {
            return seen
                .map(|now| Probe::Needed(intent(now.id)))
                .map_err(|words| StepError::transient(FaultScope::Host, words));
        }
        match (known, seen) {
            (Some(known), Ok(now)) if now.id != known.boot => {
                same_machine(cx).await?;
                let before = known.boot.to_owned();
                Ok(Probe::Done(StepOutput::Rebooted { before, after: now.id, commands: Vec::new() }))
            }
            // The same boot: the order never took effect.
            (_, Ok(now)) => Ok(Probe::Needed(intent(now.id))),
            (Some(_), Err(_)) => Ok(Probe::InFlight(cx.intent.cloned().unwrap_or_else(|| intent(String::new())))),
            (None, Err(words)) => {
                let what = format!("{} does not answer before its reboot", cx.host.host);
                Err(StepError::transient(FaultScope::Host, what).because(words))
            }
        }
    }

    async fn apply(&self, cx: &StepContext<'_>, intent: &Intent) -> Result<Accepted, StepError> {
        let before = recorded(cx, intent)?.boot;
        let host = &cx.host.host;
        if is_in_another_boot(cx, before).await? {
            return Ok(Accepted::default());
        }
        same_machine(cx).await?;
        ours(cx).await?;
        doing(cx, "proves the host quiet");
        let quiet = quiet::prove(cx, cx.memory.fenced).await?;
        doing(cx, "orders the reboot");
        let order = RebootOrder::new(quiet, cx.host.identity.clone(), cx.run, before.to_owned());
        if !cx.outside.rungs().is_empty() {
            let boot = before.to_owned();
            cx.intents.record(&Intent::Reboot { boot, proven: Some(order.proof()), rung: None }).await?;
        }
        match cx.shell.reboot(&order).await {
            Ok(()) => Ok(Accepted::default()),
            // The connection broke on the order, or on what came of it: the boot id tells.
            Err(error) if error.is_transient() => {
                doing(cx, format!("does not know yet whether the order arrived: {}", error.message));
                Ok(Accepted::default())
            }
            // Another boot than the one that was to end is the only refusal that is good news.
            Err(error) if error.kind == HostErrorKind::NotQuiet && is_in_another_boot(cx, before).await? => {
                Ok(Accepted::default())
            }
            Err(error) => Err(StepError::host(format!("{host} refused to reboot"), error)),
        }
    }

    async fn verify(&self, cx: &StepContext<'_>, intent: &Intent, _: &Accepted) -> Result<StepOutput, StepError> {
        let Recorded { boot: before, proven, rung } = recorded(cx, intent)?;
        let host = &cx.host.host;
        // A command that a runner was about to run when it died may have been run, or not: it is run after the wait.
        let mut rung = rung.unwrap_or(0);
        let mut commands = Vec::new();
        let mut last = match wait_for_return(cx, before).await? {
            Awaited::Back(after) => return Ok(StepOutput::Rebooted { before: before.to_owned(), after, commands }),
            Awaited::Away(last) => last,
        };
        while let Some(proven) = proven.filter(|_| rung < cx.outside.rungs().len()) {
            let order = ladder::order(cx, before, proven).await?;
            let came_back = order.is_none();
            if let Some(order) = order {
                let boot = before.to_owned();
                let intent = Intent::Reboot { boot, proven: Some(proven.clone()), rung: Some(rung) };
                cx.intents.record(&intent).await?;
                let climbed = ladder::climb(cx, &order, rung).await;
                rung += 1;
                let Some((run, succeeded)) = climbed else { break };
                commands.push(run);
                if !succeeded {
                    continue;
                }
            }
            match wait_for_return(cx, before).await? {
                Awaited::Back(after) => return Ok(StepOutput::Rebooted { before: before.to_owned(), after, commands }),
                Awaited::Away(words) => last = words,
            }
            if came_back {
                break;
            }
        }
        let what = format!("{host} did not come back within {} s of its reboot", cx.patience().reboot.get().as_secs());
        let why = if commands.is_empty() { last } else { format!("{}; {last}", ladder::told(&commands)) };
        Err(StepError::permanent(FaultScope::Host, what).because(why))
    }
}
