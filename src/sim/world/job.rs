//! Jobs on hosts: transient units that outlive a connection and die with the boot.

use std::time::Duration;

use jiff::Timestamp;

use super::agenda::Happening;
use super::machine::Update;
use super::reboot::ShellRefusal;
use super::{World, later};
use crate::model::{HostIdentity, HostName, UnitName};
use crate::sim::faults::JobFault;

/// What a job does.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Work {
    /// Downloads packages.
    Stage(Vec<String>),
    /// Installs packages.
    Update(Vec<String>),
    /// Adds flags to `[libvirt] cpu_model_extra_flags` of nova.conf.
    AddCpuFlags(Vec<String>),
}

/// How a job stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobState {
    /// Runs.
    Running,
    /// Ended.
    Ended {
        /// Exit status.
        status: i32,
        /// Output.
        output: String,
    },
}

/// A transient unit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimJob {
    /// What it does.
    pub work: Work,
    /// How it stands.
    pub state: JobState,
    /// When it was started.
    pub started: Timestamp,
    fault: Option<(JobFault, Option<String>)>,
    timed_out: bool,
}

impl World {
    /// Starts a job unless a unit of that name exists already.
    pub fn start_job(
        &mut self,
        name: &HostName,
        identity: &HostIdentity,
        unit: &UnitName,
        work: &Work,
        limit: Duration,
    ) -> Result<(), ShellRefusal> {
        let host = self.machine_of(name, identity)?;
        if host.machine.jobs.contains_key(unit) {
            return Ok(());
        }
        let nth = u64::from(host.machine.reboots);
        let boot = host.machine.boot.id.clone();
        let mut dice = self.dice("job", name.as_str(), nth);
        let (takes, fault) = match work {
            Work::Stage(_) => (self.timing.stage.draw(&mut dice), None),
            Work::Update(packages) => (
                host.machine.at_its_pace(self.timing.update.draw(&mut dice)),
                self.job_fault(name, packages.first().map(String::as_str)),
            ),
            Work::AddCpuFlags(_) => (Duration::from_millis(200), None),
        };
        let hangs = matches!(fault, Some((JobFault::Hang, _)));
        let timed_out = hangs || takes > limit;
        let job = SimJob { work: work.clone(), state: JobState::Running, started: self.now, fault, timed_out };
        if let Some(host) = self.hosts.get_mut(name) {
            host.machine.jobs.insert(unit.clone(), job);
        }
        self.record_change(|| format!("{name}: job {unit}"));
        let ends = later(self.now, if timed_out { limit } else { takes });
        self.agenda.plan(ends, Happening::JobEnds { host: name.clone(), unit: unit.clone(), boot });
        Ok(())
    }

    /// How a job stands; `None` when there is no such unit.
    pub fn job(&self, name: &HostName, unit: &UnitName) -> Result<Option<&SimJob>, ShellRefusal> {
        Ok(self.reach(name)?.machine.jobs.get(unit))
    }

    /// Forgets an ended job.
    pub fn forget_job(&mut self, name: &HostName, unit: &UnitName) -> Result<(), ShellRefusal> {
        self.reach(name)?;
        if let Some(host) = self.hosts.get_mut(name)
            && host.machine.jobs.get(unit).is_some_and(|job| job.state != JobState::Running)
        {
            host.machine.jobs.remove(unit);
        }
        Ok(())
    }

    pub(super) fn job_ends(&mut self, name: &HostName, unit: &UnitName, boot: &str) {
        let Some(host) = self.hosts.get_mut(name).filter(|host| host.machine.boot.id == boot) else { return };
        let machine = &mut host.machine;
        let Some(mut job) = machine.jobs.remove(unit).filter(|job| job.state == JobState::Running) else { return };
        let (status, output) = if job.timed_out {
            (124, "Unit was ended: its limit was reached".to_owned())
        } else {
            match &job.work {
                Work::Stage(packages) => (0, format!("{}\nComplete!", downloaded(machine, packages))),
                Work::Update(packages) => update(machine, packages, job.fault.as_ref()),
                Work::AddCpuFlags(flags) => {
                    machine.nova_conf_backups.push(machine.nova_conf.clone());
                    machine.nova_conf = with_cpu_flags(&machine.nova_conf, flags);
                    (0, "nova.conf edited".to_owned())
                }
            }
        };
        job.state = JobState::Ended { status, output };
        machine.jobs.insert(unit.clone(), job);
    }

    /// A transaction that the end of a boot cut off: the package in hand is there twice, the rest is as it was.
    pub(super) fn cut_off_jobs(&mut self, name: &HostName) {
        let Some(host) = self.hosts.get_mut(name) else { return };
        let machine = &mut host.machine;
        let running = std::mem::take(&mut machine.jobs);
        for job in running.into_values().filter(|job| job.state == JobState::Running) {
            let Work::Update(packages) = job.work else { continue };
            if let Some(update) = wanted(machine, &packages).first() {
                let installed = machine.packages.entry(update.package.to_owned()).or_default();
                if !installed.iter().any(|version| version == update.updated) {
                    installed.push(update.updated.to_owned());
                }
            }
        }
    }
}

/// Updates that `packages` ask for, every one when none is named, with those that belong together; in the order of the repository.
fn wanted(machine: &super::Machine, packages: &[String]) -> Vec<Update> {
    let updates = machine.os.updates();
    if packages.is_empty() {
        return updates.iter().filter(|update| machine.packages.contains_key(update.package)).copied().collect();
    }
    let roles: Vec<_> = updates.iter().filter(|u| packages.iter().any(|p| p == u.package)).map(|u| u.role).collect();
    updates
        .iter()
        .filter(|update| roles.contains(&update.role) && machine.packages.contains_key(update.package))
        .copied()
        .collect()
}

fn downloaded(machine: &super::Machine, packages: &[String]) -> String {
    let lines: Vec<_> =
        wanted(machine, packages).iter().map(|update| format!("{} {}", update.package, update.updated)).collect();
    lines.join("\n")
}

fn update(
    machine: &mut super::Machine,
    packages: &[String],
    fault: Option<&(JobFault, Option<String>)>,
) -> (i32, String) {
    let updates = wanted(machine, packages);
    let culprit = |default: &str| fault.and_then(|(_, package)| package.clone()).unwrap_or_else(|| default.to_owned());
    let first = updates.first().map_or("kernel", |update| update.package);
    match fault.map(|(fault, _)| *fault) {
        Some(JobFault::Repository) => {
            return (1, "Error: Failed to download metadata for repo 'updates'".to_owned());
        }
        Some(JobFault::PreScriptlet) => {
            let package = culprit(first);
            return (1, format!("error: %prein({package}) scriptlet failed, exit status 1\nError: Transaction failed"));
        }
        Some(JobFault::PostScriptlet) => {
            machine.without_effect.insert(culprit(first));
        }
        Some(JobFault::Hang) | None => {}
    }
    let mut lines = Vec::new();
    for update in updates {
        machine.install(&update);
        lines.push(format!("  Upgrading : {} {}", update.package, update.updated));
        if machine.without_effect.contains(update.package) {
            lines.push(format!("warning: %post({}) scriptlet failed, exit status 1", update.package));
        }
    }
    lines.push("Complete!".to_owned());
    (0, lines.join("\n"))
}

/// nova.conf with `flags` among `[libvirt] cpu_model_extra_flags`; everything else stays byte for byte.
fn with_cpu_flags(text: &str, flags: &[String]) -> String {
    const OPTION: &str = "cpu_model_extra_flags";
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let section = lines.iter().position(|line| line.trim() == "[libvirt]");
    let Some(section) = section else {
        return format!("{text}\n[libvirt]\n{OPTION} = {}\n", flags.join(", "));
    };
    let end =
        lines[section + 1..].iter().position(|line| line.starts_with('[')).map_or(lines.len(), |at| section + 1 + at);
    let option =
        lines[section..end].iter().position(|line| line.split('=').next().is_some_and(|key| key.trim() == OPTION));
    match option {
        Some(at) => {
            let line = &mut lines[section + at];
            let (key, value) = line.split_once('=').unwrap_or((line, ""));
            let mut present: Vec<&str> = value.split(',').map(str::trim).filter(|flag| !flag.is_empty()).collect();
            let missing = flags.iter().map(String::as_str).filter(|flag| !value.split(',').any(|p| p.trim() == *flag));
            present.extend(missing.collect::<Vec<_>>());
            *line = format!("{key}= {}", present.join(", "));
        }
        None => lines.insert(section + 1, format!("{OPTION} = {}", flags.join(", "))),
    }
    lines.join("\n") + "\n"
}
