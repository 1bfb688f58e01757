//! What happened in a run, for people and for programs: a pure fold of its events, and its faces.
//!
//! Knows no file, no clock and no terminal; `cli` calls it and writes what comes out.

mod text;

pub use text::printable;
