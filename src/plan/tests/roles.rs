//! Hosts on which something else runs, and hosts of another hypervisor.

use super::*;
use crate::model::{Role, RoleHandling, RoleRules};
use crate::plan::fixture::Fixture;

/// Four hosts with room, `a` and `b` with `role`.
fn four(role: Role) -> Case {
    let mut case = Case::of(
        Fixture::new()
            .host("a", "z", 64)
            .instance(1, "a", 10)
            .host("b", "z", 64)
            .instance(2, "b", 10)
            .host("c", "z", 64)
            .host("d", "z", 64)
            .0,
    );
    case.policy.limits.hosts = crate::model::Limit::at_most(4);
    case.policy.limits.hosts_per_zone = crate::model::Limit::at_most(4);
    for host in &mut case.region.hosts {
        let here = ["a", "b"].contains(&host.host.as_str());
        host.facts.roles = Some(here.then(|| (role, vec!["process ceph-osd".to_owned()])).into_iter().collect());
    }
    case
}

fn out(rollout: &Rollout, name: &str) -> (f64, f64) {
    let planned = rollout.hosts.iter().find(|planned| planned.host == host(name)).unwrap();
    (planned.start_s, planned.finish_s)
}

#[test]
fn a_host_on_which_something_else_runs_is_left_alone_until_the_policy_speaks() {
    let mut case = four(Role::Galera);
    let rollout = case.planned();
    let skipped: Vec<(&str, SkipReason)> =
        rollout.skipped.iter().map(|skipped| (skipped.host.as_str(), skipped.reason)).collect();
    assert_eq!(skipped, [("a", SkipReason::Role), ("b", SkipReason::Role)]);
    assert!(rollout.skipped[0].detail.contains("runs galera (process ceph-osd)"), "{}", rollout.skipped[0].detail);
    case.policy.roles = RoleRules::new([(Role::Galera, RoleHandling::Allow)]);
    assert_eq!(case.planned().hosts.len(), 4);
    case.policy.roles = RoleRules::new([(Role::CephOsd, RoleHandling::Allow)]);
    assert_eq!(case.planned().hosts.len(), 2, "another role's word is none");
}

#[test]
fn hosts_of_a_role_go_one_at_a_time_and_the_checker_knows() {
    let mut case = four(Role::CephOsd);
    case.policy.roles = RoleRules::new([(Role::CephOsd, RoleHandling::Allow)]);
    let together = case.planned();
    let overlap = |rollout: &Rollout| {
        let ((a0, a1), (b0, b1)) = (out(rollout, "a"), out(rollout, "b"));
        a0 < b1 && b0 < a1
    };
    assert!(overlap(&together), "nothing keeps them apart");
    case.policy.roles = RoleRules::new([(Role::CephOsd, RoleHandling::OneAtATime)]);
    let apart = case.planned();
    assert!(!overlap(&apart), "{:?} {:?}", out(&apart, "a"), out(&apart, "b"));
    assert_eq!(apart.hosts.iter().filter(|planned| planned.roles == [Role::CephOsd]).count(), 2);
    let mut broken = together;
    broken.policy.roles = case.policy.roles.clone();
    let found = check(&broken, &case.region).violations.join("\n");
    assert!(found.contains("2 hosts of role ceph-osd are out and the limit is 1"), "{found}");
}

#[test]
fn a_host_of_another_hypervisor_is_never_remedied_and_never_a_target() {
    for kind in ["ironic", "VMware vCenter Server", "hyperv"] {
        let mut case = four(Role::CephOsd);
        case.policy.roles = RoleRules::new([(Role::CephOsd, RoleHandling::Allow)]);
        case.region.hosts[3].hypervisor = Some(kind.to_owned());
        let case = case.verdict("d", VerdictKind::Vulnerable);
        let rollout = case.planned();
        let skipped = &rollout.skipped[0];
        assert_eq!((skipped.host.as_str(), skipped.reason), ("d", SkipReason::Hypervisor));
        assert!(skipped.detail.contains(kind) && rollout.hosts.len() == 3);
        let case = case.verdict("d", VerdictKind::Mitigated);
        assert!(!case.planned().targets.contains(&host("d")), "no instance of ours can run there");
    }
    for kind in [Some("QEMU"), Some("kvm"), Some("fake"), None] {
        let mut case = four(Role::CephOsd);
        case.region.hosts[3].hypervisor = kind.map(str::to_owned);
        assert!(case.planned().hosts.iter().any(|planned| planned.host == host("d")), "{kind:?}");
    }
}
