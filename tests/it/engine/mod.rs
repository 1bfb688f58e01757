//! The whole engine on virtual time: planner, driver, actions and journal against the simulated region.
//!
//! A run is cut off after each of its durable appends, as by a kill between two of them, and resumed by a new process;
//! each time the region must come out as it should, and nobody harmed.

mod cold_boots;
mod control;
mod course;
mod extra;
mod faults;
mod fence;
mod fuse;
mod ladder;
mod lease;
mod parked;
mod probe;
mod slow;
mod stage;
#[cfg(feature = "lab")]
mod stores;
