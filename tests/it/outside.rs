//! Executables of this machine, as processes.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use axum::{Json, Router};
use fleetmend::outside::{Call, Exit, HttpCall, LocalOutside, Outside};
use serde_json::{Value, json};

/// An executable in `folder`.
fn executable(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path.to_str().unwrap().to_owned()
}

fn call(words: &[&str], input: &str, limit: Duration) -> Call {
    Call {
        words: words.iter().map(|word| (*word).to_owned()).collect(),
        input: input.to_owned(),
        environment: vec![("FLEETMEND_HOST", "compute-1".to_owned())],
        limit,
    }
}

const SOON: Duration = Duration::from_secs(30);

#[tokio::test]
async fn what_is_given_arrives_as_it_is_and_what_is_said_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let program =
        executable(folder.path(), "say", r#"cat; printf '%s|%s|%s\n' "$1" "$2" "$FLEETMEND_HOST"; echo why >&2"#);
    let odd = "a b;$(touch /tmp/no)\n\"'";
    let ended = LocalOutside::default().run(&call(&[&program, odd, "*"], "{\"x\":1}\n", SOON)).await;
    assert_eq!(ended.exit, Exit::Status(0));
    assert_eq!(ended.stdout, format!("{{\"x\":1}}\n{odd}|*|compute-1\n"));
    assert!(ended.kept.tail.ends_with("why"), "{}", ended.kept.tail);
}

#[tokio::test]
async fn a_status_a_signal_and_a_program_that_is_not_there_are_told_apart() {
    let folder = tempfile::tempdir().unwrap();
    let outside = LocalOutside::default();
    let fails = executable(folder.path(), "fails", "exit 3");
    assert_eq!(outside.run(&call(&[&fails], "", SOON)).await.exit, Exit::Status(3));
    let dies = executable(folder.path(), "dies", "kill -9 $$");
    assert_eq!(outside.run(&call(&[&dies], "", SOON)).await.exit, Exit::Killed);
    let missing = outside.run(&call(&["/nowhere/at/all"], "", SOON)).await;
    assert!(missing.words().contains("could not be started: `/nowhere/at/all`: No such file"), "{}", missing.words());
    // It does not read what it is given, and says more than a pipe holds.
    let deaf = executable(folder.path(), "deaf", "exec <&-; head -c 300000 /dev/zero | tr '\\0' x");
    let ended = outside.run(&call(&[&deaf], &"y".repeat(300_000), SOON)).await;
    assert_eq!((ended.exit, ended.stdout.len()), (Exit::Status(0), 300_000));
}

#[tokio::test]
async fn what_takes_too_long_is_ended_with_all_that_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("child");
    let program = executable(folder.path(), "hangs", "sleep 600 & echo $! >\"$1\"; echo begun; wait");
    let began = Instant::now();
    let limit = Duration::from_secs(2);
    let ended = LocalOutside::default().run(&call(&[&program, file.to_str().unwrap()], "", limit)).await;
    assert_eq!(ended.exit, Exit::TimedOut(limit));
    assert_eq!(ended.stdout, "begun\n");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    let child = fs::read_to_string(&file).unwrap();
    let state = || fs::read_to_string(format!("/proc/{}/stat", child.trim())).unwrap_or_default();
    // A signal is carried out when the process next gets a processor.
    while !(state().is_empty() || state().contains(") Z ")) {
        assert!(began.elapsed() < Duration::from_secs(20), "{}", state());
        tokio::task::yield_now().await;
    }
}

/// Runs a shipped script with `program` standing in for what it calls.
fn shipped(script: &str, folder: &Path, program: &str, stand_in: &str, variable: (&str, &str)) -> (bool, String) {
    executable(folder, program, stand_in);
    let table = folder.join("table");
    fs::write(&table, format!("compute-7 https://10.1.0.17/redfish/v1/Systems/1 admin\n{}\n", variable.1)).unwrap();
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("plans/power-cycle").join(script);
    let path = format!("{}:/usr/bin:/bin", folder.display());
    let output = Command::new(script).arg("compute-1").env("PATH", path).env(variable.0, &table).output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.success(), said)
}

#[test]
fn the_shipped_commands_ask_the_controller_of_that_host_alone() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let log = r#"echo "$0 $*" >&2; case "$*" in *status*) echo "Chassis Power is on" ;; esac"#;
    let (done, said) = shipped("ipmitool", folder, "ipmitool", log, ("BMC_TABLE", "compute-1 10.1.0.11 root"));
    assert!(done && said.contains("-H 10.1.0.11 -U root -E chassis power cycle"), "{said}");
    let off = log.replace("is on", "is off");
    let (done, said) = shipped("ipmitool", folder, "ipmitool", &off, ("BMC_TABLE", "compute-1 10.1.0.11 root"));
    assert!(done && said.contains("chassis power on"), "{said}");
    let (done, said) = shipped("ipmitool", folder, "ipmitool", log, ("BMC_TABLE", "compute-10 10.1.0.20 root"));
    assert!(!done && said.contains("no management controller is known for compute-1"), "{said}");

    let curl = r#"echo "curl $*" >&2; case "$*" in *Reset*) ;; *) echo '{"PowerState": "On"}' ;; esac"#;
    let line = ("REDFISH_TABLE", "compute-1 https://10.1.0.11/redfish/v1/Systems/1");
    let (done, said) = shipped("redfish", folder, "curl", curl, line);
    assert!(done && said.contains(r#"{"ResetType": "ForceRestart"}"#) && said.contains("was On"), "{said}");
    let (done, said) = shipped("redfish", folder, "curl", &curl.replace("\"On\"", "\"Off\""), line);
    assert!(done && said.contains(r#"{"ResetType": "On"}"#), "{said}");
    let (done, _) = shipped("redfish", folder, "curl", "exit 22", line);
    assert!(!done);

    let (done, said) = shipped("ironic", folder, "openstack", "echo \"$*\"", ("X", ""));
    assert!(
        done && said.contains("--os-cloud undercloud baremetal node reboot --power-timeout 240 -- compute-1"),
        "{said}"
    );
}

/// What a server does with the next requests.
#[derive(Clone, Copy, PartialEq)]
enum Mood {
    Answers,
    Fails,
    Hangs,
}

type Moods = std::sync::Arc<std::sync::Mutex<Mood>>;

async fn answer(State(mood): State<Moods>, headers: HeaderMap) -> (StatusCode, Json<Value>) {
    let mood = *mood.lock().unwrap();
    match mood {
        Mood::Answers => {
            let who = headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
            (StatusCode::OK, Json(json!([{"who": who}])))
        }
        Mood::Fails => (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"error": "overloaded"}))),
        Mood::Hangs => std::future::pending().await,
    }
}

#[tokio::test]
async fn a_service_that_fails_hangs_and_recovers_is_told_apart_and_its_token_is_never_told() {
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    fs::write(&token, "Bearer hunter2\n").unwrap();
    let mood: Moods = std::sync::Arc::new(std::sync::Mutex::new(Mood::Answers));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let routes = Router::new().route("/api/v2/silences", get(answer)).with_state(mood.clone());
    let server = tokio::spawn(async move { axum::serve(listener, routes).await });
    let outside = LocalOutside::new(Vec::new(), Duration::from_secs(1));
    let call = |token: &Path| HttpCall {
        method: "GET",
        url: format!("http://{address}/api/v2/silences"),
        authorization_file: Some(token.to_str().unwrap().to_owned()),
        body: None,
    };
    let good = outside.http(&call(&token)).await.unwrap();
    assert_eq!((good.status, good.body[0]["who"].as_str()), (200, Some("Bearer hunter2")));
    *mood.lock().unwrap() = Mood::Fails;
    let bad = outside.http(&call(&token)).await.unwrap();
    assert_eq!((bad.status, bad.body["error"].as_str()), (503, Some("overloaded")));
    *mood.lock().unwrap() = Mood::Hangs;
    let silent = outside.http(&call(&token)).await.unwrap_err();
    assert!(silent.contains("did not answer in time") && !silent.contains("hunter2"), "{silent}");
    *mood.lock().unwrap() = Mood::Answers;
    assert_eq!(outside.http(&call(&token)).await.unwrap().status, 200);
    let unread = outside.http(&call(&folder.path().join("none"))).await.unwrap_err();
    assert!(unread.contains("cannot be read"), "{unread}");
    server.abort();
}
