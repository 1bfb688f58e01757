//! The way to a host, and what is needed there: ssh, root's rights, identity, libvirt, the compute unit, repositories,
//! space.

use super::Ground;
use super::note::{Note, Topic, note};
use crate::model::{Gap, GapCause, GapKind, Host, HostFacts};
use crate::plan::Severity;

/// A kernel with its initramfs takes 60 to 150 MiB of `/boot`.
const BOOT_KIB: u64 = 200 << 10;

/// Kernel, microcode, qemu and libvirt with their downloads: under 500 MiB on RHEL 9 and Ubuntu 24.04.
const PACKAGES_KIB: u64 = 1 << 20;

pub(super) fn notes(host: &Host, ground: &Ground<'_>) -> Vec<Note> {
    if ground.policy.hosts.exclude.contains(&host.host) || !host.is_ours() {
        return Vec::new();
    }
    let gaps: Vec<&Gap> = ground.region.gaps.iter().filter(|gap| gap.at == host.host.as_str()).collect();
    if let Some(gap) = gaps.iter().find(|gap| gap.kind == GapKind::HostFacts) {
        return vec![unreached(host, gap).of(&host.host)];
    }
    let mut notes: Vec<Note> = gaps.iter().filter_map(|gap| gap_note(gap)).collect();
    if host.facts != HostFacts::default() {
        notes.extend(rights(&host.facts));
        notes.extend(services(host, ground));
        notes.extend(repositories(&host.facts));
        notes.extend(space(&host.facts));
    }
    notes.into_iter().map(|note| note.of(&host.host)).collect()
}

/// A host that somebody took out of service may be away on purpose.
fn severity(host: &Host) -> Severity {
    if host.service.is_in_service() { Severity::Fatal } else { Severity::Warning }
}

fn unreached(host: &Host, gap: &Gap) -> Note {
    let means = "its facts are unknown: it is not remedied, and it counts as a host with no room";
    let (topic, advice) = match gap.cause {
        Some(GapCause::Unreachable) => (
            Topic::Ssh,
            "try `ssh` to it as this user; the configuration's `hosts` names other addresses, ssh_config jump hosts",
        ),
        Some(GapCause::TimedOut) => {
            (Topic::Ssh, "look at its load and its file systems: one that hangs lets every command hang")
        }
        Some(GapCause::AccessDenied) => (
            Topic::Ssh,
            "the configuration's `ssh.user`, and a key of this user's agent or ssh_config that the host knows",
        ),
        Some(GapCause::HostKey) => (
            Topic::Ssh,
            "verify the key on the host's console, then put it into known_hosts; it is never accepted unseen",
        ),
        Some(GapCause::BecomeDenied) => {
            (Topic::Sudo, "a sudoers entry with NOPASSWD for this user, or `ssh.user: root` in the configuration")
        }
        Some(GapCause::Other) | None => (Topic::Ssh, "see what the host says, mend it, and look again"),
    };
    note(severity(host), topic, gap.detail.clone(), means, advice)
}

fn gap_note(gap: &Gap) -> Option<Note> {
    let (topic, means, advice) = match gap.kind {
        GapKind::HostFacts | GapKind::Cell => return None,
        GapKind::HostIdentity => (
            Topic::Identity,
            "it is not remedied: a wrong address must never reboot another machine",
            "the configuration's `hosts` says where it is; `exec.nova_conf` where nova-compute reads its name",
        ),
        GapKind::Provider | GapKind::Allocation => (
            Topic::Cloud,
            "Nova and Placement disagree about it: it is not proven empty before somebody settles that",
            "`nova-manage placement audit` and `heal_allocations`",
        ),
    };
    Some(note(Severity::Warning, topic, gap.detail.clone(), means, advice))
}

fn rights(facts: &HostFacts) -> Option<Note> {
    match facts.user_id {
        Some(0) => None,
        Some(user) => Some(note(
            Severity::Fatal,
            Topic::Sudo,
            format!("commands run there as user {user}, not as root"),
            "packages, units and reboots are refused",
            "`ssh: {become: sudo}` in the configuration, with NOPASSWD for this user, or `ssh.user: root`",
        )),
        None => Some(note(
            Severity::Warning,
            Topic::Sudo,
            "whose rights commands have there was not told",
            "whether packages can be installed is not known",
            "take the inventory again with this version",
        )),
    }
}

fn services(host: &Host, ground: &Ground<'_>) -> Vec<Note> {
    let facts = &host.facts;
    let mut notes = Vec::new();
    let why = |section: &str| facts.unread.get(section).map_or_else(String::new, |why| format!(": {why}"));
    let virsh = ground.virsh.join(" ");
    if facts.domains.is_none() {
        let advice = if facts.containers.is_empty() {
            "`virsh list --all` on the host says what is wrong; `exec.virsh` in the configuration names another command"
        } else {
            "`exec: {virsh: [podman, exec, nova_libvirt, virsh]}` in the configuration, with the container's own name"
        };
        let found = format!("`{virsh}` does not list domains{}", why("domains"));
        let means = "the host cannot be proven quiet, so that it is never rebooted";
        notes.push(note(severity(host), Topic::Libvirt, found, means, advice));
    }
    if facts.compute_unit.is_none() {
        notes.push(note(
            severity(host),
            Topic::ComputeUnit,
            format!("systemd does not tell of nova-compute's unit{}", why("compute-unit")),
            "nova-compute cannot be stopped before the reboot: an owner's start could slip in",
            "`exec: {units: {compute: NAME}}` in the configuration",
        ));
    }
    if !facts.containers.is_empty() {
        let told: Vec<String> = facts.containers.iter().map(|(name, image)| format!("{name} ({image})")).collect();
        notes.push(note(
            Severity::Warning,
            Topic::Containers,
            format!("nova or libvirt runs in containers: {}", told.join(", ")),
            "the host's packages say nothing about qemu and libvirt in the images: kernel and microcode are remedied here, the \
             images by the deployment tool",
            &format!("virsh is run as `{virsh}` (`exec.virsh`); update the images with the tool that deployed them"),
        ));
    }
    if facts.nova_conf.is_none() {
        notes.push(note(
            Severity::Warning,
            Topic::Facts,
            format!("nova.conf was not read{}", why("nova-conf")),
            "which CPU guests get is unknown, and so is the verdict of remedies that ask for it",
            "`exec: {nova_conf: [PATH…]}` in the configuration, in the order in which nova-compute reads them",
        ));
    }
    notes
}

fn repositories(facts: &HostFacts) -> Vec<Note> {
    let Some(repositories) = &facts.repositories else {
        let why = facts.unread.get("repositories").map(|why| {
            note(
                Severity::Warning,
                Topic::Repositories,
                format!("its repositories could not be asked: {why}"),
                "whether updates can be had is not known",
                "run the package manager on the host once by hand",
            )
        });
        return why.into_iter().collect();
    };
    if repositories.is_empty() {
        let means = "no update can be had: staging would fail";
        let advice = "enable the repositories that carry the remedy's packages";
        return vec![note(Severity::Fatal, Topic::Repositories, "no repository is enabled", means, advice)];
    }
    let is_dead = repositories.iter().all(|one| one.problem.is_some());
    let severity = if is_dead { Severity::Fatal } else { Severity::Warning };
    let dead = repositories.iter().filter_map(|one| Some((&one.name, one.problem.as_ref()?)));
    dead.map(|(name, problem)| {
        note(
            severity,
            Topic::Repositories,
            format!("repository {name} does not answer: {problem}"),
            "a package manager waits for it before each transaction, and may refuse to begin one",
            "bring it back or disable it on the host",
        )
    })
    .collect()
}

fn space(facts: &HostFacts) -> Vec<Note> {
    let needed = |path: &str| if path == "/boot" { BOOT_KIB } else { PACKAGES_KIB };
    let short = facts.free_kib.iter().filter(|(path, free)| **free < needed(path));
    short
        .map(|(path, free)| {
            let grave = if *free < needed(path) / 4 { Severity::Fatal } else { Severity::Warning };
            let found = format!("{path} has {} MiB free, and {} are wanted", free / 1024, needed(path) / 1024);
            let means = "an update that runs out of space leaves packages half installed";
            note(grave, Topic::Space, found, means, "remove old kernels and caches: `dnf autoremove`, `apt-get clean`")
        })
        .collect()
}
