//! Long commands on a host: they run as named transient units, so that a dropped connection kills nothing and the
//! unit's state is the probe.

use std::time::Duration;

use crate::model::{HostIdentity, HostName, PackageManager, UnitName};

/// A job to start on a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobOrder {
    /// Where.
    pub host: HostName,
    /// The machine that must be found there.
    pub identity: HostIdentity,
    /// The unit's name, `fleetmend-<run>-<step>`.
    pub unit: UnitName,
    /// What it does.
    pub job: Job,
    /// The unit is ended when it takes longer.
    pub limit: Duration,
}

/// What a job does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Job {
    /// Downloads updates, installs nothing.
    StagePackages(Vec<PackageTarget>),
    /// Installs updates; repairs what an interrupted transaction left behind first.
    UpdatePackages(Vec<PackageTarget>),
    /// Downloads every update that the system's package manager knows of.
    StageAll(PackageManager),
    /// Installs all of them; repairs what an interrupted transaction left behind first.
    UpdateAll(PackageManager),
    /// Adds flags to `[libvirt] cpu_model_extra_flags`, keeps everything else byte for byte, and a backup.
    AddCpuFlags {
        /// The file to edit.
        file: String,
        /// Flags that must be there afterwards.
        flags: Vec<String>,
    },
}

/// A package to bring to a version or newer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PackageTarget {
    /// Name.
    pub name: String,
    /// Whose package it is.
    pub manager: PackageManager,
}

/// How a job stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobStatus {
    /// No such unit: never started, or the host rebooted since.
    Absent,
    /// Runs.
    Running,
    /// Ended.
    Ended {
        /// Exit status; 0 is success of the command, not proof of its effect. 124 when the limit ended it.
        status: i32,
        /// Last lines of its output.
        output: String,
    },
}
