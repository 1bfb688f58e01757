//! Whatever goes wrong, the rest of the region goes on and nobody is harmed.

use fleetmend::model::{HostName, Span};
use fleetmend::run::Outcome;
use fleetmend::sim::faults::{
    ApiFault, ApiRule, Faults, HostFault, HostRule, Incident, JobFault, JobRule, MigrationFault, MigrationRule, What,
    When,
};

use super::stage::{Notes, assert_only_the_victim_is_quarantined, moves, quarantined, with_faults};

#[tokio::test(start_paused = true)]
async fn a_host_that_does_not_come_back_is_quarantined_and_the_rest_goes_on() {
    let (stage, victim) = with_faults(|_, victim| Faults {
        hosts: vec![HostRule { host: victim.into(), times: None, fault: HostFault::NoReturn }],
        ..Faults::default()
    })
    .await;
    assert_only_the_victim_is_quarantined(&stage, &victim, "reboot").await;
}

#[tokio::test(start_paused = true)]
async fn a_host_that_comes_back_with_the_old_kernel_is_not_enabled() {
    let (stage, victim) = with_faults(|_, victim| Faults {
        hosts: vec![HostRule { host: victim.into(), times: None, fault: HostFault::OldKernel }],
        ..Faults::default()
    })
    .await;
    assert_only_the_victim_is_quarantined(&stage, &victim, "kernel").await;
}

#[tokio::test(start_paused = true)]
async fn a_failing_scriptlet_is_found_whatever_the_exit_code_says() {
    for fault in [JobFault::PreScriptlet, JobFault::PostScriptlet] {
        let (stage, victim) = with_faults(|_, victim| Faults {
            jobs: vec![JobRule { host: victim.into(), package: None, times: None, fault }],
            ..Faults::default()
        })
        .await;
        assert_only_the_victim_is_quarantined(&stage, &victim, "").await;
        let rebooted = stage.region.with(|world| world.host(&victim.as_str().into()).unwrap().machine.reboots);
        // A %post failure leaves no trace in the package database: the evidence after the reboot finds it.
        assert_eq!(rebooted, u32::from(fault == JobFault::PostScriptlet), "{fault:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_migration_that_fails_once_is_made_again_and_the_host_is_done() {
    for fault in [MigrationFault::Copy, MigrationFault::PrecheckTarget, MigrationFault::Prepare] {
        let (stage, _) = with_faults(|_, victim| Faults {
            migrations: vec![MigrationRule {
                instance: None,
                source: Some(victim.into()),
                target: None,
                times: Some(1),
                fault,
            }],
            ..Faults::default()
        })
        .await;
        let end = stage.begin(&mut Notes::default()).await.unwrap();
        assert_eq!(end.outcome, Some(Outcome::Done), "{fault:?}: {:?}", quarantined(&stage).await);
        assert_eq!(end.state.moves().failed, 1, "{fault:?}");
        stage.assert_done(&[], &format!("{fault:?}")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_migration_that_hangs_is_aborted_and_made_again() {
    let (stage, _) = with_faults(|_, victim| Faults {
        migrations: vec![MigrationRule {
            instance: None,
            source: Some(victim.into()),
            target: None,
            times: Some(1),
            fault: MigrationFault::Hang,
        }],
        ..Faults::default()
    })
    .await;
    let end = stage.begin(&mut Notes::default()).await.unwrap();
    assert_eq!(end.outcome, Some(Outcome::Done), "{:?}", quarantined(&stage).await);
    stage.assert_done(&[], "hang").await;
}

#[tokio::test(start_paused = true)]
async fn an_instance_created_on_a_draining_host_is_moved_as_well() {
    let (stage, _) = with_faults(|_, victim| Faults {
        incidents: vec![Incident {
            when: When::Disabled(victim.into()),
            after: Span::seconds(5),
            what: What::Created(victim.into()),
        }],
        ..Faults::default()
    })
    .await;
    let mut notes = Notes::default();
    let end = stage.begin(&mut notes).await.unwrap();
    assert_eq!(end.outcome, Some(Outcome::Done), "{:?}", quarantined(&stage).await);
    stage.assert_done(&[], "created").await;
    assert!(moves(&notes.0).len() > stage.rollout.certificate.moves);
}

#[tokio::test(start_paused = true)]
async fn an_address_that_leads_to_another_machine_reboots_nobody() {
    let (stage, victim) = with_faults(|_, victim| Faults {
        incidents: vec![Incident {
            when: When::Disabled(victim.into()),
            after: Span::seconds(1),
            what: What::Impostor(victim.into(), Span::seconds(1_000_000)),
        }],
        ..Faults::default()
    })
    .await;
    let end = stage.begin(&mut Notes::default()).await.unwrap();
    assert_eq!(end.outcome, Some(Outcome::DoneWithFailures));
    assert_eq!(quarantined(&stage).await.into_keys().collect::<Vec<_>>(), [HostName::new(victim.as_str())]);
    assert_eq!(stage.region.with(|world| world.host(&victim.as_str().into()).unwrap().machine.reboots), 0);
    stage.assert_unharmed("impostor");
}

#[tokio::test(start_paused = true)]
async fn a_sick_control_plane_pauses_everything_and_nobody_is_blamed() {
    let (stage, _) = with_faults(|_, victim| Faults {
        incidents: vec![Incident {
            when: When::Migrating(victim.into()),
            after: Span::seconds(0),
            what: What::ControlPlaneDown(Span::seconds(900)),
        }],
        ..Faults::default()
    })
    .await;
    let end = stage.begin(&mut Notes::default()).await.unwrap();
    assert_eq!(end.outcome, Some(Outcome::Done), "{:?}", quarantined(&stage).await);
    stage.assert_done(&[], "sick").await;
}

#[tokio::test(start_paused = true)]
async fn answers_lost_after_the_effect_move_and_reboot_nothing_twice() {
    for fault in [ApiFault::TimeoutAfterEffect, ApiFault::ResetAfterEffect, ApiFault::TooManyRequests] {
        let (stage, _) = with_faults(|_, _| Faults {
            api: vec![
                ApiRule { operation: Some("live_migrate".to_owned()), after: 2, times: Some(2), fault },
                ApiRule { operation: Some("disable_service".to_owned()), after: 1, times: Some(1), fault },
                ApiRule { operation: Some("enable_service".to_owned()), after: 1, times: Some(1), fault },
            ],
            ..Faults::default()
        })
        .await;
        let mut notes = Notes::default();
        let end = stage.begin(&mut notes).await.unwrap();
        assert_eq!(end.outcome, Some(Outcome::Done), "{fault:?}: {:?}", quarantined(&stage).await);
        stage.assert_done(&[], &format!("{fault:?}")).await;
        assert!(moves(&notes.0).values().all(|count| *count == 1), "{fault:?}");
    }
}
