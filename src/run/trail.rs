//! Carries what the guarded ports change to the owner of the run, who writes it down: each step's task says in whose name
//! it works, and no step can forget to tell.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest as _, Sha256};
use tokio::sync::mpsc;

use super::change::{Answer, Change};
use super::step::News;
use crate::cloud::{Accepted, CloudErrorKind, CloudResult};
use crate::host::{HostError, HostErrorKind, HostResult};
use crate::model::{Digest, StepId, UnitName};

tokio::task_local! {
    static TELLER: Teller;
}

/// In whose name changes are made, and who hears of them.
#[derive(Clone)]
struct Teller {
    step: StepId,
    news: mpsc::Sender<News>,
    /// Jobs whose end was told.
    ended: Arc<Mutex<BTreeSet<UnitName>>>,
}

/// Does `work` in the name of `step`: what it changes is news.
pub(super) async fn of_step<T>(step: &StepId, news: &mpsc::Sender<News>, work: impl Future<Output = T>) -> T {
    let teller = Teller { step: step.clone(), news: news.clone(), ended: Arc::default() };
    TELLER.scope(teller, work).await
}

/// Does `work` in the name of `step`, without an owner who listens meanwhile; what it changed.
pub(super) async fn collected<T>(step: &StepId, work: impl Future<Output = T>) -> (T, Vec<Change>) {
    /// More than any such piece of work changes: it would wait for ever.
    const MOST: usize = 64;
    let (news, mut told) = mpsc::channel(MOST);
    let done = of_step(step, &news, work).await;
    let mut changes = Vec::new();
    while let Ok(news) = told.try_recv() {
        if let News::Changed(_, change) = news {
            changes.push(change);
        }
    }
    (done, changes)
}

async fn tell(change: Change) {
    let Ok(teller) = TELLER.try_with(Clone::clone) else { return };
    // An owner that is gone has let go of the run.
    let _ = teller.news.send(News::Changed(teller.step, change)).await;
}

/// Tells of a change of the region.
pub(super) async fn tell_cloud(what: &str, of: String, with: Option<String>, made: &CloudResult<Accepted>) {
    let (answer, request) = match made {
        Ok(accepted) => (Answer::Accepted, accepted.request.clone()),
        Err(error) => {
            let why = error.to_string();
            let answer = match error.kind {
                CloudErrorKind::Unreachable
                | CloudErrorKind::TimedOut
                | CloudErrorKind::Server
                | CloudErrorKind::Protocol => Answer::Unknown(why),
                CloudErrorKind::Configuration
                | CloudErrorKind::Untrusted
                | CloudErrorKind::Unauthorized
                | CloudErrorKind::Forbidden
                | CloudErrorKind::NotFound
                | CloudErrorKind::Conflict
                | CloudErrorKind::Refused
                | CloudErrorKind::TooManyRequests
                | CloudErrorKind::Unsupported => Answer::Refused(why),
            };
            (answer, error.request.clone())
        }
    };
    tell(Change { what: what.to_owned(), of, with, answer, request, status: None, digest: None }).await;
}

/// Tells of a change of a host.
pub(super) async fn tell_host(what: &str, of: String, with: Option<String>, made: &HostResult<()>) {
    let answer = match made {
        Ok(()) => Answer::Accepted,
        Err(error) => refusal(error),
    };
    let what = what.to_owned();
    tell(Change { what, of, with, answer, request: None, status: None, digest: None }).await;
}

fn refusal(error: &HostError) -> Answer {
    let why = error.to_string();
    match error.kind {
        HostErrorKind::Unreachable | HostErrorKind::TimedOut | HostErrorKind::Failed | HostErrorKind::Protocol => {
            Answer::Unknown(why)
        }
        HostErrorKind::AccessDenied
        | HostErrorKind::HostKey
        | HostErrorKind::WrongMachine
        | HostErrorKind::NotQuiet
        | HostErrorKind::BecomeDenied => Answer::Refused(why),
    }
}

/// Tells that a job has ended and what it said, once a step.
pub(super) async fn tell_end(unit: &UnitName, status: i32, output: &str) {
    let is_news =
        TELLER.try_with(|teller| teller.ended.lock().unwrap_or_else(PoisonError::into_inner).insert(unit.clone()));
    if is_news != Ok(true) {
        return;
    }
    let digest = Some(Digest::new(format!("sha256:{:x}", Sha256::digest(output))));
    let what = "a job has ended".to_owned();
    let (of, answer) = (unit.to_string(), Answer::Accepted);
    tell(Change { what, of, with: None, answer, request: None, status: Some(status), digest }).await;
}
