//! What to update on a host, and whether updating and rebooting it can mitigate at all.

use std::fmt;

use super::assess::{argument_is_set, command_line, guest_finding, hold, threshold_for};
use super::{Absent, EvidenceRequirement, Outcome, Remedy, Update};
use crate::host::PackageTarget;
use crate::model::{HostFacts, NovaConfHandling};

/// The packages to bring to their newest version on this host, in the remedy's order, each once.
pub fn updates(facts: &HostFacts, remedy: &Remedy) -> Vec<PackageTarget> {
    let mut targets: Vec<PackageTarget> = Vec::new();
    for requirement in &remedy.packages {
        for held in hold(facts, requirement) {
            let due = match requirement.update {
                Update::Always => true,
                Update::Needed => held.outcome == Outcome::Fail,
                Update::Never => false,
            };
            let target = PackageTarget { name: held.name, manager: held.manager };
            if due && !targets.contains(&target) {
                targets.push(target);
            }
        }
    }
    targets
}

/// CPU flags that nova.conf lacks and that an edit can add; empty when there is nothing to add.
pub fn missing_guest_flags(facts: &HostFacts, remedy: &Remedy) -> Vec<String> {
    remedy.guests.as_ref().map(|guests| guest_finding(facts, guests).to_add).unwrap_or_default()
}

/// What speaks against a host's being mitigated by update and reboot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prospect {
    /// Each obstacle, in the remedy's order.
    pub obstacles: Vec<Obstacle>,
}

/// Something that update and reboot leave as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Obstacle {
    /// The kernel's command line, as the next boot will most likely take it.
    CommandLine {
        /// The argument.
        argument: String,
        /// Whether it has to be there.
        wanted: bool,
    },
    /// nova.conf keeps the flag from guests.
    NovaConf {
        /// What it says.
        found: String,
        /// Whether adding flags mends it.
        mendable: bool,
    },
    /// A package below its threshold that nothing here updates.
    NotUpdated(String),
    /// A package below its threshold that the package manager is told to leave as it is, and what tells it.
    Held(String, String),
    /// None of these packages is installed.
    NotInstalled(Vec<String>),
    /// An installed package, or the kernel, for which the remedy has no threshold on this system.
    NoThreshold(String),
}

impl Prospect {
    /// The obstacles that remain when nova.conf is handled so.
    pub fn remaining(&self, nova_conf: NovaConfHandling) -> impl Iterator<Item = &Obstacle> {
        self.obstacles.iter().filter(move |obstacle| match (obstacle, nova_conf) {
            (Obstacle::NovaConf { mendable, .. }, NovaConfHandling::AddFlags) => !mendable,
            (Obstacle::NovaConf { .. }, NovaConfHandling::Leave)
            | (
                Obstacle::CommandLine { .. }
                | Obstacle::NotUpdated(_)
                | Obstacle::Held(..)
                | Obstacle::NotInstalled(_)
                | Obstacle::NoThreshold(_),
                NovaConfHandling::AddFlags | NovaConfHandling::Leave,
            ) => true,
        })
    }

    /// Whether update and reboot can mitigate when nova.conf is handled so.
    pub fn can_mitigate(&self, nova_conf: NovaConfHandling) -> bool {
        self.remaining(nova_conf).next().is_none()
    }
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommandLine { argument, wanted: false } => {
                write!(f, "the kernel command line has `{argument}`; take it out of the boot loader's configuration")
            }
            Self::CommandLine { argument, wanted: true } => {
                write!(f, "the kernel command line is without `{argument}`; add it to the boot loader's configuration")
            }
            Self::NovaConf { found, mendable: true } => {
                write!(f, "nova.conf: {found}; `nova_conf: add-flags` in the policy mends it")
            }
            Self::NovaConf { found, mendable: false } => write!(f, "nova.conf: {found}"),
            Self::NotUpdated(name) => write!(f, "{name} is too old and the remedy does not update it"),
            Self::Held(name, by) => {
                write!(f, "{name} is too old and held back by {by}; release it, or update it by hand")
            }
            Self::NotInstalled(names) => write!(f, "{} is not installed", names.join(" or ")),
            Self::NoThreshold(what) => write!(f, "the remedy has no threshold for {what} on this system"),
        }
    }
}

/// Whether update and reboot can mitigate this host: before an outage is spent on it.
///
/// Silent about what could not be seen: an unknown fact is no obstacle, and the verdict tells of it.
pub fn prospect(facts: &HostFacts, remedy: &Remedy) -> Prospect {
    let mut obstacles = Vec::new();
    for requirement in &remedy.packages {
        let held = hold(facts, requirement);
        let fails = |outcome: Outcome| held.iter().filter(move |one| one.outcome == outcome);
        if requirement.update == Update::Never {
            obstacles.extend(fails(Outcome::Fail).map(|one| Obstacle::NotUpdated(one.name.clone())));
        }
        if requirement.update != Update::Never {
            let stuck =
                fails(Outcome::Fail).filter_map(|one| Some((one.name.clone(), facts.holds.get(&one.name)?.clone())));
            obstacles.extend(stuck.map(|(name, by)| Obstacle::Held(name, by)));
        }
        let unknown = fails(Outcome::Unknown).filter(|one| threshold_for(facts, requirement, &one.name).is_none());
        if facts.os.is_some() {
            obstacles.extend(unknown.map(|one| Obstacle::NoThreshold(one.name.clone())));
        }
        let seen = facts.os.is_some() && !facts.unread.contains_key("rpm") && !facts.unread.contains_key("dpkg");
        let asked = requirement.thresholds.iter().any(|threshold| threshold.os.chooses(facts.os.as_ref()));
        if held.is_empty() && seen && asked && requirement.absent == Absent::Fail {
            obstacles.push(Obstacle::NotInstalled(requirement.any_of.clone()));
        }
    }
    if let Some(kernel) = remedy.kernel.as_ref().filter(|kernel| facts.os.is_some() && !kernel.thresholds.is_empty())
        && !kernel.thresholds.iter().any(|threshold| threshold.os.chooses(facts.os.as_ref()))
    {
        obstacles.push(Obstacle::NoThreshold("the kernel".to_owned()));
    }
    obstacles.extend(against_command_line(facts, remedy));
    if let Some(guests) = &remedy.guests {
        let finding = guest_finding(facts, guests);
        if finding.outcome == Outcome::Fail {
            let mendable = !finding.to_add.is_empty();
            obstacles.push(Obstacle::NovaConf { found: finding.found.unwrap_or_default(), mendable });
        }
    }
    Prospect { obstacles }
}

fn against_command_line(facts: &HostFacts, remedy: &Remedy) -> Vec<Obstacle> {
    let Some(line) = command_line(facts) else { return Vec::new() };
    let mut obstacles = Vec::new();
    for requirement in &remedy.evidence {
        if let EvidenceRequirement::CommandLine(arguments) = requirement {
            let unwanted = arguments.must_not.iter().filter(|one| argument_is_set(line, one)).map(|one| (one, false));
            let missing = arguments.must.iter().filter(|one| !argument_is_set(line, one)).map(|one| (one, true));
            obstacles.extend(
                unwanted
                    .chain(missing)
                    .map(|(argument, wanted)| Obstacle::CommandLine { argument: argument.clone(), wanted }),
            );
        }
    }
    obstacles
}
