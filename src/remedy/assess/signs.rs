//! What the kernel, the processor and libvirt say.

use super::{Affected, Finding, unread};
use crate::model::HostFacts;
use crate::remedy::{
    AbsentFile, CommandLineEvidence, CpuFlagEvidence, DomainCapabilityEvidence, EvidenceRequirement,
    KernelFileEvidence, KernelLogEvidence, Outcome, SysfsEvidence,
};

/// Where the kernel reports on vulnerabilities.
const SYSFS: &str = "/sys/devices/system/cpu/vulnerabilities";

pub(super) fn findings(facts: &HostFacts, requirement: &EvidenceRequirement) -> Vec<Finding> {
    match requirement {
        EvidenceRequirement::Sysfs(sysfs) => vec![vulnerability(facts, sysfs)],
        EvidenceRequirement::KernelLog(log) => vec![last_line(facts, log)],
        EvidenceRequirement::DomainCapability(capability) => vec![domain_capability(facts, capability)],
        EvidenceRequirement::CpuFlag(flag) => vec![cpu_flag(facts, flag)],
        EvidenceRequirement::KernelFile(file) => vec![kernel_file(facts, file)],
        EvidenceRequirement::NoPendingReboot(_) => vec![no_pending_reboot(facts)],
        EvidenceRequirement::CommandLine(arguments) => {
            let line = facts.command_line.as_deref();
            held_arguments(
                arguments,
                "kernel command line",
                "/proc/cmdline",
                line,
                unread(facts, "command-line").as_deref(),
            )
        }
    }
}

/// What the beginnings of a line say, the longest that fits first.
enum Word {
    Good,
    Bad,
    NotAffected,
    Strange,
}

fn read_word(line: &str, pass: &[String], fail: &[String], not_affected: &[String]) -> Word {
    let longest = |beginnings: &[String]| {
        beginnings.iter().filter(|beginning| line.starts_with(beginning.as_str())).map(String::len).max()
    };
    let (good, bad, spared) = (longest(pass), longest(fail), longest(not_affected));
    match good.max(bad).max(spared) {
        None => Word::Strange,
        // Of beginnings of equal length, the worse reading counts.
        best if best == bad => Word::Bad,
        best if best == good => Word::Good,
        Some(_) => Word::NotAffected,
    }
}

fn good_or_warn(line: &str, warn: &[String]) -> Outcome {
    if warn.iter().any(|text| line.contains(text.as_str())) { Outcome::Warn } else { Outcome::Pass }
}

fn vulnerability(facts: &HostFacts, sysfs: &SysfsEvidence) -> Finding {
    let requirement = format!("{} says {}", sysfs.file, one_of(&sysfs.pass));
    let source = format!("{SYSFS}/{}", sysfs.file);
    let finding = |found, outcome| Finding::new(requirement.clone(), source.clone(), found, outcome);
    let Some(files) = &facts.vulnerabilities else {
        return finding(unread(facts, "vulnerabilities"), Outcome::Unknown).about(Affected::Asked);
    };
    let Some(line) = files.get(&sysfs.file) else {
        let (words, outcome) = match sysfs.absent {
            AbsentFile::Fail => ("no such file: this kernel does not have the fix", Outcome::Fail),
            AbsentFile::Unknown => ("no such file", Outcome::Unknown),
            AbsentFile::NotApplicable => ("no such file", Outcome::NotApplicable),
        };
        return finding(Some(words.to_owned()), outcome).about(Affected::Asked);
    };
    let (outcome, affected) = match read_word(line, &sysfs.pass, &sysfs.fail, &sysfs.not_affected) {
        Word::Good => (good_or_warn(line, &sysfs.warn), Affected::Asked),
        Word::Bad => (Outcome::Fail, Affected::Asked),
        Word::NotAffected => (Outcome::Pass, Affected::No),
        Word::Strange => (Outcome::Unknown, Affected::Asked),
    };
    finding(Some(line.clone()), outcome).about(affected)
}

fn kernel_file(facts: &HostFacts, wanted: &KernelFileEvidence) -> Finding {
    let path = wanted.path.as_str();
    let requirement = format!("{path} says {}", one_of(&wanted.pass));
    let finding = |found, outcome| Finding::new(requirement.clone(), path, found, outcome);
    match facts.kernel_files.get(path) {
        None => finding(unread(facts, "kernel-files"), Outcome::Unknown),
        Some(None) => {
            let outcome = match wanted.absent {
                AbsentFile::Fail => Outcome::Fail,
                AbsentFile::Unknown => Outcome::Unknown,
                AbsentFile::NotApplicable => Outcome::NotApplicable,
            };
            finding(Some("no such file".to_owned()), outcome)
        }
        Some(Some(line)) => {
            let outcome = match read_word(line, &wanted.pass, &wanted.fail, &[]) {
                Word::Good => good_or_warn(line, &wanted.warn),
                Word::Bad => Outcome::Fail,
                Word::NotAffected | Word::Strange => Outcome::Unknown,
            };
            finding(Some(line.clone()), outcome)
        }
    }
}

fn no_pending_reboot(facts: &HostFacts) -> Finding {
    let finding = |found, outcome| Finding::new("no reboot is due", "distribution", found, outcome);
    match &facts.pending_reboot {
        Some(word) if !word.due => finding(Some("none is due".to_owned()), Outcome::Pass),
        Some(word) if word.because.is_empty() => finding(Some("one is due".to_owned()), Outcome::Fail),
        Some(word) => finding(Some(format!("one is due for {}", word.because.join(", "))), Outcome::Fail),
        None => match unread(facts, "pending-reboot") {
            None => finding(Some("nothing on the host tells".to_owned()), Outcome::NotApplicable),
            why => finding(why, Outcome::Unknown),
        },
    }
}

/// The last line with the tag decides: the kernel says again what changed when microcode is loaded late.
fn last_line(facts: &HostFacts, log: &KernelLogEvidence) -> Finding {
    let requirement = format!("last line `{}` says {}", log.tag, one_of(&log.pass));
    let finding =
        |found: Option<&str>, outcome| Finding::new(requirement.clone(), "dmesg", found.map(str::to_owned), outcome);
    let lines = facts.kernel_log.iter().flatten();
    // A log that could not be read proves as little as one that has rolled over.
    match lines.filter_map(|line| after_tag(line, &log.tag).map(|rest| (line, rest))).next_back() {
        None => finding(None, Outcome::NotApplicable),
        Some((line, rest)) => match read_word(rest, &log.pass, &log.fail, &[]) {
            Word::Good => finding(Some(line), good_or_warn(rest, &log.warn)),
            Word::Bad => finding(Some(line), Outcome::Fail),
            Word::NotAffected | Word::Strange => finding(Some(line), Outcome::NotApplicable),
        },
    }
}

/// What follows the tag of a line, whether or not a time stamp stands before it.
fn after_tag<'a>(line: &'a str, tag: &str) -> Option<&'a str> {
    let message = line.split_once("] ").filter(|(stamp, _)| stamp.contains('[')).map_or(line, |(_, rest)| rest);
    [line, message].into_iter().find_map(|text| text.trim_start().strip_prefix(tag)).map(str::trim_start)
}

fn domain_capability(facts: &HostFacts, capability: &DomainCapabilityEvidence) -> Finding {
    let DomainCapabilityEvidence { feature, policy } = capability;
    let requirement = format!("libvirt offers `{feature}` with policy `{policy}`");
    let source = "virsh domcapabilities";
    let Some(capabilities) = &facts.domain_capabilities else {
        return Finding::new(requirement, source, unread(facts, "domain-capabilities"), Outcome::Unknown);
    };
    match capabilities.host_model.get(feature) {
        Some(found) if found == policy => Finding::new(requirement, source, Some(found.clone()), Outcome::Pass),
        Some(found) => Finding::new(requirement, source, Some(found.clone()), Outcome::Fail),
        None => Finding::new(requirement, source, Some("not offered".to_owned()), Outcome::Fail),
    }
}

fn cpu_flag(facts: &HostFacts, wanted: &CpuFlagEvidence) -> Finding {
    let requirement = format!("processor has `{}`", wanted.flag);
    let source = "/proc/cpuinfo";
    match facts.cpu.as_ref().filter(|cpu| !cpu.flags.is_empty()) {
        None => Finding::new(requirement, source, unread(facts, "cpuinfo"), Outcome::Unknown),
        Some(cpu) if cpu.flags.contains(&wanted.flag) => {
            Finding::new(requirement, source, Some(wanted.flag.clone()), Outcome::Pass)
        }
        Some(_) => Finding::new(requirement, source, Some("no such flag".to_owned()), Outcome::Fail),
    }
}

/// The command line that the next boot takes, where the boot loader tells.
pub(super) fn next_command_line(facts: &HostFacts, arguments: &CommandLineEvidence) -> Vec<Finding> {
    match facts.default_command_line.as_deref() {
        None => Vec::new(),
        line => held_arguments(arguments, "kernel command line of the next boot", "boot loader", line, None),
    }
}

fn held_arguments(
    arguments: &CommandLineEvidence,
    what: &str,
    source: &str,
    line: Option<&str>,
    unread: Option<&str>,
) -> Vec<Finding> {
    let held = |argument: &String, wanted: bool| {
        let requirement = format!("{what} {} `{argument}`", if wanted { "has" } else { "is without" });
        let Some(line) = line else {
            return Finding::new(requirement, source, unread.map(str::to_owned), Outcome::Unknown);
        };
        let is_set = argument_is_set(line, argument);
        let found = if is_set { argument.clone() } else { "not there".to_owned() };
        let outcome = if is_set == wanted { Outcome::Pass } else { Outcome::Fail };
        Finding::new(requirement, source, Some(found), outcome)
    };
    let unwanted = arguments.must_not.iter().map(|argument| held(argument, false));
    unwanted.chain(arguments.must.iter().map(|argument| held(argument, true))).collect()
}

/// The command line that the next boot takes, as far as it is known: what runs is the best guess.
pub(crate) fn command_line(facts: &HostFacts) -> Option<&str> {
    facts.default_command_line.as_deref().or(facts.command_line.as_deref())
}

/// Whether `argument` is in force: of arguments with the same key the kernel takes the last one.
pub(crate) fn argument_is_set(line: &str, argument: &str) -> bool {
    let key = |text: &str| text.split('=').next().unwrap_or_default().to_owned();
    let wanted = key(argument);
    line.split_whitespace().rfind(|one| key(one) == wanted) == Some(argument)
}

fn one_of(beginnings: &[String]) -> String {
    beginnings.iter().map(|beginning| format!("`{beginning}`")).collect::<Vec<_>>().join(" or ")
}
