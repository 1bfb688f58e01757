//! The terminal itself: how wide it is, and what it writes without being asked.

use std::io::{stderr, stdin, stdout};

use rustix::process::getpgrp;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetpgrp, tcgetwinsize, tcsetattr};

/// Columns of the terminal behind standard error; `None` when there is none.
pub fn width() -> Option<usize> {
    tcgetwinsize(stderr()).ok().map(|size| size.ws_col.into()).filter(|width| *width > 0)
}

/// Rows and columns of the terminal behind standard output; `None` when there is none.
pub fn size() -> Option<(usize, usize)> {
    let size = tcgetwinsize(stdout()).ok()?;
    (size.ws_row > 0 && size.ws_col > 0).then(|| (size.ws_row.into(), size.ws_col.into()))
}

/// While this lives, the terminal does not show `^C` where the cursor stands.
///
/// Bars leave the cursor in the last column: the two characters would wrap, and all that is redrawn stand a line too
/// low. A process in the background that changed the terminal would be stopped by it, so that one lets it be.
pub struct Undisturbed(Option<Termios>);

impl Undisturbed {
    /// From now on.
    pub fn new() -> Self {
        let before = tcgetattr(stdin()).ok().filter(|_| is_in_foreground());
        if let Some(before) = &before {
            let mut silent = before.clone();
            silent.local_modes.remove(LocalModes::ECHOCTL);
            let _ = tcsetattr(stdin(), OptionalActions::Now, &silent);
        }
        Self(before)
    }
}

impl Drop for Undisturbed {
    fn drop(&mut self) {
        if let Some(before) = self.0.take().filter(|_| is_in_foreground()) {
            let _ = tcsetattr(stdin(), OptionalActions::Now, &before);
        }
    }
}

fn is_in_foreground() -> bool {
    tcgetpgrp(stdin()).is_ok_and(|group| group == getpgrp())
}
