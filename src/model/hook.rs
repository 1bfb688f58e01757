//! What is told to others for as long as a host is worked on, and taken back afterwards.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

use super::extra::step_name;
use super::{OnFailure, Span};

/// Something that is told to a service of the operator while a host is worked on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Hook {
    /// Its name, part of its steps' ids: letters, digits and dashes.
    #[serde(deserialize_with = "step_name")]
    #[schemars(regex(pattern = r"^[a-z][a-z0-9-]*$"))]
    pub name: String,
    /// What is told.
    #[serde(rename = "do")]
    pub work: HookWork,
    /// What becomes of the host when it cannot be told.
    #[serde(default)]
    pub on_failure: OnFailure,
}

/// What is told, and to whom.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HookWork {
    /// The host's alarms are silenced.
    Alertmanager(AlertmanagerHook),
}

/// A silence of the host's alarms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AlertmanagerHook {
    /// Where Alertmanager is; `/api/v2` is added.
    #[serde(deserialize_with = "web_address")]
    pub url: String,
    /// Which alarms: all of these must match.
    #[serde(deserialize_with = "some_matchers")]
    pub matchers: Vec<AlertMatcher>,
    /// How long a silence lasts by itself; it is renewed before each phase of which the end may come later.
    #[serde(default = "two_hours")]
    pub lasts: Span,
    /// A file of which the content is sent as `Authorization`, for example `Bearer …`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization_file: Option<String>,
}

/// One label that alarms must have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AlertMatcher {
    /// The label.
    pub name: String,
    /// Its value; `{host}` stands for the host's name.
    pub value: String,
    /// Whether the value is a regular expression, as Alertmanager reads them. The host's name in it is taken literally.
    #[serde(default)]
    pub regex: bool,
}

const fn two_hours() -> Span {
    Span::seconds(7200)
}

fn web_address<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = String::deserialize(deserializer)?;
    let is_one = ["http://", "https://"].iter().any(|scheme| text.len() > scheme.len() && text.starts_with(scheme));
    // A password in it would be written into plans and journals.
    if is_one && !text.contains(['@', '?', '#', ' ']) {
        return Ok(text.trim_end_matches('/').to_owned());
    }
    Err(de::Error::custom("an address is `http://…` or `https://…`, without a user, a password or a question mark"))
}

fn some_matchers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<AlertMatcher>, D::Error> {
    let matchers = Vec::<AlertMatcher>::deserialize(deserializer)?;
    if matchers.iter().any(|matcher| matcher.value.contains("{host}")) {
        return Ok(matchers);
    }
    Err(de::Error::custom("a matcher has to name the host (`{host}`), or every alarm would be silenced"))
}
