//! Packages that the package manager is told to leave as they are.

/// What is told of packages: by which file or command, and the line that does it.
pub(super) fn parse(text: &str) -> Result<Vec<(String, String)>, String> {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    let read = |line: &str| {
        let (by, pattern) = line.split_once('\t').ok_or_else(|| format!("`{line}` does not say who holds it"))?;
        Ok((by.trim().to_owned(), pattern.trim().to_owned()))
    };
    lines.map(read).collect()
}

/// Whether `pattern` holds the package `name`: `name`, `name*`, `name-0:1.2-3.*` (dnf) or `0:name-1.2-3.*` (yum). A `!`
/// before it excludes those versions, which holds it as well.
pub(super) fn holds(pattern: &str, name: &str) -> bool {
    let pattern = pattern.strip_prefix('!').unwrap_or(pattern);
    let pattern = match pattern.split_once(':') {
        Some((epoch, rest)) if epoch.chars().all(|c| c.is_ascii_digit()) => rest,
        Some(_) | None => pattern,
    };
    if pattern == name {
        return true;
    }
    if let Some(start) = pattern.strip_suffix('*')
        && !start.contains(['*', '?', '['])
        && name.starts_with(start)
    {
        return true;
    }
    let version = pattern.strip_prefix(name).and_then(|rest| rest.strip_prefix('-'));
    version.is_some_and(|version| version.starts_with(|c: char| c.is_ascii_digit() || c == '*'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_to_hold_a_package_is_known_and_its_neighbours_are_free() {
        for pattern in
            ["kernel", "kernel*", "kernel-0:4.18.0-80.el8.*", "0:kernel-3.10.0-957.el7.*", "!kernel-4.18.0-80.el8.*"]
        {
            assert!(holds(pattern, "kernel"), "{pattern}");
        }
        for pattern in ["kernel-core-0:4.18.0-80.el8.*", "0:kernel-rt-3.10.0-957.el7.*", "kernel-tools", "qemu*"] {
            assert!(!holds(pattern, "kernel"), "{pattern}");
        }
        assert!(holds("kernel-*", "kernel-core"));
        assert_eq!(parse("apt-mark hold\tqemu-kvm\n").unwrap(), [("apt-mark hold".to_owned(), "qemu-kvm".to_owned())]);
    }
}
