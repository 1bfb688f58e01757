//! Notices of a run, delivered beside it.

use std::time::Duration;

use tokio::task::JoinHandle;

use super::output::tell;
use crate::model::RunId;
use crate::notify::{Courier, Pace, Target, Watch};
use crate::plan::Rollout;
use crate::run::Observer;

/// How long the end of a run waits for its last notices.
const FAREWELL: Duration = Duration::from_secs(30);

/// The courier of a run.
pub struct Post(JoinHandle<()>);

impl Post {
    /// Sends a courier along, where somebody is to be told; the observer to drive the run with comes back.
    pub fn beside(
        watcher: Box<dyn Observer>,
        targets: &[Target],
        run: RunId,
        rollout: &Rollout,
    ) -> (Option<Self>, Box<dyn Observer>) {
        if targets.is_empty() {
            return (None, watcher);
        }
        let (watch, notices) = Watch::around(watcher);
        let about = format!("{} in {}", rollout.remedy.name, rollout.region);
        let courier = Courier { run, about, targets: targets.to_vec(), pace: Pace::default() };
        (Some(Self(tokio::spawn(courier.deliver(notices)))), Box::new(watch))
    }

    /// Waits for the last notices, once the observer is gone.
    pub async fn end(post: Option<Self>) {
        if let Some(Self(courier)) = post
            && tokio::time::timeout(FAREWELL, courier).await.is_err()
        {
            tell("some notices could not be delivered; the log says which (`-v`)\n");
        }
    }
}
