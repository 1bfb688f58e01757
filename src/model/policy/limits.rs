//! How much may happen at once.

use std::borrow::Cow;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use crate::model::Percent;

/// How much may happen at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Hosts out of service at once in the region.
    pub hosts: Limit,
    /// Hosts out of service at once in one zone.
    pub hosts_per_zone: Limit,
    /// Hosts that must stay in service.
    pub keep_up: KeepUp,
    /// Hosts out of service at once in one rack; no limit when absent.
    pub hosts_per_rack: Option<Limit>,
    /// Migrations in flight in the region.
    #[serde(deserialize_with = "at_least_one")]
    #[schemars(range(min = 1))]
    pub migrations: usize,
    /// Migrations in flight away from one host.
    #[serde(deserialize_with = "at_least_one")]
    #[schemars(range(min = 1))]
    pub migrations_per_source: usize,
    /// Migrations in flight onto one host.
    #[serde(deserialize_with = "at_least_one")]
    #[schemars(range(min = 1))]
    pub migrations_per_target: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            hosts: Limit { max: Some(10), percent: Percent::new(5.0) },
            hosts_per_zone: Limit { max: Some(4), percent: Percent::new(20.0) },
            keep_up: KeepUp::default(),
            hosts_per_rack: None,
            migrations: 20,
            // Nova's own default for `max_concurrent_live_migrations`.
            migrations_per_source: 1,
            migrations_per_target: 1,
        }
    }
}

/// An absolute and a relative bound; the smaller wins, and at least 1 is always allowed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Limit {
    /// At most this many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<usize>,
    /// At most this share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub percent: Option<Percent>,
}

impl Limit {
    /// At most `max`, whatever the size.
    pub const fn at_most(max: usize) -> Self {
        Self { max: Some(max), percent: None }
    }

    /// How many of `count` this allows; at least 1.
    pub fn of(self, count: usize) -> usize {
        let absolute = self.max.unwrap_or(usize::MAX);
        let relative = self.percent.map_or(usize::MAX, |percent| percent.of(count));
        absolute.min(relative).min(count).max(1)
    }
}

/// Reads `4` and `{max: 4, percent: 20}`. Not `untagged`, which would forget where a mistake stands.
impl<'de> Deserialize<'de> for Limit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Fields {
            #[serde(default, deserialize_with = "some_at_least_one")]
            max: Option<usize>,
            #[serde(default)]
            percent: Option<Percent>,
        }

        struct LimitVisitor;

        impl<'de> Visitor<'de> for LimitVisitor {
            type Value = Limit;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of 1 or more, or `{max: 4, percent: 20%}`")
            }

            fn visit_u64<E: de::Error>(self, max: u64) -> Result<Limit, E> {
                match usize::try_from(max) {
                    Ok(0) | Err(_) => Err(E::custom(not_a_limit(&max))),
                    Ok(max) => Ok(Limit::at_most(max)),
                }
            }

            fn visit_i64<E: de::Error>(self, max: i64) -> Result<Limit, E> {
                u64::try_from(max).map_err(|_| E::custom(not_a_limit(&max))).and_then(|max| self.visit_u64(max))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Limit, A::Error> {
                let Fields { max, percent } = Fields::deserialize(MapAccessDeserializer::new(map))?;
                Ok(Limit { max, percent })
            }
        }

        deserializer.deserialize_any(LimitVisitor)
    }
}

impl JsonSchema for Limit {
    fn schema_name() -> Cow<'static, str> {
        "Limit".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let percent = generator.subschema_for::<Option<Percent>>();
        json_schema!({
            "description": "A number, or an absolute and a relative bound of which the smaller wins; at least 1.",
            "anyOf": [
                {"type": "integer", "minimum": 1},
                {
                    "type": "object",
                    "properties": {"max": {"type": ["integer", "null"], "minimum": 1}, "percent": percent},
                    "additionalProperties": false
                }
            ]
        })
    }
}

/// A limit of zero would let a run wait for ever without a word.
fn not_a_limit(written: &impl fmt::Display) -> String {
    format!("`{written}` is not a limit: the smallest one is 1")
}

fn at_least_one<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    match usize::deserialize(deserializer)? {
        0 => Err(de::Error::custom(not_a_limit(&0))),
        number => Ok(number),
    }
}

fn some_at_least_one<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<usize>, D::Error> {
    match Option::<usize>::deserialize(deserializer)? {
        Some(0) => Err(de::Error::custom(not_a_limit(&0))),
        number => Ok(number),
    }
}

/// Hosts that must stay in service, of those in service when the run begins. One host may be out all the same where
/// so few are in service: it could never be remedied otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct KeepUp {
    /// In each zone.
    pub per_zone: usize,
    /// In each host aggregate; a host counts in every aggregate that it is of.
    pub per_aggregate: usize,
}

impl Default for KeepUp {
    fn default() -> Self {
        Self { per_zone: 1, per_aggregate: 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smaller_of_both_bounds_wins_and_one_is_always_allowed() {
        let limit = Limit { max: Some(10), percent: Percent::new(5.0) };
        assert_eq!(limit.of(6), 1);
        assert_eq!(limit.of(100), 5);
        assert_eq!(limit.of(1000), 10);
        assert_eq!(Limit::default().of(7), 7);
    }
}
