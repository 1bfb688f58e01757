//! A text that is drawn again and again over itself, on a screen of its own: what stood on the terminal comes back.

use std::fmt::Write as _;

use unicode_width::UnicodeWidthChar as _;

use crate::cli::error::CommandError;
use crate::cli::output::print;
use crate::cli::terminal;

/// The other screen, without a cursor. Source: xterm, "Control Sequences", private modes 1049 and 25.
const ENTER: &str = "\u{1b}[?1049h\u{1b}[?25l";
const LEAVE: &str = "\u{1b}[?25h\u{1b}[?1049l";
/// What is assumed of a terminal that does not tell its size.
const SMALL: (usize, usize) = (24, 80);

/// The screen; left when this is dropped.
pub struct Screen(());

impl Screen {
    /// Takes the terminal of standard output.
    pub fn enter() -> Result<Self, CommandError> {
        print(ENTER)?;
        Ok(Self(()))
    }

    /// Draws `text` over what stands there: each line over the one before, so that nothing flickers.
    #[expect(clippy::unused_self, reason = "only a screen that was entered is drawn on")]
    pub fn draw(&self, text: &str) -> Result<(), CommandError> {
        print(screenful(text, terminal::size().unwrap_or(SMALL)))
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = print(LEAVE);
    }
}

/// What of `text` fits on so many rows and columns; what does not is counted in the last row.
fn screenful(text: &str, (rows, columns): (usize, usize)) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let shown = if lines.len() <= rows { lines.len() } else { rows.saturating_sub(1) };
    let mut screen = String::from("\u{1b}[H");
    for (number, line) in lines.iter().take(shown).enumerate() {
        // A line break behind the last row would scroll everything up.
        let end = if number + 1 < rows { "\u{1b}[K\r\n" } else { "\u{1b}[K" };
        let _ = write!(screen, "{}{end}", cut(line, columns));
    }
    if shown < lines.len() {
        let _ = write!(screen, "{}\u{1b}[K", cut(&format!("… and {} more lines", lines.len() - shown), columns));
    }
    screen + "\u{1b}[J"
}

/// What of a line fits into so many columns; its colours take none, and end with it.
fn cut(line: &str, columns: usize) -> String {
    let mut kept = String::with_capacity(line.len());
    let mut used = 0;
    let mut chars = line.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\u{1b}' {
            kept.push(c);
            for code in chars.by_ref() {
                kept.push(code);
                if code.is_ascii_alphabetic() {
                    break;
                }
            }
            continue;
        }
        let width = c.width().unwrap_or(0);
        // An ellipsis takes the last column, where something follows.
        let room = if chars.peek().is_some() { columns.saturating_sub(1) } else { columns };
        if used + width > room && !only_colours(chars.clone()) {
            return kept + "…\u{1b}[0m";
        }
        used += width;
        kept.push(c);
    }
    kept
}

/// Whether nothing is left but the end of a colour.
fn only_colours(mut rest: impl Iterator<Item = char>) -> bool {
    let mut rest = rest.by_ref().peekable();
    rest.next() == Some('\u{1b}') && rest.all(|c| c == '[' || c.is_ascii_digit() || c == 'm')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_to_the_width_and_its_colour_ends_with_it() {
        assert_eq!(cut("compute-1", 9), "compute-1");
        assert_eq!(cut("compute-1", 8), "compute…\u{1b}[0m");
        assert_eq!(cut("\u{1b}[1mab\u{1b}[0m", 2), "\u{1b}[1mab\u{1b}[0m");
        assert_eq!(cut("\u{1b}[1mabc\u{1b}[0m", 2), "\u{1b}[1ma…\u{1b}[0m");
        assert_eq!(cut("データ", 4), "デ…\u{1b}[0m");
    }

    #[test]
    fn what_is_taller_than_the_screen_is_counted_and_nothing_scrolls() {
        let text = (1..=30).map(|number| format!("line {number}\n")).collect::<Vec<_>>().concat();
        let screen = screenful(&text, (24, 80));
        assert_eq!(screen.matches("\r\n").count(), 23);
        assert!(screen.contains("line 23") && screen.ends_with("… and 7 more lines\u{1b}[K\u{1b}[J"), "{screen:?}");
        assert_eq!(screenful("one\n", (24, 80)), "\u{1b}[Hone\u{1b}[K\r\n\u{1b}[J");
        assert_eq!(screenful(&text, (30, 80)).matches("\r\n").count(), 29);
    }
}
