//! The whole ledger: every instance, counted by project.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::hosts::HostTimes;
use super::judge::{Entry, Renewal, judge};
use crate::model::{GuestCpu, InstanceId, ProjectId, Region};
use crate::remedy::Remedy;

/// How many instances have which verdict.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct Counts {
    /// All.
    pub instances: usize,
    /// Renewed.
    pub renewed: usize,
    /// Due.
    pub due: usize,
    /// Exposed.
    pub exposed: usize,
    /// Unknown.
    pub unknown: usize,
    /// Not running.
    pub not_running: usize,
}

impl Counts {
    fn add(&mut self, verdict: Renewal) {
        self.instances += 1;
        match verdict {
            Renewal::Renewed => self.renewed += 1,
            Renewal::Due => self.due += 1,
            Renewal::Exposed => self.exposed += 1,
            Renewal::Unknown => self.unknown += 1,
            Renewal::NotRunning => self.not_running += 1,
        }
    }

    /// How many have that verdict.
    pub fn of(&self, verdict: Renewal) -> usize {
        match verdict {
            Renewal::Renewed => self.renewed,
            Renewal::Due => self.due,
            Renewal::Exposed => self.exposed,
            Renewal::Unknown => self.unknown,
            Renewal::NotRunning => self.not_running,
        }
    }

    /// Those of which it is not sure that nothing is left to do.
    pub fn open(&self) -> usize {
        self.due + self.exposed + self.unknown
    }
}

/// The counts of one project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProjectCounts {
    /// The project.
    pub project: ProjectId,
    /// Its counts.
    #[serde(flatten)]
    pub counts: Counts,
}

/// Every instance of a region under one remedy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Ledger {
    /// Version of the format; 1.
    pub format: u32,
    /// Always `ledger`.
    pub kind: &'static str,
    /// The remedy's name.
    pub remedy: String,
    /// The flag that guests need.
    pub flag: String,
    /// The region's name.
    pub region: String,
    /// When the region was looked at.
    pub taken_at: Timestamp,
    /// All projects together.
    pub counts: Counts,
    /// Each project, in order of id.
    pub projects: Vec<ProjectCounts>,
    /// Each instance, by project, verdict and name.
    pub instances: Vec<Entry>,
}

impl Ledger {
    /// Judges the instances of `region`, of `projects` only where some are named. `None` when the remedy asks nothing of
    /// guests.
    pub fn of(region: &Region, remedy: &Remedy, hosts: &HostTimes, projects: &[ProjectId]) -> Option<Self> {
        let flag = remedy.guests.as_ref().filter(|guests| guests.cold_boot).map(|guests| guests.cpu_flag.clone())?;
        let live: BTreeMap<InstanceId, &GuestCpu> =
            region.hosts.iter().flat_map(|host| &host.facts.guests).map(|(id, cpu)| (*id, cpu)).collect();
        let wanted = |project: &ProjectId| projects.is_empty() || projects.contains(project);
        let mut instances: Vec<Entry> = region
            .instances
            .iter()
            .filter(|instance| wanted(&instance.project))
            .map(|one| judge(one, region.histories.get(&one.id), live.get(&one.id).copied(), &flag, hosts))
            .collect();
        let urgency = |verdict| Renewal::ALL.iter().position(|one| *one == verdict);
        instances.sort_by(|a, b| {
            let key = |one: &Entry| (one.project.clone(), urgency(one.verdict), one.name.clone(), one.instance);
            key(a).cmp(&key(b))
        });
        let mut counts = Counts::default();
        let mut by_project: BTreeMap<ProjectId, Counts> = BTreeMap::new();
        for entry in &instances {
            counts.add(entry.verdict);
            by_project.entry(entry.project.clone()).or_default().add(entry.verdict);
        }
        Some(Self {
            format: 1,
            kind: "ledger",
            remedy: remedy.name.clone(),
            flag,
            region: region.region.clone(),
            taken_at: region.taken_at,
            counts,
            projects: by_project.into_iter().map(|(project, counts)| ProjectCounts { project, counts }).collect(),
            instances,
        })
    }
}
