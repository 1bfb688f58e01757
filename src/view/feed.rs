//! What the run's own process tells the page beside the journal: that there is something to read, and progress.

use std::sync::Arc;

use tokio::sync::{Notify, mpsc};

use crate::actions::Progress;
use crate::run::{Event, Observer, RunState};

/// Progress that may wait to be read; what finds no room is dropped.
const CHANNEL: usize = 1024;

/// Passes everything on to another observer, and rings the page's bell. Never waits.
pub struct Feed {
    inner: Box<dyn Observer>,
    bell: Arc<Notify>,
    progress: mpsc::Sender<Progress>,
}

impl Feed {
    /// Around `inner`; what is heard comes out at the receiver.
    pub fn around(inner: Box<dyn Observer>, bell: Arc<Notify>) -> (Self, mpsc::Receiver<Progress>) {
        let (progress, heard) = mpsc::channel(CHANNEL);
        (Self { inner, bell, progress }, heard)
    }
}

impl Observer for Feed {
    fn event(&mut self, state: &RunState, event: &Event) {
        self.inner.event(state, event);
        self.bell.notify_one();
    }

    fn progress(&mut self, state: &RunState, progress: &Progress) {
        self.inner.progress(state, progress);
        let _ = self.progress.try_send(progress.clone());
    }
}
