//! The chain of digests: each event's digest covers the one before it, the first one the run as it was begun. Whoever
//! changes, drops or adds an event, or changes the record, breaks it there.
//!
//! It shows tampering to whoever kept the last digest, and every slip of a hand or of a disk to anybody. Events that were
//! written before there were digests have none; from the first digest on each event must have one.

use sha2::{Digest as _, Sha256};

use super::{JournalError, JournalResult, RunRecord, StoredEvent};
use crate::model::{Digest, RunId};

/// What the digest of the run's first event covers in place of a former one: the record.
pub fn genesis(record: &RunRecord) -> Digest {
    let mut hash = Sha256::new();
    let RunRecord { run, region, digest, created, rollout, snapshot } = record;
    for part in [&run.to_string(), region, digest.as_str(), &created.to_string(), rollout.as_str(), snapshot.as_str()] {
        // The length first: no two records read the same.
        hash.update(part.len().to_be_bytes());
        hash.update(part);
    }
    sealed(hash)
}

/// The digest of an event whose text is `body`, after `before`.
pub(super) fn link(before: &Digest, body: &str) -> Digest {
    let mut hash = Sha256::new();
    hash.update(before.as_str());
    hash.update("\n");
    hash.update(body);
    sealed(hash)
}

fn sealed(hash: Sha256) -> Digest {
    Digest::new(format!("sha256:{:x}", hash.finalize()))
}

/// Checks events as they are read, in order.
#[derive(Debug, Clone)]
pub struct Chain {
    run: RunId,
    /// Number of the last event.
    seq: u64,
    /// What the next digest covers; `None` when the next event's cannot be checked.
    before: Option<Digest>,
    /// Number of the first event with a digest, and the digest of the last one.
    head: Option<(u64, Digest)>,
}

impl Chain {
    /// From the beginning of a run.
    pub fn of(record: &RunRecord) -> Self {
        Self { run: record.run, seq: 0, before: Some(genesis(record)), head: None }
    }

    /// From event `seq` on, whose digest is known.
    pub fn after(run: RunId, seq: u64, digest: Digest) -> Self {
        Self { run, seq, before: Some(digest.clone()), head: Some((seq, digest)) }
    }

    /// From event `seq` on; the first digest that follows is taken as it is.
    pub fn somewhere(run: RunId, seq: u64) -> Self {
        Self { run, seq, before: None, head: None }
    }

    /// Takes the next event; `Tampered` when it is not what was written, or not the next one.
    pub fn check(&mut self, stored: &StoredEvent) -> JournalResult<()> {
        let tampered = |what| JournalError::Tampered { run: self.run, seq: stored.seq, what };
        if stored.seq != self.seq + 1 {
            let missing = JournalError::Tampered { run: self.run, seq: self.seq + 1, what: "is missing" };
            return Err(missing);
        }
        match (&stored.digest, &self.head, &self.before) {
            (None, Some(_), _) => return Err(tampered("has lost its digest")),
            (None, None, _) => {}
            (Some(digest), _, Some(before)) if link(before, &stored.body) != *digest => {
                return Err(tampered("is not what was written"));
            }
            (Some(digest), head, _) => {
                let first = head.as_ref().map_or(stored.seq, |(first, _)| *first);
                self.before = Some(digest.clone());
                self.head = Some((first, digest.clone()));
            }
        }
        self.seq = stored.seq;
        Ok(())
    }

    /// Number of the last event.
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// Number of the first event that has a digest, and the digest of the last one; `None` without any.
    pub fn head(&self) -> Option<(u64, &Digest)> {
        self.head.as_ref().map(|(first, digest)| (*first, digest))
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use uuid::Uuid;

    use super::*;

    fn record() -> RunRecord {
        RunRecord {
            run: RunId::new(Uuid::nil()),
            region: "R".to_owned(),
            digest: Digest::new("sha256:0"),
            created: Timestamp::UNIX_EPOCH,
            rollout: "{}".to_owned(),
            snapshot: "{}".to_owned(),
        }
    }

    /// Five events, the first `plain` of them without digests.
    fn written(plain: u64) -> Vec<StoredEvent> {
        let mut before = genesis(&record());
        let event = |seq| {
            let body = format!("event {seq}");
            if seq <= plain {
                return StoredEvent { seq, body, digest: None };
            }
            before = link(&before, &body);
            StoredEvent { seq, body, digest: Some(before.clone()) }
        };
        (1..=5).map(event).collect()
    }

    fn refused(events: &[StoredEvent], record: &RunRecord) -> Option<u64> {
        let mut chain = Chain::of(record);
        events.iter().find_map(|event| match chain.check(event) {
            Err(JournalError::Tampered { seq, .. }) => Some(seq),
            _ => None,
        })
    }

    #[test]
    fn whatever_is_changed_is_named() {
        let record = record();
        let good = written(0);
        assert_eq!(refused(&good, &record), None);
        let changed = |change: &dyn Fn(&mut Vec<StoredEvent>)| {
            let mut events = written(0);
            change(&mut events);
            refused(&events, &record)
        };
        assert_eq!(changed(&|events| events[2].body.push('!')), Some(3));
        assert_eq!(changed(&|events| events[2].digest = None), Some(3));
        assert_eq!(changed(&|events| events[2].digest = events[1].digest.clone()), Some(3));
        assert_eq!(changed(&|events| drop(events.remove(2))), Some(3));
        assert_eq!(changed(&|events| events[3] = StoredEvent { seq: 4, ..events[2].clone() }), Some(4));
        let other = RunRecord { snapshot: "{ }".to_owned(), ..record.clone() };
        assert_eq!(refused(&good, &other), Some(1));
    }

    #[test]
    fn events_of_earlier_versions_have_no_digest_and_those_after_them_have() {
        let record = record();
        assert_eq!(refused(&written(3), &record), None);
        assert_eq!(refused(&written(5), &record), None);
        let mut events = written(3);
        events[4].body.push('!');
        assert_eq!(refused(&events, &record), Some(5));
        let mut chain = Chain::of(&record);
        for event in &written(3) {
            chain.check(event).unwrap();
        }
        assert_eq!(chain.head().map(|(first, _)| first), Some(4));
    }

    #[test]
    fn a_chain_can_be_taken_up_in_the_middle() {
        let events = written(0);
        let mut known = Chain::after(record().run, 2, events[1].digest.clone().unwrap());
        let mut unknown = Chain::somewhere(record().run, 2);
        let mut broken = events.clone();
        broken[2].body.push('!');
        assert!(known.clone().check(&broken[2]).is_err());
        // Without the digest before it nobody can tell; the one after it does.
        unknown.clone().check(&broken[2]).unwrap();
        for event in &events[2..] {
            known.check(event).unwrap();
            unknown.check(event).unwrap();
        }
    }
}
