//! The main job on the real region: from vulnerable to proven, with the runner killed in a migration, in a package
//! update and in a reboot.

#![expect(clippy::wildcard_enum_match_arm, reason = "a test picks the events that it is about")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use fleetmend::config;
use fleetmend::journal::Journal as _;
use fleetmend::journal::sqlite::SqliteJournal;
use fleetmend::model::{InstanceId, Region, ServiceStatus};
use fleetmend::plan::Rollout;
use fleetmend::run::{Event, EventKind, Intent, StepOutput};

use super::{lab, variable};

/// A host's whole cycle takes about half a minute; six of them, two at a time, on a machine that others use as well.
const RUN_LIMIT: Duration = Duration::from_secs(1500);

const POLICY: &str = "
format: 1
kind: policy
limits: {hosts: 2, hosts_per_zone: 2, migrations: 8, migrations_per_source: 3, migrations_per_target: 3}
canary: {hosts: 1, soak: 5s}
settle: 15s
failure_budget: {hosts: 2, per_zone: 2}
nova_conf: add-flags
";

/// fleetmend with a folder of its own, as the cloud `operator`.
struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("policy.yaml"), POLICY).unwrap();
        let configuration = format!(
            "format: 1\nkind: config\nssh: {{user: root, config: {}}}\nstate: sqlite:{}\n",
            variable("LAB_SSH_CONFIG"),
            folder.path().join("journal.db").display()
        );
        std::fs::write(folder.path().join("fleetmend.yaml"), configuration).unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
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
    fn run(&self, arguments: &[&str], code: i32) -> Output {
        let output = self.command(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "fleetmend {}: {said}", arguments.join(" "));
        output
    }

    /// Starts a command whose words go to a file.
    fn start(&self, arguments: &[&str]) -> Child {
        let log = std::fs::File::options().create(true).append(true).open(self.path("run.log")).unwrap();
        self.command(arguments).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
    }

    fn region(&self, name: &str) -> Region {
        self.run(&["inventory", "-o", name], 0);
        config::read_region(name, &std::fs::read_to_string(self.path(name)).unwrap()).unwrap()
    }

    fn rollout(&self) -> Rollout {
        let text = std::fs::read_to_string(self.path("rollout.yaml")).unwrap();
        config::read_rollout("rollout.yaml", &text).unwrap()
    }

    async fn events(&self) -> Vec<Event> {
        let path = self.path("journal.db");
        if !path.exists() {
            return Vec::new();
        }
        let Ok(journal) = SqliteJournal::open_existing(&path) else { return Vec::new() };
        let Some(run) = journal.runs().await.unwrap().first().map(|run| run.run) else { return Vec::new() };
        journal.events(run, 1).await.unwrap()
    }

    /// Waits until a step that `wanted` knows has recorded its intent after event `after` and not ended; its number.
    async fn wait_for(&self, child: &mut Child, after: u64, wanted: fn(&Intent, &str) -> bool) -> u64 {
        let end = Instant::now() + RUN_LIMIT;
        loop {
            let events = self.events().await;
            let open = events.iter().rev().find_map(|event| match &event.kind {
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
            });
            if let Some(seq) = open {
                return seq;
            }
            let log = || std::fs::read_to_string(self.path("run.log")).unwrap_or_default();
            assert!(child.try_wait().unwrap().is_none(), "the run ended before it could be killed:\n{}", log());
            assert!(Instant::now() < end, "nothing to be killed in:\n{}", log());
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Waits for the end; `None` when there is none in time.
    fn finish(mut child: Child) -> Option<i32> {
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
}

/// Requests of ours that change something, from the lab's access log.
fn changes() -> Vec<String> {
    let log = std::fs::read_to_string(variable("LAB_ACCESS_LOG")).unwrap();
    let requests = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    requests
        .filter(|request| request["user"] == "operator" && request["method"] != "GET" && request["service"] == "nova")
        .map(|request| format!("{} {} {}", request["method"], request["path"], request["body"]))
        .collect()
}

fn is_migration(intent: &Intent, _step: &str) -> bool {
    matches!(intent, Intent::Migrate { .. })
}

fn is_update(intent: &Intent, step: &str) -> bool {
    matches!(intent, Intent::Job { .. }) && step.ends_with("/update")
}

fn is_reboot(intent: &Intent, _step: &str) -> bool {
    matches!(intent, Intent::Reboot { .. })
}

/// Files of a run must not hold the password of the cloud.
fn assert_no_secret(folder: &Path) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let secret = b"lab-throwaway";
        assert!(!bytes.windows(secret.len()).any(|window| window == secret), "{} holds a password", path.display());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_region_is_remedied_though_the_runner_is_killed_in_a_migration_an_update_and_a_reboot() {
    lab(&["reset"]);
    let desk = Desk::new();
    let hosts = desk.region("empty.json").hosts.len();
    lab(&["fill", &(hosts * 5).to_string()]);
    let before = desk.region("region.json");
    desk.run(&["assess", "--remedy", "mds", "--region", "region.json", "--check"], 8);
    let plan = ["plan", "--remedy", "mds", "--policy", "policy.yaml", "--region", "region.json", "-o", "rollout.yaml"];
    desk.run(&plan, 0);
    let rollout = desk.rollout();
    assert_eq!(rollout.hosts.len(), hosts);
    assert_eq!(rollout.certificate.violations, Vec::<String>::new());
    desk.run(&["show", "rollout.yaml"], 0);
    desk.run(&["run", "rollout.yaml", "--dry-run"], 0);
    assert_eq!(changes(), Vec::<String>::new(), "a dry run changes nothing");

    let digest = rollout.digest.as_str();
    desk.run(&["run", "rollout.yaml", "--approve", "sha256:of-something-else"], 3);
    let mut child = desk.start(&["run", "rollout.yaml", "--approve", digest]);
    let mut seen = 0;
    for wanted in [is_migration as fn(&Intent, &str) -> bool, is_update, is_reboot] {
        seen = desk.wait_for(&mut child, seen, wanted).await;
        child.kill().unwrap();
        child.wait().unwrap();
        child = desk.start(&["resume"]);
    }
    let code = Desk::finish(child);
    let log = std::fs::read_to_string(desk.path("run.log")).unwrap();
    assert_eq!(code, Some(0), "{log}");

    desk.run(&["assess", "--remedy", "mds", "--check"], 0);
    assert_eq!(lab(&["lost"]).trim(), "", "guests that ran on a host when it went down");
    let after = desk.region("after.json");
    for host in &after.hosts {
        assert_eq!(host.service.status, ServiceStatus::Enabled, "{}", host.host);
        assert_eq!(host.service.disabled_reason, None, "{}", host.host);
    }
    let status = |region: &Region| -> BTreeMap<InstanceId, String> {
        region.instances.iter().map(|instance| (instance.id, instance.status.to_string())).collect()
    };
    assert_eq!(status(&after), status(&before), "every instance is as it was");

    let events = desk.events().await;
    let mut moves = BTreeMap::<String, usize>::new();
    for event in &events {
        match &event.kind {
            EventKind::StepSucceeded { step, output: StepOutput::Moved { .. } } => {
                *moves.entry(step.to_string()).or_default() += 1;
            }
            EventKind::StepSucceeded { step, output: StepOutput::Rebooted { before: ended, after: began } } => {
                let host = step.as_str().split('/').next().unwrap().into();
                assert_eq!(before.host(&host).unwrap().facts.boot_id.as_ref(), Some(ended), "{step}");
                assert_eq!(after.host(&host).unwrap().facts.boot_id.as_ref(), Some(began), "{step}: rebooted once");
            }
            _ => {}
        }
    }
    assert_eq!(moves.len(), rollout.certificate.moves, "{log}");
    assert!(moves.values().all(|count| *count == 1), "{moves:?}");
    let asked = changes().into_iter().filter(|change| change.contains("os-migrateLive")).count();
    assert_eq!(asked, moves.len(), "Nova was asked for each move once");
    desk.run(&["report", "-f", "html", "-o", "report.html"], 0);
    desk.run(&["report", "-f", "json", "-o", "report.json"], 0);
    assert_no_secret(desk.folder.path());
}
