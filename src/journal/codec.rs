//! Events and what lies beside them as the stores keep them: JSON text.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{JournalError, JournalResult, StoredEvent};
use crate::model::RunId;
use crate::run::event::Event;

pub(super) fn encode<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("events have text keys and no maps that could refuse to serialize")
}

/// `seq` is the number of the event that `body` is, 0 for what lies beside the events.
pub(super) fn decode<T: DeserializeOwned>(run: RunId, seq: u64, body: &str) -> JournalResult<T> {
    serde_json::from_str(body).map_err(|source| match unknown_word(&source) {
        Some(what) => JournalError::Later { run, seq, what },
        None => JournalError::Damaged { run, seq, source },
    })
}

/// A stored event as it is spoken of.
pub(super) fn event(run: RunId, stored: &StoredEvent) -> JournalResult<Event> {
    decode(run, stored.seq, &stored.body)
}

/// The word that a later version wrote: a kind of event, of intent or of outcome that is none of ours. serde has no other
/// way to tell it than its text.
fn unknown_word(error: &serde_json::Error) -> Option<String> {
    let text = error.to_string();
    let word = text.strip_prefix("unknown variant `")?;
    word.split_once('`').map(|(word, _)| word.to_owned())
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    #[test]
    fn what_a_later_version_wrote_is_told_from_what_is_damaged() {
        let run = RunId::new(Uuid::nil());
        let read = |body: &str| decode::<Event>(run, 7, body);
        let later = [
            (r#"{"seq":7,"at":"2026-11-22T12:00:00Z","event":{"type":"host-painted"}}"#, "host-painted"),
            (
                r#"{"seq":7,"at":"2026-11-22T12:00:00Z","event":{"type":"step-intended","step":"a/b","intent":{"do":"paint"}}}"#,
                "paint",
            ),
        ];
        for (body, word) in later {
            let error = read(body).unwrap_err();
            assert!(matches!(&error, JournalError::Later { seq: 7, what, .. } if what == word), "{error:?}");
        }
        assert!(matches!(read("{"), Err(JournalError::Damaged { seq: 7, .. })));
    }
}
