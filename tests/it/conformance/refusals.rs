//! What is refused, at once or after it was accepted.

use fleetmend::cloud::{CloudErrorKind, Migration, MigrationStatus};
use fleetmend::model::{HostName, InstanceId};

use super::{Bench, Fate, accepted, action, assert_untouched, holders, needs, record, records, service_id, settled};

/// A migration that was accepted and refused later: the reason is only in the action's event.
async fn refused_later(bench: &dyn Bench, id: InstanceId, target: &HostName) -> Migration {
    let before = accepted(bench, id, target).await;
    let (record, server) = settled(bench, id, before).await;
    assert_eq!((&record.status, &record.target), (&MigrationStatus::Error, &None));
    assert_untouched(bench, &server);
    let action = action(bench, id, "live-migration").await;
    assert_eq!(action.message.as_deref(), Some("Error"));
    let details: Vec<_> = action.events.iter().filter_map(|event| event.details.as_deref()).collect();
    assert!(details.iter().any(|why| why.starts_with("No valid host was found.")), "{details:?}");
    let holding = holders(bench, target).await;
    assert_eq!(holding.contains(&id.to_string()), target == bench.home(), "no claim is left behind");
    record
}

pub async fn what_cannot_be_is_refused_at_once(bench: &dyn Bench) {
    needs!(bench, Fate::Hangs);
    let cloud = bench.cloud();
    let id = bench.create("refused", bench.home(), Fate::Hangs, None).await;
    let unknown = cloud.live_migrate(id, Some(&HostName::new("nohost"))).await.unwrap_err();
    assert_eq!((unknown.kind, unknown.status), (CloudErrorKind::Refused, Some(400)));
    assert!(unknown.message.contains("Compute host nohost could not be found."), "{}", unknown.message);
    assert!(unknown.request.is_some());
    assert_eq!(cloud.cold_migrate(id, Some(bench.home())).await.unwrap_err().kind, CloudErrorKind::Refused);
    assert_eq!(cloud.confirm_resize(id).await.unwrap_err().kind, CloudErrorKind::Conflict);
    assert_eq!(cloud.start(id).await.unwrap_err().kind, CloudErrorKind::Conflict);
    let untouched = cloud.server(id).await.unwrap();
    assert_untouched(bench, &untouched);

    let before = accepted(bench, id, bench.target()).await;
    let twice = cloud.live_migrate(id, Some(bench.target())).await.unwrap_err();
    assert_eq!((twice.kind, twice.status), (CloudErrorKind::Conflict, Some(409)));
    let words = format!("Cannot 'os-migrateLive' instance {id} while it is in task_state migrating");
    assert!(twice.message.contains(&words), "{}", twice.message);
    assert_eq!(cloud.stop(id).await.unwrap_err().kind, CloudErrorKind::Conflict);
    assert_eq!(cloud.cold_migrate(id, Some(bench.target())).await.unwrap_err().kind, CloudErrorKind::Conflict);
    let running = record(bench, id, before, |status| *status == MigrationStatus::Running).await;
    cloud.abort_migration(id, running.id).await.unwrap();
    settled(bench, id, before).await;
    assert_eq!(records(bench, id).await.len(), 1, "refusals leave no records");

    let nobody: InstanceId = "6d1f0000-0000-4000-8000-000000000000".parse().unwrap();
    assert_eq!(cloud.server(nobody).await.unwrap_err().kind, CloudErrorKind::NotFound);
    assert_eq!(cloud.live_migrate(nobody, None).await.unwrap_err().kind, CloudErrorKind::NotFound);
    assert_eq!(cloud.stop(nobody).await.unwrap_err().kind, CloudErrorKind::NotFound);
    assert_eq!(cloud.instance_actions(nobody).await.unwrap_err().kind, CloudErrorKind::NotFound);
}

pub async fn the_own_host_as_target_is_refused_later(bench: &dyn Bench) {
    let id = bench.create("own", bench.home(), Fate::Good, None).await;
    refused_later(bench, id, bench.home()).await;
}

pub async fn a_disabled_target_is_refused_later(bench: &dyn Bench) {
    let id = bench.create("disabled", bench.home(), Fate::Good, None).await;
    let service = service_id(bench, bench.target()).await;
    bench.cloud().disable_service(&service, "conformance").await.unwrap();
    let refused = refused_later(bench, id, bench.target()).await;
    bench.cloud().enable_service(&service).await.unwrap();
    let again = bench.cloud().live_migrate(id, Some(bench.target())).await;
    again.unwrap();
    let (record, server) = settled(bench, id, refused.id).await;
    assert_eq!((record.status, server.host.as_ref()), (MigrationStatus::Completed, Some(bench.target())));
}

pub async fn a_target_where_a_group_member_stands_is_refused_later(bench: &dyn Bench) {
    let group = bench.group().await;
    let id = bench.create("member-1", bench.home(), Fate::Good, Some(&group)).await;
    let mate = bench.create("member-2", bench.target(), Fate::Good, Some(&group)).await;
    let groups = bench.cloud().server_groups().await.unwrap();
    let members = &groups.iter().find(|one| one.group.id == group).unwrap().members;
    assert!(members.contains(&id) && members.contains(&mate));
    assert_eq!(bench.cloud().server(id).await.unwrap().groups, [group.as_str()]);
    refused_later(bench, id, bench.target()).await;
}
