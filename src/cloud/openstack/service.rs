//! One service of the region: where it is, what it offers, and requests to it.

use reqwest::Method;
use serde_json::Value;
use url::Url;

use super::catalog;
use super::retry::Repeat;
use super::session::{Answer, Call, Session};
use super::version::{Document, Microversion, Offered};
use crate::cloud::{CloudError, CloudErrorKind, CloudResult, Offer};
use crate::config::clouds::ServiceChoice;

/// A kind of service.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kind {
    /// For people.
    name: &'static str,
    /// Its word in `OpenStack-API-Version`.
    header: &'static str,
    /// Major version of its API.
    major: u16,
}

/// Nova.
pub(super) const NOVA: Kind = Kind { name: "nova", header: "compute", major: 2 };

/// Placement.
pub(super) const PLACEMENT: Kind = Kind { name: "placement", header: "placement", major: 1 };

/// A service that was found.
pub(super) struct Service {
    kind: Kind,
    url: Url,
    region: Option<String>,
    offered: Offered,
}

impl Service {
    /// Finds a service in the catalog and asks it what it offers.
    pub(super) async fn find(
        session: &Session,
        kind: Kind,
        choice: &ServiceChoice,
        region: Option<&str>,
    ) -> CloudResult<Self> {
        let operation = format!("find {}", kind.name);
        let region = region.filter(|region| !region.is_empty());
        let endpoint = session
            .with_catalog(|catalog| catalog::choose(catalog, choice, region))
            .await?
            .map_err(|message| CloudError::new(CloudErrorKind::Configuration, &operation, message))?;
        let document = document(session, kind, &endpoint.url).await?;
        let described = document.describe(kind.major).ok_or_else(|| {
            let message = format!("{} has no version {} with microversions", endpoint.url, kind.major);
            CloudError::new(CloudErrorKind::Unsupported, &operation, message)
        })?;
        let mut url = endpoint.url;
        if let Some(path) = described.path {
            url.set_path(&path);
        }
        Ok(Self { kind, url, region: endpoint.region, offered: described.offered })
    }

    /// The region that it is in, where the catalog says so.
    pub(super) fn region(&self) -> Option<&str> {
        self.region.as_deref()
    }

    /// What it offers.
    pub(super) fn offer(&self) -> Offer {
        Offer { service: self.kind.name.to_owned(), newest: self.offered.0.to_string() }
    }

    /// Refuses a service that is older than `needed`.
    pub(super) fn offers(&self, needed: Microversion) -> CloudResult<()> {
        self.version("check versions", &[needed]).map(|_| ())
    }

    /// The newest of `known` that the service has; an error that says what `operation` needs.
    pub(super) fn version(&self, operation: &str, known: &[Microversion]) -> CloudResult<Microversion> {
        self.offered.newest(known).ok_or_else(|| {
            let needed = known.last().map(ToString::to_string).unwrap_or_default();
            let message = format!(
                "{} at {} offers microversions up to {}, and {needed} is needed",
                self.kind.name, self.url, self.offered.0
            );
            CloudError::new(CloudErrorKind::Unsupported, operation, message)
        })
    }

    /// A request that reads `path` with `query`.
    pub(super) fn get(
        &self,
        operation: impl Into<String>,
        path: &[&str],
        query: &[(&str, &str)],
        version: Microversion,
    ) -> Call {
        let mut url = self.join(path);
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        Call { version: Some((self.kind.header, version)), ..Call::get(operation, url) }
    }

    /// A request that changes something.
    pub(super) fn change(
        &self,
        operation: impl Into<String>,
        method: Method,
        path: &[&str],
        body: Option<Value>,
        version: Microversion,
    ) -> Call {
        Call { method, body, repeat: Repeat::UnlessItArrived, ..self.get(operation, path, &[], version) }
    }

    fn join(&self, path: &[&str]) -> Url {
        let mut url = self.url.clone();
        // `Err` means a URL like `mailto:`; the catalog's have a host, or they would not have answered.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path);
        }
        url
    }
}

/// The service's document about its versions, at the endpoint or, where that ends with a project's id, above it.
async fn document(session: &Session, kind: Kind, endpoint: &Url) -> CloudResult<Document> {
    let operation = format!("ask {} for its versions", kind.name);
    let answer: CloudResult<Answer> = session.send(Call::get(&operation, with_slash(endpoint))).await;
    match answer {
        Err(error) if error.kind == CloudErrorKind::NotFound && endpoint.path().len() > 1 => {
            let mut above = endpoint.clone();
            if let Ok(mut segments) = above.path_segments_mut() {
                segments.pop_if_empty().pop();
            }
            session.send(Call::get(&operation, with_slash(&above))).await?.json()
        }
        answer => answer?.json(),
    }
}

/// Nova redirects `/v2.1` to `/v2.1/`, and redirects are not followed.
fn with_slash(url: &Url) -> Url {
    let mut url = url.clone();
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    url
}
