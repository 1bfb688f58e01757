//! Text that others chose, made safe for a terminal.

use std::borrow::Cow;
use std::fmt::Write as _;

/// `text` without anything that a terminal obeys or that makes it read as something else: control characters (escape
/// sequences, line breaks, tabs) and Unicode's direction and invisible marks are shown as escapes.
pub fn printable(text: &str) -> Cow<'_, str> {
    if !text.chars().any(is_treacherous) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        if is_treacherous(c) {
            let _ = write!(safe, "\\u{{{:x}}}", u32::from(c));
        } else {
            safe.push(c);
        }
    }
    Cow::Owned(safe)
}

/// Whether a terminal obeys `c`, or a reader is misled by it. Source of the list of marks: Unicode Technical Report 36
/// (bidirectional controls U+061C, U+200E-F, U+202A-E, U+2066-9; invisible U+200B-D, U+2060-4, U+FEFF, U+00AD) and
/// the two separators that some programs take for a line break.
fn is_treacherous(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{ad}'
                | '\u{61c}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// A length of time in two units at most: `45 s`, `14 min`, `1 h 30 min`, `2 d 3 h`.
pub fn duration(seconds: f64) -> String {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "negative and NaN become zero, which is meant"
    )]
    let seconds = seconds.round() as u64;
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let pair = |large: u64, large_unit: &str, small: u64, small_unit: &str| {
        if small == 0 { format!("{large} {large_unit}") } else { format!("{large} {large_unit} {small} {small_unit}") }
    };
    match seconds {
        0..60 => format!("{seconds} s"),
        60..600 => pair(minutes, "min", seconds % 60, "s"),
        600..3600 => format!("{minutes} min"),
        3600..86_400 => pair(hours, "h", minutes % 60, "min"),
        86_400.. => pair(days, "d", hours % 24, "h"),
    }
}

/// `1 host`, `2 hosts`.
pub fn count(number: usize, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}

/// `text` as it can stand in Markdown, also in a table: nothing in it formats, links or ends the cell.
///
/// Source: the `CommonMark` specification, "Backslash escapes": any ASCII punctuation may be escaped; `<` and `&` are written as entities
/// because some renderers pass HTML through.
pub fn markdown_cell(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in printable(text).chars() {
        match c {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '!' | '#' | '~' => safe.extend(['\\', c]),
            _ => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_names_stay_as_they_are() {
        for name in ["vm1", "Bücherei", "データベース", "a b", "😀"] {
            assert!(matches!(printable(name), Cow::Borrowed(same) if same == name));
        }
    }

    #[test]
    fn what_a_terminal_would_obey_is_shown_as_an_escape() {
        assert_eq!(printable("\u{1b}]0;owned\u{7}"), r"\u{1b}]0;owned\u{7}");
        assert_eq!(printable("a\nb\tc\r"), r"a\u{a}b\u{9}c\u{d}");
        assert_eq!(printable("\u{9b}31m"), r"\u{9b}31m");
        assert_eq!(printable("user\u{202e}txt.exe"), r"user\u{202e}txt.exe");
    }

    #[test]
    fn durations_say_what_matters() {
        for (seconds, text) in [
            (0.2, "0 s"),
            (59.4, "59 s"),
            (60.0, "1 min"),
            (61.0, "1 min 1 s"),
            (840.0, "14 min"),
            (5400.0, "1 h 30 min"),
            (7200.0, "2 h"),
            (90_000.0, "1 d 1 h"),
            (f64::NAN, "0 s"),
        ] {
            assert_eq!(duration(seconds), text);
        }
        assert_eq!((count(1, "host"), count(0, "host")), ("1 host".to_owned(), "0 hosts".to_owned()));
    }

    #[test]
    fn a_name_cannot_format_or_break_markdown() {
        assert_eq!(markdown_cell("a|b"), "a\\|b");
        assert_eq!(markdown_cell("<script>"), "&lt;script&gt;");
        assert_eq!(markdown_cell("[x](http://evil)\n# h"), "\\[x\\](http://evil)\\\\u{a}\\# h");
    }
}
