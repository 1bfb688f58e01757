//! Versions of packages, ordered by the rule of the database they are in.

use std::cmp::Ordering;

use rpm_version::Evr;

use crate::model::PackageManager;

/// Whether an installed version reaches a threshold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reach {
    /// Whether it is the threshold or newer.
    pub(super) reached: bool,
    /// Whether the threshold has no epoch, so that the installed one was left out of account.
    pub(super) any_epoch: bool,
}

/// Holds `installed` against `threshold`, both `[epoch:]version[-release]`.
pub(super) fn reaches(manager: PackageManager, installed: &str, threshold: &str) -> Reach {
    let any_epoch = !has_epoch(threshold);
    let installed = if any_epoch { without_epoch(installed) } else { installed };
    Reach { reached: compare(manager, installed, threshold).is_ge(), any_epoch }
}

/// Orders two versions of one database.
pub(super) fn compare(manager: PackageManager, left: &str, right: &str) -> Ordering {
    match manager {
        PackageManager::Rpm => Evr::parse(left).cmp(&Evr::parse(right)),
        PackageManager::Dpkg => compare_debian(left, right),
    }
}

/// Holds `uname -r` against a threshold. rpm's rule serves every distribution here: flavour and architecture come
/// last, and what is longer is newer.
pub(super) fn kernel_reaches(release: &str, threshold: &str) -> bool {
    compare(PackageManager::Rpm, release, threshold).is_ge()
}

fn has_epoch(version: &str) -> bool {
    version.split_once(':').is_some_and(|(epoch, _)| !epoch.is_empty() && epoch.bytes().all(|b| b.is_ascii_digit()))
}

/// The version without its epoch, for people too.
pub(super) fn without_epoch(version: &str) -> &str {
    if has_epoch(version) { version.split_once(':').map_or(version, |(_, rest)| rest) } else { version }
}

/// dpkg's rule: epoch, upstream version, revision. Source: Debian Policy, "Version", and dpkg's own test vectors.
fn compare_debian(left: &str, right: &str) -> Ordering {
    let (left, right) = (DebianVersion::split(left), DebianVersion::split(right));
    compare_numbers(left.epoch, right.epoch)
        .then_with(|| compare_part(left.upstream, right.upstream))
        .then_with(|| compare_part(left.revision, right.revision))
}

struct DebianVersion<'a> {
    epoch: &'a str,
    upstream: &'a str,
    revision: &'a str,
}

impl<'a> DebianVersion<'a> {
    fn split(text: &'a str) -> Self {
        let (epoch, rest) = text.split_once(':').unwrap_or(("", text));
        let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
        Self { epoch, upstream, revision }
    }
}

/// Compares by turns a stretch without digits and a number.
fn compare_part(mut left: &str, mut right: &str) -> Ordering {
    while !(left.is_empty() && right.is_empty()) {
        let (mine, theirs) = (Turn::take(left), Turn::take(right));
        let order = compare_text(mine.text, theirs.text).then_with(|| compare_numbers(mine.number, theirs.number));
        if order.is_ne() {
            return order;
        }
        (left, right) = (mine.rest, theirs.rest);
    }
    Ordering::Equal
}

/// A stretch without digits, the number behind it, and what follows.
struct Turn<'a> {
    text: &'a str,
    number: &'a str,
    rest: &'a str,
}

impl<'a> Turn<'a> {
    fn take(from: &'a str) -> Self {
        let (text, rest) = split_where(from, |c| c.is_ascii_digit());
        let (number, rest) = split_where(rest, |c| !c.is_ascii_digit());
        Self { text, number, rest }
    }
}

fn split_where(text: &str, ends: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(ends).unwrap_or(text.len()))
}

/// By character: `~` before the end, the end before letters, letters before everything else.
fn compare_text(left: &str, right: &str) -> Ordering {
    let rank = |c: Option<char>| match c {
        Some('~') => (0, '~'),
        None => (1, '\0'),
        Some(c) if c.is_ascii_alphabetic() => (2, c),
        Some(c) => (3, c),
    };
    let (mut left, mut right) = (left.chars(), right.chars());
    loop {
        let pair = (left.next(), right.next());
        let order = rank(pair.0).cmp(&rank(pair.1));
        if order.is_ne() || pair == (None, None) {
            return order;
        }
    }
}

/// Digits of any length; none is zero.
fn compare_numbers(left: &str, right: &str) -> Ordering {
    let (left, right) = (left.trim_start_matches('0'), right.trim_start_matches('0'));
    left.len().cmp(&right.len()).then_with(|| left.cmp(right))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Orders that dpkg 1.21 gives, among them those of its own test suite (`t/Dpkg_Version.t`).
    const DPKG: [(&str, char, &str); 41] = [
        ("1.0-1", '<', "2.0-2"),
        ("2.2~rc-4", '<', "2.2-1"),
        ("1.0000-1", '=', "1.0-1"),
        ("1", '=', "0:1"),
        ("0", '=', "0:0-0"),
        ("2:2.5", '>', "1:7.5"),
        ("1:0foo", '>', "0foo"),
        ("0foo", '=', "0foo-0"),
        ("0foo", '>', "0fo"),
        ("0foo-0", '<', "0foo+"),
        ("0foo~1", '<', "0foo"),
        ("0foo~foo+Bar", '<', "0foo~foo+bar"),
        ("0foo~~", '<', "0foo~"),
        ("1~", '<', "1"),
        ("12345+that-really-is-some-ver-0", '<', "12345+that-really-is-some-ver-10"),
        ("0foo-0", '<', "0foo-01"),
        ("0foo.bar", '>', "0foobar"),
        ("0foo.bar", '>', "0foo1bar"),
        ("0foo1bar-1", '<', "0foobar-1"),
        ("0foo2.0", '>', "0foo2"),
        ("0foo2.0.0", '<', "0foo2.10.0"),
        ("0foo2.0", '<', "0foo2.0.0"),
        ("1.09", '=', "1.9"),
        ("1.0.8+nmu1", '>', "1.0.8"),
        ("3.11", '>', "3.10+nmu1"),
        ("0.9j-20080306-4", '>', "0.9i-20070324-2"),
        ("1.2.0~b7-1", '>', "1.2.0~b6-1"),
        ("1.011-1", '>', "1.06-2"),
        ("0.0.9+dfsg1-1", '>', "0.0.8+dfsg1-3"),
        ("4.6.99+svn6582-1", '>', "4.6.99+svn6496-1"),
        ("0.9.9~pre122-1", '>', "0.9.9~pre111-1"),
        ("2:2.3.2-2+lenny2", '>', "2:2.3.2-2"),
        ("1:3.8.1-1", '>', "3.8.GA-1"),
        ("1.0.1+gpl-1", '>', "1.0.1-2"),
        ("1a", '<', "1000a"),
        ("1:2.11+dfsg-1ubuntu7.12", '<', "1:2.11+dfsg-1ubuntu7.13"),
        ("4.0.0-1ubuntu8.8", '<', "4.0.0-1ubuntu8.10"),
        ("3.20180807a.0ubuntu0.18.04.1", '<', "3.20190514.0ubuntu0.18.04.2"),
        ("4.15.0.48.50", '<', "4.15.0.50.52"),
        ("4.9.168-1+deb9u2", '>', "4.9.168-1"),
        ("99999999999999999999999999", '<', "100000000000000000000000000"),
    ];

    #[test]
    fn debian_versions_are_ordered_as_dpkg_orders_them() {
        for (left, sign, right) in DPKG {
            let expected = match sign {
                '<' => Ordering::Less,
                '>' => Ordering::Greater,
                _ => Ordering::Equal,
            };
            assert_eq!(compare_debian(left, right), expected, "{left} {sign} {right}");
            assert_eq!(compare_debian(right, left), expected.reverse(), "{right} {left}");
        }
    }

    #[test]
    fn a_threshold_without_an_epoch_leaves_the_installed_one_out_of_account() {
        let rpm = |installed, threshold| reaches(PackageManager::Rpm, installed, threshold);
        let old = "10:2.12.0-18.el7_6.4";
        assert_eq!(rpm(old, "2.12.0-18.el7_6.5"), Reach { reached: false, any_epoch: true });
        assert_eq!(rpm("10:2.12.0-18.el7_6.5", "2.12.0-18.el7_6.5"), Reach { reached: true, any_epoch: true });
        assert_eq!(rpm(old, "9:2.12.0-18.el7_6.5"), Reach { reached: true, any_epoch: false });
        assert_eq!(rpm("0:2.12.0-19.el7", "10:2.12.0-18.el7"), Reach { reached: false, any_epoch: false });
        let deb = reaches(PackageManager::Dpkg, "1:2.11+dfsg-1ubuntu7.13", "2.11+dfsg-1ubuntu7.13");
        assert_eq!(deb, Reach { reached: true, any_epoch: true });
    }

    #[test]
    fn running_kernels_of_every_distribution_are_held_to_their_threshold() {
        for (release, threshold, reached) in [
            ("3.10.0-957.12.1.el7.x86_64", "3.10.0-957.12.2.el7", false),
            ("3.10.0-957.12.2.el7.x86_64", "3.10.0-957.12.2.el7", true),
            ("4.18.0-80.1.2.el8_0.x86_64", "3.10.0-957.12.2.el7", true),
            ("4.18.0-80.el8.x86_64", "4.18.0-80.1.2.el8_0", false),
            ("4.18.0-80.1.2.rt9.145.el8_0.x86_64", "4.18.0-80.1.2.el8_0", true),
            ("4.18.0-80.1.1.rt9.140.el8_0.x86_64", "4.18.0-80.1.2.el8_0", false),
            ("4.15.0-48-generic", "4.15.0-50", false),
            ("4.15.0-50-generic", "4.15.0-50", true),
            ("4.15.0-100-generic", "4.15.0-50", true),
        ] {
            assert_eq!(kernel_reaches(release, threshold), reached, "{release} {threshold}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_ordered_the_same_from_both_sides(left in "[0-9a-z~+.:-]{0,12}|\\PC{0,6}", right in "\\PC{0,6}") {
            for manager in [PackageManager::Rpm, PackageManager::Dpkg] {
                prop_assert_eq!(compare(manager, &left, &right), compare(manager, &right, &left).reverse());
                prop_assert_eq!(compare(manager, &left, &left), Ordering::Equal);
            }
        }
    }
}
