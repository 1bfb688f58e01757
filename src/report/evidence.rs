//! Verdicts and their evidence for people.

use super::table::{Lean, Table};
use crate::remedy::{Evidence, Outcome, Verdict};

/// How a requirement came out, in a word.
pub fn outcome_word(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Pass => "pass",
        Outcome::Warn => "warn",
        Outcome::Fail => "fail",
        Outcome::NotApplicable => "n/a",
        Outcome::Unknown => "unknown",
    }
}

/// Each piece of evidence, in the remedy's order.
pub fn table(verdict: &Verdict) -> Table {
    let mut table =
        Table::new(&[("", Lean::Left), ("requirement", Lean::Left), ("found", Lean::Left), ("in", Lean::Left)]);
    for evidence in &verdict.evidence {
        table.row([
            outcome_word(evidence.outcome),
            &evidence.requirement,
            evidence.found.as_deref().unwrap_or("-"),
            &evidence.source,
        ]);
    }
    table
}

/// What decides the verdict: what fails, else what is unknown, else what people must see.
pub fn decisive(verdict: &Verdict) -> Vec<&Evidence> {
    for outcome in [Outcome::Fail, Outcome::Unknown, Outcome::Warn] {
        let found: Vec<&Evidence> = verdict.evidence.iter().filter(|evidence| evidence.outcome == outcome).collect();
        if !found.is_empty() {
            return found;
        }
    }
    Vec::new()
}
