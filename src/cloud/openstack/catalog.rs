//! Which endpoint of the catalog serves a request: by type, name, interface and region.

use std::collections::BTreeSet;

use serde::Deserialize;
use url::Url;

use crate::config::clouds::{Interface, ServiceChoice};

/// A service in the catalog.
#[derive(Deserialize)]
pub(super) struct CatalogEntry {
    #[serde(rename = "type")]
    service_type: String,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    endpoints: Vec<CatalogEndpoint>,
}

#[derive(Deserialize)]
struct CatalogEndpoint {
    interface: String,
    #[serde(default)]
    region_id: Option<String>,
    #[serde(default)]
    region: Option<String>,
    url: String,
}

impl CatalogEndpoint {
    fn region(&self) -> Option<&str> {
        self.region_id.as_deref().or(self.region.as_deref())
    }
}

/// Where a service is, and in which region that is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Endpoint {
    /// Its URL, without credentials.
    pub(super) url: Url,
    /// The region that the catalog puts it in; absent for an override.
    pub(super) region: Option<String>,
}

/// Chooses the endpoint of one service; the error says what the catalog has instead.
pub(super) fn choose(
    catalog: &[CatalogEntry],
    choice: &ServiceChoice,
    region: Option<&str>,
) -> Result<Endpoint, String> {
    let region = choice.region.as_deref().or(region);
    if let Some(url) = &choice.endpoint {
        return Ok(Endpoint { url: url.clone(), region: region.map(str::to_owned) });
    }
    let what = &choice.service_type;
    let named = |entry: &&CatalogEntry| choice.service_name.is_none() || entry.name == choice.service_name;
    let services: Vec<&CatalogEntry> =
        catalog.iter().filter(|entry| entry.service_type == *what).filter(named).collect();
    if services.is_empty() {
        return Err(if catalog.is_empty() {
            "the token has no catalog: name a project in the cloud's settings".to_owned()
        } else {
            format!(
                "the catalog has no service of type `{what}`, only {}",
                listed(catalog.iter().map(|e| &e.service_type))
            )
        });
    }
    let endpoints: Vec<&CatalogEndpoint> = services.iter().flat_map(|entry| &entry.endpoints).collect();
    let offered = |interface: Interface| {
        let face = move |word: &str| word.trim_end_matches("URL") == interface.as_str();
        endpoints.iter().filter(move |endpoint| face(&endpoint.interface))
    };
    for interface in &choice.interfaces {
        let here: Vec<_> =
            offered(*interface).filter(|endpoint| region.is_none() || endpoint.region() == region).collect();
        let regions: BTreeSet<_> = here.iter().filter_map(|endpoint| endpoint.region()).collect();
        if regions.len() > 1 {
            return Err(format!("the cloud has several regions: choose one of {}", listed(regions)));
        }
        if let Some(endpoint) = here.first() {
            return Ok(Endpoint { url: clean(&endpoint.url)?, region: endpoint.region().map(str::to_owned) });
        }
    }
    let offers = endpoints.iter().map(|e| format!("{} in {}", e.interface, e.region().unwrap_or("no region")));
    let faces = listed(choice.interfaces.iter().map(|interface| interface.as_str()));
    let place = region.map(|region| format!(" in region `{region}`")).unwrap_or_default();
    Err(format!("the catalog has no {faces} endpoint of `{what}`{place}, only {}", listed(offers)))
}

/// A URL of the catalog, without credentials.
fn clean(text: &str) -> Result<Url, String> {
    let mut url: Url = text.parse().map_err(|error| format!("the catalog has a URL that is none: {error}"))?;
    // Neither can fail for a URL that has a host, and one without a host has no credentials.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    Ok(url)
}

fn listed<S: ToString>(items: impl IntoIterator<Item = S>) -> String {
    let unique: BTreeSet<String> = items.into_iter().map(|item| format!("`{}`", item.to_string())).collect();
    unique.into_iter().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalog() -> Vec<CatalogEntry> {
        serde_json::from_str(
            r#"[{"type": "compute", "name": "nova", "id": "1", "endpoints": [
                  {"id": "a", "interface": "public", "region": "R1", "region_id": "R1", "url": "https://one/v2.1"},
                  {"id": "b", "interface": "internal", "region": "R1", "region_id": "R1", "url": "http://u:p@inner/v2.1"},
                  {"id": "c", "interface": "public", "region": "R2", "region_id": "R2", "url": "https://two/v2.1"}]},
                {"type": "identity", "endpoints": []}]"#,
        )
        .unwrap()
    }

    fn choice(interfaces: &[Interface]) -> ServiceChoice {
        ServiceChoice {
            service_type: "compute".to_owned(),
            service_name: None,
            interfaces: interfaces.to_vec(),
            region: None,
            endpoint: None,
        }
    }

    #[test]
    fn interface_and_region_choose_the_endpoint() {
        use Interface::{Admin, Internal, Public};
        let url = |interfaces: &[Interface], region| {
            choose(&catalog(), &choice(interfaces), Some(region)).map(|endpoint| endpoint.url.to_string())
        };
        assert_eq!(url(&[Public], "R2").unwrap(), "https://two/v2.1");
        assert_eq!(url(&[Admin, Internal, Public], "R1").unwrap(), "http://inner/v2.1", "and no credentials");
        assert_eq!(url(&[Admin, Internal, Public], "R2").unwrap(), "https://two/v2.1");
        let own = ServiceChoice { region: Some("R2".to_owned()), ..choice(&[Public]) };
        assert_eq!(choose(&catalog(), &own, Some("R1")).unwrap().region.as_deref(), Some("R2"));
        let fixed = ServiceChoice { endpoint: Some("http://mine/".parse().unwrap()), ..choice(&[Public]) };
        assert_eq!(choose(&[], &fixed, Some("R1")).unwrap().url.as_str(), "http://mine/");
    }

    #[test]
    fn what_the_catalog_lacks_is_told_with_what_it_has() {
        let refused = |choice: &ServiceChoice, region| choose(&catalog(), choice, region).unwrap_err();
        let public = choice(&[Interface::Public]);
        assert_eq!(refused(&public, None), "the cloud has several regions: choose one of `R1`, `R2`");
        assert_eq!(
            refused(&choice(&[Interface::Admin]), Some("R1")),
            "the catalog has no `admin` endpoint of `compute` in region `R1`, only `internal in R1`, `public in R1`, `public in R2`"
        );
        let placement = ServiceChoice { service_type: "placement".to_owned(), ..public };
        assert!(refused(&placement, Some("R1")).contains("no service of type `placement`, only `compute`, `identity`"));
        assert!(choose(&[], &placement, None).unwrap_err().contains("no catalog"));
    }
}
