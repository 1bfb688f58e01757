//! Waiting for something to become so, with a limit, and through short outages of what is asked. Spans are in the time
//! of the context's clock, which may run faster than the process that waits.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{ErrorClass, ProgressKind, StepContext, StepError};
use crate::actions::Progress;

/// How long what is asked may be out of order before a wait gives up: a control plane's failover and its adapters'
/// own repeats fit, and a sick control plane still pauses the run while it is news.
const OUTAGE: Duration = Duration::from_secs(120);

/// One wait of a step.
pub(super) struct Wait<'a> {
    cx: &'a StepContext<'a>,
    deadline: Instant,
    sick_since: Option<Instant>,
}

impl<'a> Wait<'a> {
    /// A wait of at most `limit` from now on.
    pub fn at_most(cx: &'a StepContext<'a>, limit: Duration) -> Self {
        Self { cx, deadline: Instant::now() + cx.clock.real(limit), sick_since: None }
    }

    /// Sleeps until it is time to look again; false when the limit is over.
    pub async fn again(&self) -> bool {
        if Instant::now() >= self.deadline {
            return false;
        }
        sleep(self.cx.clock.real(self.cx.poll)).await;
        true
    }

    /// What was seen, or `None` when a failure may pass while the wait goes on. For answers of a control plane.
    pub fn through_outage<T>(&mut self, seen: Result<T, StepError>) -> Result<Option<T>, StepError> {
        match seen {
            Ok(seen) => {
                self.sick_since = None;
                Ok(Some(seen))
            }
            Err(error) if error.class == ErrorClass::Transient => {
                let since = *self.sick_since.get_or_insert_with(Instant::now);
                if lasts(self.cx, since, OUTAGE) || Instant::now() >= self.deadline {
                    return Err(error);
                }
                doing(self.cx, format!("waiting: {}", error.record().causes.join(": ")));
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

/// Whether `span` of the clock's time has passed since `since`.
pub(super) fn lasts(cx: &StepContext<'_>, since: Instant, span: Duration) -> bool {
    since.elapsed() >= cx.clock.real(span)
}

/// Tells what the step is doing.
pub(super) fn doing(cx: &StepContext<'_>, what: impl Into<String>) {
    if !cx.progress.is_heard() {
        return;
    }
    cx.progress.report(Progress { step: cx.step.clone(), kind: ProgressKind::Doing(what.into()) });
}
