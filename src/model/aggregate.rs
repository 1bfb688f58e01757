//! Host aggregates and flavors, and the words in which Nova's scheduler compares them.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A host aggregate: a label on hosts whose metadata Nova's scheduler filters may read. Its members are in
/// [`super::Host::aggregates`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Aggregate {
    /// Its name.
    pub name: String,
    /// Its metadata; a value may be a list with commas.
    #[serde(default)]
    pub metadata: BTreeMap<String, String>,
}

impl Aggregate {
    /// The values under one key: Nova's filters read a value as a list with commas.
    pub fn values(&self, key: &str) -> impl Iterator<Item = &str> {
        self.metadata.get(key).into_iter().flat_map(|value| value.split(',')).map(str::trim)
    }
}

/// The flavor that an instance was made with, as Nova keeps it with the instance.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Flavor {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// What it asks for beyond amounts, for example `hw:numa_nodes`.
    #[serde(default)]
    pub extra_specs: BTreeMap<String, String>,
}

/// Whether a value that a host has satisfies what an extra spec asks for: an operator with operands, or the value
/// itself. Source: `nova/scheduler/filters/extra_specs_ops.py`.
pub fn extra_spec_matches(asked: &str, value: &str) -> bool {
    let mut words = asked.split_whitespace();
    let operator = words.next().unwrap_or_default();
    let operands: Vec<&str> = words.collect();
    let first = operands.first().copied().unwrap_or_default();
    let numbers = || Some((value.parse::<f64>().ok()?, first.parse::<f64>().ok()?));
    let numeric = |holds: fn(f64, f64) -> bool| numbers().is_some_and(|(value, asked)| holds(value, asked));
    match operator {
        "<or>" => asked.split("<or>").skip(1).any(|choice| choice.trim() == value),
        "<in>" => value.contains(first),
        "<all-in>" => operands.iter().all(|operand| value.contains(operand)),
        // `=` is an old way to write `>=`.
        "=" | ">=" => numeric(|value, asked| value >= asked),
        "<=" => numeric(|value, asked| value <= asked),
        "==" => numeric(|value, asked| (value - asked).abs() < f64::EPSILON),
        "!=" => numeric(|value, asked| (value - asked).abs() >= f64::EPSILON),
        "s==" => value == first,
        "s!=" => value != first,
        "s<" => value < first,
        "s<=" => value <= first,
        "s>" => value > first,
        "s>=" => value >= first,
        _ => asked == value,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extra_specs_are_compared_in_the_words_of_nova() {
        let cases = [
            ("true", "true", true),
            ("true", "false", false),
            ("<or> ssd <or> nvme", "nvme", true),
            ("<or> ssd <or> nvme", "hdd", false),
            ("<in> net", "subnet", true),
            ("<all-in> a b", "ab", true),
            ("<all-in> a c", "ab", false),
            ("= 8", "16", true),
            (">= 8", "4", false),
            ("<= 8", "4", true),
            ("== 8", "8.0", true),
            ("!= 8", "8", false),
            ("s== ssd", "ssd", true),
            ("s!= ssd", "ssd", false),
            (">= 8", "many", false),
        ];
        for (asked, value, expected) in cases {
            assert_eq!(extra_spec_matches(asked, value), expected, "{asked} of {value}");
        }
    }

    #[test]
    fn a_value_may_be_a_list() {
        let metadata = [("filter_tenant_id".to_owned(), "p1, p2".to_owned())].into();
        let aggregate = Aggregate { name: "a".to_owned(), metadata };
        assert_eq!(aggregate.values("filter_tenant_id").collect::<Vec<_>>(), ["p1", "p2"]);
        assert_eq!(aggregate.values("other").count(), 0);
    }
}
