//! The digest of a rollout: what a change ticket quotes and `run` enforces.

use std::io::{BufWriter, Write};

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::rollout::{Certificate, Note, Rollout};
use crate::model::Digest;

/// SHA-256 over the canonical JSON of everything in `rollout` but the digest itself, as `sha256:<hex>`.
///
/// Canonical means: fields in the order of their declaration, maps in order of key, no white space, as the model
/// serializes. The digest covers the model, not the bytes of the file: YAML and JSON of one rollout have one digest.
pub fn digest(rollout: &Rollout) -> Digest {
    Unsealed::of(rollout).seal(&rollout.certificate, &rollout.notes)
}

/// The digest of a rollout of which the certificate and the notes, the last fields, are not known yet: they are small,
/// and the checker is at work while the rest is hashed.
pub(super) struct Unsealed(Sha256);

impl Unsealed {
    /// Hashes all but certificate and notes.
    pub(super) fn of(rollout: &Rollout) -> Self {
        let mut hasher = Sha256::new();
        hash(&mut AllButLast { hasher: &mut hasher, last: None }, &Model::of(rollout));
        Self(hasher)
    }

    /// Hashes those too.
    pub(super) fn seal(mut self, certificate: &Certificate, notes: &[Note]) -> Digest {
        // The two objects become one.
        self.0.update(b",");
        hash(&mut AllButFirst { hasher: &mut self.0, begun: false }, &Last { certificate, notes });
        sealed(self.0)
    }
}

/// Whether the rollout still is what its digest says.
pub fn verify_digest(rollout: &Rollout) -> bool {
    digest(rollout) == rollout.digest
}

/// SHA-256 over the canonical JSON of any value of the model, as `sha256:<hex>`.
pub fn digest_of(value: &impl Serialize) -> Digest {
    let mut hasher = Sha256::new();
    hash(&mut Hashing(&mut hasher), value);
    sealed(hasher)
}

fn hash(writer: &mut impl Write, value: &impl Serialize) {
    // A serializer writes a few bytes at a time.
    let mut writer = BufWriter::with_capacity(BUFFER, writer);
    let written = serde_json::to_writer(&mut writer, value).is_ok() && writer.flush().is_ok();
    debug_assert!(written, "the model has text keys only and hashing never fails");
}

fn sealed(hasher: Sha256) -> Digest {
    let bytes = hasher.finalize();
    let hex: String = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xf]).map(hex_digit).collect();
    Digest::new(format!("sha256:{hex}"))
}

fn hex_digit(nibble: u8) -> char {
    char::from_digit(u32::from(nibble), 16).unwrap_or('0')
}

/// Bytes that are gathered before they are hashed: what a first-level cache holds with room to spare.
const BUFFER: usize = 16 * 1024;

/// What is written is hashed.
struct Hashing<'a>(&'a mut Sha256);

impl Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What is written is hashed but for the last byte: the brace that ends an object.
struct AllButLast<'a> {
    hasher: &'a mut Sha256,
    last: Option<u8>,
}

impl Write for AllButLast<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        if let Some((last, others)) = bytes.split_last() {
            self.hasher.update(self.last.replace(*last).as_slice());
            self.hasher.update(others);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What is written is hashed but for the first byte: the brace that begins an object.
struct AllButFirst<'a> {
    hasher: &'a mut Sha256,
    begun: bool,
}

impl Write for AllButFirst<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let skipped = usize::from(!self.begun && !bytes.is_empty());
        self.begun |= skipped > 0;
        self.hasher.update(&bytes[skipped..]);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The last fields of a rollout.
#[derive(Serialize)]
struct Last<'a> {
    certificate: &'a Certificate,
    notes: &'a [Note],
}

/// Everything in a rollout but its digest and what [`Last`] has, borrowed. Taking the rollout apart field by field
/// makes the compiler ask for each further one.
#[derive(Serialize)]
struct Model<'a> {
    format: u32,
    kind: super::rollout::RolloutKind,
    #[serde(skip_serializing_if = "super::rollout::Work::is_of_hosts")]
    work: super::rollout::Work,
    id: crate::model::RolloutId,
    made_by: &'a str,
    region: &'a str,
    created: jiff::Timestamp,
    region_taken_at: jiff::Timestamp,
    seed: u64,
    remedy: &'a crate::remedy::Remedy,
    policy: &'a crate::model::Policy,
    configuration: &'a Digest,
    hosts: &'a [super::rollout::PlannedHost],
    targets: &'a [crate::model::HostName],
    lenders: &'a [crate::model::HostName],
    #[serde(skip_serializing_if = "is_empty")]
    processors: &'a [super::rollout::PlannedProcessor],
    #[serde(skip_serializing_if = "is_empty")]
    zones: &'a [super::rollout::PlannedZone],
    skipped: &'a [super::rollout::SkippedHost],
    stays: &'a [super::rollout::PlannedStay],
    #[serde(skip_serializing_if = "is_empty")]
    blocked: &'a [super::rollout::BlockedInstance],
}

impl<'a> Model<'a> {
    fn of(rollout: &'a Rollout) -> Self {
        let Rollout {
            format,
            kind,
            work,
            id,
            digest: _,
            made_by,
            region,
            created,
            region_taken_at,
            seed,
            remedy,
            policy,
            configuration,
            hosts,
            targets,
            lenders,
            processors,
            zones,
            skipped,
            stays,
            blocked,
            certificate: _,
            notes: _,
        } = rollout;
        Self {
            format: *format,
            kind: *kind,
            work: *work,
            id: *id,
            made_by,
            region,
            created: *created,
            region_taken_at: *region_taken_at,
            seed: *seed,
            remedy,
            policy,
            configuration,
            hosts,
            targets,
            lenders,
            processors,
            zones,
            skipped,
            stays,
            blocked,
        }
    }
}

/// Absent from rollouts of versions that did not know it: their digests stay what they are.
fn is_empty<T>(list: &&[T]) -> bool {
    list.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Resources;
    use crate::plan::{PlannedProcessor, PlannedZone};

    #[test]
    fn it_is_that_of_the_canonical_json_without_the_digest() {
        let mut rollout = crate::report::fixture::rollout();
        rollout.lenders.clone_from(&rollout.targets);
        rollout.lenders.push("compute-lender".into());
        let known = digest(&rollout);
        rollout.processors.push(PlannedProcessor { hosts: rollout.targets.clone(), ..PlannedProcessor::default() });
        assert_ne!(digest(&rollout), known);
        let known = digest(&rollout);
        rollout.zones.push(PlannedZone { zone: None, used: Resources::basic(1, 2, 3), sizes: Vec::new() });
        assert_ne!(digest(&rollout), known);
        let mut value = serde_json::to_value(&rollout).unwrap();
        let _ = value.as_object_mut().unwrap().shift_remove("digest");
        assert_eq!(digest(&rollout), digest_of(&value));
        let mut other = rollout.clone();
        other.notes.clear();
        other.certificate.violations.push("a violation".to_owned());
        assert_ne!(digest(&other), digest(&rollout));
    }
}
