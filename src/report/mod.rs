//! What happened in a run, for people and for programs: a pure fold of its events, and its faces.
//!
//! Knows no file, no clock and no terminal; `cli` calls it and writes what comes out.

mod affected;
mod calls;
mod diff;
mod document;
mod eta;
pub mod evidence;
mod experience;
#[cfg(test)]
pub(crate) mod fixture;
mod gantt;
mod history;
pub mod html;
mod load;
pub mod markdown;
pub mod metrics;
pub mod review;
mod risks;
mod sentence;
pub mod status;
mod story;
mod style;
mod summary;
mod table;
#[cfg(test)]
mod tests;
mod text;
pub mod trace;
mod trail;

pub use diff::{Comparison, verdict, weight_words};
pub use document::{AuditLine, FailureLine, Report};
pub use eta::{Eta, eta};
pub use experience::Measured;
pub use history::{Attempt, AttemptEnd, History, HostHistory, Sitting, TrailEntry};
pub use review::stay_words;
pub use sentence::{
    InstanceNames, Sentence, StepParts, Weight, failure_words, intent_words, kind_words, output_words, sentence,
    verdict_words,
};
pub use story::{BootChange, HostStory, MoveLine, StepLine};
pub use style::Style;
pub use summary::{
    ApiLine, HostCounts, HostLine, MigrationCounts, Observation, RunnerLine, StoppedLine, Summary, WaitLine,
};
pub use table::{Lean, Table};
pub use text::{count, duration, printable};
pub use trail::TrailLine;
