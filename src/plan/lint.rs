//! What people should know about a rollout before they approve it, read off the rollout alone.

use std::collections::{BTreeMap, BTreeSet};

use super::digest::verify_digest;
use super::rollout::{Note, Rollout, Severity, SkipReason};
use crate::model::{ExtraWork, HostName};

/// The version of the file format that this code writes and understands.
const FORMAT: u32 = 1;

/// A campaign of more hosts than this deserves a canary.
const SMALL: usize = 10;

/// Looks a rollout over. Fatal notes say that it cannot be run.
pub fn lint(rollout: &Rollout) -> Vec<Note> {
    let mut notes = Vec::new();
    if !verify_digest(rollout) {
        let message = "the digest does not match: the file was changed after it was planned";
        notes.push(note(Severity::Fatal, "digest", message));
    }
    notes.extend(advice(rollout));
    notes
}

/// All of [`lint`] but the digest: for a rollout that is still to be sealed.
pub(super) fn advice(rollout: &Rollout) -> Vec<Note> {
    let mut notes = structure(rollout);
    notes.extend(left_vulnerable(rollout));
    notes.extend(what_holds(rollout));
    notes.extend(added_steps(rollout));
    let policy = &rollout.policy;
    if policy.canary.hosts == 0 && rollout.hosts.len() > SMALL {
        let message = format!("no canary: all {} hosts go without a first one being watched", rollout.hosts.len());
        notes.push(note(Severity::Warning, "canary.hosts", message));
    }
    let budget = policy.failure_budget.hosts;
    if !rollout.hosts.is_empty() && budget >= rollout.hosts.len() {
        let message = format!("the failure budget of {budget} hosts can never be exceeded by {}", rollout.hosts.len());
        notes.push(note(Severity::Warning, "failure_budget.hosts", message));
    }
    notes
}

fn note(severity: Severity, at: &str, message: impl Into<String>) -> Note {
    Note { severity, at: at.to_owned(), message: message.into() }
}

/// What only a hand or a bug can have done.
fn structure(rollout: &Rollout) -> Vec<Note> {
    let mut notes = Vec::new();
    let mut fatal = |at: &str, message: String| notes.push(note(Severity::Fatal, at, message));
    if rollout.format != FORMAT {
        fatal("format", format!("format {} is not understood; this version reads {FORMAT}", rollout.format));
    }
    for violation in &rollout.certificate.violations {
        fatal("certificate", violation.clone());
    }
    let mut seen: BTreeSet<&HostName> = BTreeSet::new();
    for (planned, place) in rollout.hosts.iter().zip(1..) {
        let name = planned.host.as_str();
        if !seen.insert(&planned.host) {
            fatal(name, "planned twice".to_owned());
        }
        if planned.order != place {
            fatal(name, format!("order {} at place {place}", planned.order));
        }
        if planned.finish_s < planned.start_s {
            fatal(name, "ends before it begins".to_owned());
        }
        for planned_move in &planned.moves {
            if planned_move.from == planned_move.to {
                fatal(name, format!("a move of {} leads back to {}", planned_move.instance, planned_move.to));
            }
            if planned_move.to == planned.host {
                fatal(name, format!("a move of {} leads back to it", planned_move.instance));
            }
        }
    }
    notes
}

/// What remedy and policy add to each host's way: whoever approves it approves that it is run.
fn added_steps(rollout: &Rollout) -> Vec<Note> {
    let mut seen = BTreeSet::new();
    let mut notes = Vec::new();
    for extra in rollout.extra_steps() {
        let at = format!("steps.{}", extra.name);
        if !seen.insert((extra.kind(), &extra.name)) {
            let message = "a step of this name and kind is added twice, by the remedy or the policy";
            notes.push(note(Severity::Fatal, &at, message));
        }
        let words = extra.command_words();
        let command = shlex::try_join(words.iter().map(String::as_str)).unwrap_or_else(|_| words.join(" "));
        let what = match &extra.work {
            ExtraWork::Command(_) => "runs",
            ExtraWork::Ansible(_) => "plays",
        };
        let message = format!("on each host, {}, fleetmend's own machine {what} `{command}`", extra.when);
        notes.push(note(Severity::Info, &at, message));
    }
    notes
}

/// Hosts that remain vulnerable, counted by reason.
fn left_vulnerable(rollout: &Rollout) -> Vec<Note> {
    let mut counts: BTreeMap<SkipReason, Vec<&HostName>> = BTreeMap::new();
    for skipped in rollout.skipped.iter().filter(|skipped| skipped.reason.remains_vulnerable()) {
        counts.entry(skipped.reason).or_default().push(&skipped.host);
    }
    let in_words = |(reason, hosts): (SkipReason, Vec<&HostName>)| {
        let why = match reason {
            SkipReason::Mitigated | SkipReason::NotAffected => "nothing is to be done",
            SkipReason::Unknown => "the verdict is unknown",
            SkipReason::Excluded => "they are outside the selection",
            SkipReason::Disabled => "somebody disabled them",
            SkipReason::Down => "their services are down",
            SkipReason::CannotEmpty => "an instance on them can neither move nor stay",
            SkipReason::NoRoom => "their instances fit nowhere",
            SkipReason::Identity => "their identity was not seen",
            SkipReason::CannotMitigate => "a reboot cannot mitigate them",
            SkipReason::NoConsent => "their owners have not consented",
            SkipReason::Limits => "the limits never let them go",
            SkipReason::Role => "something else runs on them (the policy's `roles`)",
            SkipReason::Hypervisor => "they run no KVM or QEMU",
        };
        let stay = if hosts.len() == 1 { "stays" } else { "stay" };
        note(Severity::Warning, &rollout.region, format!("{} {stay} vulnerable: {why}", count(hosts.len(), "host")))
    };
    counts.into_iter().map(in_words).collect()
}

/// Which limit decides how long it takes.
fn what_holds(rollout: &Rollout) -> Option<Note> {
    let bounds = &rollout.certificate.bounds;
    let (name, seconds) = bounds.iter().max_by(|a, b| a.1.total_cmp(b.1))?;
    let what = match name.as_str() {
        "slots" => "limits.hosts".to_owned(),
        "migrations" => "limits.migrations".to_owned(),
        "slots-per-rack" => "limits.hosts_per_rack".to_owned(),
        "slots-per-aggregate" => "limits.keep_up.per_aggregate".to_owned(),
        "headroom" => "the policy's headroom".to_owned(),
        "room" => "the room that is free for instances of hosts that are out".to_owned(),
        "anti-affinity-group" => "one anti-affinity group, whose members move one after the other".to_owned(),
        "canary" => "the canary's soak time and limits.hosts".to_owned(),
        "longest-host" => "the host that takes longest".to_owned(),
        "receive" => "what hosts can receive (limits.migrations_per_target)".to_owned(),
        other => match other.strip_prefix("slots/") {
            Some(zone) => format!("limits.hosts_per_zone or keep_up in zone {zone}"),
            None => other.to_owned(),
        },
    };
    Some(note(Severity::Info, &rollout.region, format!("at least {seconds:.0} s, held by {what}")))
}

fn count(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}
