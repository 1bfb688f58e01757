//! Reading a run's state back from its journal: from the newest snapshot that fits, or from the first event.
//!
//! A snapshot is a shortcut. It counts only where its version, its number and the digest of its last event are those of the
//! journal; then every event after it is held against the chain. Without one, all of them are.

use std::sync::Arc;

use super::execute::RunError;
use super::state::{MADE_BY, RunState};
use crate::journal::chain::Chain;
use crate::journal::{Journal, PAGE, Snapshot};
use crate::model::{Region, RunId};
use crate::plan::Rollout;

/// A run's state as its journal tells it: the record and every event, folded.
pub async fn load(journal: &dyn Journal, run: RunId) -> Result<RunState, RunError> {
    let record = journal.record(run).await.map_err(RunError::Journal)?;
    let unreadable = |source| RunError::Record { run, source };
    let rollout: Rollout = serde_json::from_str(&record.rollout).map_err(unreadable)?;
    let region: Region = serde_json::from_str(&record.snapshot).map_err(unreadable)?;
    let rollout = Arc::new(rollout);
    let (mut state, mut chain) = match saved(journal, run, &rollout, &region).await? {
        Some(found) => found,
        None => (RunState::new(run, rollout, &region), Chain::of(&record)),
    };
    loop {
        let page = journal.page(run, state.seq() + 1, PAGE).await.map_err(RunError::Journal)?;
        for stored in &page {
            chain.check(stored).map_err(RunError::Journal)?;
            let event = stored.read(run).map_err(RunError::Journal)?;
            state.apply(&event).map_err(|source| RunError::Drive { run, source: source.into() })?;
        }
        if page.len() < PAGE {
            return Ok(state);
        }
    }
}

/// The state of the newest snapshot, when it fits the journal.
async fn saved(
    journal: &dyn Journal,
    run: RunId,
    rollout: &Arc<Rollout>,
    region: &Region,
) -> Result<Option<(RunState, Chain)>, RunError> {
    let Some(snapshot) = journal.snapshot(run).await.map_err(RunError::Journal)? else { return Ok(None) };
    if snapshot.made_by != MADE_BY || digest_at(journal, run, snapshot.seq).await.as_ref() != Some(&snapshot.digest) {
        return Ok(None);
    }
    let state = RunState::restored(run, Arc::clone(rollout), region, &snapshot.body).ok();
    let state = state.filter(|state| state.seq() == snapshot.seq);
    Ok(state.map(|state| (state, Chain::after(run, snapshot.seq, snapshot.digest))))
}

async fn digest_at(journal: &dyn Journal, run: RunId, seq: u64) -> Option<crate::model::Digest> {
    let page = journal.page(run, seq, 1).await.ok()?;
    page.into_iter().next().filter(|stored| stored.seq == seq)?.digest
}

/// Saves the state as of its last event, which is durable. A store that cannot take it loses a shortcut and nothing else.
pub(super) async fn keep(journal: &dyn Journal, state: &RunState) {
    let (run, seq) = (state.run(), state.seq());
    let Some(digest) = digest_at(journal, run, seq).await else { return };
    let snapshot = Snapshot { seq, digest, made_by: MADE_BY.to_owned(), body: state.save() };
    if let Err(error) = journal.keep_snapshot(run, &snapshot).await {
        tracing::warn!(%error, seq, "no snapshot was kept: reading this journal takes longer");
    }
}
