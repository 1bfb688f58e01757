//! Forms of text and numbers that several of the services' answers share.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::{Deserialize, Deserializer};

/// A moment as OpenStack's services write it: with `Z`, or without any zone, which is UTC as well.
pub(super) fn moment(text: &str) -> Option<Timestamp> {
    let zoned = || text.parse().ok();
    let naive = || text.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
    zoned().or_else(naive)
}

/// A moment that may be absent, null, empty or in a form that is not known: a list is not lost for one odd date.
pub(super) fn maybe_moment<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    let text: Option<String> = Option::deserialize(deserializer)?;
    Ok(text.as_deref().and_then(moment))
}

/// Text that is absent when it is null or empty.
pub(super) fn maybe_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text: Option<String> = Option::deserialize(deserializer)?;
    Ok(text.filter(|text| !text.is_empty()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_utc_with_or_without_saying_so() {
        let expected = "2026-11-22T12:00:00Z".parse().ok();
        for text in
            ["2026-11-22T12:00:00Z", "2026-11-22T12:00:00.000000", "2026-11-22T12:00:00.000000Z", "2026-11-22 12:00:00"]
        {
            assert_eq!(moment(text), expected, "{text}");
        }
        assert_eq!(moment("yesterday"), None);
    }
}
