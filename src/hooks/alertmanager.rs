//! Silences of Alertmanager's API, version 2.

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::model::{AlertMatcher, AlertmanagerHook, HostName, RunId};

/// A silence of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Silence {
    /// Its id.
    pub id: String,
    /// When it ends by itself.
    pub ends: Timestamp,
}

/// By what a silence is known as that of a run for a host: its comment, after a crash as well.
pub fn mark(run: RunId, host: &HostName) -> String {
    format!("fleetmend {run} {host}")
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Listed {
    id: String,
    status: Status,
    #[serde(default)]
    comment: String,
    ends_at: Timestamp,
}

#[derive(Deserialize)]
struct Status {
    state: String,
}

/// Our silences among those that Alertmanager lists, with the one that ends last first; `Err` when it is no such list.
pub fn ours(list: &Value, mark: &str) -> Result<Vec<Silence>, String> {
    let listed: Vec<Listed> = serde_json::from_value(list.clone()).map_err(|why| why.to_string())?;
    let of_ours = listed.into_iter().filter(|silence| silence.comment == mark && silence.status.state != "expired");
    let mut silences: Vec<Silence> = of_ours.map(|found| Silence { id: found.id, ends: found.ends_at }).collect();
    silences.sort_by(|one, other| other.ends.cmp(&one.ends).then_with(|| one.id.cmp(&other.id)));
    Ok(silences)
}

/// The silence to ask for: another one, or `replaces` with a later end.
pub fn wanted(
    hook: &AlertmanagerHook,
    host: &HostName,
    mark: &str,
    now: Timestamp,
    ends: Timestamp,
    replaces: Option<&str>,
) -> Value {
    let matchers: Vec<Value> = hook.matchers.iter().map(|one| matcher(one, host)).collect();
    let mut silence = json!({
        "matchers": matchers,
        "startsAt": now.to_string(),
        "endsAt": ends.to_string(),
        "createdBy": "fleetmend",
        "comment": mark,
    });
    if let Some(id) = replaces {
        silence["id"] = id.into();
    }
    silence
}

fn matcher(matcher: &AlertMatcher, host: &HostName) -> Value {
    let name = if matcher.regex { literal(host.as_str()) } else { host.as_str().to_owned() };
    let value = matcher.value.replace("{host}", &name);
    json!({"name": matcher.name, "value": value, "isRegex": matcher.regex, "isEqual": true})
}

/// `text` as a regular expression that matches it alone.
fn literal(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if !c.is_ascii_alphanumeric() && c.is_ascii() {
            out.push('\\');
        }
        out.push(c);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hook() -> AlertmanagerHook {
        let written = json!({"url": "http://alerts:9093/", "matchers": [
            {"name": "instance", "value": "{host}(:[0-9]+)?", "regex": true}, {"name": "job", "value": "{host}"}]});
        serde_json::from_value(written).unwrap()
    }

    #[test]
    fn a_silence_is_of_this_host_alone_whatever_its_name_means_to_a_regular_expression() {
        let now: Timestamp = "2026-11-30T22:00:00Z".parse().unwrap();
        let silence = wanted(&hook(), &HostName::new("compute-1.x|.*"), "m", now, now, Some("id-1"));
        assert_eq!(silence["matchers"][0]["value"], r"compute\-1\.x\|\.\*(:[0-9]+)?");
        assert_eq!(silence["matchers"][1]["value"], "compute-1.x|.*");
        assert_eq!(silence["id"], "id-1");
        assert_eq!(hook().url, "http://alerts:9093");
    }

    #[test]
    fn only_ours_that_still_count_are_found() {
        let listed = |id: &str, state: &str, comment: &str, ends: &str| {
            json!({"id": id, "status": {"state": state}, "comment": comment, "createdBy": "x", "matchers": [],
                   "startsAt": "2026-11-30T20:00:00.000Z", "endsAt": ends, "updatedAt": "2026-11-30T20:00:00.000Z"})
        };
        let list = json!([
            listed("a", "active", "m", "2026-11-30T22:00:00.000Z"),
            listed("b", "active", "m", "2026-11-30T23:00:00.000Z"),
            listed("c", "expired", "m", "2026-11-30T21:00:00.000Z"),
            listed("d", "active", "m of somebody else", "2026-11-30T23:00:00.000Z"),
        ]);
        let ids: Vec<String> = ours(&list, "m").unwrap().into_iter().map(|silence| silence.id).collect();
        assert_eq!(ids, ["b", "a"]);
        assert!(ours(&json!({"error": "no"}), "m").is_err());
    }

    #[test]
    fn a_hook_that_would_silence_everything_or_holds_a_password_is_refused() {
        for written in [
            json!({"url": "http://a:9093", "matchers": [{"name": "severity", "value": "critical"}]}),
            json!({"url": "http://a:9093", "matchers": []}),
            json!({"url": "http://u:secret@a:9093", "matchers": [{"name": "i", "value": "{host}"}]}),
            json!({"url": "a:9093", "matchers": [{"name": "i", "value": "{host}"}]}),
        ] {
            let error = serde_json::from_value::<AlertmanagerHook>(written.clone()).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
