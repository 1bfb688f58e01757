//! The lock on a region's file.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::thread::store;
use crate::journal::{JournalError, JournalResult, RegionHold};
use crate::run::event::Runner;

/// The lock on a region's file; the kernel lets go of it with the process.
struct FileHold {
    _file: File,
}

impl RegionHold for FileHold {}

/// Takes the lock of `region` beside the journal at `path`, or says who has it.
pub(super) fn take(path: &Path, region: &str, runner: &Runner) -> JournalResult<Box<dyn RegionHold>> {
    let clean: String = region.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let lock = PathBuf::from(format!("{}.{clean}.lock", path.display()));
    let file = File::options()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&lock)
        .map_err(|source| store("lock", &lock, source))?;
    match file.try_lock() {
        Ok(()) => {
            let who = format!("{} on {}", runner.pid, runner.host);
            std::fs::write(&lock, &who).map_err(|source| store("lock", &lock, source))?;
            Ok(Box::new(FileHold { _file: file }))
        }
        Err(std::fs::TryLockError::WouldBlock) => {
            let holder = std::fs::read_to_string(&lock).unwrap_or_default();
            Err(JournalError::Held { region: region.to_owned(), holder: format!("process {holder}") })
        }
        Err(std::fs::TryLockError::Error(source)) => Err(store("lock", &lock, source)),
    }
}
