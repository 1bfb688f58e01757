//! Port: what a policy's health gates ask, and how they are asked in earnest. Knows no run; `run::driver` asks.

mod ask;

use async_trait::async_trait;

use crate::model::HealthGate;

pub use ask::Asker;

/// What a health gate was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Whether another host may be begun.
    pub is_well: bool,
    /// What was said, for people: one line.
    pub said: String,
}

/// Asks health gates.
#[async_trait]
pub trait Vitals: Send + Sync {
    /// Asks; takes no longer than the gate's patience. What cannot be asked is not well.
    async fn ask(&self, gate: &HealthGate) -> Answer;
}
