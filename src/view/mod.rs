//! The live page: a run as its journal tells it, served to browsers as it grows.
//!
//! `board` folds the events that everything else folds; `hub` follows the journal and tells viewers what changed;
//! `serve` is the HTTP face; `control` decides who may ask something of the run. It reads the journal on a connection
//! of its own and places requests where every other terminal places them: nothing here can hold up a run, or decide
//! for it. Called by `cli`, which spawns what is to be spawned.

mod board;
mod control;
mod feed;
mod guard;
mod hub;
mod serve;

pub use board::Board;
pub use control::Control;
pub use feed::Feed;
pub use hub::{Hub, Liveness};
pub use serve::{Site, serve};
