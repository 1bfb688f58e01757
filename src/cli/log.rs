//! The log of what is done and asked, on standard error.

use tracing_subscriber::EnvFilter;

use super::args::{GlobalArgs, LogFormat};
use super::output::Stderr;
use crate::report::Style;

/// Starts the log: warnings, with `-v` what is done, with `-vv` what is asked, with `-vvv` everything.
///
/// Only our own words are shown: HTTP libraries write headers, and with them tokens, into their trace.
pub fn start(global: &GlobalArgs, style: Style) {
    let level = match global.verbose {
        0 => "warn",
        1 => "info",
        2 => "debug",
        3.. => "trace",
    };
    let filter = EnvFilter::new(format!("off,fleetmend={level}"));
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| Stderr).with_ansi(style.is_coloured());
    // A second start in one process (a test) keeps the first.
    let _ = match global.log_format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().try_init(),
    };
}
