use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::host::Section;

fn raw(sections: &[(&str, i32, &str)]) -> RawFacts {
    RawFacts {
        sections: sections
            .iter()
            .map(|(name, status, text)| ((*name).to_owned(), Section { status: *status, text: (*text).to_owned() }))
            .collect(),
    }
}

#[test]
fn a_section_that_failed_is_absent_and_named_with_the_hosts_words_made_plain() {
    let facts = parse(&raw(&[
        (section::KERNEL, 1, "\u{1b}[31muname: no\u{1b}[0m\n"),
        (section::DOMAINS, STATUS_TIMED_OUT, ""),
        (section::BOOT_ID, 0, "two words"),
    ]));
    assert_eq!((facts.kernel, facts.domains, facts.boot_id), (None, None, None));
    assert_eq!(facts.unread[section::KERNEL], "failed with status 1: uname: no");
    assert_eq!(facts.unread[section::DOMAINS], "took too long");
    assert_eq!(facts.unread[section::BOOT_ID], "`two words` is more than one word");
    assert_eq!(facts.unread[section::OS_RELEASE], "not collected");
}

#[test]
fn packages_are_those_of_the_manager_that_the_system_is_made_of() {
    let both =
        [(section::RPM, 0, "libvirt 0:4.5.0-10.el7 x86_64\n"), (section::DPKG, 0, "libvirt0 9.0 amd64 installed\n")];
    let names = |os: &'static str| {
        let facts = parse(&raw(&[both.as_slice(), &[(section::OS_RELEASE, 0, os)]].concat()));
        facts.packages.into_iter().map(|package| package.name).collect::<Vec<_>>()
    };
    assert_eq!(names("ID=rhel\nVERSION_ID=7.6\n"), ["libvirt"]);
    assert_eq!(names("ID=ubuntu\nID_LIKE=debian\n"), ["libvirt0"]);
    assert_eq!(names("ID=something\n"), ["libvirt", "libvirt0"]);
}

#[test]
fn a_host_without_dpkg_is_no_gap_but_a_host_without_any_package_database_is() {
    let facts = parse(&raw(&[(section::RPM, 0, "kernel 0:4.18.0-80.el8 x86_64\n"), (section::DPKG, 127, "")]));
    assert_eq!(facts.packages.len(), 1);
    assert!(!facts.unread.contains_key(section::DPKG));
    let facts = parse(&raw(&[(section::RPM, 127, ""), (section::DPKG, 127, "")]));
    assert!(facts.unread.contains_key(section::RPM) && facts.unread.contains_key(section::DPKG));
    let facts = parse(&raw(&[(section::RPM, 0, ""), (section::DPKG, 0, "libvirt0 4.0 amd64 half-configured\n")]));
    assert_eq!(facts.unread[section::DPKG], "libvirt0 is half-configured");
}

#[test]
fn one_configuration_file_that_cannot_be_read_spoils_the_whole() {
    let main = section::nova_conf(0, "/etc/nova/nova.conf");
    let more = section::nova_conf(1, "/etc/nova/nova.conf.d/cpu.conf");
    let conf = "[libvirt]\ncpu_mode = custom\n";
    let facts = parse(&raw(&[(&main, 0, conf), (&more, 0, "[libvirt]\ncpu_mode = none\n")]));
    assert_eq!(facts.nova_conf.unwrap()["libvirt"]["cpu_mode"], ["custom", "none"]);
    let facts = parse(&raw(&[(&main, 0, conf), (&more, 1, "cat: permission denied")]));
    assert_eq!(facts.nova_conf, None);
    assert!(facts.unread[section::NOVA_CONF].contains("cpu.conf: failed with status 1: cat: permission denied"));
    assert!(parse(&raw(&[])).unread.contains_key(section::NOVA_CONF));
}

#[test]
fn capabilities_of_another_kind_of_domain_than_nova_starts_are_no_facts() {
    let tcg = include_str!("../../../tests/fixtures/host/domcapabilities-real-libvirt9-tcg.xml");
    let conf = section::nova_conf(0, "/etc/nova/nova.conf");
    let facts = parse(&raw(&[(section::DOMAIN_CAPABILITIES, 0, tcg), (&conf, 0, "[libvirt]\nvirt_type = qemu\n")]));
    assert!(facts.domain_capabilities.is_some());
    let facts = parse(&raw(&[(section::DOMAIN_CAPABILITIES, 0, tcg), (&conf, 0, "[libvirt]\n")]));
    assert_eq!(facts.domain_capabilities, None);
    assert!(facts.unread[section::DOMAIN_CAPABILITIES].contains("Nova starts kvm"));
}

#[test]
fn identity_is_what_could_be_read_and_nothing_else() {
    let told = identity(&raw(&[
        (section::MACHINE_ID, 0, "0123456789abcdef0123456789abcdef\n"),
        (section::NOVA_HOST, 1, "grep: no such file"),
        (section::HOSTNAME, 0, "compute-1.example\n"),
    ]));
    assert_eq!(told.machine_id.as_deref(), Some("0123456789abcdef0123456789abcdef"));
    assert_eq!(told.nova_host, None);
    assert!(!told.is_known());
}

/// Text that tries everything: words that parsers look for, separators, escapes, control characters.
fn hostile() -> impl Strategy<Value = String> {
    prop::collection::vec(
        prop_oneof![
            Just("[libvirt]\n".to_owned()),
            Just("cpu_mode = $cpu_mode".to_owned()),
            Just("${".to_owned()),
            Just("\u{1b}[31m".to_owned()),
            Just("<domainCapabilities><cpu>".to_owned()),
            Just("<!DOCTYPE a [<!ENTITY b \"&b;\">]>&b;".to_owned()),
            Just("\t".to_owned()),
            Just("\n".to_owned()),
            Just("= \"".to_owned()),
            Just("ceph-osd@1.service\n".to_owned()),
            Just("/ 1 18446744073709551615\n".to_owned()),
            Just("+ base\n- ".to_owned()),
            "(?s).{0,12}",
        ],
        0..24,
    )
    .prop_map(|parts| parts.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_text_makes_the_parsers_panic_or_leaves_control_characters(
        texts in prop::collection::vec((hostile(), prop_oneof![4 => Just(0), 1 => any::<i32>()]), 35)
    ) {
        let names = [
            section::CLOCK, section::MACHINE_ID, section::HOSTNAME, section::NOVA_HOST, section::OS_RELEASE,
            section::CPUINFO, section::KERNEL, section::DEFAULT_KERNEL, section::COMMAND_LINE, section::BOOT_ID,
            section::UPTIME, section::RPM, section::DPKG, section::VULNERABILITIES, section::KERNEL_LOG,
            section::DOMAIN_CAPABILITIES, section::DOMAINS, section::COMPUTE_UNIT, "nova-conf/000//etc/nova/nova.conf",
            section::ARCHITECTURE, section::DEFAULT_COMMAND_LINE, "nova-conf/001/",
            "nova-conf/x", "nova-conf/", section::NUMA, section::KERNEL_FILES, section::PENDING_REBOOT, section::UNITS,
            section::PROCESSES, section::CONTAINERS, section::GATEWAY, section::FREE, section::USER_ID,
            section::ADDRESSES, section::REPOSITORIES,
        ];
        let sections: BTreeMap<String, Section> = names
            .iter()
            .zip(&texts)
            .map(|(name, (text, status))| ((*name).to_owned(), Section { status: *status, text: text.clone() }))
            .collect();
        let raw = RawFacts { sections };
        let shown = format!("{:?}{:?}", parse(&raw), identity(&raw));
        prop_assert!(!shown.contains("\\u{1b}"), "{}", shown);
    }

    /// A part that failed, was cut off by its limit or is not there at all tells nothing good: nothing of it is a fact.
    #[test]
    fn a_part_that_failed_is_never_a_fact(text in hostile(), status in prop_oneof![Just(1), Just(124), Just(127), 2..99_i32]) {
        let empty = parse(&raw(&[]));
        for name in [
            section::CLOCK, section::OS_RELEASE, section::ARCHITECTURE, section::CPUINFO, section::NUMA, section::KERNEL,
            section::DEFAULT_KERNEL, section::COMMAND_LINE, section::DEFAULT_COMMAND_LINE, section::BOOT_ID,
            section::UPTIME, section::RPM, section::DPKG, section::VULNERABILITIES, section::KERNEL_FILES,
            section::PENDING_REBOOT, section::KERNEL_LOG, section::DOMAIN_CAPABILITIES, section::DOMAINS,
            "nova-conf/000//etc/nova/nova.conf", section::UNITS, section::PROCESSES, section::CONTAINERS,
            section::GATEWAY, section::FREE, section::USER_ID, section::ADDRESSES, section::REPOSITORIES,
            section::COMPUTE_UNIT,
        ] {
            let mut facts = parse(&raw(&[(name, status, &text)]));
            facts.unread.clone_from(&empty.unread);
            prop_assert_eq!(&facts, &empty, "{}", name);
        }
    }

    /// What else runs on a host is known only by its processes.
    #[test]
    fn without_processes_nothing_is_known_of_roles(units in hostile(), containers in hostile()) {
        let told = parse(&raw(&[(section::UNITS, 0, &units), (section::CONTAINERS, 0, &containers)]));
        prop_assert_eq!(told.roles, None);
        prop_assert!(told.unread.contains_key(section::PROCESSES));
    }
}
