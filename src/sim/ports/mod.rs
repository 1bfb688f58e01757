//! A simulated region behind our own ports, in-process. Answers take time by tokio's clock: on a paused runtime a
//! rollout of days passes in seconds, and the same seed gives the same bytes.

mod cloud;
mod outside;
mod shell;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

pub use cloud::SimCloud;
pub use outside::SimOutside;
pub use shell::SimShell;
pub(in crate::sim) use shell::{domains_of, host_error, status_of, work_of};

use super::world::World;
use crate::clock::Clock;

/// A clock that tells the time of a simulated region: its start, and tokio's clock from then on.
#[derive(Debug, Clone, Copy)]
pub struct SimClock {
    start: Timestamp,
    origin: Instant,
    /// Seconds of the region in one second of tokio's.
    speed: f64,
}

impl SimClock {
    /// A clock that begins at `start`, `speed` times as fast as tokio's.
    pub fn new(start: Timestamp, speed: f64) -> Self {
        Self { start, origin: Instant::now(), speed: speed.max(f64::MIN_POSITIVE) }
    }
}

impl Clock for SimClock {
    fn real(&self, span: Duration) -> Duration {
        Duration::try_from_secs_f64(span.as_secs_f64() / self.speed).unwrap_or(Duration::MAX)
    }

    fn now(&self) -> Timestamp {
        let passed = self.origin.elapsed();
        // Whole nanoseconds are exact where nothing is to be scaled.
        let scaled = if (self.speed - 1.0).abs() < f64::EPSILON { passed } else { passed.mul_f64(self.speed) };
        self.start.checked_add(scaled).unwrap_or(Timestamp::MAX)
    }
}

/// A world that several ports share, moved on by one clock.
#[derive(Debug)]
pub struct SimRegion {
    world: Mutex<World>,
    clock: SimClock,
}

impl SimRegion {
    /// Shares `world`, whose time begins to pass.
    pub fn new(world: World, speed: f64) -> Arc<Self> {
        let clock = SimClock::new(world.now(), speed);
        Arc::new(Self { world: Mutex::new(world), clock })
    }

    /// The region's clock.
    pub fn clock(&self) -> SimClock {
        self.clock
    }

    /// Looks at the world, or changes it, as of this moment.
    pub fn with<T>(&self, work: impl FnOnce(&mut World) -> T) -> T {
        // A panic elsewhere leaves a world that is as good as any: each change is one method call.
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        let now = self.clock.now();
        world.advance(now);
        work(&mut world)
    }

    /// Waits `span` of the region's time.
    pub async fn pass(&self, span: Duration) {
        tokio::time::sleep(self.clock.real(span)).await;
    }
}

#[cfg(test)]
mod tests;
