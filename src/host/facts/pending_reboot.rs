//! Whether the distribution says that a reboot is due: `yes` or `no`, then what for, a name a line.

use crate::model::PendingReboot;

/// The distribution's word.
pub(super) fn parse(text: &str) -> Result<PendingReboot, String> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let due = match lines.next() {
        Some("yes") => true,
        Some("no") => false,
        other => return Err(format!("`{}` is neither yes nor no", other.unwrap_or_default())),
    };
    Ok(PendingReboot { due, because: lines.map(str::to_owned).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_comes_first_and_what_for_behind_it() {
        let due = parse("yes\nlinux-image-6.1.0-18-amd64\n").unwrap();
        assert_eq!((due.due, due.because.as_slice()), (true, ["linux-image-6.1.0-18-amd64".to_owned()].as_slice()));
        assert!(!parse("no\n").unwrap().due);
        assert!(parse("").is_err() && parse("maybe").is_err());
    }
}
