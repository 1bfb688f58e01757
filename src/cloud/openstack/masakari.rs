//! Masakari: the hosts that it watches. Read only.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use url::Url;

use super::OpenStack;
use super::catalog;
use super::session::Call;
use crate::cloud::{CloudResult, HaHost};
use crate::config::clouds::ServiceChoice;
use crate::model::HostName;

/// Its types in catalogs: the official one, and what older deployments call it.
const TYPES: [&str; 3] = ["instance-ha", "ha", "masakari"];

/// Masakari's own `osapi_max_limit`.
const PAGE: &str = "1000";

#[derive(Deserialize)]
struct Segments {
    segments: Vec<Segment>,
}

#[derive(Deserialize)]
struct Segment {
    uuid: String,
    name: String,
}

#[derive(Deserialize)]
struct Hosts {
    hosts: Vec<WireHost>,
}

#[derive(Deserialize)]
struct WireHost {
    uuid: String,
    name: String,
    #[serde(default)]
    reserved: bool,
    #[serde(default)]
    on_maintenance: bool,
}

/// The hosts of all segments; `None` where the catalog has no Masakari.
pub(super) async fn hosts(cloud: &OpenStack) -> CloudResult<Option<Vec<HaHost>>> {
    let Some(url) = endpoint(cloud).await? else { return Ok(None) };
    let mut found = Vec::new();
    let segments: Vec<Segment> =
        paged(cloud, &url, &["segments"], |page: Segments| page.segments, |segment| &segment.uuid).await?;
    for segment in segments {
        let path = ["segments", &segment.uuid, "hosts"];
        let hosts: Vec<WireHost> = paged(cloud, &url, &path, |page: Hosts| page.hosts, |host| &host.uuid).await?;
        found.extend(hosts.into_iter().map(|host| HaHost {
            host: HostName::new(&host.name),
            segment: segment.name.clone(),
            reserved: host.reserved,
            on_maintenance: host.on_maintenance,
        }));
    }
    Ok(Some(found))
}

async fn endpoint(cloud: &OpenStack) -> CloudResult<Option<Url>> {
    let choice = |kind: &str| ServiceChoice {
        service_type: kind.to_owned(),
        service_name: None,
        interfaces: cloud.interfaces.clone(),
        region: None,
        endpoint: None,
    };
    let region = Some(cloud.region.as_str()).filter(|region| !region.is_empty());
    let find = |entries: &[catalog::CatalogEntry]| {
        TYPES.iter().find_map(|kind| catalog::choose(entries, &choice(kind), region).ok())
    };
    Ok(cloud.session.with_catalog(find).await?.map(|endpoint| endpoint.url))
}

/// Every page of a list. A service that takes no notice of `marker` gives the same page again, which ends it.
async fn paged<P: DeserializeOwned, T>(
    cloud: &OpenStack,
    base: &Url,
    path: &[&str],
    items: impl Fn(P) -> Vec<T>,
    id: impl Fn(&T) -> &str,
) -> CloudResult<Vec<T>> {
    let mut all: Vec<T> = Vec::new();
    loop {
        let mut url = base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url.query_pairs_mut().append_pair("limit", PAGE);
        if let Some(last) = all.last() {
            url.query_pairs_mut().append_pair("marker", id(last));
        }
        let operation = format!("list {} of masakari", path.join("/"));
        let page = items(cloud.session.send(Call::get(operation, url)).await?.json()?);
        let fresh: Vec<T> = page.into_iter().filter(|one| !all.iter().any(|known| id(known) == id(one))).collect();
        if fresh.is_empty() {
            return Ok(all);
        }
        all.extend(fresh);
    }
}
