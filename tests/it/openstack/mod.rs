//! The OpenStack adapter against a scripted cloud: what it asks, how often, and what it makes of the answers.

mod script;

use fleetmend::cloud::openstack::OpenStack;
use fleetmend::cloud::{Cloud, CloudErrorKind, Compute, MigrationsQuery, Placement, PowerState, ServersQuery};
use fleetmend::model::{HostName, InstanceId, Resources, ServiceId};
use serde_json::{Value, json};

use script::{PASSWORD, Reply, Script, TOKEN, ok, quick, say, shown};

const SERVICES: &str = "GET /v2.1/os-services?binary=nova-compute";

fn instance(number: u128) -> InstanceId {
    InstanceId::new(uuid::Uuid::from_u128(number))
}

fn action(number: u128) -> String {
    format!("POST /v2.1/servers/{}/action", instance(number))
}

fn no_services() -> Reply {
    ok(&json!({"services": []}))
}

fn unauthorized() -> Reply {
    say(401, &json!({"error": {"code": 401, "message": "The request you have made requires authentication."}}))
}

fn server(number: u128) -> Value {
    json!({"id": instance(number).to_string(), "name": format!("vm{number}"), "tenant_id": "p", "status": "ACTIVE",
           "OS-EXT-SRV-ATTR:host": "compute-1", "OS-EXT-STS:power_state": 1,
           "flavor": {"vcpus": 1, "ram": 64, "disk": 1, "ephemeral": 0, "swap": 0}})
}

#[tokio::test]
async fn the_login_sends_who_and_for_what_and_every_request_carries_the_token() {
    let script = Script::new().await;
    let cloud = script.connect().await.unwrap();
    script.on(SERVICES, [no_services()]);
    cloud.services().await.unwrap();

    let login = &script.seen("auth/tokens")[0];
    let user = json!({"name": "ada", "domain": {"name": "Default"}, "password": PASSWORD});
    let identity = json!({"methods": ["password"], "password": {"user": user}});
    assert_eq!(login.body, json!({"auth": {"identity": identity, "scope": {"project": {"id": "p1"}}}}));
    assert_eq!(login.token, None);
    for request in script.seen("/v2.1").iter().chain(&script.seen("/placement")) {
        assert_eq!(request.token.as_deref(), Some("marked-token-1"), "{}", request.line);
    }
    assert_eq!(cloud.region(), "R1");
    assert_eq!(cloud.cost().requests, 4);
}

#[tokio::test]
async fn a_refused_token_is_renewed_once_and_the_request_repeated() {
    let script = Script::new().await;
    let cloud = script.connect().await.unwrap();
    script.on(&action(1), [unauthorized(), say(202, &Value::Null).with("x-openstack-request-id", "req-7")]);
    let accepted = cloud.stop(instance(1)).await.unwrap();
    assert_eq!(accepted.request.unwrap().as_str(), "req-7");
    let tokens: Vec<_> = script.seen("/action").into_iter().filter_map(|seen| seen.token).collect();
    assert_eq!(tokens, ["marked-token-1", "marked-token-2"]);
}

#[tokio::test]
async fn a_token_that_is_refused_again_is_an_error() {
    let script = Script::new().await;
    let cloud = script.connect().await.unwrap();
    script.on(SERVICES, [unauthorized()]);
    let error = cloud.services().await.unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::Unauthorized);
    assert_eq!((script.lines("os-services").len(), script.lines("auth/tokens").len()), (2, 2));
}

#[tokio::test]
async fn many_requests_with_a_refused_token_log_in_once() {
    let script = Script::new().await;
    let cloud = script.connect().await.unwrap();
    let refusals = std::iter::repeat_n(unauthorized(), 8);
    script.on(SERVICES, refusals.chain([no_services()]));
    let all = futures_util::future::join_all((0..8).map(|_| cloud.services())).await;
    assert!(all.iter().all(Result::is_ok));
    assert_eq!(script.lines("auth/tokens").len(), 2);
}

#[tokio::test]
async fn wrong_credentials_are_told_as_such_and_not_tried_again() {
    let script = Script::new().await;
    script.on("POST /identity/v3/auth/tokens", [unauthorized().with("x-openstack-request-id", "req-k")]);
    let error = script.connect().await.err().unwrap();
    assert_eq!(error.kind, CloudErrorKind::Unauthorized);
    assert_eq!(error.request.unwrap().as_str(), "req-k");
    assert_eq!(script.lines("").len(), 1);
}

#[tokio::test]
async fn what_starts_something_is_repeated_only_when_it_was_turned_away() {
    let accepted = || say(202, &Value::Null);
    let busy = |status| say(status, &json!({"overLimit": {"message": "slow down"}})).with("retry-after", "0");
    for (first, times, works) in [
        (busy(429), 2, true),
        (busy(503), 2, true),
        (busy(500), 1, false),
        (busy(502), 1, false),
        (Reply::Break, 1, false),
        (Reply::Hang, 1, false),
    ] {
        let script = Script::new().await;
        let cloud = script.connect().await.unwrap();
        script.on(&action(1), [first, accepted()]);
        let result = cloud.live_migrate(instance(1), Some(&HostName::new("compute-2"))).await;
        assert_eq!((script.lines("/action").len(), result.is_ok()), (times, works), "{result:?}");
        assert_eq!(cloud.cost().retries, times as u64 - 1);
    }
}

#[tokio::test]
async fn what_only_reads_is_repeated_after_every_passing_failure() {
    let failing = say(500, &json!({"computeFault": {"code": 500, "message": "Unexpected API Error."}}));
    for first in [failing, say(503, &Value::Null), Reply::Break, Reply::Hang] {
        let script = Script::new().await;
        let cloud = script.connect().await.unwrap();
        script.on(SERVICES, [first, no_services()]);
        cloud.services().await.unwrap();
        assert_eq!(script.lines("os-services").len(), 2);
    }
}

#[tokio::test]
async fn repeats_end_and_the_last_answer_is_told() {
    let script = Script::new().await;
    let cloud = script.connect().await.unwrap();
    let fault = json!({"computeFault": {"code": 500, "message": "Unexpected API Error."}});
    script.on(SERVICES, [say(500, &fault).with("x-openstack-request-id", "req-9")]);
    let error = cloud.services().await.unwrap_err();
    assert_eq!(error.to_string(), "list compute services (500): Unexpected API Error. [req-9]");
    assert_eq!((error.kind, error.is_transient()), (CloudErrorKind::Server, true));
    assert_eq!(script.lines("os-services").len(), 4);
}

#[tokio::test]
async fn a_service_that_never_answers_is_timed_out_and_its_request_can_be_looked_up() {
    let script = Script::new().await;
    let cloud = script.connect().await.unwrap();
    script.on(SERVICES, [Reply::Hang]);
    let error = cloud.services().await.unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::TimedOut);
    assert!(error.request.unwrap().as_str().starts_with("req-"), "the id that we sent");
    assert_eq!(script.lines("os-services").len(), 2);
}

#[tokio::test]
async fn a_retry_after_beyond_patience_is_not_waited_for() {
    let script = Script::new().await;
    let cloud = script.connect().await.unwrap();
    script.on(SERVICES, [say(429, &Value::Null).with("retry-after", "3600"), no_services()]);
    assert_eq!(cloud.services().await.unwrap_err().kind, CloudErrorKind::TooManyRequests);
}

#[tokio::test]
async fn an_endpoint_where_nobody_listens_is_unreachable() {
    let script = Script::new().await;
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = script.config(&format!("    compute_endpoint_override: http://127.0.0.1:{port}/v2.1\n"));
    let error = OpenStack::connect(&config, quick()).await.err().unwrap();
    assert_eq!(error.kind, CloudErrorKind::Unreachable);
}

#[tokio::test]
async fn every_page_of_all_projects_is_read_by_markers() {
    let script = Script::new().await;
    let cloud = script.connect().await.unwrap();
    let list = "GET /v2.1/servers/detail?all_tenants=1";
    // The link leads to a host that nobody can reach: it is not followed.
    let next = json!([{"rel": "next", "href": "http://inside.invalid/v2.1/servers?marker=x"}]);
    script.on(list, [ok(&json!({"servers": [server(1), server(2)], "servers_links": next}))]);
    script.on(&format!("{list}&marker={}", instance(2)), [ok(&json!({"servers": [server(3)]}))]);
    let servers = cloud.servers(&ServersQuery::default()).await.unwrap();
    let ids: Vec<_> = servers.iter().map(|server| server.id).collect();
    assert_eq!(ids, [instance(1), instance(2), instance(3)]);
    assert_eq!(servers[0].power_state, PowerState::Running);
    assert_eq!(servers[0].resources, Resources::basic(1, 64, 1));
}

#[tokio::test]
async fn a_list_whose_marker_was_deleted_is_begun_anew() {
    let script = Script::new().await;
    let cloud = script.connect().await.unwrap();
    let list = "GET /v2.1/servers/detail?all_tenants=1&host=compute-1";
    let next = json!([{"rel": "next", "href": ""}]);
    let page = |number| ok(&json!({"servers": [server(number)], "servers_links": next}));
    script.on(list, [page(1), page(2)]);
    let gone = say(400, &json!({"badRequest": {"code": 400, "message": "marker [1] not found"}}));
    script.on(&format!("{list}&marker={}", instance(1)), [gone]);
    script.on(&format!("{list}&marker={}", instance(2)), [ok(&json!({"servers": [server(3)]}))]);
    let query = ServersQuery { host: Some(HostName::new("compute-1")), ..ServersQuery::default() };
    let ids: Vec<_> = cloud.servers(&query).await.unwrap().iter().map(|server| server.id).collect();
    assert_eq!(ids, [instance(2), instance(3)]);
}

#[tokio::test]
async fn a_list_that_goes_round_in_a_circle_is_an_error() {
    let script = Script::new().await;
    let cloud = script.connect().await.unwrap();
    let list = "GET /v2.1/servers/detail?all_tenants=1";
    let page = ok(&json!({"servers": [server(1)], "servers_links": [{"rel": "next", "href": ""}]}));
    script.on(list, [page.clone()]);
    script.on(&format!("{list}&marker={}", instance(1)), [page]);
    assert_eq!(cloud.servers(&ServersQuery::default()).await.unwrap_err().kind, CloudErrorKind::Protocol);
}

#[tokio::test]
async fn server_groups_are_counted_off_until_a_page_is_empty() {
    let script = Script::new().await;
    let cloud = script.connect().await.unwrap();
    let list = |offset| format!("GET /v2.1/os-server-groups?all_projects=True&offset={offset}");
    let group = json!({"id": "g1", "name": "web", "policy": "anti-affinity", "rules": {"max_server_per_host": 2},
                       "members": [instance(1).to_string()], "project_id": "p", "user_id": "u"});
    script.on(&list(0), [ok(&json!({"server_groups": [group]}))]);
    script.on(&list(1), [ok(&json!({"server_groups": []}))]);
    let groups = cloud.server_groups().await.unwrap();
    assert_eq!((groups.len(), groups[0].members.as_slice()), (1, [instance(1)].as_slice()));
    assert_eq!(groups[0].group.rules.max_server_per_host, Some(2));
}

#[tokio::test]
async fn an_answer_that_is_not_what_the_api_promises_is_told_with_its_request() {
    for body in ["{\"services\": [", "<html>", "{\"services\": [{}]}"] {
        let script = Script::new().await;
        let cloud = script.connect().await.unwrap();
        let broken = Reply::Say { status: 200, headers: Vec::new(), body: body.to_owned() };
        script.on(SERVICES, [broken.with("x-openstack-request-id", "req-3")]);
        let error = cloud.services().await.unwrap_err();
        assert_eq!(error.kind, CloudErrorKind::Protocol);
        assert_eq!(error.request.unwrap().as_str(), "req-3");
    }
}

#[tokio::test]
async fn each_call_uses_the_newest_microversion_that_it_knows_and_the_cloud_has() {
    for (nova, versions) in [
        ("2.104", ["2.69", "2.88", "2.98"]),
        ("2.97", ["2.69", "2.88", "2.96"]),
        ("2.93", ["2.69", "2.88", "2.73"]),
        ("2.53", ["2.53"; 3]),
    ] {
        let script = Script::offering(nova, "1.6").await;
        let cloud = script.connect().await.unwrap();
        script.on(SERVICES, [no_services()]);
        script.on("GET /v2.1/os-hypervisors/detail", [ok(&json!({"hypervisors": []}))]);
        script.on("GET /v2.1/servers/detail?all_tenants=1", [ok(&json!({"servers": []}))]);
        cloud.services().await.unwrap();
        cloud.hypervisors().await.unwrap();
        cloud.servers(&ServersQuery::default()).await.unwrap();
        let sent: Vec<_> = script.seen("/v2.1/").into_iter().filter_map(|seen| seen.version).collect();
        assert_eq!(sent, versions.map(|version| format!("compute {version}")), "{nova}");
    }
}

#[tokio::test]
async fn a_cloud_that_is_too_old_is_refused_at_the_start() {
    let script = Script::offering("2.42", "1.39").await;
    let error = script.connect().await.err().unwrap();
    assert_eq!(error.kind, CloudErrorKind::Unsupported);
    assert!(error.to_string().contains("offers microversions up to 2.42, and 2.53 is needed"), "{error}");

    let script = Script::offering("2.53", "1.39").await;
    let cloud = script.connect().await.unwrap();
    let error = cloud.cold_migrate(instance(1), Some(&HostName::new("compute-2"))).await.unwrap_err();
    assert_eq!(error.kind, CloudErrorKind::Unsupported);
    assert!(script.lines("/action").is_empty());
}

#[tokio::test]
async fn endpoints_with_a_project_or_without_a_version_are_understood() {
    let version = json!({"id": "v2.1", "version": "2.104", "links": [{"rel": "self", "href": "http://wrong.invalid/nova/v2.1/"}]});
    for (path, document, at) in [
        ("/nova/v2.1/p1", json!({"version": version}), "GET /nova/v2.1/"),
        ("/nova", json!({"versions": [{"id": "v2.0", "version": "", "links": []}, version]}), "GET /nova/"),
    ] {
        let script = Script::new().await;
        let config = script.config("");
        let base = config.auth_url.as_str().replace("/identity", "");
        let config = script.config(&format!("    compute_endpoint_override: {base}{path}\n"));
        script.on(at, [ok(&document)]);
        let cloud = OpenStack::connect(&config, quick()).await.unwrap();
        let services = if path.ends_with("p1") { "/nova/v2.1/p1" } else { "/nova/v2.1" };
        script.on(&format!("GET {services}/os-services?binary=nova-compute"), [no_services()]);
        cloud.services().await.unwrap();
    }
}

#[tokio::test]
async fn disabling_a_service_is_repeated_because_it_sets_the_same() {
    let script = Script::new().await;
    let cloud = script.connect().await.unwrap();
    let line = "PUT /v2.1/os-services/s1";
    script.on(line, [say(504, &Value::Null), ok(&json!({"service": {}}))]);
    cloud.disable_service(&ServiceId::new("s1"), "fleetmend x").await.unwrap();
    let bodies: Vec<_> = script.seen(line).into_iter().map(|seen| seen.body).collect();
    let sent = json!({"status": "disabled", "disabled_reason": "fleetmend x"});
    assert_eq!(bodies, [sent.clone(), sent]);
}

#[tokio::test]
async fn migrations_in_progress_anywhere_are_asked_for_status_by_status() {
    let script = Script::new().await;
    let cloud = script.connect().await.unwrap();
    let none = ok(&json!({"migrations": []}));
    let words = ["accepted", "queued", "preparing", "running", "running+%28post-copy%29", "pre-migrating", "migrating"];
    for word in words.iter().chain(&["post-migrating", "finished", "confirming", "reverting"]) {
        script.on(&format!("GET /v2.1/os-migrations?status={word}"), [none.clone()]);
    }
    let record = |id: u64, status: &str| {
        json!({"id": id, "uuid": format!("u{id}"), "instance_uuid": instance(1).to_string(), "status": status,
               "migration_type": "live-migration", "source_compute": "compute-1", "dest_compute": null})
    };
    let running = json!({"migrations": [record(4, "running"), record(3, "running")]});
    script.on("GET /v2.1/os-migrations?status=running", [ok(&running)]);
    let query = MigrationsQuery { in_progress: true, ..MigrationsQuery::default() };
    let ids: Vec<u64> = cloud.migrations(&query).await.unwrap().iter().map(|migration| migration.id).collect();
    assert_eq!(ids, [4, 3], "newest first");

    let of_one = format!("GET /v2.1/os-migrations?instance_uuid={}", instance(1));
    script.on(&of_one, [ok(&json!({"migrations": [record(2, "error"), record(1, "completed")]}))]);
    let query = MigrationsQuery { instance: Some(instance(1)), ..MigrationsQuery::default() };
    assert_eq!(cloud.migrations(&query).await.unwrap().len(), 2);
    assert_eq!(cloud.migrations(&MigrationsQuery { in_progress: true, ..query }).await.unwrap(), []);
}

#[tokio::test]
async fn a_migration_that_is_not_shown_has_no_progress() {
    let script = Script::new().await;
    let cloud = script.connect().await.unwrap();
    assert_eq!(cloud.migration_progress(instance(1), 5).await.unwrap(), None);
    let line = format!("GET /v2.1/servers/{}/migrations/5", instance(1));
    script.on(&line, [ok(&json!({"migration": {"id": 5, "memory_total_bytes": null, "memory_remaining_bytes": 7}}))]);
    assert_eq!(cloud.migration_progress(instance(1), 5).await.unwrap().unwrap().memory_remaining, 7);
}

#[tokio::test]
async fn a_provider_is_found_by_the_hosts_name_or_through_its_hypervisor() {
    let script = Script::new().await;
    let cloud = script.connect().await.unwrap();
    let found = |names: &[&str]| {
        let providers: Vec<_> =
            names.iter().map(|name| json!({"uuid": "rp1", "name": name, "generation": 1})).collect();
        ok(&json!({ "resource_providers": providers }))
    };
    script.on("GET /placement/resource_providers?name=compute-1", [found(&[])]);
    script.on("GET /placement/resource_providers?uuid=rp1", [found(&["compute-1.example"])]);
    let hypervisor = json!({"id": "rp1", "hypervisor_hostname": "compute-1.example", "hypervisor_type": "QEMU",
                            "service": {"host": "compute-1", "id": "s1"}});
    script.on("GET /v2.1/os-hypervisors/detail", [ok(&json!({"hypervisors": [hypervisor]}))]);
    let inventory =
        json!({"total": 8, "reserved": 0, "allocation_ratio": 4.0, "min_unit": 1, "max_unit": 8, "step_size": 1});
    let part = |what: &str| format!("GET /placement/resource_providers/rp1/{what}");
    script.on(&part("inventories"), [ok(&json!({"inventories": {"VCPU": inventory}}))]);
    script.on(&part("usages"), [ok(&json!({"usages": {"VCPU": 3}}))]);
    script.on(&part("traits"), [ok(&json!({"traits": ["COMPUTE_NODE"]}))]);
    script.on(&part("aggregates"), [ok(&json!({"aggregates": []}))]);
    let provider = cloud.provider(&HostName::new("compute-1")).await.unwrap().unwrap();
    assert_eq!((provider.capacity.get("VCPU"), provider.used.get("VCPU")), (32, 3));

    script.on(&part("allocations"), [ok(&json!({"allocations": {"c1": {"resources": {"VCPU": 3}}}}))]);
    let allocations = cloud.allocations("rp1").await.unwrap();
    assert_eq!((allocations[0].consumer.as_str(), allocations[0].resources.get("VCPU")), ("c1", 3));

    script.on("GET /placement/resource_providers?name=compute-9", [found(&[])]);
    assert_eq!(cloud.provider(&HostName::new("compute-9")).await.unwrap(), None);
}

#[tokio::test]
async fn a_role_that_does_not_suffice_is_forbidden() {
    let script = Script::new().await;
    let cloud = script.connect().await.unwrap();
    let words = "Policy doesn't allow os_compute_api:os-services:list to be performed.";
    script.on(SERVICES, [say(403, &json!({"forbidden": {"code": 403, "message": words}}))]);
    let error = cloud.services().await.unwrap_err();
    assert_eq!((error.kind, error.message.as_str(), error.is_transient()), (CloudErrorKind::Forbidden, words, false));
}

#[tokio::test]
async fn no_secret_shows_in_any_error() {
    let mut texts = Vec::new();

    // Keystone repeats what it was given.
    let script = Script::new().await;
    let words = format!("Invalid password {PASSWORD}");
    script.on("POST /identity/v3/auth/tokens", [say(401, &json!({"error": {"message": words}}))]);
    texts.push(shown(&script.connect().await.err().unwrap()));

    // A token without a header, without JSON, without a catalog.
    for reply in [ok(&json!({"token": {}})), ok(&Value::Null).with("x-subject-token", TOKEN)] {
        let script = Script::new().await;
        script.on("POST /identity/v3/auth/tokens", [reply]);
        texts.push(shown(&script.connect().await.err().unwrap()));
    }

    // A service repeats the token, hangs, breaks, or answers nonsense.
    let words = format!("Could not find token: {TOKEN}1.");
    let echo = say(400, &json!({"badRequest": {"message": words}}));
    let nonsense = Reply::Say { status: 200, headers: Vec::new(), body: "{".to_owned() };
    for reply in [echo, Reply::Hang, Reply::Break, nonsense] {
        let script = Script::new().await;
        let cloud = script.connect().await.unwrap();
        script.on(SERVICES, [reply]);
        texts.push(shown(&cloud.services().await.unwrap_err()));
    }
    for text in texts {
        assert!(!text.contains(PASSWORD) && !text.contains(TOKEN), "{text}");
    }
}

#[tokio::test]
async fn masakaris_hosts_are_read_page_by_page_and_a_cloud_without_it_has_none() {
    let script = Script::new().await;
    assert_eq!(script.connect().await.unwrap().ha_hosts().await.unwrap(), None);

    let script = Script::new().await;
    let mut token = script::token(&script.url());
    let endpoint =
        json!({"interface": "public", "region": "R1", "region_id": "R1", "url": format!("{}/ha/v1", script.url())});
    token["token"]["roles"] = json!([{"id": "1", "name": "admin"}, {"id": "2", "name": "reader"}]);
    let services = token["token"]["catalog"].as_array_mut().unwrap();
    services.push(json!({"type": "instance-ha", "name": "masakari", "endpoints": [endpoint]}));
    script.on("POST /identity/v3/auth/tokens", [ok(&token).with("x-subject-token", TOKEN)]);
    let segment = |name: &str| json!({"segments": [{"uuid": name, "name": format!("segment {name}")}]});
    let host = |id: &str, reserved: bool| json!({"hosts": [{"uuid": id, "name": format!("compute-{id}"), "reserved": reserved, "on_maintenance": false}]});
    script.on("GET /ha/v1/segments?limit=1000", [ok(&segment("s"))]);
    script.on("GET /ha/v1/segments?limit=1000&marker=s", [ok(&json!({"segments": []}))]);
    script.on("GET /ha/v1/segments/s/hosts?limit=1000", [ok(&host("1", false))]);
    script.on("GET /ha/v1/segments/s/hosts?limit=1000&marker=1", [ok(&host("2", true))]);
    // A service that takes no notice of the marker.
    script.on("GET /ha/v1/segments/s/hosts?limit=1000&marker=2", [ok(&host("2", true))]);
    let cloud = script.connect().await.unwrap();
    let found = cloud.ha_hosts().await.unwrap().unwrap();
    let told: Vec<(&str, &str, bool)> =
        found.iter().map(|host| (host.host.as_str(), host.segment.as_str(), host.reserved)).collect();
    assert_eq!(told, [("compute-1", "segment s", false), ("compute-2", "segment s", true)]);
    let standing = cloud.standing().await.unwrap();
    assert_eq!(standing.roles, ["admin", "reader"]);
    let offers: Vec<String> =
        standing.offers.iter().map(|offer| format!("{} {}", offer.service, offer.newest)).collect();
    assert_eq!(offers, ["nova 2.104", "placement 1.39"]);
}
