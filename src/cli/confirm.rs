//! Approval of what changes a region.

use std::io::BufRead as _;

use clap::Args;

use super::error::CommandError;
use super::exit::Exit;
use super::output::tell;
use super::session::Session;
use crate::plan::Rollout;
use crate::report::{printable, review};

/// So many hexadecimal digits of a digest are as good as all of them.
const ENOUGH_DIGITS: usize = 12;

/// How a rollout is approved.
#[derive(Debug, Args)]
pub struct Approval {
    /// Digest of the rollout that was approved, or its first 12 digits; anything else is refused
    #[arg(long, value_name = "DIGEST")]
    pub approve: Option<String>,
    /// Run it without asking
    #[arg(long)]
    pub yes: bool,
}

/// Fails unless the rollout is approved: by its digest, by `--yes`, or by somebody at the terminal.
pub fn confirm(rollout: &Rollout, approval: &Approval, session: &Session) -> Result<(), CommandError> {
    if let Some(approved) = &approval.approve {
        return if names(approved, rollout.digest.as_str()) {
            Ok(())
        } else {
            Err(CommandError::new(
                Exit::Plan,
                format!("`{approved}` was approved, but this rollout is `{}`", rollout.digest),
            )
            .consequence("nothing was changed"))
        };
    }
    if approval.yes {
        return Ok(());
    }
    if session.interactive {
        tell(format!("{}\n  {}\n", session.err.bold(&review::headline(rollout)), printable(rollout.digest.as_str())));
        for line in review::certificate_words(&rollout.certificate) {
            tell(format!("  {}\n", printable(&line)));
        }
        tell(review::notes(&rollout.notes, session.err));
    }
    ask(false, &format!("Run it in region {}?", rollout.region), session)
        .map_err(|error| error.hint("`--approve DIGEST` runs exactly the rollout that was reviewed; `show` prints it"))
}

/// Fails unless somebody at the terminal says `yes`, or `already` was said.
pub fn ask(already: bool, question: &str, session: &Session) -> Result<(), CommandError> {
    if already {
        return Ok(());
    }
    if !session.interactive {
        return Err(CommandError::usage("nobody is at a terminal to approve this")
            .consequence("nothing was changed")
            .hint("`--yes` does it without asking"));
    }
    tell(format!("{} [yes/no] ", printable(question)));
    let mut answer = String::new();
    let read = std::io::stdin().lock().read_line(&mut answer);
    if read.is_ok() && answer.trim().eq_ignore_ascii_case("yes") {
        return Ok(());
    }
    Err(CommandError::usage("not approved").consequence("nothing was changed"))
}

/// Whether `approved` names the digest: all of it, or enough of its digits, with or without `sha256:`.
fn names(approved: &str, digest: &str) -> bool {
    let digits = |text: &str| text.strip_prefix("sha256:").unwrap_or(text).to_lowercase();
    let (approved, digest) = (digits(approved.trim()), digits(digest));
    approved.len() >= ENOUGH_DIGITS && digest.starts_with(&approved)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_is_approved_by_all_or_enough_of_it_and_by_nothing_else() {
        let digest = "sha256:0123456789abcdef0123";
        for approved in [digest, "0123456789abcdef0123", "0123456789AB", "sha256:0123456789abc"] {
            assert!(names(approved, digest), "{approved}");
        }
        for other in ["", "sha256:", "0123456789a", "1123456789abcdef", "0123456789abcdef01234"] {
            assert!(!names(other, digest), "{other}");
        }
    }
}
