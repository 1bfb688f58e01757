//! Quantities with their units, as policies write them: `10m`, `5%`, `1100MB/s`.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

/// A length of time, written `90s`, `10m`, `1h30m`, `500ms` or `2d`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(extend("pattern" = r"^\s*([0-9]+\s*(d|h|ms|m|s)\s*)+$", "examples" = ["90s", "10m", "1h30m"]))]
pub struct Span(Duration);

impl Span {
    /// Whole seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// Whole milliseconds.
    pub const fn millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// The duration.
    pub const fn get(self) -> Duration {
        self.0
    }

    /// Seconds with fractions.
    pub fn as_seconds(self) -> f64 {
        self.0.as_secs_f64()
    }
}

/// Units of [`Span`] in milliseconds, longest first.
const SPAN_UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bad = || format!("`{text}` is not a length of time; write for example `90s`, `10m` or `1h30m`");
        let mut rest = text.trim();
        let mut millis = 0_u64;
        if rest.is_empty() {
            return Err(bad());
        }
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
            let amount: u64 = rest[..digits].parse().map_err(|_| bad())?;
            rest = &rest[digits..];
            let end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
            let (_, scale) = SPAN_UNITS.iter().find(|(unit, _)| *unit == rest[..end].trim()).ok_or_else(bad)?;
            millis = amount.checked_mul(*scale).and_then(|more| millis.checked_add(more)).ok_or_else(bad)?;
            rest = &rest[end..];
        }
        Ok(Self(Duration::from_millis(millis)))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut millis = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if millis == 0 {
            return f.write_str("0s");
        }
        for (unit, scale) in SPAN_UNITS {
            if millis >= scale {
                write!(f, "{}{unit}", millis / scale)?;
                millis %= scale;
            }
        }
        Ok(())
    }
}

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Span> for String {
    fn from(span: Span) -> Self {
        span.to_string()
    }
}

/// A share of something, written `5%` or `0.5%`; a bare `5` means the same.
#[derive(Debug, Clone, Copy, Default, PartialEq, PartialOrd, Serialize)]
#[serde(into = "String")]
pub struct Percent(f64);

impl Percent {
    /// A percentage; `None` unless within 0 to 100.
    pub fn new(percent: f64) -> Option<Self> {
        (0.0..=100.0).contains(&percent).then_some(Self(percent))
    }

    /// As a fraction of one.
    pub fn fraction(self) -> f64 {
        self.0 / 100.0
    }

    /// This share of an amount, rounded up.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "amounts stay far below 2^52 and a percentage is never negative"
    )]
    pub fn at_least_of(self, amount: u64) -> u64 {
        (amount as f64 * self.fraction()).ceil() as u64
    }

    /// The whole part of this share of `count`, rounded down.
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "counts of hosts stay far below 2^52 and a percentage is never negative"
    )]
    pub fn of(self, count: usize) -> usize {
        (count as f64 * self.fraction()).floor() as usize
    }
}

/// Reads both ways of writing it. Not `untagged`, which would forget where a mistake stands.
impl<'de> Deserialize<'de> for Percent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct PercentVisitor;

        impl Visitor<'_> for PercentVisitor {
            type Value = Percent;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a percentage between 0% and 100%")
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Percent, E> {
                self.visit_str(&format!("{number}%"))
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Percent, E> {
                self.visit_str(&format!("{number}%"))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Percent, E> {
                self.visit_str(&format!("{number}%"))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Percent, E> {
                text.trim()
                    .strip_suffix('%')
                    .and_then(|number| number.trim().parse().ok())
                    .and_then(Percent::new)
                    .ok_or_else(|| E::custom(format!("`{text}` is not a percentage between 0% and 100%")))
            }
        }

        deserializer.deserialize_any(PercentVisitor)
    }
}

impl JsonSchema for Percent {
    fn schema_name() -> Cow<'static, str> {
        "Percent".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A share of something, written `5%` or `0.5%`; a bare `5` means the same.",
            "anyOf": [
                {"type": "string", "pattern": r"^\s*[0-9]+(\.[0-9]+)?\s*%\s*$"},
                {"type": "number", "minimum": 0, "maximum": 100}
            ]
        })
    }
}

impl From<Percent> for String {
    fn from(percent: Percent) -> Self {
        percent.to_string()
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

impl Eq for Percent {}

/// A data rate in bytes per second, written `1100MB/s` (decimal) or `1GiB/s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(extend("pattern" = r"^\s*[0-9]+\s*([kMG]B|[KMG]iB|B)/s\s*$", "examples" = ["1100MB/s"]))]
pub struct Rate(u64);

/// Units of [`Rate`] in bytes, largest first within each family.
const RATE_UNITS: [(&str, u64); 7] = [
    ("GiB/s", 1 << 30),
    ("MiB/s", 1 << 20),
    ("KiB/s", 1 << 10),
    ("GB/s", 1_000_000_000),
    ("MB/s", 1_000_000),
    ("kB/s", 1_000),
    ("B/s", 1),
];

impl Rate {
    /// Bytes per second; at least one.
    pub const fn bytes_per_second(bytes: u64) -> Self {
        Self(if bytes == 0 { 1 } else { bytes })
    }

    /// Bytes per second.
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl TryFrom<String> for Rate {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let bad = || format!("`{text}` is not a data rate; write for example `1100MB/s`");
        let (unit, scale) = RATE_UNITS.iter().find(|(unit, _)| text.trim().ends_with(unit)).ok_or_else(bad)?;
        let number = text.trim().strip_suffix(unit).unwrap_or_default().trim();
        let amount: u64 = number.parse().map_err(|_| bad())?;
        let rate = amount.checked_mul(*scale).filter(|rate| *rate > 0).ok_or_else(bad)?;
        Ok(Self(rate))
    }
}

impl From<Rate> for String {
    fn from(rate: Rate) -> Self {
        rate.to_string()
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimal = RATE_UNITS[3..].iter().find(|(_, scale)| self.0.is_multiple_of(*scale));
        let (unit, scale) = decimal.unwrap_or(&RATE_UNITS[6]);
        write!(f, "{}{unit}", self.0 / scale)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_as_they_are_written() {
        for (text, seconds) in [("90s", 90.0), ("10m", 600.0), ("1h30m", 5400.0), ("500ms", 0.5), ("2d", 172_800.0)] {
            let span: Span = text.parse().unwrap();
            assert!((span.as_seconds() - seconds).abs() < 1e-9, "{text}");
            assert_eq!(span.to_string().parse::<Span>().unwrap(), span);
        }
        for text in ["", "10", "m", "10 parsecs", "-5s", "99999999999999999999d"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }

    #[test]
    fn rates_keep_their_value_through_text() {
        for text in ["1100MB/s", "1GB/s", "7B/s", "125kB/s"] {
            assert_eq!(Rate::try_from(text.to_owned()).unwrap().to_string(), text);
        }
        assert_eq!(Rate::try_from("1KiB/s".to_owned()).unwrap().get(), 1024);
        assert!(Rate::try_from("0MB/s".to_owned()).is_err());
        assert!(Rate::try_from("fast".to_owned()).is_err());
    }
}
