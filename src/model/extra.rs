//! Steps that a remedy or a policy adds to what a host goes through.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};

use super::Span;

/// A step that is added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExtraStep {
    /// Its name, part of its id: letters, digits and dashes.
    #[serde(deserialize_with = "step_name")]
    #[schemars(regex(pattern = r"^[a-z][a-z0-9-]*$"))]
    pub name: String,
    /// Where in a host's way it stands.
    pub when: Moment,
    /// What it does.
    #[serde(rename = "do")]
    pub work: ExtraWork,
    /// What becomes of the host when it fails.
    #[serde(default)]
    pub on_failure: OnFailure,
}

/// A place in what a host goes through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Moment {
    /// Nothing has been done to it yet: a gate between hosts.
    BeforeHost,
    /// Out of service, and nothing has been moved away yet.
    BeforeDrain,
    /// Empty and fenced.
    AfterDrain,
    /// Before packages are updated.
    BeforeUpdate,
    /// In place of the update of packages: where a deployment tool updates containers, for example.
    InsteadOfUpdate,
    /// After packages were updated.
    AfterUpdate,
    /// All that can be seen before the reboot is as it should be.
    BeforeReboot,
    /// In its next boot, and nova-compute reports.
    AfterReboot,
    /// The remedy's evidence holds.
    BeforeEnable,
    /// Back in service, and not yet a target.
    AfterEnable,
}

/// What an added step does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ExtraWork {
    /// Runs an executable of the machine that fleetmend runs on.
    Command(CommandWork),
    /// Runs a playbook against this host alone.
    Ansible(AnsibleWork),
}

/// An executable. It is called three times, with JSON on its standard input: to look (`probe`), to do (`apply`) and to
/// look again (`verify`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CommandWork {
    /// The executable by its whole path, and its arguments; `{host}` in an argument stands for the host's name.
    #[serde(deserialize_with = "command")]
    pub run: Vec<String>,
    /// How long it may take, until it says that it is done.
    #[serde(default = "an_hour")]
    pub timeout: Span,
}

/// A playbook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AnsibleWork {
    /// The playbook by its whole path.
    #[serde(deserialize_with = "absolute")]
    pub playbook: String,
    /// Inventories by their whole paths; the one that ansible's own configuration names when empty.
    #[serde(default, deserialize_with = "all_absolute", skip_serializing_if = "Vec::is_empty")]
    pub inventory: Vec<String>,
    /// The host's name in the inventory; `{host}` stands for its name in Nova.
    #[serde(default = "host_itself")]
    pub host: String,
    /// More arguments for `ansible-playbook`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<String>,
    /// Whether `--check` tells if there is something to do. A playbook that does not know check mode is run in any case.
    #[serde(default = "yes")]
    pub check: bool,
    /// `ansible-playbook` by its whole path.
    #[serde(default = "usual_program", deserialize_with = "absolute")]
    pub program: String,
    /// How long it may take.
    #[serde(default = "an_hour")]
    pub timeout: Span,
}

/// What becomes of a host when an added step fails.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OnFailure {
    /// It stops where it is, as after any other step.
    #[default]
    StopHost,
    /// It goes on, and the failure is told.
    Warn,
    /// The control plane counts as sick: nothing more is begun anywhere, and the step is tried again until it is well.
    Pause,
}

impl ExtraStep {
    /// The command that it runs, for people who review it.
    pub fn command_words(&self) -> Vec<String> {
        match &self.work {
            ExtraWork::Command(work) => work.run.clone(),
            ExtraWork::Ansible(work) => vec![work.program.clone(), work.playbook.clone()],
        }
    }
}

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BeforeHost => "before anything is done to it",
            Self::BeforeDrain => "before the drain",
            Self::AfterDrain => "after the drain",
            Self::BeforeUpdate => "before the update",
            Self::InsteadOfUpdate => "in place of the update",
            Self::AfterUpdate => "after the update",
            Self::BeforeReboot => "before the reboot",
            Self::AfterReboot => "after the reboot",
            Self::BeforeEnable => "before it is enabled",
            Self::AfterEnable => "after it is enabled",
        })
    }
}

const fn yes() -> bool {
    true
}

const fn an_hour() -> Span {
    Span::seconds(3600)
}

fn host_itself() -> String {
    "{host}".to_owned()
}

fn usual_program() -> String {
    "/usr/bin/ansible-playbook".to_owned()
}

/// A name that can be part of a step's id, of a unit and of a file.
pub(super) fn step_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let name = String::deserialize(deserializer)?;
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.starts_with(|c: char| c.is_ascii_lowercase()) && name.chars().all(is_plain) && name.len() <= 40 {
        return Ok(name);
    }
    let shown = name.escape_debug();
    Err(de::Error::custom(format!(
        "`{shown}` is no name of a step: up to 40 letters, digits and dashes, as `pull-images`"
    )))
}

fn command<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let words = Vec::<String>::deserialize(deserializer)?;
    if words.first().is_some_and(|program| program.starts_with('/')) && words.iter().all(|word| !word.contains('\0')) {
        return Ok(words);
    }
    Err(de::Error::custom("an executable is named by its whole path, for example `/usr/local/bin/announce`"))
}

fn absolute<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    whole(String::deserialize(deserializer)?).map_err(de::Error::custom)
}

fn all_absolute<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let paths = Vec::<String>::deserialize(deserializer)?;
    paths.into_iter().map(whole).collect::<Result<_, _>>().map_err(de::Error::custom)
}

fn whole(path: String) -> Result<String, String> {
    if path.starts_with('/') && !path.contains('\0') {
        return Ok(path);
    }
    Err(format!(
        "`{}` is not a path from the root: where fleetmend is started would decide what runs",
        path.escape_debug()
    ))
}
