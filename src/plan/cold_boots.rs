//! The plan of a campaign of cold boots: a rollout whose subjects are instances.
//!
//! Each instance that is due and consents is a subject of its own, in the place of a host: it waits, is begun, is done or
//! fails by itself. The order spreads hosts, so that boots on one host do not wait behind one another; what may be under
//! way at a time is for the run to decide.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::digest::digest;
use super::rollout::{Certificate, Note, PlannedHost, Rollout, RolloutKind, Severity, SkipReason, SkippedHost, Work};
use crate::ledger::{Entry, HostTimes, Ledger, Mitigation, Renewal};
use crate::model::{
    Canary, Digest, GroupId, GroupPolicy, HostName, Instance, InstanceId, InstanceStatus, Policy, ProjectId, Region,
    RolloutId,
};
use crate::remedy::{Remedy, Verdict, VerdictKind};

/// An instance that is to be stopped and started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PlannedColdBoot {
    /// Which.
    pub instance: InstanceId,
    /// Its name.
    pub name: String,
    /// Its project.
    pub project: ProjectId,
    /// The host that it is on; it boots wherever it is when its turn comes.
    pub on: HostName,
    /// Its server group, where members of it keep apart: at most one of them is stopped at a time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<GroupId>,
    /// Why it needs it.
    pub why: String,
}

/// What a campaign is planned from.
pub struct ColdBootInput<'a> {
    /// The region.
    pub region: &'a Region,
    /// Who needs what.
    pub ledger: &'a Ledger,
    /// Which hosts are mitigated.
    pub hosts: &'a HostTimes,
    /// The remedy.
    pub remedy: &'a Remedy,
    /// The policy.
    pub policy: &'a Policy,
    /// Digest over the configuration.
    pub configuration: Digest,
    /// The time.
    pub now: Timestamp,
    /// The rollout's id.
    pub id: RolloutId,
}

/// Plans a campaign: every instance of the ledger that is not renewed is a subject, or is left alone with a reason.
pub fn plan_cold_boots(input: &ColdBootInput<'_>) -> Rollout {
    let instances: BTreeMap<InstanceId, &Instance> =
        input.region.instances.iter().map(|instance| (instance.id, instance)).collect();
    let (mut wanted, mut skipped) = (Vec::new(), Vec::new());
    for entry in &input.ledger.instances {
        let Some(instance) = instances.get(&entry.instance) else { continue };
        match left_alone(entry, instance, input) {
            None => wanted.push((entry, *instance)),
            Some((reason, detail)) => {
                let detail = format!("{}: {detail}", named(entry));
                skipped.push(SkippedHost { host: subject(entry.instance), reason, detail });
            }
        }
    }
    let hosts = in_turn(wanted, input);
    let mitigated = input.region.hosts.iter().map(|host| host.host.clone()).filter(|host| is_mitigated(host, input));
    let makespan_s = hosts.iter().map(|host| host.finish_s).fold(0.0, f64::max);
    let mut rollout = Rollout {
        format: 1,
        kind: RolloutKind::Rollout,
        work: Work::ColdBoots,
        id: input.id,
        digest: Digest::new(""),
        made_by: concat!("fleetmend ", env!("CARGO_PKG_VERSION")).to_owned(),
        region: input.region.region.clone(),
        created: input.now,
        region_taken_at: input.region.taken_at,
        seed: 0,
        remedy: input.remedy.clone(),
        // The canary hosts of a rollout have shown what is to be shown.
        policy: Policy { canary: Canary { hosts: 0, ..input.policy.canary.clone() }, ..input.policy.clone() },
        configuration: input.configuration.clone(),
        certificate: Certificate { instances: hosts.len(), makespan_s, ..Certificate::default() },
        hosts,
        targets: mitigated.collect(),
        lenders: Vec::new(),
        processors: Vec::new(),
        zones: Vec::new(),
        skipped,
        stays: Vec::new(),
        blocked: Vec::new(),
        notes: notes(input.ledger),
    };
    rollout.digest = digest(&rollout);
    rollout
}

/// An instance in the place of a host.
pub fn subject(instance: InstanceId) -> HostName {
    HostName::new(instance.to_string())
}

fn named(entry: &Entry) -> String {
    format!("{} of project {}", entry.name.escape_debug(), entry.project)
}

fn is_mitigated(host: &HostName, input: &ColdBootInput<'_>) -> bool {
    match input.hosts.mitigation(host) {
        Mitigation::NotAffected | Mitigation::Proven(_) | Mitigation::Assessed(_) => true,
        Mitigation::Vulnerable | Mitigation::Unknown => false,
    }
}

/// Why an instance is no subject.
fn left_alone(entry: &Entry, instance: &Instance, input: &ColdBootInput<'_>) -> Option<(SkipReason, String)> {
    match entry.verdict {
        Renewal::Renewed => return Some((SkipReason::Mitigated, entry.why.clone())),
        Renewal::NotRunning => {
            return Some((SkipReason::NotAffected, format!("{}, its next start renews it", entry.why)));
        }
        Renewal::Exposed => return Some((SkipReason::CannotMitigate, entry.why.clone())),
        Renewal::Due | Renewal::Unknown => {}
    }
    if instance.status != InstanceStatus::Active {
        return Some((SkipReason::CannotEmpty, format!("it is {}, and is not stopped", instance.status)));
    }
    if instance.locked {
        return Some((SkipReason::NoConsent, "it is locked by its owner".to_owned()));
    }
    if !input.policy.cold_boots.consent.of(&instance.project, &instance.metadata) {
        return Some((SkipReason::NoConsent, "its owner has not consented (cold_boots.consent)".to_owned()));
    }
    match &instance.host {
        Some(host) if is_mitigated(host, input) => None,
        Some(host) => {
            Some((SkipReason::CannotMitigate, format!("{host} is not mitigated: a cold boot there brings nothing")))
        }
        None => Some((SkipReason::Unknown, "Nova names no host for it".to_owned())),
    }
}

/// The subjects in order: the first of each host, then the second of each, with times as if each took its longest.
fn in_turn(wanted: Vec<(&Entry, &Instance)>, input: &ColdBootInput<'_>) -> Vec<PlannedHost> {
    let apart: Vec<&GroupId> = input
        .region
        .groups
        .iter()
        .filter(|group| matches!(group.policy, GroupPolicy::AntiAffinity | GroupPolicy::SoftAntiAffinity))
        .map(|group| &group.id)
        .collect();
    let mut by_host: BTreeMap<&HostName, usize> = BTreeMap::new();
    let mut turns: Vec<(usize, &Entry, &Instance, &HostName)> = Vec::new();
    for (entry, instance) in wanted {
        let Some(host) = &instance.host else { continue };
        let turn = by_host.entry(host).or_default();
        turns.push((*turn, entry, instance, host));
        *turn += 1;
    }
    turns.sort_by_key(|(turn, entry, _, host)| (*turn, (*host).clone(), entry.instance));
    let rules = &input.policy.cold_boots;
    let takes = rules.longest_s();
    let at_once = rules.at_once.max(1);
    turns
        .into_iter()
        .enumerate()
        .filter_map(|(place, (_, entry, instance, on))| {
            let host = input.region.host(on)?;
            #[expect(clippy::cast_precision_loss, reason = "a region has fewer than 2^52 instances")]
            let start_s = (place / at_once) as f64 * takes;
            Some(PlannedHost {
                host: subject(entry.instance),
                zone: host.zone.clone(),
                rack: None,
                roles: Vec::new(),
                drain_only: false,
                order: u32::try_from(place + 1).unwrap_or(u32::MAX),
                canary: false,
                start_s,
                finish_s: start_s + takes,
                work: None,
                service: host.service.clone(),
                identity: host.identity.clone(),
                verdict: Verdict { verdict: VerdictKind::Vulnerable, evidence: Vec::new() },
                moves: Vec::new(),
                cold_boot: Some(Box::new(PlannedColdBoot {
                    instance: entry.instance,
                    name: entry.name.clone(),
                    project: entry.project.clone(),
                    on: on.clone(),
                    group: instance.group.clone().filter(|group| apart.contains(&group)),
                    why: entry.why.clone(),
                })),
            })
        })
        .collect()
}

fn notes(ledger: &Ledger) -> Vec<Note> {
    let exposed = ledger.counts.exposed;
    let said = (exposed > 0).then(|| Note {
        severity: Severity::Warning,
        at: "exposed instances".to_owned(),
        message: format!(
            "{exposed} began on a mitigated host and lack {}: a cold boot alone will not help",
            ledger.flag
        ),
    });
    said.into_iter().collect()
}
