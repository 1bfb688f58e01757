//! Which files are read, and how `clouds.yaml`, `secure.yaml` and the environment become one list of clouds.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::environment::Environment;
use super::error::{CloudsError, Place};
use super::layers::defaults;
use super::node::{self, Map, Node, Value};

/// Endings of configuration files in the order in which they are tried.
const SUFFIXES: [&str; 3] = ["yaml", "yml", "json"];

/// The cloud that the environment defines, unless `OS_CLOUD_NAME` names it.
const ENVIRONMENT_CLOUD: &str = "envvars";

/// Variables that choose a cloud but do not define one.
const SELECTORS: [&str; 5] =
    ["OS_CLOUD", "OS_REGION_NAME", "OS_CLIENT_CONFIG_FILE", "OS_CLIENT_SECURE_FILE", "OS_CLOUD_NAME"];

/// Prefixes of variables that belong to test runners, not to clouds. Source: openstacksdk.
const NOT_OURS: [&str; 3] = ["OS_TEST", "OS_STD", "OS_LOG"];

/// All clouds that are known, before profiles are laid under them.
pub(super) struct Known {
    /// Clouds by name.
    pub(super) clouds: Map,
    /// `public-clouds` of `clouds-public.yaml`.
    pub(super) profiles: Map,
    /// The file that clouds come from, if there is one.
    pub(super) file: Option<PathBuf>,
    /// Where files were looked for.
    pub(super) searched: Vec<PathBuf>,
    /// The cloud that the environment defines, if it does.
    pub(super) from_environment: Option<String>,
    /// For people.
    pub(super) notes: Vec<String>,
}

/// Reads all files and the environment.
pub(super) fn collect(environment: &Environment) -> Result<Known, CloudsError> {
    let searched = environment.search_path();
    let mut notes = Vec::new();
    let clouds_file = first_of(environment, "clouds", Some("OS_CLIENT_CONFIG_FILE"), &mut notes)?;
    let secure_file = first_of(environment, "secure", Some("OS_CLIENT_SECURE_FILE"), &mut notes)?;
    let public_file = first_of(environment, "clouds-public", None, &mut notes)?;

    let file = clouds_file.as_ref().map(|(path, _)| path.clone());
    let mut clouds = section(clouds_file, "clouds", &mut notes)?;
    merge(&mut clouds, section(secure_file, "clouds", &mut notes)?)?;
    let profiles = section(public_file, "public-clouds", &mut notes)?;

    let name = environment.get("OS_CLOUD_NAME").unwrap_or(ENVIRONMENT_CLOUD).to_owned();
    if let Some(entry) = clouds.get(&name) {
        return Err(CloudsError::at(
            &entry.at,
            format!("a cloud named `{name}` stands for the environment's variables"),
        )
        .hinting("rename it, or set OS_CLOUD_NAME to another name"));
    }
    let defined = from_variables(environment);
    let from_environment = defined.is_some().then(|| name.clone());
    if let Some(map) = defined {
        clouds.insert(name, Node { at: Place::Default, value: Value::Map(map) });
    }
    Ok(Known { clouds, profiles, file, searched, from_environment, notes })
}

/// The first file of that name that exists and may be read.
fn first_of(
    environment: &Environment,
    name: &str,
    variable: Option<&str>,
    notes: &mut Vec<String>,
) -> Result<Option<(PathBuf, Option<Node>)>, CloudsError> {
    let named = variable.and_then(|variable| Some((variable, environment.expand(environment.get(variable)?))));
    let usual = environment.search_path().into_iter();
    let usual = usual.flat_map(|folder| SUFFIXES.map(|suffix| folder.join(format!("{name}.{suffix}"))));
    let candidates = named.iter().map(|(_, path)| path.clone()).chain(usual);
    for path in candidates {
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                let node = node::parse(&path, &text)?;
                return Ok(Some((path, node)));
            }
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                if let Some((variable, _)) = named.as_ref().filter(|(_, named)| *named == path) {
                    notes.push(format!("{variable} names `{}`, which does not exist", path.display()));
                }
            }
            Err(error) if error.kind() == ErrorKind::PermissionDenied => {
                notes.push(format!("`{}` was passed over: it may not be read", path.display()));
            }
            Err(error) => return Err(CloudsError::unreadable(&path, error)),
        }
    }
    Ok(None)
}

/// One top-level mapping of a file; empty when the file is empty or lacks it.
fn section(file: Option<(PathBuf, Option<Node>)>, name: &str, notes: &mut Vec<String>) -> Result<Map, CloudsError> {
    let Some((path, Some(node))) = file else { return Ok(Map::new()) };
    let top = normalized(node.as_map("the file")?);
    // openstacksdk spells this key with a dash, and normalization has made an underscore of it.
    let Some(found) = top.get(&name.replace('-', "_")) else {
        notes.push(format!("`{}` has no key `{name}`", path.display()));
        return Ok(Map::new());
    };
    if matches!(found.value, Value::Null) {
        return Ok(Map::new());
    }
    let mut clouds = Map::new();
    for (cloud, entry) in found.as_map(&format!("`{name}`"))? {
        let map = normalized(entry.as_map(&format!("cloud `{cloud}`"))?);
        clouds.insert(cloud.clone(), Node { at: entry.at.clone(), value: Value::Map(map) });
    }
    Ok(clouds)
}

/// The same with `-` in keys as `_`, one level into `auth` and deeper; names of clouds are left as they are.
fn normalized(map: &Map) -> Map {
    map.iter()
        .map(|(key, node)| {
            let holds_names = matches!(key.as_str(), "clouds" | "public-clouds");
            let inner = if let Value::Map(inner) = &node.value { Some(inner) } else { None };
            let value =
                inner.filter(|_| !holds_names).map_or_else(|| node.value.clone(), |map| Value::Map(normalized(map)));
            (key.replace('-', "_"), Node { at: node.at.clone(), value })
        })
        .collect()
}

/// Lays `upper` over `lower`, mapping by mapping: this is how `secure.yaml` completes `clouds.yaml`.
fn merge(lower: &mut Map, upper: Map) -> Result<(), CloudsError> {
    for (key, node) in upper {
        let Value::Map(inner) = &node.value else {
            lower.insert(key, node);
            continue;
        };
        match lower.get_mut(&key) {
            None => {
                lower.insert(key, node);
            }
            Some(Node { value: Value::Map(below), .. }) => merge(below, inner.clone())?,
            Some(other) => {
                let message = format!("`{key}` is a mapping here, but not at {}", other.at);
                return Err(CloudsError::at(&node.at, message));
            }
        }
    }
    Ok(())
}

/// The cloud that `OS_*` define; `None` when they only choose one.
fn from_variables(environment: &Environment) -> Option<Map> {
    let ours = |name: &str| name.starts_with("OS_") && !NOT_OURS.iter().any(|prefix| name.starts_with(prefix));
    let variables: Vec<(&String, &String)> = environment.variables.iter().filter(|(name, _)| ours(name)).collect();
    if variables.iter().all(|(name, _)| SELECTORS.contains(&name.as_str())) {
        return None;
    }
    // openstacksdk lays its defaults into this cloud, where they win over a profile.
    let mut map = defaults();
    for (name, value) in variables {
        let key = name.strip_prefix("OS_").unwrap_or(name).to_lowercase();
        map.insert(key, Node::text(Place::Variable(name.clone()), value.clone()));
    }
    Some(map)
}

/// For messages: the folders that were searched.
pub(super) fn shown(paths: &[PathBuf]) -> String {
    let paths: Vec<String> = paths.iter().map(|path: &PathBuf| format!("`{}`", Path::display(path))).collect();
    paths.join(", ")
}
