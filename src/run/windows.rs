//! Maintenance windows: when a host may be begun. Pure: a window carries its zone.

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan};

use crate::model::Window;

/// Days that are searched for the next opening: a weekly window opens within eight.
const DAYS_AHEAD: i64 = 8;

/// Whether something that takes `seconds` may be begun at `now`: its expected end must fall into the same opening.
/// Always, without windows.
pub(super) fn admit(windows: &[Window], now: Timestamp, seconds: f64) -> bool {
    let end = SignedDuration::try_from_secs_f64(seconds).ok().and_then(|length| now.checked_add(length).ok());
    let Some(end) = end else { return false };
    windows.is_empty() || openings(windows, now).any(|(from, to)| from <= now && end <= to)
}

/// Whether no opening is as long as `seconds`; never true without windows.
pub(super) fn never(windows: &[Window], now: Timestamp, seconds: f64) -> bool {
    let length = SignedDuration::try_from_secs_f64(seconds).unwrap_or(SignedDuration::MAX);
    !windows.is_empty() && openings(windows, now).all(|(from, to)| to.duration_since(from) < length)
}

/// When the next window opens; `None` without windows.
pub(super) fn next_opening(windows: &[Window], now: Timestamp) -> Option<Timestamp> {
    openings(windows, now).map(|(from, _)| from).filter(|from| *from > now).min()
}

/// Openings from the day before `now` on, in the windows' own zones: a change of clocks moves them with the wall.
fn openings(windows: &[Window], now: Timestamp) -> impl Iterator<Item = (Timestamp, Timestamp)> {
    windows.iter().flat_map(move |window| {
        let zone = window.zone.zone();
        let today = now.to_zoned(zone.clone()).date();
        (-1..=DAYS_AHEAD).filter_map(move |offset| opening(window, zone, today.checked_add(offset.days()).ok()?))
    })
}

/// The opening that begins on `day`, if the window opens then.
fn opening(window: &Window, zone: &TimeZone, day: Date) -> Option<(Timestamp, Timestamp)> {
    if !window.days.iter().any(|open| open.civil() == day.weekday()) {
        return None;
    }
    let (from, to) = (window.from.civil(), window.to.civil());
    let last = if to > from { day } else { day.tomorrow().ok()? };
    let at = |date: Date, time: Time| date.to_datetime(time).to_zoned(zone.clone()).ok().map(|zoned| zoned.timestamp());
    Some((at(day, from)?, at(last, to)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{WallTime, Weekday, WindowZone};

    fn nights() -> Vec<Window> {
        vec![Window {
            days: vec![Weekday::Sat, Weekday::Sun],
            from: WallTime::try_from("22:00".to_owned()).unwrap(),
            to: WallTime::try_from("06:00".to_owned()).unwrap(),
            zone: WindowZone::try_from("Europe/Berlin".to_owned()).unwrap(),
        }]
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_host_is_begun_only_where_its_end_falls_into_the_window() {
        // 2026-11-21 is a Saturday; Berlin is at +01:00.
        let (before, inside, late) =
            (at("2026-11-21T20:59:00Z"), at("2026-11-21T21:00:00Z"), at("2026-11-22T04:55:00Z"));
        assert!(!admit(&nights(), before, 600.0));
        assert!(admit(&nights(), inside, 600.0));
        assert!(admit(&nights(), at("2026-11-22T03:00:00Z"), 600.0), "after midnight");
        assert!(!admit(&nights(), late, 600.0), "would end at 06:05");
        assert!(admit(&[], before, 600.0));
    }

    #[test]
    fn what_takes_longer_than_every_window_never_fits() {
        let now = at("2026-11-18T00:00:00Z");
        assert!(never(&nights(), now, 8.0 * 3600.0 + 1.0));
        assert!(!never(&nights(), now, 8.0 * 3600.0));
        assert!(!never(&[], now, 1e9));
    }

    #[test]
    fn the_next_opening_is_on_the_walls_clock_in_summer_and_winter() {
        assert_eq!(next_opening(&nights(), at("2026-11-18T00:00:00Z")), Some(at("2026-11-21T21:00:00Z")));
        assert_eq!(next_opening(&nights(), at("2026-07-15T00:00:00Z")), Some(at("2026-07-18T20:00:00Z")));
    }
}
