//! The workflow graph of a rollout, pure: what waits for what. Steps are derived here and stored nowhere.
//!
//! `host_steps` is the template that the engine instantiates when a host is begun; `graph` is the whole rollout as a
//! petgraph graph for review and export. Limits and room are no edges: `run::schedule` holds them.

mod export;
mod graph;
mod kind;
mod overview;
mod power;

pub use export::{dot, mermaid};
pub use graph::{Added, EdgeKind, Step, Workflow, graph, host_steps, park, steps_of, stops};
pub(crate) use graph::{move_step, start_steps, stop_steps};
pub use kind::StepKind;
pub use overview::{Overview, STEPS_UP_TO};
pub use power::Ranked;
