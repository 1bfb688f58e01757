//! Health gates: what must be well before another host is begun.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};
use url::Url;

use crate::model::Span;

/// Something that must be well before another host is begun. It is asked when a host has ended, and again and again while
/// hosts wait; what is under way goes on whatever it says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HealthGate {
    /// Its name, in events and for people.
    pub name: String,
    /// What is asked.
    #[serde(deserialize_with = "some_words")]
    pub ask: Question,
    /// How old an answer may be, and how often it is asked while hosts wait.
    #[serde(default = "a_minute")]
    pub every: Span,
    /// How long an answer may take; without one nothing is known to be well.
    #[serde(default = "half_a_minute")]
    pub patience: Span,
}

/// What a health gate asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Question {
    /// A command on the machine of the runner, without a shell: well with status 0.
    Command(Vec<String>),
    /// A condition put to Prometheus.
    Prometheus(PrometheusQuery),
}

/// A condition put to Prometheus: well while the query answers with a sample, as PromQL's comparisons make it
/// (`sum(rate(errors[5m])) < 1`); a scalar is well unless it is 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PrometheusQuery {
    /// Where Prometheus is, without `/api/v1`. No user and password: a rollout is read by many.
    #[serde(deserialize_with = "without_password")]
    #[schemars(with = "String", extend("format" = "uri"))]
    pub url: Url,
    /// The condition.
    pub query: String,
}

fn a_minute() -> Span {
    Span::seconds(60)
}

fn half_a_minute() -> Span {
    Span::seconds(30)
}

fn some_words<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Question, D::Error> {
    match Question::deserialize(deserializer)? {
        Question::Command(words) if words.first().is_none_or(String::is_empty) => {
            Err(de::Error::custom("a command needs a program; write for example `[/usr/local/bin/is-well]`"))
        }
        question @ (Question::Command(_) | Question::Prometheus(_)) => Ok(question),
    }
}

fn without_password<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Url, D::Error> {
    let url = Url::deserialize(deserializer)?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(de::Error::custom(
            "a rollout is read by many: the URL of Prometheus must name no user or password",
        ));
    }
    match url.scheme() {
        "http" | "https" => Ok(url),
        other => Err(de::Error::custom(format!("`{other}` is no way to Prometheus; write `http://` or `https://`"))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(ask: &serde_json::Value) -> Result<HealthGate, String> {
        serde_json::from_value(json!({"name": "g", "ask": ask})).map_err(|error| error.to_string())
    }

    #[test]
    fn a_gate_asks_once_a_minute_and_waits_half_of_one() {
        let gate = read(&json!({"command": ["/bin/is-well", "--all"]})).unwrap();
        assert_eq!((gate.every, gate.patience), (Span::seconds(60), Span::seconds(30)));
        assert!(read(&json!({"prometheus": {"url": "https://p:9090/x", "query": "up == 1"}})).is_ok());
    }

    #[test]
    fn what_cannot_be_asked_is_refused() {
        for (ask, says) in [
            (json!({"command": []}), "needs a program"),
            (json!({"command": [""]}), "needs a program"),
            (json!({"prometheus": {"url": "http://me:secret@p:9090", "query": "up"}}), "no user or password"),
            (json!({"prometheus": {"url": "file:///etc/passwd", "query": "up"}}), "no way to Prometheus"),
            (json!({"prometheus": {"query": "up"}}), "missing field `url`"),
            (json!({"nagios": "x"}), "unknown variant"),
        ] {
            let said = read(&ask).unwrap_err();
            assert!(said.contains(says) && !said.contains("secret"), "{ask}: {said}");
        }
    }
}
