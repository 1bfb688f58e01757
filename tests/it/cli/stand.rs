//! A simulated region, a folder with the files that lead to it, and the binary.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fleetmend::cloud::{Compute as _, ComputeService};
use fleetmend::model::ProjectId;
use fleetmend::sim::http::{self, Access};
use fleetmend::sim::world::Timing;
use fleetmend::sim::{Scenario, SimCloud, SimRegion};
use tempfile::TempDir;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, ChildStdin, Command};
use tokio::runtime::Runtime;

use super::gateway::{self, Log};

/// No command of these tests takes a tenth of that; one that hangs must not hang the tests.
const LIMIT: Duration = Duration::from_secs(180);

/// How often something that is waited for is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// The region's time passes so much faster: a host takes about a second, most of it our own polling.
const SPEED: f64 = 60.0;

/// The password of the region's admin.
pub const PASSWORD: &str = "correct-horse";

/// A policy for a region of four hosts that is 60 times as fast as a real one.
pub const POLICY: &str = "format: 1\nkind: policy\n\
    limits: {hosts: 2, hosts_per_zone: 1, migrations: 8, migrations_per_source: 4, migrations_per_target: 4}\n\
    canary: {hosts: 1, soak: 0s}\nsettle: 0s\n";

/// How a command ended and what it said.
#[derive(Debug)]
pub struct Told {
    /// Its exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Told {
    /// Fails unless the command ended so; `err` stands for all of standard error.
    #[track_caller]
    pub fn ended(&self, code: i32, err: &str) -> &Self {
        assert_eq!((self.err.trim_end(), self.code), (err.trim_end(), Some(code)), "\n{}\n", self.err);
        self
    }

    /// Fails unless the command ended with that code and said each of `parts` on standard error.
    #[track_caller]
    pub fn said(&self, code: i32, parts: &[&str]) -> &Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.out, self.err);
        for part in parts {
            assert!(self.err.contains(part), "`{part}` is not in:\n{}", self.err);
        }
        self
    }
}

/// A region with a folder for one operator.
pub struct Stand {
    runtime: Runtime,
    region: Arc<SimRegion>,
    folder: TempDir,
    /// What was asked of the region.
    pub log: Log,
    /// The address under which commands reach the region.
    pub base: String,
}

impl Stand {
    /// Four hosts and eight instances, behind a gateway that writes down what is asked.
    pub fn new() -> Self {
        Self::of(&Scenario { timing: Timing::quick(), groups: 0, ..Scenario::sized(4, 8, 11) })
    }

    /// The region of a scenario.
    pub fn of(scenario: &Scenario) -> Self {
        let runtime = Runtime::new().unwrap();
        let region = SimRegion::new(scenario.build(), SPEED);
        let access = Access::new(PASSWORD, ProjectId::new("p"));
        let log = Log::default();
        let (base, clouds) = runtime.block_on(async {
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            let behind = http::base_url(&listener).unwrap();
            let base = gateway::serve(&behind, log.clone()).await;
            let clouds = access.clouds_yaml(&base, &scenario.region);
            tokio::spawn(http::serve(region.clone(), access, listener, std::future::pending()));
            (base, clouds)
        });
        let stand = Self { runtime, region, folder: tempfile::tempdir().unwrap(), log, base };
        stand.write("clouds.yaml", &clouds);
        stand.write("fleetmend.yaml", &stand.configuration(""));
        stand.write("policy.yaml", POLICY);
        stand
    }

    /// A configuration whose hosts are the region's, with more lines.
    pub fn configuration(&self, more: &str) -> String {
        format!("format: 1\nkind: config\ncloud: sim\nhosts_via: {{simulator: \"{}\"}}\n{more}", self.base)
    }

    /// The simulated region itself.
    pub fn region(&self) -> &SimRegion {
        &self.region
    }

    /// The services as the region has them, in order of host.
    pub fn services(&self) -> Vec<ComputeService> {
        let mut services = self.block_on(SimCloud::new(self.region.clone()).services()).unwrap();
        services.sort_by(|a, b| a.host.cmp(&b.host));
        services
    }

    /// Somebody else disables the service of a host.
    pub fn disable(&self, host: &str, reason: &str) {
        let services = self.services();
        let service = services.iter().find(|service| service.host.as_str() == host).unwrap();
        let cloud = SimCloud::new(self.region.clone());
        self.block_on(cloud.disable_service(&service.service.id, reason)).unwrap();
    }

    /// Fails unless the rollout is done: every host in service and mitigated by evidence, nothing lost.
    #[track_caller]
    pub fn is_remedied(&self) {
        self.run(&["assess", "--remedy", "mds", "--check"]).said(0, &[]);
        assert_eq!(self.region.with(|world| world.lost().to_vec()), []);
        let out = self.services().into_iter().filter(|service| service.service.disabled_reason.is_some());
        assert_eq!(out.map(|service| service.host).collect::<Vec<_>>(), []);
    }

    /// Looks until it is so.
    #[track_caller]
    pub fn until(&self, mut is_so: impl FnMut() -> bool) {
        let looks = LIMIT.as_millis() / LOOK_EVERY.as_millis();
        for _ in 0..looks {
            if is_so() {
                return;
            }
            self.block_on(async { tokio::time::sleep(LOOK_EVERY).await });
        }
        panic!("it did not come about");
    }

    /// Runs `work` where the region is served.
    pub fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file of the folder.
    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// A file of the folder.
    #[track_caller]
    pub fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    /// Replaces what stands in a file; fails when it does not stand there.
    #[track_caller]
    pub fn edit(&self, name: &str, from: &str, to: &str) {
        let text = self.read(name);
        assert!(text.contains(from), "`{from}` is not in {name}");
        self.write(name, &text.replacen(from, to, 1));
    }

    /// Takes the inventory and plans: `region.json`, `rollout.yaml`.
    #[track_caller]
    pub fn plan(&self) {
        self.run(&["inventory", "-o", "region.json"]).said(0, &[]);
        let plan = ["plan", "--remedy", "mds", "--policy", "policy.yaml", "--region", "region.json"];
        self.run(&[&plan[..], &["-o", "rollout.yaml"]].concat()).said(0, &[]);
    }

    /// The binary in the folder, in an environment that knows nothing else.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_fleetmend"));
        command.args(arguments).current_dir(self.folder()).env_clear();
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.path("home")).env("XDG_CONFIG_DIRS", self.path("none"));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        command
    }

    /// Runs the binary to its end.
    #[track_caller]
    pub fn run(&self, arguments: &[&str]) -> Told {
        self.finish(self.command(arguments))
    }

    /// Runs the binary to its end with more variables in its environment.
    #[track_caller]
    pub fn run_with(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Told {
        let mut command = self.command(arguments);
        command.envs(variables.iter().copied());
        self.finish(command)
    }

    /// Runs a command to its end. The folder's path and the region's address are the same in each test: DIR and URL.
    #[track_caller]
    pub fn finish(&self, mut command: Command) -> Told {
        let output = self.block_on(async { tokio::time::timeout(LIMIT, command.output()).await });
        let output = output.expect("the command ends").unwrap();
        Told { code: output.status.code(), out: self.shown(&output.stdout), err: self.shown(&output.stderr) }
    }

    /// Begins a command and goes on.
    pub fn begin(&self, arguments: &[&str]) -> Live {
        self.begin_command(self.command(arguments))
    }

    /// Begins a command on a terminal of 80 columns: `$0` in `script` is the binary. All it shows is standard output.
    pub fn begin_on_a_terminal(&self, script: &str, variables: &[(&str, &str)]) -> Live {
        let inner = self.command(&[]);
        let mut command = Command::new("script");
        let binary = env!("CARGO_BIN_EXE_fleetmend");
        let script = format!("stty rows 24 cols 80; {}", script.replace("$0", binary));
        command.args(["-qefc", &script, "/dev/null"]).current_dir(self.folder()).env_clear();
        command.envs(inner.as_std().get_envs().filter_map(|(name, value)| Some((name, value?))));
        command.env("SHELL", "/bin/sh").env("TERM", "xterm").envs(variables.iter().copied());
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        self.begin_command(command)
    }

    fn begin_command(&self, mut command: Command) -> Live {
        self.block_on(async {
            let mut child = command.spawn().unwrap();
            let out = gather(child.stdout.take().unwrap());
            let err = gather(child.stderr.take().unwrap());
            let keyboard = child.stdin.take();
            Live { child, keyboard, out, err }
        })
    }

    /// Types into the terminal of a command.
    pub fn types(&self, live: &mut Live, keys: &str) {
        let keyboard = live.keyboard.as_mut().expect("it has a terminal");
        self.block_on(async {
            keyboard.write_all(keys.as_bytes()).await.unwrap();
            keyboard.flush().await.unwrap();
        });
    }

    /// Waits for the end of a command that was begun.
    #[track_caller]
    pub fn end(&self, mut live: Live) -> Told {
        let status = self.block_on(async { tokio::time::timeout(LIMIT, live.child.wait()).await });
        let code = status.expect("the command ends").unwrap().code();
        let read = |text: Gathered| {
            self.block_on(text.1).unwrap();
            let bytes = text.0.lock().unwrap().clone();
            self.shown(&bytes)
        };
        Told { code, out: read(live.out), err: read(live.err) }
    }

    fn shown(&self, bytes: &[u8]) -> String {
        let text = String::from_utf8_lossy(bytes);
        text.replace(&self.folder().display().to_string(), "DIR").replace(&self.base, "URL")
    }

    /// Fails when anything was changed in the region, or was asked to be.
    #[track_caller]
    pub fn is_untouched(&self) {
        assert_eq!(self.log.changes(), [""; 0]);
        assert_eq!(self.region.with(|world| world.changes().to_vec()), []);
    }
}

/// What a process has written so far, and who reads it.
type Gathered = (Arc<Mutex<Vec<u8>>>, tokio::task::JoinHandle<()>);

fn gather(mut from: impl AsyncRead + Send + Unpin + 'static) -> Gathered {
    let text = Arc::<Mutex<Vec<u8>>>::default();
    let into = text.clone();
    let reader = tokio::spawn(async move {
        let mut bytes = vec![0; 4096];
        while let Ok(read @ 1..) = from.read(&mut bytes).await {
            into.lock().unwrap().extend_from_slice(&bytes[..read]);
        }
    });
    (text, reader)
}

/// A command that runs.
pub struct Live {
    child: Child,
    keyboard: Option<ChildStdin>,
    out: Gathered,
    err: Gathered,
}

impl Live {
    /// Whether it has said that, on standard error or on its terminal.
    pub fn has_said(&self, part: &str) -> bool {
        [&self.out, &self.err].iter().any(|text| String::from_utf8_lossy(&text.0.lock().unwrap()).contains(part))
    }

    /// All that it has said so far on standard error.
    pub fn err(&self) -> String {
        String::from_utf8_lossy(&self.err.0.lock().unwrap()).into_owned()
    }

    /// Sends it a signal: `INT`.
    pub fn signal(&self, name: &str) {
        let pid = self.child.id().expect("it runs").to_string();
        let sent = std::process::Command::new("sh").args(["-c", "kill -s \"$0\" \"$1\"", name, &pid]).status();
        assert!(sent.unwrap().success());
    }
}
