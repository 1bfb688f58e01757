//! What need not be searched again.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{Decision, next_wake, search};
use crate::run::state::RunState;

/// Remembers that there was nothing to decide, so that the search is made again only when something has changed. A run
/// hears a hundred times of progress and of intents for each event that lets something begin.
#[derive(Debug, Clone, Default)]
pub(in crate::run) struct Memory {
    nothing: Option<Nothing>,
    /// No move and no host could be begun, as of so many openings.
    barren: Option<Nothing>,
    /// Hosts for whose instances there was no room, with how often room had appeared for them by then.
    refused: BTreeMap<usize, u64>,
}

/// There was nothing to decide.
#[derive(Debug, Clone, Copy)]
struct Nothing {
    /// As of so many changes of the state, or openings in it.
    changes: u64,
    /// Until this time.
    until: Option<Timestamp>,
}

impl Memory {
    /// As [`decide`], without a search whose outcome is known.
    pub fn decide(&mut self, state: &RunState, now: Timestamp) -> Vec<Decision> {
        if let Some(Nothing { changes, until }) = self.nothing
            && changes == state.changes()
            && until.is_none_or(|until| now < until)
        {
            return Vec::new();
        }
        // With nothing under way nothing will be heard of: then all is looked at anew.
        let is_busy = state.is_busy();
        let holds = |known: Nothing| known.changes == state.openings() && known.until.is_none_or(|until| now < until);
        let is_barren = is_busy && self.barren.is_some_and(holds);
        if !is_busy {
            self.refused.clear();
        }
        let decisions = search(state, now, is_barren, &mut self.refused);
        self.nothing = None;
        if decisions.is_empty() {
            let until = next_wake(state, now);
            self.nothing = Some(Nothing { changes: state.changes(), until });
            if !is_barren {
                self.barren = Some(Nothing { changes: state.openings(), until });
            }
        }
        decisions
    }

    /// [`next_wake`] as of the last time that there was nothing to decide; `None` when there never was.
    pub fn next_wake(&self) -> Option<Timestamp> {
        self.nothing.and_then(|nothing| nothing.until)
    }
}
