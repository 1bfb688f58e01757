//! The files that people and this program write.

use std::io;

use serde::Serialize;
use serde_json::ser::Formatter;

use super::ConfigError;
use super::text::{FileKind, read, to_yaml};
use crate::model::{Policy, Region};
use crate::plan::Rollout;
use crate::rehearsal::Conditions;
use crate::remedy::Remedy;
use crate::sim::Scenario;

const REMEDY: FileKind = FileKind { name: "remedy", format: 1 };
const POLICY: FileKind = FileKind { name: "policy", format: 1 };
const ROLLOUT: FileKind = FileKind { name: "rollout", format: 1 };
const REGION: FileKind = FileKind { name: "region", format: 1 };
const SCENARIO: FileKind = FileKind { name: "scenario", format: 1 };
const CONDITIONS: FileKind = FileKind { name: "conditions", format: 1 };

/// Reads a remedy; `file` is its name in errors.
pub fn read_remedy(file: &str, text: &str) -> Result<Remedy, ConfigError> {
    read(REMEDY, file, text)
}

/// Reads a policy; `file` is its name in errors.
pub fn read_policy(file: &str, text: &str) -> Result<Policy, ConfigError> {
    read(POLICY, file, text)
}

/// Reads a rollout, YAML or JSON; `file` is its name in errors. Its digest is not looked at.
pub fn read_rollout(file: &str, text: &str) -> Result<Rollout, ConfigError> {
    read(ROLLOUT, file, text)
}

/// Reads a region, YAML or JSON; `file` is its name in errors.
pub fn read_region(file: &str, text: &str) -> Result<Region, ConfigError> {
    read(REGION, file, text)
}

/// Reads a scenario of a simulated region; `file` is its name in errors.
pub fn read_scenario(file: &str, text: &str) -> Result<Scenario, ConfigError> {
    read(SCENARIO, file, text)
}

/// Reads the conditions of a rehearsal; `file` is its name in errors.
pub fn read_conditions(file: &str, text: &str) -> Result<Conditions, ConfigError> {
    read(CONDITIONS, file, text)
}

/// Above so many hosts and moves a rollout is written as JSON: one of 10,000 hosts takes seconds to read as YAML.
const YAML_MOVES_MAX: usize = 5_000;

/// Writes a rollout: YAML, or JSON (which YAML readers read too) when it is very large.
pub fn write_rollout(rollout: &Rollout) -> Result<String, ConfigError> {
    let size: usize = rollout.hosts.iter().map(|host| 1 + host.moves.len()).sum();
    if size > YAML_MOVES_MAX {
        return to_lines("rollout", rollout);
    }
    to_yaml(rollout).map_err(|error| ConfigError::at("rollout", (1, 1), error.to_string()))
}

/// Writes a region as JSON.
pub fn write_region(region: &Region) -> Result<String, ConfigError> {
    to_json("region", region)
}

/// JSON with a line for each host and each move: what changed can be compared, and white space is little.
fn to_lines<T: Serialize>(what: &str, value: &T) -> Result<String, ConfigError> {
    let mut bytes = Vec::new();
    let written = value.serialize(&mut serde_json::Serializer::with_formatter(&mut bytes, Lines));
    written.map_err(|error| ConfigError::json(what, &error))?;
    bytes.push(b'\n');
    String::from_utf8(bytes).map_err(|error| ConfigError::at(what, (1, 1), error.to_string()))
}

/// Begins a line with each element of a list.
struct Lines;

impl Formatter for Lines {
    fn begin_array_value<W: ?Sized + io::Write>(&mut self, writer: &mut W, first: bool) -> io::Result<()> {
        writer.write_all(if first { b"\n" } else { b",\n" })
    }
}

fn to_json<T: Serialize>(what: &str, value: &T) -> Result<String, ConfigError> {
    let mut text = serde_json::to_string_pretty(value).map_err(|error| ConfigError::json(what, &error))?;
    text.push('\n');
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(read: impl Fn(&str, &str) -> Result<(), ConfigError>, cases: &[(&str, &str, &str)]) {
        for (text, expected, hint) in cases {
            let error = read("f", text).expect_err(text);
            assert_eq!((error.to_string().as_str(), error.hint.as_deref().unwrap_or("")), (*expected, *hint), "{text}");
        }
    }

    #[test]
    fn a_mistake_in_a_policy_is_told_with_its_place_and_what_was_probably_meant() {
        let in_policy = |file: &str, text: &str| {
            let head = "format: 1\nkind: policy\n";
            read_policy(file, &format!("{head}{text}")).map(|_| ())
        };
        refused(
            in_policy,
            &[
                ("limts: {}", "f:3:1: unknown field `limts`", "did you mean `limits`?"),
                ("limits:\n  hosts: 0", "f:4:10: `0` is not a limit: the smallest one is 1", ""),
                ("limits:\n  hosts: -3", "f:4:10: `-3` is not a limit: the smallest one is 1", ""),
                ("limits:\n  hosts: {max: 0}", "f:4:16: `0` is not a limit: the smallest one is 1", ""),
                ("limits:\n  hosts: {percent: 120%}", "f:4:20: `120%` is not a percentage between 0% and 100%", ""),
                ("limits:\n  hosts: {percent: -1}", "f:4:20: `-1%` is not a percentage between 0% and 100%", ""),
                ("limits:\n  hosts: {precent: 5%}", "f:4:11: unknown field `precent`", "did you mean `percent`?"),
                ("limits:\n  migrations: 0", "f:4:15: `0` is not a limit: the smallest one is 1", ""),
                ("limits:\n  migrations: lots", "f:4:15: `lots` is not a whole number of 0 or more", ""),
                ("canary: {hosts: -1}", "f:3:17: `-1` is not a whole number of 0 or more", ""),
                (
                    "canary: {soak: 10}",
                    "f:3:16: `10` is not a length of time; write for example `90s`, `10m` or `1h30m`",
                    "",
                ),
                ("canary: {approve: maybe}", "f:3:19: `maybe` is not `true` or `false`", ""),
                (
                    "objective: {prefer: fewest-move}",
                    "f:3:21: unknown value `fewest-move`",
                    "did you mean `fewest-moves`?",
                ),
                ("objective: {prefer: cheap}", "f:3:21: unknown value `cheap`", "one of `fewest-moves`, `fastest`"),
                (
                    "windows:\n  - {days: [sat], from: \"25:00\", to: \"06:00\", zone: UTC}",
                    "f:4:25: `25:00` is not a time of day; write for example `\"22:00\"`",
                    "",
                ),
                (
                    "windows:\n  - {days: [saturday], from: \"22:00\", to: \"06:00\", zone: UTC}",
                    "f:4:13: unknown value `saturday`",
                    "did you mean `sat`?",
                ),
                (
                    "windows:\n  - {days: [], from: \"22:00\", to: \"06:00\", zone: UTC}",
                    "f:4:12: a window without days never opens",
                    "",
                ),
                (
                    "windows:\n  - {days: [sat], from: \"22:00\", to: \"06:00\", zone: Mars}",
                    "f:4:53: `Mars` is not a time zone; write for example `Europe/Berlin` or `UTC`",
                    "",
                ),
                (
                    "instances: {cannot_move: stop-inplace}",
                    "f:3:26: unknown value `stop-inplace`",
                    "did you mean `stop-in-place`?",
                ),
                ("settle: 2m\nsettle: 3m", "f:4:1: `settle` is given twice", ""),
                ("estimate: {dirty_factor: 0.2}", "f:3:26: `0.2` is not a factor between 1 and 100", ""),
                ("limits: 5", "f:3:9: expected a mapping: `key: value`", ""),
                ("windows: {}", "f:3:10: expected a list: `[a, b]`, or lines that begin with `-`", ""),
                ("limits: {hosts: 3", "f:3:9: unclosed bracket '{'", ""),
            ],
        );
    }

    #[test]
    fn a_mistake_in_a_remedy_is_told_with_its_place_and_what_was_probably_meant() {
        let in_remedy = |file: &str, text: &str| {
            let head = "format: 1\nkind: remedy\nname: x\n";
            read_remedy(file, &format!("{head}{text}")).map(|_| ())
        };
        refused(
            in_remedy,
            &[
                ("evidence:\n  - sysf: {}", "f:5:5: unknown value `sysf`", "did you mean `sysfs`?"),
                ("evidence:\n  - sysfs: {file: a, warm: []}", "f:5:22: unknown field `warm`", "did you mean `warn`?"),
                ("evidence:\n  - {}", "f:5:6: expected a mapping with exactly one key, which says what it is", ""),
                (
                    "evidence:\n  - {cpu_flag: {flag: a}, sysfs: {}}",
                    "f:5:27: expected a mapping with exactly one key, which says what it is",
                    "",
                ),
                (
                    "packages:\n  - {any_of: kernel, thresholds: []}",
                    "f:5:14: expected a list: `[a, b]`, or lines that begin with `-`",
                    "",
                ),
                (
                    "packages:\n  - {any_of: [a], absent: ignore, thresholds: []}",
                    "f:5:27: unknown value `ignore`",
                    "one of `fail`, `not-applicable`",
                ),
            ],
        );
        let missing = read_remedy("f", "format: 1\nkind: remedy\n").unwrap_err();
        assert_eq!(missing.to_string(), "f:2:1: field `name` is missing");
    }

    #[test]
    fn a_file_of_another_kind_or_a_newer_format_is_refused_before_its_fields() {
        let policy = |file: &str, text: &str| read_policy(file, text).map(|_| ());
        refused(
            policy,
            &[
                (
                    "kind: polcy\nnonsense: 1",
                    "f:1:7: this is a file of kind `polcy`, not a policy",
                    "did you mean `kind: policy`?",
                ),
                ("# x\nkind:   rollout\nhosts: []", "f:2:9: this is a file of kind `rollout`, not a policy", ""),
                (
                    "format: 2\nkind: policy\nlater: 1",
                    "f:1:9: format 2 is newer: this version reads policy files of format 1",
                    "update fleetmend on this machine",
                ),
                (
                    "{\"kind\": \"policy\", \"format\": 7, \"later\": 1}",
                    "f:1:1: format 7 is newer: this version reads policy files of format 1",
                    "update fleetmend on this machine",
                ),
                ("format: one", "f:1:9: `one` is no format: this version reads policy files of format 1", ""),
                ("{\"kind\": \"region\"}", "f:1:1: this is a file of kind `region`, not a policy", ""),
                ("", "f:1:1: this is an empty file, not a policy", ""),
                ("# nothing\n\n", "f:1:1: this is an empty file, not a policy", ""),
                ("--- {}\n--- {}\n", "f:2:5: more than one document in the file", ""),
                ("hello", "f:1:1: expected a mapping: `key: value`", ""),
                (
                    "limits: {}",
                    "f:1:1: `format` and `kind` are missing",
                    "begin it with `format: 1` and `kind: policy`",
                ),
                ("{\"format\": 1}", "f:1:1: `kind` is missing", "begin it with `format: 1` and `kind: policy`"),
                ("limits: {hosts: 3", "f:1:9: unclosed bracket '{'", ""),
            ],
        );
    }

    #[test]
    fn a_header_counts_however_it_is_written() {
        for text in
            ["  format: 1\n  kind: policy\n", "\"format\": 1\n'kind': policy\n", "--- {format: 1, kind: policy}\n"]
        {
            assert_eq!(read_policy("f", text), Ok(Policy::default()), "{text}");
        }
    }

    #[test]
    fn json_has_the_same_places_and_hints_as_yaml() {
        let policy = |file: &str, text: &str| read_policy(file, text).map(|_| ());
        refused(
            policy,
            &[
                (
                    "{\"format\":1,\"kind\":\"policy\",\n \"limts\":{}}",
                    "f:2:2: unknown field `limts`",
                    "did you mean `limits`?",
                ),
                (
                    "{\"format\":1,\"kind\":\"policy\",\n \"limits\":{\"hosts\":0}}",
                    "f:2:20: `0` is not a limit: the smallest one is 1",
                    "",
                ),
                ("{\"format\":1,\"kind\":\"policy\",\n \"limits\":{}", "f:2:12: EOF while parsing an object", ""),
            ],
        );
    }

    #[test]
    fn what_a_policy_leaves_out_is_the_default_and_text_keeps_its_value() {
        let policy = read_policy("f", "format: 1\nkind: policy\n").unwrap();
        assert_eq!(policy, Policy::default());
        let text = to_yaml(&policy).unwrap();
        assert_eq!(read_policy("f", &text).unwrap(), policy, "{text}");
        let json = serde_json::to_string(&policy).unwrap();
        assert_eq!(read_policy("f", &json).unwrap(), policy, "{json}");
    }

    /// The report's rollout, with as many hosts as asked for and ten moves on each.
    fn rollout(hosts: usize) -> Rollout {
        let mut rollout = crate::report::fixture::rollout();
        let mut host = rollout.hosts.iter().find(|host| !host.moves.is_empty()).unwrap().clone();
        let planned = host.moves[0].clone();
        host.moves = vec![planned; 10];
        rollout.hosts = vec![host; hosts];
        rollout
    }

    #[test]
    fn a_rollout_keeps_its_value_through_yaml_and_a_large_one_through_json() {
        let small = rollout(3);
        let text = write_rollout(&small).unwrap();
        assert!(text.starts_with("format: 1\nkind: rollout\n"), "{text}");
        assert_eq!(read_rollout("f", &text).unwrap(), small);
        let large = rollout(1 + YAML_MOVES_MAX / 11);
        let text = write_rollout(&large).unwrap();
        assert!(text.starts_with('{'));
        let instances = large.stays.len() + large.hosts.iter().map(|host| host.moves.len()).sum::<usize>();
        let is_line = |line: &&str| line.starts_with("{\"instance\":");
        assert_eq!(text.lines().filter(is_line).count(), instances, "a line for each");
        assert_eq!(read_rollout("f", &text).unwrap(), large);
    }

    #[test]
    fn the_largest_rollout_that_is_written_as_yaml_is_within_the_readers_budget() {
        let largest = rollout(YAML_MOVES_MAX / 11);
        let text = write_rollout(&largest).unwrap();
        assert!(text.starts_with("format"));
        assert_eq!(read_rollout("f", &text).unwrap().hosts.len(), largest.hosts.len());
    }

    #[test]
    fn a_rollout_edited_by_hand_says_where_it_went_wrong() {
        let text = write_rollout(&rollout(1)).unwrap().replace("  canary:", "  canry:");
        let error = read_rollout("rollout.yaml", &text).unwrap_err();
        let line = 1 + text.lines().position(|line| line.contains("canry")).unwrap();
        assert_eq!(error.to_string(), format!("rollout.yaml:{line}:3: unknown field `canry`"));
        assert_eq!(error.hint.as_deref(), Some("did you mean `canary`?"));
        let cut = &text[..text.len() / 2];
        assert!(read_rollout("rollout.yaml", cut).is_err());
        let policy = read_rollout("p.yaml", "format: 1\nkind: policy\n").unwrap_err();
        assert_eq!(policy.to_string(), "p.yaml:2:7: this is a file of kind `policy`, not a rollout");
    }

    #[test]
    fn a_region_keeps_its_value_and_a_mistake_in_it_its_place() {
        let region = crate::report::fixture::region();
        let text = write_region(&region).unwrap();
        assert_eq!(read_region("region.json", &text).unwrap(), region);
        assert_eq!(read_region("f", &to_yaml(&region).unwrap()).unwrap(), region);
        let broken = text.replacen("\"enabled\"", "\"enabeld\"", 1);
        let line = 1 + broken.lines().position(|line| line.contains("enabeld")).unwrap();
        let error = read_region("region.json", &broken).unwrap_err();
        assert!(error.to_string().starts_with(&format!("region.json:{line}:")), "{error}");
        assert_eq!(error.hint.as_deref(), Some("did you mean `enabled`?"));
    }
}
