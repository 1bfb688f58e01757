//! `fleetmend instances`: which instances still need their cold boot.

mod command;
mod evidence;
mod notices;
mod text;

pub use command::{InstancesArgs, run};
