//! Faults at work: rules that fit, incidents that fall due, chance.

use std::time::Duration;

use rand::Rng;

use super::agenda::Happening;
use super::{Caller, ServiceChange, SimServer, VmState, World, later};
use crate::model::{DomainState, HostName, InstanceId, Percent, Resources, ServiceStatus};
use crate::sim::faults::{ApiFault, Faults, HostFault, JobFault, MigrationFault, ShellFault, What, When};

/// Whether an operation asks for a change of an instance: those are what Nova answers with 409.
fn changes_something(operation: &str) -> bool {
    ["live_migrate", "cold_migrate", "confirm_resize", "abort_migration", "force_complete", "stop", "start"]
        .contains(&operation)
}

impl World {
    /// Sets what goes wrong; incidents of the beginning count from this moment.
    pub fn set_faults(&mut self, faults: Faults) {
        self.faults = faults;
        self.trigger(&When::Start);
        self.tenants_begin();
    }

    /// Plans the incidents that wait for `when`; each happens once.
    pub(super) fn trigger(&mut self, when: &When) {
        let due: Vec<_> = self
            .faults
            .incidents
            .iter()
            .enumerate()
            .filter(|(index, incident)| incident.when == *when && !self.triggered.contains(index))
            .map(|(index, incident)| (index, incident.after))
            .collect();
        for (index, after) in due {
            self.triggered.insert(index);
            self.plan(after.get(), Happening::Incident { index });
        }
    }

    pub(super) fn incident(&mut self, index: usize) {
        let Some(what) = self.faults.incidents.get(index).map(|incident| incident.what.clone()) else { return };
        match what {
            What::Created(host) => {
                self.create_on(&host, Resources::basic(1, 1024, 10));
            }
            What::Started(server) => self.by_owner(&server, World::start),
            What::Stopped(server) => self.by_owner(&server, World::stop),
            What::Deleted(server) => self.by_owner(&server, World::delete),
            What::Locked(server) => self.by_owner(&server, |world, id, _| world.set_lock(id, true)),
            What::Resized(server, confirms) => self.resized_by_owner(&server, confirms.get()),
            What::DomainStarted(server) => self.by_hand(&server, DomainState::ShutOff, DomainState::Running),
            What::DomainStopped(server) => self.by_hand(&server, DomainState::Running, DomainState::ShutOff),
            What::Disabled(host) => self.by_somebody(&host, ServiceStatus::Disabled),
            What::Enabled(host) => self.by_somebody(&host, ServiceStatus::Enabled),
            What::Silent(host, span) => {
                let (from, to) = (self.now, later(self.now, span.get()));
                if let Some(host) = self.hosts.get_mut(&host) {
                    host.compute.silent = Some((from, to));
                }
            }
            What::ComputeDies(host) => self.compute_stops(&host),
            What::ComputeReturns(host) => self.compute_starts(&host),
            What::Impostor(host, span) => {
                let until = later(self.now, span.get());
                if let Some(host) = self.hosts.get_mut(&host) {
                    host.machine.impostor_until = Some(until);
                }
            }
            What::Unreachable(host, span) => {
                let until = later(self.now, span.get());
                if let Some(host) = self.hosts.get_mut(&host) {
                    host.machine.unreachable_until = Some(until);
                }
            }
            What::PowerCut(host) => {
                self.record_change(|| format!("{host}: power cut"));
                self.host_down(&host);
            }
            What::ControlPlaneDown(span) => self.api_down_until = Some(later(self.now, span.get())),
        }
    }

    /// What an owner asks for; a refusal is the owner's business.
    fn by_owner(
        &mut self,
        server: &str,
        ask: fn(&mut Self, InstanceId, Caller) -> Result<crate::model::RequestId, super::Refusal>,
    ) {
        if let Some(id) = self.find_server(server).map(|server| server.id) {
            drop(ask(self, id, Caller::Owner));
        }
    }

    /// An owner's resize, to be confirmed once it waits for that.
    fn resized_by_owner(&mut self, server: &str, confirms: Duration) {
        let Some(id) = self.find_server(server).map(|server| server.id) else { return };
        if self.resize(id, Caller::Owner).is_ok() {
            self.plan(confirms, Happening::OwnerConfirms { server: id, every: confirms });
        }
    }

    /// Confirms a resize that has arrived; looks again later at one that has not, and no more at one that failed.
    pub(super) fn owner_confirms(&mut self, id: InstanceId, every: Duration) {
        let Some(server) = self.servers.get(&id) else { return };
        match (server.vm_state, server.task) {
            (VmState::Resized, None) => drop(self.confirm_resize(id, Caller::Owner)),
            (_, Some(_)) => {
                let again = every.max(Duration::from_secs(1));
                self.plan(again, Happening::OwnerConfirms { server: id, every });
            }
            (_, None) => {}
        }
    }

    /// Somebody turns the domain of a server that Nova holds for stopped.
    fn by_hand(&mut self, server: &str, from: DomainState, to: DomainState) {
        let Some(server) = self.find_server(server).filter(|server| server.vm_state == VmState::Stopped) else {
            return;
        };
        let (id, host) = (server.id, server.host.clone());
        let domain = host.and_then(|host| self.hosts.get_mut(&host)).and_then(|host| host.domains.get_mut(&id));
        if let Some(domain) = domain.filter(|domain| domain.state == from) {
            domain.state = to;
        }
    }

    /// Somebody has listed the domains of a host.
    pub fn looked_at(&mut self, host: &HostName) {
        self.trigger(&When::Looked(host.clone()));
    }

    fn by_somebody(&mut self, host: &HostName, status: ServiceStatus) {
        let Some(id) = self.hosts.get(host).map(|host| host.service.id.to_string()) else { return };
        let disabled_reason = (status == ServiceStatus::Disabled).then(|| "maintenance by somebody else".to_owned());
        self.record_change(|| format!("{host}: somebody else sets its service"));
        drop(self.update_service(&id, &ServiceChange { status: Some(status), disabled_reason, forced_down: None }));
    }

    /// How one API call fails, if it does.
    pub fn api_fault(&mut self, operation: &'static str) -> Option<ApiFault> {
        let calls = self.calls.entry(operation).or_insert(0);
        *calls += 1;
        let nth = *calls;
        if self.api_down_until.is_some_and(|until| self.now < until) {
            return Some(ApiFault::Unavailable);
        }
        let rules = self.faults.api.iter().enumerate();
        let fitting = rules
            .filter(|(_, rule)| rule.operation.as_deref().is_none_or(|name| name == operation))
            .map(|(index, rule)| (index, rule.after, rule.times, rule.fault))
            .collect::<Vec<_>>();
        for (index, after, times, fault) in fitting {
            let seen = self.rule_uses.entry(format!("api-seen/{index}")).or_insert(0);
            *seen += 1;
            if *seen > after && self.use_rule(format!("api/{index}"), times) {
                return Some(fault);
            }
        }
        let share = self.faults.chance.api;
        if share == Percent::default() {
            return None;
        }
        let mut dice = self.dice("api", operation, nth);
        // A question has nothing to be in conflict with.
        let kinds = if changes_something(operation) { 8 } else { 7 };
        (dice.random::<f64>() < share.fraction()).then(|| match dice.random_range(0..kinds) {
            0 => ApiFault::TooManyRequests,
            1 => ApiFault::ServerError,
            2 => ApiFault::Unavailable,
            3 => ApiFault::TimeoutAfterEffect,
            4 => ApiFault::Reset,
            5 => ApiFault::ResetAfterEffect,
            6 => ApiFault::Timeout,
            _ => ApiFault::Conflict,
        })
    }

    /// How the next command on `host` fails on its way, if it does.
    pub fn shell_fault(&mut self, host: &HostName) -> Option<ShellFault> {
        let share = self.faults.chance.shell;
        if share == Percent::default() {
            return None;
        }
        let mut dice = self.dice("shell-fault", host.as_str(), self.commands);
        let strikes = dice.random::<f64>() < share.fraction();
        let after = dice.random::<bool>();
        strikes.then_some(if after { ShellFault::DroppedAfterEffect } else { ShellFault::Dropped })
    }

    pub(super) fn migration_fault(
        &mut self,
        server: &SimServer,
        source: &HostName,
        target: &HostName,
    ) -> Option<MigrationFault> {
        let id = server.id.to_string();
        let rules = self.faults.migrations.iter().enumerate();
        let fitting = rules
            .filter(|(_, rule)| rule.instance.as_ref().is_none_or(|name| *name == server.name || *name == id))
            .filter(|(_, rule)| rule.source.as_ref().is_none_or(|name| name == source))
            .filter(|(_, rule)| rule.target.as_ref().is_none_or(|name| name == target))
            .map(|(index, rule)| (index, rule.times, rule.fault))
            .collect::<Vec<_>>();
        for (index, times, fault) in fitting {
            if self.use_rule(format!("migration/{index}"), times) {
                return Some(fault);
            }
        }
        let chance = &self.faults.chance;
        if self.strikes(chance.migration_fails, "migration-fails", &id, server.migrations) {
            return Some(MigrationFault::Copy);
        }
        self.strikes(chance.migration_hangs, "migration-hangs", &id, server.migrations).then_some(MigrationFault::Hang)
    }

    /// Whether a server that is being started stays off.
    pub(super) fn start_fails(&mut self, id: InstanceId) -> bool {
        let Some(server) = self.servers.get(&id) else { return false };
        let (name, id) = (server.name.clone(), id.to_string());
        let rules = self.faults.starts.iter().enumerate();
        let fitting: Vec<_> = rules
            .filter(|(_, rule)| rule.instance.as_ref().is_none_or(|wanted| *wanted == name || *wanted == id))
            .map(|(index, rule)| (index, rule.times))
            .collect();
        fitting.into_iter().any(|(index, times)| self.use_rule(format!("start/{index}"), times))
    }

    pub(super) fn host_fault(&mut self, name: &HostName, nth: u64) -> Option<HostFault> {
        let rules = self.faults.hosts.iter().enumerate();
        let fitting: Vec<_> =
            rules.filter(|(_, rule)| rule.host == *name).map(|(index, rule)| (index, rule.times, rule.fault)).collect();
        for (index, times, fault) in fitting {
            if self.use_rule(format!("host/{index}"), times) {
                return Some(fault);
            }
        }
        let chance = &self.faults.chance;
        if self.strikes(chance.host_no_return, "no-return", name.as_str(), nth) {
            return Some(HostFault::NoReturn);
        }
        self.strikes(chance.old_kernel, "old-kernel", name.as_str(), nth).then_some(HostFault::OldKernel)
    }

    pub(super) fn job_fault(&mut self, name: &HostName, first: Option<&str>) -> Option<(JobFault, Option<String>)> {
        let nth = u64::from(*self.rule_uses.entry(format!("jobs/{name}")).and_modify(|n| *n += 1).or_insert(1));
        let rules = self.faults.jobs.iter().enumerate();
        let fitting: Vec<_> = rules
            .filter(|(_, rule)| rule.host == *name)
            .map(|(index, rule)| (index, rule.times, rule.fault, rule.package.clone()))
            .collect();
        for (index, times, fault, package) in fitting {
            if self.use_rule(format!("job/{index}"), times) {
                return Some((fault, package.or_else(|| first.map(str::to_owned))));
            }
        }
        let chance = &self.faults.chance;
        if self.strikes(chance.job_fails, "job-fails", name.as_str(), nth) {
            return Some((JobFault::PreScriptlet, first.map(str::to_owned)));
        }
        self.strikes(chance.post_scriptlet, "post-scriptlet", name.as_str(), nth)
            .then(|| (JobFault::PostScriptlet, first.map(str::to_owned)))
    }

    fn strikes(&self, share: Percent, what: &str, key: &str, nth: u64) -> bool {
        self.dice(what, key, nth).random::<f64>() < share.fraction()
    }

    /// Uses a rule once, unless it is used up.
    fn use_rule(&mut self, key: String, times: Option<u32>) -> bool {
        let uses = self.rule_uses.entry(key).or_insert(0);
        if times.is_some_and(|times| *uses >= times) {
            return false;
        }
        *uses += 1;
        true
    }
}
