//! Watches a rehearsed run: how much was out of service, on its way and in use at once, and when it paused.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::figures::ZoneLoad;
use crate::actions::Progress;
use crate::model::{HostName, Region, Resources, ServiceState, ServiceStatus, StepId, ZoneName};
use crate::run::{Event, EventKind, Observer, PauseCause, RunState};

/// The watcher of one run.
pub(super) struct Watch<'a> {
    /// Told whenever a host has ended.
    ended: &'a (dyn Fn() + Sync),
    zones: BTreeMap<Option<ZoneName>, Zone>,
    /// Zone and capacity of each host in service at the beginning.
    hosts: BTreeMap<HostName, (Option<ZoneName>, Resources)>,
    out: BTreeSet<HostName>,
    moving: BTreeSet<StepId>,
    /// Most hosts out of service at once.
    pub peak_hosts_out: usize,
    /// Most migrations in flight at once.
    pub peak_migrations: usize,
    /// When the run began.
    pub began: Option<Timestamp>,
    /// When it last paused, why, and in which words.
    pub paused: Option<(Timestamp, PauseCause, String)>,
    /// The time of its last event.
    pub last: Option<Timestamp>,
}

/// What a zone holds and has to hold it.
#[derive(Debug, Default)]
struct Zone {
    used: Resources,
    capacity: Resources,
    peak: f64,
    class: String,
}

impl<'a> Watch<'a> {
    /// Watches a run that begins with `region`; `ended` is told whenever a host has ended.
    pub fn of(region: &Region, ended: &'a (dyn Fn() + Sync)) -> Self {
        let mut zones: BTreeMap<Option<ZoneName>, Zone> = BTreeMap::new();
        let mut hosts = BTreeMap::new();
        for host in &region.hosts {
            if host.service.status == ServiceStatus::Enabled && host.service.state == ServiceState::Up {
                zones.entry(host.zone.clone()).or_default().capacity.add(&host.capacity);
                hosts.insert(host.host.clone(), (host.zone.clone(), host.capacity.clone()));
            }
        }
        for instance in &region.instances {
            if let Some((zone, _)) = instance.host.as_ref().and_then(|host| hosts.get(host)) {
                zones.entry(zone.clone()).or_default().used.add(&instance.resources);
            }
        }
        let mut watch = Self {
            ended,
            zones,
            hosts,
            out: BTreeSet::new(),
            moving: BTreeSet::new(),
            peak_hosts_out: 0,
            peak_migrations: 0,
            began: None,
            paused: None,
            last: None,
        };
        for zone in watch.zones.values_mut() {
            zone.look();
        }
        watch
    }

    /// The highest load of each zone: what its instances hold of what its hosts in service have.
    pub fn loads(&self) -> Vec<ZoneLoad> {
        let load = |(zone, seen): (&Option<ZoneName>, &Zone)| ZoneLoad {
            zone: zone.clone(),
            class: seen.class.clone(),
            peak: (seen.peak * 10_000.0).round() / 10_000.0,
        };
        self.zones.iter().filter(|(_, seen)| !seen.class.is_empty()).map(load).collect()
    }

    fn leaves_service(&mut self, host: &HostName) {
        if !self.out.insert(host.clone()) {
            return;
        }
        self.peak_hosts_out = self.peak_hosts_out.max(self.out.len());
        if let Some((zone, capacity)) = self.hosts.get(host)
            && let Some(zone) = self.zones.get_mut(zone)
        {
            zone.capacity.subtract(capacity);
            zone.look();
        }
    }

    fn is_back(&mut self, host: &HostName) {
        if self.out.remove(host)
            && let Some((zone, capacity)) = self.hosts.get(host)
            && let Some(zone) = self.zones.get_mut(zone)
        {
            zone.capacity.add(capacity);
        }
    }
}

impl Zone {
    /// Looks at the load as it is.
    #[expect(clippy::cast_precision_loss, reason = "amounts of resources stay below 2^52")]
    fn look(&mut self) {
        for (class, used) in self.used.iter() {
            let load = used as f64 / self.capacity.get(class).max(1) as f64;
            if load > self.peak {
                self.peak = load;
                class.clone_into(&mut self.class);
            }
        }
    }
}

impl Observer for Watch<'_> {
    fn event(&mut self, _state: &RunState, event: &Event) {
        self.last = Some(event.at);
        match &event.kind {
            EventKind::RunStarted { .. } => self.began = Some(event.at),
            EventKind::StepStarted { step, target: Some(_), .. } => {
                self.moving.insert(step.clone());
                self.peak_migrations = self.peak_migrations.max(self.moving.len());
            }
            EventKind::StepStarted { step, target: None, .. } => {
                if let Some(host) = step.as_str().strip_suffix("/disable") {
                    self.leaves_service(&HostName::new(host));
                }
            }
            EventKind::StepSucceeded { step, .. } => {
                if let Some(host) = step.as_str().strip_suffix("/settle") {
                    self.is_back(&HostName::new(host));
                    (self.ended)();
                } else {
                    self.moving.remove(step);
                }
            }
            EventKind::StepFailed { step, .. } => {
                self.moving.remove(step);
            }
            EventKind::HostQuarantined { .. } | EventKind::HostSkipped { .. } => (self.ended)(),
            EventKind::RunPaused { cause, reason } => self.paused = Some((event.at, *cause, reason.clone())),
            EventKind::RunResumed { .. }
            | EventKind::StepIntended { .. }
            | EventKind::ChangeMade { .. }
            | EventKind::TargetSeen { .. }
            | EventKind::HostReleased { .. }
            | EventKind::HostRelieved { .. }
            | EventKind::HostRetried { .. }
            | EventKind::GateReached { .. }
            | EventKind::GateOpened { .. }
            | EventKind::RunContinued { .. }
            | EventKind::StopRequested { .. }
            | EventKind::HealthSeen { .. }
            | EventKind::LimitsChanged { .. }
            | EventKind::RunEnded { .. } => {}
        }
    }

    fn progress(&mut self, _state: &RunState, _progress: &Progress) {}

    fn wants_progress(&self) -> bool {
        false
    }
}
