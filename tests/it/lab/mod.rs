//! Tests against the real region of tests/lab; `tests/all` starts it and runs these inside `lab.sh exec`.

#![expect(clippy::unwrap_used, reason = "helpers of tests: what fails here fails the test")]

mod archive;
mod campaign;
mod clouds;
mod conformance;
mod consoles;
mod crashes;
mod desk;
mod faults;
mod hosts;
mod instances;
mod openstack;
pub(crate) mod postgres;
mod raw;
mod records;
mod takeover;

use std::path::PathBuf;
use std::process::Command;

/// A variable that `lab.sh exec` sets.
fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run these tests inside `lab.sh exec`"))
}

/// Runs a verb of `lab.sh` to its end; what it printed.
fn lab(arguments: &[&str]) -> String {
    let output = Command::new(variable("LAB")).args(arguments).output().unwrap();
    let words = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "lab.sh {arguments:?}: {words}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The folder that the lab keeps its state in.
fn state() -> PathBuf {
    PathBuf::from(variable("LAB_STATE"))
}
