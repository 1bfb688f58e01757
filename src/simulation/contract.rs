//! The table of docs/steps.md against what the engine did: which intents each kind of step records, and what it puts on
//! record as its output.

use std::collections::{BTreeMap, BTreeSet};

use crate::run::{Event, EventKind};
use crate::workflow::StepKind;

/// Words by kind of step.
pub(super) type Words = BTreeMap<&'static str, BTreeSet<String>>;

/// Intents that the table names for each kind: what stands between backticks in its second column.
pub(super) fn declared() -> Words {
    let page = include_str!("../../docs/steps.md");
    let rows = page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    let row = |(kind, rest): (&str, &str)| {
        let kind = StepKind::named(kind).expect("the table lists kinds of steps").name();
        let column = rest.split('|').nth(1).unwrap_or_default();
        (kind, column.split('`').skip(1).step_by(2).map(str::to_owned).collect())
    };
    rows.map(row).collect()
}

/// Intents that were recorded for each kind.
pub(super) fn recorded(events: &[Event], words: &mut Words) {
    for event in events {
        let EventKind::StepIntended { step, intent } = &event.kind else { continue };
        let kind = step.as_str().split('/').nth(1).and_then(StepKind::named).expect("a step is of a kind");
        let intent = serde_json::to_value(intent).unwrap();
        words.entry(kind.name()).or_default().insert(intent["do"].as_str().unwrap().to_owned());
    }
}

/// Where the table and what was recorded differ. That something was never recorded says something only of many seeds.
pub(super) fn differences(recorded: &Words, is_much: bool) -> Vec<String> {
    let none = BTreeSet::new();
    let mut found = Vec::new();
    for (kind, declared) in declared() {
        let recorded = recorded.get(kind).unwrap_or(&none);
        let undeclared: Vec<_> = recorded.difference(&declared).collect();
        let unseen: Vec<_> = declared.difference(recorded).collect();
        if !undeclared.is_empty() {
            found.push(format!("`{kind}` records {undeclared:?}, of which docs/steps.md says nothing"));
        }
        if is_much && !unseen.is_empty() {
            found.push(format!("`{kind}` never records {unseen:?}, as docs/steps.md says"));
        }
    }
    found
}
