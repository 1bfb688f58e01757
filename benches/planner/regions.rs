//! The regions of the table.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

use fleetmend::model::{HostName, Region, Resources};
use fleetmend::plan::synthetic::{self, Recipe};
use serde_json::Value;

/// Seed of every synthetic region.
const SEED: u64 = 1;

/// Three zones, a fifth of the instances in anti-affinity groups.
pub fn usual(hosts: usize, utilisation: f64, empty: f64) -> Region {
    synthetic::region(&Recipe { hosts, utilisation, empty, ..Recipe::default() }, SEED)
}

/// As full as chance makes it, one class of hosts, and one empty host in each of three zones.
pub fn full(hosts: usize) -> Region {
    let recipe = Recipe { hosts, utilisation: 0.98, grouped: 0.0, ..Recipe::default() };
    let mut region = synthetic::region(&recipe, SEED);
    let empty: BTreeSet<HostName> = region.hosts.iter().take(recipe.zones).map(|host| host.host.clone()).collect();
    region.instances.retain(|instance| instance.host.as_ref().is_some_and(|host| !empty.contains(host)));
    region
}

/// The production snapshot of `tests/data`, in the shape of a synthetic region.
pub fn production() -> Region {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/bd1176.json.gz");
    let mut text = String::new();
    let file = std::fs::File::open(&path).expect("the snapshot lies in tests/data");
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).expect("it is gzip of text");
    let snapshot: Value = serde_json::from_str(&text).expect("it is JSON");
    let list = |key: &str| snapshot[key].as_array().expect("a list").clone();
    let (hosts, instances) = (list("hosts"), list("instances"));
    let filled = Recipe { hosts: hosts.len(), zones: 1, grouped: 0.0, ..Recipe::default() };
    let mut region = synthetic::region(&filled, SEED);
    let mould = region.instances[0].clone();
    let word = |value: &Value| value.as_str().expect("text").to_owned();
    let amounts = |value: &Value| {
        let amount = |key: &str| value[key].as_u64().expect("a number");
        Resources::basic(amount("vcpus"), amount("ram_mb"), amount("disk_gb"))
    };
    for (host, seen) in region.hosts.iter_mut().zip(&hosts) {
        host.host = HostName::new(word(&seen["name"]));
        host.zone = Some(word(&seen["az"]).as_str().into());
        host.rack = Some(word(&seen["rack"]));
        host.capacity = amounts(seen);
    }
    region.instances.clear();
    for (seen, number) in instances.iter().zip(1..) {
        let mut instance = mould.clone();
        instance.id = fleetmend::model::InstanceId::new(uuid::Uuid::from_u128(number));
        instance.name = word(&seen["id"]);
        instance.host = Some(HostName::new(word(&seen["host"])));
        instance.resources = amounts(seen);
        instance.group = None;
        region.instances.push(instance);
    }
    region.groups.clear();
    region
}
