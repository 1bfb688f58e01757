//! What owners may decide about their own instances, by server metadata and by project.

use std::collections::BTreeMap;

use jiff::civil::Date;
use jiff::{Timestamp, tz::TimeZone};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::InstanceHandling;
use crate::model::ProjectId;

/// What owners may decide about their own. Nothing is read unless a key or a project is named here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OwnerRules {
    /// Keys of server metadata by which an owner decides; the first that a server has counts. Its value is `move` (or
    /// rockoon's `live_migrate`), `cold-migrate`, `stop-in-place` (or `poweroff`), `never` (or `notify`), or
    /// `wait-until:2026-12-24`, which is `never` until that day begins (UTC) and nothing from then on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub metadata: Vec<String>,
    /// Key of server metadata with a whole number: of what is stopped in place on one host the highest starts first and
    /// stops last; 0 where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<String>,
    /// What is done with the instances of a project, unless their owner's metadata says otherwise.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub projects: BTreeMap<ProjectId, InstanceHandling>,
}

/// What an owner said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// What it means.
    pub handling: InstanceHandling,
    /// What was said, for people.
    pub said: String,
}

impl OwnerRules {
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// What the owner of a server with that metadata has decided about it, as of `now`. What is not understood means
    /// `never`: somebody wanted something.
    pub fn word(&self, metadata: &BTreeMap<String, String>, project: &ProjectId, now: Timestamp) -> Option<Word> {
        let by_owner = self.metadata.iter().find_map(|key| Some((key, metadata.get(key)?)));
        if let Some((key, value)) = by_owner {
            return meaning(value.trim(), now).map(|handling| {
                let said = format!("its owner says {key}={}", value.escape_debug());
                Word { handling, said }
            });
        }
        let handling = *self.projects.get(project)?;
        Some(Word { handling, said: format!("its project {project} has decided so") })
    }

    /// Which of those that are stopped in place on one host starts first.
    pub fn priority_of(&self, metadata: &BTreeMap<String, String>) -> i32 {
        let value = self.priority.as_ref().and_then(|key| metadata.get(key));
        value.and_then(|value| value.trim().parse().ok()).unwrap_or(0)
    }
}

/// What a value means; `None` when it means nothing any more.
fn meaning(value: &str, now: Timestamp) -> Option<InstanceHandling> {
    if let Some(day) = value.strip_prefix("wait-until:") {
        let until = day.trim().parse::<Date>().ok().and_then(|day| day.to_zoned(TimeZone::UTC).ok());
        let is_over = until.is_some_and(|until| until.timestamp() <= now);
        return (!is_over).then_some(InstanceHandling::SkipHost);
    }
    Some(match value.to_ascii_lowercase().replace('_', "-").as_str() {
        "move" | "live-migrate" => InstanceHandling::LiveMigrate,
        "cold-migrate" => InstanceHandling::ColdMigrate,
        "stop-in-place" | "poweroff" => InstanceHandling::StopInPlace,
        _ => InstanceHandling::SkipHost,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(value: &str, now: &str) -> Option<InstanceHandling> {
        let rules = OwnerRules { metadata: vec!["maintenance".to_owned()], ..OwnerRules::default() };
        let metadata = [("maintenance".to_owned(), value.to_owned())].into();
        rules.word(&metadata, &ProjectId::new("p"), now.parse().unwrap()).map(|word| word.handling)
    }

    #[test]
    fn owners_words_mean_what_they_say_and_anything_else_means_never() {
        let now = "2026-11-30T12:00:00Z";
        for (value, meant) in [
            ("move", InstanceHandling::LiveMigrate),
            ("live_migrate", InstanceHandling::LiveMigrate),
            ("Poweroff", InstanceHandling::StopInPlace),
            (" stop-in-place ", InstanceHandling::StopInPlace),
            ("cold-migrate", InstanceHandling::ColdMigrate),
            ("notify", InstanceHandling::SkipHost),
            ("never", InstanceHandling::SkipHost),
            ("stop in plaice", InstanceHandling::SkipHost),
            ("wait-until:2026-12-24", InstanceHandling::SkipHost),
            ("wait-until:christmas", InstanceHandling::SkipHost),
        ] {
            assert_eq!(word(value, now), Some(meant), "{value}");
        }
        assert_eq!(word("wait-until:2026-11-30", now), None, "that day has begun");
        assert_eq!(word("wait-until:2026-12-01", "2026-12-01T00:00:00Z"), None);
    }

    #[test]
    fn a_project_decides_where_its_instances_owners_say_nothing() {
        let project = ProjectId::new("p");
        let rules = OwnerRules {
            metadata: vec!["a".to_owned()],
            projects: [(project.clone(), InstanceHandling::StopInPlace)].into(),
            priority: Some("rank".to_owned()),
        };
        let now = Timestamp::UNIX_EPOCH;
        let of = |metadata: &BTreeMap<String, String>| rules.word(metadata, &project, now).unwrap().handling;
        assert_eq!(of(&BTreeMap::new()), InstanceHandling::StopInPlace);
        assert_eq!(of(&[("a".to_owned(), "move".to_owned())].into()), InstanceHandling::LiveMigrate);
        assert!(rules.word(&BTreeMap::new(), &ProjectId::new("other"), now).is_none());
        assert_eq!(rules.priority_of(&[("rank".to_owned(), "7".to_owned())].into()), 7);
        assert_eq!(rules.priority_of(&[("rank".to_owned(), "high".to_owned())].into()), 0);
    }
}
