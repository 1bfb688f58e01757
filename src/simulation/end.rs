//! What must hold at the end of a run.

use std::collections::BTreeSet;

use crate::model::{HostName, InstanceStatus, Mark, Percent, ServiceStatus};
use crate::remedy::{VerdictKind, assess};
use crate::run::{HostPhase, RunState};
use crate::sim::faults::{ApiFault, Faults, HostFault, Incident, What};
use crate::sim::world::World;

use super::draw::Case;
use super::stage::Stage;
use super::watch::Watch;

/// Looks at everything once more.
pub(super) async fn look(stage: &Stage, case: &Case, state: &RunState, watch: &mut Watch) {
    hosts(stage, case, state, watch);
    instances(stage, case, state, watch);
    blame(case, state, watch);
    services(stage, watch);
    let again = crate::run::load(stage.journal.as_ref(), stage.run).await.unwrap();
    if format!("{again:?}") != format!("{state:?}") {
        watch.say("the journal tells another state than the run had".to_owned());
    }
    let region = stage.look_again().await;
    for (name, host) in state.hosts().iter().filter(|(_, host)| host.phase == HostPhase::Done) {
        let Some(verdict) = region.as_ref().and_then(|region| region.host(name)) else { continue };
        let verdict = assess(&verdict.facts, Stage::remedy()).verdict;
        let seen = !matches!(verdict, VerdictKind::Unknown);
        if seen && !matches!(verdict, VerdictKind::Mitigated | VerdictKind::NotAffected) {
            watch.say(format!("{name} is {} and {verdict:?}", host.activity()));
        }
    }
}

/// Every host is done, skipped or quarantined, with a reason, and is in service or not as that says.
fn hosts(stage: &Stage, case: &Case, state: &RunState, watch: &mut Watch) {
    let touched = touched_hosts(&case.faults);
    for (name, host) in state.hosts() {
        let (service, works, started) = stage.region.with(|world| {
            let found = world.host(name).unwrap();
            (found.service.clone(), found.compute.is_working(), found.compute.is_started())
        });
        let reason = service.disabled_reason.clone().unwrap_or_default();
        let ours = service.status == ServiceStatus::Disabled && Mark::read(&reason) == Some(Mark::of(stage.run));
        match host.phase {
            HostPhase::Done => {
                if ours {
                    watch.say(format!("{name} is done and disabled: {reason}"));
                }
            }
            HostPhase::Skipped | HostPhase::Quarantined if host.why.is_none() => {
                watch.say(format!("{name} is {} without a reason", host.activity()));
            }
            HostPhase::Skipped => {
                if ours {
                    watch.say(format!("{name} is skipped and disabled: {reason}"));
                }
            }
            HostPhase::Quarantined => {
                if !touched.contains(name) {
                    if !ours || !reason.contains("quarantined") {
                        watch.say(format!("{name} is quarantined, its service {:?}: {reason}", service.status));
                    }
                    if !started || !works {
                        watch.say(format!("{name} is quarantined without nova-compute: {:?}", host.why));
                    }
                }
            }
            HostPhase::Waiting | HostPhase::Active => watch.say(format!("{name} ends {}", host.activity())),
        }
    }
}

/// What ran runs, where nothing but us could have ended it; nothing is left on its way.
fn instances(stage: &Stage, case: &Case, state: &RunState, watch: &mut Watch) {
    let mut named = BTreeSet::new();
    for (host, one, why) in state.stopped_by_us() {
        if why.is_none() {
            watch.say(format!("instance {} is off on {host} by our doing, and nobody is told", one.id));
        }
        named.insert(one.id);
    }
    let touched = touched_instances(&case.faults);
    for (id, before) in &stage.alive {
        let found = stage.region.with(|world| {
            let server = world.server(*id).ok()?;
            let is_ours = !touched.contains(&server.name) && !named.contains(id) && !world.was_wronged(*id);
            is_ours.then(|| (server.status(), server.host.clone(), runs(world, *id)))
        });
        let Some((status, host, runs)) = found else { continue };
        if status != *before {
            watch.say(format!("instance {id} is {status} on {host:?}, it was {before}"));
        }
        if !runs && matches!(before, InstanceStatus::Active | InstanceStatus::Paused) {
            watch.say(format!("instance {id} has no guest on {host:?}"));
        }
    }
}

fn runs(world: &World, id: crate::model::InstanceId) -> bool {
    let host = world.server(id).ok().and_then(|server| server.host.clone());
    host.and_then(|host| world.host(&host)).is_some_and(|host| host.live_domains().any(|(guest, _)| guest == id))
}

/// A host is given up only where something is wrong with it: never for what its owners, the API or its connections do.
fn blame(case: &Case, state: &RunState, watch: &mut Watch) {
    let mild = |incident: &Incident| match incident.what {
        What::Created(_)
        | What::Started(_)
        | What::Stopped(_)
        | What::Deleted(_)
        | What::DomainStarted(_)
        | What::DomainStopped(_)
        | What::Silent(..)
        | What::ControlPlaneDown(_) => true,
        What::Locked(_)
        | What::Resized(..)
        | What::Disabled(_)
        | What::Enabled(_)
        | What::ComputeDies(_)
        | What::ComputeReturns(_)
        | What::Impostor(..)
        | What::Unreachable(..)
        | What::PowerCut(_) => false,
    };
    let conflicts = case.faults.api.iter().any(|rule| rule.fault == ApiFault::Conflict);
    if conflicts || !case.faults.incidents.iter().all(mild) || !case.faults.migrations.is_empty() {
        return;
    }
    let jobs = case.faults.jobs.iter().map(|rule| &rule.host);
    let wrong: BTreeSet<&HostName> = case.faults.hosts.iter().map(|rule| &rule.host).chain(jobs).collect();
    for (name, host) in state.hosts().iter().filter(|(_, host)| host.phase == HostPhase::Quarantined) {
        let why = host.why.clone().unwrap_or_default();
        // Created where the plan knew of nothing: there may be no room for it anywhere else.
        let no_room =
            ["no target", "takes instances", "anti-affinity", "would take it"].iter().any(|said| why.contains(said));
        // Three broken connections in a row are a reason: where they break by chance, some hosts have them.
        let cut_off = case.faults.chance.shell != Percent::default()
            && ["closed by remote host", "goes on in the boot"].iter().any(|said| why.contains(said));
        // So does a service that falls silent for longer than three attempts take.
        let silent = case
            .faults
            .incidents
            .iter()
            .any(|incident| matches!(&incident.what, What::Silent(host, _) if host == name));
        let fell_silent = silent && why.contains("is down");
        if !wrong.contains(name) && !no_room && !cut_off && !fell_silent {
            watch.say(format!("{name} is quarantined for nothing: {why}"));
        }
    }
}

/// Nothing was enabled that this run had not disabled; what somebody else disabled was never taken over.
fn services(stage: &Stage, watch: &mut Watch) {
    let changes = stage.region.with(|world| world.changes().to_vec());
    for name in stage.snapshot.hosts.iter().map(|host| &host.host) {
        let (mut ours, mut disabled) = (false, false);
        let mut somebody: Option<jiff::Timestamp> = None;
        let mut foreign_next = false;
        for change in &changes {
            if change.what == format!("{name}: somebody else sets its service") {
                foreign_next = true;
                somebody = Some(change.at);
                continue;
            }
            if !change.what.starts_with(&format!("service {name} ")) {
                continue;
            }
            let enables = change.what.contains("status: Some(Enabled)");
            // Between a look and the request that follows it somebody else may act: seconds, at most.
            let at_once = somebody.is_some_and(|at| change.at.duration_since(at).as_secs() < 70);
            match (std::mem::take(&mut foreign_next), enables) {
                (true, _) => ours = false,
                (false, true) => {
                    // A request whose answer was lost is repeated: what is enabled is enabled again.
                    if disabled && !ours && !at_once {
                        watch.say(format!("{name} was enabled at {}, and was not ours", change.at));
                    }
                    ours = false;
                }
                (false, false) => ours = true,
            }
            disabled = !enables;
        }
    }
}

/// Hosts of which nothing can be said for sure.
fn touched_hosts(faults: &Faults) -> BTreeSet<HostName> {
    let rules = faults
        .hosts
        .iter()
        .filter(|rule| matches!(rule.fault, HostFault::NoReturn | HostFault::NoCompute | HostFault::Late(_)));
    let incidents = faults.incidents.iter().filter_map(|incident| match &incident.what {
        What::Disabled(host)
        | What::Enabled(host)
        | What::ComputeDies(host)
        | What::Impostor(host, _)
        | What::Unreachable(host, _)
        | What::PowerCut(host) => Some(host),
        What::Created(_)
        | What::Started(_)
        | What::Stopped(_)
        | What::Deleted(_)
        | What::Locked(_)
        | What::Resized(..)
        | What::DomainStarted(_)
        | What::DomainStopped(_)
        | What::Silent(..)
        | What::ComputeReturns(_)
        | What::ControlPlaneDown(_) => None,
    });
    rules.map(|rule| &rule.host).chain(incidents).cloned().collect()
}

/// Instances whose owners did something to them.
fn touched_instances(faults: &Faults) -> BTreeSet<String> {
    let touched = faults.incidents.iter().filter_map(|incident| match &incident.what {
        What::Started(name) | What::Stopped(name) | What::Deleted(name) | What::Resized(name, _) => Some(name.clone()),
        What::Created(_)
        | What::Locked(_)
        | What::DomainStarted(_)
        | What::DomainStopped(_)
        | What::Disabled(_)
        | What::Enabled(_)
        | What::Silent(..)
        | What::ComputeDies(_)
        | What::ComputeReturns(_)
        | What::Impostor(..)
        | What::Unreachable(..)
        | What::PowerCut(_)
        | What::ControlPlaneDown(_) => None,
    });
    touched.collect()
}
