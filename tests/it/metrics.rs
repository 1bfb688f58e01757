//! Metrics, alerts and the dashboard: held by Prometheus' own tool, and to each other.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::cli::stand::Stand;

fn contrib(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("contrib").join(name)
}

/// Runs promtool; where there is none, says so.
fn promtool(arguments: &[&str], input: &str) {
    let mut command = Command::new("promtool");
    command.args(arguments).current_dir(contrib("prometheus"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let Ok(mut tool) = command.spawn() else {
        let _ = writeln!(std::io::stderr(), "left out: promtool on rules and metrics (Debian: prometheus)");
        return;
    };
    tool.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let ended = tool.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&ended.stdout) + String::from_utf8_lossy(&ended.stderr);
    assert!(ended.status.success(), "{arguments:?}: {said}");
}

/// Every name of ours in a text.
fn names(text: &str) -> BTreeSet<&str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c| !is_part(c)).filter(|word| word.starts_with("fleetmend_")).collect()
}

#[test]
fn what_a_run_writes_is_what_alerts_and_dashboard_ask_for() {
    promtool(&["check", "rules", "fleetmend.rules.yaml"], "");
    promtool(&["test", "rules", "fleetmend.test.yaml"], "");
    let stand = Stand::new();
    stand.plan();
    let run = ["run", "rollout.yaml", "--yes", "--poll", "100ms", "--metrics-file", "fleetmend.prom"];
    stand.run(&run).said(0, &[]);
    let metrics = stand.read("fleetmend.prom");
    promtool(&["check", "metrics"], &metrics);
    for line in ["state=\"done\"} 4", "outcome=\"done\"} 1", "state=\"quarantined\"} 0"] {
        assert!(metrics.contains(line), "{line} is not in\n{metrics}");
    }
    // What is likely is told while a run goes on.
    let mut written = names(&metrics);
    written.insert("fleetmend_run_expected_end_timestamp_seconds");
    for file in ["prometheus/fleetmend.rules.yaml", "grafana/fleetmend.json"] {
        let text = std::fs::read_to_string(contrib(file)).unwrap();
        let asked = names(&text);
        assert!(!asked.is_empty());
        assert!(asked.is_subset(&written), "{file} asks for {:?}", asked.difference(&written).collect::<Vec<_>>());
    }
    let dashboard: Value =
        serde_json::from_str(&std::fs::read_to_string(contrib("grafana/fleetmend.json")).unwrap()).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.iter().all(|panel| panel["targets"][0]["expr"].is_string() && panel["gridPos"]["w"].is_u64()));
}
