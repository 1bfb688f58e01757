//! What a runner shows to prove that nobody has taken its region since.

use std::fmt;

use uuid::Uuid;

/// The number of a taking of a region. It grows with each taking; numbers of two databases do not compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FencingToken {
    /// The database that counts.
    pub space: Uuid,
    /// Its count.
    pub number: u64,
}

impl fmt::Display for FencingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.space, self.number)
    }
}
