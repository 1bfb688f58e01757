//! What each finding is, and that what was not seen is told as such.

use std::collections::BTreeMap;

use super::*;
use crate::cloud::Offer;
use crate::model::{
    Domain, Gap, GapCause, GapKind, HostFacts, HostName, Mark, Repository, Role, RoleHandling, RoleRules, RunId,
    ServiceStatus,
};
use crate::plan::Severity;

/// What a host tells on which nothing is wrong.
fn healthy() -> HostFacts {
    HostFacts {
        domains: Some(Vec::<Domain>::new()),
        compute_unit: Some("active".to_owned()),
        nova_conf: Some(BTreeMap::new()),
        roles: Some(BTreeMap::new()),
        user_id: Some(0),
        free_kib: [("/".to_owned(), 8 << 20), ("/boot".to_owned(), 500 << 10)].into(),
        repositories: Some(vec![Repository { name: "base".to_owned(), problem: None }]),
        ..HostFacts::default()
    }
}

/// A region of one busy host that is well.
fn region() -> Region {
    let mut region = crate::report::fixture::region();
    region.hosts.retain(|host| host.host.as_str() == "compute-2");
    region.hosts[0].facts = healthy();
    region
}

fn standing(roles: &[&str], nova: &str) -> Standing {
    let offers = vec![Offer { service: "nova".to_owned(), newest: nova.to_owned() }];
    Standing { roles: roles.iter().map(|role| (*role).to_owned()).collect(), offers }
}

fn ground<'a>(region: &'a Region, policy: &'a Policy) -> Ground<'a> {
    Ground {
        region,
        standing: None,
        masakari: Masakari::None,
        policy,
        virsh: &[],
        has_maintenance_hook: false,
        journal_is_shared: false,
    }
}

/// Notes on a region that is well but for this.
fn with(change: impl FnOnce(&mut Region)) -> Vec<Note> {
    let (mut region, policy) = (region(), Policy::default());
    change(&mut region);
    judge(&ground(&region, &policy))
}

fn told(notes: &[Note]) -> Vec<(Severity, Topic)> {
    notes.iter().map(|note| (note.severity, note.topic)).collect()
}

use Severity::{Fatal, Info, Warning};

#[test]
fn a_host_that_is_well_gives_no_note() {
    assert_eq!(with(|_| {}), []);
}

#[test]
fn a_host_that_does_not_answer_says_why_and_what_to_do() {
    for (cause, topic, words) in [
        (GapCause::Unreachable, Topic::Ssh, "jump hosts"),
        (GapCause::TimedOut, Topic::Ssh, "hangs"),
        (GapCause::AccessDenied, Topic::Ssh, "ssh.user"),
        (GapCause::HostKey, Topic::Ssh, "known_hosts"),
        (GapCause::BecomeDenied, Topic::Sudo, "NOPASSWD"),
        (GapCause::Other, Topic::Ssh, "what the host says"),
    ] {
        let gap = |region: &mut Region| {
            let (at, detail) = ("compute-2".to_owned(), "collect facts: words".to_owned());
            region.gaps.push(Gap { kind: GapKind::HostFacts, at, detail, cause: Some(cause) });
            region.hosts[0].facts = HostFacts::default();
        };
        let notes = with(gap);
        assert_eq!(told(&notes), [(Fatal, topic)], "{cause:?}");
        assert!(notes[0].advice.contains(words) && notes[0].found.contains("words"), "{:?}", notes[0]);
        let away = with(|region| {
            gap(region);
            region.hosts[0].service.status = ServiceStatus::Disabled;
        });
        assert_eq!(told(&away), [(Warning, topic), (Warning, Topic::Maintenance)], "away on purpose");
    }
}

#[test]
fn what_is_missing_on_a_host_is_found() {
    type Change = fn(&mut HostFacts);
    let cases: [(Change, Severity, Topic, &str); 11] = [
        (|facts| facts.user_id = Some(1000), Fatal, Topic::Sudo, "become: sudo"),
        (|facts| facts.user_id = None, Warning, Topic::Sudo, "again"),
        (|facts| facts.domains = None, Fatal, Topic::Libvirt, "exec.virsh"),
        (|facts| facts.compute_unit = None, Fatal, Topic::ComputeUnit, "units"),
        (|facts| facts.nova_conf = None, Warning, Topic::Facts, "nova_conf"),
        (|facts| facts.roles = None, Warning, Topic::Roles, "look yourself"),
        (|facts| facts.repositories = Some(Vec::new()), Fatal, Topic::Repositories, "enable"),
        (
            |facts| facts.repositories.iter_mut().flatten().for_each(|one| one.problem = Some("refused".to_owned())),
            Fatal,
            Topic::Repositories,
            "disable",
        ),
        (|facts| facts.free_kib.extend([("/boot".to_owned(), 150 << 10)]), Warning, Topic::Space, "old kernels"),
        (|facts| facts.free_kib.extend([("/boot".to_owned(), 20 << 10)]), Fatal, Topic::Space, "old kernels"),
        (
            |facts| drop(facts.containers.insert("nova_libvirt".to_owned(), "quay.io/kolla/libvirt:2024.1".to_owned())),
            Warning,
            Topic::Containers,
            "exec.virsh",
        ),
    ];
    for (change, severity, topic, advice) in cases {
        let notes = with(|region| change(&mut region.hosts[0].facts));
        assert_eq!(told(&notes), [(severity, topic)]);
        assert!(notes[0].advice.contains(advice), "{:?}", notes[0]);
    }
    let one_of_two = with(|region| {
        let dead = Repository { name: "extra".to_owned(), problem: Some("refused".to_owned()) };
        region.hosts[0].facts.repositories.as_mut().unwrap().push(dead);
    });
    assert_eq!(told(&one_of_two), [(Warning, Topic::Repositories)]);
}

#[test]
fn high_availability_is_fatal_until_something_tells_it() {
    for role in [Role::Pacemaker, Role::Masakari] {
        let mut region = region();
        region.hosts[0].facts.roles = Some([(role, vec!["process x".to_owned()])].into());
        let mut policy = Policy::default();
        let notes = judge(&ground(&region, &policy));
        assert_eq!(told(&notes), [(Fatal, Topic::HighAvailability)]);
        assert!(notes[0].advice.contains("maintenance-"), "{:?}", notes[0]);
        policy.roles = RoleRules::new([(role, RoleHandling::Allow)]);
        assert_eq!(told(&judge(&ground(&region, &policy))), [(Fatal, Topic::HighAvailability)], "a word is no hook");
        let hooked = Ground { has_maintenance_hook: true, ..ground(&region, &policy) };
        assert_eq!(told(&judge(&hooked)), [(Info, Topic::HighAvailability)]);
    }
    let (region, policy) = (region(), Policy::default());
    let host = |reserved, on_maintenance| {
        let (host, segment) = (HostName::new("compute-2"), "rack one".to_owned());
        [HaHost { host, segment, reserved, on_maintenance }]
    };
    let judged =
        |hosts: &[HaHost]| told(&judge(&Ground { masakari: Masakari::Hosts(hosts), ..ground(&region, &policy) }));
    assert_eq!(judged(&host(false, false)), [(Fatal, Topic::HighAvailability)]);
    assert_eq!(judged(&host(false, true)), [(Warning, Topic::Maintenance)]);
    assert_eq!(judged(&host(true, false)), [(Fatal, Topic::HighAvailability), (Warning, Topic::Spare)]);
    let silent = Ground { masakari: Masakari::Silent("403"), ..ground(&region, &policy) };
    assert_eq!(told(&judge(&silent)), [(Fatal, Topic::HighAvailability)]);
}

#[test]
fn each_role_is_told_with_what_the_policy_makes_of_it() {
    for role in Role::ALL.into_iter().filter(|role| !role.is_high_availability()) {
        let mut region = region();
        region.hosts[0].facts.roles = Some([(role, vec!["process x".to_owned()])].into());
        let judged = |handling: Option<RoleHandling>, journal_is_shared| {
            let policy =
                Policy { roles: RoleRules::new(handling.map(|handling| (role, handling))), ..Policy::default() };
            judge(&Ground { journal_is_shared, ..ground(&region, &policy) })
        };
        let skipped = judged(None, true);
        assert_eq!(told(&skipped), [(Warning, Topic::Roles)]);
        assert!(skipped[0].found.contains(role.word()) && skipped[0].advice.contains(role.word()), "{skipped:?}");
        assert_eq!(told(&judged(Some(RoleHandling::OneAtATime), true)), [(Info, Topic::Roles)]);
        assert_eq!(told(&judged(Some(RoleHandling::Allow), true)), [(Warning, Topic::Roles)]);
        let own = matches!(role, Role::Runner | Role::StateDatabase);
        let alone = judged(Some(RoleHandling::OneAtATime), false);
        assert_eq!(alone[0].severity == Fatal, own, "{role}: the run would go down with its journal");
    }
}

#[test]
fn the_cloud_is_told_of_by_rights_microversions_and_cells() {
    let (mut region, policy) = (region(), Policy::default());
    let judged =
        |region: &Region, standing: &Standing| judge(&Ground { standing: Some(standing), ..ground(region, &policy) });
    assert_eq!(told(&judged(&region, &standing(&["admin"], "2.96"))), [(Info, Topic::Cloud)]);
    assert_eq!(told(&judged(&region, &standing(&["reader"], "2.96"))), [(Warning, Topic::Cloud), (Info, Topic::Cloud)]);
    let old = judged(&region, &standing(&["admin"], "2.60"));
    assert_eq!(told(&old), [(Warning, Topic::Cloud)]);
    assert!(old[0].means.contains("queued cannot be aborted") && !old[0].means.contains("told where to go"), "{old:?}");
    let detail = "the cell of this host does not answer".to_owned();
    region.gaps.push(Gap { kind: GapKind::Cell, at: "compute-9".to_owned(), detail, cause: None });
    assert_eq!(told(&judged(&region, &standing(&["admin"], "2.96")))[0], (Fatal, Topic::Cells));
}

#[test]
fn other_hands_other_hypervisors_and_room_are_told() {
    let disabled = |reason: String| {
        with(|region| {
            region.hosts[0].service.status = ServiceStatus::Disabled;
            region.hosts[0].service.disabled_reason = Some(reason);
        })
    };
    let theirs = disabled("broken fan".to_owned());
    assert!(told(&theirs) == [(Warning, Topic::Maintenance)] && theirs[0].found.contains("broken fan"), "{theirs:?}");
    let run = RunId::new(uuid::Uuid::from_u128(7));
    let ours = disabled(Mark::of(run).reason("drains"));
    assert!(ours[0].advice.contains("fleetmend marks"), "{ours:?}");
    let ironic = with(|region| region.hosts[0].hypervisor = Some("ironic".to_owned()));
    assert_eq!(told(&ironic), [(Warning, Topic::Hypervisor)]);
    let empty = with(|region| region.instances.clear());
    assert_eq!(told(&empty), [(Info, Topic::Spare)]);
}

#[test]
fn notes_that_differ_in_their_host_alone_are_gathered() {
    let notes = with(|region| {
        let mut other = region.hosts[0].clone();
        other.host = HostName::new("compute-3");
        region.hosts.push(other);
        region.hosts.iter_mut().for_each(|host| host.facts.user_id = Some(7));
        region.instances.iter_mut().for_each(|instance| instance.host = None);
    });
    let gathered: Vec<(Topic, usize)> =
        gather(&notes).into_iter().map(|(note, hosts)| (note.topic, hosts.len())).collect();
    assert_eq!(gathered, [(Topic::Sudo, 2), (Topic::Spare, 2)]);
}
