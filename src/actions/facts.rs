//! Facts of the host, freshly.

use super::{StepContext, StepError};
use crate::host::{Inquiry, RawFacts, facts};
use crate::model::HostFacts;

/// What can be read on the host, as text.
pub(super) async fn raw(cx: &StepContext<'_>, inquiry: &Inquiry) -> Result<RawFacts, StepError> {
    let host = &cx.host.host;
    let raw = cx.shell.collect(host, inquiry).await;
    raw.map_err(|error| StepError::host(format!("could not read the facts of {host}"), error))
}

/// What can be read on the host, for the remedy.
pub(super) async fn facts(cx: &StepContext<'_>) -> Result<HostFacts, StepError> {
    Ok(facts::parse(&raw(cx, &cx.rollout.remedy.inquiry()).await?))
}

/// State of the nova-compute unit as systemd words it; `None` where it could not be read.
pub(super) async fn compute_unit(cx: &StepContext<'_>) -> Result<Option<String>, StepError> {
    Ok(facts::compute_unit(&raw(cx, &Inquiry::default()).await?))
}
