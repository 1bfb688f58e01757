//! A notice to a project: Markdown out of a template, which can only name what a notice has.

use std::fmt::Write as _;

use super::book::{Counts, Ledger};
use super::judge::{Entry, Renewal};
use crate::model::ProjectId;

/// The template of notices when no other is given.
pub const DEFAULT_NOTICE: &str = include_str!("notice.md");

/// A template that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoticeError {
    /// It names something that a notice does not have.
    #[error("line {line}: there is no `{{{{{name}}}}}`; a notice has {}", NAMES.map(|name| format!("`{{{{{name}}}}}`")).join(", "))]
    NoSuchName {
        /// Which line, from 1.
        line: usize,
        /// What it names.
        name: String,
    },
    /// Braces that do not end.
    #[error("line {line}: `{{{{` without `}}}}`")]
    Unclosed {
        /// Which line, from 1.
        line: usize,
    },
}

/// What a template may name.
const NAMES: [&str; 10] =
    ["project", "region", "remedy", "date", "due", "exposed", "unknown", "renewed", "instances", "to_do"];

/// A template that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Name(&'static str),
}

impl Notice {
    /// Reads a template: text with `{{name}}` in it.
    pub fn read(template: &str) -> Result<Self, NoticeError> {
        let mut parts = Vec::new();
        let mut rest = template;
        let line = |rest: &str| template[..template.len() - rest.len()].matches('\n').count() + 1;
        while let Some((text, after)) = rest.split_once("{{") {
            let Some((name, after_name)) = after.split_once("}}") else {
                return Err(NoticeError::Unclosed { line: line(after) });
            };
            let known = NAMES.into_iter().find(|known| *known == name.trim());
            let named =
                known.ok_or_else(|| NoticeError::NoSuchName { line: line(after), name: name.trim().to_owned() })?;
            parts.extend([Part::Text(text.to_owned()), Part::Name(named)]);
            rest = after_name;
        }
        parts.push(Part::Text(rest.to_owned()));
        Ok(Self { parts })
    }

    /// The notice to one project; what is put in is put in as text and never read as a template again.
    pub fn fill(&self, ledger: &Ledger, project: &ProjectId) -> String {
        let entries: Vec<&Entry> = ledger.instances.iter().filter(|entry| entry.project == *project).collect();
        let counts = ledger.projects.iter().find(|one| one.project == *project).map(|one| one.counts);
        let counts = counts.unwrap_or_default();
        self.parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => text.clone(),
                Part::Name(name) => value(name, ledger, project, counts, &entries),
            })
            .collect()
    }
}

fn value(name: &str, ledger: &Ledger, project: &ProjectId, counts: Counts, entries: &[&Entry]) -> String {
    match name {
        "project" => plain(project.as_str()),
        "region" => plain(&ledger.region),
        "remedy" => plain(&ledger.remedy),
        "date" => ledger.taken_at.strftime("%Y-%m-%d").to_string(),
        "due" => counts.due.to_string(),
        "exposed" => counts.exposed.to_string(),
        "unknown" => counts.unknown.to_string(),
        "renewed" => counts.renewed.to_string(),
        "instances" => counts.instances.to_string(),
        _ => to_do(entries),
    }
}

/// A table of what the project has to look at.
fn to_do(entries: &[&Entry]) -> String {
    let open = |entry: &&&Entry| matches!(entry.verdict, Renewal::Due | Renewal::Exposed | Renewal::Unknown);
    let mut text = "| instance | id | state | why |\n|---|---|---|---|\n".to_owned();
    for entry in entries.iter().filter(open) {
        let cells = [&entry.name, &entry.instance.to_string(), entry.verdict.words(), &entry.why].map(plain);
        let _ = writeln!(text, "| {} |", cells.join(" | "));
    }
    text
}

/// Text of strangers in Markdown: neither markup nor a line's end, and no cell's.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' | '`' | '*' | '_' | '[' | ']' | '(' | ')' | '<' | '>' | '#' | '|' | '~' | '!' => out.extend(['\\', c]),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}
