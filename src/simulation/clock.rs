//! A runner's clock: some seconds off, and set anew in the middle of its life.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::clock::Clock;

/// A clock that is set by so many seconds when so much true time has passed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Jump {
    pub after: Duration,
    pub seconds: i64,
}

/// The clock of the machine that a runner is on.
pub(super) struct Wobbly {
    truth: Arc<dyn Clock>,
    began: Timestamp,
    skew: i64,
    jumps: Vec<Jump>,
}

impl Wobbly {
    /// A clock that is `skew` seconds off and jumps, counted from `began` on.
    pub fn new(truth: Arc<dyn Clock>, began: Timestamp, skew: i64, jumps: &[Jump]) -> Self {
        Self { truth, began, skew, jumps: jumps.to_vec() }
    }
}

impl Clock for Wobbly {
    fn real(&self, span: Duration) -> Duration {
        self.truth.real(span)
    }

    fn now(&self) -> Timestamp {
        let now = self.truth.now();
        let passed = Duration::try_from(now.duration_since(self.began)).unwrap_or_default();
        let jumped: i64 = self.jumps.iter().filter(|jump| jump.after <= passed).map(|jump| jump.seconds).sum();
        now + SignedDuration::from_secs(self.skew + jumped)
    }
}
