//! What stands in the way of a campaign, before anything is planned: judgement over what was collected. Pure.
//!
//! Asks nobody: `cli` collects a region with its hosts' facts, what the cloud says of our rights, and what Masakari keeps,
//! and prints the notes. What a plan or a run refuses, they refuse by themselves; here it is told together, with what to
//! do about it.

mod cloud;
mod hosts;
mod note;
mod roles;
#[cfg(test)]
mod tests;
mod ways;

pub use note::{Note, Topic, gather};

use crate::cloud::{HaHost, Standing};
use crate::model::{Policy, Region};

/// What was collected.
#[derive(Debug, Clone, Copy)]
pub struct Ground<'a> {
    /// The region with its hosts' facts.
    pub region: &'a Region,
    /// What the cloud says of us; `None` when it was not asked.
    pub standing: Option<&'a Standing>,
    /// What Masakari keeps.
    pub masakari: Masakari<'a>,
    /// The policy that a plan would be made under.
    pub policy: &'a Policy,
    /// The command that runs virsh on hosts.
    pub virsh: &'a [String],
    /// Whether something tells high availability before a host goes away, and after it is back.
    pub has_maintenance_hook: bool,
    /// Whether the journal is where another machine can go on with it.
    pub journal_is_shared: bool,
}

/// What Masakari keeps.
#[derive(Debug, Clone, Copy)]
pub enum Masakari<'a> {
    /// It was not asked.
    NotAsked,
    /// The cloud has none.
    None,
    /// It did not answer, in its words.
    Silent(&'a str),
    /// These hosts.
    Hosts(&'a [HaHost]),
}

/// Everything that people should know, the gravest first.
pub fn judge(ground: &Ground<'_>) -> Vec<Note> {
    let mut notes = cloud::notes(ground);
    for host in &ground.region.hosts {
        notes.extend(ways::notes(host, ground));
        notes.extend(hosts::notes(host, ground));
        notes.extend(roles::notes(host, ground));
    }
    notes.sort_by(|a, b| {
        (std::cmp::Reverse(a.severity), a.topic, &a.host).cmp(&(std::cmp::Reverse(b.severity), b.topic, &b.host))
    });
    notes
}
