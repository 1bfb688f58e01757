//! nova.conf as oslo.config resolves it: several files, sections, repeated and continued options, `$` references.
//!
//! The rules are those of `oslo_config.iniparser` and `oslo_config.cfg` (10.x): files are read in order, an option's
//! values are kept in order over all files, and for an option of one value the last one counts.

use std::collections::BTreeMap;

/// Values by section and option, oldest first: the last one counts for an option of one value.
pub(super) type Resolved = BTreeMap<String, BTreeMap<String, Vec<String>>>;

/// Options that are collected and kept, as `SECTION/OPTION`; a `*` at the end stands for any rest. Everything else stays
/// on the host: nova.conf is full of passwords.
pub const NOVA_OPTIONS: [&str; 17] = [
    "DEFAULT/host",
    "DEFAULT/compute_driver",
    "DEFAULT/my_ip",
    "DEFAULT/state_path",
    "DEFAULT/instances_path",
    "DEFAULT/resume_guests_state_on_host_boot",
    "DEFAULT/cpu_allocation_ratio",
    "DEFAULT/ram_allocation_ratio",
    "DEFAULT/reserved_host_memory_mb",
    "compute/cpu_*",
    "libvirt/virt_type",
    "libvirt/cpu_*",
    "libvirt/hw_machine_type",
    "libvirt/images_type",
    "libvirt/live_migration_completion_timeout",
    "libvirt/live_migration_permit_*",
    "libvirt/live_migration_timeout_action",
];

/// What Nova starts when `[libvirt] virt_type` is not set.
pub(super) const DEFAULT_VIRT_TYPE: &str = "kvm";

/// References followed for one value at most. Real ones need two or three; without a limit, ten lines of references to
/// one another would grow without end. oslo.config itself ends in a recursion error on a circle.
const REFERENCES_MAX: usize = 200;

/// Reads `files` (path and text) in order and resolves the options of [`NOVA_OPTIONS`]. Fails on what nova-compute would
/// not start with, and on references to options that are not in the files.
pub(super) fn resolve(files: &[(String, String)]) -> Result<Resolved, String> {
    let mut all = Resolved::new();
    for (path, text) in files {
        read(text, &mut all).map_err(|why| format!("{path}: {why}"))?;
    }
    let mut resolved = Resolved::new();
    for (section, options) in &all {
        for (option, values) in options.iter().filter(|(option, _)| is_kept(section, option)) {
            let values = values.iter().map(|value| substitute(value, section, &all, &mut 0)).collect::<Result<_, _>>();
            let values = values.map_err(|why| format!("[{section}] {option}: {why}"))?;
            resolved.entry(section.clone()).or_default().insert(option.clone(), values);
        }
    }
    Ok(resolved)
}

fn is_kept(section: &str, option: &str) -> bool {
    NOVA_OPTIONS.iter().filter_map(|pattern| pattern.split_once('/')).any(|(wanted, pattern)| {
        wanted == section
            && match pattern.strip_suffix('*') {
                Some(prefix) => option.starts_with(prefix),
                None => option == pattern,
            }
    })
}

/// An option whose value may go on in the next line.
struct Open {
    option: String,
    value: String,
}

/// Adds the options of one file.
fn read(text: &str, all: &mut Resolved) -> Result<(), String> {
    let mut section: Option<String> = None;
    let mut open: Option<Open> = None;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.trim_end();
        if line.starts_with([' ', '\t']) {
            // A comment mark that is indented is no comment: it continues the value.
            let open = open.as_mut().ok_or_else(|| format!("line {number} continues nothing"))?;
            open.value.push('\n');
            open.value.push_str(line.trim_start());
            continue;
        }
        if let Some(done) = open.take() {
            keep(done, section.as_deref(), all).map_err(|why| format!("before line {number}: {why}"))?;
        }
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        if let Some(rest) = line.strip_prefix('[') {
            let name = rest.strip_suffix(']').filter(|name| !name.is_empty());
            let name = normal_section(name.ok_or_else(|| format!("line {number} is no section"))?);
            all.entry(name.clone()).or_default();
            section = Some(name);
        } else {
            open = Some(assignment(line).ok_or_else(|| format!("line {number} is no assignment"))?);
        }
    }
    match open {
        Some(done) => keep(done, section.as_deref(), all),
        None => Ok(()),
    }
}

fn keep(done: Open, section: Option<&str>, all: &mut Resolved) -> Result<(), String> {
    let section = section.ok_or_else(|| format!("`{}` stands before any section", done.option))?;
    all.entry(section.to_owned()).or_default().entry(done.option).or_default().push(done.value);
    Ok(())
}

/// Names of sections do not tell capitals apart, but for `DEFAULT`.
fn normal_section(name: &str) -> String {
    if name == "DEFAULT" { name.to_owned() } else { name.to_lowercase() }
}

/// `key = value` or `key: value`, whichever sign comes first; quotes around the whole value go.
fn assignment(line: &str) -> Option<Open> {
    let (option, value) = line.split_once(['=', ':'])?;
    let (option, value) = (option.trim(), value.trim());
    let unquoted = match value.chars().next() {
        Some(quote @ ('"' | '\'')) if value.ends_with(quote) => {
            value.get(1..value.len().saturating_sub(1)).unwrap_or_default()
        }
        Some(_) | None => value,
    };
    (!option.is_empty()).then(|| Open { option: option.to_owned(), value: unquoted.to_owned() })
}

/// Puts values in the place of `$name`, `${name}` and `${section.name}`; `$$` and `\$` stand for a dollar.
fn substitute(value: &str, section: &str, all: &Resolved, followed: &mut usize) -> Result<String, String> {
    let mut out = String::with_capacity(value.len());
    let escaped = value.replace("\\$", "$$");
    let mut rest = escaped.as_str();
    while let Some((before, after)) = rest.split_once('$') {
        out.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            out.push('$');
            rest = after;
            continue;
        }
        let braced = after.strip_prefix('{').and_then(|inner| inner.split_once('}'));
        let (name, after) = match braced {
            Some((name, after)) if name_length(name) == name.len() => (name, after),
            Some(_) | None => after.split_at(name_length(after)),
        };
        if name.is_empty() {
            out.push('$');
        } else {
            *followed += 1;
            if *followed > REFERENCES_MAX {
                return Err("too many references, or references in a circle".to_owned());
            }
            let (from, value) = look_up(name, section, all).ok_or_else(|| format!("`${name}` is not in the files"))?;
            out.push_str(&substitute(value, from, all, followed)?);
        }
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

/// Length of the name at the start of `text`: `[_a-z][._a-z0-9]*` without regard to capitals.
fn name_length(text: &str) -> usize {
    let starts = text.starts_with(|c: char| c == '_' || c.is_ascii_alphabetic());
    let end = text.find(|c: char| !(c == '_' || c == '.' || c.is_ascii_alphanumeric())).unwrap_or(text.len());
    if starts { end } else { 0 }
}

/// The value of `name` and the section that it stands in: `section.name`, else in the same section, else in `DEFAULT`.
fn look_up<'a>(name: &'a str, section: &'a str, all: &'a Resolved) -> Option<(&'a str, &'a str)> {
    let value = |section: &str, option: &str| all.get(section)?.get(option)?.last().map(String::as_str);
    if let Some((other, option)) = name.split_once('.') {
        return value(other, option).map(|value| (other, value));
    }
    [section, "DEFAULT"].into_iter().find_map(|section| value(section, name).map(|value| (section, value)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolved(files: &[&str]) -> Result<Resolved, String> {
        let files: Vec<(String, String)> =
            files.iter().map(|text| ("/etc/nova/nova.conf".to_owned(), (*text).to_owned())).collect();
        resolve(&files)
    }

    fn value(files: &[&str], section: &str, option: &str) -> Option<String> {
        resolved(files).unwrap().get(section)?.get(option)?.last().cloned()
    }

    #[test]
    fn the_last_value_counts_over_repeats_sections_and_files() {
        let first =
            "[libvirt]\ncpu_mode = none\ncpu_mode: custom\n[DEFAULT]\nhost=a\n[libvirt]\ncpu_model = IvyBridge\n";
        let second = "[LibVirt]\ncpu_mode = host-model\n";
        let all = resolved(&[first, second]).unwrap();
        assert_eq!(all["libvirt"]["cpu_mode"], ["none", "custom", "host-model"]);
        assert_eq!(all["libvirt"]["cpu_model"], ["IvyBridge"]);
        assert_eq!(all["DEFAULT"]["host"], ["a"]);
    }

    #[test]
    fn a_value_goes_on_in_indented_lines_even_behind_a_comment_mark() {
        let conf = "[libvirt]\ncpu_model_extra_flags = pcid,\n  ssbd,\n\t# md-clear\n\ncpu_mode=custom\n";
        let value = value(&[conf], "libvirt", "cpu_model_extra_flags").unwrap();
        assert_eq!(value, "pcid,\nssbd,\n# md-clear");
    }

    #[test]
    fn quotes_around_the_whole_value_go_and_others_stay() {
        for (written, meant) in
            [("\"custom\"", "custom"), ("'custom'", "custom"), ("\"custom'", "\"custom'"), ("\"", ""), ("", "")]
        {
            let conf = format!("[libvirt]\ncpu_mode = {written}\n");
            assert_eq!(value(&[&conf], "libvirt", "cpu_mode").unwrap(), meant, "{written}");
        }
    }

    #[test]
    fn references_are_resolved_from_the_same_section_then_from_default() {
        let conf = "[DEFAULT]\nshort = c1\nhost = ${short}.example\nbase = IvyBridge\n\
                    [libvirt]\nbase = Haswell\ncpu_mode = $DEFAULT.mode\ncpu_model = $base-IBRS\n\
                    cpu_models = a\\$b,c$$d,$ e\nhw_machine_type = ${other.type}\n[other]\ntype = q35\n\
                    [DEFAULT]\nmode = custom\n";
        let all = resolved(&[conf]).unwrap();
        assert_eq!(all["DEFAULT"]["host"], ["c1.example"]);
        assert_eq!(all["libvirt"]["cpu_model"], ["Haswell-IBRS"]);
        assert_eq!(all["libvirt"]["cpu_mode"], ["custom"]);
        assert_eq!(all["libvirt"]["cpu_models"], ["a$b,c$d,$ e"]);
        assert_eq!(all["libvirt"]["hw_machine_type"], ["q35"]);
    }

    #[test]
    fn a_reference_that_leads_nowhere_or_in_a_circle_is_an_error_and_not_a_guess() {
        assert!(resolved(&["[libvirt]\ncpu_mode = $mode\n"]).unwrap_err().contains("$mode"));
        assert!(resolved(&["[libvirt]\ncpu_mode = $cpu_model\ncpu_model = $cpu_mode\n"]).is_err());
    }

    #[test]
    fn what_nova_compute_would_not_start_with_is_an_error_with_its_line() {
        for (conf, line) in [
            ("[libvirt]\nnonsense\n", "line 2"),
            ("[libvirt\n", "line 1"),
            ("[]\n", "line 1"),
            ("[a]\n  b = c\n", "line 2"),
            ("[a]\n= c\n", "line 2"),
            ("a = c\n[b]\n", "before line 2"),
        ] {
            let why = resolved(&[conf]).unwrap_err();
            assert!(why.contains(line) && why.starts_with("/etc/nova/nova.conf: "), "{conf}: {why}");
        }
        assert!(resolved(&["a = c"]).is_err());
    }

    #[test]
    fn options_that_nobody_asks_about_are_not_kept() {
        let conf = "[DEFAULT]\ntransport_url = rabbit://nova:SECRET@mq/\n[database]\nconnection = SECRET\n\
                    [libvirt]\nrbd_secret_uuid = SECRET\ncpu_mode = none\n[default]\nhost = SECRET\n";
        assert!(!format!("{:?}", resolved(&[conf]).unwrap()).contains("SECRET"));
    }
}
