//! From input to rollout: select, schedule, check, seal.

use std::collections::{BTreeMap, BTreeSet};

use super::census::Census;
use super::check::check_with_turns;
use super::digest::Unsealed;
use super::fleet::{Fleet, seconds};
use super::infeasible;
use super::input::{Attempt, NoRoom, PlanError, PlanInput, PlanReport};
use super::kinds::Demand;
use super::lint::advice;
use super::parts::in_parts;
use super::rollout::{
    Certificate, Note, PlannedHost, PlannedMove, Rollout, RolloutKind, Severity, SkipReason, SkippedHost, Work,
};
use super::schedule::{Planned, explain_stuck};
use super::select::{Selection, select};
use super::sweep::{Sweep, sweep};
use crate::model::{Digest, HostName};
use crate::remedy::Verdict;

/// Plans the whole campaign. The same input gives the same bytes, whatever the order of hosts and instances in it.
pub fn plan(input: &PlanInput<'_>) -> Result<(Rollout, PlanReport), PlanError> {
    let census = Census::of(input.region);
    let selection = select(input, &census)?;
    let fleet = Fleet::of(input.region, &census, &selection, input.policy, input.experience);
    let canaries = super::canary::canaries(&fleet);
    let swept = sweep(&fleet, &input.policy.objective, &canaries, input.seed);
    let report = report(input, &fleet, &swept, &canaries);
    let rollout = assemble(input, selection, &fleet, &swept, &report);
    if !report.shortfalls.is_empty() && (input.scope.no_room == NoRoom::Refuse || rollout.hosts.is_empty()) {
        let PlanReport { shortfalls, ways_out, .. } = report;
        return Err(PlanError::Infeasible { of: fleet.hosts.len(), shortfalls, ways_out, skipped: rollout.skipped });
    }
    if !rollout.certificate.violations.is_empty() {
        return Err(PlanError::Violations(rollout.certificate.violations));
    }
    Ok((rollout, report))
}

fn report(input: &PlanInput<'_>, fleet: &Fleet<'_>, swept: &Sweep, canaries: &[u32]) -> PlanReport {
    let attempt = |tried: &super::sweep::Tried| Attempt {
        strategy: tried.strategy.describe(),
        moves: tried.schedule.moves,
        makespan_s: seconds(tried.schedule.makespan),
        stuck: tried.schedule.stuck.len(),
    };
    let chosen = &swept.tried[swept.chosen];
    let stuck = if chosen.schedule.stuck.is_empty() {
        Vec::new()
    } else {
        explain_stuck(fleet, &chosen.strategy, canaries, &chosen.banned)
    };
    PlanReport {
        attempts: swept.tried.iter().map(attempt).collect(),
        chosen: swept.chosen,
        because: swept.because.clone(),
        shortfalls: infeasible::shortfalls(fleet, &stuck),
        ways_out: infeasible::ways_out(input, fleet, &stuck),
    }
}

fn assemble(
    input: &PlanInput<'_>,
    selection: Selection<'_>,
    fleet: &Fleet<'_>,
    swept: &Sweep,
    report: &PlanReport,
) -> Rollout {
    let schedule = &swept.tried[swept.chosen].schedule;
    let hosts = planned_hosts(input, fleet, &schedule.hosts);
    let names: BTreeSet<&HostName> = hosts.iter().map(|host| &host.host).collect();
    let stays = selection.stays.into_iter().filter(|stay| names.contains(&stay.host)).collect();
    let mut skipped = selection.skipped;
    skipped.extend(report.shortfalls.iter().map(|shortfall| SkippedHost {
        host: shortfall.host.clone(),
        reason: SkipReason::NoRoom,
        detail: shortfall.detail.clone(),
    }));
    skipped.sort_by(|a, b| a.host.cmp(&b.host));
    let taking: BTreeSet<u32> = schedule.hosts.iter().flat_map(|host| &host.transfers).map(|to| to.to).collect();
    let lenders = taking.into_iter().filter(|host| fleet.bystander[*host as usize]);
    let mut rollout = Rollout {
        format: 1,
        kind: RolloutKind::Rollout,
        work: Work::Hosts,
        id: input.id,
        digest: Digest::new(""),
        made_by: concat!("fleetmend ", env!("CARGO_PKG_VERSION")).to_owned(),
        region: input.region.region.clone(),
        created: input.now,
        region_taken_at: input.region.taken_at,
        seed: input.seed,
        remedy: input.remedy.clone(),
        policy: input.policy.clone(),
        configuration: input.configuration.clone(),
        hosts,
        targets: selection.targets.into_iter().cloned().collect(),
        lenders: lenders.map(|host| fleet.name(host).clone()).collect(),
        processors: fleet.layout.tell_processors(),
        zones: super::zones::zones(input.region),
        skipped,
        stays,
        blocked: selection.blocked,
        certificate: Certificate::default(),
        notes: Vec::new(),
    };
    let (unsealed, (certificate, early)) = std::thread::scope(|scope| {
        let hashing = scope.spawn(|| Unsealed::of(&rollout));
        let checked = check_with_turns(&rollout, input.region);
        (hashing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), checked)
    });
    rollout.certificate = certificate;
    rollout.notes = notes(input, &rollout, report, early);
    rollout.notes.extend(not_in_force(fleet, &input.region.region));
    rollout.notes.extend(advice(&rollout));
    rollout.digest = unsealed.seal(&rollout.certificate, &rollout.notes);
    rollout
}

/// Names what aggregates' metadata would forbid and some instance that leaves does all the same.
fn not_in_force(fleet: &Fleet<'_>, region: &str) -> Option<Note> {
    if !fleet.layout.kinds().has_rules() {
        return None;
    }
    let mut keys: BTreeMap<String, usize> = BTreeMap::new();
    let leaving = (0_u32..).zip(&fleet.leaving).flat_map(|(home, leaving)| leaving.iter().map(move |one| (home, *one)));
    for (home, instance) in leaving {
        for key in fleet.layout.kinds().not_in_force(&Demand::of(fleet.instance(instance)), home) {
            *keys.entry(key).or_default() += 1;
        }
    }
    if keys.is_empty() {
        return None;
    }
    let told: Vec<String> = keys.iter().map(|(key, instances)| format!("`{key}` {instances}")).collect();
    let message = format!(
        "aggregates have metadata that would keep instances off the hosts they are on, so no filter reads it; it holds \
         none of those instances back elsewhere; instances by key: {}",
        told.join(", ")
    );
    Some(Note { severity: Severity::Info, at: region.to_owned(), message })
}

/// Writes the hosts out, a part on each processor: copying names is much of what a large plan costs.
fn planned_hosts(input: &PlanInput<'_>, fleet: &Fleet<'_>, hosts: &[Planned]) -> Vec<PlannedHost> {
    let written = in_parts(hosts, |first, hosts| {
        let numbered = hosts.iter().zip((1..).skip(first));
        numbered.map(|(planned, order)| planned_host(input, fleet, order, planned)).collect::<Vec<_>>()
    });
    written.into_iter().flatten().collect()
}

fn planned_host(input: &PlanInput<'_>, fleet: &Fleet<'_>, order: u32, planned: &Planned) -> PlannedHost {
    let name = fleet.name(planned.host);
    let host = fleet.host(planned.host);
    let unknown = || Verdict { verdict: crate::remedy::VerdictKind::Unknown, evidence: Vec::new() };
    let ways = planned.ways.iter().map(|(from, transfer)| (*from, transfer));
    let own = planned.transfers.iter().map(|transfer| (planned.host, transfer));
    let moves = ways.chain(own).map(|(from, transfer)| {
        let instance = fleet.instance(transfer.instance);
        PlannedMove {
            instance: instance.id,
            name: instance.name.clone(),
            project: instance.project.clone(),
            from: fleet.name(from).clone(),
            to: fleet.name(transfer.to).clone(),
            resources: instance.resources.clone(),
            group: instance.group.clone(),
            start_s: seconds(transfer.start),
            finish_s: seconds(transfer.finish),
        }
    });
    PlannedHost {
        host: name.clone(),
        zone: host.zone.clone(),
        rack: host.rack.clone(),
        roles: host.roles_one_at_a_time(&input.policy.roles).collect(),
        drain_only: false,
        order,
        canary: planned.canary,
        start_s: seconds(planned.start),
        finish_s: seconds(planned.finish),
        work: input.experience.of(name),
        service: host.service.clone(),
        identity: host.identity.clone(),
        verdict: input.verdicts.get(name).cloned().unwrap_or_else(unknown),
        moves: moves.collect(),
        cold_boot: None,
    }
}

/// Migrations that took so many times longer, or shorter, than estimated make a plan's times worthless.
const SURPRISE: f64 = 1.5;

fn notes(input: &PlanInput<'_>, rollout: &Rollout, report: &PlanReport, early: usize) -> Vec<Note> {
    let mut notes = Vec::new();
    let mut say = |severity, at: &str, message: String| {
        notes.push(Note { severity, at: at.to_owned(), message });
    };
    if rollout.hosts.is_empty() {
        say(Severity::Info, &rollout.region, "nothing to do: no host is both vulnerable and selectable".to_owned());
    } else {
        say(
            Severity::Info,
            &rollout.region,
            format!("chosen: {}; {}", report.attempts[report.chosen].strategy, report.because),
        );
    }
    let certificate = &rollout.certificate;
    if certificate.moves > certificate.instances {
        let extra = certificate.moves - certificate.instances;
        say(
            Severity::Info,
            &rollout.region,
            format!("{extra} instances move twice: their hosts are drained first, before any host is mitigated"),
        );
    }
    for planned in &rollout.hosts {
        let ways = planned.ways().count();
        if ways > 0 {
            let message = format!(
                "while it is drained {ways} instances of hosts that still wait make way for its own: no host has room as it is"
            );
            say(Severity::Info, planned.host.as_str(), message);
        }
    }
    let measured = input.experience.measured();
    if measured > 0 && !rollout.hosts.is_empty() {
        let message = format!("times on a host are those of earlier runs, which measured {measured} hosts");
        say(Severity::Info, &rollout.region, message);
    }
    if let Some(ratio) = input.experience.moves().filter(|ratio| !(1.0 / SURPRISE..=SURPRISE).contains(ratio)) {
        let message = format!(
            "migrations of earlier runs took {ratio:.1} times what their policy estimated: see `estimate` in the policy"
        );
        say(Severity::Warning, &rollout.region, message);
    }
    if early > 0 {
        let message =
            format!("{early} hosts begin before hosts that the policy's priority puts first had room or a slot");
        say(Severity::Info, &rollout.region, message);
    }
    for lender in &rollout.lenders {
        let message = "takes instances though it stays vulnerable: its domain has no other host to take them";
        say(Severity::Warning, lender.as_str(), message.to_owned());
    }
    for shortfall in &report.shortfalls {
        say(Severity::Warning, shortfall.host.as_str(), format!("left out: {}", shortfall.detail));
    }
    let unknown = input.region.hosts.iter().filter(|host| host.facts.cpu.is_none()).count();
    if unknown > 0 && !rollout.hosts.is_empty() {
        let message = format!("the processors of {unknown} hosts are not known: no move is ruled out for want of one");
        say(Severity::Info, &rollout.region, message);
    }
    for way in &report.ways_out {
        say(Severity::Info, &rollout.region, format!("would leave no host out: {way}"));
    }
    for gap in &input.region.gaps {
        say(Severity::Warning, &gap.at, format!("could not be seen: {}", gap.detail));
    }
    notes
}
