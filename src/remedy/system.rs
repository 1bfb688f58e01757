//! Which operating systems a threshold speaks of.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::OsRelease;

/// Chooses operating systems by `/etc/os-release`. Empty chooses all.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SystemSelector {
    /// Values of `ID`; all when empty. `ID_LIKE` is never looked at: a derivative numbers its fixes in its own way.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub id: Vec<String>,
    /// Beginnings of `VERSION_ID` by whole components: `8` chooses 8 and 8.4, not 80. All when empty.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub versions: Vec<String>,
}

impl SystemSelector {
    /// Whether it chooses every system.
    pub fn is_empty(&self) -> bool {
        self.id.is_empty() && self.versions.is_empty()
    }

    /// Whether it chooses `os`. A host whose system is not known is chosen by the empty selector only.
    pub fn chooses(&self, os: Option<&OsRelease>) -> bool {
        let Some(os) = os else { return self.is_empty() };
        let named = self.id.is_empty() || self.id.contains(&os.id);
        named && (self.versions.is_empty() || self.has_version(&os.version_id))
    }

    /// Whether every system that `other` chooses is chosen by this one too.
    pub fn covers(&self, other: &Self) -> bool {
        let names = self.id.is_empty() || (!other.id.is_empty() && other.id.iter().all(|id| self.id.contains(id)));
        let versions = self.versions.is_empty()
            || (!other.versions.is_empty() && other.versions.iter().all(|version| self.has_version(version)));
        names && versions
    }

    fn has_version(&self, version: &str) -> bool {
        self.versions.iter().any(|prefix| begins_with(version, prefix))
    }
}

/// Whether `version` has `prefix` as its first components.
fn begins_with(version: &str, prefix: &str) -> bool {
    version.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

impl fmt::Display for SystemSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ids = if self.id.is_empty() { "any system".to_owned() } else { self.id.join("/") };
        match self.versions.as_slice() {
            [] => f.write_str(&ids),
            versions => write!(f, "{ids} {}", versions.join("/")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn os(id: &str, version: &str) -> OsRelease {
        OsRelease { id: id.into(), version_id: version.into(), ..OsRelease::default() }
    }

    fn selector(ids: &[&str], versions: &[&str]) -> SystemSelector {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        SystemSelector { id: owned(ids), versions: owned(versions) }
    }

    #[test]
    fn a_version_is_chosen_by_whole_components() {
        let el8 = selector(&["rhel", "rocky"], &["8"]);
        for (id, version, chosen) in [("rhel", "8", true), ("rocky", "8.10", true), ("rhel", "80", false)] {
            assert_eq!(el8.chooses(Some(&os(id, version))), chosen, "{id} {version}");
        }
        assert!(!el8.chooses(Some(&os("ubuntu", "8"))));
        assert!(!el8.chooses(None));
        assert!(SystemSelector::default().chooses(None));
    }

    #[test]
    fn a_wider_selector_covers_a_narrower_one_and_not_the_reverse() {
        let (wide, narrow) = (selector(&["rhel", "centos"], &["7", "8"]), selector(&["rhel"], &["7.6"]));
        assert!(wide.covers(&narrow) && !narrow.covers(&wide));
        assert!(SystemSelector::default().covers(&narrow) && !narrow.covers(&SystemSelector::default()));
    }
}
