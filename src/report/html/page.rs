//! What all pages share: style, script, and words and colours for what templates show.

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::plan::Severity;
use crate::remedy::{Outcome, Verdict};
pub(super) use crate::report::evidence::outcome_word;
pub(super) use crate::report::review::{gravest_first, handling_words, severity_word, skip_words, stay_words};
use crate::report::sentence::{took, verdict_words};
pub(super) use crate::report::text::{count, duration, printable};

/// The style sheet of every page.
pub(super) const STYLE_SHEET: &str = include_str!("../templates/page.css");

/// The script of every page.
pub(super) const SCRIPT: &str = include_str!("../templates/page.js");

/// Widths of time lines: class and label.
pub(super) const ZOOMS: [(&str, &str); 5] = [("z1", "1×"), ("z2", "2×"), ("z4", "4×"), ("z8", "8×"), ("z16", "16×")];

/// Hosts from which on a page leaves the layout of what is out of sight for later.
pub(super) const MANY: usize = 60;

/// What a reader is told first.
pub(super) struct Standing {
    /// Its colour.
    pub class: &'static str,
    /// In a word.
    pub word: &'static str,
    /// In a sentence.
    pub says: String,
}

/// A number that stands out.
pub(super) struct Card {
    /// The number.
    pub number: String,
    /// Of what.
    pub about: String,
}

impl Card {
    pub(super) fn new(number: impl Into<String>, about: impl Into<String>) -> Self {
        Self { number: number.into(), about: about.into() }
    }
}

/// The script as a content security policy names it. Source: Content Security Policy Level 3, "hash-source".
pub(super) fn script_hash() -> String {
    format!("sha256-{}", base64(&Sha256::digest(SCRIPT)))
}

/// Source: RFC 4648, section 4.
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for place in 0..4 {
            let six = (word >> (18 - 6 * place)) & 0x3f;
            text.push(if place <= chunk.len() { char::from(ALPHABET[six as usize]) } else { '=' });
        }
    }
    text
}

/// A number that people read: `18,639`.
pub(super) fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let groups: Vec<&str> =
        digits.as_bytes().rchunks(3).rev().filter_map(|group| std::str::from_utf8(group).ok()).collect();
    groups.join(",")
}

/// Text as HTML: safe, and what stands between backticks as code.
pub(super) fn prose(text: &str) -> String {
    let mut html = String::with_capacity(text.len() + 32);
    for (number, part) in text.split('`').enumerate() {
        if number > 0 {
            html.push_str(if number % 2 == 1 { "<code>" } else { "</code>" });
        }
        for c in printable(part).chars() {
            match c {
                '<' => html.push_str("&lt;"),
                '>' => html.push_str("&gt;"),
                '&' => html.push_str("&amp;"),
                '"' => html.push_str("&quot;"),
                '\'' => html.push_str("&#39;"),
                _ => html.push(c),
            }
        }
    }
    if text.matches('`').count() % 2 == 1 {
        html.push_str("</code>");
    }
    html
}

/// The colour of an outcome or a state.
pub(super) fn state_class(state: &str) -> &'static str {
    match state {
        "done" | "moved" | "succeeded" => "good",
        "quarantined" | "failed" | "done-with-failures" | "interrupted" => "bad",
        "skipped" | "paused" | "stopped" | "unfinished" | "gone" => "mind",
        _ => "",
    }
}

/// The colour of a piece of evidence.
pub(super) fn outcome_class(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Pass => "good",
        Outcome::Warn | Outcome::Unknown => "mind",
        Outcome::Fail => "bad",
        Outcome::NotApplicable => "soft",
    }
}

/// The colour of a note.
pub(super) fn severity_class(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "soft",
        Severity::Warning => "mind",
        Severity::Fatal => "bad",
    }
}

pub(super) fn time(at: &Timestamp) -> String {
    format!("{at:.0}").replace('T', " ")
}

pub(super) fn span(from: &Timestamp, to: &Timestamp) -> String {
    took(*from, *to)
}

pub(super) fn verdict(verdict: &Verdict) -> &'static str {
    verdict_words(verdict.verdict)
}

/// Seconds since the start of the run.
pub(super) fn since(seconds: f64) -> String {
    format!("+{}", duration(seconds))
}

pub(super) fn seconds(seconds: f64) -> String {
    duration(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prose_lets_no_markup_in_and_closes_what_it_opens() {
        assert_eq!(prose("a `b<c` & \u{202e}"), "a <code>b&lt;c</code> &amp; \\u{202e}");
        assert_eq!(prose("`open"), "<code>open</code>");
        assert_eq!([grouped(7), grouped(1234), grouped(1_234_567)], ["7", "1,234", "1,234,567"]);
    }

    #[test]
    fn base64_is_that_of_the_standard() {
        for (bytes, text) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }
}
