//! Following a migration to its end: polls record and instance until both say the same, confirms a cold one, aborts a
//! live one that hangs, and says what a failure means.

use std::time::Duration;

use tokio::time::Instant;

use super::moves::named;
use super::poll::{Wait, doing, lasts};
use super::records::{Asked, failure_reason, report_progress, request_of};
use super::repair::{Repair, repair};
use super::standing::{Look, Seen, Standing};
use super::{StepContext, StepError};
use crate::cloud::{Accepted, CloudErrorKind, Migration, MigrationStatus, Server};
use crate::model::{HostName, InstanceHandling, InstanceStatus, LastResort, RequestId};
use crate::run::event::{FaultScope, LeavingInstance, StepOutput};

/// How long a failure is watched before it is believed: nova 34 puts an instance into ERROR about a second after an
/// abort or a refusal was rolled back, when it has been ACTIVE already.
const FAILURE_WATCHED: Duration = Duration::from_secs(5);

/// How long an arrival is watched before it is believed. Shorter, because each move of a host waits for it.
const ARRIVAL_WATCHED: Duration = Duration::from_secs(2);

/// How long an accepted request may be without a record. Nova writes the record before it answers.
const RECORDED_WITHIN: Duration = Duration::from_secs(60);

/// How long an abort may take; libvirt needs about a second.
const ABORTED_WITHIN: Duration = Duration::from_secs(120);

/// One migration that was asked for, on its way to an end. After a crash it has the patience that its intent leaves it.
pub(super) struct Following<'a> {
    cx: &'a StepContext<'a>,
    leaving: &'a LeavingInstance,
    target: &'a HostName,
    asked: Asked<'a>,
    request: Option<&'a RequestId>,
    patience: Duration,
    /// Of `patience`, what an earlier process has not used up.
    left: Duration,
    began: Instant,
    /// When Nova was told to force it to its end.
    forced: Option<Instant>,
    abort_asked: Option<Instant>,
    stands: (Standing, Instant),
    wait: Wait<'a>,
}

impl<'a> Following<'a> {
    /// Follows the migration of `leaving` to `target` that was `asked` for.
    pub fn new(
        cx: &'a StepContext<'a>,
        leaving: &'a LeavingInstance,
        target: &'a HostName,
        asked: Asked<'a>,
        accepted: &'a Accepted,
    ) -> Self {
        let patience = cx.patience().of_migration(&leaving.resources);
        let rest = RECORDED_WITHIN + ABORTED_WITHIN + cx.patience().service.get() + FAILURE_WATCHED;
        let forced = if cx.rollout.policy.instances.slow.force_complete { patience } else { Duration::ZERO };
        let now = Instant::now();
        let spent = cx.intended.map(|at| cx.clock.now().duration_since(at));
        let spent = spent.and_then(|spent| Duration::try_from(spent).ok()).unwrap_or_default();
        Self {
            cx,
            leaving,
            target,
            asked,
            request: accepted.request.as_ref(),
            patience,
            left: patience.saturating_sub(spent),
            began: now,
            forced: None,
            abort_asked: None,
            stands: (Standing::Unrecorded, now),
            wait: Wait::at_most(cx, patience.saturating_sub(spent).saturating_add(forced).saturating_add(rest)),
        }
    }

    /// Waits for the end.
    pub async fn until_it_ends(mut self) -> Result<StepOutput, StepError> {
        loop {
            let seen = Look::now(self.cx, self.asked).await;
            match self.wait.through_outage(seen)? {
                None => {}
                Some(Look::Open(record)) => {
                    self.notes(Standing::InFlight);
                    self.in_flight(None, &record).await?;
                }
                Some(Look::Gone) => return Ok(StepOutput::Gone { note: "it was deleted".to_owned(), to: None }),
                Some(Look::Both(seen)) => {
                    if let Some(output) = self.judge(*seen).await? {
                        return Ok(output);
                    }
                }
            }
            if !self.wait.again().await {
                return Err(self.stuck("its migration comes to no end"));
            }
        }
    }

    /// What is seen, as an end; `None` while there is none.
    async fn judge(&mut self, seen: Seen) -> Result<Option<StepOutput>, StepError> {
        let standing = seen.standing(self.cx.source());
        self.notes(standing);
        let Some(record) = &seen.record else { return self.unrecorded(&seen) };
        let in_error = seen.server.status == InstanceStatus::Error;
        match standing {
            Standing::InFlight => self.in_flight(Some(&seen.server), record).await.map(|()| None),
            Standing::Torn if !self.stood_for(self.cx.patience().service.get()) => {
                doing(self.cx, format!("its migration has ended, nova still shows it {}", seen.server.status));
                Ok(None)
            }
            Standing::Torn => {
                let what = format!("nova shows it {} on {}", seen.server.status, place(&seen));
                Err(self.stuck(format!("its migration {} has ended, but {what}", record.id)))
            }
            Standing::Arrived | Standing::Failed if in_error => self.broken(&seen, record).await.map(Some),
            Standing::Arrived if self.stood_for(ARRIVAL_WATCHED) => Ok(Some(self.moved(&seen, record).await)),
            Standing::Failed if self.stood_for(FAILURE_WATCHED) => self.failed(&seen, record).await.map(Some),
            Standing::Unrecorded | Standing::Arrived | Standing::Failed => Ok(None),
        }
    }

    /// Notes how it stands, and since when.
    fn notes(&mut self, standing: Standing) {
        if self.stands.0 != standing {
            self.stands = (standing, Instant::now());
        }
    }

    /// Whether it has stood as it does for `span`.
    fn stood_for(&self, span: Duration) -> bool {
        lasts(self.cx, self.stands.1, span)
    }

    /// Reports how far it is; aborts it when it took too long.
    async fn in_flight(&mut self, server: Option<&Server>, record: &Migration) -> Result<(), StepError> {
        if let Some(server) = server {
            if self.asked.cold {
                return self.cold(server, record).await;
            }
            report_progress(self.cx, server, record.id).await;
        }
        match self.abort_asked {
            Some(asked) if lasts(self.cx, asked, ABORTED_WITHIN) => {
                let what = format!("its migration {} neither ends nor lets itself be aborted", record.id);
                return Err(self.stuck(what));
            }
            Some(_) => return Ok(()),
            None if self.has_time() => return Ok(()),
            None => {}
        }
        if self.forced.is_none() && self.cx.rollout.policy.instances.slow.force_complete {
            return self.force(record).await;
        }
        if record.status == MigrationStatus::PostCopy {
            // The guest runs on the target already: an abort would lose it, and Nova refuses one.
            self.abort_asked = Some(Instant::now());
            return Ok(());
        }
        doing(self.cx, format!("aborts its migration after {} s", self.patience.as_secs()));
        match self.cx.cloud.abort_migration(self.leaving.id, record.id).await {
            Ok(_) => self.abort_asked = Some(Instant::now()),
            // It ended just now, or an earlier abort is under way: the record tells.
            Err(error)
                if matches!(
                    error.kind,
                    CloudErrorKind::Conflict | CloudErrorKind::Refused | CloudErrorKind::NotFound
                ) =>
            {
                self.abort_asked = Some(Instant::now());
            }
            Err(error) => {
                let what = format!("could not abort the migration of {}", named(self.leaving));
                self.wait.through_outage(Err::<(), _>(StepError::cloud(what, error)))?;
            }
        }
        Ok(())
    }

    /// Whether it may go on as it is.
    fn has_time(&self) -> bool {
        match self.forced {
            None => !lasts(self.cx, self.began, self.left),
            Some(forced) => !lasts(self.cx, forced, self.patience),
        }
    }

    /// Has Nova force it to its end: the next rung before it is aborted. One that ended just now, or that cannot be forced,
    /// is found out by the next look.
    async fn force(&mut self, record: &Migration) -> Result<(), StepError> {
        doing(self.cx, format!("forces its migration to its end after {} s", self.patience.as_secs()));
        match self.cx.cloud.force_complete(self.leaving.id, record.id).await {
            Ok(_) => {}
            Err(error)
                if matches!(
                    error.kind,
                    CloudErrorKind::Conflict | CloudErrorKind::Refused | CloudErrorKind::NotFound
                ) => {}
            Err(error) => {
                let what = format!("could not force the migration of {}", named(self.leaving));
                self.wait.through_outage(Err::<(), _>(StepError::cloud(what, error)))?;
                return Ok(());
            }
        }
        self.forced = Some(Instant::now());
        Ok(())
    }

    /// What becomes of an instance whose migrations did not end, where the attempts are used up and the policy knows
    /// something else.
    fn given_up(&self) -> Option<StepOutput> {
        let slow = &self.cx.rollout.policy.instances.slow;
        if self.cx.source() != &self.cx.host.host {
            // It only makes way: its own host is none of this step's, which looks for another room instead.
            return None;
        }
        let handling = match slow.then {
            LastResort::SkipHost => return None,
            LastResort::ColdMigrate => InstanceHandling::ColdMigrate,
            LastResort::StopInPlace => InstanceHandling::StopInPlace,
        };
        self.abort_asked.filter(|_| self.cx.attempt >= slow.attempts)?;
        let forced = if self.forced.is_some() { ", nor when it was forced" } else { "" };
        let note = format!(
            "its migration to {} did not end within {} s{forced}, at attempt {}",
            self.target,
            self.patience.as_secs(),
            self.cx.attempt
        );
        Some(StepOutput::GaveUp { note, handling })
    }

    /// Confirms a cold migration that has arrived, which is what frees its source. Confirming again is refused while it
    /// is under way, and harmless.
    async fn cold(&mut self, server: &Server, record: &Migration) -> Result<(), StepError> {
        let arrived = record.status == MigrationStatus::Finished && server.task_state.is_none();
        if !arrived || server.status != InstanceStatus::VerifyResize {
            doing(self.cx, format!("migrates it cold: nova shows it {}", server.status));
            return Ok(());
        }
        doing(self.cx, "confirms its migration");
        match self.cx.cloud.confirm_resize(self.leaving.id).await {
            Err(error) if error.kind != CloudErrorKind::Conflict && error.kind != CloudErrorKind::NotFound => {
                let what = format!("could not confirm the migration of {}", named(self.leaving));
                self.wait.through_outage(Err(StepError::cloud(what, error))).map(|_: Option<()>| ())
            }
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// A request that Nova took, without a record.
    fn unrecorded(&self, seen: &Seen) -> Result<Option<StepOutput>, StepError> {
        if !self.stood_for(RECORDED_WITHIN) {
            return Ok(None);
        }
        if let Some(host) = seen.server.host.as_ref().filter(|host| *host != self.cx.source()) {
            let note = format!("it is on {host}, by no migration of this run");
            return Ok(Some(StepOutput::Gone { note, to: Some(host.clone()) }));
        }
        let what = format!("nova took the request to move {} and shows no migration", named(self.leaving));
        Err(StepError::transient(FaultScope::Instance, what))
    }

    async fn moved(&self, seen: &Seen, record: &Migration) -> StepOutput {
        let to = seen.server.host.clone().unwrap_or_else(|| self.target.clone());
        let request = match self.request {
            Some(request) => Some(request.clone()),
            None => request_of(self.cx, self.leaving.id).await,
        };
        StepOutput::Moved { to, migration: Some(record.id), request }
    }

    /// It failed, and the instance is none the worse.
    async fn failed(&self, seen: &Seen, record: &Migration) -> Result<StepOutput, StepError> {
        let source = self.cx.source();
        if seen.server.host.as_ref() != Some(source) {
            let place = place(seen);
            // Seen when the target dies on the way: ACTIVE on a host that is down.
            return Err(self
                .stuck(format!("its migration {} failed, but nova shows it on {place}", record.id))
                .because(format!("{place} may have died on the way; whether its guest runs there is to be seen")));
        }
        let name = named(self.leaving);
        let target = self.target;
        let what = match (&record.status, self.abort_asked) {
            (MigrationStatus::Cancelled, None) => {
                format!("the migration of {name} from {source} to {target} was cancelled by somebody else")
            }
            (_, Some(_)) => {
                if let Some(given_up) = self.given_up() {
                    return Ok(given_up);
                }
                let limit = self.patience.as_secs();
                let forced = if self.forced.is_some() { ", nor when it was forced" } else { "" };
                format!(
                    "the migration of {name} from {source} to {target} did not end within {limit} s{forced}: aborted"
                )
            }
            (_, None) => format!("the migration of {name} from {source} to {target} failed"),
        };
        let failure = StepError::transient(FaultScope::Target, what);
        if record.status == MigrationStatus::Cancelled || self.abort_asked.is_some() {
            return Err(failure);
        }
        Err(failure.because(failure_reason(self.cx, self.leaving.id, self.request).await))
    }

    /// The instance is in ERROR after its migration.
    async fn broken(&self, seen: &Seen, record: &Migration) -> Result<StepOutput, StepError> {
        let place = place(seen);
        let what = format!("{} is in ERROR on {place} after its migration {}", named(self.leaving), record.id);
        let reason = match &seen.server.fault {
            Some(fault) => fault.clone(),
            None => failure_reason(self.cx, self.leaving.id, self.request).await,
        };
        let unmended = match repair(self.cx, seen, self.leaving.id, self.target).await? {
            Repair::Done => return self.mended(seen, record, &reason),
            Repair::NotAllowed => String::new(),
            Repair::NotProven(why) => format!("; not reset: {why}"),
        };
        let cure = format!(
            "if its domain still runs on {place} and nowhere else, `openstack server set --state active {}` cures it",
            self.leaving.id
        );
        Err(StepError::permanent(FaultScope::Instance, what).because(format!("{reason}{unmended}; {cure}")))
    }

    /// The instance is ACTIVE again by our doing: its migration failed, and that is all.
    fn mended(&self, seen: &Seen, record: &Migration, reason: &str) -> Result<StepOutput, StepError> {
        if let Some(given_up) = self.given_up() {
            return Ok(given_up);
        }
        let what = format!(
            "migration {} of {} to {} failed, and nova put it into ERROR on {}",
            record.id,
            named(self.leaving),
            self.target,
            place(seen)
        );
        let told = format!("{reason}; its domain runs there and nowhere else: it was set to ACTIVE again");
        Err(StepError::transient(FaultScope::Target, what).because(told))
    }

    fn stuck(&self, why: impl std::fmt::Display) -> StepError {
        StepError::needs_operator(FaultScope::Instance, format!("{}: {why}", named(self.leaving)))
    }
}

/// Where Nova says that it is.
fn place(seen: &Seen) -> String {
    seen.server.host.as_ref().map_or_else(|| "no host".to_owned(), ToString::to_string)
}
