//! Lists in pages: each page is asked for by the marker of the last item of the one before.
//!
//! No page size is asked for, nor an order: with either of them Nova leaves out the instances of a cell that does not
//! answer, without a word. Its own maximum (1000 unless configured) makes the pages.

use std::collections::BTreeSet;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::cloud::openstack::OpenStack;
use crate::cloud::openstack::version::Microversion;
use crate::cloud::{CloudError, CloudErrorKind, CloudResult};

/// Times that a list is begun anew when the item that marks a page is deleted meanwhile.
const RESTARTS: u32 = 3;

/// A list that Nova gives in pages.
pub(super) struct Paged<'a> {
    pub(super) operation: &'a str,
    pub(super) path: &'a [&'a str],
    pub(super) query: &'a [(&'a str, &'a str)],
    pub(super) version: Microversion,
}

/// One page of a list.
pub(super) trait Page: DeserializeOwned {
    /// What is listed.
    type Item;

    /// What marks the page that ends with this item.
    fn marker(item: &Self::Item) -> String;

    /// The items of this page, and Nova's links around it.
    fn into_parts(self) -> (Vec<Self::Item>, Vec<PageLink>);
}

/// A link around a page. Only that there is one is believed: behind a proxy it leads to a host that is not ours to reach.
#[derive(Deserialize)]
pub(super) struct PageLink {
    rel: String,
}

/// Collects every page.
pub(super) async fn collect<P: Page>(cloud: &OpenStack, list: &Paged<'_>) -> CloudResult<Vec<P::Item>> {
    let mut restarts = 0;
    loop {
        match one_pass::<P>(cloud, list).await {
            // Nova answers 400 when the marker is gone.
            Err(Pass { error, pages }) if error.kind == CloudErrorKind::Refused && pages > 0 && restarts < RESTARTS => {
                restarts += 1;
            }
            Err(Pass { error, .. }) => return Err(error),
            Ok(items) => return Ok(items),
        }
    }
}

/// A pass over a list that failed after some pages.
struct Pass {
    error: CloudError,
    pages: u32,
}

async fn one_pass<P: Page>(cloud: &OpenStack, list: &Paged<'_>) -> Result<Vec<P::Item>, Pass> {
    let mut items = Vec::new();
    let mut markers = BTreeSet::new();
    let mut marker: Option<String> = None;
    for pages in 0.. {
        let mut query = list.query.to_vec();
        query.extend(marker.as_deref().map(|marker| ("marker", marker)));
        let call = cloud.nova.get(list.operation, list.path, &query, list.version);
        let failed = |error| Pass { error, pages };
        let page: P = cloud.session.send(call).await.map_err(failed)?.json().map_err(failed)?;
        let (page, links) = page.into_parts();
        let end = page.last().map(P::marker);
        items.extend(page);
        let Some(end) = end.filter(|_| links.iter().any(|link| link.rel == "next")) else { break };
        if !markers.insert(end.clone()) {
            let message = "the pages of the list go round in a circle";
            return Err(failed(CloudError::new(CloudErrorKind::Protocol, list.operation, message)));
        }
        marker = Some(end);
    }
    Ok(items)
}
