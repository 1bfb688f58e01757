//! Nova's own records of migrations, held against the plan.

#![expect(clippy::wildcard_enum_match_arm, reason = "a test picks the events that it is about")]

use std::collections::BTreeMap;

use fleetmend::model::{HostName, StepId};
use fleetmend::plan::Rollout;
use fleetmend::run::{Event, EventKind};
use reqwest::Method;
use serde_json::Value;

use super::raw::Raw;

/// Live migrations that Nova wrote down from `since` on (its own time), in the order in which they were asked for.
pub async fn since(raw: &Raw, since: &str) -> Vec<Value> {
    let path = format!("/os-migrations?migration_type=live-migration&changes-since={since}");
    let answer = raw.call(Method::GET, "compute", &path, None).await;
    let mut records = answer["migrations"].as_array().unwrap().clone();
    records.retain(|record| record["created_at"].as_str().unwrap() >= since.trim_end_matches('Z'));
    records.sort_by_key(|record| record["id"].as_u64());
    records
}

/// Each planned move is one completed record, and there is no other: from the planned host to the planned target, or to
/// another where the journal says why.
pub fn assert_moves_are_those_of(rollout: &Rollout, events: &[Event], records: &[Value]) {
    let elsewhere: BTreeMap<&StepId, &HostName> = events
        .iter()
        .filter_map(|event| match &event.kind {
            EventKind::StepStarted { step, target: Some(target), because: Some(_), .. } => Some((step, target)),
            _ => None,
        })
        .collect();
    let text = |record: &Value, field: &str| record[field].as_str().unwrap_or_default().to_owned();
    let mut recorded: Vec<[String; 4]> = records
        .iter()
        .map(|record| ["instance_uuid", "source_compute", "dest_compute", "status"].map(|field| text(record, field)))
        .collect();
    let planned = rollout.hosts.iter().flat_map(|host| &host.moves);
    let mut planned: Vec<[String; 4]> = planned
        .map(|planned| {
            let step = StepId::of_move(&planned.from, planned.instance);
            let target = elsewhere.get(&step).copied().unwrap_or(&planned.to);
            [planned.instance.to_string(), planned.from.to_string(), target.to_string(), "completed".to_owned()]
        })
        .collect();
    recorded.sort();
    planned.sort();
    assert_eq!(recorded, planned);
    assert_eq!(records.len(), rollout.certificate.moves);
}

/// Hosts were drained in the order of the plan, and of each host the instances in the order of the plan: none further from
/// its place than migrations leave a host side by side, for those are asked for in any order.
pub fn assert_order_is_that_of(rollout: &Rollout, records: &[Value]) {
    let mut drained: Vec<HostName> = Vec::new();
    let mut instances: BTreeMap<HostName, Vec<String>> = BTreeMap::new();
    for record in records {
        let host = HostName::new(record["source_compute"].as_str().unwrap());
        if !drained.contains(&host) {
            drained.push(host.clone());
        }
        instances.entry(host).or_default().push(record["instance_uuid"].as_str().unwrap().to_owned());
    }
    let starts: BTreeMap<&HostName, f64> = rollout.hosts.iter().map(|host| (&host.host, host.start_s)).collect();
    let begun: Vec<f64> = drained.iter().map(|host| starts[host]).collect();
    assert!(begun.is_sorted(), "hosts in the planned order: {drained:?} at {begun:?}");
    let beside = rollout.policy.limits.migrations_per_source - 1;
    for host in rollout.hosts.iter().filter(|host| !host.moves.is_empty()) {
        let begins: BTreeMap<String, f64> =
            host.moves.iter().map(|planned| (planned.instance.to_string(), planned.start_s)).collect();
        let asked: Vec<f64> = instances[&host.host].iter().map(|instance| begins[instance]).collect();
        for (place, start) in asked.iter().enumerate() {
            let earlier = begins.values().filter(|other| *other < start).count();
            let not_later = begins.values().filter(|other| *other <= start).count();
            assert!(place + beside >= earlier && place < not_later + beside, "{}: {asked:?}", host.host);
        }
    }
}
