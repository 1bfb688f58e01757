//! Another remedy is another file.

use super::*;

fn kernel_update() -> Remedy {
    let shipped = fleetmend::config::shipped::find(fleetmend::config::shipped::REMEDIES, "kernel-update");
    let shipped = shipped.expect("kernel-update is shipped");
    fleetmend::config::read_remedy(shipped.path, shipped.text).expect("the shipped remedy is read")
}

#[test]
fn a_newer_kernel_that_does_not_run_is_all_that_kernel_update_minds() {
    let facts = with(|facts| facts.vulnerabilities = None);
    assert_eq!(assess(&facts, &kernel_update()).verdict, VerdictKind::Mitigated);
    let newer = with(|facts| facts.packages.push(rpm("kernel", "0:3.10.0-957.21.3.el7")));
    assert_eq!(assess(&newer, &kernel_update()).verdict, VerdictKind::Vulnerable);
    assert_eq!(updates(&newer, &kernel_update()).len(), 1);
    assert!(!kernel_update().needs_cold_boot());
}

#[test]
fn a_flaw_of_another_makers_processors_is_a_file_of_its_own() {
    let text = "format: 1\nkind: remedy\nname: srso\ncves: [CVE-2023-20569]\n\
                applies: {vendors: [AuthenticAMD]}\n\
                evidence:\n  - sysfs: {file: spec_rstack_overflow, pass: [Mitigation], fail: [Vulnerable, \
                \"Mitigation: SMT disabled\"], not_affected: [Not affected], absent: unknown}\n";
    let remedy = fleetmend::config::read_remedy("srso.yaml", text).unwrap();
    let amd = |line: Option<&str>| {
        with(|facts| {
            facts.cpu.as_mut().unwrap().vendor = "AuthenticAMD".into();
            facts.vulnerabilities =
                Some(line.map(|line| ("spec_rstack_overflow".to_owned(), line.to_owned())).into_iter().collect());
        })
    };
    for (line, verdict) in [
        (Some("Mitigation: Safe RET"), VerdictKind::Mitigated),
        (Some("Mitigation: SMT disabled"), VerdictKind::Vulnerable),
        (Some("Vulnerable: Safe RET, no microcode"), VerdictKind::Vulnerable),
        (Some("Not affected"), VerdictKind::NotAffected),
        (None, VerdictKind::Unknown),
    ] {
        assert_eq!(assess(&amd(line), &remedy).verdict, verdict, "{line:?}");
    }
    assert_eq!(assess(&mitigated(), &remedy).verdict, VerdictKind::NotAffected);
}
