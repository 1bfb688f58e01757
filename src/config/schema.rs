//! JSON Schemas of the files, made from the types that read them, for editors and for whoever writes them by program.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema};

use crate::model::{Policy, Region};
use crate::plan::Rollout;
use crate::remedy::Remedy;

/// A file that has a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SchemaKind {
    /// What must be true of a host.
    Remedy,
    /// How a rollout may go about its work.
    Policy,
    /// A plan.
    Rollout,
    /// A snapshot.
    Region,
}

impl SchemaKind {
    /// Every kind, in the order in which people meet them.
    pub const ALL: [Self; 4] = [Self::Remedy, Self::Policy, Self::Rollout, Self::Region];

    /// Its name, as `kind` has it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Remedy => "remedy",
            Self::Policy => "policy",
            Self::Rollout => "rollout",
            Self::Region => "region",
        }
    }
}

/// The JSON Schema (draft 2020-12) of a kind of file.
pub fn schema(kind: SchemaKind) -> serde_json::Value {
    let schema = match kind {
        SchemaKind::Remedy => root::<Remedy>(),
        SchemaKind::Policy => root::<Policy>(),
        SchemaKind::Rollout => root::<Rollout>(),
        SchemaKind::Region => root::<Region>(),
    };
    let mut schema = schema.to_value();
    require_header(&mut schema);
    schema
}

/// The types that read files have defaults for their header; the reader demands it all the same.
fn require_header(schema: &mut serde_json::Value) {
    let Some(fields) = schema.as_object_mut() else { return };
    let required = fields.entry("required").or_insert_with(|| serde_json::json!([]));
    let Some(required) = required.as_array_mut() else { return };
    for field in ["format", "kind"] {
        if !required.iter().any(|name| name == field) {
            required.push(field.into());
        }
    }
}

fn root<T: JsonSchema>() -> Schema {
    SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::config::read_policy;

    fn keys(value: &Value) -> Vec<&str> {
        let mut keys: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort_unstable();
        keys
    }

    #[test]
    fn a_schema_knows_the_fields_that_the_reader_knows() {
        let policy = serde_json::to_value(Policy::default()).unwrap();
        let schema = schema(SchemaKind::Policy);
        let known = keys(&schema["properties"]);
        for field in keys(&policy) {
            assert!(known.contains(&field), "{field}");
        }
        // What says nothing is not written: the reader itself is asked for each of them.
        let refusal = |field: &str| {
            let text = format!("format: 1\nkind: policy\n{field}: {{no_such_thing: 1}}");
            read_policy("f", &text).err().map(|error| error.to_string()).unwrap_or_default()
        };
        let unknown = |field: &str| refusal(field).contains(&format!("unknown field `{field}`"));
        assert!(unknown("no_such_field"));
        for field in known.into_iter().filter(|field| !["format", "kind"].contains(field)) {
            assert!(!unknown(field), "{field}");
        }
        assert_eq!(keys(&schema["$defs"]["Limits"]["properties"]), keys(&policy["limits"]));
        assert_eq!(schema["additionalProperties"], false);
    }

    #[test]
    fn a_file_must_say_what_it_is() {
        for kind in SchemaKind::ALL {
            let required = schema(kind)["required"].clone();
            let names: Vec<&str> = required.as_array().unwrap().iter().filter_map(Value::as_str).collect();
            assert!(names.contains(&"format") && names.contains(&"kind"), "{}: {names:?}", kind.name());
        }
    }

    #[test]
    fn every_field_is_described_for_editors() {
        for kind in SchemaKind::ALL {
            let schema = schema(kind);
            for (field, about) in schema["properties"].as_object().unwrap() {
                assert!(about["description"].is_string(), "{}: {field}", kind.name());
            }
        }
    }

    /// The two schemas that no derive writes, held to the reader.
    #[test]
    fn limits_and_shares_have_the_bounds_that_the_reader_has() {
        let schema = schema(SchemaKind::Policy);
        let limit = &schema["$defs"]["Limit"]["anyOf"];
        assert_eq!((&limit[0]["minimum"], keys(&limit[1]["properties"])), (&json!(1), vec!["max", "percent"]));
        let share = &schema["$defs"]["Percent"]["anyOf"];
        assert_eq!((&share[1]["minimum"], &share[1]["maximum"]), (&json!(0), &json!(100)));
        let reads =
            |limit: &str| read_policy("f", &format!("format: 1\nkind: policy\nlimits: {{hosts: {limit}}}")).is_ok();
        for good in ["1", "{max: 1}", "{percent: 0}", "{percent: 100}", "{percent: 0.5%}", "{max: null, percent: null}"]
        {
            assert!(reads(good), "{good}");
        }
        for bad in ["0", "{max: 0}", "{percent: -1}", "{percent: 101}", "1.5", "{least: 1}"] {
            assert!(!reads(bad), "{bad}");
        }
    }
}
