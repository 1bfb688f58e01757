//! Which hosts are remedied, which are left alone and why, and which can take instances from the start.

use std::collections::BTreeSet;

use super::census::Census;
use super::input::{PlanError, PlanInput, Scope, Unknown, UnprovenIdentity};
use super::movability::{Affinity, Movability, movability};
use super::parts::in_parts;
use super::rollout::{BlockedInstance, PlannedStay, SkipReason, SkippedHost};
use crate::model::{Host, HostName, InstanceHandling, Mark, Policy, Region, RoleHandling, ServiceState, ServiceStatus};
use crate::remedy::{Outcome, Verdict, VerdictKind, prospect};

/// What selection found.
#[derive(Debug, Default)]
pub(super) struct Selection<'a> {
    /// Hosts to remedy, in order of name.
    pub(super) hosts: Vec<&'a Host>,
    /// Instances that leave, by host, in order of id; both by their number in the census.
    pub(super) leaving: Vec<(u32, Vec<u32>)>,
    /// Instances that stay on hosts to remedy.
    pub(super) stays: Vec<PlannedStay>,
    /// Instances for which a host is left alone.
    pub(super) blocked: Vec<BlockedInstance>,
    /// Hosts left alone, in order of name.
    pub(super) skipped: Vec<SkippedHost>,
    /// Hosts that can take instances from the start.
    pub(super) targets: BTreeSet<&'a HostName>,
    /// In service and vulnerable but not remedied: the last resort where nothing else takes instances.
    pub(super) bystanders: BTreeSet<&'a HostName>,
}

/// Selects by scope, verdict, service, identity and movability.
pub(super) fn select<'a>(input: &PlanInput<'a>, census: &Census<'a>) -> Result<Selection<'a>, PlanError> {
    reject_strangers(input.region, input.scope, input.policy)?;
    let affinity = Affinity::of(input.region);
    let sorted = in_parts(&census.hosts, |first, hosts| {
        let numbered = (0_u32..).skip(first).zip(hosts);
        numbered.map(|(number, host)| sort(number, host, census, &affinity, input)).collect::<Vec<_>>()
    });
    let mut selection = Selection::default();
    for ((number, host), sorted) in (0_u32..).zip(census.hosts.iter().copied()).zip(sorted.into_iter().flatten()) {
        let rules = &input.policy.hosts;
        let may_take = !rules.exclude.contains(&host.host) && !rules.spare.contains(&host.host);
        if may_take && is_target(host, input.verdicts.get(&host.host), input.scope) {
            selection.targets.insert(&host.host);
        }
        match sorted {
            Ok(Sorted { leaving, stays }) => {
                selection.hosts.push(host);
                selection.leaving.push((number, leaving));
                selection.stays.extend(stays);
            }
            Err(Skip { reason, detail, blocked }) => {
                selection.blocked.extend(blocked);
                if may_take && is_bystander(host, reason, input.scope) {
                    selection.bystanders.insert(&host.host);
                }
                selection.skipped.push(SkippedHost { host: host.host.clone(), reason, detail });
            }
        }
    }
    Ok(selection)
}

/// The instances of a host to remedy, in order of id.
struct Sorted {
    /// By their number in the census.
    leaving: Vec<u32>,
    stays: Vec<PlannedStay>,
}

/// Why a host is left alone, and the instances for which it is.
struct Skip {
    reason: SkipReason,
    detail: String,
    blocked: Vec<BlockedInstance>,
}

/// Says of each instance of a host whether it leaves or stays, else why the host is left alone.
fn sort(
    number: u32,
    host: &Host,
    census: &Census<'_>,
    affinity: &Affinity,
    input: &PlanInput<'_>,
) -> Result<Sorted, Skip> {
    let verdict = input.verdicts.get(&host.host);
    if let Some((reason, detail)) = reason_to_skip(host, verdict, input).or_else(|| reason_not_to_reboot(host, input)) {
        return Err(Skip { reason, detail, blocked: Vec::new() });
    }
    let mut leaving = Vec::new();
    let mut stays = Vec::new();
    let mut blocked = Vec::new();
    for place in &census.on[number as usize] {
        let instance = &census.instances[*place as usize];
        match movability(instance, affinity, &input.policy.instances, input.now) {
            Movability::Leaves(_) => leaving.push((instance.id, *place)),
            Movability::Stays { reason, handling } => stays.push(PlannedStay {
                instance: instance.id,
                name: instance.name.clone(),
                project: instance.project.clone(),
                host: host.host.clone(),
                reason,
                handling,
                group: instance.group.clone().filter(|_| handling == InstanceHandling::StopInPlace),
                priority: input.policy.instances.owners.priority_of(&instance.metadata),
            }),
            Movability::Blocks { reason, why } => blocked.push(BlockedInstance {
                instance: instance.id,
                name: instance.name.clone(),
                project: instance.project.clone(),
                host: host.host.clone(),
                reason,
                why,
            }),
        }
    }
    blocked.sort_by_key(|one| one.instance);
    if let Some(BlockedInstance { name, instance, why, .. }) = blocked.first() {
        let more = match blocked.len() - 1 {
            0 => String::new(),
            more => format!("; and {more} more"),
        };
        let detail = format!("{name} ({instance}): {why}{more}");
        return Err(Skip { reason: SkipReason::CannotEmpty, detail, blocked });
    }
    leaving.sort_unstable();
    stays.sort_by_key(|stay| stay.instance);
    Ok(Sorted { leaving: leaving.into_iter().map(|(_, place)| place).collect(), stays })
}

fn reject_strangers(region: &Region, scope: &Scope, policy: &Policy) -> Result<(), PlanError> {
    let no_such = |kind, name: &str| PlanError::NoSuch { kind, name: name.to_owned(), region: region.region.clone() };
    let hosts: BTreeSet<&HostName> = region.hosts.iter().map(|host| &host.host).collect();
    let rules = &policy.hosts;
    let named = scope.hosts.iter().chain(&scope.exclude).chain(&rules.exclude);
    let mut named = named.chain(&rules.targets_only).chain(&rules.spare);
    if let Some(name) = named.find(|name| !hosts.contains(name)) {
        return Err(no_such("host", name.as_str()));
    }
    let has_zone = |name| region.hosts.iter().any(|host| host.zone.as_ref() == Some(name));
    if let Some(name) = scope.zones.iter().find(|name| !has_zone(*name)) {
        return Err(no_such("zone", name.as_str()));
    }
    if let Some(place) = policy.priority.iter().find(|place| !region.hosts.iter().any(|host| place.has(host))) {
        return Err(no_such("the policy's priority:", &place.to_string()));
    }
    let has_aggregate = |name| region.hosts.iter().any(|host| host.aggregates.contains(name));
    match scope.aggregates.iter().find(|name| !has_aggregate(*name)) {
        Some(name) => Err(no_such("aggregate", name)),
        None => Ok(()),
    }
}

fn is_meant(host: &Host, scope: &Scope) -> bool {
    let everything = scope.hosts.is_empty() && scope.zones.is_empty() && scope.aggregates.is_empty();
    everything
        || scope.hosts.contains(&host.host)
        || host.zone.as_ref().is_some_and(|zone| scope.zones.contains(zone))
        || host.aggregates.iter().any(|aggregate| scope.aggregates.contains(aggregate))
}

fn is_target(host: &Host, verdict: Option<&Verdict>, scope: &Scope) -> bool {
    host.service.is_in_service()
        && host.is_ours()
        && !scope.exclude.contains(&host.host)
        && verdict.is_some_and(|verdict| match verdict.verdict {
            VerdictKind::Mitigated | VerdictKind::NotAffected => true,
            VerdictKind::Vulnerable | VerdictKind::Unknown => false,
        })
}

/// Whether a host that is left alone could still lend its room.
fn is_bystander(host: &Host, reason: SkipReason, scope: &Scope) -> bool {
    host.service.is_in_service()
        && match reason {
            SkipReason::Unknown
            | SkipReason::CannotEmpty
            | SkipReason::NoRoom
            | SkipReason::Identity
            | SkipReason::CannotMitigate
            | SkipReason::Limits
            | SkipReason::NoConsent
            | SkipReason::Role => true,
            SkipReason::Excluded => !scope.exclude.contains(&host.host),
            SkipReason::Mitigated
            | SkipReason::NotAffected
            | SkipReason::Disabled
            | SkipReason::Down
            | SkipReason::Hypervisor => false,
        }
}

fn reason_to_skip(host: &Host, verdict: Option<&Verdict>, input: &PlanInput<'_>) -> Option<(SkipReason, String)> {
    let (scope, rules) = (input.scope, &input.policy.hosts);
    if scope.exclude.contains(&host.host) {
        return Some((SkipReason::Excluded, "excluded by name".to_owned()));
    }
    if rules.exclude.contains(&host.host) {
        return Some((SkipReason::Excluded, "off limits by the policy (hosts.exclude)".to_owned()));
    }
    if !host.is_ours() {
        let kind = host.hypervisor.as_deref().unwrap_or_default();
        return Some((
            SkipReason::Hypervisor,
            format!("its hypervisor is {kind}: only KVM and QEMU hosts are remedied"),
        ));
    }
    match verdict.map(|verdict| verdict.verdict) {
        Some(VerdictKind::Mitigated) => {
            return Some((SkipReason::Mitigated, "every requirement of the remedy holds".to_owned()));
        }
        Some(VerdictKind::NotAffected) => {
            return Some((SkipReason::NotAffected, "its processor does not have the flaw".to_owned()));
        }
        Some(VerdictKind::Vulnerable | VerdictKind::Unknown) | None if rules.targets_only.contains(&host.host) => {
            return Some((SkipReason::Excluded, "never remedied by the policy (hosts.targets_only)".to_owned()));
        }
        Some(VerdictKind::Vulnerable | VerdictKind::Unknown) | None if !is_meant(host, scope) => {
            return Some((SkipReason::Excluded, "outside the selection".to_owned()));
        }
        Some(VerdictKind::Unknown) | None if scope.unknown == Unknown::Skip => {
            return Some((SkipReason::Unknown, unknown_detail(verdict)));
        }
        Some(VerdictKind::Vulnerable | VerdictKind::Unknown) | None => {}
    }
    service_reason(host).or_else(|| role_reason(host, input.policy)).or_else(|| {
        (scope.unproven_identity == UnprovenIdentity::Skip && !host.identity.is_known())
            .then(|| (SkipReason::Identity, "its machine id and Nova host name were not seen".to_owned()))
    })
}

/// Something else runs on it that the policy does not let go.
fn role_reason(host: &Host, policy: &Policy) -> Option<(SkipReason, String)> {
    let roles = host.facts.roles.iter().flatten().filter(|(role, _)| policy.roles.of(**role) == RoleHandling::Skip);
    let told: Vec<String> = roles
        .map(|(role, signs)| match signs.first() {
            Some(sign) => format!("{role} ({sign})"),
            None => role.to_string(),
        })
        .collect();
    (!told.is_empty()).then(|| {
        let detail = format!("runs {}: the policy's `roles` says what becomes of such hosts", told.join(", "));
        (SkipReason::Role, detail)
    })
}

/// Update and reboot would leave the host vulnerable: no outage is spent on it.
fn reason_not_to_reboot(host: &Host, input: &PlanInput<'_>) -> Option<(SkipReason, String)> {
    let prospect = prospect(&host.facts, input.remedy);
    let obstacles: Vec<String> = prospect.remaining(input.policy.nova_conf).map(ToString::to_string).collect();
    (!obstacles.is_empty()).then(|| (SkipReason::CannotMitigate, obstacles.join("; ")))
}

fn unknown_detail(verdict: Option<&Verdict>) -> String {
    let open =
        verdict.and_then(|verdict| verdict.evidence.iter().find(|evidence| evidence.outcome == Outcome::Unknown));
    match open {
        Some(evidence) => format!("could not be seen: {}", evidence.requirement),
        None => "its facts were not collected".to_owned(),
    }
}

fn service_reason(host: &Host) -> Option<(SkipReason, String)> {
    let service = &host.service;
    if service.status == ServiceStatus::Disabled {
        let reason = service.disabled_reason.as_deref().unwrap_or("no reason given");
        let detail = match Mark::read(reason) {
            Some(mark) => format!("disabled by run {} ({reason})", mark.run()),
            None => format!("disabled by somebody else: {reason}"),
        };
        return Some((SkipReason::Disabled, detail));
    }
    if service.forced_down {
        return Some((SkipReason::Down, "an operator declared its service down".to_owned()));
    }
    (service.state == ServiceState::Down).then(|| (SkipReason::Down, "its service does not report".to_owned()))
}
