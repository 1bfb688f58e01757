//! Microversions: what a service offers, and which of the fixed ones each call uses.

use std::fmt;

use serde::Deserialize;
use url::Url;

/// A microversion: `2.53`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Microversion(pub(super) u16, pub(super) u16);

impl fmt::Display for Microversion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

impl Microversion {
    fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        Some(Self(major.parse().ok()?, minor.parse().ok()?))
    }
}

/// What a service offers at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Offered(pub(super) Microversion);

impl Offered {
    /// The newest of `known` that the service has; `None` when it has none of them. `known` is newest first.
    pub(super) fn newest(self, known: &[Microversion]) -> Option<Microversion> {
        known.iter().copied().find(|version| *version <= self.0)
    }
}

/// A service's document about its versions: of one version at its own URL, of all at the root.
#[derive(Deserialize)]
pub(super) struct Document {
    version: Option<Version>,
    #[serde(default)]
    versions: Vec<Version>,
}

#[derive(Deserialize)]
struct Version {
    id: String,
    /// Nova's newest microversion.
    #[serde(default, rename = "version")]
    newest: Option<String>,
    /// Placement's.
    #[serde(default, rename = "max_version")]
    highest: Option<String>,
    #[serde(default)]
    links: Vec<Link>,
}

#[derive(Deserialize)]
struct Link {
    rel: String,
    href: String,
}

/// What a document says of one major version.
pub(super) struct Described {
    /// The newest microversion.
    pub(super) offered: Offered,
    /// The path of that version, where the document is about several.
    pub(super) path: Option<String>,
}

impl Document {
    /// Finds the version with microversions `major.x`.
    pub(super) fn describe(&self, major: u16) -> Option<Described> {
        let offered = |version: &Version| {
            let newest = version.newest.as_deref().filter(|text| !text.is_empty()).or(version.highest.as_deref());
            newest.and_then(Microversion::parse).filter(|newest| newest.0 == major).map(Offered)
        };
        if let Some(version) = &self.version {
            return offered(version).map(|offered| Described { offered, path: None });
        }
        self.versions.iter().find_map(|version| {
            let offered = offered(version)?;
            // A link's host is what the service believes itself to be called, often wrong behind a proxy, and
            // Placement's whole link is empty: only the path is taken, and only if it is that of a version.
            let link = version.links.iter().find(|link| link.rel == "self");
            let path = link.and_then(|link| path_of(&link.href)).filter(|path| path.contains(&version.id));
            Some(Described { offered, path })
        })
    }
}

/// The path of a link, which may be a whole URL or a path.
fn path_of(href: &str) -> Option<String> {
    let url: Url = href.parse().ok()?;
    Some(url.path().trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn describe(text: &str, major: u16) -> Option<(String, Option<String>)> {
        let document: Document = serde_json::from_str(text).unwrap();
        document.describe(major).map(|described| (described.offered.0.to_string(), described.path))
    }

    #[test]
    fn documents_of_nova_and_placement_are_understood() {
        let one = r#"{"version": {"id": "v2.1", "status": "CURRENT", "version": "2.104", "min_version": "2.1", "links": []}}"#;
        assert_eq!(describe(one, 2), Some(("2.104".to_owned(), None)));
        let all = r#"{"versions": [
            {"id": "v2.0", "version": "", "min_version": "", "links": [{"rel": "self", "href": "http://nova/v2/"}]},
            {"id": "v2.1", "version": "2.93", "links": [{"rel": "self", "href": "http://nova/compute/v2.1/"}]}]}"#;
        assert_eq!(describe(all, 2), Some(("2.93".to_owned(), Some("/compute/v2.1".to_owned()))));
        let placement = r#"{"versions": [{"id": "v1.0", "max_version": "1.39", "min_version": "1.0", "status": "CURRENT",
            "links": [{"rel": "self", "href": ""}]}]}"#;
        assert_eq!(describe(placement, 1), Some(("1.39".to_owned(), None)));
        assert_eq!(describe(placement, 2), None);
        assert_eq!(describe("{}", 2), None);
    }

    #[test]
    fn the_newest_known_version_that_is_offered_is_used() {
        let known = [Microversion(2, 96), Microversion(2, 73), Microversion(2, 53)];
        assert_eq!(Offered(Microversion(2, 104)).newest(&known), Some(Microversion(2, 96)));
        assert_eq!(Offered(Microversion(2, 93)).newest(&known), Some(Microversion(2, 73)));
        assert_eq!(Offered(Microversion(2, 42)).newest(&known), None);
    }
}
