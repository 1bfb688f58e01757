//! The verdict on one instance.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::effect::{Effect, effect};
use super::hosts::{HostTimes, Mitigation};
use crate::model::{
    GroupId, GuestCpu, HostName, Instance, InstanceHistory, InstanceId, InstanceStatus, PastAction, ProjectId, RunId,
};

/// How far the clocks of Nova and of the runner may be apart. A host is proven quiet before its reboot: what began there
/// within this span of it and has not left since began after it.
const SKEW: SignedDuration = SignedDuration::from_secs(120);

/// What a boot began with that Nova has no word for: its host's reboot.
const HOST_REBOOT: &str = "host-reboot";

/// Whether a guest's processor is one from after the remedy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Renewal {
    /// Its boot began on a mitigated host after the mitigation, or its processor was seen to have the flag.
    Renewed,
    /// Its boot is from before: it needs a cold boot.
    Due,
    /// Its processor was seen without the flag, though its boot should have brought it: a cold boot alone will not help.
    Exposed,
    /// It cannot be told.
    Unknown,
    /// Nothing runs: its next start brings what its host has.
    NotRunning,
}

impl Renewal {
    /// All of them, in the order of urgency.
    pub const ALL: [Self; 5] = [Self::Exposed, Self::Due, Self::Unknown, Self::NotRunning, Self::Renewed];

    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Renewed => "renewed",
            Self::Due => "due",
            Self::Exposed => "exposed",
            Self::Unknown => "unknown",
            Self::NotRunning => "not running",
        }
    }
}

/// Who caused a boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Who {
    /// A run of ours.
    Run(RunId),
    /// A user, by id.
    User(String),
}

/// An instance in the ledger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Which.
    pub instance: InstanceId,
    /// Its name; any text of its owner's.
    pub name: String,
    /// Its project.
    pub project: ProjectId,
    /// The host that Nova names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<HostName>,
    /// Its status.
    pub status: InstanceStatus,
    /// Its server group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupId>,
    /// The verdict.
    pub verdict: Renewal,
    /// Why, for people.
    pub why: String,
    /// What its current boot began with, in Nova's word, or `host-reboot`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// When that was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
    /// Where that was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on: Option<HostName>,
    /// Who asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub who: Option<Who>,
    /// What its host shows of the flag: `require`, `disable`, or `absent`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seen: Option<String>,
}

/// How a boot began.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Boot {
    by: String,
    at: Timestamp,
    on: Option<HostName>,
    who: Option<Who>,
}

/// What Nova's memory says.
struct Told {
    verdict: Renewal,
    why: String,
    boot: Option<Boot>,
}

/// What the host shows of the flag in the processor of the running guest.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    Has,
    Disabled,
    Lacks,
    /// The host was not asked, or the guest gets what its host has.
    Nothing,
}

/// Judges one instance. `history` is what Nova remembers of it, `live` what its host shows of it, `flag` what a guest needs.
pub fn judge(
    instance: &Instance,
    history: Option<&InstanceHistory>,
    live: Option<&GuestCpu>,
    flag: &str,
    hosts: &HostTimes,
) -> Entry {
    // What runs of an instance in rescue is not what comes back.
    let live = live.filter(|_| instance.status != InstanceStatus::Rescue);
    let seen = seen(live, flag);
    let told = match at_rest(instance).filter(|_| live.is_none()) {
        Some((verdict, why)) => Told { verdict, why, boot: None },
        None => told(instance, history, hosts),
    };
    let (verdict, why) = match seen {
        Seen::Has if told.verdict == Renewal::Renewed => (Renewal::Renewed, told.why),
        Seen::Has => (Renewal::Renewed, format!("its processor has {flag}, seen on its host")),
        Seen::Disabled => (
            Renewal::Exposed,
            format!("its host shows {flag} as disabled in its processor: it was asked for and could not be given"),
        ),
        // That a host's reboot began it is only inferred; a boot that Nova recorded should have brought the flag.
        Seen::Lacks
            if told.verdict == Renewal::Renewed && told.boot.as_ref().is_some_and(|boot| boot.by != HOST_REBOOT) =>
        {
            (Renewal::Exposed, format!("{}, and yet its processor lacks {flag}, seen on its host", told.why))
        }
        Seen::Lacks if told.verdict == Renewal::Due => {
            (Renewal::Due, format!("{}; its processor lacks {flag}, seen on its host", told.why))
        }
        Seen::Lacks => (Renewal::Due, format!("its processor lacks {flag}, seen on its host")),
        Seen::Nothing => (told.verdict, told.why),
    };
    // What was inferred and is refuted is not told.
    let boot = told.boot.filter(|_| verdict == told.verdict || verdict == Renewal::Exposed);
    Entry {
        instance: instance.id,
        name: instance.name.clone(),
        project: instance.project.clone(),
        host: instance.host.clone(),
        status: instance.status.clone(),
        group: instance.group.clone(),
        verdict,
        why,
        by: boot.as_ref().map(|boot| boot.by.clone()),
        at: boot.as_ref().map(|boot| boot.at),
        on: boot.as_ref().and_then(|boot| boot.on.clone()),
        who: boot.and_then(|boot| boot.who),
        seen: match seen {
            Seen::Has => Some("require".to_owned()),
            Seen::Disabled => Some("disable".to_owned()),
            Seen::Lacks => Some("absent".to_owned()),
            Seen::Nothing => None,
        },
    }
}

fn seen(live: Option<&GuestCpu>, flag: &str) -> Seen {
    let Some(cpu) = live else { return Seen::Nothing };
    match cpu.features.get(flag).map(String::as_str) {
        Some("require" | "force") => Seen::Has,
        Some("disable" | "forbid") => Seen::Disabled,
        // Such a guest has what its host had when it began; no list says it.
        _ if matches!(cpu.mode.as_str(), "host-passthrough" | "maximum" | "") => Seen::Nothing,
        _ => Seen::Lacks,
    }
}

/// What is known of an instance of which nothing runs, or that is between two states.
fn at_rest(instance: &Instance) -> Option<(Renewal, String)> {
    let status = &instance.status;
    match status {
        InstanceStatus::Shutoff
        | InstanceStatus::Shelved
        | InstanceStatus::ShelvedOffloaded
        | InstanceStatus::SoftDeleted
        | InstanceStatus::Deleted => Some((Renewal::NotRunning, format!("it is {status}"))),
        InstanceStatus::Build
        | InstanceStatus::Error
        | InstanceStatus::HardReboot
        | InstanceStatus::Reboot
        | InstanceStatus::Rebuild
        | InstanceStatus::Rescue
        | InstanceStatus::Resize
        | InstanceStatus::RevertResize
        | InstanceStatus::Unknown
        | InstanceStatus::Other(_) => Some((Renewal::Unknown, format!("it is in {status}"))),
        InstanceStatus::Active
        | InstanceStatus::Migrating
        | InstanceStatus::Password
        | InstanceStatus::Paused
        // What was suspended is resumed with the processor that it had.
        | InstanceStatus::Suspended
        | InstanceStatus::VerifyResize => None,
    }
}

fn who(action: &PastAction, hosts: &HostTimes) -> Option<Who> {
    hosts.run_of(&action.request).map(Who::Run).or_else(|| action.user.clone().map(Who::User))
}

/// What Nova's memory says of a guest that runs.
fn told(instance: &Instance, history: Option<&InstanceHistory>, hosts: &HostTimes) -> Told {
    let unknown = |why: String| Told { verdict: Renewal::Unknown, why, boot: None };
    let Some(history) = history else { return unknown("Nova was not asked what was done to it".to_owned()) };
    if let Some(why) = &history.unread {
        return unknown(format!("what was done to it could not be read: {why}"));
    }
    let Some(host) = &instance.host else { return unknown("Nova names no host for it".to_owned()) };
    let last = last_boot(history, host, hosts);
    let since = last.as_ref().map(|boot| boot.at);
    if let Some(boot) = by_host_reboot(instance.id, history, host, since, hosts) {
        return judged(boot, history, hosts);
    }
    let Some(boot) = last else {
        return unknown("Nova remembers nothing from which its boot could have begun".to_owned());
    };
    let later = later_than(history, boot.at);
    let told = judged(boot, history, hosts);
    if told.verdict != Renewal::Due {
        return told;
    }
    if !is_whole(history) {
        return unknown("Nova does not remember all that was done to it".to_owned());
    }
    match later {
        Later::Nothing => told,
        Later::Unheard(action) => unknown(format!("it is not known what `{action}` does to a guest's processor")),
        Later::Rebooted(action) => after_a_reboot(action, told, history, host, hosts),
    }
}

/// The last time that its guest began anew, for all that Nova remembers.
fn last_boot(history: &InstanceHistory, host: &HostName, hosts: &HostTimes) -> Option<Boot> {
    let begun = |action: &&PastAction| !action.failed && effect(&action.action) == Effect::Boots && action.at.is_some();
    let action = history.actions.iter().find(begun)?;
    let at = action.at?;
    let on = action.host.clone().or_else(|| host_at(history, host, at));
    Some(Boot { by: action.action.clone(), at, on, who: who(action, hosts) })
}

/// Whether Nova remembers everything that was done to it, from its beginning.
fn is_whole(history: &InstanceHistory) -> bool {
    history.actions.iter().any(|action| action.action == "create")
}

/// Where it was at a time after which it was only live-migrated.
fn host_at(history: &InstanceHistory, now_on: &HostName, at: Timestamp) -> Option<HostName> {
    let first_after = history.moves.iter().rev().find(|moved| moved.at > at);
    if let Some(moved) = first_after {
        return Some(moved.from.clone());
    }
    // Records of migrations can be gone where the actions are not.
    let moved = |action: &PastAction| {
        effect(&action.action) == Effect::Moves && !action.failed && action.at.is_some_and(|moved| moved > at)
    };
    (!history.actions.iter().any(moved)).then(|| now_on.clone())
}

/// When it last came to the host that it is on, by live migration.
fn came_at(history: &InstanceHistory) -> Option<Timestamp> {
    let by_record = history.moves.first().map(|moved| moved.at);
    let moved = |action: &&PastAction| effect(&action.action) == Effect::Moves && !action.failed;
    by_record.max(history.actions.iter().find(moved).and_then(|action| action.at))
}

/// What was on a host when it rebooted and runs now was begun by that host's nova-compute, behind it.
fn by_host_reboot(
    instance: InstanceId,
    history: &InstanceHistory,
    host: &HostName,
    last_boot: Option<Timestamp>,
    hosts: &HostTimes,
) -> Option<Boot> {
    let booted = hosts.booted(host)?;
    // What we moved there behind the reboot was not there: that needs no other clock than ours.
    if hosts.moved(instance).is_some_and(|moved| moved >= booted) {
        return None;
    }
    let there_since = last_boot.max(came_at(history))?;
    if was_suspended(history, booted) {
        return None;
    }
    (booted.duration_since(there_since) > SKEW).then(|| Boot {
        by: HOST_REBOOT.to_owned(),
        at: booted,
        on: Some(host.clone()),
        who: None,
    })
}

/// Whether it lay suspended on disk at a time: it is resumed with the processor that it had, whatever its host did.
fn was_suspended(history: &InstanceHistory, at: Timestamp) -> bool {
    let before = history.actions.iter().filter(|action| !action.failed && action.at.is_some_and(|then| then < at));
    let mut decisive = before.filter(|action| {
        matches!(action.action.as_str(), "suspend" | "resume") || effect(&action.action) == Effect::Boots
    });
    decisive.next().is_some_and(|action| action.action == "suspend")
}

/// Holds a boot against the mitigation of the host on which it began.
fn judged(boot: Boot, history: &InstanceHistory, hosts: &HostTimes) -> Told {
    let began = format!("its boot began {:.0} by `{}`", boot.at, boot.by);
    let Some(on) = boot.on.clone() else {
        return Told { verdict: Renewal::Unknown, why: format!("{began}, it is not known on which host"), boot: None };
    };
    let since = match hosts.mitigation(&on) {
        Mitigation::NotAffected => {
            let why = format!("{began} on {on}, which does not have the flaw");
            return Told { verdict: Renewal::Renewed, why, boot: Some(boot) };
        }
        Mitigation::Vulnerable => {
            return Told {
                verdict: Renewal::Due,
                why: format!("{began} on {on}, which is vulnerable"),
                boot: Some(boot),
            };
        }
        Mitigation::Unknown => {
            let why = format!("{began} on {on}, of which it is not known whether it is mitigated");
            return Told { verdict: Renewal::Unknown, why, boot: None };
        }
        Mitigation::Proven(since) | Mitigation::Assessed(since) => since,
    };
    let after = boot.at.duration_since(since);
    let moved = came_at(history).is_some_and(|came| came > boot.at);
    let (verdict, why) = if boot.by == HOST_REBOOT || after > SKEW || (after > -SKEW && !moved) {
        (Renewal::Renewed, format!("{began} on {on}, mitigated since {since:.0}"))
    } else if after > -SKEW {
        let why = format!("{began} on {on} when that was being mitigated ({since:.0}), and it has left since");
        (Renewal::Unknown, why)
    } else {
        (Renewal::Due, format!("{began} on {on}, before that was mitigated ({since:.0})"))
    };
    Told { verdict, why, boot: (verdict != Renewal::Unknown).then_some(boot) }
}

/// What came after a boot that may have renewed the guest.
enum Later<'a> {
    Nothing,
    Rebooted(&'a PastAction),
    Unheard(&'a str),
}

fn later_than(history: &InstanceHistory, boot: Timestamp) -> Later<'_> {
    let later = history.actions.iter().filter(|action| !action.failed && action.at.is_none_or(|at| at > boot));
    let mut found = Later::Nothing;
    for action in later {
        match effect(&action.action) {
            Effect::Unknown => return Later::Unheard(&action.action),
            // The newest one decides.
            Effect::MayBoot if matches!(found, Later::Nothing) => found = Later::Rebooted(action),
            Effect::MayBoot | Effect::Boots | Effect::Moves | Effect::Keeps => {}
        }
    }
    found
}

/// A reboot after a boot that is due: a hard one renews, a soft one does where the guest has its host's model and was
/// never live-migrated, and Nova does not tell which it was.
fn after_a_reboot(
    action: &PastAction,
    told: Told,
    history: &InstanceHistory,
    host: &HostName,
    hosts: &HostTimes,
) -> Told {
    let Some(at) = action.at else { return told };
    let on = action.host.clone().or_else(|| host_at(history, host, at));
    let rebooted = Boot { by: action.action.clone(), at, on, who: who(action, hosts) };
    let migrated_before = history.moves.iter().any(|moved| moved.at < at);
    let own_model = rebooted.on.as_ref().is_some_and(|on| hosts.gives_own_model(on));
    let by_reboot = judged(rebooted, history, hosts);
    match by_reboot.verdict {
        Renewal::Renewed if own_model && !migrated_before => by_reboot,
        Renewal::Renewed | Renewal::Unknown => Told {
            verdict: Renewal::Unknown,
            why: format!(
                "it was rebooted {at:.0}, and Nova does not tell a hard reboot, which renews, from a soft one"
            ),
            boot: None,
        },
        // A reboot on a host that was not mitigated changes nothing.
        Renewal::Due | Renewal::Exposed | Renewal::NotRunning => told,
    }
}
