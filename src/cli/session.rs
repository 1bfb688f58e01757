//! What a command knows of its surroundings: options, environment, terminal. The only reader of the environment.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;

use super::args::{Format, GlobalArgs};
use super::error::CommandError;
use crate::report::Style;

/// The surroundings of one command. Not `Debug`: the environment may hold a password.
pub struct Session {
    /// Options that every command takes.
    pub global: GlobalArgs,
    /// The environment; values that are not UTF-8 are left out.
    pub environment: BTreeMap<String, String>,
    /// Colour on standard output.
    pub out: Style,
    /// Colour on standard error.
    pub err: Style,
    /// Whether somebody sits before it: standard input and standard error are a terminal.
    pub interactive: bool,
}

impl Session {
    /// Reads environment and terminal.
    pub fn new(global: GlobalArgs) -> Self {
        let environment: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let get = |name: &str| environment.get(name).map(String::as_str);
        let style = |is_terminal| Style::of(is_terminal, get("NO_COLOR"), get("TERM"));
        let out = style(std::io::stdout().is_terminal());
        let err = style(std::io::stderr().is_terminal());
        let interactive = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
        Self { global, environment, out, err, interactive }
    }

    /// Whether JSON is asked for, of a command that prints text or JSON.
    pub fn json(&self, command: &str) -> Result<bool, CommandError> {
        Ok(self.format(command, &[Format::Text, Format::Json])? == Format::Json)
    }

    /// The format asked for, where `command` can print it; the first of `possible` is its default.
    pub fn format(&self, command: &str, possible: &[Format]) -> Result<Format, CommandError> {
        let Some(asked) = self.global.format else {
            return Ok(possible.first().copied().unwrap_or(Format::Text));
        };
        if possible.contains(&asked) {
            return Ok(asked);
        }
        let names: Vec<String> = possible.iter().map(|format| format!("`{format}`")).collect();
        Err(CommandError::usage(format!("`{command}` does not print `{asked}`, only {}", names.join(", "))))
    }
}
