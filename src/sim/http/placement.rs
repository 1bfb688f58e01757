//! Placement over HTTP.

use serde_json::{Map, Value, json};

use super::answer::{Answer, Answered, Ask};
use crate::model::Resources;
use crate::sim::world::{Refusal, SimHost, World};

/// A way to an answer, with the operation's name as faults and durations know it.
pub(super) struct Route {
    pub(super) operation: &'static str,
    pub(super) run: fn(&mut World, &Ask) -> Answered,
}

/// Finds the way to an answer.
pub(super) fn route(ask: &Ask) -> Option<Route> {
    let path: Vec<&str> = ask.path.iter().map(String::as_str).collect();
    let (operation, run): (_, fn(&mut World, &Ask) -> Answered) = match (ask.method.as_str(), &path[..]) {
        ("GET", ["resource_providers"]) => ("providers", providers),
        ("GET", ["resource_providers", _, "inventories"]) => ("provider", inventories),
        ("GET", ["resource_providers", _, "usages"]) => ("provider", usages),
        ("GET", ["resource_providers", _, "traits"]) => ("provider", traits),
        ("GET", ["resource_providers", _, "aggregates"]) => ("provider", aggregates),
        ("GET", ["resource_providers", _, "allocations"]) => ("allocations", allocations),
        ("GET", ["allocations", _]) => ("allocations", allocations_of),
        _ => return None,
    };
    Some(Route { operation, run })
}

/// A number that grows with each change of a provider; here it is always the same, and nothing is written by it.
const GENERATION: u32 = 1;

fn provider<'a>(world: &'a World, ask: &Ask) -> Result<&'a SimHost, Refusal> {
    let id = ask.path.get(1).map_or("", String::as_str);
    let found = id.parse().ok().and_then(|id| world.provider_host(id));
    found.ok_or_else(|| {
        let why = format!("No resource provider with uuid {id} found");
        Refusal::not_found(format!("The resource could not be found.\n\n {why}: {why}  "))
    })
}

#[expect(clippy::unnecessary_wraps, reason = "all ways to an answer are functions of one shape")]
fn providers(world: &mut World, ask: &Ask) -> Answered {
    let (name, id) = (ask.parameter("name"), ask.parameter("uuid"));
    let wanted = |host: &&SimHost| {
        name.is_none_or(|name| host.name.as_str() == name) && id.is_none_or(|id| host.provider.to_string() == id)
    };
    let shown = |host: &SimHost| {
        let id = host.provider;
        let link = |rel: &str, tail: &str| json!({"rel": rel, "href": format!("/resource_providers/{id}{tail}")});
        let mut links = vec![link("self", "")];
        for tail in ["inventories", "usages", "aggregates", "traits", "allocations"] {
            links.push(link(tail, &format!("/{tail}")));
        }
        json!({"uuid": id, "name": host.name, "generation": GENERATION, "links": links,
               "parent_provider_uuid": null, "root_provider_uuid": id})
    };
    let providers: Vec<Value> = world.hosts().filter(wanted).map(shown).collect();
    Ok(Answer::ok(json!({"resource_providers": providers})))
}

fn inventories(world: &mut World, ask: &Ask) -> Answered {
    let host = provider(world, ask)?;
    let inventories: Map<String, Value> = host
        .inventory
        .iter()
        .map(|(class, capacity)| {
            // Ratios are far below 2^32 and have two digits behind the point.
            let ratio = f64::from(u32::try_from(capacity.ratio_percent).unwrap_or(u32::MAX)) / 100.0;
            let inventory = json!({"total": capacity.total, "reserved": capacity.reserved, "min_unit": 1,
                                   "max_unit": capacity.total, "step_size": 1, "allocation_ratio": ratio});
            (class.clone(), inventory)
        })
        .collect();
    Ok(Answer::ok(json!({"resource_provider_generation": GENERATION, "inventories": inventories})))
}

fn usages(world: &mut World, ask: &Ask) -> Answered {
    let host = provider(world, ask)?;
    let used = host.used();
    let usages: Map<String, Value> =
        host.inventory.keys().map(|class| (class.clone(), json!(used.get(class)))).collect();
    Ok(Answer::ok(json!({"resource_provider_generation": GENERATION, "usages": usages})))
}

fn traits(world: &mut World, ask: &Ask) -> Answered {
    let traits = provider(world, ask)?.placement_traits();
    Ok(Answer::ok(json!({"traits": traits, "resource_provider_generation": GENERATION})))
}

fn aggregates(world: &mut World, ask: &Ask) -> Answered {
    let host = provider(world, ask)?.name.clone();
    let members = world.aggregates().iter().filter(|aggregate| aggregate.hosts.contains(&host));
    let aggregates: Vec<&str> = members.map(|aggregate| aggregate.uuid.as_str()).collect();
    Ok(Answer::ok(json!({"aggregates": aggregates, "resource_provider_generation": GENERATION})))
}

fn resources(resources: &Resources) -> Value {
    // What is zero is not allocated.
    resources
        .iter()
        .filter(|(_, amount)| *amount > 0)
        .map(|(class, amount)| (class.to_owned(), json!(amount)))
        .collect()
}

fn allocations(world: &mut World, ask: &Ask) -> Answered {
    let host = provider(world, ask)?;
    let allocations: Map<String, Value> = host
        .allocations()
        .map(|(consumer, held)| (consumer.to_string(), json!({"resources": resources(held), "consumer_generation": 1})))
        .collect();
    Ok(Answer::ok(json!({"allocations": allocations, "resource_provider_generation": GENERATION})))
}

#[expect(clippy::unnecessary_wraps, reason = "all ways to an answer are functions of one shape")]
fn allocations_of(world: &mut World, ask: &Ask) -> Answered {
    let consumer = ask.path.get(1).and_then(|id| id.parse().ok());
    let held = consumer.map(|consumer| world.allocations_of(consumer)).unwrap_or_default();
    let allocations: Map<String, Value> = held
        .into_iter()
        .filter_map(|(name, held)| {
            let provider = world.host(name)?.provider.to_string();
            Some((provider, json!({"resources": resources(held), "generation": GENERATION})))
        })
        .collect();
    Ok(Answer::ok(json!({"allocations": allocations})))
}
