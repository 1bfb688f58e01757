//! Takes notices out of a run's events, without waiting.

use tokio::sync::mpsc;

use super::notice::Notice;
use crate::actions::Progress;
use crate::run::{Event, Observer, RunState};

/// Notices that may wait; a run of which a hundred hosts fail in one breath loses none.
const CHANNEL: usize = 1024;

/// Passes everything on to another observer, and what is worth a notice to the courier.
pub struct Watch {
    inner: Box<dyn Observer>,
    notices: mpsc::Sender<Notice>,
}

impl Watch {
    /// Around `inner`; notices come out at the receiver.
    pub fn around(inner: Box<dyn Observer>) -> (Self, mpsc::Receiver<Notice>) {
        let (notices, taken) = mpsc::channel(CHANNEL);
        (Self { inner, notices }, taken)
    }
}

impl Observer for Watch {
    fn event(&mut self, state: &RunState, event: &Event) {
        self.inner.event(state, event);
        if let Some(notice) = Notice::of(state, event)
            && self.notices.try_send(notice).is_err()
        {
            tracing::warn!("a notice was dropped: too many wait to be delivered");
        }
    }

    fn progress(&mut self, state: &RunState, progress: &Progress) {
        self.inner.progress(state, progress);
    }

    fn wants_progress(&self) -> bool {
        self.inner.wants_progress()
    }
}
