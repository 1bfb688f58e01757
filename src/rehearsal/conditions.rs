//! Under which conditions a rollout is rehearsed: by name, or as a file says.

use serde::{Deserialize, Serialize};

use crate::model::Percent;
use crate::sim::faults::{Chances, Churn, Faults};

/// The file kind of conditions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ConditionsKind {
    /// The only value.
    #[default]
    Conditions,
}

/// Under which conditions a rollout is rehearsed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Conditions {
    /// Version of the file format; 1.
    pub format: u32,
    /// Always `conditions`.
    pub kind: ConditionsKind,
    /// Each duration is drawn from this much below to this much above what the plan reckons with.
    pub noise: Percent,
    /// What goes wrong, and what tenants do meanwhile.
    pub faults: Faults,
}

impl Default for Conditions {
    fn default() -> Self {
        Level::Usual.conditions()
    }
}

/// Conditions by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Everything takes as long as planned and nothing goes wrong.
    None,
    /// What a campaign has to bear: ±50 % in every duration, 2 % of migrations fail, tenants come and go.
    Usual,
    /// A bad week: migrations hang, hosts do not come back or come back with their old kernel, updates fail.
    Harsh,
}

impl Level {
    /// All of them, the mildest first.
    pub const ALL: [Self; 3] = [Self::None, Self::Usual, Self::Harsh];

    /// Its name on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Usual => "usual",
            Self::Harsh => "harsh",
        }
    }

    /// What it means.
    pub fn conditions(self) -> Conditions {
        let (noise, faults) = match self {
            Self::None => (percent(0.0), Faults::default()),
            Self::Usual => {
                let chance = Chances { migration_fails: percent(2.0), ..Chances::default() };
                (percent(50.0), Faults { chance, tenants: churn(1.0), ..Faults::default() })
            }
            Self::Harsh => {
                let chance = Chances {
                    migration_fails: percent(5.0),
                    migration_hangs: percent(0.2),
                    host_no_return: percent(1.0),
                    old_kernel: percent(1.0),
                    job_fails: percent(1.0),
                    post_scriptlet: percent(1.0),
                    api: percent(0.1),
                    shell: percent(0.1),
                };
                (percent(50.0), Faults { chance, tenants: churn(10.0), ..Faults::default() })
            }
        };
        Conditions { format: 1, kind: ConditionsKind::Conditions, noise, faults }
    }
}

fn churn(per_day: f64) -> Churn {
    Churn { created_per_day: percent(per_day), deleted_per_day: percent(per_day) }
}

fn percent(share: f64) -> Percent {
    Percent::new(share).unwrap_or_default()
}
