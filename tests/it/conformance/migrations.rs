//! Live and cold migrations that are carried out, well or badly.

use fleetmend::cloud::{
    Accepted, CloudErrorKind, CloudResult, MigrationKind, MigrationStatus, MigrationsQuery, PowerState,
};
use fleetmend::model::{HostName, InstanceStatus};

use super::{Bench, Fate, accepted, action, assert_untouched, holders, needs, newest, record, settled, until};

pub async fn a_live_migration_goes_through_its_record_and_ends_on_its_target(bench: &dyn Bench) {
    let id = bench.create("good", bench.home(), Fate::Good, None).await;
    let before = accepted(bench, id, bench.target()).await;
    let server = bench.cloud().server(id).await.unwrap();
    assert_eq!((server.status.as_str(), server.task_state.as_deref()), ("MIGRATING", Some("migrating")));
    let order = [MigrationStatus::Starting, MigrationStatus::Running, MigrationStatus::Completed];
    let mut stage = 0;
    loop {
        let record = record(bench, id, before, |_| true).await;
        let at = order.iter().position(|status| *status == record.status);
        stage = at.filter(|at| *at >= stage).unwrap_or_else(|| panic!("{:?} after {:?}", record.status, order[stage]));
        assert_eq!(record.source.as_ref(), Some(bench.home()));
        if record.status == MigrationStatus::Completed {
            // Looked at after the record: a completed one with the server elsewhere would be a lie.
            let server = bench.cloud().server(id).await.unwrap();
            assert_eq!((server.status.as_str(), server.host.as_ref()), ("ACTIVE", Some(bench.target())));
            assert_eq!((server.task_state, server.power_state), (None, PowerState::Running));
            assert_eq!(record.target.as_ref(), Some(bench.target()));
            break;
        }
        tokio::time::sleep(bench.poll()).await;
    }
    assert_eq!(bench.cloud().migration_progress(id, newest(bench, id).await).await.unwrap(), None);
    let held = |host: HostName| async move { holders(bench, &host).await.contains(&id.to_string()) };
    assert!(held(bench.target().clone()).await && !held(bench.home().clone()).await);
    let action = action(bench, id, "live-migration").await;
    assert_eq!(action.message, None);
    let events: Vec<&str> = action.events.iter().map(|event| event.event.as_str()).collect();
    for event in ["conductor_live_migrate_instance", "compute_live_migration", "compute_pre_live_migration"] {
        assert!(events.contains(&event), "{events:?}");
    }
}

pub async fn in_flight_the_instance_holds_the_target_and_the_migration_the_source(bench: &dyn Bench) {
    needs!(bench, Fate::Hangs);
    let id = bench.create("flight", bench.home(), Fate::Hangs, None).await;
    let before = accepted(bench, id, bench.target()).await;
    let record = record(bench, id, before, |status| *status == MigrationStatus::Running).await;
    let migration = record.uuid.unwrap();
    let (home, target) = (holders(bench, bench.home()).await, holders(bench, bench.target()).await);
    assert!(home.contains(&migration) && !home.contains(&id.to_string()), "{home:?}");
    assert!(target.contains(&id.to_string()) && !target.contains(&migration), "{target:?}");
    assert!(bench.cloud().migration_progress(id, record.id).await.unwrap().is_some());
    let query = MigrationsQuery { host: Some(bench.target().clone()), in_progress: true, ..MigrationsQuery::default() };
    let open = bench.cloud().migrations(&query).await.unwrap();
    assert!(open.iter().any(|open| open.id == record.id), "listed at its target too");
    bench.cloud().abort_migration(id, record.id).await.unwrap();
    settled(bench, id, before).await;
}

pub async fn an_abort_leaves_the_instance_on_its_host(bench: &dyn Bench) {
    needs!(bench, Fate::Hangs);
    let id = bench.create("abort", bench.home(), Fate::Hangs, None).await;
    let before = accepted(bench, id, bench.target()).await;
    let running = record(bench, id, before, |status| *status == MigrationStatus::Running).await;
    let kind = |result: CloudResult<Accepted>| result.unwrap_err().kind;
    assert_eq!(kind(bench.cloud().abort_migration(id, 999_999_999).await), CloudErrorKind::NotFound);
    assert_eq!(kind(bench.cloud().force_complete(id, 999_999_999).await), CloudErrorKind::Refused);
    bench.cloud().abort_migration(id, running.id).await.unwrap();
    let (aborted, server) = settled(bench, id, before).await;
    assert_eq!(aborted.status, MigrationStatus::Cancelled);
    assert_untouched(bench, &server);
    assert_eq!(kind(bench.cloud().abort_migration(id, running.id).await), CloudErrorKind::Conflict);
    assert_eq!(kind(bench.cloud().force_complete(id, running.id).await), CloudErrorKind::Conflict);
    let (home, target) = (holders(bench, bench.home()).await, holders(bench, bench.target()).await);
    assert!(home.contains(&id.to_string()) && !target.contains(&id.to_string()));
}

pub async fn a_hanging_migration_ends_when_forced(bench: &dyn Bench) {
    needs!(bench, Fate::Hangs);
    let id = bench.create("force", bench.home(), Fate::Hangs, None).await;
    let before = accepted(bench, id, bench.target()).await;
    let running = record(bench, id, before, |status| *status == MigrationStatus::Running).await;
    bench.cloud().force_complete(id, running.id).await.unwrap();
    let (record, server) = settled(bench, id, before).await;
    assert_eq!(record.status, MigrationStatus::Completed);
    assert_eq!((server.status.as_str(), server.host.as_ref()), ("ACTIVE", Some(bench.target())));
}

pub async fn a_copy_that_breaks_tells_so_only_in_its_record(bench: &dyn Bench) {
    needs!(bench, Fate::Breaks);
    let id = bench.create("breaks", bench.home(), Fate::Breaks, None).await;
    let before = accepted(bench, id, bench.target()).await;
    let (record, server) = settled(bench, id, before).await;
    assert_eq!((record.status, record.target.as_ref()), (MigrationStatus::Failed, Some(bench.target())));
    assert_untouched(bench, &server);
    let action = action(bench, id, "live-migration").await;
    assert_eq!(action.message, None);
    assert!(action.events.iter().all(|event| event.result.as_deref() == Some("Success")));
    let (home, target) = (holders(bench, bench.home()).await, holders(bench, bench.target()).await);
    assert!(home.contains(&id.to_string()) && !target.contains(&id.to_string()));
}

pub async fn a_target_that_cannot_prepare_is_named_by_the_event(bench: &dyn Bench) {
    needs!(bench, Fate::PrepareFails);
    let id = bench.create("prepare", bench.home(), Fate::PrepareFails, None).await;
    let before = accepted(bench, id, bench.target()).await;
    // The record passes through `error` while things are being put back, and stays at `failed`.
    record(bench, id, before, |status| *status == MigrationStatus::Failed).await;
    let (record, server) = settled(bench, id, before).await;
    assert_eq!((record.status, record.target.as_ref()), (MigrationStatus::Failed, Some(bench.target())));
    assert_untouched(bench, &server);
    let action = action(bench, id, "live-migration").await;
    let failed = action.events.iter().find(|event| event.event == "compute_pre_live_migration").unwrap();
    assert_eq!((failed.result.as_deref(), failed.host.as_deref()), (Some("Error"), Some(bench.target().as_str())));
    assert!(failed.details.is_some());
}

pub async fn a_paused_instance_stays_paused(bench: &dyn Bench) {
    let id = bench.create("paused", bench.home(), Fate::Good, None).await;
    bench.pause(id).await;
    let before = accepted(bench, id, bench.target()).await;
    let server = bench.cloud().server(id).await.unwrap();
    assert_eq!(server.status.as_str(), "MIGRATING");
    let (record, server) = settled(bench, id, before).await;
    assert_eq!((record.status, server.host.as_ref()), (MigrationStatus::Completed, Some(bench.target())));
    assert_eq!((server.status.as_str(), server.power_state), ("PAUSED", PowerState::Paused));
    assert_eq!(bench.cloud().stop(id).await.unwrap_err().kind, CloudErrorKind::Conflict);
}

pub async fn a_lock_does_not_stop_an_admin(bench: &dyn Bench) {
    let id = bench.create("locked", bench.home(), Fate::Good, None).await;
    bench.lock(id).await;
    assert!(bench.cloud().server(id).await.unwrap().locked);
    let before = accepted(bench, id, bench.target()).await;
    let (record, server) = settled(bench, id, before).await;
    assert_eq!((record.status, server.host.as_ref()), (MigrationStatus::Completed, Some(bench.target())));
    assert!(server.locked);
}

pub async fn a_cold_migration_waits_to_be_confirmed(bench: &dyn Bench) {
    let cloud = bench.cloud();
    let id = bench.create("cold", bench.home(), Fate::Good, None).await;
    let unknown = cloud.cold_migrate(id, Some(&HostName::new("nohost"))).await.unwrap_err();
    assert_eq!(unknown.kind, CloudErrorKind::Refused);
    let before = newest(bench, id).await;
    let launched = cloud.server(id).await.unwrap().launched_at;
    cloud.cold_migrate(id, Some(bench.target())).await.unwrap();
    let reach = |status: InstanceStatus| async move {
        let status = &status;
        until(bench, status.as_str(), || async move {
            let server = cloud.server(id).await.unwrap();
            (server.status == *status && server.task_state.is_none()).then_some(server)
        })
        .await
    };
    let server = reach(InstanceStatus::VerifyResize).await;
    assert_eq!(server.host.as_ref(), Some(bench.target()));
    assert!(server.launched_at > launched, "a guest that began anew elsewhere was launched there");
    let told = action(bench, id, "migrate").await;
    let last = told.events.iter().rfind(|event| event.event.starts_with("compute_")).unwrap();
    assert_eq!(last.host.as_deref(), Some(bench.target().as_str()), "{told:?}");
    let record = record(bench, id, before, |status| *status == MigrationStatus::Finished).await;
    assert_eq!(record.kind, MigrationKind::Cold);
    assert!(record.status.is_in_progress(), "not over before it is confirmed");
    assert!(holders(bench, bench.home()).await.contains(&record.uuid.unwrap()));
    assert_eq!(cloud.live_migrate(id, Some(bench.home())).await.unwrap_err().kind, CloudErrorKind::Conflict);
    cloud.confirm_resize(id).await.unwrap();
    reach(InstanceStatus::Active).await;
    let (record, _) = settled(bench, id, before).await;
    assert_eq!(record.status, MigrationStatus::Completed);
}
