//! [`HostShell`] of a simulated region that another process serves: what ssh is to real hosts.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use url::Url;

use super::http::hosts::{Operation, boot_in, error_in, facts_in, status_in};
use super::ports::work_of;
use crate::host::{
    Boot, FenceOrder, HostError, HostErrorKind, HostResult, HostShell, Inquiry, JobOrder, JobStatus, RawFacts,
    RebootOrder,
};
use crate::http::{HttpError, JsonClient};
use crate::model::{Domain, HostIdentity, HostName, UnitName};

/// The simulator answers at once but for the time that its ssh waits for a host that is away.
const TIMEOUT: Duration = Duration::from_secs(60);

/// A way to the hosts of a simulated region in another process.
#[derive(Debug, Clone)]
pub struct SimRemoteShell {
    base: Url,
    client: JsonClient,
}

impl SimRemoteShell {
    /// A way to the hosts of the region at `base`, as `hosts_via: {simulator: URL}` of the configuration names it.
    ///
    /// # Errors
    /// When no HTTP client can be made.
    pub fn new(base: Url) -> Result<Self, HttpError> {
        Ok(Self { base, client: JsonClient::direct(TIMEOUT)? })
    }

    async fn run<T>(
        &self,
        host: &HostName,
        operation: &Operation,
        read: impl FnOnce(Value) -> Option<T> + Send,
    ) -> HostResult<T> {
        let name = operation.name();
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            let path = ["fleetmend-sim", "v1", "hosts", host.as_str(), operation.word()];
            segments.pop_if_empty().extend(path);
        }
        let answer = self.client.post(&url, &json!(operation)).await.map_err(|error| {
            let kind = match error {
                HttpError::TimedOut { .. } => HostErrorKind::TimedOut,
                HttpError::Client(_) | HttpError::Unreachable { .. } => HostErrorKind::Unreachable,
                HttpError::NotJson { .. } => HostErrorKind::Protocol,
            };
            HostError::new(host, name, kind, error.to_string())
        })?;
        if answer.status != 200 {
            return Err(error_in(host, name, &answer.body));
        }
        read(answer.body)
            .ok_or_else(|| HostError::new(host, name, HostErrorKind::Protocol, "the simulator's answer is not one"))
    }

    async fn order(&self, host: &HostName, operation: &Operation) -> HostResult<()> {
        self.run(host, operation, |_| Some(())).await
    }
}

#[async_trait]
impl HostShell for SimRemoteShell {
    async fn collect(&self, host: &HostName, inquiry: &Inquiry) -> HostResult<RawFacts> {
        let operation = Operation::Collect { inquiry: inquiry.clone() };
        self.run(host, &operation, |value| facts_in(&value)).await
    }

    async fn identity(&self, host: &HostName) -> HostResult<HostIdentity> {
        self.run(host, &Operation::Identity, |value| serde_json::from_value(value).ok()).await
    }

    async fn boot(&self, host: &HostName) -> HostResult<Boot> {
        self.run(host, &Operation::Boot, |value| boot_in(&value)).await
    }

    async fn domains(&self, host: &HostName) -> HostResult<Vec<Domain>> {
        self.run(host, &Operation::Domains, |value| serde_json::from_value(value).ok()).await
    }

    async fn start_job(&self, order: &JobOrder) -> HostResult<()> {
        let operation = Operation::StartJob {
            identity: order.identity.clone(),
            unit: order.unit.clone(),
            work: work_of(&order.job),
            limit_s: order.limit.as_secs(),
        };
        self.order(&order.host, &operation).await
    }

    async fn job(&self, host: &HostName, unit: &UnitName) -> HostResult<JobStatus> {
        self.run(host, &Operation::Job { unit: unit.clone() }, |value| status_in(&value)).await
    }

    async fn forget_job(&self, host: &HostName, unit: &UnitName) -> HostResult<()> {
        self.order(host, &Operation::ForgetJob { unit: unit.clone() }).await
    }

    async fn fence(&self, order: &FenceOrder) -> HostResult<()> {
        let operation = Operation::Fence { identity: order.identity.clone(), up: order.up };
        self.order(&order.host, &operation).await
    }

    async fn reboot(&self, order: &RebootOrder) -> HostResult<()> {
        let operation = Operation::Reboot { identity: order.identity().clone(), boot: order.boot().to_owned() };
        self.order(order.host(), &operation).await
    }
}
