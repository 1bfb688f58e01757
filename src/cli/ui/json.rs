//! Events as JSON, one a line, on standard output.

use crate::actions::Progress;
use crate::cli::output::print;
use crate::run::{Event, Observer, RunState};

/// Prints each event; progress is not printed, because it may be dropped.
pub struct Events;

impl Observer for Events {
    fn event(&mut self, _state: &RunState, event: &Event) {
        if let Ok(line) = serde_json::to_string(event) {
            // A reader that went away, or a full disk under it, must not end the run.
            let _ = print(line + "\n");
        }
    }

    fn progress(&mut self, _state: &RunState, _progress: &Progress) {}
}
