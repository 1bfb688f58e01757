//! What aggregates' metadata and processors say against an instance on a host, as Nova's filters and libvirt would.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::{Aggregate, Cpu, Host, Instance, Region, extra_spec_matches};

/// How hosts look to instances; hosts that look alike share an entry.
#[derive(Debug)]
pub(super) struct Looks<'a> {
    aggregates: BTreeMap<&'a str, &'a Aggregate>,
    /// Every key that some aggregate sets.
    keys: BTreeSet<&'a str>,
    distinct: Vec<Look<'a>>,
}

/// One look.
#[derive(Debug, PartialEq, Eq)]
struct Look<'a> {
    /// Names of aggregates whose metadata the region has.
    aggregates: BTreeSet<&'a str>,
    architecture: Option<&'a str>,
    vendor: Option<&'a str>,
    instructions: BTreeSet<&'static str>,
    /// Names that libvirt can give guests a processor by.
    models: BTreeSet<&'a str>,
    virt_type: Option<&'a str>,
    cpu_mode: Option<&'a str>,
    cpu_models: &'a str,
    has_settings: bool,
}

impl<'a> Looks<'a> {
    pub(super) fn of(region: &'a Region) -> Self {
        let aggregates = region.aggregates.iter().map(|one| (one.name.as_str(), one)).collect();
        let keys = region.aggregates.iter().flat_map(|one| one.metadata.keys()).map(String::as_str).collect();
        Self { aggregates, keys, distinct: Vec::new() }
    }

    /// The number of a host's look.
    pub(super) fn add(&mut self, host: &'a Host) -> usize {
        let facts = &host.facts;
        let named = host.aggregates.iter().map(String::as_str).filter(|name| self.aggregates.contains_key(name));
        let cpu = facts.cpu.as_ref();
        let models = facts.libvirt_option("cpu_models").or_else(|| facts.libvirt_option("cpu_model"));
        let look = Look {
            aggregates: named.collect(),
            architecture: facts.architecture.as_deref(),
            vendor: cpu.map(|cpu| cpu.vendor.as_str()).filter(|vendor| !vendor.is_empty()),
            instructions: cpu.map(Cpu::instructions).unwrap_or_default(),
            models: facts.domain_capabilities.iter().flat_map(|can| can.models.iter().map(String::as_str)).collect(),
            virt_type: facts.libvirt_option("virt_type"),
            cpu_mode: facts.libvirt_option("cpu_mode"),
            cpu_models: models.unwrap_or_default(),
            has_settings: facts.nova_conf.is_some(),
        };
        self.distinct.iter().position(|known| *known == look).unwrap_or_else(|| {
            self.distinct.push(look);
            self.distinct.len() - 1
        })
    }

    /// Whether some host's guests cannot go to some other host for its processor.
    pub(super) fn has_unlike_processors(&self) -> bool {
        self.distinct.iter().any(|home| self.distinct.iter().any(|target| processor(home, target).is_some()))
    }

    /// What speaks against an instance that was started on a host of one look going to a host of another.
    pub(super) fn objection(&self, instance: &Instance, home: usize, target: usize) -> Option<String> {
        // Without metadata only processors count, and nothing speaks against one that is the same.
        if home == target && self.keys.is_empty() {
            return None;
        }
        let (home, target) = (&self.distinct[home], &self.distinct[target]);
        self.filtered(instance, home, target).or_else(|| processor(home, target))
    }

    /// What metadata says against the target and not against the home as well, where the instance is in spite of it.
    fn filtered(&self, instance: &Instance, home: &Look<'_>, target: &Look<'_>) -> Option<String> {
        let objections = self.objections(instance, target);
        if objections.is_empty() {
            return None;
        }
        let void: BTreeSet<String> = self.objections(instance, home).into_iter().map(|(rule, _)| rule).collect();
        objections.into_iter().find(|(rule, _)| !void.contains(rule)).map(|(_, text)| text)
    }

    /// Each rule that would keep an instance off hosts of a look, by a name of its own, and what it says.
    fn objections(&self, instance: &Instance, look: &Look<'_>) -> Vec<(String, String)> {
        let aggregates: Vec<&Aggregate> = look.aggregates.iter().map(|name| self.aggregates[name]).collect();
        let keys = || aggregates.iter().flat_map(|one| one.metadata.keys().map(move |key| (*one, key.as_str())));
        let values = |key: &str| aggregates.iter().flat_map(|one| one.values(key)).collect::<Vec<_>>();
        let mut found = Vec::new();
        let mut projects = keys().filter(|(_, key)| key.starts_with("filter_tenant_id")).peekable();
        if projects.peek().is_some()
            && !projects.any(|(one, key)| one.values(key).any(|project| project == instance.project.as_str()))
        {
            let text = format!("which is kept for other projects than {}", instance.project);
            found.push(("project".to_owned(), text));
        }
        for (one, key) in keys() {
            let Some(name) = key.strip_prefix("trait:") else { continue };
            let is_required = one.values(key).any(|value| value == "required");
            if is_required && !instance.traits.iter().any(|required| required == name) {
                found.push((key.to_owned(), format!("which takes only what requires {name}")));
            }
        }
        for (spec, asked) in instance.flavor.iter().flat_map(|flavor| &flavor.extra_specs) {
            let key = match spec.split_once(':') {
                Some(("aggregate_instance_extra_specs", key)) => key,
                Some(_) => continue,
                None => spec.as_str(),
            };
            if self.keys.contains(key) && !values(key).into_iter().any(|value| extra_spec_matches(asked, value)) {
                let text = format!("where no aggregate has `{key}` as its flavor asks");
                found.push((format!("flavor {spec}"), text));
            }
        }
        for (key, value) in &instance.image {
            let allowed = values(key);
            if !allowed.is_empty() && !allowed.contains(&value.as_str()) {
                found.push((format!("image {key}"), format!("which is not for images with `{key}={value}`")));
            }
        }
        found
    }
}

/// A running guest keeps the processor that it was started with. What is not known is no objection.
fn processor(home: &Look<'_>, target: &Look<'_>) -> Option<String> {
    let differs = |here: Option<&str>, there: Option<&str>| here.is_some() && there.is_some() && here != there;
    if differs(home.architecture, target.architecture) || differs(home.vendor, target.vendor) {
        return Some("whose processor is another than the guest's".to_owned());
    }
    let is_kvm = home.virt_type.is_none_or(|kind| kind == "kvm");
    if !home.has_settings || !is_kvm {
        return None;
    }
    let missing: Vec<&str> = match home.cpu_mode {
        None | Some("host-model" | "host-passthrough" | "maximum") if !target.instructions.is_empty() => {
            home.instructions.difference(&target.instructions).copied().collect()
        }
        Some("custom") if !target.models.is_empty() => {
            let given = home.cpu_models.split(',').map(str::trim).filter(|model| home.models.contains(model));
            given.filter(|model| !target.models.contains(model)).collect()
        }
        None | Some(_) => return None,
    };
    (!missing.is_empty()).then(|| format!("whose processor lacks {}", missing.join(", ")))
}
