//! Small sections of one value: names, ids, clock and uptime.

use jiff::Timestamp;

/// The only line, not empty.
pub(super) fn line(text: &str) -> Result<String, String> {
    let line = text.trim();
    if line.is_empty() {
        Err("empty".to_owned())
    } else if line.contains('\n') {
        Err("more than one line".to_owned())
    } else {
        Ok(line.to_owned())
    }
}

/// The only word.
pub(super) fn word(text: &str) -> Result<String, String> {
    let line = line(text)?;
    if line.contains(char::is_whitespace) { Err(format!("`{line}` is more than one word")) } else { Ok(line) }
}

/// A whole number.
pub(super) fn number(text: &str) -> Result<u32, String> {
    let word = word(text)?;
    word.parse().map_err(|_| format!("`{word}` is not a number"))
}

/// Seconds since 1970.
pub(super) fn clock(text: &str) -> Result<Timestamp, String> {
    let word = word(text)?;
    word.parse()
        .ok()
        .and_then(|seconds| Timestamp::from_second(seconds).ok())
        .ok_or_else(|| format!("`{word}` is not a time in seconds since 1970"))
}

/// The first number of `/proc/uptime`, whole seconds.
pub(super) fn uptime(text: &str) -> Result<u64, String> {
    let line = line(text)?;
    let whole = line.split(['.', ' ']).next().unwrap_or_default();
    whole.parse().map_err(|_| format!("`{line}` is not an uptime"))
}

/// A kernel's version out of its path: boot loaders name files.
pub(super) fn default_kernel(text: &str) -> Result<String, String> {
    let word = word(text)?;
    let name = word.rsplit('/').next().unwrap_or_default();
    let version = ["vmlinuz-", "vmlinux-", "bzImage-"].iter().find_map(|prefix| name.strip_prefix(prefix));
    match version.unwrap_or(name) {
        "" => Err(format!("`{word}` names no kernel")),
        version => Ok(version.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_kernel_is_a_version_whether_a_path_or_a_version_is_told() {
        for told in ["/boot/vmlinuz-3.10.0-957.12.2.el7.x86_64\n", "3.10.0-957.12.2.el7.x86_64"] {
            assert_eq!(default_kernel(told).unwrap(), "3.10.0-957.12.2.el7.x86_64");
        }
        assert!(default_kernel("/boot/").is_err());
    }

    #[test]
    fn uptime_and_clock_are_whole_seconds() {
        assert_eq!(uptime("350735.47 234388.90\n"), Ok(350_735));
        assert_eq!(clock("1574337600\n").unwrap().to_string(), "2019-11-21T12:00:00Z");
        assert!(uptime("up").is_err());
        assert!(clock("99999999999999999").is_err());
    }

    #[test]
    fn a_value_that_is_not_one_word_is_refused() {
        assert!(word("two words").is_err());
        assert!(word("  \n").is_err());
        assert!(line("a\nb").is_err());
        assert_eq!(line(" BOOT_IMAGE=/vmlinuz root=/dev/sda1 \n").unwrap(), "BOOT_IMAGE=/vmlinuz root=/dev/sda1");
    }
}
