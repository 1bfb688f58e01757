//! Port: the time of day. Waiting is always tokio's, so that a paused runtime turns it into virtual time.

use std::time::Duration;

use jiff::Timestamp;

/// Tells the time.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> Timestamp;

    /// How long `span` of this clock's time takes in the waiting process: shorter where a simulated clock runs faster.
    fn real(&self, span: Duration) -> Duration {
        span
    }
}

/// The machine's own clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }
}
