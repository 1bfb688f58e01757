//! Installed packages: rpm's lines `NAME EPOCH:VERSION-RELEASE ARCH` and dpkg's lines `NAME VERSION ARCH STATUS`.

use crate::model::{Package, PackageManager};

/// What a package database holds of the packages that were asked for.
#[derive(Debug, Default)]
pub(super) struct Packages {
    /// Installed versions.
    pub(super) packages: Vec<Package>,
    /// Packages that an interrupted operation left between two states, with that state.
    pub(super) unfinished: Vec<String>,
}

pub(super) fn parse(text: &str, manager: PackageManager) -> Result<Packages, String> {
    let mut read = Packages::default();
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let (name, version, arch, status) = match (manager, fields.as_slice()) {
            (PackageManager::Rpm, [name, version, arch]) => (*name, *version, *arch, "installed"),
            (PackageManager::Dpkg, [name, version, arch, status]) => (*name, *version, *arch, *status),
            // dpkg has no version of a package that was never configured, and prints nothing in its place.
            (PackageManager::Dpkg, [_, _, "not-installed"]) => continue,
            (PackageManager::Rpm | PackageManager::Dpkg, _) => return Err(format!("`{line}` is not a package")),
        };
        match status {
            // A package whose triggers wait is unpacked and configured: dpkg(1).
            "installed" | "triggers-awaited" | "triggers-pending" => read.packages.push(Package {
                name: name.to_owned(),
                version: version.to_owned(),
                // rpm's word for packages without architecture, such as keys.
                arch: if arch == "(none)" { String::new() } else { arch.to_owned() },
                manager,
            }),
            "not-installed" | "config-files" => {}
            status => read.unfinished.push(format!("{name} is {status}")),
        }
    }
    Ok(read)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_installed_kernel_is_listed_with_its_epoch() {
        let read =
            parse("kernel 0:3.10.0-957.12.1.el7 x86_64\nkernel 0:3.10.0-957.12.2.el7 x86_64\n", PackageManager::Rpm)
                .unwrap();
        let versions: Vec<&str> = read.packages.iter().map(|package| package.version.as_str()).collect();
        assert_eq!(versions, ["0:3.10.0-957.12.1.el7", "0:3.10.0-957.12.2.el7"]);
    }

    #[test]
    fn only_what_dpkg_has_fully_installed_counts_and_half_done_is_told() {
        let text = "qemu-system-x86 1:2.11+dfsg-1ubuntu7.13 amd64 installed\nold 1.0 amd64 config-files\n\
                    gone  amd64 not-installed\nlibvirt-clients 4.0.0-1ubuntu8.10 amd64 half-configured\n";
        let read = parse(text, PackageManager::Dpkg).unwrap();
        assert_eq!(read.packages.len(), 1);
        assert_eq!(read.packages[0].version, "1:2.11+dfsg-1ubuntu7.13");
        assert_eq!(read.unfinished, ["libvirt-clients is half-configured"]);
    }

    #[test]
    fn a_line_of_another_shape_is_refused() {
        assert!(parse("package foo is not installed", PackageManager::Rpm).is_err());
        assert!(parse("error: cannot open Packages database in /var/lib/rpm", PackageManager::Rpm).is_err());
    }
}
