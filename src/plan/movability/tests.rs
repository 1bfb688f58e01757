//! The matrix against what policies say of it.

use jiff::Timestamp;

use super::{Affinity, Bond, Movability, Standing, Ways, movability};
use crate::model::{
    Flavor, Instance, InstanceHandling, InstanceRules, InstanceStatus, PowerState, ProjectId, Resources,
};
use crate::plan::rollout::StayReason;

const ALL: [InstanceHandling; 5] = [
    InstanceHandling::Leave,
    InstanceHandling::LiveMigrate,
    InstanceHandling::ColdMigrate,
    InstanceHandling::StopInPlace,
    InstanceHandling::SkipHost,
];

fn instance() -> Instance {
    Instance {
        id: crate::model::InstanceId::new(uuid::Uuid::from_u128(1)),
        name: "vm".to_owned(),
        project: ProjectId::new("p"),
        host: Some("h".into()),
        status: InstanceStatus::Active,
        task_state: None,
        power: None,
        locked: false,
        resources: Resources::basic(1, 1024, 10),
        group: None,
        pinned_zone: None,
        traits: Vec::new(),
        flavor: None,
        image: std::collections::BTreeMap::new(),
        metadata: std::collections::BTreeMap::new(),
    }
}

/// An instance that stands so.
fn standing(wanted: Standing) -> Instance {
    let mut one = instance();
    let (status, task, power) = match wanted {
        Standing::Running => (InstanceStatus::Active, None, None),
        Standing::Paused => (InstanceStatus::Paused, None, None),
        Standing::Off => (InstanceStatus::Shutoff, None, None),
        Standing::Suspended => (InstanceStatus::Suspended, None, None),
        Standing::Shelved => (InstanceStatus::Shelved, None, None),
        Standing::Nowhere => (InstanceStatus::ShelvedOffloaded, None, None),
        Standing::SoftDeleted => (InstanceStatus::SoftDeleted, None, None),
        Standing::Rescued => (InstanceStatus::Rescue, None, None),
        Standing::Resized => (InstanceStatus::VerifyResize, None, None),
        Standing::Broken => (InstanceStatus::Error, None, Some(PowerState::Running)),
        Standing::BrokenOff => (InstanceStatus::Error, None, Some(PowerState::Shutdown)),
        Standing::Changing => (InstanceStatus::Active, Some("image_snapshot"), None),
        Standing::Unknown => (InstanceStatus::Unknown, None, None),
    };
    (one.status, one.task_state, one.power) = (status, task.map(str::to_owned), power);
    assert_eq!(Standing::of(&one), wanted);
    one
}

/// The same, bound so; nothing for what only a group can do.
fn bound(mut one: Instance, bond: Bond) -> Option<Instance> {
    let spec = |key: &str| {
        let extra_specs = [(key.to_owned(), "1".to_owned())].into();
        Some(Box::new(Flavor { name: "f".to_owned(), extra_specs }))
    };
    let class = |class: &str| [("VCPU", 1), (class, 1)].into_iter().collect::<Resources>();
    match bond {
        Bond::Locked => one.locked = true,
        Bond::Affinity => return None,
        Bond::Pci => one.flavor = spec("pci_passthrough:alias"),
        Bond::SriovPort => one.resources = class("SRIOV_NET_VF"),
        Bond::Vgpu => one.resources = class("VGPU"),
        Bond::Accelerator => one.flavor = spec("accel:device_profile"),
        Bond::Pmem => one.flavor = spec("hw:pmem"),
        Bond::EncryptedMemory => one.flavor = spec("hw:mem_encryption"),
        Bond::Tpm => drop(one.image.insert("hw_tpm_version".to_owned(), "2.0".to_owned())),
    }
    Some(one)
}

fn rules(all: InstanceHandling) -> InstanceRules {
    InstanceRules {
        stopped: all,
        paused: all,
        suspended: all,
        cannot_move: all,
        locked: all,
        ..InstanceRules::default()
    }
}

fn decided(one: &Instance, rules: &InstanceRules) -> Movability {
    movability(one, &Affinity::default(), rules, Timestamp::UNIX_EPOCH)
}

/// Whether `ways` allow what was decided.
fn allows(ways: Ways, done: &Movability) -> bool {
    match done {
        Movability::Leaves(InstanceHandling::LiveMigrate) => ways.live,
        Movability::Leaves(InstanceHandling::ColdMigrate) => ways.cold,
        Movability::Stays { handling: InstanceHandling::StopInPlace, .. } => ways.stop,
        Movability::Stays { handling: InstanceHandling::Leave, .. } => ways.rest,
        Movability::Blocks { .. } => true,
        Movability::Leaves(_) | Movability::Stays { .. } => false,
    }
}

#[test]
fn whatever_the_policy_says_nothing_is_done_that_the_matrix_does_not_allow() {
    for stands in Standing::ALL {
        for bond in std::iter::once(None).chain(Bond::ALL.into_iter().map(Some)) {
            let one = match bond {
                None => Some(standing(stands)),
                Some(bond) => bound(standing(stands), bond),
            };
            let Some(one) = one else { continue };
            let ways = bond.map_or(stands.row().ways, |bond| stands.row().ways.and(bond.row().ways));
            for handling in ALL {
                let done = decided(&one, &rules(handling));
                assert!(allows(ways, &done), "{stands:?} {bond:?} {handling:?}: {done:?} with {ways:?}");
                let mut named = InstanceRules::default();
                named.named.insert(one.id, handling);
                let done = decided(&one, &named);
                let knows =
                    bond.is_some_and(Bond::may_come_along) && done == Movability::Leaves(InstanceHandling::LiveMigrate);
                assert!(knows || allows(ways, &done), "{stands:?} {bond:?} named {handling:?}: {done:?} with {ways:?}");
            }
        }
    }
}

#[test]
fn what_the_matrix_allows_is_done_where_the_policy_says_so() {
    let leaves = Movability::Leaves;
    let stays = |reason, handling| Movability::Stays { reason, handling };
    let (live, cold) = (InstanceHandling::LiveMigrate, InstanceHandling::ColdMigrate);
    let (stop, leave) = (InstanceHandling::StopInPlace, InstanceHandling::Leave);
    let of = |stands, bond: Option<Bond>, handling| {
        let one = standing(stands);
        decided(&bond.map_or(one.clone(), |bond| bound(one, bond).unwrap()), &rules(handling))
    };
    for (done, expected) in [
        (of(Standing::Running, None, InstanceHandling::SkipHost), leaves(live)),
        (of(Standing::Running, Some(Bond::Pci), cold), leaves(cold)),
        (of(Standing::Running, Some(Bond::Pci), stop), stays(StayReason::CannotMove, stop)),
        (of(Standing::Running, Some(Bond::Locked), stop), stays(StayReason::Locked, stop)),
        (of(Standing::Running, Some(Bond::Locked), live), leaves(live)),
        (of(Standing::Paused, None, live), leaves(live)),
        (of(Standing::Off, None, cold), leaves(cold)),
        (of(Standing::Off, None, stop), stays(StayReason::Stopped, leave)),
        (of(Standing::Off, Some(Bond::Tpm), leave), stays(StayReason::Stopped, leave)),
        (of(Standing::Off, Some(Bond::Locked), leave), stays(StayReason::Stopped, leave)),
        (of(Standing::Suspended, None, leave), stays(StayReason::Suspended, leave)),
        (of(Standing::Shelved, None, leave), stays(StayReason::Resting, leave)),
        (of(Standing::SoftDeleted, None, leave), stays(StayReason::Resting, leave)),
        (of(Standing::BrokenOff, None, leave), stays(StayReason::CannotMove, leave)),
    ] {
        assert_eq!(done, expected);
    }
}

#[test]
fn what_blocks_says_what_binds_it_and_what_the_policy_does() {
    let why = |one: &Instance, rules: &InstanceRules| match decided(one, rules) {
        Movability::Blocks { why, .. } => why,
        other @ (Movability::Leaves(_) | Movability::Stays { .. }) => panic!("{other:?}"),
    };
    let usual = InstanceRules::default();
    let of = |stands, bond| why(&bound(standing(stands), bond).unwrap(), &usual);
    for (said, words) in [
        (of(Standing::Running, Bond::Locked), "it is locked and the policy skips its host"),
        (of(Standing::Running, Bond::Vgpu), "it holds a device (VGPU) and the policy skips its host"),
        (of(Standing::Running, Bond::EncryptedMemory), "its flavor asks for hw:mem_encryption and the policy"),
        (of(Standing::Running, Bond::Tpm), "its image asks for hw_tpm_version"),
        (
            why(&standing(Standing::Resized), &usual),
            "Nova does not migrate what is VERIFY_RESIZE: its owner has to confirm",
        ),
        (why(&standing(Standing::Changing), &usual), "task image_snapshot is under way"),
        (why(&standing(Standing::Broken), &rules(InstanceHandling::Leave)), "and a reboot would end it"),
    ] {
        assert!(said.contains(words), "`{words}` in `{said}`");
    }
}

#[test]
fn owners_decide_where_the_policy_lets_them() {
    let mut usual = InstanceRules::default();
    usual.owners.metadata = vec!["maintenance".to_owned()];
    usual.owners.projects = [(ProjectId::new("p"), InstanceHandling::StopInPlace)].into();
    let says = |stands, value: Option<&str>| {
        let mut one = standing(stands);
        if let Some(value) = value {
            one.metadata.insert("maintenance".to_owned(), value.to_owned());
        }
        decided(&one, &usual)
    };
    let stops = Movability::Stays { reason: StayReason::Decided, handling: InstanceHandling::StopInPlace };
    assert_eq!(says(Standing::Running, None), stops, "its project");
    assert_eq!(says(Standing::Running, Some("move")), Movability::Leaves(InstanceHandling::LiveMigrate));
    assert_eq!(says(Standing::Running, Some("poweroff")), stops);
    let Movability::Blocks { reason, why } = says(Standing::Running, Some("never")) else { panic!("blocks") };
    assert_eq!(reason, StayReason::Decided);
    assert!(why.contains("its owner says maintenance=never"), "{why}");
    // What cannot be done as its owner says is the policy's, and what rests is none of this.
    assert_eq!(says(Standing::Paused, Some("poweroff")), Movability::Leaves(InstanceHandling::LiveMigrate));
    let rests = Movability::Stays { reason: StayReason::Stopped, handling: InstanceHandling::Leave };
    assert_eq!(says(Standing::Off, Some("never")), rests);
    // The operator's word about one instance comes before its owner's.
    usual.named.insert(instance().id, InstanceHandling::LiveMigrate);
    let mut never = standing(Standing::Running);
    never.metadata.insert("maintenance".to_owned(), "never".to_owned());
    assert_eq!(decided(&never, &usual), Movability::Leaves(InstanceHandling::LiveMigrate));
}
