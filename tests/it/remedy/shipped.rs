//! The other shipped remedies: each requirement passing, failing and unseen.

use super::*;
use fleetmend::config::shipped::{REMEDIES, Shipped, find};
use fleetmend::model::PendingReboot;

const FLUSH: &str = "/sys/module/kvm_intel/parameters/vmentry_l1d_flush";
const SMT: &str = "/sys/devices/system/cpu/smt/control";

fn read(shipped: &Shipped) -> Remedy {
    fleetmend::config::read_remedy(shipped.path, shipped.text).expect("a shipped remedy is read")
}

fn shipped(name: &str) -> Remedy {
    read(find(REMEDIES, name).expect("it is shipped"))
}

/// A host of `vendor` on which the kernel says `lines` of the flaws, and all else is well.
fn host(vendor: &str, lines: &[(&str, &str)]) -> HostFacts {
    with(|facts| {
        vendor.clone_into(&mut facts.cpu.as_mut().unwrap().vendor);
        let told = lines.iter().map(|(file, line)| ((*file).to_owned(), (*line).to_owned()));
        facts.vulnerabilities = Some(told.collect());
        facts.kernel_files =
            [(FLUSH, "cond"), (SMT, "forceoff")].map(|(path, line)| (path.to_owned(), Some(line.to_owned()))).into();
    })
}

/// The verdict, and the outcomes other than pass by source.
fn judged(facts: &HostFacts, remedy: &Remedy) -> (VerdictKind, Vec<(String, Outcome)>) {
    let verdict = assess(facts, remedy);
    let other = verdict.evidence.into_iter().filter(|one| one.outcome != Outcome::Pass);
    (verdict.verdict, other.map(|one| (one.source, one.outcome)).collect())
}

/// The one remark that `facts` bring, with the verdict.
#[track_caller]
fn assert_remark(facts: &HostFacts, remedy: &Remedy, verdict: VerdictKind, source: &str, outcome: Outcome) {
    assert_eq!(judged(facts, remedy), (verdict, vec![(source.to_owned(), outcome)]));
}

#[test]
fn every_shipped_remedy_is_without_mistakes_and_has_its_own_name() {
    for shipped in REMEDIES {
        let remedy = read(shipped);
        assert_eq!(remedy.name, shipped.name);
        assert_eq!(fleetmend::remedy::lint(&remedy), [], "{}", shipped.name);
    }
}

#[test]
fn l1tf_is_mitigated_where_guests_get_a_flushed_cache() {
    use VerdictKind::{Mitigated, NotAffected, Unknown, Vulnerable};
    let (remedy, file) = (shipped("l1tf"), "/sys/devices/system/cpu/vulnerabilities/l1tf");
    let says = |line: &str| host("GenuineIntel", &[("l1tf", line)]);
    let good = "Mitigation: PTE Inversion; VMX: conditional cache flushes, SMT disabled";
    assert_eq!(judged(&says(good), &remedy), (Mitigated, vec![]));
    for (line, verdict, outcome) in [
        ("Mitigation: PTE Inversion; VMX: cache flushes, SMT vulnerable", Mitigated, Outcome::Warn),
        ("Mitigation: PTE Inversion; VMX: vulnerable", Vulnerable, Outcome::Fail),
        ("Vulnerable", Vulnerable, Outcome::Fail),
        ("Something else", Unknown, Outcome::Unknown),
    ] {
        assert_remark(&says(line), &remedy, verdict, file, outcome);
    }
    assert_eq!(judged(&says("Not affected"), &remedy).0, NotAffected);
    assert_eq!(judged(&host("AuthenticAMD", &[]), &remedy).0, NotAffected);
    assert_remark(&host("GenuineIntel", &[]), &remedy, Vulnerable, file, Outcome::Fail);

    let with_file = |path: &str, line: Option<&str>| {
        let mut facts = says(good);
        facts.kernel_files.insert(path.to_owned(), line.map(str::to_owned));
        facts
    };
    for (path, line, verdict, outcome) in [
        (FLUSH, Some("never"), Vulnerable, Outcome::Fail),
        (FLUSH, Some("whatever"), Unknown, Outcome::Unknown),
        (FLUSH, None, Mitigated, Outcome::NotApplicable),
        (SMT, Some("on"), Mitigated, Outcome::Warn),
        (SMT, None, Mitigated, Outcome::NotApplicable),
    ] {
        assert_remark(&with_file(path, line), &remedy, verdict, path, outcome);
    }
    assert_eq!(judged(&with_file(SMT, Some("notimplemented")), &remedy), (Mitigated, vec![]));
    let mut unread = says(good);
    unread.kernel_files.remove(FLUSH);
    assert_remark(&unread, &remedy, Unknown, FLUSH, Outcome::Unknown);
}

#[test]
fn spectre_v2_speaks_of_both_flaws_and_names_what_stays_open() {
    use VerdictKind::{Mitigated, NotAffected, Unknown, Vulnerable};
    let (remedy, folder) = (shipped("spectre-v2"), "/sys/devices/system/cpu/vulnerabilities");
    let says = |v2: &str, ssb: &str| host("AuthenticAMD", &[("spectre_v2", v2), ("spec_store_bypass", ssb)]);
    let ssb = "Mitigation: Speculative Store Bypass disabled via prctl";
    let v2 = "Mitigation: Enhanced / Automatic IBRS; IBPB: conditional; STIBP: always-on; RSB filling; \
              PBRSB-eIBRS: Not affected; BHI: Not affected";
    assert_eq!(judged(&says(v2, ssb), &remedy), (Mitigated, vec![]));
    for (v2, verdict, outcome) in [
        ("Mitigation: Retpolines; IBPB: conditional; BHI: Vulnerable, KVM: SW loop", Mitigated, Outcome::Warn),
        ("Mitigation: Retpolines; IBPB: disabled; STIBP: disabled", Mitigated, Outcome::Warn),
        ("Mitigation: LFENCE", Vulnerable, Outcome::Fail),
        ("Vulnerable: eIBRS with unprivileged eBPF", Vulnerable, Outcome::Fail),
    ] {
        assert_remark(&says(v2, ssb), &remedy, verdict, &format!("{folder}/spectre_v2"), outcome);
    }
    let open = says(v2, "Vulnerable");
    assert_remark(&open, &remedy, Vulnerable, &format!("{folder}/spec_store_bypass"), Outcome::Fail);
    assert_eq!(judged(&says("Not affected", "Not affected"), &remedy).0, NotAffected);
    assert_eq!(judged(&says("Not affected", "Vulnerable"), &remedy).0, Vulnerable);
    let mut unread = says(v2, ssb);
    unread.vulnerabilities = None;
    assert_eq!(judged(&unread, &remedy).0, Unknown);
}

#[test]
fn srso_needs_the_kernel_and_the_microcode() {
    use VerdictKind::{Mitigated, NotAffected, Unknown, Vulnerable};
    let (remedy, file) = (shipped("srso"), "/sys/devices/system/cpu/vulnerabilities/spec_rstack_overflow");
    let says = |line: &str| host("AuthenticAMD", &[("spec_rstack_overflow", line)]);
    // No firmware package on this host, and that is no failure: its board may bring the microcode.
    let firmware = ("rpm, dpkg".to_owned(), Outcome::NotApplicable);
    assert_eq!(judged(&says("Mitigation: Safe RET"), &remedy), (Mitigated, vec![firmware.clone()]));
    for (line, verdict, outcome) in [
        ("Mitigation: IBPB on VMEXIT only", Mitigated, Outcome::Warn),
        ("Mitigation: safe RET, no microcode", Vulnerable, Outcome::Fail),
        ("Vulnerable: Safe RET, no microcode", Vulnerable, Outcome::Fail),
        ("Vulnerable", Vulnerable, Outcome::Fail),
        ("Mitigation: something new", Unknown, Outcome::Unknown),
    ] {
        let expected = vec![firmware.clone(), (file.to_owned(), outcome)];
        assert_eq!(judged(&says(line), &remedy), (verdict, expected), "{line}");
    }
    assert_eq!(judged(&says("Not affected"), &remedy).0, NotAffected);
    assert_eq!(judged(&host("GenuineIntel", &[]), &remedy).0, NotAffected);
    assert_eq!(judged(&host("AuthenticAMD", &[]), &remedy).0, Vulnerable, "a kernel without the file has no fix");
}

#[test]
fn remedies_that_only_the_kernel_proves_update_to_the_newest_whatever_is_installed() {
    for (name, packages) in
        [("l1tf", vec!["microcode_ctl", "kernel"]), ("spectre-v2", vec!["microcode_ctl", "kernel", "qemu-kvm-rhev"])]
    {
        let targets = updates(&mitigated(), &shipped(name));
        let names: Vec<&str> = targets.iter().map(|target| target.name.as_str()).collect();
        assert_eq!(names, packages, "{name}");
    }
}

#[test]
fn any_update_is_in_force_when_the_newest_kernel_runs_and_the_distribution_is_content() {
    use VerdictKind::{Mitigated, Unknown, Vulnerable};
    let remedy = shipped("kernel-update");
    let word = |due: bool, because: &[&str]| {
        let because = because.iter().map(|name| (*name).to_owned()).collect();
        with(|facts| facts.pending_reboot = Some(PendingReboot { due, because }))
    };
    assert_eq!(judged(&word(false, &[]), &remedy), (Mitigated, vec![]));
    let due = word(true, &["glibc", "systemd"]);
    assert_remark(&due, &remedy, Vulnerable, "distribution", Outcome::Fail);
    let told = assess(&due, &remedy).evidence.into_iter().find(|one| one.source == "distribution").unwrap();
    assert_eq!(told.found.as_deref(), Some("one is due for glibc, systemd"));
    assert_remark(&mitigated(), &remedy, Mitigated, "distribution", Outcome::NotApplicable);
    let unread = with(|facts| {
        facts.unread.insert("pending-reboot".into(), "took too long".into());
    });
    assert_remark(&unread, &remedy, Unknown, "distribution", Outcome::Unknown);
    let not_booted = with(|facts| facts.packages.push(rpm("kernel", "0:3.10.0-957.21.3.el7")));
    assert_eq!(judged(&not_booted, &remedy).0, Vulnerable);
    let before = assess_before_reboot(&due, &remedy);
    assert_eq!(before.verdict, Mitigated, "what only the reboot brings is not asked before it: {before:#?}");
}
