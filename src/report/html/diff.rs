//! A comparison of rollouts as a page.

use askama::Template;

use super::page::{Card, SCRIPT, STYLE_SHEET, Standing, grouped, printable, prose, script_hash};
use crate::plan::Weight;
use crate::report::diff::{Comparison, verdict, weight_words};

#[derive(Template)]
#[template(path = "diff.html")]
struct DiffPage<'a> {
    comparison: &'a Comparison<'a>,
    standing: Standing,
    cards: Vec<Card>,
}

/// What changed, as a page.
pub fn diff(comparison: &Comparison<'_>) -> Result<String, askama::Error> {
    let cards = comparison.counts().into_iter().map(|(weight, count)| Card::new(grouped(count), weight_words(weight)));
    DiffPage { comparison, standing: standing(comparison), cards: cards.collect() }.render()
}

fn standing(comparison: &Comparison<'_>) -> Standing {
    if comparison.differences.is_empty() {
        return Standing { class: "good", word: "✓ The same", says: "no difference".to_owned() };
    }
    let (class, word) = match comparison.weight() {
        Weight::Harmless => ("good", "✓ Harmless"),
        Weight::Adapts => ("mind", "! Look at it"),
        Weight::LosesHost => ("mind", "! Hosts are lost"),
        Weight::Stale => ("bad", "✗ Stale"),
    };
    Standing { class, word, says: verdict(comparison.weight()).to_owned() }
}

fn weight_class(weight: Weight) -> &'static str {
    match weight {
        Weight::Harmless => "soft",
        Weight::Adapts | Weight::LosesHost => "mind",
        Weight::Stale => "bad",
    }
}
