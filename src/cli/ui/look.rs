//! A bar while hosts are asked.

use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use crate::cli::output::{Redrawn, redraw_under};
use crate::cli::session::Session;
use crate::inventory::Progress;

/// What is shown of an inventory under way: a bar on a terminal, the log otherwise.
pub struct Look {
    bar: Option<(ProgressBar, Redrawn)>,
}

impl Look {
    /// For this session's standard error.
    pub fn new(session: &Session) -> Self {
        let bar = (session.can_redraw && !session.global.no_progress).then(|| {
            let multi = MultiProgress::new();
            let style = ProgressStyle::with_template("{msg:<12} {pos:>5} of {len:<5} {wide_bar} {elapsed}")
                .unwrap_or_else(|_| ProgressStyle::default_bar());
            let bar = multi.add(ProgressBar::new(0).with_style(style.progress_chars("━╸─")));
            // A host that hangs must not look like a program that hangs.
            bar.enable_steady_tick(Duration::from_millis(500));
            (bar, redraw_under(multi))
        });
        Self { bar }
    }

    /// Shows how far it is.
    pub fn tell(&self, progress: Progress) {
        let (what, done, of) = match progress {
            Progress::Listed(list, number) => {
                tracing::info!("{list:?}: {number}");
                return;
            }
            Progress::Allocations(done, of) => {
                tracing::debug!("allocations of {done} of {of} providers");
                ("allocations", done, of)
            }
            Progress::Histories(done, of) => {
                tracing::debug!("histories of {done} of {of} instances");
                ("histories", done, of)
            }
            Progress::Hosts(done, of) => {
                tracing::info!("{done} of {of} hosts answered or failed to");
                ("hosts", done, of)
            }
        };
        if let Some((bar, _)) = &self.bar {
            bar.set_message(what);
            bar.set_length(of as u64);
            bar.set_position(done as u64);
        }
    }
}

impl Drop for Look {
    fn drop(&mut self) {
        if let Some((bar, _)) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
