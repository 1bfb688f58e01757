//! The reference page of the command line, made from the same definitions that parse it.

use std::fmt::Write as _;

use clap::CommandFactory as _;

use super::args::Cli;
use super::exit::Exit;

/// Exit codes as `--help` shows them.
pub fn exit_codes() -> String {
    let mut text = String::from("Exit codes:\n");
    for exit in Exit::ALL {
        let _ = writeln!(text, "  {}  {}", exit.code(), exit.meaning());
    }
    text
}

/// The reference page: every command with its options, and the exit codes.
pub fn page() -> String {
    let mut page = String::from(
        "# The command line\n\nMade by `fleetmend man -f markdown`.\n\n## Exit codes\n\n\
         | code | meaning |\n|---|---|\n",
    );
    for exit in Exit::ALL {
        let _ = writeln!(page, "| {} | {} |", exit.code(), exit.meaning());
    }
    let mut root = Cli::command();
    root.build();
    page.push_str("\n## Global options\n\n");
    options(&mut page, root.get_arguments().filter(|arg| arg.is_global_set()));
    for command in root.get_subcommands() {
        let _ = writeln!(page, "\n## `fleetmend {}`\n", command.get_name());
        if let Some(about) = command.get_long_about().or(command.get_about()) {
            let _ = writeln!(page, "{about}\n");
        }
        let own = || command.get_arguments().filter(|arg| !arg.is_global_set() && arg.get_id() != "help");
        if own().next().is_some() {
            options(&mut page, own());
        }
    }
    page
}

fn options<'a>(page: &mut String, arguments: impl Iterator<Item = &'a clap::Arg>) {
    page.push_str("| option | meaning |\n|---|---|\n");
    for argument in arguments {
        let help = argument.get_long_help().or(argument.get_help()).map(ToString::to_string).unwrap_or_default();
        let mut meaning = help.replace("\n\n", "<br>").replace('\n', " ");
        let values: Vec<String> = argument
            .get_possible_values()
            .iter()
            .filter(|_| argument.get_action().takes_values())
            .map(|value| format!("`{}`", value.get_name()))
            .collect();
        if !values.is_empty() {
            let _ = write!(meaning, " ({})", values.join(", "));
        }
        let defaults: Vec<String> =
            argument.get_default_values().iter().map(|value| value.to_string_lossy().into_owned()).collect();
        if !defaults.is_empty() && argument.get_action().takes_values() {
            let _ = write!(meaning, " [default: {}]", defaults.join(", "));
        }
        let shown = argument.to_string().replace('|', "\\|");
        let short = argument.get_short().map(|short| format!("`-{short}`, ")).unwrap_or_default();
        let _ = writeln!(page, "| {short}`{shown}` | {} |", meaning.replace('|', "\\|"));
    }
}
