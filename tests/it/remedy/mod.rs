//! Every requirement of the shipped remedy for MDS: passing, failing, absent and unseen.

mod another_remedy;
mod from_text;
mod shipped;

use std::collections::BTreeMap;

use fleetmend::model::{Cpu, DomainCapabilities, HostFacts, NovaConfHandling, OsRelease, Package, PackageManager};
use fleetmend::remedy::{EvidenceRequirement, Outcome, Remedy, VerdictKind, assess, assess_before_reboot};
use fleetmend::remedy::{Obstacle, SysfsEvidence, Update, missing_guest_flags, prospect, updates};

fn mds() -> Remedy {
    fleetmend::config::read_remedy("mds.yaml", include_str!("../../../plans/remedies/mds.yaml"))
        .expect("the shipped remedy is read")
}

fn rpm(name: &str, version: &str) -> Package {
    Package { name: name.into(), version: version.into(), arch: "x86_64".into(), manager: PackageManager::Rpm }
}

fn nova(options: &[(&str, &str)]) -> BTreeMap<String, BTreeMap<String, Vec<String>>> {
    let libvirt = options.iter().map(|(name, value)| ((*name).to_owned(), vec![(*value).to_owned()])).collect();
    [("libvirt".to_owned(), libvirt)].into()
}

/// A host with RHEL 7.6 on which everything is as the remedy wants it.
fn mitigated() -> HostFacts {
    HostFacts {
        os: Some(OsRelease { id: "rhel".into(), version_id: "7.6".into(), ..OsRelease::default() }),
        cpu: Some(Cpu { vendor: "GenuineIntel".into(), flags: vec!["md_clear".into()], ..Cpu::default() }),
        kernel: Some("3.10.0-957.12.2.el7.x86_64".into()),
        command_line: Some("BOOT_IMAGE=/vmlinuz root=/dev/sda1 ro crashkernel=auto".into()),
        packages: vec![
            rpm("microcode_ctl", "2:2.1-47.2.el7_6"),
            rpm("kernel", "0:3.10.0-957.12.1.el7"),
            rpm("kernel", "0:3.10.0-957.12.2.el7"),
            rpm("qemu-kvm-rhev", "10:2.12.0-18.el7_6.5"),
            rpm("libvirt", "0:4.5.0-10.el7_6.9"),
        ],
        vulnerabilities: Some([("mds".to_owned(), "Mitigation: Clear CPU buffers".to_owned())].into()),
        kernel_log: Some(vec!["MDS: Mitigation: Clear CPU buffers".to_owned()]),
        domain_capabilities: Some(DomainCapabilities {
            host_model: [("md-clear".to_owned(), "require".to_owned())].into(),
            models: vec![],
        }),
        nova_conf: Some(nova(&[])),
        ..HostFacts::default()
    }
}

fn with(change: impl FnOnce(&mut HostFacts)) -> HostFacts {
    let mut facts = mitigated();
    change(&mut facts);
    facts
}

fn sysfs(line: &str) -> HostFacts {
    with(|facts| facts.vulnerabilities = Some([("mds".to_owned(), line.to_owned())].into()))
}

/// Outcomes other than pass, by source.
fn remarks(facts: &HostFacts) -> Vec<(String, Outcome)> {
    let verdict = assess(facts, &mds());
    let other = verdict.evidence.into_iter().filter(|evidence| evidence.outcome != Outcome::Pass);
    other.map(|evidence| (evidence.source, evidence.outcome)).collect()
}

/// The one remark that a change of the facts brings, with the verdict.
#[track_caller]
fn assert_one(facts: &HostFacts, verdict: VerdictKind, source: &str, outcome: Outcome) {
    assert_eq!(assess(facts, &mds()).verdict, verdict, "{:#?}", assess(facts, &mds()));
    assert_eq!(remarks(facts), [(source.to_owned(), outcome)]);
}

#[test]
fn a_host_on_which_all_is_well_is_mitigated() {
    assert_eq!(assess(&mitigated(), &mds()).verdict, VerdictKind::Mitigated);
    assert_eq!(remarks(&mitigated()), []);
}

#[test]
fn the_kernels_own_word_decides() {
    use Outcome::{Fail, Unknown, Warn};
    let source = "/sys/devices/system/cpu/vulnerabilities/mds";
    for (line, verdict, outcome) in [
        ("Mitigation: Clear CPU buffers; SMT vulnerable", VerdictKind::Mitigated, Warn),
        ("Vulnerable: Clear CPU buffers attempted, no microcode", VerdictKind::Vulnerable, Fail),
        (
            "Vulnerable: Clear CPU buffers attempted, no microcode; SMT Host state unknown",
            VerdictKind::Vulnerable,
            Fail,
        ),
        ("Vulnerable; SMT vulnerable", VerdictKind::Vulnerable, Fail),
        ("Unknown: No mitigations", VerdictKind::Unknown, Unknown),
        ("", VerdictKind::Unknown, Unknown),
    ] {
        assert_one(&sysfs(line), verdict, source, outcome);
    }
    for line in ["Mitigation: Clear CPU buffers; SMT Host state unknown", "Mitigation: Clear CPU buffers; SMT disabled"]
    {
        assert_eq!(remarks(&sysfs(line)), [], "{line}");
    }
}

#[test]
fn an_absent_file_is_a_kernel_without_the_fix_and_an_unread_folder_is_unknown() {
    let source = "/sys/devices/system/cpu/vulnerabilities/mds";
    let absent = with(|facts| facts.vulnerabilities = Some(BTreeMap::new()));
    assert_one(&absent, VerdictKind::Vulnerable, source, Outcome::Fail);
    let unread = with(|facts| {
        facts.vulnerabilities = None;
        facts.unread.insert("vulnerabilities".into(), "took too long".into());
    });
    assert_one(&unread, VerdictKind::Unknown, source, Outcome::Unknown);
    let told = assess(&unread, &mds()).evidence.into_iter().find(|evidence| evidence.source == source).unwrap();
    assert_eq!(told.found.unwrap(), "could not be read: took too long");
}

#[test]
fn only_positive_evidence_makes_a_host_not_affected() {
    let spared = with(|facts| {
        *facts = sysfs("Not affected");
        facts.cpu.as_mut().unwrap().flags = vec![];
        facts.domain_capabilities.as_mut().unwrap().host_model = [("mds-no".to_owned(), "require".to_owned())].into();
        facts.packages.clear();
    });
    let verdict = assess(&spared, &mds());
    assert_eq!(verdict.verdict, VerdictKind::NotAffected);
    let counting: Vec<_> = verdict.evidence.iter().filter(|one| one.outcome != Outcome::NotApplicable).collect();
    assert_eq!(counting.len(), 1, "{counting:#?}");
    assert_eq!(counting[0].found.as_deref(), Some("Not affected"));

    let amd = with(|facts| facts.cpu.as_mut().unwrap().vendor = "AuthenticAMD".into());
    assert_eq!(assess(&amd, &mds()).verdict, VerdictKind::NotAffected);
    let arm = with(|facts| facts.architecture = Some("aarch64".into()));
    assert_eq!(assess(&arm, &mds()).verdict, VerdictKind::NotAffected);

    // mds-no alone is libvirt's word about guests, not the kernel's about the host.
    let mds_no = with(|facts| {
        facts.domain_capabilities.as_mut().unwrap().host_model = [("mds-no".to_owned(), "require".to_owned())].into();
    });
    assert_one(&mds_no, VerdictKind::Vulnerable, "virsh domcapabilities", Outcome::Fail);
}

#[test]
fn one_flaw_that_is_not_there_does_not_hide_another() {
    let mut remedy = mds();
    let taa = SysfsEvidence {
        file: "tsx_async_abort".into(),
        pass: vec!["Mitigation".into()],
        fail: vec!["Vulnerable".into()],
        not_affected: vec!["Not affected".into()],
        warn: vec![],
        absent: fleetmend::remedy::AbsentFile::Fail,
    };
    remedy.evidence.push(EvidenceRequirement::Sysfs(taa));
    let facts = |mds: &str| {
        let mut facts = sysfs(mds);
        facts.vulnerabilities.as_mut().unwrap().insert("tsx_async_abort".into(), "Not affected".into());
        facts
    };
    assert_eq!(assess(&facts("Vulnerable"), &remedy).verdict, VerdictKind::Vulnerable);
    assert_eq!(assess(&facts("Mitigation: Clear CPU buffers"), &remedy).verdict, VerdictKind::Mitigated);
    assert_eq!(assess(&facts("Not affected"), &remedy).verdict, VerdictKind::NotAffected);
}

#[test]
fn the_last_line_of_the_kernel_log_counts_and_its_absence_does_not() {
    let log = |lines: &[&str]| with(|facts| facts.kernel_log = Some(lines.iter().map(|l| (*l).to_owned()).collect()));
    let (good, bad) =
        ("MDS: Mitigation: Clear CPU buffers", "MDS: Vulnerable: Clear CPU buffers attempted, no microcode");
    assert_eq!(remarks(&log(&[bad, good])), []);
    assert_eq!(
        remarks(&log(&["[    0.024519] MDS: Vulnerable", "[    0.034005] MDS: Mitigation: Clear CPU buffers"])),
        []
    );
    assert_one(&log(&[good, bad]), VerdictKind::Vulnerable, "dmesg", Outcome::Fail);
    for none in [log(&[]), log(&["TAA: Vulnerable"]), with(|facts| facts.kernel_log = None)] {
        assert_one(&none, VerdictKind::Mitigated, "dmesg", Outcome::NotApplicable);
    }
}

#[test]
fn libvirt_must_offer_the_flag_to_guests() {
    let source = "virsh domcapabilities";
    for policy in [Some("disable"), None] {
        let facts = with(|facts| {
            facts.domain_capabilities.as_mut().unwrap().host_model =
                policy.map(|policy| ("md-clear".to_owned(), policy.to_owned())).into_iter().collect();
        });
        assert_one(&facts, VerdictKind::Vulnerable, source, Outcome::Fail);
    }
    let unseen = with(|facts| facts.domain_capabilities = None);
    assert_one(&unseen, VerdictKind::Unknown, source, Outcome::Unknown);
}

#[test]
fn the_processor_must_have_the_flag_and_an_unknown_processor_is_unknown() {
    let without = with(|facts| facts.cpu.as_mut().unwrap().flags = vec!["vmx".into()]);
    assert_one(&without, VerdictKind::Vulnerable, "/proc/cpuinfo", Outcome::Fail);
    let unseen = with(|facts| facts.cpu = None);
    assert_eq!(assess(&unseen, &mds()).verdict, VerdictKind::Unknown);
}

#[test]
fn a_command_line_that_switches_mitigations_off_fails() {
    let line = |text: &str| with(|facts| facts.command_line = Some(text.to_owned()));
    assert_one(&line("ro mitigations=off quiet"), VerdictKind::Vulnerable, "/proc/cmdline", Outcome::Fail);
    assert_one(&line("mds=off"), VerdictKind::Vulnerable, "/proc/cmdline", Outcome::Fail);
    assert_eq!(remarks(&line("mitigations=off mitigations=auto,nosmt mds=full")), []);
    assert_eq!(remarks(&line("xmds=off mds=offline")), []);
    let unseen = with(|facts| facts.command_line = None);
    assert_eq!(assess(&unseen, &mds()).verdict, VerdictKind::Unknown);
}

#[test]
fn each_package_is_held_to_the_threshold_of_its_system() {
    for (name, old) in [
        ("microcode_ctl", "2:2.1-47.el7"),
        ("qemu-kvm-rhev", "10:2.12.0-18.el7_6.4"),
        ("libvirt", "0:4.5.0-10.el7_6.7"),
    ] {
        let facts = with(|facts| {
            facts.packages.retain(|package| package.name != name);
            facts.packages.push(rpm(name, old));
        });
        assert_one(&facts, VerdictKind::Vulnerable, "rpm", Outcome::Fail);
        let targets = updates(&facts, &mds());
        assert_eq!(targets.len(), 1);
        assert_eq!(targets[0].name, name);
    }
    assert_eq!(updates(&mitigated(), &mds()), []);
}

#[test]
fn a_requirement_says_when_the_epoch_was_left_out_of_account() {
    let verdict = assess(&mitigated(), &mds());
    let asked: Vec<&str> = verdict.evidence.iter().map(|evidence| evidence.requirement.as_str()).collect();
    assert!(asked.contains(&"qemu-kvm-rhev at least 2.12.0-18.el7_6.5 of any epoch"), "{asked:#?}");
    assert!(asked.contains(&"libvirt at least 4.5.0-10.el7_6.9"), "{asked:#?}");
}

#[test]
fn every_installed_name_of_a_requirement_counts() {
    let facts = with(|facts| facts.packages.push(rpm("libvirt-daemon-kvm", "0:4.5.0-10.el7_6.7")));
    assert_one(&facts, VerdictKind::Vulnerable, "rpm", Outcome::Fail);
    assert_eq!(
        updates(&facts, &mds()).iter().map(|target| target.name.as_str()).collect::<Vec<_>>(),
        ["libvirt-daemon-kvm"]
    );
}

#[test]
fn absent_packages_fail_or_do_not_apply_as_the_remedy_says_and_unread_ones_are_unknown() {
    let without = |name: &str| with(|facts| facts.packages.retain(|package| package.name != name));
    assert_one(&without("microcode_ctl"), VerdictKind::Vulnerable, "rpm, dpkg", Outcome::Fail);
    assert_one(&without("qemu-kvm-rhev"), VerdictKind::Mitigated, "rpm, dpkg", Outcome::NotApplicable);
    let unread = with(|facts| {
        facts.packages.clear();
        facts.unread.insert("rpm".into(), "took too long".into());
    });
    assert_eq!(assess(&unread, &mds()).verdict, VerdictKind::Unknown);
    assert!(prospect(&unread, &mds()).obstacles.is_empty());
}

#[test]
fn two_versions_that_a_power_cut_left_behind_fail_although_the_newer_one_would_do() {
    let facts = with(|facts| facts.packages.push(rpm("libvirt", "0:4.5.0-10.el7_6.7")));
    assert_one(&facts, VerdictKind::Vulnerable, "rpm", Outcome::Fail);
    let told = assess(&facts, &mds()).evidence.into_iter().find(|one| one.outcome == Outcome::Fail).unwrap();
    assert!(told.found.unwrap().contains("interrupted transaction"));
    assert_eq!(updates(&facts, &mds()).len(), 1);
    let other_arch = with(|facts| {
        facts.packages.push(Package { arch: "i686".into(), ..rpm("libvirt", "0:4.5.0-10.el7_6.9") });
    });
    assert_eq!(remarks(&other_arch), []);
}

#[test]
fn an_installed_kernel_that_does_not_run_is_no_fix() {
    let old = with(|facts| facts.kernel = Some("3.10.0-957.12.1.el7.x86_64".into()));
    assert_eq!(assess(&old, &mds()).verdict, VerdictKind::Vulnerable);
    assert_eq!(updates(&old, &mds()), []);
    let newer = with(|facts| facts.packages.push(rpm("kernel", "0:3.10.0-957.21.3.el7")));
    assert_one(&newer, VerdictKind::Mitigated, "rpm", Outcome::Warn);
    let next = with(|facts| facts.default_kernel = Some("3.10.0-957.12.1.el7.x86_64".into()));
    assert_one(&next, VerdictKind::Mitigated, "boot loader", Outcome::Warn);
    let before = assess_before_reboot(&next, &mds());
    assert_eq!(before.verdict, VerdictKind::Vulnerable);
    let foreign = with(|facts| facts.kernel = Some("5.4.0-1.elrepo.x86_64".into()));
    assert_one(&foreign, VerdictKind::Mitigated, "rpm", Outcome::Warn);
}

#[test]
fn thresholds_of_one_system_do_not_speak_of_another() {
    let facts = with(|facts| facts.os.as_mut().unwrap().id = "opensuse-leap".into());
    assert_eq!(assess(&facts, &mds()).verdict, VerdictKind::Unknown);
    let prospect = prospect(&facts, &mds());
    assert!(prospect.obstacles.contains(&Obstacle::NoThreshold("kernel".into())), "{prospect:?}");
    assert!(!prospect.can_mitigate(NovaConfHandling::AddFlags));
}

#[test]
fn a_host_of_ubuntu_is_held_to_ubuntus_versions() {
    let deb = |name: &str, version: &str| Package {
        manager: PackageManager::Dpkg,
        arch: "amd64".into(),
        ..rpm(name, version)
    };
    let host = |qemu: &str, kernel: &str| {
        with(|facts| {
            facts.os = Some(OsRelease { id: "ubuntu".into(), version_id: "18.04".into(), ..OsRelease::default() });
            facts.kernel = Some(kernel.into());
            facts.packages = vec![
                deb("intel-microcode", "3.20190514.0ubuntu0.18.04.2"),
                deb("linux-image-generic", "4.15.0.50.52"),
                deb("qemu-system-x86", qemu),
                deb("libvirt-daemon-system", "4.0.0-1ubuntu8.10"),
            ];
        })
    };
    let (old, new) = ("1:2.11+dfsg-1ubuntu7.12", "1:2.11+dfsg-1ubuntu7.13");
    let verdict = |facts: &HostFacts| assess(facts, &mds()).verdict;
    assert_eq!(verdict(&host(new, "4.15.0-50-generic")), VerdictKind::Mitigated);
    assert_eq!(verdict(&host(old, "4.15.0-50-generic")), VerdictKind::Vulnerable);
    assert_eq!(verdict(&host(new, "4.15.0-48-generic")), VerdictKind::Vulnerable);
    let targets = updates(&host(old, "4.15.0-50-generic"), &mds());
    assert_eq!((targets.len(), targets[0].manager), (1, PackageManager::Dpkg));
}

#[test]
fn nova_conf_passes_the_flag_on_or_is_a_finding() {
    use Outcome::{Fail, Pass, Unknown, Warn};
    let flags = "cpu_model_extra_flags";
    let custom = |more: &[(&'static str, &'static str)]| [&[("cpu_mode", "custom")][..], more].concat();
    for (options, outcome) in [
        (vec![], Pass),
        (vec![("virt_type", "qemu")], Pass),
        (vec![("virt_type", "lxc")], Fail),
        (vec![("cpu_mode", "host-model")], Pass),
        (vec![("cpu_mode", "host-passthrough")], Pass),
        (vec![("cpu_mode", "none")], Fail),
        (vec![("cpu_mode", "maximum")], Unknown),
        (vec![("cpu_mode", "host-model"), (flags, "-md-clear")], Fail),
        (custom(&[("cpu_model", "IvyBridge")]), Fail),
        (custom(&[("cpu_model", "IvyBridge"), (flags, "pcid, ssbd")]), Fail),
        (custom(&[("cpu_model", "IvyBridge"), (flags, "spec-ctrl,ssbd,md-clear")]), Pass),
        (custom(&[("cpu_model", "IvyBridge"), (flags, "pcid,\nssbd, +MD-CLEAR\n+spec-ctrl")]), Pass),
        (custom(&[("cpu_model", "IvyBridge"), (flags, "ssbd,md-clear")]), Warn),
        (custom(&[("cpu_model", "IvyBridge-IBRS"), (flags, "ssbd,md-clear")]), Pass),
        (custom(&[("cpu_models", "Haswell-IBRS, IvyBridge"), (flags, "ssbd,md-clear")]), Warn),
        (custom(&[("cpu_model", "IvyBridge-IBRS"), (flags, "ssbd,md-clear,-md-clear")]), Fail),
    ] {
        let facts = with(|facts| facts.nova_conf = Some(nova(&options)));
        let verdict = assess(&facts, &mds());
        let told = verdict.evidence.iter().find(|evidence| evidence.source == "nova.conf").unwrap();
        assert_eq!(told.outcome, outcome, "{options:?}: {told:?}");
    }
    let unseen = with(|facts| facts.nova_conf = None);
    assert_one(&unseen, VerdictKind::Unknown, "nova.conf", Unknown);
}

#[test]
fn of_an_option_that_is_given_twice_the_last_value_counts() {
    let facts = with(|facts| {
        let libvirt = [("cpu_mode".to_owned(), vec!["none".to_owned(), "host-model".to_owned()])].into();
        facts.nova_conf = Some([("libvirt".to_owned(), libvirt)].into());
    });
    assert_eq!(remarks(&facts), []);
}

#[test]
fn only_missing_flags_can_be_added_and_only_where_the_policy_lets() {
    let custom = with(|facts| {
        let options = [("cpu_mode", "custom"), ("cpu_model", "IvyBridge"), ("cpu_model_extra_flags", "pcid, ssbd")];
        facts.nova_conf = Some(nova(&options));
    });
    assert_eq!(missing_guest_flags(&custom, &mds()), ["spec-ctrl", "md-clear"]);
    let hope = prospect(&custom, &mds());
    assert!(hope.can_mitigate(NovaConfHandling::AddFlags) && !hope.can_mitigate(NovaConfHandling::Leave));
    let none = with(|facts| facts.nova_conf = Some(nova(&[("cpu_mode", "none")])));
    assert_eq!(missing_guest_flags(&none, &mds()), Vec::<String>::new());
    assert!(!prospect(&none, &mds()).can_mitigate(NovaConfHandling::AddFlags));
}

#[test]
fn no_outage_is_spent_on_a_host_that_a_reboot_cannot_mitigate() {
    let hope = |facts: &HostFacts| prospect(facts, &mds()).can_mitigate(NovaConfHandling::Leave);
    assert!(hope(&mitigated()));
    let off = with(|facts| facts.command_line = Some("ro mitigations=off".into()));
    assert!(!hope(&off));
    assert!(prospect(&off, &mds()).obstacles[0].to_string().contains("mitigations=off"));
    let on_again = with(|facts| {
        facts.command_line = Some("ro mitigations=off".into());
        facts.default_command_line = Some("ro".into());
    });
    assert!(hope(&on_again));
    let off_next = with(|facts| facts.default_command_line = Some("ro mds=off".into()));
    assert!(!hope(&off_next));
    assert_eq!(assess_before_reboot(&off_next, &mds()).verdict, VerdictKind::Vulnerable);
    let no_microcode = with(|facts| facts.packages.retain(|package| package.name != "microcode_ctl"));
    assert!(!hope(&no_microcode));
    let mut remedy = mds();
    remedy.packages[0].update = Update::Never;
    let old = with(|facts| facts.packages[0].version = "2:2.1-47.el7".into());
    assert_eq!(prospect(&old, &remedy).obstacles, [Obstacle::NotUpdated("microcode_ctl".into())]);
    assert!(hope(&old));
}

#[test]
fn a_host_without_any_facts_is_unknown() {
    let verdict = assess(&HostFacts::default(), &mds());
    assert_eq!(verdict.verdict, VerdictKind::Unknown);
    assert!(
        verdict.evidence.iter().all(|one| matches!(one.outcome, Outcome::Unknown | Outcome::NotApplicable)),
        "{verdict:#?}"
    );
}
