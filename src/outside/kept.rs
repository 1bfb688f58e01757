//! What is kept of an output: enough to recognise it and to read how it ended.

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::host::plain;
use crate::model::Digest;

/// Lines that say how a program ended: a stack trace or a play's recap fits.
const LINES: usize = 40;

/// Longest tail in characters: a journal keeps one for each call.
const CHARACTERS: usize = 4000;

/// An output by its digest, and its end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Over all of it, as it came.
    pub digest: Digest,
    /// How long it was.
    pub bytes: u64,
    /// Its last lines, made plain.
    pub tail: String,
}

impl Kept {
    /// Keeps what counts of `output`.
    pub fn of(output: &[u8]) -> Self {
        let text = plain(&String::from_utf8_lossy(output));
        let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
        let mut tail = lines[lines.len().saturating_sub(LINES)..].join("\n");
        let length = tail.chars().count();
        if length > CHARACTERS {
            tail = tail.chars().skip(length - CHARACTERS).collect();
        }
        Self {
            digest: Digest::new(format!("sha256:{:x}", Sha256::digest(output))),
            bytes: u64::try_from(output.len()).unwrap_or(u64::MAX),
            tail,
        }
    }

    /// Its last lines on one line.
    pub fn words(&self) -> String {
        if self.tail.is_empty() { "without a word".to_owned() } else { self.tail.replace('\n', "; ") }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_kept_plain_and_the_whole_is_recognised() {
        let mut output: Vec<u8> = (0..100).flat_map(|n| format!("line {n}\n").into_bytes()).collect();
        output.extend(b"\x1b[31mgone\x1b[0m\n");
        let kept = Kept::of(&output);
        assert_eq!(kept.bytes, output.len() as u64);
        assert!(kept.tail.ends_with("line 99\ngone"), "{}", kept.tail);
        assert!(!kept.tail.contains("line 60\n"), "{}", kept.tail);
        assert_ne!(kept.digest, Kept::of(b"gone").digest);
        assert_eq!(Kept::of(b"").words(), "without a word");
    }
}
