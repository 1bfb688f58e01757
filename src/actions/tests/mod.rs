//! Every action against a scripted region: run twice, killed between `apply` and the record, and under each fault.

mod cold_boot;
mod extra;
mod harness;
mod host;
mod ladder;
mod moves;
mod ports;
mod power;
mod probe_instance;
mod reboot;
mod region;
mod resolve;
mod rig;
mod service;
