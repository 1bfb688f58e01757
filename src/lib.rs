//! Rolling remediation for OpenStack compute fleets: brings every compute host of a region from vulnerable to proven
//! mitigated without losing an instance.
//!
//! ```text
//! clouds.yaml ─► inventory ─► Region ─┐
//! ssh hosts   ─► facts ──────────────┤► assess ─► verdicts ─► plan ─► rollout ─► show / diff / rehearse / dry-run
//! remedy, policy ────────────────────┘                                    │
//!                                                                         ▼
//!                  journal ◄─ run (decide → step → event) ◄─ workflow graph
//! ```
//!
//! Each module's head says its purpose, what it does not do, and who calls it.

pub mod actions;
pub mod cli;
pub mod clock;
pub mod cloud;
pub mod config;
pub mod health;
pub mod hooks;
pub mod host;
pub mod http;
pub mod inventory;
pub mod journal;
pub mod ledger;
pub mod model;
pub mod notify;
pub mod outside;
pub mod plan;
pub mod preflight;
pub mod rehearsal;
pub mod remedy;
pub mod report;
pub mod run;
pub mod sim;
#[cfg(test)]
mod simulation;
pub mod view;
pub mod workflow;
