//! What the loader knows of its surroundings: a value, so that it can be tested and only `cli` reads the real one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Environment variables, working directory, home. Not `Debug`: variables may hold passwords.
#[derive(Clone, Default)]
pub struct Environment {
    /// Environment variables.
    pub variables: BTreeMap<String, String>,
    /// The working directory.
    pub working_directory: PathBuf,
}

impl Environment {
    /// A variable; `None` when unset or empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// The user's home: a snap's own `HOME` is not it.
    fn home(&self) -> Option<&Path> {
        self.get("SNAP_REAL_HOME").or_else(|| self.get("HOME")).map(Path::new)
    }

    /// Folders that may hold `clouds.yaml`, first wins. Source: openstacksdk, `openstack.config.loader`.
    pub(super) fn search_path(&self) -> Vec<PathBuf> {
        let mut path = vec![self.working_directory.clone()];
        let user = self.get("XDG_CONFIG_HOME").map(PathBuf::from);
        path.extend(user.or_else(|| self.get("HOME").map(|home| Path::new(home).join(".config"))));
        path.extend(self.home().map(|home| home.join(".config")));
        path.push(PathBuf::from(self.get("XDG_CONFIG_DIRS").unwrap_or("/etc/xdg")));
        path.push(PathBuf::from("/etc"));
        for folder in path.iter_mut().skip(1) {
            folder.push("openstack");
        }
        path.dedup();
        path
    }

    /// A path as configured: `~` is the home, anything relative is under the working directory.
    pub(super) fn expand(&self, path: &str) -> PathBuf {
        let expanded = match (path.strip_prefix('~'), self.get("HOME")) {
            (Some(""), Some(home)) => PathBuf::from(home),
            (Some(rest), Some(home)) if rest.starts_with('/') => PathBuf::from(format!("{home}{rest}")),
            (Some(_) | None, Some(_) | None) => PathBuf::from(path),
        };
        self.working_directory.join(expanded)
    }
}
