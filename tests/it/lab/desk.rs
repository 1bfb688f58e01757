//! fleetmend as an operator has it: the binary, a folder of its own, the cloud `operator` of the lab.

#![expect(clippy::wildcard_enum_match_arm, reason = "a test picks the events that it is about")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use fleetmend::config;
use fleetmend::journal::Journal as _;
use fleetmend::journal::sqlite::SqliteJournal;
use fleetmend::model::{HostName, InstanceId, Region};
use fleetmend::plan::Rollout;
use fleetmend::run::{Event, EventKind, Intent, StepOutput};
use serde_json::Value;

use super::variable;

/// A host's whole cycle takes about half a minute; six of them, two at a time, on a machine that others use as well.
const RUN_LIMIT: Duration = Duration::from_secs(1500);

/// A folder with a policy and a configuration, in which commands are given.
pub struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    pub fn new(policy: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let state = format!("sqlite:{}", folder.path().join("journal.db").display());
        Self::in_folder(folder, policy, &state)
    }

    /// One whose runs are kept elsewhere.
    pub fn with_state(policy: &str, state: &str) -> Self {
        Self::in_folder(tempfile::tempdir().unwrap(), policy, state)
    }

    fn in_folder(folder: tempfile::TempDir, policy: &str, state: &str) -> Self {
        std::fs::write(folder.path().join("policy.yaml"), policy).unwrap();
        let ssh = format!("{{user: root, config: {}}}", variable("LAB_SSH_CONFIG"));
        let configuration = format!("format: 1\nkind: config\nssh: {ssh}\nstate: {state}\n");
        std::fs::write(folder.path().join("fleetmend.yaml"), configuration).unwrap();
        Self { folder }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fleetmend"));
        command.current_dir(self.folder.path()).args(arguments).stdin(Stdio::null());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("OS_")) {
            command.env_remove(name);
        }
        command.env("OS_CLOUD", "operator").env("OS_CLIENT_CONFIG_FILE", variable("OS_CLIENT_CONFIG_FILE"));
        command
    }

    /// Runs a command to its end; its exit code must be `code`.
    pub fn run(&self, arguments: &[&str], code: i32) -> Output {
        let output = self.command(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "fleetmend {}: {said}", arguments.join(" "));
        output
    }

    /// Starts a command whose words go to a file.
    pub fn start(&self, arguments: &[&str]) -> Child {
        let log = std::fs::File::options().create(true).append(true).open(self.path("run.log")).unwrap();
        self.command(arguments).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
    }

    /// What started commands said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("run.log")).unwrap_or_default()
    }

    pub fn region(&self, name: &str) -> Region {
        self.run(&["inventory", "-o", name], 0);
        config::read_region(name, &std::fs::read_to_string(self.path(name)).unwrap()).unwrap()
    }

    /// Plans the remedy of all of `region.json`.
    pub fn plan(&self) -> Rollout {
        let ends = ["--policy", "policy.yaml", "--region", "region.json", "-o", "rollout.yaml"];
        self.run(&[["plan", "--remedy", "mds"].as_slice(), ends.as_slice()].concat(), 0);
        let text = std::fs::read_to_string(self.path("rollout.yaml")).unwrap();
        config::read_rollout("rollout.yaml", &text).unwrap()
    }

    /// What `status` tells programs.
    fn status(&self) -> Value {
        serde_json::from_slice(&self.run(&["status", "-f", "json"], 0).stdout).unwrap()
    }

    /// Wants hosts tried again in the run that there is, and goes on with it.
    pub fn retry(&self, hosts: &[&HostName]) -> Child {
        let status = self.status();
        let run = status["run"].as_str().unwrap();
        for host in hosts {
            self.run(&["retry", run, host.as_str()], 0);
        }
        self.start(&["resume", run])
    }

    /// The state of a host and why, as `status` tells.
    pub fn host(&self, host: &HostName) -> (String, String) {
        let status = self.status();
        let hosts = status["host"].as_array().unwrap();
        let told = hosts.iter().find(|one| one["host"] == host.as_str()).unwrap();
        (told["state"].as_str().unwrap().to_owned(), told["why"].as_str().unwrap_or_default().to_owned())
    }

    pub async fn events(&self) -> Vec<Event> {
        Self::events_in(&self.path("journal.db")).await
    }

    /// Events of the newest run in a journal.
    pub async fn events_in(path: &Path) -> Vec<Event> {
        if !path.exists() {
            return Vec::new();
        }
        let Ok(journal) = SqliteJournal::open_existing(path) else { return Vec::new() };
        let Some(run) = journal.runs().await.unwrap().first().map(|run| run.run) else { return Vec::new() };
        journal.events(run, 1).await.unwrap()
    }

    /// Waits until the run's events hold what `wanted` finds.
    pub async fn wait_for<T>(&self, child: &mut Child, what: &str, wanted: impl Fn(&[Event]) -> Option<T>) -> T {
        let end = Instant::now() + RUN_LIMIT;
        loop {
            if let Some(found) = wanted(&self.events().await) {
                return found;
            }
            assert!(child.try_wait().unwrap().is_none(), "the run ended before {what}:\n{}", self.log());
            assert!(Instant::now() < end, "never seen: {what}:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits for the end of a command; `None` when there is none in time.
    pub fn finish(mut child: Child) -> Option<i32> {
        let end = Instant::now() + RUN_LIMIT;
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status.code();
            }
            if Instant::now() > end {
                child.kill().unwrap();
                return None;
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    /// Files of a run must not hold the password of the cloud.
    pub fn assert_no_secret(&self) {
        for entry in std::fs::read_dir(self.folder.path()).unwrap() {
            let path = entry.unwrap().path();
            let bytes = std::fs::read(&path).unwrap();
            let secret = b"lab-throwaway";
            let held = bytes.windows(secret.len()).any(|window| window == secret);
            assert!(!held, "{} holds a password", path.display());
        }
    }
}

/// The number of the last event after `after` by which a step that `wanted` knows recorded its intent; `None` when
/// there is none or the step has ended since.
pub fn under_way(events: &[Event], after: u64, wanted: impl Fn(&Intent, &str) -> bool) -> Option<u64> {
    events.iter().rev().find_map(|event| match &event.kind {
        EventKind::StepIntended { step, intent } if event.seq > after && wanted(intent, step.as_str()) => {
            let ended = events.iter().any(|later| match &later.kind {
                EventKind::StepSucceeded { step: ended, .. } | EventKind::StepFailed { step: ended, .. } => {
                    later.seq > event.seq && ended == step
                }
                _ => false,
            });
            (!ended).then_some(event.seq)
        }
        _ => None,
    })
}

/// Steps that moved an instance.
pub fn moves(events: &[Event]) -> Vec<String> {
    events
        .iter()
        .filter_map(|event| match &event.kind {
            EventKind::StepSucceeded { step, output: StepOutput::Moved { .. } } => Some(step.to_string()),
            _ => None,
        })
        .collect()
}

/// Requests of ours that change something, from the lab's access log.
pub fn changes() -> Vec<String> {
    let log = std::fs::read_to_string(variable("LAB_ACCESS_LOG")).unwrap();
    let requests = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    requests
        .filter(|request| request["user"] == "operator" && request["method"] != "GET" && request["service"] == "nova")
        .map(|request| format!("{} {} {}", request["method"], request["path"], request["body"]))
        .collect()
}

/// Status of every instance.
pub fn statuses(region: &Region) -> BTreeMap<InstanceId, String> {
    region.instances.iter().map(|instance| (instance.id, instance.status.to_string())).collect()
}
