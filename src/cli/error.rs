//! What a person reads when a command fails: what failed, why, what it means, what to do next.

use std::error::Error;
use std::fmt::Write as _;

use super::exit::Exit;
use crate::report::Style;
use crate::report::printable;

/// A command that did not come to its end.
#[derive(Debug)]
pub struct CommandError {
    /// Decides the exit code.
    kind: Exit,
    /// What failed, with the chain of causes behind it.
    source: Box<dyn Error + Send + Sync>,
    /// What that means for the run or the files, one line.
    consequence: Option<String>,
    /// What to do next, each one line.
    hints: Vec<String>,
}

impl CommandError {
    /// A failure of `kind` that `source` tells.
    pub fn new(kind: Exit, source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self { kind, source: source.into(), consequence: None, hints: Vec::new() }
    }

    /// A failure of usage: an argument, or a file that cannot be read as what it should be.
    pub fn usage(source: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(Exit::Usage, source)
    }

    /// A failure while doing `what`, caused by `cause`.
    pub fn doing(kind: Exit, what: impl Into<String>, cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::new(kind, Doing { what: what.into(), cause: cause.into() })
    }

    /// Adds what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// Adds what to do next, where that is known.
    #[must_use]
    pub fn hints(mut self, hints: impl IntoIterator<Item = String>) -> Self {
        self.hints.extend(hints);
        self
    }

    /// Adds what it means for the run or the files.
    #[must_use]
    pub fn consequence(mut self, consequence: impl Into<String>) -> Self {
        self.consequence = Some(consequence.into());
        self
    }

    /// The exit code.
    pub fn exit(&self) -> Exit {
        self.kind
    }

    /// The text for standard error: `error: …`, `caused by: …`, the consequence, `hint: …`.
    ///
    /// A cause that its parent has said already is left out. What clouds and hosts said is made safe for terminals.
    pub fn render(&self, style: Style) -> String {
        let mut text = String::new();
        let mut said = self.source.to_string();
        line(&mut text, &style.red("error:"), &said);
        let mut next = self.source.source();
        while let Some(cause) = next {
            let words = cause.to_string();
            if !said.contains(&words) {
                line(&mut text, &format!("  {}", style.bold("caused by:")), &words);
                said = words;
            }
            next = cause.source();
        }
        if let Some(consequence) = &self.consequence {
            let _ = writeln!(text, "{}", printable(consequence));
        }
        for (index, hint) in self.hints.iter().enumerate() {
            if index == 0 {
                text.push('\n');
            }
            line(&mut text, &style.cyan("hint:"), hint);
        }
        text
    }
}

/// Writes `label words`; further lines of `words` (a source excerpt with its caret) stand under it as they are.
fn line(text: &mut String, label: &str, words: &str) {
    for (index, part) in words.trim_end().lines().enumerate() {
        let _ = if index == 0 {
            writeln!(text, "{label} {}", printable(part))
        } else {
            writeln!(text, "  {}", printable(part))
        };
    }
}

/// What was being done, with what stopped it.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
struct Doing {
    what: String,
    #[source]
    cause: Box<dyn Error + Send + Sync>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_shows_its_chain_its_consequence_and_its_hints() {
        let refused = std::io::Error::other("instance is in task_state resize_prep");
        let error = CommandError::doing(Exit::Failures, "compute-17: drain failed", refused)
            .consequence("compute-17 stays disabled; 41 of 120 hosts are done, the run is paused")
            .hint("finish or revert the resize, then `fleetmend resume 0192f3`");
        insta::assert_snapshot!(error.render(Style::plain()), @r"
        error: compute-17: drain failed
          caused by: instance is in task_state resize_prep
        compute-17 stays disabled; 41 of 120 hosts are done, the run is paused

        hint: finish or revert the resize, then `fleetmend resume 0192f3`
        ");
    }

    #[test]
    fn a_cause_that_was_said_is_not_said_twice_and_escape_codes_do_not_reach_the_terminal() {
        let inner = std::io::Error::other("no \u{1b}[2J such host");
        let outer = Doing { what: "connect: no \u{1b}[2J such host".to_owned(), cause: inner.into() };
        let text = CommandError::doing(Exit::Cloud, "log in", outer).render(Style::plain());
        insta::assert_snapshot!(text, @r"
        error: log in
          caused by: connect: no \u{1b}[2J such host
        ");
    }
}
