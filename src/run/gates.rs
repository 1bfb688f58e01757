//! Asks the policy's health gates: whenever an answer is older than the gate allows and a host waits for it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tokio::time::Instant;

use super::host::HostPhase;
use super::state::{RunState, RunStatus};
use crate::clock::Clock;
use crate::health::Answer;
use crate::model::HealthGate;

/// When each gate was asked last, and which of them have not answered.
#[derive(Debug, Default)]
pub(super) struct Asked {
    last: BTreeMap<String, Instant>,
    open: BTreeSet<String>,
}

impl Asked {
    /// Gates that are to be asked now; they count as asked.
    pub fn due(&mut self, state: &RunState, clock: &Arc<dyn Clock>) -> Vec<HealthGate> {
        if *state.status() != RunStatus::Running || state.count(HostPhase::Waiting) == 0 {
            return Vec::new();
        }
        let now = Instant::now();
        let is_old = |gate: &&HealthGate| {
            let every = clock.real(gate.every.get());
            let fresh = self.last.get(&gate.name).is_some_and(|last| now.duration_since(*last) < every);
            !self.open.contains(&gate.name) && (!fresh || state.health(&gate.name).is_none())
        };
        let due: Vec<HealthGate> = state.rollout().policy.gates.iter().filter(is_old).cloned().collect();
        for gate in &due {
            self.last.insert(gate.name.clone(), now);
            self.open.insert(gate.name.clone());
        }
        due
    }

    /// A gate has answered; whether that is news.
    pub fn answered(&mut self, state: &RunState, gate: &str, answer: &Answer) -> bool {
        self.open.remove(gate);
        state.health(gate).is_none_or(|known| known.is_well != answer.is_well)
    }
}
