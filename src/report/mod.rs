//! What happened in a run, for people and for programs: a pure fold of its events, and its faces.
//!
//! Knows no file, no clock and no terminal; `cli` calls it and writes what comes out.

pub mod evidence;
#[cfg(test)]
mod fixture;
mod history;
pub mod review;
mod sentence;
mod style;
mod table;
mod text;

pub use history::{Attempt, AttemptEnd, History, HostHistory, Sitting, TrailEntry};
pub use sentence::{InstanceNames, Sentence, StepParts, Weight, failure_words, kind_words, sentence};
pub use style::Style;
pub use table::{Lean, Table};
pub use text::{count, duration, printable};
