//! A file that cannot be read as what it should be.

use serde_yaml::{DefaultMessageFormatter, Error as YamlError, Location, MessageFormatter};

/// A file that cannot be read as what it should be: where, what, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}:{column}: {message}")]
pub struct ConfigError {
    /// The file, as its reader named it.
    pub file: String,
    /// From 1.
    pub line: u64,
    /// From 1, in characters.
    pub column: u64,
    /// What is wrong, one line.
    pub message: String,
    /// What would be right.
    pub hint: Option<String>,
}

impl ConfigError {
    /// A mistake at a place of `file`.
    pub(super) fn at(file: &str, (line, column): (u64, u64), message: impl Into<String>) -> Self {
        let (line, column) = (line.max(1), column.max(1));
        Self { file: file.to_owned(), line, column, message: message.into(), hint: None }
    }

    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// What the YAML reader found wrong in `text`.
    pub(super) fn yaml(file: &str, text: &str, error: &YamlError) -> Self {
        let error = innermost(error);
        let place = error.location().unwrap_or(Location::UNKNOWN);
        let (message, hint) = in_words(error, text, place);
        Self { hint, ..Self::at(file, (place.line(), place.column()), message) }
    }

    /// What the JSON reader found wrong.
    pub(super) fn json(file: &str, error: &serde_json::Error) -> Self {
        let place = (error.line() as u64, error.column() as u64);
        let message = error.to_string();
        // serde_json appends the place to every message.
        let message = message.split(" at line ").next().unwrap_or(&message);
        Self::at(file, place, message)
    }
}

/// The error itself, without the excerpts and alias trails that wrap it.
fn innermost(mut error: &YamlError) -> &YamlError {
    loop {
        let inner = error.without_snippet();
        let YamlError::AliasError { error: aliased, .. } = inner else { return inner };
        error = aliased;
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "the YAML crate's errors are not ours to list")]
fn in_words(error: &YamlError, text: &str, place: Location) -> (String, Option<String>) {
    match error {
        YamlError::SerdeUnknownField { field, expected, .. } => {
            (format!("unknown field `{field}`"), suggest(field, expected, "fields here are"))
        }
        YamlError::SerdeUnknownVariant { variant, expected, .. } => {
            (format!("unknown value `{variant}`"), suggest(variant, expected, "one of"))
        }
        YamlError::SerdeMissingField { field, .. } => (format!("field `{field}` is missing"), None),
        YamlError::DuplicateMappingKey { key: Some(key), .. } => (format!("`{key}` is given twice"), None),
        YamlError::DuplicateMappingKey { key: None, .. } => ("a key is given twice".to_owned(), None),
        YamlError::InvalidScalar { ty, .. } => (format!("`{}` is not {}", token(text, place), type_in_words(ty)), None),
        YamlError::NullIntoString { .. } => ("a value is missing".to_owned(), None),
        YamlError::SerdeInvalidType { unexpected, expected, .. }
        | YamlError::SerdeInvalidValue { unexpected, expected, .. } => {
            (format!("expected {expected}, found {unexpected}"), None)
        }
        YamlError::Message { msg, .. } => (first_line(msg), None),
        YamlError::Budget { .. } => (
            "larger or deeper than a file of this kind may be".to_owned(),
            Some("very large rollouts and regions are read as JSON".to_owned()),
        ),
        YamlError::Eof { .. } => ("the file is empty or ends too early".to_owned(), None),
        YamlError::ExternallyTaggedEnumExpectedScalarOrMapping { .. }
        | YamlError::ExpectedStringKeyForExternallyTaggedEnum { .. }
        | YamlError::ExpectedMappingEndAfterEnumVariantValue { .. } => {
            ("expected a mapping with exactly one key, which says what it is".to_owned(), None)
        }
        YamlError::Unexpected { expected, .. } => (format!("expected {}", structure_in_words(expected)), None),
        YamlError::InvalidBooleanStrict { .. } => (format!("`{}` is not `true` or `false`", token(text, place)), None),
        YamlError::MultipleDocuments { .. } => ("more than one document in the file".to_owned(), None),
        other => (first_line(&DefaultMessageFormatter.format_message(other)), None),
    }
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

/// "did you mean", where one known word is close; else all of them.
fn suggest(written: &str, known: &[&str], label: &str) -> Option<String> {
    let alike = |one: &&str| strsim::damerau_levenshtein(&written.to_lowercase(), one);
    let close = known.iter().copied().min_by_key(alike).filter(|one| alike(one) <= (one.len() / 3).max(1));
    let longer =
        |one: &&str| one.len() > 2 && written.len() > 2 && (written.starts_with(*one) || one.starts_with(written));
    let close = close.or_else(|| known.iter().copied().find(longer));
    let listed = || format!("{label} {}", known.iter().map(|one| format!("`{one}`")).collect::<Vec<_>>().join(", "));
    match close {
        Some(close) => Some(format!("did you mean `{close}`?")),
        None => (!known.is_empty()).then(listed),
    }
}

/// The YAML reader names events where a person sees structure.
fn structure_in_words(expected: &str) -> &str {
    match expected {
        "mapping start" => "a mapping: `key: value`",
        "sequence start" => "a list: `[a, b]`, or lines that begin with `-`",
        "string scalar" => "a text",
        other => other,
    }
}

fn type_in_words(ty: &str) -> String {
    match ty {
        "u8" => format!("a whole number between 0 and {}", u8::MAX),
        "u16" => format!("a whole number between 0 and {}", u16::MAX),
        "u32" | "u64" | "u128" | "usize" => "a whole number of 0 or more".to_owned(),
        "i8" | "i16" | "i32" | "i64" | "i128" | "isize" => "a whole number".to_owned(),
        "f32" | "f64" | "float" => "a number".to_owned(),
        "bool" | "boolean" => "`true` or `false`".to_owned(),
        other => format!("a value of type {other}"),
    }
}

/// The scalar that stands at a place of `text`.
fn token(text: &str, place: Location) -> String {
    let line = usize::try_from(place.line()).ok().and_then(|line| text.lines().nth(line.checked_sub(1)?));
    let column = usize::try_from(place.column()).unwrap_or(1).saturating_sub(1);
    let rest: String = line.unwrap_or_default().chars().skip(column).collect();
    rest.split([',', ']', '}', '#']).next().unwrap_or_default().trim().to_owned()
}
