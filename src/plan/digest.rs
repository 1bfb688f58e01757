//! The digest of a rollout: what a change ticket quotes and `run` enforces.

use std::io::{BufWriter, Write};

use serde::Serialize;
use sha2::{Digest as _, Sha256};

use super::rollout::Rollout;
use crate::model::Digest;

/// SHA-256 over the canonical JSON of everything in `rollout` but the digest itself, as `sha256:<hex>`.
///
/// Canonical means: fields in the order of their declaration, maps in order of key, no white space, as the model
/// serializes. The digest covers the model, not the bytes of the file: YAML and JSON of one rollout have one digest.
pub fn digest(rollout: &Rollout) -> Digest {
    digest_of(&Model::of(rollout))
}

/// Whether the rollout still is what its digest says.
pub fn verify_digest(rollout: &Rollout) -> bool {
    digest(rollout) == rollout.digest
}

/// SHA-256 over the canonical JSON of any value of the model, as `sha256:<hex>`.
pub fn digest_of(value: &impl Serialize) -> Digest {
    let mut hasher = Sha256::new();
    // A serializer writes a few bytes at a time.
    let mut writer = BufWriter::with_capacity(BUFFER, Hashing(&mut hasher));
    let written = serde_json::to_writer(&mut writer, value).is_ok() && writer.flush().is_ok();
    drop(writer);
    debug_assert!(written, "the model has text keys only and hashing never fails");
    sealed(hasher)
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

/// Everything in a rollout but its digest, borrowed. Taking the rollout apart field by field makes the compiler ask
/// for each new one.
#[derive(Serialize)]
struct Model<'a> {
    format: u32,
    kind: super::rollout::RolloutKind,
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
    skipped: &'a [super::rollout::SkippedHost],
    stays: &'a [super::rollout::PlannedStay],
    certificate: &'a super::rollout::Certificate,
    notes: &'a [super::rollout::Note],
}

impl<'a> Model<'a> {
    fn of(rollout: &'a Rollout) -> Self {
        let Rollout {
            format,
            kind,
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
            skipped,
            stays,
            certificate,
            notes,
        } = rollout;
        Self {
            format: *format,
            kind: *kind,
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
            skipped,
            stays,
            certificate,
            notes,
        }
    }
}
