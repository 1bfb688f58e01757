//! So many requests a second and no more: what a control plane that serves tenants can spare.

use std::num::NonZeroU32;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Hands out turns at a steady pace. What was not used within a second may be used at once.
pub(super) struct Budget {
    between: Duration,
    next: Mutex<Instant>,
}

impl Budget {
    pub(super) fn of(per_second: NonZeroU32) -> Self {
        Self { between: Duration::from_secs(1) / per_second.get(), next: Mutex::new(Instant::now()) }
    }

    /// Waits for a turn; turns come in the order in which they are asked for.
    pub(super) async fn turn(&self) {
        let at = {
            let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
            let saved = Instant::now().checked_sub(Duration::from_secs(1)).unwrap_or(*next);
            let at = (*next).max(saved);
            *next = at + self.between;
            at
        };
        sleep_until(at).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn no_second_has_more_requests_than_the_budget_after_the_first_burst() {
        let budget = Budget::of(NonZeroU32::new(10).unwrap());
        tokio::time::advance(Duration::from_secs(60)).await;
        let begun = Instant::now();
        let mut taken = Vec::new();
        for _ in 0..51 {
            budget.turn().await;
            taken.push(begun.elapsed().as_millis());
        }
        // A second's worth at once, then ten a second.
        assert_eq!(taken.iter().filter(|at| **at == 0).count(), 11);
        assert!((3_900..=4_100).contains(&taken[50]), "{taken:?}");
    }
}
