//! The report of a run, as a page.

use askama::Template;

use super::page::{
    Card, MANY, SCRIPT, STYLE_SHEET, Standing, ZOOMS, count, grouped, handling_words, outcome_class, outcome_word,
    printable, prose, script_hash, seconds, skip_words, span, state_class, stay_words, time, verdict,
};
use crate::report::document::{AuditLine, Report};
use crate::report::gantt::Gantt;
use crate::report::review::certificate_words;
use crate::report::sentence::took;
use crate::report::summary::Summary;
use crate::report::text::duration;

/// Events that a page tells in full; of more, the notable ones. A region of 1,000 hosts has a hundred thousand.
const MOST_EVENTS: usize = 20_000;

#[derive(Template)]
#[template(path = "report.html")]
struct ReportPage<'a> {
    report: &'a Report,
    standing: Standing,
    cards: Vec<Card>,
    many: bool,
    gantt: Gantt,
    certificate: Vec<String>,
    audit: Vec<&'a AuditLine>,
}

/// The report as a page.
pub fn report(report: &Report) -> Result<String, askama::Error> {
    let summary = &report.summary;
    let is_long = report.audit.len() > MOST_EVENTS;
    let page = ReportPage {
        report,
        standing: standing(summary),
        cards: cards(report),
        many: summary.host.len() > MANY,
        gantt: Gantt::of_run(summary),
        certificate: certificate_words(&report.certificate),
        audit: report.audit.iter().filter(|line| !is_long || line.bad || line.host.is_none()).collect(),
    };
    page.render()
}

fn standing(summary: &Summary) -> Standing {
    let hosts = &summary.hosts;
    let proven = format!("{} of {} proven mitigated", hosts.done, count(hosts.total, "host"));
    let says = match &summary.paused_because {
        Some(because) => format!("{proven}; {because}"),
        None if summary.stopped.iter().any(|line| line.why.is_some()) => {
            let unstarted = summary.stopped.iter().filter(|line| line.why.is_some()).count();
            format!("{proven}; {} quarantined; {} did not start again", hosts.quarantined, count(unstarted, "instance"))
        }
        None if hosts.quarantined > 0 => format!("{proven}; {} quarantined", hosts.quarantined),
        None => proven,
    };
    let (class, word) = match summary.outcome {
        "done" => ("good", "✓ Done"),
        "done-with-failures" => ("bad", "✗ Done, with failures"),
        "running" => ("", "… Running"),
        "interrupted" => ("bad", "✗ Interrupted"),
        "paused" => ("mind", "! Paused"),
        "abandoned" => ("mind", "! Abandoned"),
        _ => ("mind", "! Stopped"),
    };
    Standing { class, word, says }
}

fn cards(report: &Report) -> Vec<Card> {
    let summary = &report.summary;
    let planned = duration(report.certificate.makespan_s);
    let mut cards = vec![Card::new(format!("{} / {}", summary.hosts.done, summary.hosts.total), "hosts proven")];
    if let Some((started, ended)) = summary.started.zip(summary.ended) {
        cards.push(Card::new(took(started, ended), format!("from begin to end; planned: {planned}")));
    }
    let moves = &summary.migrations;
    cards.extend([
        Card::new(grouped(summary.hosts.quarantined), "hosts quarantined"),
        Card::new(grouped(moves.done), "instances moved"),
        Card::new(grouped(moves.failed), format!("moves failed; {} tried again", moves.retried)),
        Card::new(summary.resumed.to_string(), "times resumed"),
        Card::new(
            grouped(usize::try_from(summary.api.requests).unwrap_or(usize::MAX)),
            format!("requests to the cloud; {} repeated", summary.api.retries),
        ),
    ]);
    cards
}

/// Versions of a package side by side.
fn versions(versions: &[String]) -> String {
    if versions.is_empty() { "-".to_owned() } else { printable(&versions.join(", ")).into_owned() }
}

/// A chain of causes in one line.
fn causes(causes: &[String]) -> String {
    printable(&causes.join("; because ")).into_owned()
}

/// What tells a state apart without its colour.
fn state_sign(state: &str) -> &'static str {
    match state_class(state) {
        "good" => "✓",
        "bad" => "✗",
        "mind" => "!",
        _ => "·",
    }
}
