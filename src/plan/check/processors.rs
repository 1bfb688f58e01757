//! Whether what the rollout tells of the hosts' processors is what the region says of them: a run, which does not ask
//! the hosts again, sends guests by it.

use std::collections::{BTreeMap, BTreeSet};

use super::ground::Ground;
use crate::model::{Cpu, Host, HostName};
use crate::plan::rollout::{PlannedProcessor, Rollout};

/// A processor as hosts and rollouts may both tell it.
#[derive(Debug, PartialEq, Eq)]
struct Told<'a> {
    architecture: Option<&'a str>,
    vendor: Option<&'a str>,
    instructions: BTreeSet<&'a str>,
    is_guests_own: bool,
    given: BTreeSet<&'a str>,
    models: Option<BTreeSet<&'a str>>,
}

/// Hosts of which the rollout tells what they are not, or does not tell what keeps guests apart.
pub(super) fn mismatches(rollout: &Rollout, ground: &Ground<'_>) -> Vec<String> {
    let mut found = Vec::new();
    let hosts: Vec<&Host> = ground.hosts.iter().map(|view| view.host).filter(|host| is_seen(host)).collect();
    if rollout.processors.is_empty() {
        if ground.looks.has_unlike_processors() {
            found.push("the rollout does not tell the hosts' processors, which keep guests apart".to_owned());
        }
        return found;
    }
    let mut told: BTreeMap<&HostName, &PlannedProcessor> = BTreeMap::new();
    for processor in &rollout.processors {
        for host in &processor.hosts {
            if told.insert(host, processor).is_some() {
                found.push(format!("the rollout tells of {host} what processor it has twice"));
            }
        }
    }
    let given: BTreeSet<&str> = hosts.iter().flat_map(|host| given(host)).collect();
    for host in hosts {
        let seen = Told::by(host, &given);
        match told.get(&host.host) {
            Some(told) if Told::of(told) != seen => {
                found.push(format!("the rollout tells another processor of {} than the region", host.host));
            }
            None if seen != Told::nothing() => {
                found.push(format!("the rollout does not tell the processor of {}", host.host));
            }
            Some(_) | None => {}
        }
    }
    found
}

fn is_seen(host: &Host) -> bool {
    host.facts.cpu.is_some() || host.facts.architecture.is_some() || host.facts.domain_capabilities.is_some()
}

/// Whether guests are given a processor by KVM, and by which mode.
fn mode(host: &Host) -> Option<&str> {
    let facts = &host.facts;
    let is_kvm = facts.nova_conf.is_some() && facts.libvirt_option("virt_type").is_none_or(|kind| kind == "kvm");
    is_kvm.then(|| facts.libvirt_option("cpu_mode").filter(|mode| !mode.is_empty()).unwrap_or("host-model"))
}

/// Named models, one of which guests get.
fn given(host: &Host) -> BTreeSet<&str> {
    if host.facts.libvirt_option("cpu_mode") != Some("custom") {
        return BTreeSet::new();
    }
    let list = host.facts.libvirt_option("cpu_models").filter(|list| !list.is_empty());
    let list = list.or_else(|| host.facts.libvirt_option("cpu_model")).unwrap_or_default();
    list.split(',').map(str::trim).filter(|model| !model.is_empty()).collect()
}

impl<'a> Told<'a> {
    fn nothing() -> Self {
        Self {
            architecture: None,
            vendor: None,
            instructions: BTreeSet::new(),
            is_guests_own: false,
            given: BTreeSet::new(),
            models: None,
        }
    }

    /// What a host tells; of models only those in `wanted` are told.
    fn by(host: &'a Host, wanted: &BTreeSet<&str>) -> Self {
        let facts = &host.facts;
        let cpu = facts.cpu.as_ref();
        let offered = facts.domain_capabilities.as_ref().map(|can| &can.models).filter(|models| !models.is_empty());
        Self {
            architecture: facts.architecture.as_deref(),
            vendor: cpu.map(|cpu| cpu.vendor.as_str()).filter(|vendor| !vendor.is_empty()),
            instructions: cpu.map(Cpu::instructions).unwrap_or_default(),
            is_guests_own: matches!(mode(host), Some("host-model" | "host-passthrough" | "maximum")),
            given: if mode(host) == Some("custom") { given(host) } else { BTreeSet::new() },
            models: offered
                .map(|models| models.iter().map(String::as_str).filter(|one| wanted.contains(one)).collect()),
        }
    }

    /// What a rollout tells.
    fn of(told: &'a PlannedProcessor) -> Self {
        Self {
            architecture: told.architecture.as_deref(),
            vendor: told.vendor.as_deref(),
            instructions: told.instructions.iter().map(String::as_str).collect(),
            is_guests_own: told.host_model,
            given: told.given.iter().map(String::as_str).collect(),
            models: told.models.as_ref().map(|models| models.iter().map(String::as_str).collect()),
        }
    }
}
