//! Every file in `plans/` is read, linted and embedded.

use std::fs;
use std::path::Path;

use fleetmend::config::shipped::{POLICIES, REMEDIES, Shipped};
use fleetmend::config::{read_configuration, read_policy, read_remedy};
use fleetmend::model::Policy;
use fleetmend::remedy::lint;

/// Names and texts of the files of a folder of `plans/`, in order.
fn files(folder: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("plans").join(folder);
    let mut files: Vec<(String, String)> = fs::read_dir(&folder)
        .expect("a folder of plans")
        .map(|entry| entry.expect("an entry of plans").path())
        .map(|path| {
            let name = path.file_name().expect("a file has a name").to_string_lossy().into_owned();
            (name, fs::read_to_string(&path).expect("readable text"))
        })
        .collect();
    files.sort();
    files
}

fn assert_embedded(folder: &str, shipped: &[Shipped]) {
    let found: Vec<String> = files(folder).into_iter().map(|(name, _)| format!("plans/{folder}/{name}")).collect();
    let embedded: Vec<&str> = shipped.iter().map(|file| file.path).collect();
    assert_eq!(found, embedded, "a file of plans/{folder} is not embedded, or not in order of name");
}

#[test]
fn every_remedy_is_read_embedded_named_as_its_file_and_without_mistakes() {
    assert_embedded("remedies", REMEDIES);
    for file in REMEDIES {
        let remedy = read_remedy(file.path, file.text).unwrap_or_else(|error| panic!("{error}: {:?}", error.hint));
        assert_eq!(remedy.name, file.name);
        let mistakes: Vec<String> = lint(&remedy).iter().map(ToString::to_string).collect();
        assert!(mistakes.is_empty(), "{}: {mistakes:#?}", file.path);
    }
}

#[test]
fn every_policy_is_read_and_embedded_and_the_default_one_is_the_default() {
    assert_embedded("policies", POLICIES);
    for file in POLICIES {
        let policy = read_policy(file.path, file.text).unwrap_or_else(|error| panic!("{error}: {:?}", error.hint));
        assert_eq!(policy == Policy::default(), file.name == "default", "{}", file.path);
    }
}

#[test]
fn every_example_is_read_as_what_it_says_it_is() {
    for (name, text) in files("examples") {
        let kind = text.lines().find_map(|line| line.strip_prefix("kind: ")).unwrap_or_default();
        match kind.trim() {
            "config" => drop(read_configuration(&name, &text, Some("/home/ops")).unwrap()),
            "policy" => drop(read_policy(&name, &text).unwrap()),
            "remedy" => assert_eq!(lint(&read_remedy(&name, &text).unwrap()), []),
            other => panic!("{name}: nobody reads examples of kind `{other}`"),
        }
    }
}

#[test]
fn the_page_on_movability_is_the_table_that_planner_and_engine_ask() {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/movability.md")).unwrap();
    let table = fleetmend::plan::movability_page();
    assert!(page == table, "docs/movability.md is to be:\n{table}");
}
