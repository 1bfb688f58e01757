//! What else runs on a host, and what acts on one that goes away.

use super::note::{Note, Topic, note};
use super::{Ground, Masakari};
use crate::host::facts::section;
use crate::model::{Host, HostFacts, Role, RoleHandling};
use crate::plan::Severity;

pub(super) fn notes(host: &Host, ground: &Ground<'_>) -> Vec<Note> {
    let mut notes = Vec::new();
    let facts = &host.facts;
    if facts.roles.is_none() && *facts != HostFacts::default() || facts.unread.contains_key(section::PROCESSES) {
        notes.push(note(
            Severity::Warning,
            Topic::Roles,
            "what else runs on it was not seen",
            "a database or a router that goes down with it would come as a surprise",
            "take the inventory again as root with this version, or look yourself",
        ));
    }
    for (role, signs) in facts.roles.iter().flatten() {
        let told = format!("{role}: {}", signs.join(", "));
        let handling = ground.policy.roles.of(*role);
        notes.push(if role.is_high_availability() {
            high_availability(*role, told, ground)
        } else {
            co_located(*role, told, handling, ground)
        });
    }
    notes.extend(segment(host, ground));
    notes.into_iter().map(|note| note.of(&host.host)).collect()
}

fn co_located(role: Role, told: String, handling: RoleHandling, ground: &Ground<'_>) -> Note {
    let meant = matches!(role, Role::Runner | Role::StateDatabase);
    match handling {
        RoleHandling::Skip => note(
            Severity::Warning,
            Topic::Roles,
            told,
            "the host is left alone and stays vulnerable",
            &format!(
                "`roles: {{{role}: one-at-a-time}}` in the policy lets such hosts go, one at a time{}",
                care(role)
            ),
        ),
        RoleHandling::OneAtATime | RoleHandling::Allow if meant && !ground.journal_is_shared => note(
            Severity::Fatal,
            Topic::Roles,
            told,
            "the run would reboot the machine that it runs on, and its journal with it",
            "run fleetmend elsewhere, or keep the journal in PostgreSQL on a machine that stays up",
        ),
        RoleHandling::OneAtATime => note(
            Severity::Info,
            Topic::Roles,
            told,
            "such hosts go one at a time; one that fails keeps the others in service",
            care(role).trim_start_matches(": "),
        ),
        RoleHandling::Allow => note(
            Severity::Warning,
            Topic::Roles,
            told,
            "the policy lets several such hosts go at once",
            &format!("`one-at-a-time` unless that is meant{}", care(role)),
        ),
    }
}

/// What such a service needs of whoever takes it down.
fn care(role: Role) -> &'static str {
    match role {
        Role::CephOsd => ": `ceph osd set noout` before it and `ceph health` between hosts, as hooks",
        Role::CephMon | Role::Galera | Role::Rabbitmq | Role::Etcd => {
            ": its cluster must be whole again before the next one goes: a hook that waits for that"
        }
        Role::NetworkGateway => ": move its routers away first, as a hook: tenants lose their way out meanwhile",
        Role::ControlPlane => ": the API must stay up on others meanwhile: a run pauses while it does not answer",
        Role::StateDatabase | Role::Runner => ": a run on another machine has to take over meanwhile",
        Role::Masakari | Role::Pacemaker => "",
    }
}

fn high_availability(role: Role, told: String, ground: &Ground<'_>) -> Note {
    let means = if role == Role::Masakari {
        "a host that goes away has its instances evacuated, also while it only reboots"
    } else {
        "a host that goes away is fenced: its power is cut in the middle of an update or a reboot"
    };
    if ground.has_maintenance_hook {
        let setting = ground.policy.roles.of(role);
        let advice = match setting {
            RoleHandling::Skip => {
                format!("`roles: {{{role}: allow}}` in the policy, once the hook was tried on one host")
            }
            RoleHandling::OneAtATime | RoleHandling::Allow => "nothing: a maintenance hook is set".to_owned(),
        };
        return note(Severity::Info, Topic::HighAvailability, told, means, &advice);
    }
    note(
        Severity::Fatal,
        Topic::HighAvailability,
        told,
        means,
        &format!(
            "two of the policy's `steps` that tell it, named `maintenance-…`: one before the reboot and one after it; and \
             `roles: {{{role}: allow}}`"
        ),
    )
}

/// What Masakari itself keeps of the host.
fn segment(host: &Host, ground: &Ground<'_>) -> Option<Note> {
    let Masakari::Hosts(hosts) = ground.masakari else { return None };
    let one = hosts.iter().find(|one| one.host == host.host)?;
    if one.on_maintenance {
        return Some(note(
            Severity::Warning,
            Topic::Maintenance,
            format!("on maintenance in Masakari's segment {}", one.segment),
            "somebody works on it: Masakari leaves it alone, and would go on to when they are done",
            "ask whoever set it",
        ));
    }
    let known = host.facts.roles.as_ref().is_some_and(|roles| roles.contains_key(&Role::Masakari));
    (!known).then(|| high_availability(Role::Masakari, format!("masakari: segment {}", one.segment), ground))
}
