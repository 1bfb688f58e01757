//! Which processors can run a guest that was started on another: a running guest keeps the processor that it saw.

use std::collections::BTreeSet;

use super::layout::number;
use crate::model::{Cpu, Host, HostFacts};

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

/// The distinct processors of hosts, and each host's by number.
pub(super) fn sort(hosts: &[&Host]) -> (Vec<Processor>, Vec<u32>) {
    if hosts.iter().all(|host| host.facts.cpu.is_none() && host.facts.architecture.is_none()) {
        return (vec![Processor::default()], vec![0; hosts.len()]);
    }
    let named: BTreeSet<String> = hosts.iter().flat_map(|host| models(&host.facts)).collect();
    number(hosts.iter().map(|host| Processor::of(&host.facts, &named)))
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
