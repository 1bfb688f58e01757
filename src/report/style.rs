//! Colour: only on a terminal that wants it.

/// Whether text is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    coloured: bool,
}

impl Style {
    /// No colour.
    pub const fn plain() -> Self {
        Self { coloured: false }
    }

    /// Colour where the stream is a terminal, `NO_COLOR` is unset or empty (<https://no-color.org>) and `TERM` is not
    /// `dumb`.
    pub fn of(is_terminal: bool, no_color: Option<&str>, term: Option<&str>) -> Self {
        let refused = no_color.is_some_and(|value| !value.is_empty()) || term == Some("dumb");
        Self { coloured: is_terminal && !refused }
    }

    /// Whether text is coloured.
    pub const fn is_coloured(self) -> bool {
        self.coloured
    }

    fn wrap(self, code: &str, text: &str) -> String {
        if self.coloured { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }

    /// What stands out.
    pub fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    /// What matters less.
    pub fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    /// What is wrong.
    pub fn red(self, text: &str) -> String {
        self.wrap("1;31", text)
    }

    /// What is right.
    pub fn green(self, text: &str) -> String {
        self.wrap("32", text)
    }

    /// What to look at.
    pub fn yellow(self, text: &str) -> String {
        self.wrap("33", text)
    }

    /// What to do.
    pub fn cyan(self, text: &str) -> String {
        self.wrap("36", text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colour_needs_a_terminal_that_wants_it() {
        assert!(Style::of(true, None, Some("xterm")).is_coloured());
        assert!(Style::of(true, Some(""), None).is_coloured());
        for (terminal, no_color, term) in [(false, None, None), (true, Some("1"), None), (true, None, Some("dumb"))] {
            assert!(!Style::of(terminal, no_color, term).is_coloured(), "{terminal} {no_color:?} {term:?}");
        }
    }
}
