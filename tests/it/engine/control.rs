//! Others who hold the region, and what is asked of a run from elsewhere.

use std::collections::BTreeSet;
use std::time::Duration;

use fleetmend::journal::{Journal, Request};
use fleetmend::model::{HostName, Mark, RunId, ServiceStatus};
use fleetmend::run::{Engine, HostPhase, Outcome, RunError};
use fleetmend::sim::faults::{Faults, JobFault, JobRule};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::stage::{Notes, Stage, policy, quarantined, scenario, victim, with_faults};

#[tokio::test(start_paused = true)]
async fn a_service_that_somebody_else_disabled_is_left_as_it_is() {
    let stage = Stage::set(&scenario(Faults::default()), policy()).await;
    let victim = victim(&stage);
    let id = stage.snapshot.host(&victim.as_str().into()).unwrap().service.id.clone();
    fleetmend::cloud::Compute::disable_service(stage.cloud.as_ref(), &id, "ticket 4711").await.unwrap();
    let end = stage.begin(&mut Notes::default()).await.unwrap();
    assert_eq!(end.state.count(HostPhase::Skipped), 1);
    stage.assert_done(&[&victim], "foreign").await;
    stage.region.with(|world| {
        let host = world.host(&victim.as_str().into()).unwrap();
        assert_eq!(host.service.disabled_reason.as_deref(), Some("ticket 4711"));
        assert_eq!(host.machine.reboots, 0);
    });
}

#[tokio::test(start_paused = true)]
async fn marks_of_another_run_stop_us_unless_told_to_take_over() {
    let stage = Stage::set(&scenario(Faults::default()), policy()).await;
    let victim = victim(&stage);
    let id = stage.snapshot.host(&victim.as_str().into()).unwrap().service.id.clone();
    let foreign = RunId::new(Uuid::from_u128(99));
    let reason = Mark::of(foreign).reason("draining");
    fleetmend::cloud::Compute::disable_service(stage.cloud.as_ref(), &id, &reason).await.unwrap();
    let refused = stage.begin(&mut Notes::default()).await;
    assert!(matches!(refused, Err(RunError::ForeignMark { run, .. }) if run == foreign), "{refused:?}");
    assert!(stage.journal.runs().await.unwrap().is_empty());

    let (_steer, steered) = mpsc::channel(1);
    let engine = Engine { take_over: true, ..stage.engine() };
    let mut notes = Notes::default();
    let end = engine.begin(stage.run, stage.rollout.clone(), &stage.snapshot, steered, &mut notes).await.unwrap();
    assert_eq!(end.state.hosts()[&HostName::new(&victim)].phase, HostPhase::Skipped);
    stage.assert_done(&[&victim], "taken over").await;
    stage.region.with(|world| {
        let service = &world.host(&victim.as_str().into()).unwrap().service;
        assert_eq!(service.disabled_reason.as_deref(), Some(reason.as_str()), "the other run's mark stays");
    });
}

#[tokio::test(start_paused = true)]
async fn stop_skip_and_resume_from_another_terminal() {
    let stage = Stage::set(&scenario(Faults::default()), policy()).await;
    let last = stage.rollout.hosts.last().unwrap().host.clone();
    let control = async {
        tokio::time::sleep(Duration::from_secs(30)).await;
        stage.place(Request::Skip { host: last.clone() }).await;
        stage.place(Request::Stop).await;
    };
    let mut notes = Notes::default();
    let (end, ()) = tokio::join!(stage.begin(&mut notes), control);
    assert_eq!(end.unwrap().outcome, Some(Outcome::Stopped));
    let end = stage.resume(&mut notes).await.unwrap();
    assert_eq!(end.outcome, Some(Outcome::Done));
    assert_eq!(end.state.hosts()[&last].phase, HostPhase::Skipped);
    stage.assert_done(&[last.as_str()], "stopped").await;
    let again = stage.resume(&mut notes).await;
    assert!(matches!(again, Err(RunError::Ended { .. })), "{again:?}");
}

#[tokio::test(start_paused = true)]
async fn a_quarantined_host_that_was_healed_is_retried_after_the_end() {
    let (stage, victim) = with_faults(|_, victim| Faults {
        jobs: vec![JobRule { host: victim.into(), package: None, times: None, fault: JobFault::PreScriptlet }],
        ..Faults::default()
    })
    .await;
    let end = stage.begin(&mut Notes::default()).await.unwrap();
    assert_eq!(end.outcome, Some(Outcome::DoneWithFailures));
    stage.region.with(|world| world.set_faults(Faults::default()));
    stage.place(Request::Retry { host: victim.as_str().into() }).await;
    let end = stage.resume(&mut Notes::default()).await.unwrap();
    assert_eq!(end.outcome, Some(Outcome::Done), "{:?}", quarantined(&stage).await);
    stage.assert_done(&[], "retried").await;
}

#[tokio::test(start_paused = true)]
async fn an_abandoned_run_gives_untouched_hosts_back_as_they_were() {
    let stage = Stage::set(&scenario(Faults::default()), policy()).await;
    let control = async {
        tokio::time::sleep(Duration::from_secs(20)).await;
        stage.place(Request::Stop).await;
    };
    let mut notes = Notes::default();
    let (end, ()) = tokio::join!(stage.begin(&mut notes), control);
    assert_eq!(end.unwrap().outcome, Some(Outcome::Stopped));
    let (_steer, steered) = mpsc::channel(1);
    let end = stage.engine().abandon(stage.run, "test", steered, &mut Notes::default()).await.unwrap();
    assert_eq!(end.outcome, Some(Outcome::Abandoned));
    stage.assert_unharmed("abandoned");
    let quarantined: BTreeSet<HostName> = quarantined(&stage).await.into_keys().collect();
    stage.region.with(|world| {
        for host in world.hosts() {
            let expected =
                if quarantined.contains(&host.name) { ServiceStatus::Disabled } else { ServiceStatus::Enabled };
            assert_eq!(host.service.status, expected, "{}", host.name);
        }
    });
}
