//! One run through all faces.

use std::sync::Arc;

use super::fixture::{HOSTILE, at, events, region, rollout, run_id};
use super::{History, Observation, Report, Style, Summary, html, markdown, status};
use crate::model::{ProjectId, ZoneName};
use crate::run::RunState;

fn state(events: usize) -> (RunState, History) {
    let rollout = Arc::new(rollout());
    let mut state = RunState::new(run_id(), Arc::clone(&rollout), &region());
    let mut history = History::of(&rollout);
    for event in super::fixture::events().iter().take(events) {
        state.apply(event).unwrap();
        history.tell(event);
    }
    (state, history)
}

fn observed(alive: bool) -> Observation {
    Observation { now: at(400), heartbeat: Some(at(395)), alive }
}

fn whole() -> Report {
    let (state, history) = state(usize::MAX);
    Report::of(&state, &history, &observed(false))
}

#[test]
fn a_run_without_a_process_is_interrupted_and_with_one_it_runs() {
    let (state, _) = state(20);
    assert_eq!(Summary::of(&state, &observed(false)).outcome, "interrupted");
    assert_eq!(Summary::of(&state, &observed(true)).outcome, "running");
}

#[test]
fn the_status_of_a_live_run_says_what_is_under_way_and_what_waits() {
    let (state, _) = state(20);
    let summary = Summary::of(&state, &observed(true));
    insta::assert_snapshot!(status::text(&summary, at(400), Style::plain()));
}

#[test]
fn the_json_of_a_status_keeps_its_shape() {
    let (state, _) = state(usize::MAX);
    insta::assert_json_snapshot!(Summary::of(&state, &observed(false)));
}

#[test]
fn the_report_tells_each_attempt_move_and_cause() {
    insta::assert_json_snapshot!(whole());
}

#[test]
fn the_ticket_of_a_run_holds_what_happened() {
    insta::assert_snapshot!(markdown::report(&whole()));
}

/// Of both kinds: what a page may not hold, whatever instances and projects are called.
fn assert_closed(page: &str) {
    for forbidden in ["http://", "https://", "src=", HOSTILE, "<script>alert", "\u{1b}", "\u{202e}", "onerror"] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    assert_eq!(page.matches("<script").count(), 1, "its own script and no other");
    assert!(page.contains("&#60;script&#62;") || page.contains("&lt;script&gt;"));
}

#[test]
fn a_report_loads_nothing_and_no_name_gets_out_of_its_place() {
    let page = html::report(&whole()).unwrap();
    for needed in ["compute-2", "did not come back", "4.18.0-80.1.2.el8_0", "<svg", "No valid host was found"] {
        assert!(page.contains(needed), "{needed}");
    }
    assert_closed(&page);
}

#[test]
fn a_page_for_review_says_who_is_touched_when_and_no_name_gets_out_of_its_place() {
    let mut rollout = rollout();
    rollout.remedy.title = HOSTILE.to_owned();
    rollout.hosts[1].zone = Some(ZoneName::new(HOSTILE));
    rollout.hosts[1].moves[0].project = ProjectId::new(HOSTILE);
    let page = html::review(&rollout).unwrap();
    for needed in ["compute-2", "+11 min to +22 min", "--approve sha256:0000", "<svg", "disk trouble", "1 warning"] {
        assert!(page.contains(needed), "{needed}");
    }
    assert_closed(&page);
}

#[test]
fn every_event_has_a_sentence() {
    let (_, history) = state(usize::MAX);
    assert_eq!(history.trail.len(), events().len());
    let lines: Vec<String> = history
        .trail
        .iter()
        .map(|entry| {
            let host = entry.sentence.host.as_ref().map(ToString::to_string).unwrap_or_default();
            format!("{:>3} {host:9} {}", entry.seq, super::printable(&entry.sentence.text))
        })
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
}
