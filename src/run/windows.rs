//! Maintenance windows: when a host may be begun. Pure: a window carries its zone.

use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, TimeZone};
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

/// Whether a window is open; always, without windows.
pub(super) fn is_open(windows: &[Window], now: Timestamp) -> bool {
    windows.is_empty() || openings(windows, now).any(|(from, to)| from <= now && now < to)
}

/// Openings from the day before `now` on, in order, those that touch as one. Each is told by its window's own wall: a change
/// of clocks moves it, and no moment of it is one at which the wall shows a time outside of the window.
fn openings(windows: &[Window], now: Timestamp) -> impl Iterator<Item = (Timestamp, Timestamp)> {
    let all = windows.iter().flat_map(move |window| {
        let zone = window.zone.zone();
        let today = now.to_zoned(zone.clone()).date();
        (-1..=DAYS_AHEAD).filter_map(move |offset| opening(window, zone, today.checked_add(offset.days()).ok()?))
    });
    let mut all: Vec<_> = all.collect();
    all.sort_unstable();
    all.dedup_by(|(from, to), (_, before)| {
        let touches = *from <= *before;
        if touches {
            *before = (*before).max(*to);
        }
        touches
    });
    all.into_iter()
}

/// The opening that begins on `day`, if the window opens then.
fn opening(window: &Window, zone: &TimeZone, day: Date) -> Option<(Timestamp, Timestamp)> {
    if !window.days.iter().any(|open| open.civil() == day.weekday()) {
        return None;
    }
    let (from, to) = (window.from.civil(), window.to.civil());
    let last = if to > from { day } else { day.tomorrow().ok()? };
    let (from, to) = (shown(zone, day.to_datetime(from))?, shown(zone, last.to_datetime(to))?);
    // Where the wall shows a time twice, a window opens the second time and closes the first time: in between it would show
    // times outside. One that lies wholly in the hour that is shown twice is open the first time.
    let opens = if from.last < to.first { from.last } else { from.first };
    (opens < to.first).then_some((opens, to.first))
}

/// When a wall shows a time.
struct Shown {
    first: Timestamp,
    last: Timestamp,
}

/// When the wall shows `at`: once, twice, or, where clocks are set forward over it, at the moment at which they are.
fn shown(zone: &TimeZone, at: DateTime) -> Option<Shown> {
    let once = |at| Shown { first: at, last: at };
    match zone.to_ambiguous_timestamp(at).offset() {
        AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(at).ok().map(once),
        AmbiguousOffset::Fold { before, after } => {
            Some(Shown { first: before.to_timestamp(at).ok()?, last: after.to_timestamp(at).ok()? })
        }
        AmbiguousOffset::Gap { before, .. } => {
            let behind = before.to_timestamp(at).ok()?.checked_add(SignedDuration::from_nanos(1)).ok()?;
            zone.preceding(behind).next().map(|change| once(change.timestamp()))
        }
    }
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

    fn window(zone: &str, from: &str, to: &str) -> Window {
        use Weekday::{Fri, Mon, Sat, Sun, Thu, Tue, Wed};
        Window {
            days: vec![Mon, Tue, Wed, Thu, Fri, Sat, Sun],
            from: WallTime::try_from(from.to_owned()).unwrap(),
            to: WallTime::try_from(to.to_owned()).unwrap(),
            zone: WindowZone::try_from(zone.to_owned()).unwrap(),
        }
    }

    /// The opening that begins on the day of `now`.
    fn on_the_day(window: &Window, now: &str) -> Option<(String, String)> {
        let (zone, now) = (window.zone.zone().clone(), at(now));
        let (from, to) = opening(window, &zone, now.to_zoned(zone.clone()).date())?;
        Some((from.to_string(), to.to_string()))
    }

    fn utc(from: &str, to: &str) -> (String, String) {
        (from.to_owned(), to.to_owned())
    }

    #[test]
    fn clocks_that_are_set_forward_shorten_a_night_and_close_what_they_jump_over() {
        // 2026-03-29, 02:00 +01:00 becomes 03:00 +02:00.
        let day = "2026-03-29T00:00:00Z";
        let night = on_the_day(&window("Europe/Berlin", "22:00", "06:00"), "2026-03-28T12:00:00Z");
        assert_eq!(night, Some(utc("2026-03-28T21:00:00Z", "2026-03-29T04:00:00Z")), "seven hours");
        let over = |from, to| on_the_day(&window("Europe/Berlin", from, to), day);
        assert_eq!(
            over("01:00", "02:30"),
            Some(utc("2026-03-29T00:00:00Z", "2026-03-29T01:00:00Z")),
            "closes at the jump"
        );
        assert_eq!(
            over("02:30", "04:00"),
            Some(utc("2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z")),
            "opens at the jump"
        );
        assert_eq!(over("02:10", "02:50"), None, "there is no such time on that day");
    }

    #[test]
    fn clocks_that_are_set_back_lengthen_a_night_and_open_nothing_at_other_times() {
        // 2026-10-25, 03:00 +02:00 becomes 02:00 +01:00.
        let night = on_the_day(&window("Europe/Berlin", "22:00", "06:00"), "2026-10-24T12:00:00Z");
        assert_eq!(night, Some(utc("2026-10-24T20:00:00Z", "2026-10-25T05:00:00Z")), "nine hours");
        let over = |from, to| on_the_day(&window("Europe/Berlin", from, to), "2026-10-25T00:00:00Z");
        assert_eq!(
            over("01:00", "02:30"),
            Some(utc("2026-10-24T23:00:00Z", "2026-10-25T00:30:00Z")),
            "the first 02:30"
        );
        assert_eq!(
            over("02:30", "04:00"),
            Some(utc("2026-10-25T01:30:00Z", "2026-10-25T03:00:00Z")),
            "the second 02:30"
        );
        assert_eq!(over("02:10", "02:50"), Some(utc("2026-10-25T00:10:00Z", "2026-10-25T00:50:00Z")), "the first time");
    }

    #[test]
    fn a_host_is_begun_over_midnight_where_two_windows_touch() {
        let days = [window("UTC", "22:00", "00:00"), window("UTC", "00:00", "04:00")];
        assert!(admit(&days, at("2026-11-21T23:00:00Z"), 4.0 * 3600.0));
        assert!(!admit(&days, at("2026-11-21T23:00:00Z"), 5.0 * 3600.0 + 1.0));
    }

    /// Zones whose clocks change by an hour, by half an hour, in the south, at midnight, never, and once by a day.
    const ZONES: [&str; 8] = [
        "Europe/Berlin",
        "America/New_York",
        "Australia/Lord_Howe",
        "America/Santiago",
        "Africa/Cairo",
        "Asia/Kolkata",
        "Pacific/Apia",
        "UTC",
    ];

    proptest::proptest! {
        #[test]
        fn the_wall_shows_a_time_of_the_window_at_each_moment_of_an_opening_and_only_then(
            zone in 0..ZONES.len(), from in 0_i8..24, until in 0_i8..24, minutes in (0_i8..60, 0_i8..60),
            hour in 0_i64..24 * 366, year in proptest::sample::select(vec![2011_i64, 2026]),
        ) {
            let text = |hour: i8, minute: i8| format!("{hour:02}:{minute:02}");
            let window = window(ZONES[zone], &text(from, minutes.0), &text(until, minutes.1));
            let begin = Timestamp::from_second((year - 1970) * 365 * 86_400 + hour * 3600).unwrap();
            let (from, to) = (window.from.civil(), window.to.civil());
            let clock = window.zone.zone().clone();
            let shows = |now: Timestamp| {
                let wall = now.to_zoned(clock.clone()).time();
                if from < to { from <= wall && wall < to } else { wall >= from || wall < to }
            };
            let changes = |now: Timestamp| {
                let near = |change: jiff::tz::TimeZoneTransition| (change.timestamp().duration_since(now)).as_hours().abs() < 26;
                clock.following(now).next().is_some_and(near) || clock.preceding(now).next().is_some_and(near)
            };
            for minute in (0..24 * 60).step_by(7) {
                let now = begin + SignedDuration::from_mins(minute);
                let open = is_open(std::slice::from_ref(&window), now);
                proptest::prop_assert!(!open || shows(now), "open at {now}");
                // Around a change of clocks an opening may be shorter than what the wall shows, never longer.
                proptest::prop_assert!(open || !shows(now) || changes(now), "closed at {now}");
            }
        }

        #[test]
        fn what_is_admitted_ends_before_the_window_does(
            zone in 0..ZONES.len(), from in 0_i8..24, until in 0_i8..24, hour in 0_i64..24 * 366, takes in 1_i64..36_000,
        ) {
            let text = |hour: i8| format!("{hour:02}:00");
            let windows = [window(ZONES[zone], &text(from), &text(until))];
            let now = Timestamp::from_second(56 * 365 * 86_400 + hour * 3600).unwrap();
            #[expect(clippy::cast_precision_loss, reason = "seconds of a day")]
            let admitted = admit(&windows, now, takes as f64);
            let last = now + SignedDuration::from_secs(takes - 1);
            for minute in 0..=takes / 60 {
                let moment = (now + SignedDuration::from_mins(minute)).min(last);
                proptest::prop_assert!(!admitted || is_open(&windows, moment), "{moment}");
            }
            if let Some(opens) = next_opening(&windows, now) {
                proptest::prop_assert!(is_open(&windows, opens) && opens > now);
            }
        }
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
