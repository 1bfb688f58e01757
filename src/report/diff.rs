//! What changed between two rollouts, or between a rollout and its region, as a document.

use std::fmt::Write as _;

use super::table::{Lean, Table};
use super::text::{count, markdown_cell};
use crate::plan::{Difference, Weight};

/// A comparison with what was compared.
#[derive(Debug, Clone)]
pub struct Comparison<'a> {
    /// What it was.
    pub before: String,
    /// What it is.
    pub after: String,
    /// What changed.
    pub differences: &'a [Difference],
}

/// What a weight means for who reads it, in a few words.
pub fn weight_words(weight: Weight) -> &'static str {
    match weight {
        Weight::Harmless => "harmless",
        Weight::Adapts => "adapts",
        Weight::LosesHost => "loses the host",
        Weight::Stale => "stale",
    }
}

/// What follows from the gravest difference.
pub fn verdict(weight: Weight) -> &'static str {
    match weight {
        Weight::Harmless => "nothing is done otherwise",
        Weight::Adapts => "a run does otherwise within the rules of its plan",
        Weight::LosesHost => "hosts would be left alone",
        Weight::Stale => "the first must not be run any more: plan again",
    }
}

impl Comparison<'_> {
    /// The gravest weight.
    pub fn weight(&self) -> Weight {
        self.differences.iter().map(|one| one.weight).max().unwrap_or(Weight::Harmless)
    }

    /// What it amounts to, in one line.
    pub fn headline(&self) -> String {
        if self.differences.is_empty() {
            return "no difference".to_owned();
        }
        format!("{}: {}", count(self.differences.len(), "difference"), verdict(self.weight()))
    }

    /// So many differences of each weight, the gravest first.
    pub fn counts(&self) -> Vec<(Weight, usize)> {
        let weights = [Weight::Stale, Weight::LosesHost, Weight::Adapts, Weight::Harmless];
        let count = |weight| self.differences.iter().filter(|one| one.weight == weight).count();
        weights.map(|weight| (weight, count(weight))).into_iter().filter(|(_, count)| *count > 0).collect()
    }

    /// For a change ticket.
    pub fn markdown(&self) -> String {
        let mut table = Table::new(&[("host", Lean::Left), ("matters", Lean::Left), ("what", Lean::Left)]);
        for one in self.differences {
            table.row([one.host.as_ref().map_or("-", |host| host.as_str()), weight_words(one.weight), &one.detail]);
        }
        let mut out = format!("# {} and {}\n\n", markdown_cell(&self.before), markdown_cell(&self.after));
        let _ = writeln!(out, "{}.", self.headline());
        if !table.is_empty() {
            let _ = write!(out, "\n{}", table.markdown());
        }
        out
    }
}
