//! Seeded chance. Every draw is keyed by what it is for, so that the order of calls changes no outcome: two runs that
//! ask in another order still see the same host take the same time.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::model::Span;

/// Offset and prime of FNV-1a, 64 bit.
const FNV_OFFSET: u64 = 0xcbf2_9ce4_8422_2325;
const FNV_PRIME: u64 = 0x0100_0000_01b3;

/// Dice for one draw: for `what`, of the object `key`, the `nth` time.
pub fn dice(seed: u64, what: &str, key: &str, nth: u64) -> StdRng {
    let mut hash = FNV_OFFSET;
    let parts = [&seed.to_le_bytes()[..], what.as_bytes(), &[0], key.as_bytes(), &[0], &nth.to_le_bytes()[..]];
    for byte in parts.concat() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(FNV_PRIME);
    }
    StdRng::seed_from_u64(hash)
}

/// A UUID from dice: version 4, and the same one for the same seed.
pub fn uuid(dice: &mut StdRng) -> Uuid {
    uuid::Builder::from_random_bytes(dice.random()).into_uuid()
}

/// A range of durations, written `30s` or `30s..90s`; draws are uniform.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Spread {
    from: Duration,
    to: Duration,
}

impl Spread {
    /// Always the same.
    pub const fn fixed(duration: Duration) -> Self {
        Self { from: duration, to: duration }
    }

    /// Between two values, both included.
    pub const fn between(from: Duration, to: Duration) -> Self {
        Self { from, to }
    }

    /// The value of a range of one.
    pub fn always(self) -> Option<Duration> {
        (self.from >= self.to).then_some(self.from)
    }

    /// One value.
    pub fn draw(self, dice: &mut StdRng) -> Duration {
        if self.from >= self.to { self.from } else { dice.random_range(self.from..=self.to) }
    }
}

impl TryFrom<String> for Spread {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let (from, to) = text.split_once("..").unwrap_or((&text, &text));
        let (from, to): (Span, Span) = (from.parse()?, to.parse()?);
        if from > to {
            return Err(format!("`{text}` is not a range: its end lies before its start"));
        }
        Ok(Self::between(from.get(), to.get()))
    }
}

impl From<Spread> for String {
    fn from(spread: Spread) -> Self {
        let text = |duration: Duration| {
            // Policies write whole milliseconds; so do ranges.
            let millis = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
            if millis % 1000 == 0 { format!("{}s", millis / 1000) } else { format!("{millis}ms") }
        };
        if spread.from == spread.to { text(spread.from) } else { format!("{}..{}", text(spread.from), text(spread.to)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_depend_on_what_they_are_for_and_on_nothing_else() {
        let draw = |seed, what, key, nth| dice(seed, what, key, nth).random::<u64>();
        assert_eq!(draw(1, "boot", "compute-1", 0), draw(1, "boot", "compute-1", 0));
        let others = [(2, "boot", "compute-1", 0), (1, "copy", "compute-1", 0), (1, "boot", "compute-2", 0)];
        for (seed, what, key, nth) in others {
            assert_ne!(draw(1, "boot", "compute-1", 0), draw(seed, what, key, nth));
        }
        assert_ne!(draw(1, "ab", "c", 0), draw(1, "a", "bc", 0), "parts do not run into each other");
    }

    #[test]
    fn spreads_read_as_they_are_written_and_draw_within_their_bounds() {
        for text in ["30s", "30s..90s", "500ms..2s"] {
            let spread = Spread::try_from(text.to_owned()).unwrap();
            assert_eq!(String::from(spread), text);
            let drawn = spread.draw(&mut dice(7, "test", text, 0));
            assert!(drawn >= spread.from && drawn <= spread.to, "{text}: {drawn:?}");
        }
        for text in ["", "90s..30s", "30", "1s..2s..3s"] {
            assert!(Spread::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
