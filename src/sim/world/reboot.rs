//! Hosts as a shell on them sees them: who answers, which boot, the fence, and reboots.

use jiff::Timestamp;
use rand::Rng;

use super::agenda::Happening;
use super::host::SimHost;
use super::machine::{CurrentBoot, Standing};
use super::{LostGuest, World, random};
use crate::model::{DomainState, HostIdentity, HostName, InstanceId, InstanceStatus, UnitName};
use crate::sim::faults::{HostFault, When};

/// Why a command on a host was not carried out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShellRefusal {
    /// Nobody answers.
    Unreachable(&'static str),
    /// Another machine answers, with this identity.
    WrongMachine(HostIdentity),
    /// The last check before a reboot found something.
    NotQuiet(String),
    /// The command failed.
    Failed(String),
}

/// A reboot that was ordered and accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RebootOrdered {
    /// The host.
    pub host: HostName,
    /// When.
    pub at: Timestamp,
    /// Instances that Nova places on it, with their status and when each was created.
    pub instances: Vec<(InstanceId, InstanceStatus, Timestamp)>,
    /// Instances with an open migration into or out of it, with when that was asked for.
    pub migrating: Vec<(InstanceId, Timestamp)>,
    /// Units of jobs that ran on it.
    pub jobs: Vec<UnitName>,
}

impl World {
    /// The host of that name, if it answers.
    pub fn reach(&self, name: &HostName) -> Result<&SimHost, ShellRefusal> {
        let Some(host) = self.hosts.get(name) else {
            return Err(ShellRefusal::Unreachable("Could not resolve hostname: Name or service not known"));
        };
        let cut_off = host.machine.unreachable_until.is_some_and(|until| self.now < until);
        if host.machine.standing == Standing::Down || cut_off {
            return Err(ShellRefusal::Unreachable("connect: Connection timed out"));
        }
        Ok(host)
    }

    /// The identity of the machine that answers at a host's address.
    pub fn identity(&self, name: &HostName) -> Result<HostIdentity, ShellRefusal> {
        let host = self.reach(name)?;
        if host.machine.impostor_until.is_some_and(|until| self.now < until) {
            let mut dice = self.dice("impostor", name.as_str(), 0);
            return Ok(HostIdentity {
                machine_id: Some(random::uuid(&mut dice).simple().to_string()),
                nova_host: Some(format!("{name}-old")),
                hostname: Some(format!("{name}-old")),
            });
        }
        Ok(host.machine.identity.clone())
    }

    /// The host of that name, if the machine that answers is the expected one.
    pub(super) fn machine_of(&self, name: &HostName, expected: &HostIdentity) -> Result<&SimHost, ShellRefusal> {
        let found = self.identity(name)?;
        let agrees = |expected: &Option<String>, found: &Option<String>| expected.is_none() || expected == found;
        let same = expected.is_known()
            && agrees(&expected.machine_id, &found.machine_id)
            && agrees(&expected.nova_host, &found.nova_host)
            && agrees(&expected.hostname, &found.hostname);
        if same { self.reach(name) } else { Err(ShellRefusal::WrongMachine(found)) }
    }

    /// The boot that a host is in, and for how many seconds.
    pub fn boot(&self, name: &HostName) -> Result<(&CurrentBoot, u64), ShellRefusal> {
        let boot = &self.reach(name)?.machine.boot;
        let uptime = self.now.duration_since(boot.at).as_secs().max(0).unsigned_abs();
        Ok((boot, uptime))
    }

    /// Stops nova-compute on a host (`up`), or starts it.
    pub fn fence(&mut self, name: &HostName, identity: &HostIdentity, up: bool) -> Result<(), ShellRefusal> {
        let started = self.machine_of(name, identity)?.compute.is_started();
        if up && started {
            self.record_change(|| format!("{name}: fence up"));
            self.compute_stops(name);
        } else if !up && !started {
            self.record_change(|| format!("{name}: fence down"));
            self.compute_starts(name);
        }
        Ok(())
    }

    /// Checks everything for the last time and reboots.
    pub fn reboot(&mut self, name: &HostName, identity: &HostIdentity, boot: &str) -> Result<(), ShellRefusal> {
        let host = self.machine_of(name, identity)?;
        if host.machine.boot.id != boot {
            let found = &host.machine.boot.id;
            return Err(ShellRefusal::NotQuiet(format!("the host is in boot {found}, not in {boot}")));
        }
        if host.compute.is_started() {
            return Err(ShellRefusal::NotQuiet("nova-compute is running: the fence is not up".to_owned()));
        }
        if let Some((_, domain)) = host.live_domains().next() {
            return Err(ShellRefusal::NotQuiet(format!("domain {} is running or paused", domain.name)));
        }
        if host.machine.standing == Standing::GoingDown {
            return Ok(());
        }
        let takes = self.timing.shut_down.draw(&mut self.dice("shut-down", name.as_str(), self.reboots_of(name)));
        if let Some(host) = self.hosts.get_mut(name) {
            host.machine.standing = Standing::GoingDown;
        }
        self.record_change(|| format!("{name}: reboot"));
        if !self.is_forgetful {
            let instances = self.servers_on(name).map(|server| (server.id, server.status(), server.created)).collect();
            let migrating = self.records.open_at(name).map(|record| (record.instance, record.created)).collect();
            let jobs = self.hosts.get(name).map(SimHost::jobs_running).unwrap_or_default();
            self.reboots.push(RebootOrdered { host: name.clone(), at: self.now, instances, migrating, jobs });
        }
        self.plan(takes, Happening::HostDown { host: name.clone() });
        self.trigger(&When::RebootOrdered(name.clone()));
        Ok(())
    }

    fn reboots_of(&self, name: &HostName) -> u64 {
        self.hosts.get(name).map_or(0, |host| u64::from(host.machine.reboots))
    }

    /// The machine falls silent: guests that ran are gone.
    pub(super) fn host_down(&mut self, name: &HostName) {
        let nth = self.reboots_of(name);
        let fault = self.host_fault(name, nth);
        if !self.host_falls_silent(name) {
            return;
        }
        let pace = self.hosts.get(name).map_or(100, |host| host.machine.pace_percent);
        let mut takes = self.timing.boot.draw(&mut self.dice("boot", name.as_str(), nth));
        takes = takes * pace / 100;
        match fault {
            Some(HostFault::NoReturn) => return,
            Some(HostFault::Late(by)) => takes += by.get(),
            Some(HostFault::OldKernel) => {
                if let Some(host) = self.hosts.get_mut(name) {
                    host.machine.default_kernel = host.machine.boot.kernel;
                }
            }
            Some(HostFault::NoCompute) => {
                if let Some(host) = self.hosts.get_mut(name) {
                    host.machine.compute_failed = true;
                }
            }
            Some(HostFault::LosesLink) => {
                if let Some(host) = self.hosts.get_mut(name) {
                    host.machine.lost_a_link = true;
                }
            }
            None => {}
        }
        self.plan(takes, Happening::HostUp { host: name.clone() });
    }

    /// Everything on a host ends; false when it was silent already.
    fn host_falls_silent(&mut self, name: &HostName) -> bool {
        let now = self.now;
        self.cut_off_jobs(name);
        self.compute_stops(name);
        let Some(host) = self.hosts.get_mut(name).filter(|host| host.machine.standing != Standing::Down) else {
            return false;
        };
        host.machine.standing = Standing::Down;
        let lost: Vec<InstanceId> =
            host.live_domains().filter(|(_, domain)| !domain.incoming).map(|(id, _)| id).collect();
        host.domains.retain(|_, domain| !domain.incoming);
        for domain in host.domains.values_mut() {
            domain.state = DomainState::ShutOff;
        }
        self.lost.extend(lost.into_iter().map(|instance| LostGuest { host: name.clone(), instance, at: now }));
        true
    }

    /// Switches a host's power off and on, as a management controller does: whatever runs on it ends, and it boots
    /// whatever kept it from booting before.
    pub fn power_cycle(&mut self, name: &HostName) {
        self.record_change(|| format!("{name}: power cycle"));
        self.host_falls_silent(name);
        let nth = self.reboots_of(name);
        let takes = self.timing.boot.draw(&mut self.dice("boot", name.as_str(), nth));
        self.plan(takes, Happening::HostUp { host: name.clone() });
    }

    pub(super) fn host_up(&mut self, name: &HostName) {
        let nth = self.reboots_of(name) + 1;
        let id = boot_id(self.seed, name, nth);
        let now: Timestamp = self.now;
        let Some(host) = self.hosts.get_mut(name).filter(|host| host.machine.standing == Standing::Down) else {
            return;
        };
        let machine = &mut host.machine;
        machine.boot =
            CurrentBoot { id, at: now, kernel: machine.default_kernel, microcode: machine.microcode_on_disk() };
        machine.reboots += 1;
        machine.standing = Standing::Up;
        if !machine.compute_failed {
            self.compute_starts(name);
        }
    }
}

/// The id of a host's boot number `nth`.
pub fn boot_id(seed: u64, name: &HostName, nth: u64) -> String {
    let bytes = random::dice(seed, "boot-id", name.as_str(), nth).random();
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}
