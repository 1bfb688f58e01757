//! What a run looks like while it runs: bars on a terminal, lines elsewhere, JSON events for programs.
//!
//! Consumers of events only: nothing here decides anything, and a run goes on the same when nobody watches.

mod active;
mod bars;
mod json;
mod lines;
mod look;
pub mod screen;

use crate::plan::Rollout;
use crate::run::Observer;

use super::session::Session;

pub use look::Look;

/// What kind of run is watched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// It changes the region.
    Real,
    /// It only looks.
    Dry,
}

/// The watcher that fits: `json` when asked for, bars on a terminal, else lines.
pub fn watcher(session: &Session, rollout: &Rollout, kind: Kind, as_json: bool) -> Box<dyn Observer> {
    if as_json {
        Box::new(json::Events)
    } else if session.can_redraw && !session.global.no_progress && kind == Kind::Real {
        Box::new(bars::Bars::new(rollout, session.err))
    } else {
        Box::new(lines::Lines::new(rollout, session, kind))
    }
}
