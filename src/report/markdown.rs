//! The report of a run for a change ticket.

use std::fmt::Write as _;

use super::document::Report;
use super::evidence::outcome_word;
use super::sentence::{took, verdict_words};
use super::status::{hosts_words, migrations_words, stopped_table};
use super::story::HostStory;
use super::table::{Lean, Table};
use super::text::{duration, markdown_cell};

/// The report in Markdown.
pub fn report(report: &Report) -> String {
    let summary = &report.summary;
    let mut out = String::new();
    let _ = writeln!(out, "# Run {}: {}\n", summary.run, summary.outcome);
    let _ = writeln!(out, "- remedy {} in {}", markdown_cell(&summary.remedy), markdown_cell(&summary.region));
    let _ = writeln!(out, "- rollout `{}`", markdown_cell(summary.rollout.as_str()));
    if let (Some(started), Some(ended)) = (summary.started, summary.ended) {
        let _ = writeln!(out, "- {started:.0} to {ended:.0}, {}; resumed: {}", took(started, ended), summary.resumed);
    }
    let _ = writeln!(out, "- {}", hosts_words(&summary.hosts, summary.subject));
    let _ = writeln!(out, "- moves: {}", migrations_words(&summary.migrations));
    let _ = writeln!(out, "- {} requests to the cloud, {} repeated", summary.api.requests, summary.api.retries);
    section(&mut out, "Hosts", &hosts(report));
    section(&mut out, "Instances that did not start again", &stopped_table(summary, true));
    section(&mut out, "Instances that are stopped in place", &stopped_table(summary, false));
    section(&mut out, "Failures", &failures(report));
    section(&mut out, "Left alone by the plan", &left_alone(report));
    section(&mut out, "Moves", &moves(report));
    section(&mut out, "Evidence after the reboot", &evidence(report));
    section(&mut out, "Audit trail", &audit(report));
    out
}

fn section(out: &mut String, title: &str, table: &Table) {
    if !table.is_empty() {
        let _ = write!(out, "\n## {title}\n\n{}", table.markdown());
    }
}

fn stories(report: &Report) -> impl Iterator<Item = (&str, &HostStory)> {
    report.summary.host.iter().filter_map(|line| Some((line.host.as_str(), line.story.as_ref()?)))
}

fn hosts(report: &Report) -> Table {
    let mut table = Table::new(&[
        ("host", Lean::Left),
        ("state", Lean::Left),
        ("before", Lean::Left),
        ("after", Lean::Left),
        ("moves", Lean::Right),
        ("took", Lean::Right),
        ("planned", Lean::Right),
        ("why", Lean::Left),
    ]);
    for line in &report.summary.host {
        let story = line.story.as_ref();
        let before = story.map(|story| verdict_words(story.before.verdict)).unwrap_or_default();
        let after = story.and_then(|story| story.after.as_ref()).map(|after| verdict_words(after.verdict));
        let moves = story.map_or(0, |story| story.moves.len()).to_string();
        let took = story.and_then(|story| story.took_s).map_or_else(|| "-".to_owned(), duration);
        let planned = story.map(|story| duration(story.planned_finish_s - story.planned_start_s)).unwrap_or_default();
        table.row([
            line.host.as_str(),
            line.state,
            before,
            after.unwrap_or("-"),
            &moves,
            &took,
            &planned,
            line.why.as_deref().unwrap_or(""),
        ]);
    }
    table
}

fn failures(report: &Report) -> Table {
    let mut table = Table::new(&[
        ("at", Lean::Left),
        ("host", Lean::Left),
        ("what", Lean::Left),
        ("attempt", Lean::Right),
        ("why", Lean::Left),
    ]);
    for line in &report.failures {
        let causes = line.causes.join(": ");
        table.row([&format!("{:.0}", line.at), line.host.as_str(), &line.what, &line.attempt.to_string(), &causes]);
    }
    table
}

fn left_alone(report: &Report) -> Table {
    let mut table = Table::new(&[("host", Lean::Left), ("why", Lean::Left), ("detail", Lean::Left)]);
    for skipped in &report.left_alone {
        table.row([skipped.host.as_str(), super::review::skip_words(skipped.reason), &skipped.detail]);
    }
    table
}

fn moves(report: &Report) -> Table {
    let mut table = Table::new(&[
        ("instance", Lean::Left),
        ("name", Lean::Left),
        ("from", Lean::Left),
        ("to", Lean::Left),
        ("outcome", Lean::Left),
        ("attempts", Lean::Right),
        ("took", Lean::Right),
    ]);
    for (host, story) in stories(report) {
        for line in &story.moves {
            let duration = line.ended.map(|ended| took(line.started, ended)).unwrap_or_default();
            let to = line.to.as_ref().map(ToString::to_string).unwrap_or_default();
            let id = line.instance.to_string();
            table.row([&id, &line.name, host, &to, line.outcome, &line.attempts.to_string(), &duration]);
        }
    }
    table
}

fn evidence(report: &Report) -> Table {
    let mut table = Table::new(&[
        ("host", Lean::Left),
        ("", Lean::Left),
        ("requirement", Lean::Left),
        ("found", Lean::Left),
        ("in", Lean::Left),
    ]);
    for (host, story) in stories(report) {
        for piece in story.after.iter().flat_map(|verdict| &verdict.evidence) {
            let found = piece.found.as_deref().unwrap_or("-");
            table.row([host, outcome_word(piece.outcome), &piece.requirement, found, &piece.source]);
        }
    }
    table
}

fn audit(report: &Report) -> Table {
    let mut table = Table::new(&[("", Lean::Right), ("at", Lean::Left), ("host", Lean::Left), ("what", Lean::Left)]);
    for line in &report.audit {
        let host = line.host.as_ref().map(ToString::to_string).unwrap_or_default();
        table.row([&line.seq.to_string(), &format!("{:.0}", line.at), &host, &line.text]);
    }
    table
}
