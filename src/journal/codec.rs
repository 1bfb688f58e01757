//! Events and what lies beside them as the stores keep them: JSON text.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{JournalError, JournalResult};
use crate::model::RunId;

pub(super) fn encode<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("events have text keys and no maps that could refuse to serialize")
}

/// `seq` is the number of the event that `body` is, 0 for what lies beside the events.
pub(super) fn decode<T: DeserializeOwned>(run: RunId, seq: u64, body: &str) -> JournalResult<T> {
    serde_json::from_str(body).map_err(|source| JournalError::Damaged { run, seq, source })
}
