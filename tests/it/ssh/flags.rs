//! The job that adds CPU flags to nova.conf, run as a host runs it.

#![expect(clippy::unwrap_used, reason = "helpers of tests: what fails here fails the test")]

use std::fs;
use std::path::Path;
use std::process::Command;

use fleetmend::host::{RawFacts, Section, facts, facts::section};
use proptest::prelude::*;
use tempfile::TempDir;

/// Runs the job on `conf`; its status, the file afterwards, and what it printed.
fn add(conf: &str, flags: &[&str]) -> (i32, String, String) {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("nova.conf");
    fs::write(&file, conf).unwrap();
    let (status, printed) = run(folder.path(), &file, flags);
    let after = fs::read_to_string(&file).unwrap();
    let backup = folder.path().join("nova.conf.before-fleetmend");
    if after == conf {
        assert!(!backup.exists(), "no backup without a change");
    } else {
        assert_eq!(fs::read_to_string(backup).unwrap(), conf);
    }
    assert!(!folder.path().join("nova.conf.fleetmend").exists(), "nothing half done is left");
    let (again, _) = run(folder.path(), &file, flags);
    assert_eq!((again, fs::read_to_string(&file).unwrap()), (status, after.clone()), "a repeat changes nothing");
    (status, after, printed)
}

fn run(folder: &Path, file: &Path, flags: &[&str]) -> (i32, String) {
    fs::write(folder.join("arguments"), format!("flags\n{}\n{}\n", file.display(), flags.join("\n"))).unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/host/ssh/scripts/work.sh");
    let status = Command::new("sh").arg(script).arg(folder).status().unwrap();
    (status.code().unwrap(), fs::read_to_string(folder.join("output")).unwrap())
}

fn added(conf: &str) -> String {
    let (status, after, printed) = add(conf, &["md-clear"]);
    assert_eq!(status, 0, "{printed}");
    after
}

#[test]
fn the_flag_goes_behind_the_others_and_every_other_byte_stays() {
    let conf = "# The CPU\n[DEFAULT]\ncpu_model_extra_flags = decoy\n\n[libvirt]\nvirt_type=kvm\n\tx\n\
                cpu_model_extra_flags = pcid, ssbd  \n# tail\n[vnc]\nenabled = true\n";
    assert_eq!(added(conf), conf.replace("pcid, ssbd  \n", "pcid, ssbd, md-clear  \n"));
}

#[test]
fn each_way_to_write_the_option_is_understood() {
    for (written, edited) in [
        ("cpu_model_extra_flags=pcid", "cpu_model_extra_flags=pcid, md-clear"),
        ("cpu_model_extra_flags: pcid,", "cpu_model_extra_flags: pcid, md-clear"),
        ("cpu_model_extra_flags =", "cpu_model_extra_flags = md-clear"),
        ("cpu_model_extra_flags = \"pcid, ssbd\"", "cpu_model_extra_flags = \"pcid, ssbd, md-clear\""),
        ("cpu_model_extra_flags = ''", "cpu_model_extra_flags = 'md-clear'"),
        ("cpu_model_extra_flags = pcid,\n  ssbd", "cpu_model_extra_flags = pcid,\n  ssbd, md-clear"),
        ("cpu_model_extra_flags =\n  pcid,\n  ssbd,", "cpu_model_extra_flags =\n  pcid,\n  ssbd, md-clear"),
        (
            "cpu_model_extra_flags = a\ncpu_model_extra_flags = b",
            "cpu_model_extra_flags = a\ncpu_model_extra_flags = b, md-clear",
        ),
    ] {
        for (before, after) in
            [("[libvirt]\n", "\n[vnc]\n"), ("[LibVirt]\ncpu_mode = custom\n", "\n"), ("[a]\n[libvirt]\n", "")]
        {
            let conf = format!("{before}{written}{after}");
            assert_eq!(added(&conf), format!("{before}{edited}{after}"), "{conf}");
        }
    }
}

#[test]
fn without_the_option_it_goes_behind_those_that_choose_the_cpu() {
    let option = "cpu_model_extra_flags = md-clear\n";
    assert_eq!(
        added("[libvirt]\ncpu_mode = custom\ncpu_models = IvyBridge,\n  Haswell\nvirt_type = kvm\n[vnc]\n"),
        format!("[libvirt]\ncpu_mode = custom\ncpu_models = IvyBridge,\n  Haswell\n{option}virt_type = kvm\n[vnc]\n")
    );
    assert_eq!(added("[libvirt]\nvirt_type = kvm\n"), format!("[libvirt]\n{option}virt_type = kvm\n"));
    assert_eq!(added("[libvirt]"), format!("[libvirt]\n{}", option.trim_end()));
    assert_eq!(
        added("[libvirt]\r\ncpu_mode = custom\r\n"),
        "[libvirt]\r\ncpu_mode = custom\r\ncpu_model_extra_flags = md-clear\r\n"
    );
}

#[test]
fn flags_that_are_there_are_not_added_again_and_one_that_is_switched_off_is_not_overruled() {
    for there in ["md-clear", "pcid,MD-CLEAR", "\"+md-clear\"", "pcid,\n  md-clear"] {
        let conf = format!("[libvirt]\ncpu_model_extra_flags = {there}\n");
        let (status, after, _) = add(&conf, &["md-clear"]);
        assert_eq!((status, after), (0, conf));
    }
    let conf = "[libvirt]\ncpu_model_extra_flags = pcid, -md-clear\n";
    let (status, after, printed) = add(conf, &["md-clear"]);
    assert_eq!((status, after.as_str()), (1, conf));
    assert!(printed.contains("switches one of the flags off"), "{printed}");
    let conf = "[libvirt]\ncpu_model_extra_flags = ssbd\n";
    assert_eq!(add(conf, &["spec-ctrl", "ssbd", "md-clear"]).1, conf.replace("ssbd", "ssbd, spec-ctrl, md-clear"));
}

#[test]
fn a_file_that_does_not_configure_libvirt_is_left_alone() {
    let conf = "[DEFAULT]\nhost = a\n# [libvirt]\n";
    let (status, after, printed) = add(conf, &["md-clear"]);
    assert_eq!((status, after.as_str()), (1, conf));
    assert!(printed.contains("no section [libvirt]"), "{printed}");
}

#[test]
fn owner_and_mode_stay_and_a_link_is_followed() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let folder = TempDir::new().unwrap();
    let (real, link) = (folder.path().join("real.conf"), folder.path().join("nova.conf"));
    fs::write(&real, "[libvirt]\n").unwrap();
    fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
    symlink(&real, &link).unwrap();
    assert_eq!(run(folder.path(), &link, &["md-clear"]).0, 0);
    assert!(link.is_symlink());
    assert_eq!(fs::metadata(&real).unwrap().permissions().mode() & 0o777, 0o640);
    assert!(fs::read_to_string(&real).unwrap().contains("md-clear"));
}

/// The options of a file as Nova would read them, if it can.
fn options(conf: &str) -> Option<std::collections::BTreeMap<String, std::collections::BTreeMap<String, Vec<String>>>> {
    let file = Section { status: 0, text: conf.to_owned() };
    facts::parse(&RawFacts { sections: [(section::nova_conf(0, "/nova.conf"), file)].into() }).nova_conf
}

fn flags_of(value: &str) -> Vec<String> {
    value.split(',').map(|flag| flag.trim().to_lowercase()).filter(|flag| !flag.is_empty()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// The edit and the reader were written apart: what one adds, the other must see, and nothing else may differ.
    #[test]
    fn nova_reads_the_flags_and_everything_else_as_before(lines in prop::collection::vec(prop_oneof![
        3 => Just("[libvirt]"),
        1 => Just("[DEFAULT]"),
        1 => Just("[LIBVIRT]"),
        2 => Just("cpu_model_extra_flags = pcid, ssbd"),
        1 => Just("cpu_model_extra_flags ="),
        1 => Just("cpu_model_extra_flags = 'pcid'  "),
        1 => Just("cpu_mode = custom"),
        1 => Just("cpu_models: A, B"),
        1 => Just("virt_type = kvm"),
        1 => Just("host=a"),
        1 => Just("# cpu_model_extra_flags = x"),
        1 => Just("  , more,"),
        1 => Just(""),
    ], 0..12), newline in any::<bool>()) {
        let conf = format!("[DEFAULT]\n{}{}", lines.join("\n"), if newline { "\n" } else { "" });
        let Some(before) = options(&conf) else { return Ok(()) };
        let (status, after, _) = add(&conf, &["md-clear"]);
        if status != 0 {
            prop_assert!(!conf.to_lowercase().contains("[libvirt]"), "{conf}");
            return Ok(());
        }
        let mut found = options(&after).unwrap();
        let libvirt = found.get_mut("libvirt").unwrap();
        let mut expected = before.clone();
        let value = libvirt["cpu_model_extra_flags"].last().unwrap().clone();
        let old = before.get("libvirt").and_then(|options| options.get("cpu_model_extra_flags")?.last());
        let mut flags = flags_of(old.map_or("", String::as_str));
        flags.push("md-clear".to_owned());
        prop_assert_eq!(flags_of(&value), flags, "{}", after);
        // But for that one value, the options are the same.
        let values = expected.entry("libvirt".to_owned()).or_default().entry("cpu_model_extra_flags".to_owned()).or_default();
        values.pop();
        values.push(value);
        prop_assert_eq!(found, expected);
    }
}
