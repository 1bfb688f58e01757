//! When a request is repeated, and after which pause. Pure: what happened comes in as a value.

use std::num::NonZeroU32;
use std::time::Duration;

/// A small control plane answers a few hundred simple requests a second; a share of that is left to tenants.
pub const PER_SECOND: NonZeroU32 = NonZeroU32::new(50).expect("it is not zero");

/// How long requests may take and how often they are repeated.
#[derive(Debug, Clone, PartialEq)]
pub struct Pace {
    /// One request with its answer.
    pub timeout: Duration,
    /// Opening a connection.
    pub connect_timeout: Duration,
    /// Attempts in all, at least one.
    pub attempts: u32,
    /// Pause after the first failure; it doubles with each further one.
    pub first_pause: Duration,
    /// No pause of our own is longer.
    pub longest_pause: Duration,
    /// Requests a second, of all steps together.
    pub per_second: NonZeroU32,
    /// A `Retry-After` beyond this is not waited for: the caller gets the answer.
    pub patience: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            // A page of 1000 servers takes 6 s on an idle small machine; a loaded control plane takes many times that.
            timeout: Duration::from_secs(60),
            connect_timeout: Duration::from_secs(10),
            attempts: 4,
            first_pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(15),
            per_second: PER_SECOND,
            patience: Duration::from_secs(60),
        }
    }
}

/// Whether a request may arrive twice without harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// It only reads, or sets what it sets again.
    Always,
    /// It starts something: repeated only when it provably did not arrive or was turned away.
    UnlessItArrived,
}

/// How an attempt failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failed {
    /// The service answered with this status.
    Status(u16),
    /// No connection was made: the request was not sent.
    NotSent,
    /// A certificate was refused: the request was not sent, and the next one will not be.
    Untrusted,
    /// The connection broke after the request may have been sent.
    Broken,
    /// No answer in time; the request may have been sent.
    TimedOut,
}

/// The pause before the next attempt; `None` when there is to be none.
///
/// `jitter` is between 0 and 1: many runners that fail together must not come back together.
pub(super) fn next(
    pace: &Pace,
    repeat: Repeat,
    failed: Failed,
    attempt: u32,
    retry_after: Option<Duration>,
    jitter: f64,
) -> Option<Duration> {
    if attempt >= attempts(pace, failed) || !may_repeat(repeat, failed) {
        return None;
    }
    let doubled = pace.first_pause.saturating_mul(1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX));
    let own = doubled.min(pace.longest_pause);
    let spread = own.mul_f64(0.5 * jitter.clamp(0.0, 1.0));
    match retry_after {
        Some(asked) if asked > pace.patience => None,
        Some(asked) => Some(asked + spread),
        None => Some(own / 2 + spread),
    }
}

/// A service that does not answer in time is asked a second time, not a fourth: a dead control plane must show soon.
fn attempts(pace: &Pace, failed: Failed) -> u32 {
    match failed {
        Failed::TimedOut => pace.attempts.min(2),
        Failed::Status(_) | Failed::NotSent | Failed::Untrusted | Failed::Broken => pace.attempts,
    }
}

fn may_repeat(repeat: Repeat, failed: Failed) -> bool {
    // Too many requests, or nobody behind the load balancer: the request was not carried out.
    let turned_away = matches!(failed, Failed::NotSent | Failed::Status(429 | 503));
    let passing = matches!(failed, Failed::Broken | Failed::TimedOut | Failed::Status(408 | 500 | 502 | 504));
    match repeat {
        Repeat::Always => turned_away || passing,
        Repeat::UnlessItArrived => turned_away,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn repeats(repeat: Repeat, failed: Failed) -> bool {
        next(&Pace::default(), repeat, failed, 1, None, 0.5).is_some()
    }

    #[test]
    fn what_starts_something_is_repeated_only_if_it_did_not_arrive() {
        for failed in [Failed::NotSent, Failed::Status(429), Failed::Status(503)] {
            assert!(repeats(Repeat::UnlessItArrived, failed), "{failed:?}");
        }
        for failed in [Failed::Broken, Failed::TimedOut, Failed::Status(500), Failed::Status(502), Failed::Status(504)]
        {
            assert!(!repeats(Repeat::UnlessItArrived, failed), "{failed:?}");
            assert!(repeats(Repeat::Always, failed), "{failed:?}");
        }
        assert!(!repeats(Repeat::Always, Failed::Untrusted));
        for status in [400, 401, 403, 404, 409, 501] {
            assert!(!repeats(Repeat::Always, Failed::Status(status)), "{status}");
        }
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_attempts_end() {
        let pace = Pace { attempts: 9, ..Pace::default() };
        let pause = |attempt, jitter| next(&pace, Repeat::Always, Failed::Status(500), attempt, None, jitter);
        assert_eq!(pause(1, 1.0), Some(Duration::from_millis(500)));
        assert_eq!(pause(1, 0.0), Some(Duration::from_millis(250)));
        assert_eq!(pause(4, 1.0), Some(Duration::from_secs(4)));
        assert_eq!(pause(8, 1.0), Some(Duration::from_secs(15)));
        assert_eq!(pause(9, 1.0), None);
        assert!(next(&pace, Repeat::Always, Failed::TimedOut, 1, None, 0.0).is_some());
        assert!(next(&pace, Repeat::Always, Failed::TimedOut, 2, None, 0.0).is_none());
    }

    #[test]
    fn retry_after_is_waited_for_within_patience() {
        let pause = |seconds| {
            let asked = Some(Duration::from_secs(seconds));
            next(&Pace::default(), Repeat::UnlessItArrived, Failed::Status(429), 1, asked, 0.0)
        };
        assert_eq!(pause(7), Some(Duration::from_secs(7)));
        assert_eq!(pause(61), None);
    }
}
