//! YAML (and JSON) text as a tree whose every value knows its place.
//!
//! Scalars are read as openstacksdk's parser reads them, which follows YAML 1.1: `yes` is a boolean, `0123` is the
//! number 83. Where that would give other text than was written, the scalar is [`Value::Rewritten`], and asking it for
//! text is an error that says so. No type here has a `Debug` that could show a secret.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use indexmap::IndexMap;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_yaml::{Error as YamlError, Location, Spanned};

use super::error::{CloudsError, Place};

/// A mapping in the order in which it was written.
pub(super) type Map = IndexMap<String, Node>;

/// A value and where it was written.
#[derive(Clone)]
pub(super) struct Node {
    pub(super) at: Place,
    pub(super) value: Value,
}

/// What was written.
#[derive(Clone)]
pub(super) enum Value {
    Null,
    Bool(bool),
    /// A whole number, as text.
    Number(String),
    Text(String),
    /// A scalar that YAML 1.1 reads as a number or date whose text differs from what was written.
    Rewritten,
    List(Vec<Node>),
    Map(Map),
}

impl Node {
    /// Text at a place.
    pub(super) fn text(at: Place, text: impl Into<String>) -> Self {
        Self { at, value: Value::Text(text.into()) }
    }

    /// The mapping in it; `what` names it in the error.
    pub(super) fn as_map(&self, what: &str) -> Result<&Map, CloudsError> {
        match &self.value {
            Value::Map(map) => Ok(map),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::Text(_) | Value::Rewritten | Value::List(_) => {
                Err(CloudsError::at(&self.at, format!("{what} must be a mapping")))
            }
        }
    }

    /// Its text; `None` when it is null or empty, which openstacksdk treats as absent.
    pub(super) fn as_text(&self, what: &str) -> Result<Option<&str>, CloudsError> {
        match &self.value {
            Value::Text(text) | Value::Number(text) => Ok(Some(text.as_str()).filter(|text| !text.is_empty())),
            Value::Null => Ok(None),
            Value::Bool(_) => Err(CloudsError::at(&self.at, format!("`{what}` is a boolean to YAML, not text"))
                .hinting("put the value in quotes")),
            Value::Rewritten => Err(CloudsError::at(
                &self.at,
                format!("`{what}` is a number or date to YAML, not the text written here"),
            )
            .hinting("put the value in quotes")),
            Value::List(_) | Value::Map(_) => Err(CloudsError::at(&self.at, format!("`{what}` must be text"))),
        }
    }
}

/// Reads a file's text; `None` when there is no document in it.
pub(super) fn parse(path: &Path, text: &str) -> Result<Option<Node>, CloudsError> {
    let path: Arc<Path> = Arc::from(path);
    let options = serde_yaml::options! { with_snippet: false };
    let raw: Spanned<Raw> = serde_yaml::from_str_with_options(text, options).map_err(|error| broken(&path, &error))?;
    let node = Reader { path, text }.node(raw);
    Ok(Some(node).filter(|node| !matches!(node.value, Value::Null)))
}

/// Says what is wrong without quoting the file, which may hold secrets.
fn broken(path: &Arc<Path>, error: &YamlError) -> CloudsError {
    let error = error.without_snippet();
    let location = error.location().unwrap_or(Location::UNKNOWN);
    let place = Place::File { path: path.clone(), line: location.line(), column: location.column() };
    if let YamlError::DuplicateMappingKey { .. } = error {
        return CloudsError::at(&place, "this key is given twice in one mapping").hinting("remove one of the two");
    }
    if let YamlError::MultipleDocuments { .. } = error {
        return CloudsError::at(&place, "a second YAML document begins here").hinting("keep one document in the file");
    }
    // The parser's own words name characters and constructs, never text of the file.
    let why = if let YamlError::ExternalMessage { msg, .. } = error { format!(": {msg}") } else { String::new() };
    CloudsError::at(&place, format!("this is not valid YAML{why}")).hinting(
        "check indentation and colons; put values in quotes that hold `: `, ` #`, or begin with one of * & ! % @ ` { [ | >",
    )
}

/// A value as the YAML crate hands it over.
enum Raw {
    Null,
    /// A boolean or number by the crate's rules, which are not the ones that count here.
    NotText,
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(String, Spanned<Raw>)>),
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Raw, E> {
        Ok(Raw::NotText)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Raw, E> {
        Ok(Raw::NotText)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Raw, E> {
        Ok(Raw::NotText)
    }

    fn visit_i128<E>(self, _: i128) -> Result<Raw, E> {
        Ok(Raw::NotText)
    }

    fn visit_u128<E>(self, _: u128) -> Result<Raw, E> {
        Ok(Raw::NotText)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Raw, E> {
        Ok(Raw::NotText)
    }

    fn visit_str<E>(self, text: &str) -> Result<Raw, E> {
        Ok(Raw::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Raw::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Raw, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Raw::Map(map))
    }
}

/// Gives raw values their places and their YAML 1.1 meaning.
struct Reader<'a> {
    path: Arc<Path>,
    text: &'a str,
}

impl Reader<'_> {
    fn node(&self, raw: Spanned<Raw>) -> Node {
        let at = Place::File { path: self.path.clone(), line: raw.referenced.line(), column: raw.referenced.column() };
        let written = self.slice(&raw.defined);
        let value = match raw.value {
            Raw::Null => Value::Null,
            Raw::NotText => plain(written),
            Raw::Text(text) if text == written => plain(written),
            Raw::Text(text) => Value::Text(text),
            Raw::List(items) => Value::List(items.into_iter().map(|item| self.node(item)).collect()),
            Raw::Map(entries) => Value::Map(entries.into_iter().map(|(key, value)| (key, self.node(value))).collect()),
        };
        Node { at, value }
    }

    fn slice(&self, location: &Location) -> &str {
        let span = location.span();
        let whole = || {
            let start = usize::try_from(span.byte_offset()?).ok()?;
            let length = usize::try_from(span.byte_len()?).ok()?;
            self.text.get(start..start.checked_add(length)?)
        };
        whole().unwrap_or_default().trim()
    }
}

/// What YAML 1.1 makes of an unquoted scalar. Source: the resolvers of `PyYAML`'s safe loader.
fn plain(text: &str) -> Value {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => return Value::Bool(true),
        "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => return Value::Bool(false),
        _ => {}
    }
    if is_plain_integer(text) {
        Value::Number(text.to_owned())
    } else if is_other_number(text) || is_date(text) {
        Value::Rewritten
    } else {
        Value::Text(text.to_owned())
    }
}

/// A whole number that is its own decimal form.
fn is_plain_integer(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    text == "0"
        || (digits.starts_with(|c: char| ('1'..='9').contains(&c)) && digits.chars().all(|c| c.is_ascii_digit()))
}

/// Any other number of YAML 1.1: signed, octal, hexadecimal, binary, base 60, with underscores, with a fraction.
fn is_other_number(text: &str) -> bool {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") || matches!(text, ".nan" | ".NaN" | ".NAN") {
        return true;
    }
    let all = |text: &str, allowed: fn(char) -> bool| !text.is_empty() && text.chars().all(|c| c == '_' || allowed(c));
    if let Some(bits) = unsigned.strip_prefix("0b") {
        return all(bits, |c| matches!(c, '0' | '1'));
    }
    if let Some(digits) = unsigned.strip_prefix("0x") {
        return all(digits, |c| c.is_ascii_hexdigit());
    }
    if is_base_60(unsigned) || is_fraction(unsigned) {
        return true;
    }
    let digit = |c: char| c.is_ascii_digit();
    match unsigned.strip_prefix('0') {
        Some("") => text != "0",
        Some(octal) => all(octal, |c| ('0'..='7').contains(&c)),
        None => unsigned.starts_with(digit) && all(unsigned, |c| c.is_ascii_digit()),
    }
}

/// `1:30`, `190:20:30.15`.
fn is_base_60(text: &str) -> bool {
    let mut parts = text.split(':');
    let first = parts.next().unwrap_or_default();
    let rest: Vec<&str> = parts.collect();
    let Some((last, middle)) = rest.split_last() else { return false };
    let sixty = |part: &str| {
        (1..=2).contains(&part.len())
            && part.chars().all(|c| c.is_ascii_digit())
            && part.parse().is_ok_and(|number: u8| number < 60)
    };
    let (last, fraction) = last.split_once('.').map_or((*last, None), |(whole, fraction)| (whole, Some(fraction)));
    let leading = if fraction.is_some() { '0'..='9' } else { '1'..='9' };
    first.starts_with(|c| leading.contains(&c))
        && first.chars().all(|c| c == '_' || c.is_ascii_digit())
        && middle.iter().all(|part| sixty(part))
        && sixty(last)
        && fraction.unwrap_or_default().chars().all(|c| c == '_' || c.is_ascii_digit())
}

/// `1.5`, `.5`, `1.5e+3`; an exponent without a sign makes it text, as `PyYAML` has it.
fn is_fraction(text: &str) -> bool {
    let Some((whole, rest)) = text.split_once('.') else { return false };
    let digits = |text: &str| text.chars().all(|c| c == '_' || c.is_ascii_digit());
    let (fraction, exponent) = rest.split_once(['e', 'E']).map_or((rest, None), |(f, e)| (f, Some(e)));
    let exponent_is_one = exponent.is_none_or(|exponent| {
        exponent
            .strip_prefix(['-', '+'])
            .is_some_and(|power| !power.is_empty() && power.chars().all(|c| c.is_ascii_digit()))
    });
    let starts = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    (starts(whole) || (whole.is_empty() && starts(fraction))) && digits(whole) && digits(fraction) && exponent_is_one
}

/// `2026-11-22`, with or without a time behind it.
fn is_date(text: &str) -> bool {
    let mut parts = text.splitn(3, '-');
    let number = |text: &str, lengths: std::ops::RangeInclusive<usize>| {
        lengths.contains(&text.len()) && text.chars().all(|c| c.is_ascii_digit())
    };
    let (Some(year), Some(month), Some(rest)) = (parts.next(), parts.next(), parts.next()) else { return false };
    let day = rest.split(['T', 't', ' ', '\t']).next().unwrap_or_default();
    let date_only = day.len() == rest.len();
    let lengths = if date_only { 2..=2 } else { 1..=2 };
    number(year, 4..=4) && number(month, lengths.clone()) && number(day, lengths) && (date_only || rest.contains(':'))
}
