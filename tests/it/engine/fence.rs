//! What owners do around the fence, and what becomes of it when its runner dies.

use std::time::Duration;

use fleetmend::model::{HostName, InstanceId, InstanceStatus, Percent, ServiceStatus, Span};
use fleetmend::run::{Event, EventKind, HostPhase, Intent, Outcome};
use fleetmend::sim::Scenario;
use fleetmend::sim::faults::{Faults, Incident, What, When};

use super::fuse::Cut;
use super::stage::{Notes, Stage, policy, quarantined, scenario, victim};

/// Three hosts, one of them empty, on which a third of the instances is stopped and stays.
fn with_stopped(faults: Faults) -> Scenario {
    let stopped = Percent::new(34.0).unwrap();
    Scenario { empty_hosts: 1, zones: 1, stopped, faults, ..Scenario::sized(3, 9, 7) }
}

/// An instance that stays on a planned host, its name, and when that host's fence was about to go up.
struct Stay {
    id: InstanceId,
    name: String,
    host: HostName,
    fenced_ms: i64,
}

async fn a_stay() -> Stay {
    let stage = Stage::set(&with_stopped(Faults::default()), policy()).await;
    let planned = stage.rollout.stays.first().expect("some instance is stopped on a planned host").clone();
    let mut notes = Notes::default();
    stage.begin(&mut notes).await.unwrap();
    let raises =
        |event: &&Event| is_intent(event, &planned.host, |intent| matches!(intent, Intent::Fence { up: true }));
    let at = notes.0.iter().find(raises).expect("its host was fenced").at;
    // From the region's beginning, which the inventory and the plan come after.
    let start = with_stopped(Faults::default()).start;
    let fenced_ms = i64::try_from(at.duration_since(start).as_millis()).unwrap();
    Stay { id: planned.instance, name: planned.name, host: planned.host, fenced_ms }
}

fn is_intent(event: &Event, host: &HostName, wanted: fn(&Intent) -> bool) -> bool {
    let here = |step: &fleetmend::model::StepId| step.as_str().starts_with(&format!("{host}/"));
    matches!(&event.kind, EventKind::StepIntended { step, intent } if here(step) && wanted(intent))
}

fn disquiets(events: &[Event]) -> usize {
    let disquiet = |event: &&Event| {
        matches!(&event.kind, EventKind::StepFailed { failure, .. }
            if failure.class == fleetmend::actions::ErrorClass::Disquiet)
    };
    events.iter().filter(disquiet).count()
}

/// A region in which the owner starts what stays, so many milliseconds after the region's beginning.
async fn with_start_at(stay: &Stay, millis: i64) -> Stage {
    let faults = Faults {
        incidents: vec![Incident {
            when: When::Start,
            after: Span::millis(millis.unsigned_abs()),
            what: What::Started(stay.name.clone()),
        }],
        ..Faults::default()
    };
    Stage::set(&with_stopped(faults), policy()).await
}

impl Stage {
    /// The owner's instance runs, wherever it is.
    fn assert_started(&self, stay: &Stay, context: &str) {
        let status = self.region.with(|world| world.server(stay.id).unwrap().status());
        assert_eq!(status, InstanceStatus::Active, "{context}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_owner_who_starts_a_stopped_instance_behind_the_fence_gets_it_after_the_reboot() {
    let stay = a_stay().await;
    let mut faults = Faults::default();
    faults.incidents.push(Incident {
        when: When::Fenced(stay.host.clone()),
        after: Span::seconds(1),
        what: What::Started(stay.name.clone()),
    });
    let stage = Stage::set(&with_stopped(faults), policy()).await;
    let end = stage.begin(&mut Notes::default()).await.unwrap();
    assert_eq!(end.outcome, Some(Outcome::Done), "{:?}", quarantined(&stage).await);
    stage.assert_done(&[], "started").await;
    stage.assert_started(&stay, "the owner's start was carried out once the host was back");
}

#[tokio::test(start_paused = true)]
async fn an_owner_who_starts_a_stopped_instance_between_the_last_look_and_the_fence_has_it_moved() {
    let stay = a_stay().await;
    let mut went_back = 0;
    for offset in (-400..=1200).step_by(200) {
        let context = format!("started {offset} ms after the fence was intended");
        let stage = with_start_at(&stay, stay.fenced_ms + offset).await;
        let mut notes = Notes::default();
        let end = stage.begin(&mut notes).await.unwrap();
        assert_eq!(end.outcome, Some(Outcome::Done), "{context}: {:?}", quarantined(&stage).await);
        stage.assert_done(&[], &context).await;
        stage.assert_started(&stay, &context);
        went_back += usize::from(disquiets(&notes.0) > 0);
    }
    assert!(went_back >= 2, "the fence met a start {went_back} times");
}

#[tokio::test(start_paused = true)]
async fn killed_at_any_event_on_the_way_back_from_the_fence_it_comes_out_the_same() {
    let stay = a_stay().await;
    let calm = with_start_at(&stay, stay.fenced_ms).await;
    let mut notes = Notes::default();
    calm.begin(&mut notes).await.unwrap();
    let events = notes.0;
    let first = events.iter().position(|event| disquiets(std::slice::from_ref(event)) > 0).expect("it went back");
    let reboots = |event: &Event| is_intent(event, &stay.host, |intent| matches!(intent, Intent::Reboot { .. }));
    let last = events.iter().rposition(reboots).expect("the host was rebooted");
    for at in events[first..=last].iter().map(|event| event.seq) {
        for cut in [Cut::Before, Cut::After] {
            let context = format!("killed {cut:?} event {at}");
            let stage = with_start_at(&stay, stay.fenced_ms).await;
            stage.begin_until(&mut Notes::default(), move |event| if event.seq == at { cut } else { Cut::No }).await;
            let end = stage.resume(&mut Notes::default()).await.unwrap();
            assert_eq!(end.outcome, Some(Outcome::Done), "{context}: {:?}", quarantined(&stage).await);
            stage.assert_done(&[], &context).await;
            stage.assert_started(&stay, &context);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_will_not_be_quiet_ends_in_quarantine_with_nova_compute_at_work() {
    let calm = Stage::set(&with_stopped(Faults::default()), policy()).await;
    let stay = calm.rollout.stays.first().unwrap().clone();
    let stage = Stage::set(&with_stopped(Faults::default()), policy()).await;
    // A domain that somebody started by hand: Nova's word for it stays SHUTOFF.
    let name = HostName::new(stay.host.as_str());
    stage.region.with(|world| {
        let domain = world.host_mut(&name).and_then(|host| host.domains.get_mut(&stay.instance)).unwrap();
        domain.state = fleetmend::model::DomainState::Running;
    });
    let mut notes = Notes::default();
    let end = stage.begin(&mut notes).await.unwrap();
    assert_eq!(end.outcome, Some(Outcome::Paused), "a canary failed: {:?}", end.state.status());
    assert_eq!(disquiets(&notes.0), 5);
    let why = quarantined(&stage).await.remove(&name).unwrap();
    assert!(why.contains("is running"), "{why}");
    stage.region.with(|world| {
        let host = world.host(&name).unwrap();
        assert_eq!((host.machine.reboots, host.service.status), (0, ServiceStatus::Disabled));
        assert!(host.compute.is_working());
    });
}

#[tokio::test(start_paused = true)]
async fn a_fence_that_a_dead_runner_raised_and_did_not_record_comes_down_when_its_host_fails() {
    let calm = Stage::set(&scenario(Faults::default()), policy()).await;
    let victim = HostName::new(victim(&calm));
    // Nobody reaches the host any more from the moment its fence is up until its steps have failed for good.
    let faults = Faults {
        incidents: vec![Incident {
            when: When::Fenced(victim.clone()),
            after: Span::seconds(0),
            what: What::Unreachable(victim.clone(), Span::seconds(100)),
        }],
        ..Faults::default()
    };
    let stage = Stage::set(&scenario(faults), policy()).await;
    let fence = fleetmend::model::StepId::of(&victim, "fence");
    let ends = move |event: &Event| {
        let ended = matches!(&event.kind,
            EventKind::StepSucceeded { step, .. } | EventKind::StepFailed { step, .. } if *step == fence);
        if ended { Cut::Before } else { Cut::No }
    };
    stage.begin_until(&mut Notes::default(), ends).await;
    assert!(!stage.region.with(|world| world.host(&victim).unwrap().compute.is_started()), "the fence is up");
    let end = stage.resume(&mut Notes::default()).await.unwrap();
    assert_eq!(end.outcome, Some(Outcome::DoneWithFailures));
    assert_eq!(end.state.hosts()[&victim].phase, HostPhase::Quarantined);
    assert!(!end.state.hosts()[&victim].memory().fenced, "nothing of it is on record");
    assert!(stage.region.with(|world| world.host(&victim).unwrap().compute.is_working()));
    stage.assert_done(&[victim.as_str()], "fenced and dead").await;
}

#[tokio::test(start_paused = true)]
async fn an_abandoned_host_with_its_fence_up_gets_nova_compute_back() {
    let stage = Stage::set(&scenario(Faults::default()), policy()).await;
    let begins = |event: &Event| {
        let begun = matches!(&event.kind,
            EventKind::StepStarted { step, .. } if step.as_str().ends_with("/verify-config"));
        if begun { Cut::After } else { Cut::No }
    };
    stage.begin_until(&mut Notes::default(), begins).await;
    let (_steer, steered) = tokio::sync::mpsc::channel(1);
    let end = stage.engine().abandon(stage.run, "test", steered, &mut Notes::default()).await.unwrap();
    assert_eq!(end.outcome, Some(Outcome::Abandoned));
    tokio::time::sleep(Duration::from_secs(60)).await;
    let half_done = quarantined(&stage).await;
    assert!(!half_done.is_empty());
    stage.region.with(|world| {
        assert!(world.hosts().all(|host| host.compute.is_working()));
        for name in half_done.keys() {
            let reason = world.host(name).unwrap().service.disabled_reason.clone().unwrap();
            assert!(reason.contains("quarantined"), "{reason}");
        }
    });
}
