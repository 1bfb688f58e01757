//! The files that people and this program write.

use serde::Serialize;

use super::ConfigError;
use super::text::{FileKind, read, to_yaml};
use crate::model::{Policy, Region};
use crate::plan::Rollout;
use crate::remedy::Remedy;

const REMEDY: FileKind = FileKind { name: "remedy", format: 1 };
const POLICY: FileKind = FileKind { name: "policy", format: 1 };
const ROLLOUT: FileKind = FileKind { name: "rollout", format: 1 };
const REGION: FileKind = FileKind { name: "region", format: 1 };

/// Reads a remedy; `file` is its name in errors.
pub fn read_remedy(file: &str, text: &str) -> Result<Remedy, ConfigError> {
    read(REMEDY, file, text)
}

/// Reads a policy; `file` is its name in errors.
pub fn read_policy(file: &str, text: &str) -> Result<Policy, ConfigError> {
    read(POLICY, file, text)
}

/// Reads a rollout, YAML or JSON; `file` is its name in errors. Its digest is not looked at.
pub fn read_rollout(file: &str, text: &str) -> Result<Rollout, ConfigError> {
    read(ROLLOUT, file, text)
}

/// Reads a region, YAML or JSON; `file` is its name in errors.
pub fn read_region(file: &str, text: &str) -> Result<Region, ConfigError> {
    read(REGION, file, text)
}

/// Above so many hosts and moves a rollout is written as JSON: reading YAML takes 25 µs a move, JSON a tenth of it.
const YAML_MOVES_MAX: usize = 5_000;

/// Writes a rollout: YAML, or JSON (which YAML readers read too) when it is very large.
pub fn write_rollout(rollout: &Rollout) -> Result<String, ConfigError> {
    let size: usize = rollout.hosts.iter().map(|host| 1 + host.moves.len()).sum();
    if size > YAML_MOVES_MAX {
        return to_json("rollout", rollout);
    }
    to_yaml(rollout).map_err(|error| ConfigError::at("rollout", (1, 1), error.to_string()))
}

/// Writes a region as JSON.
pub fn write_region(region: &Region) -> Result<String, ConfigError> {
    to_json("region", region)
}

fn to_json<T: Serialize>(what: &str, value: &T) -> Result<String, ConfigError> {
    let mut text = serde_json::to_string_pretty(value).map_err(|error| ConfigError::json(what, &error))?;
    text.push('\n');
    Ok(text)
}
