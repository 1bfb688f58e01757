//! What a remedy wants to know of a host beyond what every collection reads.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What to ask of a host beside what every collection reads.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Inquiry {
    /// Names to ask the package database for.
    pub packages: BTreeSet<String>,
    /// Files of the kernel to read.
    pub kernel_files: BTreeSet<KernelFile>,
    /// Features of guests' processors to look for, in libvirt's words; with none, guests are not looked at.
    pub guest_flags: BTreeSet<String>,
    /// Whether the package manager is to ask its repositories, which takes longer than all the rest.
    #[serde(default)]
    pub repositories: bool,
}

impl Inquiry {
    /// Adds what somebody else wants.
    pub fn add(&mut self, other: Self) {
        self.packages.extend(other.packages);
        self.kernel_files.extend(other.kernel_files);
        self.guest_flags.extend(other.guest_flags);
        self.repositories |= other.repositories;
    }
}

/// A file by which the kernel tells of itself: an absolute path under `/sys` or `/proc/sys`, of plain characters and
/// without `..`. Remedies come from files that people exchange; none may read what else is on a host.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct KernelFile(#[schemars(regex(pattern = r"^/(sys|proc/sys)/[A-Za-z0-9._/:-]+$"))] String);

impl KernelFile {
    /// The path.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for KernelFile {
    type Error = String;

    fn try_from(path: String) -> Result<Self, Self::Error> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "._/:-".contains(c);
        let is_the_kernels = ["/sys/", "/proc/sys/"].iter().any(|folder| path.starts_with(folder));
        let stays_there = path.split('/').skip(1).all(|part| !part.is_empty() && part != "." && part != "..");
        if is_the_kernels && stays_there && path.chars().all(is_plain) {
            Ok(Self(path))
        } else {
            Err(format!("`{}` is no file of the kernel: a plain path under /sys or /proc/sys", path.escape_debug()))
        }
    }
}

impl From<KernelFile> for String {
    fn from(file: KernelFile) -> Self {
        file.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_remedy_reads_the_kernels_files_and_no_others() {
        let read = |path: &str| KernelFile::try_from(path.to_owned());
        for path in ["/sys/module/kvm_intel/parameters/vmentry_l1d_flush", "/proc/sys/kernel/osrelease"] {
            assert_eq!(read(path).unwrap().as_str(), path);
        }
        for path in [
            "/etc/shadow",
            "/proc/kcore",
            "/sys/../etc/shadow",
            "/sys/./x",
            "/sys//x",
            "/sys/",
            "/system/x",
            "sys/x",
            "/sys/x\n/etc/shadow",
            "/sys/$(id)",
            "/sys/a b",
            "",
        ] {
            assert!(read(path).unwrap_err().contains("no file of the kernel"), "{path}");
        }
    }
}
