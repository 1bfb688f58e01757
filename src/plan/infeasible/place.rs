//! Hosts as the proofs see them: what could ever be on them, whatever is moved in whatever order.

use crate::plan::fleet::Fleet;

/// A host that instances could go to.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) host: u32,
    /// Room for instances that move, by class: capacity less what stays. Negative where what stays is too much.
    pub(super) capacity: Vec<i64>,
    /// Room as things stand, by class.
    pub(super) free: Vec<i64>,
}

/// Hosts of a domain that could take instances at some time: targets, hosts to remedy, and those that lend their room.
pub(super) fn places(fleet: &Fleet<'_>, domain: u32) -> Vec<Place> {
    let hosts = fleet.layout.domains()[domain as usize].hosts.iter().copied();
    hosts.filter(|host| could_take(fleet, *host)).map(|host| place(fleet, host)).collect()
}

/// The other hosts of a domain: the policy keeps them from taking instances, or they are not in service.
pub(super) fn withheld(fleet: &Fleet<'_>, domain: u32) -> Vec<u32> {
    let hosts = fleet.layout.domains()[domain as usize].hosts.iter().copied();
    hosts.filter(|host| !could_take(fleet, *host)).collect()
}

fn could_take(fleet: &Fleet<'_>, host: u32) -> bool {
    fleet.space.is_target(host) || fleet.bystander[host as usize] || fleet.hosts.binary_search(&host).is_ok()
}

fn place(fleet: &Fleet<'_>, host: u32) -> Place {
    let free = fleet.space.slot(host).free.to_vec();
    // What leaves gives its room back; the rest stays for good.
    let capacity = free.iter().zip(load(fleet, host)).map(|(free, load)| free + load).collect();
    Place { host, capacity, free }
}

/// What the instances that leave a host have allocated, by class.
pub(super) fn load(fleet: &Fleet<'_>, host: u32) -> Vec<i64> {
    let leaving = &fleet.leaving[host as usize];
    let of_class = |class| leaving.iter().map(|instance| fleet.amount(*instance, class)).sum();
    (0..fleet.layout.classes().len()).map(of_class).collect()
}
