//! Rollouts, reports and comparisons as self-contained pages: nothing is loaded from elsewhere.
//!
//! All that matters is there without the one script, which is our own, fixed, and the only one that the page's content
//! security policy lets run: it finds hosts, instances and projects, and opens what is linked to.

mod diff;
mod page;
mod review;
mod run;

pub use diff::diff;
pub use review::review;
pub use run::report;
