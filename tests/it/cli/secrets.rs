//! Secrets reach no file, log, journal or error: marked ones are used, and everything that was written is searched.

use std::fs;
use std::path::Path;

use super::Stand;
use super::stand::{PASSWORD, Told};

/// Marks besides the password, its application credential's secret and the tokens.
const OPTION: &str = "marked-in-an-ssh-option";
const PROXY: &str = "marked-in-a-proxy";

/// Files that people wrote: secrets stand in them on purpose.
const WRITTEN_BY_HAND: [&str; 2] = ["clouds.yaml", "fleetmend.yaml"];

fn in_files(folder: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            in_files(&path, found);
        } else if !WRITTEN_BY_HAND.contains(&name.as_str()) {
            found.push((name, fs::read(&path).unwrap()));
        }
    }
}

#[track_caller]
fn assert_no_marks(stand: &Stand, told: &[Told], marks: &[String]) {
    let mut written = Vec::new();
    in_files(stand.folder(), &mut written);
    for one in told {
        written.push(("standard output".to_owned(), one.out.clone().into_bytes()));
        written.push(("standard error".to_owned(), one.err.clone().into_bytes()));
    }
    for mark in marks {
        for (name, bytes) in &written {
            assert!(!bytes.windows(mark.len()).any(|window| window == mark.as_bytes()), "`{mark}` is in {name}");
        }
    }
}

fn marks(stand: &Stand) -> Vec<String> {
    let mut marks = stand.log.tokens();
    assert!(!marks.is_empty(), "nobody logged in");
    marks.extend([PASSWORD, OPTION, PROXY].map(str::to_owned));
    marks
}

/// The main job, each command as talkative as it can be, with its log in that format.
fn main_job(stand: &Stand, log: &str) -> Vec<Told> {
    let commands: [&[&str]; 12] = [
        &["inventory", "-o", "region.json"],
        &["assess", "--remedy", "mds", "--region", "region.json"],
        &["plan", "--remedy", "mds", "--policy", "policy.yaml", "--region", "region.json", "-o", "rollout.yaml"],
        &["show", "rollout.yaml"],
        &["diff", "rollout.yaml"],
        &["run", "rollout.yaml", "--dry-run"],
        &["run", "rollout.yaml", "--yes", "--poll", "100ms"],
        &["status"],
        &["runs"],
        &["marks"],
        &["report", "-f", "html", "-o", "report.html"],
        &["report", "-f", "json", "-o", "report.json"],
    ];
    let proxy = format!("http://operator:{PROXY}@127.0.0.1:9");
    let variables = [("http_proxy", proxy.as_str()), ("no_proxy", "127.0.0.1"), ("RUST_LOG", "trace")];
    let talkative = ["-vvv", "--log-format", log];
    let run = |command: &[&str]| stand.run_with(&[command, &talkative].concat(), &variables);
    let told: Vec<Told> = commands.iter().map(|command| run(command)).collect();
    for told in &told {
        told.said(0, &[]);
    }
    told
}

#[test]
fn no_password_or_token_is_written_anywhere() {
    let stand = Stand::new();
    let option = format!("ssh: {{options: [\"ProxyCommand=sshpass -p {OPTION} ssh -W %h:%p gate\"]}}\n");
    stand.write("fleetmend.yaml", &stand.configuration(&option));
    let told = main_job(&stand, "text");
    assert!(told.iter().any(|told| told.err.contains("/identity/v3/auth/tokens")), "the log says what is asked");
    assert_no_marks(&stand, &told, &marks(&stand));
}

#[test]
fn no_application_credential_is_written_anywhere() {
    let stand = Stand::new();
    stand.write("clouds.yaml", &super::clouds::application_credential(&stand));
    let told = main_job(&stand, "json");
    assert_no_marks(&stand, &told, &marks(&stand));
}

#[test]
fn an_error_does_not_repeat_a_secret() {
    let stand = Stand::new();
    let clouds = stand.read("clouds.yaml");
    let mut told = Vec::new();
    for broken in [
        // Refused by Keystone, a mapping, text that does not end, a list, beside a slip.
        format!("password: {PASSWORD}x"),
        format!("password: {PASSWORD}: x"),
        format!("password: \"{PASSWORD}"),
        format!("password: [{PASSWORD}]"),
        format!("pasword: {PASSWORD}"),
    ] {
        stand.write("clouds.yaml", &clouds.replace(&format!("password: {PASSWORD}"), &broken));
        let ended = stand.run(&["inventory", "-o", "region.json", "-vvv"]);
        assert!(matches!(ended.code, Some(2 | 7)), "{broken}: {ended:?}");
        told.push(ended);
    }
    stand.write("clouds.yaml", &clouds);
    for state in [format!("postgres://fleet:{PASSWORD}@localhost:1/fleet"), format!("{PASSWORD}:x")] {
        told.push(stand.run(&["status", "--state", &state]));
    }
    stand.write("fleetmend.yaml", &stand.configuration(&format!("ssh: {{options: [\"{OPTION}\"]}}\n")));
    told.push(stand.run(&["inventory", "-o", "region.json"]));
    assert_no_marks(&stand, &told, &[PASSWORD.to_owned(), OPTION.to_owned()]);
}
