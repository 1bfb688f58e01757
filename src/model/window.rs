//! Maintenance windows as policies write them: days, wall-clock times, a time zone.

use std::fmt;

use jiff::civil::Time;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

/// A weekly time in which hosts may be begun.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// Days on which it opens.
    #[serde(deserialize_with = "some_days")]
    #[schemars(length(min = 1))]
    pub days: Vec<Weekday>,
    /// When it opens.
    pub from: WallTime,
    /// When it closes; the next day when not after `from`.
    pub to: WallTime,
    /// Where its times are told.
    pub zone: WindowZone,
}

/// What becomes of hosts that are under way when a window closes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WindowsEnd {
    /// They go on to their end: each was begun so that it was expected inside.
    #[default]
    Finish,
    /// What is still being emptied waits, disabled and with its instances at work, until a window opens again; migrations
    /// under way end. Behind the fence a host goes on to its end: its owners are locked out until it is back.
    Park,
}

impl WindowsEnd {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde asks for")]
    pub(super) fn is_finish(&self) -> bool {
        *self == Self::Finish
    }
}

fn some_days<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Weekday>, D::Error> {
    let days = Vec::deserialize(deserializer)?;
    if days.is_empty() { Err(de::Error::custom("a window without days never opens")) } else { Ok(days) }
}

/// A day of the week, written `mon` to `sun`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Weekday {
    /// Monday.
    Mon,
    /// Tuesday.
    Tue,
    /// Wednesday.
    Wed,
    /// Thursday.
    Thu,
    /// Friday.
    Fri,
    /// Saturday.
    Sat,
    /// Sunday.
    Sun,
}

impl Weekday {
    /// The same day in jiff's words.
    pub const fn civil(self) -> jiff::civil::Weekday {
        match self {
            Self::Mon => jiff::civil::Weekday::Monday,
            Self::Tue => jiff::civil::Weekday::Tuesday,
            Self::Wed => jiff::civil::Weekday::Wednesday,
            Self::Thu => jiff::civil::Weekday::Thursday,
            Self::Fri => jiff::civil::Weekday::Friday,
            Self::Sat => jiff::civil::Weekday::Saturday,
            Self::Sun => jiff::civil::Weekday::Sunday,
        }
    }
}

/// A time on the wall's clock, written `"22:00"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(extend("pattern" = "^([01][0-9]|2[0-3]):[0-5][0-9]$"))]
pub struct WallTime(Time);

impl WallTime {
    /// The time of day.
    pub const fn civil(self) -> Time {
        self.0
    }
}

impl TryFrom<String> for WallTime {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let two = |digits: &str| {
            let plain = digits.len() == 2 && digits.bytes().all(|byte| byte.is_ascii_digit());
            digits.parse::<i8>().ok().filter(|_| plain)
        };
        text.split_once(':')
            .and_then(|(hour, minute)| Time::new(two(hour)?, two(minute)?, 0, 0).ok())
            .map(Self)
            .ok_or_else(|| format!("`{text}` is not a time of day; write for example `\"22:00\"`"))
    }
}

impl From<WallTime> for String {
    fn from(time: WallTime) -> Self {
        time.to_string()
    }
}

impl fmt::Display for WallTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02}:{:02}", self.0.hour(), self.0.minute())
    }
}

/// An IANA time zone, written `Europe/Berlin`. It is looked up as the file is read, in the system's database or in the
/// one that is built in, so that deciding needs no look-up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(extend("examples" = ["Europe/Berlin", "UTC"]))]
pub struct WindowZone {
    name: String,
    zone: TimeZone,
}

impl WindowZone {
    /// The zone.
    pub const fn zone(&self) -> &TimeZone {
        &self.zone
    }
}

impl TryFrom<String> for WindowZone {
    type Error = String;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        match TimeZone::get(&name) {
            Ok(zone) => Ok(Self { name, zone }),
            Err(_) => Err(format!("`{name}` is not a time zone; write for example `Europe/Berlin` or `UTC`")),
        }
    }
}

impl From<WindowZone> for String {
    fn from(zone: WindowZone) -> Self {
        zone.name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_times_of_day_with_two_digits_each_are_taken() {
        for text in ["00:00", "06:05", "23:59"] {
            assert_eq!(WallTime::try_from(text.to_owned()).unwrap().to_string(), text);
        }
        for text in ["24:00", "6:00", "06:60", "+6:00", "0600", "06:00:00", "noon", ""] {
            assert!(WallTime::try_from(text.to_owned()).is_err(), "{text}");
        }
    }

    #[test]
    fn a_zone_keeps_the_name_that_was_written() {
        let zone = WindowZone::try_from("Europe/Berlin".to_owned()).unwrap();
        assert_eq!(String::from(zone), "Europe/Berlin");
        assert!(WindowZone::try_from("Europe/Bärlin".to_owned()).is_err());
    }
}
