//! What of Nova's behaviour only a world can show in an instant: deaths in flight, waiting messages, false beliefs.

use std::time::Duration;

use super::*;
use crate::model::{DomainState, InstanceStatus, ServiceStatus};
use crate::sim::Scenario;
use crate::sim::faults::{Incident, MigrationFault, MigrationRule, What, When};

fn world() -> World {
    Scenario { timing: Timing::quick(), groups: 1, ..Scenario::sized(4, 12, 7) }.build()
}

fn host(number: u32) -> HostName {
    HostName::new(format!("compute-{number}"))
}

fn pass(world: &mut World, seconds: u64) {
    world.advance(later(world.now(), Duration::from_secs(seconds)));
}

fn server_on(world: &World, host: &HostName, status: &InstanceStatus) -> InstanceId {
    world.servers_on(host).find(|server| server.status() == *status && server.pinned_zone.is_none()).unwrap().id
}

/// Lets time pass in small steps until the newest record of `id` has `status`.
fn until(world: &mut World, id: InstanceId, status: RecordStatus) {
    for _ in 0..10_000 {
        if world.records(Some(id), None).next().is_some_and(|record| record.status == status) {
            return;
        }
        world.advance(later(world.now(), Duration::from_millis(20)));
    }
    panic!("the record never became {}", status.word());
}

fn holders(world: &World, host: &HostName) -> Vec<uuid::Uuid> {
    world.host(host).unwrap().allocations().map(|(consumer, _)| consumer).collect()
}

fn fence(world: &mut World, name: &HostName, up: bool) {
    let identity = world.identity(name).unwrap();
    world.fence(name, &identity, up).unwrap();
}

fn fail(world: &mut World, fault: MigrationFault) {
    let rule = MigrationRule { instance: None, source: None, target: None, times: None, fault };
    world.set_faults(Faults { migrations: vec![rule], ..Faults::default() });
}

#[test]
fn the_server_is_active_on_its_target_before_the_record_says_so() {
    let mut world = world();
    let id = server_on(&world, &host(1), &InstanceStatus::Active);
    world.live_migrate(id, Some(&host(4)), Caller::Operator).unwrap();
    assert_eq!(world.server(id).unwrap().status(), InstanceStatus::Migrating);
    while world.records(Some(id), None).next().is_none() {
        world.advance(later(world.now(), Duration::from_millis(20)));
    }
    let mut raced = false;
    while world.open_records().next().is_some() {
        world.advance(later(world.now(), Duration::from_millis(20)));
        let record = world.records(Some(id), None).next().unwrap();
        let arrived = world.server(id).unwrap().host == Some(host(4));
        raced |= arrived && record.status == RecordStatus::Running;
        assert!(arrived || record.status != RecordStatus::Completed);
    }
    assert!(raced);
    assert_eq!(world.allocations_of(id.uuid()).len(), 1);
    assert!(!world.host(&host(1)).unwrap().domains.contains_key(&id));
    assert_eq!(world.host(&host(4)).unwrap().domains[&id].state, DomainState::Running);
}

#[test]
fn in_flight_the_instance_holds_the_target_and_the_migration_the_source() {
    let mut world = world();
    let id = server_on(&world, &host(1), &InstanceStatus::Active);
    world.live_migrate(id, Some(&host(4)), Caller::Operator).unwrap();
    until(&mut world, id, RecordStatus::Running);
    let migration = world.records(Some(id), None).next().unwrap().uuid;
    assert!(holders(&world, &host(1)).contains(&migration) && !holders(&world, &host(1)).contains(&id.uuid()));
    assert!(holders(&world, &host(4)).contains(&id.uuid()));
}

#[test]
fn a_source_that_dies_in_flight_leaves_a_wrong_allocation_behind() {
    let mut world = world();
    let id = server_on(&world, &host(1), &InstanceStatus::Active);
    world.live_migrate(id, Some(&host(4)), Caller::Operator).unwrap();
    until(&mut world, id, RecordStatus::Running);
    fence(&mut world, &host(1), true);
    pass(&mut world, 600);
    assert_eq!(world.server(id).unwrap().status(), InstanceStatus::Migrating, "for ever");
    let refusal = world.live_migrate(id, Some(&host(4)), Caller::Operator).unwrap_err();
    assert_eq!(refusal.kind, RefusalKind::Conflict);
    fence(&mut world, &host(1), false);
    pass(&mut world, 60);
    let server = world.server(id).unwrap();
    assert_eq!((server.status(), server.host.clone()), (InstanceStatus::Active, Some(host(1))));
    assert_eq!(world.records(Some(id), None).next().unwrap().status, RecordStatus::Error);
    assert_eq!(world.allocations_of(id.uuid())[0].0, &host(4), "Nova does not heal it");
}

#[test]
fn a_target_that_dies_in_flight_gets_the_server_all_the_same() {
    let mut world = world();
    let id = server_on(&world, &host(1), &InstanceStatus::Active);
    world.live_migrate(id, Some(&host(4)), Caller::Operator).unwrap();
    until(&mut world, id, RecordStatus::Running);
    fence(&mut world, &host(4), true);
    pass(&mut world, 120);
    let server = world.server(id).unwrap();
    assert_eq!((server.status(), server.host.clone()), (InstanceStatus::Active, Some(host(4))));
    fence(&mut world, &host(4), false);
    pass(&mut world, 60);
    assert_eq!(world.server(id).unwrap().status(), InstanceStatus::Error);
}

#[test]
fn a_migration_accepted_just_before_its_source_dies_goes_on_when_that_is_back() {
    let mut world = world();
    let id = server_on(&world, &host(1), &InstanceStatus::Active);
    world.live_migrate(id, Some(&host(4)), Caller::Operator).unwrap();
    fence(&mut world, &host(1), true);
    pass(&mut world, 600);
    assert_eq!(world.records(Some(id), None).next().unwrap().status, RecordStatus::Accepted);
    fence(&mut world, &host(1), false);
    until(&mut world, id, RecordStatus::Completed);
    assert_eq!(world.server(id).unwrap().host, Some(host(4)));
}

#[test]
fn what_is_asked_for_behind_the_fence_waits_until_nova_compute_is_back() {
    let mut world = world();
    let stopped = server_on(&world, &host(2), &InstanceStatus::Active);
    world.stop(stopped, Caller::Owner).unwrap();
    pass(&mut world, 30);
    fence(&mut world, &host(2), true);
    world.start(stopped, Caller::Owner).unwrap();
    pass(&mut world, 600);
    let waiting = world.server(stopped).unwrap();
    assert_eq!((waiting.status(), waiting.task), (InstanceStatus::Shutoff, Some(Task::PoweringOn)));
    assert_eq!(world.host(&host(2)).unwrap().domains[&stopped].state, DomainState::ShutOff);
    fence(&mut world, &host(2), false);
    pass(&mut world, 60);
    assert_eq!(world.server(stopped).unwrap().status(), InstanceStatus::Active);
}

#[test]
fn deleting_behind_the_fence_leaves_the_domain_until_the_host_is_back() {
    let mut world = world();
    let id = server_on(&world, &host(2), &InstanceStatus::Active);
    fence(&mut world, &host(2), true);
    world.delete(id, Caller::Owner).unwrap();
    assert_eq!(world.server(id).unwrap().task, Some(Task::Deleting), "the service still counts as up");
    let second = server_on(&world, &host(2), &InstanceStatus::Active);
    pass(&mut world, 60);
    world.delete(second, Caller::Owner).unwrap();
    assert!(world.server(second).is_err(), "Nova deletes what stands on a host that is down by itself");
    assert!(world.host(&host(2)).unwrap().domains.contains_key(&second));
    fence(&mut world, &host(2), false);
    pass(&mut world, 60);
    let left = world.host(&host(2)).unwrap();
    assert!(!left.domains.contains_key(&id) && !left.domains.contains_key(&second));
}

#[test]
fn the_scheduler_believes_in_a_group_member_that_has_left_until_the_next_list() {
    let mut world = world();
    let members: Vec<InstanceId> = world.groups().next().unwrap().members.iter().copied().collect();
    let (leaving, coming) = (members[0], members[1]);
    let freed = world.server(leaving).unwrap().host.clone().unwrap();
    world.live_migrate(leaving, Some(&host(4)), Caller::Operator).unwrap();
    until(&mut world, leaving, RecordStatus::Completed);
    world.live_migrate(coming, Some(&freed), Caller::Operator).unwrap();
    until(&mut world, coming, RecordStatus::Error);
    let server = world.server(coming).unwrap();
    assert_eq!(server.status(), InstanceStatus::Active);
    assert_eq!(server.fault, None, "the reason is only in the action's event");
    let details = server.activities.last().unwrap().events.last().unwrap().details.clone().unwrap();
    assert!(details.starts_with("No valid host was found."), "{details}");
    pass(&mut world, 30);
    world.live_migrate(coming, Some(&freed), Caller::Operator).unwrap();
    until(&mut world, coming, RecordStatus::Completed);
}

#[test]
fn after_a_power_cut_nova_says_active_until_it_looks() {
    let mut world = world();
    let incident = Incident { when: When::Start, after: crate::model::Span::seconds(5), what: What::PowerCut(host(1)) };
    world.set_faults(Faults { incidents: vec![incident], ..Faults::default() });
    let id = server_on(&world, &host(1), &InstanceStatus::Active);
    pass(&mut world, 6);
    assert!(world.lost().iter().any(|lost| lost.instance == id));
    assert_eq!(world.server(id).unwrap().status(), InstanceStatus::Active, "a lie");
    assert!(world.boot(&host(1)).is_err());
    pass(&mut world, 60);
    assert!(world.boot(&host(1)).is_ok());
    assert_eq!(world.server(id).unwrap().status(), InstanceStatus::Shutoff);
}

#[test]
fn a_migration_that_breaks_while_copying_tells_so_only_in_its_record() {
    let mut world = world();
    fail(&mut world, MigrationFault::Copy);
    let id = server_on(&world, &host(1), &InstanceStatus::Active);
    world.live_migrate(id, Some(&host(4)), Caller::Operator).unwrap();
    until(&mut world, id, RecordStatus::Failed);
    let server = world.server(id).unwrap();
    assert_eq!((server.status(), server.host.clone()), (InstanceStatus::Active, Some(host(1))));
    let activity = server.activities.last().unwrap();
    assert!(activity.message.is_none() && activity.events.iter().all(|event| event.success));
    assert_eq!(world.allocations_of(id.uuid()), [(&host(1), &server.resources)]);
    assert!(!world.host(&host(4)).unwrap().domains.contains_key(&id));
}

#[test]
fn a_refusal_of_the_hypervisor_can_turn_a_healthy_server_to_error_a_moment_later() {
    let mut world = world();
    fail(&mut world, MigrationFault::FalseError);
    let id = server_on(&world, &host(1), &InstanceStatus::Active);
    world.live_migrate(id, Some(&host(4)), Caller::Operator).unwrap();
    until(&mut world, id, RecordStatus::Error);
    assert_eq!(world.server(id).unwrap().status(), InstanceStatus::Active);
    pass(&mut world, 2);
    assert_eq!(world.server(id).unwrap().status(), InstanceStatus::Error);
    assert_eq!(world.host(&host(1)).unwrap().domains[&id].state, DomainState::Running);
}

#[test]
fn a_hanging_migration_ends_by_abort_or_by_force_and_a_deaf_one_only_by_force() {
    for (fault, abort_helps) in [(MigrationFault::Hang, true), (MigrationFault::HangDeaf, false)] {
        let mut world = world();
        fail(&mut world, fault);
        let id = server_on(&world, &host(1), &InstanceStatus::Active);
        world.live_migrate(id, Some(&host(4)), Caller::Operator).unwrap();
        until(&mut world, id, RecordStatus::Running);
        pass(&mut world, 3600);
        let record = world.records(Some(id), None).next().unwrap().clone();
        assert_eq!(record.status, RecordStatus::Running);
        let (total, done, _) = record.memory(world.now());
        assert!(done < total, "it never gets there");
        world.abort_migration(id, record.id, Caller::Operator).unwrap();
        pass(&mut world, 10);
        let status = world.records(Some(id), None).next().unwrap().status;
        assert_eq!(status == RecordStatus::Cancelled, abort_helps);
        if !abort_helps {
            world.force_complete(id, record.id, Caller::Operator).unwrap();
            until(&mut world, id, RecordStatus::Completed);
        }
    }
}

#[test]
fn a_server_that_was_on_its_way_is_created_on_a_host_that_was_just_disabled() {
    let mut world = world();
    let after = crate::model::Span::seconds(1);
    let incident = Incident { when: When::Disabled(host(1)), after, what: What::Created(host(1)) };
    world.set_faults(Faults { incidents: vec![incident], ..Faults::default() });
    let before = world.servers_on(&host(1)).count();
    let id = world.host(&host(1)).unwrap().service.id.to_string();
    let disable = ServiceChange { status: Some(ServiceStatus::Disabled), ..ServiceChange::default() };
    world.update_service(&id, &disable).unwrap();
    pass(&mut world, 30);
    assert_eq!(world.servers_on(&host(1)).count(), before + 1);
    let late = world.servers_on(&host(1)).find(|server| server.name.starts_with("late-")).unwrap();
    assert_eq!(late.status(), InstanceStatus::Active);
}
