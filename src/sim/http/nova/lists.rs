//! Services, hypervisors, aggregates, server groups.

use serde_json::{Value, json};

use super::{admin_only, one_page};
use crate::model::{GroupPolicy, ServiceState, ServiceStatus};
use crate::sim::http::answer::{Answer, Answered, Ask, stamp};
use crate::sim::world::{Refusal, ServiceChange, SimGroup, SimHost, World};

fn state(state: ServiceState) -> &'static str {
    match state {
        ServiceState::Up => "up",
        ServiceState::Down => "down",
    }
}

fn status(status: ServiceStatus) -> &'static str {
    match status {
        ServiceStatus::Enabled => "enabled",
        ServiceStatus::Disabled => "disabled",
    }
}

fn service(world: &World, host: &SimHost) -> Value {
    json!({
        "binary": "nova-compute",
        "host": host.name,
        "id": host.service.id,
        "zone": host.zone,
        "status": status(host.service.status),
        "state": state(world.service_state(host)),
        "updated_at": stamp(world.service_updated(host), ""),
        "disabled_reason": host.service.disabled_reason,
        "forced_down": host.service.forced_down,
    })
}

/// Services of the control plane: they are listed beside those that matter here.
fn control_plane(world: &World) -> Vec<Value> {
    ["nova-conductor", "nova-scheduler"]
        .into_iter()
        .map(|binary| {
            let id = crate::sim::world::uuid(&mut crate::sim::world::dice(world.seed(), "service", binary, 0));
            json!({"binary": binary, "host": "controller", "id": id, "zone": "internal", "status": "enabled",
                   "state": "up", "updated_at": stamp(world.now(), ""), "disabled_reason": null, "forced_down": false})
        })
        .collect()
}

pub(super) fn services(world: &mut World, ask: &Ask) -> Answered {
    admin_only(ask, "os_compute_api:os-services:list")?;
    let all = control_plane(world).into_iter().chain(world.hosts().map(|host| service(world, host)));
    let fits = |service: &Value, key: &str| ask.parameter(key).is_none_or(|wanted| service[key] == wanted);
    let services: Vec<Value> = all.filter(|service| fits(service, "binary") && fits(service, "host")).collect();
    Ok(Answer::ok(json!({"services": services})))
}

pub(super) fn update_service(world: &mut World, ask: &Ask) -> Answered {
    admin_only(ask, "os_compute_api:os-services:update")?;
    let wanted = match ask.body.get("status").map(|status| (status, status.as_str())) {
        None => None,
        Some((_, Some("enabled"))) => Some(ServiceStatus::Enabled),
        Some((_, Some("disabled"))) => Some(ServiceStatus::Disabled),
        Some((other, _)) => {
            let shown = other.as_str().map_or_else(|| other.to_string(), str::to_owned);
            return Err(Refusal::bad_request(format!(
                "Invalid input for field/attribute status. Value: {shown}. '{shown}' is not one of ['enabled', \
                 'disabled']"
            )));
        }
    };
    let reason = ask.body["disabled_reason"].as_str().map(str::to_owned);
    if reason.as_ref().is_some_and(|reason| reason.chars().count() > 255) {
        return Err(Refusal::bad_request("Invalid input for field/attribute disabled_reason. Value is too long"));
    }
    let forced_down = ask.body["forced_down"].as_bool();
    let change = ServiceChange { status: wanted, disabled_reason: reason, forced_down };
    let id = ask.path.get(1).map_or("", String::as_str);
    let (name, request) = world.update_service(id, &change)?;
    let shown = world.host(&name).map(|host| service(world, host));
    Ok(Answer { request: Some(request), ..Answer::ok(json!({"service": shown})) })
}

pub(super) fn hypervisors(world: &mut World, ask: &Ask) -> Answered {
    admin_only(ask, "os_compute_api:os-hypervisors:list-detail")?;
    let (hosts, next) = one_page(ask, "os-hypervisors/detail", world.hosts(), |host| host.provider.to_string())?;
    let shown = |host: &&SimHost| {
        json!({
            "id": host.provider,
            "hypervisor_hostname": host.name,
            "state": state(world.service_state(host)),
            "status": status(host.service.status),
            "hypervisor_type": "QEMU",
            "hypervisor_version": 2_012_000,
            "host_ip": "192.0.2.1",
            "service": {"id": host.service.id, "host": host.name, "disabled_reason": host.service.disabled_reason},
        })
    };
    let mut body = json!({"hypervisors": hosts.iter().map(shown).collect::<Vec<_>>()});
    if let Some(next) = next {
        body["hypervisors_links"] = next;
    }
    Ok(Answer::ok(body))
}

pub(super) fn aggregates(world: &mut World, ask: &Ask) -> Answered {
    admin_only(ask, "os_compute_api:os-aggregates:index")?;
    let created = stamp(world.now(), "");
    let shown = |(number, aggregate): (usize, &crate::sim::world::SimAggregate)| {
        json!({
            "id": number + 1,
            "uuid": aggregate.uuid,
            "name": aggregate.name,
            "availability_zone": aggregate.metadata.get("availability_zone"),
            "hosts": aggregate.hosts,
            "metadata": aggregate.metadata,
            "deleted": false,
            "created_at": created,
            "updated_at": null,
            "deleted_at": null,
        })
    };
    let aggregates: Vec<Value> = world.aggregates().iter().enumerate().map(shown).collect();
    Ok(Answer::ok(json!({"aggregates": aggregates})))
}

fn policy(policy: GroupPolicy) -> &'static str {
    match policy {
        GroupPolicy::Affinity => "affinity",
        GroupPolicy::AntiAffinity => "anti-affinity",
        GroupPolicy::SoftAffinity => "soft-affinity",
        GroupPolicy::SoftAntiAffinity => "soft-anti-affinity",
    }
}

fn group(ask: &Ask, group: &SimGroup) -> Value {
    let policy = policy(group.group.policy);
    let mut shown = json!({"id": group.group.id, "name": group.name});
    if ask.version >= (2, 64) {
        shown["policy"] = json!(policy);
        shown["rules"] = json!(group.group.rules);
    } else {
        shown["policies"] = json!([policy]);
        shown["metadata"] = json!({});
    }
    shown["members"] = json!(group.members);
    shown
}

/// Groups have no links: pages are counted off.
#[expect(clippy::unnecessary_wraps, reason = "all ways to an answer are functions of one shape")]
pub(super) fn groups(world: &mut World, ask: &Ask) -> Answered {
    let number = |name: &str| ask.parameter(name).and_then(|text| text.parse().ok());
    let all = ask.parameter("all_projects").is_some() && admin_only(ask, "").is_ok();
    let groups: Vec<Value> = world
        .groups()
        .filter(|_| all)
        .skip(number("offset").unwrap_or(0))
        .take(number("limit").unwrap_or(super::PAGE).min(super::PAGE))
        .map(|one| group(ask, one))
        .collect();
    Ok(Answer::ok(json!({"server_groups": groups})))
}
