//! Which processors can run a guest that was started on another: a running guest keeps the processor that it saw.

use std::collections::{BTreeMap, BTreeSet};

use super::layout::number;
use super::rollout::PlannedProcessor;
use crate::model::{Cpu, Host, HostFacts, HostName, Region};

/// What is known of a host's processor and of what its guests see of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Processor {
    architecture: Option<String>,
    vendor: Option<String>,
    guests: Guests,
    instructions: Option<BTreeSet<&'static str>>,
    /// Of the named models that any host gives its guests, those that this one can.
    models: Option<BTreeSet<String>>,
}

/// What guests see.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Guests {
    /// It is not known, or an emulated processor, which any host can emulate.
    #[default]
    Anything,
    /// The host's own processor: `host-model` or `host-passthrough`.
    Host,
    /// One of these models.
    Models(BTreeSet<String>),
}

/// The distinct processors of hosts, and each host's by number. `told` has those of hosts that were seen before, for
/// hosts that tell nothing themselves.
pub(super) fn sort(hosts: &[&Host], told: &[PlannedProcessor]) -> (Vec<Processor>, Vec<u32>) {
    if told.is_empty() && !hosts.iter().any(|host| is_seen(&host.facts)) {
        return (vec![Processor::default()], vec![0; hosts.len()]);
    }
    let named: BTreeSet<String> = hosts.iter().flat_map(|host| models(&host.facts)).collect();
    let known: Vec<Processor> = told.iter().map(Processor::told).collect();
    let known: BTreeMap<&HostName, &Processor> =
        told.iter().zip(&known).flat_map(|(told, known)| told.hosts.iter().map(move |host| (host, known))).collect();
    number(hosts.iter().map(|host| {
        if is_seen(&host.facts) {
            Processor::of(&host.facts, &named)
        } else {
            known.get(&host.host).map_or_else(Processor::default, |known| (*known).clone())
        }
    }))
}

fn is_seen(facts: &HostFacts) -> bool {
    facts.cpu.is_some() || facts.architecture.is_some() || facts.domain_capabilities.is_some()
}

/// What a rollout tells of `processors`, of which `hosts` have each its own by number: nothing where none of them keeps a
/// guest from another, and nothing of hosts that were not seen.
pub(super) fn tell<'a>(
    processors: &[Processor],
    hosts: impl Iterator<Item = (&'a HostName, u32)>,
) -> Vec<PlannedProcessor> {
    let restricts = |one: &Processor| processors.iter().any(|other| one.obstacle_to(other).is_some());
    if !processors.iter().any(restricts) {
        return Vec::new();
    }
    let mut told: Vec<PlannedProcessor> = processors.iter().map(Processor::tell).collect();
    for (host, processor) in hosts {
        told[processor as usize].hosts.push(host.clone());
    }
    let unknown = processors.iter().map(|processor| *processor == Processor::default());
    told.into_iter().zip(unknown).filter(|(_, unknown)| !unknown).map(|(told, _)| told).collect()
}

/// The processors that the hosts of a region tell, as a rollout would.
pub(super) fn seen(region: &Region) -> Vec<PlannedProcessor> {
    let hosts: Vec<&Host> = region.hosts.iter().filter(|host| is_seen(&host.facts)).collect();
    let (processors, numbers) = sort(&hosts, &[]);
    let mut told: Vec<PlannedProcessor> = processors.iter().map(Processor::tell).collect();
    for (host, number) in hosts.iter().zip(numbers) {
        told[number as usize].hosts.push(host.host.clone());
    }
    told
}

impl Processor {
    fn of(facts: &HostFacts, named: &BTreeSet<String>) -> Self {
        let cpu = facts.cpu.as_ref();
        let usable = facts.domain_capabilities.as_ref().filter(|can| !can.models.is_empty());
        Self {
            architecture: facts.architecture.clone(),
            vendor: cpu.map(|cpu| cpu.vendor.clone()).filter(|vendor| !vendor.is_empty()),
            guests: guests(facts),
            instructions: cpu.map(Cpu::instructions).filter(|known| !known.is_empty()),
            models: usable.map(|can| can.models.iter().filter(|model| named.contains(*model)).cloned().collect()),
        }
    }

    /// As a rollout tells it.
    fn told(told: &PlannedProcessor) -> Self {
        let cpu = Cpu { flags: told.instructions.clone(), ..Cpu::default() };
        let guests = match (told.host_model, told.given.is_empty()) {
            (true, _) => Guests::Host,
            (false, false) => Guests::Models(told.given.iter().cloned().collect()),
            (false, true) => Guests::Anything,
        };
        Self {
            architecture: told.architecture.clone(),
            vendor: told.vendor.clone(),
            guests,
            instructions: Some(cpu.instructions()).filter(|known| !known.is_empty()),
            models: told.models.as_ref().map(|models| models.iter().cloned().collect()),
        }
    }

    /// The same for a rollout, without hosts.
    fn tell(&self) -> PlannedProcessor {
        let given = match &self.guests {
            Guests::Anything | Guests::Host => Vec::new(),
            Guests::Models(models) => models.iter().cloned().collect(),
        };
        PlannedProcessor {
            hosts: Vec::new(),
            architecture: self.architecture.clone(),
            vendor: self.vendor.clone(),
            instructions: self.instructions.iter().flatten().map(|name| (*name).to_owned()).collect(),
            host_model: self.guests == Guests::Host,
            given,
            models: self.models.as_ref().map(|models| models.iter().cloned().collect()),
        }
    }

    /// Why a guest that was started on `source` cannot come here, as far as it is known.
    pub(super) fn obstacle_to(&self, source: &Self) -> Option<String> {
        if let (Some(here), Some(there)) = (&self.architecture, &source.architecture)
            && here != there
        {
            return Some(format!("its processor is {here} and the guest's is {there}"));
        }
        if let (Some(here), Some(there)) = (&self.vendor, &source.vendor)
            && here != there
        {
            return Some(format!("its processor is of {here} and the guest's is of {there}"));
        }
        let lacks = |missing: Vec<&str>| {
            (!missing.is_empty()).then(|| format!("its processor lacks what the guest has: {}", missing.join(", ")))
        };
        match &source.guests {
            Guests::Anything => None,
            Guests::Host => {
                let (here, there) = (self.instructions.as_ref()?, source.instructions.as_ref()?);
                lacks(there.difference(here).copied().collect())
            }
            Guests::Models(wanted) => {
                let (here, there) = (self.models.as_ref()?, source.models.as_ref()?);
                let given = wanted.intersection(there);
                lacks(given.filter(|model| !here.contains(*model)).map(String::as_str).collect())
            }
        }
    }

    /// Vendor and architecture, for people.
    pub(super) fn label(&self) -> Option<&str> {
        self.vendor.as_deref().or(self.architecture.as_deref())
    }
}

/// The models that a host with `cpu_mode=custom` may give its guests.
fn models(facts: &HostFacts) -> Vec<String> {
    let custom = facts.libvirt_option("cpu_mode") == Some("custom");
    let written =
        facts.libvirt_option("cpu_models").filter(|list| !list.is_empty()).or(facts.libvirt_option("cpu_model"));
    let list = written.filter(|_| custom).unwrap_or_default();
    list.split(',').map(str::trim).filter(|model| !model.is_empty()).map(str::to_owned).collect()
}

fn guests(facts: &HostFacts) -> Guests {
    if facts.nova_conf.is_none() || facts.libvirt_option("virt_type").is_some_and(|kind| kind != "kvm") {
        return Guests::Anything;
    }
    match facts.libvirt_option("cpu_mode") {
        // Nova's default with KVM.
        None | Some("" | "host-model" | "host-passthrough" | "maximum") => Guests::Host,
        Some("custom") => Guests::Models(models(facts).into_iter().collect()),
        Some(_) => Guests::Anything,
    }
}
