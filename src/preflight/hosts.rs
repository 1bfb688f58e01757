//! Who else has a hand on a host, and hosts that have room.

use super::note::{Note, Topic, note};
use super::{Ground, Masakari};
use crate::model::{Host, Mark, ServiceState, ServiceStatus};
use crate::plan::Severity;

pub(super) fn notes(host: &Host, ground: &Ground<'_>) -> Vec<Note> {
    let mut notes = Vec::new();
    if !host.is_ours() {
        notes.push(note(
            Severity::Warning,
            Topic::Hypervisor,
            format!("its hypervisor is {}", host.hypervisor.as_deref().unwrap_or_default()),
            "it is never remedied and takes no instances: its compute service speaks for other machines",
            "nothing, or leave its aggregate out of the selection",
        ));
    }
    notes.extend(maintenance(host));
    notes.extend(room(host, ground));
    notes.into_iter().map(|note| note.of(&host.host)).collect()
}

fn maintenance(host: &Host) -> Option<Note> {
    let service = &host.service;
    let reason = service.disabled_reason.as_deref().unwrap_or("no reason given");
    if service.status == ServiceStatus::Disabled {
        let (found, advice) = match Mark::read(reason) {
            Some(mark) => (
                format!("disabled by fleetmend's run {} ({reason})", mark.run()),
                "`fleetmend marks` says whether its run still lives, and gives it back when it does not",
            ),
            None => (
                format!("disabled by somebody else: {reason}"),
                "ask whoever disabled it; enable it when they are done",
            ),
        };
        let means = "it is left alone: only what fleetmend disabled does it enable";
        return Some(note(Severity::Warning, Topic::Maintenance, found, means, advice));
    }
    let found = if service.forced_down {
        "an operator declared its service down"
    } else if service.state == ServiceState::Down {
        "its service does not report"
    } else {
        return None;
    };
    let means = "it is left alone, and nothing can be moved off it";
    let advice = "see whether the host is up and nova-compute runs; `openstack compute service set --up` where it was declared down";
    Some(note(Severity::Warning, Topic::Maintenance, found, means, advice))
}

fn room(host: &Host, ground: &Ground<'_>) -> Vec<Note> {
    let mut notes = Vec::new();
    let rules = &ground.policy.hosts;
    let wishes = [
        (&rules.exclude, "hosts.exclude", "neither remedied nor given instances"),
        (&rules.targets_only, "hosts.targets_only", "never remedied; it takes instances"),
        (&rules.spare, "hosts.spare", "remedied, and never given instances"),
    ];
    for (hosts, setting, means) in wishes {
        if hosts.contains(&host.host) {
            let found = format!("named in the policy's {setting}");
            notes.push(note(Severity::Info, Topic::Spare, found, means, "nothing, if that is what is wished"));
        }
    }
    let masakari = match ground.masakari {
        Masakari::Hosts(hosts) => hosts.iter().find(|one| one.host == host.host),
        Masakari::NotAsked | Masakari::None | Masakari::Silent(_) => None,
    };
    if let Some(one) = masakari.filter(|one| one.reserved) {
        let kept = rules.spare.contains(&host.host) || rules.exclude.contains(&host.host);
        notes.push(note(
            if kept { Severity::Info } else { Severity::Warning },
            Topic::Spare,
            format!("reserved by Masakari for segment {}", one.segment),
            "it is kept empty for instances of a host that dies; moves of a campaign would fill it",
            "name it in the policy's hosts.spare to have it remedied and kept empty",
        ));
    }
    let is_empty = !ground.region.instances.iter().any(|instance| instance.host.as_ref() == Some(&host.host));
    if is_empty && host.service.is_in_service() && host.is_ours() {
        let means = "it goes first, and what it offers is where others are emptied to";
        let advice = "nothing; name it in the policy's hosts.spare if its room is kept for something else";
        notes.push(note(Severity::Info, Topic::Spare, "in service and empty", means, advice));
    }
    notes
}
