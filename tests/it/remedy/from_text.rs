//! A real host's words, section by section, as the parsers of `host::facts` get them.

use super::*;
use fleetmend::host::facts::{parse, section};
use fleetmend::host::{RawFacts, Section};

const REAL_KERNEL: &str = include_str!("../../fixtures/host/real-kernel-mds.txt");
const REAL_CAPABILITIES: &str = include_str!("../../fixtures/host/domcapabilities-real-libvirt9-kvm-pvm.xml");

/// What the hosts of the lab have before and after their updates.
struct Host<'a> {
    packages: &'a str,
    kernel: &'a str,
    log: String,
    vulnerabilities: String,
    flags: &'a str,
    nova_conf: &'a str,
    capabilities: String,
}

/// A line of the record of a real kernel, of the boot with or without the flag.
fn real(with_flag: bool, what: &str) -> String {
    let boot = if with_flag { "== cpu with +md-clear" } else { "== cpu with -md-clear" };
    let mut lines = REAL_KERNEL.lines().skip_while(|line| *line != boot);
    lines.find_map(|line| line.strip_prefix(&format!("REAL {what}: "))).expect("recorded").to_owned()
}

const NOVA_CONF: &str = "[libvirt]\nvirt_type = kvm\ncpu_mode = custom\n# oldest node\ncpu_model = IvyBridge\n\
                         cpu_model_extra_flags = pcid, ssbd\n";

fn before() -> Host<'static> {
    Host {
        packages: "microcode_ctl 2:2.1-47.el7 x86_64\nkernel 0:3.10.0-957.12.1.el7 x86_64\n\
                   qemu-kvm-rhev 10:2.12.0-18.el7_6.4 x86_64\nlibvirt 0:4.5.0-10.el7_6.7 x86_64\n\
                   libvirt-daemon-kvm 0:4.5.0-10.el7_6.7 x86_64\n",
        kernel: "3.10.0-957.12.1.el7.x86_64",
        log: "[    0.033902] Spectre V2 : Mitigation: IBRS (kernel)\n".to_owned(),
        vulnerabilities: "meltdown: Mitigation: PTI\n".to_owned(),
        flags: "vmx ssbd spec_ctrl",
        nova_conf: NOVA_CONF,
        capabilities: REAL_CAPABILITIES.to_owned(),
    }
}

fn after() -> Host<'static> {
    Host {
        packages: "microcode_ctl 2:2.1-47.2.el7_6 x86_64\nkernel 0:3.10.0-957.12.1.el7 x86_64\n\
                   kernel 0:4.18.0-80.1.2.el8_0 x86_64\nqemu-kvm-rhev 10:2.12.0-18.el7_6.5 x86_64\n\
                   libvirt 0:4.5.0-10.el7_6.9 x86_64\nlibvirt-daemon-kvm 0:4.5.0-10.el7_6.9 x86_64\n",
        kernel: "4.18.0-80.1.2.el8_0.x86_64",
        log: format!("{}\n{}\n", real(false, "dmesg"), real(true, "dmesg")),
        vulnerabilities: format!("meltdown: Mitigation: PTI\nmds: {}\n", real(true, "sysfs mds")),
        flags: "vmx ssbd spec_ctrl md_clear",
        nova_conf: "[libvirt]\nvirt_type = kvm\ncpu_mode = custom\ncpu_model = IvyBridge\n\
                    cpu_model_extra_flags = pcid, ssbd,\n  spec-ctrl, md-clear\n",
        capabilities: REAL_CAPABILITIES.replace("mds-no", "md-clear"),
    }
}

fn facts(host: &Host<'_>) -> HostFacts {
    let cpuinfo = format!("processor\t: 0\nvendor_id\t: GenuineIntel\nflags\t\t: {}\n", host.flags);
    let sections: [(String, &str); 11] = [
        (section::OS_RELEASE.to_owned(), "ID=\"rhel\"\nID_LIKE=\"fedora\"\nVERSION_ID=\"7.6\"\n"),
        (section::CPUINFO.to_owned(), &cpuinfo),
        (section::KERNEL.to_owned(), host.kernel),
        (section::DEFAULT_KERNEL.to_owned(), host.kernel),
        (section::COMMAND_LINE.to_owned(), "BOOT_IMAGE=/vmlinuz root=/dev/mapper/rhel-root ro crashkernel=auto"),
        (section::RPM.to_owned(), host.packages),
        (section::VULNERABILITIES.to_owned(), &host.vulnerabilities),
        (section::KERNEL_LOG.to_owned(), &host.log),
        (section::DOMAIN_CAPABILITIES.to_owned(), &host.capabilities),
        (section::nova_conf(0, "/etc/nova/nova.conf"), host.nova_conf),
        (section::ARCHITECTURE.to_owned(), "x86_64"),
    ];
    let section = |text: &str| Section { status: 0, text: text.to_owned() };
    parse(&RawFacts { sections: sections.into_iter().map(|(name, text)| (name, section(text))).collect() })
}

fn failing(verdict: &fleetmend::remedy::Verdict) -> Vec<&str> {
    let failed = verdict.evidence.iter().filter(|evidence| evidence.outcome == Outcome::Fail);
    failed.map(|evidence| evidence.requirement.as_str()).collect()
}

#[test]
fn a_host_before_its_updates_fails_everything_that_an_update_changes() {
    let facts = facts(&before());
    let verdict = assess(&facts, &mds());
    assert_eq!(verdict.verdict, VerdictKind::Vulnerable);
    assert_eq!(
        failing(&verdict),
        [
            "microcode_ctl at least 2.1-47.2.el7_6 of any epoch",
            "kernel at least 3.10.0-957.12.2.el7",
            "qemu-kvm-rhev at least 2.12.0-18.el7_6.5 of any epoch",
            "libvirt at least 4.5.0-10.el7_6.9; libvirt-daemon-kvm at least 4.5.0-10.el7_6.9",
            "running kernel at least 3.10.0-957.12.2.el7",
            "mds says `Mitigation: Clear CPU buffers`",
            "processor has `md_clear`",
            "libvirt offers `md-clear` with policy `require`",
            "guests get `md-clear`",
        ]
    );
    let names: Vec<String> = updates(&facts, &mds()).into_iter().map(|target| target.name).collect();
    assert_eq!(names, ["microcode_ctl", "kernel", "qemu-kvm-rhev", "libvirt", "libvirt-daemon-kvm"]);
    assert_eq!(missing_guest_flags(&facts, &mds()), ["spec-ctrl", "md-clear"]);
    assert!(prospect(&facts, &mds()).can_mitigate(NovaConfHandling::AddFlags));
}

#[test]
fn the_same_host_after_update_edit_and_reboot_is_mitigated() {
    let facts = facts(&after());
    let verdict = assess(&facts, &mds());
    assert_eq!((verdict.verdict, failing(&verdict)), (VerdictKind::Mitigated, vec![]), "{verdict:#?}");
    assert_eq!(updates(&facts, &mds()), []);
    assert_eq!(missing_guest_flags(&facts, &mds()), Vec::<String>::new());
}

#[test]
fn updated_but_not_rebooted_is_vulnerable_and_ready_for_the_reboot() {
    let updated = Host { packages: after().packages, nova_conf: after().nova_conf, ..before() };
    let mut facts = facts(&updated);
    facts.default_kernel = Some("4.18.0-80.1.2.el8_0.x86_64".to_owned());
    assert_eq!(assess(&facts, &mds()).verdict, VerdictKind::Vulnerable);
    assert_eq!(assess_before_reboot(&facts, &mds()).verdict, VerdictKind::Mitigated);
    assert_eq!(updates(&facts, &mds()), []);
}

#[test]
fn a_kernel_with_the_fix_on_a_processor_without_the_microcode_is_vulnerable() {
    let half = Host {
        vulnerabilities: format!("mds: {}\n", real(false, "sysfs mds")),
        log: format!("{}\n", real(false, "dmesg")),
        ..after()
    };
    let verdict = assess(&facts(&half), &mds());
    let expected =
        ["mds says `Mitigation: Clear CPU buffers`", "last line `MDS:` says `Mitigation: Clear CPU buffers`"];
    assert_eq!(failing(&verdict), expected);
}

#[test]
fn a_section_that_could_not_be_read_makes_a_good_host_unknown_and_never_vulnerable() {
    for part in [section::RPM, section::VULNERABILITIES, section::DOMAIN_CAPABILITIES, section::COMMAND_LINE] {
        let mut facts = facts(&after());
        facts.unread.insert(part.to_owned(), "took too long".to_owned());
        match part {
            section::RPM => facts.packages.clear(),
            section::VULNERABILITIES => facts.vulnerabilities = None,
            section::DOMAIN_CAPABILITIES => facts.domain_capabilities = None,
            _ => facts.command_line = None,
        }
        let verdict = assess(&facts, &mds());
        assert_eq!(verdict.verdict, VerdictKind::Unknown, "{part}");
        let told = verdict.evidence.iter().find(|evidence| evidence.outcome == Outcome::Unknown).unwrap();
        assert_eq!(told.found.as_deref(), Some("could not be read: took too long"), "{part}");
    }
}
