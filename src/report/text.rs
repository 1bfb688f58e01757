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
}
