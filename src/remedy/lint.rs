//! Mistakes in a remedy that is well-formed: what can never match, never pass, or never be seen.

use std::collections::BTreeSet;
use std::fmt;

use super::{
    CommandLineEvidence, EvidenceRequirement, GuestRequirement, KernelFileEvidence, KernelLogEvidence,
    KernelRequirement, Minimum, NoPendingReboot, PackageRequirement, Remedy, SysfsEvidence, SystemSelector, Threshold,
};

/// A mistake in a remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Where: `packages[0].thresholds[2]`.
    pub at: String,
    /// What, and what to do about it.
    pub message: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.message)
    }
}

/// Finds mistakes in a remedy, in its own order. A remedy with mistakes can be used: it is less sure than it looks.
pub fn lint(remedy: &Remedy) -> Vec<Mistake> {
    let mut found = Mistakes(Vec::new());
    head(remedy, &mut found);
    for (index, requirement) in remedy.packages.iter().enumerate() {
        package(remedy, requirement, &format!("packages[{index}]"), &mut found);
    }
    if let Some(requirement) = &remedy.kernel {
        kernel(remedy, requirement, &mut found);
    }
    for (index, requirement) in remedy.evidence.iter().enumerate() {
        let at = format!("evidence[{index}]");
        if remedy.evidence[..index].contains(requirement) {
            found.add(&at, "the same evidence is asked for before");
        }
        evidence(requirement, &at, &mut found);
    }
    if let Some(requirement) = &remedy.guests {
        guests(requirement, &mut found);
    }
    found.0
}

struct Mistakes(Vec<Mistake>);

impl Mistakes {
    fn add(&mut self, at: &str, message: impl Into<String>) {
        self.0.push(Mistake { at: at.to_owned(), message: message.into() });
    }
}

fn head(remedy: &Remedy, found: &mut Mistakes) {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if remedy.name.is_empty() || !remedy.name.chars().all(plain) {
        found.add("name", format!("`{}` is no name: lower-case letters, digits and `-`", remedy.name));
    }
    for cve in &remedy.cves {
        if !is_cve(cve) {
            found.add("cves", format!("`{cve}` is not written as CVE-YEAR-NUMBER"));
        }
    }
    if remedy.packages.is_empty() && remedy.kernel.is_none() && remedy.evidence.is_empty() && remedy.guests.is_none() {
        found.add("evidence", "nothing is required: every host would be unknown");
    } else if remedy.kernel.is_none() && remedy.evidence.is_empty() {
        found.add("evidence", "nothing but installed versions would prove it: ask for evidence of what runs");
    }
    for selector in &remedy.applies.systems {
        system(selector, "applies.systems", found);
    }
}

fn is_cve(text: &str) -> bool {
    let digits = |part: &str, least: usize| part.len() >= least && part.bytes().all(|byte| byte.is_ascii_digit());
    text.strip_prefix("CVE-")
        .and_then(|rest| rest.split_once('-'))
        .is_some_and(|(year, number)| year.len() == 4 && digits(year, 4) && digits(number, 4))
}

fn package(remedy: &Remedy, requirement: &PackageRequirement, at: &str, found: &mut Mistakes) {
    let PackageRequirement { any_of, thresholds, .. } = requirement;
    if any_of.is_empty() {
        found.add(at, "no name: it can never be found");
    }
    if any_of.iter().collect::<BTreeSet<_>>().len() < any_of.len() {
        found.add(at, "a name is given twice");
    }
    if thresholds.is_empty() {
        found.add(at, "no threshold: every host would be unknown; write `version: any` where every version will do");
    }
    for (index, threshold) in thresholds.iter().enumerate() {
        let at = format!("{at}.thresholds[{index}]");
        selector(remedy, &threshold.os, &at, found);
        version(&threshold.version, &at, found);
        for name in threshold.packages.iter().filter(|name| !any_of.contains(name)) {
            found.add(&at, format!("`{name}` is not among `any_of`"));
        }
        if let Some(earlier) = thresholds[..index].iter().position(|earlier| hides(earlier, threshold)) {
            found.add(&at, format!("never looked at: thresholds[{earlier}] decides for these systems before"));
        }
    }
    for covered in &remedy.applies.systems {
        if !thresholds.is_empty() && !thresholds.iter().any(|threshold| threshold.os.covers(covered)) {
            found.add(at, format!("no threshold for {covered}, to which the remedy applies"));
        }
    }
}

/// Whether the later threshold can never decide anything.
fn hides(earlier: &Threshold, later: &Threshold) -> bool {
    let names = earlier.packages.is_empty()
        || (!later.packages.is_empty() && later.packages.iter().all(|name| earlier.packages.contains(name)));
    names && earlier.os.covers(&later.os)
}

fn kernel(remedy: &Remedy, requirement: &KernelRequirement, found: &mut Mistakes) {
    if requirement.thresholds.is_empty() && requirement.packages.is_empty() {
        found.add("kernel", "neither a threshold nor a package: nothing can be asked of the kernel");
    }
    if !remedy.reboot {
        found.add("kernel", "a kernel takes effect by a reboot, and `reboot` is false");
    }
    for (index, threshold) in requirement.thresholds.iter().enumerate() {
        let at = format!("kernel.thresholds[{index}]");
        selector(remedy, &threshold.os, &at, found);
        version(&threshold.version, &at, found);
        let hidden = requirement.thresholds[..index].iter().position(|earlier| earlier.os.covers(&threshold.os));
        if let Some(earlier) = hidden {
            found.add(&at, format!("never looked at: thresholds[{earlier}] decides for these systems before"));
        }
    }
}

/// A threshold's selector, which must be able to choose a host that the remedy applies to.
fn selector(remedy: &Remedy, selector: &SystemSelector, at: &str, found: &mut Mistakes) {
    system(selector, at, found);
    let applies = &remedy.applies.systems;
    if !applies.is_empty() && !applies.iter().any(|one| one.covers(selector) || selector.covers(one)) {
        found.add(at, format!("can never match: the remedy does not apply to {selector}"));
    }
}

fn system(selector: &SystemSelector, at: &str, found: &mut Mistakes) {
    for id in &selector.id {
        if id.chars().any(|c| c.is_ascii_uppercase() || c.is_whitespace()) || id.is_empty() {
            found.add(at, format!("can never match: `{id}` is no ID of /etc/os-release, which is in lower case"));
        }
    }
    if selector.id.is_empty() && !selector.versions.is_empty() {
        found.add(at, format!("{selector} is that version of every distribution: name the distributions in `id`"));
    }
}

fn version(minimum: &Minimum, at: &str, found: &mut Mistakes) {
    let Minimum::AtLeast(text) = minimum else { return };
    let text = text.as_str();
    let arch = [".x86_64", ".aarch64", ".noarch", ".i686"].iter().find(|arch| text.ends_with(**arch));
    if text.is_empty() || text.contains(char::is_whitespace) {
        found.add(at, format!("`{text}` is no version"));
    } else if text.starts_with(|c: char| c.is_ascii_alphabetic()) {
        found.add(at, format!("`{text}` begins with a letter: write the version without the package's name"));
    } else if let Some(arch) = arch {
        found.add(at, format!("`{text}` ends with an architecture: leave `{arch}` out"));
    }
}

fn evidence(requirement: &EvidenceRequirement, at: &str, found: &mut Mistakes) {
    match requirement {
        EvidenceRequirement::Sysfs(SysfsEvidence { file, pass, fail, not_affected, .. }) => {
            if file.is_empty() || file.contains('/') {
                found.add(at, "no source: `file` is a name in /sys/devices/system/cpu/vulnerabilities");
            }
            words(pass, &[fail, not_affected].map(Vec::as_slice).concat(), at, found);
        }
        EvidenceRequirement::KernelLog(KernelLogEvidence { tag, pass, fail, .. }) => {
            if tag.trim().is_empty() {
                found.add(at, "no source: `tag` is how the line begins");
            }
            words(pass, fail, at, found);
        }
        EvidenceRequirement::DomainCapability(capability) => {
            libvirt_flag(&capability.feature, at, found);
            if !["require", "disable"].contains(&capability.policy.as_str()) {
                let policy = &capability.policy;
                found.add(at, format!("`{policy}` can never match: the host model has `require` or `disable`"));
            }
        }
        EvidenceRequirement::CpuFlag(cpu) => {
            if cpu.flag.is_empty() || cpu.flag.contains(['-', ' ']) {
                let meant = cpu.flag.replace(['-', ' '], "_");
                found.add(at, format!("can never match: the kernel writes `{meant}` in /proc/cpuinfo"));
            }
        }
        EvidenceRequirement::CommandLine(arguments) => command_line(arguments, at, found),
        EvidenceRequirement::KernelFile(KernelFileEvidence { path, pass, fail, .. }) => {
            if let Some(name) = path.as_str().strip_prefix("/sys/devices/system/cpu/vulnerabilities/") {
                found.add(at, format!("write `sysfs: {{file: {name}, …}}`: it knows `not_affected` as well"));
            }
            words(pass, fail, at, found);
        }
        EvidenceRequirement::NoPendingReboot(NoPendingReboot {}) => {}
    }
}

/// Beginnings of lines: there is a good one, and none that is good and something else.
fn words(pass: &[String], other: &[String], at: &str, found: &mut Mistakes) {
    if pass.is_empty() {
        found.add(at, "can never pass: `pass` is empty");
    }
    if pass.iter().chain(other).any(|beginning| beginning.trim().is_empty()) {
        found.add(at, "an empty beginning fits every line");
    }
    for both in pass.iter().filter(|beginning| other.contains(beginning)) {
        found.add(at, format!("`{both}` is good and bad at once"));
    }
}

fn command_line(arguments: &CommandLineEvidence, at: &str, found: &mut Mistakes) {
    let CommandLineEvidence { must, must_not } = arguments;
    if must.is_empty() && must_not.is_empty() {
        found.add(at, "no argument: nothing is asked");
    }
    for argument in must.iter().chain(must_not) {
        if argument.is_empty() || argument.contains(char::is_whitespace) {
            found.add(at, format!("`{argument}` is not one argument"));
        }
    }
    for both in must.iter().filter(|argument| must_not.contains(argument)) {
        found.add(at, format!("`{both}` must be there and must not"));
    }
}

fn guests(requirement: &GuestRequirement, found: &mut Mistakes) {
    libvirt_flag(&requirement.cpu_flag, "guests.cpu_flag", found);
    for companion in &requirement.together_with {
        libvirt_flag(&companion.flag, "guests.together_with", found);
        if companion.flag == requirement.cpu_flag {
            found.add("guests.together_with", format!("`{}` goes with itself", companion.flag));
        }
    }
}

fn libvirt_flag(flag: &str, at: &str, found: &mut Mistakes) {
    if flag.is_empty() || flag.starts_with(['+', '-']) || flag.contains(['_', ' ', ',']) {
        found.add(at, format!("`{flag}` is no flag in libvirt's words, for example `md-clear`"));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn sound() -> Value {
        json!({
            "format": 1, "kind": "remedy", "name": "x", "cves": ["CVE-2019-11091"],
            "applies": {"systems": [{"id": ["rhel"], "versions": ["8"]}]},
            "packages": [{"any_of": ["kernel", "kernel-rt"], "thresholds": [
                {"os": {"id": ["rhel"], "versions": ["8"]}, "packages": ["kernel"], "version": "4.18.0-80.1.2.el8_0"},
                {"os": {"id": ["rhel"], "versions": ["8"]}, "version": "any"}
            ]}],
            "kernel": {"thresholds": [{"os": {"id": ["rhel"], "versions": ["8"]}, "version": "4.18.0-80.1.2.el8_0"}]},
            "evidence": [
                {"sysfs": {"file": "mds", "pass": ["Mitigation"], "fail": ["Vulnerable"]}},
                {"kernel_log": {"tag": "MDS:", "pass": ["Mitigation"], "fail": ["Vulnerable"]}},
                {"domain_capability": {"feature": "md-clear"}},
                {"cpu_flag": {"flag": "md_clear"}},
                {"command_line": {"must_not": ["mitigations=off"]}},
                {"kernel_file": {"path": "/sys/module/kvm_intel/parameters/vmentry_l1d_flush", "pass": ["cond"]}},
                {"no_pending_reboot": {}}
            ],
            "guests": {"cpu_flag": "md-clear", "together_with": [{"flag": "ssbd"}]}
        })
    }

    fn mistakes(remedy: Value) -> Vec<String> {
        let remedy: Remedy = serde_json::from_value(remedy).unwrap();
        lint(&remedy).iter().map(ToString::to_string).collect()
    }

    /// Sets a value, in the place of another one or beside it.
    fn set(remedy: &mut Value, pointer: &str, value: Value) {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let parent = remedy.pointer_mut(parent).unwrap();
        if let Some(values) = parent.as_array_mut() {
            values[key.parse::<usize>().unwrap()] = value;
        } else {
            parent[key] = value;
        }
    }

    #[test]
    fn a_sound_remedy_has_no_mistakes() {
        assert_eq!(mistakes(sound()), Vec::<String>::new());
    }

    #[test]
    fn each_mistake_is_found_where_it_is() {
        let el8 = json!({"id": ["rhel"], "versions": ["8"]});
        for (pointer, value, expected) in [
            ("/name", json!("M D S"), "name: `M D S` is no name"),
            ("/cves/0", json!("CVE-19-1"), "cves: `CVE-19-1` is not written as"),
            ("/applies/systems/0/id/0", json!("RHEL"), "applies.systems: can never match: `RHEL`"),
            ("/packages/0/any_of", json!([]), "packages[0]: no name"),
            ("/packages/0/any_of", json!(["kernel", "kernel"]), "packages[0]: a name is given twice"),
            ("/packages/0/thresholds", json!([]), "packages[0]: no threshold: every host"),
            (
                "/packages/0/thresholds/1/packages",
                json!(["kernel"]),
                "packages[0].thresholds[1]: never looked at: thresholds[0]",
            ),
            ("/packages/0/thresholds/0/packages/0", json!("qemu"), "packages[0].thresholds[0]: `qemu` is not among"),
            (
                "/packages/0/thresholds/0/os",
                json!({"id": ["debian"]}),
                "packages[0].thresholds[0]: can never match: the remedy does not apply to debian",
            ),
            ("/packages/0/thresholds/1/os", json!({"versions": ["8"]}), "packages[0].thresholds[1]: any system 8 is"),
            (
                "/packages/0/thresholds",
                json!([{"os": {"id": ["rhel"], "versions": ["8.2"]}, "version": "any"}]),
                "packages[0]: no threshold for rhel 8, to which",
            ),
            (
                "/packages/0/thresholds/0/version",
                json!("kernel-4.18.0"),
                "packages[0].thresholds[0]: `kernel-4.18.0` begins with a letter",
            ),
            (
                "/kernel/thresholds/0/version",
                json!("4.18.0-80.1.2.el8_0.x86_64"),
                "kernel.thresholds[0]: `4.18.0-80.1.2.el8_0.x86_64` ends with an architecture",
            ),
            ("/kernel/thresholds", json!([]), "kernel: neither a threshold nor a package"),
            (
                "/kernel/thresholds",
                json!([{"os": el8, "version": "1"}, {"os": el8, "version": "2"}]),
                "kernel.thresholds[1]: never looked at: thresholds[0]",
            ),
            ("/evidence/0/sysfs/file", json!("/sys/mds"), "evidence[0]: no source"),
            ("/evidence/0/sysfs/pass", json!([]), "evidence[0]: can never pass"),
            ("/evidence/0/sysfs/fail", json!(["Mitigation"]), "evidence[0]: `Mitigation` is good and bad"),
            ("/evidence/0/sysfs/fail", json!([""]), "evidence[0]: an empty beginning"),
            ("/evidence/1/kernel_log/tag", json!(" "), "evidence[1]: no source"),
            ("/evidence/2/domain_capability/feature", json!("md_clear"), "evidence[2]: `md_clear` is no flag"),
            ("/evidence/2/domain_capability", json!({"feature": "a", "policy": "on"}), "evidence[2]: `on` can never"),
            (
                "/evidence/3/cpu_flag/flag",
                json!("md-clear"),
                "evidence[3]: can never match: the kernel writes `md_clear`",
            ),
            ("/evidence/4/command_line", json!({}), "evidence[4]: no argument"),
            ("/evidence/4/command_line/must_not", json!(["a b"]), "evidence[4]: `a b` is not one argument"),
            ("/evidence/4/command_line", json!({"must": ["a"], "must_not": ["a"]}), "evidence[4]: `a` must be there"),
            ("/evidence/5/kernel_file/pass", json!([]), "evidence[5]: can never pass"),
            ("/evidence/5/kernel_file/fail", json!(["cond"]), "evidence[5]: `cond` is good and bad"),
            (
                "/evidence/5/kernel_file/path",
                json!("/sys/devices/system/cpu/vulnerabilities/l1tf"),
                "evidence[5]: write `sysfs: {file: l1tf",
            ),
            ("/evidence/4", json!({"cpu_flag": {"flag": "md_clear"}}), "evidence[4]: the same evidence"),
            ("/guests/cpu_flag", json!("+md-clear"), "guests.cpu_flag: `+md-clear` is no flag"),
            ("/guests/together_with/0/flag", json!("md-clear"), "guests.together_with: `md-clear` goes with itself"),
        ] {
            let mut remedy = sound();
            set(&mut remedy, pointer, value);
            let found = mistakes(remedy);
            assert!(found.iter().any(|mistake| mistake.starts_with(expected)), "{pointer}: {found:#?}");
        }
    }

    #[test]
    fn a_remedy_that_proves_nothing_or_asks_for_a_kernel_without_a_reboot_is_a_mistake() {
        let bare = mistakes(json!({"format": 1, "kind": "remedy", "name": "x"}));
        assert_eq!(bare, ["evidence: nothing is required: every host would be unknown"]);
        let mut versions = sound();
        let fields = versions.as_object_mut().unwrap();
        fields.remove("kernel");
        fields.remove("evidence");
        assert!(mistakes(versions)[0].starts_with("evidence: nothing but installed versions"));
        let mut no_reboot = sound();
        no_reboot["reboot"] = json!(false);
        assert_eq!(mistakes(no_reboot), ["kernel: a kernel takes effect by a reboot, and `reboot` is false"]);
    }
}
