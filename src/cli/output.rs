//! Standard output, standard error and files: the only place that writes for people.

use std::borrow::Cow;
use std::fmt;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use indicatif::MultiProgress;
use serde::Serialize;

use super::error::CommandError;
use super::exit::Exit;
use crate::report::printable;

/// Where a file goes: a path, or `-` for standard output.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sink {
    /// `-`.
    Stdout,
    /// A file.
    File(PathBuf),
}

impl From<&str> for Sink {
    fn from(text: &str) -> Self {
        if text == "-" { Self::Stdout } else { Self::File(text.into()) }
    }
}

impl fmt::Display for Sink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => f.write_str("standard output"),
            Self::File(path) => write!(f, "`{}`", path.display()),
        }
    }
}

impl Sink {
    /// Writes `bytes` there: a file is replaced as a whole or not at all.
    pub fn write(&self, bytes: &[u8]) -> Result<(), CommandError> {
        match self {
            Self::Stdout => print(bytes),
            Self::File(path) => write_file(path, bytes),
        }
    }

    /// Fails early where writing would fail late: before an hour of inventory, not after it.
    pub fn check(&self) -> Result<(), CommandError> {
        match self {
            Self::Stdout => Ok(()),
            Self::File(path) => check_target(path),
        }
    }
}

/// Where a file comes from: a path, or `-` for standard input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// `-`.
    Stdin,
    /// A file.
    File(PathBuf),
}

impl From<&str> for Source {
    fn from(text: &str) -> Self {
        if text == "-" { Self::Stdin } else { Self::File(text.into()) }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdin => f.write_str("<stdin>"),
            Self::File(path) => write!(f, "{}", path.display()),
        }
    }
}

impl Source {
    /// Reads all of it as UTF-8; `what` says what it should be: `a rollout`.
    pub fn read(&self, what: &str) -> Result<String, CommandError> {
        let read = match self {
            Self::Stdin => io::read_to_string(io::stdin().lock()),
            Self::File(path) => fs::read_to_string(path),
        };
        read.map_err(|error| CommandError::doing(Exit::Usage, format!("cannot read `{self}` as {what}"), error))
    }
}

/// Writes data to standard output. A reader that went away (`| head`) is no error.
pub fn print(bytes: impl AsRef<[u8]>) -> Result<(), CommandError> {
    let mut out = io::stdout().lock();
    match out.write_all(bytes.as_ref()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(CommandError::doing(Exit::Unexpected, "cannot write to standard output", error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// `value` as JSON text for people and programs.
pub fn json(value: &impl Serialize) -> Result<String, CommandError> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| CommandError::doing(Exit::Unexpected, "cannot write JSON", error))?;
    Ok(inert(&text) + "\n")
}

/// JSON text in which nothing acts on a terminal: what serde leaves as it is (C1 controls, marks of direction) stands
/// within strings only, where an escape means the same.
fn inert(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if c != '\n' && matches!(printable(c.encode_utf8(&mut [0; 4])), Cow::Owned(_)) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = fmt::Write::write_fmt(&mut safe, format_args!("\\u{unit:04x}"));
            }
        } else {
            safe.push(c);
        }
    }
    safe
}

/// Prints `value` as JSON on standard output.
pub fn print_json(value: &impl Serialize) -> Result<(), CommandError> {
    print(json(value)?)
}

/// Bars on standard error, under which nothing else may be written.
static BARS: Mutex<Option<MultiProgress>> = Mutex::new(None);

/// While this lives, what is told stands above bars.
#[derive(Debug)]
pub struct Redrawn(());

impl Drop for Redrawn {
    fn drop(&mut self) {
        if let Some(bars) = bars().take() {
            let _ = bars.clear();
        }
    }
}

/// From now on `bars` are at the bottom of the terminal.
pub fn redraw_under(multi: MultiProgress) -> Redrawn {
    *bars() = Some(multi);
    Redrawn(())
}

fn bars() -> MutexGuard<'static, Option<MultiProgress>> {
    // A panic elsewhere leaves bars that are as good as any.
    BARS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Tells a person something on standard error; nobody listening is no reason to stop.
pub fn tell(text: impl AsRef<str>) {
    let write = || {
        let mut err = io::stderr().lock();
        let _ = err.write_all(text.as_ref().as_bytes());
        let _ = err.flush();
    };
    match bars().as_ref() {
        Some(bars) => bars.suspend(write),
        None => write(),
    }
}

/// Standard error for the log: what it writes stands above bars.
#[derive(Debug, Clone, Copy)]
pub struct Stderr;

impl Write for Stderr {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        tell(String::from_utf8_lossy(bytes));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn cannot_write(path: &Path, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> CommandError {
    CommandError::doing(Exit::Unexpected, format!("cannot write `{}`", path.display()), error)
        .consequence("nothing was written; what was there is as it was")
}

fn check_target(path: &Path) -> Result<(), CommandError> {
    if path.is_dir() {
        return Err(CommandError::usage(format!("`{}` is a directory, not a file", path.display())));
    }
    let folder = folder_of(path);
    if folder.is_dir() {
        return Ok(());
    }
    Err(CommandError::usage(format!("there is no directory `{}` to write `{}` in", folder.display(), path.display())))
}

fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// As [`write_file`], readable by its owner only: it holds a password.
pub fn write_private(path: &Path, bytes: &[u8]) -> Result<(), CommandError> {
    use std::os::unix::fs::OpenOptionsExt as _;
    // The file is made private before anything is in it; an existing one keeps its rights, as `write_file` does.
    let made = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    match made {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(cannot_write(path, error)),
        Ok(_) | Err(_) => {}
    }
    fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .map_err(|error| cannot_write(path, error))?;
    write_file(path, bytes)
}

/// Replaces `path` by `bytes` as a whole or not at all: written beside it, synchronised, then renamed over it.
///
/// A target that is no regular file (`/dev/null`, a named pipe) is written in place: renaming would replace it.
pub fn write_file(path: &Path, bytes: &[u8]) -> Result<(), CommandError> {
    check_target(path)?;
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if fs::metadata(&target).is_ok_and(|found| !found.is_file()) {
        return fs::write(&target, bytes).map_err(|error| cannot_write(path, error));
    }
    let name = target.file_name().ok_or_else(|| cannot_write(path, "it names no file"))?;
    let beside = target.with_file_name(format!(".{}.{}.part", name.to_string_lossy(), std::process::id()));
    let written = write_beside(&beside, &target, bytes);
    written.map_err(|error| {
        let _ = fs::remove_file(&beside);
        cannot_write(path, error)
    })
}

fn write_beside(beside: &Path, target: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = fs::File::create(beside)?;
    // Before anything is in it: what was private stays private.
    if let Ok(found) = fs::metadata(target) {
        file.set_permissions(found.permissions())?;
    }
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(beside, target)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_and_leaves_nothing_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rollout.yaml");
        write_file(&path, b"one").unwrap();
        write_file(&path, b"two").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_directory_is_never_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let error = write_file(folder.path(), b"x").unwrap_err();
        assert_eq!(error.exit(), Exit::Usage);
        assert!(folder.path().is_dir());
        let missing = Sink::File(folder.path().join("no/such/file")).check().unwrap_err();
        assert_eq!(missing.exit(), Exit::Usage);
    }

    #[test]
    fn json_holds_nothing_that_a_terminal_obeys_and_means_the_same() {
        let value = serde_json::json!({"name": "a\u{9b}31m\u{202e}\u{e0001}\u{1b}\n", "ok": "データ"});
        let text = json(&value).unwrap();
        assert!(text.chars().all(|c| c == '\n' || !c.is_control()) && !text.contains('\u{202e}'), "{text:?}");
        assert!(text.contains("データ"));
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }

    #[test]
    fn a_link_keeps_being_a_link() {
        let folder = tempfile::tempdir().unwrap();
        let (real, link) = (folder.path().join("real"), folder.path().join("link"));
        fs::write(&real, "old").unwrap();
        std::os::unix::fs::symlink(&real, &link).unwrap();
        write_file(&link, b"fresh").unwrap();
        assert_eq!(fs::read(&real).unwrap(), b"fresh");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
    }
}
