//! Services, power, and lists.

use std::collections::BTreeMap;

use fleetmend::cloud::{CloudErrorKind, InstanceActionEvent, MigrationsQuery, PowerState, ServersQuery};
use fleetmend::model::{HostName, ServiceId, ServiceState, ServiceStatus};

use super::{Bench, Fate, accepted, action, records, service_id, settled, until};

pub async fn a_service_is_disabled_with_a_reason_and_enabled(bench: &dyn Bench) {
    let id = service_id(bench, bench.target()).await;
    let shown = || async {
        let services = bench.cloud().services().await.unwrap();
        services.into_iter().find(|service| service.service.id == id).unwrap()
    };
    let before = shown().await;
    assert_eq!((before.service.state, before.service.status), (ServiceState::Up, ServiceStatus::Enabled));
    assert!(before.updated_at.is_some() && !before.service.forced_down);
    for reason in ["conformance: first", "conformance: first", "conformance: second"] {
        bench.cloud().disable_service(&id, reason).await.unwrap();
        let service = shown().await.service;
        assert_eq!(service.status, ServiceStatus::Disabled);
        assert_eq!(service.disabled_reason.as_deref(), Some(reason), "a repeat replaces the reason");
    }
    let has_trait = |wanted: bool| async move {
        let provider = bench.cloud().provider(bench.target()).await.unwrap().unwrap();
        (provider.traits.iter().any(|name| name == "COMPUTE_STATUS_DISABLED") == wanted).then_some(())
    };
    until(bench, "the trait of a disabled host", || has_trait(true)).await;
    for _ in 0..2 {
        bench.cloud().enable_service(&id).await.unwrap();
        let service = shown().await.service;
        assert_eq!((service.status, service.disabled_reason), (ServiceStatus::Enabled, None));
    }
    until(bench, "a host without the trait", || has_trait(false)).await;
    let nobody = ServiceId::new("6d1f0000-0000-4000-8000-000000000000");
    assert_eq!(bench.cloud().disable_service(&nobody, "x").await.unwrap_err().kind, CloudErrorKind::NotFound);
    assert_eq!(bench.cloud().enable_service(&nobody).await.unwrap_err().kind, CloudErrorKind::NotFound);
}

pub async fn stop_and_start_are_carried_out_and_told(bench: &dyn Bench) {
    let id = bench.create("stop", bench.home(), Fate::Good, None).await;
    let reach = |status: &'static str| async move {
        until(bench, status, || async move {
            let server = bench.cloud().server(id).await.unwrap();
            (server.status.as_str() == status && server.task_state.is_none()).then_some(server)
        })
        .await
    };
    let request = bench.cloud().stop(id).await.unwrap().request.unwrap();
    let server = reach("SHUTOFF").await;
    assert_eq!((server.power_state, server.vm_state.as_str()), (PowerState::Shutdown, "stopped"));
    let told = action(bench, id, "stop").await;
    assert_eq!((told.request, told.message), (request, None));
    assert!(told.started_at.is_some() && told.user.is_some());
    assert_eq!(bench.cloud().stop(id).await.unwrap_err().kind, CloudErrorKind::Conflict);
    let moved = bench.cloud().live_migrate(id, Some(bench.target())).await.unwrap_err();
    assert_eq!(moved.kind, CloudErrorKind::Conflict);
    assert!(moved.message.contains("while it is in vm_state stopped"), "{}", moved.message);
    bench.cloud().start(id).await.unwrap();
    let running = reach("ACTIVE").await;
    assert_eq!(running.power_state, PowerState::Running);
    assert_eq!(running.launched_at, server.launched_at, "a start launches nothing");
    let listed = bench.cloud().instance_action_list(id).await.unwrap();
    let words: Vec<&str> =
        listed.iter().map(|action| action.action.as_str()).filter(|word| *word != "create").collect();
    assert_eq!(words, ["start", "stop"], "newest first");
    let request = &listed[0].request;
    let event = until(bench, "the end of the start's event", || async move {
        let shown = bench.cloud().instance_action(id, request).await.unwrap().unwrap();
        let ended = |event: &InstanceActionEvent| event.event == "compute_start_instance" && event.result.is_some();
        shown.events.into_iter().find(ended)
    })
    .await;
    assert_eq!(event.host.as_deref(), Some(bench.home().as_str()), "where the guest began");
    assert!(event.started_at.is_some() && event.result.as_deref() == Some("Success"), "{event:?}");
    let nobody = fleetmend::model::RequestId::new("req-6d1f0000-0000-4000-8000-000000000000");
    assert_eq!(bench.cloud().instance_action(id, &nobody).await.unwrap(), None);
    assert_eq!(bench.cloud().start(id).await.unwrap_err().kind, CloudErrorKind::Conflict);
    bench.cloud().reset_to_active(id).await.unwrap();
    assert_eq!(reach("ACTIVE").await.power_state, PowerState::Running, "the state of what is ACTIVE is set to itself");
    bench.pause(id).await;
    for refused in [bench.cloud().stop(id).await, bench.cloud().cold_migrate(id, None).await] {
        let refused = refused.unwrap_err();
        assert_eq!(refused.kind, CloudErrorKind::Conflict, "what is paused is neither stopped nor migrated cold");
        assert!(refused.message.contains("while it is in vm_state paused"), "{}", refused.message);
    }
}

pub async fn lists_show_what_is_where(bench: &dyn Bench) {
    let cloud = bench.cloud();
    let id = bench.create("listed", bench.home(), Fate::Good, None).await;
    let on = |host: HostName| async move {
        let query = ServersQuery { host: Some(host), ..ServersQuery::default() };
        let servers = cloud.servers(&query).await.unwrap();
        servers.into_iter().map(|server| (server.id, server)).collect::<BTreeMap<_, _>>()
    };
    let listed = on(bench.home().clone()).await.remove(&id).unwrap();
    let shown = cloud.server(id).await.unwrap();
    assert_eq!((listed.name, listed.project, listed.resources), (shown.name, shown.project, shown.resources.clone()));
    assert_eq!(listed.host.as_ref(), Some(bench.home()));
    assert!(!on(bench.target().clone()).await.contains_key(&id));
    assert!(cloud.servers(&ServersQuery::default()).await.unwrap().iter().any(|server| server.id == id));

    let since = shown.updated.unwrap();
    let before = accepted(bench, id, bench.target()).await;
    settled(bench, id, before).await;
    let before = accepted(bench, id, bench.home()).await;
    settled(bench, id, before).await;
    let ids: Vec<u64> = records(bench, id).await.iter().map(|record| record.id).collect();
    assert!(ids.len() == 2 && ids[0] > ids[1], "newest first: {ids:?}");
    let query = MigrationsQuery { host: Some(bench.target().clone()), ..MigrationsQuery::default() };
    let there = cloud.migrations(&query).await.unwrap();
    assert!(ids.iter().all(|id| there.iter().any(|record| record.id == *id)), "into and out of the host");
    let open = MigrationsQuery { instance: Some(id), in_progress: true, ..MigrationsQuery::default() };
    assert_eq!(cloud.migrations(&open).await.unwrap(), []);
    let query = ServersQuery { changes_since: Some(since), ..ServersQuery::default() };
    assert!(cloud.servers(&query).await.unwrap().iter().any(|server| server.id == id));

    let provider = cloud.provider(bench.home()).await.unwrap().unwrap();
    assert!(shown.resources.fits_in(&provider.used) && provider.used.fits_in(&provider.capacity));
    assert!(cloud.providers().await.unwrap().iter().any(|one| one.id == provider.id));
    let hypervisors = cloud.hypervisors().await.unwrap();
    let own = hypervisors.iter().find(|hypervisor| hypervisor.host == *bench.home()).unwrap();
    assert_eq!(own.id, provider.id, "a hypervisor is its resource provider");
    assert_eq!(cloud.provider(&HostName::new("nohost")).await.unwrap(), None);
    assert_eq!(
        cloud.allocations("6d1f0000-0000-4000-8000-000000000000").await.unwrap_err().kind,
        CloudErrorKind::NotFound
    );
}
