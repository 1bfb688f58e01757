//! Gates asked in earnest: a command of this machine, a query to Prometheus.

use std::process::{Output, Stdio};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::Value;
use tokio::process::Command;
use tokio::time::timeout;

use super::{Answer, Vitals};
use crate::http::{HttpError, JsonClient};
use crate::model::{HealthGate, PrometheusQuery, Question};

/// Words of a command that are kept: enough for a cause, too little to fill a journal.
const MOST_SAID: usize = 200;

/// Asks gates from this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asker;

#[async_trait]
impl Vitals for Asker {
    async fn ask(&self, gate: &HealthGate) -> Answer {
        let patience = gate.patience.get();
        let asked = match &gate.ask {
            Question::Command(words) => timeout(patience, of_command(words)).await,
            Question::Prometheus(query) => timeout(patience, of_prometheus(query, patience)).await,
        };
        asked.unwrap_or_else(|_| unwell(format!("no answer within {}", gate.patience)))
    }
}

fn unwell(said: String) -> Answer {
    Answer { is_well: false, said }
}

async fn of_command(words: &[String]) -> Answer {
    let Some((program, arguments)) = words.split_first() else { return unwell("no command".to_owned()) };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    match command.output().await {
        Err(error) => unwell(format!("{program}: {error}")),
        Ok(output) => {
            let status = output.status;
            Answer { is_well: status.success(), said: last_line(&output).unwrap_or_else(|| status.to_string()) }
        }
    }
}

/// The last line that a command said, of its errors if it failed.
fn last_line(output: &Output) -> Option<String> {
    let of = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes);
        let line = text.lines().rev().find(|line| !line.trim().is_empty())?.trim();
        Some(line.escape_debug().take(MOST_SAID).collect::<String>())
    };
    if output.status.success() { of(&output.stdout) } else { of(&output.stderr).or_else(|| of(&output.stdout)) }
}

async fn of_prometheus(asked: &PrometheusQuery, patience: Duration) -> Answer {
    let mut url = asked.url.clone();
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(["api", "v1", "query"]);
    }
    url.query_pairs_mut().append_pair("query", &asked.query);
    let answer = async { JsonClient::direct(patience)?.send("GET", &url, None, None).await };
    match answer.await {
        Ok(answer) => read(answer.status, &answer.body),
        Err(error) => unwell(words(&error)),
    }
}

/// An error with its cause, on one line.
fn words(error: &HttpError) -> String {
    match std::error::Error::source(error) {
        Some(cause) => format!("{error}: {cause}"),
        None => error.to_string(),
    }
}

/// What Prometheus answers to a query. Source: its HTTP API, `/api/v1/query`.
fn read(status: u16, body: &Value) -> Answer {
    if body["status"] != "success" {
        let error = body["error"].as_str().unwrap_or("no word of success");
        return unwell(format!("prometheus answers {status}: {}", error.escape_debug()));
    }
    let result = &body["data"]["result"];
    match body["data"]["resultType"].as_str() {
        Some("vector") => match result.as_array().map_or(0, Vec::len) {
            0 => unwell("the query answers with no sample".to_owned()),
            samples => Answer { is_well: true, said: format!("{samples} samples") },
        },
        Some("scalar") => {
            let value = result[1].as_str().unwrap_or("nothing");
            let is_well = value.parse::<f64>().is_ok_and(|value| value != 0.0 && !value.is_nan());
            Answer { is_well, said: format!("the query answers {}", value.escape_debug()) }
        }
        other => {
            unwell(format!("the query answers with a {}, which says neither yes nor no", other.unwrap_or("riddle")))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::Span;

    fn gate(ask: Question) -> HealthGate {
        HealthGate { name: "g".to_owned(), ask, every: Span::seconds(60), patience: Span::seconds(1) }
    }

    fn command(script: &str) -> HealthGate {
        gate(Question::Command(["/bin/sh", "-c", script].map(str::to_owned).to_vec()))
    }

    #[tokio::test]
    async fn a_command_is_well_with_status_0_and_says_its_last_line() {
        let well = Asker.ask(&command("echo a; echo all is well")).await;
        assert_eq!(well, Answer { is_well: true, said: "all is well".to_owned() });
        let ill = Asker.ask(&command("echo degraded >&2; exit 3")).await;
        assert_eq!(ill, Answer { is_well: false, said: "degraded".to_owned() });
        let absent = Asker.ask(&gate(Question::Command(vec!["/no/such/program".to_owned()]))).await;
        assert!(!absent.is_well && absent.said.contains("/no/such/program"), "{absent:?}");
    }

    #[tokio::test]
    async fn a_command_that_does_not_end_is_not_well() {
        let slow = Asker.ask(&command("exec sleep 60")).await;
        assert_eq!(slow, Answer { is_well: false, said: "no answer within 1s".to_owned() });
    }

    #[test]
    fn a_query_is_well_with_a_sample_and_a_scalar_unless_it_is_0() {
        let of = |kind: &str, result: Value| {
            read(200, &json!({"status": "success", "data": {"resultType": kind, "result": result}})).is_well
        };
        // The value is what was compared: 0 errors are fewer than 1.
        assert!(of("vector", json!([{"metric": {}, "value": [1, "0"]}])));
        assert!(!of("vector", json!([])));
        assert!(of("scalar", json!([1, "1"])) && !of("scalar", json!([1, "0"])) && !of("scalar", json!([1, "NaN"])));
        assert!(!of("matrix", json!([{}])));
        let refused = read(400, &json!({"status": "error", "errorType": "bad_data", "error": "parse error"}));
        assert_eq!(refused.said, "prometheus answers 400: parse error");
    }

    #[tokio::test]
    async fn prometheus_that_is_not_there_is_not_well() {
        // Nobody listens on port 9 of this machine.
        let url = "http://127.0.0.1:9/prometheus/".parse().unwrap();
        let answer = Asker.ask(&gate(Question::Prometheus(PrometheusQuery { url, query: "up".to_owned() }))).await;
        assert!(!answer.is_well && answer.said.contains("api/v1/query"), "{answer:?}");
    }
}
