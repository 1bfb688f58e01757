//! Text to typed values, with the place of every mistake.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeOwned, DeserializeSeed, Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::ConfigError;

/// What a file says that it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct FileKind {
    /// The value of `kind`.
    pub(super) name: &'static str,
    /// The newest format that is understood.
    pub(super) format: u32,
}

/// Ceilings on what a file may hold. A rollout of 10,000 hosts and 200,000 moves has five million nodes; the crate's own
/// ceilings are made for files that people write.
const NODES_MAX: usize = 50_000_000;

/// Reads a file of one kind. Text that begins with `{` is JSON, which large files are written in.
pub(super) fn read<T: DeserializeOwned>(kind: FileKind, file: &str, text: &str) -> Result<T, ConfigError> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.lines().all(|line| line.trim().is_empty() || line.starts_with('#')) {
        return Err(ConfigError::at(file, (1, 1), format!("this is an empty file, not a {}", kind.name)));
    }
    if text.trim_start().starts_with('{') {
        return read_json(kind, file, text);
    }
    let said = check_header(kind, file, text)?;
    if !said.all() {
        // Written in another way than at the start of a line, or not at all; text that is no YAML shows below.
        let header = from_yaml::<Header<IgnoredAny>>(text);
        header.map_or(Ok(()), |header| check_complete(kind, file, header.said()))?;
    }
    from_yaml(text).map_err(|error| ConfigError::yaml(file, text, &error))
}

/// What each file begins with.
#[derive(Default, Deserialize)]
struct Header<T> {
    format: Option<T>,
    kind: Option<T>,
}

impl<T> Header<T> {
    fn said(&self) -> Said {
        Said { format: self.format.is_some(), kind: self.kind.is_some() }
    }
}

/// Which parts of the header a file has.
#[derive(Debug, Clone, Copy, Default)]
struct Said {
    format: bool,
    kind: bool,
}

impl Said {
    fn all(self) -> bool {
        self.format && self.kind
    }
}

/// Refuses a file that does not say what it is: without `format` a later version would have to guess what it means.
fn check_complete(kind: FileKind, file: &str, said: Said) -> Result<(), ConfigError> {
    let missing = match (said.format, said.kind) {
        (true, true) => return Ok(()),
        (false, true) => "`format` is missing",
        (true, false) => "`kind` is missing",
        (false, false) => "`format` and `kind` are missing",
    };
    let begin = format!("begin it with `format: {}` and `kind: {}`", kind.format, kind.name);
    Err(ConfigError::at(file, (1, 1), missing).hint(begin))
}

fn read_json<T: DeserializeOwned>(kind: FileKind, file: &str, text: &str) -> Result<T, ConfigError> {
    let mut header = Header::default();
    // A stop is no mistake, and every mistake behind it shows below.
    if let Err(error) = Beginning(&mut header).deserialize(&mut serde_json::Deserializer::from_str(text))
        && !header.said().all()
    {
        return Err(ConfigError::json(file, &error));
    }
    let said = header.said();
    let word = |value: Option<serde_json::Value>| {
        value.map(|value| value.as_str().map_or_else(|| value.to_string(), str::to_owned))
    };
    check_kind(kind, file, (1, 1), word(header.kind).as_deref())?;
    check_format(kind, file, (1, 1), word(header.format).as_deref())?;
    check_complete(kind, file, said)?;
    serde_json::from_str(text).map_err(|error| match error.classify() {
        // JSON is YAML too, and the YAML reader knows more about the mistake.
        serde_json::error::Category::Data => match from_yaml::<T>(text) {
            Err(yaml) => ConfigError::yaml(file, text, &yaml),
            Ok(_) => ConfigError::json(file, &error),
        },
        serde_json::error::Category::Syntax | serde_json::error::Category::Eof | serde_json::error::Category::Io => {
            ConfigError::json(file, &error)
        }
    })
}

/// Reads an object up to the point where its header is known: large files begin with it.
struct Beginning<'h>(&'h mut Header<serde_json::Value>);

impl<'de> DeserializeSeed<'de> for Beginning<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Beginning<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<(), M::Error> {
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            match &*key {
                "format" => self.0.format = Some(map.next_value()?),
                "kind" => self.0.kind = Some(map.next_value()?),
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
            if self.0.said().all() {
                return Err(M::Error::custom("the header is read"));
            }
        }
        Ok(())
    }
}

fn from_yaml<T: DeserializeOwned>(text: &str) -> Result<T, serde_yaml::Error> {
    let options = serde_yaml::options! {
        budget: serde_yaml::budget! {
            max_events: NODES_MAX,
            max_nodes: NODES_MAX,
            max_documents: 2,
            max_total_scalar_bytes: text.len(),
        },
        strict_booleans: true,
        with_snippet: false,
    };
    serde_yaml::from_str_with_options(text, options)
}

/// Refuses a file of another kind or a newer format before its fields are looked at, because their mistakes would
/// only confuse. Looks at the top level as people and this program write it: a key at the start of a line.
fn check_header(kind: FileKind, file: &str, text: &str) -> Result<Said, ConfigError> {
    let mut said = Said::default();
    for (number, line) in (1..).zip(text.lines()) {
        for (key, check) in [("kind", check_kind as Check), ("format", check_format as Check)] {
            let value = line.strip_prefix(key).and_then(|rest| rest.strip_prefix(':'));
            let Some(value) = value.filter(|value| value.starts_with([' ', '\t'])) else { continue };
            let column = key.len() + 2 + (value.len() - value.trim_start().len()) - 1;
            let word = value.split(" #").next().unwrap_or_default().trim().trim_matches(['"', '\'']);
            check(kind, file, (number, column as u64 + 1), Some(word))?;
            said = Said { format: said.format || key == "format", kind: said.kind || key == "kind" };
        }
    }
    Ok(said)
}

type Check = fn(FileKind, &str, (u64, u64), Option<&str>) -> Result<(), ConfigError>;

fn check_kind(kind: FileKind, file: &str, place: (u64, u64), word: Option<&str>) -> Result<(), ConfigError> {
    match word {
        Some(word) if word != kind.name => {
            let close = strsim::damerau_levenshtein(word, kind.name) <= 2;
            let message = format!("this is a file of kind `{word}`, not a {}", kind.name);
            let error = ConfigError::at(file, place, message);
            Err(if close { error.hint(format!("did you mean `kind: {}`?", kind.name)) } else { error })
        }
        Some(_) | None => Ok(()),
    }
}

fn check_format(kind: FileKind, file: &str, place: (u64, u64), word: Option<&str>) -> Result<(), ConfigError> {
    let Some(word) = word else { return Ok(()) };
    let understood = format!("this version reads {} files of format {}", kind.name, kind.format);
    match word.parse::<u32>() {
        Ok(format) if format == kind.format => Ok(()),
        Ok(format) if format > kind.format => {
            Err(ConfigError::at(file, place, format!("format {format} is newer: {understood}"))
                .hint("update fleetmend on this machine"))
        }
        Ok(_) | Err(_) => Err(ConfigError::at(file, place, format!("`{word}` is no format: {understood}"))),
    }
}

/// YAML as people read it.
pub(super) fn to_yaml<T: Serialize>(value: &T) -> Result<String, serde_yaml::ser_error::Error> {
    serde_yaml::to_string(value)
}
