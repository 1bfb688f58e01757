//! What a command knows of its surroundings: options, environment, terminal, configuration. The only reader of the
//! environment.

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use super::args::{Format, GlobalArgs};
use super::error::CommandError;
use super::exit::Exit;
use super::output::Source;
use crate::config::clouds::{Environment, Wanted};
use crate::config::{Configuration, StateUrl, read_configuration};
use crate::report::Style;

/// Name of the configuration file here and in the configuration folder.
const CONFIGURATION: &str = "fleetmend.yaml";

/// The surroundings of one command. Not `Debug`: the environment may hold a password.
pub struct Session {
    /// Options that every command takes.
    pub global: GlobalArgs,
    /// The environment; values that are not UTF-8 are left out.
    environment: BTreeMap<String, String>,
    /// Colour on standard output.
    pub out: Style,
    /// Colour on standard error.
    pub err: Style,
    /// Whether standard output is a terminal.
    pub out_is_terminal: bool,
    /// Whether somebody sits before it: standard input and standard error are a terminal.
    pub interactive: bool,
    /// Whether standard error is a terminal that can redraw lines.
    pub can_redraw: bool,
}

impl Session {
    /// Reads environment and terminal.
    pub fn new(global: GlobalArgs) -> Self {
        let environment: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let get = |name: &str| environment.get(name).map(String::as_str);
        let style = |is_terminal| Style::of(is_terminal, get("NO_COLOR"), get("TERM"));
        let out_is_terminal = std::io::stdout().is_terminal();
        let err_is_terminal = std::io::stderr().is_terminal();
        let (out, err) = (style(out_is_terminal), style(err_is_terminal));
        let interactive = std::io::stdin().is_terminal() && err_is_terminal;
        let can_redraw = err_is_terminal && get("TERM") != Some("dumb");
        Self { global, environment, out, err, out_is_terminal, interactive, can_redraw }
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

    /// A variable; `None` when unset or empty.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.environment.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// What the loader of clouds.yaml looks at.
    pub fn clouds_environment(&self) -> Result<Environment, CommandError> {
        let working_directory = std::env::current_dir()
            .map_err(|error| CommandError::doing(Exit::Unexpected, "cannot tell the working directory", error))?;
        Ok(Environment { variables: self.environment.clone(), working_directory })
    }

    /// Which cloud is meant.
    pub fn wanted_cloud(&self, configuration: &Configuration) -> Wanted {
        Wanted {
            cloud: self.global.os_cloud.clone(),
            region: self.global.os_region_name.clone(),
            configured: configuration.cloud.clone(),
        }
    }

    /// The configuration: `--config`, else `fleetmend.yaml` here, else in the XDG configuration folder, else defaults.
    pub fn configuration(&self) -> Result<Configuration, CommandError> {
        let found = match &self.global.config {
            Some(path) => Some(path.clone()),
            None => [
                Some(PathBuf::from(CONFIGURATION)),
                self.configuration_folder().map(|folder| folder.join(CONFIGURATION)),
            ]
            .into_iter()
            .flatten()
            .find(|path| path.exists()),
        };
        match found {
            Some(path) => {
                let source = Source::File(path);
                let text = source.read("a configuration")?;
                Ok(read_configuration(&source.to_string(), &text, self.variable("HOME"))?)
            }
            None => Ok(Configuration::default()),
        }
    }

    /// Where the journal is: `--state`, else the configuration file, else under the XDG state folder.
    pub fn journal(&self) -> Result<StateUrl, CommandError> {
        let configured = match &self.global.state {
            Some(url) => {
                Some(StateUrl::try_from(url.clone()).map_err(|why| CommandError::usage(format!("`--state`: {why}")))?)
            }
            None => self.configuration()?.state,
        };
        let homeless =
            || CommandError::usage("HOME is not set").hint("`--state sqlite:PATH` says where journals are kept");
        if let Some(url) = configured {
            return url.in_home(self.variable("HOME")).ok_or_else(homeless);
        }
        let folder = self.xdg_folder("XDG_STATE_HOME", ".local/state").ok_or_else(homeless)?;
        Ok(StateUrl::Sqlite(folder.join("fleetmend.db")))
    }

    fn configuration_folder(&self) -> Option<PathBuf> {
        self.xdg_folder("XDG_CONFIG_HOME", ".config")
    }

    /// Our folder below one of the XDG base folders. Source: XDG Base Directory Specification; relative paths in the
    /// variables are invalid and ignored.
    fn xdg_folder(&self, variable: &str, below_home: &str) -> Option<PathBuf> {
        let base = self.variable(variable).map(PathBuf::from).filter(|path| path.is_absolute());
        let base = base.or_else(|| self.variable("HOME").map(|home| Path::new(home).join(below_home)))?;
        Some(base.join("fleetmend"))
    }

    /// A private folder for sockets that end with this machine's session.
    pub fn runtime_folder(&self) -> PathBuf {
        self.variable("XDG_RUNTIME_DIR")
            .map(PathBuf::from)
            .filter(|path| path.is_dir())
            .unwrap_or_else(std::env::temp_dir)
    }

    /// This machine's name.
    pub fn host_name(&self) -> String {
        let read = |path: &str| std::fs::read_to_string(path).ok().map(|name| name.trim().to_owned());
        ["/proc/sys/kernel/hostname", "/etc/hostname"]
            .into_iter()
            .find_map(read)
            .or_else(|| self.variable("HOSTNAME").map(str::to_owned))
            .filter(|name| !name.is_empty())
            .unwrap_or_else(|| "localhost".to_owned())
    }

    /// This machine's id, where it has one.
    pub fn machine_id() -> Option<String> {
        let id = std::fs::read_to_string("/etc/machine-id").ok()?.trim().to_owned();
        (!id.is_empty()).then_some(id)
    }

    /// Who asks: `user@machine`.
    pub fn user(&self) -> String {
        let user =
            ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(|name| self.variable(name)).unwrap_or("unknown");
        format!("{user}@{}", self.host_name())
    }
}
