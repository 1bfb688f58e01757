//! nova-compute services: the row that an admin changes, and the process whose reports decide `up` or `down`.

use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;

use super::host::SimHost;
use super::{Refusal, World};
use crate::model::{HostName, RequestId, ServiceId, ServiceState, ServiceStatus};
use crate::sim::faults::When;

/// A row of Nova's table of services.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceRow {
    /// Id: a UUID, unless a scenario takes it from elsewhere.
    pub id: ServiceId,
    /// Enabled or disabled.
    pub status: ServiceStatus,
    /// Why it is disabled.
    pub disabled_reason: Option<String>,
    /// Declared down by an operator.
    pub forced_down: bool,
    /// When an admin last changed the row.
    touched: Timestamp,
}

impl ServiceRow {
    pub(super) fn new(id: ServiceId, now: Timestamp) -> Self {
        Self { id, status: ServiceStatus::Enabled, disabled_reason: None, forced_down: false, touched: now }
    }
}

/// The nova-compute process of a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComputeProcess {
    pub(super) state: ComputeState,
    /// Tells starts apart.
    pub(super) epoch: u32,
    /// The last report before the process ended.
    last_report: Timestamp,
    /// Reports do not arrive between these.
    pub(super) silent: Option<(Timestamp, Timestamp)>,
}

/// Where the process stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ComputeState {
    /// Ended.
    Stopped,
    /// Started, works from its first report on.
    Starting,
    /// Works; reported first at this time.
    Working(Timestamp),
}

impl ComputeProcess {
    /// A process that works and reports `phase` after `now` for the first time as seen from here.
    pub(super) fn running_since(now: Timestamp, phase: Duration) -> Self {
        let first = now.checked_sub(phase).unwrap_or(now);
        Self { state: ComputeState::Working(first), epoch: 0, last_report: first, silent: None }
    }

    /// Whether the process exists, working or starting.
    pub fn is_started(&self) -> bool {
        self.state != ComputeState::Stopped
    }

    /// Whether it takes messages.
    pub fn is_working(&self) -> bool {
        matches!(self.state, ComputeState::Working(_))
    }

    /// When it last reported.
    fn last_report(&self, now: Timestamp, interval: Duration) -> Timestamp {
        match self.state {
            ComputeState::Stopped | ComputeState::Starting => self.last_report,
            ComputeState::Working(first) => {
                let until = match self.silent {
                    Some((from, to)) if from <= now && now < to => from,
                    Some(_) | None => now,
                };
                last_tick(first, until, interval).max(self.last_report)
            }
        }
    }

    /// Ended at `at`, with its last report.
    pub(super) fn die_at(&mut self, at: Timestamp) {
        self.last_report = at;
        self.state = ComputeState::Stopped;
        self.epoch += 1;
    }

    pub(super) fn stop(&mut self, now: Timestamp, interval: Duration) {
        self.last_report = self.last_report(now, interval);
        self.state = ComputeState::Stopped;
        self.epoch += 1;
    }
}

/// The last of the ticks `first`, `first + interval`, … that is not after `now`.
fn last_tick(first: Timestamp, now: Timestamp, interval: Duration) -> Timestamp {
    let step = interval.as_nanos().max(1);
    let passed = now.duration_since(first).as_nanos().max(0).unsigned_abs();
    let ticks = Duration::from_nanos(u64::try_from(passed / step * step).unwrap_or(u64::MAX));
    super::later(first, ticks)
}

/// What an admin wants changed of a service.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceChange {
    /// Enabled or disabled.
    pub status: Option<ServiceStatus>,
    /// The reason; only together with `Disabled`.
    pub disabled_reason: Option<String>,
    /// Declared down or no longer.
    pub forced_down: Option<bool>,
}

impl World {
    /// `state` as the API shows it.
    pub fn service_state(&self, host: &SimHost) -> ServiceState {
        let silent_for = self.now.duration_since(host.compute.last_report(self.now, self.timing.report_interval.get()));
        let down = silent_for.unsigned_abs() > self.timing.service_down.get();
        if down || host.service.forced_down { ServiceState::Down } else { ServiceState::Up }
    }

    /// `updated_at` as the API shows it: the last report, or the last change by an admin.
    pub fn service_updated(&self, host: &SimHost) -> Timestamp {
        host.compute.last_report(self.now, self.timing.report_interval.get()).max(host.service.touched)
    }

    /// The host of a service.
    pub fn service_host(&self, id: &ServiceId) -> Option<&SimHost> {
        self.host_of_service.get(id).and_then(|name| self.hosts.get(name))
    }

    /// `PUT /os-services/{id}`.
    pub fn update_service(&mut self, id: &str, change: &ServiceChange) -> Result<(HostName, RequestId), Refusal> {
        let name = self.service_host(&ServiceId::new(id)).map(|host| host.name.clone());
        if name.is_none() && id.parse::<Uuid>().is_err() {
            return Err(Refusal::bad_request(format!("Invalid uuid {id}")));
        }
        let name = name.ok_or_else(|| Refusal::not_found(format!("Service {id} could not be found.")))?;
        if change.status == Some(ServiceStatus::Enabled) && change.disabled_reason.is_some() {
            return Err(Refusal::bad_request("Specifying 'disabled_reason' with status 'enabled' is invalid."));
        }
        if change.status.is_none() && change.forced_down.is_none() {
            return Err(Refusal::bad_request(
                "No updates were requested. Fields 'status' or 'forced_down' should be specified.",
            ));
        }
        let now = self.now;
        if let Some(host) = self.hosts.get_mut(&name) {
            host.service.touched = now;
            if let Some(forced_down) = change.forced_down {
                host.service.forced_down = forced_down;
            }
            if let Some(status) = change.status {
                host.service.status = status;
                // The column takes 255 characters.
                host.service.disabled_reason =
                    change.disabled_reason.as_ref().map(|reason| reason.chars().take(255).collect());
                if host.compute.is_working() {
                    host.disabled_trait = status == ServiceStatus::Disabled;
                }
            }
        }
        self.record_change(|| format!("service {name} {change:?}"));
        match change.status {
            Some(ServiceStatus::Disabled) => self.trigger(&When::Disabled(name.clone())),
            Some(ServiceStatus::Enabled) => self.trigger(&When::Enabled(name.clone())),
            None => {}
        }
        let request = self.next_request();
        Ok((name, request))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_come_at_their_interval_and_stop_with_the_process() {
        let start: Timestamp = "2026-11-22T12:00:00Z".parse().unwrap();
        let interval = Duration::from_secs(10);
        let at = |seconds| super::super::later(start, Duration::from_secs(seconds));
        let mut process = ComputeProcess::running_since(at(4), Duration::from_secs(4));
        assert_eq!(process.last_report(at(9), interval), at(0));
        assert_eq!(process.last_report(at(25), interval), at(20));
        process.silent = Some((at(31), at(60)));
        assert_eq!(process.last_report(at(59), interval), at(30), "reports are lost while silent");
        assert_eq!(process.last_report(at(60), interval), at(60));
        process.stop(at(65), interval);
        assert_eq!(process.last_report(at(500), interval), at(60));
    }
}
