//! A run as a trace: a row a host, by zone; steps as bars, moves and downloads beside them. For Perfetto and
//! `chrome://tracing`.
//!
//! Source of the form: "Trace Event Format" of the Chromium project. Bars of one row must nest, so what runs side by side
//! on a host is written as asynchronous events, which get rows of their own.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::document::Report;
use super::sentence::StepParts;
use super::story::StepLine;
use super::text::printable;
use crate::workflow::StepKind;

/// The trace of a run.
pub fn trace(report: &Report) -> Value {
    let summary = &report.summary;
    let mut events = Vec::new();
    let mut zones: BTreeMap<String, usize> = BTreeMap::new();
    let last = report.audit.last().map(|line| line.at);
    for line in &summary.host {
        let Some(story) = &line.story else { continue };
        let zone = story.zone.as_ref().map_or_else(|| "no zone".to_owned(), ToString::to_string);
        let next = zones.len() + 1;
        let process = *zones.entry(zone).or_insert(next);
        let row = json!({"name": printable(line.host.as_str())});
        events.push(json!({"ph": "M", "name": "thread_name", "pid": process, "tid": story.order, "args": row}));
        for (number, step) in story.steps.iter().enumerate() {
            // One whose process was killed is drawn up to what its host did next.
            let next = story.steps[number + 1..].iter().map(|later| later.started).min();
            let end = step.ended.or(next).or(last).unwrap_or(step.started).max(step.started);
            put(&mut events, process, story.order, step, end);
        }
    }
    for (zone, process) in &zones {
        let name = json!({"name": printable(zone)});
        events.push(json!({"ph": "M", "name": "process_name", "pid": process, "tid": 0, "args": name}));
    }
    for line in report.audit.iter().filter(|line| line.host.is_none()) {
        let name = printable(&line.text);
        events
            .push(json!({"ph": "i", "s": "g", "cat": "run", "name": name, "pid": 1, "tid": 0, "ts": micros(line.at)}));
    }
    json!({
        "displayTimeUnit": "ms",
        "otherData": {"run": summary.run, "rollout": summary.rollout, "region": summary.region, "remedy": summary.remedy},
        "traceEvents": events,
    })
}

fn put(events: &mut Vec<Value>, process: usize, row: u32, step: &StepLine, end: Timestamp) {
    let name = printable(&step.what);
    let (from, to) = (micros(step.started), micros(end));
    let args = json!({
        "step": step.step, "attempt": step.attempt, "outcome": step.outcome, "result": printable(&step.result),
    });
    if let Some(StepKind::Move | StepKind::Stage) = StepParts::of(&step.step).kind {
        let id = format!("{}#{}", step.step, step.attempt);
        let cat = if StepParts::of(&step.step).instance.is_some() { "move" } else { "stage" };
        let both = |ph: &str, ts: i64| json!({"ph": ph, "cat": cat, "id": id, "name": name, "pid": process, "tid": row, "ts": ts});
        let mut begin = both("b", from);
        begin["args"] = args;
        events.extend([begin, both("e", to)]);
    } else {
        let mut bar = json!({"ph": "X", "cat": "step", "name": name, "pid": process, "tid": row, "ts": from, "dur": to - from, "args": args});
        if step.outcome == "failed" {
            bar["cname"] = json!("terrible");
        }
        events.push(bar);
    }
}

fn micros(at: Timestamp) -> i64 {
    at.as_microsecond()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::report::fixture::{at, events, region, rollout, run_id};
    use crate::report::{History, Observation};
    use crate::run::RunState;

    #[test]
    fn bars_of_one_row_nest_and_what_runs_beside_them_begins_and_ends() {
        let rollout = Arc::new(rollout());
        let mut state = RunState::new(run_id(), Arc::clone(&rollout), &region());
        let mut history = History::of(&rollout);
        for event in events() {
            state.apply(&event).unwrap();
            history.tell(&event);
        }
        let seen = Observation { now: at(2000), heartbeat: None, alive: false };
        let trace = trace(&Report::of(&state, &history, &seen));
        let all = trace["traceEvents"].as_array().unwrap();
        let of = |ph: &str| all.iter().filter(|one| one["ph"] == ph).collect::<Vec<_>>();
        assert!(!of("X").is_empty() && !of("M").is_empty());
        assert_eq!(of("b").len(), of("e").len());
        let mut ends: BTreeMap<String, i64> = BTreeMap::new();
        let mut bars = of("X");
        bars.sort_by_key(|bar| bar["ts"].as_i64());
        for bar in bars {
            let row = format!("{} {}", bar["pid"], bar["tid"]);
            let (from, length) = (bar["ts"].as_i64().unwrap(), bar["dur"].as_i64().unwrap());
            assert!(length >= 0 && ends.get(&row).is_none_or(|end| *end <= from), "{bar} overlaps what is before it");
            ends.insert(row, from + length);
        }
    }
}
