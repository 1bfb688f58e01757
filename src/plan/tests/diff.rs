//! Differences between rollouts, and between a rollout and the region.

use std::collections::BTreeMap;

use super::*;
use crate::model::{HostIdentity, InstanceHandling, InstanceStatus, NewInstances, ServiceStatus};
use crate::plan::fixture::{Fixture, id};

fn region() -> Region {
    let fixture = Fixture::of(&["a", "b", "c"]);
    let fixture = fixture.instance(1, "a", 10).instance(2, "a", 10);
    fixture.instance(3, "a", 10).with_instance(|instance| instance.status = InstanceStatus::Shutoff).0
}

fn rollout(region: &Region, change: impl FnOnce(&mut Policy)) -> Rollout {
    let mut policy = Policy::default();
    change(&mut policy);
    let input = PlanInput {
        region,
        verdicts: &synthetic::all_vulnerable(region),
        remedy: &synthetic::remedy(),
        policy: &policy,
        scope: &Scope::default(),
        experience: &Experience::default(),
        configuration: Digest::new("sha256:0"),
        seed: 1,
        now: region.taken_at,
        id: RolloutId::new(uuid::Uuid::nil()),
    };
    plan(&input).unwrap().0
}

fn kinds(diff: &Diff) -> BTreeMap<DifferenceKind, Weight> {
    diff.differences.iter().map(|difference| (difference.kind, difference.weight)).collect()
}

#[test]
fn a_region_that_did_not_change_differs_in_nothing() {
    let region = region();
    assert_eq!(diff_region(&rollout(&region, |_| {}), &region), Diff::default());
}

#[test]
fn instances_that_came_and_went_are_adapted_to() {
    let before = region();
    let planned = rollout(&before, |_| {});
    let after = Fixture::of(&["a", "b", "c"]).instance(1, "a", 10);
    let after = after.instance(3, "a", 10).instance(4, "a", 10).0;
    let found = diff_region(&planned, &after);
    assert_eq!(found.weight(), Weight::Adapts);
    assert_eq!(
        kinds(&found),
        BTreeMap::from([
            (DifferenceKind::InstancesAppeared, Weight::Adapts),
            (DifferenceKind::InstancesGone, Weight::Harmless),
            (DifferenceKind::InstanceState, Weight::Adapts),
        ])
    );
}

#[test]
fn a_policy_that_tolerates_no_unknown_instance_makes_the_rollout_stale() {
    let mut region = region();
    let planned = rollout(&region, |policy| policy.drift.new_instances = NewInstances::Pause);
    region.instances[0].id = id(9);
    assert_eq!(diff_region(&planned, &region).weight(), Weight::Stale);
}

#[test]
fn lost_hosts_are_named_and_held_against_the_tolerance() {
    let mut region = region();
    let planned = rollout(&region, |_| {});
    region.hosts[1].service.status = ServiceStatus::Disabled;
    region.hosts[1].service.disabled_reason = Some("disk".to_owned());
    let found = diff_region(&planned, &region);
    let lost = &found.differences.iter().find(|difference| difference.host == Some(host("b"))).unwrap();
    assert_eq!((lost.kind, lost.weight), (DifferenceKind::Service, Weight::LosesHost));
    assert_eq!(lost.detail, "was disabled since: disk");
    assert_eq!(found.weight(), Weight::Stale, "one of three is more than 1%");
}

#[test]
fn another_machine_under_the_same_name_is_not_the_planned_host() {
    let mut region = region();
    let planned = rollout(&region, |_| {});
    region.hosts[0].identity.machine_id = Some("another".to_owned());
    assert_eq!(kinds(&diff_region(&planned, &region))[&DifferenceKind::Identity], Weight::LosesHost);
    region.hosts[0].identity = HostIdentity::default();
    assert!(diff_region(&planned, &region).is_empty(), "an inventory without hosts knows no identity");
}

#[test]
fn another_region_is_stale() {
    let mut region = region();
    let planned = rollout(&region, |_| {});
    region.region = "RegionTwo".to_owned();
    assert_eq!(kinds(&diff_region(&planned, &region)), BTreeMap::from([(DifferenceKind::Region, Weight::Stale)]));
}

#[test]
fn two_rollouts_differ_in_what_is_done_and_not_in_ids() {
    let region = region();
    let (before, mut after) = (rollout(&region, |_| {}), rollout(&region, |_| {}));
    after.id = RolloutId::new(uuid::Uuid::max());
    assert!(diff(&before, &after).is_empty());
    let after = rollout(&region, |policy| policy.instances.stopped = InstanceHandling::SkipHost);
    let found = kinds(&diff(&before, &after));
    assert_eq!(found[&DifferenceKind::Policy], Weight::Adapts);
    assert_eq!(found[&DifferenceKind::Selection], Weight::LosesHost);
}
