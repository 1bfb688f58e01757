//! How a campaign of cold boots goes about its work: who consents, when, and how much at once.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::{ProjectId, Span, Window};

/// Metadata by which an owner consents, and what it has to say.
const CONSENT_KEY: &str = "fleetmend:cold-boot";

/// How instances are stopped and started so that they get the processor that their host has by now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ColdBootRules {
    /// Whose instances may be stopped and started. Nobody's by default but of those who say so.
    pub consent: Consent,
    /// Cold boots under way at a time, in the region.
    pub at_once: usize,
    /// The same on one host: what starts there reads its disks at once.
    pub per_host: usize,
    /// How long a guest may take to shut down. Nova switches it off by force when its own limit is over.
    pub shutdown: Span,
    /// How long it may take from the start until Nova shows it running.
    pub start: Span,
    /// When instances of a project may be stopped, in place of the policy's own windows.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub windows: BTreeMap<ProjectId, Vec<Window>>,
}

impl Default for ColdBootRules {
    fn default() -> Self {
        Self {
            consent: Consent::default(),
            at_once: 4,
            per_host: 1,
            // Windows guests take minutes to install what waits for their shutdown.
            shutdown: Span::seconds(15 * 60),
            start: Span::seconds(5 * 60),
            windows: BTreeMap::new(),
        }
    }
}

impl ColdBootRules {
    /// Whether nothing differs from the default.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// How long one may take from its stop to its end, for windows.
    pub fn longest_s(&self) -> f64 {
        self.shutdown.as_seconds() + self.start.as_seconds()
    }
}

/// Who consents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Consent {
    /// Server metadata that consents, each with the values that mean so, without regard to case.
    pub metadata: BTreeMap<String, BTreeSet<String>>,
    /// Projects whose instances all consent, unless their metadata says otherwise.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub projects: BTreeSet<ProjectId>,
}

impl Default for Consent {
    fn default() -> Self {
        let values = ["yes", "true", "1"].map(str::to_owned).into();
        Self { metadata: BTreeMap::from([(CONSENT_KEY.to_owned(), values)]), projects: BTreeSet::new() }
    }
}

impl Consent {
    /// Whether an instance of `project` with this metadata consents: its own word counts over its project's.
    pub fn of(&self, project: &ProjectId, metadata: &BTreeMap<String, String>) -> bool {
        let said = self.metadata.iter().filter_map(|(key, values)| Some((values, metadata.get(key)?)));
        let says_yes = |(values, value): (&BTreeSet<String>, &String)| {
            values.iter().any(|yes| yes.eq_ignore_ascii_case(value.trim()))
        };
        let mut said = said.map(says_yes).peekable();
        if said.peek().is_some() { said.all(|yes| yes) } else { self.projects.contains(project) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instances_own_word_counts_over_its_projects() {
        let consent = Consent { projects: [ProjectId::from("p")].into(), ..Consent::default() };
        let says = |project: &str, value: Option<&str>| {
            let metadata = value.map(|value| (CONSENT_KEY.to_owned(), value.to_owned())).into_iter().collect();
            consent.of(&project.into(), &metadata)
        };
        assert!(says("p", None) && says("q", Some("Yes")) && says("p", Some(" true ")));
        assert!(!says("q", None) && !says("p", Some("no")) && !says("q", Some("please ask")));
    }
}
