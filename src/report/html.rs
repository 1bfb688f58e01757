//! Rollouts and reports as self-contained pages: no script, nothing loaded from elsewhere.

use askama::Template;
use jiff::Timestamp;

use super::chart::{Chart, chart};
use super::document::Report;
use super::evidence::outcome_word;
use super::review::{
    certificate_words, gravest_first, handling_words, headline, severity_word, skip_words, stay_words,
};
use super::sentence::{took, verdict_words};
use super::story::MoveLine;
use super::text::{duration, printable};
use crate::plan::{Rollout, Severity};
use crate::remedy::{Outcome, Verdict};

#[derive(Template)]
#[template(path = "report.html")]
struct ReportPage<'a> {
    report: &'a Report,
    outcome_class: &'static str,
    took: Option<String>,
    planned: String,
    chart: Chart,
    certificate: Vec<String>,
}

/// The report as a page.
pub fn report(report: &Report) -> Result<String, askama::Error> {
    let summary = &report.summary;
    let page = ReportPage {
        report,
        outcome_class: state_class(summary.outcome),
        took: summary.started.zip(summary.ended).map(|(started, ended)| took(started, ended)),
        planned: duration(report.certificate.makespan_s),
        chart: chart(summary),
        certificate: certificate_words(&report.certificate),
    };
    page.render()
}

#[derive(Template)]
#[template(path = "review.html")]
struct ReviewPage<'a> {
    rollout: &'a Rollout,
    headline: String,
    certificate: Vec<String>,
}

/// A rollout for review, as a page.
pub fn review(rollout: &Rollout) -> Result<String, askama::Error> {
    ReviewPage { rollout, headline: headline(rollout), certificate: certificate_words(&rollout.certificate) }.render()
}

/// The colour of an outcome or a state.
fn state_class(state: &str) -> &'static str {
    match state {
        "done" | "moved" | "succeeded" => "good",
        "quarantined" | "failed" | "done-with-failures" | "interrupted" => "bad",
        "skipped" | "paused" | "stopped" | "unfinished" | "gone" => "mind",
        _ => "",
    }
}

/// The colour of a piece of evidence.
fn outcome_class(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Pass => "good",
        Outcome::Warn | Outcome::Unknown => "mind",
        Outcome::Fail => "bad",
        Outcome::NotApplicable => "soft",
    }
}

fn time(at: &Timestamp) -> String {
    format!("{at:.0}").replace('T', " ")
}

fn span(from: &Timestamp, to: &Timestamp) -> String {
    took(*from, *to)
}

fn verdict(verdict: &Verdict) -> &'static str {
    verdict_words(verdict.verdict)
}

/// Whether an instance went somewhere else than planned.
fn elsewhere(line: &MoveLine) -> bool {
    line.to.is_some() && line.to != line.planned_to
}

/// Versions of a package side by side.
fn versions(versions: &[String]) -> String {
    printable(&versions.join(", ")).into_owned()
}

fn seconds(seconds: f64) -> String {
    duration(seconds)
}

/// The colour of a note.
fn severity_class(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "soft",
        Severity::Warning => "mind",
        Severity::Fatal => "bad",
    }
}
