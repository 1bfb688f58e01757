//! A health gate that is well at some times and not at others, and remembers what it said.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;

use crate::clock::Clock;
use crate::health::{Answer, Vitals};
use crate::model::HealthGate;
use crate::sim::SimClock;

/// So long after the region's beginning, for so long.
pub(super) type Spell = (Duration, Duration);

/// A gate with moods.
pub(super) struct Moods {
    clock: SimClock,
    began: Timestamp,
    ill: Vec<Spell>,
    said: Mutex<Option<(Timestamp, bool)>>,
}

impl Moods {
    pub fn new(clock: SimClock, began: Timestamp, ill: Vec<Spell>) -> Arc<Self> {
        Arc::new(Self { clock, began, ill, said: Mutex::new(None) })
    }

    /// What it said last, and when.
    pub fn last_said(&self) -> Option<(Timestamp, bool)> {
        *self.said.lock().unwrap()
    }
}

#[async_trait]
impl Vitals for Moods {
    async fn ask(&self, _gate: &HealthGate) -> Answer {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let now = self.clock.now();
        let passed = Duration::try_from(now.duration_since(self.began)).unwrap_or_default();
        let is_well = !self.ill.iter().any(|(from, span)| *from <= passed && passed < *from + *span);
        *self.said.lock().unwrap() = Some((now, is_well));
        Answer { is_well, said: "as it feels".to_owned() }
    }
}
