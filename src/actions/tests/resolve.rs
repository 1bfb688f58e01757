//! Resolve: what leaves and what stays, whatever owners did since the plan was made.

use super::region::{HOST, OTHER, State, TARGET, host, id};
use super::rig::{Rig, failed};
use crate::actions::ErrorClass::{NeedsOperator, Transient};
use crate::actions::Probe;
use crate::cloud::{MigrationKind, MigrationStatus, ServerGroup};
use crate::model::{
    Group, GroupId, GroupPolicy, GroupRules, InstanceHandling, InstanceId, InstanceStatus, ProjectId, Resources,
};
use crate::plan::{PlannedMove, PlannedStay, StayReason};
use crate::run::event::{FaultScope, LeavingInstance, ParkedInstance, StepOutput};
use crate::workflow::StepKind::Resolve;

struct Resolved {
    leaving: Vec<LeavingInstance>,
    staying: Vec<InstanceId>,
    differences: Vec<String>,
    unplanned: Vec<InstanceId>,
    parking: Vec<InstanceId>,
}

async fn resolve(rig: &Rig) -> Resolved {
    let StepOutput::Resolved { leaving, staying, differences, unplanned, parking } = rig.run(Resolve).await.unwrap()
    else {
        panic!("not resolved")
    };
    Resolved { leaving, staying, differences, unplanned, parking: parking.iter().map(|one| one.id).collect() }
}

fn planned_move(number: u128) -> PlannedMove {
    PlannedMove {
        instance: id(number),
        name: format!("vm{number}"),
        project: ProjectId::new("p1"),
        from: host(HOST),
        to: host(TARGET),
        resources: Resources::basic(1, 1024, 0),
        group: None,
        start_s: 0.0,
        finish_s: 1.0,
    }
}

fn planned_stay(number: u128) -> PlannedStay {
    PlannedStay {
        instance: id(number),
        name: format!("vm{number}"),
        project: ProjectId::new("p1"),
        host: host(HOST),
        reason: StayReason::Stopped,
        handling: InstanceHandling::Leave,
        group: None,
        priority: 0,
    }
}

#[tokio::test(start_paused = true)]
async fn what_runs_leaves_and_what_rests_stays() {
    let rig = Rig::new();
    for (number, status) in [
        (1, InstanceStatus::Active),
        (2, InstanceStatus::Paused),
        (3, InstanceStatus::Shutoff),
        (4, InstanceStatus::Suspended),
    ] {
        rig.lab.state().boot_server(number, status);
    }
    let group = Group { id: GroupId::new("g"), policy: GroupPolicy::AntiAffinity, rules: GroupRules::default() };
    rig.lab.state().groups = vec![ServerGroup { group, members: vec![id(2), id(9)] }];
    let found = resolve(&rig).await;
    let leaving: Vec<_> = found.leaving.iter().map(|one| (one.id, one.group.as_ref().map(GroupId::as_str))).collect();
    assert_eq!(leaving, [(id(1), None), (id(2), Some("g"))]);
    assert_eq!(found.staying, [id(3), id(4)]);
    assert!(found.leaving.iter().all(|one| one.handling == InstanceHandling::LiveMigrate));
    assert_eq!(rig.lab.state().effects, Vec::<String>::new(), "to resolve is to look");
}

#[tokio::test(start_paused = true)]
async fn each_difference_from_the_plan_is_told() {
    let mut rig = Rig::new();
    rig.rollout.hosts[0].moves = vec![planned_move(1), planned_move(2), planned_move(3), planned_move(4)];
    rig.rollout.stays = vec![planned_stay(5), planned_stay(6)];
    for (number, status) in [
        (1, InstanceStatus::Active),
        (2, InstanceStatus::Shutoff),
        (5, InstanceStatus::Active),
        (6, InstanceStatus::Shutoff),
        (7, InstanceStatus::Active),
    ] {
        rig.lab.state().boot_server(number, status);
    }
    rig.memory.left = vec![id(4)];
    let found = resolve(&rig).await;
    assert_eq!(found.unplanned, [id(7)]);
    let told = found.differences.join("\n");
    for words in ["vm2", "is SHUTOFF: it stays, against the plan", "vm5", "is ACTIVE: it leaves", "vm7", "vm3"] {
        assert!(told.contains(words), "`{words}` in {told}");
    }
    assert_eq!(found.differences.len(), 4, "nothing is said of what is as planned, or was moved: {told}");
}

#[tokio::test(start_paused = true)]
async fn instances_in_transition_are_waited_for() {
    type Change = (fn(&mut State), fn(&mut State));
    let changes: [Change; 4] = [
        (|s| s.vm(1).status = InstanceStatus::Build, |s| s.vm(1).status = InstanceStatus::Active),
        (|s| s.vm(1).task_state = Some("rebooting".to_owned()), |s| s.vm(1).task_state = None),
        (
            |s| {
                s.record(id(1), &host(OTHER), MigrationStatus::Starting);
            },
            |s| s.end_record(101, MigrationStatus::Cancelled),
        ),
        // Somebody else's migration onto the host began before it was taken out of service.
        (
            |s| {
                s.record(id(9), &host(HOST), MigrationStatus::Running);
                let record = s.migrations.last_mut().unwrap();
                record.source = Some(host(OTHER));
            },
            |s| s.end_record(101, MigrationStatus::Completed),
        ),
    ];
    for (begin, end) in changes {
        let rig = Rig::with_instance();
        begin(&mut rig.lab.state());
        assert!(matches!(rig.probe(Resolve, None).await.unwrap(), Probe::Needed(_)));
        rig.lab.state().later(90, end);
        assert_eq!(resolve(&rig).await.leaving.len(), 1);
        assert_eq!(rig.lab.began.elapsed().as_secs(), 90);
    }
}

#[tokio::test(start_paused = true)]
async fn a_transition_that_does_not_end_is_named() {
    let rig = Rig::with_instance();
    rig.lab.state().vm(1).task_state = Some("image_uploading".to_owned());
    let words = ["instances on compute-1 do not come to rest", "vm1", "image_uploading"];
    failed(rig.run(Resolve).await, Transient, FaultScope::Host, &words);
}

#[tokio::test(start_paused = true)]
async fn all_that_keeps_a_host_from_being_emptied_is_named_before_anything_moves() {
    let rig = Rig::new();
    for (number, status) in [
        (1, InstanceStatus::Active),
        (2, InstanceStatus::Error),
        (3, InstanceStatus::VerifyResize),
        (4, InstanceStatus::Active),
    ] {
        rig.lab.state().boot_server(number, status);
    }
    rig.lab.state().vm(4).locked = true;
    rig.lab.state().vm(4).locked_reason = Some("license dongle".to_owned());
    rig.lab.state().record(id(8), &host(OTHER), MigrationStatus::Finished);
    rig.lab.state().migrations.last_mut().unwrap().kind = MigrationKind::Resize;
    let words = ["compute-1 cannot be emptied", "vm2", "vm3", "confirmed or reverted", "license dongle", "0008"];
    let told = failed(rig.run(Resolve).await, NeedsOperator, FaultScope::Host, &words);
    assert!(!told.contains("vm1"), "{told}");
}

#[tokio::test(start_paused = true)]
async fn an_affinity_group_on_one_host_cannot_leave() {
    let rig = Rig::with_instance();
    rig.lab.state().boot_server(2, InstanceStatus::Active);
    let group = Group { id: GroupId::new("g"), policy: GroupPolicy::Affinity, rules: GroupRules::default() };
    rig.lab.state().groups = vec![ServerGroup { group, members: vec![id(1), id(2)] }];
    failed(rig.run(Resolve).await, NeedsOperator, FaultScope::Host, &["vm1", "vm2", "affinity group"]);
}

#[tokio::test(start_paused = true)]
async fn what_an_instance_has_allocated_is_what_a_target_must_have() {
    let rig = Rig::with_instance();
    let allocation = crate::cloud::Allocation { consumer: id(1).to_string(), resources: Resources::basic(2, 2048, 10) };
    rig.lab.state().unallocated.push(id(1));
    rig.lab.state().stray_allocations.push(allocation);
    assert_eq!(resolve(&rig).await.leaving[0].resources, Resources::basic(2, 2048, 10));
}

#[tokio::test(start_paused = true)]
async fn what_is_to_be_stopped_in_place_is_named_and_what_we_stopped_stays_whatever_the_policy_says_of_stopped_ones() {
    let mut rig = Rig::with_instance();
    for number in [2, 3] {
        rig.lab.state().boot_server(number, InstanceStatus::Shutoff);
    }
    rig.rollout.policy.instances.named = [(id(1), InstanceHandling::StopInPlace)].into();
    rig.rollout.policy.instances.stopped = InstanceHandling::ColdMigrate;
    rig.memory.parked = vec![ParkedInstance { id: id(2), ..rig.parked.clone() }];
    let found = resolve(&rig).await;
    assert_eq!((found.parking, found.staying), (vec![id(1)], vec![id(2)]));
    assert_eq!(found.leaving.iter().map(|one| one.id).collect::<Vec<_>>(), [id(3)], "its owner stopped it");
}
