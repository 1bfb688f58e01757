//! Commands as an operator would give them, each a process of this very program, shown with what it prints.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::process::{Child, Command};

use super::folder::Folder;
use crate::cli::error::CommandError;
use crate::cli::exit::Exit;
use crate::cli::output::tell;
use crate::cli::session::Session;
use crate::report::Style;

/// What of a command's output is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// As it comes, with bars where there is a terminal.
    Live,
    /// All of it.
    All,
    /// So many first and so many last lines.
    Ends(usize, usize),
}

/// Where commands are given.
pub struct Stage {
    program: PathBuf,
    folder: PathBuf,
    /// Colours of what is told.
    pub style: Style,
    step: std::cell::Cell<u32>,
    begun: Instant,
}

impl Stage {
    /// A stage in `folder`.
    pub fn new(folder: &Folder, session: &Session) -> Result<Self, CommandError> {
        let program = std::env::current_exe()
            .map_err(|error| CommandError::doing(Exit::Unexpected, "cannot tell which program this is", error))?;
        Ok(Self {
            program,
            folder: folder.path.clone(),
            style: session.err,
            step: std::cell::Cell::new(0),
            begun: Instant::now(),
        })
    }

    /// How long the demonstration has taken.
    pub fn since(&self) -> Duration {
        self.begun.elapsed()
    }

    /// The folder of the demonstration.
    pub fn folder(&self) -> &std::path::Path {
        &self.folder
    }

    /// Says what comes next.
    pub fn say(&self, text: &str) {
        self.step.set(self.step.get() + 1);
        tell(format!("\n{}\n", self.style.bold(&format!("{}. {text}", self.step.get()))));
    }

    /// Gives a command and waits for its end.
    pub async fn run(&self, arguments: &[&str], shown: Shown) -> Result<Exit, CommandError> {
        self.announce(arguments);
        let failed = |error| cannot_run(arguments, error);
        let mut command = self.command(arguments);
        let status = if shown == Shown::Live {
            command.status().await.map_err(failed)?
        } else {
            let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().await.map_err(failed)?;
            let text = [output.stdout, output.stderr].concat();
            tell(excerpt(&String::from_utf8_lossy(&text), shown));
            output.status
        };
        judge(arguments, status.code())
    }

    /// Gives a command and goes on while it runs.
    pub fn spawn(&self, arguments: &[&str]) -> Result<Child, CommandError> {
        self.announce(arguments);
        self.command(arguments).spawn().map_err(|error| cannot_run(arguments, error))
    }

    fn announce(&self, arguments: &[&str]) {
        tell(format!("{}\n", self.style.cyan(&format!("$ fleetmend {}", arguments.join(" ")))));
    }

    /// A command in the folder of the demonstration, which knows no other cloud than that folder's.
    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command.args(arguments).current_dir(&self.folder).stdin(Stdio::null()).kill_on_drop(true);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("OS_") {
                command.env_remove(name);
            }
        }
        command.env("OS_CLIENT_CONFIG_FILE", self.folder.join("clouds.yaml"));
        command
    }
}

/// Outcomes of a run are results; anything else that is not success ends the demonstration.
pub fn judge(arguments: &[&str], code: Option<i32>) -> Result<Exit, CommandError> {
    let exit = Exit::ALL.into_iter().find(|exit| Some(i32::from(exit.code())) == code);
    match exit {
        Some(exit @ (Exit::Done | Exit::Failures | Exit::Resumable | Exit::Vulnerable)) => Ok(exit),
        Some(exit @ (Exit::Unexpected | Exit::Usage | Exit::Plan | Exit::Held | Exit::Cloud)) => {
            Err(CommandError::new(exit, format!("`fleetmend {}` failed; its words are above", arguments.join(" "))))
        }
        None => Err(CommandError::new(Exit::Unexpected, format!("`fleetmend {}` was killed", arguments.join(" ")))),
    }
}

fn cannot_run(arguments: &[&str], error: std::io::Error) -> CommandError {
    CommandError::doing(Exit::Unexpected, format!("cannot run `fleetmend {}`", arguments.join(" ")), error)
}

/// The part of a text that is shown.
fn excerpt(text: &str, shown: Shown) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let (first, last) = match shown {
        Shown::Live | Shown::All => (lines.len(), 0),
        Shown::Ends(first, last) => (first, last),
    };
    if lines.len() <= first + last {
        return text_of(&lines);
    }
    let (head, rest) = lines.split_at(first);
    let (left_out, tail) = rest.split_at(rest.len() - last);
    let gap = if first > 0 { format!("  … {} more lines\n", left_out.len()) } else { String::new() };
    text_of(head) + &gap + &text_of(tail)
}

fn text_of(lines: &[&str]) -> String {
    lines.iter().flat_map(|line| [*line, "\n"]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_has_both_ends_and_says_what_is_left_out() {
        let text = "1\n2\n3\n4\n5\n";
        assert_eq!(excerpt(text, Shown::Ends(1, 2)), "1\n  … 2 more lines\n4\n5\n");
        assert_eq!(excerpt(text, Shown::Ends(3, 2)), text);
        assert_eq!(excerpt(text, Shown::Ends(0, 1)), "5\n");
        assert_eq!(excerpt("", Shown::Ends(1, 1)), "");
    }
}
