//! A run in numbers, as Prometheus reads them.
//!
//! Source of the form: prometheus.io, "Exposition formats", text format 0.0.4.

use std::fmt::Write as _;

use jiff::Timestamp;

use super::eta::Eta;
use super::summary::Summary;

/// What kind of number a metric is.
#[derive(Debug, Clone, Copy)]
enum Kind {
    Gauge,
    Counter,
}

/// Outcomes that a run can have, as its status says them.
const OUTCOMES: [&str; 7] = ["running", "paused", "stopped", "interrupted", "done", "done-with-failures", "abandoned"];

/// What hosts under way do.
const STATES: [&str; 8] =
    ["waiting", "draining", "updating", "rebooting", "verifying", "done", "skipped", "quarantined"];

/// All metrics of a run. `events` is how many it has; `approval` whether it waits for one.
pub fn prometheus(summary: &Summary, eta: Option<&Eta>, events: u64, approval: bool) -> String {
    let mut page = Page { text: String::new(), run: label("run", &summary.run.to_string()) };
    let about = [label("region", &summary.region), label("remedy", &summary.remedy)];
    let about = [about.as_slice(), &[label("rollout", summary.rollout.as_str())]].concat();
    page.put("fleetmend_run_info", Kind::Gauge, "What is run.", [(about.join(","), 1.0)]);
    let outcome = |one: &&'static str| (label("outcome", one), truth(*one == summary.outcome));
    page.put("fleetmend_run_outcome", Kind::Gauge, "1 for how the run stands.", OUTCOMES.iter().map(outcome));
    let count = |state: &&'static str| {
        let hosts = summary.host.iter().filter(|line| line.state == *state);
        (label("state", state), number(hosts.count()))
    };
    page.put("fleetmend_hosts", Kind::Gauge, "Planned hosts by what they do.", STATES.iter().map(count));
    let moves = &summary.migrations;
    page.one("fleetmend_migrations_in_flight", Kind::Gauge, "Migrations under way.", number(moves.active));
    let results = [("done", moves.done), ("failed", moves.failed), ("retried", moves.retried)];
    let results = results.map(|(result, count)| (label("result", result), number(count)));
    page.put("fleetmend_migrations_total", Kind::Counter, "Migrations by how they came out.", results);
    page.one("fleetmend_approval_needed", Kind::Gauge, "1 while the run waits for `approve`.", truth(approval));
    let runner = summary.runner.as_ref();
    let up = runner.is_some_and(|runner| runner.alive);
    page.one("fleetmend_runner_up", Kind::Gauge, "1 while a process runs the run.", truth(up));
    if let Some(heartbeat) = runner.and_then(|runner| runner.heartbeat) {
        let help = "The runner's last sign of life.";
        page.one("fleetmend_runner_heartbeat_timestamp_seconds", Kind::Gauge, help, seconds(heartbeat));
    }
    if let Some(started) = summary.started {
        page.one("fleetmend_run_started_timestamp_seconds", Kind::Gauge, "When the run began.", seconds(started));
    }
    if let Some(ended) = summary.ended {
        page.one("fleetmend_run_ended_timestamp_seconds", Kind::Gauge, "When it ended last.", seconds(ended));
    }
    if let Some(eta) = eta {
        let bounds = [("earliest", eta.earliest), ("likely", eta.likely), ("latest", eta.latest)];
        let bounds = bounds.map(|(bound, at)| (label("bound", bound), seconds(at)));
        page.put("fleetmend_run_expected_end_timestamp_seconds", Kind::Gauge, "When it is likely to end.", bounds);
    }
    let help = "Requests to the cloud of processes that came to an orderly end, repeats included.";
    page.one("fleetmend_cloud_requests_total", Kind::Counter, help, exact(summary.api.requests));
    let help = "Repeats among them.";
    page.one("fleetmend_cloud_retries_total", Kind::Counter, help, exact(summary.api.retries));
    page.one("fleetmend_events_total", Kind::Counter, "Events in the run's journal.", exact(events));
    page.one("fleetmend_resumes_total", Kind::Counter, "How often the run was resumed.", number(summary.resumed));
    page.text
}

struct Page {
    text: String,
    run: String,
}

impl Page {
    fn put(&mut self, name: &str, kind: Kind, help: &str, samples: impl IntoIterator<Item = (String, f64)>) {
        let kind = match kind {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
        };
        let _ = write!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}\n");
        for (labels, value) in samples {
            let comma = if labels.is_empty() { "" } else { "," };
            let _ = writeln!(self.text, "{name}{{{}{comma}{labels}}} {value}", self.run);
        }
    }

    fn one(&mut self, name: &str, kind: Kind, help: &str, value: f64) {
        self.put(name, kind, help, [(String::new(), value)]);
    }
}

/// Backslash, quote and line break are escaped; everything else is text.
fn label(name: &str, value: &str) -> String {
    format!("{name}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"))
}

fn truth(is_so: bool) -> f64 {
    f64::from(u8::from(is_so))
}

#[expect(clippy::cast_precision_loss, reason = "counts of hosts and moves are far below what a double holds exactly")]
fn number(count: usize) -> f64 {
    count as f64
}

#[expect(clippy::cast_precision_loss, reason = "counts of requests are far below what a double holds exactly")]
fn exact(count: u64) -> f64 {
    count as f64
}

fn seconds(at: Timestamp) -> f64 {
    at.as_duration().as_secs_f64()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::report::Observation;
    use crate::report::fixture::{at, events, region, rollout, run_id};
    use crate::run::RunState;

    #[test]
    fn a_run_is_told_in_numbers() {
        let mut state = RunState::new(run_id(), Arc::new(rollout()), &region());
        for event in &events() {
            state.apply(event).unwrap();
        }
        let summary = Summary::of(&state, &Observation { now: at(2000), heartbeat: Some(at(1999)), alive: false });
        let text = prometheus(&summary, None, state.seq(), false);
        let run = run_id();
        let quarantined = summary.hosts.quarantined;
        for line in [
            format!("fleetmend_hosts{{run=\"{run}\",state=\"quarantined\"}} {quarantined}"),
            format!("fleetmend_run_outcome{{run=\"{run}\",outcome=\"{}\"}} 1", summary.outcome),
            format!("fleetmend_migrations_total{{run=\"{run}\",result=\"done\"}} {}", summary.migrations.done),
            format!("fleetmend_events_total{{run=\"{run}\"}} {}", state.seq()),
            "# TYPE fleetmend_migrations_total counter".to_owned(),
        ] {
            assert!(text.lines().any(|one| one == line), "{line} is not in\n{text}");
        }
        assert!(quarantined > 0 && text.ends_with('\n'));
    }

    #[test]
    fn a_label_cannot_end_its_line() {
        assert_eq!(label("region", "a\"b\\\nc"), "region=\"a\\\"b\\\\\\nc\"");
    }
}
