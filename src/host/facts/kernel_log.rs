//! Lines of `dmesg` that speak of a vulnerability.

/// Words of the kernel's reports on vulnerabilities (`arch/x86/kernel/cpu/bugs.c`), in lower case.
const WORDS: [&str; 3] = ["mitigation", "vulnerable", "not affected"];

/// The lines, oldest first, without `<6>` and `[    0.034005]` in front.
#[expect(clippy::unnecessary_wraps, reason = "all sections are read through functions of one shape")]
pub(super) fn parse(text: &str) -> Result<Vec<String>, String> {
    Ok(text.lines().map(message).filter(|line| speaks_of_vulnerability(line)).map(str::to_owned).collect())
}

fn speaks_of_vulnerability(line: &str) -> bool {
    let lower = line.to_lowercase();
    WORDS.iter().any(|word| lower.contains(word))
}

/// The message of a line: without level and time, where they are.
fn message(line: &str) -> &str {
    let line = strip_bracketed(line.trim(), '<', '>', |level| level.bytes().all(|b| b.is_ascii_digit()));
    strip_bracketed(line, '[', ']', |time| time.trim().parse::<f64>().is_ok())
}

fn strip_bracketed(line: &str, open: char, close: char, is_it: impl Fn(&str) -> bool) -> &str {
    match line.strip_prefix(open).and_then(|rest| rest.split_once(close)) {
        Some((inside, rest)) if is_it(inside) => rest.trim_start(),
        Some(_) | None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What real kernels print, see `tests/fixtures/host/real-kernel-mds.txt`.
    #[test]
    fn times_and_levels_go_order_stays_and_other_lines_are_left_out() {
        let text = "<6>[    0.000000] Linux version 3.10\n[    0.024519] MDS: Vulnerable: Clear CPU buffers attempted, no microcode\n\
                    <6>[    0.017570] MDS: Mitigation: Clear CPU buffers\n[ note ] TAA: Not affected\n";
        assert_eq!(
            parse(text).unwrap(),
            [
                "MDS: Vulnerable: Clear CPU buffers attempted, no microcode",
                "MDS: Mitigation: Clear CPU buffers",
                "[ note ] TAA: Not affected"
            ]
        );
    }

    #[test]
    fn a_ring_buffer_that_rolled_over_has_no_lines() {
        assert!(parse("").unwrap().is_empty());
    }
}
