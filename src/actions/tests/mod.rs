//! Every action against a scripted region: run twice, killed between `apply` and the record, and under each fault.

mod moves;
mod ports;
mod reboot;
mod region;
mod rig;
mod service;
